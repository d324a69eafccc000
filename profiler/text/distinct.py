"""How often each hash occurs among any number of them.

Owns exact counts of distinct 64-bit hashes in bounded memory. Past HASHES_IN_MEMORY distinct ones they go as a sorted
run to a file without a name in the folder for temporary files, and are counted there range by range of hashes, in which
the runs are merged: neither HASHES_IN_MEMORY nor the order of adding changes a count. The file is gone with the last
use of it, or with the process, however that ends. Refuses to keep what the hashes are of, and to estimate.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import IO

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.histogram import ValueCounts
from traitcast.profiler.text.spool import disk_full

Hashes = npt.NDArray[np.uint64]

# 4 MB of them, and some 20 MB for a moment while they are sorted. 10^9 hashes make 4,000 runs.
HASHES_IN_MEMORY = 1 << 18
# A range of 10^9 hashes holds a million; where the ranges of a run start takes 8 KB.
_RANGES = 1 << 10
_STARTS = np.arange(_RANGES, dtype=np.uint64) << np.uint64(54)
_ENTRY_BYTES = 16


class HashCounts:
    """Distinct hashes and how often each was added. n: hashes added in all."""

    def __init__(self) -> None:
        self.n = 0
        self._counts = ValueCounts()
        self._file: IO[bytes] | None = None
        # Per run, which entries of the file its ranges start at, and where it ends: int64 (_RANGES + 1,).
        self._runs: list[Ints] = []

    @classmethod
    def of(cls, hashes: Hashes) -> HashCounts:
        """The counts of some hashes, uint64 (n,)."""
        made = cls()
        made.add(hashes)
        return made

    def add(self, hashes: Hashes) -> None:
        """Count hashes once more each. Raises InputError when they do not fit on the disk."""
        self.n += len(hashes)
        self._counts.add(hashes)
        self._spill_if_full()

    def merge(self, other: HashCounts) -> None:
        """Count what another one counted."""
        self.n += other.n
        for hashes, counts in other.blocks():
            self._counts.add_counts(hashes, counts)
            self._spill_if_full()

    def _spill_if_full(self) -> None:
        # Hashes that wait to be sorted may all be the same; only sorting shows it.
        if self._counts.in_memory > HASHES_IN_MEMORY and self._counts.distinct > HASHES_IN_MEMORY // 2:
            self._spill()

    def _spill(self) -> None:
        values = self._counts.hashes
        if not len(values):
            return
        entries = np.column_stack([values, self._counts.counts.astype(np.uint64)])
        first = int(self._runs[-1][-1]) if self._runs else 0
        try:
            self._write(memoryview(entries.tobytes()), first * _ENTRY_BYTES)
        except OSError as error:
            raise disk_full(error, (first + len(values)) * _ENTRY_BYTES, "hashes") from error
        self._runs.append(first + np.append(np.searchsorted(values, _STARTS), len(values)))
        self._counts = ValueCounts()

    def _write(self, left: memoryview, at: int) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this
            weakref.finalize(self, self._file.close)
        self._file.seek(at)
        while left:
            left = left[self._file.write(left) :]

    def _read(self, first: int, last: int) -> Hashes:
        """Entries of the file, a hash and its count each: uint64 (entries, 2)."""
        assert self._file is not None
        size = (last - first) * _ENTRY_BYTES
        self._file.seek(first * _ENTRY_BYTES)
        found = bytearray()
        while len(found) < size:
            part = self._file.read(size - len(found))
            if not part:
                raise OSError(f"a temporary file in {tempfile.gettempdir()} is shorter than what was written to it")
            found += part
        return np.frombuffer(found, dtype=np.uint64).reshape(-1, 2)

    def blocks(self) -> Iterator[tuple[Hashes, Ints]]:
        """The distinct hashes, ascending, and how often each was added, about HASHES_IN_MEMORY at a time."""
        if not self._runs:
            yield self._counts.hashes, self._counts.counts
            return
        self._spill()
        ends = np.cumsum(np.diff(self._runs, axis=1).sum(axis=0))
        edges = [0, *(np.flatnonzero(np.diff(ends // HASHES_IN_MEMORY)) + 1).tolist(), _RANGES]
        for first, last in pairwise(edges):
            met = ValueCounts()
            for run in self._runs:
                if run[last] > run[first]:
                    entries = self._read(int(run[first]), int(run[last]))
                    met.add_counts(entries[:, 0], entries[:, 1].astype(np.int64))
            yield met.hashes, met.counts

    def occurrences(self) -> ValueCounts:
        """How many hashes were added once, how many twice, and so on."""
        made = ValueCounts()
        for _, counts in self.blocks():
            made.add(counts)
        return made

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each of some hashes was added: bool (hashes,)."""
        found = np.zeros(len(hashes), dtype=bool)
        for values, _ in self.blocks():
            if len(values):
                inside = np.flatnonzero((hashes >= values[0]) & (hashes <= values[-1]))
                found[inside] = np.isin(hashes[inside], values)
        return found

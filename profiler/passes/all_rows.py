"""What a pass over all rows gives, block by block: totals that merge into those of all rows, exactly.

Owns the counts, sums, sketches and hashes from which every trait of all rows is made. A block of rows makes totals;
totals of consecutive blocks merge into the totals of both, whatever the blocks, to the last bit. Refuses to keep in
memory what grows with the rows: hashes of distinct prompts and responses lie on the disk (`profiler.text.distinct`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.documents import SegmentRows, prompt_segments, response_segments
from traitcast.profiler.text.estimates import Estimate, Ints, exact, ratio, undefined
from traitcast.profiler.text.exact_sums import Moments, PairMoments
from traitcast.profiler.text.histogram import ValueCounts
from traitcast.profiler.text.kept_words import KeptWords, WordKeeper, concatenate, document_hashes
from traitcast.profiler.text.scan import COUNTS, Hashes, Places, Points, scan
from traitcast.profiler.text.sketches import Sketcher
from traitcast.profiler.traits import balance, surface
from traitcast.profiler.traits.preference import Pairs
from traitcast.profiler.traits.shortcuts import LabelledRows

# Rows of a block: thousands keep the cost of a block small, and the counts of a block are all that is held per row.
BLOCK_ROWS = 1 << 13
_EVERYWHERE = {"url_share": surface.URL, "code_share": surface.CODE}
EXPRESSIONS = {
    "prompt": _EVERYWHERE | {"mention_share": surface.MENTION, "hashtag_share": surface.HASHTAG},
    "response": _EVERYWHERE | {"number_share": surface.NUMBER, "list_share": surface.LIST},
}


@dataclass(frozen=True, slots=True)
class _PartBlock:
    """One part of the rows of a block. exists: bool (rows,), whether a row has it; runs: int64 (rows,), words between
    spaces; hashes: of the exact texts; normalised: of the words of each document that has any."""

    exists: npt.NDArray[np.bool_]
    runs: Ints
    hashes: Hashes
    normalised: Hashes


@dataclass(slots=True)
class PartTotals:
    """One part (prompt or response) of some rows.

    Parameters
    ----------
    documents, blank
        Rows that have the part, and rows without a word in it.
    filled
        Segments that are not blank.
    characters, runs, lines, segments
        Documents by size; runs are words between spaces, segments are fields, options and turns.
    line_characters
        Characters per line of a document.
    shares
        Shares of the character classes of a document, by trait.
    matches
        Documents in which an expression is found, by trait.
    points : int64 (highest code point + 1,)
        Characters by code point.
    texts
        Documents by hash of the exact text.
    sketcher
        The sketches so far.
    """

    documents: int = 0
    blank: int = 0
    filled: int = 0
    characters: ValueCounts = field(default_factory=ValueCounts)
    runs: ValueCounts = field(default_factory=ValueCounts)
    lines: ValueCounts = field(default_factory=ValueCounts)
    segments: ValueCounts = field(default_factory=ValueCounts)
    line_characters: Moments = field(default_factory=Moments)
    shares: dict[str, Moments] = field(default_factory=lambda: {name: Moments() for name in surface.SHARES})
    matches: Counter[str] = field(default_factory=Counter)
    points: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    texts: HashCounts = field(default_factory=HashCounts)
    sketcher: Sketcher = field(default_factory=Sketcher)

    def add(self, rows: SegmentRows, part: str, keeper: WordKeeper | None = None) -> _PartBlock:
        """Take one block of rows, and return what is needed of both parts together."""
        counts, hashes, normalised = [np.zeros((0, len(COUNTS)), np.int64)], [np.zeros(0, np.uint64)], []
        for chunk in scan(rows, self._add_points):
            counts.append(chunk.counts)
            hashes.append(chunk.row_hash)
            normalised.append(document_hashes(chunk))
            self.sketcher.add(chunk)
            if keeper is not None:
                keeper.add(chunk)
        exists = np.diff(rows.offsets) > 0
        block = _PartBlock(
            exists,
            np.concatenate([c[:, COUNTS.index("runs")] for c in counts]),
            np.concatenate(hashes),
            np.concatenate([np.zeros(0, np.uint64), *normalised]),
        )
        self._count(np.concatenate(counts), block)
        for name, expression in EXPRESSIONS[part].items():
            self.matches[name] += surface.count_matches(rows, expression)
        return block

    def _count(self, counts: Ints, block: _PartBlock) -> None:
        present = counts[block.exists]
        column = {name: present[:, at] for at, name in enumerate(COUNTS)}
        self.documents += len(present)
        self.blank += int((block.runs == 0).sum())
        self.filled += int(column["filled"].sum())
        self.characters.add(column["characters"])
        self.runs.add(column["runs"])
        self.lines.add(column["lines"])
        self.segments.add(column["segments"])
        self.line_characters.add(ratio(column["characters"], column["lines"]))
        for name, values in surface.character_shares(present).items():
            self.shares[name].add(values)
        self.texts.add(block.hashes[block.exists])

    def _add_points(self, points: Points, segment: Places) -> None:
        self.points = _added(self.points, np.bincount(points))
        self.sketcher.add_points(points, segment)

    def merge(self, other: PartTotals) -> None:
        """Take what another one took."""
        self.documents += other.documents
        self.blank += other.blank
        self.filled += other.filled
        for name in ("characters", "runs", "lines", "segments", "line_characters", "texts", "sketcher"):
            getattr(self, name).merge(getattr(other, name))
        for name, shares in self.shares.items():
            shares.merge(other.shares[name])
        self.matches.update(other.matches)
        self.points = _added(self.points, other.points)

    @property
    def character_entropy(self) -> float:
        """Entropy of the characters in bits, NaN where there are none."""
        return balance.entropy(self.points) if self.points.any() else float("nan")

    def share_of(self, documents: int) -> Estimate:
        """Some of the documents as a share of all."""
        return exact(documents / self.documents, self.documents) if self.documents else undefined()


def _added(a: Ints, b: Ints) -> Ints:
    """Sums of two arrays of counts, the shorter one extended by zeros."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    result = longer.astype(np.int64)
    result[: len(shorter)] += shorter
    return result


@dataclass(slots=True)
class RowTotals:
    """Both parts of some consecutive rows.

    Parameters
    ----------
    rows
        How many.
    prompt, response
        The totals of each part.
    normalised
        Prompts by hash of their words.
    pairs
        Rows with both parts, by hash.
    log_words
        log(1 + words) of prompt and response of these rows.
    labels
        Rows by label.
    preferences
        Pairs of responses, where rows have them.
    """

    rows: int = 0
    prompt: PartTotals = field(default_factory=PartTotals)
    response: PartTotals = field(default_factory=PartTotals)
    normalised: HashCounts = field(default_factory=HashCounts)
    pairs: HashCounts = field(default_factory=HashCounts)
    log_words: PairMoments = field(default_factory=PairMoments)
    labels: Counter[str] = field(default_factory=Counter)
    preferences: Pairs = field(default_factory=Pairs)
    _kept: list[tuple[KeptWords, LabelledRows, int]] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, PartTotals]:
        """Both parts by name."""
        return {"prompt": self.prompt, "response": self.response}

    @property
    def kept(self) -> KeptWords:
        """The words of the prompts of the rows to keep."""
        return self._all_kept()[0]

    @property
    def labelled(self) -> LabelledRows:
        """What else the rows to keep have: labels, options and numbers of fields."""
        return self._all_kept()[1]

    def _all_kept(self) -> tuple[KeptWords, LabelledRows, int]:
        if len(self._kept) != 1:
            words, labelled, sizes = zip(*self._kept, strict=True) if self._kept else ((), (), ())
            # Once, as the words of many long rows are hundreds of megabytes.
            self._kept = [(concatenate(words, sizes), LabelledRows.concatenate(labelled), sum(sizes))]
        return self._kept[0]

    @classmethod
    def of(cls, table: pa.Table, keep: Ints) -> RowTotals:
        """The totals of one block.

        Parameters
        ----------
        table
            The rows, as `Examples.table`.
        keep : int64 (kept rows,)
            Ascending numbers of the rows whose words are kept.
        """
        made, keeper = cls(rows=table.num_rows), WordKeeper(keep)
        prompt = made.prompt.add(prompt_segments(table), "prompt", keeper)
        response = made.response.add(response_segments(table), "response")
        made._kept.append((keeper.kept(), LabelledRows.of(table, keep), table.num_rows))
        both = prompt.exists & response.exists
        made.normalised.add(prompt.normalised)
        made.pairs.add(surface.pair_hashes(prompt.hashes[both], response.hashes[both]))
        made.log_words.add(np.log1p(prompt.runs[both]), np.log1p(response.runs[both]))
        made.labels.update(balance.value_counts(table.column("label")))
        made.preferences.add(table)
        return made

    def merge(self, other: RowTotals) -> None:
        """Take the totals of the rows that follow."""
        self.rows += other.rows
        for name in ("prompt", "response", "normalised", "pairs", "log_words", "preferences"):
            getattr(self, name).merge(getattr(other, name))
        self.labels.update(other.labels)
        self._kept += other._kept


def count_rows(table: pa.Table, keep: Ints, *, rows: int = BLOCK_ROWS) -> RowTotals:
    """The totals of a table, block by block.

    Parameters
    ----------
    table, keep
        As in `RowTotals.of`.
    rows
        Rows of a block. No number depends on it.
    """
    totals = RowTotals()
    for first in range(0, table.num_rows, rows):
        totals.merge(RowTotals.of(*slice_rows(table, keep, first, rows)))
    return totals


def slice_rows(table: pa.Table, keep: Ints, first: int, rows: int) -> tuple[pa.Table, Ints]:
    """The rows of a table from `first` on, `rows` at most, and which of them are in `keep`, for `RowTotals.of`."""
    inside = slice(*np.searchsorted(keep, [first, first + rows]))
    return table.slice(first, rows), keep[inside] - first

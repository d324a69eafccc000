"""Prompts of the other splits that are in the profiled one too.

Owns reading the prompts of the other splits and comparing them by normalised text, a hash a row; answers are not
looked at, so a test split without labels counts too. A split that cannot be compared is reported with the reason.
Refuses streams: reading their other splits would be a download.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from traitcast.profiler.reading.examples import prompt_batches
from traitcast.profiler.reading.files import files_of
from traitcast.profiler.reading.reader import prompt_columns, prompts
from traitcast.profiler.reading.source import ALL, Part
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.documents import prompt_segments
from traitcast.profiler.text.estimates import Estimate, exact, undefined
from traitcast.profiler.text.kept_words import document_hashes
from traitcast.profiler.text.scan import Hashes, scan
from traitcast.warehouse.errors import NotSharedError, UserError

if TYPE_CHECKING:
    from traitcast.profiler.engine import Engine
    from traitcast.profiler.reading.reader import Examples

# A split this many times larger than the profiled one would cost more than the profile.
MAX_RATIO = 20
_FEW_ROWS = 1000
_NONE = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class OtherSplits:
    """texts: split -> uint64, its normalised prompts. rows: split -> rows read, None for one that was not compared.
    reasons: split -> why it was not."""

    texts: Mapping[str, Hashes]
    rows: Mapping[str, int | None]
    reasons: Mapping[str, str]

    def leaks(self, own: HashCounts) -> tuple[Estimate, dict[str, float]]:
        """Share of the prompts of the other splits that occur in this one, of all together and of each that has any.

        own: normalised prompts of this split.
        """
        found = {split: own.contains(texts) for split, texts in self.texts.items() if len(texts)}
        if not found:
            return undefined(), {}
        every = np.concatenate(list(found.values()))
        return exact(float(every.mean()), len(every)), {split: float(hits.mean()) for split, hits in found.items()}


@dataclass(frozen=True, slots=True)
class Prompts:
    """Some rows of a split. texts: uint64, the normalised prompts that have a word. error: what ended the reading."""

    rows: int
    texts: Hashes
    error: UserError | None = None


def other_splits(examples: Examples, engine: Engine | None = None) -> OtherSplits:
    """The prompts of every other split, read with the same roles. engine: whose nodes read those that are files.

    Raises NotSharedError where they do not see them.
    """
    most = MAX_RATIO * max(examples.table.num_rows, _FEW_ROWS)
    texts: dict[str, Hashes] = {}
    rows: dict[str, int | None] = {}
    reasons: dict[str, str] = {}
    if examples.split != ALL:
        unread = examples.splits.keys() - examples.others.keys() - {examples.split}
        reasons |= dict.fromkeys(sorted(unread), "a stream reads one split")
    for split, parts in examples.others.items():
        known = examples.splits.get(split)
        rows[split] = None
        try:
            found = _prompts(parts, examples.spec, most, engine) if known is None or known <= most else None
        except NotSharedError:
            # Nothing is wrong with the split: a share without it would be stored as that of one machine.
            raise
        except UserError as error:
            reasons[split] = str(error)
            continue
        if found is None:
            reasons[split] = f"it has more than {most:,} rows"
            continue
        rows[split], texts[split] = found.rows, found.texts
    return OtherSplits(texts, rows, reasons)


def _prompts(parts: Sequence[Part], spec: DatasetSpec, most: int, engine: Engine | None) -> Prompts | None:
    """The prompts of a split, None where it has more than `most` rows. Raises UserError for one that cannot be read."""
    work = partial(read_prompts, spec=spec, columns=prompt_columns(parts, spec), most=most + 1)
    rows, texts = 0, [_NONE]
    for found in engine.on_files(files, work) if engine and (files := files_of(parts)) else [work(parts)]:
        rows += found.rows
        if rows > most:
            return None
        if found.error is not None:
            raise found.error
        texts.append(found.texts)
    return Prompts(rows, np.concatenate(texts))


def read_prompts(parts: Sequence[Part], *, spec: DatasetSpec, columns: frozenset[str], most: int) -> Prompts:
    """The prompts of the first `most` rows of some parts, as far as they can be read."""
    rows, texts = 0, [_NONE]

    def counted() -> Iterator[tuple[list[str], list[str] | None]]:
        nonlocal rows
        for prompt in islice(prompts(parts, spec, columns), most):
            rows += 1
            yield prompt

    try:
        texts += [normalised(pa.Table.from_batches([batch])) for batch in prompt_batches(counted())]
    except UserError as error:
        return Prompts(rows, _NONE, error)
    return Prompts(rows, np.concatenate(texts))


def normalised(table: pa.Table) -> Hashes:
    """Hashes of the normalised prompts of a table, without those that have no word."""
    return np.concatenate([_NONE, *(document_hashes(chunk) for chunk in scan(prompt_segments(table)))])

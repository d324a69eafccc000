"""Prompts of the other splits that are in the profiled one too.

Owns reading the prompts of the other splits, once for the trait and the findings, and comparing them by normalised
text, a hash a row; answers are not looked at, so a test split without labels counts too. A split that cannot be
compared is reported with the reason.
Refuses streams: reading their other splits would be a download.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from traitcast.profiler.text.kept_words import KeptWords, WordKeeper, concatenate, document_hashes
from traitcast.profiler.text.keys import Keys, words_key
from traitcast.profiler.text.scan import Hashes, scan
from traitcast.warehouse.errors import NotSharedError, UserError

if TYPE_CHECKING:
    from traitcast.profiler.engine import Engine
    from traitcast.profiler.reading.reader import Examples

# A split this many times larger than the profiled one would cost more than the profile.
MAX_RATIO = 20
_FEW_ROWS = 1000
# Words of another split that are kept, 24 bytes each, by which prompts that are nearly the same are found.
KEPT_WORDS = 2_000_000
_NONE = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class OtherSplits:
    """By split: texts (uint64), its normalised prompts; keys, the same by `profiler.text.keys.words_key`, one a row;
    words, those of its first prompts; rows, as many as were read, None where it was not compared; reasons, why not."""

    texts: Mapping[str, Hashes]
    keys: Mapping[str, Keys]
    words: Mapping[str, KeptWords]
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
    """Some rows of a split, as in `OtherSplits`. error: what ended the reading."""

    rows: int
    texts: Hashes
    keys: Keys
    words: KeptWords
    error: UserError | None = None


def other_splits(examples: Examples, engine: Engine | None = None) -> OtherSplits:
    """The prompts of every other split, read with the same roles. engine: whose nodes read those that are files.

    Raises NotSharedError where they do not see them.
    """
    most = MAX_RATIO * max(examples.table.num_rows, _FEW_ROWS)
    read: dict[str, Prompts] = {}
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
        rows[split], read[split] = found.rows, found
    return OtherSplits(
        {split: found.texts for split, found in read.items()},
        {split: found.keys for split, found in read.items()},
        {split: found.words for split, found in read.items()},
        rows,
        reasons,
    )


def _prompts(parts: Sequence[Part], spec: DatasetSpec, most: int, engine: Engine | None) -> Prompts | None:
    """The prompts of a split, None where it has more than `most` rows. Raises UserError for one that cannot be read."""
    work = partial(read_prompts, spec=spec, columns=prompt_columns(parts, spec), most=most + 1)
    read: list[Prompts] = []
    for found in engine.on_files(files, work) if engine and (files := files_of(parts)) else [work(parts)]:
        if found.rows + sum(one.rows for one in read) > most:
            return None
        if found.error is not None:
            raise found.error
        read.append(found)
    return _joined(read)


def read_prompts(parts: Sequence[Part], *, spec: DatasetSpec, columns: frozenset[str], most: int) -> Prompts:
    """The prompts of the first `most` rows of some parts, as far as they can be read."""
    rows, keys, read = 0, array("Q"), [_nothing()]

    def counted() -> Iterator[tuple[list[str], list[str] | None]]:
        nonlocal rows
        for fields, options in islice(prompts(parts, spec, columns), most):
            rows += 1
            keys.append(words_key([*fields, *(options or [])]))
            yield fields, options

    try:
        for batch in prompt_batches(counted()):
            read.append(scanned(pa.Table.from_batches([batch]), sum(len(one.words.words) for one in read)))
    except UserError as error:
        return replace(_nothing(), rows=rows, error=error)
    return replace(_joined(read), rows=rows, keys=np.array(keys, dtype=np.uint64))


def scanned(table: pa.Table, kept: int = 0) -> Prompts:
    """The texts of some prompts, and their words unless KEPT_WORDS are `kept` already."""
    keeper = WordKeeper(np.arange(table.num_rows if kept < KEPT_WORDS else 0))
    texts = [_NONE]
    for chunk in scan(prompt_segments(table)):
        texts.append(document_hashes(chunk))
        keeper.add(chunk)
    return Prompts(table.num_rows, np.concatenate(texts), _NONE, keeper.kept())


def _joined(read: Sequence[Prompts]) -> Prompts:
    """Consecutive prompts as one; the words of the first KEPT_WORDS or so."""
    sizes = np.cumsum([len(one.words.words) for one in read])
    some = read[: int(np.searchsorted(sizes, KEPT_WORDS)) + 1]
    return Prompts(
        sum(one.rows for one in read),
        np.concatenate([_NONE, *(one.texts for one in read)]),
        np.concatenate([_NONE, *(one.keys for one in read)]),
        concatenate([one.words for one in some], [len(one.words.rows) for one in some]),
    )


def _nothing() -> Prompts:
    return Prompts(0, _NONE, _NONE, WordKeeper(np.zeros(0, dtype=np.int64)).kept())

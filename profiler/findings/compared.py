"""The rows that are compared with each other: those among which near duplicates, near leaks and shortcuts are found.

Owns which rows these are and their words; `of` of each finding says how many. Refuses to hold more of them than
`profiler.findings.near` allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.findings import near, shortcuts
from traitcast.profiler.findings.checks import Finding, found
from traitcast.profiler.passes.table import row_table
from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.kept_words import KeptWords
from traitcast.profiler.text.keys import Keys, repeats


@dataclass(frozen=True)
class Compared:
    """Some rows with their texts.

    Parameters
    ----------
    keys
        What the checks know of all rows, by name.
    at : int64 (some rows,)
        Their numbers from 0, ascending.
    prompts, options, answers, labels
        One of each per row of `at`; an answer only where it is a text of its own, and no class or option.
    """

    keys: Mapping[Any, Any]
    at: Ints
    prompts: list[list[str]]
    options: list[list[str]]
    answers: list[str | None]
    labels: list[str | None]

    @classmethod
    def of(cls, table: Any, keys: Mapping[Any, Any], judged: bool, seed: int) -> Compared:
        """Rows of a table. judged: its labels are about the responses."""
        characters = sum(int(np.maximum(keys[f"{part}_characters"], 0).sum()) for part in ("prompt", "response"))
        at = _drawn(table.num_rows, characters, seed)
        taken = table.take(at)
        labels = taken["label"].to_pylist()
        # The name of a class, or the right option, is no text of its own.
        responses = taken["response"].to_pylist()
        answers = [r if judged or lab is None else None for r, lab in zip(responses, labels, strict=True)]
        if "rejected" in taken.column_names:
            answers = [f"{a or ''}\n{r or ''}" for a, r in zip(answers, taken["rejected"].to_pylist(), strict=True)]
        options = [texts or [] for texts in taken["options"].to_pylist()]
        return cls(keys, at, prompts_of(taken), options, answers, labels)

    @cached_property
    def words(self) -> KeptWords:
        """The words of the prompts."""
        return near.words_of(self.prompts)

    def duplicates(self, contradicting: npt.NDArray[np.bool_]) -> Finding | None:
        """Rows that nearly repeat an earlier one, but for those that repeat or contradict it word for word."""
        left_out = repeats(self.keys["exact"]) | contradicting
        some = np.flatnonzero(~left_out[self.at])
        whole = not any(self.answers)
        if whole and len(some) == len(self.at):
            words = self.words
        else:
            words = near.words_of([[*self.prompts[at], *filter(None, [self.answers[at]])] for at in some])
        later, earlier = near.repeated(words)
        if not len(later):
            return None
        later, earlier = some[later], some[earlier]
        other = sum(self.labels[a] != self.labels[b] for a, b in zip(later.tolist(), earlier.tolist(), strict=True))
        detail = f"row {self.at[later[0]] + 1} is like row {self.at[earlier[0]] + 1}"
        if other:
            detail += f"; {other:,} with another label"
        return self._found("near_duplicate", "row", later, detail)

    def leaks(self, words: Mapping[str, KeptWords], keys: Mapping[str, Keys], check: str) -> Finding | None:
        """Rows whose prompt is nearly that of a row of another split or dataset, but not word for word."""
        if not any(len(kept.rows) for kept in words.values()):
            return None
        hits, told = np.zeros(len(self.at), dtype=bool), []
        for name, kept in words.items():
            place, _ = near.shared(self.words, kept)
            place = place[~np.isin(self.keys["words"][self.at[place]], keys[name])]
            hits[place] = True
            told += [f"{len(place):,} like one of the {len(kept.rows):,} compared in {name!r}"] if len(place) else []
        return self._found(check, "prompt", np.flatnonzero(hits), "; ".join(told))

    def shortcuts(self, task_type: str, fields: Sequence[str]) -> list[Finding | None]:
        """What gives a label away. fields: names of the text fields."""
        # A copy would count as another row.
        once = ~repeats(self.keys["words"])[self.at]
        some = np.flatnonzero(once & np.array([label is not None for label in self.labels], dtype=bool))
        labels = [str(self.labels[at]) for at in some]
        rows = len(self.keys["exact"])
        if task_type == "multiple_choice":
            return [shortcuts.options([self.options[at] for at in some], labels, self.at[some], rows)]
        if task_type != "classification":
            return []
        texts = [self.prompts[at] for at in some]
        words = self.words if len(some) == len(self.at) else near.words_of(texts)
        return shortcuts.findings(words, texts, labels, fields, self.at[some], rows)

    def _found(self, check: str, part: str, places: Ints, detail: str) -> Finding | None:
        hits = np.zeros(len(self.keys["exact"]), dtype=bool)
        hits[self.at[places]] = True
        return found(check, part, hits, of=len(self.at), detail=detail)


def words_of_dataset(examples: Examples, seed: int) -> KeptWords:
    """The words of the prompts of another dataset, of as many rows as are compared."""
    table = row_table(examples.table)
    characters = sum(table.map_blocks(_prompt_characters))
    return near.words_of(prompts_of(table.take(_drawn(table.num_rows, characters, seed))))


def prompts_of(rows: pa.Table) -> list[list[str]]:
    """The text fields of each row, then its options."""
    options = rows["options"].to_pylist()
    if (
        rows["options"].null_count == rows.num_rows
        and pc.all(pc.equal(pc.list_value_length(rows["fields"]), 1)).as_py()
    ):
        return [[text] for text in flat(rows["fields"]).to_pylist()]
    fields = rows["fields"].to_pylist()
    return [f + (o or []) for f, o in zip(fields, options, strict=True)]


def flat(lists: pa.ChunkedArray) -> pa.Array:
    """The texts of all lists, one after another."""
    return pa.concat_arrays([pa.array([], pa.string()), *(chunk.flatten() for chunk in lists.chunks)])


def _drawn(rows: int, characters: int, seed: int) -> Ints:
    some = near.rows_to_compare(characters, rows)
    if some == rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:some]).astype(np.int64)


def _prompt_characters(rows: pa.Table) -> int:
    return sum(len(text) for prompt in prompts_of(rows) for text in prompt)

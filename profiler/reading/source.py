"""Where rows come from, whatever the format: a source has splits, a split has parts, a part yields rows.

Owns which split is meant when none, or an alias of one, is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from traitcast.profiler.roles.values import listed
from traitcast.warehouse.errors import InputError, nearest

Row = dict[str, Any]

ALL = "all"
# What a matrix tests on: the first of these that a dataset has, with answers.
HELD_OUT = ("test", "validation", "dev")
# Names that people give to the three usual splits.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def total(counts: Sequence[int | None]) -> int | None:
    """The sum, None where one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


class Part(Protocol):
    """One file or table of rows. `name` and `unit` ("line" or "row") locate a row in messages."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    def rows(self, columns: Collection[str] | None = None) -> Iterator[tuple[int, Row]]:
        """(number from 1, row) in order; `columns` may narrow what is read where that is cheap."""
        ...

    def label_names(self) -> Mapping[str, tuple[str, ...]]:
        """Class names by column, where the format itself carries them."""
        ...

    def count(self) -> int | None:
        """Rows, where known without reading them."""
        ...

    def estimate(self) -> int | None:
        """About how many rows there are, where a glance is enough."""
        ...

    def notes(self) -> Sequence[str]:
        """What was decided in order to read it, a line each."""
        ...

    def warnings(self) -> Sequence[str]:
        """What may be wrong with it although it could be read, a line each."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset that was found but not read.

    Parameters
    ----------
    slug
        A name made of its path or id.
    notes
        What was left out, a line each.
    warnings
        What is missing, by split.
    """

    origin: str
    slug: str
    splits: Mapping[str, tuple[Part, ...]]
    revision: str | None = None
    spec_file: Path | None = None
    notes: tuple[str, ...] = ()
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def choose(self, split: str | None) -> str:
        """The split to read: the one asked for, else train, else the only one. Raises InputError otherwise."""
        names = list(self.splits)
        if split is None:
            if "train" in names:
                return "train"
            if len(names) == 1:
                return names[0]
            raise InputError(f"{self.origin} has no train split; choose one with --split: {listed(names)} (or all)")
        if split in self.splits or split == ALL:
            return split
        alias = SPLIT_WORDS.get(split.lower())
        if alias in self.splits:
            return str(alias)
        hint = nearest(split, names)
        every = "" if ALL in names else " (or all)"
        raise InputError(f"{self.origin} has no split {split!r}{hint} Its splits: {listed(names)}{every}")

    def parts(self, split: str) -> tuple[Part, ...]:
        """The parts of a split, or of every split for "all"."""
        if split in self.splits:
            return self.splits[split]
        return tuple(part for parts in self.splits.values() for part in parts)

    def counts(self, read: Mapping[str, int]) -> dict[str, int | None]:
        """Rows of each split, None where that is not known without reading it. read: those of splits that were."""
        found: dict[str, int | None] = {}
        for split, parts in self.splits.items():
            if split in read:
                found[split] = read[split]
                continue
            found[split] = total([part.count() for part in parts])
        return found

"""The error tree of traitcast. Every room raises these; the command line turns them into exit codes.

Exit code 1: something failed (`TraitcastError`). Exit code 2: the user can cure it (`UserError`).
A message gives the value, what is allowed, and the next command to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class TraitcastError(Exception):
    """Something failed that the user did not cause. Exit code 1."""

    exit_code = 1


class UserError(TraitcastError):
    """Bad input or bad usage; the message says what to change. Exit code 2."""

    exit_code = 2


class InputError(UserError):
    """A file, row, column or spec that cannot be read as a dataset."""


class NoAnswersError(InputError):
    """A split whose answers are missing or held back, as those of many benchmarks are.

    what: the finding without its cure.
    """

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}. {cure}")
        self.what = what


class NotSharedError(InputError):
    """A node of a cluster does not see a file of the caller, or sees another file under its name."""


class NotProfiledError(UserError):
    """A dataset name that the warehouse does not hold."""


class WarehouseError(UserError):
    """The warehouse file is busy, foreign, newer, or not writable."""


class QueryError(UserError):
    """A SQL text that cannot run, or may not (it writes or leaves the warehouse)."""


class ScoresError(UserError):
    """A results file, or a matrix, that cannot be used as asked."""


class MissingExtraError(UserError):
    """An optional package is not installed; the message carries the pip command."""


def nearest(value: str, allowed: Iterable[str]) -> str:
    """The end of a sentence about an unknown value: "; did you mean 'x'?", or a full stop."""
    # "SST2" means "sst2"; of names that differ in case only, the first wins.
    folded: dict[str, str] = {}
    for name in allowed:
        folded.setdefault(name.casefold(), name)
    asked = value.casefold()
    # Letters in another order are a slip of the fingers, however short the name.
    swapped = [name for name in folded if sorted(name) == sorted(asked)]
    matches = swapped or get_close_matches(asked, list(folded), n=1, cutoff=0.7)
    return f"; did you mean {folded[matches[0]]!r}?" if matches else "."


def some(things: Sequence[object], shown: int) -> str:
    """The first few of many things for a message: `a, b and 3 more`."""
    more = len(things) - shown
    return ", ".join(map(str, things[:shown])) + (f" and {more:,} more" if more > 0 else "")

"""Outcomes: what is predicted of a pair. The gain, or a side effect of tuning that a measured matrix knows too.

Owns their names, units and words. One predictor has one outcome: the three are learnt from different cells (a label
shift exists on classification targets, a length shift on generated answers), with their own sizes of tree and
intervals, so one model of several outputs would share nothing but the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from traitcast.warehouse.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing to predict. unit: of the number, short. what: it in words, after "Predicted: ".

    harmful: below zero is harm, so that a chance of harm can be told. floor: no value lies below; None: any may.
    """

    name: str
    unit: str
    what: str
    harmful: bool = False
    floor: float | None = None


GAIN = Outcome("gain", "pp", "gain in pp", harmful=True)
OUTCOMES: tuple[Outcome, ...] = (
    GAIN,
    Outcome(
        "label_shift",
        "% of answers",
        "share of answers (%) that go to another label than the untuned model's, as a change of their distribution",
        floor=0.0,
    ),
    Outcome("length_shift", "tokens", "mean tokens written more (or, below zero, less) than by the untuned model"),
)
OVER = {"untuned": "the untuned model", "target mean": "an average source on the same target"}
NAMES = tuple(outcome.name for outcome in OUTCOMES)


def outcome_of(name: str) -> Outcome:
    """The outcome of that name. Raises UserError."""
    if name not in NAMES:
        raise UserError(f"unknown outcome {name!r}{nearest(name, NAMES)} Allowed: {', '.join(NAMES)}.")
    return OUTCOMES[NAMES.index(name)]


def axis_words(outcome: Outcome, base: str) -> str:
    """What the numbers are, short enough for an axis. base: what gains are over (`Matrix.base`)."""
    if outcome == GAIN:
        return f"gain over {OVER.get(base, base)}, pp"
    return f"{outcome.name.replace('_', ' ')}, {outcome.unit}"

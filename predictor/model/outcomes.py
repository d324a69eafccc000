"""Outcomes: what is predicted for a pair, the gain or a measured side effect of tuning.

Owns their names, units and words. A predictor has one outcome: the three are learnt from different cells (a label shift
exists on classification targets, a length shift on generated answers), with their own tree sizes and intervals, so that
one model of several outputs would share only the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from traitcast.warehouse.database.schema import LESS_IS_BETTER
from traitcast.warehouse.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing to predict. unit: short. what: in words.

    harmful: whether values below zero are harm, so that there is a chance of harm. floor: the smallest possible value;
    None for no limit. metric: of a gain; None for the headline metric of its matrix. A gain of g cnat (hundredths of a
    nat) makes the right answer, or every token of it (`reference_nll`), exp(g / 100) times as likely.
    """

    name: str
    unit: str
    what: str
    harmful: bool = False
    floor: float | None = None
    metric: str | None = None


GAIN = Outcome("gain", "pp", "gain in pp", harmful=True)
LABEL_SHIFT = Outcome(
    "label_shift",
    "% of answers",
    "share of answers (%) that move to other labels than the untuned model's, as a change of their distribution",
    floor=0.0,
)
OUTCOMES: tuple[Outcome, ...] = (
    GAIN,
    LABEL_SHIFT,
    Outcome("length_shift", "tokens", "mean length of answers (tokens) minus that of the untuned model"),
)
OVER = {"untuned": "the untuned model", "target mean": "an average source on the same target"}
NAMES = tuple(outcome.name for outcome in OUTCOMES)


def outcome_of(name: str, metric: str | None = None) -> Outcome:
    """The outcome of that name, of a gain in a metric other than the headline one if it is given.

    Raises
    ------
    UserError
        For an unknown outcome, and a metric of one that is no gain.
    """
    if name not in NAMES:
        raise UserError(f"unknown outcome {name!r}{nearest(name, NAMES)} Allowed: {', '.join(NAMES)}.")
    if metric is None:
        return OUTCOMES[NAMES.index(name)]
    if name != GAIN.name:
        raise UserError(f"--metric {metric} applies to gains, not to --outcome {name}. Leave one of them out.")
    if metric in LESS_IS_BETTER:
        likelier = "every token" if metric == "reference_nll" else "right answers"
        what = f"gain in cnat, the fall of {metric} in hundredths of a nat (+10: {likelier} 1.1 times as likely)"
        return Outcome(GAIN.name, "cnat", what, harmful=True, metric=metric)
    unit = f"hundredths of {metric}"
    return Outcome(GAIN.name, unit, f"gain in {unit}, more is better", harmful=True, metric=metric)


def axis_words(outcome: Outcome, base: str) -> str:
    """The outcome and its unit, short enough for an axis. base: what gains are over (`Matrix.base`)."""
    if outcome.name == GAIN.name:
        return f"gain over {OVER.get(base, base)}, {outcome.unit}"
    return f"{outcome.name.replace('_', ' ')}, {outcome.unit}"

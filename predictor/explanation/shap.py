"""Explanation: which traits of the source, the target and the pair move one prediction, and by how much.

Owns exact TreeSHAP values with their trait, side and family, their sums, and a sentence in plain words. It says what
the predictor used, not what would happen if a trait were changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.model import trees
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import TARGET_MEAN
from traitcast.predictor.model.outcomes import GAIN, Outcome, axis_words
from traitcast.predictor.model.predictor import Prediction, Predictor
from traitcast.warehouse import charts

if TYPE_CHECKING:
    import altair as alt

LEVEL_TRAIT = "measured_gain_level"
LEVEL_FAMILY = "measured"
_SENTENCE_TRAITS = 2
# A sign on which fewer models than this agree may be chance.
_STABLE = 0.8


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to a prediction: shap in pp; value None where the feature is undefined.

    spread: standard deviation of shap, pp, over models that were each fitted without some of the datasets and with
    another seed. agreement: share of these models in which shap has the same sign. None for a measured level.
    """

    trait: str
    side: str
    family: str
    value: float | None
    shap: float
    spread: float | None = None
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction split into contributions: base_value + the sum of all shap = prediction.gain, in pp.

    Attributes
    ----------
    prediction
        The prediction.
    base_value
        Mean prediction over the training cells, moved to the median as every prediction is, pp.
    contributions
        Largest first. If the target belongs to the matrix, its measured level is the contribution of the trait
        "measured_gain_level".
    family_spread, side_spread
        As `Contribution.spread`, for the sums per family and side.
    base
        What gains are over (`Matrix.base`).
    outcome
        What was predicted.
    """

    prediction: Prediction
    base_value: float
    contributions: tuple[Contribution, ...]
    family_spread: dict[str, float] = field(default_factory=dict)
    side_spread: dict[str, float] = field(default_factory=dict)
    base: str = "untuned"
    outcome: Outcome = GAIN

    @property
    def by_family(self) -> dict[str, float]:
        """Summed shap per trait family, pp, largest first."""
        return _summed((c.family, c.shap) for c in self.contributions)

    @property
    def by_side(self) -> dict[str, float]:
        """Summed shap per side (source, target, pair), pp, largest first."""
        return _summed((c.side, c.shap) for c in self.contributions)

    @property
    def sentence(self) -> str:
        """The prediction and its strongest reasons in plain words."""
        p = self.prediction
        harm = f"; {self._harm_words} {p.harm:.0%}" if self.outcome.harmful else ""
        text = (
            f"Tuning on {p.source} is predicted to {self._what} (90 % interval {p.low:+.1f} to {p.high:+.1f} "
            f"{self.outcome.unit}{harm})."
        )
        for word, sign in (("Raised", 1), ("Lowered", -1)):
            reasons = [_phrase(c, self.outcome.unit) for c in self.contributions if sign * c.shap > 0]
            if reasons:
                text += f" {word} most by {' and '.join(reasons[:_SENTENCE_TRAITS])}."
        if p.novel:
            text += " At least one of the two datasets is unlike those in training, so this is an extrapolation."
        return text

    @property
    def _harm_words(self) -> str:
        return "chance of doing worse" if self.base == TARGET_MEAN else "chance of harm"

    @property
    def _what(self) -> str:
        """The predicted outcome after "is predicted to"."""
        p, up = self.prediction, self.prediction.gain >= 0
        size = f"{abs(p.gain):.1f}"
        if self.outcome.name == "label_shift":
            return f"move {size} % of the answers on {p.target} to another label"
        if self.outcome.name == "length_shift":
            return f"make answers on {p.target} {size} tokens {'longer' if up else 'shorter'}"
        if self.base == TARGET_MEAN:
            return f"do {size} pp {'better' if up else 'worse'} on {p.target} than tuning on an average source"
        return f"{'raise' if up else 'lower'} the score on {p.target} by {size} pp"

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `explain`, with the sums by family and side, and the sentence."""
        return {
            **self.prediction.as_row(),
            "base_value": self.base_value,
            "contributions": [asdict(c) for c in self.contributions],
            "by_family": self.by_family,
            "by_side": self.by_side,
            "family_spread": self.family_spread,
            "side_spread": self.side_spread,
            "sentence": self.sentence,
        }

    def steps(self, top: int = 12) -> list[tuple[str, float]]:
        """(name, pp) from the base value to the prediction: the `top` strongest traits, and the others as one."""
        steps = [(_named(c), c.shap) for c in self.contributions[:top]]
        if rest := self.contributions[top:]:
            steps.append((f"{len(rest)} others", sum(c.shap for c in rest)))
        return steps

    def waterfall(self, top: int = 12) -> alt.TopLevelMixin:
        """A chart of these steps; `warehouse.charts` writes it."""
        title = f"{self.prediction.source} on {self.prediction.target}"
        axis = axis_words(self.outcome, self.base)
        return charts.waterfall(self.base_value, self.steps(top), title=title, axis=f"predicted {axis}")

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.sentence)}</p>{charts.svg(self.waterfall())}"


def explain(predictor: Predictor, profiles: ProfileSet, source: str, target: str) -> Explanation:
    """Split the prediction for one pair into contributions.

    Parameters
    ----------
    predictor
        A fitted predictor.
    profiles
        Profiles of both datasets.
    source, target
        Their names.

    Raises
    ------
    NotProfiledError, UserError
        As `Predictor.predict` does.
    """
    prediction = predictor.predict(profiles, [source], [target])[0]
    table = predictor.table(profiles, [source], [target])
    shown = predictor.space.values(profiles, [source], [target])[0]
    values, base = trees.contributions(predictor.booster, table)
    features = predictor.space.features
    over_folds = _over_folds(predictor, table)
    found = [
        Contribution(
            f.trait, f.side, f.family, None if np.isnan(x) else float(x), float(shap), *_stability(shap, column)
        )
        for f, x, shap, column in zip(features, shown, values[0], over_folds.T, strict=True)
    ]
    if level := predictor.levels.get(target, 0.0):
        found.append(Contribution(LEVEL_TRAIT, "target", LEVEL_FAMILY, level, level))
    # XGBoost computes in float32; the rounding error goes to the base value, so that the sum is exact.
    remainder = prediction.gain - float(base[0]) - sum(c.shap for c in found)
    ordered = sorted(found, key=lambda c: (-abs(c.shap), c.side, c.trait))
    return Explanation(
        prediction,
        float(base[0]) + remainder,
        tuple(ordered),
        _sum_spread(over_folds, [f.family for f in features]),
        _sum_spread(over_folds, [f.side for f in features]),
        predictor.matrix.base,
        predictor.outcome,
    )


def _over_folds(predictor: Predictor, table: np.ndarray) -> np.ndarray:
    """Shap of the pair in every fold's model, (folds, features)."""
    rows = [trees.contributions(trees.from_json(document), table)[0][0] for document in predictor.folds]
    return np.array(rows) if rows else np.empty((0, table.shape[1]))


def _stability(shap: float, over_folds: np.ndarray) -> tuple[float | None, float | None]:
    if over_folds.size < 2:
        return None, None
    return float(over_folds.std(ddof=1)), float(np.mean(np.sign(over_folds) == np.sign(shap)))


def _sum_spread(over_folds: np.ndarray, keys: Sequence[str]) -> dict[str, float]:
    if len(over_folds) < 2:
        return {}
    mine = {key: np.array([k == key for k in keys]) for key in dict.fromkeys(keys)}
    return {key: float(over_folds[:, columns].sum(axis=1).std(ddof=1)) for key, columns in mine.items()}


def _summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for key, shap in pairs:
        sums[key] = sums.get(key, 0.0) + shap
    return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))


def _phrase(c: Contribution, unit: str) -> str:
    value = "undefined" if c.value is None else f"{c.value:.3g}"
    doubt = ", unstable" if c.agreement is not None and c.agreement < _STABLE else ""
    return f"{c.trait} of the {c.side} = {value} ({c.shap:+.2f} {unit}{doubt})"


def _named(c: Contribution) -> str:
    return f"{c.side} {c.trait}"

"""Explanation: which traits of the source, the target and the pair move one prediction, and by how much.

Owns exact TreeSHAP values with their trait, side and family, their sums, and a sentence in plain words. It says
what the predictor used, not what would happen if a trait were changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from predictor import trees
from predictor.features import ProfileSet
from predictor.model import Prediction, Predictor

LEVEL_TRAIT = "measured_gain_level"
LEVEL_FAMILY = "measured"
_SENTENCE_TRAITS = 2


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to a prediction: shap in pp; value None where the feature is undefined."""

    trait: str
    side: str
    family: str
    value: float | None
    shap: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction taken apart: base_value + the sum of all shap = prediction.gain, in pp.

    base_value: mean prediction over the training cells. contributions: largest first. When the target is one of
    the matrix's own, the level measured for it is the contribution of trait "measured_gain_level".
    """

    prediction: Prediction
    base_value: float
    contributions: tuple[Contribution, ...]

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
        verb = "raise" if p.gain >= 0 else "lower"
        text = (
            f"Tuning on {p.source} is predicted to {verb} {p.target} by {abs(p.gain):.1f} pp "
            f"(90 % interval {p.low:+.1f} to {p.high:+.1f} pp, chance of harm {p.harm:.0%})."
        )
        up = [c for c in self.contributions if c.shap > 0][:_SENTENCE_TRAITS]
        down = [c for c in self.contributions if c.shap < 0][:_SENTENCE_TRAITS]
        reasons = [
            f"{word}: {', '.join(_phrase(c) for c in found)}"
            for word, found in (("For", up), ("Against", down))
            if found
        ]
        if reasons:
            text += " " + ". ".join(reasons) + "."
        if p.novel:
            text += " At least one of the two lies outside what the predictor has seen: take this as an extrapolation."
        return text

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `explain`, with sums by family and side and the sentence."""
        return {
            **self.prediction.as_row(),
            "base_value": self.base_value,
            "contributions": [asdict(c) for c in self.contributions],
            "by_family": self.by_family,
            "by_side": self.by_side,
            "sentence": self.sentence,
        }


def explain(predictor: Predictor, profiles: ProfileSet, source: str, target: str) -> Explanation:
    """Take the prediction for one pair apart. Raises as `Predictor.predict` does."""
    prediction = predictor.predict(profiles, [source], [target])[0]
    table = predictor.table(profiles, [source], [target])
    values, base = trees.contributions(predictor.booster, table)
    found = [
        Contribution(f.trait, f.side, f.family, None if np.isnan(x) else float(x), float(shap))
        for f, x, shap in zip(predictor.space.features, table[0], values[0], strict=True)
    ]
    if level := predictor.levels.get(target, 0.0):
        found.append(Contribution(LEVEL_TRAIT, "target", LEVEL_FAMILY, level, level))
    # XGBoost computes in float32; what rounding leaves over goes to the base, so that the sum is exact.
    remainder = prediction.gain - float(base[0]) - sum(c.shap for c in found)
    ordered = sorted(found, key=lambda c: (-abs(c.shap), c.side, c.trait))
    return Explanation(prediction, float(base[0]) + remainder, tuple(ordered))


def _summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for key, shap in pairs:
        sums[key] = sums.get(key, 0.0) + shap
    return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))


def _phrase(c: Contribution) -> str:
    value = "undefined" if c.value is None else f"{c.value:.3g}"
    whose = {"source": "source ", "target": "target "}.get(c.side, "pair ")
    return f"{whose}{c.trait} = {value} ({c.shap:+.2f} pp)"

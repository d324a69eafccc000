"""Explanation: which traits of the source, the target and the pair move one prediction, and by how much.

Owns exact TreeSHAP values with their trait, side and family, their sums, and a sentence in plain words. It says what
the predictor used, not what would happen if a trait were changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.model import trees
from traitcast.predictor.model.features import Feature, ProfileSet
from traitcast.predictor.model.gain_model import KNOWN, NEW
from traitcast.predictor.model.observations import TARGET_MEAN
from traitcast.predictor.model.outcomes import GAIN, Outcome, axis_words
from traitcast.predictor.model.prediction import MEASURED, Prediction
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse import charts
from traitcast.warehouse.console import count

if TYPE_CHECKING:
    import altair as alt

LEVEL_TRAIT = "measured_gain_level"
LEVEL_FAMILY = "measured"
EVIDENCE_TRAIT = "gains_on_other_targets"
EVIDENCE_FAMILY = "evidence"
CLOSENESS_TRAIT = "likeness"
CLOSENESS_FAMILY = "similarity"
MEASURED_TRAIT = "measured_gain"
_SENTENCE_TRAITS = 2
_REPR_TRAITS = 5
# A sign on which fewer models than this agree may be chance.
_STABLE = 0.8


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to a prediction: shap in its unit; value None where the feature is undefined.

    spread: standard deviation of shap over models that were each fitted without some of the datasets and with
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
class Evidence:
    """What the gains of a source on other targets say.

    sentence: in words. targets: measured targets of the source, heaviest first, with their share of the weight (summing
    to 1) and their gain.
    """

    sentence: str
    targets: tuple[tuple[str, float, float], ...]

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        rows = [{"target": target, "weight": weight, "gain": gain} for target, weight, gain in self.targets]
        return {"sentence": self.sentence, "targets": rows}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction split into contributions: base_value + the sum of all shap = prediction.gain, in its unit.

    Attributes
    ----------
    prediction
        The prediction.
    base_value
        Mean prediction over the training cells, moved to the median as every prediction is.
    contributions
        Largest first. If the target belongs to the matrix, its measured level is the contribution of the trait
        "measured_gain_level".
    family_spread, side_spread
        As `Contribution.spread`, for the sums per family and side.
    base
        What gains are over (`Matrix.base`).
    outcome
        What was predicted.
    evidence
        What the source's gains on other targets say.
    """

    prediction: Prediction
    base_value: float
    contributions: tuple[Contribution, ...]
    family_spread: dict[str, float] = field(default_factory=dict)
    side_spread: dict[str, float] = field(default_factory=dict)
    base: str = "untuned"
    outcome: Outcome = GAIN
    evidence: Evidence | None = None

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
        harm = f"; {self._harm_words} {p.harm:.0%}" if np.isfinite(p.harm) else ""
        interval = f" (90 % interval {p.low:+.1f} to {p.high:+.1f} {self.outcome.unit}{harm})"
        interval = interval if np.isfinite(p.low) else ""
        text = f"Tuning on {p.source} is predicted to {self._what}{interval}."
        if p.basis == MEASURED and p.measured is not None:
            error = f" ± {p.standard_error:.1f}" if p.standard_error is not None else ""
            found = f"{p.measured:+.1f}{error} {self.outcome.unit}"
            text = (
                f"Tuning on {p.source} was measured on {p.target}: {found}. Shrunk towards the prediction by the noise "
                f"of that, it is estimated to {self._what}{interval}."
            )
        if self.evidence is not None:
            text += f" Evidence: {self.evidence.sentence}."
        for word, sign in (("Raised", 1), ("Lowered", -1)):
            moving = [c for c in self.contributions if sign * c.shap > 0 and c.family != EVIDENCE_FAMILY]
            reasons = [_phrase(c, self.outcome.unit) for c in moving]
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
        if self.outcome.metric:
            return f"make {self.outcome.metric} on {p.target} {size} {self.outcome.unit} {'better' if up else 'worse'}"
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
            "evidence": None if self.evidence is None else self.evidence.as_row(),
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

    def __repr__(self) -> str:
        # All contributions, which a dataclass would print, are 60 kB.
        largest = ", ".join(f"{name} {value:+.2f}" for name, value in self.steps(_REPR_TRAITS))
        return f"<{self.sentence} Contributions in {self.outcome.unit}: {largest}>"

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
    expected = predictor.expect(profiles, [source], [target])[0]
    parts = predictor.parts(profiles, [source], [target])
    regime = KNOWN if parts.known[0] else NEW
    spread = float(parts.spread[0])
    found: list[Contribution] = []
    features: tuple[Feature, ...] = ()
    over_folds = np.empty((0, 0))
    if (booster := predictor.booster(regime)) is not None:
        table, features = predictor.table(profiles, [source], [target]), predictor.space.features
        shown = predictor.space.values(profiles, [source], [target])[0]
        values, _ = trees.contributions(booster, table)
        over_folds = spread * _over_folds(predictor, regime, table)
        found = [
            Contribution(f.trait, f.side, f.family, None if np.isnan(x) else float(x), float(v), *_stability(v, column))
            for f, x, v, column in zip(features, shown, spread * values[0], over_folds.T, strict=True)
        ]
    witnesses = predictor.witnesses(profiles, source, target)
    parents = profiles.mixtures[source] if parts.mixed[0] else {}
    deviations = float(predictor.scale.deviations(predictor.scale.of(profiles, [target], [source]))[0, 0])
    for trait, side, family, shap in (
        (LEVEL_TRAIT, "target", LEVEL_FAMILY, float(parts.level[0]) - parts.base),
        (EVIDENCE_TRAIT, "source", EVIDENCE_FAMILY, float(parts.evidence[0] - parts.close[0])),
        (CLOSENESS_TRAIT, "pair", CLOSENESS_FAMILY, float(parts.close[0])),
        (MEASURED_TRAIT, "pair", LEVEL_FAMILY, prediction.gain - expected.gain),
    ):
        if abs(shap) > 1e-9:
            value = {EVIDENCE_TRAIT: float(len(witnesses)), CLOSENESS_TRAIT: deviations}.get(trait, shap)
            found.append(Contribution(trait, side, family, value, shap))
    # XGBoost computes in float32; the rounding error goes to the base value with the shift to the median, so that the
    # sum is exact.
    base = prediction.gain - sum(c.shap for c in found)
    ordered = sorted(found, key=lambda c: (-abs(c.shap), c.side, c.trait))
    return Explanation(
        prediction,
        base,
        tuple(ordered),
        _sum_spread(over_folds, [f.family for f in features]),
        _sum_spread(over_folds, [f.side for f in features]),
        predictor.matrix.base,
        predictor.outcome,
        _evidence(predictor, prediction, float(parts.evidence[0] - parts.close[0]), witnesses, parents),
    )


def _evidence(
    predictor: Predictor,
    pair: Prediction,
    evidence: float,
    witnesses: Sequence[tuple[str, float, float]],
    parents: Mapping[str, float],
) -> Evidence:
    """What was measured of the source, and the sentence about it.

    parents: the datasets whose evidence it takes, with their shares.
    """
    source, of, regime = pair.source, predictor.outcome, predictor.regime(pair.source)
    if parents:
        of_them = " and ".join(f"{share:.0%} {parent}" for parent, share in parents.items())
        sentence = f"{source} is a mixture of {of_them}, whose evidence it takes: {evidence:+.1f} {of.unit}"
    elif predictor.abstains or predictor.verdicts[regime].abstains:
        sentence = f"no signal in {predictor.matrix.matrix}, whose order of sources is not clear of chance"
    elif not witnesses:
        sentence = f"{source} was never measured; by sources like it: {evidence:+.1f} {of.unit}"
    else:
        alike = " and ".join(name for name, _, _ in witnesses[:_SENTENCE_TRAITS])
        sentence = (
            f"{source} was measured on {count(len(witnesses), 'other target')}; weighted towards those most like "
            f"{pair.target} ({alike}), it gained {abs(evidence):.1f} {of.unit} "
            f"{'more' if evidence >= 0 else 'less'} than an average source"
        )
    return Evidence(sentence, tuple(witnesses))


def _over_folds(predictor: Predictor, regime: str, table: np.ndarray) -> np.ndarray:
    """Shap of the pair in every fold's model, (folds, features), in spreads of the target."""
    folds = predictor.folds.get(regime, ())
    rows = [trees.contributions(trees.from_json(document), table)[0][0] for document in folds]
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

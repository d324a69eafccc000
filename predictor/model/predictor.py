"""The predictor: from two profiles to a gain in pp, an interval, a chance of harm and a novelty flag.

Owns fitting and predicting. A pair that was measured is answered by its measurement, a new one by the gain model.
Refuses profiles with other traits than it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.model import novelty, trees
from traitcast.predictor.model.features import FeatureSettings, PairSpace, ProfileSet
from traitcast.predictor.model.fitting import PROTOCOLS, about, fit_gated, harm_known
from traitcast.predictor.model.gain_model import KNOWN, NEW, Asked, GainModel, target_weights
from traitcast.predictor.model.gate import Verdict
from traitcast.predictor.model.intervals import Residuals
from traitcast.predictor.model.likeness import KINDS, LikenessScale
from traitcast.predictor.model.novelty import Seen
from traitcast.predictor.model.observations import Observations, group_datasets
from traitcast.predictor.model.outcomes import GAIN, Outcome, axis_words, outcome_of
from traitcast.predictor.model.pair_data import pair_data
from traitcast.predictor.model.prediction import (
    LIKE,
    MEASURED,
    MIXED,
    OTHERS,
    Measurement,
    Parts,
    Prediction,
    Ranking,
    measurements,
)
from traitcast.predictor.model.trees import TreeSettings
from traitcast.warehouse.console import command
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Matrix

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, slots=True)
class Settings:
    """All choices of a fit: which features, which trees."""

    features: FeatureSettings = field(default_factory=FeatureSettings)
    trees: TreeSettings = field(default_factory=TreeSettings)


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted predictor; made by `fit`, or by `bundle.from_json`.

    Attributes
    ----------
    matrix, model
        What it was fitted to; model None for all models pooled.
    names, like
        The n datasets of the matrix, and their likeness to each other, (kinds, n, n).
    space, scale, gains
        Pair features, the scale of likeness, and the gain model.
    verdicts
        Regime -> what the gate found.
    measurements
        Source -> target -> what was measured, mean over models.
    residuals
        Regime -> held-out errors over their scale, from which intervals and the chance of harm follow.
    flat
        Regime -> scale of all its errors, pp; None if they follow the scale of the gain model.
    seen_sources, seen_targets
        Profiles of the training datasets in each role.
    about
        Counts, settings and versions for the record.
    folds
        Regime -> trees, as XGBoost's own JSON, that were each fitted without some of the datasets and with another
        seed: they show how stable an explanation is.
    shifts
        Target -> what measurements of other matrices move its level by, pp; see `with_cells`.
    """

    matrix: Matrix
    model: str | None
    names: tuple[str, ...]
    like: np.ndarray
    space: PairSpace
    scale: LikenessScale
    gains: GainModel
    verdicts: dict[str, Verdict]
    measurements: dict[str, dict[str, Measurement]]
    residuals: dict[str, Residuals]
    flat: dict[str, float | None]
    seen_sources: Seen
    seen_targets: Seen
    about: dict[str, Any]
    folds: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    shifts: dict[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, dict[str, float]]:
        """Source -> target -> measured gain, pp."""
        return {s: {t: m.gain for t, m in by.items()} for s, by in self.measurements.items()}

    @property
    def levels(self) -> dict[str, float]:
        """Measured target -> its mean gain, pp, mean over models."""
        level = self.gains.gains.level
        return {
            name: float(np.nanmean(level[:, i])) for i, name in enumerate(self.names) if not np.isnan(level[:, i]).all()
        }

    @property
    def half_width(self) -> float:
        """Half the width of a typical 90 % interval of a measured source, pp."""
        return float(self.about["half_width"])

    @property
    def abstains(self) -> bool:
        """Whether the measured sources have no order that is better than chance."""
        return self.verdicts[KNOWN].abstains

    @property
    def outcome(self) -> Outcome:
        """What it predicts."""
        return outcome_of(self.about.get("outcome", GAIN.name), self.about.get("metric"))

    @property
    def tier(self) -> str:
        """Which traits it was fitted with: "static", or "probe" for those of a base model too."""
        return str(self.about["settings"]["features"]["tier"])

    @property
    def words(self) -> str:
        """What its numbers are, short enough for an axis."""
        return axis_words(self.outcome, self.matrix.base)

    def booster(self, regime: str = KNOWN) -> xgboost.Booster | None:
        """The trees of the correction; None where the gate found no use for any."""
        return None if self._silent(regime) else self.gains.layers[regime].booster

    def regime(self, source: str) -> str:
        """Whether a source was measured on any target of the matrix."""
        return KNOWN if source in self.seen_sources.names else NEW

    def table(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Pair features of (sources[i], targets[i]), (pairs, features)."""
        return self.space.table(profiles, sources, targets)

    def predict(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> list[Prediction]:
        """Predictions for the pairs (sources[i], targets[i]), measured ones answered by their measurement.

        Raises NotProfiledError for an unknown dataset, and UserError if the warehouse has other traits.
        """
        return [self._measured(prediction) for prediction in self.expect(profiles, sources, targets)]

    def expect(
        self,
        profiles: ProfileSet,
        sources: Sequence[str],
        targets: Sequence[str],
        known_as: Mapping[str, str] | None = None,
    ) -> list[Prediction]:
        """The same without looking up measurements of the pairs themselves.

        known_as: dataset -> the dataset of the matrix whose measured gains are its own, if its profile was changed.
        """
        return self._expected(profiles, sources, targets, self.parts(profiles, sources, targets, known_as))

    def _expected(
        self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str], parts: Parts
    ) -> list[Prediction]:
        mean = parts.level + parts.evidence + parts.correction
        width, centre, harm = (np.zeros(len(mean)) for _ in range(3))
        for regime, mine in ((KNOWN, parts.known), (NEW, ~parts.known)):
            if mine.any():
                residuals = self.residuals[self._judged(regime)]
                width[mine] = residuals.half_width() * parts.scale[mine]
                # The model gives a mean; where errors are skewed that is not what is as likely exceeded as not.
                centre[mine] = residuals.centre * parts.scale[mine]
                harm[mine] = residuals.harm(mean[mine] / parts.scale[mine])
        if not self.about.get("harm_known", True):
            harm[:] = np.nan
        far, novel = self._far(profiles, sources, targets)
        gain, width = mean + centre, width * far
        floor = -np.inf if self.outcome.floor is None else self.outcome.floor
        gain, low, high = (np.maximum(values, floor) for values in (gain, gain - width, gain + width))
        resting = np.where(parts.mixed, MIXED, np.where(parts.known, OTHERS, LIKE)).tolist()
        return [
            Prediction(
                s,
                t,
                float(g),
                float(a),
                float(b),
                float(h),
                bool(n),
                self.source_mean(s, t),
                None,
                basis,
                claimed=not self._silent(NEW if basis == LIKE else KNOWN),
                unit=self.outcome.unit,
            )
            for s, t, g, a, b, h, n, basis in zip(sources, targets, gain, low, high, harm, novel, resting, strict=True)
        ]

    def parts(
        self,
        profiles: ProfileSet,
        sources: Sequence[str],
        targets: Sequence[str],
        known_as: Mapping[str, str] | None = None,
    ) -> Parts:
        """What the predictions of (sources[i], targets[i]) are made of. Arguments as in `expect`."""
        s, of_source = np.unique(np.array(sources, dtype=object).astype(str), return_inverse=True)
        t, of_target = np.unique(np.array(targets, dtype=object).astype(str), return_inverse=True)
        asked, model = self.asked(profiles, s.tolist(), t.tolist(), known_as), self.gains
        level, spread, _ = model.levels(asked)
        known = model.known(asked)[of_source]
        blended, mixed, known = self._blended(profiles, sources, targets, known, known_as or {})
        closed, correction = model.closed(asked)[:, of_source, of_target], np.zeros(len(sources))
        close = model.close(asked)[of_source, of_target]
        closeness = close.copy()
        if any(layer.booster is not None for layer in model.layers.values()):
            correction = model.trees(self.table(profiles, sources, targets), known)
        order = closed.mean(axis=0) + correction
        for regime, mine in ((KNOWN, known), (NEW, ~known)):
            if self._silent(regime):
                closed[:, mine], correction[mine], close[mine] = 0.0, 0.0, 0.0
        level, spread = level[:, of_target], spread[:, of_target]
        level = level + np.array([self.shifts.get(name, 0.0) for name in targets])
        scale = model.scale(asked).mean(axis=0)[of_source, of_target]
        for regime, mine in ((KNOWN, known), (NEW, ~known)):
            if (flat := self.flat[self._judged(regime)]) is not None:
                scale[mine] = flat
        return Parts(
            level=level.mean(axis=0),
            base=float(model.level.mean.mean()),
            spread=spread.mean(axis=0),
            evidence=np.where(mixed, blended[0], (spread * closed).mean(axis=0)),
            close=np.where(mixed, blended[1], spread.mean(axis=0) * close),
            order=np.where(mixed, blended[2], order),
            closeness=np.where(mixed, blended[3], closeness),
            correction=spread.mean(axis=0) * correction,
            scale=scale,
            known=known,
            mixed=mixed,
        )

    def _blended(
        self,
        profiles: ProfileSet,
        sources: Sequence[str],
        targets: Sequence[str],
        known: np.ndarray,
        known_as: Mapping[str, str],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted evidence, close, order and closeness of the parents of unmeasured mixtures, (4, pairs), which pairs
        take them, and `known` with them.

        On a target that a parent was measured on, its evidence is its gain there.
        """
        here, plain = set(profiles.traits.names), replace(profiles, mixtures={})
        blended, mixed, known = np.zeros((4, len(sources))), np.zeros(len(sources), dtype=bool), known.copy()
        for k, (source, target) in enumerate(zip(sources, targets, strict=True)):
            parents = profiles.mixtures.get(source, {})
            if not parents or not here.issuperset(parents) or source in known_as or known[k]:
                continue
            names, to = list(parents), [target] * len(parents)
            own, expected = self.parts(plain, names, to), self.expect(plain, names, to)
            surprise = [self._measured(p).gain - p.gain for p in expected]
            shares = np.array(list(parents.values()))
            blended[:, k] = np.array([own.evidence + surprise, own.close, own.order, own.closeness]) @ shares
            mixed[k], known[k] = True, own.known.all()
        return blended, mixed, known

    def with_cells(self, profiles: ProfileSet, target: str, cells: Mapping[str, Measurement]) -> Predictor:
        """The predictor with measurements of a target that it was not fitted to, which then answer and set its level.

        cells: source -> measurement, on the scale of the gains it was fitted to.
        """
        new = {s: m for s, m in cells.items() if s != target and target not in self.measurements.get(s, {})}
        if not new:
            return self
        expected = self.expect(profiles, list(new), [target] * len(new))
        errors = [m.gain - p.gain for m, p in zip(new.values(), expected, strict=True)]
        # One run says little of a level: it is averaged with the expected one.
        shift = sum(errors) / (len(errors) + 1)
        merged = {s: dict(by) for s, by in self.measurements.items()}
        for source, found in new.items():
            merged.setdefault(source, {})[target] = found
        return replace(self, measurements=merged, shifts=self.shifts | {target: shift})

    def _judged(self, regime: str) -> str:
        """The regime whose held-out errors count: that of measured sources where no other could be held out."""
        return regime if regime in self.residuals else KNOWN

    def _silent(self, regime: str) -> bool:
        """Whether the gate abstains there, or altogether: a prediction is then the level of its target."""
        return self.abstains or self.verdicts[regime].abstains

    def asked(
        self,
        profiles: ProfileSet,
        sources: Sequence[str],
        targets: Sequence[str],
        known_as: Mapping[str, str] | None = None,
    ) -> Asked:
        """Sources and targets as the gain model sees them. known_as: as in `expect`."""
        position = {name: i for i, name in enumerate(self.names)}
        alias = known_as or {}
        places = [
            np.array([position.get(alias.get(n, n), -1) for n in names], dtype=np.int64) for names in (sources, targets)
        ]
        to_matrix = self._likeness(profiles, targets)
        pairs = self.scale.of(profiles, targets, sources)
        own, close = self.scale.deviations(pairs), self.scale.closeness(pairs, to_matrix, places[1])
        return Asked(self._likeness(profiles, sources), to_matrix, own, close, *places)

    def _likeness(self, profiles: ProfileSet, names: Sequence[str]) -> np.ndarray:
        """Likeness to the datasets of the matrix, (kinds, names, n); average to one that is no longer profiled."""
        profiles.rows_of(names)
        position = {name: i for i, name in enumerate(self.names)}
        found = np.zeros((len(KINDS), len(names), len(self.names)))
        here = set(profiles.traits.names)
        new = [k for k, name in enumerate(names) if name not in position]
        for k, name in enumerate(names):
            if name in position:
                found[:, k] = self.like[:, position[name]]
        still = [i for i, name in enumerate(self.names) if name in here]
        if new and still:
            computed = self.scale.of(profiles, [names[k] for k in new], [self.names[i] for i in still])
            found[np.ix_(range(len(KINDS)), new, still)] = computed
        return found

    def _far(
        self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """By how much intervals widen because a dataset is unlike those seen in its role, and whether it is."""
        widest = np.ones(len(sources))
        for seen, names in ((self.seen_sources, sources), (self.seen_targets, targets)):
            unique, at = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
            widest = np.maximum(widest, seen.far(self.space.standardised(profiles, unique.tolist()))[at])
        return np.sqrt(widest), widest > 1.0

    def _measured(self, prediction: Prediction) -> Prediction:
        """The prediction, replaced by the measurement of the pair if there is one."""
        found = self.measurements.get(prediction.source, {}).get(prediction.target)
        return prediction if found is None else prediction.answered(found)

    def rank(self, profiles: ProfileSet, target: str, sources: Sequence[str]) -> Ranking:
        """Predictions of `sources` for one target, the highest gain first.

        Predictions that cannot be told apart share a band, numbered from 1. Without a signal predicted gains say
        nothing: unmeasured pairs come after the measured ones, in the order that the model keeps all the same, and up
        to three are marked that are to be tried first.
        """
        predictions, parts = self._sorted(profiles, sources, [target] * len(sources))
        ordered = self._marked(predictions, parts) if self.verdicts[KNOWN].complement else predictions
        return Ranking(self._banded(ordered, float(parts.spread[0])))

    def _marked(self, ordered: Sequence[Prediction], parts: Parts) -> list[Prediction]:
        """Predictions for one target with marks on those to try first, if not all are."""
        place = {name: i for i, name in enumerate(self.names)}
        rest = np.array([i for i, p in enumerate(ordered) if p.basis != MEASURED], dtype=np.int64)
        source = np.array([place.get(ordered[i].source, -1) for i in rest], dtype=np.int64)
        top = self.gains.to_try(parts.order[rest], source, parts.closeness[rest])
        marks = {int(rest[at]): k for k, at in enumerate(top, start=1)} if 1 < len(top) < len(rest) else {}
        return [replace(p, choice=marks.get(i)) for i, p in enumerate(ordered)]

    def ranked(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> list[Prediction]:
        """Predictions for the pairs (sources[i], targets[i]) in the order of `rank`."""
        return self._sorted(profiles, sources, targets)[0]

    def _sorted(
        self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]
    ) -> tuple[list[Prediction], Parts]:
        parts = self.parts(profiles, sources, targets)
        predictions = [self._measured(p) for p in self._expected(profiles, sources, targets, parts)]

        def key(i: int) -> tuple[float, float, str]:
            p = predictions[i]
            gain = p.gain if p.basis == MEASURED or not self.abstains else -np.inf
            return (-round(gain, 9), -round(float(parts.order[i]), 9), p.source)

        at = sorted(range(len(predictions)), key=key)
        return [predictions[i] for i in at], parts.take(at)

    def _banded(self, ordered: Sequence[Prediction], spread: float) -> list[Prediction]:
        """Predictions, best first, with their bands: a band ends where its first one is told apart from the next."""
        found, band, first = [], 0, (np.inf, np.inf)
        for p in ordered:
            if p.basis == MEASURED:
                found.append(p)
                continue
            regime = NEW if p.basis == LIKE else KNOWN
            resolution = None if self._silent(regime) else self.verdicts[regime].resolution
            least = np.inf if resolution is None else resolution * spread
            if band == 0 or first[0] - p.gain >= max(first[1], least):
                band, first = band + 1, (p.gain, least)
            found.append(p.in_band(band))
        return found

    def witnesses(self, profiles: ProfileSet, source: str, target: str) -> list[tuple[str, float, float]]:
        """Measured targets of a source with their share of the weight (summing to 1) and gain in pp, heaviest first."""
        asked = self.asked(profiles, [source], [target])
        gains = self.measurements.get(source, {})
        weight = target_weights(self.gains.gains, asked, asked.target[:, None] == np.arange(len(self.names)))[0]
        weight = weight * np.nanmean(self.gains.gains.reliability, axis=0)
        mine = {name: weight[i] for i, name in enumerate(self.names) if name in gains and name != target}
        total = sum(mine.values()) or 1.0
        return sorted(((n, w / total, gains[n].gain) for n, w in mine.items()), key=lambda row: -row[1])

    def learnt(self, observations: Observations) -> bool:
        """Whether these are the gains it was fitted on."""
        return {s: {t: m.gain for t, m in by.items()} for s, by in measurements(observations).items()} == self.measured

    def source_mean(self, source: str, target: str) -> float | None:
        """Mean measured gain of `source` over the targets other than `target`, pp; None when there is none."""
        gains = [m.gain for other, m in self.measurements.get(source, {}).items() if other != target]
        return float(np.mean(gains)) if gains else None


def fit(
    observations: Observations,
    profiles: ProfileSet,
    *,
    settings: Settings | None = None,
    model: str | None = None,
    shared: Sequence[tuple[str, str]] = (),
    catalogue: int | None = None,
    probes: Mapping[str, Any] | None = None,
    outcome: Outcome = GAIN,
) -> Predictor:
    """Fit a predictor to the observed gains of a matrix.

    Intervals come from errors on targets (and for sources that were never measured, on sources too) that were held out.

    Parameters
    ----------
    observations
        Measured gains, matched with profiles.
    profiles
        The profiles.
    settings
        Features and trees; None for the defaults.
    model
        The language model that the observations were restricted to; None for all models pooled.
    shared
        Further pairs of datasets that share text (see `group_datasets`).
    catalogue
        Version of the trait catalogue behind the profiles, stored to refuse later profiles of another version.
    probes
        The base model whose probes are among the traits, stored likewise (see `predictor.model.probes`).
    outcome
        What was observed.

    Raises
    ------
    UserError
        As `fit_space` does, and for too few datasets to hold one out.
    """
    settings = settings or Settings()
    data = pair_data(observations, profiles, settings.features)
    grouping = group_datasets(observations, profiles, shared)
    fitted = fit_gated(data, np.arange(len(observations)), grouping.group, PROTOCOLS, settings.trees)
    if KNOWN not in fitted.held_out:
        raise UserError(
            f"matrix {observations.matrix.matrix!r} has too few datasets to hold one out and learn from the rest, "
            f"so no interval can be given. Import a larger one with: {command('scores', 'import', 'FILE')}"
        )
    known = outcome.name == GAIN.name and harm_known(data, grouping.group, fitted, settings.trees)
    # Left out for the defaults, so that fingerprints of earlier predictors stay valid.
    given = {"probes": probes and dict(probes), "metric": outcome.metric}
    given |= {"outcome": None if outcome.name == GAIN.name else outcome.name}
    kept = {key: value for key, value in given.items() if value is not None}
    target_names = [observations.names[i] for i in sorted(set(observations.target.tolist()))]
    source_names = [observations.names[i] for i in sorted(set(observations.source.tolist()))]
    return Predictor(
        matrix=observations.matrix,
        model=model,
        names=observations.names,
        like=np.round(data.asked.of_target, 6),
        space=data.space,
        scale=data.scale,
        gains=fitted.model,
        verdicts=fitted.verdicts,
        measurements=measurements(observations),
        residuals={regime: fitted.residuals(data, regime).compressed() for regime in fitted.held_out},
        flat=fitted.flat,
        seen_sources=novelty.remember(source_names, data.space.standardised(profiles, source_names)),
        seen_targets=novelty.remember(target_names, data.space.standardised(profiles, target_names)),
        about=about(data, grouping, asdict(settings), fitted, model, catalogue, kept, harm_known=known),
        folds={regime: tuple(map(trees.to_json, boosters)) for regime, boosters in fitted.folds.items()},
    )

"""The predictor: from two profiles to a gain in pp, an interval, a chance of harm and a novelty flag.

Owns fitting, predicting, and the JSON bundle in which a predictor is stored. Refuses profiles with other traits than it
was fitted on, and never reads or writes a pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.model import intervals, novelty, trees
from traitcast.predictor.model.features import Feature, FeatureSettings, PairSpace, ProfileSet
from traitcast.predictor.model.gain_model import GainModel, fit_gains
from traitcast.predictor.model.intervals import Residuals
from traitcast.predictor.model.novelty import Seen
from traitcast.predictor.model.observations import MAX_FOLDS, Grouping, Observations, Split, group_datasets, splits
from traitcast.predictor.model.outcomes import GAIN, Outcome, axis_words, outcome_of
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.predictor.model.trees import Size, TreeSettings
from traitcast.warehouse.console import command, html_table
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Matrix, PredictorRecord, TraitDefinition

if TYPE_CHECKING:
    import xgboost

SCHEMA = 1
_KIND = "traitcast-predictor"


@dataclass(frozen=True, slots=True)
class Settings:
    """All choices of a fit: which features, which trees."""

    features: FeatureSettings = field(default_factory=FeatureSettings)
    trees: TreeSettings = field(default_factory=TreeSettings)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What tuning on `source` is predicted to do to `target`.

    Attributes
    ----------
    source, target
        The two datasets.
    gain, low, high
        Median and 90 % interval for pairs of unseen datasets: the gain in pp, or another outcome in its unit (see
        `predictor.model.outcomes`).
    harm
        Chance that the gain is negative; below .5 if and only if the gain is positive (up to ties). NaN for another
        outcome.
    novel
        Whether one of the datasets is unlike those seen in its role.
    source_mean
        Mean measured gain of the source over the other targets of the matrix; None if it was no source there.
    """

    source: str
    target: str
    gain: float
    low: float
    high: float
    harm: float
    novel: bool
    source_mean: float | None

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `predict` and `rank`, to six decimals: float32 has no more."""
        row = {name: getattr(self, name) for name in _PREDICTION_FIELDS}
        return {name: _rounded(value) for name, value in row.items()}

    def _repr_html_(self) -> str:
        return html_table([self.as_row()])


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return round(value, 6) if isfinite(value) else None


_PREDICTION_FIELDS = tuple(f.name for f in fields(Prediction))


class Ranking(list[Prediction]):
    """Predictions for one target, best first: a list that shows itself as a table in a notebook."""

    def top(self, n: int) -> Ranking:
        """The `n` best."""
        return Ranking(self[:n])

    def _repr_html_(self) -> str:
        return html_table([prediction.as_row() for prediction in self])


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted predictor; made by `fit`, or by `from_json` from the output of `to_json`.

    Attributes
    ----------
    matrix, model
        What it was fitted to; model None for all models pooled.
    space, booster, levels
        Pair features, trees, and measured target -> level, pp above the mean.
    measured
        Source -> target -> measured gain, pp, mean over models.
    residuals
        Out-of-fold errors, from which intervals and the chance of harm follow.
    seen_sources, seen_targets
        Profiles of the training datasets in each role.
    about
        Counts, settings and versions for the record.
    folds
        Trees, as XGBoost's own JSON, of models that were each fitted without some of the datasets and with another
        seed: they show how stable an explanation is.
    """

    matrix: Matrix
    model: str | None
    space: PairSpace
    booster: xgboost.Booster
    levels: dict[str, float]
    measured: dict[str, dict[str, float]]
    residuals: Residuals
    seen_sources: Seen
    seen_targets: Seen
    about: dict[str, Any]
    folds: tuple[dict[str, Any], ...] = ()

    @property
    def half_width(self) -> float:
        """Half the width of the 90 % interval, pp."""
        return self.residuals.half_width()

    @property
    def outcome(self) -> Outcome:
        """What it predicts."""
        return outcome_of(self.about.get("outcome", GAIN.name))

    @property
    def tier(self) -> str:
        """Which traits it was fitted with: "static", or "probe" for those of a base model too."""
        return str(self.about["settings"]["features"]["tier"])

    @property
    def words(self) -> str:
        """What its numbers are, short enough for an axis."""
        return axis_words(self.outcome, self.matrix.base)

    def table(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Pair features of (sources[i], targets[i]), (pairs, features)."""
        return self.space.table(profiles, sources, targets)

    def predict(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> list[Prediction]:
        """Predictions for the pairs (sources[i], targets[i]).

        Raises
        ------
        NotProfiledError
            For an unknown dataset.
        UserError
            If the warehouse lacks a trait that the predictor uses.
        """
        levels = np.array([self.levels.get(target, 0.0) for target in targets])
        mean = trees.predict(self.booster, self.table(profiles, sources, targets)) + levels
        harm = self.residuals.harm(mean) if self.outcome.harmful else np.full(len(mean), np.nan)
        # Trees predict a mean; where errors are skewed, the median is elsewhere.
        gain = mean + self.residuals.centre
        floor = -np.inf if self.outcome.floor is None else self.outcome.floor
        novel = self._novel(self.seen_sources, profiles, sources) | self._novel(self.seen_targets, profiles, targets)
        half = self.half_width
        gain, low, high = (np.maximum(values, floor) for values in (gain, gain - half, gain + half))
        return [
            Prediction(s, t, float(g), float(a), float(b), float(h), bool(n), self.source_mean(s, t))
            for s, t, g, a, b, h, n in zip(sources, targets, gain, low, high, harm, novel, strict=True)
        ]

    def rank(self, profiles: ProfileSet, target: str, sources: Sequence[str]) -> Ranking:
        """Predictions of `sources` for one target, the highest gain first, ties by name."""
        predictions = self.predict(profiles, sources, [target] * len(sources))
        return Ranking(sorted(predictions, key=lambda p: (-p.gain, p.source)))

    def learnt(self, observations: Observations) -> bool:
        """Whether it was fitted to these gains."""
        return _measured(observations) == self.measured

    def source_mean(self, source: str, target: str) -> float | None:
        """Mean measured gain of `source` over the targets other than `target`, pp; None when there is none."""
        gains = [gain for other, gain in self.measured.get(source, {}).items() if other != target]
        return float(np.mean(gains)) if gains else None

    def _novel(self, seen: Seen, profiles: ProfileSet, names: Sequence[str]) -> np.ndarray:
        unique = sorted(set(names))
        flags = dict(zip(unique, seen.novel(self.space.standardised(profiles, unique)), strict=True))
        return np.array([flags[name] for name in names], dtype=bool)

    def to_record(self, name: str = "default") -> PredictorRecord:
        """The record that the warehouse keeps."""
        return PredictorRecord(
            name=name,
            matrix=self.matrix.matrix,
            model=self.model,
            tier=self.tier,
            fingerprint=self.about["fingerprint"],
            bundle=self.to_json(),
        )

    def to_json(self) -> str:
        """One JSON document with everything a prediction needs."""
        space = self.space
        document = {
            "kind": _KIND,
            "schema": SCHEMA,
            "matrix": asdict(self.matrix),
            "model": self.model,
            "about": self.about,
            "traits": [asdict(d) for d in space.definitions],
            "centres": _numbers(space.centres),
            "scales": _numbers(space.scales),
            "word_weights": {part: _numbers(w) for part, w in space.word_weights.items()},
            "dropped": dict(space.dropped),
            "features": [asdict(f) for f in space.features],
            "fills": _numbers(space.fills),
            "levels": self.levels,
            "measured": self.measured,
            "residuals": {
                "values": _numbers(self.residuals.values),
                "share": _numbers(self.residuals.share),
                "n": self.residuals.n,
            },
            "seen": {
                role: {"names": list(seen.names), "profiles": _numbers(seen.profiles), "limit": seen.limit}
                for role, seen in (("sources", self.seen_sources), ("targets", self.seen_targets))
            },
            "booster": trees.to_json(self.booster),
            "folds": list(self.folds),
        }
        return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False)


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

    Intervals come from out-of-fold errors for pairs of datasets that were both unseen.

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
        As `fit_space` does, and for too few datasets to hold two out.
    """
    settings = settings or Settings()
    data = pair_data(observations, profiles, settings.features)
    grouping = group_datasets(observations, profiles, shared)
    every = np.arange(len(observations))
    gains = fit_gains(data, every, grouping, "new-pair", settings.trees)
    errors, folds = _unseen_pair_errors(data, grouping, settings.trees, gains.size)
    known = ~np.isnan(errors)
    # Left out for the defaults, so that fingerprints of earlier predictors stay valid.
    kept = ({} if probes is None else {"probes": dict(probes)}) | ({} if outcome == GAIN else {"outcome": outcome.name})
    target_names = [observations.names[i] for i in sorted(set(observations.target.tolist()))]
    source_names = [observations.names[i] for i in sorted(set(observations.source.tolist()))]
    return Predictor(
        matrix=observations.matrix,
        model=model,
        space=data.space,
        booster=gains.booster,
        levels={name: float(gains.levels[observations.names.index(name)]) for name in target_names},
        measured=_measured(observations),
        residuals=intervals.residuals(errors[known], observations.target[known]).compressed(),
        seen_sources=novelty.remember(source_names, data.space.standardised(profiles, source_names)),
        seen_targets=novelty.remember(target_names, data.space.standardised(profiles, target_names)),
        about=_about(data, grouping, settings, gains.size, errors, model, catalogue, kept),
        folds=folds,
    )


def _unseen_pair_errors(
    data: Data, grouping: Grouping, settings: TreeSettings, size: Size
) -> tuple[np.ndarray, tuple[dict[str, Any], ...]]:
    """Errors of models that saw neither dataset, and the trees of those that saw the most.

    Errors: gain - prediction, pp, (rows,); NaN where no fold could be fitted. Each fold has a seed of its own.
    """
    observations = data.observations
    made = splits(observations, "new-pair", grouping.group, folds=MAX_FOLDS["new-pair"], seed=settings.seed)
    seeded = [replace(settings, seed=settings.seed + i) for i in range(len(made))]

    def fitted(split: Split, settings: TreeSettings) -> GainModel:
        return fit_gains(data, split.train, grouping, "new-pair", settings, size)

    errors = np.full(len(observations), np.nan)
    models = list(trees.in_threads(fitted, made, seeded))
    for split, gains in zip(made, models, strict=True):
        predicted = gains.predict(data.table[split.test], observations.target[split.test])
        errors[split.test] = observations.gain[split.test] - predicted
    if np.isnan(errors).all():
        raise UserError(
            f"matrix {observations.matrix.matrix!r} has too few datasets to hold two out and learn from the others, "
            f"so there would be no intervals. Import a larger matrix with: {command('scores', 'import', 'FILE')}"
        )
    # A split of one fold with itself leaves out that fold alone; those of two folds leave out twice as much.
    largest = sorted(range(len(made)), key=lambda i: -made[i].train.size)[: MAX_FOLDS["new-pair"]]
    return errors, tuple(trees.to_json(models[i].booster) for i in sorted(largest))


def _measured(observations: Observations) -> dict[str, dict[str, float]]:
    """source -> target -> measured gain, pp, mean over models."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for s, t, gain in zip(observations.source_names, observations.target_names, observations.gain, strict=True):
        gathered.setdefault(s, {}).setdefault(t, []).append(float(gain))
    return {s: {t: round(float(np.mean(g)), 6) for t, g in targets.items()} for s, targets in gathered.items()}


def _about(
    data: Data,
    grouping: Grouping,
    settings: Settings,
    size: Size,
    errors: np.ndarray,
    model: str | None,
    catalogue: int | None,
    kept: Mapping[str, Any],
) -> dict[str, Any]:
    import xgboost

    observations = data.observations
    about: dict[str, Any] = {
        "cells": len(observations),
        "sources": len(set(observations.source.tolist())),
        "targets": len(set(observations.target.tolist())),
        "models": list(observations.models),
        "groups": grouping.by,
        "settings": json.loads(json.dumps(asdict(settings))),
        "size": asdict(size),
        "out_of_fold_rmse": float(np.sqrt(np.nanmean(errors**2))),
        "versions": {"bundle": SCHEMA, "catalogue": catalogue, "xgboost": xgboost.__version__},
    }
    about |= kept
    digest = hashlib.blake2b(digest_size=16)
    cells = [observations.source_names, observations.target_names, observations.model.tolist()]
    identity = [about, asdict(observations.matrix), model, cells, [f.name for f in data.space.features]]
    digest.update(json.dumps(identity, sort_keys=True, ensure_ascii=False).encode())
    digest.update(np.ascontiguousarray(observations.gain).tobytes())
    digest.update(np.ascontiguousarray(data.table).tobytes())
    return about | {"fingerprint": f"v1:{digest.hexdigest()}"}


def from_json(text: str) -> Predictor:
    """Load a predictor from its bundle.

    Raises
    ------
    UserError
        For anything that is not a bundle of this schema.
    """
    document = _parsed(text)
    space = PairSpace(
        features=tuple(Feature(**f) for f in document["features"]),
        definitions=tuple(TraitDefinition(**d) for d in document["traits"]),
        centres=_array(document["centres"]),
        scales=_array(document["scales"]),
        word_weights={part: _array(w) for part, w in document["word_weights"].items()},
        dropped=document["dropped"],
        fills=_array(document["fills"]),
    )
    residuals = document["residuals"]
    seen = {role: Seen(tuple(s["names"]), _array(s["profiles"]), s["limit"]) for role, s in document["seen"].items()}
    return Predictor(
        matrix=Matrix(**document["matrix"]),
        model=document["model"],
        space=space,
        booster=trees.from_json(document["booster"]),
        levels=document["levels"],
        measured=document["measured"],
        residuals=Residuals(_array(residuals["values"]), _array(residuals["share"]), residuals["n"]),
        seen_sources=seen["sources"],
        seen_targets=seen["targets"],
        about=document["about"],
        folds=tuple(document.get("folds", ())),
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"the stored predictor is not JSON ({error}). Fit a new one with: {command('fit')}") from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise UserError(f"the stored document is not a predictor. Fit a new one with: {command('fit')}")
    if document.get("schema") != SCHEMA:
        raise UserError(
            f"the stored predictor has schema {document.get('schema')!r}; this version of traitcast reads schema "
            f"{SCHEMA}. Fit a new one with: {command('fit')}"
        )
    return document


def _numbers(values: np.ndarray) -> list[Any]:
    """Nested lists with None for NaN: JSON has no NaN. Exact, so that a loaded bundle predicts the same."""
    numbers = values.astype(object)
    numbers[np.isnan(values)] = None
    listed: list[Any] = numbers.tolist()
    return listed


def _array(values: list[Any]) -> np.ndarray:
    return np.array(values, dtype=np.float64)

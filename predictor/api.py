"""The service: what a command or the Python API does with an open warehouse.

Owns the way from the warehouse to the library and back. Prints nothing and parses no options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from traitcast.predictor.effects.interventions import Lineage
from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate
from traitcast.predictor.explanation.shap import Explanation, explain
from traitcast.predictor.explanation.whatif import WhatIf, what_if
from traitcast.predictor.model.features import PROBE_FAMILY, FeatureSettings, ProfileSet
from traitcast.predictor.model.observations import PROTOCOLS, Observations, observe
from traitcast.predictor.model.outcomes import GAIN, Outcome
from traitcast.predictor.model.predictor import Prediction, Predictor, Settings, fit, from_json
from traitcast.predictor.model.probes import (
    ProbedBase,
    as_stored,
    base_in,
    base_of,
    refuse_unprobed,
    unprobed,
    with_probes,
)
from traitcast.warehouse.console import command
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse

# Nobody tunes on fewer rows, and a scratch file is not a find.
MIN_ROWS = 100
DEFAULT = "default"


def profiles_of(warehouse: Warehouse) -> ProfileSet:
    """Everything the warehouse knows of its datasets."""
    return ProfileSet(warehouse.trait_matrix(), warehouse.sketches(), warehouse.label_counts())


def profiles_for(warehouse: Warehouse, predictor: Predictor, names: Sequence[str] = ()) -> ProfileSet:
    """What a predictor looks at: the profiles, and the probes of its base if it was fitted with any.

    names: datasets that are asked for. Raises UserError for one that lacks the probes it needs.
    """
    profiles, base = profiles_of(warehouse), base_in(predictor)
    if base is None:
        return profiles
    profiles = with_probes(warehouse, profiles, base)
    refuse_unprobed(predictor, profiles, base, names)
    return profiles


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a predictor learns from: the observed outcome, and the profiles with the probes of a base or without."""

    observations: Observations
    profiles: ProfileSet
    base: ProbedBase | None


def learnt_from(
    warehouse: Warehouse,
    matrix: str | None = None,
    model: str | None = None,
    *,
    tier: str = "static",
    outcome: Outcome = GAIN,
    metric: str | None = None,
) -> Learnt:
    """One outcome of one matrix, matched with profiles. metric: of the gains, None for the headline. Raises as
    `Warehouse.cells`, `observe` and `base_of` do."""
    cells, profiles = warehouse.cells(matrix, model, outcome=outcome.name, metric=metric), profiles_of(warehouse)
    if tier != PROBE_FAMILY:
        return Learnt(observe(cells, profiles), profiles, None)
    base = base_of(warehouse, cells)
    profiles = with_probes(warehouse, profiles, base)
    return Learnt(observe(cells, profiles), profiles, base)


def lineage_of(warehouse: Warehouse) -> list[Lineage]:
    """Datasets that were made from another one by changing a trait."""
    return [Lineage(*row) for row in warehouse.lineage()]


def settings_for(tier: str = "static", seed: int = 0) -> Settings:
    """The default settings with a tier and a seed."""
    default = Settings()
    return Settings(replace(FeatureSettings(), tier=tier), replace(default.trees, seed=seed))


def fit_into(
    warehouse: Warehouse,
    *,
    matrix: str | None = None,
    model: str | None = None,
    tier: str = "static",
    seed: int = 0,
    name: str = DEFAULT,
    outcome: Outcome = GAIN,
) -> tuple[Predictor, Observations]:
    """Fit a predictor to a matrix of the warehouse and store it under `name`."""
    learnt = learnt_from(warehouse, matrix, model, tier=tier, outcome=outcome)
    predictor = fit(
        learnt.observations,
        learnt.profiles,
        settings=settings_for(tier, seed),
        model=model,
        shared=_variants(warehouse),
        catalogue=warehouse.catalogue_version(),
        probes=None if learnt.base is None else as_stored(learnt.base),
        outcome=outcome,
    )
    warehouse.save_predictor(predictor.to_record(name))
    return predictor, learnt.observations


def evaluate_matrix(
    warehouse: Warehouse,
    protocol: str,
    *,
    matrix: str | None = None,
    model: str | None = None,
    tier: str = "static",
    with_baselines: bool = True,
    with_ablations: bool = False,
    seed: int = 0,
    outcome: Outcome = GAIN,
    metric: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Cross-validate on a matrix of the warehouse. metric: of the gains, None for the headline."""
    learnt = learnt_from(warehouse, matrix, model, tier=tier, outcome=outcome, metric=metric)
    return evaluate(
        learnt.observations,
        learnt.profiles,
        protocol,
        settings=settings_for(tier, seed),
        with_baselines=with_baselines,
        with_ablations=with_ablations,
        shared=_variants(warehouse),
        seed=seed,
        on_progress=on_progress,
    )


def predictor_of(warehouse: Warehouse, name: str = DEFAULT) -> Predictor:
    """The stored predictor `name`.

    Raises UserError naming `traitcast fit` when there is none, when it is unreadable, or when its traits were
    measured by another version of the trait catalogue than the profiles are.
    """
    predictor = from_json(warehouse.predictor(name).bundle)
    fitted, now = predictor.about["versions"].get("catalogue"), warehouse.catalogue_version()
    if fitted is not None and now is not None and fitted != now:
        cure = command("fit", *fit_options(predictor, name))
        raise UserError(
            f"predictor {name!r} was fitted on version {fitted} of the trait catalogue, and the profiles are of "
            f"version {now}: the same names, other numbers. Fit it again with: {cure}"
        )
    return predictor


def evaluate_options(predictor: Predictor) -> list[str]:
    """The options by which `evaluate` measures the quality of such a predictor; `fit` takes them too."""
    words = ["--matrix", predictor.matrix.matrix]
    words += ["--model", predictor.model] if predictor.model else []
    words += ["--tier", predictor.tier] if predictor.tier != Settings().features.tier else []
    return words + (["--outcome", predictor.outcome.name] if predictor.outcome != GAIN else [])


def fit_options(predictor: Predictor, name: str) -> list[str]:
    """The options by which `fit` makes a predictor anew under its name."""
    usual = DEFAULT if predictor.outcome == GAIN else predictor.outcome.name
    return evaluate_options(predictor) + ([] if name == usual else ["--name", name])


def predict_pair(warehouse: Warehouse, predictor: Predictor, source: str, target: str) -> Prediction:
    """The prediction for one pair of profiled datasets. Raises NotProfiledError, or UserError for twice the same."""
    _check_different(source, target)
    return predictor.predict(profiles_for(warehouse, predictor, [source, target]), [source], [target])[0]


def measured_gains(
    warehouse: Warehouse, predictor: Predictor, predictions: Sequence[Prediction]
) -> dict[tuple[str, str], list[float]]:
    """(source, target) -> every gain (pp) that was measured of the pair in what the predictor learnt from, by model and
    seed; only pairs that have any, and none for a predictor of something else than gains."""
    if predictor.outcome != GAIN:
        return {}
    asked = {(one.source, one.target) for one in predictions}
    found: dict[tuple[str, str], list[float]] = {}
    for row in warehouse.transfer_matrix(predictor.matrix.matrix):
        if (pair := (row["source"], row["target"])) in asked and predictor.model in (
            None,
            row["model"],
        ):
            found.setdefault(pair, []).extend(row["gains"])
    return found


def known_quality(warehouse: Warehouse, predictor: Predictor) -> dict[str, float] | None:
    """How well a predictor ranks sources for unseen targets: Spearman `value`, `low`, `high` (95 %), out of a stored
    evaluation of what it learnt from; None where none was stored."""
    stored = evaluations_of(warehouse, predictor)
    found = (one["result"]["model"]["spearman"] for one in stored if one["protocol"] == PROTOCOLS[0])
    return next(found, None)


def evaluations_of(warehouse: Warehouse, predictor: Predictor) -> list[dict[str, Any]]:
    """The stored evaluations of what a predictor learnt, as `Warehouse.evaluations` gives them; only gains have any."""
    if predictor.outcome != GAIN:
        return []
    every = warehouse.evaluations(predictor.matrix.matrix)
    return [one for one in every if (one["model"], one["tier"]) == (predictor.model, predictor.tier)]


def rank_sources(
    warehouse: Warehouse, predictor: Predictor, target: str, sources: Sequence[str] | None = None
) -> list[Prediction]:
    """Predictions of `sources` (default: every other of `candidates` with the probes that the predictor needs), best
    first."""
    profiles = profiles_for(warehouse, predictor, [target, *(sources or ())])
    profiles.rows_of([target])
    if sources is None:
        sources = candidates(warehouse, profiles)
        bare = set(unprobed(predictor, profiles, sources))
        sources = [name for name in sources if name not in bare]
    chosen = list(dict.fromkeys(sources))
    others = [source for source in chosen if source != target]
    if not others:
        cure = command("profile", "DATASET")
        raise UserError(f"no source is left to rank for {target!r}. Profile some with: {cure}")
    return predictor.rank(profiles, target, others)


def candidates(warehouse: Warehouse, profiles: ProfileSet) -> list[str]:
    """What may be ranked without being named: datasets of MIN_ROWS rows or more that are no variant of another one,
    which was made to measure with and not to be tuned on."""
    variants, traits = {made.name for made in lineage_of(warehouse)}, profiles.traits
    return [n for n, rows in zip(traits.names, traits.rows, strict=True) if rows >= MIN_ROWS and n not in variants]


def same_rows(warehouse: Warehouse) -> dict[str, list[str]]:
    """Dataset -> the others that hold the same rows under another name, by fingerprint; only those that have any."""
    by: dict[str, list[str]] = {}
    for row in warehouse.datasets():
        by.setdefault(row["fingerprint"], []).append(row["name"])
    groups = [names for names in by.values() if len(names) > 1]
    return {name: [other for other in names if other != name] for names in groups for name in names}


def explain_pair(warehouse: Warehouse, predictor: Predictor, source: str, target: str) -> Explanation:
    """The prediction for one pair, taken apart."""
    _check_different(source, target)
    return explain(predictor, profiles_for(warehouse, predictor, [source, target]), source, target)


def what_if_pair(
    warehouse: Warehouse, predictor: Predictor, source: str, target: str, settings: Mapping[tuple[str, str], float]
) -> WhatIf:
    """The prediction for one pair with traits of either dataset changed. settings: (side, trait) -> value."""
    _check_different(source, target)
    profiles = profiles_for(warehouse, predictor, [source, target])
    return what_if(predictor, profiles, source, target, settings, lineage_of(warehouse))


def save(
    warehouse: Warehouse, predictions: Sequence[Prediction], explanation: Explanation | None = None, *, name: str
) -> None:
    """Store predictions, and the contributions of one, in the tables `predictions` and `attributions`."""
    attributions = []
    if explanation is not None:
        pair = {"source": explanation.prediction.source, "target": explanation.prediction.target}
        attributions = [pair | asdict(contribution) for contribution in explanation.contributions]
    warehouse.save_predictions(name, [prediction.as_row() for prediction in predictions], attributions)


def _variants(warehouse: Warehouse) -> list[tuple[str, str]]:
    """A variant shares its rows with its parent, so the two stay in one fold."""
    return [(made.name, made.parent) for made in lineage_of(warehouse)]


def _check_different(source: str, target: str) -> None:
    if source == target:
        raise UserError(
            f"source and target are both {source!r}; a predictor compares two datasets. "
            f"See what suits it with: {command('rank', target)}"
        )

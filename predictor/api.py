"""What commands, the report and the Python API ask of an open warehouse: fit, evaluate, predict, rank, explain.

Owns the way from a warehouse to the library and back. It prints nothing but warnings, and parses no options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from traitcast.predictor.effects.interventions import Lineage, in_words
from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate
from traitcast.predictor.explanation.shap import Explanation, explain
from traitcast.predictor.explanation.whatif import WhatIf, what_if
from traitcast.predictor.model.bundle import from_json, to_record
from traitcast.predictor.model.features import PROBE_FAMILY, FeatureSettings, ProfileSet
from traitcast.predictor.model.likeness import sharing
from traitcast.predictor.model.observations import PROTOCOLS, Observations, observe
from traitcast.predictor.model.outcomes import GAIN, LABEL_SHIFT, NAMES, Outcome, outcome_of
from traitcast.predictor.model.own_cells import own_cells
from traitcast.predictor.model.prediction import Prediction, Ranking, rest_on_gains
from traitcast.predictor.model.predictor import Predictor, Settings, fit
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
from traitcast.warehouse.database.profiles import warn_outdated
from traitcast.warehouse.database.schema import LESS_IS_BETTER
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError
from traitcast.warehouse.records import PredictorRecord

# Nobody tunes on fewer rows, and a scratch file is no useful suggestion.
MIN_ROWS = 100
DEFAULT = "default"


def profiles_of(warehouse: Warehouse) -> ProfileSet:
    """Everything that the warehouse knows about its datasets."""
    return ProfileSet(warehouse.trait_matrix(), warehouse.sketches(), warehouse.label_counts(), warehouse.mixtures())


def profiles_for(warehouse: Warehouse, predictor: Predictor, names: Sequence[str] = ()) -> ProfileSet:
    """The profiles that a predictor needs, with the probes of its base model if it was fitted with probes.

    Parameters
    ----------
    warehouse
        An open warehouse.
    predictor
        The predictor that will read them.
    names
        Datasets that must have the probes it needs.

    Raises
    ------
    UserError
        If one of `names` lacks these probes.
    """
    profiles, base = profiles_of(warehouse), base_in(predictor)
    if base is None:
        return profiles
    profiles = with_probes(warehouse, profiles, base)
    refuse_unprobed(warehouse, predictor, profiles, base, names)
    return profiles


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a predictor learns from: an observed outcome, and the profiles with or without probes of a base model."""

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
) -> Learnt:
    """One outcome of one matrix, matched with profiles.

    Parameters
    ----------
    warehouse
        An open warehouse.
    matrix, model
        Which cells: None takes the user's only matrix, and all of its models.
    tier
        "static" for the traits of the data, "probe" to add the probes of the base model.
    outcome
        What is predicted.

    Raises
    ------
    ScoresError
        As `Warehouse.cells` and `observe` do.
    UserError
        As `base_of` does.
    """
    cells = warehouse.cells(matrix, model, outcome=outcome.name, metric=outcome.metric)
    profiles = profiles_of(warehouse)
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
    return Settings(FeatureSettings(tier=tier), replace(Settings().trees, seed=seed))


def outcome_in(warehouse: Warehouse, outcome: Outcome, matrix: str | None = None) -> Outcome:
    """The outcome as a matrix has it: the headline metric goes without its name, unless its gains are not in pp."""
    headline = warehouse.choose_matrix(matrix).metric
    if outcome.name != GAIN.name or (outcome.metric or headline) != headline:
        return outcome
    return outcome_of(GAIN.name, headline if headline in LESS_IS_BETTER else None)


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
    """Fit a predictor to a matrix of the warehouse and store it as `name`. Options as in `learnt_from`."""
    learnt = learnt_from(warehouse, matrix, model, tier=tier, outcome=outcome)
    predictor = fit(
        learnt.observations,
        learnt.profiles,
        settings=settings_for(tier, seed),
        model=model,
        shared=_variants(warehouse, learnt.profiles),
        catalogue=warehouse.catalogue_version(),
        probes=None if learnt.base is None else as_stored(learnt.base),
        outcome=outcome,
    )
    warehouse.save_predictor(to_record(predictor, name))
    return predictor, learnt.observations


def evaluate_matrix(
    warehouse: Warehouse,
    protocol: str,
    *,
    matrix: str | None = None,
    model: str | None = None,
    tier: str = "static",
    seed: int = 0,
    outcome: Outcome = GAIN,
    **options: Any,
) -> Evaluation:
    """Cross-validate on a matrix of the warehouse.

    Options as in `learnt_from`; `options` are those of `predictor.evaluation.evaluate.evaluate`.
    """
    learnt = learnt_from(warehouse, matrix, model, tier=tier, outcome=outcome)
    settings, shared = settings_for(tier, seed), _variants(warehouse, learnt.profiles)
    return evaluate(
        learnt.observations, learnt.profiles, protocol, settings=settings, shared=shared, seed=seed, **options
    )


def predictor_of(warehouse: Warehouse, name: str = DEFAULT) -> Predictor:
    """The stored predictor `name`.

    Raises
    ------
    UserError
        If there is none, if it cannot be read, or if the profiles were measured by another version of the trait
        catalogue than it was fitted on; the message names the `traitcast fit` command that helps.
    """
    record = warehouse.predictor(name)
    # One that came with an earlier release is replaced when the file is next opened for writing.
    again = ["--restore"] if name in warehouse.shipped("predictors") else _fit_again(record)
    predictor = from_json(record.bundle, command("fit", *again), name)
    fitted, now = predictor.about["versions"].get("catalogue"), warehouse.catalogue_version()
    if fitted is not None and now is not None and fitted != now:
        cure = command("fit", *fit_options(predictor, name))
        raise UserError(
            f"predictor {name!r} was fitted on version {fitted} of the trait catalogue, but the profiles here are of "
            f"version {now}, which measures traits of the same names in another way. Fit it again with: {cure}"
        )
    return predictor


def _fit_again(record: PredictorRecord) -> list[str]:
    """As `fit_options`, of a stored predictor that this version may not be able to read."""
    words = _learnt_options(record.matrix, record.model, record.tier)
    if record.name in NAMES and record.name != GAIN.name:  # side effects are stored under their names
        return [*words, "--outcome", record.name]
    return words if record.name == DEFAULT else [*words, "--name", record.name]


def _learnt_options(matrix: str, model: str | None, tier: str) -> list[str]:
    words = ["--matrix", matrix, *(["--model", model] if model else [])]
    return words + (["--tier", tier] if tier != Settings().features.tier else [])


def evaluate_options(predictor: Predictor) -> list[str]:
    """The options with which `evaluate` measures the quality of such a predictor; `fit` takes them too."""
    words = _learnt_options(predictor.matrix.matrix, predictor.model, predictor.tier)
    words += ["--metric", predictor.outcome.metric] if predictor.outcome.metric else []
    return words + (["--outcome", predictor.outcome.name] if predictor.outcome.name != GAIN.name else [])


def fit_options(predictor: Predictor, name: str) -> list[str]:
    """The options with which `fit` makes such a predictor again, under the same name."""
    usual = DEFAULT if predictor.outcome.name == GAIN.name else predictor.outcome.name
    return evaluate_options(predictor) + ([] if name == usual else ["--name", name])


def predict_pair(warehouse: Warehouse, predictor: Predictor, source: str, target: str) -> Prediction:
    """The prediction for one pair of profiled datasets.

    Raises
    ------
    NotProfiledError
        For an unknown dataset.
    UserError
        If both are the same dataset, or one lacks the probes that the predictor needs.
    """
    profiles, predictor = _pair(warehouse, predictor, source, target)
    return predictor.predict(profiles, [source], [target])[0]


def _pair(warehouse: Warehouse, predictor: Predictor, source: str, target: str) -> tuple[ProfileSet, Predictor]:
    """The profiles of two datasets, and the predictor with what the user measured on the target."""
    _check_different(source, target)
    profiles = profiles_for(warehouse, predictor, [source, target])
    profiles.rows_of([source, target])
    _check_labelled(predictor, profiles, target)
    if target in profiles.mixtures.get(source, ()):
        raise UserError(
            f"mixture {source!r} holds training rows of {target!r}, and no dataset is predicted on itself. Measure it: "
            f"{command('matrix', 'plan', '--pack', 'm', '--targets', target, source, target)}"
        )
    return profiles, predictor.with_cells(profiles, target, own_cells(warehouse, predictor, target))


def known_quality(
    warehouse: Warehouse, predictor: Predictor, shown: Sequence[Prediction] = ()
) -> dict[str, Any] | None:
    """How well a predictor ranks sources where it knows as little as of some predictions, by a stored evaluation.

    shown: the predictions; without any, or if a source of them was measured, targets are held out.

    Returns
    -------
    dict or None
        "protocol"; Spearman's correlation as "value", "low" and "high" (95 %); "pairs", the share of pairs of sources
        in the right order. None if no such evaluation was stored.
    """
    if rest_on_gains(shown):
        protocol = PROTOCOLS[0]
    else:
        seen = all(p.target in predictor.seen_targets.names for p in shown)
        protocol = "new-source" if seen else "new-pair"
    stored = evaluations_of(warehouse, predictor)
    found = next((one["result"]["model"] for one in stored if one["protocol"] == protocol), None)
    # Where no two sources were told apart, there is no order to correlate with.
    if found is None or found["spearman"]["value"] is None:
        return None
    return {"protocol": protocol, **found["spearman"], "pairs": found["pairwise_accuracy"]["value"]}


def evaluations_of(warehouse: Warehouse, predictor: Predictor) -> list[dict[str, Any]]:
    """Stored evaluations of what a predictor learnt, as `Warehouse.evaluations` returns them."""
    learnt = {"model": predictor.model, "tier": predictor.tier}
    learnt |= {"outcome": predictor.outcome.name, "metric": predictor.outcome.metric}
    return [one for one in warehouse.evaluations(predictor.matrix.matrix) if learnt.items() <= one.items()]


def rank_sources(
    warehouse: Warehouse, predictor: Predictor, target: str, sources: Sequence[str] | None = None
) -> Ranking:
    """Predictions of several sources for one target, the best first.

    Parameters
    ----------
    warehouse
        An open warehouse.
    predictor
        The predictor to ask.
    target
        A profiled dataset.
    sources
        Profiled datasets; None for all `candidates` that have the probes the predictor needs and do not share most of
        their prompts with the target. Warns on stderr of candidates whose profiles were measured with older trait
        definitions.

    Raises
    ------
    NotProfiledError
        For an unknown dataset.
    UserError
        If no source is left, or a named one lacks the probes that the predictor needs.
    """
    profiles = profiles_for(warehouse, predictor, [target, *(sources or ())])
    profiles.rows_of([target])
    _check_labelled(predictor, profiles, target)
    if sources is None:
        warn_outdated(warehouse, [name for name in warehouse.dataset_names() if name != target])
        sources = candidates(warehouse, profiles)
        out = {*unprobed(predictor, profiles, sources), *sharing(profiles, target, sources)}
        sources = [name for name in sources if name not in out and target not in profiles.mixtures.get(name, ())]
    others = [source for source in dict.fromkeys(sources) if source != target]
    if not others:
        cure = command("profile", "DATASET")
        raise UserError(f"no source is left to rank for {target!r}. Profile more datasets with: {cure}")
    return predictor.with_cells(profiles, target, own_cells(warehouse, predictor, target)).rank(
        profiles, target, others
    )


def parts_of(warehouse: Warehouse, target: str, sources: Sequence[str]) -> list[str]:
    """Those of some sources that share most of their prompts with the target, and so teach its own rows."""
    return sharing(profiles_of(warehouse), target, sources)


def impact(warehouse: Warehouse, predictor: Predictor, source: str) -> Ranking:
    """What tuning on one source does to every target that the predictor was fitted to, the most harmed first.

    Raises
    ------
    NotProfiledError
        For an unknown dataset.
    UserError
        If the source lacks the probes that the predictor needs.
    """
    profiles = profiles_for(warehouse, predictor, [source])
    profiles.rows_of([source])
    here = set(profiles.traits.names)
    own = {source, *profiles.mixtures.get(source, ())}
    targets = [name for name in predictor.seen_targets.names if name not in own and name in here]
    found = predictor.predict(profiles, [source] * len(targets), targets)
    return Ranking(sorted(found, key=lambda p: (p.gain, p.target)))


def candidates(warehouse: Warehouse, profiles: ProfileSet) -> list[str]:
    """Sources that are ranked without being named: datasets of at least MIN_ROWS rows, without variants.

    A variant was made to measure the effect of a change, not to be tuned on.
    """
    variants, traits = {made.name for made in lineage_of(warehouse)}, profiles.traits
    return [n for n, rows in zip(traits.names, traits.rows, strict=True) if rows >= MIN_ROWS and n not in variants]


def same_rows(warehouse: Warehouse) -> dict[str, list[str]]:
    """Dataset -> others that hold the same rows under another name, by fingerprint; only datasets that have any."""
    by: dict[str, list[str]] = {}
    for name, fingerprint in warehouse.fingerprints().items():
        by.setdefault(fingerprint, []).append(name)
    groups = [names for names in by.values() if len(names) > 1]
    return {name: [other for other in names if other != name] for names in groups for name in names}


def explain_pair(warehouse: Warehouse, predictor: Predictor, source: str, target: str) -> Explanation:
    """The prediction for one pair, split into what each trait adds. Raises as `predict_pair` does."""
    profiles, predictor = _pair(warehouse, predictor, source, target)
    return explain(predictor, profiles, source, target)


def what_if_pair(
    warehouse: Warehouse, predictor: Predictor, source: str, target: str, settings: Mapping[tuple[str, str], float]
) -> WhatIf:
    """The prediction for one pair with traits of either dataset changed.

    Parameters
    ----------
    warehouse
        An open warehouse.
    predictor
        The predictor to ask.
    source, target
        Two profiled datasets.
    settings
        (side, trait) -> new value in the unit of the trait.

    Raises
    ------
    UserError
        For an unknown trait or an impossible value, and as `predict_pair` does.
    """
    profiles, predictor = _pair(warehouse, predictor, source, target)
    words: dict[str, str] = {}
    changed = predictor.outcome == GAIN and any(side == "source" for side, _ in settings)
    for matrix in warehouse.varied() if changed else ():
        with suppress(ScoresError):  # of several models, or without a base: it says nothing here
            words |= in_words(warehouse, matrix)
    return what_if(predictor, profiles, source, target, settings, lineage_of(warehouse), words)


def save(
    warehouse: Warehouse, predictions: Sequence[Prediction], explanation: Explanation | None = None, *, name: str
) -> None:
    """Store predictions, and the contributions behind one of them, in the tables `predictions` and `attributions`."""
    attributions = []
    if explanation is not None:
        pair = {"source": explanation.prediction.source, "target": explanation.prediction.target}
        attributions = [pair | asdict(contribution) for contribution in explanation.contributions]
    warehouse.save_predictions(name, [prediction.as_row() for prediction in predictions], attributions)


def _variants(warehouse: Warehouse, profiles: ProfileSet) -> list[tuple[str, str]]:
    """Variants and mixtures share rows with their parents, so they stay in one fold."""
    mixed = [(name, parent) for name, parents in profiles.mixtures.items() for parent in parents]
    return [(made.name, made.parent) for made in lineage_of(warehouse)] + mixed


def _check_labelled(predictor: Predictor, profiles: ProfileSet, target: str) -> None:
    unlabelled = target not in predictor.seen_targets.names and not profiles.label_counts.get(target)
    if predictor.outcome == LABEL_SHIFT and unlabelled:
        raise UserError(
            f"{LABEL_SHIFT.name} is how many answers move to another label, and {target!r} has no labels. Ask for the "
            f"gain or the length of its answers: {command('rank', target)}"
        )


def _check_different(source: str, target: str) -> None:
    if source == target:
        raise UserError(
            f"source and target are both {source!r}, but a prediction needs two different datasets. "
            f"See which sources suit it with: {command('rank', target)}"
        )

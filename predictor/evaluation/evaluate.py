"""Evaluation: how good the predictor is on datasets it has not seen, compared with baselines and the noise ceiling.

Owns the runs of the protocols and their result. Everything that is learnt, including the size of the trees, is learnt
from the training rows of a split; a baseline gets the same rows and no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from traitcast.predictor.evaluation import ablations, scoring
from traitcast.predictor.evaluation.baselines import Baseline, baselines, rebased
from traitcast.predictor.evaluation.scoring import Estimate, Scored
from traitcast.predictor.evaluation.trees_alone import fit_trees_alone
from traitcast.predictor.model import trees
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.fitting import Fitted, fit_gated
from traitcast.predictor.model.gain_model import KNOWN, NEW
from traitcast.predictor.model.intervals import cross_conformal, cross_harm, reliability
from traitcast.predictor.model.observations import (
    PROTOCOLS,
    SOURCES_HELD_OUT,
    Grouping,
    Observations,
    Split,
    group_datasets,
    splits,
)
from traitcast.predictor.model.pair_data import Data, pair_data
from traitcast.predictor.model.predictor import Settings
from traitcast.warehouse.console import command, html_table
from traitcast.warehouse.errors import ScoresError

Metrics = dict[str, Estimate]
# A small matrix is split this often, so that no lucky split decides.
_REPEATS = 3
_SMALL = 1000
_ENOUGH_SPLITS = 20
_SEED_SPLITS = 10
# By which protocol the gate compares candidates inside the training rows of a split.
_INNER = {
    "new-target": {KNOWN: "new-target"},
    "one-target": {KNOWN: "one-target"},
    "new-source": {NEW: "new-source"},
    "two-sources": {NEW: "new-source"},
    "new-pair": {NEW: "new-pair"},
    "random-cell": {KNOWN: "one-target"},
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Quality under one protocol. All metrics as in `predictor.evaluation.metrics`.

    Attributes
    ----------
    cells
        Distinct measured cells that were predicted.
    candidates
        Mean number of sources ranked together.
    groups
        What was kept in one fold.
    leaky
        Whether rows and columns of the test cells are in training.
    ceiling, ceiling_kind
        How well one half of the measurements predicts the other, over "seeds" or "models"; None when nothing was
        measured twice.
    noise
        How much of the gains is noise of the seeds (see `seed_noise`); None with one seed.
    resampled
        What the bootstraps resample.
    advantage
        Spearman of the model minus that of the best baseline, paired over the same draws.
    over_source_mean
        Spearman and regrets at 3 of the model minus those of `source_mean`, paired over the same draws; None without
        baselines.
    gate
        "used": candidate -> number of splits; "abstained": share of splits in which no signal is claimed (see
        `predictor.model.gate`). There the order is the one that the model keeps all the same, and gains are
        the level of the target.
    interval_width, constant_width
        Mean full width of the 90 % intervals, pp: the model's, and those around the mean of the training gains.
    harm
        How reliable the chance of harm is (see `predictor.model.intervals.reliability`).
    diagonal
        Number and mean gain of cells with source = target, which are never predicted here.
    ablations, claim
        See `predictor.evaluation.ablations`; None unless asked for.
    sizes
        The chosen tree sizes, with the number of splits that chose each.
    """

    protocol: str
    matrix: str
    base: str
    cells: int
    targets: int
    candidates: float
    groups: str
    leaky: bool
    model: Metrics
    baselines: dict[str, Metrics]
    ceiling: Metrics | None
    ceiling_kind: str | None
    noise: dict[str, float] | None
    resampled: str
    advantage: dict[str, Any] | None
    over_source_mean: dict[str, Estimate] | None
    gate: dict[str, Any]
    interval_width: float
    constant_width: float
    harm: dict[str, Any]
    diagonal: dict[str, float]
    ablations: dict[str, dict[str, Any]] | None
    claim: list[dict[str, Any]] | None
    sizes: dict[str, int]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The JSON contract of `evaluate`, its contracted keys first."""
        return {
            "protocol": self.protocol,
            "cells": self.cells,
            "targets": self.targets,
            "model": self.model,
            "baselines": self.baselines,
            "ceiling": self.ceiling,
            "ceiling_kind": self.ceiling_kind,
            "noise": self.noise,
            "resampled": self.resampled,
            "advantage": self.advantage,
            "over_source_mean": self.over_source_mean,
            "gate": self.gate,
            "ablations": self.ablations,
            "claim": self.claim,
            "interval_width": self.interval_width,
            "constant_width": self.constant_width,
            "harm": self.harm,
            "matrix": self.matrix,
            "base": self.base,
            "candidates": self.candidates,
            "groups": self.groups,
            "leaky": self.leaky,
            "diagonal": self.diagonal,
            "sizes": self.sizes,
            "notes": list(self.notes),
        }

    def quality_rows(self) -> list[dict[str, Any]]:
        """One row per model, baseline and ceiling, a column per metric."""
        named: dict[str, Metrics] = {"model": self.model, **self.baselines}
        if self.ceiling is not None:
            named[f"ceiling ({self.ceiling_kind})"] = self.ceiling
        return [{"": name} | {key: m["value"] for key, m in found.items()} for name, found in named.items()]

    def _repr_html_(self) -> str:
        title = f"{self.protocol} on {self.matrix}: {self.cells} cells, {self.targets} targets"
        return html_table(self.quality_rows(), caption=title)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Every test cell of every split: its row of the observations, the block it is ranked in, and its gain, pp."""

    row: np.ndarray
    block: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Gains of test cells, pp, how far they may be off but for a factor, and by what the first of a list are chosen."""

    gain: np.ndarray
    scale: np.ndarray
    choice: np.ndarray


@dataclass(frozen=True, slots=True)
class _Run:
    """What was fitted to the training rows of one split, its predictions by name, and the test gains."""

    predicted: dict[str, _Predicted]
    truth: np.ndarray
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class _Contest:
    """Everything that learns from the training rows of a split: the model, baselines, trees alone, trees on parts."""

    data: Data
    grouping: Grouping
    protocol: str
    settings: Settings
    baselines: Mapping[str, Baseline]
    parts: Mapping[str, Data]
    seed: int

    def run(self, split: Split) -> _Run:
        data, settings, test = rebased(self.data, split), self.settings.trees, split.test
        fitted = fit_gated(data, split.train, self.grouping.group, _INNER[self.protocol], settings)
        found = {"model": _Predicted(*fitted.predict(data, test))}
        gains = {name: baseline(data, split) for name, baseline in self.baselines.items()}
        if self.baselines or self.parts:
            parts = {ablations.TREES: data} | {
                name: replace(part, observations=data.observations) for name, part in self.parts.items()
            }
            if self.parts:
                parts[ablations.PERMUTED] = ablations.permuted(data, split, self.seed)
            size = None
            for name, part in parts.items():
                # The parts take the size of the whole, which comes first.
                alone = fit_trees_alone(part, split.train, self.grouping, self.protocol, settings, size)
                size = alone.size
                gains[name] = alone.predict(part.table[test], part.observations.target[test])
        found |= {name: _Predicted(gain, np.ones(len(test)), gain) for name, gain in gains.items()}
        return _Run(found, data.observations.gain[test], fitted)


def evaluate(
    observations: Observations,
    profiles: ProfileSet,
    protocol: str = "new-target",
    *,
    settings: Settings | None = None,
    with_baselines: bool = True,
    with_ablations: bool = False,
    shared: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Cross-validated quality under a protocol.

    Parameters
    ----------
    observations
        Measured gains, matched with profiles.
    profiles
        The profiles.
    protocol
        As in `predictor.model.observations.splits`.
    settings
        Features and trees; None for the defaults.
    with_baselines, with_ablations
        Whether to score the baselines, and the model on parts of the features.
    shared
        Further pairs of datasets that share text.
    seed
        Of splits and bootstraps.
    on_progress
        Called with (done, total) splits.

    Raises
    ------
    ScoresError
        For an unknown protocol, or if every split leaves too few cells to learn from.
    """
    settings = settings or Settings()
    data = pair_data(observations, profiles, settings.features)
    grouping = group_datasets(observations, profiles, shared)
    made = _splits(observations, protocol, grouping.group, seed)
    contest = _Contest(
        data,
        grouping,
        protocol,
        settings,
        baselines(data) if with_baselines else {},
        ablations.parts(data) if with_ablations else {},
        seed,
    )
    runs: list[_Run] = []
    for i, run in enumerate(trees.in_threads(contest.run, made)):
        runs.append(run)
        if on_progress is not None:
            on_progress(i + 1, len(made))
    entries = _entries(observations, made, runs)
    joined = {name: _joined([run.predicted[name] for run in runs]) for name in runs[0].predicted}
    # Errors over different scales cannot be compared, so all splits take what most of them found.
    if np.mean([None in run.fitted.flat.values() for run in runs]) <= 0.5:
        joined["model"] = replace(joined["model"], scale=np.ones(len(entries.row)))
    named = [name for name in joined if name in contest.baselines or (with_baselines and name == ablations.TREES)]
    removed = [name for name in joined if name != "model" and name not in contest.baselines]
    sampled = protocol in SOURCES_HELD_OUT
    scored = {name: _score(observations, grouping.group, entries, joined[name], sampled) for name in joined}
    # Scoring every block for every draw takes a while for 40 predictions; `bootstrap` caches the result.
    for _ in trees.in_threads(lambda one: scoring.bootstrap(one, seed), list(scored.values())):
        continue
    summaries = {name: scoring.summarise(scored[name], seed) for name in named}
    of_parts = {name: scored[name] for name in removed}
    flat = np.zeros(len(entries.row))
    constant = _Predicted(flat, flat + 1, flat)
    ceiling, kind = _ceiling(observations, entries, seed, sampled)
    blocks = np.unique(np.column_stack([entries.block, observations.target[entries.row]]), axis=0)
    return Evaluation(
        protocol=protocol,
        matrix=observations.matrix.matrix,
        base=observations.matrix.base,
        cells=len(np.unique(entries.row)),
        targets=len(np.unique(observations.target[entries.row])),
        candidates=len(entries.row) / len(blocks),
        groups="nothing: a random split leaks" if protocol == "random-cell" else grouping.by,
        leaky=protocol == "random-cell",
        model=scoring.summarise(scored["model"], seed),
        baselines=summaries,
        ceiling=ceiling,
        ceiling_kind=kind,
        noise=seed_noise(observations),
        resampled="families of targets and of sources" if sampled else "families of targets",
        advantage=_advantage(scored, summaries, seed),
        over_source_mean=_over_source_mean(scored, seed),
        gate=_gate([run.fitted for run in runs]),
        interval_width=2 * _mean(_intervals(observations, grouping.group, entries, joined["model"])[1]),
        constant_width=2 * _mean(_intervals(observations, grouping.group, entries, joined.get("mean", constant))[1]),
        harm=_harm(observations, grouping.group, entries, joined["model"]),
        diagonal={"cells": observations.diagonal.size, "gain": _mean(observations.diagonal)},
        ablations=ablations.summarise(of_parts, seed) if with_ablations else None,
        claim=ablations.claim(of_parts, seed) if with_ablations else None,
        sizes=_sizes([run.fitted for run in runs]),
        notes=observations.notes,
    )


def _splits(observations: Observations, protocol: str, group: np.ndarray, seed: int) -> list[Split]:
    every = [splits(observations, protocol, group, seed=seed)]
    if len(observations) < _SMALL and len(every[0]) < _ENOUGH_SPLITS:
        every += [splits(observations, protocol, group, seed=seed + r) for r in range(1, _REPEATS)]
    # Where every group is a fold of its own, another seed makes the same splits.
    distinct = {frozenset(split.test.tobytes() for split in made): made for made in every}
    made = [split for each in distinct.values() for split in each]
    if not made:
        others = ", ".join(p for p in PROTOCOLS if p != protocol)
        raise ScoresError(
            f"matrix {observations.matrix.matrix!r} has too few profiled datasets ({len(observations.names)}) for the "
            f"{protocol} protocol: every split leaves too few cells to learn from. Other protocols: {others}; or "
            f"import a larger matrix with: {command('scores', 'import', 'FILE')}"
        )
    return made


def _entries(observations: Observations, made: Sequence[Split], runs: Sequence[_Run]) -> _Entries:
    models = len(observations.models)
    row = np.concatenate([split.test for split in made])
    number = np.repeat(np.arange(len(made)), [split.test.size for split in made])
    return _Entries(row, number * models + observations.model[row], np.concatenate([run.truth for run in runs]))


def _joined(parts: Sequence[_Predicted]) -> _Predicted:
    return _Predicted(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("gain", "scale", "choice")))


def _score(
    observations: Observations, group: np.ndarray, entries: _Entries, predicted: _Predicted, sampled: bool
) -> Scored:
    row = entries.row
    centre, half = _intervals(observations, group, entries, predicted)
    source = group[observations.source[row]] if sampled else None
    target = observations.target[row]
    cells = (entries.truth, predicted.gain, half, target, entries.block)
    return scoring.score(*cells, centre, source, group[target], predicted.choice)


def _intervals(
    observations: Observations, group: np.ndarray, entries: _Entries, predicted: _Predicted
) -> tuple[np.ndarray, np.ndarray]:
    source, target = observations.source[entries.row], observations.target[entries.row]
    errors = (entries.truth - predicted.gain) / predicted.scale
    centre, half = cross_conformal(errors, group[source], group[target], target)
    return centre * predicted.scale, half * predicted.scale


def _harm(observations: Observations, group: np.ndarray, entries: _Entries, predicted: _Predicted) -> dict[str, Any]:
    source, target = observations.source[entries.row], observations.target[entries.row]
    gain = predicted.gain / predicted.scale
    chance = cross_harm(entries.truth / predicted.scale - gain, gain, group[source], group[target], target)
    return reliability(chance, entries.truth < 0)


def _over_source_mean(scored: dict[str, Scored], seed: int) -> dict[str, Estimate] | None:
    if "source_mean" not in scored:
        return None
    metrics = ("spearman", "regret_at_3", "regret_at_3_spreads")
    return {name: scoring.difference(scored["model"], scored["source_mean"], name, seed) for name in metrics}


def _gate(fitted: Sequence[Fitted]) -> dict[str, Any]:
    verdicts = [verdict for one in fitted for verdict in one.verdicts.values()]
    used = Counter(verdict.kind for verdict in verdicts)
    return {"used": dict(sorted(used.items())), "abstained": sum(v.abstains for v in verdicts) / len(verdicts)}


def _sizes(fitted: Sequence[Fitted]) -> dict[str, int]:
    sizes = Counter(f"depth {f.size.depth}, {f.size.rounds} rounds of {f.size.learning_rate:g}" for f in fitted)
    return dict(sorted(sizes.items()))


def _advantage(scored: dict[str, Scored], summaries: dict[str, Metrics], seed: int) -> dict[str, Any] | None:
    """Spearman of the model minus that of the best baseline here; this choice favours the baseline."""
    values = {name: m["spearman"]["value"] for name, m in summaries.items() if not np.isnan(m["spearman"]["value"])}
    if not values:
        return None
    best = max(values, key=lambda name: values[name])
    gap = scoring.difference(scored["model"], scored[best], "spearman", seed)
    return {"metric": "spearman", "baseline": best, **gap}


def _ceiling(
    observations: Observations, entries: _Entries, seed: int, sampled: bool
) -> tuple[Metrics | None, str | None]:
    """Metrics of one half of the measurements as a prediction of the other, over the same blocks.

    The halves are random halves of the seeds if there are several, otherwise each model against the mean of the others,
    which also counts real differences between models as noise. A half is noisier than the whole, so the true ceiling is
    somewhat higher.
    """
    if observations.seed_gains.shape[1] > 1:
        halves, kind = _seed_halves(observations, np.random.default_rng(seed)), "seeds"
    elif len(observations.models) > 1:
        halves, kind = [_other_models(observations)], "models"
    else:
        return None, None
    every = []
    for predicted, truth in halves:
        row = entries.row
        known = ~np.isnan(predicted[row]) & ~np.isnan(truth[row])
        if not known.any():
            return None, None
        row, block = row[known], entries.block[known]
        none = np.full(len(row), np.nan)
        source = observations.source[row] if sampled else None
        every.append(scoring.score(truth[row], predicted[row], none, observations.target[row], block, source=source))
    return scoring.summarise(scoring.pooled(every), seed), kind


def seed_noise(observations: Observations) -> dict[str, float] | None:
    """How much of the differences between the sources of a target is noise of the seeds.

    Returns
    -------
    dict or None
        None with one seed. seeds: mean number of seeds of a cell. standard_deviation: of one seed, pp. reliability:
        share of the variance of seed means that a rerun would show again (one-way intraclass correlation of means,
        McGraw and Wong 1996), mean over targets. attainable: its square root, the correlation with the measured means
        of a predictor that knows every true gain; the split-half ceiling is lower, since both of its sides are noisy.
    """
    gains = observations.seed_gains
    counts = (~np.isnan(gains)).sum(axis=1)
    several = counts > 1
    if not several.any():
        return None
    gains, counts = gains[several], counts[several]
    within = np.nanvar(gains, axis=1, ddof=1)
    key = (observations.target * len(observations.models) + observations.model)[several]
    reliabilities = []
    for k in np.unique(key):
        mine = key == k
        if mine.sum() > 1 and (between := float(np.var(np.nanmean(gains[mine], axis=1), ddof=1))) > 0:
            reliabilities.append(max(0.0, 1 - float(np.mean(within[mine] / counts[mine])) / between))
    share = float(np.mean(reliabilities)) if reliabilities else float("nan")
    return {
        "seeds": float(counts.mean()),
        "standard_deviation": float(np.sqrt(within.mean())),
        "reliability": share,
        "attainable": float(np.sqrt(share)),
    }


def _seed_halves(observations: Observations, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    gains = observations.seed_gains
    seeds = gains.shape[1]
    orders = [rng.permutation(seeds) for _ in range(_SEED_SPLITS if seeds > 2 else 1)]
    return [(_row_means(gains[:, o[: seeds // 2]]), _row_means(gains[:, o[seeds // 2 :]])) for o in orders]


def _row_means(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def _other_models(observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    pair = observations.source * len(observations.names) + observations.target
    sums, counts = np.bincount(pair, observations.gain), np.bincount(pair)
    others = counts[pair] - 1
    rest = sums[pair] - observations.gain
    return np.divide(rest, others, out=np.full(len(pair), np.nan), where=others > 0), observations.gain


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")

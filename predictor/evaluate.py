"""Evaluation: how good the predictor is on datasets it has not seen, beside baselines and the noise ceiling.

Owns the protocols' runs and the report. Everything that learns, the size of the trees included, learns inside the
training rows of a split; a baseline gets the same rows and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor import metrics
from predictor.baselines import baselines
from predictor.features import ProfileSet
from predictor.intervals import cross_conformal
from predictor.metrics import Estimate, Scored
from predictor.model import Settings, gain_baseline, pair_data
from predictor.observations import PROTOCOLS, Observations, Split, group_datasets, splits
from warehouse.errors import ScoresError

Metrics = dict[str, Estimate]
# A small matrix is split anew this often, so that one lucky split does not make the figure.
_REPEATS = 3
_SMALL = 1000
_SEED_SPLITS = 10


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Quality under one protocol. All metrics as in `predictor.metrics`.

    cells: distinct measured cells that were predicted. candidates: mean number of sources ranked together.
    groups: what was kept in one fold. ceiling: what one half of the measurements says of the other, None when
    nothing was measured twice; ceiling_kind: "seeds" or "models". advantage: Spearman of the model minus that of
    the best baseline, paired over targets. diagonal: cells with source = target, which are never predicted here.
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
    advantage: dict[str, Any] | None
    diagonal: dict[str, float]
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
            "advantage": self.advantage,
            "matrix": self.matrix,
            "base": self.base,
            "candidates": self.candidates,
            "groups": self.groups,
            "leaky": self.leaky,
            "diagonal": self.diagonal,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Entries:
    """Every test cell of every split: row numbers into the observations and the block it is ranked in."""

    row: np.ndarray
    block: np.ndarray


def evaluate(
    observations: Observations,
    profiles: ProfileSet,
    protocol: str = "new-target",
    *,
    settings: Settings | None = None,
    with_baselines: bool = True,
    shared: Sequence[tuple[str, str]] = (),
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Cross-validated quality under `protocol` (see `predictor.observations.splits`).

    Raises ScoresError for an unknown protocol, or when too little is left to learn from in every split.
    """
    settings = settings or Settings()
    data = pair_data(observations, profiles, settings.features)
    grouping = group_datasets(observations, profiles, shared)
    made = _splits(observations, protocol, grouping.group, seed)
    entries = _entries(observations, made)
    learners = {"model": gain_baseline(settings.trees, grouping, protocol)}
    if with_baselines:
        learners |= baselines(data)
    predicted: dict[str, list[np.ndarray]] = {name: [] for name in learners}
    for i, split in enumerate(made):
        for name, learner in learners.items():
            predicted[name].append(learner(data, split))
        if on_progress is not None:
            on_progress(i + 1, len(made))
    scored = {
        name: _score(observations, grouping.group, entries, np.concatenate(parts)) for name, parts in predicted.items()
    }
    summaries = {name: metrics.summarise(s, seed) for name, s in scored.items()}
    ceiling, kind = _ceiling(observations, entries, seed)
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
        model=summaries.pop("model"),
        baselines=summaries,
        ceiling=ceiling,
        ceiling_kind=kind,
        advantage=_advantage(scored, summaries, seed),
        diagonal={"cells": observations.diagonal.size, "gain": _mean(observations.diagonal)},
        notes=observations.notes,
    )


def _splits(observations: Observations, protocol: str, group: np.ndarray, seed: int) -> list[Split]:
    repeats = _REPEATS if len(observations) < _SMALL else 1
    made = [split for r in range(repeats) for split in splits(observations, protocol, group, seed=seed + r)]
    if not made:
        others = ", ".join(p for p in PROTOCOLS if p != protocol)
        raise ScoresError(
            f"matrix {observations.matrix.matrix!r} has too few profiled datasets ({len(observations.names)}) for the "
            f"{protocol} protocol: nothing is left to learn from. Other protocols: {others}; or import a larger "
            "matrix with: traitcast scores import FILE"
        )
    return made


def _entries(observations: Observations, made: Sequence[Split]) -> _Entries:
    models = len(observations.models)
    row = np.concatenate([split.test for split in made])
    number = np.repeat(np.arange(len(made)), [split.test.size for split in made])
    return _Entries(row, number * models + observations.model[row])


def _score(observations: Observations, group: np.ndarray, entries: _Entries, predicted: np.ndarray) -> Scored:
    row = entries.row
    source, target = observations.source[row], observations.target[row]
    half = cross_conformal(observations.gain[row] - predicted, group[source], group[target], target)
    return metrics.score(observations.gain[row], predicted, half, target, entries.block)


def _advantage(scored: dict[str, Scored], summaries: dict[str, Metrics], seed: int) -> dict[str, Any] | None:
    """Model minus the baseline with the best Spearman here; choosing it here favours the baseline."""
    values = {name: m["spearman"]["value"] for name, m in summaries.items() if not np.isnan(m["spearman"]["value"])}
    if not values:
        return None
    best = max(values, key=lambda name: values[name])
    gap = metrics.difference(scored["model"], scored[best], "spearman", seed)
    return {"metric": "spearman", "baseline": best, **gap}


def _ceiling(observations: Observations, entries: _Entries, seed: int) -> tuple[Metrics | None, str | None]:
    """Metrics of one half of the measurements as a prediction of the other, over the same blocks.

    From random halves of the seeds where there are several; else each model against the mean of the others,
    which also counts real differences between models as noise. A half is noisier than the whole, so the true
    ceiling is somewhat higher.
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
        every.append(metrics.score(truth[row], predicted[row], none, observations.target[row], block))
    pooled = Scored(np.concatenate([s.values for s in every]), np.concatenate([s.target for s in every]))
    return metrics.summarise(pooled, seed), kind


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
    return float(values.mean()) if values.size else float("nan")

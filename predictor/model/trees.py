"""Trees: the regularised XGBoost regression of the predictor, and the choice of its size.

Owns every XGBoost call, and the threads that run several fits. A fit is single-threaded and seeded, so that the same
input and version give the same trees.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import xgboost

# The standard error of a difference needs at least this many inner splits.
_MIN_SPLITS = 3
# Every running fit holds its own copy of the table.
_MAX_THREADS = 8
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """Hyperparameters. Depth and rounds may be changed inside the training folds; the others are fixed.

    With 6 to 90 datasets behind thousands of correlated cells, small steps, few columns per split and a strong L2
    penalty matter more than depth.

    Attributes
    ----------
    depth, rounds
        The size, unless another one of `depths` x `grid` is better by more than its standard error.
    choose_from
        Number of training cells from which other sizes are tried; on matrices of up to 18 datasets the choice was noise
        and took nine tenths of the time.
    stride
        From `choose_from` on, steps are larger by this factor and rounds fewer: half the time, and as good on thousands
        of cells (planted 60 x 60: Spearman .810 instead of .811, .489 instead of .491); worse on ten datasets.
    """

    depth: int = 2
    rounds: int = 100
    depths: tuple[int, ...] = (2, 3)
    grid: tuple[int, ...] = (50, 100, 200, 300)
    choose_from: int = 600
    stride: int = 2
    learning_rate: float = 0.05
    subsample: float = 0.8
    column_share: float = 0.3
    l2: float = 10.0
    min_child_share: float = 0.02
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Size:
    """A chosen depth, number of rounds and learning rate. reason: why, for the user."""

    depth: int
    rounds: int
    learning_rate: float
    reason: str


def grow(
    table: np.ndarray, gain: np.ndarray, weight: np.ndarray, size: Size, settings: TreeSettings
) -> xgboost.Booster:
    """Boost trees of that size on gains in pp. table: (rows, features), NaN is XGBoost's missing value."""
    import xgboost

    data = xgboost.DMatrix(table, label=gain, weight=weight, nthread=1)
    return xgboost.train(parameters(gain, weight, size, settings), data, num_boost_round=size.rounds)


def parameters(gain: np.ndarray, weight: np.ndarray, size: Size, settings: TreeSettings) -> dict[str, Any]:
    """XGBoost's parameters for trees of that size on gains in pp and their weights, both (rows,)."""
    return {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "nthread": 1,
        "seed": settings.seed,
        "base_score": float(np.average(gain, weights=weight)),
        "max_depth": size.depth,
        "eta": size.learning_rate,
        "subsample": settings.subsample,
        "colsample_bynode": settings.column_share,
        "lambda": settings.l2,
        "min_child_weight": max(1.0, settings.min_child_share * float(weight.sum())),
    }


def predict(booster: xgboost.Booster, table: np.ndarray, rounds: int | None = None) -> np.ndarray:
    """Predicted gains in pp, float64 (rows,), of the first `rounds` trees or of all."""
    import xgboost

    data = xgboost.DMatrix(table, nthread=1)
    span = (0, 0) if rounds is None else (0, rounds)
    return np.asarray(booster.predict(data, iteration_range=span), dtype=np.float64)


def contributions(booster: xgboost.Booster, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact TreeSHAP (Lundberg et al. 2020, path-dependent): values (rows, features) and base values (rows,), pp."""
    import xgboost

    values = booster.predict(xgboost.DMatrix(table, nthread=1), pred_contribs=True)
    values = np.asarray(values, dtype=np.float64)
    return values[:, :-1], values[:, -1]


def in_threads(work: Callable[..., Result], *arguments: Sequence[Any]) -> Iterator[Result]:
    """Results of `work` over the arguments, in order, on all cores.

    XGBoost releases the interpreter lock while it grows trees, so threads use all cores. Each fit is single-threaded
    and seeded, so that the numbers do not depend on how many threads there are.
    """
    import xgboost  # noqa: F401  (once, before threads race to import it)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=min(cores, _MAX_THREADS)) as pool:
        yield from pool.map(work, *arguments)


def to_json(booster: xgboost.Booster) -> dict[str, Any]:
    """The model as XGBoost's own JSON document."""
    document: dict[str, Any] = json.loads(bytes(booster.save_raw("json")))
    return document


def from_json(document: dict[str, Any]) -> xgboost.Booster:
    """The model from the output of `to_json`."""
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(document).encode()))
    return booster


def choose_size(
    table: np.ndarray,
    gain: np.ndarray,
    weight: np.ndarray,
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    settings: TreeSettings,
) -> Size:
    """Choose depth and rounds by the squared errors over inner (train, test) splits.

    The default is kept unless another size is better by more than one standard error of the paired difference over the
    splits: the best of a few noisy folds was worse than the default on every matrix of ten datasets.
    """
    if len(inner) < _MIN_SPLITS or len(table) < settings.choose_from:
        reason = "the default; too few training cells to choose by cross-validation"
        return Size(settings.depth, settings.rounds, settings.learning_rate, reason)
    rate, grid = settings.learning_rate * settings.stride, [rounds // settings.stride for rounds in settings.grid]
    default = (settings.depth, settings.rounds // settings.stride)
    sizes = [(depth, rounds) for depth in settings.depths for rounds in grid]
    errors = np.zeros((len(inner), len(sizes)))
    for row, (train, test) in enumerate(inner):
        for depth in settings.depths:
            longest = Size(depth, max(grid), rate, "")
            booster = grow(table[train], gain[train], weight[train], longest, settings)
            for rounds in grid:
                error = (gain[test] - predict(booster, table[test], rounds)) ** 2
                errors[row, sizes.index((depth, rounds))] = np.average(error, weights=weight[test])
    better = errors[:, [sizes.index(default)]] - errors
    lead = better.mean(axis=0)
    best = int(np.argmax(lead))
    noise = float(better[:, best].std(ddof=1)) / np.sqrt(len(inner))
    if lead[best] <= noise:
        return Size(*default, rate, "the default; no other size was better by more than a standard error")
    reason = f"{len(inner)} inner folds: squared error {lead[best]:.3g} below the default's"
    return Size(*sizes[best], rate, reason)

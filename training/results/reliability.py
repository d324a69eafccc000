"""How well a matrix would repeat itself: the reliability of its gains, metric by metric.

Owns the estimate. A gain is taken from its target's mean over sources, since what ranks sources is what is asked for;
the base then falls out. Tuned on itself, a source is left out. Of the variance that is left, reliability is the share
that a second measurement would show again: with other test rows, with other seeds, or with both. These are split
halves with the length put right (Spearman 1910, Brown 1910), written as a ratio of covariance to variance, which
holds for two facets too (Brennan 2001, Generalizability Theory, ch. 4). Refuses nothing that was measured: what is
missing takes its source out for that target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from traitcast.training.plan.pack import Pack, Packed
from traitcast.training.results import metrics, shards
from traitcast.training.results.cells import HEADLINE, Cell, cell_rows, choices, headline_of
from traitcast.warehouse.errors import ScoresError

# Fewer sources on a target say nothing of how they differ.
_LEAST_SOURCES = 3
_SEED = 0
_UNKNOWN = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of one metric. over_rows: new test rows, the same adapters; over_seeds: new adapters, the same rows; over_both:
    new ones of both, with the interval that 95 % of two-way bootstraps over sources and targets fall into. At most 1;
    NaN where it cannot be told (one seed). These are shares of the variance pooled over targets, where one whose gains
    differ much counts much; alike: over_both with all targets brought to one spread, which is what counts for
    ranks. spread: standard deviation of gains around their target's mean, in the unit of a gain (pp, or 100ths of a nat
    or token)."""

    metric: str
    sources: int
    targets: int
    seeds: int
    spread: float
    over_rows: float
    over_seeds: float
    over_both: float
    low: float
    high: float
    alike: float


def reliability(pack: Pack, *, splits: int = 20, draws: int = 400) -> list[Reliability]:
    """Reliability of every metric that at least one target has, the headline first.

    splits: random halves of the test rows of a target, the same for all models. draws: of the bootstrap. Raises
    ScoresError when nothing but the base was measured.
    """
    found = collected(pack, splits=splits)
    if not found:
        raise ScoresError(
            f"{pack.folder} has no scores of a tuned model; run: traitcast matrix run --pack {pack.folder}"
        )
    order = sorted(found, key=lambda name: (name != HEADLINE, name))
    return [of_values(name, found[name], draws=draws) for name in order]


def of_values(metric: str, values: np.ndarray, *, draws: int = 400) -> Reliability:
    """values: (sources, targets, seeds, 1 + 2 * splits), as shares; last axis: all rows, then two halves per split.
    NaN: not measured, or not to be counted, such as a source on itself."""
    whole = np.isfinite(values).all(axis=(2, 3))
    enough = whole.sum(axis=0) >= _LEAST_SOURCES
    whole, values = whole[:, enough], values[:, enough]
    sources, targets, seeds = int(whole.any(axis=1).sum()), int(enough.sum()), values.shape[2]
    if not targets:
        return Reliability(metric, sources, 0, seeds, *_UNKNOWN, *_UNKNOWN, float("nan"))
    variance, rows, seed, both = _shares(values, whole)
    drawn = resampled(values, whole, draws=draws)
    finite = drawn[np.isfinite(drawn)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    spread = 100 * float(np.sqrt(variance))
    alike = over_both(*_alike(values, whole))
    return Reliability(metric, sources, targets, seeds, spread, rows, seed, both, float(low), float(high), alike)


def _alike(values: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same two, with the gains of every target in their own standard deviations; a target whose gains are
    all the same is left out."""
    means = np.where(whole, values[..., 0].mean(axis=2), np.nan)
    spread = np.nanstd(means, axis=0, ddof=1)
    some = spread > 0
    return values[:, some] / spread[some][:, None, None], whole[:, some]


def over_both(values: np.ndarray, whole: np.ndarray) -> float:
    """That of `Reliability`. values: as `of_values` takes them; whole: bool (sources, targets), what counts."""
    return _shares(values, whole)[3]


def resampled(values: np.ndarray, whole: np.ndarray, *, draws: int) -> np.ndarray:
    """(draws,): `over_both` of two-way bootstraps over sources and targets, the same ones for any metric of the same
    shape."""
    rng = np.random.default_rng(_SEED)

    def draw() -> tuple[np.ndarray, ...]:
        return tuple(rng.multinomial(n, np.full(n, 1 / n)).astype(float) for n in whole.shape)

    return np.array([_shares(values, whole, draw())[3] for _ in range(draws)])


def _shares(
    values: np.ndarray, whole: np.ndarray, drawn: tuple[np.ndarray, ...] | None = None
) -> tuple[float, float, float, float]:
    """Variance of gains around their target's mean, and which shares of it new rows, seeds, and both would show
    again. drawn: how often every source and every target counts; None: once each."""
    sources, targets = drawn or map(np.ones, whole.shape)
    by_source = np.where(whole, sources[:, None], 0.0)
    weights, total = by_source * targets, by_source.sum(axis=0)
    free = float((targets * np.maximum(total - 1, 0)).sum())
    if free <= 0:
        return float("nan"), *_UNKNOWN
    clean = np.where(whole[..., None, None], values, 0.0)
    means = (by_source[..., None, None] * clean).sum(axis=0) / np.maximum(total, 1)[:, None, None]
    centred = np.where(whole[..., None, None], clean - means, 0.0)

    def covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        products: np.ndarray = np.einsum("st,st...,st...->...", weights, first, second) / free
        return products

    everything, upper, lower = centred[..., 0], centred[..., 1::2], centred[..., 2::2]
    seeds = values.shape[2]
    variance = float(covariance(everything.mean(axis=2), everything.mean(axis=2)))
    if variance <= 0:
        return variance, *_UNKNOWN
    rows = float(covariance(upper.mean(axis=2), lower.mean(axis=2)).mean())
    if seeds < 2:
        return variance, rows / variance, float("nan"), float("nan")
    pairs = seeds * (seeds - 1)
    same = covariance(everything, everything).sum()
    apart = (covariance(everything.sum(axis=2), everything.sum(axis=2)) - same) / pairs
    crossed = covariance(upper.sum(axis=2), lower.sum(axis=2)) - covariance(upper, lower).sum(axis=0)
    return variance, rows / variance, float(apart) / variance, float(crossed.mean() / pairs) / variance


def collected(pack: Pack, *, splits: int = 20) -> dict[str, np.ndarray]:
    """metric -> values as `of_values` takes them."""
    recipe = pack.recipe
    place = [{name: at for at, name in enumerate(names)} for names in (recipe.sources, recipe.targets)]
    seeds = {seed: at for at, seed in enumerate(recipe.seeds)}
    shape = len(recipe.sources), len(recipe.targets), len(recipe.seeds), 1 + 2 * splits
    packed = {name: pack.rows(name) for name in recipe.targets}
    parts = {name: _parts(len(rows.test), splits, at) for at, (name, rows) in enumerate(sorted(packed.items()))}
    found: dict[str, np.ndarray] = {}
    for cell in shards.walk(pack, text=False):
        if cell.source is None or cell.source == cell.target or cell.failed:
            continue
        at = place[0][cell.source], place[1][cell.target], seeds[cell.seed]
        for name, values in _of_cell(cell, packed[cell.target], parts[cell.target]):
            found.setdefault(name, np.full(shape, np.nan))[at] = values
    return found


def _parts(rows: int, splits: int, seed: int) -> np.ndarray:
    """(1 + 2 * splits, rows): which rows are in each part; the first has all."""
    rng = np.random.default_rng([_SEED, seed])
    parts = [np.ones(rows, dtype=bool)]
    for _ in range(splits):
        upper = np.zeros(rows, dtype=bool)
        upper[rng.permutation(rows)[: rows // 2]] = True
        parts += [upper, ~upper]
    return np.stack(parts)


def _of_cell(cell: Cell, packed: Packed, parts: np.ndarray) -> Iterable[tuple[str, np.ndarray]]:
    """Every metric of a cell on every part of its rows."""
    rows = cell_rows(cell, packed.task, packed.test)
    sizes = parts.sum(axis=1)
    if not rows or (sizes == 0).any():
        return
    for name, values in rows.items():
        means = parts @ values.astype(float) / sizes
        yield name, means
        if name == headline_of(packed.task):
            yield HEADLINE, means
    if packed.task.labels and cell.gold is not None:
        truth, picks = np.asarray(cell.gold), choices(cell, packed.task, packed.test)
        yield "macro_f1", np.array([metrics.macro_f1(truth[part], picks[part]) for part in parts])

"""How well a matrix would repeat itself: the reliability of its gains, metric by metric.

Owns the estimate. A gain is taken from its target's mean over sources, since what ranks sources is what is asked for;
the base then falls out. Tuned on itself, a source is left out. Of the variance that is left, reliability is the share
that a second measurement would show again: with other test rows, with other seeds, or with both. These are split
halves with the length put right (Spearman 1910, Brown 1910), written as a ratio of covariance to variance, which
holds for two facets too (Brennan 2001, Generalizability Theory, ch. 4). Refuses nothing that was measured: what is
missing takes its source out for that target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from traitcast.training.plan.pack import Pack, Packed
from traitcast.training.results import metrics, shards
from traitcast.training.results.cells import HEADLINE, Cell, cell_rows, choices, headline_of
from traitcast.warehouse.errors import InputError, ScoresError, nearest

# Fewer sources on a target say nothing of how they differ.
_LEAST_SOURCES = 3
_SEED = 0
_UNKNOWN = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class Reliability:
    """The reliability of the gains of one metric.

    Attributes
    ----------
    metric
        Its name.
    sources, targets, seeds
        What it rests on: sources measured on some target, targets with enough of them, seeds that enough sources have.
    spread
        Standard deviation of the gains around their target's mean, in the unit of a gain (pp, or 100ths of a nat or
        token).
    over_rows, over_seeds, over_both
        Share of that variance, at most 1, that would show again with new test rows and the same adapters, with new
        adapters on the same rows, and with both new. Variances are pooled over targets, so that one whose gains differ
        much counts much. NaN with a single seed, which says nothing of new ones.
    low, high
        The middle 95 % of over_both in two-way bootstraps over sources and targets.
    alike
        over_both with all targets brought to the same spread, which is what counts for rankings.
    """

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


def reliability(
    pack: Pack,
    *,
    metrics: Sequence[str] | None = None,
    alike: bool = False,
    splits: int = 20,
    draws: int = 400,
) -> list[Reliability]:
    """Reliability of every metric that at least one target has, the headline first.

    Parameters
    ----------
    metrics
        Compare only these, on the cells that have all of them.
    alike
        Bring all targets to the same spread first, so that over_rows, over_seeds and the interval are of rankings too.
    splits
        Random halves of the test rows of a target, the same ones for all models.
    draws
        Bootstraps over sources and targets.

    Raises
    ------
    ScoresError
        Nothing but the base model was measured.
    InputError
        A metric that no cell has.
    """
    found = collected(pack, splits=splits)
    if not found:
        raise ScoresError(
            f"{pack.folder} has no scores of a tuned model; run: traitcast matrix run --pack {pack.folder}"
        )
    if metrics is not None:
        for name in metrics:
            if name not in found:
                raise InputError(
                    f"no cell has metric {name!r}{nearest(name, found)} Measured: {', '.join(sorted(found))}"
                )
        common = np.all([np.isfinite(found[name]).all(axis=(2, 3)) for name in metrics], axis=0)
        found = {name: np.where(common[..., None, None], found[name], np.nan) for name in metrics}
    order = sorted(found, key=lambda name: (name != HEADLINE, name))
    return [of_values(name, found[name], alike=alike, draws=draws) for name in order]


def of_values(metric: str, values: np.ndarray, *, alike: bool = False, draws: int = 400) -> Reliability:
    """The reliability of one metric.

    Parameters
    ----------
    metric
        Its name.
    values
        (sources, targets, seeds, 1 + 2 * splits), as shares of 1. Last axis: all rows, then two halves per split. NaN:
        not measured, or not to be counted, such as a source on itself.
    alike, draws
        As `reliability` has them.
    """
    values = _begun(values)
    whole = np.isfinite(values).all(axis=(2, 3))
    enough = whole.sum(axis=0) >= _LEAST_SOURCES
    whole, values = whole[:, enough], values[:, enough]
    sources, targets, seeds = int(whole.any(axis=1).sum()), int(enough.sum()), values.shape[2]
    if not targets:
        return Reliability(metric, sources, 0, seeds, *_UNKNOWN, *_UNKNOWN, float("nan"))
    spread = 100 * float(np.sqrt(_shares(values, whole)[0]))
    scaled = _alike(values, whole)
    counted = scaled if alike else (values, whole)
    _, rows, seed, both = _shares(*counted)
    drawn = resampled(*counted, draws=draws)
    finite = drawn[np.isfinite(drawn)]
    low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
    return Reliability(
        metric, sources, targets, seeds, spread, rows, seed, both, float(low), float(high), over_both(*scaled)
    )


def _begun(values: np.ndarray) -> np.ndarray:
    """Without the seeds of which less than half of the cells are there: a second seed that was begun does not take away
    what the first one says."""
    cells = np.isfinite(values).all(axis=3).sum(axis=(0, 1))
    return values[:, :, cells >= cells.max() / 2]


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
    if cell.loglikelihoods is not None:
        # With a mean of its own in each half: one of all rows would tie the halves together.
        sums, gold = [np.asarray(row) for row in cell.loglikelihoods], cell.gold or []
        calibrated = []
        for part in parts:
            at = np.flatnonzero(part).tolist()
            half = metrics.batch_calibrated([sums[row] for row in at])
            calibrated.append(metrics.gold_nll(half, [gold[row] for row in at]).mean())
        del rows["gold_nll_calibrated"]
        yield "gold_nll_calibrated", np.array(calibrated)
    for name, values in rows.items():
        means = parts @ values.astype(float) / sizes
        yield name, means
        if name == headline_of(packed.task):
            yield HEADLINE, means
    if packed.task.labels and cell.gold is not None:
        truth, picks = np.asarray(cell.gold), choices(cell, packed.task, packed.test)
        yield "macro_f1", np.array([metrics.macro_f1(truth[part], picks[part]) for part in parts])

"""The search for latent factors: the few directions of a transfer matrix, their uncertainty, and their traits.

Owns the way from a matrix of the warehouse to `predictor.latent.result.Latent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from traitcast.predictor.latent.associations import associate
from traitcast.predictor.latent.count import cross_validation, limit, parallel_analysis
from traitcast.predictor.latent.factors import (
    CENTRES,
    METHODS,
    Centre,
    Method,
    fit_factors,
    low_rank,
    per_direction,
    shares,
    solve,
)
from traitcast.predictor.latent.gain_table import GainTable, gain_table
from traitcast.predictor.latent.result import Factor, Interval, Latent
from traitcast.predictor.latent.stability import BOOTSTRAPS, bootstrap, jackknife
from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import ScoresError, UserError, nearest, some

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse

__all__ = ["Latent", "latent_of"]
Word = TypeVar("Word", bound=str)
# A normal estimate's 95 %, in standard errors.
_NORMAL = 1.96
# Centring leaves this share of the variance between sources of a table of levels alone, by rounding.
_ROUNDING = 1e-9


def latent_of(
    warehouse: Warehouse,
    *,
    matrix: str | None = None,
    model: str | None = None,
    factors: str | int = "auto",
    method: str = "pca",
    centre: str = "target",
    standardise: bool = False,
    seed: int = 0,
    bootstraps: int = BOOTSTRAPS,
    least: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Latent:
    """The factors of one matrix of the warehouse, for one model.

    Parameters
    ----------
    warehouse
        An open warehouse.
    bootstraps
        Resamples of sources, and as many of targets.
    least
        As many are taken where the search finds fewer but finds any.
    matrix, model, factors, method, centre, standardise, seed, on_progress
        As in `predictor.studies.latent`.

    Raises
    ------
    ScoresError
        For a matrix in which no factors can be looked for.
    UserError
        For an unknown method or centre, or a number of factors that the matrix does not allow.
    """
    form, off = _one_of("method", method, METHODS), _one_of("centre", centre, CENTRES)
    table = gain_table(warehouse.cells(matrix, model), standardise=standardise)
    _refuse_levels(table, off)
    most = limit(table.values.shape)
    asked = _asked(factors, most * per_direction(form), table)
    rng = np.random.default_rng(seed)
    parallel = parallel_analysis(table.values, off, most, rng)
    validated = cross_validation(table.values, off, most, rng)
    k = asked or min(parallel.factors, validated.factors) * per_direction(form)
    k = least if 0 < k < least <= most * per_direction(form) else k
    found = _Resampled.of(table.values, k, form, off, rng, bootstraps, on_progress)
    traits = warehouse.trait_matrix()
    sides = (("source", table.sources, found.scores), ("target", table.targets, found.loadings))
    profiled = set(traits.names)
    return Latent(
        matrix=table.matrix.matrix,
        model=table.model,
        base=table.matrix.base,
        method=form,
        centre=off,
        unit="sd" if standardise else "pp",
        sources=table.sources,
        targets=table.targets,
        scores=found.scores,
        loadings=found.loadings,
        score_errors=found.score_errors,
        loading_errors=found.loading_errors,
        factors=found.factors,
        explained=found.explained,
        source_space=found.source_space,
        target_space=found.target_space,
        noise=table.noise(off == "double"),
        measured=int(np.isfinite(table.values).sum()),
        filled=int(np.isnan(table.values).sum()) - table.diagonal_cells,
        diagonal=table.diagonal,
        parallel=parallel,
        cross_validation=validated,
        asked=asked,
        most=most * per_direction(form),
        associations=associate(sides, traits),
        profiled=(len(profiled & set(table.sources)), len(profiled & set(table.targets))),
        seed=seed,
        notes=(*table.notes, *_notes(table, profiled)),
    )


@dataclass(frozen=True, slots=True)
class _Resampled:
    """A solution with its uncertainty by bootstraps and jackknife."""

    scores: np.ndarray
    loadings: np.ndarray
    score_errors: np.ndarray
    loading_errors: np.ndarray
    factors: tuple[Factor, ...]
    explained: Interval
    source_space: Interval
    target_space: Interval

    @classmethod
    def of(
        cls,
        table: np.ndarray,
        k: int,
        method: Method,
        centre: Centre,
        rng: np.random.Generator,
        bootstraps: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> _Resampled:
        fit = fit_factors(table, k, method, centre)
        if k == 0:
            none = Interval(np.nan, np.nan, np.nan)
            rows, columns = np.empty((len(table), 0)), np.empty((table.shape[1], 0))
            return cls(rows, columns, rows, columns, (), Interval(0.0, np.nan, np.nan), none, none)
        done, total = 0, 2 * bootstraps + sum(table.shape)

        def advance() -> None:
            nonlocal done
            done += 1
            if on_progress is not None:
                on_progress(done, total)

        solution = solve(fit, k, method)
        by_targets, by_sources = (
            bootstrap(table, fit, k, method, centre, axis, rng, bootstraps=bootstraps, advance=advance)
            for axis in (1, 0)
        )
        each, every = shares(table, fit, solution)
        each_error, every_error = jackknife(table, fit, k, method, centre, advance=advance)
        return cls(
            scores=solution.scores,
            loadings=solution.loadings,
            score_errors=by_targets.vectors.std(axis=0, ddof=1),
            loading_errors=by_sources.vectors.std(axis=0, ddof=1),
            factors=tuple(
                Factor(
                    number=f + 1,
                    share=_around(each[f], each_error[f]),
                    source_congruence=_percentiles(by_targets.matched[:, f]),
                    target_congruence=_percentiles(by_sources.matched[:, f]),
                )
                for f in range(k)
            ),
            explained=_around(every, every_error),
            source_space=_percentiles(by_targets.space),
            target_space=_percentiles(by_sources.space),
        )


def _refuse_levels(table: GainTable, centre: Centre) -> None:
    """Raises ScoresError where double centring leaves nothing: levels of sources and targets explain all gains."""
    if centre == "target":
        return
    known = np.isfinite(table.values)
    between, left = (low_rank(table.values, 0, off).centred[known] for off in CENTRES)
    if (left**2).sum() > _ROUNDING * (between**2).sum():
        return
    levels = command("latent", "--matrix", table.matrix.matrix, "--model", table.model, "--factors", "1")
    raise ScoresError(
        f"matrix {table.matrix.matrix!r}: every gain of {table.model} is the level of its source plus that of its "
        f"target, so --centre {centre} leaves nothing in which to look for factors. See the levels with: {levels}"
    )


def _around(value: float, error: float) -> Interval:
    low, high = np.clip([value - _NORMAL * error, value + _NORMAL * error], 0.0, 1.0)
    return Interval(float(value), float(low), float(high))


def _percentiles(values: np.ndarray) -> Interval:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return Interval(float(middle), float(low), float(high))


def _one_of(what: str, value: str, allowed: Sequence[Word]) -> Word:
    for word in allowed:
        if word == value:
            return word
    raise UserError(f"unknown {what} {value!r}{nearest(value, allowed)} Allowed: {', '.join(allowed)}.")


def _asked(factors: str | int, most: int, table: GainTable) -> int | None:
    if factors == "auto":
        return None
    number = int(factors) if str(factors).isdecimal() else -1
    if not 1 <= number <= most:
        rows, columns = table.values.shape
        raise UserError(
            f"factors {factors!r} is not allowed: {rows} sources x {columns} targets take auto, or 1 to {most}. "
            f"Try: {command('latent', '--matrix', table.matrix.matrix, '--model', table.model)}"
        )
    return number


def _notes(table: GainTable, profiled: set[str]) -> list[str]:
    unknown = sorted((set(table.sources) | set(table.targets)) - profiled)
    if not unknown:
        return []
    return [f"{count(len(unknown), 'dataset')} without a profile, and so without traits: {some(unknown, 8)}"]

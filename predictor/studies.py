"""What commands and the Python API ask of a measured matrix, each question with its options stated once."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from traitcast.predictor.effects import interventions as _interventions
from traitcast.predictor.effects import side_effects
from traitcast.predictor.effects.interventions import Interventions
from traitcast.predictor.effects.tables import Effects
from traitcast.predictor.latent.result import Latent
from traitcast.predictor.latent.search import latent_of
from traitcast.warehouse.console import default_warehouse
from traitcast.warehouse.database.warehouse import Warehouse

_WAREHOUSE = default_warehouse()

P = ParamSpec("P")
R = TypeVar("R")


def _scores_is_matrix(function: Callable[P, R]) -> Callable[P, R]:
    """Accept `scores=`, the earlier name of `matrix=`, with a warning."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if "scores" in kwargs:
            if "matrix" in kwargs:
                raise TypeError("scores= is the earlier name of matrix=: give matrix= only")
            warnings.warn("scores= is now called matrix=", DeprecationWarning, stacklevel=2)
            kwargs["matrix"] = kwargs.pop("scores")
        return function(*args, **kwargs)

    return call


@_scores_is_matrix
def effects(
    source: str,
    *,
    target: str | None = None,
    matrix: str | None = None,
    model: str | None = None,
    warehouse: str | Path = _WAREHOUSE,
) -> Effects:
    """What tuning on `source` did to every target of a measured matrix, apart from the score it was tuned for.

    Gains and losses, shifts of answers over labels, lengths, malformed answers, kinds of rows, and pairs whose two
    directions differ.

    Parameters
    ----------
    source
        The dataset that was tuned on.
    target
        Report on this target only, with its confusion matrices.
    matrix, model
        Needed where the warehouse has several matrices, or the matrix several models.
    warehouse
        DuckDB file; the shipped data answer where it does not exist.

    Returns
    -------
    Effects
        Tables with standard errors, p and q values; gains in pp.

    Raises
    ------
    ScoresError
        For what was not measured.
    """
    with Warehouse.open(warehouse, read_only=True) as opened:
        return side_effects.effects(opened, source, matrix=matrix, model=model, target=target)


@_scores_is_matrix
def interventions(
    *,
    matrix: str | None = None,
    model: str | None = None,
    metric: str | None = None,
    warehouse: str | Path = _WAREHOUSE,
) -> Interventions:
    """What deliberate changes to datasets did: variants (`traitcast vary`) in a matrix against their parents.

    Parameters
    ----------
    matrix, model
        Needed where several matrices have variants, or the matrix has several models.
    metric
        Metric of the gains; None for the headline metric of the matrix.
    warehouse
        DuckDB file; the shipped data answer where it does not exist.

    Returns
    -------
    Interventions
        One effect for every change, outcome and place, with its 95 % interval.

    Raises
    ------
    ScoresError
        For a matrix without variants.
    """
    with Warehouse.open(warehouse, read_only=True) as opened:
        return _interventions.interventions(opened, matrix=matrix, model=model, metric=metric)


@_scores_is_matrix
def latent(
    *,
    matrix: str | None = None,
    model: str | None = None,
    factors: str | int = "auto",
    method: str = "pca",
    centre: str = "target",
    standardise: bool = False,
    seed: int = 0,
    warehouse: str | Path = _WAREHOUSE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Latent:
    """The latent factors of a measured matrix: how many, how stable, and which traits correlate with them.

    Parameters
    ----------
    matrix, model
        Needed where the warehouse has several matrices, or the matrix several models.
    factors
        "auto" (the smaller number of parallel analysis and cross-validation), or a number.
    method
        "pca", "varimax" or "nmf".
    centre
        "target" subtracts the mean gain of every target, "double" that of every source as well.
    standardise
        Give every target the same weight, however far its gains spread.
    seed
        Seed of permutations, folds and bootstraps.
    warehouse
        DuckDB file; the shipped data answer where it does not exist.
    on_progress
        Called with (done, total) resamples.

    Returns
    -------
    Latent
        Scores (sources, factors) and loadings (targets, factors), with their uncertainty.

    Raises
    ------
    UserError
        For an unknown method or centre, or a number of factors that the matrix does not allow.
    ScoresError
        For a matrix that is too small, or whose gains do not differ.
    """
    with Warehouse.open(warehouse, read_only=True) as opened:
        return latent_of(
            opened,
            matrix=matrix,
            model=model,
            factors=factors,
            method=method,
            centre=centre,
            standardise=standardise,
            seed=seed,
            on_progress=on_progress,
        )

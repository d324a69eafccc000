"""The public Python API and `__version__`. Nothing heavy is imported before a function is used.

`profiler`, `predictor`, `training` and `warehouse` in this folder are links to the folders of the same names at the
top of the repository, so that the installed package is one, `traitcast`. Narration goes to stderr;
TRAITCAST_QUIET=1 silences it.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from traitcast.predictor.explanation.shap import Explanation
    from traitcast.predictor.explanation.whatif import WhatIf
    from traitcast.predictor.model.prediction import Prediction, Ranking
    from traitcast.predictor.model.predictor import Predictor
    from traitcast.predictor.studies import effects, interventions, latent
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.errors import (
        InputError,
        MissingExtraError,
        NoAnswersError,
        NotProfiledError,
        NotSharedError,
        QueryError,
        ScoresError,
        TraitcastError,
        UserError,
        WarehouseError,
    )
    from traitcast.warehouse.profiled import Profiled

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "MissingExtraError",
    "NoAnswersError",
    "NotProfiledError",
    "NotSharedError",
    "QueryError",
    "ScoresError",
    "TraitcastError",
    "UserError",
    "WarehouseError",
    "__version__",
    "effects",
    "explain",
    "impact",
    "interventions",
    "latent",
    "predict",
    "profile",
    "rank",
    "whatif",
]

# As `warehouse.console.default_warehouse` says, without importing it.
_WAREHOUSE = os.environ.get("TRAITCAST_WAREHOUSE") or "traitcast.duckdb"
# Questions about a measured matrix need no profiling: they are the predictor's own functions.
_OF_PREDICTOR = ("effects", "interventions", "latent")


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """The functions about measured matrices, and the errors to catch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "traitcast.predictor.studies" if name in _OF_PREDICTOR else "traitcast.warehouse.errors"
    return getattr(importlib.import_module(module), name)


def profile(dataset: Any, *, warehouse: str | Path | None = None, **options: Any) -> Profiled:
    """Profile a dataset: measure its traits.

    Parameters
    ----------
    dataset
        A local file or folder, or a Hugging Face hub id; or data in memory: a list of dicts, a pandas or polars frame,
        an Arrow table, a `datasets.Dataset` or `DatasetDict`, or a dict of those by split.
    warehouse
        DuckDB file to store the profile in; None stores nothing. Data in memory are stored as "data" unless named.
    **options
        Those of `traitcast.profiler.request.Request`: name, split, spec, roles, language, delimiter, quote, rows, seed,
        revision, config, stream, tokenizer, spacy_model, processes, engine, address.

    Returns
    -------
    Profiled
        `findings` (what is wrong, worst first), `traits` with their standard errors, label counts, length histograms
        and sketches; `plot()` draws lengths and classes, and a notebook shows both.

    Raises
    ------
    InputError
        For data that cannot be read.
    """
    from traitcast.profiler.request import Request
    from traitcast.profiler.service import profile_dataset, profile_into
    from traitcast.warehouse.profiled import Profiled

    _check_reading(options)
    request = Request(dataset, **options)
    found = profile_dataset(request) if warehouse is None else profile_into(str(warehouse), request)[0]
    return Profiled.of(found)


def predict(
    source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default", **reading: Any
) -> Prediction:
    """Predict what tuning on one dataset does to another.

    Parameters
    ----------
    source, target
        Profiled names, local files or folders, or hub ids. What is not profiled yet is profiled into `warehouse`.
    warehouse
        DuckDB file; the shipped data answer where it does not exist.
    predictor
        Name of a fitted predictor.
    **reading
        How to read the one that is no profiled name: split, spec, roles and other options of `profile`.

    Returns
    -------
    Prediction
        Gain, in its `unit`, with its 90 % interval, the chance of harm, and whether it is an extrapolation.

    Raises
    ------
    UserError
        For data that cannot be read, twice the same dataset, or an unknown predictor.
    """
    from traitcast.predictor import api

    with _asking(warehouse, predictor, source, target, **reading) as (opened, fitted, (source, target)):
        return api.predict_pair(opened, fitted, source, target)


def rank(
    target: str,
    sources: Sequence[str] | None = None,
    *,
    warehouse: str | Path = _WAREHOUSE,
    predictor: str = "default",
    **reading: Any,
) -> Ranking:
    """Rank sources for a target by predicted gain, the best first.

    Parameters
    ----------
    target
        The dataset to improve on, as in `predict`.
    sources
        Datasets to rank; None for every other profiled dataset of at least 100 rows that is no variant.
    warehouse, predictor, **reading
        As in `predict`.

    Returns
    -------
    Ranking
        A list of `Prediction`.

    Raises
    ------
    UserError
        As `predict` does, and if no source is left to rank.
    """
    from traitcast.predictor import api
    from traitcast.warehouse.errors import UserError

    if isinstance(sources, str):
        raise UserError(f"sources {sources!r} is one name, not a list. Write [{sources!r}].")
    with _asking(warehouse, predictor, target, *(sources or ()), **reading) as (opened, fitted, (target, *chosen)):
        return api.rank_sources(opened, fitted, target, None if sources is None else chosen)


def impact(source: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default", **reading: Any) -> Ranking:
    """What tuning on one dataset does to every target that the predictor was fitted to, the most harmed first.

    Parameters
    ----------
    source
        The dataset to tune on, as in `predict`.
    warehouse, predictor, **reading
        As in `predict`.

    Returns
    -------
    Ranking
        A list of `Prediction`.

    Raises
    ------
    UserError
        As `predict` does.
    """
    from traitcast.predictor import api

    with _asking(warehouse, predictor, source, **reading) as (opened, fitted, (source,)):
        return api.impact(opened, fitted, source)


def explain(
    source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default", **reading: Any
) -> Explanation:
    """Split the prediction for one pair into what each trait adds, by exact TreeSHAP.

    Parameters
    ----------
    source, target, warehouse, predictor, **reading
        As in `predict`.

    Returns
    -------
    Explanation
        A base value and one contribution per trait, which add up to the prediction, in its unit.

    Raises
    ------
    UserError
        As `predict` does.
    """
    from traitcast.predictor import api

    with _asking(warehouse, predictor, source, target, **reading) as (opened, fitted, (source, target)):
        return api.explain_pair(opened, fitted, source, target)


def whatif(
    source: str,
    target: str,
    changes: Mapping[str, float],
    *,
    warehouse: str | Path = _WAREHOUSE,
    predictor: str = "default",
    **reading: Any,
) -> WhatIf:
    """Predict one pair again with some traits changed.

    Parameters
    ----------
    source, target, warehouse, predictor, **reading
        As in `predict`.
    changes
        Trait -> new value in its unit: of the source ("label_majority_share") or of the target
        ("target:prompt_tokens_mean").

    Returns
    -------
    WhatIf
        Both predictions, the effect of every change, and what measured interventions say about it.

    Raises
    ------
    UserError
        As `predict` does, and for an unknown trait or an impossible value.
    """
    from traitcast.predictor import api
    from traitcast.predictor.explanation.whatif import addressed

    changed = {addressed(trait): float(value) for trait, value in changes.items()}
    with _asking(warehouse, predictor, source, target, **reading) as (opened, fitted, (source, target)):
        return api.what_if_pair(opened, fitted, source, target, changed)


def _check_reading(options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that `profile` does not have."""
    from dataclasses import fields

    from traitcast.profiler.request import Request
    from traitcast.warehouse.errors import nearest

    known = [field.name for field in fields(Request) if field.name != "dataset"]
    for name in options:
        if name not in known:
            raise TypeError(
                f"unexpected keyword argument {name!r}{nearest(name, known)} Options of reading are {', '.join(known)}."
            )


@contextmanager
def _asking(
    warehouse: str | Path, predictor: str, *datasets: str, **reading: Any
) -> Iterator[tuple[Warehouse, Predictor, list[str]]]:
    """The opened warehouse, the predictor, and the names of the datasets, which are profiled first if need be."""
    from traitcast.front_door import FrontDoor
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    _check_reading(reading)
    names = FrontDoor().ensure_profiled(datasets, str(warehouse), **reading)
    with Warehouse.open(warehouse, read_only=True) as opened:
        yield opened, api.predictor_of(opened, predictor), names

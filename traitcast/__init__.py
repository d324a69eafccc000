"""The public Python API and `__version__`. Nothing heavy is imported before a function is called.

`profiler`, `predictor`, `training` and `warehouse` in this folder are links to the folders of the same names at the
top of the repository, so that the installed package is one, `traitcast`. Narration goes to stderr;
TRAITCAST_QUIET=1 silences it.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.front_door import FrontDoor as _FrontDoor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from traitcast.predictor.effects.interventions import Interventions
    from traitcast.predictor.effects.tables import Effects
    from traitcast.predictor.explanation.shap import Explanation
    from traitcast.predictor.explanation.whatif import WhatIf
    from traitcast.predictor.latent.search import Latent
    from traitcast.predictor.model.predictor import Prediction
    from traitcast.warehouse.errors import (
        InputError,
        MissingExtraError,
        NotProfiledError,
        NotSharedError,
        QueryError,
        ScoresError,
        TraitcastError,
        UserError,
        WarehouseError,
    )
    from traitcast.warehouse.records import Profile

__version__ = "0.1.0"
__all__ = [
    "InputError",
    "MissingExtraError",
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
    "interventions",
    "latent",
    "predict",
    "profile",
    "rank",
    "whatif",
]

# As the commands take it.
_WAREHOUSE = os.environ.get("TRAITCAST_WAREHOUSE") or "traitcast.duckdb"


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """The errors to catch, from `traitcast.warehouse.errors`."""
    if name in __all__:
        return getattr(importlib.import_module("traitcast.warehouse.errors"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def profile(dataset: str, *, warehouse: str | Path | None = None, **options: Any) -> Profile:
    """Profile a local file or folder, or a hub id, and return its traits.

    warehouse: a DuckDB file to store the profile in; None stores nothing. options: those of
    `traitcast.profiler.request.Request` (name, split, spec, rows, seed, revision, config, processes, spacy_model).
    Raises traitcast.warehouse.errors.InputError for data that cannot be read.
    """
    from traitcast.profiler.request import Request
    from traitcast.profiler.service import profile_dataset, profile_into

    if warehouse is None:
        return profile_dataset(Request(dataset, **options))
    return profile_into(str(warehouse), Request(dataset, **options))[0]


def predict(source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default") -> Prediction:
    """What tuning on `source` is predicted to do to `target`: gain in pp, 90 % interval, chance of harm, novelty.

    source, target: profiled names, local files or folders, or hub ids; what is not profiled yet is profiled into
    `warehouse`. Without that file the shipped reference data answers. Raises traitcast.warehouse.errors.UserError.
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    door = _FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    with Warehouse.open(warehouse, read_only=True) as opened:
        return api.predict_pair(opened, api.predictor_of(opened, predictor), source, target)


def rank(
    target: str,
    sources: Sequence[str] | None = None,
    *,
    warehouse: str | Path = _WAREHOUSE,
    predictor: str = "default",
) -> list[Prediction]:
    """Predictions of `sources` (default: every other profiled dataset) for `target`, best first. See `predict`."""
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.outdated import warn_outdated

    if isinstance(sources, str):
        from traitcast.warehouse.errors import UserError

        raise UserError(f"sources {sources!r} is one name, not a list. Write [{sources!r}].")
    door = _FrontDoor()
    target = door.ensure_profiled(target, str(warehouse))
    chosen = None if sources is None else [door.ensure_profiled(source, str(warehouse)) for source in sources]
    with Warehouse.open(warehouse, read_only=True) as opened:
        if chosen is None:
            warn_outdated(opened, [name for name in opened.dataset_names() if name != target])
        return api.rank_sources(opened, api.predictor_of(opened, predictor), target, chosen)


def explain(source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default") -> Explanation:
    """The prediction for one pair taken apart by exact TreeSHAP, in pp per trait. See `predict`."""
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    door = _FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    with Warehouse.open(warehouse, read_only=True) as opened:
        return api.explain_pair(opened, api.predictor_of(opened, predictor), source, target)


def whatif(
    source: str,
    target: str,
    changes: Mapping[str, float],
    *,
    warehouse: str | Path = _WAREHOUSE,
    predictor: str = "default",
) -> WhatIf:
    """The prediction for one pair with traits changed. See `predict`.

    changes: trait -> value, of the source ("label_majority_share") or of the target ("target:prompt_tokens_mean").
    """
    from traitcast.predictor import api
    from traitcast.predictor.explanation.whatif import addressed
    from traitcast.warehouse.database.warehouse import Warehouse

    door = _FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    changed = {addressed(trait): float(value) for trait, value in changes.items()}
    with Warehouse.open(warehouse, read_only=True) as opened:
        return api.what_if_pair(opened, api.predictor_of(opened, predictor), source, target, changed)


def effects(
    source: str,
    *,
    target: str | None = None,
    scores: str | None = None,
    model: str | None = None,
    warehouse: str | Path = _WAREHOUSE,
) -> Effects:
    """What tuning on `source` did to every target of a measured matrix: gains and losses, shifts of answers over
    labels, lengths, malformed answers, kinds of rows, and pairs that are not alike both ways.

    target: look at this one only, with its confusion matrices. scores, model: needed where there are several.
    Raises traitcast.warehouse.errors.ScoresError for what was not measured.
    """
    from traitcast.predictor.effects.side_effects import effects as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse, read_only=True) as opened:
        return find(opened, source, matrix=scores, model=model, target=target)


def interventions(
    *,
    scores: str | None = None,
    model: str | None = None,
    metric: str | None = None,
    warehouse: str | Path = _WAREHOUSE,
) -> Interventions:
    """What changes made on purpose did: the variants (`traitcast vary`) in a measured matrix beside their parents.

    scores, model: needed where there are several. metric: of the gains, instead of the headline. Raises
    traitcast.warehouse.errors.ScoresError for a matrix without variants.
    """
    from traitcast.predictor.effects.interventions import interventions as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse, read_only=True) as opened:
        return find(opened, matrix=scores, model=model, metric=metric)


def latent(
    *,
    scores: str | None = None,
    model: str | None = None,
    factors: str | int = "auto",
    method: str = "pca",
    centre: str = "target",
    standardise: bool = False,
    seed: int = 0,
    warehouse: str | Path = _WAREHOUSE,
) -> Latent:
    """The latent factors of a measured transfer matrix: how many there are, how stable, and which traits go with them.

    scores, model: needed where there are several. factors: "auto" or a number. method: "pca", "varimax" or "nmf".
    centre: "target" or "double". See `traitcast.predictor.latent.search.latent_of`. Raises traitcast.warehouse.errors.UserError.
    """
    from traitcast.predictor.latent.search import latent_of
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse, read_only=True) as opened:
        return latent_of(
            opened,
            matrix=scores,
            model=model,
            factors=factors,
            method=method,
            centre=centre,
            standardise=standardise,
            seed=seed,
        )

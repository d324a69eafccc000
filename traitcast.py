"""The front door of traitcast: `__version__`, the public Python API, and the root of the command line.

Nothing heavy is imported here or by the rooms' `cli.py`: `import traitcast` and `traitcast --help` stay quick.
Refuses to start where another file hides one of the rooms. Narration goes to stderr; TRAITCAST_QUIET=1 silences it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.effect_tables import Effects
    from predictor.explain import Explanation
    from predictor.interventions import Interventions
    from predictor.latent import Latent
    from predictor.model import Prediction
    from predictor.whatif import WhatIf
    from warehouse.errors import (
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
    from warehouse.records import Profile

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
    "main",
    "predict",
    "profile",
    "rank",
    "whatif",
]

_ROOMS = ("profiler", "predictor", "training", "warehouse")
_ORDER = (
    "profile",
    "vary",
    "datasets",
    "show",
    "compare",
    "card",
    "sql",
    "scores",
    "matrix",
    "probe",
    "fit",
    "evaluate",
    "predict",
    "rank",
    "explain",
    "whatif",
    "effects",
    "interventions",
    "latent",
    "report",
)
# As the commands take it.
_WAREHOUSE = os.environ.get("TRAITCAST_WAREHOUSE") or "traitcast.duckdb"


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """The errors to catch, from `warehouse.errors`."""
    if name in __all__:
        return getattr(importlib.import_module("warehouse.errors"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def profile(dataset: str, *, warehouse: str | Path | None = None, **options: Any) -> Profile:
    """Profile a local file or folder, or a hub id, and return its traits.

    warehouse: a DuckDB file to store the profile in; None stores nothing. options: those of
    `profiler.service.Request` (name, split, spec, rows, seed, revision, config, processes, spacy_model).
    Raises warehouse.errors.InputError for data that cannot be read.
    """
    from profiler.service import Request, profile_dataset, profile_into

    if warehouse is None:
        return profile_dataset(Request(dataset, **options))
    return profile_into(str(warehouse), Request(dataset, **options))[0]


def predict(source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default") -> Prediction:
    """What tuning on `source` is predicted to do to `target`: gain in pp, 90 % interval, chance of harm, novelty.

    source, target: profiled names, local files or folders, or hub ids; what is not profiled yet is profiled into
    `warehouse`. Without that file the shipped reference data answers. Raises warehouse.errors.UserError.
    """
    from predictor import service
    from warehouse.store import Warehouse

    door = FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    with Warehouse.open(warehouse, read_only=True) as opened:
        return service.predict_pair(opened, service.predictor_of(opened, predictor), source, target)


def rank(
    target: str,
    sources: Sequence[str] | None = None,
    *,
    warehouse: str | Path = _WAREHOUSE,
    predictor: str = "default",
) -> list[Prediction]:
    """Predictions of `sources` (default: every other profiled dataset) for `target`, best first. See `predict`."""
    from predictor import service
    from warehouse.outdated import warn_outdated
    from warehouse.store import Warehouse

    if isinstance(sources, str):
        from warehouse.errors import UserError

        raise UserError(f"sources {sources!r} is one name, not a list. Write [{sources!r}].")
    door = FrontDoor()
    target = door.ensure_profiled(target, str(warehouse))
    chosen = None if sources is None else [door.ensure_profiled(source, str(warehouse)) for source in sources]
    with Warehouse.open(warehouse, read_only=True) as opened:
        if chosen is None:
            warn_outdated(opened, [name for name in opened.dataset_names() if name != target])
        return service.rank_sources(opened, service.predictor_of(opened, predictor), target, chosen)


def explain(source: str, target: str, *, warehouse: str | Path = _WAREHOUSE, predictor: str = "default") -> Explanation:
    """The prediction for one pair taken apart by exact TreeSHAP, in pp per trait. See `predict`."""
    from predictor import service
    from warehouse.store import Warehouse

    door = FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    with Warehouse.open(warehouse, read_only=True) as opened:
        return service.explain_pair(opened, service.predictor_of(opened, predictor), source, target)


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
    from predictor import service
    from predictor.whatif import addressed
    from warehouse.store import Warehouse

    door = FrontDoor()
    source, target = (door.ensure_profiled(dataset, str(warehouse)) for dataset in (source, target))
    changed = {addressed(trait): float(value) for trait, value in changes.items()}
    with Warehouse.open(warehouse, read_only=True) as opened:
        return service.what_if_pair(opened, service.predictor_of(opened, predictor), source, target, changed)


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
    Raises warehouse.errors.ScoresError for what was not measured.
    """
    from predictor.effects import effects as find
    from warehouse.store import Warehouse

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
    warehouse.errors.ScoresError for a matrix without variants.
    """
    from predictor.interventions import interventions as find
    from warehouse.store import Warehouse

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
    centre: "target" or "double". See `predictor.latent.latent_of`. Raises warehouse.errors.UserError.
    """
    from predictor.latent import latent_of
    from warehouse.store import Warehouse

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


@dataclass(frozen=True)
class FrontDoor:
    """What the root hands to commands of rooms that may not import each other (`ctx.obj`)."""

    def ensure_profiled(self, dataset: str, warehouse_path: str) -> str:
        """The name under which `dataset` is profiled; a local file or folder is profiled first if need be.

        Warns on stderr of a profile, given by name, that was measured with older trait definitions.
        """
        from profiler.service import ensure_profiled
        from warehouse.outdated import warn_outdated
        from warehouse.store import Warehouse

        name = ensure_profiled(dataset, warehouse_path)
        if Path(warehouse_path).exists():
            with Warehouse.open(warehouse_path, read_only=True) as opened:
                warn_outdated(opened, [name])
        return name


class _Root(click.Group):
    """Lists commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traitcast")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Before you fine-tune, know what it will do.

    Profile a text dataset, query its traits, and predict what tuning on it does to a task.

    \b
    Examples:
      traitcast rank my.jsonl                 which public dataset to tune on first for my task
      traitcast predict my.jsonl gsm8k        what tuning on my data does to the maths score
      traitcast sql "SELECT * FROM profiles"  every trait of every profiled dataset

    DATASET is a profiled name, a local file or folder (JSONL, JSON, CSV, TSV, Parquet, Arrow; also .gz, .zst),
    or a Hugging Face hub id.
    """
    ctx.obj = FrontDoor()


def _hidden_room() -> str | None:
    """What to tell when Python finds another file under the name of a room, which lies beside this file."""
    home = Path(__file__).resolve().parent
    for room in _ROOMS:
        found = importlib.util.find_spec(room)
        place = Path(found.origin).resolve() if found is not None and found.origin else None
        if place is not None and place.parent != home / room:
            return (
                f"{place} hides the package {room!r} of traitcast, because Python looks in its folder first. Start the "
                "program as `traitcast` or `python -P -m traitcast`; in a script of your own set PYTHONSAFEPATH=1, or "
                "rename that file or folder."
            )
    return None


if _hidden := _hidden_room():
    if __name__ == "__main__":
        sys.exit(f"Error: {_hidden}")
    raise ImportError(_hidden)

for _room in _ROOMS:
    for _command in importlib.import_module(f"{_room}.cli").COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    cli(prog_name="traitcast")


if __name__ == "__main__":
    main()

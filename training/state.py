"""The state of a pack: what is trained, failed and scored. The files of the pack are the only state there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from traitcast.training.plan.pack import Pack
from traitcast.training.plan.recipe import BASE_SEED, Recipe, Runtime, adapter_key
from traitcast.training.results import shards


@dataclass(frozen=True, slots=True)
class Status:
    """How far a pack is.

    Attributes
    ----------
    adapters, trained, failed, measured
        Planned adapters, those whose checkpoints are here, those whose loss or gradient was not finite, and those that
        have all their cells, here or from another machine.
    cells, scored
        Planned cells, and those that are measured.
    precisions
        Measured cells by the precision of the model. Their sum is above `scored` where some were measured in two.
    runtime
        Weights and precision of the base model; None before the first run.
    """

    adapters: int
    trained: int
    failed: int
    measured: int
    cells: int
    scored: int
    precisions: dict[str, int]
    runtime: Runtime | None


def status(pack: Pack) -> Status:
    """Count what is there. Before the first run nothing is known of the weights, so nothing can be done."""
    recipe, runtime = pack.recipe, shards.read_runtime(pack)
    keys = [adapter_keys(recipe, runtime, job) for group in recipe.groups for job in group]
    trained = sum(any(is_trained(pack, key) for key in of) for of in keys)
    failed = sum(any(failure(pack, key).is_file() for key in of) for of in keys)
    found = shards.scored_by_precision(pack)
    scored = set().union(*found.values())
    measured = sum(
        all((source, seed, target) in scored for target in recipe.targets)
        for group in recipe.groups
        for source, seed in group
    )
    counts = {dtype: len(places) for dtype, places in found.items() if places}
    return Status(len(keys), trained, failed, measured, recipe.cells, len(scored), counts, runtime)


def adapter_keys(recipe: Recipe, runtime: Runtime | None, job: tuple[str, int]) -> list[str]:
    """The keys that the adapter of (source, seed) may have: one per precision that the pack may be measured in."""
    return [adapter_key(recipe, one, *job) for one in runtime.definite] if runtime else []


def unfinished(pack: Pack) -> tuple[int, ...]:
    """Which groups of adapters, counted from 1, have cells that are missing; the base's belong to the first."""
    recipe, found = pack.recipe, shards.scored(pack)

    def lacks(model: tuple[str | None, int]) -> bool:
        return any((*model, target) not in found for target in recipe.targets)

    return tuple(at for at in range(1, len(recipe.groups) + 1) if any(map(lacks, jobs_of(recipe, at))))


def jobs_of(recipe: Recipe, group: int) -> set[tuple[str | None, int]]:
    """(source, seed) of a group, counted from 1; the base's cells are measured with the first."""
    return {*recipe.groups[group - 1], *([(None, BASE_SEED)] if group == 1 else [])}


def forget_failures(pack: Pack, keys: Iterable[str] | None = None) -> None:
    """Make adapters that were not finite count as missing, with their cells. keys: among these (None: all)."""
    if keys is None:
        recipe, runtime = pack.recipe, shards.read_runtime(pack)
        keys = [key for group in recipe.groups for job in group for key in adapter_keys(recipe, runtime, job)]
    failures = {key: path for key in keys if (path := failure(pack, key)).is_file()}
    # Their cells first: a run that is killed here still knows of the failures.
    shards.drop(pack, set(failures))
    for path in failures.values():
        path.unlink()


def is_trained(pack: Pack, key: str) -> bool:
    """Whether the checkpoint of an adapter is there."""
    return (pack.adapters / key / "adapter_config.json").is_file()


def failure(pack: Pack, key: str) -> Path:
    """The record of an adapter that was not finite."""
    return pack.adapters / f"{key}.failed.json"

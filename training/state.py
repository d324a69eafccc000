"""The state of a pack: what is trained, failed and scored, with which weights, and the log of its runs.

Owns the reading of these from the files of the pack, which are the only state there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from traitcast.training.plan.pack import Pack
from traitcast.training.plan.recipe import BASE_SEED, Recipe, Runtime, adapter_key
from traitcast.training.results import shards


@dataclass(frozen=True, slots=True)
class Status:
    """Where a pack stands. failed: adapters that were not finite."""

    adapters: int
    trained: int
    failed: int
    cells: int
    scored: int
    runtime: Runtime | None


def status(pack: Pack) -> Status:
    """Count what is there. Before the first run nothing is known of the weights, and nothing can be done."""
    recipe, runtime = pack.recipe, shards.read_runtime(pack)
    jobs = [job for group in recipe.groups for job in group]
    if runtime is None:
        return Status(len(jobs), 0, 0, recipe.cells, 0, None)
    adapter_keys = [adapter_key(recipe, runtime, *job) for job in jobs]
    trained = sum((pack.adapters / key / "adapter_config.json").is_file() for key in adapter_keys)
    failed = sum(failure(pack, key).is_file() for key in adapter_keys)
    done = set(shards.expected(pack, runtime)) & shards.keys(pack)
    return Status(len(jobs), trained, failed, recipe.cells, len(done), runtime)


def unfinished(pack: Pack) -> tuple[int, ...]:
    """Which groups of adapters, counted from 1, have cells that are missing; the base's belong to the first."""
    recipe, runtime = pack.recipe, shards.read_runtime(pack)
    if runtime is None:
        return tuple(range(1, len(recipe.groups) + 1))
    found = shards.keys(pack)
    missing = {job[:2] for key, job in shards.expected(pack, runtime).items() if key not in found}
    return tuple(at for at in range(1, len(recipe.groups) + 1) if missing & jobs_of(recipe, at))


def jobs_of(recipe: Recipe, group: int) -> set[tuple[str | None, int]]:
    """(source, seed) of a group, counted from 1; the base's cells are measured with the first."""
    return {*recipe.groups[group - 1], *([(None, BASE_SEED)] if group == 1 else [])}


def forget_failures(pack: Pack, keys: Iterable[str] | None = None) -> None:
    """Make adapters that were not finite count as missing, with their cells. keys: among these (None: all)."""
    if keys is None:
        runtime = shards.read_runtime(pack)
        keys = [adapter_key(pack.recipe, runtime, *job) for g in pack.recipe.groups for job in g] if runtime else []
    failures = {key: path for key in keys if (path := failure(pack, key)).is_file()}
    # Their cells first: a run that is killed here still knows of the failures.
    shards.drop(pack, set(failures))
    for path in failures.values():
        path.unlink()


def failure(pack: Pack, key: str) -> Path:
    return pack.adapters / f"{key}.failed.json"

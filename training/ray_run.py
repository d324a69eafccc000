"""A pack on a Ray cluster: every group of adapters is a task that runs wherever there is room for it.

Owns how work and results travel. Where a node sees the pack's folder, it works in that folder as `matrix.run` does,
and a retried task continues from what the lost one left. Where it does not, recipe, rows and the keys of known cells
travel to it, and its cells and records travel back and are adopted; adapters stay behind there.
Refuses to keep any state of its own: what is left to do are the planned cells less those found, so a run that is
stopped or loses a node continues as any other run does. The base model must be known to every node by the same name.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitcast.training import run as matrix
from traitcast.training import state
from traitcast.training.plan.pack import RECIPE, Pack, write_aside
from traitcast.training.results import run_log, shards
from traitcast.training.results.cells import Cell
from traitcast.training.results.run_log import LOG
from traitcast.training.session import OnProgress, RunSettings
from traitcast.training.state import Status
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.ray_cluster import RETRIES, connected, result

_KNOWN = "known.parquet"
_TOKEN = ".shared-"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which cluster, and what one task of it takes.

    Parameters
    ----------
    address
        Of a running cluster, "auto" for the one on this machine. None: RAY_ADDRESS, else a cluster of this machine
        alone that ends with the run.
    gpus, cpus
        Per task. gpus None: 1 if the cluster has any and the device is not "cpu".
    shared
        Whether nodes that see the pack's own folder may work in it.
    """

    address: str | None = None
    gpus: float | None = None
    cpus: float = 1.0
    shared: bool = True


@dataclass(frozen=True, slots=True)
class _Order:
    """What a task is asked to do. token: name of a file in `folder` by which a node knows that it sees the same folder.
    until: seconds since the epoch, on clocks that are taken to agree."""

    folder: str
    token: str
    cwd: str
    part: tuple[int, int]
    settings: RunSettings
    until: float | None


@dataclass(frozen=True, slots=True)
class _Done:
    """What a task returns. files: path in the pack -> content, empty from a node that shares the folder."""

    node: str
    said: tuple[str, ...]
    files: Mapping[str, bytes]
    log: tuple[dict[str, Any], ...]


def run(
    pack: Pack,
    settings: RunSettings | None = None,
    cluster: ClusterSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
    say: Callable[[str], None] | None = None,
) -> Status:
    """Train and score everything that is missing on a Ray cluster, with the results of `run.run`.

    A task that dies with its node runs again elsewhere.

    Parameters
    ----------
    pack, settings, cluster
        What to measure, how a task uses its machine, and where.
    on_progress
        Counts groups (stage "groups").
    say
        Takes lines of narration.

    Raises
    ------
    InputError
        A part was asked for: the tasks are the parts. Also what the tasks raise.
    MissingExtraError
        Ray is not installed.
    """
    settings, cluster = settings or RunSettings(), cluster or ClusterSettings()
    on_progress, say = on_progress or (lambda *_: None), say or (lambda _: None)
    if settings.part != (1, 1):
        raise InputError("a part is for machines without an engine: leave --part out with --engine ray")
    if settings.retry_failed:
        state.forget_failures(pack)
    waiting = state.unfinished(pack)
    if not waiting:
        return state.status(pack)
    with connected(cluster.address, say) as ray, _token(pack, shared=cluster.shared) as token:
        tasks = _submit(ray, pack, settings, cluster, waiting, token, say)
        on_progress("groups", 0, len(tasks), 0)
        for done in range(1, len(tasks) + 1):
            (ready,), _ = ray.wait(list(tasks), num_returns=1)
            group = tasks.pop(ready)
            _take(pack, group, result(ray, ready, f"group {group}", kept="what is finished is kept"), say)
            on_progress("groups", done, len(waiting), 0)
    return state.status(pack)


def _submit(
    ray: Any,
    pack: Pack,
    settings: RunSettings,
    cluster: ClusterSettings,
    waiting: tuple[int, ...],
    token: str,
    say: Callable[[str], None],
) -> dict[Any, int]:
    """Hand all groups to Ray, which holds back those it has no room for: task -> number of its group."""
    gpus = cluster.gpus
    if gpus is None:
        gpus = 1.0 if settings.device != "cpu" and ray.cluster_resources().get("GPU") else 0.0
    _tell_room(ray, {"GPU": gpus, "CPU": cluster.cpus}, len(waiting), say)
    remote = ray.remote(num_cpus=cluster.cpus, num_gpus=gpus, max_retries=RETRIES)(_work)
    # As references, which cost a node that shares the folder nothing.
    common = ray.put(_common_files(pack))
    until = time.time() + 60 * settings.minutes if settings.minutes is not None else None
    plain = dataclasses.replace(settings, retry_failed=False)
    # Once, not for every group: it reads the keys of every shard.
    known = shards.thin(pack)
    tasks = {}
    for group in waiting:
        order = _Order(str(pack.folder.resolve()), token, os.getcwd(), (group, len(pack.recipe.groups)), plain, until)
        tasks[remote.remote(order, [common, ray.put(_known_cells(pack, group, known))])] = group
    return tasks


def _tell_room(ray: Any, needed: Mapping[str, float], tasks: int, say: Callable[[str], None]) -> None:
    """Say how much runs at once; a cluster that grows on demand may have no room yet, so that is no error."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    asked = {name: amount for name, amount in needed.items() if amount}
    room = [min((int(node.get(name, 0) // amount) for name, amount in asked.items()), default=tasks) for node in nodes]
    what = " and ".join(f"{amount:g} {name}" for name, amount in asked.items()) or "nothing"
    say(f"{tasks} groups of adapters, {what} each; {sum(room)} at once on {len(nodes)} nodes")
    if not sum(room):
        say("no node has room for a task: waiting for one that has; lower --gpus or --cpus if none will come")


def _common_files(pack: Pack) -> dict[str, bytes]:
    """What a node without the folder needs of the pack: recipe, rows, weights it was begun with, failures."""
    paths = [pack.folder / RECIPE, *(pack.folder / "data").glob("*.parquet"), *pack.adapters.glob("v1-*.failed.json")]
    files = {str(path.relative_to(pack.folder)): path.read_bytes() for path in paths}
    if (runtime := shards.read_runtime(pack)) is not None:
        files[shards.RUNTIME] = json.dumps(dataclasses.asdict(runtime)).encode()
    # One measurement of merged against exact scoring is enough, wherever it was made.
    files[LOG] = b"".join(json.dumps(flips).encode() + b"\n" for flips in run_log.read_flips(pack))
    return files


def _known_cells(pack: Pack, group: int, known: Sequence[Cell]) -> bytes:
    """The keys of those known cells that are of a group, as a shard without content; empty where there are none."""
    jobs = state.jobs_of(pack.recipe, group)
    mine = [cell for cell in known if (cell.source, cell.seed) in jobs]
    if not mine:
        return b""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / _KNOWN
        shards.write_file(path, mine)
        return path.read_bytes()


@contextmanager
def _token(pack: Pack, *, shared: bool) -> Iterator[str]:
    """The name of a new file in the pack's folder while the block runs: a folder at the same path that lacks it is
    another one. Empty when nodes shall not share."""
    if not shared:
        yield ""
        return
    path = pack.folder / (_TOKEN + secrets.token_hex(8))
    write_aside(path, b"")
    try:
        yield path.name
    finally:
        path.unlink(missing_ok=True)


def _work(order: _Order, files: list[Any]) -> _Done:
    """A task: one group, in the pack's folder or in a copy of what is needed of it."""
    import ray

    if os.path.isdir(order.cwd):
        # The base may be a relative path.
        os.chdir(order.cwd)
    if order.token and (Path(order.folder) / order.token).is_file():
        return _measure(Pack(Path(order.folder)), order)
    with tempfile.TemporaryDirectory() as scratch:
        folder, (common, known) = Path(scratch), ray.get(files)
        for name, content in common.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        pack, before = Pack(folder), len(common[LOG].splitlines())
        if known:
            pack.shards.mkdir()
            (pack.shards / _KNOWN).write_bytes(known)
        done = _measure(pack, order)
        log = tuple(run_log.read_log(pack)[before:])
        return dataclasses.replace(done, files=_new_files(pack), log=log)


def _measure(pack: Pack, order: _Order) -> _Done:
    import ray

    node, said = platform.node(), list[str]()
    part = dataclasses.replace(order.settings, part=order.part)
    if order.until is not None:
        part = dataclasses.replace(part, minutes=(order.until - time.time()) / 60)
        if order.until <= time.time():
            return _Done(node, ("no time left",), {}, ())
    place = ray.get_runtime_context().get_node_id()
    run_log.note(pack, stage="begin", part=list(order.part), node=node, ray_node=place, time=int(time.time()))
    matrix.run(pack, part, say=said.append)
    return _Done(node, tuple(said), {}, ())


def _new_files(pack: Pack) -> dict[str, bytes]:
    """What was measured in a copy of a pack: records of adapters, then shards, without the keys that came along."""
    paths = shards.records(pack)
    paths += [path for path in sorted(pack.shards.glob("*.parquet")) if path.name != _KNOWN]
    return {str(path.relative_to(pack.folder)): path.read_bytes() for path in paths}


def _take(pack: Pack, group: int, done: _Done, say: Callable[[str], None]) -> None:
    """Put what came back into the pack. Records first: cells without them would count as done and lack them."""
    for line in done.said:
        say(f"group {group} on {done.node}: {line}")
    for entry in done.log:
        run_log.note(pack, **entry)
    shard_files = {name: content for name, content in done.files.items() if name.startswith("shards")}
    for name in done.files.keys() - shard_files.keys():
        write_aside(pack.folder / name, done.files[name])
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in shard_files.items():
            path = Path(scratch) / Path(name).name
            path.write_bytes(content)
            shards.adopt(pack, path)

"""What is left of a warehouse when processes are killed, and when many want it at once.

    python benchmarks/reliability.py kills --points 60
    python benchmarks/reliability.py kills fit --points 20 --seed 3
    python benchmarks/reliability.py kills ingest --pack FINISHED_PACK --points 20
    python benchmarks/reliability.py crowd --rounds 20 --writers 3 --readers 8

`kills` starts a command of the command line, kills it with SIGKILL at a random moment, looks at what is there, and runs
the same command again. Moments are drawn three ways in turn: by the clock over the whole run (may strike inside a
system call), by the clock while it writes, and by the number of calls (the same point of the program however busy the
machine is). `crowd` lets writers and readers work on one file. Both print one JSON object a line. A matrix run is
killed by tests/training/kill_points.py, which needs torch; tiny_pack.py beside it makes a FINISHED_PACK. Files are
damaged by benchmarks/flips.py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

KINDS = ("clock", "writing", "calls")
# What differs between two runs of the same command, and is meant to.
_TIMES = frozenset({"profiled_at"})
_TIME = re.compile(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?")
NAMES = tuple(f"d{i}" for i in range(8))


@dataclass(frozen=True)
class Operation:
    """argv: the command, {} being its folder. prepare: makes the warehouse it starts from; None for none at all.
    once: it refuses to write over what it has finished."""

    argv: tuple[str, ...]
    prepare: Callable[[Path], None] | None
    once: bool = False


def fork(work: Callable[[], Any]) -> tuple[int, int]:
    """Run `work` in a child of this process: (its id, the end of a pipe that carries its result as JSON)."""
    receive, send = os.pipe()
    child = os.fork()
    if child:
        os.close(send)
        return child, receive
    status = 1
    try:
        os.close(receive)
        os.environ["TRAITCAST_QUIET"] = "1"
        result = json.dumps(work()).encode()
        with open(send, "wb") as pipe:
            pipe.write(result)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def joined(child: int, receive: int) -> Any:
    """What a child came to, None when it was killed."""
    with open(receive, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    if status:
        raise SystemExit(f"a child failed with status {status}")
    return json.loads(found)


def call(argv: tuple[str, ...], folder: Path) -> None:
    """Run one command in this process."""
    import traitcast.cli

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        traitcast.cli.cli([word.replace("{}", str(folder)) for word in argv], standalone_mode=False)


def content(folder: Path) -> dict[str, Any] | None:
    """Every table of the warehouse but for times, and files that commands write; None when there is nothing."""
    from traitcast.warehouse.database.warehouse import Warehouse

    file = folder / "w.duckdb"
    outputs = {
        str(path.relative_to(folder)): _TIME.sub("", path.read_text())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".jsonl", ".yaml", ".html") and "/." not in str(path)
    }
    if not file.exists():
        return {"files": outputs} if outputs.keys() - {"data.jsonl", "more.jsonl"} else None
    with Warehouse.open(file, read_only=True) as warehouse:
        names = "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables() ORDER BY 1"
        tables = [row["name"] for row in _rows(warehouse, names)]
        found = {name: _rows(warehouse, f"SELECT * FROM {name} ORDER BY ALL") for name in tables}
    # A profile keeps the path of its data, which is another for each point.
    return dict(json.loads(json.dumps({**found, "files": outputs}).replace(str(folder), "{}")))


def _rows(warehouse: Any, query: str) -> list[dict[str, Any]]:
    rows = warehouse.query(query, text=True).to_pylist(maps_as_pydicts="strict")
    return [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]


def matrix_warehouse(folder: Path) -> None:
    """Eight profiles of one trait each, and the scores of every one on every other."""
    import pyarrow as pa

    from traitcast.profiler.traits.catalogue import CATALOGUE, VERSION
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Matrix, Profile, TraitValue

    draw = random.Random(5)
    with Warehouse.open(folder / "w.duckdb") as warehouse:
        warehouse.sync_catalogue(CATALOGUE, VERSION)
        for name in NAMES:
            traits = tuple(TraitValue(d.trait, draw.random(), None, 100) for d in CATALOGUE[:40])
            warehouse.save_profile(
                Profile(
                    name, f"v1:{name}", "generation", 1000, traits, (), (), (), details={"catalogue_version": VERSION}
                )
            )
        cells = [(s, t) for s in ("", *NAMES) for t in NAMES]
        columns = {
            "model": ["m"] * len(cells),
            "source": [s for s, _ in cells],
            "target": [t for _, t in cells],
            "seed": pa.array([0] * len(cells), pa.int64()),
            "metric": ["accuracy"] * len(cells),
            "score": [draw.random() for _ in cells],
            "n": pa.array([100] * len(cells), pa.int64()),
            "standard_error": [0.05] * len(cells),
        }
        warehouse.save_scores(Matrix("toy", "accuracy", "untuned", ""), pa.table(columns))


def inputs(folder: Path) -> None:
    """The files that the commands read."""
    rows = [{"text": f"the {w} of {i} was good", "label": "xy"[i % 2]} for i in range(6) for w in ("film", "bike")]
    for name in ("data", "more"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"m,{s},{t},{seed},accuracy,0.{seed + 3}\n" for s in ("", *NAMES) for t in NAMES for seed in range(5)]
    (folder / "results.csv").write_text("model,source,target,seed,metric,score\n" + "".join(lines))


def operations(pack: Path | None) -> dict[str, Operation]:
    """What is killed. A command that starts without a file makes it, the shipped reference with it."""
    profile = ("profile", "{}/data.jsonl", "--name", "mine", "--processes", "1", "--warehouse", "{}/w.duckdb")
    imported = ("scores", "import", "{}/results.csv", "--warehouse", "{}/w.duckdb")
    found = {
        "profile": Operation(profile, matrix_warehouse),
        "profile-new": Operation(profile, None),
        "import": Operation(imported, matrix_warehouse),
        "import-new": Operation(imported, None),
        "report": Operation(("report", "-o", "{}/report.html", "--warehouse", "{}/w.duckdb"), matrix_warehouse),
        "vary": Operation(("vary", "{}/data.jsonl", "--change", "half,permute_labels", "--into", "{}/v"), None),
        "mix": Operation(("mix", "{}/data.jsonl", "{}/more.jsonl", "--into", "{}/mixed"), None, once=True),
        "fit": Operation(("fit", "--matrix", "toy", "--warehouse", "{}/w.duckdb"), matrix_warehouse),
    }
    if pack:
        ingest = ("matrix", "ingest", "--pack", str(pack), "--name", "measured", "--no-parse")
        found["ingest"] = Operation((*ingest, "--warehouse", "{}/w.duckdb"), matrix_warehouse)
    return found


def hooked(work: Callable[[], None], kill_at: int | None = None) -> dict[str, Any]:
    """Run `work`, counting calls: how many, its seconds, and when it first began a transaction. Kill at one of them."""
    began = time.monotonic()
    seen: dict[str, Any] = {"calls": 0, "writing": None}

    def hook(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            seen["calls"] += 1
            if seen["calls"] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if seen["writing"] is None and event == "call" and frame.f_code.co_name == "_transaction":
                seen["writing"] = time.monotonic() - began

    sys.setprofile(hook)
    work()
    sys.setprofile(None)
    return {**seen, "seconds": time.monotonic() - began}


def plain(work: Callable[[], None]) -> dict[str, float]:
    """Run `work` and time it."""
    began = time.monotonic()
    work()
    return {"seconds": time.monotonic() - began}


def killed(work: Callable[[], None], kind: str, run: dict[str, Any], draw: random.Random) -> bool:
    """Start `work` and kill it; whether it was killed before it was through."""
    if kind == "calls":
        at = draw.randrange(1, run["calls"])
        return joined(*fork(lambda: hooked(work, at))) is None
    first = (run["writing"] or 0.0) * run["plain"] / run["seconds"] if kind == "writing" else 0.0
    child, receive = fork(lambda: plain(work))
    time.sleep(draw.uniform(first, run["plain"]))
    os.kill(child, signal.SIGKILL)
    return joined(child, receive) is None


def kill_points(name: str, operation: Operation, points: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Kill one operation so many times; runs that were through first are checked too, but are no points.

    opened: warehouses that could be read afterwards. whole: those that held the state before or after, nothing
    between. same: those that the repeated command made equal to an uninterrupted one. litter: files left over.
    """
    first = scratch / "first"
    first.mkdir()
    inputs(first)
    if operation.prepare is not None:
        prepare = operation.prepare
        joined(*fork(lambda: prepare(first)))
    before = joined(*fork(lambda: content(first)))
    run, after = uninterrupted(operation, first, scratch / "done")
    draw = random.Random(f"{name} {seed}")
    report = dict.fromkeys(("killed", "runs", "opened", "whole", "same", "litter"), 0)
    while report["killed"] < points:
        folder = scratch / f"run{report['runs']}"
        shutil.copytree(first, folder)

        def work(folder: Path = folder) -> None:
            call(operation.argv, folder)

        report["killed"] += killed(work, KINDS[report["runs"] % len(KINDS)], run, draw)
        report["runs"] += 1
        left = joined(*fork(lambda folder=folder: content(folder)))
        report["opened"] += 1
        # A new file appears whole with the reference in it, before the command writes its own.
        report["whole"] += left in (before, after) or (before is None and _between(left, after))
        if not (operation.once and left == after):
            joined(*fork(lambda work=work: plain(work)))
        report["same"] += joined(*fork(lambda folder=folder: content(folder))) == after
        known = {"w.duckdb", "report.html", "v", "mixed", *(path.name for path in first.iterdir())}
        report["litter"] += sum(path.name not in known for path in folder.iterdir())
        report["litter"] += sum(
            path.name.startswith(".") for top in ("v", "mixed") for path in (folder / top).rglob("*")
        )
        shutil.rmtree(folder)
    return {"operation": name, "seed": seed, **report, "seconds": round(run["plain"], 2)}


def uninterrupted(operation: Operation, first: Path, done: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what a run takes, what it leaves). The calls are counted in a run of their own, which they slow down."""
    shutil.copytree(first, done)
    run = joined(*fork(lambda: hooked(lambda: call(operation.argv, done))))
    after = joined(*fork(lambda: content(done)))
    shutil.rmtree(done)
    shutil.copytree(first, done)
    run["plain"] = joined(*fork(lambda: plain(lambda: call(operation.argv, done))))["seconds"]
    return run, after


def _between(left: dict[str, Any] | None, after: dict[str, Any]) -> bool:
    """Whether every row that is there is one of the final ones, and those of the command are all there or none is."""
    if left is None:
        return True
    if "traitcast_own.traits" not in left:
        # Of several folders some may be there, each as a whole.
        folders = {name.rpartition("/")[0] for name in left["files"]}
        return left["files"] == {n: text for n, text in after["files"].items() if n.rpartition("/")[0] in folders}
    own = [row for row in left["traitcast_own.traits"] if row["dataset"] == "mine"] + [
        r for r in left["traitcast_own.scores"] if r["matrix"] == "results"
    ]
    whole = [row for row in after["traitcast_own.traits"] if row["dataset"] == "mine"]
    whole += [row for row in after["traitcast_own.scores"] if row["matrix"] == "results"]
    return set(left) == set(after) and own in ([], whole)


def writer(file: Path, number: int, rounds: int) -> dict[str, Any]:
    """Profiles and scores of its own, one transaction each, opening the file each time."""
    import pyarrow as pa

    from traitcast.profiler.traits.catalogue import CATALOGUE
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Matrix, Profile, TraitValue

    waits = []
    for turn in range(rounds):
        began = time.monotonic()
        with Warehouse.open(file, wait_s=600) as warehouse:
            waits.append(time.monotonic() - began)
            traits = tuple(TraitValue(d.trait, float(turn), None, 10) for d in CATALOGUE[:20])
            warehouse.save_profile(Profile(f"w{number}_{turn}", "v1:x", "generation", 10, traits, (), (), ()))
            row = {"model": "m", "source": "", "target": f"t{turn}", "seed": number, "metric": "a", "score": 0.5}
            table = pa.Table.from_pylist([row | {"n": 1, "standard_error": 0.1}])
            warehouse.save_scores(Matrix("shared", "a", "untuned", ""), table)
    return {"turns": rounds, "longest_wait": max(waits)}


def reader(file: Path, seconds: float) -> dict[str, Any]:
    """Reads until the time is up, and once at least; every profile it sees must be whole."""
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.errors import WarehouseError

    end, reads, refused, broken, longest = time.monotonic() + seconds, 0, 0, 0, 0.0
    while time.monotonic() < end or not reads:
        began = time.monotonic()
        try:
            with Warehouse.open(file, read_only=True, wait_s=2) as warehouse:
                rows = warehouse.query(
                    "SELECT name, count(trait) AS n FROM datasets LEFT JOIN traits ON dataset = name "
                    "WHERE regexp_full_match(name, 'w[0-9]_[0-9]+') GROUP BY name"
                ).to_pylist()
            reads += 1
            broken += sum(row["n"] != 20 for row in rows)
        except WarehouseError as error:
            assert "is in use by another process" in str(error), error  # noqa: PT017 - not a test
            refused += 1
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.05)
    return {"reads": reads, "refused": refused, "broken": broken, "longest": longest}


def crowd(rounds: int, seconds: float, scratch: Path, *, writing: int, reading: int) -> dict[str, Any]:
    """Some writers and readers on one file."""
    from traitcast.profiler.traits.catalogue import CATALOGUE, VERSION
    from traitcast.warehouse.database.warehouse import Warehouse

    file = scratch / "w.duckdb"

    def begin() -> None:
        with Warehouse.open(file) as warehouse:
            warehouse.sync_catalogue(CATALOGUE, VERSION)

    joined(*fork(begin))
    writers = [fork(lambda number=number: writer(file, number, rounds)) for number in range(writing)]
    readers = [fork(lambda: reader(file, seconds)) for _ in range(reading)]
    wrote = [joined(*child) for child in writers]
    read = [joined(*child) for child in readers]
    found = joined(*fork(lambda: content(scratch)))
    expected = {f"w{number}_{turn}" for number in range(writing) for turn in range(rounds)}
    names = [row["name"] for row in found["traitcast_own.datasets"] if row["name"] in expected]
    return {
        "rounds": rounds,
        "writes": sum(child["turns"] for child in wrote) * 2,
        "longest_wait_of_a_writer_s": round(max(child["longest_wait"] for child in wrote), 2),
        "reads": sum(child["reads"] for child in read),
        "refused_reads": sum(child["refused"] for child in read),
        "longest_read_s": round(max(child["longest"] for child in read), 2),
        "broken_reads": sum(child["broken"] for child in read),
        "profiles": len(names),
        "scores": sum(row["matrix"] == "shared" for row in found["traitcast_own.scores"]),
        "lost": len(expected - set(names)),
        "double": len(names) - len(set(names)),
    }


def _import_all(parser: bool) -> None:
    """Here once, so that every child finds its modules there, and the parser where it is used."""
    import duckdb  # noqa: F401
    import shap  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import xgboost  # noqa: F401

    from traitcast.profiler.parsing.parser import Parser

    for module in (
        "traitcast.predictor.api",
        "traitcast.predictor.report.page",
        "traitcast.profiler.service",
        "traitcast.profiler.profile",
        "traitcast",
        "traitcast.warehouse.database.warehouse",
    ):
        importlib.import_module(module)
    if parser:
        Parser.load()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills")
    kills.add_argument("operations", nargs="*", help="Default: all but ingest, which needs --pack.")
    kills.add_argument("--points", type=int, default=40, help="Per operation.")
    kills.add_argument("--seed", type=int, default=0)
    kills.add_argument("--pack", type=lambda text: Path(text).resolve(), help="A matrix that has run.")
    many = commands.add_parser("crowd")
    many.add_argument("--rounds", type=int, default=20, help="Profiles per writer.")
    many.add_argument("--seconds", type=float, default=30.0, help="How long the readers read.")
    many.add_argument("--writers", type=int, default=2)
    many.add_argument("--readers", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.command == "crowd":
        with tempfile.TemporaryDirectory() as scratch:
            sizes = {"writing": arguments.writers, "reading": arguments.readers}
            print(json.dumps(crowd(arguments.rounds, arguments.seconds, Path(scratch), **sizes)))
        return
    every = operations(arguments.pack)
    unknown = [name for name in arguments.operations if name not in every]
    if unknown:
        parser.error(f"no operation {unknown[0]!r}; there are {', '.join(every)} (ingest with --pack)")
    chosen = arguments.operations or list(every)
    _import_all(any(name.startswith("profile") for name in chosen))
    failed = 0
    for name in chosen:
        with tempfile.TemporaryDirectory() as scratch:
            found = kill_points(name, every[name], arguments.points, arguments.seed, Path(scratch))
        failed += found["litter"] or not found["opened"] == found["whole"] == found["same"] == found["runs"]
        print(json.dumps(found), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

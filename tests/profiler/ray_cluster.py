"""Profiles a dataset on a Ray cluster of several nodes on loopback and kills one of them in the middle.

    python tests/profiler/ray_cluster.py

Prints one JSON object: whether the profile has the bytes of a local one, how many texts were parsed when the node was
killed, and how many there are. A process of its own: Ray leaves threads and warnings behind.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
# Nodes are processes that inherit this: where our code is, and the same sums in the same order.
os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

from profiler import cluster  # noqa: E402
from profiler.profile import profile  # noqa: E402
from profiler.reading import read  # noqa: E402
from warehouse.records import Profile  # noqa: E402

STORE = 80 << 20
ROWS = 1200
PHRASES = ("the cat", "a dog says that", "Paris was not quite as good", "if he knows her .", "Why ?", "It is 12 % .")


def made(folder: Path) -> Path:
    """A file of generated reviews."""
    draw, path = random.Random(0), folder / "reviews.jsonl"
    rows = ({"text": " ".join(draw.choices(PHRASES, k=18)), "label": draw.choice(("yes", "no"))} for _ in range(ROWS))
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def content(found: Profile) -> str:
    """All bytes of a profile."""
    sketches = [(sketch.part, sketch.kind, sketch.vector.tobytes()) for sketch in found.sketches]
    return repr((found.traits, found.label_counts, found.length_histograms, sketches, found.details))


def main() -> None:
    """A local profile, then one on a cluster that loses a node as soon as the first texts are parsed."""
    with tempfile.TemporaryDirectory(prefix="r") as scratch:
        examples = read(made(Path(scratch)))
        whole = profile(examples, rows=None, processes=1)
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
        seen: dict[str, Any] = {}

        def kill(done: int, total: int) -> None:
            if not seen:
                seen.update(killed_at=done, texts=total)
                nodes.remove_node(workers[0], allow_graceful=False)

        with cluster.engine(None, lambda line: print(line, file=sys.stderr)) as engine:
            found = profile(examples, rows=None, engine=engine, on_progress=kill)
        seen["same"] = content(found) == content(whole)
        ray.shutdown()
        nodes.shutdown()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()

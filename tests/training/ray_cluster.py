"""Runs a matrix on a Ray cluster of several nodes on loopback and kills one of them in the middle.

    python tests/training/ray_cluster.py PLANNED_PACK

Prints one JSON object: for a folder that nodes share and for one they do not, whether the tables are those of a local
run, and how many groups were begun twice or more. A process of its own: Ray leaves threads and warnings behind.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
# Nodes are processes that inherit this: where our code is, and the same sums in the same order.
os.environ |= {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}

import kill_points  # noqa: E402

from traitcast.training import ray_run, run  # noqa: E402
from traitcast.training.plan.pack import Pack  # noqa: E402
from traitcast.training.results import shards  # noqa: E402
from traitcast.training.results.tables import long_tables  # noqa: E402

STORE = 80 << 20


def begun(scratch: Path) -> list[dict[str, Any]]:
    """Beginnings of groups, in the logs of all copies of a pack under a folder."""
    found = []
    for path in scratch.rglob("runs.jsonl"):
        lines = path.read_text().splitlines() if path.is_file() else []
        found += [entry for line in lines if (entry := json.loads(line))["stage"] == "begin"]
    return found


class Nodes:
    """A cluster whose head takes no work, and two nodes that do."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.head = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE},
        )
        self.nodes: list[Any] = []

    def fill(self) -> None:
        """Start nodes of one CPU until there are two."""
        while len(self.nodes) < 2:
            self.nodes.append(self.head.add_node(num_cpus=1, object_store_memory=STORE))

    def kill_busy(self, watched: Path) -> None:
        """Wait until two groups have begun, then kill the node of the later one without any grace."""
        deadline = time.monotonic() + 120
        while len(found := begun(watched)) < 2:
            if time.monotonic() > deadline:
                raise SystemExit("no two groups began within two minutes")
            time.sleep(0.005)
        (node,) = [node for node in self.nodes if node.node_id == found[-1]["ray_node"]]
        self.nodes.remove(node)
        self.head.remove_node(node, allow_graceful=False)


def interrupted(nodes: Nodes, planned: Path, scratch: Path, *, shared: bool) -> tuple[Pack, list[dict[str, Any]]]:
    """Run a copy of a pack while a node is killed; the pack, and the beginnings of groups."""
    pack = Pack(Path(shutil.copytree(planned, scratch / "m")))
    killer = threading.Thread(target=nodes.kill_busy, args=(scratch,))
    killer.start()
    ray_run.run(pack, cluster=ray_run.ClusterSettings(shared=shared), say=lambda line: print(line, file=sys.stderr))
    killer.join()
    return pack, begun(scratch)


def tables(folder: Path) -> str:
    """Everything measured but the adapters, which stay on a node that shares nothing."""
    pack = Pack(folder)
    found = long_tables(pack, shards.read(pack))
    return repr([(name, table.to_pylist()) for name, table in found.items()]) + repr(shards.read(pack))


def main(planned: str) -> None:
    """Both ways, each with a node killed, against a local run."""
    result: dict[str, Any] = {}
    # Sockets lie in it, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="r") as scratch:
        folder = Path(scratch)
        whole = Path(shutil.copytree(planned, folder / "whole"))
        run.run(Pack(whole))
        for name in ("shared", "apart", "ray"):
            (folder / name).mkdir()
        # A node that shares nothing works in a temporary folder: where it can be watched.
        os.environ |= {"RAY_TMPDIR": scratch, "TMPDIR": str(folder / "apart")}
        nodes = Nodes()
        import ray

        ray.init(address=nodes.head.address, log_to_driver=False, logging_level="ERROR")
        for name in ("shared", "apart"):
            nodes.fill()
            pack, beginnings = interrupted(nodes, Path(planned), folder / name, shared=name == "shared")
            result[name] = {
                "same": tables(pack.folder) == tables(whole),
                "again": sum(n > 1 for n in Counter(tuple(entry["part"]) for entry in beginnings).values()),
                "adapters": len(list(pack.adapters.glob("*/adapter_model.safetensors"))),
            }
            if name == "shared":
                result[name]["same"] &= kill_points.content(pack.folder) == kill_points.content(whole)
            again = ray_run.run(pack)
            result[name]["missing"] = again.cells - again.scored
        ray.shutdown()
        nodes.head.shutdown()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])

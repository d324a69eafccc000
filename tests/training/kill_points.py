"""Kills runs of a matrix with SIGKILL at random moments and checks what a resumed run leaves behind.

    python tests/training/kill_points.py PLANNED_PACK POINTS [SEED]

A pack to try it with comes from tiny_pack.py. Prints one JSON object: {"points", "killed", "same", "litter"}; litter
are half-made files that the resumed run left. A process of its own, so that it may fork cheaply.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1])]

import torch  # noqa: E402
import transformers  # noqa: E402, F401

from traitcast.training import run as matrix  # noqa: E402
from traitcast.training.plan.pack import Pack  # noqa: E402
from traitcast.training.results import shards  # noqa: E402
from traitcast.training.results.tables import long_tables  # noqa: E402


def run(folder: Path, *, kill_after: float | None = None, kill_at: int | None = None) -> bool:
    """Run a pack in a child; True when it was killed before it was through.

    kill_after: seconds, which may strike inside a system call. kill_at: calls, which strike at the same point of
    the program however busy the machine is.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if kill_at is not None:
                count_calls(kill_at)
            matrix.run(Pack(folder))
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise SystemExit(f"the run of {folder} failed with status {status}")
    return False


def count_calls(kill_at: int | None = None) -> list[int]:
    """Count calls from now on in a list of one number; at `kill_at` of them this process kills itself."""
    count = [0]

    def hook(frame: object, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            count[0] += 1
            if count[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(hook)
    return count


def content(folder: Path) -> str:
    """A hash of everything measured: adapter weights and tables."""
    pack, digest = Pack(folder), hashlib.blake2b()
    for path in sorted(pack.adapters.glob("v1-*/adapter_model.safetensors")):
        digest.update(path.parent.name.encode() + path.read_bytes())
    for name, table in long_tables(pack, shards.read(pack)).items():
        digest.update(name.encode() + repr(table.to_pylist()).encode())
    digest.update(repr(shards.read(pack)).encode())
    return digest.hexdigest()


def main(planned: str, points: str, seed: str = "0") -> None:
    """Kill at `points` random moments, each from a fresh copy of the planned pack, then resume."""
    torch.set_num_threads(1)
    random.seed(int(seed))
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        shutil.copytree(planned, whole)
        # In this process once, so that every child finds its modules imported; then once more to be measured.
        matrix.run(Pack(whole))
        wanted = content(whole)
        shutil.copytree(planned, Path(scratch) / "measured")
        began = time.monotonic()
        calls = count_calls()
        matrix.run(Pack(Path(scratch) / "measured"))
        sys.setprofile(None)
        length = time.monotonic() - began
        killed = same = litter = 0
        for point in range(int(points)):
            folder = Path(scratch) / f"point{point}"
            shutil.copytree(planned, folder)
            killed += run(folder, kill_at=random.randrange(int(0.02 * calls[0]), int(0.9 * calls[0])))
            # Every third one is killed a second time while it resumes, by the clock.
            if point % 3 == 0:
                run(folder, kill_after=random.uniform(0.05, 0.5) * length)
            run(folder)
            same += content(folder) == wanted
            litter += sum(path.name.startswith(".") for path in folder.rglob("*"))
            shutil.rmtree(folder)
    print(json.dumps({"points": int(points), "killed": killed, "same": same, "litter": litter}))


if __name__ == "__main__":
    main(*sys.argv[1:])

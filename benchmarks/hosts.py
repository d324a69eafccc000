"""A Ray cluster on several hosts: namespaces of this kernel that share neither address, nor files, nor memory.

    python benchmarks/hosts.py
    python benchmarks/hosts.py --rounds matrix matrix-cut

Every host has a network stack, host name, process table, /tmp and /dev/shm of its own; the hosts are plugged into one
bridge and reach nothing else. On the first runs `ray start --head` and whatever is asked of traitcast; on the others
`ray start --address`. The base model lies on each of them, the pack and the file to profile on the first alone; what
they have in common is the program. Needs root and iproute2 and says so where no namespaces can be made.

Rounds, each compared with a run in this process: `matrix` and `profile` with all hosts; `matrix-cut` and `profile-cut`
with the cable of the last one pulled while it works; `outside` asks from a host that reaches the cluster without being
a node of it. Nothing here is a real network: no delay, no loss, one clock. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "training"), str(ROOT / "benchmarks")]
# Hosts inherit this: where our code is, and the same sums in the same order.
os.environ |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TRAITCAST_QUIET": "1", "RAY_USAGE_STATS_ENABLED": "0"}

from slurm import output, say, until  # noqa: E402

NAMES = ("h1", "h2", "h3")
OUTSIDE = "h9"
PORT = 6379
APART = ("--net", "--mount", "--uts", "--ipc", "--pid")
PHRASES = ("the cat", "a dog says that", "Paris was not quite as good", "if he knows her .", "Why ?", "It is 12 % .")
# The first process of a host. A route to nowhere: without any Ray takes 127.0.0.1 for the address of its node.
HOST = """
mount -t proc proc /proc && mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm && hostname {name} &&
ip link set lo up && echo ready && read -r _ && ip addr add {address}/24 dev eth0 && ip link set eth0 up &&
ip route add default via 10.77.0.254 && echo ready && while :; do sleep 3600; done
"""
SWITCH = """
ip link add bridge type bridge && ip addr add 10.77.0.254/24 dev bridge && ip link set bridge up &&
echo ready && while :; do sleep 3600; done
"""


def require() -> None:
    """Leave with a message where this cannot be done."""
    if missing := [name for name in ("unshare", "nsenter", "ip") if not shutil.which(name)]:
        raise SystemExit(f"no {', '.join(missing)} here; on Debian: apt-get install util-linux iproute2")
    script = "mount -t tmpfs tmpfs /tmp && ip link add v0 type veth peer name v1 && ip link add s0 type bridge"
    tried = subprocess.run(["unshare", *APART, "--fork", "sh", "-c", script], capture_output=True, check=False)
    if os.geteuid() or tried.returncode:
        raise SystemExit(
            "no hosts can be made here: this needs root and a kernel with namespaces, veth and bridge "
            f"({tried.stderr.decode().strip() or 'not root'}); run it in a virtual machine"
        )
    if any(Path("/tmp") in path.parents for path in (ROOT, Path(sys.prefix))):
        raise SystemExit(f"every host has a /tmp of its own, so {ROOT} and {sys.prefix} must lie elsewhere")


class Machine:
    """A process that keeps namespaces alive; everything in them ends with it."""

    def __init__(self, script: str) -> None:
        command = ["unshare", *APART, "--fork", "--kill-child", "sh", "-c", script]
        self.outer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait_ready()
        self.pid = int(Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()[0])

    def wait_ready(self) -> None:
        assert self.outer.stdout is not None
        if self.outer.stdout.readline() != "ready\n":
            raise SystemExit("a host could not be set up")

    def within(self, *command: str) -> list[str]:
        """A command as it must be called from here to run there, in /tmp."""
        enter = ["nsenter", f"--target={self.pid}", *APART, "sh", "-c", 'cd /tmp && exec "$@"', "sh"]
        return [*enter, *command]

    def path(self, path: Path | str) -> Path:
        """Where a path of that machine is seen from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def end(self) -> None:
        self.outer.kill()
        self.outer.wait()


class Network:
    """Hosts on one bridge. base: a folder that every host gets a copy of, under the same name."""

    def __init__(self, base: Path) -> None:
        self.base, self.switch, self.hosts = base, Machine(SWITCH), dict[str, Machine]()

    def add(self, name: str) -> Machine:
        """A host, plugged in."""
        host = self.hosts[name] = Machine(HOST.format(name=name, address=address(name)))
        plug = ("ip", "link", "add", name, "netns", str(self.switch.pid), "type", "veth")
        output(*plug, "peer", "name", "eth0", "netns", str(host.pid))
        output(*self.switch.within("ip", "link", "set", name, "master", "bridge", "up"))
        assert host.outer.stdin is not None
        print(file=host.outer.stdin, flush=True)
        host.wait_ready()
        shutil.copytree(self.base, host.path(self.base))
        return host

    def start(self, name: str, tries: int = 5) -> Machine:
        """A host that is a node of the cluster, the head if it is the first."""
        host = self.add(name)
        which = ("--head", f"--port={PORT}", "--include-dashboard=false")
        if name != NAMES[0]:
            which = (f"--address={address(NAMES[0])}:{PORT}",)
        size = ("--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats")
        done = subprocess.run(
            host.within(program("ray"), "start", *which, *size), capture_output=True, text=True, check=False
        )
        if done.returncode and tries > 1:
            # Ray gives a node 30 s to start, which is not enough where other work has the cores.
            say(f"Ray did not start on {name}: once more")
            self.remove(name)
            return self.start(name, tries - 1)
        if done.returncode:
            raise SystemExit(f"Ray does not start on {name}: {done.stderr[-1000:]}")
        return host

    def cut(self, name: str) -> None:
        """Pull the cable."""
        output(*self.switch.within("ip", "link", "set", name, "down"))

    def renew(self, name: str) -> None:
        """A host as it was in the beginning, under the same name and address."""
        self.remove(name)
        self.start(name)

    def remove(self, name: str) -> None:
        """End a host; its plug would go with it by itself, but later."""
        output(*self.switch.within("ip", "link", "del", name))
        self.hosts.pop(name).end()

    def end(self) -> None:
        for machine in (*self.hosts.values(), self.switch):
            machine.end()


def address(name: str) -> str:
    return f"10.77.0.{name[1:]}"


def program(name: str) -> str:
    """A command of the environment that this runs in."""
    return str(Path(sys.executable).parent / name)


@contextmanager
def network(base: Path) -> Iterator[Network]:
    found = Network(base)
    try:
        for name in NAMES:
            found.start(name)
        yield found
    finally:
        found.end()


class Rounds:
    """The rounds, on one network. whole: what a run in this process gave."""

    def __init__(self, net: Network, scratch: Path, rows: int) -> None:
        self.net, self.scratch = net, scratch
        self.head = net.hosts[NAMES[0]]
        self.file = reviews(scratch / "reviews.jsonl", rows)

    def matrix(self, *, pull: bool = False) -> dict[str, Any]:
        import ray_cluster

        pack = Path("/tmp") / ("cut" if pull else "whole")
        shutil.copytree(self.scratch / "planned", self.head.path(pack))
        busy = self.net.hosts[NAMES[-1]]
        # In this host's own /tmp: it does not see the pack.
        puller = self._pull_when(lambda: ray_cluster.begun(busy.path("/tmp"))) if pull else None
        done, seconds = self._ask(self.head, *self._run(pack))
        found = {"exit_code": done.returncode, "seconds": seconds}
        if done.returncode:
            return found | {"stderr": done.stderr[-2000:]}
        begun = ray_cluster.begun(self.head.path(pack))
        groups = Counter(entry["node"] for entry in begun)
        found["same"] = ray_cluster.tables(self.head.path(pack)) == ray_cluster.tables(self.scratch / "whole")
        adapters = len(list(self.head.path(pack).glob("adapters/*/adapter_model.safetensors")))
        found |= {"groups": dict(sorted(groups.items())), "adapters": adapters}
        if puller is not None:
            found |= {"cut_after_seconds": puller(), "groups_lost": self._lost(busy, begun)}
            self.net.renew(NAMES[-1])
        return found

    @staticmethod
    def _run(pack: Path) -> tuple[str, ...]:
        engine = ("--engine", "ray", "--address", f"{address(NAMES[0])}:{PORT}")
        return ("traitcast", "matrix", "run", "--pack", str(pack), *engine)

    @staticmethod
    def _lost(cut: Machine, kept: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Groups that the cut host had in hand, with the seconds until another began them again."""
        import ray_cluster

        lost = []
        for entry in ray_cluster.begun(cut.path("/tmp")):
            again = [other for other in kept if other["part"] == entry["part"] and other["node"] != entry["node"]]
            lost += [
                {"group": entry["part"][0], "anew_on": o["node"], "after": o["time"] - entry["time"]} for o in again
            ]
        return lost

    def profile(self, *, pull: bool = False) -> dict[str, Any]:
        command = ("traitcast", "profile", str(self.file), "--rows", "all", "--format", "json")
        wanted = json.loads(output(program(command[0]), *command[1:], "--warehouse", str(self.scratch / "w.duckdb")))
        self.head.path(self.file).write_bytes(self.file.read_bytes())
        busy = self.net.hosts[NAMES[-1]]
        puller = self._pull_when(lambda: tasks(busy)) if pull else None
        engine = ("--engine", "ray", "--address", f"{address(NAMES[0])}:{PORT}")
        place = ("--warehouse", f"/tmp/{'cut' if pull else 'whole'}.duckdb")
        done, seconds = self._ask(self.head, *command, *engine, *place)
        found: dict[str, Any] = {"exit_code": done.returncode, "seconds": seconds}
        if done.returncode:
            return found | {"stderr": done.stderr[-2000:]}
        found["same"] = timeless(json.loads(done.stdout)) == timeless(wanted)
        if puller is not None:
            found["cut_after_seconds"] = puller()
            self.net.renew(NAMES[-1])
        return found

    def outside(self) -> dict[str, Any]:
        """Asked from a host that is not a node."""
        host = self.net.add(OUTSIDE)
        shutil.copytree(self.scratch / "planned", host.path("/tmp/m"))
        done, seconds = self._ask(host, *self._run(Path("/tmp/m")))
        return {"exit_code": done.returncode, "seconds": seconds, "stderr": done.stderr[-600:]}

    @staticmethod
    def _ask(host: Machine, name: str, *words: str) -> tuple[subprocess.CompletedProcess[str], int]:
        """(what a command on a host came to, seconds)."""
        began = time.monotonic()
        command = host.within(program(name), *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
        return done, round(time.monotonic() - began)

    def _pull_when(self, busy: Callable[[], Any]) -> Callable[[], int]:
        """Pull the cable of the last host as soon as it works; gives the seconds after which that was."""
        began, pulled = time.monotonic(), list[int]()

        def watch() -> None:
            until(f"work on {NAMES[-1]}", busy)
            self.net.cut(NAMES[-1])
            pulled.append(round(time.monotonic() - began))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()

        def after() -> int:
            watcher.join(1)
            if not pulled:
                raise SystemExit(f"{NAMES[-1]} was given nothing to do before all was done")
            return pulled[0]

        return after


def tasks(host: Machine) -> list[str]:
    """What Ray's workers on a host are doing: a worker names itself after its task."""
    found = []
    for path in host.path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if title.startswith("ray::") and not title.startswith("ray::IDLE"):
            found.append(title)
    return found


def timeless(found: Any) -> Any:
    """JSON without time stamps."""
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key != "profiled_at"}
    return [timeless(value) for value in found] if isinstance(found, list) else found


def reviews(path: Path, rows: int) -> Path:
    """A file of generated reviews."""
    draw = random.Random(0)
    made = ({"text": " ".join(draw.choices(PHRASES, k=18)), "label": draw.choice(("yes", "no"))} for _ in range(rows))
    path.write_text("\n".join(map(json.dumps, made)) + "\n")
    return path


def plan(scratch: Path) -> Path:
    """A planned pack of six groups, the same run to its end here, and the folder of their base."""
    import conftest

    from traitcast.training import run
    from traitcast.training.plan.pack import Pack

    (scratch / "data").mkdir()
    data = conftest.make_datasets(scratch / "data")
    base = conftest.make_base(scratch / "base", conftest.make_tokenizer())
    conftest.make_plan(scratch / "planned", list(data.values()), base, slots=1)
    run.run(Pack(Path(shutil.copytree(scratch / "planned", scratch / "whole"))))
    return Path(base)


ROUNDS: dict[str, Callable[[Rounds], dict[str, Any]]] = {
    "matrix": lambda rounds: rounds.matrix(),
    "matrix-cut": lambda rounds: rounds.matrix(pull=True),
    "profile": lambda rounds: rounds.profile(),
    "profile-cut": lambda rounds: rounds.profile(pull=True),
    "outside": lambda rounds: rounds.outside(),
}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", nargs="+", default=list(ROUNDS), choices=list(ROUNDS))
    parser.add_argument("--rows", type=int, default=4000, help="of the file to profile (default: 4000)")
    asked = parser.parse_args(argv)
    require()
    # Ended from outside it cleans up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as scratch, network(plan(Path(scratch))) as net:
        rounds = Rounds(net, Path(scratch), asked.rows)
        for name in asked.rounds:
            print(json.dumps({"round": name, **ROUNDS[name](rounds)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

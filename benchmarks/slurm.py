"""The job array of docs/guides/slurm.md on a real Slurm: two daemons of this machine as nodes, and what stops a job.

    python benchmarks/slurm.py
    python benchmarks/slurm.py --parts 4 --rounds array stopped

Needs root, and Debian's slurmctld, slurmd, slurm-client and munge (`apt-get install --no-install-recommends`); says so
where they lack. Daemons, their key, their logs and their ports on loopback are this run's own, in a temporary folder,
and gone with it. A node has one CPU and a GPU that is only a name, so `--gres=gpu:1` is scheduled and nothing more.
The script is read out of the page; its folder and its number of parts are the only things that are replaced.

Rounds, each on a pack of nine groups over a tiny random model, compared with one uninterrupted run in this process:
`array` submits the array, then once more; `stopped` lets a task reach its time limit, cancels the array while it works,
and kills a node with everything on it; `copies` gives every node a folder of its own, which `ingest --from` merges.
Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "training"), str(ROOT / "benchmarks")]
# Jobs inherit this: our command, where our code is, and the same sums in the same order.
os.environ |= {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "TRAITCAST_QUIET": "1",
}

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "sinfo", "munged")
NODES = ("n1", "n2")
WAITING = frozenset({"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"})
# Long enough for daemons that get a tenth of a core.
PATIENCE = 1800.0

CONFIGURATION = """
ClusterName=benchmark
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
# cred_expire is also how long a requeued job waits, by default two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=20
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# Two nodes of one CPU and one made-up GPU, whatever this machine has.
SlurmdParameters=config_overrides
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdTimeout=30
KillWait=5
MinJobAge=36000
# A killed node that is started again is taken back.
ReturnToService=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 Gres=gpu:1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def require() -> None:
    """Leave with a message where this cannot be done."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        raise SystemExit(
            f"no {', '.join(missing)} here; on Debian: "
            "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
        )
    if os.geteuid():
        raise SystemExit("slurmd starts jobs as their users and so must be root: run this as root, for example in a VM")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def until(what: str, found: Callable[[], Any]) -> Any:
    """The first true result; leaves when there is none within PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not (result := found()):
        if time.monotonic() > end:
            raise SystemExit(f"waited {PATIENCE:g} s in vain for {what}")
        time.sleep(0.2)
    return result


def output(*command: str) -> str:
    """stdout of a command; leaves with its stderr when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Slurm:
    """A controller and two nodes with files in one folder. Everything they start has SLURM_CONF in its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.daemons = folder, dict[str, subprocess.Popen[bytes]]()
        for name in ("state", "spool.n1", "spool.n2", "out"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        host, ports = socket.gethostname().partition(".")[0], free_ports(3)
        (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, host=host, ports=ports))
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")

    def start(self) -> None:
        f = self.folder
        files = {name: f"{f}/munge.{name}" for name in ("socket", "pid", "seed", "log")}
        self._daemon(
            "munged",
            *("munged", "--foreground", "--force", f"--key-file={f}/munge.key", f"--socket={files['socket']}"),
            *(f"--pid-file={files['pid']}", f"--seed-file={files['seed']}", f"--log-file={files['log']}"),
        )
        until("munged", Path(files["socket"]).exists)
        self._daemon("slurmctld", "slurmctld", "-D", "-i")
        for node in NODES:
            self.start_node(node)
        until("two idle nodes", lambda: output("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2)

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def start_node(self, node: str) -> None:
        self._daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """As a loss of power would: slurmd, then what would report the ends of the jobs, then those."""
        daemon = self.daemons.pop(node)
        running = [said for said in records("job") if said["JobState"] == "RUNNING" and said["NodeList"] == node]
        titles = [f"slurmstepd: [{said['JobId']}.".encode() for said in running]
        mine = self.processes()
        steps = [pid for pid in mine if read(f"/proc/{pid}/cmdline").startswith(tuple(titles))]
        mark = f"SLURMD_NODENAME={node}".encode()
        jobs = [pid for pid in mine if mark in read(f"/proc/{pid}/environ").split(b"\0")]
        for pid in (daemon.pid, *steps, *jobs):
            os.kill(pid, signal.SIGKILL)
        daemon.wait()

    def processes(self) -> list[int]:
        """All processes of this Slurm, jobs among them, but this one and its other children."""
        known = {os.getpid(), *(daemon.pid for daemon in self.daemons.values())}
        mark = b"SLURM_CONF=" + bytes(self.folder / "slurm.conf")
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        return [pid for pid in found if pid not in known and mark in read(f"/proc/{pid}/environ").split(b"\0")]

    def stop(self) -> None:
        """Cancel what runs, end the daemons, then whatever is left of them."""
        subprocess.run(["scancel", "-u", "root"], capture_output=True, check=False)
        end = time.monotonic() + 30
        while self.processes() and time.monotonic() < end:
            time.sleep(0.2)
        for name in reversed(list(self.daemons)):
            self.daemons[name].terminate()
            self.daemons[name].wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def submit(self, script: Path, *options: str) -> str:
        """Hand a script to sbatch; the id of its job."""
        out = f"--output={self.folder}/out/%A_%a.txt"
        return output("sbatch", "--parsable", out, *options, str(script)).strip()

    def tasks(self, job: str) -> dict[int, dict[str, str]]:
        """What Slurm says of the tasks of an array: number -> JobState, ExitCode, Restarts and so on. Those that wait
        together are one record without a number of its own and are left out."""
        found = records("job", job)
        return {int(said["ArrayTaskId"]): said for said in found if said.get("ArrayTaskId", "").isdecimal()}

    def ended(self, job: str, count: int) -> dict[int, dict[str, str]] | None:
        """All tasks of an array if none of them waits or runs."""
        tasks = self.tasks(job)
        states = {said["JobState"] for said in tasks.values()}
        return tasks if len(tasks) == count and not states & WAITING else None

    def wait(self, job: str, count: int) -> dict[int, dict[str, str]]:
        return until(f"the end of job {job}", lambda: self.ended(job, count))


def records(*what: str) -> list[dict[str, str]]:
    """What `scontrol show` says of something, one mapping a record."""
    lines = output("scontrol", "show", *what, "-o").splitlines()
    return [dict(word.partition("=")[::2] for word in line.split()) for line in lines]


def read(path: str) -> bytes:
    """A file of /proc; nothing when its process is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    found = Slurm(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def documented() -> str:
    """The job script of docs/guides/slurm.md."""
    page = (ROOT / "docs" / "guides" / "slurm.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "#SBATCH" in block)


def fitted(text: str, pack: str, parts: int) -> str:
    """The script for another folder and number of parts; leaves when it is not the script that was known here."""
    for old, new in (("/shared/m", pack), ("--array=1-8", f"--array=1-{parts}"), ('/8"', f'/{parts}"')):
        if text.count(old) != 1:
            raise SystemExit(f"the script in docs/guides/slurm.md does not have {old!r} once: mend benchmarks/slurm.py")
        text = text.replace(old, new)
    return text


def summary(tasks: dict[int, dict[str, str]]) -> dict[str, int]:
    """Counts of ends, as "COMPLETED 0:0": state and exit code:signal, with the number of restarts if any."""
    ends = []
    for said in tasks.values():
        again = f" after {said['Restarts']} requeue" if said["Restarts"] != "0" else ""
        ends.append(f"{said['JobState']} {said['ExitCode']}{again}")
    return dict(sorted(Counter(ends).items()))


class Rounds:
    """The rounds, on one Slurm, against one uninterrupted run."""

    def __init__(self, slurm: Slurm, scratch: Path, parts: int) -> None:
        import conftest

        from traitcast.training import run
        from traitcast.training.plan.pack import Pack

        self.slurm, self.scratch, self.parts = slurm, scratch, parts
        (scratch / "data").mkdir()
        data = conftest.make_datasets(scratch / "data")
        base = conftest.make_base(scratch / "base", conftest.make_tokenizer())
        self.planned = scratch / "planned"
        conftest.make_plan(self.planned, list(data.values()), base, slots=1, seeds=(0, 1, 2))
        whole = shutil.copytree(self.planned, scratch / "whole" / "m")
        run.run(Pack(whole))
        self.wanted = self.content(whole), self.ingested(whole)

    def fresh(self, name: str) -> tuple[Path, Path]:
        """(a copy of the planned pack, the script for it)."""
        pack = Path(shutil.copytree(self.planned, self.scratch / name / "m"))
        return pack, self.script(name, str(pack))

    def script(self, name: str, pack: str) -> Path:
        path = self.scratch / name / "matrix.sh"
        path.write_text(fitted(documented(), pack, self.parts))
        return path

    @staticmethod
    def content(pack: Path) -> str:
        import kill_points

        return kill_points.content(pack)

    @staticmethod
    def ingested(pack: Path, *copies: Path) -> Any:
        """Every table of a warehouse that the pack was ingested into, in a process of its own as anyone would."""
        import reliability

        file = pack.parent / "w.duckdb"
        more = [word for copy in copies for word in ("--from", str(copy))]
        command = ("traitcast", "matrix", "ingest", "--pack", str(pack), "--warehouse", str(file), "--no-parse")
        output(*command, *more)
        return reliability.content(pack.parent)

    def same(self, pack: Path) -> dict[str, Any]:
        """Cells that are missing, and whether all that was measured is what the uninterrupted run measured."""
        from traitcast.training import state
        from traitcast.training.plan.pack import Pack

        status = state.status(Pack(pack))
        found = self.content(pack), self.ingested(pack)
        return {
            "missing": status.cells - status.scored,
            "same_cells_and_weights": found[0] == self.wanted[0],
            "same_tables": found[1] == self.wanted[1],
        }

    def array(self) -> Iterator[dict[str, Any]]:
        pack, script = self.fresh("array")
        began = time.monotonic()
        tasks = self.slurm.wait(self.slurm.submit(script), self.parts)
        seconds = round(time.monotonic() - began)
        nodes = Counter(said["NodeList"] for said in tasks.values())
        yield {"round": "array", "ends": summary(tasks), "nodes": nodes, "seconds": seconds, **self.same(pack)}
        before = fingerprints(pack)
        tasks = self.slurm.wait(self.slurm.submit(script), self.parts)
        yield {"round": "array again", "ends": summary(tasks), "files_changed": fingerprints(pack) != before}

    def stopped(self) -> Iterator[dict[str, Any]]:
        """Three ways to stop, one after the other, on one pack."""
        pack, script = self.fresh("stopped")
        job = self.slurm.submit(script, "--array=1", "--time=1")
        # It must not be through within the minute: Slurm knows no shorter limit. On a busy machine it is not anyway.
        until("a shard", lambda: self.shards(pack) or self.slurm.ended(job, 1))
        if worker := self.worker(job):
            os.kill(worker, signal.SIGSTOP)
        yield {"round": "time limit", "ends": summary(self.slurm.wait(job, 1)), **self.missing(pack)}
        job, known = self.slurm.submit(script), self.shards(pack)
        until("two more shards", lambda: self.shards(pack) > known + 1)
        output("scancel", job)
        tasks = until(f"the end of job {job}", lambda: self.none_left(job))
        yield {"round": "scancel", "ends": summary(tasks), **self.missing(pack)}
        job, known = self.slurm.submit(script), self.shards(pack)
        until("another shard", lambda: self.shards(pack) > known and self.on("n2", job))
        self.slurm.kill_node("n2")
        say("n2 is dead")
        tasks = self.slurm.wait(job, self.parts)
        self.slurm.start_node("n2")
        yield {"round": "node lost", "ends": summary(tasks), **self.same(pack)}

    def copies(self) -> Iterator[dict[str, Any]]:
        """Nodes that share nothing: a copy of the pack each."""
        (self.scratch / "copies").mkdir()
        for node in (*NODES, "m"):
            shutil.copytree(self.planned, self.scratch / "copies" / node)
        script = self.script("copies", f"{self.scratch}/copies/$SLURMD_NODENAME")
        tasks = self.slurm.wait(self.slurm.submit(script), self.parts)
        folders = [self.scratch / "copies" / node for node in ("m", *NODES)]
        found = self.ingested(*folders)
        yield {"round": "copies", "ends": summary(tasks), "same_tables": found == self.wanted[1]}

    @staticmethod
    def shards(pack: Path) -> int:
        return len(list((pack / "shards").glob("*.parquet")))

    def missing(self, pack: Path) -> dict[str, int]:
        from traitcast.training import state
        from traitcast.training.plan.pack import Pack

        status = state.status(Pack(pack))
        return {"missing": status.cells - status.scored}

    def on(self, node: str, job: str) -> bool:
        """Whether a task of a job runs on a node."""
        running = [said for said in self.slurm.tasks(job).values() if said["JobState"] == "RUNNING"]
        return any(said["NodeList"] == node for said in running)

    def none_left(self, job: str) -> dict[int, dict[str, str]] | None:
        """The tasks of a cancelled array, of which those that never began are one record."""
        tasks = self.slurm.tasks(job)
        return None if {said["JobState"] for said in tasks.values()} & WAITING else tasks

    def worker(self, job: str) -> int | None:
        """The Python process of the only task of a job."""
        mark = f"SLURM_ARRAY_JOB_ID={job}".encode()
        for pid in self.slurm.processes():
            if mark in read(f"/proc/{pid}/environ").split(b"\0") and b"matrix" in read(f"/proc/{pid}/cmdline"):
                return pid
        return None


def fingerprints(pack: Path) -> dict[str, tuple[int, int]]:
    """Every file of a pack with its size and time."""
    files = sorted(path for path in pack.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=8, choices=range(2, 10), help="of the array (default: 8)")
    parser.add_argument(
        "--rounds", nargs="+", default=["array", "stopped", "copies"], choices=["array", "stopped", "copies"]
    )
    asked = parser.parse_args(argv)
    require()
    # Ended from outside it cleans up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Sockets lie in it, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="s") as scratch:
        (folder := Path(scratch) / "slurm").mkdir()
        with slurm(folder) as running:
            rounds = Rounds(running, Path(scratch), asked.parts)
            print(json.dumps({"slurm": output("sinfo", "--version").split()[1], "parts": asked.parts}), flush=True)
            for name in asked.rounds:
                for line in getattr(rounds, name)():
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""How fast the predictor answers and evaluates, and how good it is on a matrix of known law.

    python benchmarks/predictor.py speed
    python benchmarks/predictor.py planted --protocol new-pair

Works on the shipped profiles in memory; writes nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from planted import LAWS, planted
from predictor_worlds import shipped

from traitcast.predictor.evaluation.evaluate import evaluate
from traitcast.predictor.explanation.shap import explain
from traitcast.predictor.model.bundle import to_json, to_record
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import PROTOCOLS, observe
from traitcast.predictor.model.predictor import fit
from traitcast.warehouse.database.warehouse import Warehouse

CANDIDATES = 10_000


def clock(work: Callable[[], Any], repeats: int = 5) -> float:
    """Median wall seconds, after one call to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def many(profiles: ProfileSet, count: int) -> ProfileSet:
    """`count` datasets: the shipped ones over and over with traits moved by a few percent."""
    t = profiles.traits
    copies = -(-count // len(t.names))
    names = tuple(f"{name} {k}" for k in range(copies) for name in t.names)[:count]
    rng = np.random.default_rng(0)
    values = np.tile(t.values, (copies, 1))[:count]
    traits = replace(
        t,
        names=(*t.names, *names),
        task_types=(*t.task_types, *(t.task_types * copies)[:count]),
        families=(*t.families, *(t.families * copies)[:count]),
        rows=(*t.rows, *(t.rows * copies)[:count]),
        values=np.vstack([t.values, values * rng.normal(1, 0.05, values.shape)]),
    )
    sketches = {
        key: dict(by) | {name: by[name.split(" ")[0]] for name in names if name.split(" ")[0] in by}
        for key, by in profiles.sketches.items()
    }
    return ProfileSet(traits, sketches, profiles.label_counts)


def speed() -> None:
    """The figures of the issue: rank, explain, a warm pair, 10,000 candidates."""
    profiles, _ = shipped()
    started = time.perf_counter()
    predictor = fit(observe(planted(profiles), profiles), profiles)
    print(f"fit on 84 x 84 x 3: {time.perf_counter() - started:.1f} s, bundle {len(to_json(predictor)) / 1e6:.2f} MB")
    print(f"features: {len(predictor.space.features)}, trees: {predictor.about['size']}")
    names = [name for name in profiles.traits.names if name != "sst2"]
    wide = many(profiles, CANDIDATES)
    candidates = wide.traits.names[84:]
    for what, work, repeats in (
        ("warm pair", lambda: predictor.predict(profiles, ["mnli"], ["sst2"]), 50),
        ("rank 83 sources, warm", lambda: predictor.rank(profiles, "sst2", names), 20),
        ("explain, warm", lambda: explain(predictor, profiles, "mnli", "sst2"), 20),
        (f"rank {CANDIDATES} sources, warm", lambda: predictor.rank(wide, "sst2", candidates), 3),
    ):
        print(f"{what}: {1000 * clock(work, repeats):.1f} ms")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.duckdb"
        with Warehouse.open(path) as warehouse:
            warehouse.save_predictor(to_record(predictor))
        for command in (["rank", "sst2"], ["explain", "mnli", "sst2"], ["predict", "mnli", "sst2"]):
            process(command, path)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def process(command: list[str], path: Path) -> None:
    """A whole process against one that only imports what the command imports."""
    root = Path(__file__).parent.parent
    imports = (
        "import traitcast, traitcast.predictor.api, traitcast.warehouse.database.warehouse, xgboost, duckdb, pyarrow"
    )

    def run(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], cwd=root, check=True, capture_output=True)

    whole = clock(lambda: run(["traitcast.py", *command, "--format", "json", "--warehouse", str(path)]), 3)
    bare = clock(lambda: run(["-c", imports]), 3)
    print(f"traitcast {' '.join(command)}: {whole:.2f} s whole process, {whole - bare:.2f} s after import")


def known_law(kinds: list[str], protocols: list[str]) -> None:
    """Evaluate on 84 x 84 x 3 with baselines and ablations: time, quality, what was found."""
    profiles, _ = shipped()
    for kind in kinds:
        observations = observe(planted(profiles, kind), profiles)
        for protocol in protocols:
            wall, cpu = time.perf_counter(), time.process_time()
            made = evaluate(observations, profiles, protocol, with_ablations=True)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"\n## {kind}, {protocol}: {wall:.0f} s wall, {cpu:.0f} s CPU, sizes {made.sizes}")
            print(f"model {_flat(made.model)}")
            print(f"best baseline {made.advantage}")
            print(f"noise {made.noise}; ceiling {made.ceiling and made.ceiling['spearman']}")
            print(f"intervals {made.interval_width:.2f} pp wide; harm {made.harm}")
            for row in made.claim or ():
                print(f"  {row['features']}: {row['spearman']['value']:.3f}, over similarity {row['advantage']}")
            for name, part in (made.ablations or {}).items():
                loss = part["loss"]
                print(f"  {name}: loss {loss['value']:+.3f} [{loss['low']:+.3f}, {loss['high']:+.3f}]")


def _flat(found: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{name} {estimate['value']:.3f}" for name, estimate in found.items())


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("speed", "planted"))
    parser.add_argument("--law", choices=LAWS, action="append")
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append")
    arguments = parser.parse_args()
    if arguments.part == "speed":
        speed()
    else:
        known_law(arguments.law or ["traits"], arguments.protocol or ["new-target"])


if __name__ == "__main__":
    main()

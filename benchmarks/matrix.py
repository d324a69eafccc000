"""The matrix engine against the naive peer, on the same machine, base, rows and effective batch.

The peer (Trainer + peft, one adapter at a time, one sequence per option) is a script of its own, given with --naive.
Both measure every source x target; the report holds seconds of training and of scoring, cells per hour, tokens per
second, peak memory, and how well the accuracies agree.

    python benchmarks/matrix.py --naive ../shared/baselines/naive_matrix.py --base smollm2 \\
        --rows 16 --tests 16 --slots 4 ../shared/datasets/sst2 ../shared/datasets/subj ../shared/datasets/arc_easy

With --pack DIR the plan is kept there, or taken from there when no datasets are given: planned on one machine, measured
on another that cannot read datasets.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Forward FLOPs of one token of the default base, for the share of the roofline (multiply-adds counted twice).
FLOPS_PER_TOKEN = 212e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", help="classification and multiple choice only: the peer knows no other")
    parser.add_argument("--naive", type=Path, default=None, help="the peer's script")
    parser.add_argument("--naive-seeds", type=int, default=None, help="seeds of the peer, which is slow (default: all)")
    parser.add_argument("--pack", type=Path, default=None, help="folder of the plan (default: one that is thrown away)")
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--rows", type=int, default=16, help="training rows per source")
    parser.add_argument("--tests", type=int, default=16, help="test rows per target")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--slots", type=int, default=64, help="adapters trained at once by the engine")
    parser.add_argument(
        "--peak-tflops", type=float, default=None, help="dense peak of the device, for the roofline share"
    )
    parser.add_argument("--only", choices=["plan", "engine", "naive"], default=None)
    asked = parser.parse_args(arguments)
    if asked.naive is None and asked.only in (None, "naive"):
        parser.error("--naive is needed to run the peer; or give --only plan or --only engine")
    with tempfile.TemporaryDirectory() as scratch:
        pack = plan(asked, asked.pack or Path(scratch) / "pack")
        recipe = pack.recipe
        report: dict[str, Any] = {
            "datasets": len(recipe.targets),
            "seeds": len(recipe.seeds),
            "rows": sum(recipe.datasets[name].train_rows for name in recipe.sources),
            "tests": sum(recipe.datasets[name].test_rows for name in recipe.targets),
        }
        if asked.only in (None, "engine"):
            report["engine"] = engine(pack, asked.peak_tflops)
        if asked.only in (None, "naive"):
            report["naive"] = naive(pack, asked, Path(scratch) / "naive")
    if asked.only is None:
        report |= compare(report["engine"], report["naive"], len(recipe.targets))
    print(json.dumps(report, indent=1))


def plan(asked: argparse.Namespace, folder: Path) -> Any:
    """A pack with plain prompts (the peer joins prompt and option by a space) and the peer's settings."""
    from traitcast.training.plan.pack import Pack
    from traitcast.training.plan.planning import PlanSettings
    from traitcast.training.plan.planning import plan as make
    from traitcast.training.plan.prompts import PromptSettings
    from traitcast.training.plan.recipe import ScoringSettings, TrainingSettings

    if not asked.datasets:
        return Pack(folder)
    settings = PlanSettings(
        base=asked.base,
        seeds=tuple(range(asked.seeds)),
        train_rows=asked.rows,
        test_rows=asked.tests,
        slots=asked.slots,
        prompt=PromptSettings(chat=False),
        training=TrainingSettings(epochs=1, warmup=0.0),
        scoring=ScoringSettings(content_free=False),
    )
    return make(folder, asked.datasets, settings)


def engine(pack: Any, peak_tflops: float | None) -> dict[str, Any]:
    """Run the pack; seconds are those of the whole stages, the loading of the base apart."""
    from traitcast.training.results import shards
    from traitcast.training.results.run_log import LOG
    from traitcast.training.run import run

    began = time.monotonic()
    run(pack)
    total = time.monotonic() - began
    log = [json.loads(line) for line in (pack.folder / LOG).read_text().splitlines()]
    spent = {stage: sum(e["seconds"] for e in log if e["stage"] == stage) for stage in ("train", "score")}
    tokens = {stage: sum(e["tokens"] for e in log if e["stage"] == stage) for stage in ("train", "score")}
    # What goes through the model: beginnings that prompts share are read once.
    read = sum(e["read"] for e in log if e["stage"] == "score")
    cells = shards.read(pack)
    found = {
        "train_seconds": spent["train"],
        "score_seconds": spent["score"],
        "other_seconds": total - sum(spent.values()),
        "cells": len(cells),
        "train_tokens_per_second": tokens["train"] / spent["train"],
        "score_tokens_per_second": tokens["score"] / spent["score"],
        "train_step_seconds": spent["train"] / sum(e["steps"] for e in log if e["stage"] == "train"),
        "merged_differs_from_exact": [{k: e[k] for k in ("changed", "answers")} for e in log if e["stage"] == "flips"],
        "peak_bytes": max(e["peak_bytes"] for e in log if "peak_bytes" in e),
        "accuracy": {f"{c.source or 'base'}.s{max(c.seed, 0)}>{c.target}": _accuracy(c) for c in cells},
    }
    if peak_tflops:
        # Training: forward and the gradient of the activations; the frozen weights need none.
        found["train_roofline_share"] = found["train_tokens_per_second"] * 2 * FLOPS_PER_TOKEN / (peak_tflops * 1e12)
        found["score_roofline_share"] = (read / spent["score"]) * FLOPS_PER_TOKEN / (peak_tflops * 1e12)
    return found


def _accuracy(cell: Any) -> float:
    import numpy as np

    from traitcast.training.results.metrics import predictions

    picks = predictions([np.asarray(row) for row in cell.loglikelihoods])
    return float(sum(int(p) == g for p, g in zip(picks, cell.gold, strict=True)) / len(cell.gold))


def naive(pack: Any, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the peer over the same rows and read its timings."""
    from traitcast.training.engine import base_model as base

    (folder / "data").mkdir(parents=True)
    for name in pack.recipe.targets:
        lines = [json.dumps(row) for row in _peer_rows(pack, name)]
        (folder / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    command = [sys.executable, str(asked.naive.resolve()), "all", "--base", str(base.locate(asked.base))]
    command += ["--data", str(folder / "data"), "--out", str(folder / "out"), "--results", str(folder / "r.jsonl")]
    entries = [pack.recipe.datasets[name] for name in pack.recipe.targets]
    rows, tests = max(entry.train_rows for entry in entries), max(entry.test_rows for entry in entries)
    command += ["--seeds", str(asked.naive_seeds or len(pack.recipe.seeds)), "--n", str(rows), "--limit", str(tests)]
    command += ["--epochs", str(pack.recipe.training.epochs), "--bs", str(pack.recipe.training.batch_rows)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-3000:]}")
    loops = [float(x) for x in re.findall(r"^TRAIN .* total ([\d.]+)s", done.stdout, re.M)]
    scored = [float(x) for x in re.findall(r"^EVAL .* ([\d.]+)s", done.stdout, re.M)]
    rows = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    return {
        "train_seconds": sum(loops),
        "score_seconds": sum(scored),
        "cells": len(rows),
        "peak_host_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "accuracy": {f"{'base.s0' if r['adapter'] == 'base' else r['adapter']}>{r['target']}": r["acc"] for r in rows},
    }


def _peer_rows(pack: Any, name: str) -> Iterator[dict[str, Any]]:
    from transformers import AutoTokenizer

    from traitcast.training.engine import base_model as base
    from traitcast.training.plan.pack import training_rows
    from traitcast.training.plan.prompts import Prompter

    packed = pack.rows(name)
    prompter = Prompter(AutoTokenizer.from_pretrained(base.locate(pack.recipe.base)), pack.recipe.prompt)
    # The peer has one set of rows for all its seeds: those of the engine's first one.
    train = training_rows(pack.recipe, name, pack.recipe.seeds[0], packed.train)
    for split, rows in (("train", train), ("test", packed.test)):
        for row, encoded in zip(rows, prompter.encode(packed.task, rows), strict=True):
            # Decoded, so that a prompt that was shortened here is the same there.
            prompt = prompter.tokenizer.decode(encoded.prompt)
            yield {"prompt": prompt, "options": list(row.choices(packed.task)), "label": row.gold, "split": split}


def compare(engine: dict[str, Any], naive: dict[str, Any], targets: int) -> dict[str, Any]:
    """Speed-ups, and accuracies side by side: equal for the base, near for adapters (another order and dropout).

    Times are per adapter trained, per cell scored, and per cell of a whole run: the peer may have run fewer seeds.
    """
    both = sorted(set(engine["accuracy"]) & set(naive["accuracy"]))
    apart = {name: abs(engine["accuracy"][name] - naive["accuracy"][name]) for name in both}
    base = [apart[name] for name in both if name.startswith("base")]
    tuned = [apart[name] for name in both if not name.startswith("base")]

    def rates(side: dict[str, Any]) -> dict[str, float]:
        adapters = side["cells"] / targets - 1
        return {
            "training": adapters / side["train_seconds"],
            "scoring": side["cells"] / side["score_seconds"],
            "whole": side["cells"] / (side["train_seconds"] + side["score_seconds"]),
        }

    ours, theirs = rates(engine), rates(naive)
    return {
        "cells_per_hour": {"engine": 3600 * ours["whole"], "naive": 3600 * theirs["whole"]},
        "times_faster": {stage: ours[stage] / theirs[stage] for stage in ours},
        "accuracy_difference": {
            "base_max": max(base),
            "adapters_mean": sum(tuned) / len(tuned),
            "adapters_max": max(tuned),
        },
    }


if __name__ == "__main__":
    main()

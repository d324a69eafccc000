"""The predictor on every matrix at hand, against the source mean, trees alone and likeness.

    python benchmarks/predictor_settings.py
    python benchmarks/predictor_settings.py --transfer FOLDER --shards FOLDER --only recycling --protocol new-target

FOLDER of --transfer holds `fusionbench_glue/` and `model_recycling/` as published, that of --shards the shards of a
measured matrix. Prints one row of a Markdown table per setting and protocol. The difference is the Spearman correlation
of the predictor minus that of the source mean, paired, with a 95 % bootstrap over families of targets. Regret at 3 is
in standard deviations of the target.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from traitcast.predictor.api import profiles_of
from traitcast.predictor.evaluation.evaluate import Evaluation, evaluate
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import PROTOCOLS, observe
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Cells, Matrix

# Their task -> our dataset.
NAMES = {"anli": "anli_r3", "rotten_tomatoes": "mr", "sst_5bins": "sst5", "stsb": "sts", "trec_coarse": "trec"}
NAMES |= {f"tweet_ev_{kind}": f"tweet_{kind}" for kind in ("emotion", "hate", "offensive", "sentiment")}
Scores = dict[tuple[str, str], float]


def shipped(warehouse: Warehouse) -> Iterator[tuple[str, Cells]]:
    """Every matrix that ships, one setting per model; our own by several metrics."""
    for matrix in ("prompt_transferability", "cross_task_icl"):
        for model in sorted(set(warehouse.cells(matrix).models)):
            yield f"{matrix} {model}", warehouse.cells(matrix, model)
    yield "smollm2_cpu accuracy", warehouse.cells("smollm2_cpu")
    yield "smollm2_cpu gold_nll", warehouse.cells("smollm2_cpu", metric="gold_nll")
    yield "smollm2_84 accuracy", warehouse.cells("smollm2_84")
    for metric in ("gold_nll", "gold_nll_calibrated"):
        yield f"smollm2_84 {metric}", warehouse.cells("smollm2_84", metric=metric)


def published(folder: Path) -> Iterator[tuple[str, Cells]]:
    """FusionBench's GLUE matrices and the model-recycling medians, one setting per model."""
    for name, file, keys in (
        ("fusionbench", "fusionbench_glue/fusionbench_glue_long.csv", ("model", "adaptation")),
        ("recycling", "model_recycling/model_recycling_median.csv", ("model",)),
    ):
        with (folder / file).open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row["target"] != "trec_fine"]
        bases = {(row["model"], row["target"]): float(row["score"]) for row in rows if not row["source"]}
        for key in dict.fromkeys(tuple(row[k] for k in keys) for row in rows if row["source"]):
            mine = [row for row in rows if row["source"] and tuple(row[k] for k in keys) == key]
            untuned = all((row["model"], row["target"]) in bases for row in mine)
            gains = {
                (NAMES.get(row["source"], row["source"]), NAMES.get(row["target"], row["target"])): float(row["score"])
                - (bases[row["model"], row["target"]] if untuned else 0.0)
                for row in mine
            }
            yield f"{name} {' '.join(key)}", cells(name, gains, {}, "untuned" if untuned else "target mean")


def measured(folder: Path) -> Iterator[tuple[str, Cells]]:
    """The gold log-likelihood of a matrix from its shards, in hundredths of a nat."""
    import pyarrow.parquet as pq

    losses: dict[tuple[str, str], np.ndarray] = {}
    for path in sorted(folder.glob("*.parquet")):
        for row in pq.read_table(path, columns=["source", "target", "gold", "loglikelihoods", "failed"]).to_pylist():
            if row["loglikelihoods"] is not None and not row["failed"]:
                each = [np.asarray(options) for options in row["loglikelihoods"]]
                gold = zip(each, row["gold"], strict=True)
                losses[row["source"] or "", row["target"]] = np.array([np.logaddexp.reduce(o) - o[g] for o, g in gold])
    less = {pair: losses["", pair[1]] - loss for pair, loss in losses.items() if pair[0] and ("", pair[1]) in losses}
    gains = {pair: 100 * float(of.mean()) for pair, of in less.items()}
    errors = {pair: 100 * float(of.std(ddof=1)) / len(of) ** 0.5 for pair, of in less.items()}
    yield "measured gold_nll", cells("measured", gains, errors, "untuned")


def cells(name: str, gains: Scores, errors: Scores, base: str) -> Cells:
    """One seed of one model. gains, errors: (source, target) -> pp."""
    sources, targets = zip(*gains, strict=True)
    unknown = np.full(len(gains), np.nan)
    return Cells(
        matrix=Matrix(name, "score", base, ""),
        models=(name,) * len(gains),
        sources=sources,
        targets=targets,
        seeds=np.zeros(len(gains), dtype=np.int64),
        gain=np.array(list(gains.values())),
        standard_error=np.array([errors.get(pair, np.nan) for pair in gains]),
        score=unknown,
        base_score=unknown,
    )


def row_of(setting: str, found: Evaluation) -> dict[str, str]:
    """What is reported of one setting, by the heads of the columns."""
    rho = {name: m["spearman"]["value"] for name, m in found.baselines.items()}
    regret = {name: m["regret_at_3_spreads"]["value"] for name, m in found.baselines.items()}
    over = (found.over_source_mean or {}).get("spearman", {"value": np.nan, "low": np.nan, "high": np.nan})
    best = max((name for name in rho if not np.isnan(rho[name])), key=lambda name: rho[name])
    missed = (found.model["regret_at_3_spreads"]["value"], regret["source_mean"], regret["zero"])
    return {
        "setting": setting,
        "protocol": found.protocol,
        "targets": str(found.targets),
        "predictor": f"{found.model['spearman']['value']:.2f}",
        "source mean": f"{rho['source_mean']:.2f}",
        "difference": f"{over['value']:+.2f} [{over['low']:+.2f}, {over['high']:+.2f}]",
        "trees alone": f"{rho['trees_alone']:.2f}",
        "best baseline": f"{best.removeprefix('similarity:').replace('_', ' ')} {rho[best]:.2f}",
        "regret at 3 (source mean, random)": f"{missed[0]:.2f} ({missed[1]:.2f}, {missed[2]:.2f})",
        "coverage": f"{100 * found.model['coverage_90']['value']:.0f} %",
        "width over a constant's": f"{found.interval_width / found.constant_width:.2f}",
        "no signal claimed": f"{100 * found.gate['abstained']:.0f} %",
    }


def settings(folder: Path | None, shards: Path | None) -> tuple[ProfileSet, dict[str, Cells]]:
    """The shipped profiles and every setting by name."""
    with Warehouse.open(Path("no_such_file.duckdb"), read_only=True) as warehouse:
        found = dict(shipped(warehouse))
        profiles = profiles_of(warehouse)
    found |= {} if folder is None else dict(published(folder))
    return profiles, found | ({} if shards is None else dict(measured(shards)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfer", type=Path)
    parser.add_argument("--shards", type=Path)
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append")
    given = parser.parse_args()
    profiles, found = settings(given.transfer, given.shards)
    heads: list[str] = []
    for name, of in found.items():
        if given.only not in name:
            continue
        for protocol in given.protocol or ("one-target", "new-target"):
            try:
                row = row_of(name, evaluate(observe(of, profiles), profiles, protocol))
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr)
                break
            if not heads:
                heads = list(row)
                print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
            print(f"| {' | '.join(row.values())} |", flush=True)


if __name__ == "__main__":
    main()

"""Reliability against planted variances, against the textbook formula, and of a measured pack."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from traitcast.training.cli import COMMANDS
from traitcast.training.plan.pack import Pack
from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.training.plan.recipe import Runtime, adapter_key, cell_key
from traitcast.training.results import shards
from traitcast.training.results.cells import Cell, cell_metrics, choices, confusion
from traitcast.training.results.reliability import of_values, reliability
from traitcast.warehouse.errors import ScoresError

(MATRIX,) = [command for command in COMMANDS if command.name == "matrix"]
RUNTIME = Runtime("v1:made-up", "float32")


def measured(
    signal: float, seed: float, row: float, rest: float, *, shape: tuple[int, int, int, int], splits: int = 10
) -> np.ndarray:
    """Gains whose parts have these standard deviations. shape: sources, targets, seeds, rows."""
    rng = np.random.default_rng(5)
    sources, targets, seeds, rows = shape
    values = (
        rng.normal(0, signal, (sources, targets, 1, 1))
        + rng.normal(0, seed, (sources, targets, seeds, 1))
        + rng.normal(0, row, (sources, targets, 1, rows))
        + rng.normal(0, rest, shape)
        # What a target is like for all sources ranks none of them.
        + rng.normal(0, 5, (1, targets, 1, rows))
    )
    parts = [values.mean(axis=3)]
    for _ in range(splits):
        order = rng.permutation(rows)
        parts += [values[..., order[: rows // 2]].mean(axis=3), values[..., order[rows // 2 :]].mean(axis=3)]
    return np.stack(parts, axis=-1)


def test_planted_variances_are_found() -> None:
    found = of_values("score", measured(2, 1.5, 10, 12, shape=(60, 40, 3, 100)), draws=100)
    variance = 2**2 + 1.5**2 / 3 + 10**2 / 100 + 12**2 / 300
    assert found.spread == pytest.approx(100 * variance**0.5, rel=0.03)
    assert found.over_both == pytest.approx(2**2 / variance, abs=0.03)
    assert found.over_rows == pytest.approx((2**2 + 1.5**2 / 3) / variance, abs=0.03)
    assert found.over_seeds == pytest.approx((2**2 + 10**2 / 100) / variance, abs=0.03)
    assert found.low < found.over_both < found.high
    assert (found.sources, found.targets, found.seeds) == (60, 40, 3)


def test_noise_has_no_reliability() -> None:
    found = of_values("score", measured(0, 1, 1, 1, shape=(30, 30, 2, 40)), draws=100)
    assert abs(found.over_both) < 0.1
    assert found.low < 0 < found.high


def test_halves_equal_guttmans_split_half_coefficient() -> None:
    values = measured(1, 1, 4, 4, shape=(20, 1, 1, 30), splits=1)
    found = of_values("score", values, draws=20)
    upper, lower = values[:, 0, 0, 1], values[:, 0, 0, 2]
    wanted = 4 * np.cov(upper, lower)[0, 1] / np.var(upper + lower, ddof=1)
    assert found.over_rows == pytest.approx(wanted)
    assert np.isnan([found.over_seeds, found.over_both, found.low, found.high]).all()


def test_a_seed_that_was_only_begun_does_not_count() -> None:
    values = measured(2, 1.5, 10, 12, shape=(30, 10, 3, 50))
    values[4:, :, 2] = np.nan
    values[2:, :, 1] = np.nan
    found = of_values("score", values, draws=20)
    assert (found.sources, found.seeds) == (30, 1)
    assert found.over_rows == of_values("score", values[:, :, :1], draws=20).over_rows
    assert np.isnan(found.over_both)


def test_cells_that_are_missing_leave_the_rest() -> None:
    values = measured(2, 0.1, 1, 1, shape=(12, 6, 2, 20))
    values[0, 0] = np.nan
    values[3:, 5] = np.nan
    values[3, 1, 0] = np.nan
    found = of_values("score", values, draws=20)
    assert (found.sources, found.targets) == (12, 6)
    values[2, 5] = np.nan
    assert of_values("score", values, draws=20).targets == 5
    assert of_values("score", np.full_like(values, np.nan)).targets == 0


@pytest.fixture
def pack(datasets: dict[str, str], tmp_path: Path) -> Pack:
    """Five sources on five targets of six rows, two seeds, nothing measured."""
    folders = list(datasets.values())
    for name in ("mood", "sums"):
        copy = tmp_path / f"{name}_again"
        shutil.copytree(datasets[name], copy)
        about = copy / "dataset.yaml"
        about.write_text(about.read_text().replace(f"name: {name}", f"name: {name}_again"))
        folders.append(str(copy))
    return plan(tmp_path / "m", folders, PlanSettings(base="smollm2", seeds=(0, 1), train_rows=4, test_rows=6))


def cell(pack: Pack, source: str | None, target: str, seed: int, *, failed: bool = False) -> Cell:
    """A cell whose answers follow from source and row alone, so that seeds agree."""
    rng = np.random.default_rng(len(source or "") * 31 + len(target))
    packed, adapter = pack.rows(target), None if source is None else adapter_key(pack.recipe, RUNTIME, source, seed)
    about: dict[str, Any] = {"source": source, "seed": -1 if source is None else seed, "target": target}
    about |= {"base": "tiny", "base_fingerprint": RUNTIME.base_fingerprint, "dtype": RUNTIME.dtype, "device": "cpu"}
    about |= {"key": cell_key(pack.recipe, RUNTIME, adapter, target), "adapter": adapter, "failed": failed}
    n = len(packed.test)
    if failed:
        return Cell(**about)
    if packed.task.has_options:
        sizes = [len(row.choices(packed.task)) for row in packed.test]
        about["loglikelihoods"] = [(-rng.gamma(4, 0.5, size)).tolist() for size in sizes]
        about["answer_tokens"] = [[1] * size for size in sizes]
        return Cell(gold=[row.gold or 0 for row in packed.test], **about)
    scores: dict[str, Any] = {
        name: rng.integers(0, 2, n).astype(float).tolist() for name in ("exact_match", "numeric_match", "rouge_l")
    }
    lengths = {"output_tokens": [3] * n, "finished": [True] * n, "reference_tokens": [4] * n}
    return Cell(reference_nll=rng.normal(4, 1, n).tolist(), **lengths, **scores, **about)


def test_a_pack_is_read_metric_by_metric(pack: Pack) -> None:
    recipe = pack.recipe
    cells = [cell(pack, s, t, seed) for s in recipe.sources for seed in recipe.seeds for t in recipe.targets]
    shards.write(pack.shards, [*cells, *(cell(pack, None, t, 0) for t in recipe.targets)])
    found = {row.metric: row for row in reliability(pack, draws=20)}
    assert next(iter(found)) == "score"
    assert found["score"].targets == 5
    assert found["accuracy"].targets == 3
    assert found["macro_f1"].targets == 2
    assert found["reference_nll"].targets == 2
    assert found["score"].sources == 5
    assert found["gold_nll"].over_seeds == pytest.approx(1)
    # The same rows again are the same numbers, so halves of them are all that is unsure.
    assert found["gold_nll"].over_both == pytest.approx(found["gold_nll"].over_rows)
    alone = {(c.source, c.target): -np.log(share(c)) for c in cells if c.seed == 0 and c.loglikelihoods}
    spread = [
        np.var([v for (s, t), v in alone.items() if t == target and s != target], ddof=1)
        for target in {t for _, t in alone}
    ]
    assert found["gold_nll"].spread == pytest.approx(100 * np.sqrt(np.mean(spread)), rel=1e-3)


def share(found: Cell) -> float:
    """exp of minus the mean gold_nll of a cell."""
    rows = [np.exp(x) / np.exp(x).sum() for x in map(np.asarray, found.loglikelihoods or [])]
    return float(np.exp(np.mean([np.log(row[g]) for row, g in zip(rows, found.gold or [], strict=True)])))


def test_failed_and_missing_cells_are_left_out(pack: Pack) -> None:
    recipe = pack.recipe
    with pytest.raises(ScoresError, match="no scores of a tuned model; run: traitcast matrix run --pack"):
        reliability(pack)
    cells = [
        cell(pack, s, t, seed, failed=s == "mood" and seed == 1)
        for s in recipe.sources
        for seed in recipe.seeds
        for t in recipe.targets
        if s != "sums"
    ]
    shards.write(pack.shards, cells)
    found = reliability(pack, draws=20)[0]
    # Without "mood" and "sums" three sources are left, and each of them has two others on itself.
    assert (found.sources, found.targets) == (3, 2)
    shown = CliRunner().invoke(MATRIX, ["reliability", "--pack", str(pack.folder), "--format", "json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)[0]["metric"] == "score"


def test_the_score_of_options_is_of_the_likeliest_per_character(pack: Pack) -> None:
    target = next(name for name in pack.recipe.targets if pack.recipe.datasets[name].task_type == "classification")
    packed = pack.rows(target)
    assert packed.task.labels == ("negative", "positive")
    task = dataclasses.replace(packed.task, labels=("no", "entailment"))
    about = dataclasses.replace(cell(pack, "choice", target, 0), gold=[1] * len(packed.test))
    # -4 over 2 characters is less likely than -6 over 10, though -4 is the likelier sum.
    found = dataclasses.replace(about, loglikelihoods=[[-4.0, -6.0]] * len(packed.test))
    values = {metric.metric: metric.value for metric in cell_metrics(found, task, packed.test)}
    assert (values["score"], values["accuracy"], values["macro_f1"]) == (1.0, 0.0, 1.0)
    picks = choices(found, task, packed.test)
    assert picks.tolist() == [1] * len(packed.test)
    assert confusion(found, task, picks) == [("entailment", "entailment", len(packed.test))]

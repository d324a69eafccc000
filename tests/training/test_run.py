"""Runs of a whole small matrix: complete, killed, failed, foreign, and exported."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.cost import estimate, hours_left  # noqa: E402
from traitcast.training.engine.lora import Bank  # noqa: E402
from traitcast.training.plan.pack import Pack, training_rows  # noqa: E402
from traitcast.training.plan.planning import PlanSettings, plan  # noqa: E402
from traitcast.training.plan.prompts import Prompter  # noqa: E402
from traitcast.training.plan.recipe import TrainingSettings, adapter_key  # noqa: E402
from traitcast.training.results import shards  # noqa: E402
from traitcast.training.results.export import export, ingest  # noqa: E402
from traitcast.training.results.run_log import read_flips, read_log  # noqa: E402
from traitcast.training.results.tables import TABLES, long_tables  # noqa: E402
from traitcast.training.run import run  # noqa: E402
from traitcast.training.score_models import Scoring  # noqa: E402
from traitcast.training.session import RunSettings, Session  # noqa: E402
from traitcast.training.state import status  # noqa: E402
from traitcast.training.train_groups import start_seed  # noqa: E402
from traitcast.warehouse.errors import InputError, ScoresError, TraitcastError  # noqa: E402

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def finished(plan_small: Callable[..., Pack], tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack that was run to its end; tests copy it before they change it."""
    torch.set_num_threads(1)
    pack = plan_small(tmp_path_factory.mktemp("finished") / "m")
    run(pack)
    return pack


@pytest.fixture
def copied(finished: Pack, tmp_path: Path) -> Pack:
    """A copy of the finished pack to spoil."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Pack(tmp_path / "copy")


def test_a_run_measures_every_cell(finished: Pack) -> None:
    found = status(finished)
    assert (found.adapters, found.trained, found.failed, found.cells, found.scored) == (6, 6, 0, 21, 21)
    cells = shards.read(finished)
    assert len(cells) == 21
    assert cells[0].source is None
    (flips,) = read_flips(finished)
    assert (flips["changed"], flips["answers"]) == (0.0, 6), "content-free prompts and references are no answers"
    by_target = {cell.target: cell for cell in cells if cell.source is None}
    assert len(by_target["mood"].loglikelihoods or []) == 6
    assert by_target["mood"].outputs is None
    assert len(by_target["sums"].outputs or []) == 6
    assert max(by_target["sums"].output_tokens or []) <= 12
    assert len(by_target["mood"].prior or []) == 1
    assert len(by_target["choice"].prior or []) == 6


def test_stored_numbers_are_those_of_a_direct_score(finished: Pack, base_folder: Path) -> None:
    """One cell again by peft and plain transformers, from the checkpoint on disk."""
    import warnings

    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (cell,) = [c for c in shards.read(finished) if (c.source, c.seed, c.target) == ("sums", 1, "choice")]
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 for a property under its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        model = peft.PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base_folder), finished.adapters / str(cell.adapter)
        ).eval()
    packed = finished.rows("choice")
    prompter = Prompter(AutoTokenizer.from_pretrained(base_folder), finished.recipe.prompt)
    for row, stored in zip(prompter.encode(packed.task, packed.test), cell.loglikelihoods or [], strict=True):
        for answer, value in zip(row.answers, stored, strict=True):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[*row.prompt, *answer][:-1]])).logits[0]
            scores = torch.log_softmax(logits, -1)[len(row.prompt) - 1 :]
            direct = float(scores.gather(1, torch.tensor(answer)[:, None]).sum())
            assert value == pytest.approx(direct, rel=1e-4, abs=1e-3)


def test_each_group_is_scored_as_soon_as_it_is_trained(finished: Pack) -> None:
    stages = [entry["stage"] for entry in read_log(finished) if entry["stage"] in ("train", "score")]
    blocks = len(finished.recipe.blocks)
    groups = [["train", *["score"] * blocks * len(group)] for group in finished.recipe.groups]
    assert len(groups) == 2
    assert stages == [*["score"] * blocks, *groups[0], *groups[1]]
    assert all(entry["cpu_seconds"] > 0 for entry in read_log(finished) if entry["stage"] == "train")


def test_a_run_that_stops_between_groups_leaves_whole_ones(
    planned: Pack, finished: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Session.time_left
    monkeypatch.setattr(
        Session, "time_left", lambda self, stage: stage == "score" or not any(self.pack.adapters.glob("v1-*"))
    )
    said: list[str] = []
    found = run(planned, say=said.append)
    assert (found.trained, found.measured, found.scored) == (4, 4, 15)
    assert any(line.startswith("group 1 of 2: 4 adapters done in ") for line in said)
    monkeypatch.setattr(Session, "time_left", left)
    run(planned)
    assert shards.read(planned) == shards.read(finished)


def test_a_second_run_does_nothing(copied: Pack) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.folder.rglob("*") if path.is_file()}
    steps: list[Any] = []
    assert run(copied, on_progress=lambda *step: steps.append(step)) == status(copied)
    assert steps == []
    assert {path: path.stat().st_mtime_ns for path in copied.folder.rglob("*") if path.is_file()} == before


def test_a_lost_shard_and_a_lost_adapter_come_back_the_same(finished: Pack, copied: Pack) -> None:
    wanted = shards.read(finished)
    sorted(copied.shards.iterdir())[2].unlink()
    lost = sorted(copied.adapters.iterdir())[1]
    next(path for path in copied.shards.iterdir() if lost.name in shards.adapters_in(path)).unlink()
    kept = (lost / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(lost)
    (copied.shards / ".half.parquet-x.part").write_bytes(b"PAR1")
    assert status(copied).trained == 5
    run(copied)
    assert shards.read(copied) == wanted
    assert (lost / "adapter_model.safetensors").read_bytes() == kept


def test_parts_on_copies_make_the_same_matrix_when_merged(
    plan_small: Callable[..., Pack], tmp_path: Path, base_folder: Path
) -> None:
    whole = plan_small(tmp_path / "whole")  # six adapters in groups of four and two
    copies = [Pack(shutil.copytree(whole.folder, tmp_path / f"copy{i}")) for i in (1, 2)]
    run(whole)
    for i, copy in enumerate(copies, 1):
        run(copy, RunSettings(part=(i, 2)))
        assert 0 < status(copy).scored < status(whole).scored
    found = [shards.keys(copy) for copy in copies]
    assert not found[0] & found[1]
    for _ in range(2):
        shards.merge(copies[0], copies[1].folder)
        assert status(copies[0]).scored == status(whole).scored
        assert long_tables(copies[0], shards.walk(copies[0])) == long_tables(whole, shards.walk(whole))
    # One folder for all parts, in any order.
    shared = Pack(shutil.copytree(copies[1].folder, tmp_path / "shared"))
    run(shared, RunSettings(part=(1, 2)))
    assert shards.read(shared) == shards.read(whole)


def test_more_parts_than_groups_are_refused(planned: Pack) -> None:
    with pytest.raises(InputError, match=r"part 9/9: this matrix has \d groups of adapters.*fewer --slots"):
        run(planned, RunSettings(part=(9, 9)))


def test_merging_a_copy_without_results_is_refused(finished: Pack, planned: Pack) -> None:
    with pytest.raises(InputError, match=r"holds no cells; run: traitcast matrix run --pack"):
        shards.merge(finished, planned.folder)


def test_adapters_that_no_missing_cell_needs_are_not_trained_again(finished: Pack, copied: Pack) -> None:
    """Shards travel back from a borrowed machine, adapters do not."""
    shutil.rmtree(copied.adapters)
    next(path for path in copied.shards.iterdir() if not shards.adapters_in(path)).unlink()
    run(copied)
    assert not copied.adapters.exists()
    assert shards.read(copied) == shards.read(finished)


def test_an_adapter_of_another_scale_is_refused(copied: Pack) -> None:
    for path in copied.shards.iterdir():
        path.unlink()
    config = sorted(copied.adapters.glob("*/adapter_config.json"))[0]
    config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 16.0}))
    with pytest.raises(InputError, match=r"has rank 2 and scale 8, and the recipe asks for 2 and 2; delete the folder"):
        run(copied)


def test_what_was_cut_is_counted_stored_and_told(plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    pack = plan_small(tmp_path / "m")
    recipe = json.loads((tmp_path / "m" / "recipe.json").read_text())
    # So few tokens that some prompts and some options of "choice" are cut.
    recipe["prompt"] |= {"max_prompt_tokens": 30, "max_answer_tokens": 2}
    (tmp_path / "m" / "recipe.json").write_text(json.dumps(recipe))
    pack, said = Pack(tmp_path / "m"), []
    run(pack, say=said.append)
    prompter = Prompter(base_of(pack), pack.recipe.prompt)
    packed = pack.rows("choice")
    for split, rows in (("test", packed.test), ("training", packed.train)):
        encoded = prompter.encode(packed.task, rows)
        prompts, answers = sum(row.cut_prompt for row in encoded), sum(row.cut_answer for row in encoded)
        assert prompts
        assert answers
        assert f"choice: {prompts} of {len(rows)} {split} prompts were shortened to fit" in said
        assert f"choice: answers of {answers} of {len(rows)} {split} rows were cut to fit" in said
        if split == "test":
            cells = [cell for cell in shards.read(pack) if cell.target == "choice"]
            assert {(cell.cut_prompts, cell.cut_answers) for cell in cells} == {(prompts, answers)}
            stored = long_tables(pack, cells)["scores"].to_pylist()
            assert {r["score"] for r in stored if r["metric"] == "cut_prompts"} == {prompts / len(rows)}
            assert {r["score"] for r in stored if r["metric"] == "cut_answers"} == {answers / len(rows)}
        else:
            records = [json.loads(path.read_text()) for path in pack.adapters.glob("*/training.json")]
            for record in (r for r in records if r["source"] == "choice"):
                drawn = training_rows(pack.recipe, "choice", record["seed"], encoded)
                assert record["cut_prompts"] == sum(row.cut_prompt for row in drawn) > 0
                assert record["cut_answers"] == sum(row.cut_answer for row in drawn) > 0


def base_of(pack: Pack) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(pack.recipe.base)


def test_what_killed_runs_left_is_swept_when_old(copied: Pack) -> None:
    paths = [copied.adapters / ".v1-old-x" / "half", copied.shards / ".old.part", copied.shards / ".young.part"]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"x")
    for path in (paths[0].parent, paths[1]):
        os.utime(path, (0, 0))
    run(copied)
    assert [path.exists() for path in paths] == [False, False, True]


def kill_points(planned: Pack, points: int) -> dict[str, int]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, str(HERE / "kill_points.py"), str(planned.folder), str(points)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_killed_runs_resume_to_identical_tables(planned: Pack) -> None:
    found = kill_points(planned, 4)
    assert found == {"points": 4, "killed": 4, "same": 4, "litter": 0}


@pytest.mark.slow
def test_runs_killed_at_fifty_points_resume_to_identical_tables(planned: Pack) -> None:
    found = kill_points(planned, 50)
    assert found == {"points": 50, "killed": 50, "same": 50, "litter": 0}


def test_a_run_stops_in_time_and_goes_on(planned: Pack, finished: Pack) -> None:
    said: list[str] = []
    for _ in range(40):
        found = run(planned, RunSettings(minutes=1e-6), say=said.append)
    assert found.scored == 0
    assert any("run the same command again to continue" in line for line in said)
    run(planned)
    assert shards.read(planned) == shards.read(finished)


def test_a_failed_adapter_is_marked_and_its_neighbours_finish(
    planned: Pack, finished: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialise = Bank.initialise
    bad = start_seed("mood", 1)

    def poison(bank: Bank, slot: int, seed: int) -> None:
        initialise(bank, slot, seed)
        if seed == bad:
            bank.master[slot, 0] = float("nan")

    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Bank, "initialise", poison)
        found = run(planned, say=said.append)
    assert (found.trained, found.failed, found.scored) == (5, 1, 21)
    assert "adapter mood seed 1: loss or gradient was not finite at step 0; it is marked as failed" in said
    wanted = {cell.key: cell for cell in shards.read(finished)}
    for cell in shards.read(planned):
        assert cell.failed == ((cell.source, cell.seed) == ("mood", 1))
        assert cell.failed or cell == wanted[cell.key]
    scores = long_tables(planned, shards.read(planned))
    assert ("mood", 1) not in {(r["source"], r["seed"]) for r in scores["scores"].to_pylist()}
    (record,) = [r for r in scores["adapters"].to_pylist() if r["failed_at"] is not None]
    assert (record["source"], record["seed"], record["failed_at"]) == ("mood", 1, 0)
    run(planned, say=said.append)
    assert "1 adapters failed in an earlier run and are skipped; train them again with --retry-failed" in said
    assert run(planned, RunSettings(retry_failed=True)).trained == 6
    assert shards.read(planned) == shards.read(finished)


def test_trying_a_failed_adapter_again_keeps_the_cells_beside_its_own(
    finished: Pack, copied: Pack, tmp_path: Path
) -> None:
    """Shards from a borrowed machine hold many adapters, which are not there to measure them again."""
    export(finished, tmp_path / "all.parquet", "shard")
    bad = next(path.name for path in sorted(copied.adapters.iterdir()))
    cells = list(shards.cells_of(tmp_path / "all.parquet"))
    for path in copied.shards.iterdir():
        path.unlink()
    spoilt = [dataclasses.replace(cell, failed=cell.adapter == bad) for cell in cells]
    shards.write_file(copied.shards / "all.parquet", spoilt)
    (copied.adapters / f"{bad}.failed.json").write_text("{}")
    shutil.rmtree(copied.adapters / bad)
    shards.drop(copied, {bad})
    assert shards.read(copied) == [cell for cell in shards.read(finished) if cell.adapter != bad]
    shards.drop(copied, {cell.adapter for cell in cells if cell.adapter})
    assert {cell.source for cell in shards.read(copied)} == {None}
    shards.drop(copied, {"v1-none"})
    assert len(shards.read(copied)) == 3


def test_a_failure_is_known_until_its_cells_are_gone(
    planned: Pack, monkeypatch: pytest.MonkeyPatch, finished: Pack
) -> None:
    """Killed between the two, a run would leave cells marked failed that nothing measures again."""
    initialise, bad = Bank.initialise, start_seed("mood", 1)

    def poison(bank: Bank, slot: int, seed: int) -> None:
        initialise(bank, slot, seed)
        if seed == bad:
            bank.master[slot, 0] = float("nan")

    unlink = Path.unlink
    gone: list[Path] = []

    def killed(path: Path, *rest: Any, **named: Any) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Bank, "initialise", poison)
        run(planned)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            run(planned, RunSettings(retry_failed=True))
    assert status(planned).failed == 1
    assert run(planned, RunSettings(retry_failed=True)).failed == 0
    assert shards.read(planned) == shards.read(finished)


def test_priors_come_from_a_row_with_all_its_fields(planned: Pack) -> None:
    from traitcast.training.plan.pack import Packed
    from traitcast.training.plan.prompts import Row, Task

    task = Task("nli", "classification", "accuracy", "", ("premise", "hypothesis"), ("yes", "no"))
    rows = (Row(("", "b"), "yes", (), 0), Row(("a", "b"), "no", (), 1))
    session = Session(planned, RunSettings(), lambda _: None)
    (free,) = Scoring(session, lambda *_: None)._content_free(Packed(task, (), rows))
    assert free.prompt == session.prompter.content_free(task, rows[1:])[0].prompt
    assert free.prompt != session.prompter.content_free(task, rows[:1])[0].prompt


def test_seeds_are_tuned_on_rows_of_their_own(planned: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitcast.training.engine import train as adapters

    seen: dict[str, list[Any]] = {}
    train = adapters.train

    def watched(bank: Any, jobs: Any, *rest: Any, **named: Any) -> Any:
        seen.update({job.name: [tuple(map(tuple, row)) for row in job.rows] for job in jobs})
        return train(bank, jobs, *rest, **named)

    monkeypatch.setattr(adapters, "train", watched)
    run(planned)
    runtime = shards.read_runtime(planned)
    assert runtime is not None
    for source in planned.recipe.sources:
        one, two = (seen[adapter_key(planned.recipe, runtime, source, seed)] for seed in (0, 1))
        assert len(one) == len(two) == 12
        assert set(one) != set(two)
    records = [json.loads(path.read_text()) for path in planned.adapters.glob("*/training.json")]
    assert {record["rows"] for record in records} == {12}


def test_a_variant_begins_as_its_parent_does(datasets: dict[str, str], tmp_path: Path, base_folder: Path) -> None:
    """The same rows under another name: as a variant they make the adapter of the parent, as a dataset of their own
    another one, whose first weights and order are its own."""
    from safetensors.torch import load_file

    mood = Path(datasets["mood"])
    for name, more in (("mood-same", "parent: mood\nchanged: same\n"), ("other", "")):
        shutil.copytree(mood, tmp_path / name)
        spec = (mood / "dataset.yaml").read_text().replace("name: mood", f"name: {name}") + more
        (tmp_path / name / "dataset.yaml").write_text(spec)
    folders = [str(mood), str(tmp_path / "mood-same"), str(tmp_path / "other")]
    training = TrainingSettings(rank=2, alpha=4.0, epochs=1, batch_rows=4, learning_rate=1e-2)
    settings = PlanSettings(str(base_folder), seeds=(0,), train_rows=12, test_rows=6, training=training)
    pack = plan(tmp_path / "m", folders, settings)
    run(pack)
    runtime = shards.read_runtime(pack)
    assert runtime is not None
    keys = [adapter_key(pack.recipe, runtime, name, 0) for name in ("mood", "mood-same", "other")]
    assert len(set(keys)) == 3
    parent, variant, other = (load_file(pack.adapters / key / "adapter_model.safetensors") for key in keys)
    assert all(torch.allclose(parent[name], variant[name], atol=1e-6) for name in parent)
    assert not any(torch.allclose(parent[name], other[name], atol=1e-3) for name in parent)


def test_a_group_that_does_not_fit_names_the_cure(planned: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(bank: Bank) -> None:
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(Bank, "prepare", full)
    with pytest.raises(TraitcastError, match="with 4 adapters side by side; plan into a new folder with fewer --slots"):
        run(planned)


def test_foreign_shards_are_refused_by_name(copied: Pack, plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    other = plan_small(tmp_path / "other", learning_rate=1e-2)
    shutil.copy(copied.folder / "runtime.json", other.folder)
    other.shards.mkdir()
    trained = next(p for p in sorted(copied.shards.iterdir()) if shards.adapters_in(p))
    shutil.copy(trained, other.shards)
    for use in (lambda: shards.read(other), lambda: run(other), lambda: export(other, tmp_path / "x.csv", "csv")):
        with pytest.raises(ScoresError, match=rf"{trained.name} belongs to another recipe: its cell .* -> "):
            use()
    rows = pq.read_table(trained)
    changed = rows.set_column(2, "base_fingerprint", [["v1:other"] * rows.num_rows])
    pq.write_table(changed.replace_schema_metadata({"format": "2"}), copied.shards / "zz.parquet")
    with pytest.raises(ScoresError, match=r"zz.parquet was measured with other weights or precision \(v1:other"):
        shards.read(copied)


def test_a_damaged_shard_is_measured_again(
    copied: Pack, finished: Pack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read counts as missing, is named once, and is replaced by the next run."""
    lost = sorted(copied.shards.iterdir())[0]
    lost.write_bytes(b"PAR1 cut short")
    left = [cell for cell in shards.read(finished) if cell.key not in shards.keys(Pack(copied.folder))]
    assert left
    assert f"cannot read shard {lost}" in "".join(capsys.readouterr().err.split("\n  "))
    assert status(copied).scored == 21 - len(left)
    run(copied)
    assert shards.read(copied) == shards.read(finished)


def test_another_base_is_refused(copied: Pack) -> None:
    runtime = copied.folder / "runtime.json"
    runtime.write_text(json.dumps({"base_fingerprint": "v1:other", "dtype": "float32"}))
    with pytest.raises(ScoresError, match=r"was begun with weights v1:other in float32, and this run has v1:"):
        run(copied)
    runtime.write_text("{")
    with pytest.raises(InputError, match=r"cannot read .*runtime.json"):
        status(copied)


def test_a_damaged_adapter_is_named(copied: Pack) -> None:
    for path in copied.shards.iterdir():
        path.unlink()
    weights = sorted(copied.adapters.glob("*/adapter_model.safetensors"))[0]
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(InputError, match=rf"cannot read the adapter in .*{weights.parent.name}.*; delete the folder"):
        run(copied)


def test_prompts_are_lowered_to_the_context_of_the_model(planned: Pack, base_folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    shutil.copytree(base_folder, small)
    config = json.loads((small / "config.json").read_text())
    recipe = planned.folder / "recipe.json"
    content = json.loads(recipe.read_text())
    recipe.write_text(json.dumps({**content, "base": str(small)}))
    (small / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 71}))
    said: list[str] = []
    run(Pack(planned.folder), say=said.append)
    assert any(line.startswith("choice: ") and "test prompts were shortened" in line for line in said)
    (small / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 40}))
    (planned.folder / "runtime.json").unlink()
    with pytest.raises(ScoresError, match="was begun with weights v1:"):
        run(Pack(planned.folder))
    shutil.rmtree(planned.folder / "shards")
    with pytest.raises(InputError, match="reads 40 tokens, and answers may take 41; plan with a lower"):
        run(Pack(planned.folder))


def test_exports(finished: Pack, tmp_path: Path) -> None:
    assert export(finished, tmp_path / "scores.csv", "csv") == 21
    export(finished, tmp_path / "scores.parquet", "parquet")
    with (tmp_path / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == pq.read_table(tmp_path / "scores.parquet").num_rows
    headline = [row for row in rows if row["metric"] == "score"]
    assert len(headline) == 21
    assert {row["source"] for row in headline} == {"", "mood", "choice", "sums"}
    export(finished, tmp_path / "harness", "lm-eval")
    files = sorted(path.name for path in (tmp_path / "harness").iterdir())
    assert files == [
        "results_base.json",
        *(f"results_{s}.s{k}.json" for s in ("choice", "mood", "sums") for k in (0, 1)),
    ]
    base = json.loads((tmp_path / "harness" / "results_base.json").read_text())
    (accuracy,) = [float(r["score"]) for r in headline if (r["source"], r["target"]) == ("", "mood")]
    assert base["results"]["mood"]["acc,none"] == accuracy
    assert base["n-samples"]["mood"]["effective"] == 6
    with pytest.raises(InputError, match="format 'xml' is not one of csv, parquet, tables, lm-eval, shard"):
        export(finished, tmp_path / "x", "xml")


def test_one_shard_file_travels(finished: Pack, copied: Pack, tmp_path: Path) -> None:
    export(finished, tmp_path / "all.parquet", "shard")
    for path in copied.shards.iterdir():
        path.unlink()
    with pytest.raises(ScoresError, match="holds no cells yet; run: traitcast matrix run --pack"):
        export(copied, tmp_path / "none.csv", "csv")
    shutil.copy(tmp_path / "all.parquet", copied.shards)
    assert status(copied).scored == 21
    assert shards.read(copied) == shards.read(finished)
    # Back on the machine that planned, which never loaded the base.
    (copied.folder / "runtime.json").unlink()
    assert status(copied) == status(finished)


def test_numbers_travel_without_the_texts(finished: Pack, copied: Pack, tmp_path: Path) -> None:
    """Metrics of generated texts are kept when the texts are left behind."""
    export(finished, tmp_path / "all.parquet", "shard", text=False)
    for path in copied.shards.iterdir():
        path.unlink()
    shutil.copy(tmp_path / "all.parquet", copied.shards)
    assert all(cell.outputs is None for cell in shards.read(copied))
    tables = [long_tables(pack, shards.read(pack)) for pack in (finished, copied)]
    assert tables[0]["scores"].equals(tables[1]["scores"])


def test_tables(finished: Pack) -> None:
    found = long_tables(finished, shards.read(finished))
    labels = found["predicted_labels"].to_pylist()
    mood = [row for row in labels if (row["source"], row["target"]) == ("", "mood")]
    assert sum(row["n"] for row in mood) == 6
    assert {row["gold"] for row in mood} <= {"negative", "positive"}
    lengths = found["generations"].to_pylist()
    assert len(lengths) == 7
    assert all(row["tokens_p10"] <= row["tokens_p50"] <= row["tokens_p90"] <= 12 for row in lengths)
    adapters = found["adapters"].to_pylist()
    assert [(row["source"], row["seed"]) for row in sorted(adapters, key=lambda r: (r["source"], r["seed"]))] == [
        (source, seed) for source in ("choice", "mood", "sums") for seed in (0, 1)
    ]
    assert all(row["steps"] == 3 and row["failed_at"] is None for row in adapters)


def test_ingest_twice_is_ingest_once(finished: Pack, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="the warehouse needs duckdb")
    from traitcast.warehouse.database.warehouse import Warehouse

    path = tmp_path / "w.duckdb"
    found = []
    for _ in range(2):
        counts = ingest(finished, path, name="mine")
        with Warehouse.open(path, read_only=True) as store:
            content = {
                table: store.query(f"SELECT * FROM {table} WHERE matrix = 'mine' ORDER BY ALL").to_pylist()
                for table in (*TABLES, "row_scores", "targets", "row_traits")
            }
            found.append((counts, content))
            effects = store.query("SELECT * FROM side_effects WHERE matrix = 'mine'").num_rows
            cells = store.cells("mine")
            (matrix_row,) = [m for m in store.matrices() if m.matrix == "mine"]
    (first, content), (second, again) = found
    assert content == again
    assert {table: first[table] for table in content} == {table: len(rows) for table, rows in content.items()}
    assert second == first | {"targets": 0, "row_traits": 0}, "test rows that are known are not measured again"
    assert effects == 18
    assert "merged scoring changes 0.00 % of" in matrix_row.description
    assert len(cells.sources) == 18
    assert np.isfinite(cells.gain).all()


def test_tables_travel_without_the_shards(finished: Pack, copied: Pack, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="the warehouse needs duckdb")
    assert export(finished, tmp_path / "tables", "tables") == 21
    assert {*TABLES, "row_scores"} <= {path.stem for path in (tmp_path / "tables").iterdir()}
    shutil.rmtree(copied.shards)
    counts = ingest(copied, tmp_path / "w.duckdb", tables=tmp_path / "tables")
    assert counts == ingest(finished, tmp_path / "x.duckdb")
    with pytest.raises(InputError, match=r"cannot read .*scores.parquet .* write it: traitcast matrix export --as"):
        ingest(copied, tmp_path / "w.duckdb", tables=tmp_path / "nowhere")


def test_estimates(planned: Pack, finished: Pack) -> None:
    before, after = estimate(planned), estimate(finished)
    assert (before.adapters, before.cells) == (6, 21)
    assert before.train_tokens == after.train_tokens > 0
    assert not any("measured" in name for name in before.minutes)
    assert any("measured" in name for name in after.minutes)


def test_the_hours_that_are_left(planned: Pack, finished: Pack, copied: Pack) -> None:
    assert hours_left(finished) == {}
    (whole,) = hours_left(planned).values()
    assert set(hours_left(planned)) == {"one CPU core (assumed)"}
    assert 60 * whole == pytest.approx(estimate(planned).minutes["one CPU core"])
    # Without the cells of one block of the base, nothing is to be trained.
    next(path for path in copied.shards.iterdir() if not shards.adapters_in(path)).unlink()
    ((name, hours),) = hours_left(copied).items()
    assert re.fullmatch(r"one core of cpu \w+, float32 \(measured\)", name)
    assert 0 < hours < estimate(copied).minutes[name] / 60 / 7

"""Planning: what is drawn, how it is grouped, what travels, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import pack as packs
from training.pack import Pack, PlanSettings, plan
from training.prompts import Row
from training.recipe import Recipe, Runtime, TrainingSettings, adapter_key, cell_key
from warehouse.errors import InputError, ScoresError

SETTINGS = PlanSettings(base="some/tiny", seeds=(0, 1), train_rows=8, test_rows=4, slots=3, block_tokens=600)


def test_a_plan_holds_all_that_travels(datasets: dict[str, str], tmp_path: Path) -> None:
    made = plan(tmp_path / "m", list(datasets.values()), SETTINGS)
    assert sorted(p.name for p in tmp_path.joinpath("m").rglob("*") if p.is_file()) == [
        "choice.parquet",
        "mood.parquet",
        "recipe.json",
        "sums.parquet",
    ]
    recipe = made.recipe
    assert recipe.sources == recipe.targets == ("choice", "mood", "sums")
    assert recipe.cells == (3 * 2 + 1) * 3
    jobs = [job for group in recipe.groups for job in group]
    assert sorted(jobs) == sorted((source, seed) for source in recipe.sources for seed in (0, 1))
    assert all(len(group) <= 3 for group in recipe.groups)
    steps = [recipe.training.steps(recipe.datasets[source].train_rows) for source, _ in jobs]
    assert steps == sorted(steps, reverse=True)
    assert sorted(name for block in recipe.blocks for name in block) == ["choice", "mood", "sums"]
    assert ("sums",) in recipe.blocks, "generations are scored apart"
    again = Pack(tmp_path / "m")
    assert again.recipe == recipe
    mood = again.rows("mood")
    assert mood.task.labels == ("negative", "positive")
    assert (len(mood.train), len(mood.test)) == (8, 4)
    assert {mood.task.labels[row.gold or 0] == row.response for row in mood.train} == {True}


def test_planning_twice_gives_the_same_bytes(datasets: dict[str, str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        plan(tmp_path / name, list(datasets.values()), SETTINGS)
    for file in ("recipe.json", "data/mood.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_plan_grows_and_keeps_its_groups(datasets: dict[str, str], tmp_path: Path) -> None:
    first = plan(tmp_path, [datasets["mood"]], SETTINGS).recipe
    more = plan(tmp_path, [datasets["sums"]], dataclasses.replace(SETTINGS, seeds=(0, 1, 2))).recipe
    assert more.groups[: len(first.groups)] == first.groups
    assert more.blocks[: len(first.blocks)] == first.blocks
    assert (more.sources, more.seeds) == (("mood", "sums"), (0, 1, 2))
    jobs = [job for group in more.groups for job in group]
    assert len(jobs) == len(set(jobs)) == 6


def test_other_settings_or_rows_are_refused(datasets: dict[str, str], tmp_path: Path) -> None:
    plan(tmp_path, [datasets["mood"]], SETTINGS)
    with pytest.raises(ScoresError, match=r"planned with training.learning_rate 0.0002, now 1.0; give the same, or"):
        plan(
            tmp_path,
            [datasets["mood"]],
            dataclasses.replace(SETTINGS, training=TrainingSettings(learning_rate=1.0)),
        )
    with pytest.raises(InputError, match="'mood' is in .* with other rows; plan into a new folder"):
        plan(tmp_path, [datasets["mood"]], dataclasses.replace(SETTINGS, train_rows=3))


def test_sources_and_targets_are_checked(datasets: dict[str, str], tmp_path: Path) -> None:
    every = list(datasets.values())
    recipe = plan(tmp_path / "a", every, SETTINGS, sources=["mood"], targets=["sums", "choice"]).recipe
    assert (recipe.sources, set(recipe.targets)) == (("mood",), {"sums", "choice"})
    with pytest.raises(InputError, match="source 'moood' is not among the datasets; did you mean 'mood'"):
        plan(tmp_path / "b", every, SETTINGS, sources=["moood"])
    with pytest.raises(InputError, match="target 'lone' has no test or validation rows; leave it out"):
        plan(tmp_path / "c", [*every, lone(tmp_path)], SETTINGS, targets=["lone"])
    assert "lone" not in plan(tmp_path / "d", [*every, lone(tmp_path)], SETTINGS).recipe.targets
    with pytest.raises(InputError, match="none of lone has test or validation rows, so nothing can be scored"):
        plan(tmp_path / "e", [lone(tmp_path)], SETTINGS)
    with pytest.raises(InputError, match="the list of targets is empty; it may name mood, choice, sums"):
        plan(tmp_path / "f", every, SETTINGS, targets=[])


def test_what_can_be_no_base_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="base model 'smolm2' is neither a folder, 'smollm2', nor a hub id such as"):
        plan(tmp_path / "m", ["nowhere"], dataclasses.replace(SETTINGS, base="smolm2"))
    assert not (tmp_path / "m").exists()


def lone(folder: Path) -> str:
    """A dataset without a test split."""
    path = folder / "lone.jsonl"
    path.write_text("".join(json.dumps({"text": f"t{i}", "label": "ab"[i % 2]}) + "\n" for i in range(6)))
    return str(path)


def test_rows_are_drawn_from_everywhere() -> None:
    rows = [Row((str(i),), "x") for i in range(1000)]
    drawn = packs.draw(rows, 100, 0)
    places = [int(row.fields[0]) for row in drawn]
    assert places == sorted(set(places))
    assert len(places) == 100
    assert 400 < sum(places) / 100 < 600
    assert packs.draw(rows, 100, 0) == drawn != packs.draw(rows, 100, 1)
    assert packs.draw(rows[:5], 100, 0) == tuple(rows[:5])


def test_damaged_packs_are_named(datasets: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no recipe.json; make one: traitcast matrix plan --pack"):
        Pack(tmp_path / "none")
    made = plan(tmp_path / "m", [datasets["mood"], datasets["sums"]], SETTINGS)
    with pytest.raises(InputError, match="'mod' is not in the pack; did you mean 'mood'"):
        made.rows("mod")
    data = tmp_path / "m" / "data" / "mood.parquet"
    table = pq.read_table(data)
    pq.write_table(table.slice(1), data)
    with pytest.raises(InputError, match=r"the train rows are not those of recipe.json"):
        made.rows("mood")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot read .*mood.parquet"):
        made.rows("mood")
    recipe = tmp_path / "m" / "recipe.json"
    content = json.loads(recipe.read_text())
    recipe.write_text(json.dumps({**content, "seedz": [1]}))
    with pytest.raises(InputError, match="unknown key 'seedz'; did you mean 'seeds'"):
        Pack(tmp_path / "m")
    recipe.write_text(json.dumps({**content, "training": {"rnak": 3}}))
    with pytest.raises(InputError, match="training: unknown key 'rnak'; did you mean 'rank'"):
        Pack(tmp_path / "m")
    recipe.write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(InputError, match="has format 2; this version reads 1"):
        Pack(tmp_path / "m")
    recipe.write_text(json.dumps({**content, "groups": [["mood"]]}))
    with pytest.raises(InputError, match="groups or blocks are malformed"):
        Pack(tmp_path / "m")
    recipe.write_text(json.dumps({**content, "prompt_format": "v0"}))
    with pytest.raises(
        InputError, match=r"planned for prompt format v0 and engine 1; this version has v1 and 1, whose"
    ):
        Pack(tmp_path / "m")
    recipe.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        Pack(tmp_path / "m")
    recipe.write_text("[]")
    with pytest.raises(InputError, match="holds list, not an object"):
        Pack(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": (1, 1)}, r"seeds are \[1, 1\]; give distinct numbers"),
        ({"test_rows": 0}, "test_rows is 0; give 1 or more"),
    ],
)
def test_settings_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SETTINGS, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "step"}, "schedule is 'step'; allowed: cosine, linear, constant"),
        ({"rank": 0}, "rank is 0; allowed: 1 or more"),
        ({"warmup": 1.0}, r"warmup is 1.0; allowed: a share"),
        ({"learning_rate": 0.0}, r"learning_rate is 0.0; allowed: above 0"),
        ({"targets": ()}, r"targets is \(\); allowed: all-linear, or last parts of module names"),
    ],
)
def test_training_settings_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainingSettings(**change)


def test_keys_follow_everything_that_shapes_a_score(datasets: dict[str, str], tmp_path: Path) -> None:
    recipe = plan(tmp_path, [datasets["mood"], datasets["sums"]], SETTINGS).recipe
    runtime = Runtime("v1:base", "float32")

    def both(recipe: Recipe, runtime: Runtime) -> tuple[str, str]:
        adapter = adapter_key(recipe, runtime, "mood", 0)
        return adapter, cell_key(recipe, runtime, adapter, "sums")

    plain = both(recipe, runtime)
    assert both(recipe, runtime) == plain
    training = dataclasses.replace(recipe, training=TrainingSettings(learning_rate=1e-3))
    scoring = dataclasses.replace(recipe, scoring=dataclasses.replace(recipe.scoring, mode="exact"))
    rows = dict(recipe.datasets)
    rows["sums"] = dataclasses.replace(rows["sums"], test_fingerprint="v1:other")
    assert all(x != y for x, y in zip(both(training, runtime), plain, strict=True))
    assert all(x != y for x, y in zip(both(recipe, Runtime("v1:base", "bfloat16")), plain, strict=True))
    assert both(scoring, runtime)[0] == plain[0]
    assert both(scoring, runtime)[1] != plain[1]
    assert both(dataclasses.replace(recipe, datasets=rows), runtime)[1] != plain[1]
    assert cell_key(recipe, runtime, None, "sums") != plain[1]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: both end a write half way."""
    path = tmp_path / "file"
    packs.write_aside(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*file .*; free space"):
            packs.write_aside(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_named(datasets: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/m/data/mood.parquet .*; free space or permissions"):
        plan(tmp_path / "file" / "m", [datasets["mood"]], SETTINGS)


def test_files_are_as_readable_as_any_other(datasets: dict[str, str], tmp_path: Path) -> None:
    """A pack is there to be passed on: the umask decides, not the habit of temporary files."""
    plan(tmp_path / "m", [datasets["mood"]], SETTINGS)
    (tmp_path / "plain").write_text("")
    wanted = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in (tmp_path / "m").rglob("*") if path.is_file()} == {wanted}


def test_rows_without_an_answer_are_left_out() -> None:
    from profiler.examples import Examples
    from profiler.spec import DatasetSpec

    table = pa.table(
        {
            "fields": pa.array([["a"], ["b"], ["c"]], pa.list_(pa.string())),
            "options": pa.nulls(3, pa.list_(pa.string())),
            "response": pa.array(["x", None, " "]),
            "label": pa.nulls(3, pa.string()),
        }
    )
    spec = DatasetSpec("generation", ("q",), answer_field="a")
    examples = Examples("d", spec, "train", {"train": 3}, "d", None, table, "v1:0")
    assert packs.rows_of(examples, packs.task_of(examples)) == [Row(("a",), "x")]

"""Planning: what is drawn, how it is grouped, what travels, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traitcast.profiler.reading.reader import read
from traitcast.profiler.variants import write_variants
from traitcast.training.plan import pack as packs
from traitcast.training.plan.pack import Pack, training_rows
from traitcast.training.plan.planning import PlanSettings, plan, read_dataset, rows_of, task_of
from traitcast.training.plan.prompts import Row
from traitcast.training.plan.recipe import Recipe, Runtime, TrainingSettings, adapter_key, cell_key
from traitcast.warehouse.errors import InputError, ScoresError

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
    assert (len(mood.train), len(mood.test)) == (20, 4), "a pool of training rows, for every seed to draw from"
    assert (recipe.datasets["mood"].train_rows, recipe.datasets["mood"].pool_rows) == (8, 20)
    assert {mood.task.labels[row.gold or 0] == row.response for row in mood.train} == {True}


def test_planning_twice_gives_the_same_bytes(datasets: dict[str, str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        plan(tmp_path / name, list(datasets.values()), SETTINGS)
    for file in ("recipe.json", "data/mood.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_variant_is_tuned_on_the_rows_of_its_parent(datasets: dict[str, str], tmp_path: Path) -> None:
    from traitcast.profiler.reading.reader import read
    from traitcast.profiler.variants import write_variants
    from traitcast.training.results.export import lineage

    made, _ = write_variants(read(datasets["mood"]), tmp_path / "made", ["permute_labels", "pad_response"])
    folders = [str(one.folder) for one in made]
    pack = plan(tmp_path / "m", [datasets["mood"], datasets["sums"], *folders], SETTINGS)
    assert pack.recipe.targets == ("mood", "sums"), "variants have no test rows"
    assert lineage(pack.recipe).to_pylist() == [
        {"dataset": "mood-pad_response", "parent": "mood", "changed": "pad_response generation_length"},
        {"dataset": "mood-permute_labels", "parent": "mood", "changed": "permute_labels shortcut"},
    ]
    written = tmp_path / "m" / "recipe.json"
    older = json.loads(written.read_text())
    for entry in older["datasets"].values():
        del entry["parent"], entry["changed"]
    written.write_text(json.dumps(older))
    again = plan(tmp_path / "m", [datasets["mood"], *folders], SETTINGS)
    assert again.recipe == pack.recipe, "a plan from before variants had parents learns of them"
    for seed in SETTINGS.seeds:
        mood, padded, permuted = (
            training_rows(pack.recipe, name, seed, pack.rows(name).train)
            for name in ("mood", "mood-pad_response", "mood-permute_labels")
        )
        assert [row.fields for row in mood] == [row.fields for row in padded] == [row.fields for row in permuted]
        assert [row.gold for row in mood] == [row.gold for row in padded] != [row.gold for row in permuted]


def test_a_plan_that_fails_leaves_what_there_was(datasets: dict[str, str], tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(datasets["mood"], alone)
    (alone / "test.jsonl").unlink()
    with pytest.raises(InputError, match="none of mood has test or validation rows"):
        plan(tmp_path / "m", [str(alone)], SETTINGS)
    assert not (tmp_path / "m").exists()
    plan(tmp_path / "m", [datasets["sums"]], SETTINGS)
    before = {path: path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="missing"):
        plan(tmp_path / "m", [datasets["mood"], str(tmp_path / "missing.jsonl")], SETTINGS)
    assert {path: path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()} == before


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


def test_every_seed_draws_its_own_rows(datasets: dict[str, str], tmp_path: Path) -> None:
    """Where a source has more rows than an adapter takes, the spread over seeds holds the luck of the draw too."""
    made = plan(tmp_path / "m", [datasets["mood"]], SETTINGS)
    pool = made.rows("mood").train
    drawn = [packs.training_rows(made.recipe, "mood", seed, pool) for seed in (0, 1, 2)]
    assert [len(rows) for rows in drawn] == [8, 8, 8]
    assert len(set(drawn)) == 3
    assert all(set(rows) < set(pool) for rows in drawn)
    assert packs.training_rows(made.recipe, "mood", 1, pool) == drawn[1]
    other = dataclasses.replace(made.recipe, sample_seed=1)
    assert packs.training_rows(other, "mood", 1, pool) != drawn[1]
    runtime = Runtime("v1:base", "float32")
    assert adapter_key(other, runtime, "mood", 1) != adapter_key(made.recipe, runtime, "mood", 1)
    whole = plan(tmp_path / "whole", [datasets["mood"]], dataclasses.replace(SETTINGS, train_rows=30)).recipe
    assert packs.training_rows(whole, "mood", 0, pool) == packs.training_rows(whole, "mood", 1, pool) == pool
    # Tokens are estimated for the rows that are tuned on, not for the pool.
    entry = made.recipe.datasets["mood"]
    assert entry.train_characters == pytest.approx(packs.characters(pool, made.task("mood")) * 8 / 20, abs=1)


@pytest.mark.parametrize("spec", ["", "label_names: [neg, pos]\n"])
def test_a_test_split_without_labels_is_passed_over(tmp_path: Path, spec: str) -> None:
    """GLUE and others keep the labels of their test rows to themselves and write -1."""
    for split, n in (("train", 24), ("validation", 8), ("test", 8)):
        rows = [{"text": f"the film {i} was {i % 2}", "label": -1 if split == "test" else i % 2} for i in range(n)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    roles = "name: held\ntask_type: classification\ntext_fields: [text]\nlabel_field: label\n"
    (tmp_path / "dataset.yaml").write_text(roles + spec)
    entry = plan(tmp_path / "m", [str(tmp_path)], SETTINGS).recipe.datasets["held"]
    assert (entry.test_split, entry.test_rows, len(entry.labels)) == ("validation", 4, 2)


def test_a_split_of_test_rows_is_told(datasets: dict[str, str], tmp_path: Path) -> None:
    assert plan(tmp_path / "a", [datasets["sums"]], SETTINGS).recipe.datasets["sums"].test_split == "test"
    assert plan(tmp_path / "b", [datasets["mood"], lone(tmp_path)], SETTINGS).recipe.datasets["lone"].test_split == ""


def test_a_pool_is_bounded(datasets: dict[str, str], tmp_path: Path) -> None:
    made = plan(tmp_path, [datasets["mood"]], dataclasses.replace(SETTINGS, train_rows=3))
    assert len(made.rows("mood").train) == made.recipe.datasets["mood"].pool_rows == 12


def test_names_of_any_script_are_fine(datasets: dict[str, str], tmp_path: Path) -> None:
    """What the readers and the warehouse take for a name, a pack takes too."""
    folder = tmp_path / "d"
    shutil.copytree(datasets["mood"], folder)
    spec = folder / "dataset.yaml"
    spec.write_text(spec.read_text().replace("name: mood", "name: _настроение"))
    made = plan(tmp_path / "m", [str(folder)], SETTINGS)
    assert made.recipe.sources == ("_настроение",)
    assert len(Pack(tmp_path / "m").rows("_настроение").test) == 4


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
    with pytest.raises(InputError, match="groups is .*, not tuple"):
        Pack(tmp_path / "m")
    recipe.write_text(json.dumps({**content, "prompt_format": "v0"}))
    with pytest.raises(
        InputError, match=r"planned for prompt format v0 and engine 2; this version has v1 and 2, whose"
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
        ({"slots": -1}, "slots is -1; give 0 or more"),
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
        with pytest.raises(InputError, match=r"cannot write .*file: File too large\. Free space"):
            packs.write_aside(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be_is_named(datasets: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/m/data/mood.parquet: .*\. Free space or permissions"):
        plan(tmp_path / "file" / "m", [datasets["mood"]], SETTINGS)


def test_files_are_as_readable_as_any_other(datasets: dict[str, str], tmp_path: Path) -> None:
    """A pack is there to be passed on: the umask decides, not the habit of temporary files."""
    plan(tmp_path / "m", [datasets["mood"]], SETTINGS)
    (tmp_path / "plain").write_text("")
    wanted = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in (tmp_path / "m").rglob("*") if path.is_file()} == {wanted}


def test_rows_without_an_answer_are_left_out() -> None:
    from traitcast.profiler.reading.examples import Examples
    from traitcast.profiler.roles.spec import DatasetSpec

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
    assert rows_of(examples, task_of(examples)) == [Row(("a",), "x")]


@pytest.mark.parametrize(
    ("splits", "classes"),
    [
        ({"train": "ab", "test": "abc"}, "ab"),
        ({"train": "ab", "test": "---", "validation": "bd"}, "ab"),
        ({"train": "ab", "test": [-1, -1], "validation": "be"}, "ab"),
        ({"train": "ab", "test": "zz"}, "ab"),
        ({"train": "ab", "test": "ab", "validation": "abc"}, "ab"),
        ({"train": "abc"}, "abc"),
        ({"test": "ab", "validation": "abc"}, "ab"),
    ],
)
def test_a_variant_has_the_classes_of_its_parent(
    tmp_path: Path, splits: dict[str, list[str | int]], classes: str
) -> None:
    folder = tmp_path / "parent"
    folder.mkdir()
    for split, labels in splits.items():
        rows = (
            {"text": f"{split.upper()} text {i}", "mark": None if m == "-" else m} for i, m in enumerate([*labels] * 5)
        )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset.yaml").write_text("task_type: classification\ntext_fields: [text]\nlabel_field: mark\n")
    split = "train" if "train" in splits else "test"
    (made,), _ = write_variants(read(folder, split=split), tmp_path / "made", ["lower_case"])
    assert read(made.folder).spec.label_names == tuple(classes)
    if split == "train":
        settings = PlanSettings("base", train_rows=4, test_rows=4, test_from_training=True)
        parent, variant = (read_dataset(str(path), settings)[1].task for path in (folder, made.folder))
        assert variant.labels == parent.labels

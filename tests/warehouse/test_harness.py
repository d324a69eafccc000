"""Result files of evaluation harnesses, imported one by one or by the folder, as a user does."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import traitcast.cli
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.harness import adapter_name, target_name
from traitcast.warehouse.import_scores import load_recipe, read_scores

BASE = {"arc_easy": {"acc,none": 0.6, "acc_norm,none": 0.55}, "boolq": {"acc,none": 0.55}, "sst2": {"acc,none": 0.52}}
TUNED = {"arc_easy": {"acc,none": 0.62, "acc_norm,none": 0.58}, "boolq": {"acc,none": 0.61}, "sst2": {"acc,none": 0.8}}
GSM8K = {
    "exact_match,strict-match": 0.31,
    "exact_match_stderr,strict-match": 0.0128,
    "exact_match,flexible-extract": 0.35,
}


def result(results: dict[str, Any], peft: str = "", **more: Any) -> dict[str, Any]:
    arguments = "pretrained=org/base,dtype=bfloat16" + (f",peft={peft}" if peft else "")
    return {"results": results, "config": {"model": "hf", "model_args": arguments}, **more}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(tmp_path / "w.duckdb"))

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(traitcast.cli.cli, list(map(str, arguments)), catch_exceptions=False)

    return invoke


def gains(tmp_path: Path, name: str = "mine") -> dict[tuple[str, str], float]:
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        rows = warehouse.query(f"SELECT * FROM transfer_matrix WHERE matrix = '{name}'").to_pylist()
    return {(row["source"], row["target"]): round(row["gain"], 6) for row in rows if row["gain"] is not None}


EXPECTED = {("gsm8k", "arc_easy"): 2.0, ("gsm8k", "boolq"): 6.0, ("gsm8k", "sst2"): 28.0}


@pytest.mark.parametrize("order", [("base", "tuned"), ("tuned", "base")])
def test_base_and_tuned_files_meet_in_either_order(tmp_path: Path, run: Any, order: tuple[str, str]) -> None:
    files = {
        "base": [write(tmp_path / "base.json", result(BASE))],
        "tuned": [write(tmp_path / "tuned.json", result(TUNED, "/runs/x/checkpoint-3")), "--source", "gsm8k"],
    }
    for which in order:
        done = run("scores", "import", *files[which], "--name", "mine")
        assert done.exit_code == 0, done.stderr
        missing = "without a gain until the base model org/base (an empty source) has a score by score" in done.stderr
        assert missing == (which == "tuned" and order[0] == "tuned")
    assert gains(tmp_path) == EXPECTED


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_files_in_any_order_give_the_same_gains(tmp_path: Path, run: Any, data: st.DataObject) -> None:
    """Each model has some of the tasks, under some of the metrics that a harness writes beside the preferred one."""
    tasks = ("arc_easy", "boolq", "sst2")
    score = st.integers(0, 100).map(lambda percent: percent / 100)
    models = {
        source: {
            task: {"acc,none": data.draw(score), **({"acc_stderr,none": 0.01} if data.draw(st.booleans()) else {})}
            for task in data.draw(st.lists(st.sampled_from(tasks), min_size=1, unique=True))
        }
        for source in ("", "gsm8k", "mnli")
    }
    # Examples share a warehouse: each has a matrix of its own.
    name = f"m{secrets.token_hex(8)}"
    for source in data.draw(st.permutations(sorted(models))):
        peft = f"/runs/{source}" if source else ""
        file = write(tmp_path / f"{source or 'base'}.json", result(models[source], peft))
        done = run("scores", "import", file, "--name", name, *(["--source", source] if source else []))
        assert done.exit_code == 0, done.stderr
    expected = {
        (source, task): round(100 * (found["acc,none"] - models[""][task]["acc,none"]), 6)
        for source, results in models.items()
        for task, found in results.items()
        if source and task in models[""]
    }
    assert gains(tmp_path, name) == pytest.approx(expected, abs=1e-6)


def test_an_import_never_changes_what_a_stored_matrix_means(tmp_path: Path, run: Any) -> None:
    run("scores", "import", write(tmp_path / "base.json", result(BASE)), "--name", "mine")
    tuned = write(tmp_path / "tuned.json", result(TUNED))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("base: target mean\n")
    refused = run("scores", "import", tuned, "--name", "mine", "--source", "gsm8k", "--spec", recipe)
    assert refused.exit_code == 2
    assert "the base of matrix 'mine' is 'untuned', and the recipe says 'target mean'" in refused.stderr
    assert "traitcast scores drop mine" in refused.stderr
    recipe.write_text("metric: acc_norm\n")
    refused = run("scores", "import", tuned, "--name", "mine", "--source", "gsm8k", "--spec", recipe)
    assert "the headline metric of matrix 'mine' is 'score'" in refused.stderr
    run("scores", "import", tuned, "--name", "mine", "--source", "gsm8k")
    assert gains(tmp_path) == EXPECTED


def test_a_folder_at_once(tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "results"
    write(folder / "base.json", result(BASE))
    write(folder / "tuned.json", result(TUNED, "/runs/lora-gsm8k/checkpoint-300"))
    write(folder / "notes.json", {"nothing": 1})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("names: {lora-gsm8k: gsm8k}\n")
    done = run("scores", "import", folder, "--name", "mine", "--source-from", "peft", "--spec", recipe)
    assert done.exit_code == 0, done.stderr
    assert "1 other JSON files left out" in done.stderr
    assert gains(tmp_path) == EXPECTED
    recipe.write_text("sources: {lora-gsm8k: gsm8k, org/base: ''}\n")
    assert run("scores", "import", folder, "--name", "mapped", "--spec", recipe).exit_code == 0
    assert gains(tmp_path, "mapped") == EXPECTED
    recipe.write_text("sources: {lora-gsm: gsm8k, org/base: ''}\n")
    refused = run("scores", "import", folder, "--name", "other", "--spec", recipe)
    assert "does not say what '/runs/lora-gsm8k/checkpoint-300' was tuned on" in refused.stderr


def test_merged_weights_take_the_name_of_their_base(tmp_path: Path, run: Any) -> None:
    run("scores", "import", write(tmp_path / "base.json", result(BASE)), "--name", "mine")
    merged = result(TUNED)
    merged["config"]["model_args"] = "pretrained=/models/merged"
    file = write(tmp_path / "merged.json", merged)
    done = run("scores", "import", file, "--name", "mine", "--source", "gsm8k", "--model", "org/base")
    assert done.exit_code == 0
    assert gains(tmp_path) == EXPECTED


def test_filters_and_metrics_keep_their_names(tmp_path: Path) -> None:
    file = write(tmp_path / "r.json", result({**BASE, "gsm8k": GSM8K}))
    rows = read_scores(file).rows.to_pylist()
    found = {(row["target"], row["metric"]): row["score"] for row in rows}
    assert found["gsm8k", "exact_match,strict-match"] == found["gsm8k", "score"] == 0.31
    assert found["gsm8k", "exact_match,flexible-extract"] == 0.35
    assert found["arc_easy", "score"] == found["arc_easy", "acc"] == 0.6
    assert found["arc_easy", "acc_norm"] == 0.55
    errors = {row["metric"]: row["standard_error"] for row in rows if row["target"] == "gsm8k"}
    assert errors["exact_match,strict-match"] == errors["score"] == 0.0128
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("where:\n  filter: [flexible-extract]\n")
    rows = read_scores(file, load_recipe(recipe)).rows.to_pylist()
    assert {(row["metric"], row["score"]) for row in rows} == {
        ("exact_match,flexible-extract", 0.35),
        ("score", 0.35),
    }


@pytest.mark.parametrize("value", [0.83, 19.93, 100.0])
def test_squad_counts_in_percent_whatever_the_size(tmp_path: Path, value: float) -> None:
    file = write(tmp_path / "r.json", result({"squadv2": {"exact,none": 0.1, "f1,none": value}}))
    found = {row["metric"]: row["score"] for row in read_scores(file).rows.to_pylist()}
    assert found == pytest.approx({"exact": 0.001, "f1": value / 100, "score": 0.001})
    drop = write(tmp_path / "d.json", result({"drop": {"em,none": 0.01, "f1,none": 0.05}}))
    assert {row["metric"]: row["score"] for row in read_scores(drop).rows.to_pylist()}["f1"] == 0.05


def test_old_files_keep_their_errors(tmp_path: Path) -> None:
    content = result({"boolq": {"acc": 0.55, "acc_stderr": 0.0087}})
    row = read_scores(write(tmp_path / "r.json", content)).rows.to_pylist()[0]
    assert (row["metric"], row["standard_error"]) == ("acc", 0.0087)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    content = result(
        {
            "cola": {"mcc,none": 0.04, "mcc_stderr,none": 0.02},
            "humaneval": {"pass@1,create_test": 0.12},
            "ifeval": {"prompt_level_strict_acc,none": 0.2},
            "sst2": {"acc,none": 0.5},
            "arc_easy": {"acc,none": float("nan")},
            "mmlu": {"acc,none": 0.25},
            "mmlu_virology": {"acc,none": 0.28},
        },
        groups={"mmlu": {"acc,none": 0.25}},
    )
    found = read_scores(write(tmp_path / "r.json", content))
    assert {row["target"] for row in found.rows.to_pylist()} == {"sst2", "mmlu_virology"}
    note = next(note for note in found.notes if "left out" in note)
    assert note.startswith("r.json: 5 tasks left out")
    for name in ("cola (mcc)", "humaneval (pass@1)", "ifeval (", "arc_easy (acc)", "mmlu (an average"):
        assert name in note


def test_an_adapter_without_a_source_warns(tmp_path: Path) -> None:
    file = write(tmp_path / "r.json", result(TUNED, "/runs/lora"))
    assert "it is imported as the base" in read_scores(file).warnings[0]
    assert read_scores(file, source="gsm8k").warnings == ()
    with pytest.raises(ScoresError, match=r"--source-from lora: the model has no such argument. It has: pretrained"):
        read_scores(file, source_from="lora")


def test_lighteval(tmp_path: Path) -> None:
    content = {
        "config_general": {"model_name": "a/b"},
        "results": {"leaderboard|arc:challenge|25": {"acc": 0.41, "acc_stderr": 0.0144}, "all": {"acc": 0.41}},
    }
    rows = read_scores(write(tmp_path / "r.json", content)).rows.to_pylist()
    assert {(row["model"], row["target"], row["standard_error"]) for row in rows} == {("a/b", "arc_challenge", 0.0144)}


def test_a_table_with_a_column_per_benchmark(tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    file.write_text("model,precision,sst2,boolq,Average\nbase,bf16,52,55,53.5\ntuned,bf16,80,61,70.5\n")
    recipe = tmp_path / "recipe.yaml"
    with pytest.raises(ScoresError, match=r"has a row per model.*`sources: \{base: ''\}`.*Not mapped: base, tuned"):
        read_scores(file)
    recipe.write_text("sources: {base: '', tuned: gsm8k}\nscale: percent\nmetric: accuracy\n")
    found = read_scores(file, load_recipe(recipe))
    assert [(r["model"], r["source"], r["target"], r["score"]) for r in found.rows.to_pylist()] == [
        ("base", "", "sst2", 0.52),
        ("base", "", "boolq", 0.55),
        ("base", "gsm8k", "sst2", 0.8),
        ("base", "gsm8k", "boolq", 0.61),
    ]
    assert "precision, Average" in found.notes[0]


def test_a_table_of_opencompass(tmp_path: Path) -> None:
    file = tmp_path / "summary.csv"
    file.write_text(
        "dataset,version,metric,mode,base,tuned\nsst2,abc,accuracy,gen,52,80\nboolq,abc,accuracy,gen,55,-\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sources: {base: '', tuned: gsm8k}\nscale: percent\n")
    rows = read_scores(file, load_recipe(recipe)).rows.to_pylist()
    assert [(r["source"], r["target"], r["score"]) for r in rows] == [
        ("", "sst2", 0.52),
        ("gsm8k", "sst2", 0.8),
        ("", "boolq", 0.55),
    ]


def test_two_models_with_one_base_warn(tmp_path: Path) -> None:
    lines = ["model,source,target,seed,metric,score"]
    for model in ("m1", "m2"):
        lines += [f"{model},,t{n},0,accuracy,0.{n}5" for n in range(1, 4)] + [f"{model},s,t1,0,accuracy,0.5"]
    file = tmp_path / "r.csv"
    file.write_text("\n".join(lines) + "\n")
    assert "the base scores of m1 and m2 are the same on every target" in read_scores(file).warnings[0]
    file.write_text("\n".join(lines).replace("m2,,t3,0,accuracy,0.35", "m2,,t3,0,accuracy,0.36") + "\n")
    assert read_scores(file).warnings == ()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/runs/lora-gsm8k/checkpoint-300", "lora-gsm8k"),
        ("lora-gsm8k/", "lora-gsm8k"),
        ("C:\\runs\\sst2\\final", "sst2"),
        ("org/adapter", "adapter"),
        ("checkpoint-3", "checkpoint-3"),
    ],
)
def test_the_name_of_an_adapter(path: str, name: str) -> None:
    assert adapter_name(path) == name


def test_names_of_targets() -> None:
    assert target_name("helm|mmlu:anatomy|0|0") == "mmlu_anatomy"
    assert target_name("arc_easy") == "arc_easy"


def test_the_headline_compares_one_metric(tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "results"
    both = {"exact_match,strict-match": 0.1, "exact_match,flexible-extract": 0.3}
    write(folder / "base.json", result({"gsm8k": both, "rte": {"acc,none": 0.5}}))
    tuned = result({"gsm8k": {"exact_match,flexible-extract": 0.4}, "rte": {"acc_norm,none": 0.9}}, "lora-mnli")
    write(folder / "tuned.json", tuned)
    assert run("scores", "import", folder, "--name", "one", "--source-from", "peft").exit_code == 0
    assert gains(tmp_path, "one") == {("lora-mnli", "gsm8k"): 10.0}
    run("scores", "import", folder / "base.json", "--name", "two")
    run("scores", "import", folder / "tuned.json", "--name", "two", "--source", "mnli")
    # The headline of gsm8k was taken from strict-match, which the tuned file lacks.
    assert gains(tmp_path, "two") == {}
    for order in (("tuned", "base"), ("base", "tuned")):
        for which in order:
            content = result({"gsm8k": both if which == "base" else {**both, "exact_match,strict-match": 0.2}})
            source = ("--source", "mnli") if which == "tuned" else ()
            run("scores", "import", write(tmp_path / "r.json", content), "--name", "_".join(order), *source)
        assert gains(tmp_path, "_".join(order)) == {("mnli", "gsm8k"): 10.0}


def test_runs_of_one_source_take_seeds(tmp_path: Path, run: Any) -> None:
    run("scores", "import", write(tmp_path / "base.json", result(BASE)), "--name", "mine")
    for seed in (0, 1):
        file = write(tmp_path / f"t{seed}.json", result(TUNED))
        run("scores", "import", file, "--name", "mine", "--source", "gsm8k", "--seed", str(seed))
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        rows = warehouse.query("SELECT seeds, gain FROM transfer_matrix WHERE matrix = 'mine'").to_pylist()
    assert {(row["seeds"]) for row in rows} == {2}
    table = tmp_path / "long.csv"
    table.write_text("model,source,target,score\nm,,t,0.5\n")
    refused = run("scores", "import", table, "--source", "mnli", "--seed", "1")
    assert refused.exit_code == 2
    assert "is a table, in which columns say what --source and --seed would" in refused.stderr


def test_what_is_no_share_is_left_out_of_a_result(tmp_path: Path) -> None:
    file = write(tmp_path / "r.json", result({"boolq": {"acc,none": 0.5}, "summ": {"rouge1,none": 34.5}}))
    found = read_scores(file)
    assert {row["target"] for row in found.rows.to_pylist()} == {"boolq"}
    assert "summ (rouge1,none 34.5, no share of 1)" in found.notes[0]


def test_wide_tables_with_holes_and_helpers(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sources: {base: '', tuned: gsm8k}\n")
    file = tmp_path / "wide.json"
    rows = [
        {"model": "base", "sst2": 0.5, "sst2_stderr": 0.01, "epochs": 3},
        {"model": "tuned", "sst2": 0.6, "rte": 0.7},
    ]
    file.write_text(json.dumps(rows))
    found = read_scores(file, load_recipe(recipe)).rows.to_pylist()
    assert [(r["source"], r["target"], r["score"]) for r in found] == [
        ("", "sst2", 0.5),
        ("gsm8k", "sst2", 0.6),
        ("gsm8k", "rte", 0.7),
    ]
    (tmp_path / "wide.csv").write_text("model,sst2,rte\nbase,0.5,NaN\ntuned,0.6,0.7\n")
    assert len(read_scores(tmp_path / "wide.csv", load_recipe(recipe)).rows) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        json.dumps({"pretrained": "org/base", "peft": "/runs/gsm8k/checkpoint-3"}),
        "pretrained=org/base,enable_lora=True,lora_local_path=/runs/gsm8k/",
        "pretrained='org/base',delta=/runs/gsm8k",
        {"pretrained": "org/base/", "peft": "/runs/gsm8k", "revision": "main"},
    ],
)
def test_adapters_in_other_words(tmp_path: Path, arguments: Any) -> None:
    tuned = {"results": TUNED, "config": {"model": "hf", "model_args": arguments}}
    alone = read_scores(write(tmp_path / "tuned.json", tuned))
    assert "the model has an adapter (/runs/gsm8k" in alone.warnings[0]
    write(tmp_path / "all" / "base.json", result(BASE))
    write(tmp_path / "all" / "tuned.json", tuned)
    rows = read_scores(tmp_path / "all", source_from="peft", name="m").rows.to_pylist()
    assert {(row["model"], row["source"]) for row in rows} == {("org/base", ""), ("org/base", "gsm8k")}


def test_a_revision_is_another_model(tmp_path: Path) -> None:
    file = write(tmp_path / "r.json", {"results": BASE, "config": {"model_args": "pretrained=a/b,revision=step3000"}})
    assert set(read_scores(file).rows["model"].to_pylist()) == {"a/b@step3000"}


def test_a_group_counts_where_its_parts_are_not_there(tmp_path: Path) -> None:
    group = {"mmlu": {"alias": "mmlu", "acc,none": 0.3}}
    parts = {"mmlu_law": {"alias": " - law", "acc,none": 0.2}, "mmlu_art": {"alias": " - art", "acc,none": 0.4}}
    alone = result({**group, "boolq": {"acc,none": 0.5}}, groups=group, group_subtasks={"mmlu": list(parts)})
    for content, targets in (
        (alone, {"mmlu", "boolq"}),
        (result({**group, **parts}), {"mmlu_law", "mmlu_art"}),
        (result({**group, **parts}, groups=group), {"mmlu_law", "mmlu_art"}),
    ):
        rows = read_scores(write(tmp_path / "r.json", content)).rows.to_pylist()
        assert {row["target"] for row in rows} == targets


def test_percentages(tmp_path: Path) -> None:
    scrolls = {"scrolls_qasper": {"f1,none": 0.83}, "scrolls_quality": {"acc,none": 0.4, "em,none": 40.0}}
    rows = read_scores(write(tmp_path / "r.json", result(scrolls))).rows.to_pylist()
    assert {(r["target"], r["metric"], round(r["score"], 4)) for r in rows if r["metric"] != "score"} == {
        ("scrolls_qasper", "f1", 0.0083),
        ("scrolls_quality", "acc", 0.4),
        ("scrolls_quality", "em", 0.4),
    }
    both = read_scores(write(tmp_path / "b.json", result({"x": {"acc,none": 0.5, "f1,none": 20.3}})))
    assert "x (f1,none 20.3, no share of 1)" in both.notes[0]
    with pytest.raises(ScoresError, match="acc,none of boolq is 55, yet harnesses write shares of 1"):
        read_scores(write(tmp_path / "c.json", result({"arc": {"acc,none": 0.9}, "boolq": {"acc,none": 55}})))


def test_files_of_a_folder_that_repeat_or_disagree(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    write(folder / "results_1.json", result(BASE))
    write(folder / "results_2.json", result({"boolq": BASE["boolq"]}))
    found = read_scores(folder)
    assert "results_2.json: 1 score that another file has too, read once" in found.notes
    write(folder / "results_3.json", result({"boolq": {"acc,none": 0.7}}))
    with pytest.raises(
        ScoresError, match=r"results_1.json and .*results_3.json both have acc of boolq for org/base \("
    ):
        read_scores(folder)


def test_files_of_a_folder_that_asked_in_different_ways_warn(tmp_path: Path) -> None:
    shots = {"n-shot": dict.fromkeys(BASE, 0)}
    write(tmp_path / "runs" / "base.json", result(BASE, **shots))

    def warned(**way: Any) -> tuple[str, ...]:
        write(tmp_path / "runs" / "tuned.json", result(TUNED, "/r/gsm8k", **way))
        return read_scores(tmp_path / "runs", source_from="peft").warnings

    assert warned(**shots) == ()
    (warning,) = warned(**{"n-shot": {**shots["n-shot"], "boolq": 5}})
    assert warning.startswith("boolq: asked in different ways, so a gain is not of the tuning alone: base.json with 0 ")
    assert warning.endswith("but tuned.json with 5 examples in the prompt")
    (warning,) = warned(**{"n-shot": {**shots["n-shot"], "boolq": 1}})
    assert warning.endswith("but tuned.json with 1 example in the prompt")
    (warning,) = warned(**shots, chat_template_sha="x")
    assert warning.startswith("arc_easy, boolq, sst2: asked in different ways")
    assert warning.endswith("but tuned.json with 0 examples in the prompt, a chat template")


def test_more_of_lighteval(tmp_path: Path) -> None:
    content = {
        "config_general": {"model_config": {"model_name": "a/b"}},
        "results": {
            "leaderboard|arc:challenge|25": {"acc": 0.4},
            "leaderboard|arc:challenge|0": {"acc": 0.3},
            "lighteval|gsm8k|0": {"extractive_match": 0.2},
        },
    }
    rows = read_scores(write(tmp_path / "r.json", content)).rows.to_pylist()
    assert {(r["model"], r["target"], r["score"]) for r in rows if r["metric"] == "score"} == {
        ("a/b", "arc_challenge_25", 0.4),
        ("a/b", "arc_challenge_0", 0.3),
        ("a/b", "gsm8k", 0.2),
    }


def test_filters_that_no_base_has_are_said(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "base.json", result({"gsm8k": {"exact_match,flexible-extract": 0.3}}))
    write(tmp_path / "runs" / "tuned.json", result({"gsm8k": {"exact_match,strict-match": 0.2}}, "/r/mnli"))
    found = read_scores(tmp_path / "runs", source_from="peft")
    assert "no score by exact_match,flexible-extract, and so no gain, for gsm8k of mnli" in found.notes

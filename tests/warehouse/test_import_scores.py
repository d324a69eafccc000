"""Foreign result files: read as they are, or refused with the row named."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError
from traitcast.warehouse.import_scores import Recipe, Stored, load_recipe, read_scores

ROWS = [
    {"model": "m", "source": "", "target": "t", "seed": 0, "metric": "accuracy", "score": 0.5},
    {"model": "m", "source": "s", "target": "t", "seed": 0, "metric": "accuracy", "score": 0.6},
]
CSV = "model,source,target,seed,metric,score\nm,,t,0,accuracy,0.5\nm,s,t,0,accuracy,0.6\n"


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "r.csv", CSV),
        write(tmp_path, "r.tsv", CSV.replace(",", "\t")),
        write(tmp_path, "r.json", json.dumps(ROWS)),
        write(tmp_path, "r.jsonl", "\n".join(map(json.dumps, ROWS))),
    ]
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "r.parquet")
    tables = [read_scores(file) for file in [*files, tmp_path / "r.parquet"]]
    for found in tables:
        assert found.matrix.matrix == "r"
        assert found.rows.equals(tables[0].rows)
    assert tables[0].rows.to_pylist()[1] == {**ROWS[1], "n": None, "standard_error": None}


def test_scores_by_the_headline_that_are_stored_are_not_missed(tmp_path: Path) -> None:
    matrix = read_scores(write(tmp_path, "r.csv", CSV)).matrix
    stored = Stored(matrix, {("m", "", "t", 0): {"accuracy": 0.5}, ("m", "s", "t", 0): {"accuracy": 0.6}})
    more = write(tmp_path, "f1.csv", CSV.replace("accuracy", "f1") + "m,other,t,0,f1,0.7\n")
    found = read_scores(more, name="r", stored={"r": stored}.get)
    assert [note for note in found.notes if "no gain" in note] == [
        "no score by accuracy, and so no gain, for t of other"
    ]


def test_harness_results(tmp_path: Path) -> None:
    content = {
        "results": {"arc_easy": {"alias": "arc", "acc,none": 0.42, "acc_stderr,none": 0.01, "acc_norm,none": 0.4}},
        "n-samples": {"arc_easy": {"original": 2376, "effective": 500}},
        "config": {"model": "hf", "model_args": "pretrained=org/base,peft=adapter"},
    }
    file = write(tmp_path, "results.json", json.dumps(content))
    found = read_scores(file, Recipe(base="target mean"), source="gsm8k")
    assert found.matrix.metric == "score"
    assert found.rows.to_pylist()[0] == {
        "model": "org/base",
        "source": "gsm8k",
        "target": "arc_easy",
        "seed": 0,
        "metric": "acc",
        "score": 0.42,
        "n": 500,
        "standard_error": 0.01,
    }
    assert {row["source"] for row in read_scores(file).rows.to_pylist()} == {""}


def test_recipe_maps_filters_and_scales(tmp_path: Path) -> None:
    file = write(tmp_path, "p.csv", "net,src,target,kind,value\nm,A,t,same,60\nm,None,t,same,50\nm,A,t,other,99\n")
    recipe = load_recipe(
        write(
            tmp_path,
            "recipe.yaml",
            "name: published\ncolumns: {model: net, source: src, score: value}\nwhere: {kind: same}\n"
            "names: {A: a, None: ''}\nscale: percent\n",
        )
    )
    found = read_scores(file, recipe)
    assert (found.matrix.matrix, found.filtered) == ("published", 1)
    assert [(r["source"], r["score"]) for r in found.rows.to_pylist()] == [("a", 0.6), ("", 0.5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,source,target\nm,s,t\n", r"no column 'score' for score.*It has: model, source, target"),
        (CSV.replace("s,t,0", "s,t,1.5"), r"row 2: seed is '1.5', not a whole number"),
        (CSV.replace("s,t,0", "s,t,1_0"), r"row 2: seed is '1_0'"),
        (CSV.replace("m,s", "m,s 1"), r"row 2: source 's 1' is not allowed.*`names:` in a recipe"),
        (CSV.replace("m,s", '"m\n1",s'), r"row 2: model 'm\\n1' is not allowed"),
        (CSV.replace("s,t,0", "s,t,0,9"), r"row 2: 7 fields under a header of 6"),
        (CSV.replace("metric", "seed"), r"column 'seed' occurs twice"),
        (CSV.replace("0.6", "x"), r"row 2: score is 'x', not a usable number"),
        (CSV.replace("0.6", "nan"), r"row 2: score is 'nan', not a usable number"),
        (CSV.replace("s,t,0", "s,t,1e400"), r"row 2: seed is '1e400'"),
        (CSV.replace("0.6", "-0.6"), r"row 2: score is '-0.6'"),
        (CSV.replace("0.6", ""), r"row 2: the score is empty"),
        (CSV.replace("0.6", "60"), r"row 2: score 60 is outside 0..1.*scale: percent"),
        (CSV.replace("m,s", ",s"), r"row 2: model and target must not be empty"),
        (CSV + "m,s,t,0,accuracy,0.7\n", r"rows 2 and 3 are the same cell.*scores 0.6 and 0.7"),
        (CSV.replace("m,,t,0,accuracy,0.5\n", ""), r"no base rows.*base: target mean"),
        ("model,source,target,seed,metric,score\n", r"no rows.*Expected columns: model, source"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        read_scores(write(tmp_path, "bad.csv", text))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("seed", 1.5, r"row 2: seed is 1.5, not a whole number"),
        ("n", 10.5, r"row 2: n is 10.5, not a whole number"),
        ("seed", True, r"row 2: seed is True"),
        ("score", True, r"row 2: score is True"),
        ("seed", [1], r"row 2: seed is \[1\]"),
    ],
)
def test_numbers_of_the_wrong_kind(tmp_path: Path, column: str, value: object, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        read_scores(write(tmp_path, "r.json", json.dumps([ROWS[0], ROWS[1] | {column: value}])))


@pytest.mark.parametrize(
    ("written", "seed"), [(3.0, 3), ("3.0", 3), (2**60 + 1, 2**60 + 1), (str(2**60 + 1), 2**60 + 1)]
)
def test_whole_numbers_are_kept_exactly(tmp_path: Path, written: object, seed: int) -> None:
    found = read_scores(write(tmp_path, "r.json", json.dumps([ROWS[0], ROWS[1] | {"seed": written}])))
    assert found.rows["seed"].to_pylist() == [0, seed]


def test_rows_are_counted_as_in_the_file(tmp_path: Path) -> None:
    text = "kind,model,source,target,score\nno,m,,t,0.5\nyes,m,,t,0.5\nyes,m,s,t,7\n"
    with pytest.raises(ScoresError, match="row 3: score 7 is outside"):
        read_scores(write(tmp_path, "r.csv", text), Recipe(where={"kind": ["yes"]}))


@pytest.mark.parametrize(("file", "name"), [("my results (1).csv", "my_results_1"), ("данные.csv", "данные")])
def test_the_score_set_is_named_after_the_file(tmp_path: Path, file: str, name: str) -> None:
    assert read_scores(write(tmp_path, file, CSV)).matrix.matrix == name


def test_a_file_whose_name_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="no usable name for the matrix. Give one with --name"):
        read_scores(write(tmp_path, "!!.csv", CSV))
    with pytest.raises(UserError, match=r"matrix name 'x\\ny' is not allowed"):
        read_scores(write(tmp_path, "r.csv", CSV), name="x\ny")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.json", "{", "cannot be read"),
        ("bad.json", "3", "expected a list of objects"),
        ("bad.json", "[" * 100_000, "cannot be read"),
        ("bad.json", '{"results": {"t": 5}}', "must be a mapping of metrics"),
        ("bad.json", '{"results": {"t": {"perplexity,none": 3.0}}}', "no task has one of the metrics acc"),
        ("bad.xlsx", "x", r"read from \.csv.*not '\.xlsx'"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        read_scores(write(tmp_path, name, text))
    with pytest.raises(ScoresError, match="no file"):
        read_scores(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colums: {}", "unknown key 'colums'; did you mean 'columns'"),
        ("columns: {scor: x}", "columns maps 'scor'; did you mean 'score'"),
        ("name: 2024", "name is 2024, not a text"),
        ("base: none", "base is 'none'.*Allowed: untuned, target mean"),
        ("- a", "a recipe is a mapping"),
        ("a: [", "not valid YAML: line 1, column 5"),
        ("where: x", "where must be a mapping"),
    ],
)
def test_bad_recipes(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        load_recipe(write(tmp_path, "recipe.yaml", text))


def test_where_on_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="`where` names column 'knd'"):
        read_scores(write(tmp_path, "r.csv", CSV), Recipe(where={"knd": ["a"]}))


PUBLISHED = {
    "prompt_transferability": ("prompt_transferability/prompt_transfer_long.csv", 991, 4, "target mean"),
    "fusionbench_glue": ("fusionbench_glue/fusionbench_glue_long.csv", 144, 2, "untuned"),
    "model_recycling": ("model_recycling/model_recycling_median.csv", 3132, 6, "untuned"),
    "cross_task_icl": ("cross_task_icl/cross_icl_long.csv", 165, 3, "untuned"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_import(name: str, shared: Path, warehouse_path: Path) -> None:
    file, rows, models, base = PUBLISHED[name]
    recipe = load_recipe(Path(__file__).parents[2] / "examples" / "scores" / f"{name}.yaml")
    found = read_scores(shared / "transfer" / file, recipe)
    assert (found.matrix.matrix, found.matrix.base, found.rows.num_rows) == (name, base, rows)
    assert len(set(found.rows["model"].to_pylist())) == models
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(found.matrix, found.rows)
        cells = warehouse.cells(name)
    of_headline = zip(found.rows["source"].to_pylist(), found.rows["metric"].to_pylist(), strict=True)
    assert len(cells.gain) == sum(source != "" and metric == found.matrix.metric for source, metric in of_headline)


def test_gains_of_cross_task_icl_equal_the_published_ones(shared: Path, warehouse_path: Path) -> None:
    import csv

    recipe = load_recipe(Path(__file__).parents[2] / "examples" / "scores" / "cross_task_icl.yaml")
    found = read_scores(shared / "transfer" / "cross_task_icl" / "cross_icl_long.csv", recipe)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_scores(found.matrix, found.rows)
        cells = warehouse.cells("cross_task_icl", model="Llama-2-7b-hf")
    ours = dict(zip(zip(cells.sources, cells.targets, strict=True), cells.gain, strict=True))
    with (shared / "transfer" / "cross_task_icl" / "gain_Llama-2-7b-hf.csv").open() as lines:
        published = {
            (recipe.names.get(row["source"], row["source"]), recipe.names.get(target, target)): float(value)
            for row in csv.DictReader(lines)
            for target, value in row.items()
            if target != "source"
        }
    assert len(published) == 50
    for pair, gain in published.items():
        assert ours[pair] == pytest.approx(gain, abs=0.05), pair

"""Results that came from elsewhere, changed in every way: the shard and the field are named, the others count."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from tests.training.results.conftest import MAKERS, cell
from traitcast.training.cli import COMMANDS
from traitcast.training.plan.pack import Pack
from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.training.results import export, shards
from traitcast.training.results.cells import Cell, schema
from traitcast.warehouse.errors import InputError, ScoresError

(MATRIX,) = [command for command in COMMANDS if command.name == "matrix"]

# Of the cells of source "choice" in a shard of their own: target, field, and the value that takes its place.
NONSENSE: tuple[tuple[str, str, Any], ...] = (
    ("mood", "gold", [0] * 5),
    ("mood", "gold", [0] * 7),
    ("mood", "gold", [0, 1, 2, 0, 1, 0]),
    ("mood", "gold", [0, 1, -1, 0, 1, 0]),
    ("mood", "gold", [0, 1, None, 0, 1, 0]),
    ("mood", "gold", [0, 0, 0, 0, 0, 0]),
    ("mood", "gold", None),
    ("mood", "loglikelihoods", [[-1.0, -2.0]] * 5),
    ("mood", "loglikelihoods", [[-1.0, -2.0, -3.0]] * 6),
    ("mood", "loglikelihoods", [[-1.0]] * 6),
    ("mood", "loglikelihoods", [[]] * 6),
    ("mood", "loglikelihoods", [None] * 6),
    ("mood", "loglikelihoods", [[-1.0, None]] * 6),
    ("mood", "loglikelihoods", [[-1.0, 5.0]] * 6),
    ("mood", "loglikelihoods", [[-1.0, math.inf]] * 6),
    ("mood", "loglikelihoods", None),
    ("mood", "answer_tokens", [[1, 1]] * 3),
    ("mood", "answer_tokens", [[1, -1]] * 6),
    ("mood", "answer_tokens", None),
    ("mood", "prior", [[-1.0, -2.0]] * 2),
    ("mood", "prior", [[-1.0]]),
    ("mood", "output_tokens", [1] * 6),
    ("mood", "cut_prompts", -1),
    ("mood", "cut_prompts", 7),
    ("mood", "cut_answers", None),
    ("mood", "failed", True),
    ("mood", "failed", None),
    ("choice", "loglikelihoods", [[-1.0, -2.0]] * 6),
    ("choice", "gold", [2] * 6),
    ("sums", "exact_match", [0.5] * 5),
    ("sums", "exact_match", [2.0] * 6),
    ("sums", "exact_match", [math.nan] * 6),
    ("sums", "rouge_l", None),
    ("sums", "output_tokens", [-1] * 6),
    ("sums", "finished", [None] * 6),
    ("sums", "outputs", ["x"] * 7),
    ("sums", "outputs", [None] * 6),
    ("sums", "reference_nll", [-5.0] * 6),
    ("sums", "reference_tokens", [4] * 99),
    ("sums", "loglikelihoods", [[-1.0, -2.0]] * 6),
    ("sums", "key", None),
    ("sums", "base", None),
    ("sums", "device", None),
    ("sums", "base_fingerprint", None),
    ("sums", "dtype", "float4"),
    ("sums", "target", "unknown"),
    ("sums", "target", None),
    ("sums", "source", "unknown"),
    ("sums", "seed", 77),
    ("sums", "seed", -1),
    ("sums", "adapter", None),
)


def tampered(pack: Pack, table: pa.Table) -> Path:
    """The shard of source "choice", replaced by a table."""
    for path in list(pack.shards.iterdir()):
        path.unlink()
    for source in MAKERS:
        shards.write(pack.shards, [cell(pack, source, target) for target in pack.recipe.targets])
    (path,) = [path for path in pack.shards.iterdir() if "choice" in pq.read_table(path)["source"].to_pylist()]
    pq.write_table(table, path)
    return path


def cells(pack: Pack) -> list[Cell]:
    return [cell(pack, "choice", target) for target in pack.recipe.targets]


def run(*argv: str) -> Result:
    return CliRunner().invoke(MATRIX, argv)


def told(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("target", "field", "value"), NONSENSE, ids=[f"{t}-{f}-{i}" for i, (t, f, _) in enumerate(NONSENSE)]
)
def test_a_changed_value_is_named_and_left_out(pack: Pack, tmp_path: Path, target: str, field: str, value: Any) -> None:
    rows = [
        {
            f.name: value if (c.target, f.name) == (target, field) else getattr(c, f.name)
            for f in dataclasses.fields(Cell)
        }
        for c in cells(pack)
    ]
    path = tampered(pack, pa.Table.from_pylist(rows, schema=schema()))
    if field == "failed" and value:
        field = "gold"  # the first that an adapter that failed cannot have
    elif field == "seed" and value == -1:
        field = "seed must be -1"
    result = run("export", "--pack", str(pack.folder), "-o", str(tmp_path / "scores.csv"))
    assert result.exit_code == 0, result.stderr
    assert f"left out: shard {path}: " in told(result)
    assert field in told(result).split(f"{path}: ")[1].split("; delete it and run the matrix again")[0]
    assert "9 cells in" in result.stderr
    assert ",choice," not in (tmp_path / "scores.csv").read_text()


def changed_schemas() -> dict[str, Callable[[pa.Table], pa.Table]]:
    def typed(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
        return lambda table: table.set_column(table.schema.get_field_index(name), name, pa.nulls(3, kind))

    return {
        "column gold is missing": lambda table: table.drop_columns(["gold"]),
        "column target is of type int64": typed("target", pa.int64()),
        "column gold is of type list": typed("gold", pa.list_(pa.int64())),
        "column loglikelihoods is of type": typed("loglikelihoods", pa.list_(pa.float32())),
        "there are unknown columns (extra)": lambda table: table.append_column("extra", pa.nulls(3)),
        "column seed is there 2 times": lambda table: table.append_column("seed", table["seed"]),
        "key holds 3 cells a second time": lambda table: pa.concat_tables([table, table]),
    }


@pytest.mark.parametrize("message", changed_schemas())
def test_another_schema_is_left_out(pack: Pack, tmp_path: Path, message: str) -> None:
    shards.write_file(tmp_path / "whole.parquet", cells(pack))
    path = tampered(pack, changed_schemas()[message](pq.read_table(tmp_path / "whole.parquet")))
    result = run("status", "--pack", str(pack.folder), "--format", "json")
    assert result.exit_code == 0
    assert f"left out: shard {path}: {message}" in told(result)
    assert json.loads(result.stdout)["scored"] == 9


def test_a_name_of_a_column_that_is_no_text_is_left_out(pack: Pack, tmp_path: Path) -> None:
    path = tampered(pack, shards.whole(shards.checked(pack)).slice(0, 3))
    path.write_bytes(path.read_bytes().replace(b"finished", b"finish\xffd"))
    result = run("status", "--pack", str(pack.folder), "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert f"left out: cannot read shard {path} ('utf-8' codec can't decode" in told(result)
    assert json.loads(result.stdout)["scored"] == 9


def test_a_pipe_among_the_shards_is_left_out(pack: Pack) -> None:
    os.mkfifo(pack.shards / "a.parquet")
    os.mkfifo(pack.folder / "pipe.parquet")
    result = run("status", "--pack", str(pack.folder), "--format", "json")
    assert "left out: cannot read shard" in told(result)
    assert "a.parquet (it is a named pipe)" in told(result)
    assert json.loads(result.stdout)["scored"] == 12
    refused = run("ingest", "--pack", str(pack.folder), "--from", str(pack.folder / "pipe.parquet"))
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_a_bit_that_flips_in_a_shard_is_seen(pack: Pack) -> None:
    """Parquet itself would give another number, or the number of another row."""
    whole = shards.read(pack)
    for path in sorted(pack.shards.iterdir()):
        raw = path.read_bytes()
        for at in range(4, len(raw), 97):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 16]) + raw[at + 1 :])
            try:
                found = {cell.key: cell for cell in shards.read(Pack(pack.folder))}
            except (InputError, ScoresError):
                continue
            assert all(found[cell.key] == cell for cell in whole if cell.key in found), (path.name, at)
        path.write_bytes(raw)


def test_nothing_of_a_damaged_shard_is_taken_in(pack: Pack, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (good, *_) = [c for c in cells(pack) if c.target == "mood"]
    shards.write(elsewhere, [dataclasses.replace(good, gold=[0])])
    for path in pack.shards.iterdir():
        path.unlink()
    with pytest.raises(
        InputError, match=r"gold of choice -> mood, seed 0 holds 1 values, and there are 6 .*; leave it out$"
    ):
        shards.merge(pack, elsewhere)
    assert not list(pack.shards.iterdir())
    shards.write(elsewhere, [cell(pack, None, "sums")])
    result = run(
        "ingest", "--pack", str(pack.folder), "--from", str(elsewhere), "--no-rows", "--warehouse", str(tmp_path / "w")
    )
    assert result.exit_code == 0, result.stderr
    assert "left out: shard" in told(result)
    assert "1 new cells" in told(result)


@pytest.mark.parametrize("differs", ["source", "target", "seed", "rows", "more"])
def test_a_sound_shard_of_another_plan_is_not_to_be_deleted(
    pack: Pack, datasets: dict[str, str], tmp_path: Path, differs: str
) -> None:
    folders = dict(datasets)
    for name in ("mood0", "mood1", "mood2", "mood3") if differs in ("source", "target", "more") else ():
        folders[name] = shutil.copytree(datasets["mood"], str(tmp_path / name))
        spec = Path(folders[name], "dataset.yaml")
        spec.write_text(spec.read_text().replace("name: mood", f"name: {name}"))
    seed, rows = 7 if differs == "seed" else 0, 5 if differs == "rows" else 6
    settings = PlanSettings(base="smollm2", seeds=(seed,), train_rows=4, test_rows=rows)
    other = plan(tmp_path / "other", list(folders.values()), settings)
    places: dict[str, list[tuple[str | None, str]]] = {
        "source": [("mood0", "mood")],
        "target": [(None, "mood0")],
        "more": [(source, target) for source in (None, *folders) for target in folders],
    }
    made = [cell(other, *place, seed=seed) for place in places.get(differs, [("mood", "mood")])]
    path = shards.write(tmp_path / "elsewhere", made)
    before = sorted(pack.shards.iterdir())
    wanted = f"{path} belongs to another recipe: it.*; leave it out, or move it to the pack it came from"
    with pytest.raises(ScoresError, match=wanted):
        shards.merge(pack, tmp_path / "elsewhere")
    refused = run("ingest", "--pack", str(pack.folder), "--from", str(path))
    assert refused.exit_code == 2
    assert "delete" not in refused.stderr
    assert sorted(pack.shards.iterdir()) == before
    shutil.copy(path, pack.shards)
    for use in (shards.keys, shards.check, shards.read) if differs != "rows" else (shards.check, shards.read):
        with pytest.raises(ScoresError, match="belongs to another recipe: it.*; move it to the pack it came from"):
            use(pack)


RECORD = {"adapter": "v1-x", "source": "mood", "seed": 0, "rank": 2, "steps": 3, "rows": 4, "tokens": 5}
RECORD |= {"final_loss": 0.5, "failed_at": None}
RECORDS = {
    "it does not hold an object": b"[1]",
    "final_loss is 'nan'": json.dumps({**RECORD, "final_loss": math.nan}).encode(),
    "seed is 'zero'": json.dumps({**RECORD, "seed": "zero"}).encode(),
    "steps is '1": json.dumps({**RECORD, "steps": 10**30}).encode(),
    "rank is 'None'": json.dumps({key: value for key, value in RECORD.items() if key != "rank"}).encode(),
    "source 'other' with seed 0": json.dumps({**RECORD, "source": "other"}).encode(),
    "recursion": b"[" * 100_000,
    "integer string conversion": b'{"seed": ' + b"9" * 5000 + b"}",
    "codec": b"\xff",
    "surrogates not allowed": json.dumps({**RECORD, "adapter": "v1-\udcff"}).encode(),
}


@pytest.mark.parametrize("message", RECORDS)
def test_a_bad_adapter_record_is_left_out(pack: Pack, tmp_path: Path, message: str) -> None:
    for key, content in (("v1-a", json.dumps(RECORD).encode()), ("v1-b", RECORDS[message])):
        (pack.adapters / key).mkdir(parents=True)
        (pack.adapters / key / "training.json").write_bytes(content)
    result = run("export", "--pack", str(pack.folder), "--as", "tables", "-o", str(tmp_path / "t"))
    assert result.exit_code == 0, result.stderr
    assert "left out: adapter record" in told(result)
    assert message in told(result)
    assert pq.read_table(tmp_path / "t" / "adapters.parquet")["adapter"].to_pylist() == ["v1-x"]


RECIPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sources holds 'x', which is not under": lambda r: r["sources"].append("x"),
    "targets holds 'x', which is not under": lambda r: r["targets"].append("x"),
    "groups are not the sources and seeds": lambda r: r["groups"].pop(),
    "blocks are not the targets": lambda r: r["blocks"].pop(),
    "groups is ": lambda r: r.update(groups=7),
    "seeds is ": lambda r: r.update(seeds=[10**40]),
    "seeds are not between": lambda r: r.update(seeds=[-5], groups=[[[s, -5] for s in r["sources"]]]),
    "targets is ": lambda r: r.update(targets="mood"),
    "base is '\\udcff', not str": lambda r: r.update(base="\udcff"),
    "base is 7": lambda r: r.update(base=7),
    "dtype is None": lambda r: r.update(dtype=None),
    "rank is ": lambda r: r["training"].update(rank="16"),
    "epochs is True": lambda r: r["training"].update(epochs=True),
    "learning_rate is inf": lambda r: r["training"].update(learning_rate=math.inf),
    "warmup is nan": lambda r: r["training"].update(warmup=math.nan),
    "max_prompt_tokens is ": lambda r: r["prompt"].update(max_prompt_tokens=[1]),
    "test_rows is ": lambda r: r["datasets"]["mood"].update(test_rows=1.5),
    "train_rows is not between": lambda r: r["datasets"]["mood"].update(train_rows=10**6),
    "a dataset without test rows": lambda r: r["datasets"]["mood"].update(test_rows=0),
    "task_type 'x'": lambda r: r["datasets"]["mood"].update(task_type="x"),
    "metric 'rouge_l'": lambda r: r["datasets"]["mood"].update(metric="rouge_l"),
    "labels are of classifications": lambda r: r["datasets"]["mood"].update(labels=[]),
    "dataset '../mood' is not a valid name": lambda r: r["datasets"].update({"../mood": r["datasets"]["mood"]}),
    "datasets holds list": lambda r: r.update(datasets=[1]),
}


@pytest.mark.parametrize("message", RECIPES)
def test_a_changed_recipe_is_refused(pack: Pack, message: str) -> None:
    path = pack.folder / "recipe.json"
    content = json.loads(path.read_text())
    RECIPES[message](content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"recipe\.json") as refused:
        Pack(pack.folder)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"[1]", b"{", b"\xff", b'{"base_fingerprint": 1, "dtype": "float32"}', b'{"x": 1}']
)
def test_a_changed_runtime_is_refused(pack: Pack, content: bytes) -> None:
    (pack.folder / "runtime.json").write_bytes(content)
    with pytest.raises(InputError, match=r"runtime\.json"):
        shards.read_runtime(pack)


@pytest.mark.parametrize("change", ["no gold", "null fields", "split", "type"])
def test_changed_rows_are_refused(pack: Pack, change: str) -> None:
    path = pack.folder / "data" / "mood.parquet"
    table = pq.read_table(path)
    n = table.num_rows
    changes = {
        "no gold": lambda: table.drop_columns(["gold"]),
        "null fields": lambda: table.set_column(1, "fields", pa.nulls(n, pa.list_(pa.string()))),
        "split": lambda: table.set_column(0, "split", pa.array(["other"] * n)),
        "type": lambda: table.set_column(4, "gold", pa.array(["x"] * n)),
    }
    pq.write_table(changes[change](), path)
    with pytest.raises(InputError, match=r"cannot read .*mood\.parquet"):
        Pack(pack.folder).rows("mood")
    with pytest.raises(InputError, match=r"cannot read .*mood\.parquet"):
        export.export(Pack(pack.folder), pack.folder / "x.csv", "csv")


def test_a_log_of_nonsense_is_passed_over(pack: Pack) -> None:
    entries = [
        7,
        {"stage": "flips"},
        {"stage": "flips", "answers": "x", "changed": 1},
        {"stage": "train", "seconds": -1},
    ]
    lines = [*map(json.dumps, entries), "[" * 100_000, '{"stage": "flips", "answers": 10, "changed": 0.5}']
    (pack.folder / "runs.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    assert run("status", "--pack", str(pack.folder)).exit_code == 0
    assert [entry["answers"] for entry in export.read_flips(pack)] == [10]

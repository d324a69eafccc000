"""Row results and row traits, on packs whose shards are written here: no model and no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from tests.training.results.conftest import MAKERS, cell
from traitcast.profiler.passes.per_row import row_traits
from traitcast.training.cli import COMMANDS
from traitcast.training.plan.pack import Pack
from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.training.results import export, shards
from traitcast.training.results.cells import Cell
from traitcast.training.results.row_tables import describe
from traitcast.training.results.tables import long_tables
from traitcast.warehouse.database import schema
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import InputError, ScoresError

(MATRIX,) = [command for command in COMMANDS if command.name == "matrix"]


def test_row_scores_are_the_scores_taken_apart(pack: Pack) -> None:
    found = long_tables(pack, shards.walk(pack))
    scores = {(r["source"], r["target"]): r["score"] for r in found["scores"].to_pylist() if r["metric"] == "score"}
    cells = found["row_scores"].to_pylist()
    assert len(cells) == len(scores) == 12
    counts: dict[tuple[str, str, str], int] = {}
    for row in found["predicted_labels"].to_pylist():
        key = (row["source"], row["target"], row["predicted"])
        counts[key] = counts.get(key, 0) + row["n"]
    for row in cells:
        assert np.mean(row["score"]) == pytest.approx(scores[row["source"], row["target"]], abs=1e-7)
        names = {"mood": ("negative", "positive")}.get(row["target"])
        for at in set(row["predicted"] or ()):
            name = names[at] if names else str(at)
            assert counts[row["source"], row["target"], name] == row["predicted"].count(at)
    (sums,) = [row for row in cells if (row["source"], row["target"]) == ("", "sums")]
    assert sums["has_number"] == [False, True, True, False, True, True]
    assert sums["output_tokens"][:2] == [0, 5]
    assert sums["finished"] == [False, True, True, True, True, True]
    assert sums["predicted"] is None


def test_what_was_not_measured_is_null(pack: Pack, tmp_path: Path) -> None:
    """Without texts nobody knows whether they held a number; a failed cell has no rows."""
    without = long_tables(pack, shards.walk(pack, text=False))["row_scores"].to_pylist()
    assert all(row["has_number"] is None for row in without)
    failed = Cell(**{**{f: getattr(cell(pack, "mood", "sums"), f) for f in Cell.__slots__}, "failed": True})
    assert long_tables(pack, [failed])["row_scores"].num_rows == 0


def test_ingest_keeps_rows_and_their_traits_once(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    seen: list[str] = []
    first = export.ingest(pack, path, on_target=seen.append)
    assert seen == list(pack.recipe.targets)
    assert (first["targets"], first["row_scores"]) == (3, 12)
    content = _content(path)
    again = export.ingest(pack, path)
    assert (again["targets"], again["row_traits"]) == (0, 0), "rows that are known are not measured again"
    assert _content(path) == content
    with Warehouse.open(path, read_only=True) as warehouse:
        targets, traits = warehouse.targets("m"), warehouse.row_traits("m", "mood")
        results = warehouse.row_results("m", "smollm2", source="choice")
    mood = targets["mood"]
    assert (mood.labels, mood.task_type, mood.rows, mood.parsed) == (
        ("negative", "positive"),
        "classification",
        6,
        True,
    )
    assert mood.gold is not None
    assert mood.gold.tolist() == [row.gold for row in pack.rows("mood").test]
    assert targets["sums"].gold is None
    assert {(r.source, r.target) for r in results} == {(s, t) for s in ("", "choice") for t in targets}
    rows = pack.rows("mood").test
    table = pa.table({"fields": [list(r.fields) for r in rows], "options": pa.nulls(6, pa.list_(pa.string())),
                      "response": [r.response for r in rows]})  # fmt: skip
    for name, values in row_traits(table).items():
        np.testing.assert_allclose(traits["mood"][name], values, rtol=1e-6, err_msg=name)


def _content(path: Path, name: str = "m") -> dict[str, list[Any]]:
    with Warehouse.open(path, read_only=True) as warehouse:
        tables = ("scores", "targets", "row_traits", "row_scores", "predicted_labels", "generations")
        return {
            t: warehouse.query(f"SELECT * FROM {t} WHERE matrix = '{name}' ORDER BY ALL").to_pylist() for t in tables
        }


def test_the_view_lays_rows_out(pack: Pack, tmp_path: Path) -> None:
    export.ingest(pack, tmp_path / "w.duckdb", parsed=False)
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT * FROM row_changes WHERE matrix = 'm' AND source = 'mood' AND target = 'mood' ORDER BY row"
        ).to_pylist()
        values = warehouse.query(
            "SELECT value FROM row_trait_values WHERE matrix = 'm' AND target = 'mood' "
            "AND trait = 'prompt_words_mean' ORDER BY row"
        ).to_pylist()
    assert [row["base_predicted"] for row in rows] == ["negative", "positive"] * 3
    assert [row["predicted"] for row in rows] == ["positive", "negative"] * 3
    gold = ["negative" if row.gold == 0 else "positive" for row in pack.rows("mood").test]
    assert [row["gold"] for row in rows] == gold
    assert all(row["change"] == 100 * (row["score"] - row["base_score"]) for row in rows)
    assert [v["value"] for v in values] == [len(row.fields[0].split()) for row in pack.rows("mood").test]


def test_other_test_rows_under_the_same_name_take_the_place_of_the_old(
    pack: Pack, datasets: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "w.duckdb"
    export.ingest(pack, path, name="mine", parsed=False)
    settings = PlanSettings(base="smollm2", seeds=(0,), train_rows=4, test_rows=3)
    other = plan(tmp_path / "other", list(datasets.values()), settings)
    measured = {(source, target): cell(other, source, target) for source in MAKERS for target in datasets}
    shards.write(other.shards, [measured[None, target] for target in datasets])
    before, seen = _content(path, "mine"), list[str]()
    for by_row in (True, False):
        with pytest.raises(ScoresError, match=r"other test rows of choice, mood, sums, and 9 cells .*--name NAME"):
            export.ingest(other, path, name="mine", by_row=by_row, on_target=seen.append)
    assert (_content(path, "mine"), seen) == (before, []), "told before the rows are parsed"
    shards.write(other.shards, [found for (source, _), found in measured.items() if source])
    export.ingest(other, path, name="mine", parsed=False)
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.targets("mine")["mood"].rows == 3
        kept = {(r.source, r.target): len(r.score) for r in warehouse.row_results("mine", "smollm2", source="mood")}
        assert {len(v) for v in warehouse.row_traits("mine", "mood")["mood"].values()} == {3}
    assert kept == {(source, target): 3 for source in ("", "mood") for target in datasets}


def test_scores_without_rows_still_tell_which_rows_they_are_of(
    pack: Pack, datasets: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "w.duckdb"
    export.ingest(pack, path, name="mine", by_row=False)
    with Warehouse.open(path, read_only=True) as warehouse:
        assert {(t.rows, t.catalogue_version, t.parsed) for t in warehouse.targets("mine").values()} == {
            (6, None, None)
        }
    other = plan(tmp_path / "other", [datasets["mood"]], PlanSettings(base="smollm2", seeds=(0,), test_rows=3))
    shards.write(other.shards, [cell(other, None, "mood")])
    with pytest.raises(ScoresError, match="other test rows of mood"):
        export.ingest(other, path, name="mine", by_row=False)
    assert export.ingest(pack, path, name="mine", parsed=False)["targets"] == 3, "their traits are still to be measured"
    assert export.ingest(pack, path, name="mine", by_row=False)["targets"] == 0
    with Warehouse.open(path, read_only=True) as warehouse:
        assert warehouse.row_results("mine", "smollm2") == []
        assert set(warehouse.row_traits("mine")) == set(datasets)


def test_a_shipped_matrix_of_that_name_leaves_nothing_unmeasured(pack: Pack, tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    export.ingest(pack, path, parsed=False)
    content = _content(path)
    with duckdb.connect(str(path)) as connection:
        for table in (table for table, kind in schema.DATA.items() if kind == "matrices"):
            connection.execute(f"INSERT INTO {schema.SHIPPED}.{table} FROM {schema.OWN}.{table}")
            connection.execute(f"DELETE FROM {schema.OWN}.{table}")
    assert export.ingest(pack, path, parsed=False)["targets"] == 3
    assert _content(path) == content


def test_more_is_measured_when_it_is_asked_for(pack: Pack, tmp_path: Path) -> None:
    quick = describe(pack, {}, {}, parsed=False)
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        assert warehouse.targets("m") == {}
    export.ingest(pack, tmp_path / "w.duckdb", parsed=False)
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        known = warehouse.targets("m")
    assert describe(pack, known, {}, parsed=False)["targets"].num_rows == 0
    assert describe(pack, known, {}, parsed=True)["row_traits"].num_rows > quick["row_traits"].num_rows
    german = describe(pack, {}, {"mood": "de"}, parsed=False)["row_traits"].to_pylist()
    assert len([r for r in german if r["target"] == "mood"]) < len([r for r in german if r["target"] == "sums"])


def test_from_the_command_line(pack: Pack, tmp_path: Path) -> None:
    def ingest(*options: str) -> dict[str, int]:
        words = ["ingest", "--pack", str(pack.folder), "--warehouse", str(tmp_path / "w.duckdb"), "--format", "json"]
        done = CliRunner().invoke(MATRIX, [*words, *options])
        assert done.exit_code == 0, done.output
        return {row["table"]: row["rows"] for row in json.loads(done.stdout)}

    assert "row_scores" not in ingest("--no-rows")
    assert ingest("--no-parse")["row_scores"] == 12
    export.export(pack, tmp_path / "tables", "tables")
    assert ingest("--tables", str(tmp_path / "tables"))["row_scores"] == 12
    (tmp_path / "tables" / "row_scores.parquet").unlink()
    with pytest.raises(InputError, match="cannot read .*row_scores.parquet"):
        export.ingest(pack, tmp_path / "w.duckdb", tables=tmp_path / "tables")


def test_rows_hold_no_text(pack: Pack, tmp_path: Path) -> None:
    export.ingest(pack, tmp_path / "w.duckdb")
    names = {"mood", "choice", "sums", "m", "smollm2", "negative", "positive", ""}
    kinds = {"classification", "multiple_choice", "generation", "accuracy", "numeric_match"}
    content = _content(tmp_path / "w.duckdb")
    fingerprints = {row["fingerprint"] for row in content["targets"]}
    traits = {row["trait"] for row in content["row_traits"]}

    def texts(value: Any) -> set[str]:
        if isinstance(value, str):
            return {value}
        return set().union(*map(texts, value.values() if isinstance(value, dict) else value)) if isinstance(
            value, dict | list
        ) else set()  # fmt: skip

    columns = set(content["targets"][0]) | set(content["row_scores"][0]) | set(content["row_traits"][0])
    found = set().union(*(texts(content[table]) for table in ("targets", "row_scores", "row_traits")))
    assert found <= names | kinds | fingerprints | traits, columns

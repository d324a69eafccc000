"""Numbers and times that Python or a mean cannot hold: refused with the column, never passed on."""

from __future__ import annotations

import math
import warnings
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import traitcast.cli
from tests.predictor.effects.test_side_effects import Made
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.database.schema import OWN
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import InputError, ScoresError
from traitcast.warehouse.import_scores import read_scores
from traitcast.warehouse.records import Matrix

FAR = 2**62
TIMES = {
    "microseconds": pa.array([FAR] * 12, pa.timestamp("us")),
    "milliseconds before": pa.array([-FAR] * 12, pa.timestamp("ms")),
    "days": pa.array([2**30] * 12, pa.date32()),
    "durations": pa.array([FAR] * 12, pa.duration("s")),
    "an unknown zone": pa.array([1] * 12, pa.timestamp("us", tz="Foo/Bar")),
    "in lists": pa.array([[FAR]] * 12, pa.list_(pa.timestamp("us"))),
    "in structs": pa.array([{"a": FAR}] * 12, pa.struct([("a", pa.timestamp("us"))])),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_outside_of_the_calendar(tmp_path: Path, kind: str) -> None:
    text = {"text": [f"my bike {i} is flat" for i in range(12)], "label": ["x", "y"] * 6}
    pq.write_table(pa.table({**text, "at": TIMES[kind]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"column 'at' \(.*\) holds what cannot be read: .* write it as text"):
        read(tmp_path / "a.parquet")
    scores = {"model": ["m"] * 12, "source": [""] * 12, "target": list("abcdefghijkl"), "score": [0.5] * 12}
    pq.write_table(pa.table({**scores, "at": TIMES[kind]}), tmp_path / "s.parquet")
    with pytest.raises(ScoresError, match=r"column 'at' \(.*\) holds what cannot be read: .* Leave the column out"):
        read_scores(tmp_path / "s.parquet")


def test_times_within_the_calendar(tmp_path: Path) -> None:
    text = {"text": [f"my bike {i} is flat" for i in range(12)], "label": ["x", "y"] * 6}
    pq.write_table(pa.table({**text, "at": [datetime(9999, 12, 31)] * 12}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").table.num_rows == 12


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("column", ["score", "standard_error", "n", "seed"])
def test_endless_numbers_are_not_imported(tmp_path: Path, value: str, column: str) -> None:
    row = {"model": "m", "source": "", "target": "a", "seed": "0", "score": "0.5", "n": "5", "standard_error": "0.1"}
    row[column] = value
    (tmp_path / "s.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    with pytest.raises(ScoresError, match=rf"row 1: {column} is '{value}', not a"):
        read_scores(tmp_path / "s.csv")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("table", ["scores", "row_scores", "generations", "row_traits"])
def test_endless_numbers_are_not_stored(warehouse_path: Path, value: float, table: str) -> None:
    made = Made()
    row = made.tables[table][-1]
    column = next(name for name in ("score", "tokens_mean", "value") if name in row)
    row[column] = [value, *row[column][1:]] if isinstance(row[column], list) else value
    tables = {name: pa.Table.from_pylist(rows) for name, rows in made.tables.items()}
    with Warehouse.open(warehouse_path) as warehouse:
        with pytest.raises(ScoresError, match=rf"{table}: column {column} holds a number that is infinite or not a"):
            warehouse.save_scores(Matrix("made", "score", "untuned", ""), tables.pop("scores"), tables)
        assert "made" not in [one.matrix for one in warehouse.matrices()]


def test_endless_numbers_of_an_older_version_are_no_gains(warehouse_path: Path) -> None:
    """A file that has them already: no warning, no gain, and the rows with them count as unknown."""
    Made().save(warehouse_path)
    with duckdb.connect(str(warehouse_path)) as connection:
        where = "WHERE matrix = 'made' AND source = 'a' AND target = 'b'"
        for table, change in (
            ("scores", "score = 'inf'"),
            ("row_scores", "score = list_prepend('inf'::FLOAT, score[2:])"),
        ):
            connection.execute(f"UPDATE {OWN}.{table} SET {change} {where}")
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        cells = warehouse.cells("made")
        spoiled = [pair == ("a", "b") for pair in zip(cells.sources, cells.targets, strict=True)]
        assert np.isnan(cells.gain[spoiled]).all()
        assert np.isfinite(cells.gain[~np.array(spoiled)]).all()
        assert not any(row["source"] == "a" and row["target"] == "b" for row in warehouse.transfer_matrix("made"))
        rows = [r for r in warehouse.row_results("made", "tiny", source="a") if (r.source, r.target) == ("a", "b")]
        assert all(r.score is not None and np.isnan(r.score[0]) and np.isfinite(r.score[1:]).all() for r in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = CliRunner().invoke(
            traitcast.cli.cli, ["effects", "a", "--matrix", "made", "--warehouse", str(warehouse_path)]
        )
    assert result.exit_code == 0, result.output
    assert "inf" not in result.stdout

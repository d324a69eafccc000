"""The measured matrix that ships: its cells, row by row, and the scores made of them are of one measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from traitcast.training.results.cells import Cell
from traitcast.training.results.shards import cells_of
from traitcast.warehouse.database.warehouse import Warehouse

CELLS = Path(__file__).parents[3] / "examples" / "matrix" / "smollm2_cpu.parquet"


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return list(cells_of(CELLS))


def test_scores_are_those_of_the_cells(cells: list[Cell], tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT source, target, seed, metric, score FROM scores WHERE matrix = 'smollm2_cpu' "
            "AND metric IN ('accuracy', 'rouge_l', 'reference_nll')"
        ).to_pylist()
    stored = {(row["source"], row["target"], row["seed"], row["metric"]): row["score"] for row in rows}
    found = {}
    for cell in cells:
        where = cell.source or "", cell.target, max(cell.seed, 0)
        if cell.loglikelihoods is not None:
            picks = [int(np.argmax(row)) for row in cell.loglikelihoods]
            found[*where, "accuracy"] = np.mean(np.array(picks) == np.array(cell.gold))
            continue
        assert cell.reference_nll is not None
        assert cell.reference_tokens is not None
        found[*where, "rouge_l"] = np.mean(cell.rouge_l or [])
        found[*where, "reference_nll"] = np.mean(np.array(cell.reference_nll) / np.array(cell.reference_tokens))
    assert len(cells) == 49 * 24
    assert stored == pytest.approx(found, abs=1e-6)


def test_cells_of_variants_are_those_that_scores_are_of(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "none.duckdb", read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT source, target, score FROM scores WHERE matrix = 'smollm2_interventions' AND metric = 'accuracy'"
        ).to_pylist()
        variants = {name: parent for name, parent, _ in warehouse.lineage("smollm2_interventions")}
    stored = {(row["source"], row["target"]): row["score"] for row in rows}
    found = {}
    for cell in cells_of(CELLS.with_name("smollm2_interventions.parquet")):
        assert cell.loglikelihoods is not None
        picks = [int(np.argmax(row)) for row in cell.loglikelihoods]
        found[cell.source or "", cell.target] = np.mean(np.array(picks) == np.array(cell.gold))
    assert stored == pytest.approx(found, abs=1e-6)
    assert len(stored) == (12 + 88 + 1) * 5
    assert len(variants) == 88
    assert all(name.startswith(f"{parent}-") for name, parent in variants.items())


def test_no_text_travels(cells: list[Cell]) -> None:
    assert all(cell.outputs is None for cell in cells)
    assert {"gold", "loglikelihoods", "output_tokens"} < set(pq.read_schema(CELLS).names)
    assert not any("/" in cell.base for cell in cells)

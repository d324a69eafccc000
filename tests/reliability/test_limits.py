"""Files that were made to fill a memory, and what is no file at all: refused at once, with one message."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import traitcast.cli
from traitcast.profiler.findings.gate import gate_of
from traitcast.profiler.reading.files import FilePart
from traitcast.profiler.roles.spec import load_spec
from traitcast.training.plan.pack import Pack
from traitcast.training.results.run_log import read_log
from traitcast.warehouse import dataset_card, score_files
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import InputError, ScoresError, UserError
from traitcast.warehouse.files import opened, read_small
from traitcast.warehouse.import_scores import load_recipe, read_scores
from traitcast.warehouse.parquet import read_parquet

CARD = dataset_card.Card("a", {}, "")
Read = Callable[[Path], Any]


def pack_of(path: Path) -> Any:
    return Pack(path.parent)


# Everything that is held whole: the name it must have, who reads it.
SMALL: tuple[tuple[str, Read], ...] = (
    ("README.md", lambda path: dataset_card.write(path, CARD)),
    ("dataset.yaml", load_spec),
    ("recipe.yaml", load_recipe),
    ("recipe.json", pack_of),
    ("scores.csv", read_scores),
    ("scores.tsv", read_scores),
    ("scores.json", read_scores),
    ("scores.jsonl", read_scores),
    ("traitcast.toml", lambda path: gate_of(None, (), (), path)),
)
DATA = ("rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.parquet", "rows.arrow")


def rows_of(path: Path) -> int:
    return sum(1 for _ in FilePart(path, path.suffix[1:]).rows())


@pytest.mark.parametrize(("name", "read"), [*SMALL, *((name, rows_of) for name in DATA)], ids=lambda v: str(v)[:20])
def test_ten_gigabytes_without_a_line_end(tmp_path: Path, name: str, read: Read) -> None:
    path = tmp_path / name
    path.touch()
    os.truncate(path, 10 << 30)
    with pytest.raises(UserError, match=name):
        read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize(("name", "read"), [*SMALL, *((name, rows_of) for name in DATA)], ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Read, kind: str
) -> None:
    path = tmp_path / name
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            monkeypatch.chdir(tmp_path)  # a name of a socket may have a hundred characters
            listening.bind(name)
        with pytest.raises(UserError, match=name):
            read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_commands_refuse_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    shards = tmp_path / "m" / "shards"
    shards.mkdir(parents=True)
    os.mkfifo(shards / "a.parquet")
    outputs = [tmp_path / f"pipe{suffix}" for suffix in (".csv", ".html")]
    for path in outputs:
        os.mkfifo(path)
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    monkeypatch.setenv("TRAITCAST_WAREHOUSE", str(tmp_path / "w.duckdb"))
    for argv in (
        ["profile", str(pipe)],
        ["datasets", "--warehouse", str(pipe)],
        ["profile", "a", "--warehouse", str(pipe)],
        ["scores", "import", str(pipe)],
        ["matrix", "status", "--pack", str(pipe)],
        ["sql", "SELECT 1", "--output", str(outputs[0])],
        ["report", "-o", str(outputs[1])],
    ):
        result = CliRunner().invoke(traitcast.cli.cli, argv)
        assert result.exit_code == 2, (argv, result.output)
    with pytest.raises(UserError, match="is not a file"):
        Warehouse.open("/dev/null", read_only=True)


def test_rows_without_end(tmp_path: Path) -> None:
    """A hundred kilobytes of Parquet that are millions of rows, and a file of tens of thousands of columns."""
    long = tmp_path / "long.parquet"
    indices = pa.array(np.zeros(5_000_000, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, ["x"])
    pq.write_table(pa.table({"text": column, "label": column}), long, compression="zstd")
    assert long.stat().st_size < 50_000
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        rows_of(long)
    with pytest.raises(ScoresError, match=r"it has 5,000,000 rows, more than 1,000,000"):
        read_scores(long)
    wide = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{i}": [1] for i in range(5000)}), wide)
    with pytest.raises(InputError, match="5,000 columns"):
        rows_of(wide)
    with pytest.raises(ScoresError, match="it has 5,000 columns, more than 4,096"):
        read_scores(wide)


def test_tables_of_scores_are_taken_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "MAX_ROWS", 2)
    rows = [{"model": "m", "source": "", "target": t, "score": 0.5} for t in "abc"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.csv").write_text("model,source,target,score\n" + "".join(f"m,,{t},0.5\n" for t in "abc"))
    for name in ("a.jsonl", "a.csv"):
        with pytest.raises(ScoresError, match=r"more than 2 rows. Split it, and import the parts one after the other"):
            read_scores(tmp_path / name)
    monkeypatch.setattr(score_files, "MAX_BYTES", 1 << 20)
    (tmp_path / "b.csv").write_bytes(b"model,source,target,score\n" + b"m,,a,0.5\n" * 200_000)
    with pytest.raises(ScoresError, match="more than 1 MB"):
        read_scores(tmp_path / "b.csv")


def test_small_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 100)
    assert read_small(path, "a note", most=100) == b"x" * 100
    with pytest.raises(UserError, match=r"a\.txt is larger than 0 MB, too large for a note"):
        read_small(path, "a note", most=99)
    with pytest.raises(ScoresError, match="cannot read .*: No such file"):
        read_small(tmp_path / "none", "a note", ScoresError)
    with pytest.raises(OSError, match="it is a folder"):
        opened(tmp_path)
    with opened(path) as file:
        assert file.read(1) == b"x"
    with pytest.raises(OSError, match="it is a device"):
        read_parquet(Path("/dev/zero"), most_rows=1)


def test_a_long_log_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "runs.jsonl"
    log.touch()
    os.truncate(log, 1 << 30)

    class Folder:
        folder = tmp_path

    with pytest.raises(InputError, match="too large for a log of runs"):
        read_log(Folder())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("dataset.yaml", ["profile"]),
        ("traitcast.toml", ["check"]),
        ("w.duckdb.wal", ["datasets"]),
        ("w.duckdb.wal", ["profile"]),
    ],
)
def test_a_pipe_beside_what_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, argv: list[str]
) -> None:
    """It is read without being named on the command line."""
    file = tmp_path / "w.duckdb"
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    with Warehouse.open(file):
        pass
    (tmp_path / "train.csv").write_text("text,label\na b,x\nb c,y\n")
    os.mkfifo(tmp_path / name)
    data = [] if argv == ["datasets"] else [str(tmp_path)]
    warehouse = [] if argv == ["check"] else ["--warehouse", str(file)]
    done = CliRunner().invoke(traitcast.cli.cli, [*argv, *data, *warehouse])
    assert (done.exit_code, done.stdout) == (2, "")
    assert name in "".join(done.stderr.split())

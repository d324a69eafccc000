"""Coverage-guided fuzzing of everything that reads what somebody else wrote: files, specs, scores, packs, SQL.

    pip install atheris
    python benchmarks/fuzz.py run --runs 90000 --seed 1
    python benchmarks/fuzz.py run jsonl sql --runs 1000000 --seed 2
    python benchmarks/fuzz.py one jsonl crash-0a1b...

`run` starts one process per target and prints a JSON line for each; the summary counts the executions. A target takes
bytes and may raise nothing but a UserError whose message is text that can be printed. `one` runs a file that
libFuzzer has left once more, without atheris. tests/reliability/test_fuzz.py drives the same targets with hypothesis.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from traitcast.warehouse.errors import UserError  # noqa: E402

WORDS = (
    *("text", "label", "labels", "question", "answer", "answers", "options", "choices", "messages", "premise", "id"),
    *("hypothesis", "prompt", "completion", "instruction", "input", "output", "context", "tokens", "tags", "spans"),
    *("ner_tags", "A", "B", "C", "D", "distractor1", "correct_answer", "start", "end", "role", "content", "from"),
    *("value", "user", "assistant", "gpt", "answerKey", "a.b", "a[0]", "", " ", "-1", "0", "1", "yes", "nan", "O"),
    *(
        "B-PER",
        "I-PER",
        "\u202etext",
        "\x1b[31m",
        "\ud800",
        "\U0001f600",
        "\u00e9",
        "x" * 300,
        "['a', 'b']",
        '{"a": 1}',
    ),
)
SPEC_WORDS = (
    *("task_type", "text_fields", "label_field", "label_names", "options_field", "options_fields", "answer_field"),
    *("answer_form", "messages_field", "labels_field", "tags_field", "spans_field", "label_form", "metric", "name"),
    *("optional_fields", "instruction", "classification", "multiple_choice", "generation", "accuracy", "letter"),
    *(": ", ": [", "]", ", ", "\n", "\n- ", "- ", "&a ", "*a", "!!python/object:os.system ", "? ", "|", "> ", "{", "}"),
    *(
        '"',
        "'",
        "#",
        "%YAML 1.1\n",
        "---\n",
        "<<: ",
        "0x1",
        "1e3",
        "2020-01-01",
        "no",
        "null",
        "~",
        "\t",
        "!!set ",
        "x",
    ),
    *("columns", "where", "names", "base", "scale", "target mean", "percent", "model", "source", "target", "score"),
)
SQL_WORDS = (
    *("SELECT", "*", "FROM", "profiles", "traits", "scores", "datasets", "traitcast_meta", "WHERE", "value", ">", "1"),
    *(",", "(", ")", ";", "'x'", "'outside.csv'", '"outside.csv"', "INSERT INTO", "VALUES", "DELETE", "UPDATE", "SET"),
    *("CREATE TABLE", "DROP", "ALTER", "COPY", "TO", "ATTACH", "AS", "WITH", "x", "RETURNING", "EXPLAIN", "ANALYZE"),
    *("PRAGMA", "CALL", "INSTALL", "LOAD", "httpfs", "read_csv", "read_text", "glob", "query", "query_table", "getenv"),
    *("PIVOT", "ON", "USING", "sum", "DESCRIBE", "SUMMARIZE", "SHOW TABLES", "JOIN", "UNION ALL", "LIMIT", "--", "/*"),
    *("*/", "$$", "'", '"', "::", "INTEGER", "[", "]", "{", "}", "CHECKPOINT", "BEGIN", "COMMIT", "EXPORT DATABASE"),
    *("enable_logging", "force_checkpoint", "MERGE INTO", "name", "range(3)", "t", "=", "NULL", "unnest", "'\\x00'"),
)

SCORE_VALUES = ("m", "", "a", "0.5", 1, 0, 2, "sst2", None, "\u202e", "1e999", [1], {"a": 1}, True, "x" * 300)


class Draw:
    """Choices made of bytes, so that a fuzzer that changes a byte changes a choice."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def number(self, below: int) -> int:
        self.place += 1
        return self.data[self.place - 1] % below if self.place <= len(self.data) else 0

    def pick(self, among: Sequence[Any]) -> Any:
        return among[self.number(len(among))]

    def left(self) -> int:
        return len(self.data) - self.place

    def text(self) -> str:
        """A word of WORDS, or some of the bytes as they stand."""
        if self.number(4):
            return str(self.pick(WORDS))
        size = self.number(12)
        self.place += size
        return self.data[self.place - size : self.place].decode("utf-8", "surrogateescape" if size % 2 else "replace")

    def cell(self, depth: int = 0) -> Any:
        kind = self.number(10)
        if kind < 4 or depth > 2:
            return self.text()
        if kind == 4:
            return self.pick((0, 1, 2, -1, 10**30, 0.5, float("nan"), float("inf"), True, False, None))
        if kind < 8:
            return [self.cell(depth + 1) for _ in range(self.number(5))]
        return {self.text(): self.cell(depth + 1) for _ in range(self.number(4))}


def memory() -> Path | None:
    """Where files are kept in memory, if there is such a place: a target writes one per execution."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


def temporary() -> tempfile.TemporaryDirectory[str]:
    """The folder of a whole run. Only its owner can clear up: libFuzzer ends a child without Python's leave."""
    return tempfile.TemporaryDirectory(prefix="traitcast-fuzz-", dir=memory())


@cache
def scratch() -> Path:
    """The folder of this process, in the temporary one that `run` and `one` give it."""
    return Path(tempfile.mkdtemp())


def written(name: str, content: bytes) -> Path:
    path = scratch() / name
    path.write_bytes(content)
    return path


def refused_or(call: Callable[[], Any]) -> bool:
    """Whether `call` was refused. Anything but a UserError passes through; so does a message that is not text."""
    try:
        call()
    except UserError as error:
        if not str(error).strip():
            raise AssertionError("a message without a word") from error
        return True
    return False


def _file(name: str, kind: str) -> Callable[[bytes], bool]:
    def target(data: bytes) -> bool:
        from traitcast.profiler.reading.files import FilePart

        path = written(name, data)
        return refused_or(lambda: sum(1 for _ in FilePart(path, kind).rows()))

    return target


def packed(data: bytes) -> bool:
    """A compressed file: the first byte says which compression, and whether the rest is packed or left as it is."""
    from traitcast.profiler.reading.files import FilePart

    draw = Draw(data)
    suffix, whole = draw.pick((".gz", ".zst", ".bz2", ".xz")), draw.number(2)
    path = written(f"a.jsonl{suffix}", gzip.compress(data[2:]) if whole and suffix == ".gz" else data[2:])
    return refused_or(lambda: sum(1 for _ in FilePart(path, "jsonl").rows()))


def dataset(data: bytes) -> bool:
    """A JSON Lines file of drawn columns and cells, read whole: roles, conversion, content, fingerprint."""
    from traitcast.profiler.reading.reader import read

    draw = Draw(data)
    columns = [draw.text() for _ in range(1 + draw.number(5))]
    rows = [{name: draw.cell() for name in columns} for _ in range(1 + draw.number(5))]
    repeat = draw.pick((1, 1, 12))
    path = written("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows * repeat).encode())
    return refused_or(lambda: read(path))


def stated(data: bytes) -> bool:
    """Roles stated on the command line against drawn columns."""
    from traitcast.profiler.reading.reader import read
    from traitcast.profiler.roles.short_roles import ROLE_WORDS, parse_roles

    draw = Draw(data)
    row = {draw.text(): draw.cell() for _ in range(1 + draw.number(4))}
    names = [*row, draw.text()]
    roles = tuple(
        f"{draw.pick([*ROLE_WORDS, 'metric', 'task_type'])}={draw.pick(names)}" for _ in range(draw.number(4))
    )
    path = written("stated.jsonl", (json.dumps(row) + "\n").encode() * 3)
    return refused_or(lambda: parse_roles([draw.text()])) | refused_or(lambda: read(path, roles=roles))


def _yaml(draw: Draw) -> bytes:
    """A document of words of specs, or bytes as they stand."""
    if draw.number(4) == 0:
        return draw.data[draw.place :]
    return "".join(draw.pick(SPEC_WORDS) for _ in range(min(draw.left(), 60))).encode()


def spec(data: bytes) -> bool:
    """A spec file."""
    from traitcast.profiler.roles.spec import load_spec

    path = written("dataset.yaml", _yaml(Draw(data)))
    return refused_or(lambda: load_spec(path).to_yaml())


def recipe(data: bytes) -> bool:
    """A recipe of `scores import`."""
    from traitcast.warehouse.import_scores import load_recipe

    path = written("recipe.yaml", _yaml(Draw(data)))
    return refused_or(lambda: load_recipe(path))


def scores(data: bytes) -> bool:
    """A results file in one of its formats: bytes as they are, or rows of drawn values."""
    from traitcast.warehouse.import_scores import COLUMNS, read_scores

    draw = Draw(data)
    suffix, raw = draw.pick((".csv", ".json", ".jsonl", ".tsv")), draw.number(2)
    if raw:
        content = data[2:]
    else:
        rows = [
            {name: draw.pick(SCORE_VALUES) for name in COLUMNS[: 3 + draw.number(6)]}
            for _ in range(1 + draw.number(4))
        ]  # fmt: skip
        whole: Any = (
            {"results": {"a": rows[0]}, "config": draw.cell(), "n-samples": draw.cell()}
            if draw.number(3) == 0
            else rows
        )
        content = json.dumps(whole).encode() if suffix != ".jsonl" else "\n".join(map(json.dumps, rows)).encode()
    path = written(f"results{suffix}", content)
    return refused_or(lambda: read_scores(path, profiled=("sst2",)))


@cache
def _warehouse() -> Any:
    from traitcast.warehouse.database.warehouse import Warehouse

    (scratch() / "outside.csv").write_text("a\n1\n")
    path = scratch() / "fuzz.duckdb"
    with Warehouse.open(path):
        pass
    return Warehouse.open(path, read_only=True)


def sql(data: bytes) -> bool:
    """A query. What the guard lets through is run, under a time limit; it may change nothing and read no file."""
    import threading

    draw = Draw(data)
    raw = draw.number(4) == 0
    query = data[1:].decode("utf-8", "surrogateescape") if raw else " ".join(
        draw.pick(SQL_WORDS) for _ in range(min(draw.left(), 24))
    )  # fmt: skip
    warehouse = _warehouse()
    stop = threading.Timer(0.5, warehouse._connection.interrupt)
    stop.start()
    try:
        found: list[Any] = []
        refused = refused_or(lambda: found.append(warehouse.query(query)))
    finally:
        stop.cancel()
    assert refused or "outside.csv" not in query or not _read_outside(found[0]), f"read a file: {query!r}"
    left = {path.name for path in scratch().iterdir() if "leak" in path.name or path.suffix == ".wal"}
    assert not left, f"wrote {left}: {query!r}"
    return refused


def _read_outside(table: Any) -> bool:
    return bool(table.column_names == ["a"] and table.num_rows == 1 and str(table[0][0]) == "1")


@cache
def _pack() -> Path:
    """A pack of one task of each kind, with the cells of all models as one shard, and the record of an adapter."""
    from traitcast.training.plan.planning import PlanSettings, plan
    from traitcast.training.plan.recipe import Runtime, adapter_key, cell_key
    from traitcast.training.results import shards
    from traitcast.training.results.cells import Cell

    for name, roles, answer in (
        ("mood", "task_type: classification\ntext_fields: [text]\nlabel_field: answer\n", ("good", "bad")),
        ("sums", "task_type: generation\ntext_fields: [text]\nanswer_field: answer\n", ("two", "four")),
    ):
        folder = scratch() / name
        folder.mkdir()
        (folder / "dataset.yaml").write_text(f"name: {name}\n{roles}")
        for split, texts in (("train", "abcd"), ("test", "efgh")):
            rows = [json.dumps({"text": f"a text {text}", "answer": answer[i % 2]}) for i, text in enumerate(texts)]
            (folder / f"{split}.jsonl").write_text("\n".join(rows))
    settings = PlanSettings(base="smollm2", seeds=(0,), train_rows=4, test_rows=4)
    made, runtime = plan(scratch() / "pack", [str(scratch() / "mood"), str(scratch() / "sums")], settings), None
    runtime, cells = Runtime("v1:made-up", "float32"), []
    for source in (None, "mood", "sums"):
        adapter = source and adapter_key(made.recipe, runtime, source, 0)
        for target in ("mood", "sums"):
            whose = (cell_key(made.recipe, runtime, adapter, target), "tiny", "v1:made-up", "float32", source)
            about = dict(zip(("key", "base", "base_fingerprint", "dtype", "source"), whose, strict=True))
            about |= {"seed": -1 if source is None else 0, "target": target, "adapter": adapter, "device": "cpu"}
            if target == "mood":
                gold = made.answers("mood")[0].tolist()
                about |= {"gold": gold, "loglikelihoods": [[-1.0, -2.0]] * 4, "answer_tokens": [[1, 1]] * 4}
            else:
                about |= dict.fromkeys(("exact_match", "numeric_match", "rouge_l", "reference_nll"), [0.5] * 4)
                about |= {"outputs": ["two"] * 4, "output_tokens": [1] * 4, "finished": [True] * 4}
                about |= {"reference_tokens": [4] * 4}
            cells.append(Cell(**about))
    shards.write_file(made.shards / "a.parquet", cells)
    record = {"adapter": "v1-a", "source": "mood", "seed": 0, "rank": 2, "steps": 3, "rows": 4, "tokens": 5}
    (made.adapters / "v1-a").mkdir(parents=True)
    (made.adapters / "v1-a" / "training.json").write_text(json.dumps(record | {"final_loss": 0.5, "failed_at": None}))
    (made.folder / "runtime.json").write_text(json.dumps({"base_fingerprint": "v1:made-up", "dtype": "float32"}))
    (made.folder / "runs.jsonl").write_text(json.dumps({"run": 1, "answers": 8, "changed": 0.5}) + "\n")
    return made.folder


def _with(path: Path, content: bytes) -> bool:
    """Whether the pack is refused with one of its files changed."""
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results import export, run_log
    from traitcast.training.state import status

    def used() -> None:
        pack = Pack(_pack())
        for name in pack.recipe.datasets:
            pack.rows(name)
        status(pack)
        run_log.read_flips(pack)
        export.export(pack, scratch() / "tables", "tables")
        export.export(pack, scratch() / "harness", "lm-eval")

    before = path.read_bytes()
    path.write_bytes(content)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return refused_or(used)
    finally:
        path.write_bytes(before)


def _damaged(draw: Draw, content: bytes) -> bytes:
    """Some bytes set to others, and maybe the end cut off."""
    damaged = bytearray(content[: max(len(content) - draw.number(256) * draw.number(2), 1)])
    for _ in range(draw.number(6)):
        damaged[(draw.number(256) << 8 | draw.number(256)) % len(damaged)] = draw.number(256)
    return bytes(damaged)


def shard(data: bytes) -> bool:
    """A shard with some bytes or some values changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, path = Draw(data), _pack() / "shards" / "a.parquet"
    if draw.number(3) == 0:
        return _with(path, _damaged(draw, path.read_bytes()))
    table = pq.read_table(path)
    rows = table.to_pylist()
    for _ in range(1 + draw.number(3)):
        row, name = draw.pick(rows), draw.pick(table.column_names)
        values = row[name]
        inside = isinstance(values, list) and draw.number(2)
        cell = draw.pick(
            (None, -1, 0, 1, 7, -1.0, 0.5, float("nan"), float("inf"), -(10**300), True, "x", [], [0], [-1.0, -2.0])
        )
        row[name] = [*values[:-1], cell] if inside else draw.pick((cell, [cell] * 4, draw.cell(), draw.text()))
    out = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), out)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return True  # no Parquet file can hold that
    return _with(path, out.getvalue())


def pack(data: bytes) -> bool:
    """A pack with its recipe, rows, or what a run has left changed: bytes, or the values of a JSON document."""
    draw = Draw(data)
    names = ("recipe.json", "runtime.json", "runs.jsonl", "adapters/v1-a/training.json", "data/mood.parquet")
    path = _pack() / draw.pick(names)
    if path.suffix == ".parquet" or draw.number(3) == 0:
        return _with(path, _damaged(draw, path.read_bytes()))
    content = json.loads(path.read_text())
    for _ in range(1 + draw.number(3)):
        place = content
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw.pick(keys)
            if draw.number(3) == 0 or not isinstance(place[key], dict | list):
                place[key] = draw.cell()
                break
            place = place[key]
    return _with(path, json.dumps(content).encode("utf-8", "surrogateescape"))


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "jsonl": _file("a.jsonl", "jsonl"),
    "json": _file("a.json", "json"),
    "csv": _file("a.csv", "csv"),
    "tsv": _file("a.tsv", "tsv"),
    "parquet": _file("a.parquet", "parquet"),
    "arrow": _file("a.arrow", "arrow"),
    "packed": packed,
    "dataset": dataset,
    "stated": stated,
    "spec": spec,
    "recipe": recipe,
    "scores": scores,
    "shard": shard,
    "pack": pack,
    "sql": sql,
}


def seeds(target: str) -> Iterator[bytes]:
    """Good inputs to begin with: a fuzzer does not invent a Parquet footer."""
    rows = [{"text": f"a{i}", "label": "xy"[i % 2], "n": [1.5, None], "d": {"k": i}} for i in range(4)]
    text = "\n".join(map(json.dumps, rows)).encode()
    if target in ("parquet", "arrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist(rows)
        for write in (pq.write_table, _write_stream, _write_file) if target == "arrow" else (pq.write_table,):
            out = io.BytesIO()
            write(table, out)
            yield out.getvalue()
    elif target == "packed":
        import bz2
        import lzma

        import pyarrow as pa

        zstd = pa.compress(text, "zstd", asbytes=True)
        for mark, whole in enumerate((gzip.compress(text), zstd, bz2.compress(text), lzma.compress(text))):
            yield bytes((mark, 0)) + whole
            yield bytes((mark, 0)) + whole + whole
    elif target in ("csv", "tsv"):
        yield b'text,label\n"a, ""b""",1\n'.replace(b",", b"\t" if target == "tsv" else b",")
        yield b"sep=;\ntext;label\nx;y\n"
    elif target == "scores":
        yield b"\x00\x01model,source,target,seed,metric,score\nm,,a,0,accuracy,0.5\nm,b,a,0,accuracy,0.6\n"
        yield b'\x01\x01{"results": {"sst2": {"acc,none": 0.5, "acc_stderr,none": 0.1}}, "config": {"model": "a"}}'
    elif target == "sql":
        yield b"\x00SELECT * FROM profiles LIMIT 1"
        yield b"\x00EXPLAIN ANALYZE DELETE FROM traits"
    elif target in ("spec", "recipe"):
        yield b"\x00task_type: classification\ntext_fields: [text]\nlabel_field: label\nlabel_names: {0: a, 1: b}\n"
        yield b"\x00columns: {score: acc}\nwhere: {metric: [acc]}\nnames: {a: sst2}\nbase: target mean\nscale: x\n"
    else:
        yield text
        yield b"[" + text.replace(b"\n", b",") + b"]"
        yield bytes(range(256))


def _write_stream(table: Any, out: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def _write_file(table: Any, out: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)


def child(target: str, runs: int, seed: int, findings: Path) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["traitcast", "yaml", "csv", "json"]):
        for module in (
            "profiler.reading.reader",
            "profiler.roles.inference",
            "warehouse.import_scores",
            "warehouse.database.query",
            "warehouse.database.warehouse",
            "training.state",
            "training.results.export",
        ):
            importlib.import_module(f"traitcast.{module}")
    corpus = scratch() / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(content)

    def test(data: bytes) -> None:
        TARGETS[target](data)

    options = [
        f"-runs={runs}",
        f"-seed={seed}",
        "-max_len=4096",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={findings}/{target}-", str(corpus)], test)
    atheris.Fuzz()


def run(targets: Sequence[str], runs: int, seed: int, findings: Path) -> int:
    """Fuzz each target in a process of its own. Prints a JSON object for each; the exit status counts failures."""
    findings.mkdir(parents=True, exist_ok=True)
    total = failed = 0
    for target in targets:
        began = time.monotonic()
        command = [sys.executable, __file__, "child", target, "--runs", str(runs), "--seed", str(seed)]
        command += ["--findings", str(findings)]
        with temporary() as folder:
            environment = os.environ | {"TMPDIR": folder}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        counted = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
        executed = int(counted[1]) if counted else 0
        total, failed = total + executed, failed + (done.returncode != 0)
        report = {"target": target, "seed": seed, "executions": executed, "failed": done.returncode != 0}
        print(json.dumps(report | {"seconds": round(time.monotonic() - began)}), flush=True)
        if done.returncode:
            print(done.stderr[-6000:], file=sys.stderr)
    print(json.dumps({"executions": total, "targets": len(targets), "failed": failed}))
    return min(failed, 1)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "child"):
        sub = commands.add_parser(name)
        sub.add_argument("targets", nargs="*" if name == "run" else 1, metavar="TARGET", help=", ".join(TARGETS))
        sub.add_argument("--runs", type=int, default=90_000)
        sub.add_argument("--seed", type=int, default=1)
        sub.add_argument("--findings", type=Path, default=ROOT / "build" / "fuzz")
    one = commands.add_parser("one")
    one.add_argument("targets", nargs=1, choices=TARGETS)
    one.add_argument("file", type=Path)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if arguments.command == "one":
        with temporary() as folder:
            tempfile.tempdir = folder
            print("refused" if TARGETS[arguments.targets[0]](arguments.file.read_bytes()) else "read")
    elif arguments.command == "child":
        child(arguments.targets[0], arguments.runs, arguments.seed, arguments.findings)
    else:
        sys.exit(run(arguments.targets or list(TARGETS), arguments.runs, arguments.seed, arguments.findings))


if __name__ == "__main__":
    main()

"""A corpus of bad inputs as code that makes them, and the program that gives each to the command line.

    python tests/reliability/bad_inputs.py FOLDER WAREHOUSE [KIND...]

Runs every case, or those of some kinds, in a folder of its own with a copy of WAREHOUSE and prints a JSON object a
line: {"case", "wanted", "exit", "stdout", "stderr", "exception", "changed", "seconds"}. A process of its own, so that
a crash of a C library is seen as one. Cases that are odd but readable say so: `exit=0`.
"""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import os
import shutil
import signal
import struct
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2])]

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

RED = "\x1b[31mred\x1b[0m"
BIDI = "\u202egnp.exe\u202c"
GOOD = b"".join(b'{"text": "my bike %d is flat", "label": "%s"}\n' % (i, b"xy"[i % 2 :][:1]) for i in range(12))
LONG = (b'{"text": "' + b"x" * 4000 + b'", "label": "y"}\n') * 20_000
_SECONDS = 60

Make = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """One command line. make: what fills its folder first; "{}" in a word of argv becomes that folder."""

    name: str
    argv: tuple[str, ...]
    make: Make = lambda folder: None
    exit: int = 2


def content(file: str, raw: bytes | Callable[[], bytes]) -> Make:
    return lambda folder: (folder / file).write_bytes(raw() if callable(raw) else raw)


def data(name: str, file: str, raw: bytes | Callable[[], bytes], *options: str, exit: int = 2) -> Case:  # noqa: A002
    """`profile` of a file with that content."""
    return Case(f"data: {name}", ("profile", f"{{}}/{file}", "--processes", "1", *options), content(file, raw), exit)


def spec(name: str, raw: bytes, file: str = "spec.yaml") -> Case:
    """A good dataset under a bad spec."""

    def make(folder: Path) -> None:
        (folder / file).write_bytes(raw)
        (folder / "a.jsonl").write_bytes(GOOD)

    return Case(f"spec: {name}", ("profile", "{}/a.jsonl", "--spec", f"{{}}/{file}"), make)


def scores(name: str, file: str, raw: bytes | Callable[[], bytes], *options: str) -> Case:
    return Case(f"scores: {name}", ("scores", "import", f"{{}}/{file}", *options), content(file, raw))


def recipe(name: str, raw: bytes) -> Case:
    def make(folder: Path) -> None:
        (folder / "r.yaml").write_bytes(raw)
        (folder / "s.csv").write_text(SCORES)

    return Case(f"recipe: {name}", ("scores", "import", "{}/s.csv", "--spec", "{}/r.yaml"), make)


def pack(name: str, raw: bytes) -> Case:
    def make(folder: Path) -> None:
        (folder / "m").mkdir()
        (folder / "m" / "recipe.json").write_bytes(raw)

    return Case(f"pack: {name}", ("matrix", "status", "--pack", "{}/m"), make)


def words(name: str, *argv: str, exit: int = 2) -> Case:  # noqa: A002
    """A command line over a folder that holds a good dataset, a.jsonl."""
    return Case(f"words: {name}", argv, content("a.jsonl", GOOD), exit)


SCORES = "model,source,target,seed,metric,score\nm,,reviews,0,accuracy,0.5\nm,topics,reviews,0,accuracy,0.6\n"
TABLE = {"text": [f"my bike {i} is flat" for i in range(12)], "label": ["x", "y"] * 6}


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def arrow(table: pa.Table, compression: str | None = None) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return out.getvalue()


def repeated(size: int, times: int) -> pa.Table:
    """A text of `size` characters in `times` rows, kept once."""
    return pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), ["x" * size])})


def outside_offsets() -> bytes:
    """An Arrow file whose text column points outside of its data."""
    whole = bytearray(arrow(pa.table({"text": ["aaaa", "bbbb"], "label": ["x", "y"]})))
    place = bytes(whole).index(struct.pack("<3i", 0, 4, 8))
    whole[place : place + 12] = struct.pack("<3i", 0, 1 << 30, 1 << 20)
    return bytes(whole)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../a.jsonl", GOOD)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(GOOD)
        archive.addfile(member, io.BytesIO(GOOD))
    return out.getvalue()


def zstd(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, "zstd", asbytes=True))


def odd_types() -> pa.Table:
    """Label columns of types that are no class."""
    return pa.table({"text": TABLE["text"], "label": pa.array([1 << 40] * 12, pa.duration("us"))})


def keys(number: int) -> bytes:
    """A row of so many keys, the last of them twice."""
    return json.dumps({f"c{i}": 1 for i in range(number)}).encode()[:-1] + b', "c%d": 1}\n' % (number - 1)


def anchors(levels: int) -> bytes:
    """Aliases of aliases: 10^levels words in a few lines."""
    lines = ['a0: &a0 ["x"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"name: *a{levels - 1}"]).encode()


def encodings() -> Iterator[Case]:
    text = GOOD.decode() + '{"text": "caf\u00e9 \u3042", "label": "x"}\n'
    for name in (
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-32-le",
        "utf-32-be",
        "shift_jis",
        "gb18030",
        "cp037",
    ):
        yield data(name, "a.jsonl", text.encode(name, "replace"))
    yield data("utf-16 in CSV", "a.csv", "text,label\nx,y\n".encode("utf-16-be"))
    yield data("utf-32 in a document", "a.json", '[{"text": "a"}]'.encode("utf-32"))
    yield data("Latin-1", "a.jsonl", '{"text": "caf\u00e9"}'.encode("latin-1"))
    yield data("overlong UTF-8", "a.jsonl", b'{"text": "\xc0\x80"}')
    yield data("surrogates as UTF-8", "a.jsonl", b'{"text": "\xed\xa0\x80"}')
    yield data("UTF-7 of a byte order mark", "a.jsonl", b'+/v8-{"text": "a"}')
    yield data("only a byte order mark", "a.jsonl", b"\xef\xbb\xbf")
    yield data("two byte order marks", "a.jsonl", b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD)
    yield data("NUL bytes alone", "a.csv", bytes(1000))
    yield data("noise", "a.jsonl", bytes(range(256)) * 40)


def archives() -> Iterator[Case]:
    yield data("gzip with trailing noise", "a.jsonl.gz", gzip.compress(GOOD) + b"trailing noise")
    yield data("gzip with a wrong checksum", "a.jsonl.gz", gzip.compress(GOOD)[:-8] + bytes(8))
    yield data("gzip in gzip", "a.jsonl.gz", gzip.compress(gzip.compress(GOOD)))
    yield data("zstd cut short", "a.jsonl.zst", lambda: zstd(GOOD * 50)[:-10])
    yield data("xz cut short", "a.jsonl.xz", lzma.compress(GOOD)[:-10])
    yield data("bzip2 cut short", "a.jsonl.bz2", bz2.compress(GOOD)[:-10])
    yield data("an archive as lines", "a.jsonl", zipped)
    yield data("an archive", "a.zip", zipped)
    yield data("a tar", "a.tar.gz", tarred)
    yield data("a tar as lines", "a.jsonl.gz", tarred)
    yield data("Parquet in damaged gzip", "a.parquet.gz", lambda: gzip.compress(parquet(pa.table(TABLE)))[:200])
    yield data("several gzip members", "a.jsonl.gz", gzip.compress(GOOD) + gzip.compress(GOOD), exit=0)
    yield data("several zstd frames", "a.jsonl.zst", lambda: zstd(GOOD) + zstd(GOOD), exit=0)


def bombs() -> Iterator[Case]:
    yield data("gzip bomb", "a.jsonl.gz", lambda: gzip.compress(LONG))
    yield data("zstd bomb", "a.jsonl.zst", lambda: zstd(LONG))
    yield data("xz bomb", "a.json.xz", lambda: lzma.compress(b"[" + LONG.replace(b"\n", b",\n")))
    yield data("bzip2 bomb", "a.csv.bz2", lambda: bz2.compress(b"text,label\n" + (b"x" * 4000 + b",y\n") * 20_000))
    yield data("Parquet in a gzip bomb", "a.parquet.gz", lambda: gzip.compress(bytes(80 << 20)))
    yield data("Parquet dictionary bomb", "a.parquet", lambda: parquet(repeated(100_000, 100_000)))
    yield data("Parquet bomb of plain text", "a.parquet", lambda: parquet(repeated(100_000, 9_000), store_schema=False))
    yield data(
        "Arrow bomb", "a.arrow", lambda: arrow(pa.table({"text": ["x" * 100_000] * 900, "label": ["y"] * 900}), "zstd")
    )
    yield spec("bomb of aliases", anchors(10))
    yield recipe("bomb of aliases", anchors(10))


def binary() -> Iterator[Case]:
    whole = parquet(pa.table(TABLE))
    yield data("Parquet, wrong magic at its end", "a.parquet", whole[:-4] + b"PAR2")
    yield data("Parquet, wrong magic at its start", "a.parquet", b"XXXX" + whole[4:-4] + b"XXXX")
    yield data("Parquet, only magic", "a.parquet", b"PAR1PAR1")
    yield data("Parquet, encrypted footer", "a.parquet", whole[:-4] + b"PARE")
    yield data("Parquet, footer longer than the file", "a.parquet", whole[:-8] + struct.pack("<I", 1 << 31) + b"PAR1")
    yield data("Parquet, noise inside", "a.parquet", whole[:20] + bytes(60) + whole[80:])
    yield data("Parquet without columns", "a.parquet", lambda: parquet(pa.table({})))
    yield data("Parquet without rows", "a.parquet", lambda: parquet(pa.table(TABLE).slice(0, 0)))
    yield data(
        "Parquet, names of steering characters", "a.parquet", lambda: parquet(pa.table({RED: [1.5], BIDI: [2.5]}))
    )
    nested = pa.table({"text": TABLE["text"], "label": [{"a": [{"b": i}]} for i in range(12)]})
    yield data("Parquet, nested labels", "a.parquet", lambda: parquet(nested), "--roles", "text=text label=label")
    maps = pa.table({"text": TABLE["text"], "label": pa.array([[("k", 1)]] * 12, pa.map_(pa.string(), pa.int8()))})
    yield data("Parquet, maps for labels", "a.parquet", lambda: parquet(maps), "--roles", "text=text label=label")
    yield data("Arrow, durations for labels", "a.arrow", lambda: arrow(odd_types()), "--roles", "text=text label=label")
    yield data("Arrow, offsets that lead outside", "a.arrow", outside_offsets)
    yield data("Arrow, cut short", "a.arrow", lambda: arrow(pa.table(TABLE))[:-30])
    yield data("Arrow, names twice", "a.arrow", lambda: arrow(pa.table([TABLE["text"]] * 2, names=["text", "text"])))
    binary_text = pa.table({"text": [b"\xff\xfe"] * 12, "label": TABLE["label"]})
    yield data("Parquet, bytes for text", "a.parquet", lambda: parquet(binary_text), "--roles", "text=text label=label")


def rows() -> Iterator[Case]:
    yield data("JSON as deep as the sea", "a.json", b"[" * 200_000)
    yield data("a deep value in a row", "a.jsonl", b'{"text": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}")
    yield data("200,000 keys, one twice", "a.json", lambda: b"[" + keys(200_000) + b"]")
    yield data("an endless number", "a.jsonl", b'{"text": "a", "label": ' + b"7" * 5000 + b"}")
    yield data("NaN and Infinity for text", "a.jsonl", b'{"text": NaN, "label": -Infinity}\n' * 3)
    yield data("half of a surrogate pair as a class", "a.jsonl", b'{"text": "a", "label": "\\ud800"}\n' * 8, exit=0)
    yield data("half of a surrogate pair in a text", "a.jsonl", GOOD.replace(b"flat", b"\\ud800"), exit=0)
    yield data("a million columns", "a.csv", lambda: b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n")
    yield data("a million equal columns", "a.csv", b"c," * 1_000_000 + b"c\n")
    yield data("ragged, with steering characters", "a.csv", f"text,{RED},{BIDI}\na,b\n".encode())
    yield data("names of steering characters", "a.csv", f"{RED},{BIDI}\n1.5,2.5\n".encode())
    yield data("steering characters twice", "a.csv", f"{RED},{RED}\na,b\n".encode())
    yield data("steering characters after a row", "a.json", f'[{{"text": "a"}} {RED}'.encode())
    bell = json.dumps({"text": "a\x07", "label": RED}).encode() + b"\n"
    yield data("steering characters in classes", "a.jsonl", bell * 3 + GOOD, "--roles", "text=text label=nolabel")
    yield data("carriage returns alone", "a.csv", b"text,label\rx,1\ry,0\r")
    yield data("a quote that swallows the file", "a.csv", lambda: b'text,label\n"' + b"x,y\n" * 300_000)
    yield data("a cell of 40 MB", "a.csv", lambda: b"text,label\n" + b"x" * (40 << 20) + b",y\n")
    yield data("formulas for a spreadsheet", "a.csv", b"text,label\n=cmd|' /C calc'!A0,x\n+1,y\n", exit=0)
    yield data("a table with two texts and nothing to tell", "a.csv", b"q1,q2\n" + b"abc,def\n" * 9)


def places() -> Iterator[Case]:
    def link(folder: Path) -> None:
        (folder / "a.jsonl").symlink_to("b.jsonl")
        (folder / "b.jsonl").symlink_to("a.jsonl")

    def dangling(folder: Path) -> None:
        (folder / "a.jsonl").symlink_to(RED)

    def hostile(folder: Path) -> None:
        (folder / f"{RED}\n{BIDI}.jsonl").write_bytes(b"[1]\n")

    def inside(name: str) -> Make:
        return lambda folder: (folder / name).mkdir()

    def loop(folder: Path) -> None:
        (folder / "d").mkdir()
        (folder / "d" / "again").symlink_to("..")

    profile = ("profile", "{}/a.jsonl")
    yield Case("place: links in a circle", profile, link)
    yield Case("place: a link to nowhere", profile, dangling)
    yield Case("place: folders in a circle", ("profile", "{}/d"), loop)
    yield Case("place: a pipe", profile, lambda folder: os.mkfifo(folder / "a.jsonl"))
    yield Case("place: a pipe for a spec", (*profile, "--spec", "{}/p"), lambda folder: os.mkfifo(folder / "p"))
    yield Case("place: a pipe for scores", ("scores", "import", "{}/p.csv"), lambda folder: os.mkfifo(folder / "p.csv"))
    yield Case("place: a folder named like a file", profile, inside("a.jsonl"))
    yield Case("place: a folder for scores", ("scores", "import", "{}/s.csv"), inside("s.csv"))
    yield Case("place: a folder for a warehouse", ("datasets", "--warehouse", "{}/w"), inside("w"))
    yield Case("place: a name of steering characters", ("profile", f"{{}}/{RED}\n{BIDI}.jsonl"), hostile)
    yield Case("place: a folder of such names", ("profile", "{}"), hostile)
    yield Case("place: no folder", ("profile", "{}/no/../../where/a.jsonl"))
    yield Case("place: up and up", ("profile", "../../../../../../../../etc/passwd"))
    yield Case("place: no text file", ("profile", "/dev/null"))
    yield Case("place: a name that is not UTF-8", ("profile", "{}/caf\udce9.jsonl"))
    yield Case("place: a name of 5,000 letters", ("profile", "x" * 5000))
    yield Case("place: no name", ("profile", ""))
    yield Case("place: a dash", ("profile", "-"))
    for hub in (
        "org/name?download=true",
        "https://huggingface.co/datasets/a/b",
        "org/na me",
        "a/b/c",
        "org/name#x",
        "../org",
    ):
        yield Case(f"place: hub id {hub}", ("profile", hub))
    spaced = Case("place: blanks and ..", ("profile", "{}/a b/../a b/c d.jsonl", "--processes", "1"), exit=0)

    def blanks(folder: Path) -> None:
        (folder / "a b").mkdir()
        (folder / "a b" / "c d.jsonl").write_bytes(GOOD)

    yield Case(spaced.name, spaced.argv, blanks, 0)


def specs() -> Iterator[Case]:
    yield spec("a tag that makes objects", b"!!python/object/apply:os.system [echo]")
    yield spec("a tag inside", b"name: !!python/name:os.system\n")
    yield spec("an unknown key of steering characters", f'"\\e[31mred{BIDI}": 1\n'.encode())
    yield spec("a value of steering characters", b'task_type: "\\e[31mred"\n')
    yield spec("a key twice", b"name: a\nname: b\n")
    yield spec("a list", b"- a\n- b\n")
    yield spec("a text that says it is a mapping", b"!!map x\n")
    yield spec("a number", b"7")
    yield spec("two documents", b"name: a\n---\nname: b\n")
    yield spec("deep", b"[" * 20_000)
    yield spec("two megabytes", b"# x\n" * (1 << 19))
    yield spec("noise", bytes(range(256)))
    yield spec("UTF-16", "name: a\n".encode("utf-16"))
    yield spec("a list as a key", b"label_names: {[a]: b}\n")
    yield spec("a date for a name", b"name: 2020-01-01\n")
    yield spec("a date that does not exist", b"name: 2020-99-99\n")
    yield spec("a field that is not there", f"text_fields: [text]\nlabel_field: '{BIDI}'\n".encode())
    yield spec("half of a surrogate pair", b'text_fields: ["\\ud800"]\nlabel_field: label\n')
    yield spec("the data itself", GOOD, "a.jsonl")


def results() -> Iterator[Case]:
    yield scores("empty", "s.csv", b"")
    yield scores("only a header", "s.csv", SCORES.splitlines()[0].encode())
    yield scores("UTF-16", "s.csv", SCORES.encode("utf-16"))
    yield scores("ragged", "s.csv", SCORES.encode() + b"m,x\n")
    yield scores("a quote that never ends", "s.csv", SCORES.encode() + b'"m')
    yield scores("a million equal columns", "s.csv", b"c," * 1_000_000 + b"c\n")
    for value in ("nan", "inf", "-0.1", "60", "1e999", "0x1", "1_0", "", RED):
        yield scores(f"score {value!r}", "s.csv", (SCORES + f"m,b,reviews,0,accuracy,{value}\n").encode())
    yield scores("no base", "s.csv", b"model,source,target,score\nm,a,b,0.5\n")
    yield scores("a column is missing", "s.csv", f"model,source,{RED},{BIDI}\nm,a,b,0.5\n".encode())
    yield scores("one cell twice", "s.csv", (SCORES + SCORES.splitlines()[2] + "\n").encode())
    for column, line in (("model", "{},,a"), ("source", "m,{},a"), ("target", "m,,{}")):
        row = line.format(f"x{RED}{BIDI}")
        yield scores(f"{column} of steering characters", "s.csv", f"{SCORES}{row},0,accuracy,0.5\n".encode())
    yield scores("a huge seed", "s.csv", (SCORES + f"m,b,reviews,{'9' * 400},accuracy,0.5\n").encode())
    yield scores("deep JSON", "s.json", b"[" * 100_000)
    yield scores("a number", "s.json", b"7")
    yield scores(
        "half of a surrogate pair", "s.json", b'[{"model": "\\ud800", "source": "", "target": "a", "score": 1}]'
    )
    odd = b'{"results": {"a": {"acc,none": 0.5}}, "config": [1], "n-samples": 7}'
    yield replace(scores("a harness file with odd settings", "s.json", odd), exit=0)
    yield scores("results of a harness that are none", "s.json", b'{"results": {"a": 7}}')
    yield scores("lines that are none", "s.jsonl", b'{"model": "m"}\n{"model"\n')
    yield scores("not really Parquet", "s.parquet", b"PAR1PAR1")
    yield scores(
        "nested Parquet",
        "s.parquet",
        lambda: parquet(pa.table({c: [{"a": 1}] for c in ("model", "source", "target", "score")})),
    )
    yield scores("a spreadsheet", "s.xlsx", zipped)
    yield scores("a bad name", "s.csv", SCORES.encode(), "--name", f"../{RED}")
    yield recipe("a list", b"- a\n")
    yield recipe("an unknown key of steering characters", b'"\\e[31mred": 1\n')
    yield recipe("a tag that makes objects", b"!!python/object/apply:os.system [echo]")
    yield recipe("an unknown base", f"base: '{BIDI}'\n".encode())
    yield recipe("a scale that is a list", b"scale: [percent]\n")
    yield recipe("names that are none", f"names: {{topics: '{RED[1:]}/../x'}}\n".encode())
    yield recipe("columns for a number", b"columns: 7\n")
    yield recipe("a column that is not there", f"columns: {{score: '{BIDI}'}}\n".encode())
    yield recipe("where nothing is left", f"where: {{model: ['{BIDI}']}}\n".encode())
    yield recipe("where of an unknown column", f"where: {{'{BIDI}': [x]}}\n".encode())


def command_lines() -> Iterator[Case]:
    hostile = f"x{RED}{BIDI}"
    for name in ("../x", "-x", hostile, "a/b", "a b", "x" * 101, "\u200b", ""):
        yield words(f"--name {name!r}", "profile", "{}/a.jsonl", "--name", name)
    yield words("--split", "profile", "{}/a.jsonl", "--split", hostile)
    yield words("--spacy-model", "profile", "{}/a.jsonl", "--spacy-model", hostile)
    yield words("--revision of a file", "profile", "{}/a.jsonl", "--revision", "main")
    for roles in ("text", "text=", "=", hostile, 'text="', f"text={hostile}", "metric=x label=label"):
        yield words(f"--roles {roles!r}", "profile", "{}/a.jsonl", "--roles", roles)
    for option, value in (
        ("--rows", "0"),
        ("--rows", "1e9"),
        ("--seed", "-1"),
        ("--processes", "0"),
        ("--stream", "x"),
    ):
        yield words(f"{option} {value}", "profile", "{}/a.jsonl", option, value)
    yield words("--warehouse of data", "datasets", "--warehouse", "{}/a.jsonl")
    yield words("--warehouse in no folder", "profile", "{}/a.jsonl", "--warehouse", "{}/no/w.duckdb")
    for command in ("show", "predict", "rank", "explain", "whatif", "compare"):
        argv = {"show": 1, "rank": 1}.get(command, 2) * [hostile]
        more = ["--set", "label_majority_share=0.5"] if command == "whatif" else []
        yield words(f"{command} of a hostile name", command, *argv, *more)
    yield words("--sources", "rank", "reviews", "--sources", f"topics,{hostile}")
    yield words("--set", "whatif", "reviews", "topics", "--set", f"{hostile}=1")
    yield words("--predictor", "predict", "reviews", "topics", "--predictor", hostile)
    yield words("--family", "show", "reviews", "--family", hostile)
    yield words("--restore", "datasets", "--restore", hostile)
    yield words("fit of unknown scores", "fit", "--matrix", hostile)
    for query in (
        *(
            "",
            ";",
            "SELEC 1",
            f"SELECT {hostile}",
            f'SELECT * FROM "{hostile}"',
            "SELECT '\udcff'",
            "SELECT 1/0 FROM x",
        ),
        *("DELETE FROM traits", "SELECT " + "(" * 300 + "1", "SELECT 'a'::INTEGER", f"SELECT error('{RED}')"),
        *("SELECT * FROM read_csv('a.jsonl')", "ATTACH 'x'", "SELECT repeat('x', 1000000000000)", "SELECT '", "--"),
    ):
        yield words(f"sql {query[:40]!r}", "sql", query)
    yield words("sql --output", "sql", "SELECT 1", "--output", "{}/a.exe")
    yield words("sql --output into no folder", "sql", "SELECT 1", "--output", "{}/no/a.csv")


def packs() -> Iterator[Case]:
    yield pack("empty", b"")
    yield pack("a list", b"[]")
    yield pack("deep", b"[" * 100_000)
    yield pack("an unknown key of steering characters", json.dumps({RED: 1}).encode())
    yield pack("noise", bytes(range(256)))
    yield pack("groups that are none", b'{"groups": 7}')
    yield Case("pack: none", ("matrix", "run", "--pack", f"{{}}/{RED}"))


def known() -> Iterator[Case]:
    """The files of the reader's own tests, through the command line."""
    # By its path: an installed package named tests would come first.
    spec_of = importlib.util.spec_from_file_location("bad_files", HERE.parents[1] / "profiler" / "test_bad_input.py")
    assert spec_of is not None
    assert spec_of.loader is not None
    module = importlib.util.module_from_spec(spec_of)
    spec_of.loader.exec_module(module)
    for number, (file, raw, message) in enumerate(module.BAD_FILES):
        yield data(f"reader {number}: {message[:60]}", file, raw)


KINDS: dict[str, Callable[[], Iterator[Case]]] = {
    kind.__name__: kind
    for kind in (encodings, archives, bombs, binary, rows, places, specs, results, command_lines, packs, known)
}


def run(case: Case, folder: Path, warehouse: Path) -> dict[str, Any]:
    """Give one case to the command line, in this process."""
    from click.testing import CliRunner

    import traitcast.cli

    folder.mkdir()
    case.make(folder)
    argv = [word.replace("{}", str(folder)) for word in case.argv]
    before = {path.name: path.read_bytes() for path in warehouse.parent.iterdir()}
    began = time.monotonic()
    signal.alarm(_SECONDS)
    result = CliRunner().invoke(traitcast.cli.cli, argv, env={"TRAITCAST_WAREHOUSE": str(warehouse)})
    signal.alarm(0)
    after = {path.name: path.read_bytes() for path in warehouse.parent.iterdir()}
    unexpected = None if isinstance(result.exception, SystemExit | None) else repr(result.exception)
    return {
        "case": case.name,
        "wanted": case.exit,
        "exit": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "exception": unexpected,
        "changed": before != after,
        "seconds": round(time.monotonic() - began, 2),
    }


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"no answer in {_SECONDS} s")


def main(folder: str, warehouse: str, *kinds: str) -> None:
    """Run every case, or those of some kinds, and print what came of it."""
    signal.signal(signal.SIGALRM, _too_long)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRAITCAST_WAIT": "1"}
    chosen = [case for kind in kinds or KINDS for case in KINDS[kind]()]
    for number, case in enumerate(chosen):
        place = Path(folder) / f"case{number}"
        own = Path(folder) / f"warehouse{number}" / "toy.duckdb"
        own.parent.mkdir()
        shutil.copy(warehouse, own)
        print(json.dumps(run(case, place, own)), flush=True)
        shutil.rmtree(place)
        shutil.rmtree(own.parent)


if __name__ == "__main__":
    main(*sys.argv[1:])

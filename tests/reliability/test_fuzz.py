"""The targets of benchmarks/fuzz.py, driven by hypothesis: a short run at every change, and what long runs found."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import load_benchmark

TARGETS = (
    *("jsonl", "json", "csv", "tsv", "parquet", "arrow", "packed", "dataset", "stated", "spec", "recipe", "scores"),
    *("shard", "pack", "sql"),
)
# Parsers that fetch a row at a time are quick; the others write tables or start a query.
SLOW = frozenset({"dataset", "stated", "shard", "pack", "sql"})


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    module = load_benchmark("fuzz")
    folder = tmp_path_factory.mktemp("fuzz")
    module.scratch = lambda: folder
    return module


def test_every_target_is_driven(fuzz: ModuleType) -> None:
    assert tuple(fuzz.TARGETS) == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_good_inputs_do_not_raise(
    fuzz: ModuleType, target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    for content in fuzz.seeds(target):
        fuzz.TARGETS[target](content)


@pytest.mark.parametrize("target", TARGETS)
def test_bytes_are_read_or_refused(
    fuzz: ModuleType, target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bytes as they come, and good inputs with some bytes changed."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    good = [content for content in fuzz.seeds(target) if content]

    @given(
        content=st.binary(max_size=200),
        start=st.sampled_from([b"", *good]),
        places=st.lists(st.integers(0, 4000), max_size=3),
    )
    @settings(max_examples=25 if target in SLOW else 80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @example(content=b"", start=b"", places=[])
    def check(content: bytes, start: bytes, places: list[int]) -> None:
        changed = bytearray(start)
        for place, byte in zip(places, content, strict=False):
            if changed:
                changed[place % len(changed)] = byte
        fuzz.TARGETS[target](bytes(changed) or content)

    check()


FOUND = [
    ("scores", b'\x01\x01{"results": {"a": {"acc,none": 0.5}}, "config": [1]}'),
    ("scores", b'\x01\x01{"results": {"a": {"acc,none": 0.5}}, "n-samples": [1], "config": {"model_args": 7}}'),
    ("sql", b"\x00SELECT '\xff'"),
    ("spec", b"\x00!!map x"),
    ("recipe", b"\x00{{a: 1}: 2, !!set x: y}"),
]


@pytest.mark.parametrize(("target", "content"), FOUND, ids=[target for target, _ in FOUND])
def test_what_fuzzing_found(
    fuzz: ModuleType, target: str, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    fuzz.TARGETS[target](content)


ENGINE = """
import contextlib, os, pathlib

instrument_imports = lambda include: contextlib.nullcontext()

def Setup(arguments, test):
    global run
    run = lambda: [test(file.read_bytes()) for file in sorted(pathlib.Path(arguments[-1]).iterdir())]

def Fuzz():
    run()
    os._exit(0)
"""


def test_a_run_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine here tries the good inputs only and then ends its process at once, as libFuzzer does."""
    module = load_benchmark("fuzz")
    engine, memory = tmp_path / "engine", tmp_path / "memory"
    engine.mkdir(), memory.mkdir()
    (engine / "atheris.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(engine))
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    monkeypatch.setattr(module, "memory", lambda: memory)
    assert module.run(["jsonl", "sql"], 1, 1, tmp_path / "findings") == 0, capsys.readouterr().err
    assert list(memory.iterdir()) == []
    bad = tmp_path / "bad"
    bad.write_bytes(b"{")
    monkeypatch.setattr("sys.argv", ["fuzz.py", "one", "jsonl", str(bad)])
    monkeypatch.setattr("tempfile.tempdir", None)
    capsys.readouterr()
    module.main()
    assert capsys.readouterr().out == "refused\n"
    assert list(memory.iterdir()) == []

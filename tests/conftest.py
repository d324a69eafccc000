"""Fixtures that several rooms use: small hand-made profiles, an empty warehouse, the shared datasets."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import sys
import tempfile
import unicodedata
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import duckdb
import hypothesis
import numpy as np
import pytest

# Two numeric libraries with a thread pool each on a two-core machine fight; tests run on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts its background jobs with Ctrl-C ignored, and their children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A message is matched as one line; tests/test_width.py has the screen of a reader.
os.environ["COLUMNS"] = "10000"

from traitcast.warehouse.database import schema, shipped
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import LengthBin, Profile, Sketch, TraitDefinition, TraitValue

# Looking through the modules that are loaded for garbage took a thirtieth of the time.
gc.set_threshold(100_000, 20, 50)
# A busy machine must not fail a test.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


migrate, _newest = schema.migrate, list[str]()


def _migrate_once(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """The first new database of a process goes through all migrations, later ones take over its tables and views."""
    if version or not _newest:
        migrate(connection, version)
    else:
        for statement in _newest:
            connection.execute(statement)
    if not _newest and not version:
        _newest.extend(f"CREATE SCHEMA {name}" for name in (schema.OWN, schema.SHIPPED))
        for kind in ("table", "view"):
            found = connection.execute(f"SELECT sql FROM duckdb_{kind}s() WHERE NOT internal ORDER BY {kind}_oid")
            _newest.extend(sql for (sql,) in found.fetchall())
        _newest.append(f"INSERT INTO traitcast_meta VALUES ('schema_version', '{schema.SCHEMA_VERSION}')")


create, _made = Warehouse._create, dict[tuple[int, str], bytes]()


def _create_once(file: Path) -> None:
    """The first new file of a process is made, later ones are copies of it, unless there is something left over.

    Hundreds of tests make a warehouse, which took a third of their time.
    """
    key = schema.SCHEMA_VERSION, shipped.version()
    if key in _made and not any(other.name.startswith((f"{file.name}.", f".{file.name}.")) for other in _beside(file)):
        Warehouse.check_place(file)
        with tempfile.TemporaryDirectory(dir=file.parent) as aside, suppress(FileExistsError):
            (copy := Path(aside, file.name)).write_bytes(_made[key])
            os.link(copy, file)
    else:
        create(file)
        _made[key] = file.read_bytes()


def _beside(file: Path) -> list[Path]:
    return list(file.parent.iterdir()) if file.parent.is_dir() else []


schema.migrate = _migrate_once
Warehouse._create = _create_once  # type: ignore[method-assign]


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """The width above is for what is tested, not for what pytest prints."""
    if config.pluginmanager.get_plugin("terminalreporter") is not None:
        config.get_terminal_writer().fullwidth = 120


ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

DEFINITIONS = tuple(
    TraitDefinition(trait, part, family, unit, f"The {trait}.", "this project", 0.0, None, tier)
    for trait, part, family, unit, tier in (
        ("label_class_count", "label", "class_balance", "classes", "all rows"),
        ("label_majority_share", "label", "class_balance", "share", "all rows"),
        ("prompt_words_mean", "prompt", "generation_length", "words", "all rows"),
        ("response_words_mean", "response", "generation_length", "words", "all rows"),
        ("response_tokens_mean", "response", "generation_length", "tokens", "sample"),
    )
)


def make_profile(name: str, values: tuple[float | None, ...], labels: tuple[tuple[str, int], ...] = ()) -> Profile:
    """A profile over DEFINITIONS."""
    return Profile(
        name=name,
        fingerprint=f"v1:{name}",
        task_type="classification" if labels else "generation",
        rows=100,
        traits=tuple(TraitValue(d.trait, v, 0.1, 100) for d, v in zip(DEFINITIONS, values, strict=True)),
        label_counts=labels,
        length_histograms=(LengthBin("prompt", "words", 0, 8, 60), LengthBin("prompt", "words", 8, 16, 40)),
        sketches=(Sketch("prompt", "words_hashed", np.arange(4, dtype=np.float32)),),
        family="toy",
        details={"split": "train", "warnings": []},
    )


def steering(text: str) -> list[str]:
    """The characters of a text that could steer a terminal or show as nothing, by their Unicode category."""
    odd = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return [char for char in text if char not in "\n\t" and unicodedata.category(char) in odd]


def load_benchmark(name: str) -> ModuleType:
    """benchmarks/NAME.py as a module of its own; the test is skipped where the benchmarks are not there."""
    file = ROOT / "benchmarks" / f"{name}.py"
    if not file.exists():
        pytest.skip("the benchmarks are not part of an installed package")
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Frozen dataclasses look their module up while they are made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def profiles() -> tuple[Profile, ...]:
    return (
        make_profile("reviews", (2.0, 0.6, 20.0, 1.0, 1.0), (("good", 60), ("bad", 40))),
        make_profile("topics", (4.0, 0.3, 40.0, 1.0, 1.0), (("a", 30), ("b", 30), ("c", 20), ("d", 20))),
        make_profile("maths", (None, None, 45.0, 50.0, 70.0)),
    )


@pytest.fixture
def warehouse_path(tmp_path: Path, profiles: tuple[Profile, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse file that holds just the hand-made profiles (no reference data)."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    path = tmp_path / "toy.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.sync_catalogue(DEFINITIONS, 1)
        for profile in profiles:
            warehouse.save_profile(profile)
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs the shared datasets in ../shared")
    return SHARED

"""What is built and installed: one package, `traitcast`, that works in a folder with a `training/` of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml")
ROOMS = ("predictor", "profiler", "training", "warehouse")
BIN = "Scripts" if sys.platform == "win32" else "bin"


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints, run in a folder and without the settings of this process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("TRAITCAST_")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an sdist and of the wheel that was built from it."""
    pytest.importorskip("build", reason="needs an extra: pip install 'traitcast[test]'")
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "traitcast", copy / "traitcast", symlinks=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    return copy / "dist"


def test_the_wheel_holds_one_package_with_all_its_data(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in packed} == {"traitcast"}
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*") if "__pycache__" not in file.parts]
    expected = {f"traitcast/{file.relative_to(ROOT).as_posix()}" for file in files if file.is_file()}
    expected |= {f"traitcast/{file.name}" for file in (ROOT / "traitcast").glob("*") if file.is_file()}
    assert "traitcast/py.typed" in packed
    assert "traitcast/predictor/report/templates/report.html" in packed
    assert packed == expected


def test_the_sdist_holds_the_package_and_no_tests(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        folders = {Path(name).parts[1] for name in packed.getnames() if len(Path(name).parts) > 2}
    assert folders == {"traitcast", "traitcast.egg-info"}


@pytest.mark.slow
@pytest.mark.parametrize("dependencies", ["borrowed", "installed"])
def test_the_wheel_works_in_a_folder_with_names_of_its_own(dist: Path, tmp_path: Path, dependencies: str) -> None:
    """borrowed: from this environment; installed: from the package index, which takes minutes."""
    import traitcast

    python = tmp_path / "environment" / BIN / "python"
    run(sys.executable, "-m", "venv", tmp_path / "environment", cwd=tmp_path)
    (wheel,) = dist.glob("*.whl")
    borrowed = dependencies == "borrowed"
    run(python, "-m", "pip", "install", "--quiet", *(["--no-deps"] if borrowed else []), wheel, cwd=tmp_path)
    if borrowed:
        site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
        # A path in a .pth file is searched last, and the .pth files there are not read: traitcast is the wheel's.
        (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))

    mine = tmp_path / "mine"
    (mine / "training").mkdir(parents=True)
    (mine / "training" / "__init__.py").write_text("NAME = 'mine'\n")
    (mine / "predictor.py").write_text("NAME = 'mine'\n")
    shutil.copytree(ROOT / "examples" / "support_tickets", mine / "support_tickets")
    code = "import predictor, training, traitcast.cli; print(predictor.NAME, training.NAME, traitcast.__file__)"
    assert run(python, "-c", code, cwd=mine).startswith(f"mine mine {tmp_path / 'environment'}")

    command = tmp_path / "environment" / BIN / "traitcast"
    assert run(command, "--version", cwd=mine) == f"traitcast, version {traitcast.__version__}\n"
    (profile,) = json.loads(run(command, "profile", "support_tickets", "--format", "json", cwd=mine))
    assert (profile["name"], profile["rows"]) == ("support_tickets", 240)
    ranked = json.loads(run(command, "rank", "support_tickets", "--format", "json", cwd=mine))
    assert len(ranked) > 20
    if borrowed:
        return
    run(command, "report", "--output", "report.html", cwd=mine)
    assert "support_tickets" in (mine / "report.html").read_text(encoding="utf-8")

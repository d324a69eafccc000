"""A matrix on a Ray cluster: the same tables as a local run, whatever happens to the nodes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training import ray_run, run, state
from traitcast.training.cli import COMMANDS
from traitcast.training.plan.pack import Pack
from traitcast.training.results import shards
from traitcast.training.session import RunSettings
from traitcast.warehouse.errors import InputError

HERE = Path(__file__).parent
(MATRIX,) = [command for command in COMMANDS if command.name == "matrix"]


@pytest.fixture(scope="module")
def finished(plan_small: Callable[..., Pack], tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A small pack of two groups, run to its end here."""
    pack = plan_small(tmp_path_factory.mktemp("finished") / "m")
    run.run(pack)
    return pack


@pytest.mark.slow
def test_a_node_killed_in_the_middle_changes_nothing(plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs an extra: pip install 'traitcast[ray]'")
    pack = plan_small(tmp_path / "m", slots=1)
    done = subprocess.run(
        [sys.executable, HERE / "ray_cluster.py", pack.folder], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    shared, apart = found["shared"], found["apart"]
    assert shared["same"]
    assert apart["same"]
    assert shared["again"] >= 1, "the killed node had a group in hand"
    assert apart["again"] >= 1
    assert (shared["adapters"], apart["adapters"]) == (6, 0)
    assert shared["missing"] == apart["missing"] == 0


def test_a_finished_pack_needs_no_cluster(finished: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert ray_run.run(finished) == state.status(finished)


def test_a_missing_extra_names_the_cure(planned: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = CliRunner().invoke(MATRIX, ["run", "--pack", str(planned.folder), "--engine", "ray"])
    assert done.exit_code == 2
    assert "ray is not installed; run: pip install 'traitcast[ray]'" in done.stderr


def test_mistakes(planned: Pack) -> None:
    with pytest.raises(InputError, match="leave --part out with --engine ray"):
        ray_run.run(planned, RunSettings(part=(1, 2)))
    done = CliRunner().invoke(MATRIX, ["run", "--pack", str(planned.folder), "--gpus", "1"])
    assert done.exit_code == 2
    assert "--address, --gpus and --cpus describe a cluster: add --engine ray" in done.stderr


def test_groups_with_missing_cells(finished: Pack, plan_small: Callable[..., Pack], tmp_path: Path) -> None:
    assert state.unfinished(plan_small(tmp_path / "new")) == (1, 2)
    assert state.unfinished(finished) == ()
    for path in sorted(finished.shards.iterdir()):
        content = path.read_bytes()
        (cell, *_) = shards.cells_of(path)
        path.unlink()
        (group,) = state.unfinished(finished)
        path.write_bytes(content)
        jobs = finished.recipe.groups[group - 1]
        assert (group == 1) if cell.source is None else ((cell.source, cell.seed) in jobs)


def test_what_travels_is_enough_and_no_more(finished: Pack, tmp_path: Path) -> None:
    """A copy made of what travels knows what is done, and measures the rest as the pack itself would."""
    common = ray_run._common_files(finished)
    assert not any(name.startswith(("shards", "adapters")) for name in common)
    (tmp_path / "data").mkdir()
    (tmp_path / "shards").mkdir()
    for name, content in common.items():
        (tmp_path / name).write_bytes(content)
    for group in (1, 2):
        (tmp_path / "shards" / f"{group}.parquet").write_bytes(
            ray_run._known_cells(finished, group, shards.thin(finished))
        )
    assert state.status(Pack(tmp_path)).scored == state.status(finished).scored == 21


def test_a_silent_address_is_refused_at_once(planned: Pack) -> None:
    pytest.importorskip("ray", reason="needs an extra: pip install 'traitcast[ray]'")
    with socket.socket() as bound:
        # Bound and not listening: refused, and nobody else can take it meanwhile.
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"no Ray cluster at '{address}' .*give HOST:PORT of a running one"):
            ray_run.run(planned, cluster=ray_run.ClusterSettings(address=address))

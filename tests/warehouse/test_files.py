"""The one way in which outputs reach the disk, against what may lie in its way."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from tests.conftest import ROOT
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import InputError, UserError, WarehouseError
from traitcast.warehouse.files import check_output, locked_folder, replaced, replaced_folder, write

CURE = "Choose another file."


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    write(tmp_path / "new", b"new", cure=CURE)
    assert (tmp_path / "new").read_bytes() == b"new"
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_an_existing_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path, b"new", cure=CURE)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real, link = tmp_path / "folder" / "real", tmp_path / "link"
    link.symlink_to(real)
    for content in (b"made", b"replaced"):  # a dangling link first
        write(link, content, cure=CURE)
        assert link.is_symlink()
        assert real.read_bytes() == content
    assert sorted(tmp_path.rglob("*")) == [real.parent, real, link]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), replaced(path, cure=CURE) as file:
        file.writelines([b"half", "of it"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made_on_request_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out"
    with pytest.raises(InputError, match=rf"cannot write {path}: No such file or directory\. {CURE}"):
        write(path, b"", cure=CURE, error=InputError)
    write(path, b"x", cure=CURE, parents=True)
    assert path.read_bytes() == b"x"


def a_folder(path: Path) -> None:
    path.mkdir()


def a_named_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(os.path.relpath(path))
    bound.close()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("kind", [a_folder, a_named_pipe, a_socket, a_device], ids=lambda kind: kind.__name__)
def test_what_is_no_file_is_refused_at_once(
    kind: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out"
    kind(path)
    before = path.lstat()
    message = rf"cannot write {path}: it is {kind.__name__.replace('_', ' ')}\. {CURE}"
    for refuse in (write, lambda path, _, cure: check_output(path, cure=cure)):
        with pytest.raises(UserError, match=message):
            refuse(path, b"x", cure=CURE)
    assert path.lstat() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_takes_no_files_is_known_before_the_work() -> None:
    with pytest.raises(UserError, match=rf"cannot write /proc/out: .*\. {CURE}"):
        check_output(Path("/proc/out"), cure=CURE)


COMMANDS = {
    "sql": ("sql", "SELECT 1 AS one", "--output", "out.csv"),
    "card": ("card", "sst2", "--output", "out.md"),
    "plot": ("show", "sst2", "--plot", "out.svg"),
    "report": ("report", "--output", "out.html"),
}
commands = pytest.mark.parametrize("arguments", [*COMMANDS.values()], ids=[*COMMANDS])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def invoke(arguments: tuple[str, ...]) -> Result:
        # A page without data is as good a file as any.
        bare = {"TRAITCAST_REFERENCE": str(tmp_path / "none")} if arguments[0] == "report" else {}
        return CliRunner().invoke(traitcast.cli.cli, [*arguments], env=bare)

    return invoke


def output_of(arguments: tuple[str, ...]) -> Path:
    return Path(next(word for word in arguments if word.startswith("out.")))


@commands
def test_what_lies_under_the_old_temporary_names_is_left_alone(arguments: tuple[str, ...], run) -> None:
    output = output_of(arguments)
    victim, own = Path("victim"), Path(f"{output}.partial")
    victim.write_text("precious")
    own.write_text("mine")
    Path(f".{output}.partial").symlink_to(victim)
    assert run(arguments).exit_code == 0
    assert victim.read_text() == "precious"
    assert own.read_text() == "mine"
    assert not output.is_symlink()
    assert output.stat().st_size


@commands
def test_an_output_keeps_its_mode_and_its_link(arguments: tuple[str, ...], run) -> None:
    output, real = output_of(arguments), Path("real" + output_of(arguments).suffix)
    real.write_text("")
    real.chmod(0o600)
    output.symlink_to(real)
    assert run(arguments).exit_code == 0
    assert output.is_symlink()
    assert real.stat().st_size
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@commands
def test_a_named_pipe_as_output_is_refused_and_not_waited_for(arguments: tuple[str, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / output_of(arguments))
    done = subprocess.run(
        [sys.executable, "-m", "traitcast", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "it is a named pipe" in done.stderr


@commands
def test_a_folder_as_output_is_refused(arguments: tuple[str, ...], run) -> None:
    output_of(arguments).mkdir()
    result = run(arguments)
    assert result.exit_code == 2
    assert "is a directory" in result.stderr


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "a" / "folder"
    with replaced_folder(place, cure=CURE) as work:
        (work / "inner").mkdir()
        (work / "inner" / "one").write_text("1")
        assert not place.exists()
    assert (place / "inner" / "one").read_text() == "1"
    failed = ExitStack()
    (failed.enter_context(replaced_folder(place, cure=CURE)) / "two").write_text("2")
    assert failed.__exit__(KeyError, KeyError(), None) is False
    assert [path.name for path in place.iterdir()] == ["inner"]
    with replaced_folder(place, cure=CURE) as work:
        (work / "two").write_text("2")
    assert [path.name for path in place.iterdir()] == ["two"]
    assert [path.name for path in place.parent.iterdir()] == ["folder"]


def test_what_came_into_a_new_folder_meanwhile_stays(tmp_path: Path) -> None:
    """Two mixtures into one folder both said that they were there; so were files of the user's gone."""
    place = tmp_path / "folder"
    place.mkdir()
    block = ExitStack()
    (block.enter_context(replaced_folder(place, cure=CURE, keep=True)) / "one").write_text("1")
    (place / "theirs").write_text("2")
    with pytest.raises(UserError, match=r"cannot write .*folder: .*not empty. Choose another file"):
        block.close()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "theirs"]
    (place / "theirs").unlink()
    for _ in range(2):
        with replaced_folder(place, cure=CURE, keep=True) as work:
            (work / "one").write_text("1")
        assert [path.name for path in tmp_path.rglob("*")] == ["folder", "one"]
        (place / "one").unlink()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"cannot write .*folder: .*\. Choose another file"),
        replaced_folder(tmp_path / "file" / "folder", cure=CURE, error=InputError),
    ):
        pass


WRITE = """
import os, signal, sys
from pathlib import Path
from traitcast.warehouse.files import replaced, replaced_folder
place = Path(sys.argv[1])
with replaced_folder(place / "folder", cure="") as work, replaced(place / "file", cure="") as file:
    (work / "half").write_text("x")
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert len(left) == 2
    living = left[0].name.replace(left[0].name.split("-")[2], str(os.getppid()))
    elsewhere = ".traitcast-00000000-1-00.part"
    for name in (living, elsewhere, ".traitcast-notes.part"):
        (tmp_path / name).write_text("of a process that lives, of another machine, of somebody else")
    write(tmp_path / "file", b"whole", cure=CURE)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [living, elsewhere, ".traitcast-notes.part", "file"]
    )


def test_a_log_without_its_warehouse_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB would play what is in it into the new file."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    (tmp_path / "w.duckdb.wal").write_bytes(b"left over")
    with pytest.raises(WarehouseError, match=r"w\.duckdb\.wal is what a killed process .* or remove .*wal"):
        Warehouse.open(tmp_path / "w.duckdb")


def test_one_at_a_time_is_in_a_folder_that_each_removes(tmp_path: Path) -> None:
    inside: list[int] = []

    def enter(number: int) -> int:
        with locked_folder(tmp_path / "new" / "out", cure=CURE, wait_s=60):
            inside.append(number)
            time.sleep(0.0005)
            found = len(inside)
            inside.remove(number)
        return found

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(enter, range(300))) == {1}
    assert not (tmp_path / "new" / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with (
        pytest.raises(InputError, match="cannot write .*out: File exists. Choose another file."),
        locked_folder(tmp_path / "out", cure=CURE, wait_s=60, error=InputError),
    ):
        pass


def test_without_the_locks_of_unix_there_are_none(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.modules['fcntl'] = None; del os.O_NOFOLLOW; del os.O_CLOEXEC\n"
        "from pathlib import Path; from traitcast.warehouse.files import locked_folder\n"
        "with locked_folder(Path('out'), cure='', wait_s=0), locked_folder(Path('out'), cure='', wait_s=0):\n"
        "    print(Path('out').is_dir())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"

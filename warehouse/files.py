"""Files that are written whole or not at all, and files that are read only if they are files.

Owns the one way in which an output of the project, a file or a folder, reaches the disk: under a random name beside its
place first, then moved there; what a killed process left of that goes with the next write. Owns the lock on a folder
that one process fills, and the reading of small documents, whose size is bounded. Refuses folders, pipes, sockets and
devices at once: opening or reading one may wait for ever.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from traitcast.warehouse.errors import UserError

# New and never a link, so that nothing planted under the name is written to. Windows has not all of these.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Of a document that is held whole: the largest recipe of a matrix has .2 MB.
SMALL_BYTES = 16 << 20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """A folder, a pipe, a socket or a device where a file is expected."""

    def __init__(self, kind: str) -> None:
        super().__init__(0, f"it is {kind}")

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def replaced(path: Path, *, cure: str, error: type[UserError] = UserError, parents: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` once the block has ended without an error.

    A crash or an error leaves what was there. An existing file keeps its mode and, where that is allowed, its owner;
    of a symbolic link the target is written.

    Parameters
    ----------
    path
        The output.
    cure
        What the user can do where it cannot be written; the end of the message.
    error
        The class to raise.
    parents
        Whether to make missing folders above `path`.

    Yields
    ------
    BinaryIO
        The open file, under a random name in the folder of `path`.

    Raises
    ------
    UserError
        As `error`, where the file cannot be written.
    """
    work = None
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        place, there = _place(path)
        _sweep(place.parent)
        work = _work(place)
        with open(os.open(work, _NEW, 0o666), "wb") as file:
            yield file
            file.flush()
            if there is not None:
                with suppress(OSError):
                    os.fchown(file.fileno(), there.st_uid, there.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(there.st_mode))
            os.fsync(file.fileno())
        os.replace(work, place)
        flush(place.parent)
    except OSError as caught:
        raise error(f"cannot write {path}: {caught.strerror or caught}. {cure}") from caught
    finally:
        if work is not None:
            with suppress(OSError):
                work.unlink()


def write(path: Path, content: bytes, *, cure: str, error: type[UserError] = UserError, parents: bool = False) -> None:
    """Put `content` into a file, whole or not at all; see `replaced`."""
    with replaced(path, cure=cure, error=error, parents=parents) as file:
        file.write(content)


def check_output(path: Path, *, cure: str) -> None:
    """Raise UserError if `path` could not be written later: asked before hours of work. Changes nothing.

    cure: what the user can do then; the end of the message.
    """
    try:
        place, _ = _place(path)
        if not place.parent.is_dir():
            raise FileNotFoundError(0, f"folder {place.parent} does not exist")
        work = _work(place)
        os.close(os.open(work, _NEW, 0o600))
        work.unlink()
    except OSError as caught:
        raise UserError(f"cannot write {path}: {caught.strerror or caught}. {cure}") from caught


@contextmanager
def replaced_folder(
    folder: Path, *, cure: str, error: type[UserError] = UserError, keep: bool = False
) -> Iterator[Path]:
    """A new folder that takes the place of `folder` once the block has ended without an error.

    An earlier folder goes only when there is one in its place; a crash or an error leaves it.

    Parameters
    ----------
    folder
        The output. Missing folders above it are made.
    cure
        What the user can do where it cannot be written; the end of the message.
    error
        The class to raise.
    keep
        Refuse to take the place of a folder that holds something, even if it came while the block ran.

    Yields
    ------
    Path
        The folder to fill, under a random name beside `folder`.

    Raises
    ------
    UserError
        As `error`, where it cannot be written.
    """
    work, old = _work(folder), _work(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        work.mkdir()
        yield work
        for path in work.rglob("*"):
            flush(path)
        if keep:
            with suppress(FileNotFoundError):
                folder.rmdir()
        elif folder.exists():
            folder.rename(old)
        work.rename(folder)
        flush(folder.parent)
    except OSError as caught:
        raise error(f"cannot write {folder}: {caught.strerror or caught}. {cure}") from caught
    finally:
        # Whatever ended this, an interruption too.
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (work, old):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def locked_folder(folder: Path, *, cure: str, wait_s: float, error: type[UserError] = UserError) -> Iterator[None]:
    """Keep other processes that ask for the same out of `folder`, which is made, while the block runs.

    The lock is on the folder itself: it leaves no file, and goes with the process. Where the system or the file system
    has no locks there is none.

    Parameters
    ----------
    folder
        What is written to.
    cure
        What the user can do where it is taken or cannot be made; the end of the message.
    wait_s
        How long to wait for it, seconds.
    error
        The class to raise.

    Raises
    ------
    UserError
        As `error`, where the folder cannot be made, or another process has it for longer.
    """
    deadline = time.monotonic() + wait_s
    new = False
    try:
        while True:
            new = new or not folder.exists()
            if (handle := _lock(folder)) is not None:
                break
            if time.monotonic() >= deadline:
                raise error(
                    f"another process writes into {folder}; waited {wait_s:g} s. Wait for it to finish, or set "
                    f"TRAITCAST_WAIT=SECONDS. {cure}"
                )
            time.sleep(0.02)
    except OSError as caught:
        raise error(f"cannot write {folder}: {caught.strerror or caught}. {cure}") from caught
    try:
        yield
    finally:
        if new:
            with suppress(OSError):  # it holds something, as it should
                folder.rmdir()
        # Only now: one who waits must see that the folder is gone.
        os.close(handle)


def _lock(folder: Path) -> int | None:
    """A handle that holds the lock on a folder, which is made; None where another process has it, or has removed it."""
    try:
        import fcntl
    except ImportError:  # Windows
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(os.devnull, os.O_RDONLY)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        # If it is a folder after all, or gone, others removed and made it in between.
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    taken = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        taken = True
    except OSError:
        pass  # no locks on this file system
    # Who had it may have removed the folder, and another process may have made and locked the next.
    with suppress(FileNotFoundError):
        if not taken and os.path.samestat(os.fstat(handle), os.stat(folder)):
            return handle
    os.close(handle)
    return None


def _work(place: Path) -> Path:
    """A name of this machine and process, which nobody can guess."""
    return place.with_name(f".traitcast-{_machine()}-{os.getpid()}-{secrets.token_hex(8)}.part")


@cache
def _machine() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine left in a folder that were killed while they wrote."""
    for left in folder.glob(f".traitcast-{_machine()}-*.part"):
        if is_gone(left.name.split("-")[2]):
            with suppress(OSError):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def is_gone(pid: str) -> bool:
    """Whether no process of this machine has a number."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except (ValueError, PermissionError):  # no number at all; it lives, and is another user's
        return False
    return False


def _place(path: Path) -> tuple[Path, os.stat_result | None]:
    """Where an output really is, and what is there. Raises OSError if it is not a regular file or not writable."""
    place = Path(os.path.realpath(path))
    try:
        there = place.stat()
    except FileNotFoundError:
        return place, None
    _refuse_special(there)
    if not os.access(place, os.W_OK):
        raise PermissionError(0, "it is not writable")
    return place, there


def _refuse_special(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise NotAFileError(_KINDS.get(stat.S_IFMT(about.st_mode), "not a regular file"))


def check_regular(path: Path) -> None:
    """Raise OSError unless `path` is a file: libraries that open by name wait for ever at a pipe."""
    _refuse_special(path.stat())


def opened(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError for a pipe, a socket, a device or a folder, and never waits for one."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_special(os.fstat(handle))
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_small(path: Path, what: str, error: type[UserError] = UserError, *, most: int = SMALL_BYTES) -> bytes:
    """The content of a document that is held whole.

    Parameters
    ----------
    what
        The kind of document, for messages: "a recipe".
    error
        The class to raise.
    most
        Its largest size in bytes.

    Raises
    ------
    UserError
        As `error`, where it cannot be read or is larger.
    """
    try:
        with opened(path) as file:
            content = file.read(most + 1)
    except OSError as caught:
        raise error(f"cannot read {path}: {caught.strerror or caught}") from caught
    if len(content) > most:
        raise error(f"{path} is larger than {most >> 20} MB, too large for {what}")
    return content


def flush(path: Path) -> None:
    """fsync a file, or a folder so that a rename in it survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

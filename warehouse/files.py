"""Files that are written whole or not at all.

Owns the one way in which an output of the project reaches the disk: under a random name in the same folder first, then
moved into place. Refuses an output that is a folder, a pipe or a device.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from traitcast.warehouse.errors import UserError

# New and never a link, so that nothing planted under the name is written to.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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


def _work(place: Path) -> Path:
    return place.with_name(f".traitcast-{secrets.token_hex(8)}.part")


def _place(path: Path) -> tuple[Path, os.stat_result | None]:
    """Where an output really is, and what is there. Raises OSError if it is not a regular file or not writable."""
    place = Path(os.path.realpath(path))
    try:
        there = place.stat()
    except FileNotFoundError:
        return place, None
    if not stat.S_ISREG(there.st_mode):
        raise OSError(0, f"it is {_KINDS.get(stat.S_IFMT(there.st_mode), 'not a regular file')}")
    if not os.access(place, os.W_OK):
        raise PermissionError(0, "it is not writable")
    return place, there


def flush(path: Path) -> None:
    """fsync a file, or a folder so that a rename in it survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The log of the runs of a pack: one JSON object a line, appended by every run."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from traitcast.training.plan.pack import Pack
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import read_small

LOG = "runs.jsonl"
_RATE = ("tokens", "seconds", "device", "dtype")


def note(pack: Pack, **entry: Any) -> None:
    """Add a line to the log of runs. Raises InputError where it cannot be written."""
    path = pack.folder / LOG
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry, sort_keys=True) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path} ({error}); free space, then run the same again") from error


def read_log(pack: Pack) -> list[dict[str, Any]]:
    """The log of all runs of a pack, oldest first; a line that a crash cut short is left out."""
    path = pack.folder / LOG
    content = read_small(path, "a log of runs", InputError) if path.exists() else b""
    entries = []
    for line in content.decode(errors="replace").splitlines():
        with suppress(ValueError, RecursionError):
            entries.append(json.loads(line))
    return [entry for entry in entries if isinstance(entry, dict) and _is_sound(entry)]


def _is_sound(entry: dict[str, Any]) -> bool:
    """Whether what is counted with later are numbers, and what it is counted by are texts."""
    numbers = [entry.get(name) for name in ("answers", "changed", "tokens", "seconds", "cpu_seconds")]
    fine = all(n is None or (type(n) in (int, float) and 0 <= n < 2**53) for n in numbers)
    needed = {"flips": ("answers", "changed"), "train": _RATE, "score": _RATE}.get(str(entry.get("stage")), ())
    return fine and all(entry.get(name) is not None for name in needed)


def read_flips(pack: Pack) -> list[dict[str, Any]]:
    """What runs of this pack measured of merged against exact scoring: share of changed answers, and of how many."""
    return [entry for entry in read_log(pack) if entry.get("stage") == "flips"]

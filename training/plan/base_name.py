"""The name of a base model, and the precisions it can be loaded in: what planning checks without loading anything."""

from __future__ import annotations

from pathlib import Path

from traitcast.warehouse.errors import InputError

DEFAULT = "HuggingFaceTB/SmolLM2-135M-Instruct"
OFFLINE = "smollm2"
DTYPES = ("float32", "bfloat16", "float16")
# Of a pack: every machine measures in the precision that it is quick at, and every cell says which.
ANY = "any"


def check_base(name: str) -> None:
    """Refuse what can be no base model on any machine, before anything is planned for it.

    A path or hub id may well be known only where the matrix will run.
    """
    if name != OFFLINE and "/" not in name and not Path(name).expanduser().is_dir():
        raise InputError(f"base model {name!r} is neither a folder, {OFFLINE!r}, nor a hub id such as {DEFAULT!r}")

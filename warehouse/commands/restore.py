"""Bring shipped data back: shared by `datasets --restore` and `scores restore`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from traitcast.warehouse.console import say

if TYPE_CHECKING:
    from traitcast.warehouse.database.schema import Kind


def restore(kind: Kind, names: Sequence[str], what: str, warehouse_path: str) -> None:
    """Bring the shipped data of these names back, and say so."""
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file everything is as shipped, but a name that is not shipped must still be refused.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        replaced = warehouse.restore(kind, names)
    for name in names:
        say(
            f"{name}: the shipped {what} is back" if name in replaced else f"{name}: this is the shipped {what} already"
        )

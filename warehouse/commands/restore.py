"""What `datasets --restore` and `scores restore` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from traitcast.warehouse.console import say

if TYPE_CHECKING:
    from traitcast.warehouse.database.schema import Kind


def restore(kind: Kind, names: Sequence[str], what: str, warehouse_path: str) -> None:
    """Put back what was shipped, and say so."""
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file everything is as it was shipped, and a name that is not shipped is refused all the same.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        replaced = warehouse.restore(kind, names)
    for name in names:
        say(f"{name}: the shipped {what} is back" if name in replaced else f"{name}: it is the shipped {what} already")

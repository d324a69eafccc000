"""What commands need of a room that theirs may not import: the profile of a dataset that was never profiled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FrontDoor:
    """What the root hands to commands of rooms that may not import each other (`ctx.obj`)."""

    def ensure_profiled(self, dataset: str, warehouse_path: str) -> str:
        """The name under which `dataset` is profiled; a local file or folder is profiled first if need be.

        Warns on stderr of a profile, given by name, that was measured with older trait definitions.
        """
        from traitcast.profiler.service import ensure_profiled
        from traitcast.warehouse.database.profiles import warn_outdated
        from traitcast.warehouse.database.warehouse import Warehouse

        name = ensure_profiled(dataset, warehouse_path)
        if Path(warehouse_path).exists():
            with Warehouse.open(warehouse_path, read_only=True) as opened:
                warn_outdated(opened, [name])
        return name

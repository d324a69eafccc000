"""What commands need from a room that theirs may not import: the profile of a dataset that is not profiled yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FrontDoor:
    """What the root command passes to the commands of rooms that may not import each other (`ctx.obj`)."""

    def ensure_profiled(self, dataset: str, warehouse_path: str) -> str:
        """The name under which a dataset is profiled; a local file, folder or hub id is profiled first if need be.

        Warns on stderr if its profile was measured with older trait definitions.

        Parameters
        ----------
        dataset
            A profiled name, a local file or folder, or a hub id.
        warehouse_path
            DuckDB file with the profiles.

        Raises
        ------
        UserError
            For data that cannot be read.
        """
        from traitcast.profiler.service import ensure_profiled
        from traitcast.warehouse.database.profiles import warn_outdated
        from traitcast.warehouse.database.warehouse import Warehouse

        name = ensure_profiled(dataset, warehouse_path)
        if Path(warehouse_path).exists():
            with Warehouse.open(warehouse_path, read_only=True) as opened:
                warn_outdated(opened, [name])
        return name

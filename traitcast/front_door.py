"""What commands need from a room that theirs may not import: the profile of a dataset that is not profiled yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FrontDoor:
    """What the root command passes to the commands of rooms that may not import each other (`ctx.obj`)."""

    def ensure_profiled(self, datasets: Sequence[str], warehouse_path: str, **reading: Any) -> list[str]:
        """The names under which datasets are profiled; a local file, folder or hub id is profiled first if need be.

        Warns on stderr if a profile was measured with older trait definitions.

        Parameters
        ----------
        datasets
            Profiled names, local files or folders, or hub ids.
        warehouse_path
            DuckDB file with the profiles.
        **reading
            How to read the one that is no profiled name: fields of `traitcast.profiler.request.Request`, such as roles.

        Raises
        ------
        UserError
            For data that cannot be read.
        """
        from traitcast.profiler.service import ensure_all_profiled
        from traitcast.warehouse.database.profiles import warn_outdated
        from traitcast.warehouse.database.warehouse import Warehouse

        names = ensure_all_profiled(datasets, warehouse_path, **reading)
        if Path(warehouse_path).exists():
            with Warehouse.open(warehouse_path, read_only=True) as opened:
                warn_outdated(opened, names)
        return names

    def csv_options(self, path: str, delimiter: str | None, quote: str | None) -> dict[str, Any]:
        """What `pandas.read_csv` has to be told of a CSV file; {} for commas and double quotes.

        delimiter, quote: as the user stated them, None where the file decides. Raises UserError for a file without a
        header.
        """
        from traitcast.profiler.reading.formats.separated import pandas_options

        return pandas_options(Path(path), delimiter, quote)

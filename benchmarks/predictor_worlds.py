"""The profiles and matrices that the benchmarks of the predictor run on: what ships with the package, in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from traitcast.predictor.api import profiles_of
from traitcast.predictor.model.features import ProfileSet
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import Cells

IMPORTED = ("prompt_transferability", "cross_task_icl")


def shipped() -> tuple[ProfileSet, dict[str, Cells]]:
    """Profiles and imported matrices of the reference data."""
    with TemporaryDirectory() as folder, Warehouse.open(Path(folder) / "none.duckdb", read_only=True) as warehouse:
        return profiles_of(warehouse), {name: warehouse.cells(name) for name in IMPORTED}


def restricted(cells: Cells, datasets: Collection[str]) -> Cells:
    """The cells whose source and target are both among `datasets`."""
    pairs = zip(cells.sources, cells.targets, strict=True)
    rows = np.flatnonzero([source in datasets and target in datasets for source, target in pairs])
    kept: dict[str, Any] = {
        name: tuple(getattr(cells, name)[i] for i in rows) for name in ("models", "sources", "targets")
    }
    arrays = ("seeds", "gain", "standard_error", "score", "base_score")
    return replace(cells, **kept, **{name: getattr(cells, name)[rows] for name in arrays})

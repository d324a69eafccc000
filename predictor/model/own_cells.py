"""What the user measured on a target that a predictor was not fitted to: `rank` and `predict` answer with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from traitcast.predictor.model.outcomes import GAIN
from traitcast.predictor.model.prediction import Measurement
from traitcast.warehouse.errors import ScoresError

if TYPE_CHECKING:
    from traitcast.predictor.model.predictor import Predictor
    from traitcast.warehouse.database.warehouse import Warehouse


def own_cells(warehouse: Warehouse, predictor: Predictor, target: str) -> dict[str, Measurement]:
    """What the user's other matrices measured on a target that the predictor was not fitted to, by source.

    Only gains of the same language models by the same metric over the same kind of base count, and only of sources
    with a profile; of several matrices the last by name.
    """
    if predictor.outcome.name != GAIN.name or target in predictor.names:
        return {}
    profiled = set(warehouse.dataset_names())
    found: dict[str, Measurement] = {}
    for matrix in warehouse.own_matrices():
        if matrix.base == predictor.matrix.base and matrix.matrix != predictor.matrix.matrix:
            if predictor.outcome.metric is not None:
                cells = _of_metric(warehouse, predictor, matrix.matrix, target)
            elif matrix.metric == predictor.matrix.metric:
                cells = _of_headline(warehouse, predictor, matrix.matrix, target)
            else:
                continue
            found |= {source: cell for source, cell in cells if source in profiled}
    return found


def _of_headline(
    warehouse: Warehouse, predictor: Predictor, matrix: str, target: str
) -> Iterator[tuple[str, Measurement]]:
    for row in warehouse.transfer_matrix(matrix):
        if row["target"] == target and row["model"] in predictor.about["models"]:
            yield row["source"], Measurement(row["gain"], row["standard_error"], len(row["gains"]))


def _of_metric(
    warehouse: Warehouse, predictor: Predictor, matrix: str, target: str
) -> Iterator[tuple[str, Measurement]]:
    """Means over seeds; their errors are over rows, which the seeds share, and over seeds."""
    try:
        cells = warehouse.cells(matrix, metric=predictor.outcome.metric)
    except ScoresError:  # this matrix was not scored by that metric
        return
    of_target = (np.array(cells.targets) == target) & np.isin(cells.models, predictor.about["models"])
    for source in dict.fromkeys(np.array(cells.sources)[of_target & np.isfinite(cells.gain)].tolist()):
        mine = of_target & (np.array(cells.sources) == source) & np.isfinite(cells.gain)
        gains, errors = cells.gain[mine], cells.standard_error[mine]
        over_seeds = float(np.var(gains, ddof=1)) / len(gains) if len(gains) > 1 else 0.0
        error = float(np.sqrt(np.mean(errors**2) + over_seeds)) if np.isfinite(errors).all() else None
        yield source, Measurement(float(gains.mean()), error, len(gains))

"""Probes beside profiles: the second, dearer tier of traits, which belong to a dataset and a base model together.

Owns which base a matrix or predictor speaks of, and refuses to mix probes of two models, or of two sets of weights
under one name. It measures nothing; what is missing is named with the command that measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor.model.features import ProfileSet
from traitcast.warehouse.console import command
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.probes import FAMILY, PROBES

if TYPE_CHECKING:
    from traitcast.predictor.model.predictor import Predictor
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells


@dataclass(frozen=True, slots=True)
class ProbedBase:
    """The model that probes are of. fingerprint: of its weights, None where only the scores of an imported matrix are
    known. matrix: whose zero-shot scores count as probes too."""

    base: str
    fingerprint: str | None
    matrix: str


def base_of(warehouse: Warehouse, cells: Cells) -> ProbedBase:
    """The base that the gains of a matrix were measured with.

    Raises UserError for a matrix of several models, where nothing is known of the base, and where probes of several
    sets of weights are stored under its name.
    """
    matrix, models = cells.matrix.matrix, sorted(set(cells.models))
    if len(models) != 1:
        raise UserError(
            f"probes belong to one base model, and matrix {matrix!r} has {', '.join(models)}. Choose one with: "
            f"{command('fit', '--matrix', matrix, '--model', models[0], '--tier', 'probe')}"
        )
    (base,) = models
    own, users, every = (warehouse.probe_fingerprints(base, matrix=name) for name in (matrix, "", None))
    if len(own) > 1:
        raise UserError(
            f"matrix {matrix!r} was measured with {len(own)} sets of weights ({', '.join(own)}), and probes of those "
            f"are not mixed. Store the newer cells apart: "
            f"{command('matrix', 'ingest', '--pack', 'DIR', '--name', 'NAME')}"
        )
    found = own or users or every
    if len(found) > 1:
        raise UserError(
            f"probes of {base!r} were measured with {len(found)} sets of weights ({', '.join(found)}), and those are "
            f"not mixed. Keep one: {command('probe', 'DATASET', '--base', base, '--replace')}"
        )
    if not found and not warehouse.base_scores(matrix, base):
        raise UserError(
            f"the warehouse holds no probes of {base!r}. Measure them with: "
            f"{command('probe', 'DATASET', '--base', base)}; or do without: "
            f"{command('fit', '--matrix', matrix, '--tier', 'static')}"
        )
    return ProbedBase(base, found[0] if found else None, matrix)


def with_probes(warehouse: Warehouse, profiles: ProfileSet, of: ProbedBase) -> ProfileSet:
    """The profiles with the probes of a base as further traits, NaN for a dataset that was not probed."""
    values: dict[str, dict[str, float]] = {}
    if of.fingerprint is not None:
        values = warehouse.probes(of.base, of.fingerprint, matrix=of.matrix)
    # The score that the gains of this matrix are over, whatever another measurement of the same weights gave.
    for name, score in warehouse.base_scores(of.matrix, of.base).items():
        values.setdefault(name, {})["probe_score"] = score
    traits = profiles.traits
    columns = [[values.get(name, {}).get(d.trait, np.nan) for d in PROBES] for name in traits.names]
    grown = np.column_stack([traits.values, np.array(columns, dtype=np.float64).reshape(-1, len(PROBES))])
    return replace(profiles, traits=replace(traits, definitions=(*traits.definitions, *PROBES), values=grown))


def base_in(predictor: Predictor) -> ProbedBase | None:
    """The base whose probes a predictor was fitted with; None for one of the static tier."""
    stored: dict[str, Any] | None = predictor.about.get("probes")
    return None if stored is None else ProbedBase(**stored)


def as_stored(of: ProbedBase) -> dict[str, Any]:
    """What a bundle keeps of a base."""
    return asdict(of)


def unprobed(predictor: Predictor, profiles: ProfileSet, names: Sequence[str]) -> list[str]:
    """Those of `names` that have none of the probes the predictor looks at; none where it looks at no probe."""
    used = [d.trait for d in predictor.space.definitions if d.family == FAMILY]
    if not used:
        return []
    columns = [profiles.traits.traits.index(trait) for trait in used]
    empty = np.isnan(profiles.traits.values[profiles.rows_of(names)][:, columns]).all(axis=1)
    return [name for name, none in zip(names, empty, strict=True) if none]


def refuse_unprobed(predictor: Predictor, profiles: ProfileSet, of: ProbedBase, names: Sequence[str]) -> None:
    """Raise UserError, naming the command, if one of `names` lacks the probes that the predictor looks at."""
    missing = list(dict.fromkeys(unprobed(predictor, profiles, names)))
    if missing:
        raise UserError(
            f"the predictor uses probes of {of.base!r}, and there are none of {', '.join(map(repr, missing))}. "
            f"Measure them with: {command('probe', *missing, '--base', of.base)}"
        )

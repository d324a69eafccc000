"""Probes: the second, more expensive tier of traits, which belong to a dataset and a base model together.

Owns which base model a matrix or predictor refers to. Refuses to mix probes of two models, or of two sets of weights
under one name. Measures nothing: messages name the command that does.
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
    """The model that was probed.

    fingerprint: of its weights; None where only the scores of an imported matrix are known. matrix: whose zero-shot
    scores are probes as well.
    """

    base: str
    fingerprint: str | None
    matrix: str


def base_of(warehouse: Warehouse, cells: Cells) -> ProbedBase:
    """The base model with which the gains of a matrix were measured.

    Raises
    ------
    UserError
        For a matrix of several models, a base model without probes, and probes of several sets of weights under one
        name.
    """
    matrix, models = cells.matrix.matrix, sorted(set(cells.models))
    if len(models) != 1:
        raise UserError(
            f"probes belong to one base model, but matrix {matrix!r} has several: {', '.join(models)}. Choose one "
            f"with: {command('fit', '--matrix', matrix, '--model', models[0], '--tier', 'probe')}"
        )
    (base,) = models
    own, users, every = (warehouse.probe_fingerprints(base, matrix=name) for name in (matrix, "", None))
    if len(own) > 1:
        raise UserError(
            f"matrix {matrix!r} was measured with {len(own)} sets of weights ({', '.join(own)}), whose probes cannot "
            f"be mixed. Store the newer cells as another matrix: "
            f"{command('matrix', 'ingest', '--pack', 'DIR', '--name', 'NAME')}"
        )
    found = own or users or every
    if len(found) > 1:
        raise UserError(
            f"probes of {base!r} were measured with {len(found)} sets of weights ({', '.join(found)}), which cannot be "
            f"mixed. Keep one with: {command('probe', 'DATASET', '--base', base, '--replace')}"
        )
    if not found and not warehouse.base_scores(matrix, base):
        raise UserError(
            f"the warehouse has no probes of {base!r}. Measure them with: "
            f"{command('probe', 'DATASET', '--base', base)}; or fit without them: "
            f"{command('fit', '--matrix', matrix, '--tier', 'static')}"
        )
    return ProbedBase(base, found[0] if found else None, matrix)


def with_probes(warehouse: Warehouse, profiles: ProfileSet, of: ProbedBase) -> ProfileSet:
    """The profiles with the probes of a base model as further traits; NaN for datasets that were not probed."""
    values: dict[str, dict[str, float]] = {}
    if of.fingerprint is not None:
        values = warehouse.probes(of.base, of.fingerprint, matrix=of.matrix)
    # The score that gains in this matrix are over, even if the same weights were measured elsewhere with another
    # result.
    for name, score in warehouse.base_scores(of.matrix, of.base).items():
        values.setdefault(name, {})["probe_score"] = score
    traits = profiles.traits
    columns = [[values.get(name, {}).get(d.trait, np.nan) for d in PROBES] for name in traits.names]
    grown = np.column_stack([traits.values, np.array(columns, dtype=np.float64).reshape(-1, len(PROBES))])
    return replace(profiles, traits=replace(traits, definitions=(*traits.definitions, *PROBES), values=grown))


def base_in(predictor: Predictor) -> ProbedBase | None:
    """The base model whose probes a predictor uses; None for the static tier."""
    stored: dict[str, Any] | None = predictor.about.get("probes")
    return None if stored is None else ProbedBase(**stored)


def as_stored(of: ProbedBase) -> dict[str, Any]:
    """The base model as a bundle stores it."""
    return asdict(of)


def unprobed(predictor: Predictor, profiles: ProfileSet, names: Sequence[str]) -> list[str]:
    """Datasets of `names` without any of the probes that the predictor uses; empty if it uses none."""
    used = [d.trait for d in predictor.space.definitions if d.family == FAMILY]
    if not used:
        return []
    columns = [profiles.traits.traits.index(trait) for trait in used]
    empty = np.isnan(profiles.traits.values[profiles.rows_of(names)][:, columns]).all(axis=1)
    return [name for name, none in zip(names, empty, strict=True) if none]


def refuse_unprobed(
    warehouse: Warehouse, predictor: Predictor, profiles: ProfileSet, of: ProbedBase, names: Sequence[str]
) -> None:
    """Raise UserError, naming the command, if one of `names` lacks the probes that the predictor uses."""
    missing = list(dict.fromkeys(unprobed(predictor, profiles, names)))
    weights = warehouse.probe_fingerprints(of.base) if missing else []
    elsewhere = [warehouse.probes(of.base, found) for found in weights if found != of.fingerprint]
    others = [name for name in missing if any(name in probed for probed in elsewhere)]
    if others:
        again = command("fit", "--matrix", of.matrix, "--tier", "static")
        raise UserError(
            f"{', '.join(map(repr, others))} was probed with other weights of {of.base!r} than the predictor "
            f"learnt from ({of.fingerprint}), which cannot be mixed. Probe with those weights (--base FOLDER, "
            f"--revision COMMIT), or use a predictor without probes: {again}"
        )
    if missing:
        raise UserError(
            f"the predictor uses probes of {of.base!r}, but there are none for {', '.join(map(repr, missing))}. "
            f"Measure them with: {command('probe', *missing, '--base', of.base)}"
        )

"""What measured interventions say about changing a trait.

Owns which variants of datasets count for a trait, and the words for what they found. It never calls a correlation a
cause: where no intervention was measured, it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traitcast.predictor.effects.interventions import Lineage, differences, mean_of, roots_of, students
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse.console import count
from traitcast.warehouse.records import TraitDefinition

# A variant whose trait moved by less than this share of the training spread did not change it.
_MOVED = 0.1
NOT_MEASURED = "no intervention measured this: correlation only"


@dataclass(frozen=True, slots=True)
class Intervention:
    """What one variant measured.

    step: trait of the variant minus that of its parent. gain: mean difference of their gains over the datasets that
    both were measured with, in the predictor's unit. standard_error: of that mean, NaN for a single one. n: how many.
    """

    name: str
    parent: str
    step: float
    gain: float
    standard_error: float
    n: int


def interventions(
    predictor: Predictor,
    profiles: ProfileSet,
    side: str,
    definition: TraitDefinition,
    lineage: Sequence[Lineage],
) -> tuple[Intervention, ...]:
    """Variants in the matrix whose `changed` names this trait or its family, compared with their parents.

    A variant counts if it and its parent were measured with the same other datasets, and the trait did change.
    """
    index = {name: i for i, name in enumerate(profiles.traits.names)}
    column = profiles.traits.traits.index(definition.trait)
    spread = float(np.nanstd(profiles.traits.values[:, column]))
    found, roots = [], roots_of(lineage)
    for made in lineage:
        if not {definition.trait, definition.family} & set(made.words) or not {made.name, made.parent} <= set(index):
            continue
        step = float(np.subtract(*profiles.traits.values[[index[made.name], index[made.parent]], column]))
        found_with = differences(*(_gains(predictor, side, name) for name in (made.name, made.parent)))
        gaps = [gap for other, gap in found_with.items() if other not in (made.name, made.parent, roots[made.name])]
        if not gaps or not abs(step) > _MOVED * spread:
            continue
        mean = mean_of(gaps)
        found.append(Intervention(made.name, made.parent, step, mean.value, mean.standard_error, mean.n))
    return tuple(found)


def _gains(predictor: Predictor, side: str, name: str) -> dict[str, float]:
    """Measured gains of a dataset in one role: the other dataset -> gain, in the predictor's unit."""
    if side == "source":
        return predictor.measured.get(name, {})
    return {source: gains[name] for source, gains in predictor.measured.items() if name in gains}


def evidence(found: Sequence[Intervention], roots: Mapping[str, str], step: float, effect: float, unit: str) -> str:
    """What the interventions say about a change of sign(step) whose predicted effect has sign(effect).

    As in `predictor.effects.interventions`, variants of one dataset are one observation: they share its adapter.
    """
    if not found:
        return NOT_MEASURED
    turned: dict[str, list[float]] = {}
    for one in found:
        turned.setdefault(roots[one.name], []).append(one.gain * math.copysign(1.0, one.step * step))
    mean = mean_of([float(np.mean(gains)) for gains in turned.values()])
    counted = f"{count(len(found), 'intervention')}, {mean.value:+.2f} {unit} on average"
    if math.isnan(step) or effect == 0:
        return f"{counted}; the prediction has no direction to compare them with"
    if mean.n == 1:
        return f"direction not settled: {counted}, all from one dataset"
    low, high, _ = students(mean)
    if not low * high > 0:
        return f"direction not settled: {counted}; the 95 % interval over {mean.n} datasets includes 0"
    return f"direction {'supported' if mean.value * effect > 0 else 'contradicted'}: {counted}"

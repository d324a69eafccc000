"""A profile against the reference profiles, by percentiles, and two profiles against each other.

Owns which traits are worth naming: those far out in the tail that do not repeat a trait that is named already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from traitcast.warehouse.console import number
from traitcast.warehouse.records import Profile, TraitDefinition, TraitMatrix

# With fewer profiles a percentile says little; of datasets of one kind fewer say more.
MIN_PROFILES, MIN_ALIKE = 20, 10
# Unusual is the outer tenth on either side: datasets differ in few traits at once, and ten are wanted.
TAIL = 0.1
_OF_PROSE = ("linguistic", "readability", "discourse")
# One row far out moves these, and the findings name that row.
_OF_ONE_ROW = ("_kurtosis", "_skewness")
# Traits whose ranks correlate this much over the reference say the same; one of them is enough.
_CORRELATED = 0.8
# Less than this of a share is no spread.
_LEAST_SHARE = 0.01
# Units that only say what sort of number it is.
_NO_UNIT = ("", "ratio", "accuracy", "score", "correlation", "log per log", "log words", "log ratio")
# The scale of a normal distribution from its median absolute deviation.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Standing:
    """One trait of one dataset against the reference.

    percentile: 0 to 100, the share of reference datasets below, those equal counted half. median: of the reference.
    distance: from the median in robust standard deviations, with sign. n: reference datasets that have the trait.
    kind: their task type, "" where they are of several.
    """

    trait: TraitDefinition
    value: float
    percentile: float
    median: float
    distance: float
    below: int
    above: int
    n: int
    kind: str = ""


def kin(profile: Profile, reference: TraitMatrix) -> TraitMatrix:
    """The datasets with which a profile is compared: those of its task type, all where there are fewer than MIN_ALIKE.

    A question with options is longer than a tweet whatever the dataset: only among its like that is worth saying.
    """
    others = [name != profile.name for name in reference.names]
    same = [other and kind == profile.task_type for other, kind in zip(others, reference.task_types, strict=True)]
    keep = np.flatnonzero(same if sum(same) >= MIN_ALIKE else others)
    return replace(
        reference,
        names=tuple(reference.names[at] for at in keep),
        task_types=tuple(reference.task_types[at] for at in keep),
        families=tuple(reference.families[at] for at in keep),
        rows=tuple(reference.rows[at] for at in keep),
        values=reference.values[keep],
    )


def among(profile: Profile, reference: TraitMatrix) -> str:
    """What `kin` gave, in words: `47 public classification datasets`."""
    return f"{len(reference.names)} public {_kind(profile, reference)} datasets".replace("  ", " ")


def _kind(profile: Profile, reference: TraitMatrix) -> str:
    alike = bool(reference.names) and set(reference.task_types) == {profile.task_type}
    return profile.task_type.replace("_", " ") if alike else ""


def standings(profile: Profile, reference: TraitMatrix) -> dict[str, Standing]:
    """Standing by trait, of the traits that the profile and enough of the reference have.

    Enough are MIN_ALIKE where all of the reference are of the task type of the profile, else MIN_PROFILES. The profile
    itself is left out of the reference, should it be part of it.
    """
    others = np.array([name != profile.name for name in reference.names], dtype=bool)
    kind = _kind(profile, reference)
    least = MIN_ALIKE if kind else MIN_PROFILES
    values = {t.trait: t.value for t in profile.traits if t.value is not None}
    own = np.array([values.get(d.trait, np.nan) for d in reference.definitions], dtype=np.float64)
    table = np.where(np.isfinite(reference.values[others]), reference.values[others], np.nan)
    counts = np.isfinite(table).sum(axis=0)
    kept = np.flatnonzero(np.isfinite(own) & (counts >= least))
    own, table, counts = own[kept], table[:, kept], counts[kept]
    below, above = (table < own).sum(axis=0), (table > own).sum(axis=0)
    median = np.nanmedian(table, axis=0)
    scale = _MAD * np.nanmedian(abs(table - median), axis=0)
    scale = np.where(scale > 0, scale, np.nanstd(table, axis=0))
    distance = np.divide(own - median, scale, out=np.zeros(len(kept)), where=scale > 0)
    percentile = 100.0 * (below + (counts - below - above) / 2) / counts
    return {
        reference.definitions[j].trait: Standing(
            trait=reference.definitions[j],
            value=float(own[at]),
            percentile=float(percentile[at]),
            median=float(median[at]),
            distance=float(distance[at]),
            below=int(below[at]),
            above=int(above[at]),
            n=int(counts[at]),
            kind=kind,
        )
        for at, j in enumerate(kept.tolist())
    }


def most_unusual(
    profile: Profile, found: Mapping[str, Standing], reference: TraitMatrix, count: int = 10
) -> list[Standing]:
    """The `count` traits of `found` farthest from the median among those in the tails, each saying something new."""
    tails = [
        standing
        for standing in found.values()
        if min(standing.percentile, 100 - standing.percentile) <= 100 * TAIL
        and standing.distance
        and not standing.trait.trait.endswith(_OF_ONE_ROW)
    ]
    if profile.task_type == "classification":
        # The response is the name of a class, and its grammar and mood say nothing about the dataset.
        tails = [s for s in tails if s.trait.part != "response" or s.trait.family not in _OF_PROSE]
    ranks = {s.trait.trait: _ranks(reference, s.trait.trait) for s in tails}
    chosen: list[Standing] = []
    for standing in sorted(tails, key=lambda s: (-abs(s.distance), s.trait.trait)):
        mine = ranks[standing.trait.trait]
        if all(abs(_correlation(mine, ranks[other.trait.trait])) < _CORRELATED for other in chosen):
            chosen.append(standing)
        if len(chosen) == count:
            break
    return chosen


def _ranks(reference: TraitMatrix, trait: str) -> np.ndarray:
    """Ranks of a trait over the reference, float64 (datasets,), equal values sharing theirs; NaN where undefined."""
    column = reference.values[:, reference.traits.index(trait)]
    known = np.isfinite(column)
    ranks = np.full(len(column), np.nan)
    ranks[known] = average_ranks(column[known])
    return ranks


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their average rank (as scipy.stats.rankdata does). Shape (n,) -> (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation where both are known; 0 where it is undefined."""
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both], second[both]
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def in_words(standing: Standing) -> str:
    """One standing as a sentence: "11.8 % (median 6 %), higher than 46 of 47 classification datasets"."""
    side, count = ("higher", standing.below) if standing.percentile >= 50 else ("lower", standing.above)
    of = f"all {standing.n}" if count == standing.n else f"{count} of {standing.n}"
    value = in_unit(standing.value, standing.trait.unit)
    median = in_unit(standing.median, "share" if standing.trait.unit == "share" else "")
    return f"{value} (median {median}), {side} than {of} {standing.kind or 'reference'} datasets"


def in_unit(value: float, unit: str) -> str:
    """A trait with its unit: "11.8 %", "19 words", "grade 8.2", and a plain number where it has none."""
    if unit == "share":
        return f"{100 * value:.3g} %"
    if unit == "grade":
        return f"grade {number(value)}"
    return number(value) if unit in _NO_UNIT else f"{number(value)} {unit}"


def meaning(definition: TraitDefinition) -> str:
    """What a trait is in a few words: the start of its definition without formulas and remarks in brackets."""
    short = re.split(r"[:;.](?= |$)", re.sub(r" \([^()]*\)", "", definition.definition), maxsplit=1)[0]
    return short if re.search("[a-z]{4}", short) else definition.definition.rstrip(".")


def compare_profiles(matrix: TraitMatrix, first: Profile, second: Profile, told: int = 30) -> list[dict[str, Any]]:
    """One row per trait that both datasets have: trait, values of `first` and `second`, standardised difference, ...

    The difference (first - second) is divided by the standard deviation of the trait over all datasets of
    `matrix` that have it (of a share by a percentage point at least: of duplicates nearly all have none), and NaN
    where fewer than three do or all are equal.

    The largest differences come first, equal ones in the order of the catalogue. After the others come those that
    repeat one above (`repeats`: ranks correlate by .8 over the datasets; looked at for the first `told`), and then
    those that say nothing (`unclear`): within two standard errors, moments that one row decides, or about the prose of
    class names.
    """
    values = [{t.trait: t.value for t in profile.traits if t.value is not None} for profile in (first, second)]
    errors = [{t.trait: t.standard_error or 0.0 for t in profile.traits} for profile in (first, second)]
    known = np.isfinite(matrix.values)
    enough = known.sum(axis=0) >= 3
    spread = np.full(len(matrix.definitions), np.nan)
    spread[enough] = np.nanstd(matrix.values[:, enough], axis=0, ddof=1)
    named = "classification" in (first.task_type, second.task_type)
    rows: list[dict[str, Any]] = []
    for definition, scale in zip(matrix.definitions, spread, strict=True):
        a, b = (found.get(definition.trait) for found in values)
        if a is None or b is None:
            continue
        error = math.hypot(*(found.get(definition.trait, 0.0) for found in errors))
        if definition.unit == "share" and scale > 0:
            scale = max(scale, _LEAST_SHARE)
        one_row = definition.trait.endswith(_OF_ONE_ROW)
        prose = named and definition.part == "response" and definition.family in _OF_PROSE
        rows.append(
            {
                "trait": definition.trait,
                "first": a,
                "second": b,
                "standardised_difference": (a - b) / float(scale) if scale > 0 else math.nan,
                "unit": definition.unit,
                "family": definition.family,
                "repeats": None,
                "unclear": prose or one_row or abs(a - b) < 2 * error,
            }
        )
    rows.sort(key=lambda row: (row["unclear"], -np.nan_to_num(abs(row["standardised_difference"]), nan=-1.0)))
    clear = [row for row in rows if not row["unclear"]]
    chosen: dict[str, np.ndarray] = {}
    for row in clear:
        if len(chosen) == told:
            break
        mine = _ranks(matrix, row["trait"])
        like = (name for name, ranks in chosen.items() if abs(_correlation(mine, ranks)) >= _CORRELATED)
        row["repeats"] = next(like, None)
        if row["repeats"] is None:
            chosen[row["trait"]] = mine
    rows.sort(key=lambda row: (row["unclear"], row["repeats"] is not None))
    return rows

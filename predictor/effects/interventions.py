"""Interventions: what a change made on purpose to a dataset did to what tuning on it does.

A variant and its parent are tuned on alike and scored on the same targets; their difference is the change's effect.
Owns that difference, its mean over the sources that were changed, and the correction for how many means were looked at.
What varies between sources is what an effect has to stand out from, so errors are over sources; a change of a single
source is told over its targets, and holds for that source. Refuses to predict.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from traitcast.predictor.effects.paired_tests import adjusted
from traitcast.warehouse.console import command, count, html_table, some
from traitcast.warehouse.errors import ScoresError, nearest
from traitcast.warehouse.names import root_of

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells

OUTCOMES = ("gain", "label_shift", "length_shift")
# On the parent's own test rows, and on those of other targets.
PLACES = ("own", "others")
_LEVEL = 0.95
# Differences that are equal but for the rounding of sums.
_ROUNDING = 1e-9

Key = TypeVar("Key", str, int)

Gains = Mapping[str, Mapping[str, Mapping[int, float]]]
"""source -> target -> seed -> gain, or another outcome."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A dataset made from `parent` by changing `changed`: names of traits or of trait families, after a name for the
    change itself where it has one."""

    name: str
    parent: str
    changed: str

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.changed.replace(",", " ").split())

    @property
    def change(self) -> str:
        """What variants that were changed alike have in common."""
        return self.words[0] if self.words else "unnamed"


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, its standard error over the values (NaN for a single one), and how many there are."""

    value: float
    standard_error: float
    n: int


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of some values, which are taken to be drawn one by one."""
    found = np.asarray(values, dtype=np.float64)
    error = float(found.std(ddof=1) / math.sqrt(found.size)) if found.size > 1 else math.nan
    return Mean(float(found.mean()), error, int(found.size))


def differences(with_child: Mapping[Key, float], with_parent: Mapping[Key, float]) -> dict[Key, float]:
    """Variant minus parent on every dataset, or for every seed, that both were measured with."""
    return {other: with_child[other] - with_parent[other] for other in sorted(set(with_child) & set(with_parent))}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change did to one outcome.

    outcome: "gain" (pp), "label_shift" (% of answers that go elsewhere than the untuned model's) or "length_shift"
    (tokens). on: "own", the parent's own test rows, or "others", those of the other targets. difference: variants minus
    parents, mean over targets, then over sources. low, high: 95 %, Student's. p: two-sided, of no effect; q: over all
    effects of the report. sources: parents that were changed; targets: that any of them was scored on; cells:
    differences that went in. over: "sources", or "targets" where one source was changed: what its adapters have of
    their own is then in every target, so there is no p. seeds: least and most that a difference is a mean of.
    by_source: (parent, mean difference), the largest first.
    """

    change: str
    outcome: str
    on: str
    difference: float
    standard_error: float
    low: float
    high: float
    p: float
    q: float
    sources: int
    targets: int
    cells: int
    over: str
    seeds: tuple[int, int]
    by_source: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Interventions:
    """All effects of a matrix. noise: "outcome, on" -> root mean square of what the same source differs by between two
    seeds, mean over targets as in `Effect`; empty with one seed."""

    matrix: str
    model: str
    metric: str
    effects: tuple[Effect, ...]
    noise: Mapping[str, float]
    notes: tuple[str, ...]

    def as_row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def rows(self, change: str | None = None) -> list[dict[str, Any]]:
        """One row an effect, for a table; of one change, one row a source and outcome."""
        if change is None:
            hidden = ("by_source", "p")
            return [
                {k: v for k, v in asdict(effect).items() if k not in hidden}
                | {"seeds": "-".join(str(n) for n in dict.fromkeys(effect.seeds))}
                for effect in self.effects
            ]
        known = list(dict.fromkeys(effect.change for effect in self.effects))
        if change not in known:
            raise ScoresError(
                f"no change {change!r} was measured in {self.matrix!r}{nearest(change, known)} It has: "
                f"{', '.join(known)}."
            )
        return [
            {"source": source, "outcome": effect.outcome, "on": effect.on, "difference": value}
            for effect in self.effects
            if effect.change == change
            for source, value in effect.by_source
        ]

    def _repr_html_(self) -> str:
        return html_table(self.rows(), caption=f"Interventions of {self.matrix}, {self.metric}")


def interventions(
    warehouse: Warehouse, *, matrix: str | None = None, model: str | None = None, metric: str | None = None
) -> Interventions:
    """What the variants in a measured matrix did beside their parents.

    matrix: needed where the user, or else the package, has several with variants; model: where it holds several.
    metric: of the gains, instead of the headline, in 100ths of its unit and more being better, as in `Warehouse.cells`.
    Raises ScoresError for a matrix that holds no variant beside its parent.
    """
    varied, shipped = warehouse.varied(), warehouse.shipped("matrices")
    if matrix is None:
        # Numbers of others are no answer to who has some of their own.
        candidates = [name for name in varied if name not in shipped] or varied
        matrix = candidates[0] if len(candidates) == 1 else None
    cells = warehouse.cells(matrix, model, metric=metric)
    name, models = cells.matrix.matrix, sorted(set(cells.models))
    if len(models) > 1:
        raise ScoresError(
            f"matrix {name!r} has {len(models)} models: {', '.join(models)}. An intervention is told of one: choose it "
            "with --model NAME."
        )
    measured = set(cells.sources)
    known = [Lineage(*row) for row in warehouse.lineage(name)]
    every = [made for made in known if made.name in measured]
    lineage = [made for made in every if made.parent in measured]
    if not lineage:
        raise ScoresError(
            f"matrix {name!r} holds no variant beside its parent. Make some: {command('vary', 'DATASET')}; then "
            f"plan, run and ingest a matrix with both. With variants there are: {', '.join(varied) or 'none'}"
        )
    outcomes, roots = _outcomes(warehouse, cells, models[0]), roots_of(known)
    effects = []
    for change in sorted({made.change for made in lineage}):
        variants = [made for made in lineage if made.change == change]
        effects += [
            effect
            for outcome, gains in outcomes.items()
            for on in PLACES
            if (effect := _effect(change, outcome, on, gains, variants, roots))
        ]
    q = adjusted([effect.p for effect in effects])
    return Interventions(
        name,
        models[0],
        cells.matrix.metric,
        tuple(replace(effect, q=value) for effect, value in zip(effects, q, strict=True)),
        {
            f"{outcome}, {on}": found
            for outcome, gains in outcomes.items()
            for on in PLACES
            if math.isfinite(found := _noise(on, gains, roots))
        },
        tuple(_notes(cells, lineage, outcomes[OUTCOMES[0]], [made.name for made in every if made not in lineage])),
    )


def _outcomes(warehouse: Warehouse, cells: Cells, model: str) -> dict[str, Gains]:
    """What is compared: gains, and the side effects that the matrix knows."""
    found = {OUTCOMES[0]: _by_source(cells)}
    for outcome in OUTCOMES[1:]:
        try:
            found[outcome] = _by_source(warehouse.cells(cells.matrix.matrix, model, outcome=outcome))
        except ScoresError:  # imported scores have none
            continue
    return found


def _by_source(cells: Cells) -> Gains:
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for source, target, seed, gain in zip(cells.sources, cells.targets, cells.seeds, cells.gain, strict=True):
        if math.isfinite(gain):
            found[source][target][int(seed)] = float(gain)
    return found


def roots_of(lineage: Sequence[Lineage]) -> dict[str, str]:
    """Variant -> the dataset that it comes from in the end: a variant of a variant has the test rows of that one."""
    parents = {made.name: made.parent for made in lineage}
    return {name: root_of(name, parents.get) for name in parents}


def _effect(
    change: str, outcome: str, on: str, gains: Gains, variants: Sequence[Lineage], roots: Mapping[str, str]
) -> Effect | None:
    """None where nothing of that outcome was measured of both."""
    gaps: dict[str, dict[str, list[float]]] = {}
    seeds = []
    for made in variants:
        root = roots[made.name]
        for target, found in _paired(gains.get(made.name, {}), gains.get(made.parent, {})).items():
            if (target == root) == (on == "own"):
                gaps.setdefault(root, {}).setdefault(target, []).append(float(np.mean(found)))
                seeds.append(len(found))
    if not gaps:
        return None
    # Several variants of one source that were changed alike are one observation.
    by_source = {source: [float(np.mean(found)) for found in of.values()] for source, of in gaps.items()}
    means = {source: float(np.mean(found)) for source, found in by_source.items()}
    single = len(means) == 1
    mean = mean_of(next(iter(by_source.values())) if single else list(means.values()))
    low, high, p = students(mean)
    return Effect(
        change,
        outcome,
        on,
        mean.value,
        mean.standard_error,
        low,
        high,
        math.nan if single else p,
        math.nan,
        len(means),
        len({target for of in gaps.values() for target in of}),
        sum(len(found) for of in gaps.values() for found in of.values()),
        "targets" if single else "sources",
        (min(seeds), max(seeds)),
        tuple(sorted(means.items(), key=lambda item: -abs(item[1]))),
    )


def _paired(
    child: Mapping[str, Mapping[int, float]], parent: Mapping[str, Mapping[int, float]]
) -> dict[str, list[float]]:
    """target -> variant minus parent, for every seed that both have; without targets that have none."""
    both = sorted(set(child) & set(parent))
    return {target: list(gaps.values()) for target in both if (gaps := differences(child[target], parent[target]))}


def students(mean: Mean) -> tuple[float, float, float]:
    """(low, high, p) of a mean, 95 % and two-sided, by Student's distribution; NaN where one value tells no error."""
    from scipy import stats

    if not math.isfinite(mean.standard_error):
        return math.nan, math.nan, math.nan
    if mean.standard_error <= _ROUNDING * max(abs(mean.value), 1.0):
        # All sources alike, which scores of few rows can be: nothing varies that could tell the effect from chance.
        return math.nan, math.nan, 1.0 if abs(mean.value) <= _ROUNDING else math.nan
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, mean.n - 1)) * mean.standard_error
    p = float(2 * stats.t.sf(abs(mean.value / mean.standard_error), mean.n - 1))
    return mean.value - reach, mean.value + reach, p


def _noise(on: str, gains: Gains, roots: Mapping[str, str]) -> float:
    """Root mean square difference of one source between two seeds, over sources and pairs of seeds."""
    squares = []
    for source, by_target in gains.items():
        kept = [t for t in by_target if (t == roots.get(source, source)) == (on == "own")]
        seeds = sorted({seed for target in kept for seed in by_target[target]})
        for at, first in enumerate(seeds):
            for second in seeds[at + 1 :]:
                both = [t for t in kept if {first, second} <= set(by_target[t])]
                if both:
                    squares.append(np.mean([by_target[t][first] - by_target[t][second] for t in both]) ** 2)
    return math.sqrt(float(np.mean(squares))) if squares else math.nan


def _notes(cells: Cells, lineage: Sequence[Lineage], gains: Gains, alone: Sequence[str]) -> Iterator[str]:
    pairs = {made: _paired(gains.get(made.name, {}), gains.get(made.parent, {})) for made in lineage}
    used = {made: found for made, found in pairs.items() if found}
    parents, targets = {made.parent for made in used}, {target for found in used.values() for target in found}
    number = sorted({len(gaps) for found in used.values() for gaps in found.values()})
    seeds = count(number[-1], "seed") if number else "no seed"
    if len(number) > 1:
        seeds = f"{number[0]} to {seeds}"
    yield (
        f"{count(len(used), 'variant')} of {count(len(parents), 'source')} on {count(len(targets), 'target')}, "
        f"{seeds}; the targets are these ones, so an effect is one on them"
    )
    short = [made.name for made, found in used.items() if set(found) != targets]
    if short:
        yield f"not on all of the {len(targets)} targets, so a mean over sources mixes them unevenly: {some(short, 5)}"
    if apart := [made.name for made in pairs if made not in used]:
        yield f"left out, without a seed and a target that their parent has too: {some(apart, 5)}"
    if alone:
        yield f"left out, without their parent in the matrix: {some(alone, 5)}"

"""Interventions: how a deliberate change to a dataset changes what tuning on it does.

A variant and its parent are tuned on in the same way and scored on the same targets; their difference is the effect of
the change. Owns that difference, its mean over the changed sources, and the correction for the number of effects. An
effect has to stand out from the variation between sources, so standard errors are over sources; a change of a single
source is averaged over its targets, and holds for that source. Predicts nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from traitcast.predictor.effects.paired_tests import adjusted
from traitcast.warehouse.console import command, count, html_table
from traitcast.warehouse.errors import ScoresError, nearest, some
from traitcast.warehouse.names import root_of

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells

OUTCOMES = ("gain", "label_shift", "length_shift")
# The parent's own test rows, and those of other targets.
PLACES = ("own", "others")
_LEVEL = 0.95
# Differences below this are rounding errors of sums.
_ROUNDING = 1e-9

Key = TypeVar("Key", str, int)

Gains = Mapping[str, Mapping[str, Mapping[int, float]]]
"""source -> target -> seed -> gain, or another outcome."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A dataset that was made from `parent` by a change.

    changed: names of traits or trait families, after a name for the change itself if it has one.
    """

    name: str
    parent: str
    changed: str

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.changed.replace(",", " ").split())

    @property
    def change(self) -> str:
        """The name of the change, which all variants made in this way share."""
        return self.words[0] if self.words else "unnamed"


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, its standard error over the values (NaN for a single one), and how many there are."""

    value: float
    standard_error: float
    n: int


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of independent values."""
    found = np.asarray(values, dtype=np.float64)
    error = float(found.std(ddof=1) / math.sqrt(found.size)) if found.size > 1 else math.nan
    return Mean(float(found.mean()), error, int(found.size))


def differences(with_child: Mapping[Key, float], with_parent: Mapping[Key, float]) -> dict[Key, float]:
    """Variant minus parent, for every dataset or seed that both were measured with."""
    return {other: with_child[other] - with_parent[other] for other in sorted(set(with_child) & set(with_parent))}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one change did to one outcome.

    outcome: "gain" (pp), "label_shift" (% of answers that move to another label than the untuned model's) or
    "length_shift" (tokens). on: "own", the parent's own test rows, or "others", those of other targets. difference:
    variants minus parents, mean over targets, then over sources. low, high: 95 % interval by Student's distribution. p:
    two-sided, for no effect; q: over all effects of the report. sources: changed parents. targets: scored for any of
    them. cells: differences in the mean. over: "sources", or "targets" if one source was changed: the quirks of its
    adapters are then in every target, so there is no p. seeds: fewest and most seeds behind a difference. by_source:
    (parent, mean difference), the largest first.
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
    """All effects in a matrix.

    noise: "outcome, on" -> root mean square difference of one source between two seeds, mean over targets as in
    `Effect`; empty with one seed.
    """

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
        """Rows for a table: one per effect, or for one change, one per source and outcome."""
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
    """What the variants in a measured matrix did, compared with their parents.

    Parameters
    ----------
    warehouse
        An open warehouse.
    matrix
        Needed where the user (or, if the user has none, the package) has several matrices with variants.
    model
        Needed where the matrix has several models.
    metric
        Metric of the gains, as in `Warehouse.cells`: in hundredths of its unit, more is better. None for the headline.

    Raises
    ------
    ScoresError
        For a matrix without any variant and its parent, and as `Warehouse.cells` does.
    """
    varied, shipped = warehouse.varied(), warehouse.shipped("matrices")
    if matrix is None:
        # Shipped matrices do not answer for a user with matrices of their own.
        candidates = [name for name in varied if name not in shipped] or varied
        matrix = candidates[0] if len(candidates) == 1 else None
    cells = warehouse.cells(matrix, model, metric=metric)
    name, models = cells.matrix.matrix, sorted(set(cells.models))
    if len(models) > 1:
        raise ScoresError(
            f"matrix {name!r} has {len(models)} models ({', '.join(models)}), and interventions are those of one. "
            "Choose it with --model NAME."
        )
    measured = set(cells.sources)
    known = [Lineage(*row) for row in warehouse.lineage(name)]
    every = [made for made in known if made.name in measured]
    lineage = [made for made in every if made.parent in measured]
    if not lineage:
        raise ScoresError(
            f"matrix {name!r} has no variant together with its parent. Make variants: {command('vary', 'DATASET')}; "
            f"then plan, run and ingest a matrix with both. Matrices with variants: {', '.join(varied) or 'none'}."
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
    """Gains, and the side effects that were measured in this matrix."""
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


def in_words(warehouse: Warehouse, matrix: str) -> dict[str, str]:
    """What the variants in a matrix did to gains on other targets: trait, or trait family, that was changed -> words.

    Raises
    ------
    ScoresError
        As `interventions` does.
    """
    found = interventions(warehouse, matrix=matrix)
    gains = {e.change: e for e in found.effects if (e.outcome, e.on) == (OUTCOMES[0], PLACES[1])}
    by: dict[str, dict[str, Effect]] = defaultdict(dict)
    for made in (Lineage(*row) for row in warehouse.lineage(matrix)):
        if made.change in gains:
            for word in made.words[1:] or made.words:
                by[word][made.change] = gains[made.change]
    return {word: f"in {matrix}, {_moved(effects)}" for word, effects in by.items()}


def _moved(effects: Mapping[str, Effect]) -> str:
    """ "gains on other targets moved by +1.6 pp [-13.6, 16.7] (majority_50)", several joined."""
    each = [
        f"{e.difference:+.1f} pp" + (f" [{e.low:.1f}, {e.high:.1f}]" if math.isfinite(e.low) else "") + f" ({change})"
        for change, e in sorted(effects.items())
    ]
    return f"gains on other targets moved by {', '.join(each)}"


def roots_of(lineage: Sequence[Lineage]) -> dict[str, str]:
    """Variant -> the dataset it was made from in the end, whose test rows a variant of a variant has too."""
    parents = {made.name: made.parent for made in lineage}
    return {name: root_of(name, parents.get) for name in parents}


def _effect(
    change: str, outcome: str, on: str, gains: Gains, variants: Sequence[Lineage], roots: Mapping[str, str]
) -> Effect | None:
    """The effect of one change; None where the outcome was not measured for both variant and parent."""
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
    """target -> variant minus parent for every common seed; without targets that have none."""
    both = sorted(set(child) & set(parent))
    return {target: list(gaps.values()) for target in both if (gaps := differences(child[target], parent[target]))}


def students(mean: Mean) -> tuple[float, float, float]:
    """95 % interval and two-sided p of a mean by Student's distribution: (low, high, p), NaN for a single value."""
    from scipy import stats

    if not math.isfinite(mean.standard_error):
        return math.nan, math.nan, math.nan
    if mean.standard_error <= _ROUNDING * max(abs(mean.value), 1.0):
        # All sources changed by the same, as scores of few rows may: no variation to judge the effect by.
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
        f"{seeds}. Effects hold for these targets: they are not a sample of others."
    )
    short = [made.name for made, found in used.items() if set(found) != targets]
    if short:
        yield f"Not scored on all {len(targets)} targets, so that means over sources are uneven: {some(short, 5)}"
    if apart := [made.name for made in pairs if made not in used]:
        yield f"Left out, because they share no seed and target with their parent: {some(apart, 5)}"
    if alone:
        yield f"Left out, because their parent is not in the matrix: {some(alone, 5)}"

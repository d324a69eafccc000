"""What a measured matrix says, as the Markdown of docs/explanation/matrix.md.

Run: python benchmarks/reference_matrix.py MATRIX [--warehouse WAREHOUSE.duckdb]
     python benchmarks/reference_matrix.py --pack DIR

Without a warehouse it reads the matrix that ships with the package. Every number is made from stored scores, results
on single rows, and profiles; nothing is trained. With a pack: how much better than the likeliest sum the other ways to
score a choice are, in reliability, on the same resamples of sources and targets.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from traitcast.predictor.effects.paired_tests import LEVEL, adjusted
from traitcast.predictor.effects.side_effects import effects
from traitcast.predictor.effects.tables import Gain
from traitcast.predictor.latent.associations import associate
from traitcast.warehouse.console import count
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.errors import ScoresError, UserError
from traitcast.warehouse.records import Cells, TraitMatrix

NOWHERE = "no-such-file.duckdb"
# The traits that Krishna et al. 2025 name: class distribution, generation length, and linguistic features.
CLAIMED = (
    "response_entropy_normalised",
    "response_majority_share",
    "label_entropy_normalised",
    "response_tokens_mean",
    "prompt_tokens_mean",
)
# The metric that the shipped predictor learns.
LIKELIHOOD = "gold_nll_calibrated"
_ORDERS, _DRAWS = 2_000, 300
_NEARLY = 0.9
WAYS = ("accuracy", "accuracy_character", "accuracy_token", "calibrated_accuracy", "gold_nll")
SHIFTS = {"length_shift": "tokens added to written answers", "label_shift": "share of answers that change their label"}


@dataclass(frozen=True)
class Measured:
    """The cells of a matrix of one model, (sources, targets), NaN where there is none.

    gains: in pp, mean over seeds, the diagonal among them; errors and p of no change, over rows and seeds; by_seed:
    (sources, targets, seeds); likelihoods: gains by LIKELIHOOD over an average source, in spreads of their target,
    without the diagonal; shifts: side effects by name, without the diagonal.
    """

    name: str
    model: str
    description: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    gains: np.ndarray
    errors: np.ndarray
    p: np.ndarray
    by_seed: np.ndarray
    own: np.ndarray
    likelihoods: np.ndarray
    profiles: TraitMatrix
    shifts: Mapping[str, np.ndarray]

    @property
    def off(self) -> np.ndarray:
        """Mask of the measured cells with another source than the target."""
        return np.isfinite(self.gains) & ~self.own

    @property
    def learnable(self) -> bool:
        """Whether it was scored by LIKELIHOOD."""
        return bool(np.isfinite(self.likelihoods).any())

    @property
    def others(self) -> np.ndarray:
        """gains, NaN where a source is its own target."""
        return np.where(self.off, self.gains, np.nan)

    def kind(self, dataset: str) -> str:
        return self.profiles.task_types[self.profiles.names.index(dataset)].replace("_", " ")

    def family(self, dataset: str) -> str:
        return self.profiles.families[self.profiles.names.index(dataset)] or dataset


def measured(warehouse: Warehouse, name: str) -> Measured:
    """Read a matrix of one model."""
    cells = warehouse.cells(name)
    sources, targets, seeds = (tuple(sorted(set(x))) for x in (cells.sources, cells.targets, cells.seeds.tolist()))
    shape = len(sources), len(targets)
    gains, errors, p = (np.full(shape, np.nan) for _ in range(3))
    for at, source in enumerate(sources):
        found = effects(warehouse, source, matrix=name)
        everything: list[Gain] = [*found.gains, *([found.own] if found.own else [])]
        for gain in everything:
            where = at, targets.index(gain.target)
            gains[where], errors[where], p[where] = gain.gain, gain.standard_error, gain.p
    own = np.array([[s == t for t in targets] for s in sources])
    shifts = {o: _mean(_by_seed(warehouse.cells(name, outcome=o), sources, targets, seeds)) for o in SHIFTS}
    return Measured(
        name,
        cells.models[0],
        cells.matrix.description,
        sources,
        targets,
        gains,
        errors,
        p,
        _by_seed(cells, sources, targets, seeds),
        own,
        _likelihoods(warehouse, name, sources, targets),
        warehouse.trait_matrix(sorted({*sources, *targets})),
        {outcome: np.where(own, np.nan, found) for outcome, found in shifts.items()},
    )


def _by_seed(cells: Cells, sources: Sequence[str], targets: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
    """Gains, or another outcome, (sources, targets, seeds); NaN where there is none."""
    found = np.full((len(sources), len(targets), len(seeds)), np.nan)
    for source, target, seed, gain in zip(cells.sources, cells.targets, cells.seeds, cells.gain, strict=True):
        found[sources.index(source), targets.index(target), seeds.index(int(seed))] = gain
    return found


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def pp(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:+.1f}"


def in_spreads(cells: Cells, sources: Sequence[str], targets: Sequence[str], least: int = 2) -> np.ndarray:
    """Gains over an average one of `sources`, in spreads of their target, (sources, targets), mean over seeds.

    NaN where there is none, on the diagonal, and for targets of fewer than `least` sources.
    """
    every = sorted(set(cells.sources))
    found = _mean(_by_seed(cells, every, targets, sorted(set(cells.seeds.tolist()))))
    mean = found[[every.index(source) for source in sources]]
    mean[np.array([[s == t for t in targets] for s in sources])] = np.nan
    known = np.isfinite(mean).sum(axis=0) >= least
    mean[:, ~known] = np.nan
    mean[:, known] -= np.nanmean(mean[:, known], axis=0)
    spread = np.nanstd(mean[:, known], axis=0, ddof=1)
    mean[:, known] /= np.where(spread > 0, spread, np.nan)
    return mean


def _likelihoods(warehouse: Warehouse, name: str, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    try:
        return in_spreads(warehouse.cells(name, metric=LIKELIHOOD), sources, targets)
    except ScoresError:  # a matrix that was scored by an earlier version
        return np.full((len(sources), len(targets)), np.nan)


def _mean(by_seed: np.ndarray) -> np.ndarray:
    """Over the seeds that there are."""
    count = np.isfinite(by_seed).sum(axis=2)
    return np.divide(np.nansum(by_seed, axis=2), count, out=np.full(count.shape, np.nan), where=count > 0)


def overview(m: Measured) -> list[str]:
    """Range, noise, and how many cells moved for certain."""
    off, own = m.gains[m.off], m.gains[m.own & np.isfinite(m.gains)]
    q = np.full(m.gains.shape, np.nan)
    q[m.off] = adjusted(m.p[m.off].tolist())
    sure = m.off & (q <= LEVEL)
    quantiles = ", ".join(f"{x:+.1f}" for x in np.quantile(off, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    return [
        f"{len(m.sources)} sources x {len(m.targets)} targets; {count(several(m), 'source')} with several seeds. "
        f"{m.description}.",
        "",
        f"- **Range** of the {off.size} gains on other targets, pp: {quantiles} (minimum, 5 %, quartiles, 95 %, "
        f"maximum); mean {off.mean():+.2f}, standard deviation {off.std(ddof=1):.2f}.",
        f"- **Own rows** ({own.size} sources on their own test rows): mean {own.mean():+.1f} pp, "
        f"{int((own > 0).sum())} above 0.",
        "- **Noise**: the median standard error of a gain, over rows and seeds, is "
        f"{np.nanmedian(m.errors[m.off]):.1f} pp; the standard deviation of a gain between seeds is "
        f"{noise(m) ** 0.5:.1f} pp ({several(m)} of {len(m.sources)} sources).",
        f"- **Sure of their sign** at a false discovery rate of {LEVEL:.0%} over all {off.size}: "
        f"{int((sure & (m.gains > 0)).sum())} helps and {int((sure & (m.gains < 0)).sum())} harms.",
        "",
    ]


def several(m: Measured) -> int:
    """How many sources were tuned with more than one seed."""
    return int((np.isfinite(m.by_seed).sum(axis=2) > 1).any(axis=1).sum())


def noise(m: Measured) -> float:
    """Variance of one seed's gain around the mean of its cell, pp squared."""
    known = m.by_seed[m.off & (np.isfinite(m.by_seed).sum(axis=2) > 1)]
    return float(np.nanmean(np.nanvar(known, axis=1, ddof=1))) if len(known) else float("nan")


def parts(m: Measured) -> list[str]:
    """How much of the variance of gains is the target's, the source's, the pair's, and noise of the seeds, with a
    bootstrap over sources and targets."""
    values = m.others
    # Most cells have one seed, or all have as many: the variance of one seed is that of all cells with several.
    within = np.where(m.off, noise(m) / np.maximum(np.isfinite(m.by_seed).sum(axis=2), 1), np.nan)
    rng = np.random.default_rng(0)
    shares = _split(values, within)
    drawn = []
    for _ in range(_DRAWS):
        part = np.ix_(*(rng.integers(0, n, n) for n in values.shape))
        drawn.append(_split(values[part], within[part]))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    names = (
        "target",
        "source",
        "pair (with the noise of its test rows)",
        f"noise of the seeds ({count(several(m), 'source')})",
    )
    said = ", ".join(
        f"{name} {100 * share:.0f} % [{100 * a:.0f}, {100 * b:.0f}]"
        for name, share, a, b in zip(names, shares, low, high, strict=True)
    )
    return [f"Variance of the mean gains, in two ways (the diagonal left out; bootstraps over both): {said}.", ""]


def _split(values: np.ndarray, within: np.ndarray) -> tuple[float, ...]:
    """Shares of the target, the source, the pair and the seeds, 0 or more. within: variance of a cell's mean by its
    seeds."""
    known = np.isfinite(values)
    grand = float(np.nanmean(values))
    row, column = np.zeros(values.shape[0]), np.zeros(values.shape[1])
    for _ in range(30):
        row = np.nanmean(values - grand - column, axis=1)
        column = np.nanmean(values - grand - row[:, None], axis=0)
    left = (values - grand - row[:, None] - column)[known]
    pair = float((left**2).sum() / max(left.size - len(row) - len(column) + 1, 1))
    seeds = float(np.nanmean(within))
    source = max(0.0, float(np.var(row, ddof=1)) - pair / len(column))
    target = max(0.0, float(np.var(column, ddof=1)) - pair / len(row))
    found = target, source, max(0.0, pair - seeds), seeds
    return tuple(value / sum(found) for value in found)


def constants(warehouse: Warehouse, m: Measured) -> list[str]:
    """How often one label or option is all that a model answers."""
    answers: dict[tuple[str, str, int], Counter[str]] = {}
    for source in m.sources:
        rows = warehouse.predicted_labels(m.name, m.model, source)
        for target, by, seed, _, predicted, n in rows:
            if by or source == m.sources[0]:  # the untuned model's come with every source's
                answers.setdefault((by, target, seed), Counter())[predicted] += n
    share = {cell: max(found.values()) / found.total() for cell, found in answers.items()}
    base = {target: value for (by, target, _), value in share.items() if not by}
    tuned = [(target, value == 1) for (by, target, _), value in share.items() if by and by != target]
    stuck = {target for target, value in base.items() if value >= _NEARLY}
    there = [constant for target, constant in tuned if target in stuck]
    return [
        f"On {len(stuck)} of the {len(base)} targets with options the untuned model gives one answer to nine rows in "
        f"ten or more. On these {sum(there)} of {len(there)} tuned models answer all rows alike, on all targets with "
        f"options {sum(constant for _, constant in tuned)} of {len(tuned)}.",
        "",
    ]


def extremes(m: Measured, shown: int = 5) -> list[str]:
    """The largest gains and losses, one of a target."""
    order = np.argsort(m.others, axis=None)[: int(m.off.sum())]
    lines = []
    for title, chosen in (("Most helped, a target each", order[::-1]), ("Most harmed, a target each", order)):
        rows: dict[str, tuple[str, ...]] = {}
        for flat in chosen.tolist():
            at = np.unravel_index(flat, m.gains.shape)
            target = m.targets[at[1]]
            row = f"`{m.sources[at[0]]}`", f"`{target}`", pp(m.gains[at]), f"{m.errors[at]:.1f}"
            rows.setdefault(target, row)
        rows = dict(list(rows.items())[:shown])
        lines += [f"### {title}", "", *table(("source", "target", "gain, pp", "standard error"), rows.values())]
    return lines


def sides(m: Measured) -> list[str]:
    """What every source does over an average source, on all other targets."""
    centred = np.nanmean(_centred(m.others), axis=1)
    scored = m.likelihoods if m.learnable else m.others
    mean, count = np.nanmean(scored, axis=1), np.isfinite(scored).sum(axis=1)
    error = np.nanstd(scored, axis=1, ddof=1) / np.sqrt(count)
    own = {name: float(m.gains[i, m.targets.index(name)]) for i, name in enumerate(m.sources) if name in m.targets}
    rows = [
        (
            *(f"`{m.sources[i]}`", m.kind(m.sources[i]), f"{mean[i]:+.2f} ± {error[i]:.2f}", pp(centred[i])),
            pp(own.get(m.sources[i], np.nan)),
        )
        for i in np.argsort(-mean)
    ]
    first = f"{LIKELIHOOD}, spreads of the target" if m.learnable else "score over the untuned model, pp"
    head = ("source", "task", first, "score, pp", "score on own rows, pp")
    said = "Mean over the other targets of the gain over an average source, and its standard error over targets."
    return ["### Sources", "", said, "", *table(head, rows)]


def alike(m: Measured) -> list[str]:
    """Whether relatives and tasks of one kind help each other more: gains over the target's mean, compared with the
    same with names shuffled."""
    centred, rows = _centred(m.others), []
    for title, label in (("same family", m.family), ("same kind of task", m.kind)):
        here, cells, p = _within(centred, m, label)
        row = [title, cells, pp(here), f"{p:.3f}"]
        if m.learnable:
            loss, _, chance = _within(m.likelihoods, m, label)
            row += [f"{loss:+.2f}", f"{chance:.3f}"]
        rows.append(row)
    head = ["pairs of the", "cells", "score over the target's mean source, pp", "p"]
    head += [f"{LIKELIHOOD}, spreads", "p"] if m.learnable else []
    return ["### Surface likeness", "", "p: names of sources shuffled.", "", *table(head, rows)]


def _within(centred: np.ndarray, m: Measured, label: Callable[[str], str]) -> tuple[float, int, float]:
    """Mean over the cells whose two sides share a label, how many there are, and the chance of one as far from 0 where
    sources have other sources' names. A cell of a name with itself counts in neither."""
    rng = np.random.default_rng(0)
    of_source, of_target = (np.array([label(name) for name in side]) for side in (m.sources, m.targets))
    names, targets = np.array(m.sources), np.array(m.targets)

    def cells(order: np.ndarray) -> np.ndarray:
        alike = of_source[order][:, None] == of_target[None, :]
        found: np.ndarray = centred[alike & (names[order][:, None] != targets[None, :])]
        return found[np.isfinite(found)]

    here = cells(np.arange(len(names)))
    drawn = np.array([cells(rng.permutation(len(names))).mean() for _ in range(_ORDERS)])
    return float(here.mean()), len(here), float((1 + (np.abs(drawn) >= abs(here.mean())).sum()) / (1 + len(drawn)))


def claim(m: Measured) -> list[str]:
    """The paper's claim: traits of the source that go with how much it helps and with what else it does, all of them
    corrected, with the named ones."""
    lines = _traits(m, _centred(m.others), "mean gain in score")
    lines += _traits(m, m.likelihoods, f"mean gain in {LIKELIHOOD}") if m.learnable else []
    for outcome, what in SHIFTS.items():
        lines += _traits(m, _centred(m.shifts[outcome]), what)
    return lines


def _centred(values: np.ndarray) -> np.ndarray:
    """Over the mean of each target; targets without any value are left out."""
    known = np.isfinite(values).any(axis=0)
    return values[:, known] - np.nanmean(values[:, known], axis=0)


def _traits(m: Measured, centred: np.ndarray, what: str) -> list[str]:
    known = np.isfinite(centred).any(axis=1)
    mean = np.nanmean(centred[known], axis=1, keepdims=True)
    names = [name for name, there in zip(m.sources, known, strict=True) if there]
    found = associate([("source", names, mean)], m.profiles)
    rows = [
        (f"`{a.trait}`", f"{a.spearman:+.2f}", a.n, f"{a.p:.4f}", f"{a.q:.3f}")
        for a in dict.fromkeys([*found[:5], *(a for a in found if a.trait in CLAIMED)])
    ]
    sure = sum(a.found for a in found)
    head = ("trait of the source", "Spearman", "sources", "p", f"q over {len(found)}")
    title = f"### Traits of the source and the {what}: {sure} of {len(found)} at q of {LEVEL:g} or less"
    return [title, "", *table(head, rows)]


def ways_to_choose(folder: Path) -> str:
    """Reliability over new rows and seeds of each way to score a choice, and its difference to `accuracy`."""
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results import reliability

    pack = Pack(folder)
    found = reliability.collected(pack)
    with_options = [at for at, name in enumerate(pack.recipe.targets) if pack.task(name).has_options]
    values = {name: found[name][:, with_options] for name in WAYS}
    known = np.all([np.isfinite(v).all(axis=(2, 3)) for v in values.values()], axis=0)
    shares = {name: reliability.over_both(v, known) for name, v in values.items()}
    drawn = {name: reliability.resampled(v, known, draws=1000) for name, v in values.items()}
    rows = []
    for name, share in shares.items():
        apart = drawn[name] - drawn[WAYS[0]]
        apart = apart[np.isfinite(apart)]
        low, high = np.quantile(apart, [0.025, 0.975])
        more = f"{share - shares[WAYS[0]]:+.2f} [{low:+.2f}, {high:+.2f}]"
        rows.append((f"`{name}`", f"{share:.2f}", more, f"{(apart > 0).mean():.2f}"))
    return "\n".join(table(("score", "reliability", f"more than `{WAYS[0]}`", "share of resamples above 0"), rows))


def markdown(warehouse: Warehouse, name: str) -> str:
    """All sections."""
    m = measured(warehouse, name)
    sections = (overview, parts, extremes, sides, alike, claim)
    first, *rest = (section(m) for section in sections)
    return "\n".join([*first, *constants(warehouse, m), *(line for lines in rest for line in lines)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("matrix", nargs="?")
    parser.add_argument("--warehouse", default=NOWHERE)
    parser.add_argument("--pack", type=Path)
    asked = parser.parse_args(arguments)
    if (asked.matrix is None) == (asked.pack is None):
        parser.error("name a matrix, or give --pack DIR")
    if asked.pack is not None:
        print(ways_to_choose(asked.pack))
        return 0
    try:
        with Warehouse.open(asked.warehouse, read_only=True) as warehouse:
            print(markdown(warehouse, asked.matrix))
    except UserError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())

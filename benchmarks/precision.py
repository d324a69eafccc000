"""Does the precision of the base model matter? The same adapters in two precisions, next to two seeds in one.

    python benchmarks/precision.py PACK CELLS... [--format json]

PACK: the pack that the cells belong to, for its test rows. CELLS: shard files, folders of shards, or packs, of any
precision and seed. Every comparison is of two models on the same source and target, so on the same test rows:

- precision: one source and seed, trained and scored in float32 and in bfloat16 (rounding, while training and after);
- seed: one source in one precision, with seeds 0 and 1 (other training rows, other order, other first weights);
- base: the untuned model in both precisions (rounding alone).

Per pair of cells: the difference of the score in pp, of gold_nll and gold_nll_calibrated in nats, and the share of rows
whose answer is another option. Gains differ as scores do, but for the base, so `gain` subtracts the base of the same
precision. Means over cells with a standard error over sources, which share their adapters.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from traitcast.training.plan.pack import Pack, Packed
from traitcast.training.results import shards
from traitcast.training.results.cells import HEADLINE, Cell, cell_metrics, choices

METRICS = (HEADLINE, "gold_nll", "gold_nll_calibrated")


@dataclass(frozen=True)
class Measured:
    """What is compared of one cell. values: its metrics; picks: the option chosen on every row, None for texts."""

    values: Mapping[str, float]
    picks: np.ndarray | None


@dataclass(frozen=True)
class Comparison:
    """Mean absolute differences over pairs of cells, each with its standard error over sources; None where it does not
    apply. score, gain: pp. gold_nll, gold_nll_calibrated: nats. flips: share of rows with another answer."""

    what: str
    pairs: int
    sources: int
    score: tuple[float, float] | None
    gain: tuple[float, float] | None
    gold_nll: tuple[float, float] | None
    gold_nll_calibrated: tuple[float, float] | None
    flips: tuple[float, float] | None


Key = tuple[str | None, int, str, str]
"""(source, seed, precision, target)."""


def read(pack: Pack, places: Iterable[Path]) -> dict[Key, Measured]:
    """The cells under the given places that did not fail."""
    packed: dict[str, Packed] = {}
    found: dict[Key, Measured] = {}
    for path in _files(places):
        for cell in shards.cells_of(path, text=False):
            if cell.failed:
                continue
            if cell.target not in packed:
                packed[cell.target] = pack.rows(cell.target)
            found[cell.source, cell.seed, cell.dtype, cell.target] = _measured(cell, packed[cell.target])
    return found


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        inner = place / "shards"
        yield from [place] if place.is_file() else sorted((inner if inner.is_dir() else place).glob("*.parquet"))


def _measured(cell: Cell, packed: Packed) -> Measured:
    values = {m.metric: m.value for m in cell_metrics(cell, packed.task, packed.test)}
    picks = None if cell.loglikelihoods is None else choices(cell, packed.task, packed.test)
    return Measured({name: values[name] for name in METRICS if name in values}, picks)


def compare(cells: Mapping[Key, Measured]) -> list[Comparison]:
    """By precision, by seed, and of the base. All are on the same sources and targets where both comparisons exist."""
    by_precision: list[tuple[Key, Key]] = []
    by_seed: list[tuple[Key, Key]] = []
    for one, other in combinations(sorted(cells, key=lambda key: (key[0] or "", *key[1:])), 2):
        if (one[0], one[3]) != (other[0], other[3]):
            continue
        if one[1] == other[1] and one[2] != other[2]:
            by_precision.append((one, other))
        elif one[1] != other[1] and one[2] == other[2]:
            by_seed.append((one, other))
    base = [pair for pair in by_precision if pair[0][0] is None]
    tuned = [pair for pair in by_precision if pair[0][0] is not None]
    common = {(one[0], one[3]) for one, _ in tuned} & {(one[0], one[3]) for one, _ in by_seed}
    found = [_comparison("base model, precision", cells, base)]
    if common:
        found += [
            _comparison(f"{name}, same sources and targets", cells, [p for p in pairs if (p[0][0], p[0][3]) in common])
            for name, pairs in (("precision", tuned), ("seed", by_seed))
        ]
    found += [_comparison("precision, all", cells, tuned), _comparison("seed, all", cells, by_seed)]
    return [one for one in found if one.pairs]


def _comparison(what: str, cells: Mapping[Key, Measured], pairs: Sequence[tuple[Key, Key]]) -> Comparison:
    groups = [one[0] or one[3] for one, _ in pairs]

    def differences(name: str, scale: float) -> tuple[float, float] | None:
        return _mean(groups, [_apart(cells[one], cells[other], name) * scale for one, other in pairs])

    return Comparison(
        what,
        len(pairs),
        len(set(groups)),
        differences(HEADLINE, 100),
        _mean(groups, [100 * _gains_apart(cells, one, other) for one, other in pairs]),
        differences("gold_nll", 1),
        differences("gold_nll_calibrated", 1),
        _mean(groups, [_flips(cells[one], cells[other]) for one, other in pairs]),
    )


def _apart(one: Measured, other: Measured, name: str) -> float:
    return abs(one.values.get(name, np.nan) - other.values.get(name, np.nan))


def _gains_apart(cells: Mapping[Key, Measured], one: Key, other: Key) -> float:
    """Difference of two gains, each over the base of its own precision."""
    gains = []
    for source, seed, dtype, target in (one, other):
        base = cells.get((None, -1, dtype, target))
        if source is None or base is None:
            return np.nan
        gains.append(cells[source, seed, dtype, target].values[HEADLINE] - base.values[HEADLINE])
    return abs(gains[0] - gains[1])


def _flips(one: Measured, other: Measured) -> float:
    return float(np.mean(one.picks != other.picks)) if one.picks is not None and other.picks is not None else np.nan


def _mean(groups: Sequence[str], values: Sequence[float]) -> tuple[float, float] | None:
    """Mean over pairs, and its standard error from the means of groups (sources; targets for the base)."""
    known = [(group, value) for group, value in zip(groups, values, strict=True) if np.isfinite(value)]
    if not known:
        return None
    means = [
        np.mean([value for other, value in known if other == group]) for group in dict.fromkeys(g for g, _ in known)
    ]
    error = float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")
    return float(np.mean([value for _, value in known])), error


def markdown(found: Sequence[Comparison]) -> str:
    """The comparisons as a Markdown table."""

    def shown(value: tuple[float, float] | None, digits: int) -> str:
        if value is None:
            return ""
        return f"{value[0]:.{digits}f}" + (f" ± {value[1]:.{digits}f}" if np.isfinite(value[1]) else "")

    lines = [
        "| compared | pairs | sources | score, pp | gain, pp | gold_nll | gold_nll_calibrated | other answers, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        flips = one.flips and (100 * one.flips[0], 100 * one.flips[1])
        cells = (
            one.what,
            str(one.pairs),
            str(one.sources),
            shown(one.score, 1),
            shown(one.gain, 1),
            shown(one.gold_nll, 3),
            shown(one.gold_nll_calibrated, 3),
            shown(flips, 1),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pack", type=Path)
    parser.add_argument("cells", type=Path, nargs="+")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    asked = parser.parse_args(arguments)
    found = compare(read(Pack(asked.pack), asked.cells))
    if not found:
        parser.error("no source is there in two precisions, or with two seeds")
    print(json.dumps([asdict(one) for one in found], indent=1) if asked.format == "json" else markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

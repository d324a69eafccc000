"""The gain table in which factors are looked for: mean gains of one model, sources x targets.

Owns what counts as missing (the diagonal, and what was not measured), which sources and targets have too few cells, and
how much of the gains is noise of the seeds. No profile is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import ScoresError, some
from traitcast.warehouse.records import Cells, Matrix

# With fewer sources or targets, no factor can be distinguished from chance.
MIN_SIDE = 4
# A source or target with fewer of its cells measured would consist mostly of what the fit fills in.
MIN_MEASURED = 0.5


@dataclass(frozen=True, slots=True)
class GainTable:
    """values: float64 (sources, targets), mean over seeds in pp (in standard deviations when standardised), NaN where
    nothing was measured and on the diagonal. variance: of these means by their seeds, NaN where a cell has one seed.
    diagonal: measured cells with source = target, set apart; diagonal_cells: such cells of the table.
    """

    matrix: Matrix
    model: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray
    variance: np.ndarray
    diagonal: int
    notes: tuple[str, ...]

    @property
    def diagonal_cells(self) -> int:
        return len(set(self.sources) & set(self.targets))

    def noise(self, double: bool) -> float | None:
        """Share of the centred gains that is noise of the seeds, 0..1; None where no cell has two seeds.

        Centring takes the same share of noise off as of any other variance: 1 / sources, and with `double` 1 / targets.
        """
        known = np.isfinite(self.values)
        several = known & np.isfinite(self.variance)
        if not several.any():
            return None
        rows, columns = self.values.shape
        centred = self.values - np.nanmean(self.values, axis=0)
        left = 1 - 1 / rows
        if double:
            centred = centred - np.nanmean(centred, axis=1, keepdims=True)
            left *= 1 - 1 / columns
        return float(min(1.0, self.variance[several].mean() * left / (centred[known] ** 2).mean()))


def gain_table(cells: Cells, *, standardise: bool = False) -> GainTable:
    """Average the cells of one model over seeds, without the diagonal.

    Tuning on the target's own training rows measures learning a task, not transfer: it is the largest gain of nearly
    every column, and each would need a factor of its own.

    Parameters
    ----------
    cells
        Measured cells of one model.
    standardise
        Scale every target to a standard deviation of 1.

    Raises
    ------
    ScoresError
        For several models, fewer than MIN_SIDE sources or targets, or gains that do not differ.
    """
    model = _only_model(cells)
    sources, targets = tuple(sorted(set(cells.sources))), tuple(sorted(set(cells.targets)))
    row, column = ({name: i for i, name in enumerate(side)} for side in (sources, targets))
    gathered: dict[tuple[int, int], list[float]] = {}
    diagonal = set()
    for source, target, gain in zip(cells.sources, cells.targets, cells.gain.tolist(), strict=True):
        if source == target:
            diagonal.add(source)
        elif np.isfinite(gain):
            gathered.setdefault((row[source], column[target]), []).append(gain)
    values, variance = np.full((2, len(sources), len(targets)), np.nan)
    for cell, gains in gathered.items():
        values[cell] = np.mean(gains)
        if len(gains) > 1:
            variance[cell] = np.var(gains, ddof=1) / len(gains)
    table = GainTable(cells.matrix, model, sources, targets, values, variance, len(diagonal), ())
    return _scaled(_placed(table), standardise)


def _only_model(cells: Cells) -> str:
    models = sorted(set(cells.models))
    if len(models) == 1:
        return models[0]
    name = cells.matrix.matrix
    if not models:
        raise ScoresError(
            f"matrix {name!r} has no scores of tuned models. Import some with: {command('scores', 'import', 'FILE')}"
        )
    raise ScoresError(
        f"matrix {name!r} has {len(models)} models ({', '.join(models)}), and factors are those of one. "
        f"Choose it with: {command('latent', '--matrix', name, '--model', models[0])}"
    )


def _placed(table: GainTable) -> GainTable:
    """The table without sources and targets that lack most of their cells; the emptiest goes first."""
    own = np.array([[source == target for target in table.targets] for source in table.sources])
    rows, columns = np.arange(len(table.sources)), np.arange(len(table.targets))
    while True:
        part = np.ix_(rows, columns)
        known = np.isfinite(table.values[part])
        possible = ~own[part]
        by_row, by_column = (known.sum(axis) / np.maximum(possible.sum(axis), 1) for axis in (1, 0))
        worst = min(by_row.min(initial=1.0), by_column.min(initial=1.0))
        if worst >= MIN_MEASURED:
            break
        if by_row.min(initial=1.0) == worst:
            rows = np.delete(rows, by_row.argmin())
        else:
            columns = np.delete(columns, by_column.argmin())
    bare = [f"source {name}" for i, name in enumerate(table.sources) if i not in rows]
    bare += [f"target {name}" for i, name in enumerate(table.targets) if i not in columns]
    _check_size(table, len(rows), len(columns), bare)
    part = np.ix_(rows, columns)
    return replace(
        table,
        sources=tuple(table.sources[i] for i in rows),
        targets=tuple(table.targets[i] for i in columns),
        values=table.values[part],
        variance=table.variance[part],
        notes=(f"Left out, because more than half of their cells are missing: {some(bare, 8)}",) if bare else (),
    )


def _check_size(table: GainTable, rows: int, columns: int, bare: list[str]) -> None:
    if min(rows, columns) >= MIN_SIDE:
        return
    why = f" ({some(bare, 8)} left out: more than half of the cells are missing)" if bare else ""
    raise ScoresError(
        f"matrix {table.matrix.matrix!r} has {count(rows, 'source')} and {count(columns, 'target')} of {table.model} "
        f"to look for factors in{why}; at least {MIN_SIDE} of each are needed. Import a larger matrix with: "
        f"{command('scores', 'import', 'FILE')}"
    )


def _scaled(table: GainTable, standardise: bool) -> GainTable:
    spread = np.nanstd(table.values, axis=0)
    constant = spread <= 1e-9 * max(1.0, float(np.nanmax(np.abs(table.values))))
    if constant.all():
        raise ScoresError(
            f"matrix {table.matrix.matrix!r}: every target gains the same from every source of {table.model}, so there "
            f"is no factor. Look at the gains with: {command('sql', 'SELECT * FROM transfer_matrix')}"
        )
    notes = table.notes
    if constant.any():
        same = [name for name, flat in zip(table.targets, constant, strict=True) if flat]
        notes = (*notes, f"Targets with the same gain from every source, and so on no factor: {some(same, 8)}")
    if not standardise:
        return replace(table, notes=notes)
    scale = np.where(constant, 1.0, spread)
    return replace(table, values=table.values / scale, variance=table.variance / scale**2, notes=notes)

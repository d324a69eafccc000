"""Side effects: what tuning on a source did to every target of a measured matrix.

Owns the questions (which targets gained and lost, which labels are answered more often, how long answers are, which
are malformed, which kinds of rows changed, which pairs differ by direction), the correction for the number of targets,
and the notes on what a matrix without results on single rows cannot answer. Statistics are in
`predictor.effects.paired_tests`, records in `predictor.effects.tables`. Predicts nothing: only what was measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from traitcast.predictor.effects.paired_tests import (
    LEVEL,
    Change,
    Floats,
    RowAssociation,
    Stratum,
    adjusted,
    association,
    difference,
    label_shift,
    mean_change,
    mean_of_seeds,
)
from traitcast.predictor.effects.row_gains import Pair, by_cell, differences, scored_pair, stored_pair
from traitcast.predictor.effects.tables import (
    Asymmetry,
    Confusion,
    Effects,
    FormatErrors,
    Gain,
    LabelChange,
    LabelShift,
    LengthDrift,
    RowKind,
)
from traitcast.warehouse.console import command
from traitcast.warehouse.errors import ScoresError, nearest, some

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Cells, RowResults, Target

_QUANTILES = ("tokens_p10", "tokens_p50", "tokens_p90")
_FORMATS = ("empty", "unfinished", "no number")
_LABEL = "label = "


def effects(
    warehouse: Warehouse,
    source: str,
    *,
    matrix: str | None = None,
    model: str | None = None,
    target: str | None = None,
) -> Effects:
    """What tuning on `source` did to the targets of a measured matrix.

    Parameters
    ----------
    warehouse
        An open warehouse.
    source
        The dataset that was tuned on.
    matrix, model
        Needed where the warehouse has several matrices, or the matrix several models.
    target
        Report on this target only, with its confusion matrices; q values then cover its tables alone.

    Returns
    -------
    Effects
        Every table, gains in pp.

    Raises
    ------
    ScoresError
        For what was not measured.
    """
    measured = _Measured(warehouse, source, matrix, model, target)
    wanted = [name for name in measured.targets if target in (None, name)]
    others = [name for name in wanted if name != source or target == source]
    gains = _with_q([measured.gain(name) for name in others])
    tested = [name for name in measured.targets if name != source]
    kinds, by_target, tests = _kinds(measured, tested if target is None else [target], target)
    return Effects(
        matrix=measured.cells.matrix.matrix,
        model=measured.model,
        source=source,
        base=measured.cells.matrix.base,
        target=target,
        gains=_best_first(gain for gain in gains if gain.target != source),
        # The source's own score is no side effect, and a single test.
        own=dataclasses.replace(own, q=own.p) if (own := measured.own(wanted)) is not None else None,
        labels=_surest(_with_q([shift for name in others if (shift := measured.labels(name)) is not None])),
        lengths=_surest(_with_q([drift for name in others if (drift := measured.length(name)) is not None])),
        formats=_surest(_with_q([error for name in others for error in measured.formats(name)])),
        kinds=kinds,
        kinds_by_target=by_target,
        tests=tests,
        asymmetries=_surest(_with_q([a for name in others if (a := measured.asymmetry(name)) is not None])),
        confusion=measured.confusion(target) if target is not None else None,
        notes=tuple(measured.notes()),
    )


Found = TypeVar("Found", Gain, LabelShift, LengthDrift, FormatErrors, RowKind, Asymmetry)


def _with_q(found: Sequence[Found]) -> list[Found]:
    q = adjusted([one.p for one in found])
    return [dataclasses.replace(one, q=value) for one, value in zip(found, q, strict=True)]


def _best_first(gains: Iterable[Gain]) -> tuple[Gain, ...]:
    """Unknown gains (no score of the untuned model) come last."""
    return tuple(sorted(gains, key=lambda one: (math.isnan(one.gain), -one.gain, one.target)))


def _surest(found: Iterable[Found]) -> tuple[Found, ...]:
    """Smallest p first; among equal p (many reach the smallest possible one) the largest effect."""

    def size(one: Any) -> float:
        for name in ("change", "drift", "shift", "difference"):
            if hasattr(one, name):
                return abs(getattr(one, name))
        return 0.0

    return tuple(sorted(found, key=lambda one: (math.isnan(one.p), one.p, -size(one), one.target or "")))


class _Measured:
    """The cells of one source, and everything that is stored about them."""

    def __init__(
        self, warehouse: Warehouse, source: str, matrix: str | None, model: str | None, target: str | None
    ) -> None:
        self.source, self.asked = source, target
        self.cells: Cells = warehouse.cells(matrix, model)
        name = self.cells.matrix.matrix
        self.model = self._one_model(model)
        self.gains = self._gains()
        self._refuse_unmeasured(source, target)
        self.targets = [t for s, t in self.gains if s == source]
        self.tested: Mapping[str, Target] = warehouse.targets(name)
        self.traits = warehouse.row_traits(name, target)
        self.rows = by_cell(warehouse.row_results(name, self.model, source=source))
        self.rows |= by_cell(warehouse.row_results(name, self.model, target=source))
        self.answers: dict[tuple[str, str], dict[int, dict[tuple[str, str], int]]] = {}
        for at, by, seed, gold, predicted, n in warehouse.predicted_labels(name, self.model, source):
            self.answers.setdefault((by, at), {}).setdefault(seed, {})[gold, predicted] = n
        self.written: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in warehouse.generations(name, self.model, source):
            self.written[row["source"], row["target"]].append(row)

    def _one_model(self, model: str | None) -> str:
        models = sorted(set(self.cells.models))
        if len(models) != 1:
            raise ScoresError(
                f"matrix {self.cells.matrix.matrix!r} has {len(models)} models ({', '.join(models)}), and side "
                "effects are those of one. Choose it with --model NAME."
            )
        return model or models[0]

    def _gains(self) -> dict[tuple[str, str], list[int]]:
        """Positions of the cells of every (source, target)."""
        found: dict[tuple[str, str], list[int]] = {}
        for at, pair in enumerate(zip(self.cells.sources, self.cells.targets, strict=True)):
            found.setdefault(pair, []).append(at)
        return dict(sorted(found.items()))

    def _refuse_unmeasured(self, source: str, target: str | None) -> None:
        name, sources = self.cells.matrix.matrix, sorted({s for s, _ in self.gains})
        if source not in sources:
            raise ScoresError(
                f"nothing was tuned on {source!r} in matrix {name!r}{nearest(source, sources)} Its sources: "
                f"{', '.join(sources)}. For a prediction instead: {command('predict', source, 'TARGET')}"
            )
        targets = sorted({t for s, t in self.gains if s == source})
        if target is not None and target not in targets:
            raise ScoresError(
                f"{source!r} was not scored on {target!r} in matrix {name!r}{nearest(target, targets)} Its targets: "
                f"{', '.join(targets)}. For a prediction instead: {command('predict', source, target)}"
            )

    def paired(self, source: str, target: str) -> Pair | None:
        """Rows of the untuned model and of every seed, if they are stored and average to the scores."""
        base, tuned = self.rows.get(("", target)), self.rows.get((source, target))
        return scored_pair(base, tuned, self.cells, self.gains[source, target])

    def _by_row(self, source: str, target: str) -> Pair | None:
        """Stored results on single rows of a cell, whether or not they average to its scores."""
        base, tuned = self.rows.get(("", target)), self.rows.get((source, target))
        return stored_pair(base, tuned, self.cells, self.gains[source, target])

    def change(self, source: str, target: str) -> Change:
        """The gain in pp: over paired rows if there are any, else from the scores."""
        if (pair := self.paired(source, target)) is not None:
            return mean_change(100.0 * differences(pair, "score"))
        at = self.gains[source, target]
        return mean_of_seeds(self.cells.gain[at], self.cells.standard_error[at])

    def gain(self, target: str) -> Gain:
        at, pair = self.gains[self.source, target], self.paired(self.source, target)
        found = self.change(self.source, target)
        moved = None if pair is None else differences(pair, "score")
        return Gain(
            target=target,
            gain=found.value,
            standard_error=found.standard_error,
            p=found.p,
            q=math.nan,
            score=float(self.cells.score[at].mean()),
            base_score=float(self.cells.base_score[at].mean()),
            gained=None if moved is None else float((moved > 0).sum(axis=1).mean()),
            lost=None if moved is None else float((moved < 0).sum(axis=1).mean()),
            n=found.n,
            seeds=found.seeds,
        )

    def own(self, targets: Sequence[str]) -> Gain | None:
        return self.gain(self.source) if self.source in targets else None

    def asymmetry(self, target: str) -> Asymmetry | None:
        if target == self.source or (target, self.source) not in self.gains:
            return None
        there, back = self.change(self.source, target), self.change(target, self.source)
        found = difference(there, back)
        numbers = (there.value, back.value, found.value, found.standard_error, found.p)
        return Asymmetry(target, *numbers, math.nan)

    def labels(self, target: str) -> LabelShift | None:
        before, after = self.answers.get(("", target)), self.answers.get((self.source, target))
        if not before or not after:
            return None
        cells = [next(iter(before.values())), *after.values()]
        names = sorted({predicted for cell in cells for _, predicted in cell})
        counts = np.array([[sum(n for (_, p), n in cell.items() if p == name) for name in names] for cell in cells])
        shares = counts / counts.sum(axis=1, keepdims=True)
        n, seeds = int(counts[0].sum()), len(after)
        moved = (shares[1:] - shares[0]) * 100
        picks = self._picks(target, names, counts)
        if picks is not None:
            found = label_shift(picks[0], picks[1:], len(names))
            errors = [100 * change.standard_error for change in found.labels]
            whole = (found.value, found.standard_error, found.p, math.nan, found.chance)
        else:
            by_seed = mean_of_seeds(np.abs(moved).sum(axis=1) / 200, np.full(seeds, math.nan), n)
            errors = [mean_of_seeds(label, np.full(seeds, math.nan)).standard_error for label in moved.T]
            # A shift is never negative, so it says nothing that its mean over seeds differs from 0.
            whole = (by_seed.value, by_seed.standard_error, math.nan, math.nan, math.nan)
        numbers = zip(100 * shares[0], 100 * shares[1:].mean(axis=0), moved.mean(axis=0), errors, strict=True)
        changes = [LabelChange(name, *map(float, four)) for name, four in zip(names, numbers, strict=True)]
        changes.sort(key=lambda label: (-label.change, label.label))
        return LabelShift(target, *whole, tuple(changes), n, seeds)

    def _picks(self, target: str, names: Sequence[str], counts: np.ndarray) -> np.ndarray | None:
        """Answers of the untuned model and of every seed as positions in `names`, (1 + seeds, rows).

        None where there are no results on single rows, or they do not add up to `counts` (1 + seeds, names).
        """
        pair, tested = self.paired(self.source, target), self.tested.get(target)
        if pair is None or tested is None:
            return None
        place, picks = {name: at for at, name in enumerate(names)}, []
        for cell in (pair[0], *pair[1]):
            if cell.predicted is None:
                return None
            said = [tested.labels[p] if 0 <= p < len(tested.labels) else str(p) for p in map(int, cell.predicted)]
            picks.append([place.get(name, len(names)) for name in said])
        positions = np.array(picks, dtype=np.int64)
        counted = np.array([np.bincount(row, minlength=len(names)) for row in positions if row.max() < len(names)])
        return positions if np.array_equal(counted, counts) else None

    def length(self, target: str) -> LengthDrift | None:
        before, after = self.written.get(("", target)), self.written.get((self.source, target))
        if not before or not after:
            return None
        pair = self.paired(self.source, target)
        if pair is not None and pair[0].output_tokens is not None:
            found = mean_change(differences(pair, "output_tokens"))
        else:
            moved = np.array([row["tokens_mean"] for row in after]) - before[0]["tokens_mean"]
            found = mean_of_seeds(moved, np.full(len(moved), math.nan))
        return LengthDrift(
            target=target,
            drift=found.value,
            standard_error=found.standard_error,
            p=found.p,
            q=math.nan,
            base_tokens=float(before[0]["tokens_mean"]),
            tokens=float(np.mean([row["tokens_mean"] for row in after])),
            base_quantiles=tuple(float(before[0][name]) for name in _QUANTILES),
            quantiles=tuple(float(np.mean([row[name] for row in after])) for name in _QUANTILES),
            n=int(before[0]["n"]),
            seeds=found.seeds,
        )

    def formats(self, target: str) -> list[FormatErrors]:
        """Every kind of malformed answer that is known for a target."""
        before, after = self.written.get(("", target)), self.written.get((self.source, target))
        if not before or not after:
            return []
        pair, found = self.paired(self.source, target), []
        for error in _FORMATS:
            cells = None if pair is None else [_malformed(cell, error) for cell in (pair[0], *pair[1])]
            if cells is not None and all(cell is not None for cell in cells):
                flags = 100.0 * np.stack([cell for cell in cells if cell is not None])
                change, shares = mean_change(flags[1:] - flags[0]), flags.mean(axis=1)
            elif error != "no number":
                shares = np.array([100.0 * _malformed_share(row, error) for row in (before[0], *after)])
                change = mean_of_seeds(shares[1:] - shares[0], np.full(len(after), math.nan))
            else:
                continue
            numbers = (float(shares[0]), float(shares[1:].mean()), change.value, change.standard_error, change.p)
            found.append(FormatErrors(target, error, *numbers, math.nan, int(before[0]["n"]), change.seeds))
        return found

    def confusion(self, target: str) -> Confusion | None:
        before, after = self.answers.get(("", target)), self.answers.get((self.source, target))
        if not before or not after:
            return None
        cells = [next(iter(before.values())), *after.values()]
        gold, answers = (sorted({pair[i] for cell in cells for pair in cell}) for i in (0, 1))
        counts = np.array([[[cell.get((g, a), 0) for a in answers] for g in gold] for cell in cells], dtype=np.float64)
        return Confusion(target, tuple(gold), tuple(answers), counts[0], counts[1:].mean(axis=0))

    def strata(self, target: str) -> dict[str, Stratum]:
        """Trait, or correct label, -> the rows of a target."""
        pair, known = self.paired(self.source, target), self.tested.get(target)
        if pair is None or known is None or known.rows != len(pair[0].score):
            return {}
        changes, before = 100.0 * differences(pair, "score"), 100.0 * pair[0].score
        seeds = tuple(cell.seed for cell in pair[1])
        found = {trait: Stratum(value, changes, before, seeds) for trait, value in self.traits.get(target, {}).items()}
        if known.gold is not None:
            # With two labels, the second mirrors the first.
            for at, name in list(enumerate(known.labels))[1 if len(known.labels) == 2 else 0 :]:
                found[_LABEL + name] = Stratum((known.gold == at).astype(np.float64), changes, before, seeds)
        return found

    def notes(self) -> Iterable[str]:
        """What is missing, and the command that adds it."""
        matrix, targets = self.cells.matrix, [t for t in self.targets if self.asked in (None, t)]
        if matrix.base != "untuned":
            yield (
                "This matrix has no scores of the untuned model: gains are relative to an average source on the same "
                "target."
            )
        ingest = command("matrix", "ingest", "--pack", "DIR", "--name", matrix.matrix)
        if not any((self.source, t) in self.answers or (self.source, t) in self.written for t in targets):
            yield (
                "This matrix has scores only, as imported ones do: shifts of labels, answer lengths, malformed answers "
                "and kinds of rows are unknown. To measure them, run a matrix: traitcast matrix plan --help"
            )
            if any(len(self.gains[self.source, t]) > 1 for t in targets):
                yield f"{self._errors_without_rows(targets).capitalize()}."
        elif bare := [t for t in targets if self.paired(self.source, t) is None]:
            stale = all(self._by_row(self.source, t) for t in bare)
            yield (
                f"{'The scores do not match the stored results' if stale else 'There are no results'} on single rows "
                f"of {some(bare, 3)}: {self._errors_without_rows(bare)}, and kinds of rows are unknown. Add them from "
                f"the folder of the matrix: {ingest}"
            )
        elif bare := [t for t in targets if t not in self.traits]:
            yield (
                f"No traits are stored for the test rows of {some(bare, 3)}. Add them from the folder of the matrix: "
                f"{ingest}"
            )
        if {len(self.gains[self.source, t]) for t in targets} == {1}:
            if not any(math.isfinite(self.change(self.source, t).standard_error) for t in targets):
                yield "With one seed and no standard errors, the uncertainty of a gain is unknown."
            else:
                yield "With one seed, standard errors cover the test rows only, not what another seed would change."

    def _errors_without_rows(self, targets: Sequence[str]) -> str:
        at = [place for target in targets for place in self.gains[self.source, target]]
        if np.isfinite(self.cells.standard_error[at]).all():
            return "standard errors combine those of the two scores, unpaired, and are too wide"
        # One seed, and scores without errors.
        return "standard errors cover seeds only" if len(at) > len(targets) else "standard errors are unknown"


def _malformed(cell: RowResults, error: str) -> Floats | None:
    """1 where an answer is malformed, 0 elsewhere; None where this was not recorded."""
    if error == "empty":
        return None if cell.output_tokens is None else (cell.output_tokens == 0).astype(np.float64)
    fine = cell.finished if error == "unfinished" else cell.has_number
    return None if fine is None else 1.0 - fine


def _malformed_share(row: Mapping[str, Any], error: str) -> float:
    return float(row["empty"]) if error == "empty" else 1.0 - float(row["finished"])


def _kinds(
    measured: _Measured, targets: Sequence[str], asked: str | None
) -> tuple[tuple[RowKind, ...], tuple[RowKind, ...], int]:
    """Kinds of rows over all targets (or of the one asked for), those found in single targets, and how many tests."""
    strata = {target: measured.strata(target) for target in targets}
    single = [
        _kind(trait, target, found)
        for target, by_trait in strata.items()
        for trait, stratum in by_trait.items()
        if (found := association([stratum])) is not None
    ]
    if asked is not None:
        return _surest(_with_q(single)), (), len(single)
    traits = sorted({trait for by_trait in strata.values() for trait in by_trait if not trait.startswith(_LABEL)})
    pooled = [
        _kind(trait, None, found)
        for trait in traits
        if (found := association([by[trait] for by in strata.values() if trait in by])) is not None
    ]
    significant = [kind for kind in _with_q(single) if kind.q <= LEVEL]
    return _surest(_with_q(pooled)), _surest(significant), len(single)


def _kind(trait: str, target: str | None, found: RowAssociation) -> RowKind:
    return RowKind(
        trait=trait,
        target=target,
        correlation=found.correlation,
        p=found.p,
        q=math.nan,
        upper=found.upper,
        lower=found.lower,
        difference=found.difference,
        standard_error=found.standard_error,
        base_upper=found.before_upper,
        base_lower=found.before_lower,
        agreement=found.agreement,
        n=found.n,
        targets=found.strata,
    )

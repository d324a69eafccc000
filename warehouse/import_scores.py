"""Results of others in, rows of a transfer matrix out.

Owns the check of every row, and what an import means for a matrix that is stored already. Refuses rows that cannot be
used, by file and row, before anything reaches the warehouse; files are parsed in `score_files` and `harness`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import ScoresError, UserError, nearest, some
from traitcast.warehouse.harness import SCORE, headline
from traitcast.warehouse.names import check_name, check_text, is_name
from traitcast.warehouse.records import Matrix
from traitcast.warehouse.score_files import raw_rows
from traitcast.warehouse.score_recipe import BASES, COLUMNS, SCALES, Recipe, load_recipe

if TYPE_CHECKING:
    import pyarrow as pa

_REQUIRED = ("model", "source", "target", "score")
_SHOWN = 5
_BASE_WORDS = ("base", "baseline", "none", "untuned", "pretrained", "zero-shot", "zeroshot")
# Fewer scores agree by chance.
_TWIN_TARGETS = 3

__all__ = ["Recipe", "Scores", "Stored", "load_recipe", "read_scores", "without_profile"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scores:
    """What one file gave.

    Parameters
    ----------
    matrix
        The matrix that it is, or goes on with.
    rows
        Its scores, with the columns `COLUMNS`.
    filtered
        Rows of the file that `where` of the recipe does not admit.
    notes
        Why rows were left out, and which of the imported ones give no gain to learn from, a line each.
    warnings
        What is probably a mistake, a line each.
    """

    matrix: Matrix
    rows: pa.Table
    filtered: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """The matrix of that name in the warehouse. scores: by metric, of each (model, source, target, seed)."""

    matrix: Matrix
    scores: Mapping[tuple[str, str, str, int], Mapping[str, float]]

    @property
    def base(self) -> set[tuple[str, str, str]]:
        """(model, target, metric) of the scores of untuned models."""
        found = self.scores.items()
        return {(model, target, name) for (model, source, target, _), by in found if not source for name in by}


def read_scores(
    file: Path,
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    source: str | None = None,
    source_from: str | None = None,
    model: str | None = None,
    seed: int | None = None,
    profiled: Collection[str] | None = None,
    stored: Callable[[str], Stored | None] = lambda _: None,
) -> Scores:
    """Read one results file, or a folder of result files of lm-evaluation-harness.

    Parameters
    ----------
    file
        CSV, TSV, Parquet, JSON (list of rows, or a result of lm-evaluation-harness or lighteval) or JSONL.
    recipe
        How to read it.
    name
        The name of the matrix; overrides that of the recipe.
    source
        For a harness result, the dataset the model was tuned on; empty for the base model.
    source_from
        For harness results, the model argument that names it instead, such as `peft`.
    model
        For a harness result, the name of the base model, where the file has that of merged weights.
    seed
        For a harness result, the run, where several are of one source.
    profiled
        Names that have a profile; a message about bad rows names those of the file that have none.
    stored
        Gives the matrix of a name that is in the warehouse. An import never changes its base or headline.

    Raises
    ------
    ScoresError
        Naming the file, the rows and what is allowed.
    """
    import pyarrow as pa

    recipe = recipe or Recipe()
    chosen = _matrix_name(file, name or recipe.name)
    known = stored(chosen)
    raw = raw_rows(file, recipe, source=source, source_from=source_from, model=model, seed=seed)
    barred = {number: _barred_by(row, recipe) for number, row in enumerate(raw.rows, start=1)}
    kept = {number: raw.rows[number - 1] for number, column in barred.items() if column is None}
    for column in recipe.where:
        if raw.rows and column not in raw.rows[0]:
            raise ScoresError(
                f"{file}: `where` names column {column!r}{nearest(column, raw.rows[0])} "
                f"It has: {', '.join(raw.rows[0])}."
            )
    if not kept:
        raise ScoresError(
            f"{file}: no rows{' left by `where`' if raw.rows else ''}. Expected columns: {', '.join(COLUMNS)}."
        )
    if raw.of_harness and recipe.metric is None:
        kept |= {len(raw.rows) + number: row for number, row in headline(kept, known.scores if known else {})}
    columns = _column_map(file, next(iter(kept.values())), recipe)
    numbered = _checked_rows(file, kept, columns, recipe, profiled)
    _refuse_conflicts(file, numbered)
    rows = list(numbered.values())
    description = " ".join(part for part in (recipe.description, recipe.citation) if part)
    matrix = _matrix(file, chosen, rows, recipe, description, known, SCORE if raw.of_harness else None)
    based = known.base if known else set()
    if matrix.base == "untuned" and not based and not any(row["source"] == "" for row in rows) and not raw.of_harness:
        marked = next((row["source"] for row in rows if row["source"].lower() in _BASE_WORDS), None)
        called = f"If {marked!r} is the base, say `names: {{{marked}: ''}}`; otherwise add" if marked else "Add"
        raise ScoresError(
            f"{file}: no base rows (empty source), so no gain can be computed. {called} the base model's scores, or "
            "say `base: target mean` in a recipe given with --spec to measure gain against the mean source."
        )
    types = {"seed": pa.int64(), "n": pa.int64(), "score": pa.float64(), "standard_error": pa.float64()}
    table = pa.table({c: pa.array([row[c] for row in rows], types.get(c, pa.string())) for c in COLUMNS})
    notes = (*raw.notes, *_left_out(barred, recipe), *_without_gain(rows, matrix, known))
    return Scores(matrix, table, len(raw.rows) - len(kept.keys() & barred), notes, (*raw.warnings, *_twins(rows)))


def _matrix(
    file: Path,
    name: str,
    rows: Sequence[Row],
    recipe: Recipe,
    description: str,
    known: Stored | None,
    preferred: str | None,
) -> Matrix:
    """The matrix that the rows are of: as stored, where it is. Raises ScoresError where the recipe says otherwise."""
    metrics: list[str] = sorted({row["metric"] for row in rows})
    if known is not None:
        for what, said, is_so in (
            ("the base", recipe.base, known.matrix.base),
            ("the headline metric", recipe.metric, known.matrix.metric),
        ):
            if said is not None and said != is_so:
                raise ScoresError(
                    f"{file}: {what} of matrix {name!r} is {is_so!r}, and the recipe says {said!r}, which would change "
                    f"what its gains mean. Give another --name, or drop it first: {command('scores', 'drop', name)}"
                )
        return Matrix(name, known.matrix.metric, known.matrix.base, description or known.matrix.description)
    metric: str = recipe.metric or (preferred if preferred and preferred in metrics else metrics[0])
    if metric not in metrics:
        raise ScoresError(
            f"{file}: no rows of metric {metric!r}{nearest(metric, metrics)} It has: {', '.join(metrics)}."
        )
    return Matrix(name, metric, recipe.base or BASES[0], description)


def _twins(rows: Sequence[Row]) -> Iterator[str]:
    """Models whose base has the same score everywhere, which two models hardly have."""
    base: dict[str, dict[tuple[str, int, str], float]] = {}
    for row in rows:
        if not row["source"]:
            base.setdefault(row["model"], {})[row["target"], row["seed"], row["metric"]] = row["score"]
    alike: dict[tuple[Any, ...], list[str]] = {}
    for model, scores in base.items():
        if len({target for target, _, _ in scores}) >= _TWIN_TARGETS:
            alike.setdefault(tuple(sorted(scores.items())), []).append(model)
    for models in alike.values():
        if len(models) > 1:
            yield (
                f"the base scores of {' and '.join(models)} are the same on every target: one of them is probably "
                "a copy, and gains over it are wrong"
            )


def _barred_by(row: Row, recipe: Recipe) -> str | None:
    """The first column whose value `where` does not admit."""
    return next((c for c, values in recipe.where.items() if str(row.get(c, "")) not in values), None)


def _left_out(barred: Mapping[int, str | None], recipe: Recipe) -> Iterator[str]:
    for column, n in Counter(column for column in barred.values() if column is not None).items():
        allowed = ", ".join(recipe.where[column])
        yield f"{count(n, 'row')} left out by `where`: {column} is not one of {allowed}"


def _without_gain(rows: Sequence[Row], matrix: Matrix, known: Stored | None) -> Iterator[str]:
    """Which imported rows no predictor learns from: other metrics, the diagonal, and targets without a base."""
    others = Counter(row["metric"] for row in rows if row["metric"] != matrix.metric)
    if others:
        shown = ", ".join(f"{metric} {n:,}" for metric, n in others.items())
        yield f"{count(others.total(), 'row')} of other metrics than {matrix.metric} ({shown}): stored, not fitted"
    cells = [row for row in rows if row["source"] and row["metric"] == matrix.metric]
    named = {(row["model"], row["source"], row["target"]) for row in cells}
    unlike = {(row["model"], row["source"], row["target"]) for row in rows if row["source"]} - named
    stored = known.scores.items() if known else ()
    unlike -= {(model, source, target) for (model, source, target, _), by in stored if matrix.metric in by}
    if unlike:
        pairs = (f"{target} of {source}" for _, source, target in sorted(unlike))
        yield f"no score by {matrix.metric}, and so no gain, for {some(list(pairs), _SHOWN)}"
    if diagonal := sum(row["source"] == row["target"] for row in cells):
        yield f"{count(diagonal, 'diagonal row')} (source = target): stored and reported apart, not fitted"
    if matrix.base == "untuned":
        base = {(row["model"], row["target"]) for row in rows if not row["source"] and row["metric"] == matrix.metric}
        base |= {(model, target) for (model, source, target, _), by in stored if not source and matrix.metric in by}
        bare = Counter(row["target"] for row in cells if (row["model"], row["target"]) not in base)
        if bare:
            models = ", ".join(sorted({row["model"] for row in cells}))
            yield (
                f"{count(bare.total(), 'row')} without a gain until the base model {models} (an empty source) has a "
                f"score by {matrix.metric} on {', '.join(sorted(bare))}"
            )


def _checked_rows(
    file: Path, kept: Mapping[int, Row], columns: Mapping[str, str], recipe: Recipe, profiled: Collection[str] | None
) -> dict[int, Row]:
    """The rows as they are stored. Raises ScoresError for bad ones, all of them and names without a profile at once."""
    good: dict[int, Row] = {}
    bad: dict[int, ScoresError] = {}
    for number, row in kept.items():
        try:
            good[number] = _row(file, number, row, columns, recipe)
        except ScoresError as error:
            bad[number] = error
    if not bad:
        return good
    first, *more = bad
    lines = [str(bad[first])]
    if more:
        lines.append(f"{count(len(more), 'more row')} cannot be used either: {some(more, _SHOWN)}")
    if profiled is not None and (missing := without_profile(good.values(), profiled)):
        lines.append(f"Without a profile: {', '.join(missing)}.")
    raise ScoresError("\n".join(lines)) from bad[first]


def without_profile(rows: Iterable[Row], profiled: Collection[str]) -> list[str]:
    """Sources and targets that are not profiled, each with the nearest name that is."""
    names = {row[column] for row in rows for column in ("source", "target")} - {"", *profiled}
    found = []
    for name in sorted(names):
        hint = nearest(name, profiled)
        found.append(f"{name} ({hint.removeprefix('; ')})" if hint != "." else name)
    return found


def _matrix_name(file: Path, given: str | None) -> str:
    """The name given, or the file's, with what no name may hold replaced by `_`."""
    if given is not None:
        return check_name(given, "matrix name")
    stem = file.name.split(".")[0]
    name = re.sub(r"_+", "_", "".join(char if is_name(f"_{char}") else "_" for char in stem)).strip("_.-")
    if not is_name(name):
        raise ScoresError(f"{file} gives no usable name for the matrix. Give one with --name NAME.")
    return name


def _column_map(file: Path, first: Row, recipe: Recipe) -> dict[str, str]:
    columns = {c: recipe.columns.get(c, c) for c in COLUMNS}
    for ours, theirs in columns.items():
        if theirs not in first and (ours in _REQUIRED or ours in recipe.columns):
            raise ScoresError(
                f"{file}: no column {theirs!r} for {ours}{nearest(theirs, first)} "
                f"It has: {', '.join(map(str, first))}. Map columns with `columns:` in a recipe given with --spec."
            )
    return columns


def _row(file: Path, number: int, row: Row, columns: Mapping[str, str], recipe: Recipe) -> Row:
    """One checked row. `number` counts the rows of the file, from 1."""
    place = f"{file}, row {number}"

    def text(column: str) -> str:
        value = row.get(columns[column])
        return "" if value is None else str(value).strip()

    def numeric(column: str, *, whole: bool = False) -> Any:
        return _number(row.get(columns[column]), f"{place}: {columns[column]}", whole=whole, signed=column == "seed")

    score, error = numeric("score"), numeric("standard_error")
    if score is None:
        raise ScoresError(f"{place}: the score is empty. Leave such rows out, or filter with `where:`.")
    score *= SCALES[recipe.scale]
    if not 0 <= score <= 1:
        raise ScoresError(
            f"{place}: score {score:g} is outside 0..1. For percentages say `scale: percent` in a recipe (--spec)."
        )
    names = {column: recipe.names.get(text(column), text(column)) for column in ("source", "target")}
    if not text("model") or not names["target"]:
        raise ScoresError(f"{place}: model and target must not be empty.")
    seed = numeric("seed", whole=True)
    return {
        "model": _checked(check_text, text("model"), f"{place}: model"),
        **{column: _checked(_dataset_name, name, f"{place}: {column}") for column, name in names.items()},
        "seed": 0 if seed is None else seed,
        "metric": _checked(check_text, text("metric") or recipe.metric or "accuracy", f"{place}: metric"),
        "score": score,
        "n": numeric("n", whole=True),
        "standard_error": None if error is None else error * SCALES[recipe.scale],
    }


def _checked(check: Callable[[str, str], str], value: str, what: str) -> str:
    try:
        return check(value, what)
    except UserError as error:
        cure = " Map it to a dataset name with `names:` in a recipe (--spec)." if check is _dataset_name else ""
        raise ScoresError(f"{error}{cure}") from error


def _dataset_name(value: str, what: str) -> str:
    """An empty source is the base model."""
    return check_name(value, what, slashes=True) if value else ""


def _number(value: Any, what: str, *, whole: bool, signed: bool) -> Any:
    """A float, or an int if `whole`; None for an empty cell. Refuses what is cut or guessed by Python's own rules."""
    if value is None or value == "":
        return None
    # Python also reads "1_0" as ten and True as one.
    readable = isinstance(value, int | float | Decimal | str) and not isinstance(value, bool) and "_" not in str(value)
    try:
        parsed = float(value) if readable else math.nan
    except (ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed) or abs(parsed) > 2**62 or (parsed < 0 and not signed) or (whole and parsed % 1):
        raise ScoresError(f"{what} is {value!r}, not {'a whole' if whole else 'a usable'} number.")
    # Through Decimal, since a float holds no more than 53 bits of a seed.
    return int(Decimal(str(value).strip())) if whole else parsed


def _refuse_conflicts(file: Path, rows: Mapping[int, Row]) -> None:
    seen: dict[tuple[Any, ...], tuple[int, float]] = {}
    for number, row in rows.items():
        key = tuple(row[c] for c in ("model", "source", "target", "seed", "metric"))
        earlier = seen.setdefault(key, (number, row["score"]))
        if earlier[0] != number:
            raise ScoresError(
                f"{file}: rows {earlier[0]} and {number} are the same cell {key} (scores {earlier[1]:g} and "
                f"{row['score']:g}). Give runs different seeds, or filter with `where:` in a recipe (--spec)."
            )

"""Result files of others in, long score rows out.

Owns the reading of long CSV, TSV, Parquet, JSON and JSONL tables (model, source, target, seed, metric, score)
and of lm-evaluation-harness result files, and the import recipe that maps foreign columns and task names.
Refuses rows that cannot be used, by file and row, before anything reaches the warehouse.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.warehouse.console import count, some
from traitcast.warehouse.errors import ScoresError, UserError, nearest
from traitcast.warehouse.names import check_name, check_text, is_name
from traitcast.warehouse.records import Matrix

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("model", "source", "target", "seed", "metric", "score", "n", "standard_error")
_REQUIRED = ("model", "source", "target", "score")
_BASES = ("untuned", "target mean")
_SCALES = {"fraction": 1.0, "percent": 0.01}
# Harness metrics in the order of preference when a recipe names none; all are shares of 1.
_HARNESS_METRICS = ("acc", "acc_norm", "exact_match", "f1", "rouge1", "rougeL")

_SHOWN = 5

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to read one results file. All keys of the YAML file are optional.

    name: the matrix name in the warehouse (default: the file's name).
    description, citation: kept with the matrix.
    columns: our column -> the file's column.
    where: the file's column -> allowed values; other rows are left out.
    names: the file's task name -> dataset name; an empty name marks the base model (no source).
    metric: headline metric, and the metric of files without such a column.
    base: "untuned" (rows with an empty source are the base) or "target mean" (no base was published: gain is
        measured against the mean score of all sources but the target itself).
    scale: "fraction" or "percent" (divided by 100).
    """

    name: str | None = None
    description: str = ""
    citation: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    base: str = "untuned"
    scale: str = "fraction"


@dataclass(frozen=True, slots=True)
class Scores:
    """What one file gave: the matrix, its score rows as an Arrow table, and what was left out.

    filtered: rows of the file that `where` of the recipe does not admit. notes: why rows were left out, and which of
    the imported ones give no gain to learn from, a line each.
    """

    matrix: Matrix
    rows: pa.Table
    filtered: int
    notes: tuple[str, ...] = ()


def load_recipe(file: Path) -> Recipe:
    """Read an import recipe (YAML). Unknown keys and values are refused with the nearest valid one."""
    from traitcast.warehouse.strict_yaml import read_document

    missing = f"no recipe file {file}. Give --spec a YAML file that exists."
    content = read_document(file, "recipe", ScoresError, missing) or {}
    if not isinstance(content, dict):
        raise ScoresError(f"{file}: a recipe is a mapping of keys, not {type(content).__name__}.")
    allowed = [f.name for f in fields(Recipe)]
    for key in content:
        if key not in allowed:
            raise ScoresError(f"{file}: unknown key {key!r}{nearest(str(key), allowed)} Allowed: {', '.join(allowed)}.")
    for key in ("columns", "where", "names"):
        if not isinstance(content.get(key, {}), dict):
            raise ScoresError(f"{file}: {key} must be a mapping.")
    for key in ("name", "description", "citation", "metric"):
        if not isinstance(content.get(key, ""), str):
            raise ScoresError(f"{file}: {key} is {content[key]!r}, not a text. Put it in quotes.")
    if not all(isinstance(theirs, str) for theirs in content.get("columns", {}).values()):
        raise ScoresError(f"{file}: columns maps our names to column names, which are texts.")
    for ours in content.get("columns", {}):
        if ours not in COLUMNS:
            raise ScoresError(
                f"{file}: columns maps {ours!r}{nearest(str(ours), COLUMNS)} Allowed: {', '.join(COLUMNS)}."
            )
    where = {
        key: [str(v) for v in (value if isinstance(value, list) else [value])]
        for key, value in content.get("where", {}).items()
    }
    names = {str(key): str(value or "") for key, value in content.get("names", {}).items()}
    recipe = Recipe(**{**content, "where": where, "names": names})
    _one_of(file, "base", recipe.base, _BASES)
    _one_of(file, "scale", recipe.scale, tuple(_SCALES))
    return recipe


def _one_of(file: Path, key: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ScoresError(f"{file}: {key} is {value!r}{nearest(str(value), allowed)} Allowed: {', '.join(allowed)}.")


def read_scores(
    file: Path,
    recipe: Recipe | None = None,
    *,
    name: str | None = None,
    source: str | None = None,
    profiled: Collection[str] | None = None,
) -> Scores:
    """Read one results file.

    file: CSV, TSV, Parquet, JSON (list of rows, or an lm-evaluation-harness result) or JSONL.
    name: the matrix name; wins over the recipe's.
    source: for a harness result, the dataset the model was tuned on; "" (or None) for the base model.
    profiled: names that have a profile; a message about bad rows names those of the file that have none.
    Raises ScoresError naming the file, the rows and what is allowed.
    """
    import pyarrow as pa

    recipe = recipe or Recipe()
    chosen = _matrix_name(file, name or recipe.name)
    raw = _raw_rows(file, source)
    barred = {number: _barred_by(row, recipe) for number, row in enumerate(raw, start=1)}
    kept = {number: raw[number - 1] for number, column in barred.items() if column is None}
    for column in recipe.where:
        if raw and column not in raw[0]:
            raise ScoresError(
                f"{file}: `where` names column {column!r}{nearest(column, raw[0])} It has: {', '.join(raw[0])}."
            )
    if not kept:
        raise ScoresError(
            f"{file}: no rows{' left by `where`' if raw else ''}. Expected columns: {', '.join(COLUMNS)}."
        )
    columns = _column_map(file, next(iter(kept.values())), recipe)
    numbered = _checked_rows(file, kept, columns, recipe, profiled)
    _refuse_conflicts(file, numbered)
    rows = list(numbered.values())
    metrics = sorted({row["metric"] for row in rows})
    headline = recipe.metric or metrics[0]
    if headline not in metrics:
        raise ScoresError(
            f"{file}: no rows of metric {headline!r}{nearest(headline, metrics)} It has: {', '.join(metrics)}."
        )
    if recipe.base == "untuned" and not any(row["source"] == "" for row in rows):
        raise ScoresError(
            f"{file}: no base rows (empty source), so no gain can be computed. Add the base model's scores, or say "
            "`base: target mean` in a recipe given with --spec to measure gain against the mean source."
        )
    types = {"seed": pa.int64(), "n": pa.int64(), "score": pa.float64(), "standard_error": pa.float64()}
    table = pa.table({c: pa.array([row[c] for row in rows], types.get(c, pa.string())) for c in COLUMNS})
    description = " ".join(part for part in (recipe.description, recipe.citation) if part)
    matrix = Matrix(chosen, headline, recipe.base, description)
    notes = (*_left_out(barred, recipe), *_without_gain(rows, matrix))
    return Scores(matrix, table, len(raw) - len(kept), notes)


def _barred_by(row: Row, recipe: Recipe) -> str | None:
    """The first column whose value `where` does not admit."""
    return next((c for c, values in recipe.where.items() if str(row.get(c, "")) not in values), None)


def _left_out(barred: Mapping[int, str | None], recipe: Recipe) -> Iterator[str]:
    for column, n in Counter(column for column in barred.values() if column is not None).items():
        allowed = ", ".join(recipe.where[column])
        yield f"{count(n, 'row')} left out by `where`: {column} is none of {allowed}"


def _without_gain(rows: Sequence[Row], matrix: Matrix) -> Iterator[str]:
    """Which imported rows no predictor learns from: other metrics, the diagonal, and targets without a base."""
    others = Counter(row["metric"] for row in rows if row["metric"] != matrix.metric)
    if others:
        shown = ", ".join(f"{metric} {n:,}" for metric, n in others.items())
        yield f"{count(others.total(), 'row')} of other metrics than {matrix.metric} ({shown}): stored, not fitted"
    cells = [row for row in rows if row["source"] and row["metric"] == matrix.metric]
    if diagonal := sum(row["source"] == row["target"] for row in cells):
        yield f"{count(diagonal, 'diagonal row')} (source = target): stored and told apart, not fitted"
    if matrix.base == "untuned":
        base = {(row["model"], row["target"]) for row in rows if not row["source"] and row["metric"] == matrix.metric}
        bare = Counter(row["target"] for row in cells if (row["model"], row["target"]) not in base)
        if bare:
            yield (
                f"{count(bare.total(), 'row')} without a gain, since this file has no {matrix.metric} score of the "
                f"base model (an empty source) on {', '.join(sorted(bare))}"
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


def _raw_rows(file: Path, source: str | None) -> list[Row]:
    if not file.exists():
        raise ScoresError(f"no file {file}.")
    if not file.is_file():
        raise ScoresError(f"{file} is no file; save the results to one first.")
    suffix = file.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            return _delimited_rows(file, "\t" if suffix == ".tsv" else ",")
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(file).to_pylist()
        if suffix == ".jsonl":
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
        elif suffix == ".json":
            rows = json.loads(file.read_text(encoding="utf-8-sig"))
        else:
            raise ScoresError(
                f"{file}: results are read from .csv, .tsv, .parquet, .json and .jsonl, not "
                f"{suffix or 'a file without suffix'!r}."
            )
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise ScoresError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if isinstance(rows, dict) and isinstance(rows.get("results"), dict):
        return _harness_rows(file, rows, source)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ScoresError(f"{file}: expected a list of objects, one per score, or an lm-evaluation-harness result.")
    return rows


def _delimited_rows(file: Path, delimiter: str) -> list[Row]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = next(reader, [])
        twice = [column for column, n in Counter(header).items() if n > 1]
        if twice:
            raise ScoresError(f"{file}: column {twice[0]!r} occurs twice in the header. Rename one.")
        rows = []
        for number, values in enumerate((row for row in reader if row), start=1):
            if len(values) != len(header):
                raise ScoresError(
                    f"{file}, row {number}: {len(values)} fields under a header of {len(header)}. "
                    "Put fields that hold the delimiter in double quotes."
                )
            rows.append(dict(zip(header, values, strict=True)))
        return rows


def _harness_rows(file: Path, content: Mapping[str, Any], source: str | None) -> list[Row]:
    """Rows of an lm-evaluation-harness result: {"results": {task: {"acc,none": .7, "acc_stderr,none": .01}}}."""
    config = _object(content.get("config"))
    arguments = config.get("model_args")
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    arguments = _object(arguments)
    model = arguments.get("pretrained") or content.get("model_name") or config.get("model") or "model"
    rows = []
    for task, metrics in content["results"].items():
        size = _object(_object(content.get("n-samples")).get(task)).get("effective")
        if not isinstance(metrics, dict):
            raise ScoresError(f"{file}: results of task {task!r} must be a mapping of metrics.")
        for key, value in metrics.items():
            metric, _, flavour = key.partition(",")
            if metric not in _HARNESS_METRICS or not isinstance(value, int | float):
                continue
            error = metrics.get(f"{metric}_stderr,{flavour}")
            rows.append(
                {
                    "model": model,
                    "source": source or "",
                    "target": task,
                    "seed": 0,
                    "metric": metric,
                    "score": value,
                    "n": size,
                    "standard_error": error if isinstance(error, int | float) else None,
                }
            )
    if not rows:
        raise ScoresError(f"{file}: no task has one of the metrics {', '.join(_HARNESS_METRICS)}.")
    return rows


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object, or an empty one for what is none: everything but the results may be missing or odd."""
    return value if isinstance(value, dict) else {}


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
    score *= _SCALES[recipe.scale]
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
        "standard_error": None if error is None else error * _SCALES[recipe.scale],
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

"""Results files as raw rows, whatever the format: long tables, tables with a column per benchmark, harness results.

Owns finding and parsing the files. Rows are as the file has them; `import_scores` checks them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from traitcast.warehouse import harness
from traitcast.warehouse.console import count
from traitcast.warehouse.errors import ScoresError, some
from traitcast.warehouse.files import read_small
from traitcast.warehouse.parquet import read_parquet
from traitcast.warehouse.score_recipe import Recipe

Row = dict[str, Any]
Item = TypeVar("Item")

# Rows are held whole, at 1 to 2 kB each: a matrix of 1,000 x 300 with three seeds, or as many results by metric.
MAX_BYTES, MAX_ROWS = 64 << 20, 1_000_000
_IN_PARTS = "Split it, and import the parts one after the other under the same --name"
_MODEL_COLUMNS = ("model", "model_name", "fullname")
_AVERAGES = ("average", "avg", "mean", "overall")
_SETTINGS = ("epoch", "epochs", "lr", "learning_rate", "rank", "step", "steps", "params", "batch_size", "n", "rows")
# OpenCompass: a row per benchmark, a column per model behind these.
_OPENCOMPASS = ("dataset", "version", "metric", "mode")


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows of a file or folder. of_harness: from result files, in which tasks have metrics of their own."""

    rows: list[Row]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    of_harness: bool = False


def raw_rows(
    file: Path,
    recipe: Recipe,
    *,
    source: str | None,
    source_from: str | None,
    model: str | None,
    seed: int | None,
) -> RawRows:
    """The rows of a results file, or of all result files of a harness in a folder. Raises ScoresError."""
    if not file.exists():
        raise ScoresError(f"no file {file}.")
    told: dict[str, Any] = {"source": source, "source_from": source_from, "model": model, "seed": seed}
    told["sources"] = recipe.sources
    if file.is_dir():
        return _folder(file, told)
    if not file.is_file():
        raise ScoresError(f"{file} is not a file; save the results to one first.")
    content = _parsed(file)
    if harness.is_result(content):
        found = harness.read_result(file, content, **told)
        return RawRows(found.rows, found.notes, found.warnings, of_harness=True)
    options = {"--source": source, "--source-from": source_from, "--model": model, "--seed": seed}
    if given := [option for option, value in options.items() if value is not None]:
        raise ScoresError(
            f"{file} is a table, in which columns say what {' and '.join(given)} would: leave it out, or map columns "
            "with `columns:` or `sources:` in a recipe given with --spec."
        )
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ScoresError(f"{file}: expected a list of objects, one per score, or an lm-evaluation-harness result.")
    if content and {"doc_id", "resps"} <= content[0].keys():
        raise ScoresError(
            f"{file} holds the answers to single rows, not scores: import the results_*.json that lies next to it."
        )
    return _wide(file, content, recipe) if content else RawRows([])


def _folder(folder: Path, told: Mapping[str, Any]) -> RawRows:
    rows: list[Row] = []
    notes: list[str] = []
    warnings: list[str] = []
    other = 0
    seen: dict[tuple[Any, ...], tuple[Path, float]] = {}
    settings: dict[tuple[str, str], dict[str, str]] = {}
    for file in harness.result_files(folder):
        content = _parsed(file)
        if not harness.is_result(content):
            other += 1
            continue
        found = harness.read_result(file, content, **told)
        new = [row for row in found.rows if _is_new(row, file, seen)]
        if again := len(found.rows) - len(new):
            notes.append(f"{file.name}: {count(again, 'score')} that another file has too, read once")
        for target, said in found.settings.items():
            settings.setdefault((found.rows[0]["model"], target), {}).setdefault(said, file.name)
        rows += new
        notes += found.notes
        warnings += found.warnings
    if not rows:
        raise ScoresError(f"{folder} holds no result file of lm-evaluation-harness (results_*.json). Give a file.")
    if other:
        notes.append(f"{other} other JSON files left out")
    return RawRows(rows, tuple(notes), (*warnings, *_unlike(settings)), of_harness=True)


def _is_new(row: Row, file: Path, seen: dict[tuple[Any, ...], tuple[Path, float]]) -> bool:
    """Whether no other file has a score. Raises ScoresError for one that has it otherwise."""
    key = tuple(row[column] for column in ("model", "source", "target", "seed", "metric"))
    first, score = seen.setdefault(key, (file, row["score"]))
    if first != file and score != row["score"]:
        raise ScoresError(
            f"{first} and {file} both have {row['metric']} of {row['target']} for {row['model']}"
            f"{' tuned on ' + row['source'] if row['source'] else ''} ({score:g} and {row['score']:g}). Move one of "
            "them away, or import runs one by one with --seed."
        )
    return first == file


def _unlike(settings: Mapping[tuple[str, str], Mapping[str, str]]) -> Iterator[str]:
    """Warnings for targets of a model that files asked in different ways: their gains would be of both."""
    ways: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for (_, target), said in settings.items():
        if len(said) > 1:
            ways.setdefault(tuple(said.items()), []).append(target)
    for way, targets in ways.items():
        how = " but ".join(f"{name} with {said or 'nothing said'}" for said, name in way)
        yield f"{some(targets, 5)}: asked in different ways, so a gain is not of the tuning alone: {how}"


def _parsed(file: Path) -> Any:
    """The content of a file: a list of rows, or a JSON document."""
    suffix = file.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            return _delimited_rows(file, "\t" if suffix == ".tsv" else ",")
        if suffix == ".parquet":
            return _parquet_rows(file)
        if suffix == ".jsonl":
            lines = [line for line in _text(file).split("\n") if line.strip()]
            return [json.loads(line) for line in _few(file, lines)]
        if suffix == ".json":
            return json.loads(_text(file))
    except (OSError, OverflowError, ValueError, RecursionError, csv.Error) as error:
        raise ScoresError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    raise ScoresError(
        f"{file}: results are read from .csv, .tsv, .parquet, .json and .jsonl, not "
        f"{suffix or 'a file without suffix'!r}."
    )


def _text(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise ScoresError(f"{file} has more than {MAX_BYTES >> 20} MB. {_IN_PARTS}.")
    return read_small(file, "a table of scores", ScoresError, most=MAX_BYTES).decode("utf-8-sig")


def _few(file: Path, rows: Sequence[Item]) -> Sequence[Item]:
    if len(rows) > MAX_ROWS:
        raise ScoresError(f"{file} has more than {MAX_ROWS:,} rows. {_IN_PARTS}.")
    return rows


def _parquet_rows(file: Path) -> list[Row]:
    """Rows of a Parquet file. Raises ScoresError naming a column whose values Python has no type for."""
    found = {}
    table = read_parquet(file, most_rows=MAX_ROWS)
    for name, values in zip(table.column_names, table.columns, strict=True):
        try:
            found[name] = values.to_pylist()
        except (ValueError, OverflowError, ImportError) as error:
            raise ScoresError(
                f"{file}: column {name!r} ({values.type}) holds what cannot be read: {error}. Leave the column out."
            ) from error
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _delimited_rows(file: Path, delimiter: str) -> list[Row]:
    reader = csv.reader(io.StringIO(_text(file), newline=""), delimiter=delimiter, strict=True)
    header = next(reader, [])
    twice = [column for column, n in Counter(header).items() if n > 1]
    if twice:
        raise ScoresError(f"{file}: column {twice[0]!r} occurs twice in the header. Rename one.")
    rows: list[Row] = []
    for number, values in enumerate((row for row in reader if row), start=1):
        if len(values) != len(header):
            raise ScoresError(
                f"{file}, row {number}: {len(values)} fields under a header of {len(header)}. "
                "Put fields that hold the delimiter in double quotes."
            )
        rows.append(dict(zip(header, values, strict=True)))
        _few(file, rows)
    return rows


def _wide(file: Path, rows: list[Row], recipe: Recipe) -> RawRows:
    """Rows of a table with a column per benchmark, or per model, made long; long rows as they are."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if recipe.columns.get("score", "score") in columns or recipe.columns.get("target", "target") in columns:
        return RawRows(rows)
    if columns[:4] == list(_OPENCOMPASS) and len(columns) > 4:
        long = [
            {"model": name, "target": row["dataset"], "metric": row.get("metric") or None, "score": row[name]}
            for row in rows
            for name in columns[4:]
            if not _is_empty(row.get(name)) and row[name] != "-"
        ]
        return RawRows(_with_sources(file, long, recipe, columns))
    named = recipe.columns.get("model") or next((c for c in columns if c.lower() in _MODEL_COLUMNS), None)
    if named is None or named not in columns:
        return RawRows(rows)
    ours = {recipe.columns.get(ours, ours): ours for ours in ("source", "seed")}
    scores = [c for c in columns if c not in (named, *ours) and not _is_helper(c) and _is_numeric(rows, c)]
    if not scores:
        return RawRows(rows)
    long = [
        {"model": row.get(named), "target": harness.target_name(column), "metric": recipe.metric, "score": row[column]}
        | {ours[theirs]: row[theirs] for theirs in ours if theirs in row}
        for row in rows
        for column in scores
        if not _is_empty(row.get(column))
    ]
    others = [column for column in columns if column not in (named, *ours, *scores)]
    notes = (f"columns that are no benchmark were left out: {some(others, 8)}",) if others else ()
    if "source" not in long[0]:
        long = _with_sources(file, long, recipe, columns)
    return RawRows(long, notes)


def _with_sources(file: Path, rows: list[Row], recipe: Recipe, columns: Sequence[str]) -> list[Row]:
    """Rows of a table that names models only: what each was tuned on comes from the recipe."""
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    missing = [model for model in models if model not in recipe.sources]
    if missing:
        raise ScoresError(
            f"{file} has a row per model and does not say what each was tuned on. Map them in a recipe given with "
            f"--spec, the base model to an empty text, such as `sources: {{{missing[0]}: ''}}`. Not mapped: "
            f"{some(missing, 5)}. Columns: {some(columns, 12)}."
        )
    bases = [model for model in models if not recipe.sources[model]]
    if len(bases) > 1:
        raise ScoresError(
            f"{file}: `sources` names several base models ({', '.join(bases)}). Import one after the other."
        )
    base = bases[0] if bases else None
    return [row | {"model": base or row["model"], "source": recipe.sources[str(row["model"])]} for row in rows]


def _is_empty(value: Any) -> bool:
    """No score: nothing, or the NaN that pandas writes for it."""
    return value in ("", None) or (isinstance(value, float) and math.isnan(value)) or str(value).lower() == "nan"


def _is_helper(column: str) -> bool:
    """A column of numbers that is no benchmark: an average, an error, a setting of the run."""
    name = column.lower()
    return name in (*_AVERAGES, *_SETTINGS) or name.endswith(("_stderr", "stderr", "_std", "_se", "_n"))


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    values = [row.get(column) for row in rows if not _is_empty(row.get(column))]
    try:
        for value in values:
            float(str(value))
    except ValueError:
        return False
    return bool(values)

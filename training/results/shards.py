"""Shards: the cells of one model on one block of targets, in one Parquet file that appears whole or not at all.

Owns their columns, the check that they belong to the recipe at hand, and the tables made from them. A shard keeps
what was measured per row (log-likelihoods, texts, lengths), so that metrics can be made anew without a model.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.plan.pack import Pack, aside, write_aside
from traitcast.training.plan.prompts import Row, Task
from traitcast.training.plan.recipe import Runtime, adapter_key, cell_key, digest
from traitcast.training.results import metrics, row_tables
from traitcast.training.results.metrics import Metric
from traitcast.warehouse.errors import InputError, ScoresError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "2"
HEADLINE = "score"
# What "accuracy" means as a headline: the option that is likeliest per character is the answer (`choices`). Of the ways
# to choose it is the one whose gains would repeat best (docs/matrix.md); the others are kept by their names.
_CHOSEN = "accuracy_character"
_IDENTITY = ("key", "source", "seed", "target", "base_fingerprint", "dtype")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. source None: the base model, seed -1. failed: the adapter was not finite; nothing was measured.

    Choices (classification, multiple choice), a list per row: loglikelihoods in nats, answer_tokens, prior (the same
    after a content-free prompt, one list for all rows of a classification; None when not asked for), gold.
    Generations, a value per row: outputs and their scores against the references, output_tokens, finished,
    reference_nll in nats, reference_tokens. cut_prompts, cut_answers: rows with a shortened prompt, or with an answer
    (any option, or the reference) that was cut.
    """

    key: str
    base: str
    base_fingerprint: str
    dtype: str
    source: str | None
    seed: int
    target: str
    adapter: str | None
    device: str
    failed: bool = False
    cut_prompts: int = 0
    cut_answers: int = 0
    gold: list[int] | None = None
    loglikelihoods: list[list[float]] | None = None
    answer_tokens: list[list[int]] | None = None
    prior: list[list[float]] | None = None
    outputs: list[str] | None = None
    exact_match: list[float] | None = None
    numeric_match: list[float] | None = None
    rouge_l: list[float] | None = None
    output_tokens: list[int] | None = None
    finished: list[bool] | None = None
    reference_nll: list[float] | None = None
    reference_tokens: list[int] | None = None


def schema() -> pa.Schema:
    """Column types of a shard."""
    import pyarrow as pa

    types = {
        "seed": pa.int32(),
        "failed": pa.bool_(),
        "cut_prompts": pa.int32(),
        "cut_answers": pa.int32(),
        "gold": pa.list_(pa.int16()),
        "loglikelihoods": pa.list_(pa.list_(pa.float32())),
        "answer_tokens": pa.list_(pa.list_(pa.int16())),
        "prior": pa.list_(pa.list_(pa.float32())),
        "outputs": pa.list_(pa.string()),
        "exact_match": pa.list_(pa.float32()),
        "numeric_match": pa.list_(pa.float32()),
        "rouge_l": pa.list_(pa.float32()),
        "output_tokens": pa.list_(pa.int16()),
        "finished": pa.list_(pa.bool_()),
        "reference_nll": pa.list_(pa.float32()),
        "reference_tokens": pa.list_(pa.int16()),
    }
    return pa.schema([(f.name, types.get(f.name, pa.string())) for f in fields(Cell)], metadata={"format": FORMAT})


def write(folder: Path, cells: Sequence[Cell]) -> Path:
    """Write cells as one shard, named by its keys: the same cells give the same file name."""
    path = folder / _file_name(cell.key for cell in cells)
    write_file(path, cells)
    return path


def _file_name(keys: Iterable[str]) -> str:
    return f"{digest(sorted(keys))}.parquet"


def write_file(path: Path, cells: Sequence[Cell]) -> None:
    """Write cells into one file (zstd), aside first."""
    import pyarrow as pa

    # By columns: `asdict` copies every list of numbers, which takes four times as long as the rest.
    columns = {f.name: [getattr(cell, f.name) for cell in cells] for f in fields(Cell)}
    write_table(path, pa.table(columns, schema=schema()))


def write_table(path: Path, table: pa.Table) -> None:
    """Write cells that are a table already: a whole matrix as Python lists takes minutes."""
    import pyarrow.parquet as pq

    floats, others = _leaves(table.schema)
    with aside(path) as work:
        # The bytes of floats apart from one another: a quarter less than as they stand.
        pq.write_table(
            table,
            work,
            compression="zstd",
            compression_level=9,
            use_dictionary=others,
            use_byte_stream_split=floats,
        )


def _leaves(columns: pa.Schema) -> tuple[list[str], list[str]]:
    """Parquet paths of the columns of floating-point numbers, and of all others."""
    import pyarrow as pa

    found: tuple[list[str], list[str]] = ([], [])
    for column in columns:
        path, kind = column.name, column.type
        while pa.types.is_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        found[0 if pa.types.is_floating(kind) else 1].append(path)
    return found


def keys(pack: Pack) -> set[str]:
    """Keys of all cells in the shards."""
    return {key for path in _files(pack) for key in _table(path, ["key"])["key"].to_pylist()}


def adapters_in(path: Path) -> list[str]:
    """Keys of the adapters whose cells a shard holds."""
    return [key for key in _table(path, ["adapter"])["adapter"].to_pylist() if key]


def drop(pack: Pack, adapters: Set[str]) -> None:
    """Take the cells of some adapters out of the shards; the cells of others beside them stay."""
    for path in _files(pack):
        owners = adapters_in(path)
        if not any(owner in adapters for owner in owners):
            continue
        table = cell_table(path)
        rest = table.filter(_among(table["adapter"], adapters, wanted=False))
        if rest.num_rows:
            write_table(pack.shards / _file_name(rest["key"].to_pylist()), rest)
        path.unlink()


def read(pack: Pack, *, text: bool = True) -> list[Cell]:
    """All cells of a pack, each once, in a fixed order. text: with the generated texts. Errors: see `walk`."""
    return sorted(walk(pack, text=text), key=lambda c: (c.source is not None, c.source or "", c.seed, c.target))


def walk(pack: Pack, *, text: bool = True) -> Iterator[Cell]:
    """All cells of a pack, each once, one shard in memory at a time.

    Raises ScoresError for a shard of another recipe, or of other weights or precision than the rest, by name.
    """
    for path, keep in checked(pack):
        yield from (cell for cell in cells_of(path, text=text) if cell.key in keep)


def cells_of(path: Path, *, text: bool = True) -> Iterator[Cell]:
    """The cells of one shard file, of whatever recipe. Raises InputError for a file that is none."""
    columns = [f.name for f in fields(Cell) if text or f.name != "outputs"]
    yield from (Cell(**row) for row in _table(path, columns).to_pylist())


def cell_table(path: Path, keep: Set[str] | None = None, *, text: bool = True) -> pa.Table:
    """The cells of one shard file as a table with the columns of `schema`. keep: their keys (None: all); text False
    leaves the generated texts null. Raises InputError for a file that is none."""
    import pyarrow as pa

    found = _table(path, [f.name for f in fields(Cell) if text or f.name != "outputs"])
    if keep is not None:
        found = found.filter(_among(found["key"], keep, wanted=True))
    columns = {
        f.name: found[f.name] if f.name in found.column_names else pa.nulls(found.num_rows, f.type) for f in schema()
    }
    return pa.table(columns, schema=schema())


def thin(pack: Pack) -> list[Cell]:
    """All cells of a pack without what was measured: enough to know elsewhere that they are done."""
    names = ["key", "base", "base_fingerprint", "dtype", "source", "seed", "target", "adapter", "device"]
    return [
        Cell(**row) for path, keep in checked(pack) for row in _table(path, names).to_pylist() if row["key"] in keep
    ]


def _among(column: pa.ChunkedArray, values: Set[str], *, wanted: bool) -> pa.Array:
    import pyarrow as pa

    return pa.array([(value in values) == wanted for value in column.to_pylist()], pa.bool_())


def runtime(pack: Pack) -> Runtime | None:
    """The weights and precision that the shards were measured with; None without shards."""
    for path in _files(pack):
        for row in _table(path, _IDENTITY).to_pylist():
            return Runtime(row["base_fingerprint"], row["dtype"])
    return None


def check(pack: Pack) -> None:
    """Refuse foreign shards as `walk` does, without reading what they measured."""
    for _ in checked(pack):
        pass


def checked(pack: Pack) -> Iterator[tuple[Path, set[str]]]:
    """Every shard, with those of its keys that no earlier shard held. Errors: see `walk`."""
    seen: set[str] = set()
    first: tuple[Runtime, Path] | None = None
    planned: dict[str, tuple[str | None, int, str]] = {}
    for path in _files(pack):
        keep: set[str] = set()
        for row in _table(path, _IDENTITY).to_pylist():
            now = Runtime(row["base_fingerprint"], row["dtype"])
            if first is None:
                first, planned = (now, path), expected(pack, now)
            elif first[0] != now:
                raise ScoresError(
                    f"{path} was measured with other weights or precision ({now.base_fingerprint}, {now.dtype}) than "
                    f"{first[1].name} ({first[0].base_fingerprint}, {first[0].dtype}); move one of them away"
                )
            _refuse_unplanned(path, planned, row)
            keep.add(row["key"])
        yield path, keep - seen
        seen |= keep


def _refuse_unplanned(path: Path, planned: Mapping[str, tuple[str | None, int, str]], row: Mapping[str, Any]) -> None:
    if planned.get(row["key"]) != (row["source"], row["seed"], row["target"]):
        raise ScoresError(
            f"{path} belongs to another recipe: its cell {row['source'] or 'base'} -> {row['target']} (seed "
            f"{row['seed']}) is not one of this pack; move it to the pack it came from"
        )


def adopt(pack: Pack, path: Path) -> None:
    """Put the cells of a file that was measured elsewhere into the shards of a pack.

    Raises ScoresError, and changes nothing, when they belong to another recipe or were measured with other weights or
    precision than those that are there.
    """
    table, before = cell_table(path), runtime(pack)
    rows = table.select(list(_IDENTITY)).to_pylist()
    for row in rows:
        now = Runtime(row["base_fingerprint"], row["dtype"])
        before = before or now
        if now != before:
            raise ScoresError(
                f"{path} was measured with other weights or precision ({now.base_fingerprint}, {now.dtype}) than "
                f"{pack.folder} ({before.base_fingerprint}, {before.dtype}); leave it out"
            )
    planned = expected(pack, before) if before else {}
    for row in rows:
        _refuse_unplanned(path, planned, row)
    write_table(pack.shards / _file_name(row["key"] for row in rows), table)


def merge(pack: Pack, other: Pack) -> None:
    """Put what another copy of the pack measured into this one: its cells and the records of its adapters (the
    adapters themselves stay where they are). Raises as `adopt`; a second time changes nothing."""
    if not (files := _files(other)):
        raise InputError(f"{other.folder} holds no cells; run: traitcast matrix run --pack {other.folder}")
    for path in files:
        adopt(pack, path)
    for path in records(other):
        write_aside(pack.adapters / path.relative_to(other.adapters), path.read_bytes())


def expected(pack: Pack, runtime: Runtime) -> dict[str, tuple[str | None, int, str]]:
    """key -> (source, seed, target) of every planned cell, the base's first."""
    recipe = pack.recipe
    planned: dict[str, tuple[str | None, int, str]] = {}
    models: list[tuple[str | None, int, str | None]] = [(None, -1, None)]
    models += [(s, seed, adapter_key(recipe, runtime, s, seed)) for group in recipe.groups for s, seed in group]
    for source, seed, adapter in models:
        for target in (name for block in recipe.blocks for name in block):
            planned[cell_key(recipe, runtime, adapter, target)] = (source, seed, target)
    return planned


def cell_metrics(cell: Cell, task: Task, rows: Sequence[Row]) -> list[Metric]:
    """All metrics of a cell, the headline first under the name "score". Empty for a failed cell.

    The last two are the shares of rows whose prompt, or any of whose answers, was cut to fit.
    """
    if cell.failed:
        return []
    found = [metrics.mean(name, values) for name, values in cell_rows(cell, task, rows).items()]
    if cell.loglikelihoods is not None and task.labels:
        truth = np.asarray(cell.gold)
        found.append(Metric("macro_f1", metrics.macro_f1(truth, choices(cell, task, rows)), np.nan, len(truth)))
    (headline,) = [metric for metric in found if metric.metric == headline_of(task)]
    n = headline.n
    cut = [Metric(name, getattr(cell, name) / n if n else np.nan, np.nan, n) for name in ("cut_prompts", "cut_answers")]
    return [Metric(HEADLINE, headline.value, headline.standard_error, n), *found, *cut]


def headline_of(task: Task) -> str:
    """The metric of a task that its score is."""
    return _CHOSEN if task.metric == "accuracy" else task.metric


def choices(cell: Cell, task: Task, rows: Sequence[Row]) -> np.ndarray:
    """The option that a cell answers every row with, (rows,); -1 for none. Only for cells with options."""
    return metrics.predictions(metrics.per(_arrays(cell.loglikelihoods or []), _characters(task, rows)))


def _characters(task: Task, rows: Sequence[Row]) -> list[np.ndarray]:
    return [np.array([len(choice) for choice in row.choices(task)], float) for row in rows]


def cell_rows(cell: Cell, task: Task, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The metrics of a cell that are means over rows, before the mean: metric -> (rows,). Empty for a failed cell."""
    if cell.failed:
        return {}
    if cell.loglikelihoods is not None:
        return metrics.option_rows(
            _arrays(cell.loglikelihoods),
            cell.gold or [],
            tokens=_arrays(cell.answer_tokens or []),
            characters=_characters(task, rows),
            priors=_priors(cell),
        )
    return metrics.generation_rows(
        {name: getattr(cell, name) or [] for name in ("exact_match", "numeric_match", "rouge_l")},
        output_tokens=cell.output_tokens or [],
        finished=cell.finished or [],
        reference_nll=cell.reference_nll or [],
        reference_tokens=cell.reference_tokens or [],
    )


def _priors(cell: Cell) -> list[np.ndarray] | None:
    """One prior per row: the labels of a classification have the same for all."""
    if cell.prior is None:
        return None
    found = _arrays(cell.prior)
    return found if len(found) == len(cell.gold or []) else found * len(cell.gold or [])


def confusion(cell: Cell, task: Task, picks: np.ndarray | None) -> list[tuple[str, str, int]]:
    """(gold, predicted, rows): label names of a classification, answer positions of a multiple choice. picks: those of
    `choices`, None for a generation."""
    if picks is None or cell.gold is None:
        return []

    def name(index: int) -> str:
        return task.labels[index] if task.labels and index >= 0 else str(index)

    counts = Counter((name(g), name(int(p))) for g, p in zip(cell.gold, picks, strict=True))
    return [(gold, predicted, n) for (gold, predicted), n in sorted(counts.items())]


def model_name(pack: Pack) -> str:
    """What results call the base model: a hub id or name as it is, a folder by its last part."""
    base = pack.recipe.base
    return Path(base).name if base.count("/") != 1 or base[0] in "./~" else base


def tables(pack: Pack, cells: Iterable[Cell]) -> dict[str, pa.Table]:
    """What the warehouse keeps: scores, predicted_labels, generations and adapters as long tables, and row_scores.

    A base cell has source "" and seed 0. Quantiles of generated lengths are in tokens.
    """
    import pyarrow as pa

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    by_row = row_tables.RowScores()
    packed = {name: pack.rows(name) for name in pack.recipe.targets}
    for cell in cells:
        model, target = model_name(pack), packed[cell.target]
        where = {"model": model, "source": cell.source or "", "target": cell.target, "seed": max(cell.seed, 0)}
        for m in cell_metrics(cell, target.task, target.test):
            error = None if np.isnan(m.standard_error) else m.standard_error
            rows["scores"].append({**where, "metric": m.metric, "score": m.value, "n": m.n, "standard_error": error})
        picks = None if cell.loglikelihoods is None else choices(cell, target.task, target.test)
        for gold, predicted, n in confusion(cell, target.task, picks):
            rows["predicted_labels"].append({**where, "gold": gold, "predicted": predicted, "n": n})
        if cell.output_tokens:
            rows["generations"].append({**where, **_lengths(cell)})
        by_row.add(where, cell, target.task, picks)
    for found in rows.values():
        found.sort(key=lambda row: (row["source"], row["seed"], row["target"]))
    rows["adapters"] = list(_adapters(pack))
    found_tables = {
        name: pa.Table.from_pylist(rows[name], schema=pa.schema(_types(columns))) for name, columns in TABLES.items()
    }
    return found_tables | {"row_scores": by_row.table()}


_WHERE = {"model": "string", "source": "string", "target": "string", "seed": "int64"}
TABLES: dict[str, Mapping[str, str]] = {
    "scores": {**_WHERE, "metric": "string", "score": "float64", "n": "int64", "standard_error": "float64"},
    "predicted_labels": {**_WHERE, "gold": "string", "predicted": "string", "n": "int64"},
    "generations": {
        **_WHERE,
        "n": "int64",
        "tokens_mean": "float64",
        "tokens_p10": "float64",
        "tokens_p50": "float64",
        "tokens_p90": "float64",
        "finished": "float64",
        "empty": "float64",
    },
    "adapters": {
        "model": "string",
        "source": "string",
        "seed": "int64",
        "adapter": "string",
        "rank": "int64",
        "steps": "int64",
        "rows": "int64",
        "tokens": "int64",
        "final_loss": "float64",
        "failed_at": "int64",
    },
}
"""Columns of the long tables that `matrix ingest` hands to the warehouse."""


def _types(columns: Mapping[str, str]) -> list[Any]:
    import pyarrow as pa

    return [(name, pa.type_for_alias(kind)) for name, kind in columns.items()]


def _lengths(cell: Cell) -> dict[str, float]:
    sizes = np.asarray(cell.output_tokens, dtype=np.float64)
    low, middle, high = np.quantile(sizes, [0.1, 0.5, 0.9])
    return {
        "n": len(sizes),
        "tokens_mean": float(sizes.mean()),
        "tokens_p10": float(low),
        "tokens_p50": float(middle),
        "tokens_p90": float(high),
        "finished": float(np.mean(cell.finished or [])),
        "empty": float(np.mean(sizes == 0)),
    }


def records(pack: Pack) -> list[Path]:
    """What training left of each adapter, finished or failed, in a fixed order."""
    return sorted([*pack.adapters.glob("v1-*/training.json"), *pack.adapters.glob("v1-*.failed.json")])


def _adapters(pack: Pack) -> Iterable[dict[str, Any]]:
    """Rows of the adapters table, from the records that training left."""
    for path in records(pack):
        record = json.loads(path.read_text(encoding="utf-8"))
        yield {"model": model_name(pack), **{name: record.get(name) for name in TABLES["adapters"] if name != "model"}}


def _files(pack: Pack) -> list[Path]:
    return sorted(path for path in pack.shards.glob("*.parquet") if not path.name.startswith("."))


def _table(path: Path, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        if (file.schema_arrow.metadata or {}).get(b"format") != FORMAT.encode():
            raise ScoresError(f"{path} is no shard of this version; move it away")
        return file.read(columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read shard {path} ({error}); delete it and run the matrix again") from error


def _arrays(rows: Sequence[Sequence[float]]) -> list[np.ndarray]:
    return [np.asarray(row, dtype=np.float64) for row in rows]

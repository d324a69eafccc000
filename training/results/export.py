"""Results leaving a pack: long tables, lm-evaluation-harness result files, one shard file, or the warehouse."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.training.plan.base_name import ANY
from traitcast.training.plan.pack import Pack, aside, write_aside
from traitcast.training.results import probes, row_tables, shards
from traitcast.training.results.cells import HEADLINE, Cell, cell_metrics
from traitcast.training.results.run_log import read_flips
from traitcast.training.results.shards import read_runtime
from traitcast.training.results.tables import TABLES, long_tables
from traitcast.warehouse.errors import InputError, ScoresError
from traitcast.warehouse.parquet import read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.training.plan.recipe import Recipe

FORMATS = ("csv", "parquet", "tables", "lm-eval", "shard")

# Of a long table: forty times those of 84 x 84 x 3 cells.
_MOST_ROWS = 20_000_000
# Our names for what the harness calls otherwise.
_HARNESS = {
    "accuracy": "acc",
    "accuracy_character": "acc_norm",
    "exact_match": "exact_match",
    "rouge_l": "rougeL",
    "macro_f1": "f1",
}


def export(pack: Pack, path: Path, kind: str, *, text: bool = True) -> int:
    """Write the results of a pack.

    Parameters
    ----------
    path
        A file; a folder for "tables" and "lm-eval".
    kind
        "csv", "parquet": one row per cell and metric. "tables": all that `ingest` takes, one Parquet file per table,
        a few MB where the shards are many. "lm-eval": one results file per model. "shard": all cells in one Parquet
        file, which `shards.merge` takes into a copy of the pack.
    text
        False leaves generated texts out of a shard, and with them the metrics that need them.

    Returns
    -------
    int
        The number of cells written.
    """
    kept = shards.checked(pack, content=True)
    cells = sum(len(keys) for _, keys in kept)
    if not cells:
        raise ScoresError(f"{pack.folder} holds no cells yet; run: traitcast matrix run --pack {pack.folder}")
    if kind == "shard":
        shards.write_table(path, shards.whole(kept, text=text))
    elif kind == "lm-eval":
        _write_harness(pack, shards.walk(pack, text=False), path)
    elif kind == "tables":
        for name, table in _tables(pack).items():
            _write_table(table, path / f"{name}.parquet", "parquet")
    elif kind in FORMATS:
        _write_table(long_tables(pack, shards.walk(pack, text=False))["scores"], path, kind)
    else:
        raise InputError(f"format {kind!r} is not one of {', '.join(FORMATS)}")
    return cells


def _write_table(table: pa.Table, path: Path, kind: str) -> None:
    import pyarrow.csv
    import pyarrow.parquet as pq

    with aside(path) as work:
        if kind == "csv":
            pyarrow.csv.write_csv(table, work)
        else:
            pq.write_table(table, work, compression="zstd", write_page_checksum=True)


def _write_harness(pack: Pack, cells: Iterable[Cell], folder: Path) -> None:
    """One file per model, laid out as lm-evaluation-harness writes its results."""
    by_model: dict[str, dict[str, Any]] = {}
    packed = {name: pack.rows(name) for name in pack.recipe.targets}
    for cell in cells:
        model = by_model.setdefault(
            f"{cell.source}.s{cell.seed}" if cell.source else "base", {"results": {}, "n-samples": {}}
        )
        found = cell_metrics(cell, packed[cell.target].task, packed[cell.target].test)
        result: dict[str, Any] = {"alias": cell.target}
        for metric in found:
            if metric.metric == HEADLINE:
                continue
            name = _HARNESS.get(metric.metric, metric.metric)
            error = metric.standard_error
            result[f"{name},none"] = metric.value
            result[f"{name}_stderr,none"] = error if error == error else "N/A"
            model["n-samples"][cell.target] = {"original": metric.n, "effective": metric.n}
        model["results"][cell.target] = result
        # What no model argument says, for `traitcast scores import`.
        model["traitcast"] = {"source": cell.source or "", "seed": cell.seed}
        model["config"] = {
            "model": "hf",
            "model_args": f"pretrained={cell.base}" + (f",peft=adapters/{cell.adapter}" if cell.adapter else ""),
        }
    for name, content in by_model.items():
        write_aside(folder / f"results_{name}.json", json.dumps(content, indent=1, sort_keys=True).encode())


def _tables(pack: Pack) -> dict[str, pa.Table]:
    found = long_tables(pack, shards.walk(pack, text=row_tables.needs_text(pack)))
    return found | {"probes": probes.table(pack)}


def ingest(
    pack: Pack,
    warehouse: str | Path,
    *,
    name: str | None = None,
    tables: Path | None = None,
    by_row: bool = True,
    parsed: bool = True,
    on_target: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Merge the results of a pack into a warehouse file; a second time changes nothing.

    Parameters
    ----------
    warehouse
        The DuckDB file.
    name
        Of the matrix; None: the name of the pack's folder.
    tables
        A folder that `export` wrote with "tables", to be used instead of the shards of this copy of the pack.
    by_row
        Also store the results on single test rows, and the traits of those rows.
    parsed
        Also measure the traits that need the parser.
    on_target
        Called with the name of each target before its test rows are measured.

    Returns
    -------
    dict
        Rows stored, by table.

    Raises
    ------
    ScoresError
        There are no cells, or none of the base model, or a matrix of that name has cells on other test rows that are
        not among these.
    """
    from traitcast.warehouse.console import count
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Matrix

    found = _tables(pack) if tables is None else _read_tables(tables)
    if not found["scores"].num_rows:
        raise ScoresError(f"{pack.folder} holds no cells yet; run: traitcast matrix run --pack {pack.folder}")
    if "" not in set(found["scores"]["source"].to_pylist()):
        raise ScoresError(
            f"{pack.folder} holds no cells of the base model, so gains are unknown; run: "
            f"traitcast matrix run --pack {pack.folder} --part 1/1"
        )
    runtime = read_runtime(pack)
    recipe = pack.recipe
    measured, planned = len(set(found["scores"]["source"].to_pylist()) - {""}), len(recipe.sources)
    description = (
        f"LoRA r={recipe.training.rank}, {count(recipe.training.epochs, 'epoch')}, "
        f"{measured}{f' of {planned}' if measured < planned else ''} sources x {len(recipe.targets)} targets, "
        f"{count(len(recipe.seeds), 'seed')} planned"
    )
    if runtime is not None:
        description += f", base {runtime.base_fingerprint}, {_precisions(pack, runtime.dtype)}"
    # Parts of a run that began together have measured one each.
    if answers := sum(flips["answers"] for flips in read_flips(pack)):
        changed = sum(flips["answers"] * flips["changed"] for flips in read_flips(pack)) / answers
        description += f", merged scoring changes {100 * changed:.2f} % of {answers} answers"
    matrix = Matrix(name or pack.folder.resolve().name, HEADLINE, "untuned", description)
    fingerprints = {target: recipe.datasets[target].test_fingerprint for target in recipe.targets}
    with Warehouse.open(warehouse) as store:
        # `save_scores` checks again, in its transaction; this one spares the minutes of parsing.
        store.check_rows(matrix.matrix, fingerprints, found["scores"])
        # A shipped matrix of this name goes as a whole, and what is known of its rows with it.
        known = {} if matrix.matrix in store.shipped("matrices") else store.targets(matrix.matrix)
        languages = store.languages()
    # With the file closed: parsing takes minutes, and no other process could use it meanwhile.
    if not by_row:
        del found["row_scores"]
        on_target = None
    found["lineage"] = lineage(recipe)
    found |= row_tables.describe(pack, known, languages, traits=by_row, parsed=parsed, on_target=on_target)
    with Warehouse.open(warehouse) as store:
        store.save_scores(matrix, found["scores"], {name: t for name, t in found.items() if name != "scores"})
    return {table: content.num_rows for table, content in found.items()}


def _precisions(pack: Pack, dtype: str) -> str:
    """The precision of a matrix, or how many cells each has."""
    counts = Counter(cell.dtype for cell in shards.thin(pack)) if dtype == ANY else Counter[str]()
    return " and ".join(f"{name} ({n:,} cells)" for name, n in counts.most_common()) or dtype


def lineage(recipe: Recipe) -> pa.Table:
    """Table `lineage` of a matrix: its sources that are variants of another dataset, and what was changed."""
    import pyarrow as pa

    made = [(name, recipe.datasets[name]) for name in recipe.sources if recipe.datasets[name].parent]
    columns = {
        "dataset": [name for name, _ in made],
        "parent": [entry.parent for _, entry in made],
        "changed": [entry.changed for _, entry in made],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _read_tables(folder: Path) -> dict[str, pa.Table]:
    import pyarrow as pa

    found = {}
    for name, columns in {**TABLES, "row_scores": row_tables.SCHEMA, "probes": probes.COLUMNS}.items():
        path = folder / f"{name}.parquet"
        if name == "probes" and not path.exists():
            # Folders that were written before there were probes hold all the rest.
            continue
        try:
            schema = pa.schema([(column, _type(kind)) for column, kind in columns.items()])
            found[name] = read_parquet(path, schema.names, most_rows=_MOST_ROWS).cast(schema)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise InputError(
                f"cannot read {path} ({error}); write it: traitcast matrix export --as tables -o {folder}"
            ) from error
    return found


def _type(kind: str) -> pa.DataType:
    """An Arrow type by its name; "list<float32>" is one of lists."""
    import pyarrow as pa

    item = kind.removeprefix("list<").removesuffix(">")
    return pa.type_for_alias(kind) if item == kind else pa.list_(pa.type_for_alias(item))

"""`traitcast scores`: matrices of results from elsewhere, imported, restored and dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.commands.restore import restore as restore_shipped
from traitcast.warehouse.console import (
    command,
    count,
    emit,
    format_option,
    report_errors,
    say,
    warehouse_option,
    warn,
)

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse


@click.group()
def scores() -> None:
    """Bring existing results into the warehouse."""


@scores.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--spec", type=click.Path(dir_okay=False, path_type=Path), help="Import recipe: columns, names, base (YAML)."
)
@click.option("--name", help="Name of the matrix  [default: the recipe's, else the file's name]")
@click.option("--source", help="For a result file of a harness: the dataset the model was tuned on (none: the base).")
@click.option(
    "--source-from",
    metavar="ARGUMENT",
    help="For result files of a harness: the model argument that names that dataset, such as peft.",
)
@click.option("--seed", type=int, help="For a result file of a harness: its run, if several are of one source.")
@click.option("--model", help="For a result file of a harness: the name of the base model, if the file has another.")
@warehouse_option
@format_option()
@report_errors
def import_scores(
    file: Path,
    spec: Path | None,
    name: str | None,
    source: str | None,
    source_from: str | None,
    model: str | None,
    seed: int | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Import a long results file (model, source, target, seed, metric, score; empty source = base model).

    Reads CSV, TSV, Parquet, JSON and JSONL; tables with a column per benchmark; and result files of
    lm-evaluation-harness and lighteval, one by one in any order or a whole folder. Importing the same file twice
    changes nothing, and an import never changes the base or the headline metric of a matrix that is there.

    \b
    Examples:
      traitcast scores import results.csv
      traitcast scores import published.csv --spec recipe.yaml
      traitcast scores import base.json --name harness
      traitcast scores import tuned.json --name harness --source gsm8k
      traitcast scores import results/ --name harness --source-from peft
    """
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.import_scores import Stored, load_recipe, read_scores, without_profile

    recipe = load_recipe(spec) if spec else None
    # Opened for writing where it exists, which upgrades an older file; bad input makes no new one.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        profiled = set(warehouse.dataset_names())
        known = {one.matrix: Stored(one, warehouse.scored(one.matrix)) for one in warehouse.own_matrices()}
    found = read_scores(
        file,
        recipe,
        name=name,
        source=source,
        source_from=source_from,
        model=model,
        seed=seed,
        profiled=profiled,
        stored=known.get,
    )
    for warning in found.warnings:
        warn(warning)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.check_import(found.matrix.matrix, found.rows)
        if found.matrix.matrix in warehouse.shipped("matrices"):
            warn(
                f"{found.matrix.matrix!r} came with traitcast; this matrix replaces it in {warehouse_path}. Bring "
                f"it back: {command('scores', 'restore', found.matrix.matrix)}; to keep both give another --name"
            )
        warehouse.save_scores(found.matrix, found.rows)
        kept = warehouse.rows_beyond(found.matrix.matrix, found.rows)
    sources = {s for s in found.rows["source"].to_pylist() if s}
    targets = set(found.rows["target"].to_pylist())
    missing = sorted((sources | targets) - profiled)
    summary = {
        "matrix": found.matrix.matrix,
        "rows": found.rows.num_rows,
        "left_out": found.filtered,
        "models": len(set(found.rows["model"].to_pylist())),
        "sources": len(sources),
        "targets": len(targets),
        "metric": found.matrix.metric,
        "base": found.matrix.base,
        "not_profiled": missing,
    }
    row = {**summary, "not_profiled": ", ".join(missing)} if output_format == "table" else summary
    emit([row], output_format, optional=("not_profiled",))
    for note in found.notes:
        say(note)
    if kept and source is None and source_from is None:
        drop = command("scores", "drop", found.matrix.matrix)
        say(f"kept in {found.matrix.matrix!r} from earlier imports: {count(kept, 'row')}. To start afresh: {drop}")
    if missing:
        hinted = without_profile(found.rows.to_pylist(), profiled)
        say(f"`fit` leaves out the cells of {count(len(missing), 'name')} without a profile: {', '.join(hinted)}")
    say(f"Next: {command('fit', '--matrix', found.matrix.matrix)}")


@scores.command("restore")
@click.argument("name", nargs=-1, required=True)
@warehouse_option
@format_option()
@report_errors
def restore_scores(name: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """Bring the shipped matrix NAME back in place of yours, and list the matrices.

    \b
    Example:
      traitcast scores restore prompt_transferability
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    restore_shipped("matrices", name, "matrix", warehouse_path)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        emit(_score_sets(warehouse), output_format)


@scores.command("drop")
@click.argument("name", nargs=-1, required=True)
@warehouse_option
@format_option()
@report_errors
def drop_scores(name: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """Remove your matrix NAME with everything found on it, and list the matrices that are left.

    Its results on single rows, evaluations, latent factors and probes go too. To get them back, import its file or
    ingest its pack again. Predictors fitted to it stay.

    \b
    Example:
      traitcast scores drop results
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file there is nothing of the user's, and the refusal makes none.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        predictors = warehouse.drop_scores(name)
        rows = _score_sets(warehouse)
    for dropped in dict.fromkeys(name):
        say(f"{dropped}: dropped, with everything found on it")
    if predictors:
        say(f"fitted to what was dropped, and kept: {count(len(predictors), 'predictor')} ({', '.join(predictors)})")
    emit(rows, output_format)


def _score_sets(warehouse: Warehouse) -> list[dict[str, Any]]:
    shipped = warehouse.shipped("matrices")
    return [
        {"matrix": m.matrix, "metric": m.metric, "base": m.base, "shipped": m.matrix in shipped}
        for m in warehouse.matrices()
    ]

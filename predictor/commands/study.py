"""The commands about a measured matrix: `effects`, `interventions` and `latent`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.predictor.commands.options import matrix_option, metric_option, save_option
from traitcast.predictor.model.outcomes import outcome_of
from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.console import (
    emit_json,
    emit_table,
    format_option,
    progress,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.latent.search import Latent
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import LatentRecord

# Columns of the tables of `effects` that a narrow screen leaves out, the last one first.
_LESS = (
    *("difference", "base_upper", "base_lower", "agreement"),
    *("10/50/90 % after", "10/50/90 % before", "rise (pp)", "fall (pp)"),
    *("base_score", "n", "seeds"),
)


@click.command()
@click.argument("source")
@click.option("--target", metavar="NAME", help="Report on this target only, with its confusion matrices.")
@matrix_option()
@click.option("--model", metavar="NAME", help="One of the models, if the matrix has several.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Rows of each table.")
@warehouse_option
@format_option()
@report_errors
def effects(source: str, top: int, warehouse_path: str, output_format: str, **options: Any) -> None:
    """Show what tuning on SOURCE changed, as measured: which targets gained or lost, and which answers changed.

    Covers gains and losses, shifts of the answers over labels, answer lengths, malformed answers, kinds of rows, and
    pairs whose two directions differ. Each number has a standard error over rows and seeds, and a q value: the false
    discovery rate over everything in its table. JSON contains all rows, independent of --top.

    \b
    Examples:
      traitcast effects mnli --matrix prompt_transferability --model T5
      traitcast effects sst2 --target mpqa
      traitcast effects sst2 --format json
    """
    from traitcast.predictor import studies

    found = studies.effects(source, warehouse=warehouse_path, **options)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row())
        return
    tell(found.sentence)
    shown = found.tables(top)
    for title, rows in shown:
        tell(f"\n{title}")
        emit_table(rows, optional=_LESS)
    columns = {name for _, rows in shown for name in rows[0]}
    about = {"q": "false discovery rate over all rows that a table was chosen from"}
    if found.labels or found.lengths:  # without results on single rows, a note says what the errors cover
        over = "over rows and seeds; with one seed, over rows for this adapter only"
        about = {"standard_error": over} | about
    if words := [f"{name}: {text}" for name, text in about.items() if name in columns]:
        say("; ".join(words) + ".")


@click.command()
@matrix_option("Transfer matrix  [default: the only one with variants]")
@click.option("--model", metavar="NAME", help="One of the models, if the matrix has several.")
@metric_option
@click.option("--change", metavar="NAME", help="Show this change only, source by source.")
@warehouse_option
@format_option()
@report_errors
def interventions(change: str | None, warehouse_path: str, output_format: str, **options: Any) -> None:
    """Show what deliberate changes to datasets did, as measured: variants against their parents.

    For a matrix with variants (`traitcast vary`) among its sources: how much more or less a variant gained than its
    parent, on the parent's own test rows and on other targets, and how answers shifted. Errors and 95 % intervals are
    over sources; q is the false discovery rate over all effects.

    \b
    Examples:
      traitcast interventions
      traitcast interventions --matrix smollm2_interventions --metric gold_nll
      traitcast interventions --matrix smollm2_interventions --change permute_labels
    """
    from traitcast.predictor import studies

    found = studies.interventions(warehouse=warehouse_path, **options)
    rows = found.rows(change)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row() if change is None else rows)
        return
    emit_table(
        rows,
        headings={"difference": "variant minus parent"},
        optional=("over", "targets", "cells", "seeds", "standard_error"),
    )
    metric = options["metric"]
    gain = outcome_of("gain", metric).what
    say(f"variant minus parent: {gain}, label_shift in % of answers, length_shift in tokens.")
    for what, value in found.noise.items():
        say(f"{what}: two seeds of the same source differ by {value:.2f} (root mean square)")


@click.command()
@matrix_option()
@click.option("--model", metavar="NAME", help="One of the models, if the matrix has several.")
@click.option(
    "--factors",
    default="auto",
    show_default=True,
    metavar="auto|N",
    help="A number, or auto: the smaller one of parallel analysis and cross-validation.",
)
@click.option(
    "--method",
    type=click.Choice(("pca", "varimax", "nmf")),
    default="pca",
    show_default=True,
    help="varimax: rotated so that each target loads on few factors; nmf: non-negative factors, which only add.",
)
@click.option(
    "--centre",
    type=click.Choice(("target", "double")),
    default="target",
    show_default=True,
    help="target: subtract the mean gain of each target; double: also that of each source, "
    "so that no factor says merely which sources are good.",
)
@click.option("--standardise", is_flag=True, help="Give every target the same weight, however far its gains spread.")
@click.option("--seed", default=0, show_default=True, help="Seed of permutations, folds and bootstraps.")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Datasets shown at each end.")
@save_option
@plot_option
@warehouse_option
@format_option()
@report_errors
def latent(top: int, save: bool, plot: Path | None, warehouse_path: str, output_format: str, **options: Any) -> None:
    """Find the latent factors of a transfer matrix: how many, how stable, and which datasets and traits they follow.

    A factor is a direction in which sources differ on many targets at once. It has a number, datasets at its ends, and
    traits it correlates with, corrected for the number of traits that were tested. Whether it is an ability, and which
    one, is for you to judge. The diagonal (source = target) is left out.

    \b
    Examples:
      traitcast latent --matrix prompt_transferability --model T5
      traitcast latent --matrix prompt_transferability --model T5 --factors 2 --method varimax
      traitcast latent --matrix prompt_transferability --model T5 --plot map.svg
      traitcast latent --matrix prompt_transferability --model T5 --centre double --format json
    """
    from traitcast.predictor import studies
    from traitcast.warehouse.database.warehouse import Warehouse

    if plot is not None and options["factors"] == "1":
        raise UserError("--plot draws two factors, but --factors 1 finds one. Use --factors 2, or leave out --plot.")
    with progress("resamples", 0) as bar:
        found = studies.latent(warehouse=warehouse_path, on_progress=bar.reach, **options)
    if save:
        existed = Path(warehouse_path).exists()
        record = found.to_record()
        with Warehouse.open(warehouse_path) as warehouse:
            replaced = _other_form(warehouse, record)
            warehouse.save_latent(record)
        done = "saved in" if existed else "created and saved in"
        say(f"{done} {warehouse_path}: tables latents, latent_factors, latent_scores and latent_traits{replaced}")
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_latent(found, top)
    if plot is not None:  # last, so that the results are printed even where too few factors were found for a map
        from traitcast.predictor.report.latent import biplot
        from traitcast.warehouse import charts

        charts.write(biplot(found), plot)
        say(f"drew {plot}")


def _other_form(warehouse: Warehouse, record: LatentRecord) -> str:
    """Says that the new factors replace stored ones that were found with other settings."""
    try:
        before = warehouse.latent(record.matrix, record.model, record.method).about
    except UserError:  # none are stored
        return ""
    changed = [f"{name} {before[name]}" for name in ("centre", "unit") if before[name] != record.about[name]]
    return f"; they replace those with {' and '.join(changed)}" if changed else ""


def _print_latent(found: Latent, top: int) -> None:
    for note in found.notes:
        say(note)
    tell(found.sentence)
    for title, rows in found.tables(top):
        tell(f"\n{title}")
        emit_table(rows)
    for line in found.remarks:
        say(line)

"""The commands `effects`, `interventions` and `latent`: what a measured matrix says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from traitcast.predictor.commands.options import matrix_option, metric_option, save_option
from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.console import (
    emit,
    emit_json,
    format_option,
    printable,
    progress,
    report_errors,
    say,
    table,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.latent.search import Latent
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import LatentRecord


@click.command()
@click.argument("source")
@click.option("--target", metavar="NAME", help="Look at this target only, with its confusion matrices.")
@matrix_option()
@click.option("--model", help="Model, where the matrix has several.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Rows of each table.")
@warehouse_option
@format_option()
@report_errors
def effects(
    source: str,
    target: str | None,
    matrix: str | None,
    model: str | None,
    top: int,
    warehouse_path: str,
    output_format: str,
) -> None:
    """What tuning on SOURCE did beside the score, as measured: who gained and lost, and which answers changed.

    Gains and losses, shifts of the answers over labels, lengths, malformed answers, kinds of rows, and pairs that are
    not alike both ways; each with its standard error over rows and seeds, and q: the share of false finds to expect
    among all that are as sure, over everything its table looked at. JSON gives all of it, whatever --top.

    \b
    Examples:
      traitcast effects mnli --matrix prompt_transferability --model T5
      traitcast effects gsm8k --target sst2
      traitcast effects gsm8k --format json
    """
    from traitcast.predictor.effects.side_effects import effects as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = find(warehouse, source, matrix=matrix, model=model, target=target)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row())
        return
    click.echo(printable(found.sentence))
    shown = found.tables(top)
    for title, rows in shown:
        click.echo(f"\n{printable(title)}")
        click.echo(table(rows))
    columns = {name for _, rows in shown for name in rows[0]}
    about = {"q": "over all that a table looked at"}
    if found.labels or found.lengths:  # scores alone tell of no rows: a note says what their errors are over
        over = "over rows and seeds, those of one row taken together; with one seed, given this adapter"
        about = {"standard_error": over} | about
    if words := [f"{name}: {text}" for name, text in about.items() if name in columns]:
        say("; ".join(words) + ".")


@click.command()
@matrix_option("Transfer matrix  [default: the only one with variants]")
@click.option("--model", help="Model, where the matrix has several.")
@metric_option
@click.option("--change", metavar="NAME", help="Look at this change only, source by source.")
@warehouse_option
@format_option()
@report_errors
def interventions(
    matrix: str | None,
    model: str | None,
    metric: str | None,
    change: str | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """What changes made on purpose did: variants of datasets beside their parents, as measured.

    Of a matrix with variants (`traitcast vary`) among its sources: how much more, or less, a variant gained than its
    parent, on the parent's own test rows and on other targets, and how answers shifted. Errors and intervals (95 %) are
    over sources; q is the share of false finds to expect among all effects that are as sure.

    \b
    Examples:
      traitcast interventions
      traitcast interventions --matrix smollm2_interventions --metric gold_nll
      traitcast interventions --matrix smollm2_interventions --change permute_labels
    """
    from traitcast.predictor.effects.interventions import interventions as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = find(warehouse, matrix=matrix, model=model, metric=metric)
    rows = found.rows(change)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row() if change is None else rows)
        return
    emit(rows, output_format)
    unit = "pp" if metric is None else f"hundredths of {metric} (more is better)"
    say(f"gain in {unit}, label_shift in % of answers, length_shift in tokens; variant minus parent.")
    for what, value in found.noise.items():
        say(f"{what}: the same source differs by {value:.2f} between two seeds (root mean square)")


@click.command()
@matrix_option()
@click.option("--model", help="Model, where the matrix has several.")
@click.option(
    "--factors",
    default="auto",
    show_default=True,
    metavar="auto|N",
    help="auto: the smaller number of parallel analysis and cross-validation.",
)
@click.option(
    "--method",
    type=click.Choice(("pca", "varimax", "nmf")),
    default="pca",
    show_default=True,
    help="varimax: turned so that each target is on few factors; nmf: no factor takes away from another.",
)
@click.option(
    "--centre",
    type=click.Choice(("target", "double")),
    default="target",
    show_default=True,
    help="target: gains over the target's mean; double: also over the source's, so without good and bad sources.",
)
@click.option("--standardise", is_flag=True, help="Let every target count alike, however far its gains spread.")
@click.option("--seed", default=0, show_default=True, help="Seed of permutations, folds and bootstrap.")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Datasets shown at each end.")
@save_option
@plot_option
@warehouse_option
@format_option()
@report_errors
def latent(
    matrix: str | None,
    model: str | None,
    factors: str,
    method: str,
    centre: str,
    standardise: bool,
    seed: int,
    top: int,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Latent factors of a transfer matrix: how many, how stable, which datasets and traits lie along them.

    A factor is a direction in which sources differ on many targets at once. It has a number, the datasets at its ends
    and the traits it correlates with, corrected for all that were asked; what ability it is, if any, is for you to say.
    The diagonal (source = target) is left out.

    \b
    Examples:
      traitcast latent --matrix prompt_transferability --model T5
      traitcast latent --matrix prompt_transferability --model T5 --factors 2 --method varimax
      traitcast latent --matrix prompt_transferability --model T5 --plot map.svg
      traitcast latent --matrix prompt_transferability --model T5 --centre double --format json
    """
    from traitcast.predictor.latent.search import latent_of
    from traitcast.warehouse.database.warehouse import Warehouse

    if plot is not None and factors == "1":
        raise UserError(
            "--plot draws two factors, and --factors 1 finds one. Ask for --factors 2, or leave out --plot."
        )
    with Warehouse.open(warehouse_path, read_only=True) as warehouse, progress("resamples", 0) as bar:
        found = latent_of(
            warehouse,
            matrix=matrix,
            model=model,
            factors=factors,
            method=method,
            centre=centre,
            standardise=standardise,
            seed=seed,
            on_progress=bar.reach,
        )
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
    if plot is not None:  # last: where too few factors hold up there is no map, and the rest is told all the same
        from traitcast.predictor.report.latent import biplot
        from traitcast.warehouse import charts

        charts.write(biplot(found), plot)
        say(f"drew {plot}")


def _other_form(warehouse: Warehouse, record: LatentRecord) -> str:
    """What to say of stored factors that were found otherwise, and that these replace."""
    try:
        before = warehouse.latent(record.matrix, record.model, record.method).about
    except UserError:  # none are stored
        return ""
    changed = [f"{name} {before[name]}" for name in ("centre", "unit") if before[name] != record.about[name]]
    return f", in place of those with {' and '.join(changed)}" if changed else ""


def _print_latent(found: Latent, top: int) -> None:
    for note in found.notes:
        say(note)
    click.echo(printable(found.sentence))
    for title, rows in found.tables(top):
        click.echo(f"\n{printable(title)}")
        click.echo(table(rows))
    for line in found.remarks:
        say(line)

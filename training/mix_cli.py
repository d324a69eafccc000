"""The `mix` command: training rows of several datasets as one."""

from __future__ import annotations

from pathlib import Path

import click

from traitcast.warehouse.console import command, emit, format_option, report_errors, say
from traitcast.warehouse.errors import InputError


@click.command()
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option("--weights", default=None, metavar="W,W", help="Share of each dataset  [default: equal shares]")
@click.option(
    "--rows", type=click.IntRange(1), default=None, help="Rows of the mixture  [default: as many as all datasets allow]"
)
@click.option(
    "--into",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="New folder of the mixture, which is named after it.",
)
@click.option("--seed", default=0, show_default=True, help="Of the draw and the order of the rows.")
@format_option()
@report_errors
def mix(
    datasets: tuple[str, ...], weights: str | None, rows: int | None, into: Path, seed: int, output_format: str
) -> None:
    """Write a mixture: training rows of several datasets as one, to be tuned on together.

    Rows are prompts as `matrix plan` words them for the dataset they come from, and answers. The mixture is a dataset
    like any other: profile it, predict what it does, measure it. Where it was not measured, `predict` takes the
    weighted evidence of its datasets and the traits of the mixed rows.

    \b
    Examples:
      traitcast mix data/sst2 data/trec --weights .7,.3 --rows 2000 --into mixed
      traitcast profile mixed
      traitcast predict mixed rte
    """
    from traitcast.training.plan.mixture import write_mixture

    made = write_mixture(datasets, into, weights=_numbers(weights), rows=rows, seed=seed)
    total = sum(made.rows.values())
    rows_of = [{"dataset": name, "rows": n, "share": round(n / total, 4)} for name, n in made.rows.items()]
    emit(rows_of, output_format)
    say(f"next: {command('profile', str(made.folder))}")


def _numbers(text: str | None) -> list[float]:
    try:
        return [float(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        raise InputError(f"--weights is {text!r}; give numbers with commas between, such as .7,.3") from None

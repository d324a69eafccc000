"""What the commands of this room share: options, the name of a profiled dataset, and how a predictor is introduced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from traitcast.predictor.commands.lists import foundation
from traitcast.predictor.model.outcomes import GAIN, NAMES, OVER
from traitcast.warehouse.console import Command, say

if TYPE_CHECKING:
    from traitcast.predictor.model.predictor import Predictor


BASES = OVER | {"target mean": f"{OVER['target mean']} (the matrix has no untuned score)"}

# What an evaluation holds out, by protocol.
UNSEEN = {
    "new-target": "For targets it has not seen",
    "new-source": "For sources that were never measured",
    "new-pair": "For sources that were never measured, on targets it has not seen",
}


class _MatrixOption(click.Option):
    """Keeps `--scores`, the name of `--matrix` in earlier releases, out of the help."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --scores", ""), record[1])


def matrix_option(words: str = "Transfer matrix  [default: your only one]") -> Callable[[Command], Command]:
    """--matrix NAME: of which transfer matrix. words: its help."""
    return click.option("--matrix", "--scores", "matrix", cls=_MatrixOption, metavar="NAME", help=words)


class FrontDoor(Protocol):
    """What the root command puts into `ctx.obj`."""

    def ensure_profiled(self, datasets: Sequence[str], warehouse_path: str, **reading: Any) -> list[str]:
        """Names of the datasets in the warehouse; a local file or hub id is profiled first if need be."""

    def csv_options(self, path: str, delimiter: str | None, quote: str | None) -> dict[str, Any]:
        """What `pandas.read_csv` has to be told of a CSV file; {} for commas and double quotes."""


def predictor_option(decorated: Command) -> Command:
    return click.option("--predictor", default="default", show_default=True, help="Name of the fitted predictor.")(
        decorated
    )


def save_option(decorated: Command) -> Command:
    return click.option("--save", is_flag=True, help="Store the result in the warehouse as well.")(decorated)


def metric_option(decorated: Command) -> Command:
    """--metric NAME: the metric of the gains."""
    return click.option(
        "--metric",
        metavar="NAME",
        help="Metric of the gains, such as gold_nll  [default: the headline metric of the matrix]",
    )(decorated)


def outcome_option(decorated: Command) -> Command:
    return click.option(
        "--outcome",
        type=click.Choice(NAMES),
        default=GAIN.name,
        show_default=True,
        help="What to predict: the gain, answers that move to another label (%), or added answer length (tokens).",
    )(decorated)


def fit_options(decorated: Command) -> Command:
    for option in (
        click.option("--seed", default=0, show_default=True, help="Seed of folds, trees and bootstraps."),
        click.option(
            "--tier",
            type=click.Choice(("static", "probe")),
            default="static",
            show_default=True,
            help="static: traits of the data; probe: also measurements with the base model (`traitcast probe`).",
        ),
        matrix_option(),
        click.option("--model", metavar="NAME", help="Use the cells of one model  [default: all models, pooled]"),
    ):
        decorated = option(decorated)
    return decorated


def profiled(
    ctx: click.Context, datasets: Sequence[str], warehouse_path: str, reading: Mapping[str, Any]
) -> Sequence[str]:
    """The names of datasets in the warehouse. Without a front door the arguments are the names."""
    door: FrontDoor | None = ctx.obj
    return datasets if door is None else door.ensure_profiled(datasets, warehouse_path, **reading)


def introduce(
    predictor: Predictor,
    name: str,
    quality: Mapping[str, Any] | None = None,
    doubts: Sequence[str] = (),
    *,
    intervals: bool = False,
) -> None:
    """Say on stderr what the numbers are based on.

    quality: as `api.known_quality` returns it. doubts: why not to trust the numbers, in sentences. intervals: whether
    what is printed has the columns `low` and `high`.
    """
    about = predictor.about
    models = ", ".join(about["models"])
    say(
        f"predictor {name!r}, fitted to {about['cells']} measured cells of matrix {predictor.matrix.matrix!r} "
        f"({models}): {about['sources']} sources x {about['targets']} targets."
    )
    of, base = predictor.outcome, predictor.matrix.base
    what = f"{of.what.capitalize()}{f', over {BASES.get(base, base)}' if of.harmful else ''}"
    say(f"{what}{'; low to high: 90 % interval' if intervals else ''}.")
    if predictor.abstains:
        say(foundation(predictor))
    elif quality is not None:
        say(
            f"{UNSEEN[quality['protocol']]}, its ranking of sources has a Spearman correlation of "
            f"{quality['value']:.2f} [{quality['low']:.2f}, {quality['high']:.2f}] with the measured one; 0 is chance."
        )
    for doubt in doubts:
        say(doubt)

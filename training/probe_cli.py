"""The `probe` command: what the untuned base model does on datasets."""

from __future__ import annotations

from pathlib import Path

import click

from traitcast.training.meter import Meter
from traitcast.training.plan.base_name import DTYPES
from traitcast.warehouse.console import command, count, emit, format_option, report_errors, say, warehouse_option, warn
from traitcast.warehouse.errors import InputError


@click.command()
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option(
    "--base",
    default="HuggingFaceTB/SmolLM2-135M-Instruct",
    show_default=True,
    help="Hub id, folder, or `smollm2` (offline).",
)
@click.option("--revision", default=None, help="Commit of a hub base model.")
@click.option("--rows", default=200, show_default=True, type=click.IntRange(1), help="Most rows of a dataset.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw of rows.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--dtype",
    type=click.Choice(["auto", *DTYPES]),
    default="auto",
    show_default=True,
    help="Precision of the base model. auto: bfloat16 on an accelerator, float32 on a CPU.",
)
@click.option("--replace", is_flag=True, help="Forget earlier probes of this base, such as those of other weights.")
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def probe(
    ctx: click.Context,
    datasets: tuple[str, ...],
    base: str,
    revision: str | None,
    rows: int,
    seed: int,
    device: str,
    dtype: str,
    replace: bool,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Measure what the untuned base model makes of datasets: its score, loss, answers and their lengths.

    These numbers belong to a dataset and a model together; `traitcast fit --tier probe` learns from them besides the
    traits. `matrix ingest` derives them for every target of a matrix, so this is for datasets that are no target. A
    file is profiled first if need be.

    \b
    Examples:
      traitcast probe data/sst2 --base smollm2
      traitcast probe data/sst2 data/gsm8k --base smollm2 --rows 100 --format json
    """
    from traitcast.training import probe_run
    from traitcast.warehouse.database.warehouse import Warehouse

    wanted = [_probed(ctx, dataset, warehouse_path) for dataset in datasets]
    for name in (stored := [name for name, _, _ in wanted]):
        if stored.count(name) > 1:
            raise InputError(f"{name!r} is given twice. Give it once.")
    with Meter() as meter:
        found, read = probe_run.run(
            [source for _, source, _ in wanted],
            base,
            revision=revision,
            rows=rows,
            seed=seed,
            device=device,
            dtype=dtype,
            names=stored,
            on_progress=meter,
            say=meter.say,
        )
    for (name, source, fingerprint), made in zip(wanted, read, strict=True):
        say(f"{name}: {count(made.rows, 'row')} of {made.split or 'its only split'}")
        if made.fingerprint != fingerprint:
            warn(f"{name!r} was profiled from other rows, or with other roles, than {source} gives now")
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.save_probes(found, replace=replace)
    emit(found.drop_columns(["dtype"]).to_pylist(), output_format, ("dataset", "trait", "value", "standard_error", "n"))
    say(f"next: {command('fit', '--tier', 'probe', warehouse=warehouse_path)}")


def _probed(ctx: click.Context, dataset: str, warehouse_path: str) -> tuple[str, str, str]:
    """(name, file, folder or hub id, fingerprint) of a dataset; without a front door the argument is its name."""
    from traitcast.warehouse.database.warehouse import Warehouse

    name = dataset if ctx.obj is None else ctx.obj.ensure_profiled([dataset], warehouse_path)[0]
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        profile = warehouse.profile(name)
    source = dataset if dataset != name or Path(dataset).exists() else profile.details.get("origin")
    if source is None:
        raise InputError(
            f"the rows of {name!r} are not here, only its profile. Give its file, folder or hub id: "
            f"{command('probe', f'DIR/{name}', warehouse=warehouse_path)}"
        )
    return name, source, profile.fingerprint

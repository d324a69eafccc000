"""The `matrix` commands: plan, run, watch, ingest and export a ground-truth transfer matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from traitcast.training.meter import Meter
from traitcast.training.mix_cli import mix
from traitcast.training.plan.base_name import ANY, DEFAULT, DTYPES
from traitcast.training.probe_cli import probe
from traitcast.warehouse.console import (
    count,
    emit,
    emit_json,
    fail,
    format_option,
    progress,
    report_errors,
    say,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import InputError, UserError

if TYPE_CHECKING:
    from traitcast.training.plan.pack import Pack
    from traitcast.training.plan.planning import PlanSettings
    from traitcast.training.plan.recipe import DatasetEntry

Command = TypeVar("Command", bound=Callable[..., Any])


def pack_option(command: Command) -> Command:
    """--pack DIR: the folder that holds recipe, rows, adapters and shards."""
    return click.option(
        "--pack",
        "pack_folder",
        metavar="DIR",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the matrix: recipe, rows, adapters and results.",
    )(command)


def from_option(command: Command) -> Command:
    """--from PATH: cells that were measured elsewhere."""
    return click.option(
        "--from",
        "elsewhere",
        metavar="PATH",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        help="First take in cells that were measured elsewhere: a copy of this pack, a folder of shards, or one shard "
        "file. May be repeated.",
    )(command)


def names(text: str | None) -> list[str] | None:
    """ "a,b" to ["a", "b"]; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@click.group()
def matrix() -> None:
    """Measure a transfer matrix: tune one adapter per source and seed, and score each on every target.

    \b
    Example:
      traitcast matrix plan --pack m --base smollm2 data/sst2 data/gsm8k
      traitcast matrix run --pack m
      traitcast matrix ingest --pack m
    """


@matrix.command()
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@pack_option
@click.option(
    "--base", default=DEFAULT, show_default=True, help="Base model: hub id, folder, or `smollm2` (works offline)."
)
@click.option("--revision", default=None, help="Commit of a hub base model.")
@click.option("--sources", default=None, metavar="A,B", help="Datasets to tune on (default: all with training rows).")
@click.option("--targets", default=None, metavar="A,B", help="Datasets to score on (default: all with test rows).")
@click.option("--seeds", default="0,1,2", show_default=True, metavar="N,N", help="One adapter per source and seed.")
@click.option(
    "--train-rows", default=1500, show_default=True, type=click.IntRange(1), help="Most training rows per source."
)
@click.option("--test-rows", default=200, show_default=True, type=click.IntRange(1), help="Most test rows per target.")
@click.option("--sample-seed", default=0, show_default=True, help="Seed of the draw of rows.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1), help="Passes over the training rows.")
@click.option("--batch-rows", default=8, show_default=True, type=click.IntRange(1), help="Rows per optimizer step.")
@click.option("--rank", default=16, show_default=True, type=click.IntRange(1), help="LoRA rank; alpha is twice that.")
@click.option("--learning-rate", default=2e-4, show_default=True, type=float, help="Peak learning rate.")
@click.option(
    "--adapt",
    default="all-linear",
    show_default=True,
    metavar="A,B",
    help="Layers to adapt: all-linear, or the last parts of their names, such as q_proj,v_proj.",
)
@click.option(
    "--max-prompt-tokens", default=512, show_default=True, type=click.IntRange(16), help="Longer prompts are shortened."
)
@click.option(
    "--max-new-tokens", default=128, show_default=True, type=click.IntRange(1), help="Most tokens of a written answer."
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(("auto", ANY, *DTYPES)),
    help="Precision of the base model. auto: bfloat16 on an accelerator, float32 on a CPU. any: each machine uses the "
    "precision that it is fast in, and cells of all precisions count.",
)
@click.option("--exact", is_flag=True, help="Score with adapters kept apart instead of merged into the weights.")
@click.option(
    "--slots",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Adapters trained side by side, as one group; 4 or so on a CPU.",
)
@click.option(
    "--block-tokens",
    default=400_000,
    show_default=True,
    type=click.IntRange(1),
    help="Targets are scored together up to this many tokens. A block is the smallest unit that is saved.",
)
@format_option()
@report_errors
def plan(
    datasets: tuple[str, ...],
    pack_folder: Path,
    output_format: str,
    sources: str | None,
    targets: str | None,
    **options: Any,
) -> None:
    """Draw the rows, fix the recipe, and print what the matrix will cost.

    The folder is all that another machine needs besides torch, transformers, peft, numpy, pyarrow and gguf. Plan into
    it again to add datasets or seeds; finished work stays.

    \b
    Example:
      traitcast matrix plan --pack m --base smollm2 --seeds 0,1 data/sst2 data/gsm8k
    """
    from traitcast.profiler.reading.source import HELD_OUT
    from traitcast.training.cost import estimate
    from traitcast.training.plan.planning import plan as make

    bad: list[str] = []

    def failed(source: str, error: UserError) -> None:
        if len(datasets) == 1:
            raise error
        fail(str(error))
        bad.append(source)

    def show(name: str, entry: DatasetEntry) -> None:
        held_out = "" if entry.test_split in ("test", "") else f" from {entry.test_split}"
        if entry.test_split and entry.test_split not in HELD_OUT:
            held_out = " (its training rows, since nothing is tuned on it)"
        say(f"{name}: {entry.train_rows} training rows, {entry.test_rows} test rows{held_out}, {entry.task_type}")

    made = make(
        pack_folder,
        datasets,
        _settings(**options),
        sources=names(sources),
        targets=names(targets),
        on_dataset=show,
        on_warning=lambda name, warning: warn(f"{name}: {warning}"),
        on_failure=failed,
    )
    cost = estimate(made)
    if output_format == "json":
        emit_json(dataclasses.asdict(cost))
        _refuse_bad(bad, datasets)
        return
    rows = [
        {"what": name, "amount": getattr(cost, name)} for name in ("adapters", "cells", "train_tokens", "score_tokens")
    ]
    emit([*rows, *({"what": f"minutes on {name}", "amount": amount} for name, amount in cost.minutes.items())], "table")
    say(f"next: traitcast matrix run --pack {pack_folder}")
    _refuse_bad(bad, datasets)


def _refuse_bad(bad: Sequence[str], datasets: Sequence[str]) -> None:
    """Exit with 2 after a plan that leaves datasets out."""
    if bad:
        raise UserError(f"{len(bad)} of {count(len(datasets), 'dataset')} not planned: {', '.join(bad)} (see above)")


def _settings(**options: Any) -> PlanSettings:
    from traitcast.training.plan.planning import PlanSettings
    from traitcast.training.plan.prompts import PromptSettings
    from traitcast.training.plan.recipe import ScoringSettings, TrainingSettings

    try:
        seeds = tuple(int(seed) for seed in names(options["seeds"]) or [])
    except ValueError as error:
        raise InputError(f"--seeds {options['seeds']!r} is not a list of whole numbers such as 0,1,2") from error
    return PlanSettings(
        base=options["base"],
        base_revision=options["revision"],
        dtype=options["dtype"],
        seeds=seeds,
        train_rows=options["train_rows"],
        test_rows=options["test_rows"],
        sample_seed=options["sample_seed"],
        slots=options["slots"],
        block_tokens=options["block_tokens"],
        prompt=PromptSettings(max_prompt_tokens=options["max_prompt_tokens"]),
        training=TrainingSettings(
            rank=options["rank"],
            alpha=2.0 * options["rank"],
            targets=tuple(names(options["adapt"]) or ()),
            epochs=options["epochs"],
            batch_rows=options["batch_rows"],
            learning_rate=options["learning_rate"],
        ),
        scoring=ScoringSettings(
            mode="exact" if options["exact"] else "merged", max_new_tokens=options["max_new_tokens"]
        ),
    )


def _part_option(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    part, _, parts = value.partition("/")
    if not (part.isascii() and part.isdecimal() and parts.isascii() and parts.isdecimal()):
        raise click.BadParameter(f"{value!r} is not I/N, for example 2/8.", context, parameter)
    if not 1 <= int(part) <= int(parts):
        raise click.BadParameter(
            f"{value!r}: the parts of {parts} are 1/{parts} to {parts}/{parts}.", context, parameter
        )
    return int(part), int(parts)


@matrix.command()
@pack_option
@from_option
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to run."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=None, help="Start nothing new after this long."
)
@click.option(
    "--part",
    default="1/1",
    show_default=True,
    metavar="I/N",
    callback=_part_option,
    help="Do only every N-th group of adapters, starting with the I-th.",
)
@click.option(
    "--retry-failed", is_flag=True, help="Train adapters again whose loss or gradient was not a finite number."
)
@click.option("--train-tokens", type=click.IntRange(1), default=None, help="Padded tokens of a training forward pass.")
@click.option("--score-tokens", type=click.IntRange(1), default=None, help="Padded tokens of a scoring forward pass.")
@click.option("--decode-tokens", type=click.IntRange(1), default=None, help="Tokens held in memory while decoding.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="This machine, or a Ray cluster with one task per group of adapters.",
)
@click.option("--address", default=None, help="Ray cluster (default: RAY_ADDRESS, else this machine alone).")
@click.option("--gpus", type=click.FloatRange(0), default=None, help="GPUs of a task (default: 1 if there are any).")
@click.option("--cpus", type=click.FloatRange(0), default=None, help="CPUs of a task (default: 1).")
@format_option()
@report_errors
def run(
    pack_folder: Path,
    elsewhere: tuple[Path, ...],
    output_format: str,
    engine: str,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
    **options: Any,
) -> None:
    """Train and score what is missing. Stop it at any time; the same command continues.

    Each group of adapters is scored as soon as it is trained, cheapest groups first. Parts are independent: run them
    at the same time in one shared folder, or in copies that `matrix ingest --from` merges. With --engine ray, groups
    go to the machines of a cluster, and their results come back.

    \b
    Examples:
      traitcast matrix run --pack m --minutes 9
      traitcast matrix run --pack m --part 2/8
      traitcast matrix run --pack m --engine ray --address auto
    """
    from traitcast.training import ray_run
    from traitcast.training.plan.pack import Pack
    from traitcast.training.run import run as run_here
    from traitcast.training.session import RunSettings

    if engine != "ray" and (address, gpus, cpus) != (None, None, None):
        raise InputError("--address, --gpus and --cpus describe a cluster: add --engine ray, or leave them out")
    pack, settings = Pack(pack_folder), RunSettings(**options)
    _take_in(pack, elsewhere)
    with Meter() as meter:
        if engine == "ray":
            where = ray_run.ClusterSettings(address, gpus, 1.0 if cpus is None else cpus)
            found = ray_run.run(pack, settings, where, on_progress=meter, say=meter.say)
        else:
            found = run_here(pack, settings, on_progress=meter, say=meter.say)
    _show(pack, output_format)
    if found.scored == found.cells:
        say(f"next: traitcast matrix ingest --pack {pack_folder}")


def _take_in(pack: Pack, elsewhere: tuple[Path, ...]) -> None:
    from traitcast.training.results import shards

    for path in elsewhere:
        say(f"{path}: {shards.merge(pack, path):,} new cells")


@matrix.command()
@pack_option
@format_option()
@report_errors
def status(pack_folder: Path, output_format: str) -> None:
    """Show what is trained and scored, what is missing, and how long that will take.

    Time on a CPU is in hours of one core, at the speed of earlier runs of this pack.

    \b
    Example:
      traitcast matrix status --pack m --format json
    """
    from traitcast.training.plan.pack import Pack

    _show(Pack(pack_folder), output_format)


def _show(pack: Pack, output_format: str) -> None:
    from traitcast.training.cost import hours_left
    from traitcast.training.state import status as look

    found = look(pack)
    content = dataclasses.asdict(found) | {"missing": found.cells - found.scored, "hours_left": hours_left(pack)}
    if output_format == "json":
        emit_json(content)
        return
    rows = [
        {"what": name, "n": content[name]} for name in ("adapters", "trained", "failed", "measured", "cells", "scored")
    ]
    if len(found.precisions) > 1:
        rows += [{"what": f"scored in {dtype}", "n": n} for dtype, n in found.precisions.items()]
    rows += [{"what": "missing", "n": content["missing"]}]
    rows += [{"what": f"hours left on {device}", "n": hours} for device, hours in content["hours_left"].items()]
    emit(rows, "table")


@matrix.command()
@pack_option
@click.option(
    "--metrics", default=None, metavar="A,B", help="Compare only these metrics, on the cells that have all of them."
)
@click.option(
    "--alike", is_flag=True, help="Give all targets the same spread, as rankings do. Default: pool their variances."
)
@format_option()
@report_errors
def reliability(pack_folder: Path, metrics: str | None, alike: bool, output_format: str) -> None:
    """Show how well the gains of each metric would repeat with new test rows, new seeds, or both.

    1 means that a second measurement would rank sources alike; 0 means that it would not. Works on what is measured
    so far.

    \b
    Examples:
      traitcast matrix reliability --pack m
      traitcast matrix reliability --pack m --alike --metrics score,gold_nll,gold_nll_calibrated
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results.reliability import reliability as measure

    found = measure(Pack(pack_folder), metrics=names(metrics), alike=alike)
    emit([dataclasses.asdict(one) for one in found], output_format, optional=("seeds", "spread"))
    if few := [one.metric for one in found if not one.targets]:
        say(f"blank, because no target has three sources or more: {', '.join(few)}")
    if any(one.targets and one.seeds == 1 for one in found):
        say("over_seeds, over_both and alike need three sources with two seeds on one target.")


@matrix.command()
@pack_option
@from_option
@click.option("--name", default=None, help="Name of the matrix in the warehouse (default: the folder's name).")
@click.option(
    "--tables",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Ingest a folder written by `export --as tables` instead of this pack's cells.",
)
@click.option("--no-rows", is_flag=True, help="Leave out the results on single test rows, and their traits.")
@click.option("--no-parse", is_flag=True, help="Leave out the traits of test rows that need the parser, which is slow.")
@warehouse_option
@format_option()
@report_errors
def ingest(
    pack_folder: Path,
    elsewhere: tuple[Path, ...],
    name: str | None,
    tables: Path | None,
    no_rows: bool,
    no_parse: bool,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Merge the results into the warehouse; a second time changes nothing.

    Besides the scores, it stores the result of every cell on every test row and the traits of those rows (numbers, no
    text). `traitcast effects` shows from them which kinds of rows gain or lose.

    \b
    Examples:
      traitcast matrix ingest --pack m --warehouse traitcast.duckdb
      traitcast matrix ingest --pack m --from node1/m --from node2/m
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results.export import ingest as merge

    pack = Pack(pack_folder)
    _take_in(pack, elsewhere)
    with progress("traits of test rows", 0 if no_rows else len(pack.recipe.targets)) as bar:
        counts = merge(
            pack,
            warehouse_path,
            name=name,
            tables=tables,
            by_row=not no_rows,
            parsed=not no_parse,
            on_target=lambda _: bar.advance(),
        )
    emit([{"table": table, "rows": rows} for table, rows in counts.items()], output_format)


@matrix.command()
@pack_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write; a folder for lm-eval and tables.",
)
@click.option(
    "--as",
    "kind",
    type=click.Choice(["csv", "parquet", "tables", "lm-eval", "shard"]),
    default="csv",
    show_default=True,
    help="csv, parquet: one long table of scores. tables: all that `ingest` needs. lm-eval: result files of "
    "lm-evaluation-harness. shard: all cells in one file, for `--from`.",
)
@click.option("--no-text", is_flag=True, help="Leave generated texts out of a shard.")
@report_errors
def export(pack_folder: Path, output: Path, kind: str, no_text: bool) -> None:
    """Write the results: a table of scores, lm-evaluation-harness files, or all cells as one shard.

    \b
    Example:
      traitcast matrix export --pack m -o scores.csv
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results.export import export as write

    say(f"{write(Pack(pack_folder), output, kind, text=not no_text):,} cells in {output}")


COMMANDS: tuple[click.Command, ...] = (matrix, mix, probe)

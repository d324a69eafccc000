"""The `matrix` commands: plan, run, status, ingest and export of a ground-truth transfer matrix."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.training.plan.base_name import ANY, DTYPES
from traitcast.warehouse.console import (
    Command,
    Progress,
    command,
    count,
    emit,
    emit_json,
    format_option,
    progress,
    report_errors,
    say,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import InputError

if TYPE_CHECKING:
    from traitcast.training.plan.recipe import DatasetEntry
    from traitcast.training.state import Status



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


def names(text: str | None) -> list[str] | None:
    """ "a,b" to ["a", "b"]; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@click.group()
def matrix() -> None:
    """Measure a transfer matrix: tune one adapter per source and seed, score each on every target.

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
    "--base",
    default="HuggingFaceTB/SmolLM2-135M-Instruct",
    show_default=True,
    help="Hub id, folder, or `smollm2` (offline).",
)
@click.option("--revision", default=None, help="Commit of a hub base model.")
@click.option("--sources", default=None, metavar="A,B", help="Names to tune on (default: all with training rows).")
@click.option("--targets", default=None, metavar="A,B", help="Names to score on (default: all with test rows).")
@click.option("--seeds", default="0,1,2", show_default=True, metavar="N,N", help="One adapter per source and seed.")
@click.option(
    "--train-rows", default=1500, show_default=True, type=click.IntRange(1), help="Most training rows per source."
)
@click.option("--test-rows", default=200, show_default=True, type=click.IntRange(1), help="Most test rows per target.")
@click.option("--sample-seed", default=0, show_default=True, help="Seed of the draw of rows.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1), help="Passes over the training rows.")
@click.option(
    "--batch-rows", default=8, show_default=True, type=click.IntRange(1), help="Effective batch of an adapter."
)
@click.option("--rank", default=16, show_default=True, type=click.IntRange(1), help="LoRA rank; alpha is twice that.")
@click.option("--learning-rate", default=2e-4, show_default=True, type=float)
@click.option(
    "--adapt", default="all-linear", show_default=True, metavar="A,B", help="Layers: all-linear, or q_proj,v_proj."
)
@click.option("--max-prompt-tokens", default=512, show_default=True, type=click.IntRange(16))
@click.option("--max-new-tokens", default=128, show_default=True, type=click.IntRange(1), help="Cap on decoding.")
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    type=click.Choice(("auto", ANY, *DTYPES)),
    help="Precision of the base. auto: bfloat16 on an accelerator, float32 on a CPU.",
)
@click.option("--exact", is_flag=True, help="Score with adapters kept apart, not merged into the weights.")
@click.option(
    "--slots", default=64, show_default=True, type=click.IntRange(1), help="Adapters trained at once; 4 or so on a CPU."
)
@click.option(
    "--block-tokens", default=400_000, show_default=True, type=click.IntRange(1), help="Size of a unit of scoring."
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

    The folder is all that a training machine needs beside torch, transformers, peft, numpy, pyarrow and gguf.
    Planning into it again adds datasets and seeds, and keeps what is done.

    \b
    Example:
      traitcast matrix plan --pack m --base smollm2 --seeds 0,1 data/sst2 data/gsm8k
    """
    from traitcast.training.cost import estimate
    from traitcast.training.plan.pack import plan as make

    def show(name: str, entry: DatasetEntry) -> None:
        held_out = "test rows" if entry.test_split in ("test", "") else f"test rows out of {entry.test_split}"
        say(f"{name}: {entry.train_rows} training rows, {entry.test_rows} {held_out}, {entry.task_type}")

    made = make(
        pack_folder, datasets, _settings(**options), sources=names(sources), targets=names(targets), on_dataset=show
    )
    cost = estimate(made)
    if output_format == "json":
        emit_json(dataclasses.asdict(cost))
        return
    rows = [
        {"what": name, "amount": getattr(cost, name)} for name in ("adapters", "cells", "train_tokens", "score_tokens")
    ]
    emit([*rows, *({"what": f"minutes on {name}", "amount": amount} for name, amount in cost.minutes.items())], "table")
    say(f"next: traitcast matrix run --pack {pack_folder}")


def _settings(**options: Any) -> Any:
    from traitcast.training.plan.pack import PlanSettings
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
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=None, help="Start nothing new after this long."
)
@click.option("--train-tokens", type=click.IntRange(1), default=None, help="Padded tokens of a training forward.")
@click.option("--score-tokens", type=click.IntRange(1), default=None, help="Padded tokens of a scoring forward.")
@click.option("--decode-tokens", type=click.IntRange(1), default=None, help="Tokens decoded side by side.")
@click.option("--retry-failed", is_flag=True, help="Train adapters again that were not finite.")
@click.option(
    "--part",
    default="1/1",
    show_default=True,
    metavar="I/N",
    callback=_part_option,
    help="Do the I-th of N parts only.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="This machine, or a Ray cluster: a task for every group of adapters.",
)
@click.option("--address", default=None, help="Ray cluster (default: RAY_ADDRESS, else this machine alone).")
@click.option("--gpus", type=click.FloatRange(0), default=None, help="GPUs of a task (default: 1 if there are any).")
@click.option("--cpus", type=click.FloatRange(0), default=None, help="CPUs of a task (default: 1).")
@format_option()
@report_errors
def run(
    pack_folder: Path,
    output_format: str,
    engine: str,
    address: str | None,
    gpus: float | None,
    cpus: float | None,
    **options: Any,
) -> None:
    """Train and score whatever is missing; stop it at any time and run it again.

    Parts need nothing of one another: run them at the same time, on one shared folder or on copies of it, which
    `matrix ingest --from` merges. With --engine ray the parts find their machines by themselves, nodes that see the
    folder work in it, and what others measure comes back.

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

    pack, settings = Pack(pack_folder), RunSettings(**options)
    with _Meter() as meter:
        if engine == "ray":
            where = ray_run.ClusterSettings(address, gpus, 1.0 if cpus is None else cpus)
            found = ray_run.run(pack, settings, where, on_progress=meter, say=meter.say)
        elif (address, gpus, cpus) != (None, None, None):
            raise InputError("--address, --gpus and --cpus are of a cluster: add --engine ray, or leave them out")
        else:
            found = run_here(pack, settings, on_progress=meter, say=meter.say)
    _show(found, output_format)
    if found.scored == found.cells:
        say(f"next: traitcast matrix ingest --pack {pack_folder}")


_STAGES = {"train": "training steps", "score": "scored shards", "groups": "groups of adapters"}


class _Meter:
    """Progress of both stages on stderr, with tokens per second."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.stage, self.tokens, self.began = "", 0, 0.0

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, stage: str, done: int, total: int, tokens: int) -> None:
        if stage != self.stage or done == 0:
            self._close()
            self.stage, self.tokens, self.began = stage, 0, time.monotonic()
            self.bar = Progress(_STAGES[stage], total)
        if self.bar is not None:
            self.tokens += tokens
            # A step or shard may take a minute; tokens show that something moves, and how fast.
            self.bar.label = f"{_STAGES[stage]}{self._pace(' ({})')}"
            self.bar.advance(done - self.bar.done)

    def say(self, text: str) -> None:
        """A line of narration that does not run into the bar."""
        if self.bar is not None:
            self.bar.close()
        say(text)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            say(f"{_STAGES[self.stage]}: {self.bar.done:,} in {self._seconds():,.0f} s{self._pace(', {}')}")
            self.bar = None

    def _seconds(self) -> float:
        return max(time.monotonic() - self.began, 1e-9)

    def _pace(self, form: str) -> str:
        """Tokens per second; nothing where they are counted elsewhere."""
        return form.format(f"{self.tokens / self._seconds():,.0f} tokens/s") if self.tokens else ""


@matrix.command()
@pack_option
@format_option()
@report_errors
def status(pack_folder: Path, output_format: str) -> None:
    """What is trained and scored, and what is missing.

    \b
    Example:
      traitcast matrix status --pack m --format json
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.state import status as look

    _show(look(Pack(pack_folder)), output_format)


@matrix.command()
@pack_option
@format_option()
@report_errors
def reliability(pack_folder: Path, output_format: str) -> None:
    """How well the gains of every metric would repeat with new test rows, new seeds, or both.

    Of how the sources differ on a target: 1 is all of it, 0 none. Ask it of what is measured so far.

    \b
    Example:
      traitcast matrix reliability --pack m
      traitcast matrix reliability --pack m --format json
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results.reliability import reliability as measure

    emit([dataclasses.asdict(found) for found in measure(Pack(pack_folder))], output_format)


def _show(found: Status, output_format: str) -> None:
    content = dataclasses.asdict(found)
    content["missing"] = found.cells - found.scored
    if output_format == "json":
        emit_json(content)
    else:
        emit(
            [
                {"what": name, "n": content[name]}
                for name in ("adapters", "trained", "failed", "cells", "scored", "missing")
            ],
            "table",
        )


@matrix.command()
@pack_option
@click.option("--name", default=None, help="Name of the matrix in the warehouse (default: the folder's name).")
@click.option(
    "--tables", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder of `export --as tables`."
)
@click.option(
    "--from",
    "copies",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take in the results of a copy of the pack first, such as one that ran another part. May be repeated.",
)
@click.option("--no-rows", is_flag=True, help="Leave out the results on single test rows, and their traits.")
@click.option("--no-parse", is_flag=True, help="Leave out the traits of test rows that need the parser, which is slow.")
@warehouse_option
@format_option()
@report_errors
def ingest(
    pack_folder: Path,
    name: str | None,
    tables: Path | None,
    copies: tuple[Path, ...],
    no_rows: bool,
    no_parse: bool,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Merge the results into the warehouse; doing it twice changes nothing.

    Beside the scores it keeps, per test row, what every cell made of it, and the row's own traits (numbers, no text):
    `traitcast effects` tells from them which kinds of rows gain or lose.

    \b
    Examples:
      traitcast matrix ingest --pack m --warehouse traitcast.duckdb
      traitcast matrix ingest --pack m --from node1/m --from node2/m
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results import shards
    from traitcast.training.results.export import ingest as merge

    pack = Pack(pack_folder)
    for copy in copies:
        shards.merge(pack, Pack(copy))
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
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="File, or folder for lm-eval and tables."
)
@click.option(
    "--as",
    "kind",
    type=click.Choice(["csv", "parquet", "tables", "lm-eval", "shard"]),
    default="csv",
    show_default=True,
)
@click.option("--no-text", is_flag=True, help="Leave generated texts out of a shard.")
@report_errors
def export(pack_folder: Path, output: Path, kind: str, no_text: bool) -> None:
    """Write all scores as a long table, as lm-evaluation-harness results, or all cells as one shard.

    \b
    Example:
      traitcast matrix export --pack m -o scores.csv
    """
    from traitcast.training.plan.pack import Pack
    from traitcast.training.results.export import export as write

    say(f"{write(Pack(pack_folder), output, kind, text=not no_text):,} cells in {output}")


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
    replace: bool,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Measure what the untuned base model makes of datasets: its score, loss, answers and their lengths.

    These numbers belong to a dataset and a model together; `traitcast fit --tier probe` learns from them beside the
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
    with _Meter() as meter:
        found, read = probe_run.run(
            [source for _, source, _ in wanted],
            base,
            revision=revision,
            rows=rows,
            seed=seed,
            device=device,
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

    name = dataset if ctx.obj is None else ctx.obj.ensure_profiled(dataset, warehouse_path)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        profile = warehouse.profile(name)
    source = dataset if dataset != name or Path(dataset).exists() else profile.details.get("origin")
    if source is None:
        raise InputError(
            f"the rows of {name!r} are not here, only its profile. Give its file, folder or hub id: "
            f"{command('probe', f'DIR/{name}', warehouse=warehouse_path)}"
        )
    return name, source, profile.fingerprint


COMMANDS: tuple[click.Command, ...] = (matrix, probe)

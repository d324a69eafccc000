"""The commands `profile`, datasets in, traits out, and `vary`, variants of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.profiler.check_cli import COMMANDS as FINDINGS
from traitcast.warehouse.console import (
    command,
    count,
    emit,
    emit_json,
    fail,
    format_option,
    report_errors,
    say,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import UserError, WarehouseError, some
from traitcast.warehouse.reading_options import reading_options

if TYPE_CHECKING:
    from traitcast.warehouse.records import Profile


# What a person asks first about a dataset; the whole profile is one `traitcast show` away.
_GLANCE = {
    "classes": "label_class_count",
    "majority": "label_majority_share",
    "prompt_tokens": "prompt_tokens_mean",
    "response_tokens": "response_tokens_mean",
    "reading_ease": "prompt_flesch_reading_ease",
}


def _rows_option(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    if value.isascii() and value.isdigit() and len(value) < 12 and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a positive number of rows nor 'all'.")


@click.command()
@click.argument("dataset", nargs=-1, required=True)
@reading_options
@click.option("--config", help="Configuration of a hub dataset.")
@click.option("--revision", help="Commit, tag or branch of a hub dataset  [default: the newest, resolved and stored]")
@click.option(
    "--stream",
    type=click.IntRange(1),
    metavar="N",
    help="Draw N rows from a hub dataset as a stream, in an order set by --seed, instead of downloading it.",
)
@click.option(
    "--rows",
    default="2000",
    show_default=True,
    metavar="N|all",
    callback=_rows_option,
    help="Random rows that are parsed (tagger, parser); counts and lengths always see all rows.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the random sample.")
@click.option("--processes", type=click.IntRange(1), help="Worker processes  [default: one per core]")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Read, count and parse on this machine, or on a Ray cluster; the numbers are the same.",
)
@click.option("--address", help="Ray cluster  [default: RAY_ADDRESS, else this machine alone]")
@click.option("--spacy-model", help="spaCy pipeline  [default: the small one installed for the language]")
@click.option(
    "--tokenizer",
    metavar="MODEL",
    help="What counts tokens: a folder with a tokenizer.json, or the hub id of a model  [default: an estimate, a "
    "token for 4 bytes]",
)
@click.option("--force", is_flag=True, help="Profile again although nothing has changed.")
@warehouse_option
@format_option()
@report_errors
def profile(
    dataset: tuple[str, ...], name: str | None, output_format: str, warehouse_path: str, force: bool, **options: Any
) -> None:
    """Profile datasets into the warehouse.

    DATASET is a local file or folder (JSONL, JSON, CSV, TSV, Parquet, Arrow; also .gz, .zst, .bz2, .xz) or a
    Hugging Face hub id. Column roles come from --spec, from a dataset.yaml next to the data, or from the columns.

    Several datasets are profiled in turn, and each is stored when it is done. Failures are reported and skipped, and
    the exit code is then 2.

    \b
    Examples:
      traitcast profile examples/support_tickets
      traitcast profile reviews.csv --name reviews --rows all
      traitcast profile reviews.csv --roles "text=title,body label=stars"
      traitcast profile corpus.parquet --rows all --engine ray --address auto
      traitcast profile stanfordnlp/sst2 --split train --revision main
      traitcast profile HuggingFaceFW/fineweb --stream 20000 --roles answer=text
    """
    from traitcast.profiler.request import Request
    from traitcast.profiler.service import profile_into, refuse_one_name

    if name and len(dataset) > 1:
        raise click.UsageError(f"--name names one dataset; {len(dataset)} were given.")
    requests = [Request(item, name, **options) for item in dataset]
    refuse_one_name(requests)
    results: list[Profile] = []
    bad: list[str] = []
    try:
        for request in requests:
            try:
                results.append(profile_into(warehouse_path, request, force=force)[0])
            except WarehouseError:
                # No other dataset can be stored either.
                raise
            except UserError as error:
                if len(requests) == 1:
                    raise
                fail(str(error))
                bad.append(str(request.dataset))
    finally:
        # What was stored before Ctrl-C is shown too.
        if results:
            _show(results, output_format)
    if bad:
        raise UserError(f"{len(bad)} of {count(len(requests), 'dataset')} not profiled: {', '.join(bad)} (see above)")


def _show(results: Sequence[Profile], output_format: str) -> None:
    if output_format == "json":
        emit_json([_as_json(result) for result in results])
        return
    emit([_glance(result) for result in results], output_format, optional=("traits", "reading_ease"))
    for result in results:
        if result.findings:
            found = count(len(result.findings), "finding")
            say(f"{result.name}: {found}, the worst: {result.findings[0].message}")
    name = results[-1].name
    say(f"Whole profile: {command('show', name)}. Best sources for it: {command('rank', name)}")


def _as_json(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "fingerprint": profile.fingerprint,
        "rows": profile.rows,
        "traits": {trait.trait: trait.value for trait in profile.traits},
        "findings": [asdict(found) for found in profile.findings],
    }


def _glance(profile: Profile) -> dict[str, Any]:
    values = {trait.trait: trait.value for trait in profile.traits}
    found = {column: values.get(trait) for column, trait in _GLANCE.items()}
    defined = sum(value is not None for value in values.values())
    traits = f"{defined} of {len(values)}"
    return {"name": profile.name, "task_type": profile.task_type, "rows": profile.rows, **found, "traits": traits}


def _changes_option(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for text in value for name in text.split(",") if name.strip())
    if value and not names:
        raise click.BadParameter(f"{value[0]!r} names no change; see them with: traitcast vary --list")
    return names


@click.command()
@click.argument("dataset", nargs=-1)
@click.option(
    "--change",
    "changes",
    multiple=True,
    metavar="NAME,NAME",
    callback=_changes_option,
    help="What to change  [default: all that the dataset can have]",
)
@click.option("--list", "listed", is_flag=True, help="List the changes there are.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("variants"),
    show_default=True,
    help="Folder that gets a folder for every variant.",
)
@click.option("--rows", type=click.IntRange(2), metavar="N", help="What half and quarter are of  [default: all rows]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of whatever is drawn.")
@reading_options
@format_option()
@report_errors
def vary(
    dataset: tuple[str, ...],
    changes: tuple[str, ...],
    listed: bool,
    into: Path,
    rows: int | None,
    seed: int,
    output_format: str,
    **options: Any,
) -> None:
    """Make variants of a dataset: the same rows with one thing changed, to measure what that thing does.

    Traits of real datasets go together, so a matrix shows what goes with a gain. Variants show what causes it:
    tune on the dataset and on its variants, score both on the same targets, and compare (`traitcast interventions`).

    Each variant is a folder with training rows and a dataset.yaml that names its parent and the change. An adapter that
    takes --train-rows of a large dataset sees no less of a half of it: give --rows that number for half and quarter.

    \b
    Examples:
      traitcast vary --list
      traitcast vary examples/support_tickets --change lower_case,permute_labels --into variants
      traitcast vary data/sst2 data/trec
      traitcast vary data/sst2 data/trec --rows 1500 --change half,quarter
      traitcast matrix plan --pack m --base smollm2 data/sst2 data/trec variants/*
    """
    from traitcast.profiler.reading.source import HELD_OUT
    from traitcast.profiler.request import Request
    from traitcast.profiler.service import read_examples, refuse_one_name
    from traitcast.profiler.variants import CHANGES, write_variants
    from traitcast.warehouse.database.connection import wait_from_environment
    from traitcast.warehouse.files import locked_folder

    if listed:
        known = CHANGES.values()
        emit(
            [{"change": c.name, "does": c.does, "moves": c.traits, "of": ", ".join(c.kinds)} for c in known],
            output_format,
        )
        return
    if not dataset:
        raise click.UsageError("name a dataset, or ask for the changes there are: traitcast vary --list")
    if options["name"] and len(dataset) > 1:
        raise click.UsageError(f"--name names one dataset; {len(dataset)} were given.")
    requests = [Request(item, **options) for item in dataset]
    refuse_one_name(requests)
    shown: list[dict[str, Any]] = []
    untested: list[str] = []
    # Two commands in turn: the variants in the folder are all of the later one, never some of either.
    into_alone = locked_folder(into, cure="Choose another folder with --into.", wait_s=wait_from_environment())
    try:
        with into_alone:
            for request in requests:
                examples = read_examples(request)
                for warning in examples.warnings:
                    warn(f"{examples.name}: {warning}")
                if not set(HELD_OUT) & set(examples.splits):
                    untested.append(examples.name)
                made, left_out = write_variants(examples, into, changes, rows=rows, seed=seed)
                for reason in left_out:
                    say(f"  left out: {reason}")
                shown += [{**asdict(one), "folder": str(one.folder)} for one in made]
    finally:
        # Variants made before a failure exist, so they are listed.
        if shown:
            emit(shown, output_format)
    parents = dict.fromkeys(dataset)
    say(f"next: {command('matrix', 'plan', '--pack', 'DIR', *parents)} {into}/*")
    if untested:
        say(f"a matrix scores on test rows, and {some(untested, 5)} has none: add a dataset that has, or a test file")


COMMANDS: tuple[click.Command, ...] = (profile, *FINDINGS, vary)

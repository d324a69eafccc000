"""The command `report`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from click.core import ParameterSource

from traitcast.predictor.commands.options import matrix_option, predictor_option, profiled
from traitcast.warehouse import files
from traitcast.warehouse.console import (
    emit,
    emit_json,
    format_option,
    report_errors,
    say,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import UserError

_OTHER_OUTPUT = "Choose another file with --output FILE."


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="The file to write.",
)
@matrix_option("Show one transfer matrix only  [default: all]")
@click.option("--model", help="Show one model only  [default: all]")
@click.option(
    "--pairs", metavar="A:B,...", help="Pairs SOURCE:TARGET to explain  [default: the three best and the three worst]"
)
@predictor_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def report(
    ctx: click.Context,
    output: Path,
    matrix: str | None,
    model: str | None,
    pairs: str | None,
    predictor: str,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Write everything that the warehouse knows into one HTML page.

    The page needs no network and no server: you can mail it, print it, or open it on a phone. Where something is
    missing, it names the command that adds it. For a large matrix, measure the quality of the predictor first with
    `traitcast evaluate --save`.

    \b
    Examples:
      traitcast report
      traitcast report -o mnli.html --pairs mnli:rte,mnli:sst2
      traitcast report --matrix prompt_transferability --model T5 --format json
    """
    from traitcast.predictor.report.page import render
    from traitcast.predictor.report.sections import Request, gather
    from traitcast.warehouse.database.warehouse import Warehouse

    _check_writable(output)
    if model is not None and matrix is None:
        raise UserError(f"--model {model!r} needs the matrix it belongs to. Example: --matrix NAME --model {model}")
    chosen = tuple((s, t) for s, t in (profiled(ctx, pair, warehouse_path, {}) for pair in _pairs(pairs or "")))
    request = Request(matrix, model, predictor, chosen, _now(), _absent(ctx, warehouse_path))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = gather(warehouse, request, say)
    page = render(found).encode()
    files.write(output, page, cure=_OTHER_OUTPUT)
    if output_format != "json":
        for section in found.sections:
            for lack in section.missing:
                say(f"{section.key}: {lack.what} {lack.command}".rstrip())
    rows = [{"section": s.key, "state": s.state, "lacks": [m.what for m in s.missing]} for s in found.sections]
    if output_format == "json":
        emit_json({"file": str(output), "bytes": len(page), "sections": rows})
    else:
        # What is missing would be cut in a column, so it is narrated above.
        emit(rows, output_format, ("section", "state"))
    say(f"wrote {output} ({len(page) / 1e6:.1f} MB): open it in a browser")


def _absent(ctx: click.Context, warehouse_path: str) -> str:
    """The name of a warehouse that the user asked for and that does not exist, otherwise ""; warns about it.

    Without --warehouse no file is expected: a first report shows the shipped data.
    """
    named = ctx.get_parameter_source("warehouse_path") is not ParameterSource.DEFAULT
    if not named or Path(warehouse_path).exists():
        return ""
    warn(f"{warehouse_path} does not exist: the report shows the data that come with traitcast.")
    return Path(warehouse_path).name


def _pairs(text: str) -> list[tuple[str, str]]:
    """(source, target) from `A:B,C:D`. Raises UserError."""
    made = []
    for part in (piece.strip() for piece in text.split(",")):
        source, _, target = (word.strip() for word in part.partition(":"))
        if part and not (source and target):
            raise UserError(f"--pairs {part!r} is not SOURCE:TARGET. Example: --pairs mnli:rte,gsm8k:sst2")
        if part and source == target:
            raise UserError(f"--pairs {part!r} names one dataset twice, but a prediction needs two different ones.")
        if part:
            made.append((source, target))
    return made


def _now() -> str:
    """The time in words; SOURCE_DATE_EPOCH replaces the clock for reproducible pages."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(fixed), UTC) if fixed and fixed.isdecimal() else datetime.now(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _check_writable(output: Path) -> None:
    if output.exists() and output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{output} exists and is not an HTML file. Choose another file with --output FILE.")
    files.check_output(output, cure=_OTHER_OUTPUT)

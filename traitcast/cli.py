"""The root of the command line: mounts the commands of every room.

The rooms' `cli.py` import nothing heavy, so `traitcast --help` stays quick.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from traitcast import __version__
from traitcast.completion import completion
from traitcast.doctor import doctor
from traitcast.front_door import FrontDoor
from traitcast.last_resort import last_resort, show_any_text
from traitcast.mcp_server import mcp
from traitcast.warehouse.console import STOPPED
from traitcast.warehouse.layout import filled

_ROOMS = ("profiler", "predictor", "training", "warehouse")
_ORDER = (
    "profile",
    "check",
    "filter",
    "vary",
    "mix",
    "datasets",
    "show",
    "compare",
    "card",
    "sql",
    "scores",
    "matrix",
    "probe",
    "fit",
    "evaluate",
    "predict",
    "rank",
    "impact",
    "explain",
    "whatif",
    "effects",
    "interventions",
    "latent",
    "report",
    "doctor",
    "mcp",
    "completion",
)


class _Root(click.Group):
    """Lists commands in the order in which people meet them, and breaks messages about their use as all others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, with summaries that end at a mark of their own where the screen does."""
        names = self.list_commands(ctx)
        room = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _brief(self.commands[name].get_short_help_str(1000), room)) for name in names])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_whole_roles(args))

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _in_our_words():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _in_our_words():
            return super().invoke(ctx)


def _with_whole_roles(args: list[str]) -> list[str]:
    """Arguments in which `--roles text=a label=b`, written without quotes, is one value; files stay arguments."""
    found: list[str] = []
    for word in args:
        value = (len(found) > 1 and found[-2] == "--roles") or (bool(found) and found[-1].startswith("--roles="))
        if value and re.fullmatch(r"[a-z_]+=.+", word) and not os.path.exists(word):
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


def _brief(summary: str, room: int) -> str:
    """A sentence, without what follows the last comma, colon or bracket that fits, if all of it does not."""
    summary = summary.removesuffix(".")
    if len(summary) <= room:
        return summary
    fitting = [found.start() for found in re.finditer(r"[,:;] | \(", summary) if found.start() <= room]
    return summary[: fitting[-1]] if fitting else summary


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Errors of use in lines that fit the screen, and Ctrl-C as a stop: click says "Aborted!" and ends with 1."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        sys.exit(STOPPED)
    except click.UsageError as error:
        message = filled(f"Error: {error.format_message()}").removeprefix("Error: ")
        raise click.UsageError(message, ctx=error.ctx) from error


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traitcast")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Before you fine-tune, know what it will do.

    Profile a text dataset, query its traits, and predict what tuning on it does to a task.

    \b
    Examples:
      traitcast rank my.jsonl                 which public dataset to tune on first
      traitcast predict my.jsonl gsm8k        what my data does to the maths score
      traitcast sql "SELECT * FROM profiles"  every trait of every dataset

    DATASET is a profiled name, a local file or folder (JSONL, JSON, CSV, TSV, Parquet, Arrow; also .gz, .zst),
    or a Hugging Face hub id.
    """
    ctx.obj = FrontDoor()


for _room in _ROOMS:
    for _command in importlib.import_module(f"traitcast.{_room}.cli").COMMANDS:
        cli.add_command(_command)
for _command in (doctor, mcp, completion):
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    show_any_text()
    with last_resort():
        cli(prog_name="traitcast")

"""The root of the command line: mounts the commands of every room.

The rooms' `cli.py` import nothing heavy, so `traitcast --help` stays quick.
"""

from __future__ import annotations

import importlib

import click

from traitcast import __version__
from traitcast.front_door import FrontDoor
from traitcast.last_resort import last_resort

_ROOMS = ("profiler", "predictor", "training", "warehouse")
_ORDER = (
    "profile",
    "check",
    "filter",
    "vary",
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
)


class _Root(click.Group):
    """Lists commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="traitcast")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Before you fine-tune, know what it will do.

    Profile a text dataset, query its traits, and predict what tuning on it does to a task.

    \b
    Examples:
      traitcast rank my.jsonl                 which public dataset to tune on first for my task
      traitcast predict my.jsonl gsm8k        what tuning on my data does to the maths score
      traitcast sql "SELECT * FROM profiles"  every trait of every profiled dataset

    DATASET is a profiled name, a local file or folder (JSONL, JSON, CSV, TSV, Parquet, Arrow; also .gz, .zst),
    or a Hugging Face hub id.
    """
    ctx.obj = FrontDoor()


for _room in _ROOMS:
    for _command in importlib.import_module(f"traitcast.{_room}.cli").COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    with last_resort():
        cli(prog_name="traitcast")

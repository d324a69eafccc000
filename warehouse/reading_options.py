"""The options that say how a dataset is read, the same in every command that takes a file, a folder or a hub id.

They are here since commands of all rooms have them; `profiler.request.Request` has what they mean.
"""

from __future__ import annotations

from pathlib import Path

import click

from traitcast.warehouse.console import Command

_NAME = click.option("--name", help="Name in the warehouse  [default: the spec's, else from the path or hub id]")
_OTHERS = (
    click.option("--split", help="Split to read  [default: train where there is one, else the only one]"),
    click.option(
        "--spec",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Column roles (YAML), instead of inference.",
    ),
    click.option(
        "--roles",
        multiple=True,
        metavar="ROLE=COLUMN",
        help="Column roles in short, above the spec and the inference: 'text=title,body label=stars'. Roles: "
        "text, label, labels, answer, options, messages, tags, spans, chosen, rejected, scores; a path such as "
        "answers.text[0] reaches into a nested column.",
    ),
    click.option(
        "--delimiter",
        metavar="MARK",
        help="Separator of a CSV or TSV file, such as ';' or tab  [default: decided on the whole file]",
    ),
    click.option(
        "--quote",
        metavar="MARK",
        help="Quote of a CSV or TSV file: '\"', \"'\", or none where quotes are plain characters  "
        "[default: decided on the whole file]",
    ),
    click.option(
        "--language",
        metavar="CODE",
        help="Language of the texts, such as de  [default: the spec's, else guessed from the words]",
    ),
)


def reading_options(command: Command) -> Command:
    """--name, --split, --spec, --roles, --delimiter, --quote and --language: fields of a `Request`."""
    return _NAME(unnamed_reading_options(command))


def unnamed_reading_options(command: Command) -> Command:
    """The same without --name, for commands that store nothing."""
    for option in reversed(_OTHERS):
        command = option(command)
    return command

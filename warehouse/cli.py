"""The commands of this room, in the order of the help."""

from __future__ import annotations

import click

from traitcast.warehouse.commands.datasets import card, compare, datasets, show
from traitcast.warehouse.commands.scores import scores
from traitcast.warehouse.commands.sql import sql

COMMANDS: tuple[click.Command, ...] = (datasets, show, compare, card, sql, scores)

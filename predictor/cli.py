"""The commands of this room, in the order of their help."""

from __future__ import annotations

import click

from traitcast.predictor.commands.fit import evaluate, fit
from traitcast.predictor.commands.predict import explain, impact, predict, rank, whatif
from traitcast.predictor.commands.report import report
from traitcast.predictor.commands.study import effects, interventions, latent

COMMANDS: tuple[click.Command, ...] = (
    fit,
    evaluate,
    predict,
    rank,
    impact,
    explain,
    whatif,
    effects,
    interventions,
    latent,
    report,
)

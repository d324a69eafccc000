"""Charts of plain rows, drawn with Vega-Altair.

Owns how every chart looks (two colours for the sign that colour-blind people can tell apart, with a contrast of 3:1 or
more on white and on black) and how it is written: as PNG or SVG, or compiled for a page that brings its own rows. Does
not read a warehouse, fetches nothing, and imports Altair and vl-convert only when a chart is drawn.
"""

from __future__ import annotations

from traitcast.warehouse.charts.drawing import compiled, plot_option, runtime, svg, write
from traitcast.warehouse.charts.factor_map import biplot, with_places
from traitcast.warehouse.charts.kinds import (
    GROUPS,
    bars,
    colour_limit,
    heatmap,
    histogram,
    intervals,
    percentiles,
    shares,
    stacked,
    swarm,
    waterfall,
    waterfall_of,
    waterfall_rows,
)
from traitcast.warehouse.charts.parts import ALSO, DATA, DOWN, NEUTRAL, UP

__all__ = [
    "ALSO",
    "DATA",
    "DOWN",
    "GROUPS",
    "NEUTRAL",
    "UP",
    "bars",
    "biplot",
    "colour_limit",
    "compiled",
    "heatmap",
    "histogram",
    "intervals",
    "percentiles",
    "plot_option",
    "runtime",
    "shares",
    "stacked",
    "svg",
    "swarm",
    "waterfall",
    "waterfall_of",
    "waterfall_rows",
    "with_places",
    "write",
]

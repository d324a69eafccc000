"""What the charts share: colours, fonts, and the parts of a Vega-Altair specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, Any]]

# Against #ffffff and #14171a: blue 3.9 and 4.6, orange 3.4 and 5.3, grey 3.7 and 4.9, green 3.5 and 5.2.
UP, DOWN, NEUTRAL, ALSO = "#3d85c6", "#d5700f", "#7f8790", "#2c9a77"
FAINT, GRID = "rgba(127,135,144,0.10)", "rgba(127,135,144,0.28)"
INK, PAPER = "#1b1f24", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', sans-serif"
# A file is laid out here and read elsewhere: these share one set of widths, and one of them is nearly everywhere.
FILE_FONT = "Arial, 'Liberation Sans', Arimo, Helvetica, sans-serif"
# Where none of them is, letters come out up to a fifth wider. 11 pixels of Arial take some 6 a letter.
LETTER, WIDER = 6.0, 0.2
# One table of rows in every chart; a page puts its own rows into the data set of this name.
DATA = "rows"
NAMES, TITLE = 280, 620
_STEP = 20


def data(rows: Rows) -> alt.InlineData:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows], name=DATA)


def by(field: str) -> alt.EncodingSortField:
    import altair as alt

    return alt.EncodingSortField(field, op="min")


def on_top(**more: Any) -> alt.Legend:
    """A legend above the chart, one entry a line where they do not fit next to each other."""
    import altair as alt

    return alt.Legend(orient="top", columns=alt.expr("width < 340 ? 1 : 0"), symbolOpacity=1, **more)


def few() -> alt.Axis:
    """Ticks that do not crowd a phone."""
    import altair as alt

    return alt.Axis(tickCount=alt.expr("ceil(width / 70)"), labelOverlap=True)


def names_axis() -> alt.Axis:
    """Labels that are names, cut at the signal `names` (pixels), which a narrow page sets lower."""
    import altair as alt

    return alt.Axis(labelLimit=alt.expr("names"), grid=False, ticks=False, domain=False, labelPadding=6)


def small(angle: int) -> alt.Axis:
    """Labels of the rows and columns of a heatmap, no higher than its cells."""
    import altair as alt

    size = alt.expr("clamp(y_step - 1, 8, 11)")
    return alt.Axis(labelAngle=angle, labelLimit=150, labelFontSize=size, grid=False, ticks=False, domain=False)


def rule_at(value: float) -> alt.Chart:
    import altair as alt

    return alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[3, 3], aria=False).encode(x=alt.datum(value))


def level_at(value: float) -> alt.Chart:
    import altair as alt

    return alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[3, 3], aria=False).encode(y=alt.datum(value))


def sized(
    layered: alt.LayerChart | alt.FacetChart, title: str, description: str, height: int | None = None
) -> alt.TopLevelMixin:
    import altair as alt

    tall = height if height is not None else alt.Step(_STEP)
    sized = layered.properties(title=title, description=description, width=460, height=tall)
    return sized.add_params(alt.param(name="names", value=NAMES)) if height is None else sized

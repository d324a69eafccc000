"""Pictures are to numbers here what `warehouse.console` is to tables: plain rows in, a Vega-Altair chart out.

Owns how every chart looks (two colours for the sign that colour-blind people can tell apart, each at 3:1 or more on
white and on black) and how it is written: PNG or SVG, or compiled for a page that brings its own rows. Reads no
warehouse, fetches nothing, and imports Altair and vl-convert only when a chart is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from warehouse.errors import UserError

if TYPE_CHECKING:
    import altair as alt

Command = TypeVar("Command", bound=Callable[..., Any])
Rows = Sequence[Mapping[str, Any]]

# Against #ffffff and #14171a: blue 3.9 and 4.6, orange 3.4 and 5.3, grey 3.7 and 4.9, green 3.5 and 5.2.
UP, DOWN, NEUTRAL, ALSO = "#3d85c6", "#d5700f", "#7f8790", "#2c9a77"
# Of a trait, where blue and orange would read as gain and loss: 3.2 and 4.9 on white, 5.5 and 3.6 on black.
_LOW, _HIGH = "#a78a2f", "#8a58c4"
_FAINT, _GRID = "rgba(127,135,144,0.10)", "rgba(127,135,144,0.28)"
_INK, _PAPER = "#1b1f24", "#ffffff"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', sans-serif"
_SUFFIXES = (".png", ".svg")
_STEP = 20
# One table of rows in every chart; a page puts its own rows into the data set of this name.
DATA = "rows"


class _Picture(click.Path):
    """A file to draw into: its ending and its folder are looked at before any work is done."""

    name = "picture"

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        file = Path(str(super().convert(value, param, ctx)))
        if file.suffix.lower() not in _SUFFIXES:
            self.fail(f"{str(value)!r} is no picture: a file name ends in {' or '.join(_SUFFIXES)}.", param, ctx)
        if not file.parent.is_dir():
            self.fail(f"there is no folder {str(file.parent)!r}. Make it first, or choose another.", param, ctx)
        return file


def plot_option(command: Command) -> Command:
    """--plot FILE, given to the command as `plot`: a Path ending in .png or .svg, or None."""
    return click.option(
        "--plot", type=_Picture(), metavar="FILE", help="Also draw it into FILE, which ends in .png or .svg."
    )(command)


# -- writing --------------------------------------------------------------------------------------------------


def write(chart: alt.TopLevelMixin, file: Path) -> None:
    """Draw into `file`, PNG at two pixels a point or SVG by its ending. Raises UserError if it cannot be written."""
    import vl_convert

    drawn = svg(chart).encode() if file.suffix.lower() == ".svg" else None
    if drawn is None:
        drawn = vl_convert.vegalite_to_png(_themed(chart), scale=2, allowed_base_urls=[])
    # Beside the destination first, so that a failure leaves no half picture.
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(drawn)
        os.replace(partial, file)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}. Choose another file with --plot.") from error
    finally:
        partial.unlink(missing_ok=True)


def svg(chart: alt.TopLevelMixin) -> str:
    """The chart as an SVG document, all text escaped, black on white."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_themed(chart), allowed_base_urls=[]))


def compiled(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as a Vega specification for a page, without background and with text in the page's own colour."""
    import vl_convert

    made = vl_convert.vegalite_to_vega(_themed(chart, ink="currentColor", paper=None))
    return made if isinstance(made, dict) else dict(made)


@cache
def runtime() -> str:
    """The Vega libraries (BSD-3) as one script of 0.9 MB that needs no network and sets `vegaEmbed`."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _themed(chart: alt.TopLevelMixin, ink: str = _INK, paper: str | None = _PAPER) -> dict[str, Any]:
    spec = chart.to_dict()
    text = {"labelColor": ink, "titleColor": ink, "labelFont": _FONT, "titleFont": _FONT}
    spec["config"] = {
        "background": paper,
        "font": _FONT,
        "view": {"stroke": None},
        "text": {"color": ink, "font": _FONT, "fontSize": 11},
        "axis": {
            **text,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "gridColor": _GRID,
            "domainColor": _GRID,
            "tickColor": _GRID,
            "titlePadding": 8,
        },
        "legend": {**text, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "symbolSize": 70},
        "title": {"color": ink, "font": _FONT, "fontSize": 13, "anchor": "start", "subtitleColor": ink, "offset": 10},
    }
    spec.setdefault("padding", 12 if paper else 2)
    spec["autosize"] = {"type": "pad"} if paper else spec.get("autosize", {"type": "pad"})
    return dict(spec)


# -- charts ---------------------------------------------------------------------------------------------------


def heatmap(rows: Rows, *, title: str = "", limit: float | None = None, ink: str = _INK) -> alt.TopLevelMixin:
    """Gains of every source on every target, as coloured squares around 0 pp.

    rows: source, target, gain (pp), shown, error, seeds, written (texts, the last one inside the cell), source_order,
    target_order (positions). limit: the gain at which colours end, default the 95th percentile of |gain|. ink: of weak
    cells' text. A page may set the signals `limit`, `x_step` and `y_step`.
    """
    import altair as alt

    if limit is None:
        limit = colour_limit([abs(row["gain"]) for row in rows if row["gain"] is not None])
    ends = alt.Scale(
        domain=[alt.expr("-limit"), 0, alt.expr("limit")],
        range=[DOWN, _FAINT, UP],
        clamp=True,
        interpolate="rgb",
    )
    side = max(9, min(30, 900 // max(1, len({row["target"] for row in rows}))))
    across = alt.X("target:N", title="scored on (target)", sort=_by("target_order"), axis=_small(270))
    down = alt.Y("source:N", title="tuned on (source)", sort=_by("source_order"), axis=_small(0))
    cells = (
        alt.Chart(_data(rows))
        .mark_rect(aria=False, tooltip=True)
        .encode(
            x=across,
            y=down,
            color=alt.Color(
                "gain:Q",
                title="gain, pp",
                scale=ends,
                legend=alt.Legend(orient="top", gradientLength=180, format="+.3~g"),
            ),
            stroke=alt.condition("datum.source === datum.target", alt.value(NEUTRAL), alt.value(None)),
            tooltip=[
                alt.Tooltip("source:N"),
                alt.Tooltip("target:N"),
                alt.Tooltip("shown:N", title="gain"),
                alt.Tooltip("error:N", title="standard error"),
                alt.Tooltip("seeds:N", title="seeds"),
            ],
        )
    )
    words = (
        alt.Chart(_data(rows))
        .mark_text(aria=False, fontSize=10, tooltip=None)
        .encode(
            x=across,
            y=down,
            text="written:N",
            # Light text would be lost on a strong colour, on a dark page too.
            color=alt.condition("abs(datum.gain) > 0.55 * limit", alt.value("#0b0d0f"), alt.value(ink)),
        )
    )
    return (
        alt.layer(cells, words)
        .add_params(alt.param(name="limit", value=limit))
        .properties(
            title=title,
            description="Gain in pp of every source on every target, as colours.",
            width=alt.Step(side),
            height=alt.Step(side),
        )
    )


def colour_limit(sizes: Sequence[float]) -> float:
    """Where the colours end: the 95th percentile, so that one wild cell does not bleach all others; never 0."""
    ordered = sorted(sizes)
    return max(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1e-9) if ordered else 1.0


def intervals(rows: Rows, *, title: str = "", axis: str = "gain, pp", zero: bool = True) -> alt.TopLevelMixin:
    """Values with their intervals, a line each, from the top in the order given.

    rows: name, value, low, high, group (its colour and shape), shown (text), order.
    """
    import altair as alt

    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="value"), alt.Tooltip("group:N")],
    )
    colour = alt.Color("group:N", title=None, sort=None, scale=_groups(), legend=_on_top())
    span = base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
        x=alt.X("low:Q", title=axis, scale=alt.Scale(zero=zero, nice=True), axis=_few()), x2="high:Q", color=colour
    )
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title=axis),
        color=colour,
        shape=alt.Shape(
            "group:N", sort=None, scale=alt.Scale(range=["circle", "diamond", "square", "triangle"]), legend=None
        ),
        description=alt.Description("shown:N"),
    )
    layers = [span, dot] if not zero else [_rule_at(0), span, dot]
    return _sized(alt.layer(*layers), title, "Values with their intervals, one line each.")


def waterfall(start: float, steps: Sequence[tuple[str, float]], *, title: str = "") -> alt.TopLevelMixin:
    """From `start` (pp) to start + the sum of all steps, one bar each, in the order given."""
    return waterfall_of(waterfall_rows(start, steps), title=title)


def waterfall_rows(start: float, steps: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """The bars of a waterfall: name, left, right, kind, shown, order."""
    rows = [_bar(0, "base value", 0.0, start, "total", _signed(start))]
    at = start
    names = _told_apart([name for name, _ in steps])
    for i, (name, (_, step)) in enumerate(zip(names, steps, strict=True), start=1):
        rows.append(_bar(i, name, at, at + step, "raises" if step >= 0 else "lowers", _signed(step)))
        at += step
    rows.append(_bar(len(steps) + 1, "prediction", 0.0, at, "total", _signed(at)))
    return rows


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names as they are, but a repeated one numbered: lines of one name would lie on each other."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def _bar(order: int, name: str, start: float, end: float, kind: str, shown: str) -> dict[str, Any]:
    left, right = sorted((start, end))
    return {"name": name, "left": left, "right": right, "kind": kind, "shown": shown, "order": order}


def waterfall_of(rows: Rows, *, title: str = "") -> alt.TopLevelMixin:
    """A waterfall from its bars, see `waterfall_rows`."""
    import altair as alt

    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="pp")],
    )
    kinds = alt.Scale(domain=["raises", "lowers", "total"], range=[UP, DOWN, NEUTRAL])
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("left:Q", title="pp", scale=alt.Scale(padding=40), axis=_few()),
        x2="right:Q",
        color=alt.Color("kind:N", title=None, scale=kinds, legend=_on_top()),
        description=alt.Description("shown:N"),
    )
    label = base.mark_text(align="left", dx=4, aria=False).encode(x="right:Q", text="shown:N")
    return _sized(alt.layer(_rule_at(0), bars, label), title, "Steps from the base value to the prediction, in pp.")


def percentiles(rows: Rows, *, title: str = "") -> alt.TopLevelMixin:
    """Where traits of one or two datasets stand among the reference datasets, 0 to 100, 50 being usual.

    rows: name (the trait), dataset, percentile, shown (its value as text), order.
    """
    import altair as alt

    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(_data(rows)).encode(y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()))
    axis = alt.Axis(values=[0, 10, 50, 90, 100])
    line = base.mark_rule(color=NEUTRAL, strokeWidth=2, opacity=0.6, aria=False).encode(
        x=alt.X("min(percentile):Q", scale=scale, axis=axis, title="percentile among the reference datasets"),
        x2="max(percentile):Q",
    )
    dot = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("percentile:Q", scale=scale, title="percentile among the reference datasets"),
        color=alt.Color("dataset:N", title=None, sort=_by("dataset_order"), scale=_groups(), legend=_on_top()),
        shape=alt.Shape(
            "dataset:N", sort=_by("dataset_order"), scale=alt.Scale(range=["circle", "diamond"]), legend=None
        ),
        tooltip=[
            alt.Tooltip("name:N", title="trait"),
            alt.Tooltip("dataset:N"),
            alt.Tooltip("shown:N", title="value"),
            alt.Tooltip("percentile:Q", format=".0f"),
        ],
    )
    text = "Percentiles of traits among the reference datasets."
    return _sized(alt.layer(_rule_at(50), line, dot), title, text)


def bars(rows: Rows, *, title: str = "", axis: str = "") -> alt.TopLevelMixin:
    """One bar a row from 0, coloured by sign. rows: name, value, shown, order."""
    import altair as alt

    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="value")],
    )
    bar = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("value:Q", title=axis, axis=_few()),
        color=alt.condition("datum.value < 0", alt.value(DOWN), alt.value(UP)),
        description=alt.Description("shown:N"),
    )
    return _sized(alt.layer(_rule_at(0), bar), title, "Bars, one a line.")


def swarm(rows: Rows, *, title: str = "", axis: str = "shap, pp") -> alt.TopLevelMixin:
    """Many values a line as dots, coloured by how high the trait is. rows: name, value, level 0..1, offset, order."""
    import altair as alt

    dots = (
        alt.Chart(_data(rows))
        .mark_circle(size=14, opacity=0.65, aria=False)
        .encode(
            x=alt.X("value:Q", title=axis),
            y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
            yOffset=alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1.6, 1.6])),
            color=alt.Color(
                "level:Q",
                title="value of the trait, low to high",
                scale=alt.Scale(domain=[0, 1], range=[_LOW, _HIGH], interpolate="rgb"),
                legend=alt.Legend(orient="top", labelOpacity=0, gradientLength=140),
            ),
        )
    )
    return _sized(alt.layer(_rule_at(0), dots), title, "What each trait adds over many pairs, a dot for a pair.")


def biplot(rows: Rows, *, title: str = "", x: str = "factor 1", y: str = "factor 2") -> alt.TopLevelMixin:
    """Two factors: sources as points, targets as lines from the origin.

    rows: name, side ("source" or "target"), x, y, label (the name where it is written beside the point, else "").
    """
    import altair as alt

    colour = alt.Color(
        "side:N",
        title=None,
        scale=alt.Scale(domain=["source", "target"], range=[UP, DOWN]),
        legend=alt.Legend(orient="top", symbolType="circle", symbolOpacity=1),
    )
    where = {"x": alt.X("x:Q", title=x), "y": alt.Y("y:Q", title=y)}
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip("side:N"),
        alt.Tooltip("x:Q", title="across", format="+.3f"),
        alt.Tooltip("y:Q", title="up", format="+.3f"),
    ]
    base = alt.Chart(_data(rows)).encode(color=colour)
    rules = (
        base.transform_filter("datum.side === 'target'")
        .mark_rule(opacity=0.5, strokeWidth=1.3, aria=False)
        .encode(**where, x2=alt.datum(0), y2=alt.datum(0))
    )
    dots = base.mark_point(filled=True, size=50, opacity=0.9).encode(
        **where,
        tooltip=tooltip,
        shape=alt.Shape(
            "side:N", title=None, scale=alt.Scale(domain=["source", "target"], range=["circle", "diamond"]), legend=None
        ),
    )
    text = (
        alt.Chart(_data(rows))
        .mark_text(align="left", dx=6, dy=-4, fontSize=10, aria=False, limit=130)
        .encode(**where, text="label:N")
    )
    layered = alt.layer(_rule_at(0), _level_at(0), rules, dots, text)
    return _sized(layered, title, "Sources and targets on two latent factors.", height=460)


def _data(rows: Rows) -> alt.InlineData:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows], name=DATA)


def _by(field: str) -> alt.EncodingSortField:
    import altair as alt

    return alt.EncodingSortField(field, op="min")


def _groups() -> alt.Scale:
    import altair as alt

    return alt.Scale(range=[UP, DOWN, NEUTRAL, ALSO])


def _on_top() -> alt.Legend:
    """A legend above, one entry a line where they would not fit beside each other."""
    import altair as alt

    return alt.Legend(orient="top", columns=alt.expr("width < 340 ? 1 : 0"), symbolOpacity=1)


def _few() -> alt.Axis:
    """Ticks that do not crowd a phone."""
    import altair as alt

    return alt.Axis(tickCount=alt.expr("ceil(width / 70)"), labelOverlap=True)


def _names() -> alt.Axis:
    """Labels that are names, cut at the signal `names` (pixels), which a narrow page sets lower."""
    import altair as alt

    return alt.Axis(labelLimit=alt.expr("names"), grid=False, ticks=False, domain=False, labelPadding=6)


def _small(angle: int) -> alt.Axis:
    """Labels of the rows and columns of a heatmap, no higher than its cells."""
    import altair as alt

    size = alt.expr("clamp(y_step - 1, 8, 11)")
    return alt.Axis(labelAngle=angle, labelLimit=150, labelFontSize=size, grid=False, ticks=False, domain=False)


def _rule_at(value: float) -> alt.Chart:
    import altair as alt

    return alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[3, 3], aria=False).encode(x=alt.datum(value))


def _level_at(value: float) -> alt.Chart:
    import altair as alt

    return alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[3, 3], aria=False).encode(y=alt.datum(value))


def _sized(
    layered: alt.LayerChart | alt.FacetChart, title: str, description: str, height: int | None = None
) -> alt.TopLevelMixin:
    import altair as alt

    tall = height if height is not None else alt.Step(_STEP)
    sized = layered.properties(title=title, description=description, width=460, height=tall)
    return sized.add_params(alt.param(name="names", value=280)) if height is None else sized

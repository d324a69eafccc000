"""Pictures are to numbers here what `warehouse.console` is to tables: plain rows in, a Vega-Altair chart out.

Owns how every chart looks (two colours for the sign that colour-blind people can tell apart, each at 3:1 or more on
white and on black) and how it is written: PNG or SVG, or compiled for a page that brings its own rows. Reads no
warehouse, fetches nothing, and imports Altair and vl-convert only when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse import files
from traitcast.warehouse.console import Command, visible, width
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, Any]]

# Against #ffffff and #14171a: blue 3.9 and 4.6, orange 3.4 and 5.3, grey 3.7 and 4.9, green 3.5 and 5.2.
UP, DOWN, NEUTRAL, ALSO = "#3d85c6", "#d5700f", "#7f8790", "#2c9a77"
# Of a trait, where blue and orange would read as gain and loss: 3.2 and 4.9 on white, 5.5 and 3.6 on black.
_LOW, _HIGH = "#a78a2f", "#8a58c4"
_FAINT, _GRID = "rgba(127,135,144,0.10)", "rgba(127,135,144,0.28)"
_INK, _PAPER = "#1b1f24", "#ffffff"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', sans-serif"
# A file is laid out here and read elsewhere: these share one set of widths, and one of them is nearly everywhere.
_FILE_FONT = "Arial, 'Liberation Sans', Arimo, Helvetica, sans-serif"
# Where none of them is, letters come out up to a fifth wider. 11 pixels of Arial take some 6 a letter.
_LETTER, _WIDER = 6.0, 0.2
_SUFFIXES = (".png", ".svg")
_STEP = 20
# One table of rows in every chart; a page puts its own rows into the data set of this name.
DATA = "rows"
_NAMES, _TITLE = 280, 620
# What a dot of `intervals` stands for, and how it looks wherever it does: blue is the predictor, green a measurement.
GROUPS = {
    "predicted": (UP, "circle"),
    "extrapolation": (NEUTRAL, "square"),
    "measured": (ALSO, "diamond"),
    "predictor": (UP, "circle"),
    "baseline": (NEUTRAL, "square"),
    "ceiling": (ALSO, "diamond"),
}
# A map places its names for plots of so many pixels across; a plot in between takes the next narrower.
_MAP_WIDTHS = (240, 320, 460, 700, 980)
_MAP_HEIGHT, _MAP_EDGE, _MAP_NAME = 460, 18, 130


class _Picture(click.Path):
    """A file to draw into: its ending and its folder are looked at before any work is done."""

    name = "picture"

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        file = Path(str(super().convert(value, param, ctx)))
        if file.suffix.lower() not in _SUFFIXES:
            self.fail(f"{str(value)!r} is no picture: a file name ends in {' or '.join(_SUFFIXES)}.", param, ctx)
        try:
            files.check_output(file, cure="Choose another file.")
        except UserError as error:
            self.fail(str(error), param, ctx)
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
    files.write(file, drawn, cure="Choose another file with --plot.")


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
    spec = visible(chart.to_dict())
    font = _FILE_FONT if paper else _FONT
    text = {"labelColor": ink, "titleColor": ink, "labelFont": font, "titleFont": font}
    spec["config"] = {
        "background": paper,
        "font": font,
        "view": {"stroke": None},
        "text": {"color": ink, "font": font, "fontSize": 11},
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
        "title": {
            "color": ink,
            "font": font,
            "fontSize": 13,
            "anchor": "start",
            "limit": _TITLE,
            "subtitleColor": ink,
            "subtitleFont": font,
            "offset": 10,
        },
    }
    spec.setdefault("padding", {"left": _room(spec), "right": 20, "top": 12, "bottom": 12} if paper else 2)
    spec["autosize"] = {"type": "pad"} if paper else spec.get("autosize", {"type": "pad"})
    return dict(spec)


def _room(spec: Any) -> int:
    """Pixels to leave on the left, so that names fit in a wider font than the one they were measured in."""
    longest = max((_LETTER * width(str(row["name"])) for row in _drawn(spec) if "name" in row), default=0.0)
    return 12 + round(_WIDER * min(longest, _NAMES))


def _drawn(spec: Any) -> Iterator[Mapping[str, Any]]:
    """Every row in a specification, wherever it stands."""
    if isinstance(spec, Mapping):
        if spec.get("name") == DATA:
            yield from spec.get("values", ())
        for part in spec.values():
            yield from _drawn(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from _drawn(part)


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

    rows: name, value, low, high, group (one of GROUPS: its colour and shape), shown (text), order. A page may set the
    signal `groups`, the groups that the legend names.
    """
    import altair as alt

    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="value"), alt.Tooltip("group:N")],
    )
    colour = alt.Color(
        "group:N",
        title=None,
        sort=None,
        scale=alt.Scale(domain=list(GROUPS), range=[colour for colour, _ in GROUPS.values()]),
        legend=_on_top(values=alt.expr("groups")),
    )
    span = base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
        x=alt.X("low:Q", title=axis, scale=alt.Scale(zero=zero, nice=True), axis=_few()), x2="high:Q", color=colour
    )
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title=axis),
        color=colour,
        shape=alt.Shape(
            "group:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=list(GROUPS), range=[shape for _, shape in GROUPS.values()]),
            legend=_on_top(values=alt.expr("groups")),
        ),
        description=alt.Description("shown:N"),
    )
    layers = [span, dot] if not zero else [_rule_at(0), span, dot]
    used = {row["group"] for row in rows}
    named = alt.param(name="groups", value=[group for group in GROUPS if group in used])
    return _sized(alt.layer(*layers).add_params(named), title, "Values with their intervals, one line each.")


def waterfall(
    start: float, steps: Sequence[tuple[str, float]], *, title: str = "", axis: str = "pp"
) -> alt.TopLevelMixin:
    """From `start` (pp) to start + the sum of all steps, one bar each, in the order given."""
    return waterfall_of(waterfall_rows(start, steps), title=title, axis=axis)


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


def waterfall_of(rows: Rows, *, title: str = "", axis: str = "pp") -> alt.TopLevelMixin:
    """A waterfall from its bars, see `waterfall_rows`."""
    import altair as alt

    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=_by("order"), axis=_names()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="pp")],
    )
    kinds = alt.Scale(domain=["raises", "lowers", "total"], range=[UP, DOWN, NEUTRAL])
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("left:Q", title=axis, scale=alt.Scale(padding=48), axis=_few()),
        x2="right:Q",
        color=alt.Color("kind:N", title=None, scale=kinds, legend=_on_top()),
        description=alt.Description("shown:N"),
    )
    # On the outer side of its bar, where the line at 0 cannot run through it.
    below = "datum.right < 0 || (datum.right === 0 && datum.left < 0)"
    label = (
        base.transform_calculate(outer=f"{below} ? datum.left : datum.right")
        .mark_text(align=alt.expr(f"{below} ? 'right' : 'left'"), dx=alt.expr(f"{below} ? -4 : 4"), aria=False)
        .encode(x="outer:Q", text="shown:N")
    )
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
        color=alt.Color(
            "dataset:N", title=None, sort=_by("dataset_order"), scale=alt.Scale(range=[UP, DOWN]), legend=_on_top()
        ),
        shape=alt.Shape(
            "dataset:N",
            title=None,
            sort=_by("dataset_order"),
            scale=alt.Scale(range=["circle", "diamond"]),
            legend=_on_top(),
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


def biplot(
    rows: Rows, *, title: str = "", x: str = "factor 1", y: str = "factor 2", words: Sequence[str] = ()
) -> alt.TopLevelMixin:
    """Two factors: sources as points, targets as lines from the origin.

    rows: name, side ("source" or "target"), x, y (where it is drawn), across, up (its values, for the tooltip), places
    (see `with_places`). words: lines under the title.
    """
    import altair as alt

    sides = ["source", "target"]
    colour = alt.Color("side:N", title=None, scale=alt.Scale(domain=sides, range=[UP, DOWN]), legend=_on_top())
    # As `with_places` lays names out.
    exact = alt.Scale(nice=False, zero=False, padding=_MAP_EDGE)
    where = {"x": alt.X("x:Q", title=x, scale=exact), "y": alt.Y("y:Q", title=y, scale=exact)}
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip("side:N"),
        alt.Tooltip("across:Q", format="+.3f"),
        alt.Tooltip("up:Q", format="+.3f"),
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
            "side:N", title=None, scale=alt.Scale(domain=sides, range=["circle", "diamond"]), legend=_on_top()
        ),
    )
    narrower = " + ".join(f"(width >= {wide})" for wide in _MAP_WIDTHS[1:])
    text = (
        alt.Chart(_data(rows))
        .transform_calculate(side_of="datum.places[map_width]")
        .transform_filter("datum.side_of !== '-'")
        .mark_text(
            align=alt.expr("datum.side_of === 'l' ? 'right' : 'left'"),
            dx=alt.expr("datum.side_of === 'l' ? -7 : 7"),
            fontSize=10,
            aria=False,
            limit=_MAP_NAME,
        )
        .encode(**where, text="name:N")
    )
    layered = alt.layer(_rule_at(0), _level_at(0), rules, dots, text).add_params(
        alt.param(name="map_width", expr=narrower)
    )
    sized = _sized(layered, title, "Sources and targets on two latent factors.", height=_MAP_HEIGHT)
    return sized.properties(title=alt.Title(title, subtitle=list(words))) if words else sized


def with_places(rows: Rows) -> list[dict[str, Any]]:
    """Rows of a map with `places`: for every width of _MAP_WIDTHS a letter that says where its name is written.

    r: right of the point, l: left, -: nowhere, since it would lie on a point, on another name or over the edge. Names
    far from the middle are placed first: the ends are what a factor is read by.
    """
    placed = [_placed(rows, wide) for wide in _MAP_WIDTHS]
    return [dict(row) | {"places": "".join(by[i] for by in placed)} for i, row in enumerate(rows)]


def _placed(rows: Rows, wide: int) -> list[str]:
    """The letters of all rows for one width of the plot."""
    spots = list(
        zip(_pixels([row["x"] for row in rows], wide), _pixels([row["y"] for row in rows], _MAP_HEIGHT), strict=True)
    )
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    letters = ["-"] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: (-(rows[i]["x"] ** 2 + rows[i]["y"] ** 2), i)):
        (x, y), long = spots[i], min(_LETTER * width(str(rows[i]["name"])), _MAP_NAME)
        sides = [("r", (x + 6, y - 6, x + 8 + long, y + 6)), ("l", (x - 8 - long, y - 6, x - 6, y + 6))]
        for letter, box in sides if x >= wide / 2 else sides[::-1]:
            if box[0] >= 0 and box[2] <= wide and not any(_overlap(box, other) for other in taken):
                letters[i] = letter
                taken.append(box)
                break
    return letters


def _pixels(values: Sequence[float], size: int) -> list[float]:
    """Where a scale with 0 in its domain and _MAP_EDGE pixels around draws these values."""
    low, high = min([0.0, *values]), max([0.0, *values])
    return [_MAP_EDGE + (v - low) / ((high - low) or 1.0) * (size - 2 * _MAP_EDGE) for v in values]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _data(rows: Rows) -> alt.InlineData:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows], name=DATA)


def _by(field: str) -> alt.EncodingSortField:
    import altair as alt

    return alt.EncodingSortField(field, op="min")


def _on_top(**more: Any) -> alt.Legend:
    """A legend above, one entry a line where they would not fit beside each other."""
    import altair as alt

    return alt.Legend(orient="top", columns=alt.expr("width < 340 ? 1 : 0"), symbolOpacity=1, **more)


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
    return sized.add_params(alt.param(name="names", value=_NAMES)) if height is None else sized

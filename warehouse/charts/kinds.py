"""The kinds of charts: plain rows in, a Vega-Altair chart out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from traitcast.warehouse.charts.parts import (
    ALSO,
    DATA,
    DOWN,
    FAINT,
    INK,
    NEUTRAL,
    UP,
    Rows,
    by,
    data,
    few,
    names_axis,
    on_top,
    rule_at,
    sized,
    small,
)

if TYPE_CHECKING:
    import altair as alt

# Of a trait, where blue and orange would read as gain and loss: 3.2 and 4.9 on white, 5.5 and 3.6 on black.
_LOW, _HIGH = "#a78a2f", "#8a58c4"
# Groups of dots in `intervals`, with colour and shape: blue is the predictor, green a measurement.
GROUPS = {
    "predicted": (UP, "circle"),
    "extrapolation": (NEUTRAL, "square"),
    "measured": (ALSO, "diamond"),
    "predictor": (UP, "circle"),
    "baseline": (NEUTRAL, "square"),
    "ceiling": (ALSO, "diamond"),
}


def heatmap(rows: Rows, *, title: str = "", limit: float | None = None, ink: str = INK) -> alt.TopLevelMixin:
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
        range=[DOWN, FAINT, UP],
        clamp=True,
        interpolate="rgb",
    )
    side = max(9, min(30, 900 // max(1, len({row["target"] for row in rows}))))
    across = alt.X("target:N", title="scored on (target)", sort=by("target_order"), axis=small(270))
    down = alt.Y("source:N", title="tuned on (source)", sort=by("source_order"), axis=small(0))
    cells = (
        alt.Chart(data(rows))
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
        alt.Chart(data(rows))
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


def intervals(
    rows: Rows, *, title: str = "", axis: str = "gain, pp", zero: bool = True, words: Sequence[str] = ()
) -> alt.TopLevelMixin:
    """Values with their intervals, a line each, from the top in the order given; under the title what to know of them.

    rows: name, value, low, high, group (one of GROUPS: its colour and shape), shown (text), order. A page may set the
    signal `groups`, the groups that the legend names.
    """
    import altair as alt

    base = alt.Chart(data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="value"), alt.Tooltip("group:N")],
    )
    colour = alt.Color(
        "group:N",
        title=None,
        sort=None,
        scale=alt.Scale(domain=list(GROUPS), range=[colour for colour, _ in GROUPS.values()]),
        legend=on_top(values=alt.expr("groups")),
    )
    span = base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
        x=alt.X("low:Q", title=axis, scale=alt.Scale(zero=zero, nice=True), axis=few()), x2="high:Q", color=colour
    )
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title=axis),
        color=colour,
        shape=alt.Shape(
            "group:N",
            title=None,
            sort=None,
            scale=alt.Scale(domain=list(GROUPS), range=[shape for _, shape in GROUPS.values()]),
            legend=on_top(values=alt.expr("groups")),
        ),
        description=alt.Description("shown:N"),
    )
    layers = [span, dot] if not zero else [rule_at(0), span, dot]
    used = {row["group"] for row in rows}
    named = alt.param(name="groups", value=[group for group in GROUPS if group in used])
    drawn = sized(alt.layer(*layers).add_params(named), title, "Values with their intervals, one line each.")
    return drawn.properties(title=alt.Title(title, subtitle=list(words))) if words else drawn


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

    base = alt.Chart(data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="pp")],
    )
    kinds = alt.Scale(domain=["raises", "lowers", "total"], range=[UP, DOWN, NEUTRAL])
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("left:Q", title=axis, scale=alt.Scale(padding=48), axis=few()),
        x2="right:Q",
        color=alt.Color("kind:N", title=None, scale=kinds, legend=on_top()),
        description=alt.Description("shown:N"),
    )
    # On the outer side of its bar, where the line at 0 cannot run through it.
    below = "datum.right < 0 || (datum.right === 0 && datum.left < 0)"
    label = (
        base.transform_calculate(outer=f"{below} ? datum.left : datum.right")
        .mark_text(align=alt.expr(f"{below} ? 'right' : 'left'"), dx=alt.expr(f"{below} ? -4 : 4"), aria=False)
        .encode(x="outer:Q", text="shown:N")
    )
    return sized(alt.layer(rule_at(0), bars, label), title, "Steps from the base value to the prediction.")


def percentiles(rows: Rows, *, title: str = "") -> alt.TopLevelMixin:
    """Percentiles of traits of one or two datasets among the reference datasets, 0 to 100; 50 is usual.

    rows: name (the trait), dataset, percentile, shown (its value as text), order.
    """
    import altair as alt

    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(data(rows)).encode(y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()))
    axis = alt.Axis(values=[0, 10, 50, 90, 100])
    line = base.mark_rule(color=NEUTRAL, strokeWidth=2, opacity=0.6, aria=False).encode(
        x=alt.X("min(percentile):Q", scale=scale, axis=axis, title="percentile among the reference datasets"),
        x2="max(percentile):Q",
    )
    dot = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("percentile:Q", scale=scale, title="percentile among the reference datasets"),
        color=alt.Color(
            "dataset:N", title=None, sort=by("dataset_order"), scale=alt.Scale(range=[UP, DOWN]), legend=on_top()
        ),
        shape=alt.Shape(
            "dataset:N",
            title=None,
            sort=by("dataset_order"),
            scale=alt.Scale(range=["circle", "diamond"]),
            legend=on_top(),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="trait"),
            alt.Tooltip("dataset:N"),
            alt.Tooltip("shown:N", title="value"),
            alt.Tooltip("percentile:Q", format=".0f"),
        ],
    )
    text = "Percentiles of traits among the reference datasets."
    return sized(alt.layer(rule_at(50), line, dot), title, text)


def histogram(rows: Rows, *, axis: str, title: str = "") -> alt.TopLevelMixin:
    """Shares of the rows by size, of one dataset or of two over each other; sizes on a logarithmic axis that has 0.

    rows: those of `warehouse.distributions.histogram`.
    """
    import altair as alt

    several = len({row["dataset"] for row in rows}) > 1
    steps = [0, *(1 << power for power in range(21))]
    bar = (
        alt.Chart(data(rows))
        .mark_rect(opacity=0.55 if several else 0.85)
        .encode(
            x=alt.X(
                "low:Q",
                title=axis,
                scale=alt.Scale(type="symlog", constant=1, nice=False, zero=False),
                axis=alt.Axis(values=steps, labelOverlap=True, grid=False, format="~s"),
            ),
            x2="high:Q",
            y=alt.Y("share:Q", title="share of rows", axis=alt.Axis(format="%", tickCount=4)),
            y2=alt.datum(0),
            color=_of_dataset(several),
            description=alt.Description("shown:N"),
            tooltip=[alt.Tooltip("dataset:N"), alt.Tooltip("shown:N", title="rows")],
        )
    )
    return sized(alt.layer(bar), title, f"Shares of the rows by {axis}.", height=110)


def shares(rows: Rows, *, title: str = "", axis: str = "share of rows") -> alt.TopLevelMixin:
    """Shares of classes or languages as bars, a line for each, those of two datasets under each other.

    rows: those of `warehouse.distributions.classes` or `languages`.
    """
    import altair as alt

    several = len({row["dataset"] for row in rows}) > 1
    bar = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.85)
        .encode(
            y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()),
            x=alt.X("share:Q", title=axis, axis=alt.Axis(format="%", tickCount=5)),
            color=_of_dataset(several),
            description=alt.Description("shown:N"),
            tooltip=["dataset:N", alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="rows")],
            **({"yOffset": alt.YOffset("dataset:N", sort=by("dataset_order"))} if several else {}),
        )
    )
    made = sized(alt.layer(bar), title, "Shares, a line each.")
    return made.properties(height=26 * len({row["name"] for row in rows})) if several else made


def _of_dataset(several: bool) -> alt.Color | Any:
    import altair as alt

    if not several:
        return alt.value(UP)
    scale = alt.Scale(range=[UP, DOWN])
    return alt.Color("dataset:N", title=None, sort=by("dataset_order"), scale=scale, legend=on_top())


def stacked(charts: Sequence[Any], *, title: str = "") -> alt.TopLevelMixin:
    """Charts under each other, each with colours and axes of its own."""
    import altair as alt

    charts = [chart.copy(deep=True) for chart in charts]
    for number, chart in enumerate(charts):
        for part in (chart, *chart.layer):
            if isinstance(part.data, alt.InlineData):
                # Vega refuses two data sets of one name.
                part.data.name = f"{DATA}{number}"
    return alt.vconcat(*charts, title=title).resolve_scale(color="independent", shape="independent")


def bars(rows: Rows, *, title: str = "", axis: str = "") -> alt.TopLevelMixin:
    """One bar a row from 0, coloured by sign. rows: name, value, shown, order."""
    import altair as alt

    base = alt.Chart(data(rows)).encode(
        y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()),
        tooltip=[alt.Tooltip("name:N", title="of"), alt.Tooltip("shown:N", title="value")],
    )
    bar = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("value:Q", title=axis, axis=few()),
        color=alt.condition("datum.value < 0", alt.value(DOWN), alt.value(UP)),
        description=alt.Description("shown:N"),
    )
    return sized(alt.layer(rule_at(0), bar), title, "Bars, one a line.")


def swarm(rows: Rows, *, title: str = "", axis: str = "shap, pp") -> alt.TopLevelMixin:
    """Many values a line as dots, coloured by how high the trait is. rows: name, value, level 0..1, offset, order."""
    import altair as alt

    dots = (
        alt.Chart(data(rows))
        .mark_circle(size=14, opacity=0.65, aria=False)
        .encode(
            x=alt.X("value:Q", title=axis),
            y=alt.Y("name:N", title=None, sort=by("order"), axis=names_axis()),
            yOffset=alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1.6, 1.6])),
            color=alt.Color(
                "level:Q",
                title="value of the trait, low to high",
                scale=alt.Scale(domain=[0, 1], range=[_LOW, _HIGH], interpolate="rgb"),
                legend=alt.Legend(orient="top", labelOpacity=0, gradientLength=140),
            ),
        )
    )
    return sized(alt.layer(rule_at(0), dots), title, "What each trait adds over many pairs, a dot for a pair.")

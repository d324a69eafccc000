"""The map of two latent factors, and where its names are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from traitcast.warehouse.charts.parts import DOWN, LETTER, UP, Rows, data, level_at, on_top, rule_at, sized
from traitcast.warehouse.layout import width

if TYPE_CHECKING:
    import altair as alt

# A map places its names for plots of so many pixels across; a plot in between takes the next narrower.
_MAP_WIDTHS = (240, 320, 460, 700, 980)
_MAP_HEIGHT, _MAP_EDGE, _MAP_NAME = 460, 18, 130


def biplot(
    rows: Rows, *, title: str = "", x: str = "factor 1", y: str = "factor 2", words: Sequence[str] = ()
) -> alt.TopLevelMixin:
    """Two factors: sources as points, targets as lines from the origin.

    rows: name, side ("source" or "target"), x, y (where it is drawn), across, up (its values, for the tooltip), places
    (see `with_places`). words: lines under the title.
    """
    import altair as alt

    sides = ["source", "target"]
    colour = alt.Color("side:N", title=None, scale=alt.Scale(domain=sides, range=[UP, DOWN]), legend=on_top())
    # As `with_places` lays names out.
    exact = alt.Scale(nice=False, zero=False, padding=_MAP_EDGE)
    where = {"x": alt.X("x:Q", title=x, scale=exact), "y": alt.Y("y:Q", title=y, scale=exact)}
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip("side:N"),
        alt.Tooltip("across:Q", format="+.3f"),
        alt.Tooltip("up:Q", format="+.3f"),
    ]
    base = alt.Chart(data(rows)).encode(color=colour)
    rules = (
        base.transform_filter("datum.side === 'target'")
        .mark_rule(opacity=0.5, strokeWidth=1.3, aria=False)
        .encode(**where, x2=alt.datum(0), y2=alt.datum(0))
    )
    dots = base.mark_point(filled=True, size=50, opacity=0.9).encode(
        **where,
        tooltip=tooltip,
        shape=alt.Shape(
            "side:N", title=None, scale=alt.Scale(domain=sides, range=["circle", "diamond"]), legend=on_top()
        ),
    )
    narrower = " + ".join(f"(width >= {wide})" for wide in _MAP_WIDTHS[1:])
    text = (
        alt.Chart(data(rows))
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
    layered = alt.layer(rule_at(0), level_at(0), rules, dots, text).add_params(
        alt.param(name="map_width", expr=narrower)
    )
    drawn = sized(layered, title, "Sources and targets on two latent factors.", height=_MAP_HEIGHT)
    return drawn.properties(title=alt.Title(title, subtitle=list(words))) if words else drawn


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
        (x, y), long = spots[i], min(LETTER * width(str(rows[i]["name"])), _MAP_NAME)
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

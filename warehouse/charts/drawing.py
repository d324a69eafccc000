"""A chart into a PNG or SVG file, or compiled for a page that brings its own rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse import files
from traitcast.warehouse.charts.parts import DATA, FILE_FONT, FONT, GRID, INK, LETTER, NAMES, PAPER, TITLE, WIDER
from traitcast.warehouse.console import Command, visible
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.layout import width

if TYPE_CHECKING:
    import altair as alt

_SUFFIXES = (".png", ".svg")


class _Picture(click.Path):
    """A file to draw into, checked before any work is done: its ending, and that it can be written."""

    name = "picture"

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        file = Path(str(super().convert(value, param, ctx)))
        if file.suffix.lower() not in _SUFFIXES:
            self.fail(
                f"{str(value)!r} is not a picture; the file name must end in {' or '.join(_SUFFIXES)}.", param, ctx
            )
        try:
            files.check_output(file, cure="Choose another file.")
        except UserError as error:
            self.fail(str(error), param, ctx)
        return file


def plot_option(command: Command) -> Command:
    """--plot FILE, given to the command as `plot`: a Path ending in .png or .svg, or None."""
    return click.option("--plot", type=_Picture(), metavar="FILE", help="Also draw a chart into FILE (.png or .svg).")(
        command
    )


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


def _themed(chart: alt.TopLevelMixin, ink: str = INK, paper: str | None = PAPER) -> dict[str, Any]:
    spec = visible(chart.to_dict())
    font = FILE_FONT if paper else FONT
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
            "gridColor": GRID,
            "domainColor": GRID,
            "tickColor": GRID,
            "titlePadding": 8,
        },
        "legend": {**text, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "symbolSize": 70},
        "title": {
            "color": ink,
            "font": font,
            "fontSize": 13,
            "anchor": "start",
            "limit": TITLE,
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
    longest = max((LETTER * width(str(row["name"])) for row in _drawn(spec) if "name" in row), default=0.0)
    return 12 + round(WIDER * min(longest, NAMES))


def _drawn(spec: Any) -> Iterator[Mapping[str, Any]]:
    """Every row in a specification."""
    if isinstance(spec, Mapping):
        if str(spec.get("name")).startswith(DATA):
            yield from spec.get("values", ())
        for part in spec.values():
            yield from _drawn(part)
    elif isinstance(spec, list):
        for part in spec:
            yield from _drawn(part)

"""Charts: what is drawn where, text that stays text, and files that are whole or not there."""

from __future__ import annotations

import itertools
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.warehouse import charts
from traitcast.warehouse.charts import factor_map
from traitcast.warehouse.cli import compare, show
from traitcast.warehouse.errors import UserError

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</text><script>alert("x")</script>'


def texts(drawn: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def test_the_waterfall_ends_at_the_sum_of_its_steps() -> None:
    rows = charts.waterfall_rows(0.5, [("up", 2.0), ("down", -3.0), ("still", 0.0)])
    assert [(row["left"], row["right"], row["kind"]) for row in rows] == [
        (0.0, 0.5, "total"),
        (0.5, 2.5, "raises"),
        (-0.5, 2.5, "lowers"),
        (-0.5, -0.5, "raises"),
        (-0.5, 0.0, "total"),
    ]
    assert rows[-1]["shown"] == "\N{MINUS SIGN}0.50"


def test_steps_of_one_name_get_lines_of_their_own() -> None:
    rows = charts.waterfall_rows(0.0, [("same", 1.0), ("same", 1.0), ("other", 1.0)])
    assert [row["name"] for row in rows] == ["base value", "same", "same (2)", "other", "prediction"]


def test_the_waterfall_is_drawn_to_scale_and_escaped() -> None:
    drawn = charts.svg(charts.waterfall(0.5, [(HOSTILE, 2.0), ("down", -3.0)], title='a "b" <c>'))
    assert "<script" not in drawn
    assert HOSTILE in " ".join(texts(drawn))
    assert 'a "b" <c>' in texts(drawn)
    bars = [
        element.get("d", "")
        for element in ElementTree.fromstring(drawn).iter(f"{SVG}path")
        if element.get("aria-roledescription") == "bar"
    ]
    widths = [float(d.split("h")[1].split("v")[0]) for d in bars]
    assert widths[2] / widths[1] == pytest.approx(1.5)
    assert widths[0] == pytest.approx(widths[3])


def heat(n: int) -> list[dict[str, Any]]:
    return [
        {
            "source": f"s{i}",
            "target": f"t{j}",
            "gain": float(i - j),
            "shown": "",
            "error": "",
            "seeds": "",
            "written": "",
        }
        | {"source_order": n - i, "target_order": j}
        for i in range(n)
        for j in range(n)
    ]


def test_a_heatmap_keeps_the_given_order_and_has_zero_in_the_middle() -> None:
    drawn = charts.svg(charts.heatmap(heat(4)))
    assert [t for t in texts(drawn) if re.fullmatch(r"s\d", t)] == ["s3", "s2", "s1", "s0"]
    spec = charts.compiled(charts.heatmap([]))
    colour = next(scale for scale in spec["scales"] if scale["name"] == "color")
    assert colour["domain"] == [{"signal": "-limit"}, 0, {"signal": "limit"}]
    assert colour["range"][0] == charts.DOWN
    assert colour["range"][2] == charts.UP


def test_one_wild_cell_does_not_bleach_the_others() -> None:
    assert charts.colour_limit([1.0] * 99 + [1000.0]) == 1.0
    assert charts.colour_limit([]) == 1.0
    assert charts.colour_limit([0.0, 0.0]) > 0


INTERVAL = {"name": "n", "value": 1.0, "low": 0.0, "high": 2.0, "group": "predicted", "shown": "1", "order": 0}
DOT = {"name": "n", "dataset": "d", "percentile": 10, "shown": "1", "order": 0, "dataset_order": 0}
BAR = {"name": "n", "value": -1.0, "shown": "1", "order": 0}
SWARM = {"name": "n", "value": -1.0, "level": 0.5, "offset": 0.1, "order": 0}
POINT = {"name": "n", "side": "target", "x": 1.0, "y": -1.0, "across": 10.0, "up": -10.0}
EVERY = (
    (charts.heatmap, heat(2)),
    (charts.intervals, [INTERVAL]),
    (charts.waterfall_of, charts.waterfall_rows(0.0, [("a", 1.0)])),
    (charts.percentiles, [DOT]),
    (charts.bars, [BAR]),
    (charts.swarm, [SWARM]),
    (charts.biplot, charts.with_places([POINT])),
)


@pytest.mark.parametrize(("build", "rows"), EVERY, ids=lambda value: getattr(value, "__name__", ""))
def test_every_chart_draws_with_rows_and_without(build: Any, rows: list[dict[str, Any]]) -> None:
    full, empty = charts.svg(build(rows)), charts.svg(build([]))
    marks = [e for e in ElementTree.fromstring(full).iter(f"{SVG}path") if e.get("d")]
    assert len(marks) > len([e for e in ElementTree.fromstring(empty).iter(f"{SVG}path") if e.get("d")])


@pytest.mark.parametrize(("build", "rows"), EVERY, ids=lambda value: getattr(value, "__name__", ""))
def test_a_compiled_chart_takes_its_rows_and_its_ink_from_the_page(build: Any, rows: list[dict[str, Any]]) -> None:
    spec = charts.compiled(build([]))
    assert next(source for source in spec["data"] if source["name"] == charts.DATA)["values"] == []
    assert "background" not in spec or spec["background"] is None
    assert spec["config"]["axis"]["labelColor"] == "currentColor" if "config" in spec else "currentColor" in str(spec)
    assert "http" not in str({key: value for key, value in spec.items() if key != "$schema"})


def points(drawn: str) -> list[tuple[str, str]]:
    """Fill and kind of outline (the commands of its path) of every dot."""
    dots = [e for e in ElementTree.fromstring(drawn).iter(f"{SVG}path") if e.get("aria-roledescription") == "point"]
    return [(e.get("fill", ""), re.sub("[^A-Za-z]", "", e.get("d", ""))) for e in dots]


def test_colours_and_shapes_go_by_meaning_not_by_what_is_there() -> None:
    every = [INTERVAL | {"group": group, "order": i, "name": f"n{i}"} for i, group in enumerate(charts.GROUPS)]
    together = dict(zip(charts.GROUPS, points(charts.svg(charts.intervals(every))), strict=True))
    assert together["predicted"][0] == charts.UP
    assert len({together[group] for group in ("predicted", "extrapolation", "measured")}) == 3
    for row in every:
        drawn = charts.svg(charts.intervals([row]))
        assert points(drawn) == [together[row["group"]]]
        assert [text for text in texts(drawn) if text in charts.GROUPS] == [row["group"]]


def test_legends_carry_the_shapes() -> None:
    dots = [DOT, DOT | {"dataset": "e", "dataset_order": 1}]
    for chart in (charts.intervals([INTERVAL]), charts.percentiles(dots), charts.biplot(charts.with_places([POINT]))):
        (legend,) = charts.compiled(chart)["legends"]
        assert {"fill", "shape"} <= set(legend)


def placed(drawn: str, pattern: str) -> dict[str, tuple[float, str]]:
    """Where texts that match stand across, in pixels of the picture, and whether they start or end there."""
    root = ElementTree.fromstring(drawn)
    parents = {child: parent for parent in root.iter() for child in parent}
    found = {}
    for label in root.iter(f"{SVG}text"):
        if not re.fullmatch(pattern, label.text or ""):
            continue
        at, element = 0.0, label
        while element is not root:
            shift = re.match(r"translate\((-?[\d.]+)", element.get("transform") or "")
            at, element = at + (float(shift[1]) if shift else 0.0), parents[element]
        found[label.text or ""] = (at, label.get("text-anchor", ""))
    return found


def test_no_number_of_a_waterfall_stands_on_the_line_at_zero() -> None:
    drawn = charts.svg(charts.waterfall(-0.01, [("a", -3.0), ("b", 2.98), ("c", 0.04)]))
    numbers = placed(drawn, r"[+\u2212]\d\.\d\d")
    zero, _ = placed(drawn, "0|0.0")["0.0" if ">0.0<" in drawn else "0"]
    assert set(numbers) == {"\u22120.01", "\u22123.00", "+2.98", "+0.04", "+0.01"}
    for at, side in numbers.values():
        assert at >= zero if side == "start" else at <= zero
    assert {side for _, side in numbers.values()} == {"start", "end"}


def test_names_have_room_in_a_wider_font() -> None:
    name = "source response_conclusion_marker_rate"
    at, side = placed(charts.svg(charts.bars([BAR | {"name": name}])), name)[name]
    assert side == "end"
    # Arial takes 5.6 pixels a letter here, DejaVu Sans a fifth more.
    assert at >= 1.2 * 5.6 * len(name)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.text("abcdef_", min_size=1, max_size=30)),
        min_size=1,
        max_size=25,
    )
)
def test_names_on_a_map_neither_meet_nor_leave_it(spots: list[tuple[float, float, str]]) -> None:
    rows = charts.with_places([POINT | {"x": x, "y": y, "name": name} for x, y, name in spots])
    down = factor_map._pixels([row["y"] for row in rows], factor_map._MAP_HEIGHT)
    for step, wide in enumerate(factor_map._MAP_WIDTHS):
        across = factor_map._pixels([row["x"] for row in rows], wide)
        spans = []
        for row, x, y in zip(rows, across, down, strict=True):
            long = min(6 * len(row["name"]), factor_map._MAP_NAME)
            if (side := row["places"][step]) != "-":
                spans.append((x + 7, x + 7 + long, y) if side == "r" else (x - 7 - long, x - 7, y))
        assert all(left >= 0 and right <= wide for left, right, _ in spans)
        for (a, b, y), (c, d, z) in itertools.combinations(spans, 2):
            assert b <= c or d <= a or abs(y - z) >= 11


def test_a_lone_point_gets_its_name_at_every_width() -> None:
    (row,) = charts.with_places([POINT | {"name": "mnli"}])
    assert "-" not in row["places"]


def test_a_picture_shows_marks_that_would_turn_a_name() -> None:
    drawn = charts.svg(charts.bars([BAR | {"name": "\u202elive\u202c"}]))
    assert "\\u202elive\\u202c" in texts(drawn)
    assert "\u202e" not in drawn


def test_the_runtime_can_stand_in_a_page() -> None:
    made = charts.runtime()
    assert "vegaEmbed" in made
    assert len(made) < 1_500_000


def test_files_are_png_or_svg_and_whole(tmp_path: Path) -> None:
    charts.write(charts.bars([BAR]), tmp_path / "b.PNG")
    head = (tmp_path / "b.PNG").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", head[16:20])[0] > 600
    charts.write(charts.bars([BAR]), tmp_path / "b.svg")
    assert ElementTree.parse(tmp_path / "b.svg").getroot().tag == f"{SVG}svg"
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*folder.svg: .* --plot"):
        charts.write(charts.bars([BAR]), tmp_path / "folder.svg")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.PNG", "b.svg", "folder.svg"]


@pytest.mark.parametrize(
    ("given", "told"), [("x.jpg", r"end in \.png or \.svg"), ("no/x.png", "folder .*no does not exist")]
)
def test_a_picture_is_refused_before_the_work(given: str, told: str) -> None:
    @click.command()
    @charts.plot_option
    def work(plot: Path | None) -> None:
        raise AssertionError("worked")

    result = CliRunner().invoke(work, ["--plot", given])
    assert result.exit_code == 2
    assert re.search(told, result.stderr)


def test_show_and_compare_draw(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none.duckdb")
    shown, both = tmp_path / "show.svg", tmp_path / "compare.svg"
    assert CliRunner().invoke(show, ["sst2", "--warehouse", nowhere, "--plot", str(shown)]).exit_code == 0
    arguments = ["sst2", "gsm8k", "--top", "6", "--warehouse", nowhere, "--plot", str(both)]
    assert CliRunner().invoke(compare, arguments).exit_code == 0
    assert "percentile among the reference datasets" in texts(shown.read_text())
    drawn = texts(both.read_text())
    assert {"sst2", "gsm8k"} <= set(drawn)
    assert sum("_" in text for text in drawn) == 6


def test_without_a_reference_lengths_and_classes_are_drawn(warehouse_path: Path, tmp_path: Path) -> None:
    arguments = ["reviews", "--warehouse", str(warehouse_path), "--plot", str(tmp_path / "x.svg")]
    assert CliRunner().invoke(show, arguments).exit_code == 0
    drawn = texts((tmp_path / "x.svg").read_text())
    assert "share of rows" in drawn
    assert "percentile among the reference datasets" not in drawn
    result = CliRunner().invoke(show, [*arguments, "--family", "generation_length"])
    assert result.exit_code == 2
    assert "nothing to draw" in result.stderr
    assert "20 reference datasets" in result.stderr

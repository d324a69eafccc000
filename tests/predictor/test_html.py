"""What results show in a notebook: escaped, self-contained, and the waterfall's bars where the numbers are."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from predictor import html
from predictor.explain import explain
from predictor.features import ProfileSet
from predictor.model import fit
from predictor.observations import observe
from warehouse.records import Cells

SVG = "{http://www.w3.org/2000/svg}"


def test_a_table_escapes_and_leaves_undefined_empty() -> None:
    made = html.table(
        [{"name": "<b>&", "gain": 1.23456, "low": float("nan"), "novel": True, "mean": None}], caption="<x>"
    )
    assert "<caption>&lt;x&gt;</caption>" in made
    assert "<td>&lt;b&gt;&amp;</td>" in made
    assert '<td style="text-align:right">1.235</td><td style="text-align:right"></td><td>yes</td><td></td>' in made
    assert html.table([]) == "<table><thead><tr></tr></thead><tbody></tbody></table>"


def test_the_waterfall_ends_at_the_prediction() -> None:
    steps = [("up & away", 2.0), ("down", -3.0), ("still", 0.0)]
    root = ElementTree.fromstring(html.waterfall(0.5, steps, 'a "b" <c>'))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[0] == 'a "b" <c>'
    assert texts[-2:] == ["prediction", "-0.50 pp"]
    assert "up & away" in texts
    bars = [(float(r.get("x", "")), float(r.get("width", ""))) for r in root.iter(f"{SVG}rect")]
    # From -0.5 to 2.5 in 380 points: 0.5 pp are 63.3 points, and the second bar starts where the first ends.
    assert bars[0] == pytest.approx((363.3, 63.3), abs=0.1)
    assert bars[1][0] == pytest.approx(bars[0][0] + bars[0][1], abs=0.1)
    assert bars[2][0] == pytest.approx(300.0, abs=0.1)
    assert bars[2][1] == pytest.approx(380.0, abs=0.1)


def test_results_show_themselves(world: ProfileSet, law: Cells) -> None:
    predictor = fit(observe(law, world), world)
    ranking = predictor.rank(world, "d04", ["d01", "d02"])
    assert ranking._repr_html_().count("<tr>") == 3
    assert ranking.top(1)._repr_html_().count("<tr>") == 2
    assert ranking.top(1)[0] == ranking[0]
    assert "<table>" in ranking[0]._repr_html_()
    made = explain(predictor, world, "d01", "d04")
    shown = made._repr_html_()
    assert shown.startswith("<p>Tuning on d01 is predicted to")
    root = ElementTree.fromstring(made.waterfall(top=3))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert f"{made.prediction.gain:+.2f} pp" in texts
    assert any(text.endswith(" more") for text in texts)

"""What results show in a notebook: escaped and self-contained."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from traitcast.predictor.explanation.shap import explain
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import observe
from traitcast.predictor.model.predictor import fit
from traitcast.warehouse.console import html_table
from traitcast.warehouse.records import Cells

SVG = "{http://www.w3.org/2000/svg}"


def test_a_table_escapes_and_leaves_undefined_empty() -> None:
    made = html_table(
        [{"name": "<b>&", "gain": 1.23456, "low": float("nan"), "novel": True, "mean": None}], caption="<x>"
    )
    assert "<caption>&lt;x&gt;</caption>" in made
    assert "<td>&lt;b&gt;&amp;</td>" in made
    assert '<td style="text-align:right">1.235</td><td style="text-align:right"></td><td>yes</td><td></td>' in made
    assert html_table([]) == "<table><thead><tr></tr></thead><tbody></tbody></table>"


def test_results_show_themselves(world: ProfileSet, law: Cells) -> None:
    predictor = fit(observe(law, world), world)
    ranking = predictor.rank(world, "d04", ["d01", "d02"])
    assert ranking._repr_html_().count("<tr>") == 3
    assert ranking.top(1)._repr_html_().count("<tr>") == 2
    assert ranking.top(1)[0] == ranking[0]
    assert "<table>" in ranking[0]._repr_html_()
    made = explain(predictor, world, "d01", "d04")
    shown = made._repr_html_()
    assert shown.startswith("<p>Tuning on d01 was measured on d04: ")
    root = ElementTree.fromstring(shown[shown.index("<svg") :])
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert f"{made.prediction.gain:+.2f}".replace("-", "\N{MINUS SIGN}") in texts
    steps = made.steps(3)
    assert len(steps) == 4
    assert made.base_value + sum(step for _, step in steps) == pytest.approx(made.prediction.gain)

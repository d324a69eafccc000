"""Rows of the charts about measured transfer."""

from __future__ import annotations

from traitcast.predictor.report.transfer import _largest


def test_the_largest_changes_are_one_for_each_target() -> None:
    cells = {("a", "x"): 1.0, ("b", "x"): 1.0, ("c", "x"): 0.9, ("a", "y"): -0.5, ("b", "y"): 0.2, ("c", "z"): 0.0}
    rows = [
        {"source": source, "target": target, "label_shift": value, "seeds": 1}
        for (source, target), value in [*cells.items(), (("d", "w"), None)]
    ]
    found = [(row["source"], row["target"], row["label_shift"]) for row in _largest(rows, "label_shift")]
    assert found == [("a", "x", 1.0), ("a", "y", -0.5)]

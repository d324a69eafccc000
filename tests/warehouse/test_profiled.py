"""A profile in Python and in a notebook."""

from __future__ import annotations

import pytest

from traitcast.warehouse.errors import UserError
from traitcast.warehouse.profiled import Profiled
from traitcast.warehouse.records import FoundRows, LengthBin, Profile, TraitValue

BINS = (LengthBin("prompt", "words", 1, 2, 3), LengthBin("prompt", "words", 4, 6, 1))
FOUND = FoundRows("markup", "prompt", "info", 1, 4, "1 row (25.0 %) holds <b>", (2,))
PLAIN = Profile("a<b", "v1:0", "generation", 4, (TraitValue("x_mean", 1.5, None, 4),), (), BINS, findings=(FOUND,))


def test_it_is_the_same_profile() -> None:
    found = Profiled.of(PLAIN)
    assert (found.name, found.rows, found.findings, found.traits) == ("a<b", 4, (FOUND,), PLAIN.traits)
    assert found.value("x_mean") == 1.5
    with pytest.raises(UserError, match="no trait 'x_maen'; did you mean 'x_mean'"):
        found.value("x_maen")


def test_a_notebook_shows_findings_and_lengths_with_all_text_escaped() -> None:
    page = Profiled.of(PLAIN)._repr_html_()
    assert "a&lt;b: generation, 4 rows, 1 finding" in page
    assert "1 row (25.0 %) holds &lt;b&gt;" in page
    assert "words of the prompt" in page
    assert "<b>" not in page


def test_a_profile_without_a_distribution_has_nothing_to_draw() -> None:
    bare = Profiled("a", "v1:0", "generation", 1, ())
    with pytest.raises(UserError, match="nothing to draw of 'a'"):
        bare.plot()
    assert bare._repr_html_() == "<p>a: generation, 1 row, 0 findings</p>"

"""One rule for names, whatever the script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.warehouse.errors import UserError
from traitcast.warehouse.names import check_name, check_text, is_name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("sst2", "sst2"),
        ("my_data-v1.2", "my_data-v1.2"),
        ("_x", "_x"),
        ("データ", "データ"),
        ("данные", "данные"),
        ("हिन्दी", "हिन्दी"),
        ("ﬁlm", "film"),
        ("e\u0301", "é"),
        ("a" * 100, "a" * 100),
    ],
)
def test_names_of_any_script(value: str, name: str) -> None:
    assert check_name(value, "name") == name
    assert is_name(name)


REFUSED = [
    *("", " ", "a b", "-x", ".x", "a/b", "x\ny", "x\x1b[31m", "a\u200db", "a\u202eb", "\u3164", "a\ufe0f", "\u0301a"),
    *("a'b", "a,b", "a\\b", "😀", "\udc80", "a" * 101),
]


@pytest.mark.parametrize("value", REFUSED)
def test_what_a_name_may_not_be(value: str) -> None:
    with pytest.raises(UserError, match=r"^matrix .* is not allowed: up to 100 letters"):
        check_name(value, "matrix")
    assert not is_name(value)


def test_slashes_join_names_where_they_are_allowed() -> None:
    assert check_name("org/data", "source", slashes=True) == "org/data"
    for value in ("/a", "a//b", "a/../b", "a/-b", "a/"):
        with pytest.raises(UserError, match="parts joined by /"):
            check_name(value, "source", slashes=True)


@given(st.text(max_size=12))
def test_an_allowed_name_is_stable_and_shows_whole(value: str) -> None:
    try:
        name = check_name(value, "name")
    except UserError:
        assert not is_name(value)
        return
    assert check_name(name, "name") == name
    assert is_name(name)
    assert not name.startswith(("-", "."))
    assert {unicodedata.category(char)[0] for char in name} <= set("LMNP")
    assert is_name(value) == (value == name)


def test_models_and_metrics_may_hold_what_shows() -> None:
    assert check_text("/models/Llama 2 (7B)", "model") == "/models/Llama 2 (7B)"
    for value in ("", "a\x1b[1m", "a\u200b", "a\nb", "x" * 201):
        with pytest.raises(UserError, match="model .* none of them invisible"):
            check_text(value, "model")

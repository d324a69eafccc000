"""Paths as text: any file name of bytes can be stored and is found again."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitcast.profiler.roles.values import path_from, path_text

file_names = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
)


@given(name=file_names)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_is_found_again_by_its_text(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.touch()
    text = path_text(path)
    assert text.encode() == text.encode("utf-8", "strict")
    assert path_from(text) == path
    path.unlink()


def test_how_bytes_are_shown() -> None:
    assert path_text(os.fsdecode(b"caf\xe9/\xd0\xb4.csv")) == "caf\\xe9/д.csv"
    assert path_text("data.csv") == "data.csv"

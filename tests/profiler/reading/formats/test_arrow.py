"""Parquet and Arrow: texts that were written as binary."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_binary_that_is_utf8_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array(["naïve café".encode(), b"so it is", None], kind)
    pq.write_table(pa.table({"text": texts, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    examples = read(tmp_path / "a.parquet")
    assert examples.table["fields"].to_pylist()[:2] == [["naïve café"], ["so it is"]]


def test_binary_that_is_not_text_is_refused(tmp_path: Path) -> None:
    pixels = pa.array([b"\xff\xd8\xff"] * 3, pa.binary())
    pq.write_table(pa.table({"text": pixels, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="holds a binary value, not text"):
        read(tmp_path / "a.parquet", roles=["text=text", "label=label"])

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pytest

from traitcast.profiler.parsing.parser import Parser
from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.text.estimates import Estimate
from traitcast.profiler.text.exact_sums import SampleMeans

SCHEMA = pa.schema(
    [
        ("fields", pa.list_(pa.string())),
        ("options", pa.list_(pa.string())),
        ("response", pa.string()),
        ("label", pa.string()),
    ]
)


class MakeExamples(Protocol):
    def __call__(
        self,
        prompts: Sequence[Sequence[str]],
        responses: Sequence[str | None],
        *,
        labels: Sequence[str | None] | None = None,
        options: Sequence[Sequence[str] | None] | None = None,
        **spec: Any,
    ) -> Examples: ...


def averaged(values: Mapping[str, np.ndarray], rows: int) -> dict[str, Estimate]:
    """Means of values per document."""
    means = SampleMeans()
    means.add(values)
    return means.estimates(rows)


@pytest.fixture(scope="session")
def parser() -> Parser:
    """One loaded pipeline for all tests."""
    return Parser.load()


@pytest.fixture(scope="session")
def make_examples() -> MakeExamples:
    """Build Examples from lists, without a file."""

    def make(
        prompts: Sequence[Sequence[str]],
        responses: Sequence[str | None],
        *,
        labels: Sequence[str | None] | None = None,
        options: Sequence[Sequence[str] | None] | None = None,
        **spec: Any,
    ) -> Examples:
        n = len(prompts)
        task_type = "multiple_choice" if options else "classification" if labels else "generation"
        columns = [prompts, options or [None] * n, responses, labels or [None] * n]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        return Examples(
            name="made",
            spec=DatasetSpec(**{"task_type": task_type, "text_fields": ("text",), "language": "en"} | spec),
            split="train",
            splits={"train": n},
            origin="made",
            revision=None,
            table=pa.Table.from_arrays(arrays, schema=SCHEMA),
            fingerprint="v1:00",
        )

    return make

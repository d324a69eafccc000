"""Packs whose shards are written here: no model and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from traitcast.training.plan.pack import Pack
from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.training.plan.recipe import Runtime, adapter_key, cell_key
from traitcast.training.results import shards
from traitcast.training.results.cells import Cell
from traitcast.training.results.metrics import text_scores

RUNTIME = Runtime("v1:made-up", "float32")
MAKERS = {None: -1, "mood": 0, "choice": 0, "sums": 0}


def cell(pack: Pack, source: str | None, target: str, seed: int = 0) -> Cell:
    """A cell whose answers follow from its names: choices rotate by source, numbers are missing in every third."""
    packed, shift = pack.rows(target), list(MAKERS).index(source) if source in MAKERS else 0
    adapter = None if source is None else adapter_key(pack.recipe, RUNTIME, source, seed)
    about: dict[str, Any] = {
        "key": cell_key(pack.recipe, RUNTIME, adapter, target),
        "base": "tiny",
        "dtype": RUNTIME.dtype,
        "base_fingerprint": RUNTIME.base_fingerprint,
        "source": source,
        "seed": -1 if source is None else seed,
        "target": target,
        "adapter": adapter,
        "device": "cpu",
    }
    rows, n = packed.test, len(packed.test)
    if packed.task.has_options:
        options = [len(row.choices(packed.task)) for row in rows]
        picks = [(at + shift) % k for at, k in enumerate(options)]
        about["gold"] = [row.gold for row in rows]
        about["loglikelihoods"] = [
            [-1.0 if i == p else -2.0 for i in range(k)] for p, k in zip(picks, options, strict=True)
        ]
        about["answer_tokens"] = [[1] * k for k in options]
        return Cell(**about)
    outputs = ["" if at % 3 == shift % 3 else row.response for at, row in enumerate(rows)]
    about |= {"outputs": outputs, "output_tokens": [len(text.split()) for text in outputs]}
    about |= {"finished": [at != shift for at in range(n)], "reference_nll": [1.0] * n, "reference_tokens": [4] * n}
    return Cell(**about, **text_scores(outputs, [row.response for row in rows]))  # type: ignore[arg-type]


@pytest.fixture
def pack(datasets: dict[str, str], tmp_path: Path) -> Pack:
    """Three sources on three targets of six rows, one seed, with all cells."""
    settings = PlanSettings(base="smollm2", seeds=(0,), train_rows=4, test_rows=6)
    made = plan(tmp_path / "m", list(datasets.values()), settings)
    shards.write(made.shards, [cell(made, source, target) for source in MAKERS for target in made.recipe.targets])
    return made

"""Probe datasets without a matrix: plan a small pack, score the untuned base on it, and read the probes off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from traitcast.training.plan.planning import PlanSettings, plan
from traitcast.training.results.probes import table
from traitcast.training.run import run as run_matrix
from traitcast.training.session import RunSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.training.session import OnProgress


@dataclass(frozen=True, slots=True)
class Probed:
    """A dataset that was probed. split: whose rows; rows: how many; fingerprint: of the split that a profile is of."""

    name: str
    split: str
    rows: int
    fingerprint: str


def run(
    datasets: Sequence[str],
    base: str,
    *,
    revision: str | None = None,
    rows: int = 200,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    names: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[pa.Table, list[Probed]]:
    """Score the untuned base model on random rows of each dataset. Raises as `plan` and `run.run` do.

    Parameters
    ----------
    datasets
        Paths or hub ids. Rows come from the test or validation split if there is one, as in a matrix.
    base, revision
        Base model, and the commit of a hub model.
    rows, seed
        Most rows of a dataset, and the seed of their draw.
    device
        "auto", "cpu" or "cuda".
    dtype
        "auto" or a precision of `DTYPES`.
    names
        To store the datasets under, in their order; None: their own.
    on_progress, say
        Take progress and lines of narration.

    Returns
    -------
    table : pyarrow.Table
        A row per dataset and probe; see `results.probes.table`.
    read : list of Probed
        What was read of each dataset.
    """
    settings = PlanSettings(
        base, revision, dtype=dtype, seeds=(0,), train_rows=1, test_rows=rows, sample_seed=seed, test_from_training=True
    )
    read: list[Probed] = []
    with TemporaryDirectory(prefix="traitcast-probe-") as folder:
        pack = plan(
            Path(folder),
            datasets,
            settings,
            on_dataset=lambda name, e: read.append(Probed(name, e.test_split, e.test_rows, e.dataset_fingerprint)),
        )
        run_matrix(pack, RunSettings(device=device), on_progress=on_progress, say=say, base_only=True)
        stored = dict(zip((found.name for found in read), _chosen(names, read), strict=True))
        return table(pack, stored), read


def _chosen(names: Sequence[str] | None, read: Iterable[Probed]) -> list[str]:
    return list(names) if names is not None else [found.name for found in read]

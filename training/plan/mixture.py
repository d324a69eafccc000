"""Mixtures: one dataset of rows of several, in stated shares, to be tuned on together.

Owns the draw of the rows and their form: a prompt as training would word it for the dataset it comes from, and the
answer, so that tuning on the mixture is tuning on rows of its parents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from traitcast.profiler.roles.spec import DatasetSpec, Part
from traitcast.profiler.variants import write_dataset
from traitcast.training.plan.pack import Packed
from traitcast.training.plan.planning import PlanSettings, read_dataset
from traitcast.training.plan.prompts import PromptSettings, body
from traitcast.warehouse.console import warn
from traitcast.warehouse.errors import InputError, UserError
from traitcast.warehouse.names import check_name


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture that was written.

    Attributes
    ----------
    name, folder
        Of the dataset.
    rows
        Parent -> rows of it.
    """

    name: str
    folder: Path
    rows: dict[str, int]


def write_mixture(
    datasets: Sequence[str], into: Path, *, weights: Sequence[float] = (), rows: int | None = None, seed: int = 0
) -> Mixture:
    """Write training rows of several datasets, shuffled, as one new dataset.

    Parameters
    ----------
    datasets
        Paths or hub ids, two or more.
    into
        Folder of the mixture, which must not hold anything yet; its name is the name of the dataset.
    weights
        Share of each dataset; they are divided by their sum. Empty: equal shares.
    rows
        Of the mixture. None: as many as the dataset that ends first allows.
    seed
        Of the draw and the order.

    Raises
    ------
    InputError
        For weights that are not one positive number a dataset, a dataset with too few rows, two of one name, and a
        folder in the way.
    """
    shares, into = _shares(datasets, weights), into.resolve()
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise InputError(f"{into} exists already. Move it away, or choose another folder with --into")
    name = _name(into)
    parents, prints = _parents(datasets, name)
    taken = _rows(parents, shares, rows)
    total, limit = sum(taken.values()), PromptSettings().list_labels_up_to
    rng, written = np.random.default_rng(seed), []
    for parent, packed in parents.items():
        for at in rng.permutation(len(packed.train))[: taken[parent]]:
            row = packed.train[at]
            written.append({"prompt": body(packed.task, row, limit), "response": row.response, "from": parent})
    spec = DatasetSpec(
        task_type="generation",
        text_fields=("prompt",),
        answer_field="response",
        metric="exact_match" if all(packed.task.has_options for packed in parents.values()) else "",
        name=name,
        description=f"Rows of {' and '.join(parents)}.",
        mixture=tuple(Part(parent, count / total, prints[parent]) for parent, count in taken.items()),
    )
    write_dataset(into, (written[at] for at in rng.permutation(len(written))), spec, keep=True)
    return Mixture(name, into, taken)


def _shares(datasets: Sequence[str], weights: Sequence[float]) -> list[float]:
    if len(datasets) < 2:
        raise InputError(f"a mixture needs two datasets or more; {len(datasets)} was given")
    weights = list(weights) or [1.0] * len(datasets)
    if len(weights) != len(datasets) or not all(0 < weight < float("inf") for weight in weights):
        given = ",".join(f"{weight:g}" for weight in weights)
        raise InputError(
            f"weights are {given}; give one positive number for each of the {len(datasets)} datasets, such as "
            f"--weights {','.join(['1'] * len(datasets))}"
        )
    return [weight / sum(weights) for weight in weights]


def _whole(shares: Sequence[float], total: int) -> list[int]:
    """Rows of each dataset, `total` together: what rounding down leaves goes to the largest remainders."""
    exact = np.array(shares) * total
    rows = np.floor(exact + 1e-9).astype(int)
    for at in np.argsort(rows - exact, kind="stable")[: total - rows.sum()]:
        rows[at] += 1
    return [int(n) for n in rows]


def _name(into: Path) -> str:
    try:
        return check_name(into.name, "the name of the mixture")
    except UserError as error:
        raise InputError(f"{error} It is that of its folder; choose another with --into") from None


def _parents(datasets: Sequence[str], name: str) -> tuple[dict[str, Packed], dict[str, str]]:
    """Name -> task and training rows of every dataset, and its fingerprint."""
    # Rows for tests are not used; of training rows all are read.
    settings = PlanSettings("", train_rows=10**9, test_rows=1)
    parents: dict[str, Packed] = {}
    prints: dict[str, str] = {}
    for dataset in datasets:
        parent, packed, _, fingerprint, warnings = read_dataset(dataset, settings)
        for warning in warnings:
            warn(f"{parent}: {warning}")
        if parent in parents or parent == name:
            raise InputError(f"two datasets are called {parent!r}; rename one, by `name:` in its dataset.yaml")
        if not packed.train:
            raise InputError(f"{parent} has no training rows with an answer")
        parents[parent], prints[parent] = packed, fingerprint
        if packed.task.task_type == "preference":
            warn(f"{parent} is preference data: only what is preferred goes into the mixture")
        elif not packed.task.field_names:
            warn(f"{parent} has conversations: their turns go into one prompt, without roles, as in `matrix plan`")
    return parents, prints


def _rows(parents: Mapping[str, Packed], shares: Sequence[float], rows: int | None) -> dict[str, int]:
    """Rows of each dataset; None for as many as all have for their shares."""
    # A share of less than a row of the largest dataset would ask for more rows than anybody has.
    sizes = [len(packed.train) for packed in parents.values()]
    most = min(int(size / max(share, 1e-12)) for size, share in zip(sizes, shares, strict=True))
    total = most if rows is None else rows
    taken = dict(zip(parents, _whole(shares, total), strict=True))
    for (parent, wanted), size, share in zip(taken.items(), sizes, shares, strict=True):
        if wanted > size:
            raise InputError(
                f"{share:.0%} of {total:,} rows are {wanted:,}, and {parent} has {size:,} training rows. Give at most "
                f"--rows {most}"
            )
        if wanted < 1:
            raise InputError(f"{share:.2%} of {total:,} rows of {parent} are none. Give more with --rows")
    return taken

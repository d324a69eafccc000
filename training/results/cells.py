"""A cell: what one model did on the test rows of one target, row by row, and the metrics made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from traitcast.training.plan.prompts import Row, Task
from traitcast.training.results import metrics
from traitcast.training.results.metrics import Metric

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "2"
HEADLINE = "score"
# What "accuracy" means as a headline: the answer is the option with the highest log-likelihood per character
# (`choices`). Of the ways to choose, its gains repeat best (docs/explanation/matrix.md); the others keep their names.
_CHOSEN = "accuracy_character"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: one model on the test rows of one target.

    Attributes
    ----------
    key
        Identity; see `recipe.cell_key`.
    base, base_fingerprint, dtype, device
        The base model as it was named, the hash of its weights, its precision, and "cpu" or "cuda".
    source, seed, adapter
        Of the adapter, with its key. The base model has None, -1 and None.
    failed
        Loss or gradient of the adapter was not finite; nothing was measured.
    cut_prompts, cut_answers
        Rows with a shortened prompt, and rows with an answer (any option, or the reference) that was cut.
    gold, loglikelihoods, answer_tokens
        Of tasks with options, per row: position of the right option; log-likelihoods of the options (nats) and their
        lengths in tokens.
    prior
        Log-likelihoods after a content-free prompt: one list for all rows of a classification, else one per row; None
        if they were not measured.
    outputs, exact_match, numeric_match, rouge_l, output_tokens, finished
        Of generations, per row: the text, its scores against the reference, its length in tokens, and whether it
        ended before the cap.
    reference_nll, reference_tokens
        Of generations, per row: nats of the whole reference, and its length in tokens.
    """

    key: str
    base: str
    base_fingerprint: str
    dtype: str
    source: str | None
    seed: int
    target: str
    adapter: str | None
    device: str
    failed: bool = False
    cut_prompts: int = 0
    cut_answers: int = 0
    gold: list[int] | None = None
    loglikelihoods: list[list[float]] | None = None
    answer_tokens: list[list[int]] | None = None
    prior: list[list[float]] | None = None
    outputs: list[str] | None = None
    exact_match: list[float] | None = None
    numeric_match: list[float] | None = None
    rouge_l: list[float] | None = None
    output_tokens: list[int] | None = None
    finished: list[bool] | None = None
    reference_nll: list[float] | None = None
    reference_tokens: list[int] | None = None


def schema() -> pa.Schema:
    """Column types of a shard."""
    import pyarrow as pa

    types = {
        "seed": pa.int32(),
        "failed": pa.bool_(),
        "cut_prompts": pa.int32(),
        "cut_answers": pa.int32(),
        "gold": pa.list_(pa.int16()),
        "loglikelihoods": pa.list_(pa.list_(pa.float32())),
        "answer_tokens": pa.list_(pa.list_(pa.int16())),
        "prior": pa.list_(pa.list_(pa.float32())),
        "outputs": pa.list_(pa.string()),
        "exact_match": pa.list_(pa.float32()),
        "numeric_match": pa.list_(pa.float32()),
        "rouge_l": pa.list_(pa.float32()),
        "output_tokens": pa.list_(pa.int16()),
        "finished": pa.list_(pa.bool_()),
        "reference_nll": pa.list_(pa.float32()),
        "reference_tokens": pa.list_(pa.int16()),
    }
    return pa.schema([(f.name, types.get(f.name, pa.string())) for f in fields(Cell)], metadata={"format": FORMAT})


def cell_metrics(cell: Cell, task: Task, rows: Sequence[Row]) -> list[Metric]:
    """All metrics of a cell, the headline first under the name "score". Empty for a failed cell.

    The last two are the shares of rows whose prompt, or any of whose answers, was cut to fit.
    """
    if cell.failed:
        return []
    found = [metrics.mean(name, values) for name, values in cell_rows(cell, task, rows).items()]
    if cell.loglikelihoods is not None and task.labels:
        truth = np.asarray(cell.gold)
        found.append(Metric("macro_f1", metrics.macro_f1(truth, choices(cell, task, rows)), np.nan, len(truth)))
    (headline,) = [metric for metric in found if metric.metric == headline_of(task)]
    n = headline.n
    cut = [Metric(name, getattr(cell, name) / n if n else np.nan, np.nan, n) for name in ("cut_prompts", "cut_answers")]
    return [Metric(HEADLINE, headline.value, headline.standard_error, n), *found, *cut]


def headline_of(task: Task) -> str:
    """The metric of a task that its score is."""
    return _CHOSEN if task.metric == "accuracy" else task.metric


def choices(cell: Cell, task: Task, rows: Sequence[Row]) -> np.ndarray:
    """The option that a cell answers every row with, (rows,); -1 for none. Only for cells with options."""
    return metrics.predictions(metrics.per(_arrays(cell.loglikelihoods or []), _characters(task, rows)))


def _characters(task: Task, rows: Sequence[Row]) -> list[np.ndarray]:
    return [np.array([len(choice) for choice in row.choices(task)], float) for row in rows]


def cell_rows(cell: Cell, task: Task, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The metrics of a cell that are means over rows, before the mean: metric -> (rows,). Empty for a failed cell."""
    if cell.failed:
        return {}
    if cell.loglikelihoods is not None:
        return metrics.option_rows(
            _arrays(cell.loglikelihoods),
            cell.gold or [],
            tokens=_arrays(cell.answer_tokens or []),
            characters=_characters(task, rows),
            priors=_priors(cell),
        )
    return metrics.generation_rows(
        {name: getattr(cell, name) or [] for name in ("exact_match", "numeric_match", "rouge_l")},
        output_tokens=cell.output_tokens or [],
        finished=cell.finished or [],
        reference_nll=cell.reference_nll or [],
        reference_tokens=cell.reference_tokens or [],
    )


def _priors(cell: Cell) -> list[np.ndarray] | None:
    """One prior per row: the labels of a classification have the same for all."""
    if cell.prior is None:
        return None
    found = _arrays(cell.prior)
    return found if len(found) == len(cell.gold or []) else found * len(cell.gold or [])


def confusion(cell: Cell, task: Task, picks: np.ndarray | None) -> list[tuple[str, str, int]]:
    """(gold, predicted, rows): label names of a classification, answer positions of a multiple choice. picks: those of
    `choices`, None for a generation."""
    if picks is None or cell.gold is None:
        return []

    def name(index: int) -> str:
        return task.labels[index] if task.labels and index >= 0 else str(index)

    counts = Counter((name(g), name(int(p))) for g, p in zip(cell.gold, picks, strict=True))
    return [(gold, predicted, n) for (gold, predicted), n in sorted(counts.items())]


def _arrays(rows: Sequence[Sequence[float]]) -> list[np.ndarray]:
    return [np.asarray(row, dtype=np.float64) for row in rows]

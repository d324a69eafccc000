"""Metrics of one cell, computed from what its shard stores: option log-likelihoods, or generated texts.

Owns their definitions. Pure functions over arrays and strings; no model, no file. All scores are shares of 1 unless
said otherwise. Standard errors are of the mean over rows (sample standard deviation / sqrt n), NaN for one row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

# A hyphen after a letter, digit or bracket is not a minus ("5-10"); a comma belongs to a number before three digits.
_NUMBER = re.compile(r"(?:(?<![\w)\]])-)?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)")
_TOKEN = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of one cell. n: rows it rests on."""

    metric: str
    value: float
    standard_error: float
    n: int


def option_rows(
    loglikelihoods: Sequence[np.ndarray],
    gold: Sequence[int],
    *,
    tokens: Sequence[np.ndarray],
    characters: Sequence[np.ndarray],
    priors: Sequence[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Metrics of a classification or multiple choice before the mean over rows: metric -> (rows,).

    loglikelihoods: one array per row, the summed log-likelihood (nats) of every option; tokens, characters: their
    lengths; priors: the same sums after a content-free prompt.

    accuracy: the likeliest option (lm-evaluation-harness `acc`); accuracy_character: per character (`acc_norm`);
    accuracy_token: per token; calibrated_accuracy: the option whose likelihood rises most over the content-free
    prompt (Holtzman et al. 2021; Zhao et al. 2021); gold_nll: -log of the gold option's share among the options
    (nats); gold_nll_calibrated: the same after `batch_calibrated`.
    """
    truth = np.asarray(gold)
    rows = {
        "accuracy": predictions(loglikelihoods) == truth,
        "accuracy_character": predictions(per(loglikelihoods, characters)) == truth,
        "accuracy_token": predictions(per(loglikelihoods, tokens)) == truth,
        "gold_nll": gold_nll(loglikelihoods, gold),
    }
    rows["gold_nll_calibrated"] = gold_nll(batch_calibrated(loglikelihoods), gold)
    if priors is not None:
        raised = [row - prior for row, prior in zip(loglikelihoods, priors, strict=True)]
        rows["calibrated_accuracy"] = predictions(raised) == truth
    return rows


def gold_nll(loglikelihoods: Sequence[np.ndarray], gold: Sequence[int]) -> np.ndarray:
    """-log of the gold option's share among the options of its row, (rows,), in nats."""
    return np.array([-log_shares(row)[g] for row, g in zip(loglikelihoods, gold, strict=True)])


def batch_calibrated(loglikelihoods: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Log-probabilities of options less their mean over the rows, position by position.

    Takes off what a model thinks of an option before it reads a row (Zhou et al. 2024, "Batch Calibration"): the gold
    option then counts for how much likelier it is here than elsewhere. No label is used. An option is a position: the
    same label in every row of a classification, and the n-th answer of a multiple choice. Rows may differ in length.

    Parameters
    ----------
    loglikelihoods
        One array of log-likelihoods (nats) per row.

    Returns
    -------
    list of ndarray
        Log-probabilities among the options of a row less the mean; not normalised again.
    """
    shares = [log_shares(row) for row in loglikelihoods]
    padded = np.full((len(shares), max(map(len, shares), default=0)), np.nan)
    for at, row in enumerate(shares):
        padded[at, : len(row)] = row
    known = np.isfinite(padded)
    means = np.where(known, padded, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return [row - means[: len(row)] for row in shares]


def text_scores(outputs: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """exact_match, numeric_match and rouge_l of every row; kept with a cell, so that the texts may be left behind."""
    pairs = list(zip(outputs, references, strict=True))
    return {
        "exact_match": [float(exact_match(o, r)) for o, r in pairs],
        "numeric_match": [float(numeric_match(o, r)) for o, r in pairs],
        "rouge_l": [rouge_l(o, r) for o, r in pairs],
    }


def generation_rows(
    scores: Mapping[str, Sequence[float]],
    *,
    output_tokens: Sequence[int],
    finished: Sequence[bool],
    reference_nll: Sequence[float],
    reference_tokens: Sequence[int],
) -> dict[str, np.ndarray]:
    """Metrics of a generation before the mean over rows: metric -> (rows,).

    scores: of `text_scores`; reference_nll: nats per reference token; finished: whether it ended by itself;
    output_tokens: its length, the end token not counted.
    """
    per_token = np.asarray(reference_nll, float) / np.maximum(np.asarray(reference_tokens), 1)
    rows = {"reference_nll": per_token, "output_tokens": output_tokens, "finished": finished}
    return {name: np.asarray(values, dtype=np.float64) for name, values in {**scores, **rows}.items()}


def predictions(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The best option of every row, the first of equals; -1 where no score is a number."""
    picks = np.full(len(scores), -1, dtype=np.int64)
    sizes = np.array([len(row) for row in scores], dtype=np.int64)
    # Rows of as many options at once: row by row it is most of what taking in a matrix costs.
    for size in np.unique(sizes[sizes > 0]).tolist():
        at = np.flatnonzero(sizes == size)
        block = np.stack([scores[row] for row in at.tolist()])
        best = np.where(np.isnan(block), -np.inf, block).argmax(axis=1)
        picks[at] = np.where(np.isfinite(block).any(axis=1), best, -1)
    return picks


def macro_f1(truth: np.ndarray, picks: np.ndarray) -> float:
    """Unweighted mean of F1 over the classes in truth or picks (scikit-learn's `average="macro"`)."""
    scores = []
    for label in np.union1d(truth, picks):
        hits = np.sum((truth == label) & (picks == label))
        scores.append(2 * hits / (np.sum(truth == label) + np.sum(picks == label)))
    return float(np.mean(scores)) if scores else math.nan


def exact_match(output: str, reference: str) -> bool:
    """Equal after lower-casing, collapsing white space and dropping a final full stop."""
    return _plain(output) == _plain(reference)


def numeric_match(output: str, reference: str) -> bool:
    """Whether the last numbers of both texts are equal; False when either has none."""
    found, wanted = last_number(output), last_number(reference)
    return found is not None and found == wanted


def last_number(text: str) -> Decimal | None:
    """The last number in a text, thousands commas removed; None without one."""
    matches = _NUMBER.findall(text)
    if not matches:
        return None
    try:
        return Decimal(matches[-1].replace(",", ""))
    except InvalidOperation:
        return None


def rouge_l(output: str, reference: str) -> float:
    """F1 of the longest common subsequence of lower-case alphanumeric tokens (Lin 2004; rouge_score, no stemmer)."""
    found, wanted = _TOKEN.findall(output.lower()), _TOKEN.findall(reference.lower())
    if not found or not wanted:
        return 0.0
    common = _common(found, wanted)
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, a whole row of the table per addition (Hyyro 2004, bit-parallel).

    A matrix makes over a million of these; cell by cell they would take longer than the decoding.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << at
    full = row = (1 << len(second)) - 1
    for word in first:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(second) - row.bit_count()


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def per(loglikelihoods: Sequence[np.ndarray], lengths: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Log-likelihoods of options over their lengths, row by row."""
    return [row / np.maximum(size, 1) for row, size in zip(loglikelihoods, lengths, strict=True)]


def log_shares(row: np.ndarray) -> np.ndarray:
    """log softmax; all NaN where no likelihood is finite."""
    top = row.max()
    if not np.isfinite(top):
        return np.full(len(row), np.nan)
    shifted: np.ndarray = row - top - np.log(np.exp(row - top).sum())
    return shifted


def mean(metric: str, values: Sequence[float] | Sequence[bool] | np.ndarray) -> Metric:
    """The mean over rows with its standard error; NaN where there are too few for one."""
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if not n:
        return Metric(metric, math.nan, math.nan, 0)
    error = float(array.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Metric(metric, float(array.mean()), error, n)

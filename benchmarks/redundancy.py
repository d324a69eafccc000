"""Which traits say the same over the profiled datasets, and whether the catalogue says why both are kept.

Run: python benchmarks/redundancy.py WAREHOUSE.duckdb [--limit 0.98]

Reports every pair of traits whose Pearson or Spearman correlation over the datasets is beyond the limit, with the
reason from KIN. A pair of response traits whose prompt twins differ has a reason too: both parts
have the same list, and the responses of most public datasets are labels of one word, in which little can differ. Exit
code 1 when a pair has no reason. A correlation counts when MIN_DATASETS datasets have both traits and as many lie off
the commonest value of each: the rest is one dataset against many zeros.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from traitcast.profiler.traits.catalogue import BY_NAME
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.percentiles import average_ranks

MIN_DATASETS = 12

# Traits that go together beyond |r| = .98 over the reference datasets, and why each set is kept whole. Names without
# their part.
KIN: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "points and units of one length: characters, words and tokens bound each other, a quantile answers what a mean "
        "cannot",
        frozenset(
            (
                *("characters_mean", "words_mean", "words_sd", "tokens_mean", "tokens_sd", "tokens_q50", "tokens_q95"),
                *("words_histogram_entropy", "line_characters_mean", "sentence_tokens_mean", "sentence_words_mean"),
                *(f"words_{q}" for q in ("q05", "q25", "q50", "q75", "q95", "q99")),
            )
        ),
    ),
    (
        "one distribution in the units that people ask for: how many, how uncertain, how likely two differ",
        frozenset(
            (
                *("class_count", "distinct_count", "entropy_bits", "effective_classes", "effective_values"),
                *("gini_simpson", "majority_share"),
            )
        ),
    ),
    (
        "published formulas of the same few counts, compared by name with the literature",
        frozenset(
            (
                *("flesch_reading_ease", "flesch_kincaid_grade", "gunning_fog", "lix", "rix", "coleman_liau", "smog"),
                *("automated_readability_index", "syllables_per_word", "word_characters_mean"),
            )
        ),
    ),
    (
        "a mean of ratios and one of their logarithms, which a few long responses do not move",
        frozenset(("length_ratio_mean", "length_log_ratio_mean")),
    ),
    (
        "an answer of one token has neither tree nor space: they part where responses are sentences",
        frozenset(
            (
                *("one_token_share", "tokens_mean", "tokens_sd", "sentence_tokens_mean", "dependency_distance_mean"),
                *("adjacent_dependency_share", "tree_depth_mean", "whitespace_share", "words_mean", "words_q99"),
                *("sentence_words_mean", "words_histogram_entropy", "words_sd"),
            )
        ),
    ),
    (
        "a number as the whole answer, as a word of it, as characters: equal only where answers are bare numbers",
        frozenset(("number_share", "numeral_rate", "digit_share")),
    ),
    (
        "one word copied is one run copied: they part where responses are sentences",
        frozenset(("copied_share", "copied_bigram_share", "copied_span_share")),
    ),
    (
        "a rationale is, among other things, a long calculation",
        frozenset(("rationale_share", "equation_share", "answer_marker_share", "final_answer_share")),
    ),
)


class Pair(NamedTuple):
    """Two traits that go together. n: datasets where both are defined."""

    first: str
    second: str
    pearson: float
    spearman: float
    n: int
    reason: str | None


def kin_reason(first: str, second: str) -> str | None:
    """Why two traits are both kept although they go together; None where nothing is stated."""
    names = {trait.removeprefix(f"{BY_NAME[trait].part}_") for trait in (first, second)}
    if BY_NAME[first].part != BY_NAME[second].part:
        return None
    return next((reason for reason, kin in KIN if names <= kin), None)


def report(names: tuple[str, ...], values: np.ndarray, limit: float) -> list[Pair]:
    """The pairs, those of responses excused by their prompt twins."""
    found = list(pairs(names, values, limit))
    together = {frozenset(pair[:2]) for pair in found}
    known = set(names)
    result = []
    for pair in found:
        twins = frozenset(name.replace("response_", "prompt_", 1) for name in pair[:2])
        response = all(name.startswith("response_") for name in pair[:2])
        if pair.reason is None and response and twins <= known and twins not in together:
            pair = pair._replace(reason="the same two differ in prompts")
        result.append(pair)
    return result


def pairs(names: tuple[str, ...], values: np.ndarray, limit: float) -> Iterator[Pair]:
    """Every pair beyond the limit. values: float64 (datasets, traits), NaN where undefined."""
    defined = np.isfinite(values)
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            both = defined[:, i] & defined[:, j]
            n = int(both.sum())
            if n < MIN_DATASETS:
                continue
            a, b = values[both, i], values[both, j]
            found = correlation(a, b), correlation(average_ranks(a), average_ranks(b))
            if max(map(abs, found)) > limit:
                yield Pair(names[i], names[j], *found, n, kin_reason(names[i], names[j]))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation, 0 where either hardly varies."""
    if any(len(x) - np.unique(x, return_counts=True)[1].max() < MIN_DATASETS for x in (a, b)):
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def main() -> int:
    """Print the report; 1 when a pair lacks a reason."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("warehouse")
    parser.add_argument("--limit", type=float, default=0.98)
    options = parser.parse_args()
    with Warehouse.open(options.warehouse, read_only=True) as warehouse:
        matrix = warehouse.trait_matrix()
    found = report(matrix.traits, matrix.values, options.limit)
    for pair in sorted(found, key=lambda p: (p.reason is not None, p.reason or "", p.first)):
        print(
            f"{pair.first} {pair.second} r {pair.pearson:.3f} rho {pair.spearman:.3f} n {pair.n}: "
            f"{pair.reason or 'NO REASON STATED'}"
        )
    bare = [pair for pair in found if pair.reason is None]
    print(
        f"{len(matrix.names)} datasets, {len(matrix.traits)} traits, {len(found)} pairs beyond {options.limit}, "
        f"{len(bare)} of them without a stated reason",
        file=sys.stderr,
    )
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long prompts and responses are, and how the length of one follows from that of the other.

Owns lengths in characters and words (all rows), in tokens and sentences (sample), their distribution, and the
histograms. A missing response has no length; an empty one has length 0.
"""

from __future__ import annotations

import numpy as np

from traitcast.profiler.text.estimates import Estimate, Floats, exact, ratio, undefined
from traitcast.profiler.text.exact_sums import Moments, PairMoments
from traitcast.profiler.text.histogram import Distribution, ValueCounts
from traitcast.profiler.traits.balance import entropy
from traitcast.warehouse.records import LengthBin

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95, "q99": 0.99}
TOKEN_QUANTILES = ("q50", "q95")


def row_traits(
    characters: ValueCounts, words: ValueCounts, lines: ValueCounts, line_characters: Moments
) -> dict[str, Estimate]:
    """Length traits of one part over all rows.

    Parameters
    ----------
    characters, words, lines
        Documents by size; a missing document is not counted.
    line_characters
        Characters per line of each document.
    """
    shape = Distribution(words)
    skewness, kurtosis, n = shape.skewness, shape.kurtosis, shape.n
    return {
        "characters_mean": Distribution(characters).mean(),
        "words_mean": shape.mean(),
        # All rows are the whole population, so the divisor is n.
        "words_sd": exact(shape.deviation, n),
        "words_cv": exact(shape.variation, n),
        "words_skewness": exact(skewness, n),
        "words_kurtosis": exact(kurtosis - 3.0, n),
        "words_bimodality": exact((skewness**2 + 1.0) / kurtosis, n),
        "words_histogram_entropy": exact(_histogram_entropy(words), n),
        **{f"words_{name}": exact(shape.quantile(q), n) for name, q in QUANTILES.items()},
        "lines_mean": Distribution(lines).mean(),
        "line_characters_mean": line_characters.estimate(),
    }


def document_traits(tokens: Floats, sentences: Floats) -> dict[str, Floats]:
    """Lengths of each drawn row.

    Parameters
    ----------
    tokens, sentences : float64 (rows,)
        NaN where the row has no such part.

    Returns
    -------
    dict of str to float64 (rows,)
        By trait name without its part.
    """
    return {
        "tokens_mean": tokens,
        "sentences_mean": sentences,
        "sentence_tokens_mean": ratio(tokens, sentences),
    }


def token_traits(tokens: ValueCounts) -> dict[str, Estimate]:
    """Spread and quantiles of the tokens of the sampled documents. tokens: documents by number of tokens."""
    shape = Distribution(tokens)
    n, spread = shape.n, shape.mean().spread
    quantiles = {f"tokens_{name}": exact(shape.quantile(QUANTILES[name]), n) for name in TOKEN_QUANTILES}
    return {"tokens_sd": undefined(n) if spread is None else exact(spread, n), **quantiles}


def is_one_token(tokens: Floats) -> Floats:
    """Whether each document is one token: float64 (rows,) of 1 and 0. tokens: NaN where there is no document."""
    return np.where(np.isnan(tokens), np.nan, tokens == 1)


def pair_traits(logs: PairMoments) -> dict[str, Estimate]:
    """How response length follows prompt length. logs: log(1 + words) of both, over rows that have both."""
    names = ("length_correlation", "length_slope", "length_residual_sd")
    line = logs.line()
    return (
        {name: exact(v, logs.n) for name, v in zip(names, line, strict=True)}
        if line
        else dict.fromkeys(names, undefined(logs.n))
    )


def document_ratios(prompt_tokens: Floats, response_tokens: Floats) -> dict[str, Floats]:
    """Response tokens over prompt tokens of each drawn row, float64 (rows,) by trait, NaN where undefined."""
    ratios = ratio(response_tokens, prompt_tokens)
    logs = np.full(len(ratios), np.nan)
    np.log(ratios, out=logs, where=np.nan_to_num(ratios) > 0)
    return {"length_ratio_mean": ratios, "length_log_ratio_mean": logs}


def _histogram_entropy(words: ValueCounts) -> float:
    """Shannon entropy in bits of the bins of `histogram`."""
    return entropy(np.array([b.n for b in histogram(words, "")], dtype=np.int64)) if words.n else float("nan")


def histogram(words: ValueCounts, part: str, unit: str = "words") -> tuple[LengthBin, ...]:
    """Documents by words in bins [0, 1), [1, 2), [2, 3), [3, 4), [4, 6), [6, 8), [8, 12) ...: two per doubling.

    unit: of what else is counted, such as turns.
    """
    if not words.n:
        return ()
    edges = [0, 1, 2, 3, 4]
    while edges[-1] <= words.values[-1]:
        edges.append(edges[-1] + (edges[-1] // 2 if edges[-1] & (edges[-1] - 1) == 0 else edges[-1] // 3))
    counts = np.zeros(len(edges) - 1, dtype=np.int64)
    np.add.at(counts, np.searchsorted(edges, words.values, side="right") - 1, words.counts)
    bins = zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    return tuple(LengthBin(part, unit, low, high, n) for low, high, n in bins if n)

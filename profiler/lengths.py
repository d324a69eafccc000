"""How long prompts and responses are, and how the one follows from the other.

Owns lengths in characters and words (all rows), in tokens and sentences (sample), their distribution, and the
histograms. A missing response has no length; an empty one has length 0.
"""

from __future__ import annotations

import numpy as np

from profiler.balance import entropy
from profiler.estimates import Estimate, Floats, Ints, exact, mean, ratio, standard_deviation, undefined
from warehouse.records import LengthBin

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95, "q99": 0.99}
TOKEN_QUANTILES = ("q50", "q95")


def row_traits(characters: Ints, words: Ints, lines: Ints) -> dict[str, Estimate]:
    """Length traits of one part from all its rows (int64 per document that exists)."""
    shape = skewness(words.astype(np.float64)), kurtosis(words.astype(np.float64))
    n = len(words)
    counted = words.astype(np.float64)
    return {
        "characters_mean": _mean(characters),
        "words_mean": _mean(words),
        "words_sd": _sd(words),
        "words_cv": exact(counted.std() / counted.mean(), n) if n and counted.mean() > 0 else undefined(n),
        "words_skewness": exact(shape[0], n),
        "words_kurtosis": exact(shape[1] - 3.0, n),
        "words_bimodality": exact((shape[0] ** 2 + 1.0) / shape[1], n),
        "words_histogram_entropy": exact(_histogram_entropy(words), n),
        **{f"words_{name}": exact(_quantile(counted, q), n) for name, q in QUANTILES.items()},
        "lines_mean": _mean(lines),
        "line_characters_mean": mean(ratio(characters, lines), rows=n),
    }


def sample_traits(tokens: Floats, sentences: Floats, *, rows: int) -> dict[str, Estimate]:
    """Token and sentence traits of one part, from counts per drawn row, NaN where the row has no such part."""
    held = tokens[np.isfinite(tokens)]
    n = len(held)
    result = {
        "tokens_mean": mean(tokens, rows=rows),
        "tokens_sd": exact(held.std(ddof=1), n) if n > 1 else undefined(n),
        "sentences_mean": mean(sentences, rows=rows),
        "sentence_tokens_mean": mean(ratio(tokens, sentences), rows=rows),
    }
    return result | {f"tokens_{name}": exact(_quantile(held, QUANTILES[name]), n) for name in TOKEN_QUANTILES}


def one_token_share(tokens: Floats, *, rows: int) -> Estimate:
    """Share of documents of exactly one token, from tokens per drawn row, NaN where it has no document."""
    return mean(np.where(np.isnan(tokens), np.nan, tokens == 1), rows=rows)


def pair_traits(prompt_words: Ints, response_words: Ints) -> dict[str, Estimate]:
    """How response length goes with prompt length, over all rows that have both (int64 per row)."""
    log_prompt, log_response = np.log1p(prompt_words), np.log1p(response_words)
    varied = len(prompt_words) > 2 and np.ptp(log_prompt) > 0 and np.ptp(log_response) > 0
    n = len(prompt_words)
    if not varied:
        return {name: undefined(n) for name in ("length_correlation", "length_slope", "length_residual_sd")}
    correlation = float(np.clip(np.corrcoef(log_prompt, log_response)[0, 1], -1.0, 1.0))
    spread = float(log_response.std())
    return {
        "length_correlation": exact(correlation, n),
        "length_slope": exact(correlation * spread / float(log_prompt.std()), n),
        "length_residual_sd": exact(spread * float(np.sqrt(1.0 - correlation**2)), n),
    }


def ratio_traits(prompt_tokens: Floats, response_tokens: Floats, *, rows: int) -> dict[str, Estimate]:
    """Response tokens over prompt tokens, from counts per drawn row, NaN where the row has no such part."""
    ratios = ratio(response_tokens, prompt_tokens)
    logs = np.full(len(ratios), np.nan)
    np.log(ratios, out=logs, where=np.nan_to_num(ratios) > 0)
    return {"length_ratio_mean": mean(ratios, rows=rows), "length_log_ratio_mean": mean(logs, rows=rows)}


def skewness(values: Floats) -> float:
    """Moment coefficient of skewness g1 = m3 / m2^(3/2) (Joanes and Gill 1998, eq. 1); NaN for constant values."""
    return _standardised_moment(values, 3)


def kurtosis(values: Floats) -> float:
    """m4 / m2^2, 3 for a normal distribution (Joanes and Gill 1998, eq. 2, without the - 3); NaN for constant ones."""
    return _standardised_moment(values, 4)


def _standardised_moment(values: Floats, order: int) -> float:
    if len(values) < 2:
        return float("nan")
    centred = values - values.mean()
    variance = float((centred**2).mean())
    # Rounding leaves a variance of this order when all values are equal.
    if variance <= (np.finfo(np.float64).eps * float(np.abs(values).max())) ** 2 * len(values):
        return float("nan")
    return float((centred**order).mean() / variance ** (order / 2))


def _histogram_entropy(words: Ints) -> float:
    """Shannon entropy in bits of the bins of `histogram`."""
    return entropy(np.array([b.n for b in histogram(words, "")], dtype=np.int64)) if len(words) else float("nan")


def histogram(words: Ints, part: str) -> tuple[LengthBin, ...]:
    """Words per document in bins [0, 1), [1, 2), [2, 3), [3, 4), [4, 6), [6, 8), [8, 12) ...: two a doubling."""
    if not len(words):
        return ()
    edges = [0, 1, 2, 3, 4]
    while edges[-1] <= words.max():
        edges.append(edges[-1] + (edges[-1] // 2 if edges[-1] & (edges[-1] - 1) == 0 else edges[-1] // 3))
    counts = np.histogram(words, bins=edges)[0]
    bins = zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
    return tuple(LengthBin(part, "words", low, high, n) for low, high, n in bins if n)


def _mean(values: Ints) -> Estimate:
    n = len(values)
    return exact(float(values.mean()), n, standard_deviation(values)) if n else undefined()


def _sd(values: Ints) -> Estimate:
    """Standard deviation over all rows: they are the whole population, so the divisor is n."""
    return exact(float(values.std()), len(values)) if len(values) else undefined()


def _quantile(values: Floats, q: float) -> float:
    """Linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
    return float(np.quantile(values, q)) if len(values) else float("nan")

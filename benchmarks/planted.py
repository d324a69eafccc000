"""A made-up transfer matrix with a known law over the real profiles of the shipped datasets.

Owns the law and its parts, so that tests and benchmarks can ask whether the predictor finds what was planted and
nothing else. The profiles are real, with all their correlations; only the gains are made up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traitcast.predictor.model.features import SIMILARITIES, ProfileSet, compare
from traitcast.warehouse.records import Cells, Matrix

LAWS = ("traits", "similarity", "mixed", "nothing")


@dataclass(frozen=True, slots=True)
class Law:
    """Standard deviations of the parts of a gain, in pp.

    planted: the part that follows from profiles. source, target: levels of a dataset that follow from nothing.
    pair: what is particular to a pair and the same for every seed. noise: of one seed.
    """

    planted: float = 3.0
    source: float = 1.0
    target: float = 2.0
    pair: float = 1.0
    noise: float = 1.5


def planted(
    profiles: ProfileSet,
    kind: str = "traits",
    *,
    law: Law | None = None,
    seeds: int = 3,
    datasets: int | None = None,
    random_state: int = 0,
) -> Cells:
    """Cells of all pairs of (the first `datasets` of) the profiles, the diagonal included.

    kind "traits": class distribution of the source, lengths of both and one linguistic trait, no similarity.
    "similarity": TF-IDF cosine of the prompts and overlap of the responses' vocabulary, no trait. "mixed": both halves.
    "nothing": noise.
    """
    law = law or Law()
    if kind not in LAWS:
        raise ValueError(f"unknown law {kind!r}. Allowed: {', '.join(LAWS)}.")
    names = profiles.traits.names[:datasets]
    n, rng = len(names), np.random.default_rng(random_state)
    gain = law.planted * signal(profiles, kind)[:n, :n]
    gain = gain + law.source * rng.normal(size=(n, 1)) + law.target * rng.normal(size=(1, n))
    gain = gain + law.pair * rng.normal(size=(n, n))
    seen = gain[..., None] + law.noise * rng.normal(size=(n, n, seeds))
    source, target, seed = (axis.ravel() for axis in np.indices(seen.shape))
    flat = seen.ravel()
    return Cells(
        matrix=Matrix("planted", "accuracy", "untuned", f"a made-up law: {kind}"),
        models=("made up",) * flat.size,
        sources=tuple(names[i] for i in source),
        targets=tuple(names[i] for i in target),
        seeds=seed.astype(np.int64),
        gain=flat,
        standard_error=np.full(flat.size, law.noise),
        score=0.5 + flat / 100,
        base_score=np.full(flat.size, 0.5),
    )


def signal(profiles: ProfileSet, kind: str) -> np.ndarray:
    """The planted part of every pair, (datasets, datasets), mean 0 and standard deviation 1 off the diagonal."""
    n = len(profiles.traits.names)
    rows, columns = np.divmod(np.arange(n * n), n)
    if kind == "nothing":
        return np.zeros((n, n))
    if kind == "mixed":
        return _scaled(signal(profiles, "traits") + signal(profiles, "similarity"))
    if kind == "similarity":
        parts = {"prompt_tfidf_cosine": 1.0, "response_vocabulary_jaccard": 1.0}
        chosen = [s for s in SIMILARITIES if s.trait in parts]
        made = sum(_scaled(np.nan_to_num(compare(s, profiles, rows, columns))) for s in chosen)
        return _scaled(np.asarray(made).reshape(n, n))
    balance = _scaled(_trait(profiles, "response_majority_share"))
    length = _scaled(np.log1p(_trait(profiles, "response_tokens_mean")))
    prompt = _scaled(np.log1p(_trait(profiles, "prompt_tokens_mean")))
    verbs = _scaled(_trait(profiles, "prompt_pos_verb_share"))
    own = -0.8 * np.tanh(balance) + 0.5 * verbs
    pair = -0.9 * np.abs(length[:, None] - length) - 0.5 * np.abs(prompt[:, None] - prompt)
    return _scaled(own[:, None] + pair - 0.6 * balance[:, None] * length)


def _trait(profiles: ProfileSet, trait: str) -> np.ndarray:
    values = profiles.traits.values[:, profiles.traits.traits.index(trait)]
    return np.where(np.isnan(values), np.nanmean(values), values)


def _scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()

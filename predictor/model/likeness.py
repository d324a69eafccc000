"""Likeness of datasets: how alike two are in curated traits, in their responses and in their prompts.

Owns the traits that count and the way from likeness to weights. Looks at profiles alone: no gain is fitted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from traitcast.predictor.model.features import SIMILARITIES, ProfileSet, compare
from traitcast.warehouse.overlap import shared_texts

KINDS = ("traits", "responses", "prompts")
# Shares of a plain mean and of the three kinds in a weight. Fixed on eight published settings and confirmed on four
# more; weights that were fitted within a matrix did worse.
PLAIN = 0.2
SHARES = (0.3, 0.3, 0.2)
# A dataset that is one standard deviation less alike than the most alike one weighs e times less. Twice that is as good
# where relatives are measured, and worse where there are none (Spearman of two matrices with families held out: .07 and
# .34 instead of .10 and .36).
SHARPNESS = 1.0
_FARTHEST = 3.0
# From where on, and up to where, the likeness of a pair counts, in deviations.
FAR_OUT = (1.0, 3.0)
# A dataset that shares more of the prompts of the smaller of the two is a part or a copy of the other.
_MOST = 0.5
# Trait, and whether its logarithm counts.
CURATED = (
    ("prompt_tokens_mean", True),
    ("response_tokens_mean", True),
    ("response_entropy_normalised", False),
    ("response_distinct_share", False),
    ("dataset_prompt_fields_mean", False),
    ("prompt_question_share", False),
    ("response_copied_share", False),
    ("prompt_corpus_mtld", True),
    ("response_yes_no_share", False),
    ("prompt_flesch_kincaid_grade", False),
    ("label_class_count", True),
    ("dataset_rows", True),
)


@dataclass(frozen=True, slots=True)
class LikenessScale:
    """What likeness is measured by: centres and spreads over the datasets of a matrix and over their pairs.

    Attributes
    ----------
    trait_centre, trait_spread
        Of the curated traits, (traits,).
    centre, spread
        Of the likeness of pairs by kind, (kinds,).
    own_spread
        Of the mean of the three kinds over pairs.
    word_weights
        Inverse document frequencies by part.
    """

    trait_centre: np.ndarray
    trait_spread: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    own_spread: float
    word_weights: Mapping[str, np.ndarray]

    def deviations(self, like: np.ndarray) -> np.ndarray:
        """Mean likeness of pairs over the kinds, in deviations, (sources, targets). like: (kinds, targets, sources)."""
        return np.asarray(like.mean(axis=0).T / self.own_spread)

    def closeness(self, like: np.ndarray, to_matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
        """How far a source stands out by its likeness to a target, less the mean over the matrix, (sources, targets).

        The deviations beyond one, two at most. Over 17 settings, sources beyond two deviations gain .75 of the target's
        spread more than the average one (standard error .16), and below that likeness says nothing: .12 or less in
        every bin (`benchmarks/likeness.py`).

        Parameters
        ----------
        like
            Likeness of the targets to the sources, (kinds, targets, sources), from `of`.
        to_matrix
            Their likeness to the n datasets of the matrix, (kinds, targets, n).
        target
            int64 positions of the targets among these, -1 for any other dataset, (targets,).
        """
        each, every = (np.clip(self.deviations(of), *FAR_OUT) - FAR_OUT[0] for of in (like, to_matrix))
        other = np.arange(len(every))[:, None] != target
        return np.asarray(each - (every * other).sum(axis=0) / np.maximum(other.sum(axis=0), 1))

    def of(self, profiles: ProfileSet, asked: Sequence[str], known: Sequence[str]) -> np.ndarray:
        """Likeness of `asked` to `known` in deviations of the matrix, (kinds, asked, known); 0 where undefined.

        Raises
        ------
        NotProfiledError
            For an unknown dataset.
        """
        raw = self._raw(profiles, asked, known)
        scaled = (raw - self.centre[:, None, None]) / self.spread[:, None, None]
        return np.where(np.isnan(scaled), 0.0, scaled)

    def _raw(self, profiles: ProfileSet, asked: Sequence[str], known: Sequence[str]) -> np.ndarray:
        found = np.full((len(KINDS), len(asked), len(known)), np.nan)
        found[0] = -self._apart(profiles, asked, known)
        left, right = np.repeat(profiles.rows_of(asked), len(known)), np.tile(profiles.rows_of(known), len(asked))
        for kind, part in ((1, "response"), (2, "prompt")):
            chosen = [s for s in SIMILARITIES if s.part == part and (part, s.kind) in profiles.sketches]
            if chosen:
                weights = self.word_weights.get(part)
                each = [compare(s, profiles, left, right, weights if s.weighted else None) for s in chosen]
                found[kind] = _mean(np.array(each)).reshape(len(asked), len(known))
        return found

    def _apart(self, profiles: ProfileSet, asked: Sequence[str], known: Sequence[str]) -> np.ndarray:
        """Root mean square distance over the curated traits that both define, (asked, known)."""
        a, b = (
            np.clip((curated(profiles, names) - self.trait_centre) / self.trait_spread, -_FARTHEST, _FARTHEST)
            for names in (asked, known)
        )
        return np.sqrt(_mean(np.moveaxis((a[:, None] - b[None]) ** 2, 2, 0)))


def likeness_scale(profiles: ProfileSet, names: Sequence[str], word_weights: Mapping[str, np.ndarray]) -> LikenessScale:
    """The scale of the datasets of a matrix. word_weights: as `PairSpace` fixes them."""
    traits = curated(profiles, names)
    centre, spread = _moments(traits.T)
    scale = LikenessScale(centre, spread, np.zeros(len(KINDS)), np.ones(len(KINDS)), 1.0, word_weights)
    pairs = ~np.eye(len(names), dtype=bool)
    centre, spread = _moments(scale._raw(profiles, names, names)[:, pairs])
    scale = replace(scale, centre=centre, spread=spread)
    own = scale.deviations(scale.of(profiles, names, names))[pairs]
    return replace(scale, own_spread=float(own.std()) or 1.0)


def curated(profiles: ProfileSet, names: Sequence[str]) -> np.ndarray:
    """The curated traits, (names, traits), NaN where undefined."""
    column = {trait: j for j, trait in enumerate(profiles.traits.traits)}
    rows = profiles.rows_of(names)
    found = np.full((len(names), len(CURATED)), np.nan)
    for k, (trait, logarithm) in enumerate(CURATED):
        if trait in column:
            values = profiles.traits.values[rows, column[trait]]
            found[:, k] = np.log(np.maximum(values, 1e-3)) if logarithm else values
    return found


def weights(like: np.ndarray, allowed: np.ndarray, sharpness: float = SHARPNESS) -> np.ndarray:
    """Weight of every known dataset for each asked one, (asked, known): rows sum to 1 over the allowed ones.

    like: (kinds, asked, known). allowed: bool, (asked, known). sharpness: how fast weights fall with likeness.
    """
    kernels = [allowed.astype(np.float64)]
    for kind in like:
        highest = np.where(allowed, kind, -np.inf).max(axis=1, keepdims=True)
        kernels.append(
            np.where(allowed, np.exp(sharpness * (kind - np.where(np.isfinite(highest), highest, 0.0))), 0.0)
        )
    found = np.zeros(allowed.shape)
    for share, kernel in zip((PLAIN, *SHARES), kernels, strict=True):
        sums = kernel.sum(axis=1, keepdims=True)
        found += share * np.divide(kernel, sums, out=np.zeros(allowed.shape), where=sums > 0)
    return found


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is defined, NaN where nothing is."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every row over what is defined; a spread of 1 for a row that does not vary."""
    centre = np.nan_to_num(_mean(rows.T))
    spread = np.sqrt(np.nan_to_num(_mean((rows.T - centre) ** 2)))
    return centre, np.where(spread > 1e-9, spread, 1.0)


def sharing(profiles: ProfileSet, target: str, names: Sequence[str]) -> list[str]:
    """Datasets that share most of their prompts with a target: parts and copies of it, which teach its own rows."""
    sketches = profiles.sketches.get(("prompt", "texts_bottom"), {})
    known = [name for name in names if name in sketches and name != target]
    if target not in sketches or not known:
        return []
    theirs = np.stack([sketches[name] for name in known]).astype(np.float64)
    mine = np.broadcast_to(np.asarray(sketches[target], dtype=np.float64), theirs.shape)
    shared = shared_texts(theirs, mine)
    return [name for name, share in zip(known, shared, strict=True) if share > _MOST]

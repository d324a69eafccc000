"""Pair features: how a (source, target) pair is described to the predictor.

Owns the choice of traits and every formula that compares two profiles. Works on profiles alone: it never reads a text,
and a dataset's name never becomes a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from traitcast.warehouse.console import command
from traitcast.warehouse.errors import NotProfiledError, UserError, nearest
from traitcast.warehouse.probes import FAMILY as PROBE_FAMILY
from traitcast.warehouse.records import TraitDefinition, TraitMatrix

SketchKey = tuple[str, str]
Sketches = Mapping[SketchKey, Mapping[str, np.ndarray]]

# Families whose single traits have meaningful differences; other traits are compared through distances per family.
GAP_FAMILIES = ("class_balance", "generation_length")
# A length gap is a ratio: 5 more tokens are a lot for a label and nothing for an essay.
LENGTH_UNITS = ("tokens", "words", "characters", "sentences", "lines")
# The number of rows enters once, as the feature `rows_log10` of the source.
_SIZE_TRAIT = "dataset_rows"
# In training standard deviations. One unbounded count (3,000 distinct responses where training had 6) would dominate
# the other traits of its family.
FARTHEST = 10.0
_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """What the warehouse knows about many datasets.

    traits: their trait matrix. sketches: (part, kind) -> dataset -> vector. label_counts: dataset -> label -> rows.
    mixtures: mixture -> dataset -> share of its rows.
    """

    traits: TraitMatrix
    sketches: Sketches
    label_counts: Mapping[str, Mapping[str, int]]
    mixtures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def rows_of(self, names: Sequence[str]) -> np.ndarray:
        """Row numbers (int64) of `names` in the trait matrix. Raises NotProfiledError for the first unknown one."""
        index = {name: i for i, name in enumerate(self.traits.names)}
        for name in names:
            if name not in index:
                raise NotProfiledError(
                    f"dataset {name!r} is not profiled{nearest(name, index)} "
                    f"Profile it with: {command('profile', name)}"
                )
        return np.array([index[name] for name in names], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the pair table.

    name: "<side or kind>:<trait>". trait: a trait of the catalogue, or the name of a comparison.
    side: source, target or pair. family: a trait family, "similarity", "size" or "task".
    """

    name: str
    trait: str
    side: str
    family: str


@dataclass(frozen=True, slots=True)
class Similarity:
    """A comparison of two sketches: `formula` maps two (pairs, width) arrays to (pairs,)."""

    trait: str
    part: str
    kind: str
    formula: Callable[[np.ndarray, np.ndarray], np.ndarray]
    weighted: bool = False


def minhash_jaccard(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Estimated Jaccard similarity of two sets: the share of equal minima (Broder 1997). Shapes (n, k) -> (n,)."""
    return (a == b).mean(axis=1)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between rows; NaN where a row is all zero. Shapes (n, k) -> (n,)."""
    norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), norms, out=np.full(len(a), np.nan), where=norms > 0)


def jensen_shannon_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - Jensen-Shannon divergence in bits (Lin 1991): 1 for equal distributions, 0 for disjoint ones.

    Rows are normalised here; NaN where a row sums to zero. Shapes (n, k) -> (n,).
    """
    sums_a, sums_b = a.sum(axis=1, keepdims=True), b.sum(axis=1, keepdims=True)
    defined = (sums_a > 0)[:, 0] & (sums_b > 0)[:, 0]
    p, q = a / np.where(sums_a > 0, sums_a, 1.0), b / np.where(sums_b > 0, sums_b, 1.0)
    divergence = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return np.where(defined, 1.0 - np.clip(divergence, 0.0, 1.0), np.nan)


def _entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=1)


SIMILARITIES: tuple[Similarity, ...] = (
    Similarity("prompt_vocabulary_jaccard", "prompt", "words_minhash", minhash_jaccard),
    Similarity("response_vocabulary_jaccard", "response", "words_minhash", minhash_jaccard),
    Similarity("prompt_tfidf_cosine", "prompt", "words_hashed", cosine, weighted=True),
    Similarity("response_tfidf_cosine", "response", "words_hashed", cosine, weighted=True),
    Similarity("prompt_trigram_similarity", "prompt", "trigrams_hashed", jensen_shannon_similarity),
    Similarity("response_trigram_similarity", "response", "trigrams_hashed", jensen_shannon_similarity),
)


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How pair features are chosen. The defaults did best under the new-pair and new-target protocols.

    Attributes
    ----------
    tier
        "static" for traits of the data, "probe" to add probes of the base model.
    max_undefined
        A trait that is undefined for a larger share of the training datasets is left out.
    max_correlation
        A trait whose absolute Spearman correlation with an earlier kept one reaches this is left out: the other one
        represents it, and SHAP values are not split at random between the two.
    sides
        Kinds of columns: "source", "target", "gap", "distance", "similarity", "size".
    min_datasets
        With fewer datasets in a role, the traits of that role are left out: seven values of a trait identify seven
        datasets, so a split on them is a name in disguise. Comparisons of the pair stay.
    """

    tier: str = "static"
    max_undefined: float = 0.5
    max_correlation: float = 0.9
    sides: tuple[str, ...] = ("source", "target", "gap", "distance", "similarity", "size")
    min_datasets: int = 10


@dataclass(frozen=True, slots=True)
class PairSpace:
    """A fitted set of pair features: the same profiles always give the same table.

    Attributes
    ----------
    features
        The columns.
    definitions, centres, scales
        The kept traits, and their means and standard deviations over the training datasets.
    word_weights
        Inverse document frequencies per part, fixed at fitting time.
    dropped
        Trait -> why it was left out.
    fills
        Per feature, the value for undefined ones; NaN leaves them to the trees. With fewer than `min_datasets` in a
        role, only one or two may lack a label, say, and a tree that learns what "undefined" means would learn their
        names: undefined values are then the median of the training pairs.
    """

    features: tuple[Feature, ...]
    definitions: tuple[TraitDefinition, ...]
    centres: np.ndarray
    scales: np.ndarray
    word_weights: Mapping[str, np.ndarray]
    dropped: Mapping[str, str]
    fills: np.ndarray

    @property
    def traits(self) -> tuple[str, ...]:
        return tuple(d.trait for d in self.definitions)

    def standardised(self, profiles: ProfileSet, names: Sequence[str]) -> np.ndarray:
        """Kept traits of `names` in training standard deviations, (names, traits), NaN where undefined."""
        values = profiles.traits.values[profiles.rows_of(names)][:, self._columns(profiles)]
        return (values - self.centres) / self.scales

    def table(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Input of the trees for the pairs (sources[i], targets[i]): `values` with `fills`, (pairs, features)."""
        found = self.values(profiles, sources, targets)
        return np.where(np.isnan(found), self.fills, found)

    def values(self, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Feature values of the pairs (sources[i], targets[i]).

        Returns
        -------
        np.ndarray
            float64, (pairs, features), NaN where undefined.

        Raises
        ------
        NotProfiledError
            For an unknown dataset.
        UserError
            If a trait is missing from the warehouse, or its unit has changed.
        """
        of_source, of_target = profiles.rows_of(sources), profiles.rows_of(targets)
        raw = profiles.traits.values[:, self._columns(profiles)]
        scaled = (raw - self.centres) / self.scales
        column_of = {trait: j for j, trait in enumerate(self.traits)}
        columns: list[np.ndarray] = []
        for feature in self.features:
            kind = feature.name.split(":", 1)[0]
            if kind in ("source", "target", "gap") and feature.trait in column_of:
                j = column_of[feature.trait]
                s, t = raw[of_source, j], raw[of_target, j]
                columns.append(s if kind == "source" else t if kind == "target" else gap(self.definitions[j], s, t))
            elif kind == "distance":
                chosen = [j for j, d in enumerate(self.definitions) if d.family == feature.family]
                apart = scaled[of_source][:, chosen] - scaled[of_target][:, chosen]
                columns.append(root_mean_square(np.clip(apart, -FARTHEST, FARTHEST)))
            else:
                columns.append(self._comparison(feature.trait, profiles, of_source, of_target))
        return np.column_stack(columns) if columns else np.empty((len(sources), 0))

    def _columns(self, profiles: ProfileSet) -> list[int]:
        column_of = {d.trait: j for j, d in enumerate(profiles.traits.definitions)}
        missing = [trait for trait in self.traits if trait not in column_of]
        if missing:
            raise UserError(
                f"the predictor uses {len(self.traits)} traits, but this warehouse has no {missing[0]!r}"
                f"{f' (and lacks {len(missing) - 1} more)' if len(missing) > 1 else ''}. Fit a new one with: "
                f"{command('fit', '--matrix', 'NAME')}"
            )
        now = profiles.traits.definitions
        moved = next((d for d in self.definitions if now[column_of[d.trait]].unit != d.unit), None)
        if moved is not None:
            raise UserError(
                f"the predictor was fitted while trait {moved.trait!r} was in {moved.unit}; it is now in "
                f"{now[column_of[moved.trait]].unit}. Fit a new one with: {command('fit', '--matrix', 'NAME')}"
            )
        return [column_of[trait] for trait in self.traits]

    def _comparison(self, trait: str, profiles: ProfileSet, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        if trait == "rows_log10":
            return np.log10(np.maximum(np.array(profiles.traits.rows, dtype=np.float64)[source], 1.0))
        if trait == "same_task_type":
            types = np.array(profiles.traits.task_types, dtype=object)
            return (types[source] == types[target]).astype(np.float64)
        if trait == "label_overlap":
            return label_overlap(profiles, source, target)
        similarity = next(s for s in SIMILARITIES if s.trait == trait)
        weights = self.word_weights.get(similarity.part) if similarity.weighted else None
        return compare(similarity, profiles, source, target, weights)


def fit_space(
    profiles: ProfileSet,
    names: Sequence[str],
    settings: FeatureSettings | None = None,
    *,
    sources: int | None = None,
    targets: int | None = None,
) -> PairSpace:
    """Choose the features for a matrix. No gain is used, so nothing leaks.

    Parameters
    ----------
    profiles
        All profiles.
    names
        The datasets of the matrix.
    settings
        How to choose; None for the defaults.
    sources, targets
        How many of the datasets occur in that role; None for all.

    Raises
    ------
    UserError
        As `select_traits` does.
    """
    settings = settings or FeatureSettings()
    kept, dropped = select_traits(profiles, names, settings)
    counts = {
        "source": len(names) if sources is None else sources,
        "target": len(names) if targets is None else targets,
    }
    few = {role for role, count in counts.items() if count < settings.min_datasets}
    settings = replace(settings, sides=tuple(side for side in settings.sides if side not in few))
    definitions = tuple(profiles.traits.definitions[j] for j in kept)
    values = profiles.traits.values[profiles.rows_of(names)][:, kept]
    space = PairSpace(
        features=_features(definitions, profiles, settings),
        definitions=definitions,
        centres=np.nanmean(values, axis=0) if kept else np.empty(0),
        scales=np.nanstd(values, axis=0) if kept else np.empty(0),
        word_weights=_word_weights(profiles, names),
        dropped=dropped,
        fills=np.empty(0),
    )
    # A comparison that is the same for every pair of the training datasets is useless.
    pairs = [(s, t) for s in names for t in names if s != t]
    table = space.values(profiles, [s for s, _ in pairs], [t for _, t in pairs])
    varies = np.array([np.unique(column[~np.isnan(column)]).size > 1 for column in table.T], dtype=bool)
    features = tuple(f for f, keep in zip(space.features, varies, strict=True) if keep)
    fills = np.nanmedian(table[:, varies], axis=0) if few and varies.any() else np.full(len(features), np.nan)
    return replace(space, features=features, fills=fills)


def select_traits(
    profiles: ProfileSet, names: Sequence[str], settings: FeatureSettings
) -> tuple[list[int], dict[str, str]]:
    """Columns of the traits to use over the datasets `names`, and why each other trait was dropped.

    Raises
    ------
    UserError
        For an unknown tier, and for the probe tier if no probe is useful.
    """
    if settings.tier not in ("static", "probe"):
        raise UserError(f"unknown tier {settings.tier!r}. Allowed: static, probe.")
    definitions = profiles.traits.definitions
    if settings.tier == "probe" and not any(d.family == PROBE_FAMILY for d in definitions):
        raise UserError(
            f"the profiles have no probes of a base model. Measure them with: {command('probe', 'DATASET')}; "
            f"or fit without them: {command('fit', '--tier', 'static')}"
        )
    values = profiles.traits.values[profiles.rows_of(names)]
    kept: list[int] = []
    ranks: list[np.ndarray] = []
    dropped: dict[str, str] = {}
    for j, definition in enumerate(definitions):
        column = values[:, j]
        defined = ~np.isnan(column)
        if definition.family == PROBE_FAMILY and settings.tier == "static":
            dropped[definition.trait] = "a probe; fit with --tier probe to use it"
        elif definition.trait == _SIZE_TRAIT:
            dropped[definition.trait] = "carried by rows_log10"
        elif defined.mean() < 1.0 - settings.max_undefined:
            dropped[definition.trait] = f"undefined for {(~defined).mean():.0%} of the training datasets"
        elif np.ptp(column[defined]) <= 1e-12:
            dropped[definition.trait] = "the same for every training dataset"
        else:
            rank = _centred_ranks(column)
            twin = next(
                (k for k, other in zip(kept, ranks, strict=True) if abs(rank @ other) >= settings.max_correlation), None
            )
            if twin is None:
                kept.append(j)
                ranks.append(rank)
            else:
                dropped[definition.trait] = f"ranks the training datasets as {definitions[twin].trait} does"
    if settings.tier == "probe" and not any(definitions[j].family == PROBE_FAMILY for j in kept):
        _refuse_idle_probes(definitions, dropped)
    return kept, dropped


def _refuse_idle_probes(definitions: Sequence[TraitDefinition], dropped: Mapping[str, str]) -> None:
    reasons = "; ".join(f"{d.trait}: {dropped[d.trait]}" for d in definitions if d.family == PROBE_FAMILY)
    raise UserError(
        f"no probe is useful on the training datasets ({reasons}). Probe more datasets with: "
        f"{command('probe', 'DATASET')}; or fit without them: {command('fit', '--tier', 'static')}"
    )


def _centred_ranks(column: np.ndarray) -> np.ndarray:
    """Ranks as a unit vector, so that a dot product is Spearman's correlation; undefined values are at the mean."""
    from scipy.stats import rankdata

    defined = ~np.isnan(column)
    centred = np.zeros(len(column))
    ranks = rankdata(column[defined])
    centred[defined] = ranks - ranks.mean()
    return centred / np.linalg.norm(centred)


def gap(definition: TraitDefinition, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """source - target, or ln((1 + source) / (1 + target)) for lengths."""
    if definition.unit in LENGTH_UNITS and definition.low == 0:
        return np.log1p(source) - np.log1p(target)
    return source - target


def root_mean_square(differences: np.ndarray) -> np.ndarray:
    """Root mean square over the defined columns of each row; NaN where none is. Shape (n, k) -> (n,)."""
    defined = ~np.isnan(differences)
    counts = defined.sum(axis=1)
    squares = np.where(defined, differences, 0.0) ** 2
    return np.sqrt(np.divide(squares.sum(axis=1), counts, out=np.full(len(counts), np.nan), where=counts > 0))


def compare(
    similarity: Similarity,
    profiles: ProfileSet,
    source: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """One similarity for pairs of dataset rows: float64 (pairs,), NaN where either has no such sketch."""
    vectors = profiles.sketches.get((similarity.part, similarity.kind), {})
    names = profiles.traits.names
    # Only the requested datasets are stacked, so that one pair among ten thousand profiles is fast.
    rows = np.array([i for i in np.union1d(source, target) if names[i] in vectors], dtype=np.int64)
    result = np.full(len(source), np.nan)
    pairs = np.flatnonzero(np.isin(source, rows) & np.isin(target, rows))
    if not pairs.size:
        return result
    stacked = np.stack([vectors[names[i]] for i in rows]).astype(np.float64)
    if weights is not None:
        if len(weights) != stacked.shape[1]:
            raise UserError(
                f"the predictor weighs {len(weights)} words of a {similarity.part}, but sketches here have "
                f"{stacked.shape[1]}. Fit a new one with: {command('fit', '--matrix', 'NAME')}"
            )
        stacked *= weights
    left, right = np.searchsorted(rows, source[pairs]), np.searchsorted(rows, target[pairs])
    back = np.arange(pairs.size)
    # Copies of a dataset with other traits, of which whatif makes hundreds, share its sketch: it is compared once.
    first: dict[int, int] = {}
    shared = np.array([first.setdefault(id(vectors[names[i]]), at) for at, i in enumerate(rows)])
    if len(first) < len(rows):
        each, back = np.unique(shared[left] * len(rows) + shared[right], return_inverse=True)
        left, right = np.divmod(each, len(rows))
    found = np.empty(len(left))
    for start in range(0, len(left), _CHUNK):
        some = slice(start, start + _CHUNK)
        found[some] = similarity.formula(stacked[left[some]], stacked[right[some]])
    result[pairs] = found[back]
    return result


def label_overlap(profiles: ProfileSet, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Jaccard similarity of the lower-cased label names; NaN unless both are classification datasets.

    Answer positions of multiple choice are not names, so they do not count.
    """
    types, names = profiles.traits.task_types, profiles.traits.names
    labels = {
        i: {label.strip().lower() for label in profiles.label_counts.get(names[i], {})}
        if types[i] == "classification"
        else set()
        for i in np.union1d(source, target).tolist()
    }
    pairs = zip(source.tolist(), target.tolist(), strict=True)
    return np.array([_jaccard(labels[s], labels[t]) for s, t in pairs], dtype=np.float64)


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a and b else float("nan")


def _word_weights(profiles: ProfileSet, names: Sequence[str]) -> dict[str, np.ndarray]:
    """ln(1 + 1/mean share of a word bucket) per part: words that are common everywhere weigh little.

    The mean is over the training datasets alone, so that a new dataset does not change old predictions.
    """
    weights: dict[str, np.ndarray] = {}
    for part, kind in sorted({(s.part, s.kind) for s in SIMILARITIES if s.weighted}):
        vectors = profiles.sketches.get((part, kind), {})
        rows = [np.asarray(vectors[name], dtype=np.float64) for name in names if name in vectors]
        if rows:
            mean = np.mean(rows, axis=0)
            weights[part] = np.round(np.log1p(1.0 / np.maximum(mean, 1e-6)), 6)
    return weights


def _features(
    definitions: Sequence[TraitDefinition], profiles: ProfileSet, settings: FeatureSettings
) -> tuple[Feature, ...]:
    made: list[Feature] = []
    for side in ("source", "target"):
        if side in settings.sides:
            made += [Feature(f"{side}:{d.trait}", d.trait, side, d.family) for d in definitions]
    if "gap" in settings.sides:
        gaps = [d for d in definitions if d.family in GAP_FAMILIES]
        made += [Feature(f"gap:{d.trait}", d.trait, "pair", d.family) for d in gaps]
    if "distance" in settings.sides:
        families = dict.fromkeys(d.family for d in definitions)
        made += [Feature(f"distance:{family}", f"{family}_distance", "pair", family) for family in families]
    if "similarity" in settings.sides:
        kinds = [s.trait for s in SIMILARITIES if (s.part, s.kind) in profiles.sketches]
        made += [Feature(f"pair:{trait}", trait, "pair", "similarity") for trait in kinds]
        made.append(Feature("pair:label_overlap", "label_overlap", "pair", "similarity"))
        made.append(Feature("pair:same_task_type", "same_task_type", "pair", "task"))
    if "size" in settings.sides:
        made.append(Feature("source:rows_log10", "rows_log10", "source", "size"))
    return tuple(made)

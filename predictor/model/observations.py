"""Observations: the measured gains of one matrix, matched with profiles, ready to learn from.

Owns matching, averaging over seeds, the grouping of related datasets, and the splits of every protocol. The diagonal
(source = target) is kept apart. Refuses matrices that are too small or contradictory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from traitcast.predictor.model.features import ProfileSet, Similarity, compare, minhash_jaccard
from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import ScoresError
from traitcast.warehouse.overlap import shared_texts
from traitcast.warehouse.records import Cells, Matrix

PROTOCOLS = ("new-target", "one-target", "new-source", "two-sources", "new-pair", "random-cell")
# Here sources are a sample of others, as targets are, so a bootstrap resamples both.
SOURCES_HELD_OUT = ("new-source", "two-sources", "new-pair")
# With fewer groups than this, holding out a group leaves too little to learn from.
MIN_GROUPS = 6
# `Matrix.base` of a matrix that was published without the scores of the untuned model.
TARGET_MEAN = "target mean"
MIN_TARGETS, MIN_SOURCES = 2, 3
MIN_TRAIN_CELLS = 6
# A new-pair evaluation fits one model for each two folds.
MAX_FOLDS = {"new-target": 10, "one-target": 30, "new-source": 10, "new-pair": 7, "random-cell": 10}
# Pairs of sources that a two-sources evaluation holds out, with one fit each.
MAX_SOURCE_PAIRS = 60
# Two datasets that share 2 % of their texts come from one corpus. Pairs of one corpus without a common text reach a
# vocabulary Jaccard of .40 (arc_easy and arc_challenge have .45); datasets of one task (mr and sst2) stay at .35.
_SHARED_TEXT = (
    (Similarity("shared_texts", "prompt", "texts_bottom", shared_texts), 0.02),
    (Similarity("vocabulary_jaccard", "prompt", "words_minhash", minhash_jaccard), 0.40),
)


@dataclass(frozen=True, slots=True)
class Observations:
    """One row per measured (model, source, target), without the diagonal.

    Attributes
    ----------
    names, models
        Datasets and models that occur, sorted.
    source, target, model
        int64, (rows,): positions in `names` and `models`.
    gain
        Mean over seeds, pp, (rows,).
    weight
        Share of the variance of a gain that is not noise, 0..1, (rows,); 1 where the noise is unknown.
    noise
        Variance that other seeds would show (other test rows, where there is one seed), pp², (rows,); NaN if unknown.
    error
        Standard error of a gain over seeds and test rows, pp, (rows,); NaN if unknown.
    seed_gains
        Gain of every seed, pp, (rows, seeds); NaN where a seed is missing.
    diagonal
        Gains of the cells with source = target, pp.
    unmatched
        Datasets of the matrix without a profile, which are left out.
    notes
        What was left out, and why.
    """

    matrix: Matrix
    names: tuple[str, ...]
    models: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray
    model: np.ndarray
    gain: np.ndarray
    weight: np.ndarray
    noise: np.ndarray
    error: np.ndarray
    seed_gains: np.ndarray
    diagonal: np.ndarray
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.gain)

    @property
    def source_names(self) -> list[str]:
        """Source of every row."""
        return [self.names[i] for i in self.source]

    @property
    def target_names(self) -> list[str]:
        """Target of every row."""
        return [self.names[i] for i in self.target]

    def take(self, rows: np.ndarray) -> Observations:
        """The same matrix with only these rows; datasets and models keep their positions."""
        columns = ("source", "target", "model", "gain", "weight", "noise", "error", "seed_gains")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups of related datasets: int64 per dataset; equal numbers stay in one fold. by: how they were formed."""

    group: np.ndarray
    by: str

    @property
    def count(self) -> int:
        return len(set(self.group.tolist()))


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers (int64) to learn from and to predict."""

    train: np.ndarray
    test: np.ndarray


def observe(cells: Cells, profiles: ProfileSet) -> Observations:
    """Match the cells of a matrix with profiles, and average over seeds.

    Parameters
    ----------
    cells
        Measured cells of one matrix.
    profiles
        Profiles of its datasets; datasets without one are left out.

    Raises
    ------
    ScoresError
        For too few profiled datasets, fewer than two targets, constant gains, no usable gain, or a cell that occurs
        twice with different values.
    """
    profiled = set(profiles.traits.names)
    unmatched = tuple(sorted((set(cells.sources) | set(cells.targets)) - profiled))
    sources, targets = np.array(cells.sources, dtype=object), np.array(cells.targets, dtype=object)
    matched = np.array([s in profiled and t in profiled for s, t in zip(sources, targets, strict=True)], dtype=bool)
    usable = matched & (sources != targets)
    _check_duplicates(cells)
    bad = usable & ~np.isfinite(cells.gain)
    notes = []
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        cell = f"{cells.models[first]}, {sources[first]} -> {targets[first]}, seed {cells.seeds[first]}"
        if bad.sum() == usable.sum():
            raise ScoresError(
                f"matrix {cells.matrix.matrix!r}: none of its {bad.sum()} cells has a gain (the first: {cell}). "
                "A gain needs a score and a base score: import the scores of the untuned model with an empty source, "
                f"with {command('scores', 'import', 'FILE')}"
            )
        are = "is" if bad.sum() == 1 else "are"
        notes.append(f"{count(int(bad.sum()), 'cell')} without a finite gain {are} left out (the first: {cell})")
    rows = np.flatnonzero(usable & ~bad)
    _check_coverage(cells.matrix.matrix, sources[rows], targets[rows], unmatched)
    if np.ptp(cells.gain[rows]) <= 1e-9:
        raise ScoresError(
            f"matrix {cells.matrix.matrix!r}: every gain is {cells.gain[rows[0]]:g} pp, so there is nothing to learn. "
            f"Check the scores with: {command('sql', 'SELECT * FROM transfer')}"
        )
    if unmatched:
        are = "is" if len(unmatched) == 1 else "are"
        lacking = count(len(unmatched), "dataset")
        notes.append(f"{lacking} of the matrix {are} not profiled and left out: {', '.join(unmatched)}")
    diagonal = cells.gain[matched & (sources == targets) & np.isfinite(cells.gain)]
    return replace(_averaged(cells, rows), diagonal=diagonal, unmatched=unmatched, notes=tuple(notes))


def _check_duplicates(cells: Cells) -> None:
    seen: dict[tuple[str, str, str, int], float] = {}
    for i, key in enumerate(zip(cells.models, cells.sources, cells.targets, cells.seeds.tolist(), strict=True)):
        gain = float(cells.gain[i])
        if key in seen and not (gain == seen[key] or (np.isnan(gain) and np.isnan(seen[key]))):
            model, source, target, seed = key
            raise ScoresError(
                f"matrix {cells.matrix.matrix!r} has two gains for ({model}, {source} -> {target}, seed {seed}): "
                f"{seen[key]:g} and {gain:g} pp. Keep one, or give them different seeds, then import again with: "
                f"{command('scores', 'import', 'FILE')}"
            )
        seen[key] = gain


def _check_coverage(matrix: str, sources: np.ndarray, targets: np.ndarray, unmatched: Sequence[str]) -> None:
    n_sources, n_targets = len(set(sources)), len(set(targets))
    if n_targets >= MIN_TARGETS and n_sources >= MIN_SOURCES:
        return
    cure = (
        f"Not profiled: {', '.join(unmatched)}. Profile them with: {command('profile', unmatched[0])}"
        if unmatched
        else f"Import a matrix with more sources and targets with: {command('scores', 'import', 'FILE')}"
    )
    raise ScoresError(
        f"matrix {matrix!r} has {n_sources} sources and {n_targets} targets with a profile, but a predictor needs at "
        f"least {MIN_SOURCES} sources and {MIN_TARGETS} targets. {cure}"
    )


def _averaged(cells: Cells, rows: np.ndarray) -> Observations:
    names = tuple(sorted({cells.sources[i] for i in rows} | {cells.targets[i] for i in rows}))
    models = tuple(sorted({cells.models[i] for i in rows}))
    seeds = sorted({int(cells.seeds[i]) for i in rows})
    position = {name: i for i, name in enumerate(names)}
    keys = sorted({(cells.models[i], cells.sources[i], cells.targets[i]) for i in rows})
    row_of = {key: r for r, key in enumerate(keys)}
    gains = np.full((len(keys), len(seeds)), np.nan)
    errors = np.full((len(keys), len(seeds)), np.nan)
    for i in rows:
        cell = (row_of[cells.models[i], cells.sources[i], cells.targets[i]], seeds.index(int(cells.seeds[i])))
        gains[cell] = cells.gain[i]
        errors[cell] = cells.standard_error[i]
    target = np.array([position[t] for _, _, t in keys], dtype=np.int64)
    model = np.array([models.index(m) for m, _, _ in keys], dtype=np.int64)
    if cells.matrix.base == TARGET_MEAN:
        gains -= _target_means(np.nanmean(gains, axis=1), target, model)[:, None]
    gain = np.nanmean(gains, axis=1)
    noise, error = _noise(gains, errors)
    return Observations(
        matrix=cells.matrix,
        names=names,
        models=models,
        source=np.array([position[s] for _, s, _ in keys], dtype=np.int64),
        target=target,
        model=model,
        gain=gain,
        weight=_noise_weight(gain, gains, errors),
        noise=noise,
        error=error,
        seed_gains=gains,
        diagonal=np.empty(0),
        unmatched=(),
        notes=(),
    )


def _target_means(gain: np.ndarray, target: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Mean gain of a row's target and model, (rows,).

    Where gains are relative to the mean source, this is the mean over the sources with a profile: the others would
    shift every target.
    """
    _, group, counts = np.unique(np.column_stack([target, model]), axis=0, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(group, gain) / counts)[group])


def _noise(gains: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of every mean over its seeds (pp²), and its standard error over seeds and rows (pp); NaN where unknown.

    gains, errors: (rows, seeds). Seeds share their test rows, so more seeds do not average the error of the rows away.
    Two seeds say little about one cell, so its standard error takes the variance between seeds over all cells.
    """
    known, counts = ~np.isnan(errors), (~np.isnan(gains)).sum(axis=1)
    squares, rows = (np.where(known, errors, 0.0) ** 2).sum(axis=1), known.sum(axis=1)
    of_rows = np.divide(squares, rows, out=np.full(len(gains), np.nan), where=rows > 0)
    several = counts > 1
    if not several.any():
        return of_rows, np.sqrt(of_rows)
    between = np.full(len(gains), np.nan)
    between[several] = np.nanvar(gains[several], axis=1, ddof=1) / counts[several]
    of_seeds = float(np.nanmean(between * counts)) / counts
    return between, np.sqrt(np.nan_to_num(of_rows) + of_seeds)


def _noise_weight(gain: np.ndarray, gains: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """signal variance / (signal variance + squared standard error of the mean over seeds), 1 where unknown."""
    seeds = (~np.isnan(gains)).sum(axis=1)
    known = ~np.isnan(errors)
    counts = known.sum(axis=1)
    squared = np.where(known, errors, 0.0) ** 2
    noise = np.divide(squared.sum(axis=1), counts, out=np.zeros(len(gain)), where=counts > 0) / seeds
    signal = max(float(np.var(gain)) - float(np.mean(noise)), 0.1 * float(np.var(gain)))
    return signal / (signal + noise)


def group_datasets(
    observations: Observations, profiles: ProfileSet, shared: Sequence[tuple[str, str]] = ()
) -> Grouping:
    """Put datasets of one family, and datasets that share documents, into one group.

    Shared documents are found from the `texts_bottom` sketches and from nearly equal vocabularies. With fewer than
    MIN_GROUPS groups every dataset is its own group, and `by` says so: relatives of a held-out dataset are then in
    training.

    Parameters
    ----------
    observations
        Observations whose datasets are grouped.
    profiles
        Their profiles.
    shared
        Further pairs of datasets that share text.
    """
    names = observations.names
    parent = list(range(len(names)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in _related(observations, profiles, shared):
        parent[root(j)] = root(i)
    roots = [root(i) for i in range(len(names))]
    order = {r: k for k, r in enumerate(dict.fromkeys(roots))}
    group = np.array([order[r] for r in roots], dtype=np.int64)
    if len(order) >= MIN_GROUPS:
        return Grouping(group, f"dataset family and shared text, {len(order)} groups of {len(names)} datasets")
    single = np.arange(len(names), dtype=np.int64)
    return Grouping(
        single,
        f"single datasets, as {len(names)} datasets fall into only {len(order)} families: "
        "relatives of a held-out dataset stay in training",
    )


def _related(
    observations: Observations, profiles: ProfileSet, shared: Sequence[tuple[str, str]]
) -> Iterator[tuple[int, int]]:
    names = observations.names
    rows = profiles.rows_of(names)
    first_of: dict[str, int] = {}
    for i, row in enumerate(rows):
        family = profiles.traits.families[row]
        if family is not None and family in first_of:
            yield first_of[family], i
        elif family is not None:
            first_of[family] = i
    position = {name: i for i, name in enumerate(names)}
    yield from ((position[a], position[b]) for a, b in shared if a in position and b in position)
    left, right = np.triu_indices(len(names), k=1)
    for similarity, threshold in _SHARED_TEXT:
        overlap = compare(similarity, profiles, rows[left], rows[right])
        yield from ((int(left[k]), int(right[k])) for k in np.flatnonzero(overlap >= threshold))


def splits(
    observations: Observations, protocol: str, group: np.ndarray, *, folds: int | None = None, seed: int = 0
) -> list[Split]:
    """The train and test rows of a protocol.

    Sources are ranked within one split only: models that were fitted to different cells differ in level, and the level
    is lower where the held-out source is better, so ranking across splits gives even a constant a Spearman of -.3 to
    -.7. The default number of folds leaves five sources in each.

    Parameters
    ----------
    observations
        What is split.
    protocol
        "new-target": no training cell has a target of the test target's group. "one-target": only the test target
        itself is left out, as in published figures. "new-source": as "new-target", for sources. "two-sources": two
        sources at a time and their groups; the two are compared on every target.
        "new-pair": no training cell has a dataset of either group, in any role. "random-cell": random pairs; leaky,
        since the row and the column of a test cell are in training.
    group
        Group of every dataset, int64.
    folds
        Number of folds; None for the default.
    seed
        Of the folds.

    Returns
    -------
    list of Split
        Without splits that have too few training rows.

    Raises
    ------
    ScoresError
        For an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ScoresError(f"unknown protocol {protocol!r}. Allowed: {', '.join(PROTOCOLS)}.")
    rng = np.random.default_rng(seed)
    limit = _fold_count(observations, protocol) if folds is None else folds
    source_group, target_group = group[observations.source], group[observations.target]
    if protocol == "random-cell":
        pair = np.unique(observations.source * len(observations.names) + observations.target, return_inverse=True)[1]
        fold = rng.permutation(int(pair.max()) + 1)[pair] % limit
        masks = [(fold != k, fold == k) for k in range(limit)]
    elif protocol == "two-sources":
        masks = list(_source_pairs(observations.source, source_group, rng))
    elif protocol == "new-pair":
        fold_of = _balanced_folds(np.concatenate([source_group, target_group]), limit, rng)
        masks = list(_pair_masks(fold_of[source_group], fold_of[target_group]))
    else:
        held = {"new-target": target_group, "one-target": observations.target}.get(protocol, source_group)
        fold = _balanced_folds(held, limit, rng)[held]
        masks = [(fold != k, fold == k) for k in range(int(fold.max()) + 1)]
    made = [Split(np.flatnonzero(train), np.flatnonzero(test)) for train, test in masks if test.any()]
    return [split for split in made if split.train.size >= MIN_TRAIN_CELLS]


def _source_pairs(
    source: np.ndarray, group: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Train and test masks for pairs of sources of different groups: all pairs, or MAX_SOURCE_PAIRS at random."""
    group_of = dict(zip(source.tolist(), group.tolist(), strict=True))
    pairs = [(a, b) for a in sorted(group_of) for b in sorted(group_of) if a < b and group_of[a] != group_of[b]]
    for k in rng.permutation(len(pairs))[:MAX_SOURCE_PAIRS]:
        a, b = pairs[k]
        yield ~np.isin(group, [group_of[a], group_of[b]]), np.isin(source, [a, b])


def _fold_count(observations: Observations, protocol: str) -> int:
    most = MAX_FOLDS.get(protocol, MAX_SOURCE_PAIRS)
    if protocol in ("new-target", "one-target"):
        return most
    if protocol == "new-pair":
        return int(np.clip(len(observations.names) // 3, 3, most))
    return int(np.clip(len(np.unique(observations.source)) // 5, 2, most))


def _pair_masks(source_fold: np.ndarray, target_fold: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    count = int(max(source_fold.max(), target_fold.max())) + 1
    for i in range(count):
        for j in range(i, count):
            held = [i, j]
            train = ~np.isin(source_fold, held) & ~np.isin(target_fold, held)
            test = (source_fold == i) & (target_fold == j) | (source_fold == j) & (target_fold == i)
            yield train, test


def _balanced_folds(rows: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of every group (index: group number): in random order, each into the fold with the fewest rows."""
    sizes = np.bincount(rows)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    present = rng.permutation(np.flatnonzero(sizes))
    # Large groups first keeps the folds even; the sort is stable, so equal sizes stay in random order.
    present = present[np.argsort(-sizes[present], kind="stable")]
    load = np.zeros(min(limit, present.size))
    for g in present:
        lightest = int(np.argmin(load))
        fold_of[g] = lightest
        load[lightest] += sizes[g]
    return fold_of

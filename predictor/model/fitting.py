"""Fitting: a gain model with its gate, and the held-out errors behind its intervals.

Owns the order of work: the size of the trees, held-out predictions of every candidate, the verdict, the final fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from traitcast.predictor.model import evidence, gain_model, gate, trees
from traitcast.predictor.model.gain_model import (
    CANDIDATES,
    FULL,
    KNOWN,
    LEAST_TARGETS,
    NEW,
    NOTHING,
    SOURCE_MEAN,
    GainModel,
    Layer,
    Training,
    fit_gain_model,
    fit_layers,
)
from traitcast.predictor.model.gate import Verdict
from traitcast.predictor.model.intervals import Residuals, cross_harm, residuals
from traitcast.predictor.model.observations import Grouping, Split, splits
from traitcast.predictor.model.pair_data import Data
from traitcast.predictor.model.trees import Size, TreeSettings

SCHEMA = 4
FOLDS = {KNOWN: 5, NEW: 3}
_SIZE_FOLDS = 3
# A gain in width below this is chance.
_NARROWER = 0.95
_CHOICE = "choice"
# An order that is not claimed moves no gain, but is kept.
_UNCLAIMED = 1e-6
# Of the user's dataset the relatives are rarely among the targets, its kind often is.
PROTOCOLS = {KNOWN: "one-target", NEW: "new-pair"}


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out predictions of one regime inside the training rows; all arrays (cells,).

    row: int64, row of the observations. level, spread: of the target, pp. order: predicted, in spreads. scale: as
    `GainModel.scale`.
    """

    row: np.ndarray
    level: np.ndarray
    spread: np.ndarray
    order: np.ndarray
    scale: np.ndarray

    def errors(self, data: Data) -> np.ndarray:
        """Measured less predicted gain, pp, (cells,)."""
        return np.asarray(data.observations.gain[self.row] - self.level - self.spread * self.order)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A gain model with what the gate found.

    verdicts: regime -> verdict. held_out: regime -> held-out predictions of what is used. flat: regime -> pp, the scale
    of all its errors; None if they follow `GainModel.scale`. folds: regime -> trees that were fitted without some
    datasets.
    """

    model: GainModel
    size: Size
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    held_out: dict[str, HeldOut] = field(default_factory=dict)
    flat: dict[str, float | None] = field(default_factory=dict)
    folds: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def predict(self, data: Data, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gains of rows of the observations, how far they may be off but for a factor, and by what the first of a list
        are chosen, pp, (rows,) each."""
        o, m = data.observations, self.model
        where = (o.model[rows], o.source[rows], o.target[rows])
        level, spread, _ = m.levels(data.asked)
        known = m.known(data.asked)[where[1]]
        order = m.closed(data.asked)[where] + m.trees(data.table[rows], known)
        choice = order.copy()
        for regime, verdict in self.verdicts.items():
            mine = known == (regime == KNOWN)
            if verdict.complement:
                choice[mine] = _choice(data, m, rows[mine], order[mine])
            for of in (order, choice):
                of[mine] *= _UNCLAIMED if verdict.abstains else 1.0
        level, spread = level[where[0], where[2]], spread[where[0], where[2]]
        return level + spread * order, m.scale(data.asked)[where], level + spread * choice

    def scale_of(self, held: HeldOut, regime: str) -> np.ndarray:
        """The scale of held-out errors of a regime, pp, (cells,)."""
        flat = self.flat[regime]
        return held.scale if flat is None else np.full(len(held.row), flat)

    def residuals(self, data: Data, regime: str) -> Residuals:
        """Held-out errors over their scale."""
        held = self.held_out[regime]
        return residuals(held.errors(data) / self.scale_of(held, regime), _numbered(data.observations.target[held.row]))


def fit_gated(
    data: Data, train: np.ndarray, group: np.ndarray, protocols: Mapping[str, str], settings: TreeSettings
) -> Fitted:
    """Fit to the rows `train`, with a gate for every regime.

    Parameters
    ----------
    data
        The matrix.
    train
        int64, rows of its observations.
    group
        int64, (datasets,): related datasets, kept out of each other's evidence where the protocol says so.
    protocols
        Regime -> by which protocol candidates are compared.
    settings
        Of the trees; its seed is that of folds and shuffles too.
    """
    found: list[tuple[str, Layer, Verdict, HeldOut | None, tuple[Any, ...]]] = []
    size, training = None, None
    for regime, protocol in protocols.items():
        block = np.arange(len(group)) if protocol in ("one-target", "random-cell") else group
        training = _training(data, train, block)
        if size is None:
            size = _size(data, train, training, regime, protocol, group, settings)
        found.append((regime, *_gated(data, train, training, regime, protocol, group, settings, size)))
    if training is None or size is None:
        raise ValueError("no regime to fit")
    if KNOWN in protocols and protocols[KNOWN] == "one-target":
        training = replace(training, block=np.arange(len(group)))
    held = {regime: h for regime, _, _, h, _ in found if h is not None}
    return Fitted(
        fit_gain_model(training, {regime: layer for regime, layer, *_ in found}),
        size,
        {regime: verdict for regime, _, verdict, _, _ in found},
        held,
        {regime: _flat(data, h) for regime, h in held.items()},
        {regime: folds for regime, *_, folds in found if folds},
    )


def about(
    data: Data,
    grouping: Grouping,
    settings: Mapping[str, Any],
    fitted: Fitted,
    model: str | None,
    catalogue: int | None,
    kept: Mapping[str, Any],
    *,
    harm_known: bool,
) -> dict[str, Any]:
    """What is stored with a predictor besides its numbers: sizes, settings, quality of the fit, versions, fingerprint.

    kept: entries that are left out for the defaults. harm_known: as the function of that name says.
    """
    import xgboost

    observations, held = data.observations, fitted.held_out[KNOWN]
    errors, residuals = held.errors(data), fitted.residuals(data, KNOWN)
    found: dict[str, Any] = {
        "cells": len(observations),
        "sources": len(set(observations.source.tolist())),
        "targets": len(set(observations.target.tolist())),
        "models": list(observations.models),
        "groups": grouping.by,
        "settings": json.loads(json.dumps(settings)),
        "size": asdict(fitted.size),
        "out_of_fold_rmse": float(np.sqrt(np.mean(errors**2))),
        "half_width": residuals.half_width() * float(fitted.scale_of(held, KNOWN).mean()),
        "gate": {regime: verdict.as_json() for regime, verdict in fitted.verdicts.items()},
        "harm_known": harm_known,
        "versions": {"bundle": SCHEMA, "catalogue": catalogue, "xgboost": xgboost.__version__},
    }
    found |= kept
    digest = hashlib.blake2b(digest_size=16)
    cells = [observations.source_names, observations.target_names, observations.model.tolist()]
    identity = [found, asdict(observations.matrix), model, cells, [f.name for f in data.space.features]]
    digest.update(json.dumps(identity, sort_keys=True, ensure_ascii=False).encode())
    for array in (observations.gain, data.table, data.asked.of_target):
        digest.update(np.ascontiguousarray(array).tobytes())
    return found | {"fingerprint": f"v2:{digest.hexdigest()}"}


def harm_known(data: Data, group: np.ndarray, fitted: Fitted, settings: TreeSettings) -> bool:
    """Whether chances of harm beat the overall share of harms, also on targets without relatives in the matrix.

    A user's dataset may have none. On the matrix that ships, chances are good with relatives (Brier .23, overall share
    .25) and worse than useless without (.27).
    """
    held = fitted.held_out[KNOWN]
    if fitted.verdicts[KNOWN].abstains or not _beats_share(data, held, fitted.scale_of(held, KNOWN), group):
        return False
    alone = _without_relatives(data, group, fitted, settings)
    return alone is not None and _beats_share(data, alone, fitted.scale_of(alone, KNOWN), group)


def _without_relatives(data: Data, group: np.ndarray, fitted: Fitted, settings: TreeSettings) -> HeldOut | None:
    """Held-out predictions of measured sources by what is used, each target without its relatives."""
    made, everything = fitted.verdicts[KNOWN].kind, np.arange(len(data.observations))
    kinds, parts = tuple(dict.fromkeys((SOURCE_MEAN, made))), []
    for split in _inner(data, everything, "new-target", group, FOLDS[KNOWN], settings.seed):
        found, held, _ = _held_out(data, split, group, KNOWN, kinds, settings, fitted.size)
        parts.append(_columns(replace(held, order=found[made])))
    return HeldOut(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else None


def _beats_share(data: Data, held: HeldOut, scale: np.ndarray, group: np.ndarray) -> bool:
    """Whether chances of harm beat the overall share in squared error by more than a standard error over targets."""
    o, errors = data.observations, held.errors(data) / scale
    source, target = o.source[held.row], o.target[held.row]
    predicted = (held.level + held.spread * held.order) / scale
    chance = cross_harm(errors, predicted, group[source], group[target], target)
    known = np.isfinite(chance)
    chance, happened = chance[known], o.gain[held.row][known] < 0
    _, number, counts = np.unique(target[known], return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return False
    better = (happened.mean() - happened) ** 2 - (chance - happened) ** 2
    of_target = np.bincount(number, better) / counts
    return bool(of_target.mean() > of_target.std(ddof=1) / np.sqrt(len(counts)))


def _training(data: Data, train: np.ndarray, block: np.ndarray) -> Training:
    o = data.observations.take(train)
    return Training(evidence.standardise(o), data.asked, o.model, o.source, o.target, data.table[train], block)


def _inner(data: Data, train: np.ndarray, protocol: str, group: np.ndarray, folds: int, seed: int) -> list[Split]:
    made = splits(data.observations.take(train), protocol, group, folds=folds, seed=seed)
    return [Split(train[split.train], train[split.test]) for split in made]


def _size(
    data: Data,
    train: np.ndarray,
    training: Training,
    regime: str,
    protocol: str,
    group: np.ndarray,
    settings: TreeSettings,
) -> Size:
    left, _ = training.left(regime)
    made = splits(data.observations.take(train), protocol, group, folds=_SIZE_FOLDS, seed=settings.seed)
    largest = sorted(made, key=lambda split: -split.test.size)[:_SIZE_FOLDS]
    inner = [(split.train, split.test) for split in largest]
    return trees.choose_size(training.table, left, training.weight, inner, settings)


def _gated(
    data: Data,
    train: np.ndarray,
    training: Training,
    regime: str,
    protocol: str,
    group: np.ndarray,
    settings: TreeSettings,
    size: Size,
) -> tuple[Layer, Verdict, HeldOut | None, tuple[Any, ...]]:
    kinds, chance = CANDIDATES[regime], 1.0
    if regime == KNOWN:
        chance = gate.chance_of_known(training, settings.seed)
        # Without a signal nothing is compared: a choice among candidates that are all chance is worse than none.
        kinds = kinds if chance <= gate.SURE else (SOURCE_MEAN,)
    unclaimed = regime == KNOWN and chance > gate.SURE
    inner = _inner(data, train, protocol, group, FOLDS[regime], settings.seed)
    if not inner:
        return Layer(NOTHING), gate.nothing(), None, ()

    def run(split: Split, seeded: TreeSettings) -> tuple[dict[str, np.ndarray], HeldOut, Any]:
        return _held_out(data, split, training.block, regime, kinds, seeded, size, choose=unclaimed)

    seeded = [replace(settings, seed=settings.seed + i) for i in range(len(inner))]
    results = list(trees.in_threads(run, inner, seeded))
    found = {kind: np.concatenate([values[kind] for values, _, _ in results]) for kind in kinds}
    held = HeldOut(*(np.concatenate(columns) for columns in zip(*(_columns(h) for _, h, _ in results), strict=True)))
    o, row = data.observations, held.row
    number = np.repeat(np.arange(len(inner)), [len(split.test) for split in inner])
    truth = (o.gain[row] - held.level) / held.spread
    key = (number * len(o.models) + o.model[row]) * len(o.names) + o.target[row]
    lists = [np.flatnonzero(key == k) for k in np.unique(key)]
    lists = [rows for rows in lists if np.ptp(o.gain[row[rows]]) > 0]
    if not lists:
        return Layer(NOTHING), gate.nothing(), held, ()
    taus = {kind: np.array([gate.kendall(truth[rows], found[kind][rows]) for rows in lists]) for kind in kinds}
    kind = gate.chosen(taus, o.target[row[[rows[0] for rows in lists]]])
    if regime == NEW:
        block = _together(number, o.source[row], o.target[row])
        column = o.target[row] * len(o.models) + o.model[row]
        chance = gate.chance_of_new(truth, found, block, o.source[row], column, settings.seed)
    if regime == NEW and chance > gate.SURE:
        kind = NOTHING
    scores = {name: float(values.mean()) for name, values in taus.items()}
    verdict = Verdict(kind, chance, scores, gate.resolution(truth, found[kind], lists))
    if unclaimed:
        tried = np.concatenate([values[_CHOICE] for values, _, _ in results])
        before, after = (np.array([gate.regret(o.gain[row[r]], of[r]) for r in lists]) for of in (found[kind], tried))
        verdict = replace(verdict, complement=gate.lower(before, after, o.target[row[[r[0] for r in lists]]]))
    if verdict.abstains:  # what is predicted then is the level of the target
        found = found | {kind: _UNCLAIMED * found[kind]}
    layer = fit_layers(training, regime, [kind], settings, size)[kind]
    boosters = tuple(booster for *_, booster in results) if layer.booster is not None else ()
    return layer, verdict, replace(held, order=found[kind]), boosters


def _held_out(
    data: Data,
    split: Split,
    block: np.ndarray,
    regime: str,
    kinds: Sequence[str],
    settings: TreeSettings,
    size: Size,
    *,
    choose: bool = False,
) -> tuple[dict[str, np.ndarray], HeldOut, Any]:
    """Predictions of the test rows by every candidate, their targets' levels, and the trees.

    choose: and the order of the source mean with those on top that are to be tried first, as _CHOICE.
    """
    o, test = data.observations, split.test
    training = _training(data, split.train, block)
    layers = fit_layers(training, regime, kinds, settings, size)
    itself = np.eye(len(block), dtype=bool)
    forms = gain_model.orders(training.gains, data.asked, regime, itself, itself)
    where = (o.model[test], o.source[test], o.target[test])
    found = {}
    for kind, layer in layers.items():
        found[kind] = layer.of(forms)[where]
        if layer.booster is not None:
            found[kind] = found[kind] + trees.predict(layer.booster, data.table[test])
    # The errors of sources are taken around their simplest order, whatever the gate will choose.
    model = fit_gain_model(training, {KNOWN: layers[SOURCE_MEAN]} if regime == KNOWN else {})
    level, spread, _ = model.levels(data.asked)
    if choose:
        found[_CHOICE] = _choice(data, model, test, found[SOURCE_MEAN])
    column = (o.model[test], o.target[test])
    held = HeldOut(test, level[column], spread[column], np.zeros(len(test)), model.scale(data.asked)[where])
    return found, held, layers[FULL].booster if FULL in layers else None


def _choice(data: Data, model: GainModel, rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The order of rows of the observations with the sources on top that are to be tried first for each target."""
    o, choice, close = data.observations, order.copy(), model.close(data.asked)
    lists = o.model[rows] * len(o.names) + o.target[rows]
    for each in np.unique(lists):
        mine = np.flatnonzero(lists == each)
        source, target = o.source[rows[mine]], o.target[rows[mine]]
        top = model.to_try(order[mine], source, close[source, target])
        choice[mine[top]] = order[mine].max() + np.arange(len(top), 0, -1)
    return choice


def _columns(held: HeldOut) -> tuple[np.ndarray, ...]:
    return held.row, held.level, held.spread, held.order, held.scale


def _together(number: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Number of the block in which a cell's source was held out: those of one split that share a target, (cells,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = [np.unique(number * (1 + role.max()) + role, return_inverse=True)[1] for role in (source, target)]
    sources = int(ends[0].max()) + 1
    n = sources + int(ends[1].max()) + 1
    graph = coo_matrix((np.ones(len(number)), (ends[0], sources + ends[1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1][ends[0]])


def _flat(data: Data, held: HeldOut) -> float | None:
    """The mean scale, unless intervals that follow it are narrower than those of one width at the same coverage."""
    errors, target = held.errors(data), _numbered(data.observations.target[held.row])
    wide = residuals(errors, target).half_width()
    narrow = residuals(errors / held.scale, target).half_width() * float(held.scale.mean())
    follows = int(target.max()) + 1 >= LEAST_TARGETS and narrow < _NARROWER * wide
    return None if follows else float(held.scale.mean())


def _numbered(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(values, return_inverse=True)[1])

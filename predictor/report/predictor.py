"""The predicted part of the report: how good the predictor is, what it uses, and its prediction for every pair.

Owns the compact form of predictions and explanations for the page, and which pairs are explained by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.predictor import api
from traitcast.predictor.explanation.shap import Explanation, explain
from traitcast.predictor.model import trees
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.observations import PROTOCOLS
from traitcast.predictor.model.outcomes import axis_words
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse.charts import waterfall_rows
from traitcast.warehouse.console import command
from traitcast.warehouse.errors import ScoresError

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse

# With fewer cells an evaluation takes seconds and is made for the page; with more it takes minutes.
QUICK_CELLS = 1000
_SAMPLED_PAIRS = 300
_TRAITS = 14
_STEPS = 12
# How many of the best and of the worst pairs are explained by default.
_EXPLAINED = 3


def quality(
    warehouse: Warehouse, predictor: Predictor, say: Callable[[str], None], name: str = api.DEFAULT
) -> dict[str, Any] | None:
    """The quality of a predictor: its stored evaluations, or one made now if there are none and the matrix is small.

    Parameters
    ----------
    warehouse
        An open warehouse.
    predictor, name
        The predictor, and the name it is stored under.
    say
        Called with a line about what is being done.

    Returns
    -------
    dict or None
        None if nothing is stored and the matrix is large.

    Raises
    ------
    ScoresError
        If the scores have changed since the predictor was fitted, and as `api.learnt_from` does.
    """
    matrix, model, tier, outcome = (
        predictor.matrix.matrix,
        predictor.model,
        predictor.tier,
        predictor.outcome,
    )
    learnt = api.learnt_from(warehouse, matrix, model, tier=tier, outcome=outcome)
    if not predictor.learnt(learnt.observations):
        again = command("fit", *api.fit_options(predictor, name), warehouse=warehouse.place)
        raise ScoresError(
            f"the scores of {matrix!r} or their datasets have changed since the predictor learnt from them. Fit it "
            f"again: {again}"
        )
    stored = [found["result"] | {"seed": found["seed"]} for found in api.evaluations_of(warehouse, predictor)]
    if not stored and predictor.about["cells"] < QUICK_CELLS:
        say(f"measuring the quality of the predictor on {predictor.about['cells']} cells")
        seed = predictor.about["settings"]["trees"]["seed"]
        made = api.evaluate_matrix(
            warehouse, PROTOCOLS[0], matrix=matrix, model=model, tier=tier, seed=seed, outcome=outcome
        )
        stored = [made.as_json() | {"seed": seed}]
    if not stored:
        return None
    stored.sort(key=lambda result: (PROTOCOLS.index(result["protocol"]), result["seed"]))
    models = ", ".join(predictor.about["models"])
    keys = (
        *("protocol", "cells", "targets", "model", "baselines", "ceiling", "ceiling_kind"),
        *("noise", "advantage", "interval_width", "harm", "candidates", "groups", "leaky"),
    )
    return {
        "matrix": matrix,
        "models": models,
        "unit": outcome.unit,
        "fitted_width": round(2 * predictor.half_width, 3),
        "evaluations": [{key: result[key] for key in keys} for result in stored],
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """Measured numbers to show with predictions.

    name: matrix and models. base: what gains are over, in words. gains: target -> source -> gain in pp, or another
    outcome in its unit.
    """

    name: str
    base: str
    gains: Mapping[str, Mapping[str, float]]


def rankings(
    predictor: Predictor, profiles: ProfileSet, names: Sequence[str], sources: Sequence[str], measured: Measured
) -> dict[str, Any]:
    """Predictions of every source for every target among `names`: gain (or other outcome), harm, novelty, interval."""
    pairs = [(s, t) for t in names for s in sources if s != t]
    found = predictor.ranked(profiles, [s for s, _ in pairs], [t for _, t in pairs])
    by_target: dict[str, list[Any]] = {name: [] for name in names}
    for p in found:
        by_target[p.target].append(
            [p.source, round(p.gain, 2), _rounded(p.harm, 3), int(p.novel), _rounded(p.low, 2), _rounded(p.high, 2)]
        )
    return {
        "targets": {name: entries for name, entries in by_target.items() if entries},
        "learnt": predictor.matrix.matrix,
        "silent": predictor.abstains,
        "unit": predictor.outcome.unit,
        "noun": f"{predictor.outcome.name.replace('_', ' ')}s",
        "axis": f"{predictor.words} (line: 90 % interval)",
        "measured_in": measured.name,
        "measured_base": measured.base,
        "measured": {
            target: {s: round(gain, 2) for s, gain in sorted(by.items())}
            for target, by in sorted(measured.gains.items())
        },
    }


def summary(predictor: Predictor, profiles: ProfileSet, seed: int = 0) -> dict[str, Any]:
    """What the predictor uses, over a sample of its own pairs: mean |shap| per family, and dots per feature."""
    pairs = [(s, t) for s, gains in sorted(predictor.measured.items()) for t in sorted(gains) if s != t]
    known = set(profiles.traits.names)
    pairs = [pair for pair in pairs if known.issuperset(pair)]
    if len(pairs) > _SAMPLED_PAIRS:
        kept = np.random.default_rng(seed).choice(len(pairs), _SAMPLED_PAIRS, replace=False)
        pairs = [pairs[i] for i in sorted(kept)]
    sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
    shap = _shap(predictor, profiles, sources, targets)
    values = predictor.space.values(profiles, sources, targets)
    features = predictor.space.features
    families = {}
    for family in dict.fromkeys(f.family for f in features):
        mine = [j for j, f in enumerate(features) if f.family == family]
        families[family] = float(abs(shap[:, mine].sum(axis=1)).mean())
    size = abs(shap).mean(axis=0)
    top = [int(j) for j in np.argsort(-size, kind="stable")[:_TRAITS] if size[j] > 0]
    return {
        "pairs": len(pairs),
        "unit": predictor.outcome.unit,
        "families": sorted(([name, round(value, 3)] for name, value in families.items()), key=lambda row: -row[1]),
        "traits": [
            {
                "name": f"{features[j].side} {features[j].trait}",
                "family": features[j].family,
                "mean": round(float(size[j]), 3),
                "shap": [round(float(v), 2) for v in shap[:, j]],
                "level": _levels(values[:, j]),
                "offset": _offsets(shap[:, j]),
            }
            for j in top
        ],
    }


def _shap(predictor: Predictor, profiles: ProfileSet, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """What every feature adds to each pair, pp, (pairs, features); 0 where no trees are used."""
    booster = predictor.booster()
    if booster is None:
        return np.zeros((len(sources), len(predictor.space.features)))
    shap, _ = trees.contributions(booster, predictor.table(profiles, sources, targets))
    return shap * predictor.parts(profiles, sources, targets).spread[:, None]


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if np.isfinite(value) else None


def _levels(values: np.ndarray) -> list[float | None]:
    """Rank of each value, scaled to 0..1; None where it is undefined."""
    from scipy.stats import rankdata

    known = np.isfinite(values)
    levels = np.full(len(values), np.nan)
    if known.any():
        levels[known] = (rankdata(values[known]) - 0.5) / known.sum()
    return [None if np.isnan(v) else round(float(v), 2) for v in levels]


def _offsets(values: np.ndarray, bins: int = 60) -> list[float]:
    """Offsets of dots across their line, -1 to 1: dots of similar value are spread out to show their number."""
    low, span = values.min(initial=0), (np.ptp(values) if values.size else 0.0) or 1.0
    places = np.minimum(((values - low) / span * bins).astype(int), bins - 1)
    most = max(np.bincount(places).max(initial=1), 2)
    offsets = np.zeros(len(values))
    for place in np.unique(places):
        mine = np.flatnonzero(places == place)
        offsets[mine] = (np.arange(len(mine)) - (len(mine) - 1) / 2) * 2 / most
    return [round(float(v), 2) for v in offsets]


def explanations(
    predictor: Predictor,
    profiles: ProfileSet,
    pairs: Sequence[tuple[str, str]],
    ranked: dict[str, Any],
) -> list[dict[str, Any]]:
    """Waterfalls of `pairs`; by default of the largest predicted gains and losses, each on another target.

    ranked: from `rankings`, with own (the user's targets, which come first) and same (target -> sources with the same
    rows under another name, which are skipped).
    """
    return [_explained(explain(predictor, profiles, s, t)) for s, t in pairs or _extremes(predictor, ranked)]


def _extremes(predictor: Predictor, ranked: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs with the highest and lowest predicted gains, every target once: the user's first, then the matrix's."""
    mine, same = set(ranked["own"]), ranked["same"]
    entries = {
        target: [entry for entry in found if entry[0] not in same.get(target, ())] or found
        for target, found in ranked["targets"].items()
    }
    targets = [t for t in entries if t in predictor.levels or t in mine] or list(entries)
    best = sorted(((t in mine, entries[t][0][1], entries[t][0][0], t) for t in targets), reverse=True)
    top = [(s, t) for _, _, s, t in best[:_EXPLAINED]]
    used = {t for _, t in top}
    worst = sorted((entries[t][-1][1], entries[t][-1][0], t) for t in targets if t not in used)
    return top + [(s, t) for _, s, t in worst[:_EXPLAINED]]


def _explained(found: Explanation) -> dict[str, Any]:
    p = found.prediction
    return {
        "source": p.source,
        "target": p.target,
        "sentence": found.sentence,
        "unit": found.outcome.unit,
        "axis": f"predicted {axis_words(found.outcome, found.base)}",
        "bars": waterfall_rows(found.base_value, found.steps(_STEPS)),
        "contributions": [
            [c.side, c.trait, c.family, c.value, round(c.shap, 3), c.spread, c.agreement]
            for c in found.contributions[: 2 * _STEPS]
        ],
    }

"""Ablations: the same trees with some features removed, and with shuffled gains.

Owns which features form a part, and the table that compares the paper's claim with surface similarity. Every part gets
the tree size that the full model chose on the same training rows, so that differences come from the features alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from traitcast.predictor.evaluation import scoring
from traitcast.predictor.evaluation.scoring import Scored
from traitcast.predictor.model.observations import Split
from traitcast.predictor.model.pair_data import Data

# The drivers of transfer according to Krishna et al. (2025, arXiv 2509.13624), and what they compare them with.
CLAIMED = ("class_balance", "generation_length", "linguistic")
SIMILARITY = "similarity"
# These are no traits: what two texts share, how many rows there are, whether the task type is the same.
_NOT_TRAITS = (SIMILARITY, "size", "task")
PERMUTED = "permuted gains"
# All features, without evidence: evidence would hide what features carry.
TREES = "trees_alone"
_CLAIM = (
    ("class distribution", "only class_balance"),
    ("generation length", "only generation_length"),
    ("linguistic features", "only linguistic"),
    ("these three together", "claimed traits"),
    ("all traits", "all traits"),
    ("surface similarity", "only similarity"),
    ("everything", TREES),
    ("everything, gains permuted", PERMUTED),
)


def parts(data: Data) -> dict[str, Data]:
    """The data with only some columns: each family alone, all others without it, the claimed three, all traits.

    Parts without columns and parts with all of them are left out.
    """
    families = [feature.family for feature in data.space.features]
    present = list(dict.fromkeys(families))
    wanted = {f"only {family}": [family] for family in present}
    wanted |= {f"without {family}": [f for f in present if f != family] for family in present}
    wanted["claimed traits"] = [f for f in present if f in CLAIMED]
    wanted["all traits"] = [f for f in present if f not in _NOT_TRAITS]
    made: dict[str, Data] = {}
    for name, chosen in wanted.items():
        columns = [j for j, family in enumerate(families) if family in chosen]
        if 0 < len(columns) < len(families):
            made[name] = replace(data, table=data.table[:, columns])
    return made


def permuted(data: Data, split: Split, seed: int) -> Data:
    """The data with the training gains of every target shuffled over its sources: nothing is left to learn."""
    observations = data.observations
    gain, rng = observations.gain.copy(), np.random.default_rng(seed)
    keys = observations.target[split.train] * len(observations.models) + observations.model[split.train]
    for key in np.unique(keys):
        rows = split.train[keys == key]
        gain[rows] = gain[rng.permutation(rows)]
    return replace(data, observations=replace(observations, gain=gain))


def summarise(scored: Mapping[str, Scored], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Part -> its metrics and `loss`: Spearman of all features minus that of the part, paired over targets."""
    found: dict[str, dict[str, Any]] = {}
    for name, part in scored.items():
        if name != TREES:
            gap = scoring.difference(scored[TREES], part, "spearman", seed)
            found[name] = {**scoring.summarise(part, seed), "loss": gap}
    return found


def claim(scored: Mapping[str, Scored], seed: int = 0) -> list[dict[str, Any]]:
    """The paper's claim as rows: how well each kind of feature does alone, compared with surface similarity.

    spearman: with its bootstrap interval. share: of the Spearman of all features together; None unless that is above
    zero. advantage: Spearman minus that of similarity alone, paired over targets.
    """
    everything = scoring.summarise(scored[TREES], seed)["spearman"]["value"]
    rows = []
    for label, name in _CLAIM:
        if name not in scored:
            continue
        spearman = scoring.summarise(scored[name], seed)["spearman"]
        row: dict[str, Any] = {"features": label, "spearman": spearman, "advantage": None, "share": None}
        if everything > 0:
            row["share"] = spearman["value"] / everything
        if f"only {SIMILARITY}" in scored and name != f"only {SIMILARITY}":
            row["advantage"] = scoring.difference(scored[name], scored[f"only {SIMILARITY}"], "spearman", seed)
        rows.append(row)
    return rows

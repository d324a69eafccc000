"""Ablations: the same trees with some features taken away, and with gains that mean nothing.

Owns which features make a part, and the table that holds the paper's claim against surface similarity. Every part
gets the tree size that the full model chose on the same training rows, so a difference is the features' alone.
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

# What Krishna et al. (2025, arXiv 2509.13624) name as the drivers of transfer, against what they hold it up to.
CLAIMED = ("class_balance", "generation_length", "linguistic")
SIMILARITY = "similarity"
# No traits of the data: what two texts share, how many rows there are, whether the task type is the same.
_NOT_TRAITS = (SIMILARITY, "size", "task")
PERMUTED = "permuted gains"
_CLAIM = (
    ("class distribution", "only class_balance"),
    ("generation length", "only generation_length"),
    ("linguistic features", "only linguistic"),
    ("these three together", "claimed traits"),
    ("all traits", "all traits"),
    ("surface similarity", "only similarity"),
    ("everything", "model"),
    ("everything, gains permuted", PERMUTED),
)


def parts(data: Data) -> dict[str, Data]:
    """The data with some columns only: each family alone and left out, the claimed three, all traits.

    A part without any column is left out, and so is one that is the whole table.
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
    """Part -> its metrics and `loss`: Spearman of the full model minus that of the part, paired over targets."""
    found: dict[str, dict[str, Any]] = {}
    for name, part in scored.items():
        if name != "model":
            gap = scoring.difference(scored["model"], part, "spearman", seed)
            found[name] = {**scoring.summarise(part, seed), "loss": gap}
    return found


def claim(scored: Mapping[str, Scored], seed: int = 0) -> list[dict[str, Any]]:
    """The paper's claim as rows: what each kind of feature carries alone, held against surface similarity.

    spearman: with its bootstrap. share: of the Spearman that everything together reaches, None unless that is
    above zero. advantage: Spearman minus that of similarity alone, paired over targets.
    """
    everything = scoring.summarise(scored["model"], seed)["spearman"]["value"]
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

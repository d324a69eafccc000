"""The measurement that `rank` proposes next: which sources are worth it, and the `matrix plan` that runs as printed.

Proposes nothing for a target whose rows `matrix plan` does not read as they were profiled, and says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from traitcast.predictor.model.outcomes import GAIN
from traitcast.predictor.model.prediction import MEASURED, Ranking
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse.database.warehouse import Warehouse

# Tokens per second that one CPU core trains and scores with SmolLM2-135M, and what the planned command draws.
_TRAINED, _SCORED, _TRAIN_ROWS, _TEST_ROWS = 160.0, 760.0, 512, 200
# Words of a profile make about this many tokens of the model; longer prompts are cut.
_TOKENS_A_WORD, _LONGEST = 1.3, 512.0
_SOURCES = 3
# Keys of a profile's details that say how it was read, and the options, none of which `matrix plan` has.
_STATED = {"roles_stated": "--roles", "name_stated": "--name"} | {
    key: f"--{key}" for key in ("config", "stream", "delimiter", "quote")
}


@dataclass(frozen=True, slots=True)
class NextPlan:
    """The measurement worth most next.

    words: arguments of `traitcast matrix plan`. minutes: of one CPU core. to_fetch: datasets among the words whose rows
    are nowhere that the warehouse knows of, and where they were published, "" if unknown.
    """

    words: tuple[str, ...]
    minutes: float
    to_fetch: dict[str, str]


def next_plan(warehouse: Warehouse, predictor: Predictor, ranking: Ranking, target: str) -> NextPlan | str | None:
    """The next best measurements for a target as a command, or a sentence that says why no command would do.

    None where nothing is to be measured: every source was, or the predictor is of a side effect.
    """
    if predictor.outcome.name != GAIN.name:
        return None
    places = warehouse.places()

    def option(name: str) -> str | None:
        return lost_option(warehouse.details(name)) if name in places else None

    if lost := option(target):
        return (
            f"No next measurement: `matrix plan` has no {lost}, with which {target!r} was read. Put its rows into a "
            f"folder {target}, with a dataset.yaml that names their roles, then profile and rank that folder."
        )
    # Without a signal all intervals are alike but for their width, which is no reason to hope.
    unclaimed = [p.source for p in ranking.to_train(len(ranking)) if p.basis != MEASURED]
    worth = unclaimed if predictor.abstains else by_improvement(ranking)
    sources = [name for name in worth if not (option(name) or _lacks_training(warehouse, name, places))][:_SOURCES]
    if not sources:
        return None
    named = (*sources, target)
    traits = warehouse.trait_matrix(named)
    lengths = np.zeros(len(named))
    for trait in ("prompt_tokens_mean", "response_tokens_mean"):
        if trait in traits.traits:
            lengths += np.nan_to_num(traits.values[:, traits.traits.index(trait)])
    tokens = np.minimum(lengths * _TOKENS_A_WORD, _LONGEST)
    train = _TRAIN_ROWS * tokens[:-1].sum() / _TRAINED
    score = _TEST_ROWS * tokens[-1] * (len(sources) + 1) / _SCORED
    rows = ("--seeds", "0", "--train-rows", str(_TRAIN_ROWS), "--epochs", "1")
    data = [places.get(name, name) for name in named]
    words = ("--pack", f"next_{target}", "--sources", ",".join(sources), "--targets", target, *rows, *data)
    away = {name: _published(warehouse, name) for name in named if name not in places}
    return NextPlan(words, float(train + score) / 60, away)


def _published(warehouse: Warehouse, name: str) -> str:
    """Where the first file of a dataset was published, of a repository or package its name; `show` has all files."""
    first = str(next(iter(warehouse.details(name).get("published", ())), ""))
    return re.split(r"@|:|==", first, maxsplit=1)[0] if first.startswith(("github.com/", "PyPI ")) else first


def by_improvement(ranking: Ranking) -> list[str]:
    """The sources that were not measured, by the expected improvement over the best so far, the highest first.

    The best so far is the highest measured gain of the ranking, or no tuning at all (Jones et al. 1998). That intervals
    of extrapolations are wider than others is no reason to hope, and does not count.
    """
    from scipy.stats import norm

    best = max([p.gain for p in ranking if p.basis == MEASURED], default=0.0)
    open_ones = [p for p in ranking if p.basis != MEASURED]
    if not open_ones:
        return []
    gains = np.array([p.gain for p in open_ones])
    error = np.array([max((p.high - p.low) / 2 / norm.ppf(0.95), 1e-9) for p in open_ones])
    novel = np.array([p.novel for p in open_ones])
    usual = np.median(error if novel.all() else error[~novel])
    error = np.where(novel, np.minimum(error, usual), error)
    above = (gains - best) / error
    value = error * (above * norm.cdf(above) + norm.pdf(above))
    # Ties (where the predictor abstains) keep the order of the ranking.
    return [open_ones[i].source for i in np.argsort(-np.round(value, 9), kind="stable")]


def lost_option(details: Mapping[str, Any]) -> str | None:
    """The option by which a dataset was read, and without which `matrix plan` reads other rows, or none."""
    for key, option in _STATED.items():
        if details.get(key):
            return option
    spec, origin = details.get("spec"), Path(details["origin"])
    if spec and Path(spec).parent not in (origin, origin.parent):
        return "--spec"
    splits = details.get("splits") or {}
    return "--split" if len(splits) > 1 and "train" not in splits else None


def _lacks_training(warehouse: Warehouse, name: str, places: Mapping[str, str]) -> bool:
    return name in places and [*(warehouse.details(name).get("splits") or {})] in (["test"], ["validation"], ["dev"])

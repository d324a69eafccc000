"""What a planned matrix costs: cells, tokens, and time on machines whose speed is known.

Owns the rates. They are measured ones where a pack has been run before, else those of the default base model
(135 M parameters); another base scales them by nothing, so its first run is the better guide.
"""

from __future__ import annotations

from dataclasses import dataclass

from traitcast.training.plan import pack as packs
from traitcast.training.plan.pack import Pack
from traitcast.training.results.run_log import read_log

# Tokens per second (training, scoring) of SmolLM2-135M: the H200 figures are the design's targets, not yet a
# measurement; the CPU figures were measured on one core of an AMD EPYC in float32.
RATES = {"one H200 (assumed)": (400_000, 1_200_000), "one CPU core": (160, 760)}

# Greedy decoding is paced by steps, not tokens; a decoded token costs about this many scored ones.
_DECODING = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """adapters, cells: planned. Tokens are those of prompts and answers, all epochs, seeds and models."""

    adapters: int
    cells: int
    train_tokens: int
    score_tokens: int
    minutes: dict[str, float]


def estimate(pack: Pack) -> Estimate:
    """Tokens from characters (no tokenizer is needed to plan), time from tokens."""
    recipe = pack.recipe
    entries = recipe.datasets
    jobs = [job for group in recipe.groups for job in group]
    per_epoch = {n: packs.tokens(e.train_characters, e.train_rows) for n, e in entries.items()}
    train = recipe.training.epochs * sum(per_epoch[source] for source, _ in jobs)
    scored = sum(packs.tokens(entries[n].test_characters, entries[n].test_rows) for n in recipe.targets)
    generated = sum(
        entries[n].test_rows * recipe.scoring.max_new_tokens // 2
        for n in recipe.targets
        if entries[n].task_type == "generation"
    )
    score = (len(jobs) + 1) * (scored + _DECODING * generated)
    rates = {**RATES, **_measured(pack)}
    minutes = {name: (train / fast + score / faster) / 60 for name, (fast, faster) in rates.items()}
    return Estimate(len(jobs), (len(jobs) + 1) * len(recipe.targets), train, score, minutes)


def _measured(pack: Pack) -> dict[str, tuple[float, float]]:
    """Rates of earlier runs of this pack, by device; both stages must have been seen."""
    seen: dict[str, dict[str, list[float]]] = {}
    for entry in read_log(pack):
        if entry.get("stage") in ("train", "score") and entry.get("seconds"):
            sums = seen.setdefault(str(entry["device"]), {}).setdefault(entry["stage"], [0.0, 0.0])
            sums[0] += entry["tokens"]
            sums[1] += entry["seconds"]
    return {
        f"{device} (measured)": (stages["train"][0] / stages["train"][1], stages["score"][0] / stages["score"][1])
        for device, stages in seen.items()
        if len(stages) == 2
    }

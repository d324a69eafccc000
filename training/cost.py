"""What a planned matrix costs: cells, tokens, and time on machines whose speed is known.

Owns the speeds. They are measured ones where a pack has been run before, else those of the default base model
(135 M parameters). They are not scaled for another base model, so its first run is the better guide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from traitcast.training.plan import pack as packs
from traitcast.training.plan.pack import Pack
from traitcast.training.plan.recipe import BASE_SEED
from traitcast.training.results import shards
from traitcast.training.results.run_log import read_log
from traitcast.training.state import adapter_keys, is_trained

# Tokens per second (training, scoring) of SmolLM2-135M: the H200 figures are the design's targets, not yet a
# measurement; the CPU figures were measured on one core of an AMD EPYC in float32.
_CORE = "one CPU core"
RATES = {"one H200 (assumed)": (400_000, 1_200_000), _CORE: (160, 760)}

# Greedy decoding is paced by steps, not tokens; a decoded token costs about this many scored ones.
_DECODING = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a planned matrix.

    Attributes
    ----------
    adapters, cells
        How many are planned.
    train_tokens, score_tokens
        Tokens of prompts and answers, over all epochs, seeds and models.
    minutes
        By device.
    """

    adapters: int
    cells: int
    train_tokens: int
    score_tokens: int
    minutes: dict[str, float]


def estimate(pack: Pack) -> Cost:
    """The cost of all cells: tokens from characters, since planning needs no tokenizer, and time from tokens."""
    recipe = pack.recipe
    train, score = _tokens(pack, lambda *_: True, lambda *_: True)
    minutes = {
        name: (train / fast + score / faster) / 60 for name, (fast, faster) in {**RATES, **_measured(pack)}.items()
    }
    return Cost(len(recipe.sources) * len(recipe.seeds), recipe.cells, train, score, minutes)


def hours_left(pack: Pack) -> dict[str, float]:
    """Hours that the missing cells take, by device and precision; on a CPU hours of one core.

    At the speed of earlier runs of this pack, else at an assumed one. Empty when nothing is missing.
    """
    runtime, found = shards.read_runtime(pack), shards.scored(pack)
    trained = {
        (source, seed)
        for group in pack.recipe.groups
        for source, seed in group
        if any(is_trained(pack, key) for key in adapter_keys(pack.recipe, runtime, (source, seed)))
    }
    train, score = _tokens(
        pack,
        lambda source, seed: (
            (source, seed) not in trained and any((source, seed, target) not in found for target in pack.recipe.targets)
        ),
        lambda source, seed, target: (source, seed, target) not in found,
    )
    if not score:
        return {}
    rates = _measured(pack) or {f"{_CORE} (assumed)": RATES[_CORE]}
    return {name: (train / fast + score / faster) / 3600 for name, (fast, faster) in rates.items()}


def _tokens(
    pack: Pack, trains: Callable[[str, int], bool], scores: Callable[[str | None, int, str], bool]
) -> tuple[int, int]:
    """Tokens of the adapters that are to be trained, and of the cells that are to be scored."""
    recipe, entries = pack.recipe, pack.recipe.datasets
    limit = recipe.prompt.max_prompt_tokens + packs.FRAME_TOKENS

    def tokens(characters: int, rows: int) -> int:
        return min(packs.tokens(characters, rows), rows * limit)

    def scored(target: str) -> int:
        entry = entries[target]
        written = entry.test_rows * recipe.scoring.max_new_tokens // 2 if entry.task_type == "generation" else 0
        return tokens(entry.test_characters, entry.test_rows) + _DECODING * written

    jobs = [(source, seed) for source in recipe.sources for seed in recipe.seeds]
    per_epoch = {name: tokens(entry.train_characters, entry.train_rows) for name, entry in entries.items()}
    per_target = {target: scored(target) for target in recipe.targets}
    train = recipe.training.epochs * sum(per_epoch[source] for source, seed in jobs if trains(source, seed))
    models: list[tuple[str | None, int]] = [(None, BASE_SEED), *jobs]
    score = sum(tokens for target, tokens in per_target.items() for model in models if scores(*model, target))
    return train, score


def _measured(pack: Pack) -> dict[str, tuple[float, float]]:
    """Tokens per second of earlier runs of this pack, by device and precision; both stages must have been seen.

    On a CPU a second is one of processor time, so that other jobs on the machine do not count.
    """
    seen: dict[str, dict[str, list[float]]] = {}
    for entry in read_log(pack):
        on_cpu = str(entry.get("device")).startswith("cpu")
        seconds = entry.get("cpu_seconds" if on_cpu else "seconds") or entry.get("seconds")
        if entry.get("stage") in ("train", "score") and seconds:
            name = f"{'one core of ' if on_cpu else ''}{entry['device']}, {entry['dtype']}"
            sums = seen.setdefault(name, {}).setdefault(entry["stage"], [0.0, 0.0])
            sums[0] += entry["tokens"]
            sums[1] += seconds
    return {
        f"{name} (measured)": (stages["train"][0] / stages["train"][1], stages["score"][0] / stages["score"][1])
        for name, stages in seen.items()
        if len(stages) == 2
    }

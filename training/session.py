"""A session: one pack on one device with its base model loaded, which training and scoring share.

Owns how a run uses its machine, the check that the pack was begun with the same weights, and what is still missing.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from traitcast.training.engine import device
from traitcast.training.plan.pack import Pack, write_aside
from traitcast.training.plan.prompts import Encoded, Prompter, PromptSettings
from traitcast.training.plan.recipe import BASE_SEED, Recipe, Runtime, adapter_key
from traitcast.training.results import shards
from traitcast.training.results.run_log import note, read_flips
from traitcast.training.results.shards import RUNTIME
from traitcast.training.state import failure, forget_failures, is_trained
from traitcast.warehouse.errors import InputError, ScoresError

if TYPE_CHECKING:
    from traitcast.training.engine.base_model import Base
    from traitcast.training.engine.lora import Bank

_STALE_SECONDS = 3600

Adapter = tuple[str, int]
"""One adapter: (source, seed)."""

OnProgress = Callable[[str, int, int, int], None]
"""Called as (stage, done, total, tokens). Stage "train" counts the steps of one group of adapters, "score" the shards
of one group, "groups" (on a cluster) whole groups. Each begins with done = 0."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run uses its machine; nothing here changes what is measured beyond rounding.

    Parameters
    ----------
    device
        "auto", "cpu" or "cuda".
    train_tokens, score_tokens
        Most padded tokens of one forward pass. None: sized for 135 M parameters on 139 GiB, or on a small CPU.
    decode_tokens
        Most tokens whose keys and values are held at once while decoding.
    minutes
        Start nothing new after this long.
    retry_failed
        Train adapters again whose weights or losses were not finite.
    part
        (i, n) with 1 <= i <= n: do every n-th group of adapters, starting with the i-th. The base model belongs to
        part 1. Parts are independent and may run at the same time, in one folder or in copies of it.
    """

    device: str = "auto"
    train_tokens: int | None = None
    score_tokens: int | None = None
    decode_tokens: int | None = None
    minutes: float | None = None
    retry_failed: bool = False
    part: tuple[int, int] = (1, 1)


class Session:
    """One run of one pack on one device.

    Parameters
    ----------
    pack, settings
        What to measure, and how to use the machine.
    say
        Takes lines of narration.

    Raises
    ------
    InputError
        The part does not exist, the device or base model is not available, or the prompts cannot fit the model.
    ScoresError
        The pack was begun with other weights or another precision, or holds cells of another recipe.
    """

    def __init__(self, pack: Pack, settings: RunSettings, say: Callable[[str], None]) -> None:
        from traitcast.training.engine import base_model

        self.pack, self.settings, self.say = pack, settings, say
        self.recipe, self.started = pack.recipe, time.monotonic()
        self.groups = _part(pack.recipe, settings.part)
        self.device = device.choose(settings.device)
        dtype = device.precision(self.recipe.dtype, self.device)
        say(f"loading base model {self.recipe.base} in {dtype} on {device.name(self.device)}")
        self.base = base_model.load(
            self.recipe.base, revision=self.recipe.base_revision, dtype=dtype, device=self.device
        )
        self.runtime = Runtime(self.base.fingerprint, dtype)
        _claim(pack, self.runtime)
        shards.check(pack)
        _sweep(pack)
        self.prompter = Prompter(self.base.tokenizer, _within_context(self.recipe, self.base))
        self.flips_known = bool(read_flips(pack))
        self._slowest: dict[str, float] = {}
        keys = [self.key(job) for group in self.groups for job in group]
        if settings.retry_failed:
            forget_failures(pack, keys)
        elif count := sum(failure(pack, key).is_file() for key in keys):
            say(f"{count} adapters failed in an earlier run and are skipped; train them again with --retry-failed")
        # Once: parts are disjoint, so nobody else adds cells to this one.
        self._scored = shards.scored(pack)

    @property
    def on_accelerator(self) -> bool:
        return self.device == "cuda"

    def key(self, job: Adapter) -> str:
        """The key of an adapter that is trained in the precision of this session."""
        return adapter_key(self.recipe, self.runtime, *job)

    def has(self, job: Adapter) -> bool:
        """Whether the adapter is trained, or was found not to be finite."""
        return is_trained(self.pack, self.key(job)) or failure(self.pack, self.key(job)).is_file()

    def missing(self, job: Adapter | None, targets: Sequence[str]) -> tuple[str, ...]:
        """The targets without a cell of an adapter (None: the base), in any precision."""
        model = job or (None, BASE_SEED)
        return tuple(target for target in targets if (*model, target) not in self._scored)

    def bank(self, *, slots: int) -> Bank:
        """A bank of adapter slots over the base model."""
        from traitcast.training.engine.lora import Bank

        training = self.recipe.training
        return Bank(self.base.model, rank=training.rank, scale=training.scale, targets=training.targets, slots=slots)

    def report_cuts(self, name: str, split: str, rows: Sequence[Encoded]) -> None:
        """Report rows that were cut to fit."""
        counts = cuts(rows)
        if counts["cut_prompts"]:
            self.say(f"{name}: {counts['cut_prompts']} of {len(rows)} {split} prompts were shortened to fit")
        if counts["cut_answers"]:
            self.say(f"{name}: answers of {counts['cut_answers']} of {len(rows)} {split} rows were cut to fit")

    def time_left(self, stage: str) -> bool:
        """Whether another unit of a stage fits, if it takes as long as the slowest one so far."""
        limit, spent = self.settings.minutes, time.monotonic() - self.started
        if limit is None or spent + self._slowest.get(stage, 0.0) < 60 * limit:
            return True
        self.say(f"stopping after {spent / 60:.1f} minutes; run the same command again to continue")
        return False

    def note(self, stage: str, clock: Clock, tokens: int, **counts: int) -> None:
        """Log a finished unit of a stage."""
        seconds, cpu_seconds = clock.spent()
        self._slowest[stage] = max(self._slowest.get(stage, 0.0), seconds)
        self.log(
            stage=stage,
            seconds=round(seconds, 3),
            cpu_seconds=round(cpu_seconds, 3),
            tokens=tokens,
            **counts,
            peak_bytes=device.peak_bytes(self.device),
        )

    def log(self, **entry: Any) -> None:
        """Add an entry to the log of runs, with the device, the precision and the time."""
        note(self.pack, **entry, device=device.name(self.device), dtype=self.runtime.dtype, time=int(time.time()))


class Clock:
    """Wall-clock and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def spent(self) -> tuple[float, float]:
        """Seconds by the clock, and seconds of all processor cores of this process."""
        return time.monotonic() - self._wall, time.process_time() - self._cpu


def cuts(rows: Sequence[Encoded]) -> dict[str, int]:
    """How many rows had their prompt, or any answer, cut to fit."""
    return {"cut_prompts": sum(row.cut_prompt for row in rows), "cut_answers": sum(row.cut_answer for row in rows)}


def _part(recipe: Recipe, part: tuple[int, int]) -> Sequence[Sequence[Adapter]]:
    """The groups of a part: groups are trained as one, so a part is made of whole ones."""
    i, n = part
    if n > len(recipe.groups):
        raise InputError(
            f"part {i}/{n}: this matrix has {len(recipe.groups)} groups of adapters, so at most that many parts; plan "
            "into a new folder with fewer --slots to get more groups"
        )
    return recipe.groups[i - 1 :: n]


def _sweep(pack: Pack) -> None:
    """Remove what killed runs left half-written; anything younger than an hour may belong to another run."""
    for path in [*pack.adapters.glob(".*"), *pack.shards.glob(".*.part")]:
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _within_context(recipe: Recipe, base: Base) -> PromptSettings:
    """The prompt settings, lowered so that prompt and answer fit the context of the model."""
    context = getattr(base.model.config, "max_position_embeddings", None)
    answers = max(recipe.prompt.max_answer_tokens, recipe.scoring.max_new_tokens) + 1
    if not context or recipe.prompt.max_prompt_tokens + answers <= context:
        return recipe.prompt
    if context <= answers:
        raise InputError(
            f"{base.name} reads {context} tokens, and answers may take {answers}; plan with a lower max_answer_tokens "
            "and max_new_tokens"
        )
    return dataclasses.replace(recipe.prompt, max_prompt_tokens=context - answers)


def _claim(pack: Pack, now: Runtime) -> None:
    """Refuse a pack that was begun with other weights or another precision; record those of a new one."""
    now, before = shards.shared_runtime(pack, now), shards.read_runtime(pack)
    if before is not None and before != now:
        raise ScoresError(
            f"{pack.folder} was begun with weights {before.base_fingerprint} in {before.dtype}, and this run has "
            f"{now.base_fingerprint} in {now.dtype}; use the same base model and --device, or plan into a new folder"
        )
    if not (pack.folder / RUNTIME).is_file():
        write_aside(pack.folder / RUNTIME, json.dumps(dataclasses.asdict(now)).encode())

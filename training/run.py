"""The matrix: train what is missing, score what is missing, and stop at any moment without loss.

Owns the run of a pack on one device. Everything finished is a file that appeared whole: adapters one folder each,
cells one shard per model and block. What is left to do is the planned keys less those found, so there is no state
that could disagree with the files.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.engine import device
from traitcast.training.plan.pack import Pack, Packed, training_rows, write_aside
from traitcast.training.plan.prompts import Encoded, Prompter, PromptSettings
from traitcast.training.plan.recipe import BASE_SEED, Recipe, Runtime, adapter_key, begins_as, cell_key, digest
from traitcast.training.results import shards
from traitcast.training.results.cells import Cell
from traitcast.training.results.metrics import text_scores
from traitcast.training.results.run_log import note, read_flips
from traitcast.training.results.shards import RUNTIME, read_runtime
from traitcast.training.state import Status, failure, forget_failures, status
from traitcast.warehouse.errors import InputError, ScoresError, TraitcastError

if TYPE_CHECKING:
    from traitcast.training.engine.base_model import Base
    from traitcast.training.engine.lora import Bank, Weights
    from traitcast.training.engine.score import Prepared, Scorer
    from traitcast.training.engine.train import Outcome


# A target's own cap on decoding: half as long again as nearly all of its references, and never under this.
_CAP_MARGIN, _CAP_SHARE, _CAP_LEAST = 1.5, 0.95, 8


_STALE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run uses its machine; nothing here changes what is measured beyond rounding.

    train_tokens, score_tokens: most padded tokens of a forward; decode_tokens: most tokens whose keys and values
    are held at once. None: sized for 135 M parameters on 139 GiB, or on a small CPU. minutes: start nothing new after
    that long. part: (i, n), 1 <= i <= n: do every n-th group of adapters only, from the i-th on, and the base with the
    first; the n parts need nothing of one another and may run at the same time, on one folder or on copies of it.
    """

    device: str = "auto"
    train_tokens: int | None = None
    score_tokens: int | None = None
    decode_tokens: int | None = None
    minutes: float | None = None
    retry_failed: bool = False
    part: tuple[int, int] = (1, 1)


Progress = Callable[[str, int, int, int], None]
"""Called as (stage, done, total, tokens): stage "train" counts steps, "score" shards, "groups" (of a cluster) groups of
adapters, all from 0 on."""


@dataclass(slots=True)
class _Block:
    """A block of targets, tokenised and on the device. slices: target -> (rows, content-free rows) in `prepared`;
    prompts: of generations, with their cap on new tokens."""

    targets: tuple[str, ...]
    prepared: Prepared
    rows: dict[str, list[Encoded]]
    slices: dict[str, tuple[slice, slice]]
    prompts: dict[str, tuple[list[list[int]], int]]
    references: dict[str, list[str]]


def run(
    pack: Pack,
    settings: RunSettings | None = None,
    *,
    on_progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    base_only: bool = False,
) -> Status:
    """Train and score all that is missing. base_only: train nothing, so that the untuned model is scored.

    Raises ScoresError when the pack was begun with other weights or precision, or holds shards of another recipe.
    """
    settings, say = settings or RunSettings(), say or (lambda _: None)
    with _quiet_transformers():
        matrix = _Run(pack, settings, on_progress or (lambda *_: None), say)
        if not base_only:
            matrix.train()
        matrix.score()
    return status(pack)


class _Run:
    """One run of one pack on one device."""

    def __init__(self, pack: Pack, settings: RunSettings, on_progress: Progress, say: Callable[[str], None]) -> None:
        self.pack, self.settings, self.on_progress, self.say = pack, settings, on_progress, say
        self.recipe, self.started = pack.recipe, time.monotonic()
        self.groups = _part(pack.recipe, settings.part)
        self.device = device.choose(settings.device)
        say(f"loading base model {self.recipe.base} in {_dtype(pack, self.device)} on {device.name(self.device)}")
        self.base = _load_base(pack, self.device)
        self.runtime = _same_runtime(pack, Runtime(self.base.fingerprint, _dtype(pack, self.device)))
        shards.check(pack)
        _sweep(pack)
        self.prompter = Prompter(self.base.tokenizer, _within_context(self.recipe, self.base))
        self.slowest: dict[str, float] = {}
        self.pools: dict[str, list[Encoded]] = {}
        self.flips_known = bool(read_flips(pack))
        self.last: tuple[tuple[str, int], Weights] | None = None
        if settings.retry_failed:
            forget_failures(pack, map(self._key, self._jobs()))
        elif count := sum(failure(pack, key).is_file() for key in map(self._key, self._jobs())):
            say(f"{count} adapters failed before and are kept so; --retry-failed trains them again")

    def _jobs(self) -> list[tuple[str, int]]:
        return [job for group in self.groups for job in group]

    def _key(self, job: tuple[str, int]) -> str:
        return adapter_key(self.recipe, self.runtime, *job)

    # Training.

    def train(self) -> None:
        """Train every group that lacks an adapter which some missing cell needs. The whole group runs, so its numbers
        are those of a run that was never stopped; adapters that are there already are not written again."""
        found = shards.keys(self.pack)

        def needed(job: tuple[str, int]) -> bool:
            # Shards may have come from another machine without the adapters, which are far larger.
            return not self._exists(job) and any(self._missing(job, block, found) for block in self.recipe.blocks)

        waiting = [group for group in self.groups if any(map(needed, group))]
        total = sum(self._steps(group) for group in waiting)
        done = 0
        if waiting:
            self.on_progress("train", 0, total, 0)
        for group in waiting:
            if not self._time_left("train"):
                return
            began = time.monotonic()
            tokens = self._train_group(group, done, total)
            done += self._steps(group)
            self._note("train", began, tokens, adapters=len(group), steps=self._steps(group))

    def _steps(self, group: Sequence[tuple[str, int]]) -> int:
        rows = self.recipe.datasets
        return max(self.recipe.training.steps(rows[source].train_rows) for source, _ in group)

    def _exists(self, job: tuple[str, int]) -> bool:
        key = self._key(job)
        return (self.pack.adapters / key / "adapter_config.json").is_file() or failure(self.pack, key).is_file()

    def _train_group(self, group: Sequence[tuple[str, int]], done: int, total: int) -> int:
        from traitcast.training.engine import train as adapters

        large = self.device == "cuda"
        budget = adapters.Budget(
            tokens=self.settings.train_tokens or (65_536 if large else 2_048), worth_splitting=24_576 if large else 256
        )
        drawn = [self._drawn(job) for job in group]
        jobs = [
            adapters.Job(self._key(job), self._examples(rows), _seed(begins_as(self.recipe, job[0]), job[1]))
            for job, rows in zip(group, drawn, strict=True)
        ]

        def on_step(step: int, tokens: int) -> None:
            self.on_progress("train", done + step + 1, total, tokens)

        with _room_for(len(group)):
            bank = _bank(self.base, self.pack, slots=len(group))
            try:
                outcomes = adapters.train(bank, jobs, self.recipe.training, budget=budget, on_step=on_step)
                for slot, (job, outcome) in enumerate(zip(group, outcomes, strict=True)):
                    if not self._exists(job):
                        self._keep(bank, slot, job, outcome, drawn[slot])
            finally:
                bank.close()
        if budget.splits:
            self.say(f"memory ran out {budget.splits} times; micro-batches now hold {budget.tokens:,} tokens")
        return sum(outcome.tokens for outcome in outcomes)

    def _drawn(self, job: tuple[str, int]) -> tuple[Encoded, ...]:
        """The training rows of an adapter; the pool of a source is encoded once for all its seeds."""
        source, seed = job
        if source not in self.pools:
            packed = self.pack.rows(source)
            self.pools[source] = self.prompter.encode(packed.task, packed.train)
            self._tell_cuts(source, "training", self.pools[source])
        return training_rows(self.recipe, source, seed, self.pools[source])

    def _examples(self, rows: Sequence[Encoded]) -> list[tuple[list[int], list[int]]]:
        """(prompt, gold answer and end token) of training rows; an answer that was cut has no end."""
        limit = self.recipe.prompt.max_answer_tokens
        pairs = []
        for row in rows:
            answer = row.answers[row.gold]
            pairs.append(
                (row.prompt, answer if row.cut_answer and len(answer) == limit else [*answer, self.prompter.end])
            )
        return pairs

    def _tell_cuts(self, name: str, split: str, rows: Sequence[Encoded]) -> None:
        """Report rows that were cut to fit."""
        counts = _cuts(rows)
        if counts["cut_prompts"]:
            self.say(f"{name}: {counts['cut_prompts']} of {len(rows)} {split} prompts were shortened to fit")
        if counts["cut_answers"]:
            self.say(f"{name}: answers of {counts['cut_answers']} of {len(rows)} {split} rows were cut to fit")

    def _keep(self, bank: Bank, slot: int, job: tuple[str, int], outcome: Outcome, rows: Sequence[Encoded]) -> None:
        from traitcast.training.engine import checkpoints

        (source, seed), key = job, outcome.name
        record: dict[str, Any] = {
            "adapter": key,
            "source": source,
            "seed": seed,
            "rank": self.recipe.training.rank,
            "steps": outcome.steps,
            "rows": len(rows),
            "tokens": outcome.tokens,
            "final_loss": float(outcome.losses[-50:].mean()) if outcome.failed_at is None else None,
            "failed_at": outcome.failed_at,
            "losses": [round(float(x), 6) for x in outcome.losses] if outcome.failed_at is None else [],
            **_cuts(rows),
        }
        if outcome.failed_at is not None:
            self.say(f"adapter {source} seed {seed} was not finite at step {outcome.failed_at}: frozen, marked failed")
            write_aside(failure(self.pack, key), json.dumps(record, sort_keys=True).encode())
            return
        checkpoints.write(
            self.pack.adapters / key,
            bank.weights(slot),
            rank=self.recipe.training.rank,
            alpha=self.recipe.training.alpha,
            base=self.recipe.base,
            targets=self.recipe.training.targets,
            extra=record,
        )

    # Scoring.

    def score(self) -> None:
        """Score the base and every finished adapter on every block of targets that lacks a cell."""
        found = shards.keys(self.pack)
        base = [None] if self.settings.part[0] == 1 else []
        models = [*base, *(job for job in self._jobs() if self._exists(job))]
        work = [
            (model, missing)
            for model in models
            for block in self.recipe.blocks
            if (missing := self._missing(model, block, found))
        ]
        if not work:
            return
        bank = _bank(self.base, self.pack, slots=1)
        scorer = self._scorer(bank)
        blocks: dict[tuple[str, ...], _Block] = {}
        self.on_progress("score", 0, len(work), 0)
        try:
            for at, (model, missing) in enumerate(work):
                if not self._time_left("score"):
                    return
                if missing not in blocks:
                    blocks[missing] = self._prepare(scorer, missing)
                self._score_block(bank, scorer, blocks[missing], model)
                self.on_progress("score", at + 1, len(work), blocks[missing].prepared.layout.tokens)
        finally:
            bank.close()

    def _scorer(self, bank: Bank) -> Scorer:
        from traitcast.training.engine.score import Scorer

        asked, large = self.settings, self.device == "cuda"
        return Scorer(
            bank,
            end=self.prompter.end,
            max_tokens=asked.score_tokens or (65_536 if large else 2_048),
            decode_tokens=asked.decode_tokens or (2_000_000 if large else 32_768),
        )

    def _score_block(self, bank: Bank, scorer: Scorer, block: _Block, model: tuple[str, int] | None) -> None:
        """Score one model on one block and write the shard."""
        weights = self._weights(model)
        if weights is not None and not self.flips_known:
            self.flips_known = self._flips(bank, scorer, block, weights)
        began = time.monotonic()
        if model is not None and weights is None:
            cells = self._failed(model, block.targets)
        else:
            with self._applied(bank, weights):
                cells = self._cells(scorer, block, model)
        shards.write(self.pack.shards, cells)
        made = sum(sum(cell.output_tokens or []) for cell in cells)
        layout = block.prepared.layout
        self._note("score", began, layout.tokens, read=layout.read, generated=made, cells=len(cells))

    def _missing(self, model: tuple[str, int] | None, block: Sequence[str], found: set[str]) -> tuple[str, ...]:
        adapter = self._key(model) if model else None
        return tuple(t for t in block if cell_key(self.recipe, self.runtime, adapter, t) not in found)

    def _weights(self, model: tuple[str, int] | None) -> Weights | None:
        """The adapter of a model, None for the base and for one that failed; the last one read is remembered."""
        if model is None or failure(self.pack, self._key(model)).is_file():
            return None
        if self.last is None or self.last[0] != model:
            from traitcast.training.engine import checkpoints

            folder, planned = self.pack.adapters / self._key(model), self.recipe.training
            found = checkpoints.read(folder)
            if (found.rank, found.scale) != (planned.rank, planned.scale):
                raise InputError(
                    f"the adapter in {folder} has rank {found.rank} and scale {found.scale:g}, and the recipe asks for "
                    f"{planned.rank} and {planned.scale:g}; delete the folder and train it again"
                )
            self.last = model, found.weights
        return self.last[1]

    def _applied(self, bank: Bank, weights: Weights | None, mode: str | None = None) -> AbstractContextManager[None]:
        if weights is None:
            return nullcontext()
        return bank.merged(weights) if (mode or self.recipe.scoring.mode) == "merged" else bank.kept_apart(weights)

    def _prepare(self, scorer: Scorer, targets: tuple[str, ...]) -> _Block:
        rows: list[Encoded] = []
        groups: list[int] = []
        encoded: dict[str, list[Encoded]] = {}
        slices: dict[str, tuple[slice, slice]] = {}
        prompts: dict[str, tuple[list[list[int]], int]] = {}
        references: dict[str, list[str]] = {}
        for name in targets:
            packed = self.pack.rows(name)
            encoded[name] = self.prompter.encode(packed.task, packed.test)
            self._tell_cuts(name, "test", encoded[name])
            free = self._content_free(packed)
            start = len(rows)
            rows += [*encoded[name], *free]
            groups += [len(slices)] * (len(encoded[name]) + len(free))
            middle = start + len(encoded[name])
            slices[name] = slice(start, middle), slice(middle, len(rows))
            if not packed.task.has_options:
                references[name] = [row.response for row in packed.test]
                prompts[name] = [row.prompt for row in encoded[name]], self._cap(encoded[name])
        return _Block(targets, scorer.prepare(rows, groups), encoded, slices, prompts, references)

    def _content_free(self, packed: Packed) -> list[Encoded]:
        """Content-free prompts: one for a classification, whose labels are the same for all rows, else one a row."""
        if not packed.task.has_options or not self.recipe.scoring.content_free:
            return []
        rows = packed.test
        if not any(row.options for row in rows):
            # One with all its fields: a row that lacks some shows the labels less of the prompt.
            rows = (max(rows, key=lambda row: sum(map(bool, row.fields))),)
        return self.prompter.content_free(packed.task, rows)

    def _cap(self, rows: Sequence[Encoded]) -> int:
        usual = float(np.quantile([len(row.answers[0]) for row in rows], _CAP_SHARE))
        return min(self.recipe.scoring.max_new_tokens, max(_CAP_LEAST, ceil(_CAP_MARGIN * usual)))

    def _cells(self, scorer: Scorer, block: _Block, model: tuple[str, int] | None) -> list[Cell]:
        sums = scorer.loglikelihoods(block.prepared)
        asked = [(name, prompt, cap) for name, (prompts, cap) in block.prompts.items() for prompt in prompts]
        texts = iter(scorer.generate([prompt for _, prompt, _ in asked], [cap for _, _, cap in asked]))
        cells = []
        for name in block.targets:
            rows, (own, free) = block.rows[name], block.slices[name]
            cell = self._cell(model, name)
            measured: dict[str, Any] = _cuts(rows)
            if name in block.prompts:
                made = [next(texts) for _ in rows]
                # As the tokens say: versions of transformers differ in whether they drop spaces before punctuation.
                outputs = self.base.tokenizer.batch_decode(
                    [g.ids for g in made], skip_special_tokens=True, clean_up_tokenization_spaces=False
                )
                measured |= text_scores(outputs, block.references[name])
                measured |= {
                    "outputs": outputs,
                    "output_tokens": [len(g.ids) for g in made],
                    "finished": [g.finished for g in made],
                    "reference_nll": [-float(s[0]) for s in sums[own]],
                    "reference_tokens": [len(row.answers[0]) for row in rows],
                }
            else:
                measured |= {
                    "gold": [row.gold for row in rows],
                    "loglikelihoods": [s.tolist() for s in sums[own]],
                    "answer_tokens": [[len(a) for a in row.answers] for row in rows],
                    "prior": [s.tolist() for s in sums[free]] or None,
                }
            cells.append(dataclasses.replace(cell, **measured))
        return cells

    def _failed(self, model: tuple[str, int], targets: Sequence[str]) -> list[Cell]:
        return [dataclasses.replace(self._cell(model, name), failed=True) for name in targets]

    def _cell(self, model: tuple[str, int] | None, target: str) -> Cell:
        adapter = self._key(model) if model else None
        source, seed = model or (None, BASE_SEED)
        return Cell(
            key=cell_key(self.recipe, self.runtime, adapter, target),
            base=self.recipe.base,
            base_fingerprint=self.runtime.base_fingerprint,
            dtype=self.runtime.dtype,
            source=source,
            seed=seed,
            target=target,
            adapter=adapter,
            device=self.device,
        )

    def _flips(self, bank: Bank, scorer: Scorer, block: _Block, weights: Weights) -> bool:
        """Measure how many answers change between merged and exact scoring; True when it could be measured."""
        own = [rows for name, (rows, _) in block.slices.items() if name not in block.prompts]
        picks = []
        for mode in ("merged", "exact"):
            with self._applied(bank, weights, mode):
                sums = scorer.loglikelihoods(block.prepared)
            picks.append([int(s.argmax()) for rows in own for s in sums[rows]])
        if not picks[0]:
            return False
        changed = float(np.mean(np.array(picks[0]) != np.array(picks[1])))
        self.say(f"merged and exact scoring differ on {100 * changed:.2f} % of {len(picks[0])} answers")
        self._log(stage="flips", changed=changed, answers=len(picks[0]))
        return True

    # Time and record.

    def _time_left(self, stage: str) -> bool:
        """Whether another unit fits: the slowest one of its stage so far is what the next may take."""
        limit = self.settings.minutes
        if limit is None or time.monotonic() - self.started + self.slowest.get(stage, 0.0) < 60 * limit:
            return True
        self.say(f"stopping after {(time.monotonic() - self.started) / 60:.1f} minutes; run the same again to go on")
        return False

    def _note(self, stage: str, began: float, tokens: int, **counts: int) -> None:
        seconds = time.monotonic() - began
        self.slowest[stage] = max(self.slowest.get(stage, 0.0), seconds)
        self._log(
            stage=stage, seconds=round(seconds, 3), tokens=tokens, **counts, peak_bytes=device.peak_bytes(self.device)
        )

    def _log(self, **entry: Any) -> None:
        entry |= {"device": device.name(self.device), "dtype": self.runtime.dtype, "time": int(time.time())}
        note(self.pack, **entry)


def _cuts(rows: Sequence[Encoded]) -> dict[str, int]:
    """How many rows had their prompt, or any answer, cut to fit."""
    return {"cut_prompts": sum(row.cut_prompt for row in rows), "cut_answers": sum(row.cut_answer for row in rows)}


def _part(recipe: Recipe, part: tuple[int, int]) -> Sequence[Sequence[tuple[str, int]]]:
    """The groups of a part: groups are trained as one, so a part is made of whole ones."""
    i, n = part
    if n > len(recipe.groups):
        raise InputError(
            f"part {i}/{n}: this matrix has {len(recipe.groups)} groups of adapters, so at most that many parts; plan "
            "into a new folder with fewer --slots for more groups"
        )
    return recipe.groups[i - 1 :: n]


def _sweep(pack: Pack) -> None:
    """Remove what killed runs left half-written; younger than an hour it may be another run's work in hand."""
    for path in [*pack.adapters.glob(".*"), *pack.shards.glob(".*.part")]:
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _seed(source: str, seed: int) -> int:
    """The seed of an adapter's order and first weights: unlike for every source, the same on every machine. source: as
    `recipe.begins_as` gives it."""
    return int(digest([source, seed])[:12], 16)


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


def _bank(base: Base, pack: Pack, *, slots: int) -> Bank:
    from traitcast.training.engine.lora import Bank

    training = pack.recipe.training
    return Bank(base.model, rank=training.rank, scale=training.scale, targets=training.targets, slots=slots)


def _load_base(pack: Pack, chosen: str) -> Base:
    from traitcast.training.engine import base_model as base

    recipe = pack.recipe
    return base.load(recipe.base, revision=recipe.base_revision, dtype=_dtype(pack, chosen), device=chosen)


def _dtype(pack: Pack, chosen: str) -> str:
    return pack.recipe.dtype if pack.recipe.dtype != "auto" else device.default_dtype(chosen)


def _same_runtime(pack: Pack, now: Runtime) -> Runtime:
    before = read_runtime(pack)
    if before is not None and before != now:
        raise ScoresError(
            f"{pack.folder} was begun with weights {before.base_fingerprint} in {before.dtype}, and this run has "
            f"{now.base_fingerprint} in {now.dtype}; use the same base and --device, or plan into a new folder"
        )
    if not (pack.folder / RUNTIME).is_file():
        write_aside(pack.folder / RUNTIME, json.dumps(dataclasses.asdict(now)).encode())
    return now


@contextmanager
def _room_for(adapters: int) -> Iterator[None]:
    """Name the cure when even the weights and moments of a group do not fit (micro-batches cure themselves)."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TraitcastError(
            f"out of memory with {adapters} adapters side by side; plan into a new folder with fewer --slots"
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No loading bars of transformers in the narration."""
    from traitcast.training.engine.base_model import require

    _, transformers = require()
    transformers.utils.logging.disable_progress_bar()
    yield

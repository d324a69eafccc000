"""Scoring: the base model or an adapter on blocks of targets, each written as one shard."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from traitcast.training.plan.pack import Packed
from traitcast.training.plan.prompts import Encoded
from traitcast.training.plan.recipe import BASE_SEED, cell_key
from traitcast.training.results import shards
from traitcast.training.results.cells import Cell
from traitcast.training.results.metrics import text_scores
from traitcast.training.session import Adapter, Clock, OnProgress, Session, cuts
from traitcast.training.state import failure
from traitcast.warehouse.errors import InputError

if TYPE_CHECKING:
    from traitcast.training.engine.lora import Bank, Weights
    from traitcast.training.engine.score import Prepared, Scorer

# A target's own cap on decoding: half as long again as nearly all of its references, and never below this.
_CAP_MARGIN, _CAP_SHARE, _CAP_LEAST = 1.5, 0.95, 8


@dataclass(slots=True)
class _Block:
    """Targets that are scored together, tokenised and on the device. slices: target -> (rows, content-free rows) in
    `prepared`; prompts: of generations, with their cap on new tokens."""

    targets: tuple[str, ...]
    prepared: Prepared
    rows: dict[str, list[Encoded]]
    slices: dict[str, tuple[slice, slice]]
    prompts: dict[str, tuple[list[list[int]], int]]
    references: dict[str, list[str]]


class Scoring:
    """Scores models in one session. Targets are tokenised once for all models."""

    def __init__(self, session: Session, on_progress: OnProgress) -> None:
        self.session, self.on_progress = session, on_progress
        self._blocks: dict[tuple[str, ...], _Block] = {}
        self._last: tuple[Adapter, Weights] | None = None

    def score(self, models: Sequence[Adapter | None]) -> bool:
        """Score models (None: the base) on every block of targets that lacks one of their cells.

        Returns
        -------
        bool
            False when the time ran out first.
        """
        session = self.session
        work = [
            (model, targets)
            for model in models
            for block in session.recipe.blocks
            if (targets := session.missing(model, block))
        ]
        if not work:
            return True
        self.on_progress("score", 0, len(work), 0)
        with self._scorer() as (bank, scorer):
            for at, (model, targets) in enumerate(work, 1):
                if not session.time_left("score"):
                    return False
                if targets not in self._blocks:
                    self._blocks[targets] = self._prepare(scorer, targets)
                block = self._blocks[targets]
                self._score_block(bank, scorer, block, model)
                self.on_progress("score", at, len(work), block.prepared.layout.tokens)
        return True

    @contextmanager
    def _scorer(self) -> Iterator[tuple[Bank, Scorer]]:
        """A bank and a scorer over the base model, which is as it was afterwards: training comes next."""
        from traitcast.training.engine.score import Scorer

        session, large = self.session, self.session.on_accelerator
        bank = session.bank(slots=1)
        scorer = Scorer(
            bank,
            end=session.prompter.end,
            max_tokens=session.settings.score_tokens or (65_536 if large else 2_048),
            decode_tokens=session.settings.decode_tokens or (2_000_000 if large else 32_768),
        )
        try:
            yield bank, scorer
        finally:
            scorer.close()
            bank.close()

    def _score_block(self, bank: Bank, scorer: Scorer, block: _Block, model: Adapter | None) -> None:
        """Score one model on one block and write the shard."""
        session, weights = self.session, self._weights(model)
        if weights is not None and not session.flips_known:
            session.flips_known = self._flips(bank, scorer, block, weights)
        clock = Clock()
        if model is not None and weights is None:
            cells = [dataclasses.replace(self._cell(model, name), failed=True) for name in block.targets]
        else:
            with self._applied(bank, weights):
                cells = self._cells(scorer, block, model)
        shards.write(session.pack.shards, cells)
        made = sum(sum(cell.output_tokens or []) for cell in cells)
        layout = block.prepared.layout
        session.note("score", clock, layout.tokens, read=layout.read, generated=made, cells=len(cells))

    def _weights(self, model: Adapter | None) -> Weights | None:
        """The adapter of a model, None for the base and for one that failed; the last one read is remembered."""
        if model is None or failure(self.session.pack, self.session.key(model)).is_file():
            return None
        if self._last is None or self._last[0] != model:
            from traitcast.training.engine import checkpoints

            folder, planned = self.session.pack.adapters / self.session.key(model), self.session.recipe.training
            found = checkpoints.read(folder)
            if (found.rank, found.scale) != (planned.rank, planned.scale):
                raise InputError(
                    f"the adapter in {folder} has rank {found.rank} and scale {found.scale:g}, and the recipe asks for "
                    f"{planned.rank} and {planned.scale:g}; delete the folder and train it again"
                )
            self._last = model, found.weights
        return self._last[1]

    def _applied(self, bank: Bank, weights: Weights | None, mode: str | None = None) -> AbstractContextManager[None]:
        if weights is None:
            return nullcontext()
        return (
            bank.merged(weights) if (mode or self.session.recipe.scoring.mode) == "merged" else bank.kept_apart(weights)
        )

    def _prepare(self, scorer: Scorer, targets: tuple[str, ...]) -> _Block:
        rows: list[Encoded] = []
        groups: list[int] = []
        encoded: dict[str, list[Encoded]] = {}
        slices: dict[str, tuple[slice, slice]] = {}
        prompts: dict[str, tuple[list[list[int]], int]] = {}
        references: dict[str, list[str]] = {}
        for name in targets:
            packed = self.session.pack.rows(name)
            encoded[name] = self.session.prompter.encode(packed.task, packed.test)
            self.session.report_cuts(name, "test", encoded[name])
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
        if not packed.task.has_options or not self.session.recipe.scoring.content_free:
            return []
        rows = packed.test
        if not any(row.options for row in rows):
            # One with all its fields: a row that lacks some shows the labels less of the prompt.
            rows = (max(rows, key=lambda row: sum(map(bool, row.fields))),)
        return self.session.prompter.content_free(packed.task, rows)

    def _cap(self, rows: Sequence[Encoded]) -> int:
        usual = float(np.quantile([len(row.answers[0]) for row in rows], _CAP_SHARE))
        return min(self.session.recipe.scoring.max_new_tokens, max(_CAP_LEAST, ceil(_CAP_MARGIN * usual)))

    def _cells(self, scorer: Scorer, block: _Block, model: Adapter | None) -> list[Cell]:
        sums = scorer.loglikelihoods(block.prepared)
        asked = [(name, prompt, cap) for name, (prompts, cap) in block.prompts.items() for prompt in prompts]
        texts = iter(scorer.generate([prompt for _, prompt, _ in asked], [cap for _, _, cap in asked]))
        cells = []
        for name in block.targets:
            rows, (own, free) = block.rows[name], block.slices[name]
            cell = self._cell(model, name)
            measured: dict[str, Any] = cuts(rows)
            if name in block.prompts:
                made = [next(texts) for _ in rows]
                # As the tokens say: versions of transformers differ in whether they drop spaces before punctuation.
                outputs = self.session.base.tokenizer.batch_decode(
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

    def _cell(self, model: Adapter | None, target: str) -> Cell:
        adapter = self.session.key(model) if model else None
        source, seed = model or (None, BASE_SEED)
        return Cell(
            key=cell_key(self.session.recipe, self.session.runtime, adapter, target),
            base=self.session.recipe.base,
            base_fingerprint=self.session.runtime.base_fingerprint,
            dtype=self.session.runtime.dtype,
            source=source,
            seed=seed,
            target=target,
            adapter=adapter,
            device=self.session.device,
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
        self.session.say(f"merged and exact scoring differ on {100 * changed:.2f} % of {len(picks[0])} answers")
        self.session.log(stage="flips", changed=changed, answers=len(picks[0]))
        return True

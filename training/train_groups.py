"""Training: the adapters of one group side by side, each written as a checkpoint when it is through."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from traitcast.training.plan.pack import training_rows, write_aside
from traitcast.training.plan.prompts import Encoded
from traitcast.training.plan.recipe import begins_as, digest
from traitcast.training.session import Adapter, Clock, OnProgress, Session, cuts
from traitcast.training.state import failure
from traitcast.warehouse.errors import TraitcastError

if TYPE_CHECKING:
    from traitcast.training.engine.lora import Bank
    from traitcast.training.engine.train import Trained


class Trainer:
    """Trains groups of adapters in one session."""

    def __init__(self, session: Session, on_progress: OnProgress) -> None:
        self.session, self.on_progress = session, on_progress
        self._pools: dict[str, list[Encoded]] = {}

    def train(self, group: Sequence[Adapter]) -> None:
        """Train all adapters of a group; those that exist already are not written again.

        The whole group runs, so that an interrupted run ends with the same bits as one that was never stopped.
        """
        from traitcast.training.engine import train as adapters

        session, clock = self.session, Clock()
        settings, large = session.settings, session.on_accelerator
        budget = adapters.Budget(
            tokens=settings.train_tokens or (65_536 if large else 2_048), worth_splitting=24_576 if large else 256
        )
        drawn = [self._drawn(job) for job in group]
        jobs = [
            adapters.Job(session.key(job), self._examples(rows), start_seed(begins_as(session.recipe, job[0]), job[1]))
            for job, rows in zip(group, drawn, strict=True)
        ]
        steps = max(session.recipe.training.steps(len(rows)) for rows in drawn)

        def on_step(step: int, tokens: int) -> None:
            self.on_progress("train", step + 1, steps, tokens)

        self.on_progress("train", 0, steps, 0)
        with _room_for(len(group)):
            bank = session.bank(slots=len(group))
            try:
                outcomes = adapters.train(bank, jobs, session.recipe.training, budget=budget, on_step=on_step)
                for slot, (job, outcome) in enumerate(zip(group, outcomes, strict=True)):
                    if not session.has(job):
                        self._keep(bank, slot, job, outcome, drawn[slot])
            finally:
                bank.close()
        if budget.splits:
            session.say(f"memory ran out {budget.splits} times; micro-batches now hold {budget.tokens:,} tokens")
        session.note("train", clock, sum(outcome.tokens for outcome in outcomes), adapters=len(group), steps=steps)

    def _drawn(self, job: Adapter) -> tuple[Encoded, ...]:
        """The training rows of an adapter; the pool of a source is encoded once for all its seeds."""
        source, seed = job
        if source not in self._pools:
            packed = self.session.pack.rows(source)
            self._pools[source] = self.session.prompter.encode(packed.task, packed.train)
            self.session.report_cuts(source, "training", self._pools[source])
        return training_rows(self.session.recipe, source, seed, self._pools[source])

    def _examples(self, rows: Sequence[Encoded]) -> list[tuple[list[int], list[int]]]:
        """(prompt, gold answer and end token) of training rows; an answer that was cut has no end."""
        limit, end = self.session.recipe.prompt.max_answer_tokens, self.session.prompter.end
        pairs = []
        for row in rows:
            answer = row.answers[row.gold]
            pairs.append((row.prompt, answer if row.cut_answer and len(answer) == limit else [*answer, end]))
        return pairs

    def _keep(self, bank: Bank, slot: int, job: Adapter, outcome: Trained, rows: Sequence[Encoded]) -> None:
        """Write an adapter and its record, or the record of its failure."""
        from traitcast.training.engine import checkpoints

        (source, seed), key = job, outcome.name
        pack, recipe = self.session.pack, self.session.recipe
        record: dict[str, Any] = {
            "adapter": key,
            "source": source,
            "seed": seed,
            "rank": recipe.training.rank,
            "steps": outcome.steps,
            "rows": len(rows),
            "tokens": outcome.tokens,
            "final_loss": float(outcome.losses[-50:].mean()) if outcome.failed_at is None else None,
            "failed_at": outcome.failed_at,
            "losses": [round(float(x), 6) for x in outcome.losses] if outcome.failed_at is None else [],
            **cuts(rows),
        }
        if outcome.failed_at is not None:
            self.session.say(
                f"adapter {source} seed {seed}: loss or gradient was not finite at step {outcome.failed_at}; it is "
                "marked as failed"
            )
            write_aside(failure(pack, key), json.dumps(record, sort_keys=True).encode())
            return
        checkpoints.write(
            pack.adapters / key,
            bank.weights(slot),
            rank=recipe.training.rank,
            alpha=recipe.training.alpha,
            base=recipe.base,
            targets=recipe.training.targets,
            extra=record,
        )


def start_seed(source: str, seed: int) -> int:
    """The seed of an adapter's row order and first weights: different for every source, the same on every machine.

    Parameters
    ----------
    source
        As `recipe.begins_as` gives it.
    """
    return int(digest([source, seed])[:12], 16)


@contextmanager
def _room_for(adapters: int) -> Iterator[None]:
    """Name the cure when even the weights and moments of a group do not fit (micro-batches shrink by themselves)."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TraitcastError(
            f"out of memory with {adapters} adapters side by side; plan into a new folder with fewer --slots"
        ) from error

"""Training many adapters at once, each with its own rows, order, loss mean, clipping, schedule and seed.

Owns the training loop over a `Bank`: batches, micro-batches, AdamW over all slots, and what happens when memory or
numbers run out. An adapter's arithmetic does not depend on its neighbours. It reads and writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from traitcast.training.engine.lora import Bank
from traitcast.training.plan.recipe import TrainingSettings
from traitcast.warehouse.errors import TraitcastError, UserError

# Batches are made of rows of like length within windows of this many (as transformers' LengthGroupedSampler does).
_WINDOW = 16
# A micro-batch is split to save padding when that leaves less than this share of it.
_SAVING = 0.9


@dataclass(frozen=True, slots=True)
class Job:
    """One adapter to train. rows: (prompt ids, answer ids with their end token). seed: of order and first weights."""

    name: str
    rows: Sequence[tuple[Sequence[int], Sequence[int]]]
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a job.

    Attributes
    ----------
    name, steps
        Of the job.
    failed_at
        The step at which a loss or gradient was not finite; the adapter was not changed from there on. None: never.
    losses
        (steps,): mean loss of the answers, nats per token.
    tokens
        Trained on, padding not counted.
    """

    name: str
    steps: int
    failed_at: int | None
    losses: np.ndarray
    tokens: int


@dataclass(slots=True)
class Budget:
    """The most padded tokens of one micro-batch; halved when memory runs out, and kept so.

    worth_splitting: below this many tokens a micro-batch is not split to save padding: on an accelerator the host
    would then set the pace.
    """

    tokens: int
    worth_splitting: int = 256
    splits: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A micro-batch: rows [first, last) of the step's rows of slots [low, high)."""

    low: int
    high: int
    first: int
    last: int


@dataclass(slots=True)
class _Moments:
    """AdamW state of all slots, and which of them still live."""

    first: Tensor
    second: Tensor
    alive: Tensor
    failed_at: Tensor
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))


def train(
    bank: Bank,
    jobs: Sequence[Job],
    settings: TrainingSettings,
    *,
    budget: Budget | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Trained]:
    """Train jobs in slots 0..K-1 of a bank, from fresh weights; read them back with `bank.weights(slot)`.

    Parameters
    ----------
    bank
        At least as many slots as jobs.
    jobs
        In falling order of steps, so that those that are through are the last slots and drop out of the batch.
    settings
        The same for all jobs.
    budget
        Memory for micro-batches; it shrinks when memory runs out.
    on_step
        Called with the number and the tokens of every step.

    Returns
    -------
    list of Trained
        In the order of the jobs.

    Raises
    ------
    UserError
        Too many jobs, an empty one, or another order.
    TraitcastError
        A single row does not fit into memory.
    """
    _check(bank, jobs, settings)
    budget = budget or Budget(tokens=4_096)
    texts = [joined(job.rows) for job in jobs]
    orders = [batches([len(ids) for ids, _ in rows], settings, job.seed) for rows, job in zip(texts, jobs, strict=True)]
    totals = [len(order) for order in orders]
    for slot, job in enumerate(jobs):
        bank.initialise(slot, job.seed)
    bank.prepare()
    count = len(jobs)
    rates = torch.tensor(_rates(totals, settings), dtype=torch.float32, device=bank.device)
    state = _Moments(
        torch.zeros_like(bank.master[:count]),
        torch.zeros_like(bank.master[:count]),
        torch.ones(count, dtype=torch.bool, device=bank.device),
        torch.full((count,), -1, dtype=torch.int64, device=bank.device),
        torch.zeros(max(totals), count, device=bank.device),
    )
    for step in range(max(totals)):
        live = sum(total > step for total in totals)
        rows = [[texts[slot][i] for i in orders[slot][step]] for slot in range(live)]
        _gradients(bank, rows, state.losses[step], budget)
        _update(bank, state, rates[step, :live, None], step, live, settings)
        if on_step:
            on_step(step, sum(len(ids) for row in rows for ids, _ in row))
    bank.release()
    return _outcomes(bank, jobs, totals, state, settings)


def batches(lengths: Sequence[int], settings: TrainingSettings, seed: int) -> list[np.ndarray]:
    """Row indices of every step, all epochs: shuffled by `seed`, rows of like length together.

    The order of the batches inside a window depends on the window alone: adapters that train side by side then
    have their long batches in the same step, and pad little.
    """
    generator = np.random.default_rng(seed)
    sizes, size = np.asarray(lengths), settings.batch_rows
    steps: list[np.ndarray] = []
    for epoch in range(settings.epochs):
        order = generator.permutation(len(sizes))
        for window, at in enumerate(range(0, len(order), _WINDOW * size)):
            part = order[at : at + _WINDOW * size]
            part = part[np.argsort(sizes[part], kind="stable")]
            cut = [part[i : i + size] for i in range(0, len(part), size)]
            turn = np.random.default_rng([epoch, window]).permutation(_WINDOW)
            steps.extend(cut[i] for i in turn if i < len(cut))
    return steps


def rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Learning rate of a step: linear warm-up, then cosine, linear or constant."""
    warm = round(settings.warmup * total)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    through = (step - warm) / max(total - warm, 1)
    shape = {"constant": 1.0, "linear": 1 - through, "cosine": 0.5 * (1 + math.cos(math.pi * through))}
    return settings.learning_rate * shape[settings.schedule]


def pieces(lengths: np.ndarray, tokens: int, worth_splitting: int) -> list[Piece]:
    """Cut a step into micro-batches of at most `tokens` padded tokens, by rows or by slots, whichever
    leaves less padding.

    lengths: (slots, rows), each slot's rows in rising order; 0 for a row that is not there.
    """

    def cut(piece: Piece) -> Iterator[Piece]:
        cost = _cost(lengths, piece)
        ways = _ways(piece)
        if not ways:
            yield piece
            return
        costs = [sum(_cost(lengths, half) for half in halves) for halves in ways]
        best = min(range(len(ways)), key=lambda i: costs[i])
        if cost > tokens or (cost > worth_splitting and costs[best] < _SAVING * cost):
            for half in ways[best]:
                yield from cut(half)
        else:
            yield piece

    return [p for p in cut(Piece(0, lengths.shape[0], 0, lengths.shape[1])) if _cost(lengths, p)]


def _ways(piece: Piece) -> list[tuple[Piece, Piece]]:
    """How a piece can be halved: by rows, by slots, by neither when it is a single row."""
    ways = []
    if piece.last - piece.first > 1:
        middle = (piece.first + piece.last) // 2
        ways.append((replace(piece, last=middle), replace(piece, first=middle)))
    if piece.high - piece.low > 1:
        across = (piece.low + piece.high) // 2
        ways.append((replace(piece, high=across), replace(piece, low=across)))
    return ways


def _cost(lengths: np.ndarray, piece: Piece) -> int:
    part = lengths[piece.low : piece.high, piece.first : piece.last]
    return int(part.max() * part.size)


Texts = list[tuple[np.ndarray, int]]
"""Rows as the loop needs them: the ids of prompt and answer together, and where the answer begins."""

_ABSENT = (np.zeros(0, dtype=np.int64), 0)


def joined(rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Texts:
    """Rows of (prompt, answer) as arrays, made once: turning lists into arrays at every step holds the device up."""
    return [(np.array([*prompt, *answer], dtype=np.int64), len(prompt)) for prompt, answer in rows]


def _gradients(bank: Bank, rows: list[Texts], losses: Tensor, budget: Budget) -> None:
    """Fill bank.gradient for one step. When memory runs out, the step starts again with smaller micro-batches."""
    rows = [sorted(row, key=lambda text: len(text[0])) for row in rows]
    lengths = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for slot, row in enumerate(rows):
        lengths[slot, : len(row)] = [len(ids) - 1 for ids, _ in row]
    # Absent rows sort first, so that the last rows are the longest ones of every slot.
    rows = [[_ABSENT] * (lengths.shape[1] - len(row)) + row for row in rows]
    lengths.sort(axis=1)
    share = np.array([1 / max(sum(len(ids) - begin for ids, begin in row), 1) for row in rows], dtype=np.float32)
    while True:
        parts = pieces(lengths, budget.tokens, budget.worth_splitting)
        try:
            bank.forget()
            losses.zero_()
            for piece in parts:
                _backward(bank, rows, share, piece, lengths, losses)
                bank.collect()
            return
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            largest = max(_cost(lengths, piece) for piece in parts)
            if all(p.high - p.low == 1 and p.last - p.first == 1 for p in parts):
                raise TraitcastError(
                    f"out of memory with a single row of {largest} tokens; lower max_prompt_tokens, "
                    "or use a larger device"
                ) from error
            budget.tokens, budget.splits = max(largest // 2, 1), budget.splits + 1
        # Outside the handler: the error holds the failed graph alive until it is gone.
        if bank.device.type == "cuda":
            torch.cuda.empty_cache()


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _backward(
    bank: Bank, rows: list[Texts], share: np.ndarray, piece: Piece, lengths: np.ndarray, losses: Tensor
) -> None:
    step = 8 if bank.device.type == "cuda" else 1
    width = -(-int(lengths[piece.low : piece.high, piece.first : piece.last].max()) // step) * step
    tall = piece.last - piece.first
    ids = np.zeros(((piece.high - piece.low) * tall, width), dtype=np.int64)
    where, targets, owners = [], [], []
    for slot in range(piece.low, piece.high):
        for at, (whole, begin) in enumerate(rows[slot][piece.first : piece.last]):
            answer = whole[begin:]
            if not len(answer):
                continue
            row = (slot - piece.low) * tall + at
            ids[row, : len(whole) - 1] = whole[:-1]
            start = row * width + begin - 1
            where.append(np.arange(start, start + len(answer)))
            targets.append(answer)
            owners.append(np.full(len(answer), slot))
    owner = np.concatenate(owners)
    moved = [_to(array, bank.device) for array in (ids, np.concatenate(where), np.concatenate(targets), owner)]
    weights = _to(share[owner], bank.device)
    with bank.active(piece.low, piece.high):
        total, each = bank.loss(moved[0], moved[1], moved[2], weights)
        total.backward()
    losses.index_add_(0, moved[3], each * weights)


def _to(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@torch.no_grad()
def _update(bank: Bank, state: _Moments, rates: Tensor, step: int, live: int, settings: TrainingSettings) -> None:
    """Clip and take one AdamW step (Loshchilov & Hutter 2019) in slots [0, live), without waiting for the device."""
    gradient, master = bank.gradient[:live], bank.master[:live]
    first, second, alive = state.first[:live], state.second[:live], state.alive[:live]
    norm = torch.linalg.vector_norm(gradient, dim=1)
    fine = torch.isfinite(norm) & torch.isfinite(state.losses[step, :live])
    failed = state.failed_at[:live]
    failed.masked_fill_(alive & ~fine, step)
    alive &= fine
    if settings.max_grad_norm:
        gradient.mul_((settings.max_grad_norm / (norm + 1e-6)).clamp_(max=1.0)[:, None])
    gradient.masked_fill_(~alive[:, None], 0.0)
    rates = rates * alive[:, None]
    if settings.weight_decay:
        master.mul_(1 - rates * settings.weight_decay)
    first.lerp_(gradient, 1 - settings.beta1)
    second.mul_(settings.beta2).addcmul_(gradient, gradient, value=1 - settings.beta2)
    root = second.sqrt().div_(math.sqrt(1 - settings.beta2 ** (step + 1))).add_(settings.epsilon)
    master.addcmul_(first / root, rates, value=-1 / (1 - settings.beta1 ** (step + 1)))
    bank.refresh()


def _rates(totals: Sequence[int], settings: TrainingSettings) -> list[list[float]]:
    return [[rate(step, n, settings) if step < n else 0.0 for n in totals] for step in range(max(totals))]


def _outcomes(
    bank: Bank, jobs: Sequence[Job], totals: Sequence[int], state: _Moments, settings: TrainingSettings
) -> list[Trained]:
    failed, losses = state.failed_at.tolist(), state.losses.cpu().numpy()
    finite = torch.isfinite(bank.master[: len(jobs)]).all(dim=1).tolist()
    return [
        Trained(
            job.name,
            total,
            failed[slot] if failed[slot] >= 0 else None if finite[slot] else total,
            losses[:total, slot].copy(),
            settings.epochs * sum(len(p) + len(a) for p, a in job.rows),
        )
        for slot, (job, total) in enumerate(zip(jobs, totals, strict=True))
    ]


def _check(bank: Bank, jobs: Sequence[Job], settings: TrainingSettings) -> None:
    if not 1 <= len(jobs) <= bank.slots:
        raise UserError(f"{len(jobs)} jobs for {bank.slots} adapter slots; give 1 to {bank.slots}")
    empty = [job.name for job in jobs if not job.rows or any(not a or not p for p, a in job.rows)]
    if empty:
        raise UserError(f"job {empty[0]!r} has no rows, or a row without prompt or answer; leave it out")
    steps = [settings.steps(len(job.rows)) for job in jobs]
    if steps != sorted(steps, reverse=True):
        raise UserError(f"jobs take {steps} steps; give them longest first")

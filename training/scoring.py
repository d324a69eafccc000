"""Scoring: log-likelihoods of answers with the prompt read once, and greedy decoding.

A row with several options becomes one sequence, prompt + option 1 + option 2 + ..., in which every option sees the
prompt and itself alone and counts its positions from the end of the prompt: the numbers are those of one sequence
per option, for a fraction of the tokens. The last token of an option needs no forward at all, so one-token labels
cost nothing beyond the prompt.
Owns batches on the device and the forward passes; metrics and files are elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.lora import Bank
from training.prompts import Encoded
from warehouse.errors import TraitcastError, UserError

# How often decoding looks whether all rows are through: each look waits for the device.
_LOOK_EVERY = 8
_LOGIT_CHUNK = 4096
_PROMPT = -1


@dataclass(frozen=True, slots=True)
class _Batch:
    """Sequences of one forward. segments: per token -1 for the prompt, else the option; None: no row branches.

    where: positions (into rows*width) whose next-token distribution is needed, each once; source: for every
    answer token its place in `where`; tokens: those answer tokens; into: where their log-probabilities go.
    """

    ids: Tensor
    positions: Tensor | None
    segments: Tensor | None
    where: Tensor
    source: Tensor
    tokens: Tensor
    into: np.ndarray


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows that lie ready on the device. starts: offsets of the answers in the flat list of answer tokens;
    answers_per_row: how many answers every row has."""

    batches: tuple[_Batch, ...]
    starts: np.ndarray
    answers_per_row: tuple[int, ...]
    tokens: int
    padded_tokens: int


@dataclass(frozen=True, slots=True)
class Generated:
    """A greedy continuation. ids: without the end token; finished: it ended by itself, below the cap."""

    ids: list[int]
    finished: bool


class Scorer:
    """Scores whatever adapter the bank has merged or kept apart at the time of the call."""

    def __init__(self, bank: Bank, *, end: int, max_tokens: int = 65_536) -> None:
        self.bank, self.model, self.end, self.max_tokens = bank, bank.model, end, max_tokens
        self.device = bank.device
        window = getattr(self.model.config, "sliding_window", None)
        kinds = getattr(self.model.config, "layer_types", None) or []
        self.window = window if window and any("sliding" in kind for kind in kinds) else None
        self._head: tuple[Tensor, Tensor | None] | None = None

    # Log-likelihoods.

    def prepare(self, rows: Sequence[Encoded]) -> Prepared:
        """Lay rows out in batches of like length, on the device, to be scored by many adapters."""
        lengths = [len(row.prompt) + sum(len(answer) - 1 for answer in row.answers) for row in rows]
        self._fits_window(max(lengths, default=0))
        sizes = [len(answer) for row in rows for answer in row.answers]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        first_answer = np.concatenate([[0], np.cumsum([len(row.answers) for row in rows])]).astype(np.int64)
        # Rows that branch need a mask and a slower attention kernel: keep them apart.
        branches = [sum(len(answer) > 1 for answer in row.answers) > 1 for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (branches[i], -lengths[i], i))
        batches, padded = [], 0
        for chosen in _by_budget(order, lengths, branches, self.max_tokens):
            offsets = [starts[first_answer[i]] for i in chosen]
            batches.append(self._batch([rows[i] for i in chosen], offsets, branches[chosen[0]]))
            padded += batches[-1].ids.numel()
        return Prepared(tuple(batches), starts, tuple(len(row.answers) for row in rows), sum(lengths), padded)

    def _batch(self, rows: Sequence[Encoded], offsets: Sequence[int], branching: bool) -> _Batch:
        width = max(len(row.prompt) + sum(len(a) - 1 for a in row.answers) for row in rows)
        ids = np.full((len(rows), width), self.end, dtype=np.int64)
        positions = np.zeros_like(ids)
        segments = np.full(ids.shape, len(max(rows, key=lambda r: len(r.answers)).answers), dtype=np.int32)
        where: list[int] = []
        source, tokens, into = [], [], []
        for at, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
            size = len(row.prompt)
            ids[at, :size], positions[at, :size], segments[at, :size] = row.prompt, np.arange(size), _PROMPT
            shared, filled, done = len(where), size, 0
            where.append(at * width + size - 1)
            for option, answer in enumerate(row.answers):
                extra = len(answer) - 1
                place = slice(filled, filled + extra)
                ids[at, place], segments[at, place] = answer[:-1], option
                positions[at, place] = size + np.arange(extra)
                source.append(np.r_[shared, len(where) + np.arange(extra)])
                where.extend(range(at * width + filled, at * width + filled + extra))
                tokens.append(answer)
                into.append(np.arange(offset + done, offset + done + len(answer)))
                filled, done = filled + extra, done + len(answer)
        move = self._to
        return _Batch(
            move(ids),
            move(positions) if branching else None,
            move(segments) if branching else None,
            move(np.asarray(where, dtype=np.int64)),
            move(np.concatenate(source).astype(np.int64)),
            move(np.concatenate([np.asarray(t, dtype=np.int64) for t in tokens])),
            np.concatenate(into),
        )

    @torch.inference_mode()
    def loglikelihoods(self, prepared: Prepared) -> list[np.ndarray]:
        """Summed log-likelihood (nats, float64) of every answer of every row, in the order of the rows."""
        # All batches are queued before the first result is awaited.
        parts = [(batch.into, self._token_scores(batch)) for batch in prepared.batches]
        flat = np.empty(prepared.starts[-1], dtype=np.float64)
        for into, scores in parts:
            flat[into] = scores.cpu().numpy()
        if not len(flat):
            return []
        sums = np.add.reduceat(flat, prepared.starts[:-1])
        return list(np.split(sums, np.cumsum(prepared.answers_per_row)[:-1]))

    def _token_scores(self, batch: _Batch) -> Tensor:
        extra = {}
        if batch.segments is not None:
            extra = {"attention_mask": self._tree_mask(batch.segments), "position_ids": batch.positions}
        try:
            logits = self._logits(batch.ids, batch.where, extra)
            return logits.gather(batch.source, batch.tokens)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            _raise_unless_memory(error, len(batch.ids), batch.ids.shape[1])
        # Outside the handler: the error keeps the failed forward alive until it is gone.
        self._free()
        return torch.cat([self._token_scores(half) for half in _halves(batch)])

    def _tree_mask(self, segments: Tensor) -> Tensor:
        """(rows, 1, width, width) additive mask: a token sees earlier tokens of the prompt and of its own option."""
        width = segments.shape[1]
        seen = (segments[:, None, :] == _PROMPT) | (segments[:, None, :] == segments[:, :, None])
        seen &= torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
        mask = torch.zeros(seen.shape, dtype=self.bank.dtype, device=segments.device)
        return mask.masked_fill_(~seen, torch.finfo(self.bank.dtype).min)[:, None]

    def _logits(self, ids: Tensor, where: Tensor, extra: dict[str, Any]) -> _LogProbs:
        if self.bank.plain_head:
            hidden = self.bank.hidden(ids, **extra)
            return _LogProbs(hidden.reshape(-1, hidden.shape[-1]).index_select(0, where), self._fp32_head())
        logits = self.model(input_ids=ids, use_cache=False, **extra).logits
        return _LogProbs(logits.reshape(-1, logits.shape[-1]).index_select(0, where).float(), None)

    def _fp32_head(self) -> tuple[Tensor, Tensor | None]:
        """The output head in fp32: bf16 logits near 20 have steps of 0.125, enough to make ties of options."""
        if self._head is None:
            head: nn.Linear = self.model.get_output_embeddings()
            bias = None if head.bias is None else head.bias.detach().float()
            self._head = head.weight.detach().float(), bias
        return self._head

    def _fits_window(self, longest: int) -> None:
        if self.window is not None and longest > self.window:
            raise UserError(
                f"a row takes {longest} tokens and the model attends to {self.window} at a time; "
                "lower max_prompt_tokens"
            )

    def _free(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    # Greedy decoding.

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Sequence[int]], caps: Sequence[int]) -> list[Generated]:
        """Greedy continuations of at most caps[i] tokens, up to the end token."""
        order = sorted(range(len(prompts)), key=lambda i: (-caps[i], -len(prompts[i]), i))
        sizes = [len(prompt) + cap for prompt, cap in zip(prompts, caps, strict=True)]
        self._fits_window(max(sizes, default=0))
        found: dict[int, Generated] = {}
        waiting = _by_budget(order, sizes, [False] * len(sizes), self.max_tokens)[::-1]
        while waiting:
            chosen = waiting.pop()
            try:
                results = self._decode([prompts[i] for i in chosen], [caps[i] for i in chosen])
                found.update(zip(chosen, results, strict=True))
                continue
            except (torch.OutOfMemoryError, RuntimeError) as error:
                _raise_unless_memory(error, len(chosen), sizes[chosen[0]])
            self._free()
            waiting += [chosen[len(chosen) // 2 :], chosen[: len(chosen) // 2]]
        return [found[i] for i in range(len(prompts))]

    def _decode(self, prompts: Sequence[Sequence[int]], caps: Sequence[int]) -> list[Generated]:
        """One batch. Prompts are padded on the right, and decoding continues behind the padding: positions count
        real tokens only and a mask hides the gap, so the prompts themselves need no mask."""
        from transformers import DynamicCache

        width, cap, rows = max(map(len, prompts)), max(caps), len(prompts)
        ids = np.full((rows, width), self.end, dtype=np.int64)
        for at, prompt in enumerate(prompts):
            ids[at, : len(prompt)] = prompt
        sizes = self._to(np.array([len(p) for p in prompts], dtype=np.int64))
        limit = self._to(np.array(caps, dtype=np.int64))
        columns = torch.arange(width + cap, device=self.device)
        hidden_gap = (columns >= sizes[:, None]) & (columns < width)
        mask = torch.zeros(hidden_gap.shape, dtype=self.bank.dtype, device=self.device)
        mask = mask.masked_fill_(hidden_gap, torch.finfo(self.bank.dtype).min)[:, None, None]
        out = torch.full((rows, cap), self.end, dtype=torch.int64, device=self.device)
        active = torch.arange(rows, device=self.device)
        done = torch.zeros(rows, dtype=torch.bool, device=self.device)
        cache = DynamicCache(config=self.model.config)
        steps = self._step(self._to(ids), cache, {}, sizes - 1)
        for at in range(cap):
            token = steps.masked_fill(done | (limit <= at), self.end)
            out[active, at] = token
            done |= token == self.end
            if at + 1 == cap:
                break
            if (at + 1) % _LOOK_EVERY == 0:
                alive = (~done & (limit > at + 1)).nonzero().squeeze(1)
                if not len(alive):
                    break
                if len(alive) <= len(done) // 2:
                    # Half the rows are through: carrying them on would cost as much as the rest.
                    cache.batch_select_indices(alive)
                    token, done, limit = token[alive], done[alive], limit[alive]
                    sizes, mask, active = sizes[alive], mask[alive], active[alive]
            extra = {"attention_mask": mask[..., : width + at + 1], "position_ids": (sizes + at)[:, None]}
            steps = self._step(token[:, None], cache, extra, None)
        return _until_end(out.cpu().numpy(), caps, self.end)

    def _step(self, ids: Tensor, cache: Any, extra: dict[str, Any], last: Tensor | None) -> Tensor:
        """The likeliest next token of every row. last: index of the last real token, None for a single one."""
        pick = torch.zeros(len(ids), dtype=torch.int64, device=self.device) if last is None else last
        rows = torch.arange(len(ids), device=self.device)
        arguments = {"input_ids": ids, "past_key_values": cache, "use_cache": True, **extra}
        if not self.bank.plain_head:
            whole: Tensor = self.model(**arguments).logits
            return whole[rows, pick].argmax(-1)
        hidden = self.model.base_model(**arguments).last_hidden_state[rows, pick].float()
        weight, bias = self._fp32_head()
        return functional.linear(hidden, weight, bias).argmax(-1)

    def _to(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


@dataclass(frozen=True, slots=True)
class _LogProbs:
    """Next-token distributions, not yet spelled out: (positions, vocabulary) in fp32 exists a chunk at a time."""

    states: Tensor
    head: tuple[Tensor, Tensor | None] | None

    def gather(self, source: Tensor, tokens: Tensor) -> Tensor:
        """log p(tokens[i]) at states[source[i]]. source rises, so each chunk of states is met once."""
        total = torch.empty(len(self.states), dtype=torch.float32, device=self.states.device)
        wanted = torch.empty(len(tokens), dtype=torch.float32, device=self.states.device)
        if self.head is None:
            total = torch.logsumexp(self.states, 1)
            wanted = self.states[source, tokens]
            return wanted - total[source]
        weight, bias = self.head
        for at in range(0, len(self.states), _LOGIT_CHUNK):
            part = slice(at, at + _LOGIT_CHUNK)
            total[part] = functional.linear(self.states[part].float(), weight, bias).logsumexp(1)
        for at in range(0, len(tokens), _LOGIT_CHUNK):
            part = slice(at, at + _LOGIT_CHUNK)
            dots = (self.states[source[part]].float() * weight[tokens[part]]).sum(1)
            wanted[part] = dots if bias is None else dots + bias[tokens[part]]
        return wanted - total[source]


def _by_budget(order: Sequence[int], sizes: Sequence[int], kinds: Sequence[bool], budget: int) -> list[list[int]]:
    """Cut an ordering into batches of one kind whose padded size stays within the budget."""
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        widest = max(longest, sizes[i])
        if batches and kinds[batches[-1][0]] == kinds[i] and widest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
            longest = widest
        else:
            batches.append([i])
            longest = sizes[i]
    return batches


def _halves(batch: _Batch) -> tuple[_Batch, _Batch]:
    """The upper and lower rows of a batch; answer tokens stay in order, so results can be joined again."""
    width, middle = batch.ids.shape[1], len(batch.ids) // 2
    split = int((batch.where < middle * width).sum())
    tokens = int((batch.source < split).sum())
    parts = []
    for rows, where, answers, first in (
        (slice(None, middle), slice(None, split), slice(None, tokens), (0, 0)),
        (slice(middle, None), slice(split, None), slice(tokens, None), (middle * width, split)),
    ):
        parts.append(
            _Batch(
                batch.ids[rows],
                None if batch.positions is None else batch.positions[rows],
                None if batch.segments is None else batch.segments[rows],
                batch.where[where] - first[0],
                batch.source[answers] - first[1],
                batch.tokens[answers],
                batch.into[answers.start or 0 : answers.stop],
            )
        )
    return parts[0], parts[1]


def _raise_unless_memory(error: BaseException, rows: int, tokens: int) -> None:
    """Return only for an out-of-memory that fewer rows can cure."""
    if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
        raise error
    if rows == 1:
        raise TraitcastError(f"out of memory with a single row of {tokens} tokens; use a larger device") from error


def _until_end(out: np.ndarray, caps: Sequence[int], end: int) -> list[Generated]:
    results = []
    for row, cap in zip(out, caps, strict=True):
        stops = np.flatnonzero(row[:cap] == end)
        size = int(stops[0]) if len(stops) else cap
        results.append(Generated(row[:size].tolist(), bool(len(stops))))
    return results

"""Scoring: log-likelihoods of answers with prompts read once, and greedy decoding.

A row with several options is one sequence, in which every option sees the prompt and itself alone and counts its
positions from the end of the prompt: the numbers are those of one sequence per option, for a fraction of the
tokens. The last token of an option needs no forward at all, so one-token labels cost nothing beyond the prompt, and
what all prompts of a dataset begin with is read once.
Owns the forward passes; layouts, metrics and files are elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from traitcast.training.engine.layout import PROMPT, Batch, Layout, by_budget, halves, lay_out
from traitcast.training.engine.lora import Bank, kept, no_cache
from traitcast.training.plan.prompts import Encoded
from traitcast.warehouse.errors import TraitcastError, UserError

# Attention of the frozen model while it is scored: `_attention` below, registered once.
_NAME = "traitcast_sdpa"

# How often decoding looks whether all rows are through: each look waits for the device.
_LOOK_EVERY = 8
_LOGIT_CHUNK = 4096
_ATTENTION = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows on the device, ready to be scored by many adapters."""

    layout: Layout
    batches: tuple[_OnDevice, ...]
    prefix_ids: Tensor
    prefix_sizes: Tensor


@dataclass(frozen=True, slots=True)
class _OnDevice:
    """The tensors of a batch, and the batch they were made from."""

    batch: Batch
    ids: Tensor
    positions: Tensor
    segments: Tensor
    group: Tensor
    where: Tensor
    source: Tensor
    tokens: Tensor


@dataclass(frozen=True, slots=True)
class Generated:
    """A greedy continuation. ids: without the end token; finished: it ended by itself, below the cap."""

    ids: list[int]
    finished: bool


# Keys and values of the prefixes, one pair per layer: (groups, heads, width, size).
_Prefix = list[tuple[Tensor, Tensor]]


class Scorer:
    """Scores the adapter that the bank has merged or kept apart at the time of the call.

    max_tokens: padded tokens of one forward; decode_tokens: prompts and continuations decoded side by side, which
    are bound by the memory of their keys and values and not by arithmetic.
    """

    def __init__(self, bank: Bank, *, end: int, max_tokens: int = 65_536, decode_tokens: int | None = None) -> None:
        self.bank, self.model, self.end, self.max_tokens = bank, bank.model, end, max_tokens
        self.decode_tokens = decode_tokens or max_tokens
        self.device = bank.device
        kinds = getattr(self.model.config, "layer_types", None) or []
        other = sorted(set(kinds) - set(_ATTENTION))
        if other:
            raise UserError(
                f"{type(self.model).__name__} has layers of kind {', '.join(other)}, which cannot skip padding or "
                "options; use a model whose layers are all attention"
            )
        self.window = getattr(self.model.config, "sliding_window", None) if "sliding_attention" in kinds else None
        self._attention = self.model.config._attn_implementation
        if self._attention == "sdpa":
            AttentionInterface.register(_NAME, _attention)
            AttentionMaskInterface.register(_NAME, sdpa_mask)
            self.model.set_attn_implementation(_NAME)
        self._head: tuple[Tensor, Tensor | None] | None = None

    def close(self) -> None:
        """Give the model its own attention back."""
        if self._attention == "sdpa":
            self.model.set_attn_implementation("sdpa")

    # Log-likelihoods.

    def prepare(self, rows: Sequence[Encoded], groups: Sequence[int] | None = None) -> Prepared:
        """Lay rows out on the device. groups: rows whose prompts begin alike, such as those of one dataset."""
        layout = lay_out(rows, pad=self.end, max_tokens=self.max_tokens, groups=groups)
        self._fits_window(layout.longest)
        width = max((len(prefix) for prefix in layout.prefixes), default=0)
        ids = np.full((len(layout.prefixes), width), self.end, dtype=np.int64)
        for group, prefix in enumerate(layout.prefixes):
            ids[group, : len(prefix)] = prefix
        sizes = np.array([len(prefix) for prefix in layout.prefixes], dtype=np.int64)
        batches = tuple(self._move(batch) for batch in layout.batches)
        return Prepared(layout, batches, self._to(ids), self._to(sizes))

    def _move(self, batch: Batch) -> _OnDevice:
        parts = (batch.ids, batch.positions, batch.segments, batch.group, batch.where, batch.source, batch.tokens)
        return _OnDevice(batch, *(self._to(part) for part in parts))

    @torch.inference_mode()
    def loglikelihoods(self, prepared: Prepared) -> list[np.ndarray]:
        """Summed log-likelihood (nats, float64) of every answer of every row, in the order of the rows."""
        layout = prepared.layout
        if not layout.answers_per_row:
            return []
        prefix = self._read_prefixes(prepared) if layout.shared else None
        # All batches are queued before the first result is awaited.
        parts = [(on.batch.into, self._token_scores(on, prepared, prefix)) for on in prepared.batches]
        flat = np.empty(layout.starts[-1], dtype=np.float64)
        for into, scores in parts:
            flat[into] = scores.cpu().numpy()
        sums = np.add.reduceat(flat, layout.starts[:-1])
        return list(np.split(sums, np.cumsum(layout.answers_per_row)[:-1]))

    def _read_prefixes(self, prepared: Prepared) -> _Prefix:
        """Keys and values of all prefixes, padded on the right."""
        cache = Cache(layer_class_to_replicate=DynamicLayer)
        self.model.base_model(input_ids=prepared.prefix_ids, **kept(self.model.base_model, cache))
        layers: list[Any] = cache.layers
        return [(layer.keys, layer.values) for layer in layers]

    def _token_scores(self, on: _OnDevice, prepared: Prepared, prefix: _Prefix | None) -> Tensor:
        try:
            return self._states(on, prepared, prefix).gather(on.source, on.tokens)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            _raise_unless_memory(error, len(on.ids), on.ids.shape[1])
        # Outside the handler: the error keeps the failed forward alive until it is gone.
        self._free()
        return torch.cat([self._token_scores(self._move(half), prepared, prefix) for half in halves(on.batch)])

    def _states(self, on: _OnDevice, prepared: Prepared, prefix: _Prefix | None) -> _NextTokens:
        """Hidden states (or logits) at the places that answers are read off."""
        reader = self.model.base_model if self.bank.plain_head else self.model
        arguments: dict[str, Any] = {"input_ids": on.ids, **no_cache(reader)}
        if prefix is not None:
            layers: list[Any] = [_Filled(keys[on.group], values[on.group]) for keys, values in prefix]
            arguments |= kept(reader, Cache(layers=layers))
        if prefix is not None or on.batch.branching:
            sizes = None if prefix is None else prepared.prefix_sizes[on.group]
            mask = self._mask(on.segments, sizes, prepared.prefix_ids.shape[1])
            arguments |= {"attention_mask": mask, "position_ids": on.positions}
        if self.bank.plain_head:
            states: Tensor = reader(**arguments).last_hidden_state
            return _NextTokens(states.reshape(-1, states.shape[-1]).index_select(0, on.where), self._fp32_head())
        logits: Tensor = reader(**arguments).logits
        return _NextTokens(logits.reshape(-1, logits.shape[-1]).index_select(0, on.where).float(), None)

    def _mask(self, segments: Tensor, prefix_sizes: Tensor | None, prefix_width: int) -> Tensor:
        """(rows, 1, width, prefix width + width) additive mask: a token sees the prefix, and earlier tokens of the
        prompt and of its own option."""
        width = segments.shape[1]
        seen = (segments[:, None, :] == PROMPT) | (segments[:, None, :] == segments[:, :, None])
        seen &= torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
        if prefix_sizes is not None:
            real = torch.arange(prefix_width, device=segments.device) < prefix_sizes[:, None]
            seen = torch.cat([real[:, None, :].expand(-1, width, -1), seen], 2)
        mask = torch.zeros(seen.shape, dtype=self.bank.dtype, device=segments.device)
        return mask.masked_fill_(~seen, torch.finfo(self.bank.dtype).min)[:, None]

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
        waiting = _side_by_side(order, prompts, caps, self.decode_tokens)[::-1]
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
        width, cap, rows = max(map(len, prompts)), max(caps), len(prompts)
        order = sorted(range(rows), key=lambda i: (-len(prompts[i]), i))
        sizes = self._to(np.array([len(prompts[i]) for i in order], dtype=np.int64))
        limit = self._to(np.array([caps[i] for i in order], dtype=np.int64))
        columns = torch.arange(width + cap, device=self.device)
        hidden_gap = (columns >= sizes[:, None]) & (columns < width)
        mask = torch.zeros(hidden_gap.shape, dtype=self.bank.dtype, device=self.device)
        mask = mask.masked_fill_(hidden_gap, torch.finfo(self.bank.dtype).min)[:, None, None]
        out = torch.full((rows, cap), self.end, dtype=torch.int64, device=self.device)
        active = torch.arange(rows, device=self.device)
        done = torch.zeros(rows, dtype=torch.bool, device=self.device)
        roomy: Any = functools.partial(_Roomy, rows=rows, width=width, room=width + cap)
        cache = Cache(layer_class_to_replicate=roomy)
        steps = self._read_prompts([prompts[i] for i in order], cache)
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
        back = np.argsort(order)
        return _until_end(out.cpu().numpy()[back], caps, self.end)

    def _read_prompts(self, prompts: Sequence[Sequence[int]], cache: Any) -> Tensor:
        """Fill the cache with prompts, longest first; returns the likeliest token after each.

        In forwards of rows of like length and at most max_tokens padded tokens: what is decoded side by side is many
        times what one forward may hold.
        """
        sizes, firsts = [len(prompt) for prompt in prompts], []
        for chosen in by_budget(range(len(prompts)), sizes, [False] * len(prompts), self.max_tokens):
            ids = np.full((len(chosen), sizes[chosen[0]]), self.end, dtype=np.int64)
            for at, i in enumerate(chosen):
                ids[at, : sizes[i]] = prompts[i]
            last = self._to(np.array([sizes[i] - 1 for i in chosen], dtype=np.int64))
            firsts.append(self._step(self._to(ids), cache, {}, last))
        return torch.cat(firsts)

    def _step(self, ids: Tensor, cache: Any, extra: dict[str, Any], last: Tensor | None) -> Tensor:
        """The likeliest next token of every row. last: index of the last real token, None for a single one."""
        pick = torch.zeros(len(ids), dtype=torch.int64, device=self.device) if last is None else last
        rows = torch.arange(len(ids), device=self.device)
        arguments = {"input_ids": ids, **extra}
        if not self.bank.plain_head:
            whole: Tensor = self.model(**arguments, **kept(self.model, cache)).logits
            return whole[rows, pick].argmax(-1)
        base = self.model.base_model
        hidden = base(**arguments, **kept(base, cache)).last_hidden_state[rows, pick]
        return _logits(hidden, *self._fp32_head()).argmax(-1)

    def _to(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """transformers' sdpa, but a single query under a mask reads keys and values that heads share once, not once a head.

    With a mask, transformers before 5.20 copies them for every head at every decoding step: with three heads to a key
    that is seven times the memory traffic of a step that does little else. query: (rows, heads, 1, size).
    """
    groups = getattr(module, "num_key_value_groups", 1)
    plain = rest.get("position_bias") is None and rest.get("softcap") is None
    if query.shape[2] == 1 and groups > 1 and attention_mask is not None and plain:
        packed = query.reshape(len(query), key.shape[1], groups, -1)
        # The heads of a group take the place of queries; the mask has one query and is broadcast over them.
        scale = rest.get("scaling")
        out = functional.scaled_dot_product_attention(packed, key, value, attn_mask=attention_mask, scale=scale)
        return out.reshape(len(query), 1, -1, value.shape[-1]), None
    found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
    return found


def _side_by_side(
    order: Sequence[int], prompts: Sequence[Sequence[int]], caps: Sequence[int], tokens: int
) -> list[list[int]]:
    """Cut an ordering into batches whose keys and values fit into `tokens`, as few as can be: every batch takes as
    many steps as its longest cap, and a step costs about the same for ten rows as for a thousand."""
    batches: list[list[int]] = []
    width = cap = 0
    for i in order:
        wide, long = max(width, len(prompts[i])), max(cap, caps[i])
        if batches and (len(batches[-1]) + 1) * (wide + long) <= tokens:
            batches[-1].append(i)
            width, cap = wide, long
        else:
            batches.append([i])
            width, cap = len(prompts[i]), caps[i]
    return batches


class _Filled(DynamicLayer):
    """A cache layer that begins with given keys and values."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True


class _Roomy(DynamicLayer):
    """A cache layer with room for a whole decoding: growing by concatenation would copy all keys at every step.

    Prompts come first, some rows at a time, and see nothing but themselves; continuations of all rows follow from
    column `width` on.
    """

    def __init__(self, rows: int, width: int, room: int) -> None:
        super().__init__()
        self.rows, self.room, self.read, self.used = rows, room, 0, width
        self.spaces: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write prompts into their rows and return them alone; or a continuation behind, and return all so far."""
        if self.spaces is None:
            shape = (self.rows, key_states.shape[1], self.room)
            self.spaces = (
                key_states.new_zeros((*shape, key_states.shape[3])),
                value_states.new_zeros((*shape, value_states.shape[3])),
            )
            self.dtype, self.device = key_states.dtype, key_states.device
        if self.read < self.rows:
            start, self.read = self.read, self.read + len(key_states)
            for space, states in zip(self.spaces, (key_states, value_states), strict=True):
                space[start : self.read, :, : states.shape[2]] = states
            # Until the last prompt is in, the layer counts as empty: positions of every prompt begin at 0.
            if self.read == self.rows:
                self._show()
            return key_states, value_states
        start, self.used = self.used, self.used + key_states.shape[2]
        for space, states in zip(self.spaces, (key_states, value_states), strict=True):
            space[:, :, start : self.used] = states
        return self._show()

    def _show(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (space[:, :, : self.used] for space in self.spaces or ())
        self.is_initialized = True
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows of `indices`."""
        if self.spaces is not None:
            self.spaces = self.spaces[0][indices], self.spaces[1][indices]
            self._show()


@dataclass(frozen=True, slots=True)
class _NextTokens:
    """Next-token distributions, not yet spelled out: (positions, vocabulary) in fp32 exists a chunk at a time."""

    states: Tensor
    head: tuple[Tensor, Tensor | None] | None

    def gather(self, source: Tensor, tokens: Tensor) -> Tensor:
        """log p(tokens[i]) at states[source[i]]. source is sorted, so each chunk of states is needed once."""
        total = torch.empty(len(self.states), dtype=torch.float32, device=self.states.device)
        wanted = torch.empty(len(tokens), dtype=torch.float32, device=self.states.device)
        if self.head is None:
            total = torch.logsumexp(self.states, 1)
            wanted = self.states[source, tokens]
            return wanted - total[source]
        weight, bias = self.head
        for at in range(0, len(self.states), _LOGIT_CHUNK):
            part = slice(at, at + _LOGIT_CHUNK)
            total[part] = _logits(self.states[part], weight, bias).logsumexp(1)
        for at in range(0, len(tokens), _LOGIT_CHUNK):
            part = slice(at, at + _LOGIT_CHUNK)
            dots = (self.states[source[part]].float() * weight[tokens[part]]).sum(1)
            wanted[part] = dots if bias is None else dots + bias[tokens[part]]
        return wanted - total[source]


def _logits(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """fp32 logits of states in the model's precision.

    Numbers of 16 bits are exact in TF32 (bf16 has 8 significant bits, fp16 and TF32 have 11) and sums stay fp32, so the
    tensor cores give the logits of plain fp32 products, several times as fast. Without them the head would take as long
    as all layers together where answers are long.
    """
    if states.device.type != "cuda" or states.dtype == torch.float32:
        return functional.linear(states.float(), weight, bias)
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, True
    try:
        return functional.linear(states.float(), weight, bias)
    finally:
        matmul.allow_tf32 = before


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

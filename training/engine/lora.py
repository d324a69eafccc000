"""Batched LoRA: K adapters over one frozen decoder, in one forward and one backward.

The adapter axis is the leading part of the batch axis: rows [k*n, (k+1)*n) of a batch belong to slot k. All
adapters of all layers live in one (K, P) tensor, so that the optimizer and the gradient norm are a few operations
whatever the depth of the model. Owns that tensor, the patched linear layers, merging, and the loss at answer
positions; it knows no data, no schedule and no files.

LoRA: Hu et al. 2022 (arXiv 2106.09685): y = Wx + (alpha / r) B A x.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import Cache, DynamicLayer

from traitcast.warehouse.errors import InputError, UserError

# Answer positions whose logits exist at once: 4,096 x 49,152 x 4 B = 0.8 GB, twice while the gradient is made.
_LOSS_CHUNK = 4096

Weights = Mapping[str, tuple[Tensor, Tensor]]
"""Adapter weights by module name: (A of shape (r, in), B of shape (out, r)), float32."""


_Views = list[tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]]


@dataclass(frozen=True, slots=True)
class Site:
    """One adapted linear layer and where its A and B lie in a slot's P numbers."""

    name: str
    linear: nn.Linear
    rank: int
    start: int

    @property
    def middle(self) -> int:
        return self.start + self.rank * self.linear.in_features

    @property
    def stop(self) -> int:
        return self.middle + self.rank * self.linear.out_features

    def split(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Views (K, r, in) and (K, out, r) into a (K, P) tensor."""
        slots = flat.shape[0]
        a = flat[:, self.start : self.middle].view(slots, self.rank, self.linear.in_features)
        b = flat[:, self.middle : self.stop].view(slots, self.linear.out_features, self.rank)
        return a, b


class _LoraLinear(torch.autograd.Function):
    """Frozen linear plus per-slot LoRA. Gradients of A and B are accumulated straight into the bank's buffers:
    autograd would otherwise allocate and add one tensor per layer and micro-batch."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, linear: nn.Linear, a: Tensor, b: Tensor, grads: tuple[Tensor, Tensor] | None, scale: float
    ) -> Tensor:
        slots = a.shape[0]
        out = functional.linear(x, linear.weight, linear.bias)
        rows = x.reshape(slots, -1, x.shape[-1])
        low = torch.bmm(rows, a.transpose(1, 2))
        out.view(slots, -1, out.shape[-1]).baddbmm_(low, b.transpose(1, 2), alpha=scale)
        ctx.save_for_backward(rows, low, linear.weight, a, b)
        ctx.grads, ctx.scale = grads, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None, None, None]:
        rows, low, weight, a, b = ctx.saved_tensors
        grad_a, grad_b = ctx.grads
        flat = grad.reshape(a.shape[0], -1, grad.shape[-1])
        grad_low = torch.bmm(flat, b)
        grad_b.baddbmm_(flat.transpose(1, 2), low, alpha=ctx.scale)
        grad_a.baddbmm_(grad_low.transpose(1, 2), rows, alpha=ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.matmul(grad, weight)
            grad_x.view(a.shape[0], -1, weight.shape[1]).baddbmm_(grad_low, a, alpha=ctx.scale)
        return grad_x, None, None, None, None, None


class _AnswerLoss(torch.autograd.Function):
    """Weighted cross-entropy through a frozen output head, with the gradient made on the way forward.

    The head needs no gradient, so a chunk's logits can be dropped at once; nothing of size (positions, vocabulary)
    outlives its chunk. Returns (sum of weighted losses, losses per position).
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: nn.Linear, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        grad = torch.empty_like(hidden)
        for at in range(0, len(targets), _LOSS_CHUNK):
            part = slice(at, at + _LOSS_CHUNK)
            logits = functional.linear(hidden[part], head.weight, head.bias).float()
            total = logits.logsumexp(1, keepdim=True)
            wanted = targets[part, None]
            losses[part] = (total - logits.gather(1, wanted)).squeeze(1)
            shares = logits.sub_(total).exp_()
            # One entry a row, so a plain scatter does: scatter_add_ has no deterministic form on an accelerator.
            shares.scatter_(1, wanted, shares.gather(1, wanted) - 1)
            grad[part] = torch.matmul(shares.mul_(weights[part, None]).to(hidden.dtype), head.weight)
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(losses)
        return torch.dot(losses, weights), losses

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Any) -> tuple[Tensor, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * scale.to(grad.dtype), None, None, None


class _PassThrough(DynamicLayer):
    """A cache layer that keeps nothing."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The keys and values as they came."""
        return key_states, value_states


class Bank:
    """K adapter slots over a model whose weights stay frozen.

    model: a Hugging Face decoder. targets: "all-linear", or last parts of module names. slots: K.
    The forward methods of the adapted layers are patched in place, so the module tree keeps its names.
    """

    def __init__(self, model: Any, *, rank: int, scale: float, targets: Sequence[str], slots: int) -> None:
        self.model, self.rank, self.scale, self.slots = model, rank, scale, slots
        self.targets = tuple(targets)
        model.requires_grad_(False).eval()
        self.sites = _sites(model, rank, self.targets)
        self.size = self.sites[-1].stop
        self.device, self.dtype = model.device, model.dtype
        self.master = torch.zeros(slots, self.size, device=self.device)
        self.gradient = torch.zeros(0, device=self.device)
        self._compute = self.master
        self._compute_gradient = self.gradient
        self._pristine: list[Tensor] = []
        self._views: _Views = []
        self._buffers: tuple[int, int] = (0, 0)
        self._known: dict[tuple[int, int], _Views] = {}
        self.window: tuple[int, int] | None = None
        for index, site in enumerate(self.sites):
            site.linear.__dict__["forward"] = functools.partial(self._forward, index, site.linear)
        self.plain_head = self._head_is_plain()

    # The adapted forward.

    def _forward(self, index: int, linear: nn.Linear, x: Tensor) -> Tensor:
        if self.window is None:
            return functional.linear(x, linear.weight, linear.bias)
        low, high = self.window
        if x.dim() != 3 or x.shape[0] % (high - low):
            raise UserError(
                f"layer {self.sites[index].name!r} gets input of shape {tuple(x.shape)}: rows cannot be assigned to "
                "adapters (a routed expert?); name other layers with --targets, such as q_proj,v_proj"
            )
        a, b, grads = self._views[index]
        return _LoraLinear.apply(x, linear, a, b, grads, self.scale)

    @contextmanager
    def active(self, low: int, high: int) -> Iterator[None]:
        """Slots [low, high) take part: a batch of n*(high-low) rows is n rows for each, slot by slot."""
        before = self.window
        self._open(low, high)
        try:
            yield
        finally:
            self.window = before
            if before is not None:
                self._open(*before)

    def _open(self, low: int, high: int) -> None:
        self.window = (low, high)
        buffers = self._compute.data_ptr(), self._compute_gradient.data_ptr()
        if buffers != self._buffers:
            self._buffers, self._known = buffers, {}
        # Hundreds of views a micro-batch otherwise, made on a host that already sets the pace of small models; they
        # stay true as long as the buffers are the same.
        if self.window not in self._known:
            self._known[self.window] = self._look(low, high)
        self._views = self._known[self.window]

    def _look(self, low: int, high: int) -> _Views:
        """Views of slots [low, high): per layer A and B as leaves of autograd, and where their gradients go."""
        views: _Views = []
        for site in self.sites:
            a, b = (part[low:high].detach().requires_grad_() for part in site.split(self._compute))
            grads = None
            if len(self._compute_gradient):
                ga, gb = site.split(self._compute_gradient)
                grads = ga[low:high], gb[low:high]
            views.append((a, b, grads))
        return views

    # Training buffers.

    def prepare(self) -> None:
        """Allocate gradients; on an accelerator also the low-precision copy that the forward reads."""
        self.gradient = torch.zeros_like(self.master)
        self._compute_gradient = self.gradient
        if self.dtype != torch.float32:
            self._compute = self.master.to(self.dtype)
            self._compute_gradient = torch.zeros_like(self._compute)

    def release(self) -> None:
        """Give the memory of the gradients back."""
        self._views, self._known = [], {}
        self.gradient = self._compute_gradient = torch.zeros(0, device=self.device)

    def collect(self) -> None:
        """Add the gradients of one micro-batch to the fp32 sum (bf16 sums over many would lose small ones)."""
        if self._compute_gradient is not self.gradient:
            self.gradient += self._compute_gradient
            self._compute_gradient.zero_()

    def forget(self) -> None:
        """Drop all gradients gathered so far."""
        self.gradient.zero_()
        if self._compute_gradient is not self.gradient:
            self._compute_gradient.zero_()

    def refresh(self) -> None:
        """Make the copy that the forward reads follow the fp32 master weights."""
        if self._compute is not self.master:
            self._compute.copy_(self.master)

    # Adapter weights in and out.

    def initialise(self, slot: int, seed: int) -> None:
        """A uniform in +-1/sqrt(in), B zero, as peft does; drawn on the CPU so that every device starts alike."""
        generator = torch.Generator().manual_seed(seed)
        for site in self.sites:
            a, b = site.split(self.master[slot : slot + 1])
            bound = 1 / math.sqrt(site.linear.in_features)
            drawn = torch.empty(a.shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator)
            a.copy_(drawn)
            b.zero_()
        self._refresh_slot(slot)

    def load(self, slot: int, weights: Weights) -> None:
        """Put an adapter into a slot. Raises InputError when it belongs to another architecture."""
        for site in self.sites:
            a, b = site.split(self.master[slot : slot + 1])
            given_a, given_b = self._weights_of(weights, site)
            a.copy_(given_a[None])
            b.copy_(given_b[None])
        self._refresh_slot(slot)

    def weights(self, slot: int) -> dict[str, tuple[Tensor, Tensor]]:
        """A copy of a slot's adapter on the CPU."""
        flat = self.master[slot : slot + 1].cpu()
        found = {}
        for site in self.sites:
            a, b = site.split(flat)
            found[site.name] = a[0].clone(), b[0].clone()
        return found

    def _refresh_slot(self, slot: int) -> None:
        if self._compute is not self.master:
            self._compute[slot].copy_(self.master[slot])
        elif self.dtype != torch.float32:
            self._compute = self.master.to(self.dtype)

    def _weights_of(self, weights: Weights, site: Site) -> tuple[Tensor, Tensor]:
        expected = (self.rank, site.linear.in_features), (site.linear.out_features, self.rank)
        if site.name not in weights:
            raise InputError(
                f"the adapter has no weights for layer {site.name!r}; it was made for another base or targets"
            )
        found = tuple(tuple(part.shape) for part in weights[site.name])
        if found != expected:
            raise InputError(f"layer {site.name!r}: the adapter's shapes are {found}, expected {expected}")
        return weights[site.name]

    @contextmanager
    def merged(self, weights: Weights) -> Iterator[None]:
        """The base with one adapter added into its weights in fp32 and rounded once."""
        if not self._pristine:
            self._pristine = [site.linear.weight.detach().clone() for site in self.sites]
        before, self.window = self.window, None
        try:
            for site, original in zip(self.sites, self._pristine, strict=True):
                a, b = (part.to(self.device) for part in self._weights_of(weights, site))
                site.linear.weight.data.copy_(torch.addmm(original.float(), b, a, alpha=self.scale))
            yield
        finally:
            for site, original in zip(self.sites, self._pristine, strict=True):
                site.linear.weight.data.copy_(original)
            self.window = before

    @contextmanager
    def kept_apart(self, weights: Weights) -> Iterator[None]:
        """The base with one adapter next to it, as it was trained: slot 0, for one batch of any size."""
        self.load(0, weights)
        with self.active(0, 1):
            yield

    def close(self) -> None:
        """Take the patches off the model."""
        for site in self.sites:
            site.linear.__dict__.pop("forward", None)

    # Hidden states and losses.

    def hidden(self, ids: Tensor, **extra: Any) -> Tensor:
        """Last hidden states (rows, length, width) of right-padded rows; under a causal mask they need no other."""
        out: Tensor = self.model.base_model(input_ids=ids, **no_cache(self.model.base_model), **extra).last_hidden_state
        return out

    def loss(self, ids: Tensor, where: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy at answer positions only.

        ids: (rows, length), right-padded; under a causal mask no real token sees padding, so no mask is needed.
        where: indices into rows*length whose next token is `targets`. weights: what each counts.
        Returns the weighted sum and the losses per position.
        """
        if self.plain_head:
            hidden = self.hidden(ids)
            chosen = hidden.reshape(-1, hidden.shape[-1]).index_select(0, where)
            return _AnswerLoss.apply(chosen, self.model.get_output_embeddings(), targets, weights)
        logits = self.model(input_ids=ids, **no_cache(self.model)).logits
        chosen = logits.reshape(-1, logits.shape[-1]).index_select(0, where).float()
        losses = functional.cross_entropy(chosen, targets, reduction="none")
        return torch.dot(losses, weights), losses.detach()

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        """Whether logits are the output head over the hidden states; some families scale or squash them."""
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            return False
        ids = torch.arange(4, device=self.device)[None]
        direct = head(self.hidden(ids))
        return bool(torch.equal(direct.float(), self.model(input_ids=ids, use_cache=False).logits.float()))


def kept(module: nn.Module, cache: Cache) -> dict[str, Any]:
    """Arguments of a forward of a model that reads and fills a cache."""
    # Whatever nn.Module says of its hash, its class has one.
    kind: Any = type(module)
    return {_cache_argument(kind): cache, "use_cache": True}


def no_cache(module: nn.Module) -> dict[str, Any]:
    """Arguments of a forward that keeps nothing. With no cache at all, transformers looks on every forward
    whether positions are those of packed sequences, and waits for the device to tell."""
    return kept(module, Cache(layer_class_to_replicate=_PassThrough)) | {"use_cache": False}


@functools.cache
def _cache_argument(kind: Any) -> str:
    """By the class of a model. transformers 5.24 renames it, model by model, and warns of the old name."""
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"


def _sites(model: Any, rank: int, targets: Sequence[str]) -> list[Site]:
    """The linear layers that peft would adapt. Raises UserError when none matches."""
    head = model.get_output_embeddings()
    linears = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head]
    if tuple(targets) != ("all-linear",):
        linears = [(n, m) for n, m in linears if any(n == t or n.endswith(f".{t}") for t in targets)]
    if not linears:
        known = dict.fromkeys(n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear))
        raise UserError(
            f"no nn.Linear layer of {type(model).__name__} matches {', '.join(targets)}; it has "
            f"{', '.join(known) or 'none at all'} (GPT-2's Conv1D layers cannot be adapted: use another base)"
        )
    sites, start = [], 0
    for name, linear in linears:
        sites.append(Site(name, linear, rank, start))
        start = sites[-1].stop
    return sites

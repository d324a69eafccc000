"""Batched training against separate peft runs, and what happens when numbers or memory run out."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
peft = pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.engine import train as adapters  # noqa: E402
from traitcast.training.engine.lora import Bank  # noqa: E402
from traitcast.training.engine.train import Budget, Job, batches, pieces, rate, train  # noqa: E402
from traitcast.training.plan.recipe import TrainingSettings  # noqa: E402
from traitcast.warehouse.errors import TraitcastError, UserError  # noqa: E402

# peft 0.21 asks transformers 5 for a property under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

# Adam divides by the size of the gradient: a small epsilon would turn rounding in a tiny one into a whole step.
SETTINGS = TrainingSettings(
    rank=4, alpha=8.0, epochs=2, batch_rows=4, learning_rate=5e-3, warmup=0.2, weight_decay=0.01, epsilon=1e-3
)


def make_rows(seed: int, count: int) -> list[tuple[list[int], list[int]]]:
    generator = np.random.default_rng(seed)
    return [
        (
            generator.integers(3, 400, generator.integers(3, 20)).tolist(),
            generator.integers(3, 400, generator.integers(1, 6)).tolist(),
        )
        for _ in range(count)
    ]


def make_bank(model: Any, slots: int, targets: tuple[str, ...] = ("all-linear",)) -> Bank:
    return Bank(model, rank=SETTINGS.rank, scale=SETTINGS.scale, targets=targets, slots=slots)


def peft_run(
    base: Any, job: Job, first: dict[str, Any], settings: TrainingSettings
) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
    """One adapter by peft, torch.optim.AdamW and clip_grad_norm_: (losses, gradients of step 0, final weights)."""
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(copy.deepcopy(base), config)
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}

    def parameter(name: str, part: str) -> Any:
        return named[f"base_model.model.{name}.lora_{part}.default.weight"]

    with torch.no_grad():
        for name, (a, b) in first.items():
            parameter(name, "A").copy_(a)
            parameter(name, "B").copy_(b)
    order = batches([len(p) + len(a) for p, a in job.rows], settings, job.seed)
    optimizer = torch.optim.AdamW(
        named.values(),
        lr=1.0,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate(step, len(order), settings) if step < len(order) else 0.0
    )
    losses, gradients = [], {}
    for step, chosen in enumerate(order):
        rows = [job.rows[i] for i in chosen]
        width = max(len(p) + len(a) for p, a in rows)
        ids = torch.tensor([[*p, *a] + [0] * (width - len(p) - len(a)) for p, a in rows])
        labels = torch.tensor([[-100] * len(p) + list(a) + [-100] * (width - len(p) - len(a)) for p, a in rows])
        mask = torch.tensor([[1] * (len(p) + len(a)) + [0] * (width - len(p) - len(a)) for p, a in rows])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        if step == 0:
            gradients = {n: (parameter(n, "A").grad.clone(), parameter(n, "B").grad.clone()) for n in first}
        torch.nn.utils.clip_grad_norm_(named.values(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    return losses, gradients, {n: (parameter(n, "A").detach(), parameter(n, "B").detach()) for n in first}


def relative(found: Any, expected: Any) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-12))


@pytest.mark.parametrize("kind", ["llama", "qwen", "granite"])
def test_batched_training_equals_separate_peft_runs(model_maker: Callable[..., Any], kind: str) -> None:
    base = model_maker(kind)
    jobs = [Job(f"job{i}", make_rows(i, count), seed=i + 10) for i, count in enumerate((21, 18, 12))]
    bank = make_bank(copy.deepcopy(base), len(jobs))
    assert bank.plain_head == (kind != "granite")
    starts = []
    for slot, job in enumerate(jobs):
        bank.initialise(slot, job.seed)
        starts.append(bank.weights(slot))
    outcomes = train(bank, jobs, SETTINGS)
    for slot, job in enumerate(jobs):
        losses, _, final = peft_run(base, job, starts[slot], SETTINGS)
        np.testing.assert_allclose(outcomes[slot].losses, losses, rtol=1e-5)
        for name, pair in bank.weights(slot).items():
            assert max(relative(x, y) for x, y in zip(pair, final[name], strict=True)) < 1e-4, name


@pytest.mark.parametrize("kind", ["llama", "qwen"])
def test_gradients_equal_peft(model_maker: Callable[..., Any], kind: str) -> None:
    """With B away from zero both matrices get a gradient; compared before any clipping."""
    base = model_maker(kind)
    settings = dataclasses.replace(SETTINGS, epochs=1, batch_rows=6)
    jobs = [Job(f"job{i}", make_rows(i, 6), seed=i) for i in range(4)]
    bank = make_bank(copy.deepcopy(base), len(jobs))
    bank.master.normal_(generator=torch.Generator().manual_seed(1), std=0.1)
    bank.prepare()
    losses = torch.zeros(len(jobs))
    rows = [adapters.joined(job.rows) for job in jobs]
    adapters._gradients(bank, rows, losses, Budget(tokens=100))
    for slot, job in enumerate(jobs):
        expected_losses, expected, _ = peft_run(base, job, bank.weights(slot), settings)
        np.testing.assert_allclose(losses[slot].item(), expected_losses[0], rtol=1e-5)
        for site in bank.sites:
            for found, wanted in zip(site.split(bank.gradient[slot : slot + 1]), expected[site.name], strict=True):
                assert relative(found[0], wanted) < 1e-5, site.name


def test_an_adapter_does_not_depend_on_its_neighbours(model_maker: Callable[..., Any]) -> None:
    jobs = [Job(f"job{i}", make_rows(i, 16), seed=i) for i in range(8)]
    together = make_bank(model_maker(), 8)
    outcomes = train(together, jobs, SETTINGS)
    for slot in (0, 3, 7):
        alone = make_bank(model_maker(), 1)
        (outcome,) = train(alone, [jobs[slot]], SETTINGS)
        np.testing.assert_allclose(outcome.losses, outcomes[slot].losses, rtol=1e-5)
        assert relative(together.master[slot], alone.master[0]) < 1e-4


def test_same_seed_gives_the_same_bits(model_maker: Callable[..., Any]) -> None:
    jobs = [Job(f"job{i}", make_rows(i, 10), seed=i) for i in range(3)]
    runs = []
    for _ in range(2):
        bank = make_bank(model_maker(), 3)
        train(bank, jobs, SETTINGS)
        runs.append(bank.master)
    assert torch.equal(*runs)


def test_training_learns(model_maker: Callable[..., Any]) -> None:
    rows = make_rows(0, 8)
    (outcome,) = train(make_bank(model_maker(), 1), [Job("job", rows, 0)], dataclasses.replace(SETTINGS, epochs=30))
    assert outcome.losses[-4:].mean() < 0.5 * outcome.losses[:4].mean()
    assert outcome.tokens == 30 * sum(len(p) + len(a) for p, a in rows)


def test_a_non_finite_adapter_is_frozen_and_its_neighbours_finish(model_maker: Callable[..., Any]) -> None:
    jobs = [Job(f"job{i}", make_rows(i, 12), seed=i) for i in range(3)]
    clean = make_bank(model_maker(), 3)
    train(clean, jobs, SETTINGS)
    bank = make_bank(model_maker(), 3)

    def poison(step: int, _: int) -> None:
        if step == 1:
            bank.master[1].fill_(float("nan"))

    outcomes = train(bank, jobs, SETTINGS, on_step=poison)
    assert [outcome.failed_at for outcome in outcomes] == [None, 2, None]
    assert torch.equal(bank.master[0], clean.master[0])
    assert torch.equal(bank.master[2], clean.master[2])


def test_a_non_finite_gradient_leaves_the_last_good_weights(
    model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(f"job{i}", make_rows(i, 12), seed=i) for i in range(2)]
    bank = make_bank(model_maker(), 2)
    kept: list[Any] = []
    collect, calls = bank.collect, []

    def spoil() -> None:
        collect()
        calls.append(1)
        if len(calls) == 3:
            kept.append(bank.master[0].clone())
            bank.gradient[0, 5] = float("inf")

    monkeypatch.setattr(bank, "collect", spoil)
    outcomes = train(bank, jobs, SETTINGS)
    assert [outcome.failed_at for outcome in outcomes] == [2, None]
    assert torch.equal(bank.master[0], kept[0])


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("injected"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_splits_and_keeps_the_effective_batch(
    model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    jobs = [Job(f"job{i}", make_rows(i, 12), seed=i) for i in range(4)]
    whole = make_bank(model_maker(), 4)
    expected = train(whole, jobs, SETTINGS)
    bank = make_bank(model_maker(), 4)
    loss = bank.loss

    def small(ids: Any, *rest: Any) -> Any:
        if ids.numel() > 60:
            raise error
        return loss(ids, *rest)

    monkeypatch.setattr(bank, "loss", small)
    budget = Budget(tokens=10**6)
    outcomes = train(bank, jobs, SETTINGS, budget=budget)
    assert budget.splits >= 2
    for found, wanted in zip(outcomes, expected, strict=True):
        np.testing.assert_allclose(found.losses, wanted.losses, rtol=1e-5)
    assert relative(bank.master, whole.master) < 1e-4


def test_a_step_in_pieces_has_the_gradient_of_the_whole_step(model_maker: Callable[..., Any]) -> None:
    """In float64 nothing but a changed batch could make them differ: every row still counts 1 / answer tokens."""
    jobs = [Job(f"job{i}", make_rows(i, 6), seed=i) for i in range(3)]
    rows = [adapters.joined(job.rows) for job in jobs]
    found = []
    for tokens in (10**6, 60, 1):
        bank = make_bank(model_maker().double(), len(jobs))
        bank.master = bank.master.double().normal_(generator=torch.Generator().manual_seed(1), std=0.1)
        bank._compute = bank.master
        bank.prepare()
        bank._compute, bank._compute_gradient = bank.master, bank.gradient
        adapters._gradients(bank, rows, torch.zeros(len(jobs)), Budget(tokens=tokens, worth_splitting=10**6))
        found.append(bank.gradient)
    assert found[0].dtype == torch.float64
    for other in found[1:]:
        assert relative(other, found[0]) < 1e-6


def test_a_row_that_never_fits_is_an_error(model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make_bank(model_maker(), 1)

    def never(*_: Any) -> Any:
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(bank, "loss", never)
    with pytest.raises(TraitcastError, match=r"single row of .* lower max_prompt_tokens"):
        train(bank, [Job("job", make_rows(0, 4), 0)], SETTINGS)


def test_other_errors_pass_through(model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make_bank(model_maker(), 1)

    def broken(*_: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(bank, "loss", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        train(bank, [Job("job", make_rows(0, 4), 0)], SETTINGS)


def test_bad_jobs_are_refused(model_maker: Callable[..., Any]) -> None:
    bank = make_bank(model_maker(), 2)
    short, long = Job("short", make_rows(0, 4), 0), Job("long", make_rows(0, 12), 0)
    with pytest.raises(UserError, match="longest first"):
        train(bank, [short, long], SETTINGS)
    with pytest.raises(UserError, match="3 jobs for 2 adapter slots"):
        train(bank, [short] * 3, SETTINGS)
    with pytest.raises(UserError, match="'none' has no rows"):
        train(bank, [Job("none", [], 0)], SETTINGS)
    with pytest.raises(UserError, match="'blank' has no rows, or a row without"):
        train(bank, [Job("blank", [([1], [])], 0)], SETTINGS)


def test_only_the_named_layers_are_adapted(model_maker: Callable[..., Any]) -> None:
    bank = make_bank(model_maker(), 1, ("q_proj", "v_proj"))
    assert {site.name.rsplit(".", 1)[1] for site in bank.sites} == {"q_proj", "v_proj"}
    with pytest.raises(
        UserError, match=r"no nn\.Linear layer of LlamaForCausalLM matches nosuch; it has q_proj, k_proj"
    ):
        make_bank(model_maker(), 1, ("nosuch",))


def test_models_of_conv1d_layers_are_refused() -> None:
    import transformers

    config = transformers.GPT2Config(vocab_size=50, n_positions=32, n_embd=8, n_layer=1, n_head=2)
    with pytest.raises(UserError, match=r"no nn.Linear layer of GPT2LMHeadModel .* Conv1D layers cannot be adapted"):
        make_bank(transformers.GPT2LMHeadModel(config), 1)


def test_low_precision_follows_fp32(model_maker: Callable[..., Any]) -> None:
    """bf16 base and fp32 master weights, as on an accelerator: near the fp32 run, and the masters stay fp32."""
    jobs = [Job(f"job{i}", make_rows(i, 16), seed=i) for i in range(2)]
    exact = train(make_bank(model_maker(), 2), jobs, SETTINGS)
    bank = make_bank(model_maker().to(torch.bfloat16), 2)
    rough = train(bank, jobs, SETTINGS)
    assert bank.master.dtype == torch.float32
    for found, wanted in zip(rough, exact, strict=True):
        assert found.failed_at is None
        np.testing.assert_allclose(found.losses, wanted.losses, rtol=0.1)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=90), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
def test_every_row_is_seen_once_an_epoch(lengths: list[int], size: int, epochs: int, seed: int) -> None:
    settings = TrainingSettings(batch_rows=size, epochs=epochs)
    steps = batches(lengths, settings, seed)
    assert len(steps) == settings.steps(len(lengths))
    assert all(1 <= len(step) <= size for step in steps)
    per_epoch = len(steps) // epochs
    for epoch in range(epochs):
        seen = np.concatenate(steps[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert sorted(seen) == list(range(len(lengths)))


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 4000), st.integers(0, 99))
def test_pieces_cover_every_row_once(slots: int, rows: int, tokens: int, seed: int) -> None:
    lengths = np.sort(np.random.default_rng(seed).integers(0, 300, (slots, rows)), axis=1)
    seen = np.zeros_like(lengths)
    for piece in pieces(lengths, tokens, 100):
        seen[piece.low : piece.high, piece.first : piece.last] += 1
        part = lengths[piece.low : piece.high, piece.first : piece.last]
        assert part.max() * part.size <= tokens or part.size == 1
    assert np.all(seen[lengths > 0] == 1)
    assert seen.max(initial=0) <= 1


def test_rate_warms_up_and_falls() -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup=0.1)
    rates = [rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.01


def count_operations(bank: Bank, jobs: list[Job]) -> dict[str, int]:
    """How often each torch operation runs in a training of `jobs`."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[str, int] = {}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.found[str(func)] = self.found.get(str(func), 0) + 1
            return func(*args, **(kwargs or {}))

    with Counter() as counter:
        train(bank, jobs, SETTINGS, budget=Budget(tokens=10**6, worth_splitting=10**6))
    return counter.found


def test_the_loop_never_waits_for_the_device_and_is_as_long_for_many_as_for_one(
    model_maker: Callable[..., Any],
) -> None:
    """Reading a number off a tensor would make the host wait at every step; only the end of a run may."""
    per_step = []
    for slots in (1, 6):
        counts = []
        for rows in (8, 40):
            jobs = [Job(f"job{i}", make_rows(i, rows), seed=i) for i in range(slots)]
            found = count_operations(make_bank(model_maker(), slots), jobs)
            assert not [name for name in found if "_local_scalar" in name or "nonzero" in name]
            counts.append(sum(found.values()))
        per_step.append((counts[1] - counts[0]) / (SETTINGS.steps(40) - SETTINGS.steps(8)))
    assert per_step[0] == pytest.approx(per_step[1], rel=0.02)

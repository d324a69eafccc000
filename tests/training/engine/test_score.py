"""Scores against a slow, direct implementation of lm-evaluation-harness's rules, and decoding against generate()."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.engine import score  # noqa: E402
from traitcast.training.engine.lora import Bank  # noqa: E402
from traitcast.training.engine.score import Scorer  # noqa: E402
from traitcast.training.plan.prompts import Encoded, Prompter, Row, Task  # noqa: E402
from traitcast.warehouse.errors import TraitcastError, UserError  # noqa: E402

END = 0


def make_bank(model: Any) -> Bank:
    return Bank(model, rank=4, scale=2.0, targets=("all-linear",), slots=1)


def random_rows(seed: int, count: int, *, options: int = 4, longest: int = 5) -> list[Encoded]:
    generator = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return generator.integers(3, 400, generator.integers(low, high)).tolist()

    return [
        Encoded(ids(2, 30), [ids(1, longest + 1) for _ in range(generator.integers(1, options + 1))], 0)
        for _ in range(count)
    ]


def slow_loglikelihood(model: Any, prompt: list[int], answer: list[int]) -> float:
    """lm-evaluation-harness `loglikelihood`: one sequence, log_softmax everywhere, sum over the continuation."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *answer][:-1]])).logits[0]
    scores = torch.log_softmax(logits.double(), -1)[len(prompt) - 1 :]
    return float(scores.gather(1, torch.tensor(answer)[:, None]).sum())


def random_adapter(bank: Bank, seed: int) -> dict[str, Any]:
    bank.master.normal_(generator=torch.Generator().manual_seed(seed), std=0.2)
    return bank.weights(0)


@pytest.mark.parametrize("kind", ["llama", "qwen", "granite"])
@pytest.mark.parametrize("max_tokens", [100, 100_000])
def test_shared_prompts_give_the_scores_of_separate_sequences(
    model_maker: Callable[..., Any], kind: str, max_tokens: int
) -> None:
    model = model_maker(kind)
    rows = random_rows(0, 25) + random_rows(1, 8, options=12, longest=1)
    scorer = Scorer(make_bank(model), end=END, max_tokens=max_tokens)
    prepared = scorer.prepare(rows)
    found = scorer.loglikelihoods(prepared)
    assert [len(f) for f in found] == [len(r.answers) for r in rows]
    for row, scores in zip(rows, found, strict=True):
        wanted = [slow_loglikelihood(model, row.prompt, answer) for answer in row.answers]
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)


def test_one_token_labels_cost_nothing_beyond_the_prompt(model_maker: Callable[..., Any]) -> None:
    rows = random_rows(1, 8, options=12, longest=1)
    layout = Scorer(make_bank(model_maker()), end=END).prepare(rows).layout
    assert layout.read == layout.tokens == sum(len(row.prompt) for row in rows)
    assert not any(batch.branching for batch in layout.batches)


@pytest.mark.parametrize("kind", ["llama", "qwen", "granite"])
@pytest.mark.parametrize("max_tokens", [70, 100_000])
def test_shared_beginnings_give_the_scores_of_separate_sequences(
    model_maker: Callable[..., Any], kind: str, max_tokens: int
) -> None:
    """Three datasets with beginnings of unlike length, one of them a lone row that shares with nobody."""
    model = model_maker(kind)
    rows, groups = [], []
    for group, (begin, count) in enumerate(((25, 9), (4, 9), (7, 1))):
        for row in random_rows(group, count):
            rows.append(Encoded([*range(50, 50 + begin), *row.prompt], row.answers, 0))
            groups.append(group)
    scorer = Scorer(make_bank(model), end=END, max_tokens=max_tokens)
    prepared = scorer.prepare(rows, groups)
    assert [len(prefix) for prefix in prepared.layout.prefixes] == [25, 4, 0]
    assert prepared.layout.read == prepared.layout.tokens - 8 * 25 - 8 * 4
    for row, scores in zip(rows, scorer.loglikelihoods(prepared), strict=True):
        wanted = [slow_loglikelihood(model, row.prompt, answer) for answer in row.answers]
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)


def test_merged_and_exact_agree(model_maker: Callable[..., Any]) -> None:
    model = model_maker()
    bank = make_bank(model)
    weights = random_adapter(bank, 3)
    scorer = Scorer(bank, end=END)
    prepared = scorer.prepare(random_rows(0, 20))
    plain = np.concatenate(scorer.loglikelihoods(prepared))
    with bank.merged(weights):
        merged = np.concatenate(scorer.loglikelihoods(prepared))
    with bank.kept_apart(weights):
        apart = np.concatenate(scorer.loglikelihoods(prepared))
    np.testing.assert_allclose(merged, apart, rtol=1e-4, atol=1e-4)
    assert np.abs(merged - plain).max() > 0.1
    np.testing.assert_array_equal(np.concatenate(scorer.loglikelihoods(prepared)), plain)


def test_bf16_exact_mode_runs_beside_a_bf16_base(model_maker: Callable[..., Any]) -> None:
    full = model_maker()
    bank = make_bank(copy.deepcopy(full).to(torch.bfloat16))
    weights = random_adapter(bank, 3)
    scorer = Scorer(bank, end=END)
    prepared = scorer.prepare(random_rows(0, 20))
    with bank.kept_apart(weights):
        rough = np.concatenate(scorer.loglikelihoods(prepared))
    reference = make_bank(full)
    exact = Scorer(reference, end=END)
    with reference.kept_apart(weights):
        fine = np.concatenate(exact.loglikelihoods(exact.prepare(random_rows(0, 20))))
    assert np.corrcoef(rough, fine)[0, 1] > 0.99


def test_peft_scores_the_same(model_maker: Callable[..., Any], base_folder: Path, tmp_path: Path) -> None:
    """A checkpoint written here, read by peft; and one written by peft, read here."""
    import warnings

    import peft

    from traitcast.training.engine import checkpoints

    model = model_maker()
    bank = make_bank(copy.deepcopy(model))
    weights = random_adapter(bank, 5)
    folder = tmp_path / "adapter"
    checkpoints.write(folder, weights, rank=4, alpha=8.0, base=str(base_folder), targets=("all-linear",), extra={})
    rows = random_rows(2, 10)
    scorer = Scorer(bank, end=END)
    with bank.kept_apart(weights):
        found = scorer.loglikelihoods(scorer.prepare(rows))
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 for a property under its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        theirs = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()
    for row, scores in zip(rows, found, strict=True):
        wanted = [slow_loglikelihood(theirs, row.prompt, answer) for answer in row.answers]
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4)
    theirs.save_pretrained(tmp_path / "again")
    back = checkpoints.read(tmp_path / "again")
    assert (back.rank, back.scale) == (4, 2.0)
    for name, pair in back.weights.items():
        assert all(torch.equal(x, y) for x, y in zip(pair, weights[name], strict=True))


@pytest.mark.parametrize("kind", ["llama", "qwen", "granite"])
@pytest.mark.parametrize("max_tokens", [80, 100_000])
def test_decoding_equals_generate(model_maker: Callable[..., Any], kind: str, max_tokens: int) -> None:
    model = model_maker(kind)
    prompts = [row.prompt for row in random_rows(4, 14)]
    # The commonest first token ends a text here, so that some rows stop early and the batch is compacted.
    with torch.no_grad():
        firsts = [int(model(input_ids=torch.tensor([p])).logits[0, -1].argmax()) for p in prompts]
    end = max(set(firsts), key=firsts.count)
    caps = [3 + 5 * (i % 5) for i in range(len(prompts))]
    found = Scorer(make_bank(model), end=end, max_tokens=max_tokens).generate(prompts, caps)
    for prompt, cap, result in zip(prompts, caps, found, strict=True):
        ids = torch.tensor([prompt])
        with torch.no_grad():
            wanted = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=cap,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )[0, len(prompt) :].tolist()
        assert result.finished == (wanted[-1] == end)
        assert result.ids == [token for token in wanted if token != end]


def test_prompts_are_read_in_small_forwards_and_decoded_in_few_batches(
    model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forward over all prompts of a batch would need many times the memory that max_tokens allows; and a batch for
    every length of prompt and cap would take steps that cost the same whatever they hold."""
    prompts = [[*range(3, 3 + size)] for size in (30, 28, 4, 5, 3, 16, 17, 4)]
    caps = [2, 9, 9, 3, 5, 9, 2, 7]
    scorer = Scorer(make_bank(model_maker()), end=END, max_tokens=60, decode_tokens=8 * (30 + 9))
    step, shapes = scorer._step, []

    def watched(ids: Any, *rest: Any) -> Any:
        shapes.append(tuple(ids.shape))
        return step(ids, *rest)

    monkeypatch.setattr(scorer, "_step", watched)
    together = scorer.generate(prompts, caps)
    read = [rows * width for rows, width in shapes if width > 1]
    assert max(read) <= 60
    assert len(shapes) - len(read) <= 8, "one batch: nine tokens, the first of them read off the prompts"
    monkeypatch.setattr(scorer, "decode_tokens", 1)
    assert scorer.generate(prompts, caps) == together


def test_a_decoding_step_reads_shared_keys_once(
    model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where heads share keys, a step under a mask takes its own way; the numbers are those of transformers' sdpa."""
    from types import SimpleNamespace

    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(3, heads, size, 8, generator=generator) for heads, size in ((6, 1), (2, 9), (2, 9))
    )
    mask = torch.zeros(3, 1, 1, 9).masked_fill_(torch.rand(3, 1, 1, 9, generator=generator) < 0.4, -1e30)
    module, wanted = SimpleNamespace(num_key_value_groups=3, is_causal=True), score.sdpa_attention_forward
    plain, _ = wanted(module, query, key, value, mask, scaling=0.3)

    def repeats(*arguments: Any, **rest: Any) -> Any:
        assert arguments[1].shape[2] > 1, "a decoding step took the way that copies keys for every head"
        return wanted(*arguments, **rest)

    monkeypatch.setattr(score, "sdpa_attention_forward", repeats)
    own, _ = score._attention(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(own, plain)
    Scorer(make_bank(model_maker()), end=END).generate([[5, 6, 7], [8, 9]], [4, 4])


def test_out_of_memory_halves_the_batch(model_maker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make_bank(model_maker())
    scorer = Scorer(bank, end=END)
    begin = list(range(50, 60))
    rows = [Encoded([*begin, *row.prompt], row.answers, 0) for row in random_rows(0, 20)]
    prepared = scorer.prepare(rows, [0] * 11 + [1] * 9)
    assert prepared.layout.shared
    wanted = np.concatenate(scorer.loglikelihoods(prepared))
    texts = scorer.generate([row.prompt for row in rows], [6] * len(rows))
    states, decode = scorer._states, scorer._decode

    def small(on: Any, *rest: Any) -> Any:
        if len(on.ids) > 3:
            raise torch.OutOfMemoryError("injected")
        return states(on, *rest)

    def few(prompts: Any, caps: Any) -> Any:
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("injected")
        return decode(prompts, caps)

    monkeypatch.setattr(scorer, "_states", small)
    monkeypatch.setattr(scorer, "_decode", few)
    np.testing.assert_allclose(np.concatenate(scorer.loglikelihoods(prepared)), wanted, rtol=1e-5, atol=1e-5)
    assert scorer.generate([row.prompt for row in rows], [6] * len(rows)) == texts

    def never(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(scorer, "_states", never)
    with pytest.raises(TraitcastError, match="out of memory with a single row of"):
        scorer.loglikelihoods(prepared)


def test_rows_longer_than_a_sliding_window_are_refused(model_maker: Callable[..., Any]) -> None:
    model = model_maker()
    model.config.sliding_window, model.config.layer_types = 8, ["sliding_attention", "full_attention"]
    scorer = Scorer(make_bank(model), end=END)
    with pytest.raises(UserError, match="attends to 8 at a time; lower max_prompt_tokens"):
        scorer.prepare(random_rows(0, 20))


FIXTURE = Path(__file__).parent / "lm_eval.json"


@pytest.mark.parametrize("style", ["plain", "chat"])
def test_scores_equal_lm_evaluation_harness(
    model_maker: Callable[..., Any], tokenizer: Any, chat_tokenizer: Any, style: str
) -> None:
    """Numbers recorded from lm-evaluation-harness on the tiny model; the recipe is in record_lm_eval.py.

    The harness counts white space at the end of a prompt to the answer. A chat prompt ends in a new line, so there
    its sums are lower by the log-likelihood of that line, the same for all options of a row.
    """
    prompter = Prompter(chat_tokenizer if style == "chat" else tokenizer)
    scorer = Scorer(make_bank(model_maker()), end=prompter.end)
    for name, case in json.loads(FIXTURE.read_text())[style].items():
        task = Task(
            name, case["task_type"], "accuracy", case["instruction"], tuple(case["field_names"]), tuple(case["labels"])
        )
        rows = [Row(tuple(r["fields"]), "", tuple(r["options"]), r["gold"]) for r in case["rows"]]
        found = scorer.loglikelihoods(scorer.prepare(prompter.encode(task, rows)))
        for scores, wanted in zip(found, case["loglikelihoods"], strict=True):
            apart = wanted - scores
            shift = apart.mean() if style == "chat" else 0.0
            np.testing.assert_allclose(apart, shift, atol=2e-3)
            assert (shift < -0.1) == (style == "chat")
        picks = [int(np.argmax(s)) == r.gold for s, r in zip(found, rows, strict=True)]
        assert np.mean(picks) == pytest.approx(case["acc"])
        if style == "plain":
            per_character = [s / [len(choice) for choice in r.choices(task)] for s, r in zip(found, rows, strict=True)]
            picks = [int(np.argmax(s)) == r.gold for s, r in zip(per_character, rows, strict=True)]
            assert np.mean(picks) == pytest.approx(case["acc_norm"])


def test_recurrent_models_are_refused(model_maker: Callable[..., Any]) -> None:
    model = model_maker()
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(UserError, match="layers of kind linear_attention, which cannot skip padding or options"):
        Scorer(make_bank(model), end=END)


def test_a_closed_scorer_leaves_the_model_its_own_attention(model_maker: Callable[..., Any]) -> None:
    """Groups are trained after others were scored, and must not read through the attention of scoring."""
    model = model_maker("llama")
    before = model.config._attn_implementation
    bank = make_bank(model)
    scorer = Scorer(bank, end=END)
    assert model.config._attn_implementation != before
    scorer.loglikelihoods(scorer.prepare(random_rows(1, 4)))
    scorer.close()
    bank.close()
    assert model.config._attn_implementation == before == "sdpa"

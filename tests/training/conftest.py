"""Tiny real models and a tiny real tokenizer, made here: nothing is fetched."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

WORDS = """the film was good and the actors were bad . a question about numbers : what is two plus two ?
the answer is four . Decide whether the sentence is positive or negative .
Options : - positive - negative - neutral Answer : premise hypothesis entailment contradiction
Choose the right answer to the question . soil water food minerals plants use sunlight to make
apples cost three dollars each so ten apples cost thirty dollars #### 30 12 4 7 1,000"""

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(*, chat: bool = False) -> Any:
    """A byte-level BPE tokenizer like SmolLM2's, trained on a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(WORDS.splitlines(), trainer)
    end = "<|im_end|>" if chat else "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=end, pad_token=end)
    if chat:
        tokenizer.chat_template = CHAT
    return tokenizer


def make_model(kind: str = "llama", *, seed: int = 0, vocabulary: int = 400) -> Any:
    """A random decoder with two layers. kind: llama, qwen (biases, norms on q and k, tied head), or granite
    (logits scaled after the head)."""
    import numpy as np
    import torch
    import transformers

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
    }
    families = {
        "llama": ("LlamaConfig", {}),
        "qwen": ("Qwen3Config", {"attention_bias": True, "tie_word_embeddings": True}),
        "granite": ("GraniteConfig", {"logits_scaling": 4.0}),
    }
    name, extra = families[kind]
    torch.manual_seed(seed)
    if kind == "granite":
        shape.pop("head_dim")
    config = getattr(transformers, name)(**shape, **extra)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    # Drawn by NumPy, whose streams do not change with the versions of torch and transformers: recorded scores stay
    # true. Far wider than the usual 0.02, so that two prompts really give two answers.
    with torch.no_grad():
        for index, (name, weight) in enumerate(model.named_parameters()):
            drawn = np.random.default_rng([seed, index]).normal(0, 0.3, tuple(weight.shape))
            weight.copy_(torch.from_numpy(drawn / 3 + 1 if "norm" in name else drawn))
    return model


def make_datasets(folder: Path) -> dict[str, str]:
    """Three small datasets on disk, one per task type: name -> folder."""
    import json

    nouns = ("film", "plant", "soil", "question", "water", "number", "apples", "answer")

    def row(name: str, i: int) -> dict[str, Any]:
        a, b = nouns[i % 8], nouns[(3 * i + 1) % 8]
        if name == "mood":
            return {"text": f"the {a} was {'good' if i % 2 else 'bad'} {i}", "label": ("negative", "positive")[i % 2]}
        if name == "choice":
            return {"question": f"what is a {a} {i} ?", "options": [a, f"the {b}", "two plus two"], "answer": i % 3}
        return {"question": f"{i} plus {i % 5} ?", "answer": f"the {a} is #### {i + i % 5}"}

    specs = {
        "mood": "task_type: classification\ntext_fields: [text]\nlabel_field: label\n",
        "choice": "task_type: multiple_choice\ntext_fields: [question]\noptions_field: options\nanswer_field: answer\n",
        "sums": "task_type: generation\ntext_fields: [question]\nanswer_field: answer\nmetric: numeric_match\n",
    }
    for name, spec in specs.items():
        (folder / name).mkdir()
        (folder / name / "dataset.yaml").write_text(f"name: {name}\ninstruction: Answer.\n{spec}")
        for split, places in (("train", range(20)), ("test", range(50, 56))):
            lines = [json.dumps(row(name, i)) for i in places]
            (folder / name / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return {name: str(folder / name) for name in specs}


def make_base(folder: Path, tokenizer: Any) -> Path:
    """A saved tiny Llama with its tokenizer."""
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_plan(
    folder: Path,
    datasets: Sequence[str],
    base: Path,
    *,
    slots: int = 4,
    seeds: tuple[int, ...] = (0, 1),
    dtype: str = "auto",
    **training: Any,
) -> Any:
    """A planned pack of some datasets over a tiny base."""
    from traitcast.training.plan.planning import PlanSettings, plan
    from traitcast.training.plan.prompts import PromptSettings
    from traitcast.training.plan.recipe import ScoringSettings, TrainingSettings

    settings = PlanSettings(
        base=str(base),
        dtype=dtype,
        seeds=seeds,
        train_rows=12,
        test_rows=6,
        slots=slots,
        block_tokens=600,
        prompt=PromptSettings(max_prompt_tokens=100, max_answer_tokens=40),
        training=TrainingSettings(**{"rank": 2, "alpha": 4.0, "epochs": 1, "batch_rows": 4, **training}),
        scoring=ScoringSettings(max_new_tokens=12),
    )
    return plan(folder, list(datasets), settings)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """The same sums in the same order on every machine, and no fight over its cores."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    pytest.importorskip("transformers", reason="needs an extra: pip install 'traitcast[train]'")
    return make_tokenizer()


@pytest.fixture(scope="session")
def chat_tokenizer() -> Any:
    return make_tokenizer(chat=True)


@pytest.fixture(scope="session")
def model_maker() -> Callable[..., Any]:
    return make_model


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A saved tiny Llama with its tokenizer."""
    return make_base(tmp_path_factory.mktemp("base"), tokenizer)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three small datasets on disk, one per task type: name -> folder."""
    return make_datasets(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def plan_small(datasets: dict[str, str], base_folder: Path) -> Callable[..., Any]:
    """plan_small(folder, slots, **training settings): three datasets, two seeds, 21 cells over the tiny base."""

    def make(folder: Path, *, slots: int = 4, **training: Any) -> Any:
        return make_plan(folder, list(datasets.values()), base_folder, slots=slots, **training)

    return make


@pytest.fixture
def planned(plan_small: Callable[..., Any], tmp_path: Path) -> Any:
    """A small pack before its first run."""
    return plan_small(tmp_path / "m")

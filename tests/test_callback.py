"""The callback for trainers: a real one of transformers on a model of a few weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

transformers = pytest.importorskip("transformers", reason="needs an extra: pip install 'traitcast[train]'")
torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.callback import TraitcastCallback, _decoded  # noqa: E402
from traitcast.warehouse import errors  # noqa: E402

ROWS = [{"text": f"ticket {n} is about the cold water in the house", "label": "ab"[n % 2]} for n in range(40)]


@pytest.fixture
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({word for row in ROWS for word in f"{row['text']} {row['label']}".split()})
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[UNK]")


def train(folder: Path, tokenizer: Any, callback: TraitcastCallback) -> None:
    """One step on tokens: the loss is on the label alone."""
    from datasets import Dataset

    def tokens(row: dict[str, str]) -> dict[str, list[int]]:
        prompt, answer = tokenizer.encode(row["text"]), tokenizer.encode(row["label"])
        return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}

    rows = Dataset.from_list(ROWS).map(tokens, remove_columns=["text", "label"])
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(tokenizer), **size))
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=1, per_device_train_batch_size=2, report_to=[], save_strategy="no", use_cpu=True
    )
    collate = transformers.DataCollatorForSeq2Seq(tokenizer, padding=True)
    trainer = transformers.Trainer(
        model, arguments, data_collator=collate, train_dataset=rows, processing_class=tokenizer, callbacks=[callback]
    )
    trainer.train()


def test_a_trainer_s_tokens_become_a_profile_and_a_prediction(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[str, Any] = {}
    run = SimpleNamespace(summary=logged)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run))
    written: dict[str, Any] = {}
    mlflow = SimpleNamespace(
        active_run=lambda: run,
        log_dict=lambda value, file: written.update({file: value}),
        log_metrics=written.update,
    )
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    train(tmp_path, tokenizer, TraitcastCallback(targets=["sst2"], processes=1))
    profile = json.loads((tmp_path / "traitcast" / "profile.json").read_text())
    assert (profile["name"], profile["rows"], profile["task_type"]) == ("training_rows", 40, "generation")
    assert profile["traits"]["response_words_mean"] == 1, "the label is what is trained on"
    (prediction,) = json.loads((tmp_path / "traitcast" / "prediction.json").read_text())
    assert (prediction["source"], prediction["target"]) == ("training_rows", "sst2")
    assert logged["traitcast/gain/sst2"] == prediction["gain"]
    assert set(written) >= {"traitcast/profile.json", "traitcast/prediction.json", "traitcast/gain/sst2"}


def test_what_fails_is_a_warning_and_the_run_goes_on(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.warns(UserWarning, match="neither a file or folder here nor a hub id.*Training goes on without it"):
        train(tmp_path, tokenizer, TraitcastCallback("no/such/file.jsonl"))


def test_other_processes_do_nothing(tmp_path: Path) -> None:
    state = SimpleNamespace(is_world_process_zero=False)
    TraitcastCallback().on_train_begin(SimpleNamespace(output_dir=str(tmp_path)), state, None)
    assert list(tmp_path.iterdir()) == []


def test_a_trainer_without_readable_rows_says_what_to_do(tmp_path: Path) -> None:
    state, arguments = SimpleNamespace(is_world_process_zero=True), SimpleNamespace(output_dir=str(tmp_path))
    with pytest.warns(UserWarning, match="name them, TraitcastCallback"):
        TraitcastCallback().on_train_begin(arguments, state, None, train_dataloader=SimpleNamespace(dataset=[1, 2]))


@pytest.mark.parametrize("kind", ["list", "numpy", "torch"])
def test_labels_of_every_kind_part_prompt_and_response(tokenizer: Any, kind: str) -> None:
    from datasets import Dataset

    tokens = tokenizer.encode("ticket 1 is about the water a")
    rows = {
        "input_ids": [tokens, tokens],
        "labels": [[-100] * (len(tokens) - 1) + tokens[-1:], [-100] * len(tokens)],
    }
    dataset = Dataset.from_dict(rows).with_format(None if kind == "list" else kind)
    found, roles = _decoded(dataset, tokenizer)
    assert found == [{"prompt": "ticket 1 is about the water", "response": "a"}]
    assert roles == ("text=prompt answer=response",)


def test_a_dataset_that_trains_on_nothing_is_said(tokenizer: Any) -> None:
    from datasets import Dataset

    with pytest.raises(errors.UserError, match="every label is -100"):
        _decoded(Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[-100, -100]]}), tokenizer)

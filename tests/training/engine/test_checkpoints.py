"""Adapters on disk against peft: what it writes is read, what is not plain LoRA is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
peft = pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.engine import checkpoints  # noqa: E402
from traitcast.training.engine.lora import Bank  # noqa: E402
from traitcast.warehouse.errors import InputError  # noqa: E402

pytestmark = [
    # peft 0.21 asks transformers 5 for a property under its old name.
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    # peft 0.18 looks on the hub for a model that has no name.
    pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning"),
]

IDS = torch.arange(5, 17)[None]


def saved_by_peft(model: Any, folder: Path, **config: Any) -> Any:
    """A LoRA of peft with both matrices away from zero, saved; the model with it."""
    found = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **config)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.2, generator=generator)
    found.save_pretrained(folder)
    return found


@pytest.mark.parametrize("kind", ["llama", "qwen"])
@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"r": 4, "lora_alpha": 4, "target_modules": "all-linear"}, 1.0),
        ({"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]}, 1.5),
        ({"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "use_rslora": True}, 3.0),
    ],
)
def test_what_peft_writes_gives_its_logits(
    model_maker: Callable[..., Any], tmp_path: Path, kind: str, config: dict[str, Any], scale: float
) -> None:
    """Llama with a head of its own; Qwen with biases and an output head tied to the embeddings."""
    theirs = saved_by_peft(model_maker(kind), tmp_path, **config)
    with torch.no_grad():
        wanted = theirs(IDS).logits
    found = checkpoints.read(tmp_path)
    assert (found.rank, found.scale) == (4, scale)
    model = model_maker(kind)
    targets = config["target_modules"]
    bank = Bank(
        model, rank=4, scale=found.scale, targets=("all-linear",) if isinstance(targets, str) else targets, slots=1
    )
    for applied in (bank.merged, bank.kept_apart):
        with torch.no_grad(), applied(found.weights):
            torch.testing.assert_close(model(IDS).logits, wanted, rtol=1e-4, atol=1e-4)


def test_named_layers_survive_the_round_trip(model_maker: Callable[..., Any], tmp_path: Path) -> None:
    bank = Bank(model_maker(), rank=2, scale=1.5, targets=("q_proj", "up_proj"), slots=1)
    bank.master.normal_(generator=torch.Generator().manual_seed(0), std=0.2)
    weights = bank.weights(0)
    checkpoints.write(tmp_path / "a", weights, rank=2, alpha=3.0, base="x", targets=("q_proj", "up_proj"), extra={})
    theirs = peft.PeftModel.from_pretrained(model_maker(), tmp_path / "a").eval()
    with torch.no_grad(), bank.merged(weights):
        torch.testing.assert_close(theirs(IDS).logits, bank.model(IDS).logits, rtol=1e-4, atol=1e-4)


def test_what_is_no_plain_lora_is_refused(model_maker: Callable[..., Any], tmp_path: Path) -> None:
    saved_by_peft(model_maker(), tmp_path / "good", r=2, lora_alpha=4, target_modules=["q_proj"])
    written = json.loads((tmp_path / "good" / "adapter_config.json").read_text())

    def changed(content: object) -> Path:
        folder = tmp_path / "bad"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "good", folder)
        (folder / "adapter_config.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return folder

    assert checkpoints.read(changed({**written, "use_rslora": True})).scale == 4 / math.sqrt(2)
    for change, message in (
        ({**written, "use_dora": True}, "uses use_dora, which cannot be scored here"),
        ({**written, "rank_pattern": {"q_proj": 1}}, "uses rank_pattern"),
        ({**written, "bias": "all"}, r"is not a plain LoRA adapter \(peft_type 'LORA', bias 'all'\)"),
        ({**written, "peft_type": "IA3"}, "is not a plain LoRA adapter"),
        ({k: v for k, v in written.items() if k != "r"}, "lacks peft_type, r or lora_alpha"),
        ([], "lacks peft_type, r or lora_alpha"),
        ("{", "cannot read the adapter in .*; delete the folder and train it again"),
    ):
        with pytest.raises(InputError, match=message):
            checkpoints.read(changed(change))

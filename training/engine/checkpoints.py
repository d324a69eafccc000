"""Adapters on disk, as peft writes and reads them: adapter_model.safetensors and adapter_config.json.

Owns that format and its limits: plain LoRA without bias, per-layer ranks, DoRA or saved modules. A checkpoint folder
appears whole or not at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import read_small, replaced_folder

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_HIGHEST_RANK = 65_536
_UNSUPPORTED = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out", "lora_bias")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An adapter read back. weights: module name -> (A (r, in), B (out, r)) in float32; scale: alpha / r."""

    weights: dict[str, tuple[Tensor, Tensor]]
    rank: int
    scale: float
    config: Mapping[str, Any]


def write(
    folder: Path,
    weights: Mapping[str, tuple[Tensor, Tensor]],
    *,
    rank: int,
    alpha: float,
    base: str,
    targets: Sequence[str],
    extra: Mapping[str, Any],
) -> None:
    """Write a peft checkpoint; the folder appears whole or not at all. extra: stored as training.json."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, (a, b) in weights.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "inference_mode": True,
        # Full names: a reader would resolve "all-linear" again.
        "target_modules": sorted(weights) if tuple(targets) == ("all-linear",) else list(targets),
    }
    with replaced_folder(folder, cure="Free space, then run the same again.", error=InputError) as work:
        try:
            save_file(tensors, work / WEIGHTS, metadata={"format": "pt"})
        except SafetensorError as error:  # a full disk
            raise OSError(0, str(error)) from error
        (work / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True))
        (work / "training.json").write_text(json.dumps(extra, indent=1, sort_keys=True))


def read(folder: Path) -> Checkpoint:
    """Read a peft LoRA checkpoint. Raises InputError when it is missing, damaged or of another kind."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if (folder / CONFIG).is_file() and not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder} holds no {WEIGHTS}; pickled weights are not read: save them as safetensors first")
    try:
        config = json.loads(read_small(folder / CONFIG, "the configuration of an adapter", InputError))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise InputError(
            f"cannot read the adapter in {folder} ({error}); delete the folder and train it again"
        ) from error
    if not isinstance(config, dict) or not {"peft_type", "r", "lora_alpha"} <= set(config):
        raise InputError(f"{folder / CONFIG} lacks peft_type, r or lora_alpha: not the adapter_config.json of a LoRA")
    if config["peft_type"] != "LORA" or config.get("bias", "none") != "none":
        raise InputError(
            f"{folder} is not a plain LoRA adapter (peft_type {config['peft_type']!r}, bias {config.get('bias')!r})"
        )
    used = [key for key in _UNSUPPORTED if config.get(key)]
    if used:
        raise InputError(f"{folder} uses {', '.join(used)}, which cannot be scored here; only plain LoRA can")
    rank, alpha = config["r"], config["lora_alpha"]
    if not (type(rank) is int and 0 < rank <= _HIGHEST_RANK and type(alpha) in (int, float) and math.isfinite(alpha)):
        raise InputError(f"{folder / CONFIG}: r {rank!r} or lora_alpha {alpha!r} is not a rank and its scale")
    root = math.sqrt(rank) if config.get("use_rslora") else rank
    return Checkpoint(_pairs(tensors, folder), rank, float(alpha) / root, config)


def _pairs(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, part = key.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        if part not in ("A", "B") or not name:
            raise InputError(f"{folder} holds {key!r}, which is not a LoRA weight; only plain LoRA can be scored")
        found.setdefault(name, {})[part] = tensor.to(torch.float32)
    broken = [name for name, pair in found.items() if len(pair) != 2]
    if broken:
        raise InputError(f"{folder}: layer {broken[0]!r} lacks one of its two LoRA matrices; train it again")
    return {name: (pair["A"], pair["B"]) for name, pair in found.items()}

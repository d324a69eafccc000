"""The device of a run: which one, in what precision, how much memory it held. Imports torch only when called."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

from traitcast.training.plan.base_name import ANY
from traitcast.warehouse.errors import InputError, MissingExtraError

DEVICES = ("auto", "cpu", "cuda")


def choose(asked: str) -> str:
    """ "cpu" or "cuda"; auto takes cuda where torch sees one. On cuda, sums are made to come in one order.

    Raises InputError for a device that is unknown or not there, MissingExtraError without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch is not installed; run: pip install 'traitcast[train]'") from error
    if asked not in DEVICES:
        raise InputError(f"device {asked!r} is not one of {', '.join(DEVICES)}")
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda' was asked for and torch sees none; use --device cpu")
    if asked == "cpu" or not torch.cuda.is_available():
        return "cpu"
    # Must be set before the first cuBLAS call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling fresh tensors would cost a pass over memory each; everything here is written before it is read.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    return "cuda"


def precision(asked: str, device: str) -> str:
    """The precision of a run: the one asked for, or what "auto" and "any" mean on a device.

    auto: bfloat16 on an accelerator, float32 on a CPU. any: bfloat16 on a CPU too, if that is quick at it.
    """
    if asked not in ("auto", ANY):
        return asked
    return "bfloat16" if device == "cuda" or (asked == ANY and is_quick_at_bfloat16()) else "float32"


def is_quick_at_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 clearly faster than float32, by a measurement of about 50 ms.

    With AMX it is about twice as fast or more; without AVX512-BF16 several times slower. With AVX512-BF16 alone it
    depends: an AMD EPYC was 4.5 times as fast in products of matrices, an Intel Emerald Rapids half as fast.
    """
    import torch

    def seconds(dtype: torch.dtype) -> float:
        # Shapes of a small model; the best of several, since other jobs may hold the cores.
        left, right = torch.ones(256, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
        found = []
        for _ in range(12):
            began = time.perf_counter()
            torch.nn.functional.linear(left, right)
            found.append(time.perf_counter() - began)
        return min(found)

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def name(device: str) -> str:
    """The device as a person knows it, for the record of a run."""
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    return f"cpu {platform.machine()}"


def peak_bytes(device: str) -> int:
    """Most memory held so far: by the allocator of an accelerator, by the process on a CPU."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

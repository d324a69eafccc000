"""Plans, and with `run` measures, the pack of the tests: a random Llama of two layers, three datasets, 21 cells.

    python tests/training/tiny_pack.py FOLDER [run]

The pack is FOLDER/pack; its base model and datasets stay beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from conftest import make_base, make_datasets, make_plan, make_tokenizer  # noqa: E402


def main(folder: str, *then: str) -> None:
    """Make the pack, and run it where that is asked for."""
    import torch

    from traitcast.training.run import run

    torch.set_num_threads(1)
    root = Path(folder).resolve()
    for name in ("base", "datasets"):
        (root / name).mkdir(parents=True)
    base = make_base(root / "base", make_tokenizer())
    pack = make_plan(root / "pack", list(make_datasets(root / "datasets").values()), base)
    if then == ("run",):
        run(pack)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Models and adapters are read from safetensors and JSON only, and nothing of the project can read a pickle."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from traitcast.warehouse.errors import InputError

ROOT = Path(__file__).parents[2]
FOLDERS = ("warehouse", "profiler", "predictor", "training", "benchmarks", "examples", "docs")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
SOURCES += sorted((ROOT / "traitcast").glob("*.py"))
MODULES = frozenset(
    {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
)
# torch.load, numpy.load and their like take a file that may hold a pickle; safetensors' has another name.
LOADERS = frozenset({"torch.load", "torch.jit.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"})
UNSAFE = {"allow_pickle": True, "trust_remote_code": True, "weights_only": False, "use_safetensors": False}


def findings(source: str) -> Iterator[str]:
    """What a Python source uses that could run what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in MODULES:
                yield str(node.module)
            yield from (f"{node.module}.{n.name}" for n in node.names if f"{node.module}.{n.name}" in LOADERS)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in LOADERS or name in ("eval", "exec", "__import__"):
                yield name
            # A word that is not a constant could become the unsafe one.
            yield from (
                f"{word.arg}={ast.unparse(word.value)}"
                for word in node.keywords
                if word.arg in UNSAFE
                and not (isinstance(word.value, ast.Constant) and word.value.value is not UNSAFE[word.arg])
            )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_reads_pickles_or_runs_what_it_reads(path: Path) -> None:
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(p)",
        "from torch import load",
        "np.load(p)",
        "f(x, allow_pickle=True)",
        "f(x, trust_remote_code=flag)",
        "eval('1')",
    ],
)
def test_the_check_finds_what_it_looks_for(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors.index.json"])
def test_a_pickled_base_model_is_refused(tmp_path: Path, name: str) -> None:
    pytest.importorskip("transformers", reason="needs an extra: pip install 'traitcast[train]'")
    from traitcast.training.engine import base_model

    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / name).write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(InputError, match=r"holds no .safetensors file; pickled weights are not read: convert them"):
        base_model.load(str(tmp_path))


def test_a_pickled_adapter_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
    from traitcast.training.engine import checkpoints

    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}')
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(InputError, match=r"holds no adapter_model.safetensors; pickled weights are not read"):
        checkpoints.read(tmp_path)

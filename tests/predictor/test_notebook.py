"""The notebook in examples/ runs from top to bottom and shows tables and a plot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "which_source_first.ipynb"


@pytest.mark.slow
# The kernel's event loop and sockets are Jupyter's own; their deprecations are not ours to mend.
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs an extra: pip install 'traitcast[test]'")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    ranking, explanation, changed, quality = (
        shown(notebook, source) for source in ("rank(", "explain(", "whatif(", "evaluate")
    )
    assert "<th>novel</th>" in ranking
    assert "<svg" in explanation
    assert "correlation only" in changed
    assert "source_mean" in quality


def shown(notebook: Any, source: str) -> str:
    """HTML of the first cell that holds `source`."""
    cell = next(c for c in notebook.cells if c.cell_type == "code" and source in c.source)
    return "".join(output["data"].get("text/html", "") for output in cell.outputs if "data" in output)

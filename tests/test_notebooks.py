"""The notebooks run from top to bottom, and are stored without outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRITES = {
    "first_map": ("map.qml",),
    "what_a_map_is_worth": ("map.qml", "points.gpkg", "report.html", "run.json"),
    "find_it": ("map.tif", "hits.gpkg", "report.html", "run.json"),
}
"""Files that a notebook leaves."""


def cells_of(notebook: Any, kind: str) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    stored = cells_of(json.loads(path.read_text(encoding="utf-8")), "code")
    assert stored
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in stored)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel chooses the one that shows pictures
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(output.get("text", "") for cell in cells_of(notebook, "code") for output in cell["outputs"])
    pictures = [output for cell in cells_of(notebook, "code") for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert "of all pixels" in shown
    assert pictures
    (folder,) = tmp_path.glob(f"{path.stem.replace('_', '-')}-*")
    for name in WRITES[path.stem]:
        assert (folder / name).stat().st_size > 0

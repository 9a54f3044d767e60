"""The examples of the documentation run."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def first_example(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The first Python block of a page, as a module."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    name = "example_" + page.removesuffix(".md").replace("-", "_")
    (folder / f"{name}.py").write_text(re.findall(r"```python\n(.*?)```", text, flags=re.S)[0], encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def toy_file(path: Path) -> np.ndarray:
    values = np.random.default_rng(0).uniform(0.1, 0.6, (3, 7, 5)).astype(np.float32)
    path.write_bytes(b"TOYCUBE 7 5 860.0 550.0 670.0\n" + values.tobytes())
    return values


def test_the_reader_of_the_page_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit.errors import SceneError
    from hsikit.geo.grid import Window
    from hsikit.scene import read_window
    from hsikit.sensors.facts import Options

    reader, path = first_example("writing-a-reader.md", tmp_path, monkeypatch).ToyReader, tmp_path / "scene.toy"
    values = toy_file(path)
    assert reader.recognises(path, path.read_bytes()[:64])
    source = reader.open(path, Options())
    np.testing.assert_allclose(source.info.bands.wavelength, [550.0, 670.0, 860.0])
    np.testing.assert_array_equal(read_window(source, Window(2, 1, 3, 4)), values[[1, 2, 0], 2:5, 1:5])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SceneError, match=r"scene\.toy"):
        reader.open(path, Options())


@pytest.mark.parametrize("tile", [3, 64])
def test_the_method_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    from hsikit.engine.compute import compute
    from hsikit.sensors.facts import Options

    values = toy_file(tmp_path / "scene.toy")
    source = first_example("writing-a-reader.md", tmp_path, monkeypatch).ToyReader.open(tmp_path / "scene.toy", Options())
    job = first_example("writing-a-method.md", tmp_path, monkeypatch).Ndvi().bind({"cube": source.info})
    result = compute(job, {"cube": source}, tile=tile)
    np.testing.assert_allclose(result.layers["ndvi"][0], (values[0] - values[2]) / (values[0] + values[2]), rtol=1e-5)


def test_the_documentation_names_every_method() -> None:
    from hsikit.registry import METHODS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{entry.name}`" in readme for entry in METHODS)

"""MATLAB v5 files: SciPy's own answer for whole files, a refusal for damaged ones, whatever byte is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.errors import SceneError
from hsikit.sensors.mat5 import arrays_of, read_mat5

TYPES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
ARRAYS = {
    "cube": np.arange(60, dtype=np.float64).reshape(3, 4, 5) / 7, "one": np.array([[2.5]]), "none": np.zeros((0, 3)), "row": np.arange(9, dtype=np.int16)[None],
    **{f"t_{kind}": np.arange(6, dtype=kind).reshape(2, 3) for kind in TYPES},
}  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_of_every_class(tmp_path: Path, compressed: bool) -> None:
    skipped = {"cell": np.array([[1, "a"]], object), "record": {"x": 1.0}, "wave": np.array([[1 + 2j]])}
    scipy.io.savemat(tmp_path / "a.mat", {**ARRAYS, **skipped}, do_compression=compressed)
    found = read_mat5(tmp_path / "a.mat")
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    assert read_mat5(tmp_path / "a.mat", ["row"]).keys() == {"row"}
    assert {array.name: array.shape for array in arrays_of(tmp_path / "a.mat")}["cube"] == (3, 4, 5)


def test_text_comes_as_codes(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"names": np.array(["oak", "elm"])})
    assert ["".join(map(chr, row)) for row in read_mat5(tmp_path / "a.mat")["names"]] == ["oak", "elm"]


@given(seed=st.integers(0, 10**6), cut=st.booleans(), compressed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_damage_is_refused_or_harmless(tmp_path: Path, seed: int, cut: bool, compressed: bool) -> None:
    path, rng = tmp_path / "a.mat", np.random.default_rng(seed)
    scipy.io.savemat(path, ARRAYS, do_compression=compressed)
    data = bytearray(path.read_bytes())
    if cut:
        data = data[: rng.integers(len(data))]
    else:
        for place in rng.integers(0, len(data), rng.integers(1, 5)):
            data[place] = rng.integers(256)
    path.write_bytes(bytes(data))
    try:
        found = read_mat5(path)
    except SceneError as error:
        assert "a.mat" in str(error)
        return
    assert all(values.dtype.kind in "iuf" and values.ndim >= 2 for values in found.values())


def test_real_files_as_scipy_reads_them(shared_data: Path) -> None:
    for path in (shared_data / "libraries" / "USGS_1995_Library.mat", shared_data / "classification" / "muufl_class_demo.mat"):
        want, found = scipy.io.loadmat(path), read_mat5(path)
        assert found
        for name, values in found.items():
            if want[name].dtype.kind in "iufb":
                np.testing.assert_array_equal(values, want[name])

"""What JPL's NetCDF products share."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.products.jpl import FilledTable, LayerSource, gdal_transform, layer_type, radiance_scale

numbers = st.floats(-1e7, 1e7)


@given(st.lists(numbers, min_size=6, max_size=6))
def test_a_transform_is_gdals_as_array_and_as_text(six: list[float]) -> None:
    affine = Affine.from_gdal(*six)
    expected = tuple(affine)[:6] if affine.a * affine.e != affine.b * affine.d else None
    assert gdal_transform(np.array(six)) == expected
    assert gdal_transform(" ".join(map(repr, six))) == expected


@pytest.mark.parametrize("value", ["", "1 2 3 4 5", "1 2 3 4 5 6 7", "a b c d e f", "nan 1 0 0 0 1", np.array([]), np.zeros(6), None])
def test_what_is_no_transform(value: object) -> None:
    assert gdal_transform(value) is None


def test_a_table_with_two_marks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.array([[1, 0, -9999], [-3, 77, 2]], np.int32)
        file["y"] = np.array([[2, 0, -9999], [-1, 77, 1]], np.int32)
        file["x"].attrs["_FillValue"] = np.array([77], np.int32)
        file["y"].attrs["_FillValue"] = np.array([77], np.int32)
    table = FilledTable(Hdf5File(path), Grid((2, 3)), "x", "y", (2, 3)).read(Window(0, 0, 2, 3))
    assert table.cols.tolist() == [[0, -1, -1], [2, -1, 1]]
    assert table.rows.tolist() == [[1, -1, -1], [0, -1, 0]]
    assert table.infill.tolist() == [[False, False, False], [True, False, False]]


def test_layers_keep_whole_numbers_exact_and_their_own_fill(tmp_path: Path) -> None:
    path = tmp_path / "layers.h5"
    with h5py.File(path, "w") as file:
        file["count"] = np.array([[2**31 - 1, -1]], np.int32)
        file["share"] = np.array([[-9999, 0.25]], np.float32)
        file["count"].attrs["_FillValue"] = np.int32(-1)
    file = Hdf5File(path)
    names = ["count", "share"]
    claims = BandClaims(2, names=names, spectral=False)
    facts = FileFacts(str(path), "layers", Grid((1, 2)), layer_type(file, names), claims, files=(path,))
    source = LayerSource(layout(facts, Options()), file, names)
    values = source.read(Window(0, 0, 1, 2), np.array([0, 1])).values
    np.testing.assert_array_equal(values, [[[2**31 - 1, np.nan]], [[np.nan, 0.25]]])


def test_an_unknown_unit_of_radiance_needs_a_factor(tmp_path: Path) -> None:
    path = tmp_path / "unit.h5"
    with h5py.File(path, "w") as file:
        file["radiance"] = np.zeros((1, 1, 1))
        file["radiance"].attrs["units"] = "uW nm-1 cm-2 sr-1"
        file["counts"] = np.zeros((1, 1, 1))
    file = Hdf5File(path)
    assert radiance_scale(file, "radiance", None) == 10.0
    assert radiance_scale(file, "counts", 5.0) == 1.0
    with pytest.raises(SceneError, match="--scale"):
        radiance_scale(file, "counts", None)

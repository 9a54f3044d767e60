"""Indices of a scene: by hand from its bands, the same in any window, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from hsikit.convert import indices as module
from hsikit.convert.indices import index_source, write_indices
from hsikit.errors import OptionError, OutputError, SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.sensors.array import ArraySource
from tests.laws.scenes import NODATA, SCALE, TRANSFORM, as_source
from tests.products.geotiff import write_geotiff

NM = np.arange(420.0, 2451.0, 10.0)
STORED = np.random.default_rng(3).integers(200, 6000, (len(NM), 23, 17)).astype(np.int16)
STORED[:, 4, 5] = NODATA
STORED[30:36, 7, 8] = NODATA
WANTED = ["NDVI", "ratio = b842 / b665 - 1", "savi", "FAI", "(N - R)"]


def scene() -> ArraySource:
    return as_source(STORED, NM, TRANSFORM, "scene.tif")


def mean(low: float, high: float) -> np.ndarray:
    values = np.where(STORED == NODATA, np.nan, STORED * SCALE)[(low <= NM) & (high >= NM)]
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(0) / present.sum(0)


def test_values_are_those_of_the_bands_means() -> None:
    source = index_source(scene(), WANTED, {"L": 0.5})
    assert source.info.bands.names == ("NDVI", "ratio", "SAVI", "FAI", "(N - R)") and source.info.units == "1"
    n, r, s = mean(760, 900), mean(620, 690), mean(1550, 1750)
    lengths = {name: NM[(low <= NM) & (high >= NM)].mean() for name, low, high in (("N", 760, 900), ("R", 620, 690), ("S1", 1550, 1750))}
    near = [STORED[int(np.argmin(np.abs(NM - nm)))] * SCALE for nm in (842, 665)]
    fai = n - (r + (s - r) * (lengths["N"] - lengths["R"]) / (lengths["S1"] - lengths["R"]))
    want = np.stack([(n - r) / (n + r), near[0] / near[1] - 1, 1.5 * (n - r) / (n + r + 0.5), fai, n - r])
    want[:, STORED[0] == NODATA] = np.nan
    np.testing.assert_allclose(read_window(source, source.info.grid.whole), want, rtol=2e-4, atol=1e-5)


@given(row=st.integers(0, 22), col=st.integers(0, 16), rows=st.integers(1, 23), cols=st.integers(1, 17), seed=st.integers(0, 99))
def test_any_window_is_the_slice_of_the_whole(row: int, col: int, rows: int, cols: int, seed: int) -> None:
    source = index_source(scene(), WANTED)
    window = Window(row, col, rows, cols).intersect(source.info.grid.whole)
    bands = np.flatnonzero(np.random.default_rng(seed).random(len(WANTED)) < 0.6)
    whole = read_window(source, source.info.grid.whole)
    np.testing.assert_array_equal(read_window(source, window, bands), whole[(bands, *window.slices())])


def test_large_windows_are_read_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_window(index_source(scene(), WANTED), Window(0, 0, 23, 17))
    monkeypatch.setattr(module, "MOST_NUMBERS", 500)
    np.testing.assert_array_equal(read_window(index_source(scene(), WANTED), Window(0, 0, 23, 17)), whole)


def test_only_the_bands_that_are_needed_are_read() -> None:
    base, asked = scene(), []
    read = base.read
    base.read = lambda window, bands: asked.append(bands) or read(window, bands)  # type: ignore[method-assign]
    read_window(index_source(base, ["NDVI", "NDWI"]), Window(0, 0, 2, 2), np.array([0]))
    (bands,) = asked
    np.testing.assert_array_equal(NM[bands], NM[((NM >= 620) & (NM <= 690)) | ((NM >= 760) & (NM <= 900))])


def test_written_and_read_again(tmp_path: Path) -> None:
    made = scene()
    source = index_source(made, ["NDVI", "NDWI", "b842 / b665"])
    (path,) = write_indices(source, tmp_path / "out.tif")
    with rasterio.open(path) as found:
        assert found.descriptions == ("NDVI", "NDWI", "b842 / b665") and found.crs.to_epsg() == 32633 and found.dtypes[0] == "float32"
        np.testing.assert_array_equal(found.read(), read_window(source, made.info.grid.whole))
        assert found.tags()["formula_1"].startswith("NDVI = (N - R)/(N + R); N: 15 bands about 830 nm (100% of 760 to 900)")
    with pytest.raises(OutputError, match="--overwrite"):
        write_indices(source, path)
    before = path.read_bytes()
    write_indices(source, path, overwrite=True)
    assert path.read_bytes() == before
    for ending in (".zarr", ".hdr", ".nc"):
        assert write_indices(source, tmp_path / f"out{ending}")[0].exists()


def test_the_scene_itself_is_not_overwritten(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "scene.tif", STORED, NM, scale=SCALE, nodata=NODATA)
    with pytest.raises(OutputError, match="is the scene itself"):
        write_indices(index_source(open_source(path), ["NDVI"]), path, overwrite=True)


def test_quantity_is_looked_at() -> None:
    assert not index_source(scene(), ["NDVI"]).info.notices
    base = scene()
    base.info = base.info.with_(quantity="radiance")
    assert "made for reflectance, and the scene holds radiance" in index_source(base, ["NDVI"]).info.notices[-1]


def test_mistakes_are_named() -> None:
    base = scene()
    for wanted, values, error, words in (
        (["NDVY"], {}, OptionError, "Near are"), ([], {}, OptionError, "none is named"), (["NDVI", "ndvi"], {}, OptionError, "NDVI is named twice"),
        (["N + q"], {}, OptionError, "needs q, which no band"), (["VVVHR"], {}, OptionError, "needs VV"), (["NIRvP"], {}, OptionError, "Photosynthetically"),
        (["NDVI"], {"L": 1.0}, OptionError, "none of the indices has such a constant"), (["1 + 2"], {}, OptionError, "names no band"),
        (["SAVI"], {"L": "half"}, OptionError, "'half' is no number"),
        (["b300"], {}, WavelengthError, "no good band at 300"), (["x = N.real"], {}, OptionError, "an attribute"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            index_source(base, wanted, values)
    assert index_source(base, ["NIRvP"], {"PAR": 900.0}).indices[0].constants == {"PAR": 900.0}
    base.info = base.info.with_(bands=base.info.bands.take(np.array([0])))
    base.info.bands.wavelength[:] = np.nan
    with pytest.raises(SceneError, match="no wavelengths"):
        index_source(base, ["NDVI"])


def test_real_trees_are_green_and_real_water_is_wet(shared_data: Path) -> None:
    folder = shared_data / "classification" / "enmap_potsdam"
    found: dict[int, list[np.ndarray]] = {4: [], 6: [], 1: []}
    for tile in sorted((folder / "images").glob("*.tif")):
        source = open_source(tile, wavelengths=folder / "enmap_potsdam_srf.csv", scale=1e-4)
        values = read_window(index_source(source, ["NDVI", "MNDWI"]), source.info.grid.whole)
        with rasterio.open(folder / "labels" / tile.name) as labels:
            codes = labels.read(1)
        for code, parts in found.items():
            parts.append(values[:, codes == code])
    tree, water, roof = (np.nanmedian(np.concatenate(parts, axis=1), axis=1) for parts in found.values())
    assert tree[0] > 0.7 > 0.4 > roof[0] and water[1] > 0.9 > 0 > max(tree[1], roof[1])

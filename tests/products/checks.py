"""The conditions that every product is held to. Each returns "" where it holds, or why it does not apply, and asserts else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, SceneInfo, Source, read_window
from hsikit.sensors import open_source
from hsikit.sensors.describe import PROVENANCE
from hsikit.sensors.products import TELLS
from tests.products.case import Built

CORNER = 1e-6  # of a pixel
FORMATS = (".tif", ".zarr", ".hdr", ".nc")


def opened(built: Built) -> Source:
    return open_source(built.path, inspect=False, **built.options)


def values(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opens(built: Built, driver: str) -> str:
    source = opened(built)
    info = source.info
    assert info.driver == driver
    assert info.quantity == built.quantity
    assert info.sensor == built.sensor
    assert info.acquired.startswith(built.acquired)
    assert {key: info.attrs.get(key) for key in built.attrs} == dict(built.attrs)
    assert (len(info.bands), *info.grid.shape) == built.truth.shape
    source.close()
    return ""


def provenance(built: Built, driver: str) -> str:
    """All that the files tell of their making, and nothing else: what is read is what was written, field by field."""
    info = opened(built).info
    found = {key: info.attrs[key] for key in PROVENANCE if info.attrs.get(key)}
    assert found == {key: text for key, text in built.attrs.items() if key in PROVENANCE}
    assert bool(info.acquired) == bool(built.acquired)
    return ", ".join(tells(info)) or "tells nothing"


def tells(info: SceneInfo) -> list[str]:
    """The kinds of `TELLS` that a scene tells."""
    return [kind for kind, keys in TELLS.items() if any(info.attrs.get(key) for key in keys) or (kind == "time" and info.acquired)]


def wavelengths(built: Built, driver: str) -> str:
    bands = opened(built).info.bands
    np.testing.assert_allclose(bands.wavelength, built.wavelength, atol=2e-3)
    if built.fwhm is not None:
        np.testing.assert_allclose(bands.fwhm, built.fwhm, atol=2e-3)
    if built.good is not None:
        np.testing.assert_array_equal(bands.good, built.good)
    if built.names is not None:
        assert bands.names == built.names
    return "layers" if np.isnan(built.wavelength).all() else ""


def scale(built: Built, driver: str) -> str:
    found, known = values(opened(built)), np.isfinite(built.truth)
    assert known.any()
    largest = float(np.abs(built.truth[known]).max())
    np.testing.assert_allclose(found[known], built.truth[known], rtol=1e-5, atol=built.tolerance * largest)
    return ""


def fill(built: Built, driver: str) -> str:
    np.testing.assert_array_equal(np.isnan(values(opened(built))), np.isnan(built.truth))
    return "" if np.isnan(built.truth).any() else "none in it"


def quality(built: Built, driver: str) -> str:
    told = opened(built).info.quality
    if not built.quality:
        assert told is None
        return "none in it"
    assert told is not None
    assert set(told.flags) == set(built.quality)
    rows, cols = built.truth.shape[1:]
    flags = told.read(Window(0, 0, rows, cols))
    for flag, truth in built.quality.items():
        np.testing.assert_array_equal(flags & QUALITY_FLAGS[flag] != 0, truth, err_msg=flag)
    part = Window(rows // 3, cols // 4, rows - rows // 3, cols - cols // 4)
    np.testing.assert_array_equal(told.read(part), flags[part.slices()])
    return ""


def corner(built: Built, driver: str) -> str:
    info = opened(built).info
    if built.grid is not None:
        assert info.swath is None
        assert info.grid.crs == built.grid.crs
        size = max(built.grid.pixel_size)
        np.testing.assert_allclose(info.grid.transform, built.grid.transform, atol=CORNER * size)
        return ""
    assert not info.grid.georeferenced
    if built.longitude is None or built.latitude is None:
        assert info.swath is None
        return "no place in it"
    assert info.swath is not None
    assert info.swath.shape == built.longitude.shape
    whole = Window.whole(info.swath.shape)
    np.testing.assert_allclose(info.swath.locate(whole), (built.longitude, built.latitude), atol=1e-9)
    part = Window(1, 1, whole.rows - 1, whole.cols - 1)
    np.testing.assert_allclose(info.swath.locate(part), (built.longitude[1:, 1:], built.latitude[1:, 1:]), atol=1e-9)
    assert (info.swath.table is not None) == (built.table is not None)
    if info.swath.table is not None and built.table is not None:
        grid, rows, cols = built.table
        assert info.swath.table.grid.crs == grid.crs
        np.testing.assert_allclose(info.swath.table.grid.transform, grid.transform, atol=CORNER * max(grid.pixel_size))
        table = info.swath.table.read(grid.whole)
        np.testing.assert_array_equal(table.rows, rows)
        np.testing.assert_array_equal(table.cols, cols)
    return ""


def windows(built: Built, driver: str) -> str:
    source = opened(built)
    whole = values(source)
    count, rows, cols = whole.shape
    rng = np.random.default_rng(3)
    for _ in range(12):
        row, col = int(rng.integers(rows)), int(rng.integers(cols))
        window = Window(row, col, int(rng.integers(1, rows - row + 1)), int(rng.integers(1, cols - col + 1)))
        bands = np.sort(rng.choice(count, int(rng.integers(1, count + 1)), replace=False)).astype(np.intp)
        np.testing.assert_array_equal(read_window(source, window, bands), whole[(bands, *window.slices())])
    return ""


def survives(built: Built, driver: str) -> str:
    """Written and read again in every format; what one does not hold is said before it is written, and stands in the table."""
    from hsikit.convert.write import cube_layer, losses, write_scene
    from hsikit.writers import format_of

    source = opened(built)
    told, whole = source.info, values(source)
    lost: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in FORMATS:
            path = Path(folder) / f"{suffix[1:]}{suffix}"
            write_scene(source, path)
            again = open_source(path, inspect=False)
            np.testing.assert_array_equal(values(again), whole, err_msg=suffix)
            same_facts(told, again.info, suffix)
            for what in (*unplaced(told, again.info), *unflagged(told, again.info)):
                lost.setdefault(what, []).append(suffix)
            said = losses(told, format_of(path, cube_layer(told)))
            assert bool(said) == any(suffix in where for where in lost.values()), suffix
            again.close()
    return "; ".join(["yes", *(f"no {what} in {' and '.join(where)}" for what, where in lost.items())])


def same_facts(told: SceneInfo, found: SceneInfo, where: str) -> None:
    """Bands, units, grid, time and provenance of a scene that was written and read again."""
    for axis in ("wavelength", "fwhm"):
        np.testing.assert_allclose(getattr(found.bands, axis), getattr(told.bands, axis), atol=1e-3, err_msg=where)
    np.testing.assert_array_equal(found.bands.good, told.bands.good, err_msg=where)
    for fact in ("quantity", "units", "sensor", "acquired"):
        assert getattr(found, fact) == getattr(told, fact), (where, fact)
    assert found.bands.names == told.bands.names, where
    assert (found.grid.shape, found.grid.crs) == (told.grid.shape, told.grid.crs), where
    np.testing.assert_allclose(found.grid.transform, told.grid.transform, rtol=1e-9, err_msg=where)
    attrs = {key: told.attrs[key] for key in PROVENANCE if told.attrs.get(key)}
    if attrs.get("uncertainty", "").startswith("per pixel: --variable"):
        attrs["uncertainty"] += f" of {Path(told.name).name}"
    assert {key: found.attrs.get(key) for key in attrs} == attrs, where


def unplaced(told: SceneInfo, found: SceneInfo) -> list[str]:
    """What is lost of a swath's place; what is there is the same."""
    if told.swath is None or found.swath is None:
        assert told.swath is not None or found.swath is None
        return [] if told.swath is None else ["swath"]
    np.testing.assert_array_equal(found.swath.locate(Window.whole(found.swath.shape)), told.swath.locate(Window.whole(told.swath.shape)))
    assert (found.swath.table is None) == (told.swath.table is None)
    if told.swath.table is not None and found.swath.table is not None:
        assert found.swath.table.grid.crs == told.swath.table.grid.crs
        mine, true = (swath.table.read(swath.table.grid.whole) for swath in (found.swath, told.swath) if swath.table is not None)
        for field in ("rows", "cols", "infill"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(true, field), err_msg=field)
    return []


def unflagged(told: SceneInfo, found: SceneInfo) -> list[str]:
    """Whether flags are lost; what is there is the same, by the masks that `--mask` makes of them."""
    if told.quality is None or found.quality is None:
        assert told.quality is not None or found.quality is None
        return [] if told.quality is None else ["flags"]
    assert set(found.quality.flags) == set(told.quality.flags)
    np.testing.assert_array_equal(found.quality.read(found.grid.whole), told.quality.read(told.grid.whole))
    return []


CHECKS: dict[str, Callable[[Built, str], str]] = {
    "opens": opens, "provenance": provenance, "wavelengths": wavelengths, "scale": scale, "fill is NaN": fill, "quality": quality, "corner": corner,
    "windows": windows, "written and read in GeoTIFF, Zarr, ENVI, NetCDF": survives,
}  # fmt: skip

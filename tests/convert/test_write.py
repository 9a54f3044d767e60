"""A scene that was written and read again is the same scene, in every format."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsikit.convert import write
from hsikit.convert.write import cube_layer, losses, write_scene
from hsikit.errors import OptionError, OutputError, SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.swath import ArrayTable
from hsikit.scene import Raw, Source, read_window
from hsikit.sensors import open_source
from tests.convert.scenes import PLACES, positions, quality, scene

NAMES = ["c.tif", "c.zarr", "c.hdr", "c.nc"]


class Log:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.rows, self.total, self.notes = 0, 0, list[str]()

    def begin(self, plan: str, total: int, done: int) -> None:
        self.total = total

    def advance(self, stage: str, steps: int = 1) -> None:
        self.rows += steps

    def note(self, message: str) -> None:
        self.notes.append(message)


def assert_same(path: Path, source: Source) -> None:
    """The file holds the scene: pixels, place, axis, and what is known of it."""
    found, told = open_source(path, inspect=False), source.info
    try:
        info = found.info
        np.testing.assert_array_equal(read_window(found, info.grid.whole), read_window(source, told.grid.whole))
    finally:
        found.close()
    assert info.grid.shape == told.grid.shape and info.grid.crs == told.grid.crs
    np.testing.assert_allclose(info.grid.transform, told.grid.transform, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(info.bands.wavelength, told.bands.wavelength, rtol=1e-11)
    np.testing.assert_allclose(info.bands.fwhm, told.bands.fwhm, rtol=1e-11)
    if told.bands.good.any():  # a list that names every band is not believed
        np.testing.assert_array_equal(info.bands.good, told.bands.good)
    assert info.bands.names == told.bands.names
    assert (info.quantity, info.units, info.sensor, info.acquired) == (told.quantity, told.units, told.sensor, told.acquired)


@given(
    rows=st.integers(1, 24), cols=st.integers(1, 24), place=st.sampled_from(sorted(PLACES)), seed=st.integers(0, 1000),
    name=st.sampled_from(NAMES), quantity=st.sampled_from(["radiance", "surface_reflectance", "rrs", "dn"]),
    nm=st.lists(st.fractions(Fraction(380), Fraction(2500)), min_size=1, max_size=9, unique_by=lambda nm: round(float(nm), 2)),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_scene_survives_in_any_format(tmp_path: Path, rows: int, cols: int, place: str, seed: int, name: str, quantity: str, nm: list[Fraction]) -> None:
    source = scene(rows, cols, sorted(float(centre) for centre in nm), place, seed, quantity=quantity)
    write_scene(source, tmp_path / name, overwrite=True)
    assert_same(tmp_path / name, source)


@pytest.mark.parametrize("name", NAMES)
def test_written_twice_it_is_still_the_same(tmp_path: Path, name: str) -> None:
    source = scene(place="rotated")
    write_scene(source, tmp_path / name)
    once = open_source(tmp_path / name, inspect=False)
    write_scene(once, tmp_path / f"again.{name.partition('.')[2]}")
    assert_same(tmp_path / f"again.{name.partition('.')[2]}", source)
    once.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_product_says_of_its_making_goes_along(tmp_path: Path, name: str) -> None:
    source = scene()
    told = {"correction": "atmosphere, land mode = 2 (v1; b)", "minerals": "; ".join(f"{number} Goethite.{number}" for number in range(600))}
    dropped = {"AREA_OR_POINT": "Point", "missing_share": "0.1", "long": "x" * 20_000}
    source.info = replace(source.info, attrs={**source.info.attrs, **told, **dropped})
    write_scene(source, tmp_path / name, tags={"campaign": "spring"})
    found = open_source(tmp_path / name, inspect=False).info
    assert (found.attrs["processing_level"], found.attrs["sun_zenith"], found.attrs["campaign"]) == ("L2A", "52.1", "spring")
    assert {key: found.attrs[key] for key in told} == told
    assert "missing_share" not in found.attrs and "long" not in found.attrs
    assert found.grid.transform == source.info.grid.transform  # "Point" would move it by half a pixel


@pytest.mark.parametrize("name", ["c.zarr", "c.nc"])
def test_a_swath_keeps_its_positions(tmp_path: Path, name: str) -> None:
    source = scene(30, 17, place="swath")
    log = Log()
    write_scene(source, tmp_path / name, progress=log)
    found = open_source(tmp_path / name, inspect=False)
    assert found.info.swath is not None and found.info.swath.shape == (30, 17) and not found.info.grid.georeferenced
    for window in (Window(0, 0, 30, 17), Window(4, 3, 7, 9)):
        for mine, true in zip(found.info.swath.locate(window), positions(30, 17), strict=True):
            np.testing.assert_array_equal(mine, true[window.slices()])
    assert_same(tmp_path / name, source)
    assert not log.notes


@pytest.mark.parametrize("name", ["c.tif", "c.hdr"])
def test_a_format_without_positions_says_so(tmp_path: Path, name: str) -> None:
    log = Log()
    write_scene(scene(place="swath"), tmp_path / name, progress=log)
    assert len(log.notes) == 1 and "positions of a swath" in log.notes[0]
    assert open_source(tmp_path / name, inspect=False).info.swath is None


@pytest.mark.parametrize("name", ["c.zarr", "c.nc"])
@pytest.mark.parametrize("place", ["swath", "utm"])
def test_flags_of_quality_go_along(tmp_path: Path, name: str, place: str) -> None:
    flags = np.random.default_rng(0).integers(0, 4, (20, 15)).astype(np.uint8)
    write_scene(scene(20, 15, place=place, quality=quality(flags)), tmp_path / name)
    found = open_source(tmp_path / name, inspect=False).info.quality
    assert found is not None and found.flags == ("cloud", "shadow")
    for window in (Window(0, 0, 20, 15), Window(3, 2, 7, 5)):
        np.testing.assert_array_equal(found.read(window), flags[window.slices()])


@pytest.mark.parametrize("name", ["c.zarr", "c.nc"])
def test_a_lookup_table_goes_along(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(-1, 20, (31, 17)).astype(np.int32), rng.integers(0, 15, (31, 17)).astype(np.int32)
    cols[rows < 0] = -1
    infill = (rng.random((31, 17)) < 0.2) & (rows >= 0)
    table = ArrayTable(Grid((31, 17), (0.0005, 0.0, 13.0, 0.0, -0.0005, 52.0), "EPSG:4326"), rows, cols, infill)
    source = scene(20, 15, place="swath")
    source.info = source.info.with_(swath=replace(source.info.swath, table=table))
    write_scene(source, tmp_path / name)
    found = open_source(tmp_path / name, inspect=False).info.swath
    assert found is not None and found.table is not None and found.table.grid == table.grid
    for window in (Window(0, 0, 31, 17), Window(5, 3, 9, 11)):
        mine, true = found.table.read(window), table.read(window)
        for field in ("rows", "cols", "infill"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(true, field))


def test_what_is_lost_is_told() -> None:
    info = scene(3, 4, place="swath", quality=quality(np.zeros((3, 4), np.uint8))).info
    assert not losses(info, "netcdf") and not losses(info, "zarr") and not losses(scene().info, "envi")
    told = "this format holds no positions of a swath and no quality flags (cloud, shadow): the file has no georeference, and --mask cannot name them"
    assert losses(info, "envi") == losses(info, "gtiff") == [f"{told}; write .nc or .zarr, or orthorectify the scene"]
    flags = "this format holds no quality flags (cloud, shadow): --mask cannot name them; write .nc or .zarr"
    assert losses(info.with_(swath=None), "envi") == [flags]


@pytest.mark.parametrize("name", NAMES)
def test_where_the_uncertainty_is_stays_true(tmp_path: Path, name: str) -> None:
    source = scene()
    source.info = source.info.with_(name="far/EMIT_L2A.nc", attrs={**source.info.attrs, "uncertainty": "per pixel: --variable unc"})
    write_scene(source, tmp_path / name)
    once = open_source(tmp_path / name, inspect=False)
    write_scene(once, tmp_path / f"again.{name.partition('.')[2]}")
    again = open_source(tmp_path / f"again.{name.partition('.')[2]}", inspect=False)
    assert once.info.attrs["uncertainty"] == again.info.attrs["uncertainty"] == "per pixel: --variable unc of EMIT_L2A.nc"


@pytest.mark.parametrize("name", NAMES)
def test_unknown_widths_stay_unknown(tmp_path: Path, name: str) -> None:
    source = scene()
    for unknown in (2, slice(None)):
        source.info.bands.fwhm[unknown] = np.nan
        write_scene(source, tmp_path / name, overwrite=True)
        found = open_source(tmp_path / name, inspect=False).info
        np.testing.assert_allclose(found.bands.fwhm, source.info.bands.fwhm)
    assert not found.notices


class Blocks:
    """A scene in blocks of 16 rows that counts what is read."""

    def __init__(self) -> None:
        self._base = scene(50, 6)
        self.info, self.block, self.windows = self._base.info, (16, 4), list[Window]()

    def read(self, window: Window, bands: np.ndarray) -> Raw:
        self.windows.append(window)
        return self._base.read(window, bands)


@pytest.mark.parametrize(("kept", "reads"), [(10**6, 4), (0, 13)])
def test_strips_are_cut_from_rows_of_blocks(monkeypatch: pytest.MonkeyPatch, kept: int, reads: int) -> None:
    monkeypatch.setattr(write, "KEPT_BYTES", kept)
    source, whole = Blocks(), scene(50, 6)
    pixels = write.ScenePixels(source)
    found = np.concatenate([pixels.read(Window(row, 0, min(4, 50 - row), 6)) for row in range(0, 50, 4)], axis=1)
    np.testing.assert_array_equal(found, read_window(whole, whole.info.grid.whole))
    assert len(source.windows) == reads
    np.testing.assert_array_equal(pixels.read(Window(14, 1, 5, 3)), found[:, 14:19, 1:4])  # across two rows of blocks
    np.testing.assert_array_equal(pixels.read(Window(0, 2, 50, 3)), found[:, :, 2:5])


def test_progress_counts_every_row(tmp_path: Path) -> None:
    log = Log()
    assert write_scene(scene(37, 5), tmp_path / "c.img", progress=log) == [tmp_path / "c.img", tmp_path / "c.hdr"]
    assert log.rows == log.total == 37


def test_an_existing_output_is_refused_and_kept_where_the_scene_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "c.nc"
    write_scene(scene(), path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_scene(scene(), path)
    source = scene(seed=1)
    source._stored = broken  # type: ignore[method-assign]
    with pytest.raises(SceneError, match="truncated"):
        write_scene(source, path, overwrite=True)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    write_scene(scene(seed=1), path, overwrite=True)
    assert path.read_bytes() != before


def broken(*_: object) -> np.ndarray:
    raise SceneError("scene.dat", "is truncated")


@pytest.mark.parametrize("name", ["c.tif", "c.hdr", "c.zarr", "c.nc"])
def test_a_scene_is_not_written_over_itself(tmp_path: Path, name: str) -> None:
    write_scene(scene(), tmp_path / name)
    source = open_source(tmp_path / name, inspect=False)
    with pytest.raises(OutputError, match="is the scene itself"):
        write_scene(source, tmp_path / name, overwrite=True)
    if name == "c.hdr":
        with pytest.raises(OutputError, match="is the scene itself"):
            write_scene(source, tmp_path / "c.img", overwrite=True)
    assert_same(tmp_path / name, scene())


def test_leftovers_of_killed_writes_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    ended = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(ended, 0)
    dead, alive, other = (tmp_path / name for name in (f".c.tif.{ended}.abcdefgh", f".c.tif.{os.getpid()}.abcdefgh", f".d.tif.{ended}.abcdefgh"))
    for folder in (dead, alive, other):
        folder.mkdir()
    write_scene(scene(), tmp_path / "c.tif")
    assert sorted(tmp_path.iterdir()) == sorted([alive, other, tmp_path / "c.tif"])


def test_the_format_can_be_named(tmp_path: Path) -> None:
    write_scene(scene(), tmp_path / "cube.hdf", format="netcdf")
    assert (tmp_path / "cube.hdf").read_bytes().startswith(b"\x89HDF")
    with pytest.raises(OptionError, match="no such raster format"):
        write_scene(scene(), tmp_path / "cube.x", format="xyz")
    with pytest.raises(OutputError, match="no raster format ends in"):
        write_scene(scene(), tmp_path / "cube.x")


def test_equal_scenes_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        write_scene(scene(), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_the_layer_is_a_cube_in_physical_units() -> None:
    layer = cube_layer(scene(quantity="radiance").info)
    assert (layer.dtype, layer.unit, layer.bands, layer.name) == ("float32", "W m-2 sr-1 um-1", 7, "radiance") and np.isnan(layer.nodata)

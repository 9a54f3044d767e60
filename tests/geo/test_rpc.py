"""Rational polynomials against a camera's geometry, against GDAL, and against their own inverse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import fsolve

from hsikit.errors import GridError, OptionError, SceneError
from hsikit.geo.grid import Window
from hsikit.geo.rpc import rpc_from_mapping, rpc_from_text, rpc_swath
from tests.geo.cameras import COLS, HEIGHT, LAT, LON, ROWS, Camera, cubic

PIXEL = 10 / 100_000.0  # degrees


def some_pixels(count: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, ROWS - 1, count), rng.uniform(0, COLS - 1, count)


def plane_dem(path: Path, plane: tuple[float, float, float], middle: float = LON, crs: str = "EPSG:4326", hole: bool = False) -> Path:
    """A raster of a plane, which bilinear interpolation gives exactly."""
    import rasterio
    from rasterio.transform import from_origin

    size, step = 160, 0.0005
    left, top = middle - size * step / 2, LAT + size * step / 2
    row, col = np.mgrid[:size, :size] + 0.5
    values = plane[0] + plane[1] * (left + col * step - middle) + plane[2] * (top - row * step - LAT)
    values[70:90, 70:90] = -9999 if hole else values[70:90, 70:90]
    profile = {"width": size, "height": size, "count": 1, "dtype": "float64", "crs": crs, "transform": from_origin(left, top, step, step), "nodata": -9999}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=64, blockysize=64, **profile) as target:
        target.write(values, 1)
    return path


def test_ground_to_image_is_the_camera() -> None:
    rng = np.random.default_rng(0)
    lon, lat, height = LON + rng.uniform(-0.02, 0.02, 300), LAT + rng.uniform(-0.03, 0.03, 300), rng.uniform(0, 900, 300)
    for found, true in zip(Camera().polynomials().to_image(lon, lat, height), Camera().image(lon, lat, height), strict=True):
        np.testing.assert_allclose(found, true, atol=1e-6)


def test_all_twenty_terms_stand_where_gdal_has_them() -> None:
    from rasterio.rpc import RPC
    from rasterio.transform import RPCTransformer

    rng = np.random.default_rng(1)
    lon, lat, height = LON + rng.uniform(-0.02, 0.02, 50), LAT + rng.uniform(-0.03, 0.03, 50), rng.uniform(0, 900, 50)
    rows, cols = rpc_from_mapping(cubic(), "x").to_image(lon, lat, height)
    with RPCTransformer(RPC.from_gdal(cubic())) as gdal:
        down, across = gdal.rowcol(lon, lat, height, op=lambda value: value)
    # GDAL counts from the corner of the first pixel, RPC00B from its centre.
    np.testing.assert_allclose(rows, np.asarray(down) - 0.5, atol=1e-6)
    np.testing.assert_allclose(cols, np.asarray(across) - 0.5, atol=1e-6)


@given(
    east=st.floats(-4e5, 4e5), north=st.floats(-4e5, 4e5), base=st.floats(0, 900), slope=st.floats(-5000, 5000), tilt=st.floats(-5000, 5000),
)  # fmt: skip
@settings(max_examples=30)
def test_image_to_ground_is_where_the_ray_meets_a_plane(east: float, north: float, base: float, slope: float, tilt: float) -> None:
    camera, plane = Camera(east, north), (base, slope, tilt)
    rows, cols = some_pixels()
    lon, lat = camera.polynomials().to_ground(rows, cols, lambda lon, lat: base + slope * (lon - LON) + tilt * (lat - LAT))
    true = camera.ground(rows, cols, plane)
    np.testing.assert_allclose(lon, true[0], atol=1e-3 * PIXEL)
    np.testing.assert_allclose(lat, true[1], atol=1e-3 * PIXEL)


def test_ground_so_steep_that_whole_steps_do_not_settle() -> None:
    """A slope of 60 degrees that faces away from the camera, which stands 43 degrees off the vertical."""
    camera, slope = Camera(4e5, 4e5), -120_000.0
    rows, cols = some_pixels()
    lon, lat = camera.polynomials().to_ground(rows, cols, lambda lon, lat: HEIGHT + slope * (lon - LON) + slope * (lat - LAT))
    true = camera.ground(rows, cols, (HEIGHT, slope, slope))
    np.testing.assert_allclose(lon, true[0], atol=1e-3 * PIXEL)
    np.testing.assert_allclose(lat, true[1], atol=1e-3 * PIXEL)


@given(seed=st.integers(0, 1000), height=st.floats(0, 900))
def test_there_and_back_is_the_same_pixel(seed: int, height: float) -> None:
    rpc = rpc_from_mapping(cubic(seed), "x")
    rows, cols = some_pixels(50, seed)
    again = rpc.to_image(*rpc.to_ground(rows, cols, height), height)
    np.testing.assert_allclose(again, (rows, cols), atol=1e-3)


def test_a_general_solver_finds_the_same_points() -> None:
    rpc = rpc_from_mapping(cubic(), "x")
    rows, cols = some_pixels(5)
    lon, lat = rpc.to_ground(rows, cols, 123.0)
    for row, col, x, y in zip(rows, cols, lon, lat, strict=True):

        def short(point: np.ndarray, row: float = row, col: float = col) -> list[float]:
            found = rpc.to_image(point[:1], point[1:], 123.0)
            return [float(found[0][0] - row), float(found[1][0] - col)]

        np.testing.assert_allclose(fsolve(short, [LON, LAT], xtol=1e-11), (x, y), atol=1e-3 * PIXEL)


@pytest.mark.parametrize("crs", ["EPSG:4326", "utm"])
def test_a_swath_on_a_height_model(tmp_path: Path, crs: str) -> None:
    plane = (300.0, 4000.0, -3000.0)
    dem = plane_dem(tmp_path / "dem.tif", plane)
    if crs == "utm":  # resampled, so that it is the plane only nearly
        import rasterio.shutil
        from rasterio.vrt import WarpedVRT

        with rasterio.open(dem) as data, WarpedVRT(data, crs="EPSG:32633", resampling=rasterio.enums.Resampling.bilinear) as warped:
            rasterio.shutil.copy(warped, tmp_path / "utm.tif", driver="GTiff")
        dem = tmp_path / "utm.tif"
    swath, notice = rpc_swath(Camera().polynomials(), (ROWS, COLS), "scene.tif", dem)
    assert dem.name in notice and "above the ellipsoid" in notice
    for window in (Window(0, 0, ROWS, COLS), Window(150, 20, 7, 90)):
        rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end].astype(float)
        true = Camera().ground(rows.ravel(), cols.ravel(), plane)
        for found, expected in zip(swath.locate(window), true, strict=True):
            np.testing.assert_allclose(found.ravel(), expected, atol=(1e-3 if crs == "EPSG:4326" else 2e-2) * PIXEL)


def test_a_window_is_the_slice_of_the_whole_and_threads_do_not_meet(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    swath, _ = rpc_swath(rpc_from_mapping(cubic(), "x"), (ROWS, COLS), "x", plane_dem(tmp_path / "dem.tif", (300.0, 100.0, 50.0)))
    whole = swath.locate(Window(0, 0, ROWS, COLS))
    windows = [Window(row, col, 90, 70) for row in range(0, 300, 45) for col in range(0, 210, 35)]
    with ThreadPoolExecutor(4) as pool:
        for window, found in zip(windows, pool.map(swath.locate, windows), strict=True):
            np.testing.assert_allclose(found, [values[window.slices()] for values in whole], atol=1e-4 * PIXEL)


def test_a_constant_height_is_said_and_missing_heights_leave_pixels_without_a_place(tmp_path: Path) -> None:
    swath, notice = rpc_swath(Camera().polynomials(), (ROWS, COLS), "scene.tif")
    assert "--dem" in notice and f"{HEIGHT:g} m" in notice
    whole = Window(0, 0, ROWS, COLS)
    rows, cols = np.mgrid[:ROWS, :COLS].astype(float)
    np.testing.assert_allclose(swath.locate(whole)[0].ravel(), Camera().ground(rows.ravel(), cols.ravel(), (HEIGHT, 0, 0))[0], atol=1e-3 * PIXEL)
    holed, _ = rpc_swath(Camera().polynomials(), (ROWS, COLS), "scene.tif", plane_dem(tmp_path / "dem.tif", (HEIGHT, 0.0, 0.0), hole=True))
    lon, lat = holed.locate(whole)
    known = np.isfinite(lon)
    assert 0 < (~known).sum() < known.sum() and (np.isnan(lat) == ~known).all()
    np.testing.assert_allclose(lon[known], swath.locate(whole)[0][known], atol=1e-3 * PIXEL)


def test_the_date_line_lies_in_the_scene() -> None:
    camera = Camera(middle=179.995)
    rows, cols = some_pixels()
    lon, lat = camera.polynomials().to_ground(rows, cols, HEIGHT)
    true = camera.ground(rows, cols, (HEIGHT, 0, 0))
    assert lon.max() > 179.9 and lon.min() < -179.9
    np.testing.assert_allclose((lon - true[0] + 180) % 360 - 180, 0, atol=1e-3 * PIXEL)
    np.testing.assert_allclose(camera.polynomials().to_image(lon, lat, HEIGHT), (rows, cols), atol=1e-3)


def as_txt(told: dict[str, str]) -> str:
    """Lines of a `_RPC.TXT`."""
    lines = []
    for key, text in told.items():
        if key.endswith("COEFF"):
            lines += [f"{key}_{number}: {value}" for number, value in enumerate(text.split(), start=1)]
        else:
            unit = {"LINE": "pixels", "SAMP": "pixels", "HEIG": "meters"}.get(key[:4], "degrees")
            lines.append(f"{key}: {text} {unit}")
    return "\n".join(lines) + "\n"


def as_rpb(told: dict[str, str]) -> str:
    """A vendor's `.RPB`."""
    names = {"LINE": "line", "SAMP": "samp", "LAT": "lat", "LONG": "long", "HEIGHT": "height"}
    lines = ['satId = "WV02";', "SpecId = RPC00B;", "BEGIN_GROUP = IMAGE", "  errBias = 5.0;"]
    for key, text in told.items():
        parts = key.split("_")
        if parts[-1] == "COEFF":
            lines.append(f"  {names[parts[0]]}{parts[1].title()}Coef = (\n" + ",\n".join(f"      {value}" for value in text.split()) + ");")
        else:
            lines.append(f"  {names[parts[0]]}{ {'OFF': 'Offset', 'SCALE': 'Scale'}[parts[1]] } = {text};")
    return "\n".join([*lines, "END_GROUP = IMAGE", "END;"])


def as_xml_words(told: dict[str, str]) -> dict[str, str]:
    """Elements of a vendor's XML by name."""
    words = {}
    for key, text in told.items():
        parts = key.split("_")
        words["".join(parts[:2]) + "COEF" if parts[-1] == "COEFF" else parts[0] + {"OFF": "OFFSET", "SCALE": "SCALE"}[parts[1]]] = text
    return words


@pytest.mark.parametrize(
    "read", [lambda t: rpc_from_text(as_txt(t), "x"), lambda t: rpc_from_text(as_rpb(t), "x"), lambda t: rpc_from_mapping(as_xml_words(t), "x")]
)
def test_files_of_several_kinds_say_the_same(read: Any) -> None:
    told = cubic(3)
    mine, found = rpc_from_mapping(told, "x"), read(told)
    for name in ("offsets", "scales", "coefficients"):
        np.testing.assert_array_equal(getattr(found, name), getattr(mine, name))


@pytest.mark.parametrize(
    ("key", "text", "wrong"),
    [
        ("LINE_OFF", None, "lack lineoff"),
        ("LINE_OFF", "many", "no number"),
        ("LINE_NUM_COEFF", "1 2 3", "not twenty numbers"),
        ("LINE_NUM_COEFF", "x " * 20, "not twenty numbers"),
        ("SAMP_DEN_COEFF", None, "lack sampdencoeff1"),
        ("SAMP_DEN_COEFF", "0 " * 20, "denominators of zero"),
        ("LAT_SCALE", "0", "scales or denominators of zero"),
        ("HEIGHT_OFF", "nan", "not finite"),
    ],
)
def test_what_is_no_model_is_refused(key: str, text: str | None, wrong: str) -> None:
    told = {**Camera().mapping(), key: text}
    with pytest.raises(SceneError, match=wrong):
        rpc_from_mapping({name: value for name, value in told.items() if value is not None}, "scene.tif")


def test_height_models_that_cannot_be_used(tmp_path: Path) -> None:
    rpc = Camera().polynomials()
    with pytest.raises(OptionError, match="cannot be read as a raster"):
        rpc_swath(rpc, (ROWS, COLS), "x", tmp_path / "none.tif")
    with pytest.raises(GridError, match="no coordinate reference system"):
        rpc_swath(rpc, (ROWS, COLS), "x", plane_dem(tmp_path / "nocrs.tif", (1, 0, 0), crs=None))  # type: ignore[arg-type]
    with pytest.raises(GridError, match="does not cover x"):
        rpc_swath(rpc, (ROWS, COLS), "x", plane_dem(tmp_path / "far.tif", (1, 0, 0), middle=20.0))


def test_polynomials_that_place_nothing_are_refused() -> None:
    told = Camera().mapping()
    told["SAMP_NUM_COEFF"] = told["LINE_NUM_COEFF"]
    told["SAMP_DEN_COEFF"] = told["LINE_DEN_COEFF"]
    with pytest.raises(SceneError, match="do not place all of its corners"):
        rpc_swath(rpc_from_mapping(told, "x"), (ROWS, COLS), "x")

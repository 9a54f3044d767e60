"""ENVI scenes of JPL's spectrometers, with headers as the real windows of AVIRIS Classic, AVIRIS-NG and EMIT have them, and their side-cars."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from hsikit.geo.grid import Coefficients, Grid
from hsikit.sensors.products import SPECIFICATION
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.envi import write_envi

ROWS, COLS = 7, 5
UTM = ["UTM", "1.000", "1.000", "277811.628", "4483607.425", "3.1000000000e+00", "3.1000000000e+00", "13", "North", "WGS-84", "units=Meters"]
TURN = 53.0
LOC = {"band_names": ["Longitude (WGS-84)", "Latitude (WGS-84)", "Elevation (m)"], "wavelength": None, "wavelength_units": None}
IGM = {"band_names": ["IGM X", "IGM Y", "IGM Z"], "wavelength": None, "wavelength_units": None}
GLT = {"band_names": ["GLT Sample Lookup", "GLT Line Lookup"], "wavelength": None, "wavelength_units": None}
OBS = {"band_names": ["Path length (m)", "To-sensor azimuth (0 to 360 degrees cw from N)", "To-sensor zenith (0 to 90 degrees from zenith)",
                      "To-sun azimuth (0 to 360 degrees cw from N)", "To-sun zenith (0 to 90 degrees from zenith)", "Phase"],
       "wavelength": None, "wavelength_units": None}  # fmt: skip
OBSERVED = (4600.0, 98.5, 6.25, 161.0, 37.75, 40.0)
ANGLES = {"view_azimuth": "98.5000", "view_zenith": "6.2500", "sun_azimuth": "161.0000", "sun_zenith": "37.7500"}
"""Of the pixel in the middle of an observation; elsewhere its numbers are others."""


def rotated(size: float = 3.1, turn: float = TURN, left: float = 277811.628, top: float = 4483607.425) -> Coefficients:
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return (size * cos, size * sin, left, size * sin, -size * cos, top)


def centres(first: float, last: float, count: int) -> np.ndarray:
    return np.linspace(first, last, count).round(4)


def header(nm: np.ndarray, width: float, **fields: Any) -> dict[str, Any]:
    return {"wavelength": list(nm), "fwhm": [width] * len(nm), **fields}


def spectra(rng: np.random.Generator, bands: int, low: float, high: float) -> np.ndarray:
    return rng.uniform(low, high, (bands, ROWS, COLS)).astype(np.float32)


def positions() -> tuple[np.ndarray, np.ndarray]:
    """Map coordinates of pixel centres along a bent flight line, in UTM 13 N."""
    row, col = np.mgrid[0:ROWS, 0:COLS].astype(float)
    return 277811.6 + 3.1 * col + 0.7 * row + 0.05 * row**2, 4483607.4 - 3.1 * row + 0.4 * col


def degrees(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = Transformer.from_crs("EPSG:32613", "EPSG:4326", always_xy=True).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A lookup table as stored (columns, rows from 1, negative for infill), and what it means (rows, cols from 0, -1 for nothing)."""
    shape = (9, 8)
    rows, cols = rng.integers(0, ROWS, shape), rng.integers(0, COLS, shape)
    hole, infill = rng.random(shape) < 0.3, rng.random(shape) < 0.3
    sign = np.where(infill, -1, 1)
    stored_x, stored_y = (np.where(hole, 0, sign * (values + 1)).astype(np.int32) for values in (cols, rows))
    return stored_x, stored_y, np.where(hole, -1, rows), np.where(hole, -1, cols)


def write_table(path: Path, rng: np.random.Generator, map_info: list[str]) -> tuple[np.ndarray, np.ndarray]:
    x, y, rows, cols = table(rng)
    write_envi(path, np.stack([x, y]), interleave="bil", suffix="", map_info=map_info, **GLT)
    return rows, cols


def write_observation(path: Path, rng: np.random.Generator, **place: Any) -> None:
    layers = np.array(OBSERVED)[:, None, None] + rng.uniform(0.5, 2.0, (len(OBSERVED), ROWS, COLS))
    layers[:, ROWS // 2, COLS // 2] = OBSERVED
    write_envi(path, layers, "bil", suffix="", **{**OBS, **place})


def classic_radiance(folder: Path) -> Built:
    rng = np.random.default_rng(31)
    nm = centres(365.93, 2496.24, 40)
    stored = rng.integers(-20, 9000, (40, ROWS, COLS)).astype(np.int16)
    stored[:, 0, :2] = -9999
    gains = np.repeat([300.0, 600.0, 1200.0], [20, 10, 10])
    name = "f130411t01p00r11rdn_e_sc01_ort_img"
    map_info = [part.replace("3.1000000000e+00", "14.9") for part in UTM] + ["rotation=71"]
    write_envi(folder / f"{name}.hdr", stored, "bip", 1, suffix="", map_info=map_info, description="{AVIRIS orthocorrected calibrated radiance}",
               **header(nm, 9.7))  # fmt: skip
    (folder / "f130411t01p00r11rdn_e.gain").write_text("".join(f"{gain:12.4f} {band:5d}\n" for band, gain in enumerate(gains, 1)))
    write_observation(folder / "f130411t01p00r11rdn_e_sc01_ort_obs.hdr", rng, map_info=map_info)
    truth = np.where(stored == -9999, np.nan, 10.0 * stored / gains[:, None, None]).astype(np.float32)
    return Built(folder / name, truth, nm, np.full(40, 9.7), "radiance", "aviris-classic", Grid((ROWS, COLS), rotated(14.9, 71), "EPSG:32613"),
                 outside_water_vapour(nm), acquired="2013-04-11",
                 attrs={"product": "f130411t01p00r11", "processing_level": "L1B", "correction": "none", **ANGLES})  # fmt: skip


def ng_reflectance(folder: Path) -> Built:
    """As the real window of 2014: rotated, no ignore value, -0.005 outside the flight line."""
    rng = np.random.default_rng(32)
    nm = centres(346.2996, 2505.0364, 60)
    good = (nm > 380) & ~((nm > 1343) & (nm < 1433)) & ~((nm > 1774) & (nm < 1954))
    values = spectra(rng, 60, 0.0, 0.6)
    values[:, 2:4, 1] = np.float32(-0.005)
    name = "ang20140912t192359_corr_v1c_img"
    write_envi(folder / f"{name}.hdr", values, "bip", sensor_type="Unknown", bbl=list(good.astype(float)), correction_factors=[1.0] * 60,
               smoothing_factors=[1.0] * 60, map_info=[*UTM, f"rotation={TURN:.8f}"], description="{ Georeferenced Image built from input GLT.}",
               **header(nm, 5.6))  # fmt: skip
    write_observation(folder / "ang20140912t192359_obs.hdr", rng, lines=ROWS)
    write_envi(folder / "ang20140912t192359_obs_ort.hdr", np.zeros((6, 3, 3)), suffix="", **OBS)  # of another window
    truth = np.where(values == np.float32(-0.005), np.nan, values).astype(np.float32)
    return Built(folder / f"{name}.hdr", truth, nm, np.full(60, 5.6), "surface_reflectance", "aviris-ng", Grid((ROWS, COLS), rotated(), "EPSG:32613"),
                 good, acquired="2014-09-12T19:23:59Z",
                 attrs={"product": "ang20140912t192359", "processing_level": "L2A", "processor_version": "v1c", "correction": "ATREM", **ANGLES})  # fmt: skip


def _swath(folder: Path, line: str, nm: np.ndarray, seed: int) -> tuple[np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    values = spectra(rng, len(nm), 0.5, 20.0)
    values[:, 4, 2:4] = -9999
    write_envi(folder / f"{line}.hdr", values, "bil", suffix="", **header(nm, 5.6, data_ignore_value=-9999))
    return values, rng


def ng_radiance(folder: Path) -> Built:
    """On the sensor's grid, with LOC, GLT and OBS beside."""
    nm = centres(376.86, 2500.0, 30)
    name = "ang20140912t192359_rdn_v1_img"
    values, rng = _swath(folder, name, nm, 33)
    lon, lat = degrees(*positions())
    lon[0, 0] = lat[0, 0] = -9999
    write_envi(folder / "ang20140912t192359_rdn_v1_loc.hdr", np.stack([lon, lat, np.full(lon.shape, 1650.0)]), "bil", suffix="", **LOC)
    rows, cols = write_table(folder / "ang20140912t192359_rdn_v1_glt.hdr", rng, [*UTM, f"rotation={TURN:.8f}"])
    write_observation(folder / "ang20140912t192359_rdn_v1_obs.hdr", rng)
    lon[0, 0] = lat[0, 0] = np.nan
    truth = np.where(values == -9999, np.nan, 10 * values).astype(np.float32)
    return Built(folder / name, truth, nm, np.full(30, 5.6), "radiance", "aviris-ng", good=outside_water_vapour(nm), longitude=lon, latitude=lat,
                 table=(Grid((9, 8), rotated(), "EPSG:32613"), rows, cols), acquired="2014-09-12T19:23:59Z",
                 attrs={"product": "ang20140912t192359", "processing_level": "L1B", "processor_version": "v1", "correction": "none", **ANGLES,
                        "obs_file": "ang20140912t192359_rdn_v1_obs.hdr"})  # fmt: skip


def aviris_3_radiance(folder: Path) -> Built:
    """On the sensor's grid, with an IGM in UTM whose CRS only the GLT names."""
    nm = centres(390.0, 2500.0, 30)
    name = "AV320231008t163132_000_L1B_RDN_main"
    values, rng = _swath(folder, name, nm, 34)
    x, y = positions()
    write_observation(folder / "AV320231008t163132_000_L1B_ORT_main_OBS.hdr", rng)
    write_envi(folder / "AV320231008t163132_000_L1B_ORT_main_IGM.hdr", np.stack([x, y, np.full(x.shape, 5.0)]), "bip", suffix="", **IGM)
    rows, cols = write_table(folder / "AV320231008t163132_000_L1B_ORT_main_GLT.hdr", rng, UTM)
    lon, lat = degrees(x, y)
    truth = np.where(values == -9999, np.nan, 10 * values).astype(np.float32)
    return Built(folder / f"{name}.hdr", truth, nm, np.full(30, 5.6), "radiance", "", good=outside_water_vapour(nm), longitude=lon, latitude=lat,
                 table=(Grid((9, 8), (3.1, 0.0, 277811.628, 0.0, -3.1, 4483607.425), "EPSG:32613"), rows, cols), acquired="2023-10-08T16:31:32Z",
                 attrs={"product": "av320231008t163132", "processing_level": "L1B", "processor_version": "main", "correction": "none", **ANGLES})  # fmt: skip


def aviris_3_reflectance(folder: Path) -> Built:
    rng = np.random.default_rng(35)
    nm = centres(390.0, 2500.0, 50)
    values = spectra(rng, 50, 0.0, 0.7)
    values[:, :, 0] = -9999
    name = "AV320231008t163132_000_L2A_OE_main_RFL_ORT"
    write_envi(folder / f"{name}.hdr", values, "bil", suffix="", map_info=UTM, **header(nm, 7.5, data_ignore_value=-9999))
    truth = np.where(values == -9999, np.nan, values).astype(np.float32)
    grid = Grid((ROWS, COLS), (3.1, 0.0, 277811.628, 0.0, -3.1, 4483607.425), "EPSG:32613")
    beside = name.replace("RFL", "UNC")
    write_envi(folder / f"{beside}.hdr", np.abs(values) / 20, "bil", suffix="", map_info=UTM, **header(nm, 7.5, data_ignore_value=-9999))
    return Built(folder / name, truth, nm, np.full(50, 7.5), "surface_reflectance", "", grid, outside_water_vapour(nm), acquired="2023-10-08T16:31:32Z",
                 attrs={"product": "av320231008t163132", "processing_level": "L2A", "processor_version": "main", "correction": "atmospheric",
                        "uncertainty": f"per pixel: {beside}.hdr"})  # fmt: skip


def prism_radiance(folder: Path) -> Built:
    """With a lookup table alone: positions are those of the map pixels that show a measurement."""
    nm = centres(350.0, 1050.0, 25)
    name = "prm20160901t170000_rdn_v1_img"
    values, rng = _swath(folder, name, nm, 36)
    rows, cols = write_table(folder / "prm20160901t170000_rdn_v1_glt.hdr", rng, UTM)
    infill = table_infill(36)
    lon, lat = np.full((ROWS, COLS), np.nan), np.full((ROWS, COLS), np.nan)
    for row in range(ROWS):
        for col in range(COLS):
            where = np.argwhere((rows == row) & (cols == col) & ~infill)
            if len(where):
                down, across = where.mean(axis=0)
                lon[row, col], lat[row, col] = degrees(np.array(277811.628 + 3.1 * (across + 0.5)), np.array(4483607.425 - 3.1 * (down + 0.5)))
    truth = np.where(values == -9999, np.nan, 10 * values).astype(np.float32)
    return Built(folder / name, truth, nm, np.full(25, 5.6), "radiance", "", longitude=lon, latitude=lat,
                 table=(Grid((9, 8), (3.1, 0.0, 277811.628, 0.0, -3.1, 4483607.425), "EPSG:32613"), rows, cols), acquired="2016-09-01T17:00:00Z",
                 attrs={"product": "prm20160901t170000", "processing_level": "L1B", "processor_version": "v1", "correction": "none"})  # fmt: skip


def table_infill(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    spectra(rng, 25, 0.5, 20.0)
    x, y, *_ = table(rng)
    return np.asarray((x < 0) | (y < 0))


def emit_reflectance(folder: Path) -> Built:
    """As the real window: no word of what it holds but the bad bands, which hold -0.01."""
    rng = np.random.default_rng(37)
    nm = centres(381.0056, 2492.9238, 80)
    good = ~((nm > 1325) & (nm < 1435)) & ~((nm > 1770) & (nm < 1963))
    values = spectra(rng, 80, 0.0, 0.5)
    values[~good] = -0.01
    name = "emit20250324t221005_jpl_unmix_ex"
    write_envi(folder / f"{name}.hdr", values, "bil", suffix="", wavelength_units=None, bbl=list(good.astype(int)), description=f"{{\n{name}}}",
               band_names=[f"channel_{i}" for i in range(80)], **header(nm, 8.4, data_ignore_value=-9999))  # fmt: skip
    return Built(folder / name, values, nm, np.full(80, 8.4), "surface_reflectance", "emit", good=good, acquired="2025-03-24T22:10:05Z",
                 attrs={"product": "emit20250324t221005", "processing_level": "L2A", "correction": "atmospheric"})  # fmt: skip


def other_swath(folder: Path) -> Built:
    """A scene of no instrument known here, with an IGM in degrees."""
    rng = np.random.default_rng(38)
    nm = centres(400.0, 1000.0, 12)
    values = rng.integers(1, 900, (12, ROWS, COLS)).astype(np.float32)
    write_envi(folder / "plot_7_rd.hdr", values, "bil", suffix="", **header(nm, 3.0))
    lon, lat = degrees(*positions())
    write_envi(folder / "plot_7_rd_igm.hdr", np.stack([lon, lat, lon * 0]), "bsq", suffix="", **{**IGM, "band_names": ["Longitude", "Latitude", "Height"]})
    return Built(folder / "plot_7_rd", values, nm, np.full(12, 3.0), "dn", longitude=lon, latitude=lat)


def glt_layers(folder: Path) -> Built:
    rng = np.random.default_rng(39)
    x, y, *_ = table(rng)
    write_envi(folder / "ang20140912t192359_rdn_v1_glt.hdr", np.stack([x, y]), "bil", suffix="", map_info=UTM, **GLT)
    truth = np.stack([x, y]).astype(np.float32)
    truth[truth == 0] = np.nan
    return Built(folder / "ang20140912t192359_rdn_v1_glt", truth, np.full(2, np.nan), None, "dn", "",
                 Grid((9, 8), (3.1, 0.0, 277811.628, 0.0, -3.1, 4483607.425), "EPSG:32613"), names=("GLT Sample Lookup", "GLT Line Lookup"))  # fmt: skip


CASES = (
    Case("aviris-classic-l1", "aviris-classic-envi", classic_radiance, SPECIFICATION),
    Case("aviris-ng-l1", "aviris-ng-envi", ng_radiance, SPECIFICATION),
    Case("aviris-ng-l2", "aviris-ng-envi", ng_reflectance),
    Case("aviris-3-envi-l1", "aviris-3-envi", aviris_3_radiance),
    Case("aviris-3-envi-l2", "aviris-3-envi", aviris_3_reflectance),
    Case("prism-l1", "prism-envi", prism_radiance),
    Case("emit-envi-l2", "emit-envi", emit_reflectance),
    Case("envi-swath", "envi-swath", other_swath),
    Case("envi-glt", "envi-layers", glt_layers),
)

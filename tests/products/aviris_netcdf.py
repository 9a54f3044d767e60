"""AVIRIS-3 as NetCDF with the groups, names and attributes that ORNL DAAC's guides describe, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from rasterio.crs import CRS

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.netcdf import add_array, add_attributes

ROWS, COLS = 8, 6
FILL = -9999.0
WAVELENGTHS = np.array([389.9, 449.2, 553.0, 672.0, 865.2, 1243.6, 1392.0, 1658.3, 1866.1, 2202.8, 2492.6], np.float32)
FWHM = np.linspace(7.6, 8.3, len(WAVELENGTHS)).astype(np.float32)
GOOD = outside_water_vapour(WAVELENGTHS)
LEFT, TOP, STEP = 234567.5, 3801234.5, 3.1
ROOT = {"Conventions": "CF-1.6", "institution": "Jet Propulsion Laboratory", "instrument": "AVIRIS-3", "time_coverage_start": "2025-01-11T19:59:28Z"}
MADE = {"processor": "Jet Propulsion Laboratory"}
LAYERS = {"path_length": 4500.0, "to_sensor_azimuth": 310.5, "to_sensor_zenith": 7.25, "to_sun_azimuth": 160.5, "to_sun_zenith": 58.75}
ANGLES = {"view_azimuth": "310.5000", "view_zenith": "7.2500", "sun_azimuth": "160.5000", "sun_zenith": "58.7500"}
"""Of the pixel in the middle of an observation."""


def _open(path: Path, title: str, **root: object) -> h5py.File:
    file = h5py.File(path, "w")
    add_attributes(file, {**ROOT, "title": title, **root})
    add_array(file, "transverse_mercator", np.array(b"", "S1"), grid_mapping_name="transverse_mercator", spatial_ref=CRS.from_epsg(32611).to_wkt(),
              GeoTransform=f"{LEFT} {STEP} 0 {TOP} 0 {-STEP}")  # fmt: skip
    return file


def _add_spectra(file: h5py.File, group: str, values: np.ndarray, unit: str) -> None:
    add_array(file, f"{group}/wavelength", WAVELENGTHS, units="nm")
    add_array(file, f"{group}/fwhm", FWHM, units="nm")
    add_array(file, f"{group}/{group}", values, _FillValue=FILL, units=unit, grid_mapping="transverse_mercator")


def _add_map_axes(file: h5py.File, shape: tuple[int, int], prefix: str = "") -> None:
    add_array(file, f"{prefix}easting", LEFT + STEP * (np.arange(shape[1]) + 0.5), units="m")
    add_array(file, f"{prefix}northing", TOP - STEP * (np.arange(shape[0]) + 0.5), units="m")


def _sensor_grid(file: h5py.File, rng: np.random.Generator) -> dict[str, object]:
    """Adds places and a lookup table, some of whose pixels are put in from a neighbour; returns what a case says of them."""
    row, col = np.mgrid[:ROWS, :COLS]
    lon, lat = -119.9 + 3e-5 * col + 1e-5 * row, 34.3 - 3e-5 * row + rng.normal(0, 1e-7, row.shape)
    add_array(file, "lon", lon, _FillValue=FILL, units="degrees_east")
    add_array(file, "lat", lat, _FillValue=FILL, units="degrees_north")
    grid = Grid((11, 9), (STEP, 0.0, LEFT, 0.0, -STEP, TOP), "EPSG:32611")
    rows, cols = rng.integers(0, ROWS, grid.shape), rng.integers(0, COLS, grid.shape)
    nothing = rng.random(grid.shape) < 0.3
    rows[nothing] = cols[nothing] = -1
    sign = np.where(rng.random(grid.shape) < 0.2, -1, 1)
    add_array(file, "geolocation_lookup_table/line", (sign * (rows + 1)).astype(np.int32), _FillValue=0)
    add_array(file, "geolocation_lookup_table/sample", (sign * (cols + 1)).astype(np.int32), _FillValue=0)
    _add_map_axes(file, grid.shape, "geolocation_lookup_table/")
    return {"longitude": lon, "latitude": lat, "table": (grid, rows, cols)}


def radiance(folder: Path) -> Built:
    rng = np.random.default_rng(21)
    path = folder / "AV320250111t195928_000_L1B_RDN_f576f24d_RDN.nc"
    values = rng.uniform(0.02, 20, (len(WAVELENGTHS), ROWS, COLS)).astype(np.float32)
    values[:, rng.random((ROWS, COLS)) < 0.1] = FILL
    with _open(path, "AVIRIS-3 L1B Calibrated Radiance V001") as file:
        _add_spectra(file, "radiance", values, "uW nm-1 cm-2 sr-1")
        place = _sensor_grid(file, rng)
    truth = np.where(values == FILL, np.nan, 10 * values).astype(np.float32)
    return Built(path, truth, WAVELENGTHS.astype(float), FWHM.astype(float), "radiance", good=GOOD, acquired="2025-01-11T19:59:28Z",
                 attrs={**MADE, "product": "AVIRIS-3 L1B Calibrated Radiance V001", "processing_level": "L1B", "correction": "none"},
                 **place)  # type: ignore[arg-type]  # fmt: skip


def _on_map(path: Path, group: str, title: str, quantity: str, unit: str) -> Built:
    rng = np.random.default_rng(22)
    values = rng.uniform(0, 0.6, (len(WAVELENGTHS), ROWS, COLS)).astype(np.float32)
    values[:, rng.random((ROWS, COLS)) < 0.2] = FILL
    with _open(path, title) as file:
        _add_spectra(file, group, values, unit)
        _add_map_axes(file, (ROWS, COLS))
        add_array(file, "water_vapor/water_vapor", rng.uniform(0.5, 3, (ROWS, COLS)).astype(np.float32), _FillValue=FILL, units="cm")
    truth = np.where(values == FILL, np.nan, values).astype(np.float32)
    grid = Grid((ROWS, COLS), (STEP, 0.0, LEFT, 0.0, -STEP, TOP), "EPSG:32611")
    return Built(path, truth, WAVELENGTHS.astype(float), FWHM.astype(float), quantity, grid=grid, good=GOOD, acquired="2025-01-11T19:59:28Z",
                 attrs={**MADE, "product": title, "processing_level": "L2A"})  # fmt: skip


def reflectance(folder: Path) -> Built:
    built = _on_map(folder / "AV320250111t195928_000_L2A_OE_f576f24d_RFL_ORT.nc", "reflectance", "AVIRIS-3 L2A Surface Reflectance V001",
                    "surface_reflectance", "1")  # fmt: skip
    uncertainty(folder)
    observation(folder)
    built.attrs = {**built.attrs, **ANGLES, "correction": "ISOFIT (optimal estimation)", "uncertainty": "per pixel: --variable uncertainty"}
    return built


def uncertainty(folder: Path) -> Built:
    return _on_map(folder / "AV320250111t195928_000_L2A_OE_f576f24d_UNC_ORT.nc", "uncertainty", "AVIRIS-3 L2A Uncertainty V001", "dn", "1")


def observation(folder: Path) -> Built:
    rng = np.random.default_rng(23)
    path = folder / "AV320250111t195928_000_L1B_ORT_a1b2c3d4_OBS.nc"
    values = np.array(list(LAYERS.values()), np.float32)[:, None, None] + rng.uniform(-0.5, 0.5, (len(LAYERS), ROWS, COLS)).astype(np.float32)
    values[:, ROWS // 2, COLS // 2] = list(LAYERS.values())
    with _open(path, "AVIRIS-3 L1B Observation V001") as file:
        for name, layer in zip(LAYERS, values, strict=True):
            layer[0, 0] = FILL
            add_array(file, f"observation_parameters/{name}", layer, _FillValue=FILL)
        place = _sensor_grid(file, rng)
    truth = np.where(values == FILL, np.nan, values).astype(np.float32)
    attrs = {**MADE, **ANGLES, "product": "AVIRIS-3 L1B Observation V001", "processing_level": "L1B"}
    return Built(path, truth, np.full(len(LAYERS), np.nan), quantity="dn", names=tuple(LAYERS), acquired="2025-01-11T19:59:28Z", attrs=attrs,
                 **place)  # type: ignore[arg-type]  # fmt: skip


CASES = (
    Case("aviris-3-l1b-radiance-netcdf", "aviris-netcdf", radiance),
    Case("aviris-3-l2a-reflectance-netcdf", "aviris-netcdf", reflectance),
    Case("aviris-3-l2a-uncertainty-netcdf", "aviris-netcdf", uncertainty),
    Case("aviris-3-l1b-observation-netcdf", "aviris-netcdf", observation),
)

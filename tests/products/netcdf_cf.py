"""Tiny CF NetCDF-4 files, as other programs lay them out: any order of axes, packed or plain, on a map, as a swath, or without a place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pyproj import CRS

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case

ROWS, COLS = 11, 9
NM = np.array([443.0, 490.0, 560.0, 665.0, 865.0, 1610.0])
UTM = Grid((ROWS, COLS), (30.0, 0.0, 400_000.0, 0.0, -30.0, 5_800_000.0), "EPSG:32633")
DEGREES = Grid((ROWS, COLS), (0.01, 0.0, 13.0, 0.0, -0.02, 52.0), "EPSG:4326")


def put(item: h5py.HLObject, **attrs: Any) -> None:
    """Attributes as the NetCDF library writes them: text as characters of a fixed number."""
    item.attrs.update({name: np.bytes_(value.encode()) if isinstance(value, str) else value for name, value in attrs.items()})


def dimension(file: h5py.Group, name: str, values: Any, **attrs: Any) -> h5py.Dataset:
    """A dimension with its coordinate."""
    scale = file.create_dataset(name, data=values)
    scale.make_scale(name)
    put(scale, **attrs)
    return scale


def variable(file: h5py.Group, name: str, values: np.ndarray, dims: list[h5py.Dataset], **attrs: Any) -> h5py.Dataset:
    made = file.create_dataset(name, data=values, chunks=tuple(min(4, n) for n in values.shape), compression="gzip")
    for axis, scale in enumerate(dims):
        made.dims[axis].attach_scale(scale)
    put(made, **attrs)
    return made


def placeholder(file: h5py.Group, name: str, size: int) -> h5py.Dataset:
    scale = file.create_dataset(name, shape=(size,), dtype=">f4")
    scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
    return scale


def packed(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stored int16 (fill -32767, a second fill -32766, valid up to 20000), and the truth at scale 2e-4, offset -0.1."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 20_001, (len(NM), ROWS, COLS)).astype(np.int16)
    physical = (stored * 2e-4 - 0.1).astype(np.float32)
    for value, (row, col) in {-32767: (2, 3), -32766: (4, 4), 20_001: (5, 1), -1: (6, 7)}.items():
        stored[:, row, col] = value
        physical[:, row, col] = np.nan
    return stored, physical


def build_map(folder: Path) -> Built:
    """(y, x, band), packed, y ascending, UTM by crs_wkt, um, descending wavelengths, flags, a time."""
    stored, truth = packed()
    path = folder / "map.nc"
    x, y = 400_015.0 + 30 * np.arange(COLS), 5_799_985.0 - 30 * np.arange(ROWS)
    clouds = np.zeros((ROWS, COLS), bool)
    clouds[1, 2:5] = True
    water = np.zeros((ROWS, COLS), bool)
    water[8:, 3] = True
    with h5py.File(path, "w") as file:
        put(file, Conventions="CF-1.8", processing_level="L2A", title="reflectance")
        dims = [
            dimension(file, "y", y[::-1], standard_name="projection_y_coordinate", units="m"),
            dimension(file, "x", x, standard_name="projection_x_coordinate", units="m"),
            dimension(file, "bands", NM[::-1] / 1000, standard_name="radiation_wavelength", units="um"),
        ]
        dimension(file, "time", [6 * 3600.0], standard_name="time", units="seconds since 2024-05-06 00:00:00 UTC")
        variable(file, "fwhm", np.full(len(NM), 0.012), [dims[2]], units="um")
        put(file.create_dataset("crs", data=np.int32(0)), crs_wkt=CRS.from_epsg(32633).to_wkt())
        told = {"scale_factor": 2e-4, "add_offset": -0.1, "_FillValue": np.int16(-32767), "missing_value": np.int16([-32766])}
        variable(
            file, "surface_reflectance", stored[::-1, ::-1].transpose(1, 2, 0), dims, grid_mapping="crs: x y", valid_range=np.int16([0, 20_000]), units="1",
            long_name="surface reflectance", **told,
        )  # fmt: skip
        flags = {"flag_masks": np.uint8([1, 4, 8]), "flag_meanings": "cloud water sun_glint"}
        variable(file, "mask", (clouds * 1 + water * 4 + 8).astype(np.uint8)[::-1], dims[:2], **flags)
    return Built(
        path, truth, NM, fwhm=np.full(len(NM), 12.0), grid=UTM, quality={"cloud": clouds, "water": water}, acquired="2024-05-06T06:00:00Z",
        attrs={"processing_level": "L2A"},
    )  # fmt: skip


def build_geographic(folder: Path) -> Built:
    """(time, wavelength, lat, lon) of float32 with the default fill, longitudes from 0 to 360 and no grid mapping."""
    rng = np.random.default_rng(1)
    truth = rng.normal(50, 10, (len(NM), ROWS, COLS)).astype(np.float32)
    truth[:, 3] = np.nan
    path = folder / "geographic.nc"
    with h5py.File(path, "w") as file:
        put(file, time_coverage_start="2023-01-02T03:04:05Z")
        dims = [
            dimension(file, "time", [0.0], units="days since 2000-01-01"),
            dimension(file, "wavelength", NM, units="nm"),
            dimension(file, "lat", 51.99 - 0.02 * np.arange(ROWS), units="degrees_north"),
            dimension(file, "lon", 193.005 + 0.01 * np.arange(COLS), units="degrees_east"),
        ]
        stored = np.where(np.isnan(truth), np.float32(9.969209968386869e36), truth / np.float32(10))
        variable(file, "Lt", stored[np.newaxis], dims, units="uW/cm^2/nm/sr")
    grid = Grid((ROWS, COLS), (0.01, 0.0, 193.0 - 360.0, 0.0, -0.02, 52.0), "EPSG:4326")
    return Built(path, truth, NM, quantity="radiance", grid=grid, acquired="2023-01-02T03:04:05Z", tolerance=1e-5)


def build_swath(folder: Path) -> Built:
    """(band, downtrack, crosstrack) in a group, positions in another one with the axes turned, wavelengths in a third; unsigned in disguise."""
    rng = np.random.default_rng(2)
    stored = rng.integers(0, 60_000, (len(NM), ROWS, COLS)).astype(np.uint16)
    stored[:, 0, 5] = 65_535
    truth = np.where(stored == 65_535, np.nan, stored.astype(np.float32) * np.float32(1e-5)).astype(np.float32)
    row, col = np.mgrid[:ROWS, :COLS].astype(float)
    longitude, latitude = 179.5 + 0.1 * col, 60.0 - 0.1 * row + 0.01 * col
    longitude[10, 8] = latitude[10, 8] = np.nan
    path = folder / "swath.nc"
    with h5py.File(path, "w") as file:
        bands, down, across = placeholder(file, "bands", len(NM)), placeholder(file, "downtrack", ROWS), placeholder(file, "crosstrack", COLS)
        variable(file.create_group("sensor_band_parameters"), "wavelengths", NM, [bands], units="nanometers")
        place = file.create_group("location")
        for name, values in (("lon", longitude), ("lat", latitude)):
            variable(place, name, np.nan_to_num(values, nan=-9999.0).T, [across, down], _FillValue=-9999.0)
        data = file.create_group("observation")
        told = {"_Unsigned": "true", "_FillValue": np.int16(-1), "scale_factor": 1e-5, "units": "sr-1", "long_name": "remote-sensing reflectance"}
        variable(data, "Rrs", stored.view(np.int16), [bands, down, across], ancillary_variables="Rrs_unc", **told)
        variable(data, "Rrs_unc", stored, [bands, down, across], units="sr-1")
    return Built(path, truth, NM, quantity="rrs", longitude=longitude, latitude=latitude)


CASES = (
    Case("netcdf-cf-map", "netcdf", build_map),
    Case("netcdf-cf-geographic", "netcdf", build_geographic),
    Case("netcdf-cf-swath", "netcdf", build_swath),
)

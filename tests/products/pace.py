"""PACE OCI products with the groups, names, types and attributes of the published data structures, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.products.case import Built, Case, outside_water_vapour
from tests.products.netcdf import add_array, add_attributes

ROWS, COLS = 8, 6
FILL = -32767
BLUE = np.array([350.0, 412.5, 560.1, 597.5, 600.0, 602.5, 605.0], np.float32)
RED = np.array([599.5, 602.1, 604.6, 607.1, 665.0, 865.0, 894.6], np.float32)
SWIR = np.array([939.716, 1038.317, 1250.375, 1248.550, 1378.169, 1619.626, 1618.036, 2130.593, 2258.432], np.float32)
BANDPASS = np.array([45, 80, 30, 30, 15, 75, 75, 50, 75], np.float32)
HIGH_GAIN = {3: 2, 6: 5}
FLAGS = (
    "ATMFAIL LAND PRODWARN HIGLINT HILT HISATZEN COASTZ SPARE STRAYLIGHT CLDICE COCCOLITH TURBIDW HISOLZEN SPARE LOWLW CHLFAIL NAVWARN ABSAER CLDSHDSTL "
    "MAXAERITER MODGLINT CHLWARN ATMWARN SPARE SEAICE NAVFAIL FILTER SPARE BOWTIEDEL HIPOL PRODFAIL SPARE"
)
ROOT = {
    "instrument": "OCI", "platform": "PACE", "cdm_data_type": "swath", "project": "Ocean Biology Processing Group", "Conventions": "CF-1.8, ACDD-1.3",
    "time_coverage_start": "2025-11-11T13:52:58.132Z", "time_coverage_end": "2025-11-11T13:57:57.839Z", "processing_version": "3.0.1",
}  # fmt: skip


def _open(path: Path, places: str, rng: np.random.Generator, **root: object) -> tuple[h5py.File, np.ndarray, np.ndarray]:
    """A new file with its places, which cross the date line."""
    row, col = np.mgrid[:ROWS, :COLS]
    lon = (179.95 + 0.02 * col + 0.004 * row + rng.normal(0, 1e-4, row.shape) + 180) % 360 - 180
    lat = -40.0 + 0.012 * row - 0.003 * col
    file = h5py.File(path, "w")
    add_attributes(file, {**ROOT, "product_name": path.name, **root})
    stored = []
    for name, values, limit in (("longitude", lon, 180), ("latitude", lat, 90)):
        stored.append(values.astype(np.float32))
        add_array(file, f"{places}/{name}", stored[-1], _FillValue=FILL, valid_min=-limit, valid_max=limit)
    return file, stored[0].astype(float), stored[1].astype(float)


def _joined(blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Blue with red as the overlap is averaged: from all blue at its shorter end to all red at its longer one; then the rest of red."""
    low, high = float(RED[0]), float(BLUE[-1])
    out = []
    for centre, values in zip(BLUE.astype(float), blue, strict=True):
        if centre < low:
            out.append(values)
            continue
        share = (centre - low) / (high - low)
        other = np.array([[np.interp(centre, RED, red[:, i, j]) for j in range(COLS)] for i in range(ROWS)])
        out.append((1 - share) * values + share * other)
    return np.stack([*out, *red[high < RED]])


def level_1(folder: Path, overlap: str = "average") -> Built:
    rng = np.random.default_rng(11)
    path = folder / "PACE_OCI.20251111T135258.L1B.V3.nc"
    values = {name: rng.uniform(0.02, 1.1, (len(axis), ROWS, COLS)).astype(np.float32) for name, axis in (("blue", BLUE), ("red", RED), ("SWIR", SWIR))}
    hole = rng.random((ROWS, COLS)) < 0.1
    for stored in values.values():
        stored[:, hole] = FILL
    bits = {name: rng.choice([0, 1, 2], stored.shape, p=[0.87, 0.03, 0.1]).astype(np.uint8) for name, stored in values.items()}
    water = (rng.random((ROWS, COLS)) < 0.5).astype(np.uint8)
    file, lon, lat = _open(path, "geolocation_data", rng, title="PACE OCI Level-1B Data", processing_level="L1B", earth_sun_distance_correction=0.98)
    with file:
        for name, axis in (("blue", BLUE), ("red", RED), ("SWIR", SWIR)):
            add_array(file, f"sensor_band_parameters/{name}_wavelength", axis, _FillValue=FILL, units="nm")
            add_array(file, f"observation_data/rhot_{name}", values[name], _FillValue=FILL, long_name=f"Top of Atmosphere {name} Band Reflectance")
            add_array(file, f"observation_data/qual_{name}", bits[name], _FillValue=255)
        add_array(file, "sensor_band_parameters/SWIR_bandpass", BANDPASS, _FillValue=FILL, units="nm")
        add_array(file, "geolocation_data/watermask", water, _FillValue=255)
        for name, hundredths in (("solar_zenith", 4150), ("solar_azimuth", -12075), ("sensor_zenith", 2525), ("sensor_azimuth", 9850)):
            angles = np.full((ROWS, COLS), hundredths, np.int16)
            add_array(file, f"geolocation_data/{name}", angles, _FillValue=FILL, scale_factor=0.01, units="degrees")
    swir = values["SWIR"].copy()
    saturated = (bits["SWIR"][list(HIGH_GAIN)] & 1).any(axis=0)
    flagged = (bits["blue"] & 1).any(axis=0) | (bits["red"] & 1).any(axis=0) | (bits["SWIR"][[0, 1, 2, 4, 5, 7, 8]] & 1).any(axis=0)
    for high, standard in HIGH_GAIN.items():
        swir[high][saturated] = swir[standard][saturated]
    kept = [0, 1, 3, 4, 6, 7, 8]
    if overlap == "average":
        truth = np.concatenate([_joined(values["blue"].astype(float), values["red"].astype(float)), swir[kept]])
        axis = np.concatenate([BLUE, RED[BLUE[-1] < RED], SWIR[kept]]).astype(float)
        widths = np.concatenate([np.full(len(axis) - len(kept), 5.0), BANDPASS[kept]])
    else:
        both = np.concatenate([BLUE, RED, SWIR]).astype(float)
        order = np.argsort(both)
        truth, axis = np.concatenate([values["blue"], values["red"], values["SWIR"]])[order], both[order]
        widths = np.concatenate([np.full(len(BLUE) + len(RED), 5.0), BANDPASS])[order]
    truth = np.where(hole, np.nan, truth)
    return Built(
        path, truth.astype(np.float32), axis, widths, "toa_reflectance", "pace-oci", good=outside_water_vapour(axis), longitude=lon, latitude=lat,
        acquired="2025-11-11T13:52:58.132",
        quality={"saturated": flagged, "water": water == 1}, options={} if overlap == "average" else {"detector_overlap": overlap},
        attrs={"product": "PACE OCI Level-1B Data", "processing_level": "L1B", "product_version": "3.0.1", "processor": "OBPG", "processor_version": "3.0.1",
               "correction": "none", "sun_zenith": "41.5000", "sun_azimuth": "239.2500", "view_zenith": "25.2500", "view_azimuth": "98.5000"},
        tolerance=1e-6,
    )  # fmt: skip


def level_1_kept(folder: Path) -> Built:
    return level_1(folder, "keep")


def _level_2(folder: Path, suite: str, name: str, axis: np.ndarray, widths: np.ndarray, scale: float, offset: float) -> Built:
    rng = np.random.default_rng(12)
    path = folder / f"PACE_OCI.20251111T135258.L2.{suite}.V3_0.nc"
    stored = rng.integers(-20000, 20000, (ROWS, COLS, len(axis))).astype(np.int16)
    hole = rng.random((ROWS, COLS)) < 0.2
    stored[hole] = FILL
    names = FLAGS.split()
    told = {name: rng.random((ROWS, COLS)) < 0.2 for name in ("LAND", "HILT", "CLDICE", "CLDSHDSTL", "SEAICE", "NAVFAIL", "ATMFAIL")}
    bits = sum((told[flag].astype(np.int64) << names.index(flag) for flag in told), start=np.zeros((ROWS, COLS), np.int64))
    bits |= (rng.random((ROWS, COLS)) < 0.5).astype(np.int64) << 31  # the spare bit makes them negative
    file, lon, lat = _open(path, "navigation_data", rng, title=f"OCI Level-2 Data {suite}", processing_level="L2")
    masks = (np.uint32(1) << np.arange(32, dtype=np.uint32)).view(np.int32)
    with file:
        # `wavelength` lists all bands of the instrument, `wavelength_3d` those of the spectra.
        add_array(file, "sensor_band_parameters/wavelength", np.linspace(315, 2258, 286).astype(np.float32), units="nm")
        add_array(file, "sensor_band_parameters/wavelength_3d", axis, units="nm")
        numbers = {"_FillValue": FILL, "scale_factor": np.float32(scale), "add_offset": np.float32(offset)}
        add_array(file, f"geophysical_data/{name}", stored, **numbers)
        add_array(file, f"geophysical_data/{name}_unc", np.full(stored.shape, 300, np.int16), **numbers)
        add_array(file, "geophysical_data/aot_865", rng.integers(0, 900, (ROWS, COLS)).astype(np.int16), _FillValue=FILL, scale_factor=np.float32(1e-3))
        add_attributes(file.create_group("processing_control"), {"software_name": "l2gen", "software_version": "9.7.0"})
        add_array(file, "geophysical_data/l2_flags", bits.astype(np.uint32).view(np.int32), flag_meanings=FLAGS, flag_masks=masks)
    truth = np.where(stored == FILL, np.nan, stored * np.float64(np.float32(scale)) + np.float32(offset)).transpose(2, 0, 1)
    quality = {"cloud": told["CLDICE"], "shadow": told["CLDSHDSTL"], "snow": told["SEAICE"], "saturated": told["HILT"], "no-data": told["NAVFAIL"],
               "water": ~told["LAND"]}  # fmt: skip
    quantity = {"Rrs": "rrs", "rhos": "surface_reflectance"}[name]
    return Built(
        path, truth.astype(np.float32), axis.astype(float), widths, quantity, "pace-oci", good=outside_water_vapour(axis), longitude=lon, latitude=lat,
        quality=quality, acquired="2025-11-11T13:52:58.132",
        attrs={"product": f"OCI Level-2 Data {suite}", "processing_level": "L2", "product_version": "3.0.1", "processor": "OBPG l2gen",
               "processor_version": "9.7.0", "correction": "l2gen", "uncertainty": f"per pixel: --variable {name}_unc"},
    )  # fmt: skip


def apparent_optical_properties(folder: Path) -> Built:
    axis = np.array([346, 413, 490, 560, 665, 719], np.int32)
    return _level_2(folder, "OC_AOP", "Rrs", axis, np.full(6, 5.0), 2e-6, 0.05)


def surface_reflectance(folder: Path) -> Built:
    axis = np.array([346, 490, 665, 865, 1038, 1250, 1378, 1618, 2131, 2258], np.float32)
    return _level_2(folder, "SFREFL", "rhos", axis, np.array([5.0] * 4 + [80, 30, 15, 75, 50, 75]), 2e-5, 0.4)


CASES = (
    Case("pace-oci-l1b", "pace-l1b", level_1),
    Case("pace-oci-l1b-both-detectors-kept", "pace-l1b", level_1_kept),
    Case("pace-oci-l2-aop", "pace-l2", apparent_optical_properties),
    Case("pace-oci-l2-sfrefl", "pace-l2", surface_reflectance),
)

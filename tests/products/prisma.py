"""PRISMA products as ASI delivers them: names, types and attributes of four products of 2024-04-02, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from rasterio.warp import transform

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.detectors import Measured, joined

ROWS, COLS = 9, 7
NO_BAND = (0.0, 0.0)
VNIR = (NO_BAND, NO_BAND, NO_BAND, (977.3654, 12.912796), (967.0267, 12.94441), (956.2715, 13.463784), (944.6273, 13.277605), (934.11206, 12.754054),
        (859.97314, 13.1459), (674.46436, 11.838511), (550.9146, 10.017526), (482.54816, 8.908112), (406.9934, 11.352248))  # fmt: skip
SWIR = ((2497.1155, 9.728999), (2199.1353, 10.707573), (1868.1732, 11.465725), (1647.2316, 13.395136), (1394.754, 14.524817), (1240.2145, 14.525333),
        (979.224, 12.132591), (969.8449, 12.150509), (959.974, 12.200682), (951.4014, 11.012961), (943.3579, 10.941308), NO_BAND, NO_BAND)  # fmt: skip
SUN = 50.05, 163.4
SCALES = {"2B": ((-12.5, 310.0), (-3.25, 98.0)), "2C": ((-0.02, 1.16), (-0.01, 1.31)), "2D": ((-0.02, 1.16), (-0.01, 1.31))}
PAN_SCALES = {"2B": (124.61262512207031, 700.0), "2C": (0.3438299894332886, 1.0), "2D": (0.3438299894332886, 1.0)}
UPPER_LEFT = 547452.5, 5953067.5
PROCESSED = "2024-04-02T10:28:37.932000"


def _measured(bands: tuple[tuple[float, float], ...], values: np.ndarray) -> list[Measured]:
    return [(centre, width, values[i]) for i, (centre, width) in enumerate(bands) if centre]


def _numbers(rng: np.random.Generator, bands: tuple[tuple[float, float], ...], hole: np.ndarray) -> np.ndarray:
    """Stored numbers (bands, rows, cols); zeros in a hole, in bands that are none, and here and there."""
    values = rng.integers(1, 65535, (len(bands), ROWS, COLS)).astype(np.uint16)
    values[rng.random(values.shape) < 0.1] = 0
    values[[centre == 0 for centre, _ in bands]] = 0
    values[:, hole] = 0
    return values


def _positions(centres: bool) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Longitude and latitude of the map's pixel centres, and its grid."""
    east, north = np.meshgrid(UPPER_LEFT[0] + 30 * (np.arange(COLS) + 0.5), UPPER_LEFT[1] - 30 * (np.arange(ROWS) + 0.5))
    lon, lat = transform("EPSG:32632", "EPSG:4326", east.ravel().tolist(), north.ravel().tolist())
    return np.reshape(lon, (ROWS, COLS)), np.reshape(lat, (ROWS, COLS)), Grid((ROWS, COLS), (30.0, 0.0, UPPER_LEFT[0], 0.0, -30.0, UPPER_LEFT[1]), "EPSG:32632")


def _global_attributes(file: h5py.File, level: str, centres: bool) -> None:
    attrs = file.attrs
    for name, bands in (("Vnir", VNIR), ("Swir", SWIR)):
        attrs[f"List_Cw_{name}"] = np.array([centre for centre, _ in bands], np.float32)
        attrs[f"List_Fwhm_{name}"] = np.array([width for _, width in bands], np.float32)
        attrs[f"List_Cw_{name}_Flags"] = np.array([centre > 0 for centre, _ in bands], np.int32)
    attrs["Product_ID"] = np.bytes_(f"PRS_L{level}_STD")
    attrs["Product_Name"] = np.bytes_(f"PRS_L{level}_STD_20240402102837_20240402102842_0001.he5")
    attrs["Product_StartTime"] = np.bytes_(PROCESSED)
    attrs["Product_StopTime"] = np.bytes_("2024-04-02T10:28:42.237689")
    attrs["Processor_Name"] = np.bytes_("PRISMA L0-L1-L2 processor")
    attrs["Processor_Version"] = np.bytes_("04.01")
    attrs["Cloudy_pixels_percentage"] = np.float32(4.5)
    attrs["Sun_zenith_angle"], attrs["Sun_azimuth_angle"] = np.float32(SUN[0]), np.float32(SUN[1])
    if level == "1":
        for name in ("Vnir", "Swir", "Pan"):
            attrs[f"ScaleFactor_{name}"], attrs[f"Offset_{name}"] = np.float32(100), np.float32(0)
        return
    for name, (low, high) in zip(("Vnir", "Swir", "Pan"), (*SCALES[level], PAN_SCALES[level]), strict=True):
        attrs[f"L2Scale{name}Min"], attrs[f"L2Scale{name}Max"] = np.float32(low), np.float32(high)
    if level == "2D":
        inset = 15 if centres else 0
        attrs["Epsg_Code"] = np.uint32(32632)
        attrs["Projection_Name"] = np.bytes_("UTM")
        for corner in ("UL", "UR", "LL", "LR"):
            attrs[f"Product_{corner}corner_easting"] = np.float64(UPPER_LEFT[0] + (inset if corner[1] == "L" else 30 * COLS - inset))
            attrs[f"Product_{corner}corner_northing"] = np.float64(UPPER_LEFT[1] - (inset if corner[0] == "U" else 30 * ROWS - inset))


def _physical(stored: np.ndarray, level: str, detector: int, hole: np.ndarray) -> np.ndarray:
    if level == "1":
        values = stored / np.float64(100)
    else:
        low, high = (float(np.float32(limit)) for limit in SCALES[level][detector])
        values = low + stored.astype(float) * (high - low) / 65535
    return np.where(hole, np.nan, values)


def _attrs(level: str) -> dict[str, str]:
    corrected = {"1": "none", "2B": "atmosphere: radiance at the surface"}.get(level, "atmosphere")
    view = {} if level == "1" else {"view_zenith": "6.8750"}
    return {"product": f"PRS_L{level}_STD_20240402102837_20240402102842_0001.he5", "processing_level": f"L{level}", "processor": "PRISMA L0-L1-L2 processor",
            "processor_version": "04.01", "correction": corrected, "sun_zenith": "50.0500", "sun_azimuth": "163.4000", "cloud_cover": "4.5000",
            **view}  # fmt: skip


def product(folder: Path, level: str, centres: bool = True, keep: bool = False) -> Built:
    """A product; its extents are pixel centres or corners, its truth joined or not."""
    rng = np.random.default_rng(20 + len(level))
    hole = rng.random((ROWS, COLS)) < 0.12
    vnir, swir = _numbers(rng, VNIR, hole), _numbers(rng, SWIR, hole)
    dark = hole | ~vnir.any(axis=0)
    kind = "SAT" if level == "1" else "L2"
    saturated = 2 if level == "1" else 4
    errors = {name: rng.choice([0, 0, 0, 0, 0, 0, 1, saturated], values.shape, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.02, 0.02, 0.01]).astype(np.uint8)
              for name, values in (("VNIR", vnir), ("SWIR", swir))}  # fmt: skip
    over = sum(((errors[name] == saturated)[[centre > 0 for centre, _ in bands]].any(axis=0) for name, bands in (("VNIR", VNIR), ("SWIR", SWIR))),
               start=np.zeros((ROWS, COLS), bool))  # fmt: skip
    quality = {"saturated": over, "no-data": dark}
    if level == "2D":
        longitude, latitude, grid = _positions(centres)
        axes, flat = (1, 0, 2), (0, 1)
    else:
        down, across = np.meshgrid(np.arange(ROWS), np.arange(COLS), indexing="ij")
        latitude = (53.6 - 0.00027 * down - 0.00006 * across).astype(np.float32).astype(float)
        longitude = (10.1 - 0.0001 * down - 0.00045 * across).astype(np.float32).astype(float)
        grid, axes, flat = None, (2, 0, 1), (1, 0)
    path = folder / f"PRS_L{level}_STD_20240402102837_20240402102842_0001.he5"
    with h5py.File(path, "w") as file:
        _global_attributes(file, level, centres)
        hco, pco = (file.create_group(f"HDFEOS/SWATHS/PRS_L{level}_{name}") for name in ("HCO", "PCO"))
        for name, values in (("VNIR", vnir), ("SWIR", swir)):
            hco[f"Data Fields/{name}_Cube"] = values.transpose(axes)
            hco[f"Data Fields/{name}_PIXEL_{kind}_ERR_MATRIX"] = errors[name].transpose(axes)
        suffixes = ("_VNIR", "_SWIR") if level == "1" else ("",)
        for suffix in suffixes:
            shift = 0.001 if suffix == "_SWIR" else 0.0  # the SWIR looks elsewhere; the cubes are coregistered to the VNIR
            hco[f"Geolocation Fields/Latitude{suffix}"] = (latitude + shift).transpose(flat).astype(np.float32)
            hco[f"Geolocation Fields/Longitude{suffix}"] = (longitude + shift).transpose(flat).astype(np.float32)
        if level == "1":
            cloud = rng.choice([0, 1, 10, 255], (ROWS, COLS)).astype(np.uint8)
            cover = rng.choice([0, 1, 2, 3, 4, 5, 6, 10, 255], (ROWS, COLS)).astype(np.uint8)
            glint = rng.choice([0, 1], (ROWS, COLS)).astype(np.uint8)
            quality |= {"cloud": cloud == 1, "water": cover == 0, "snow": cover == 1}
            for name, values in (("Cloud", cloud), ("LandCover", cover), ("SunGlint", glint)):
                hco[f"Data Fields/{name}_Mask"] = values.T
        else:
            hco["Geometric Fields/Observing_Angle"] = np.full((ROWS, COLS), 6.875, np.float32).transpose(flat)
        _write_pan(pco, rng, level, kind, flat, latitude, longitude)
    one, two = _measured(VNIR, _physical(vnir, level, 0, dark)), _measured(SWIR, _physical(swir, level, 1, hole | ((swir == 0) & dark)))
    values, wavelength, width = joined(one, two, "keep" if keep else "average")
    return Built(
        path, values.astype(np.float32), wavelength, width, "surface_reflectance" if level in ("2C", "2D") else "radiance", "prisma", grid,
        outside_water_vapour(wavelength), None if grid else longitude, None if grid else latitude, quality=quality, acquired=PROCESSED[:19],
        attrs=_attrs(level), options={"detector_overlap": "keep"} if keep else {},
    )  # fmt: skip


def _write_pan(group: h5py.Group, rng: np.random.Generator, level: str, kind: str, flat: tuple[int, int], latitude: np.ndarray, longitude: np.ndarray) -> None:
    values = rng.integers(0, 65535, (6 * ROWS, 6 * COLS)).astype(np.uint16)
    values[:3] = 0
    group["Data Fields/Cube"] = values.transpose(flat)
    group[f"Data Fields/PIXEL_{kind}_ERR_MATRIX"] = np.zeros_like(values, np.uint8).transpose(flat)
    for name, known in (("Latitude", latitude), ("Longitude", longitude)):
        group[f"Geolocation Fields/{name}"] = np.repeat(np.repeat(known, 6, axis=0), 6, axis=1).transpose(flat).astype(np.float32)


def panchromatic(folder: Path, level: str) -> Built:
    """The same files, opened for their panchromatic image."""
    built = product(folder, level)
    with h5py.File(built.path) as file:
        stored = file[f"HDFEOS/SWATHS/PRS_L{level}_PCO/Data Fields/Cube"][()]
        place = [file[f"HDFEOS/SWATHS/PRS_L{level}_PCO/Geolocation Fields/{name}"][()].astype(float) for name in ("Longitude", "Latitude")]
    if level != "2D":
        stored, place = stored.T, [known.T for known in place]
    low, high = (0.0, 655.35) if level == "1" else (float(np.float32(limit)) for limit in PAN_SCALES[level])
    values = np.where(stored == 0, np.nan, low + stored * (high - low) / 65535)[np.newaxis]
    grid = Grid(stored.shape, (5.0, 0.0, UPPER_LEFT[0], 0.0, -5.0, UPPER_LEFT[1]), "EPSG:32632") if level == "2D" else None
    return Built(
        built.path, values.astype(np.float32), np.array([550.0]), np.array([300.0]), built.quantity, "prisma", grid, None, None if grid else place[0],
        None if grid else place[1], acquired=built.acquired, attrs=built.attrs, options={"role": "pan"}, tolerance=1e-5,
    )  # fmt: skip


CASES = (
    Case("prisma-l1", "prisma", lambda folder: product(folder, "1")),
    Case("prisma-l1-pan", "prisma", lambda folder: panchromatic(folder, "1")),
    Case("prisma-l2b", "prisma", lambda folder: product(folder, "2B")),
    Case("prisma-l2c", "prisma", lambda folder: product(folder, "2C", keep=True)),
    Case("prisma-l2d-centres", "prisma", lambda folder: product(folder, "2D")),
    Case("prisma-l2d-corners", "prisma", lambda folder: product(folder, "2D", centres=False)),
    Case("prisma-l2d-pan", "prisma", lambda folder: panchromatic(folder, "2D")),
)

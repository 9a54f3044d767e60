"""Tanager products with the groups, names, types and attributes of Planet's product specification, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case
from tests.products.netcdf import add_array

ROWS, COLS = 9, 7
FILL = -9999.0
WAVELENGTHS = np.array([376.44, 451.3, 551.2, 661.1, 865.8, 1240.7, 1380.5, 1650.2, 1870.4, 2200.9, 2499.0])
FWHM = np.linspace(5.2, 6.1, len(WAVELENGTHS))
GOOD = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1], np.uint8)
SCENE = "20241006_154116_92_4001"
LEFT, TOP, STEP = 570300.0, 3555450.0, 30.0
STRUCTURE = """GROUP=SwathStructure
END_GROUP=SwathStructure
GROUP=GridStructure
\tGROUP=GRID_1
\t\tGridName="HYP"
\t\tBand={bands}
\t\tXDim={cols}
\t\tYDim={rows}
\t\tUpperLeftPointMtrs=({left:.2f},{top:.2f})
\t\tLowerRightMtrs=({right:.2f},{bottom:.2f})
\t\tProjection=HE5_GCTP_UTM
\t\tZoneCode={zone}
\t\tSphereCode=12
\t\tPixelRegistration=HE5_HDFE_CORNER
\t\tGridOrigin=HE5_HDFE_GD_UL
\tEND_GROUP=GRID_1
END_GROUP=GridStructure
END
"""


def structure(zone: int = 13, rows: int = ROWS) -> str:
    right, bottom = LEFT + STEP * COLS, TOP - STEP * rows
    return STRUCTURE.format(bands=len(WAVELENGTHS), cols=COLS, rows=rows, left=LEFT, top=TOP, right=right, bottom=bottom, zone=zone)


def _write(path: Path, group: str, name: str, rng: np.random.Generator, values: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Writes the data fields; returns the truth and the flags."""
    fields = f"HDFEOS/{group}/HYP/Data Fields"
    flags = {flag: rng.random((ROWS, COLS)) < 0.2 for flag in ("cloud", "cirrus", "no-data")}
    flags["no-data"][ROWS // 2, COLS // 2] = False
    filled = flags["no-data"].copy()
    filled[1] = False  # a row in which the mask alone tells that there is nothing
    values[:, filled] = FILL
    with h5py.File(path, "w") as file:
        told = {"wavelengths": WAVELENGTHS, "fwhm": FWHM, "_FillValue": FILL}
        more = {"good_wavelengths": GOOD} if name == "surface_reflectance" else {"applied_radiometric_coefficients": np.ones(len(WAVELENGTHS))}
        add_array(file, f"{fields}/{name}", values, **told, **more)
        for mask, flag in (("beta_cloud_mask", "cloud"), ("beta_cirrus_mask", "cirrus"), ("nodata_pixels", "no-data")):
            add_array(file, f"{fields}/{mask}", flags[flag].astype(np.uint8))
        for angle, degrees in (("sun_zenith", 41.25), ("sun_azimuth", 152.5), ("sensor_zenith", 8.75), ("sensor_azimuth", 283.0)):
            add_array(file, f"{fields}/{angle}", np.full((ROWS, COLS), degrees, np.float32), _FillValue=FILL)
        file[f"HDFEOS/{group}/HYP"].attrs["strip_id"] = "20241006_154100_12_4001"
        if group == "GRIDS":
            file.create_dataset("HDFEOS INFORMATION/StructMetadata.0", data=np.bytes_(structure().encode()))
    return np.where(flags["no-data"], np.nan, values).astype(np.float32), flags


def _attrs(level: str, what: str) -> dict[str, str]:
    angles = {"sun_zenith": "41.2500", "sun_azimuth": "152.5000", "view_zenith": "8.7500", "view_azimuth": "283.0000"}
    return {"product": f"Tanager {level} {what}", "processing_level": level, "processor": "Planet", **angles, "strip": "20241006_154100_12_4001"}


def basic_radiance(folder: Path) -> Built:
    rng = np.random.default_rng(31)
    path = folder / f"{SCENE}_basic_radiance_hdf5.h5"
    truth, flags = _write(path, "SWATHS", "toa_radiance", rng, rng.uniform(0.1, 150, (len(WAVELENGTHS), ROWS, COLS)).astype(np.float32))
    row, col = np.mgrid[:ROWS, :COLS]
    lon, lat = -104.3 + 3e-4 * col + 5e-5 * row, 32.1 - 2.7e-4 * row
    with h5py.File(path, "r+") as file:
        places = "HDFEOS/SWATHS/HYP/Geolocation Fields"
        add_array(file, f"{places}/Longitude", lon, _FillValue=FILL)
        add_array(file, f"{places}/Latitude", lat, _FillValue=FILL)
        file[f"{places}/Time"] = 1728229276.92 + 0.005 * np.arange(ROWS)
        framing = '{"epsg_code": 32613, "rows": 12, "cols": 11, "geotransform": [570300.0, 30.0, 0.0, 3555450.0, 0.0, -30.0]}'
        file[places].attrs["Planet_Ortho_Framing"] = framing
    return Built(path, truth, WAVELENGTHS, FWHM, "radiance", good=GOOD == 1, longitude=lon, latitude=lat, quality=flags, acquired="2024-10-06T15:41:16.920",
                 attrs={**_attrs("basic", "toa radiance"), "correction": "none"})  # fmt: skip


def ortho_reflectance(folder: Path) -> Built:
    rng = np.random.default_rng(32)
    path = folder / f"{SCENE}_ortho_sr_hdf5.h5"
    truth, flags = _write(path, "GRIDS", "surface_reflectance", rng, rng.uniform(0, 0.7, (len(WAVELENGTHS), ROWS, COLS)).astype(np.float32))
    with h5py.File(path, "r+") as file:
        add_array(file, "HDFEOS/GRIDS/HYP/Data Fields/surface_reflectance_uncertainty", _uncertainty(truth), _FillValue=FILL)
    grid = Grid((ROWS, COLS), (STEP, 0.0, LEFT, 0.0, -STEP, TOP), "EPSG:32613")
    attrs = {**_attrs("ortho", "surface reflectance"), "correction": "ISOFIT (optimal estimation)",
             "uncertainty": "per pixel: --variable surface_reflectance_uncertainty"}  # fmt: skip
    return Built(path, truth, WAVELENGTHS, FWHM, "surface_reflectance", grid=grid, good=GOOD == 1, quality=flags, acquired="2024-10-06T15:41:16.92Z",
                 attrs=attrs)  # fmt: skip


def _uncertainty(truth: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(truth), FILL, truth / 20).astype(np.float32)


def ortho_uncertainty(folder: Path) -> Built:
    """The uncertainty of a reflectance, which has no attributes of its own but the fill value."""
    built = ortho_reflectance(folder)
    built.truth, built.quantity, built.options = (built.truth / 20).astype(np.float32), "dn", {"variable": "surface_reflectance_uncertainty"}
    built.attrs = _attrs("ortho", "surface reflectance uncertainty")
    return built


CASES = (
    Case("tanager-basic-radiance", "tanager", basic_radiance),
    Case("tanager-ortho-reflectance", "tanager", ortho_reflectance),
    Case("tanager-ortho-uncertainty", "tanager", ortho_uncertainty),
)

"""NEON AOP products with the groups, names and attributes that NEON's published lists of real files show, few pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case

ROWS, COLS, BANDS = 7, 6, 40
NM = np.linspace(381.667, 2511.895, BANDS).astype(np.float32).astype(float)
WINDOWS = ((1340.0, 1445.0), (1790.0, 1955.0))
GOOD = ~np.any([(low <= NM) & (high >= NM) for low, high in WINDOWS], axis=0)
GRID = Grid((ROWS, COLS), (1.0, 0.0, 290000.0, 0.0, -1.0, 5098000.0), "EPSG:32616")


def text(group: Any, name: str, value: str) -> None:
    group.create_dataset(name, data=np.bytes_(value))


def skeleton(file: h5py.File, site: str, product: str) -> Any:
    base = file.create_group(f"{site}/{product}")
    place = base.create_group("Metadata/Coordinate_System")
    text(place, "Map_Info", "UTM,  1.000,  1.000,       290000.00,       5098000.0,       1.000000,       1.000000,  16,  North,  WGS-84,  units=Meters, 0")
    text(place, "EPSG Code", "32616")
    text(place, "Proj4", "+proj=UTM +zone=16 +ellps=WGS84 +datum=WGS84 +units=m +no_defs")
    text(place, "Coordinate_System_String", 'PROJCS["WGS_1984_UTM_Zone_16N"]')
    spectral = base.create_group("Metadata/Spectral_Data")
    for name, values in (("Wavelength", NM), ("FWHM", np.full(BANDS, 5.9))):
        spectral.create_dataset(name, data=values.astype(np.float32))
        spectral[name].attrs["Units"] = np.bytes_("nanometers")
    return base


def reflectance(folder: Path, bidirectional: bool = True) -> Built:
    rng = np.random.default_rng(51)
    stored = rng.integers(-100, 9000, (ROWS, COLS, BANDS)).astype(np.int16)
    stored[0, :3] = -9999
    shade = rng.random((ROWS, COLS)) < 0.3
    name = "NEON_D05_LIRO_DP3_290000_5097000_bidirectional_reflectance.h5" if bidirectional else "NEON_D05_LIRO_DP1_20190409_172233_reflectance.h5"
    with h5py.File(folder / name, "w") as file:
        base = skeleton(file, "LIRO", "Reflectance")
        array = base.create_dataset("Reflectance_Data", data=stored, chunks=(4, 3, BANDS), compression="gzip")
        array.attrs.update({"Scale_Factor": 10000.0, "Data_Ignore_Value": -9999.0, "Dimension_Labels": np.bytes_("Line, Sample, Wavelength"),
                            "Units": np.bytes_("Unitless. Valid range 0-1.")})  # fmt: skip
        for window, limits in zip(("Band_Window_1_Nanometers", "Band_Window_2_Nanometers"), WINDOWS, strict=True):
            base.attrs[window] = np.array(limits, np.int64)
        for angle, degrees in (("zenith", 8.25), ("azimuth", 283.5)):  # the versions spell them differently
            name_of = f"to-sensor_{angle if bidirectional else angle.title()}_{'angle' if bidirectional else 'Angle'}"
            layer = base.create_dataset(f"Metadata/{name_of}", data=np.full((ROWS, COLS), degrees, np.float32))
            layer.attrs["Data_Ignore_Value"] = -9999.0
        images = base.create_group("Metadata/Ancillary_Imagery")
        images.create_dataset("Cast_Shadow", data=np.where(shade, 0, 1).astype(np.float32))
        images.create_dataset("Slope", data=rng.random((ROWS, COLS)).astype(np.float32))
        images["Slope"].attrs["Data_Ignore_Value"] = -9999.0
        if bidirectional:
            images.create_dataset("Acqusition_Date", data=np.full((ROWS, COLS), 20220623))
            for line in ("L004-1_20220623", "L005-1_20220617"):
                base.create_dataset(f"Metadata/Logs/{line}/Solar_Zenith_Angle", data=31.0)
        else:
            images.create_dataset("Weather_Quality_Indicator", data=np.zeros((ROWS, COLS, 3), np.uint8))
            base.create_dataset("Metadata/Logs/Solar_Zenith_Angle", data=31.25)
            base.create_dataset("Metadata/Logs/Solar_Azimuth_Angle", data=141.5)
    truth = np.where(stored == -9999, np.nan, stored / 10000).astype(np.float32).transpose(2, 0, 1)
    attrs = {"product": name.removesuffix(".h5"), "processor": "ATCOR", "view_zenith": "8.2500", "view_azimuth": "283.5000"}
    attrs |= (
        {"product_version": "002", "processing_level": "L3", "correction": "ATCOR, topography and BRDF (FlexBRDF)"}
        if bidirectional
        else {"product_version": "001", "processing_level": "L1", "correction": "ATCOR", "sun_zenith": "31.2500", "sun_azimuth": "141.5000"}
    )
    return Built(folder / name, truth, NM, np.full(BANDS, 5.9), "surface_reflectance", "neon", GRID, GOOD, quality={"shadow": shade},
                 acquired="" if bidirectional else "2019-04-09T17:22:33Z", attrs={**attrs, "site": "LIRO"})  # fmt: skip


def directional(folder: Path) -> Built:
    return reflectance(folder, False)


def radiance(folder: Path) -> Built:
    rng = np.random.default_rng(52)
    whole = rng.integers(0, 30, (ROWS, COLS, BANDS)).astype(np.uint8)
    decimal = rng.integers(0, 50000, (ROWS, COLS, BANDS)).astype(np.uint16)
    whole[5, 2:4], decimal[5, 2:4] = 255, 65535
    path = folder / "NEON_D05_LIRO_DP1_20190409_172233_radiance.h5"
    with h5py.File(path, "w") as file:
        base = skeleton(file, "LIRO", "Radiance")
        for name, values, fill in (("RadianceIntegerPart", whole, 255.0), ("RadianceDecimalPart", decimal, 65535.0)):
            array = base.create_dataset(name, data=values, chunks=(4, 3, BANDS))
            array.attrs.update({"Data_Ignore_Value": fill, "Units": np.bytes_("microwatts/cm^2/nm/sr")})
        base["RadianceDecimalPart"].attrs["Scale"] = 50000.0
        base.create_dataset("Metadata/Ancillary_Rasters/GLT_Data", data=np.ones((ROWS, COLS, 2), np.int32))
    values = 10 * (whole.astype(float) + decimal / 50000)
    truth = np.where(whole == 255, np.nan, values).astype(np.float32).transpose(2, 0, 1)
    return Built(path, truth, NM, np.full(BANDS, 5.9), "radiance", "neon", GRID, GOOD, acquired="2019-04-09T17:22:33Z",
                 attrs={"product": path.stem, "processing_level": "L1", "correction": "none", "site": "LIRO"})  # fmt: skip


CASES = (
    Case("neon-reflectance-002", "neon", reflectance),
    Case("neon-reflectance-001", "neon", directional),
    Case("neon-radiance", "neon", radiance),
)

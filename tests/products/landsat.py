"""Landsat products with the files and metadata that USGS delivers, few pixels."""

from __future__ import annotations

import math
import tarfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from hsikit.sensors.products import SPECIFICATION
from tests.products.case import Built, Case

ROWS, COLS = 9, 7
TRANSFORM = Affine(30.0, 0.0, 399585.0, 0.0, -30.0, 5000415.0)
OLI = {"1": (442.98, 16.0), "2": (482.59, 60.0), "3": (561.33, 58.0), "4": (654.61, 38.0), "5": (864.57, 28.0), "9": (1373.43, 20.39),
       "6": (1609.09, 85.0), "7": (2201.25, 187.0)}  # fmt: skip
OLI_2 = {"1": (442.76, 15.45), "2": (482.30, 59.88), "3": (560.92, 56.29), "4": (654.30, 36.71), "5": (864.61, 28.71), "9": (1373.43, 20.39),
         "6": (1608.38, 86.09), "7": (2201.05, 189.47)}  # fmt: skip
TM = {"1": (486.00, 66.16), "2": (571.23, 80.59), "3": (659.85, 68.70), "4": (839.33, 129.13), "5": (1677.59, 216.96), "7": (2217.00, 250.19)}
ETM = {"1": (478.71, 72.65), "2": (561.04, 81.38), "3": (661.44, 61.41), "4": (834.57, 126.39), "5": (1650.24, 201.07), "7": (2208.11, 281.15)}
FAMILIES = {"8": ("LC08", "OLI_TIRS", OLI), "9": ("LC09", "OLI_TIRS", OLI_2), "7": ("LE07", "ETM", ETM), "5": ("LT05", "TM", TM)}
SUN = 52.5


def _write(path: Path, values: np.ndarray) -> None:
    with rasterio.open(path, "w", driver="GTiff", height=ROWS, width=COLS, count=1, dtype=values.dtype, crs="EPSG:32632", transform=TRANSFORM) as file:
        file.write(values, 1)


def _mtl(path: Path, groups: dict[str, dict[str, object]]) -> None:
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, fields in groups.items():
        lines.append(f"  GROUP = {name}")
        lines += [f"    {key} = {value}" if isinstance(value, float | int) else f'    {key} = "{value}"' for key, value in fields.items()]
        lines.append(f"  END_GROUP = {name}")
    path.write_text("\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""]))


def _quality(rng: np.random.Generator, oli: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    known = ("cloud", "cirrus", "shadow", "snow", "water", "no-data") if oli else ("cloud", "shadow", "snow", "water", "no-data")
    flags = {name: rng.random((ROWS, COLS)) < 0.2 for name in known}
    bits = {"cloud": 3, "cirrus": 2, "shadow": 4, "snow": 5, "water": 7, "no-data": 0}
    pixel = sum((flags[name].astype(np.uint16) << bits[name] for name in known), start=np.zeros((ROWS, COLS), np.uint16))
    near = rng.random((ROWS, COLS)) < 0.1
    pixel |= near.astype(np.uint16) << 1  # the dilated cloud
    pixel |= np.uint16(1) << 9  # a confidence, which is no flag
    return pixel, {**flags, "cloud": flags["cloud"] | near}


def product(folder: Path, level: str, satellite: str = "8") -> Built:
    rng = np.random.default_rng(8)
    surface = level == "L2SP"
    prefix, instrument, table = FAMILIES[satellite]
    name = f"{prefix}_{level}_193029_20200711_20200912_02_T1"
    bands = [band for band in table if not (surface and band == "9")]
    byte = satellite in "57" and not surface
    stored = {band: (rng.integers(1, 255, (ROWS, COLS)) if byte else rng.integers(7000, 40000, (ROWS, COLS))).astype("u1" if byte else "u2") for band in bands}
    pixel, flags = _quality(rng, satellite in "89")
    hole = flags["no-data"]
    radsat = np.where(rng.random((ROWS, COLS)) < 0.1, np.uint16(1 << 3), np.uint16(0))
    infix = "SR_" if surface else ""
    for band, values in stored.items():
        values[hole] = 0
        _write(folder / f"{name}_{infix}B{band}.TIF", values)
    _write(folder / f"{name}_QA_PIXEL.TIF", pixel)
    _write(folder / f"{name}_QA_RADSAT.TIF", radsat)
    contents: dict[str, object] = {"LANDSAT_PRODUCT_ID": name, "PROCESSING_LEVEL": level, "COLLECTION_NUMBER": 2}
    contents |= {f"FILE_NAME_BAND_{band}": f"{name}_{infix}B{band}.TIF" for band in bands}
    contents |= {"FILE_NAME_QUALITY_L1_PIXEL": f"{name}_QA_PIXEL.TIF", "FILE_NAME_QUALITY_L1_RADIOMETRIC_SATURATION": f"{name}_QA_RADSAT.TIF"}
    image: dict[str, object] = {
        "SPACECRAFT_ID": f"LANDSAT_{satellite}",
        "SENSOR_ID": instrument,
        "DATE_ACQUIRED": "2020-07-11",
        "SCENE_CENTER_TIME": "10:04:31.1234567Z",
    }
    image |= {"CLOUD_COVER": "12.34", "SUN_AZIMUTH": 141.25, "SUN_ELEVATION": SUN}
    # of TM and ETM+, Level 1 scales each band by itself
    multiply = {band: 2.75e-5 if surface else 1.2e-3 + 1e-4 * int(band) if byte else 2e-5 for band in bands}
    add = {band: -0.2 if surface else -0.004 - 1e-3 * int(band) if byte else -0.1 for band in bands}
    scaling: dict[str, object] = {f"REFLECTANCE_MULT_BAND_{band}": multiply[band] for band in bands}
    scaling |= {f"REFLECTANCE_ADD_BAND_{band}": add[band] for band in bands}
    record: dict[str, object] = {"PROCESSING_LEVEL": level, "PROCESSING_SOFTWARE_VERSION": "LPGS_15.3.1c" if surface else "LPGS_15.3.1"}
    record |= {"ALGORITHM_SOURCE_SURFACE_REFLECTANCE": "LaSRC_1.5.0"} if surface else {}
    groups = {"PRODUCT_CONTENTS": contents, "IMAGE_ATTRIBUTES": image, f"LEVEL{level[1]}_PROCESSING_RECORD": record}
    groups |= {"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS" if surface else "LEVEL1_RADIOMETRIC_RESCALING": scaling}
    if surface:  # the record of Level 1 stands after it in the same file, with keys of the same names
        groups["LEVEL1_PROCESSING_RECORD"] = {
            "PROCESSING_LEVEL": "L1TP",
            "PROCESSING_SOFTWARE_VERSION": "LPGS_15.3.1",
            **{f"FILE_NAME_BAND_{band}": f"{name.replace(level, 'L1TP')}_B{band}.TIF" for band in [*table, "8"]},
        }
        groups["LEVEL1_RADIOMETRIC_RESCALING"] = {f"REFLECTANCE_MULT_BAND_{band}": 2e-5 for band in table}
    _mtl(folder / f"{name}_MTL.txt", groups)
    sine = 1.0 if surface else math.sin(math.radians(SUN))
    truth = np.stack([np.where(hole, np.nan, (stored[band] * multiply[band] + add[band]) / sine) for band in bands]).astype(np.float32)
    centres = [table[band] for band in bands]
    a, b, c, d, e, f = tuple(TRANSFORM)[:6]
    return Built(
        folder, truth, np.array([c for c, _ in centres]), np.array([w for _, w in centres]), "surface_reflectance" if surface else "toa_reflectance",
        f"landsat-{satellite}", Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:32632"), quality={**flags, "saturated": radsat != 0},
        acquired="2020-07-11T10:04:31",
        attrs={"processing_level": level, "product": name, "processor": "LPGS", "processor_version": record["PROCESSING_SOFTWARE_VERSION"],
               "correction": "LaSRC_1.5.0" if surface else "none", "sun_zenith": "37.5000", "sun_azimuth": "141.25", "cloud_cover": "12.3400"},
        names=tuple(f"B{band}" for band in bands),
    )  # fmt: skip


def level_1(folder: Path) -> Built:
    return product(folder, "L1TP")


def level_2(folder: Path) -> Built:
    return product(folder, "L2SP")


def level_2_tar(folder: Path) -> Built:
    inside = folder / "files"
    inside.mkdir()
    built = product(inside, "L2SP")
    built.path = folder / "LC08_L2SP_193029_20200711_20200912_02_T1.tar"
    with tarfile.open(built.path, "w") as archive:
        for file in sorted(inside.iterdir()):
            archive.add(file, file.name)
    return built


CASES = (
    Case("landsat-8-l1tp", "landsat", level_1),
    Case("landsat-8-l2sp", "landsat", level_2),
    Case("landsat-8-l2sp-tar", "landsat", level_2_tar),
    Case("landsat-9-l1tp", "landsat", lambda folder: product(folder, "L1TP", "9"), SPECIFICATION),
    Case("landsat-9-l2sp", "landsat", lambda folder: product(folder, "L2SP", "9"), SPECIFICATION),
    Case("landsat-7-l1tp", "landsat", lambda folder: product(folder, "L1TP", "7"), SPECIFICATION),
    Case("landsat-7-l2sp", "landsat", lambda folder: product(folder, "L2SP", "7"), SPECIFICATION),
    Case("landsat-5-l1tp", "landsat", lambda folder: product(folder, "L1TP", "5"), SPECIFICATION),
    Case("landsat-5-l2sp", "landsat", lambda folder: product(folder, "L2SP", "5"), SPECIFICATION),
)

"""Hyperion products of level 1T with the files and metadata that USGS delivers, few pixels."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.detectors import joined

ROWS, COLS = 5, 4
TRANSFORM = Affine(30.0, 0.0, 310485.0, 0.0, -30.0, 4190115.0)
SCENE = "EO1H0380342005105110KF"
TABLE = Path(__file__).resolve().parents[2] / "hsikit" / "sensors" / "tables" / "hyperion.csv"
MTL = f"""GROUP = L1_METADATA_FILE
  GROUP = METADATA_FILE_INFO
    REQUEST_ID = "9011504150001_00001"
    PRODUCT_CREATION_TIME = 2011-04-15T09:31:02Z
    STATION_ID = "EDC"
  END_GROUP = METADATA_FILE_INFO
  GROUP = PRODUCT_METADATA
    PRODUCT_TYPE = "L1T"
    SPACECRAFT_ID = "EO1"
    SENSOR_ID = "HYPERION"
    ACQUISITION_DATE = 2005-04-15
    START_TIME = "2005 105 17:49:41"
    END_TIME = "2005 105 17:49:55"
    BAND1_FILE_NAME = "{SCENE}_B001_L1T.TIF"
  END_GROUP = PRODUCT_METADATA
  GROUP = RADIANCE_SCALING
    SCALING_FACTOR_VNIR = 40.000
    SCALING_FACTOR_SWIR = 80.000
  END_GROUP = RADIANCE_SCALING
  GROUP = PRODUCT_PARAMETERS
    SENSOR_LOOK_ANGLE = -4.5210
    SUN_AZIMUTH = 137.5
    SUN_ELEVATION = 54.25
  END_GROUP = PRODUCT_PARAMETERS
END_GROUP = L1_METADATA_FILE
END
"""


def bands() -> list[tuple[float, float]]:
    """Centre and width of each band, in the order of the product."""
    with TABLE.open() as file:
        return [(float(row["wavelength"]), float(row["fwhm"])) for row in csv.DictReader(line for line in file if not line.startswith("#"))]


def product(folder: Path, delivered: range = range(1, 243), how: str = "average") -> Built:
    rng = np.random.default_rng(50)
    hole = rng.random((ROWS, COLS)) < 0.2
    hole[0, 0] = False
    table, measured = bands(), {}
    for band in delivered:
        stored = rng.integers(-20, 9000, (ROWS, COLS)).astype(np.int16)
        stored[stored == 0] = 1
        stored[hole] = 0
        if not (8 <= band <= 57 or 77 <= band <= 224):
            stored[:] = 0
        with rasterio.open(
            folder / f"{SCENE}_B{band:03d}_L1T.TIF", "w", driver="GTiff", height=ROWS, width=COLS, count=1, dtype="int16", crs="EPSG:32612", transform=TRANSFORM
        ) as file:
            file.write(stored, 1)
        measured[band] = (*table[band - 1], np.where(stored == 0, np.nan, stored / (40 if band <= 70 else 80)))
    (folder / f"{SCENE}_MTL_L1T.TXT").write_text(MTL)
    calibrated = {centre: 8 <= band <= 57 or 77 <= band <= 224 for band, (centre, _, _) in measured.items()}
    # The detectors are joined where both are calibrated; the others keep their place.
    good = [(8 <= band <= 57, value) for band, value in measured.items() if calibrated[value[0]]]
    values, wavelength, width = joined([value for vnir, value in good if vnir], [value for vnir, value in good if not vnir], how)
    spoilt = [value for value in measured.values() if not calibrated[value[0]]]
    order = np.argsort([*wavelength, *(value[0] for value in spoilt)], kind="stable")
    values = np.concatenate([values, np.reshape([value[2] for value in spoilt], (-1, ROWS, COLS))])[order]
    wavelength = np.concatenate([wavelength, [value[0] for value in spoilt]])[order]
    width = np.concatenate([width, [value[1] for value in spoilt]])[order]
    a, b, c, d, e, f = tuple(TRANSFORM)[:6]
    return Built(
        folder, values.astype(np.float32), wavelength, width, "radiance", "hyperion", Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:32612"),
        np.array([calibrated.get(centre, True) for centre in wavelength]) & outside_water_vapour(wavelength), acquired="2005-04-15T17:49:41Z",
        attrs={"product": SCENE, "processing_level": "L1T", "processor": "EO-1 product generation system (USGS)",
               "correction": "none", "sun_zenith": "35.7500", "sun_azimuth": "137.5000", "view_zenith": "4.5210"},
        options={} if how == "average" else {"detector_overlap": how},
    )  # fmt: skip


def zipped(folder: Path) -> Built:
    """The archive, with the calibrated bands alone (and those between them)."""
    inside = folder / "files"
    inside.mkdir()
    built = product(inside, range(8, 225), "vnir")
    built.path = folder / f"{SCENE}_1T.ZIP"
    with zipfile.ZipFile(built.path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(inside.iterdir()):
            archive.write(file, f"{SCENE}_1T/{file.name}")
    return built


CASES = (Case("hyperion-l1t", "hyperion", product),)

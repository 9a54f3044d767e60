"""Products of AHSI (GF-5B, ZY1-02D) with the files that are delivered, few pixels and bands."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import rasterio

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.detectors import joined

ROWS, COLS = 6, 8
VNIR = ((390.5, 4.4), (550.2, 4.5), (660.4, 4.6), (860.3, 4.7), (1004.8, 4.4), (1012.9, 4.4), (1021.0, 4.4), (1029.1, 4.4))
SWIR = ((1004.6, 7.9), (1013.0, 7.9), (1021.4, 7.9), (1029.8, 8.0), (1383.8, 8.0), (1650.6, 8.1), (1863.2, 8.1), (2200.4, 8.2), (2510.2, 8.3))
SCENES = {"GF5B": "GF5B_AHSI_E113.2_N36.3_20221208_006658_L10000252104", "ZY1E": "ZY1E_AHSI_E106.48_N38.24_20200529_003792_L1A0000112345"}
RPB = """satId = "GF5B";
bandId = "SW";
SpecId = "RPC00B";
BEGIN_GROUP = IMAGE
\terrBias = 0.0;
\tlineOffset = 3;
\tsampOffset = 4;
\tlatOffset = 36.3;
\tlongOffset = 113.2;
\theightOffset = 1200;
\tlineScale = 1000;
\tsampScale = 1000;
\tlatScale = 0.3;
\tlongScale = 0.4;
\theightScale = 500;
\tlineNumCoef = ({});
\tlineDenCoef = ({});
\tsampNumCoef = ({});
\tsampDenCoef = ({});
END_GROUP = IMAGE
END;
"""


def _coefficients(place: int, value: float) -> str:
    return ",\n\t\t\t".join(f"{value if number == place else 0.0:+.15E}" for number in range(20))


def _xml() -> str:
    return """<?xml version="1.0" encoding="UTF-8"?>
<ProductMetaData><SatelliteID>GF5B</SatelliteID><SensorID>AHSI</SensorID><ProductLevel>LEVEL1</ProductLevel>
  <StartTime>2022-12-08 13:41:21.50</StartTime><EndTime>2022-12-08 13:41:30.10</EndTime>
  <SolarAzimuth>201.5</SolarAzimuth><SolarZenith>61.25</SolarZenith><SatelliteZenith>1.5</SatelliteZenith>
  <SatelliteAzimuth>98.25</SatelliteAzimuth><CloudPercent>4</CloudPercent></ProductMetaData>
"""


def product(folder: Path, satellite: str = "GF5B", how: str = "average", numbered: bool = False, mapped: bool = False) -> Built:
    rng = np.random.default_rng(60)
    scene, measured = SCENES[satellite], {}
    hole = rng.random((ROWS, COLS)) < 0.15
    place = {"crs": "EPSG:32649", "transform": rasterio.Affine(30.0, 0.0, 600015.0, 0.0, -30.0, 4010025.0)} if mapped else {}
    for ending, detector, table in (("VN", "VNIR", VNIR), ("SW", "SWIR", SWIR)):
        stored = rng.integers(1, 4000, (len(table), ROWS, COLS)).astype(np.uint16)
        stored[:, hole] = 0
        gains, offsets = rng.uniform(0.01, 0.09, len(table)), rng.uniform(-1, 1, len(table))
        with rasterio.open(
            folder / f"{scene}_{ending}.tif", "w", driver="GTiff", height=ROWS, width=COLS, count=len(table), dtype="uint16", **place
        ) as file:  # fmt: skip
            file.write(stored)
        lines = [f"{gain!r},{offset!r}" for gain, offset in zip(gains.tolist(), offsets.tolist(), strict=True)]
        lines = [f"{number},{line}" for number, line in enumerate(lines, start=1)] if numbered else lines
        (folder / f"{satellite}_AHSI_RadCal_{detector}.raw").write_text("\r\n".join([*lines, ""]))
        (folder / f"{satellite}_AHSI_Spectralresponse_{detector}.raw").write_text("\n".join(f"{centre} {width}" for centre, width in table))
        (folder / f"{scene}_{ending}.rpb").write_text(RPB.format(_coefficients(2, -1.0), _coefficients(0, 1.0), _coefficients(1, 1.0), _coefficients(0, 1.0)))
        physical = np.where(stored == 0, np.nan, stored * gains[:, None, None] + offsets[:, None, None])
        measured[detector] = [(*band, values) for band, values in zip(table, physical, strict=True)]
    (folder / f"{scene}.xml").write_text(_xml())
    values, wavelength, width = joined(measured["VNIR"], measured["SWIR"], how)
    down, across = np.mgrid[0:ROWS, 0:COLS]
    return Built(
        folder, values.astype(np.float32), wavelength, width, "radiance",
        grid=Grid((ROWS, COLS), (30.0, 0.0, 600015.0, 0.0, -30.0, 4010025.0), "EPSG:32649") if mapped else None,
        good=outside_water_vapour(wavelength),
        longitude=None if mapped else 113.2 + (across - 4) / 1000 * 0.4, latitude=None if mapped else 36.3 - (down - 3) / 1000 * 0.3,
        acquired="2022-12-08T05:41:21",
        attrs={"product": scene, "processing_level": "LEVEL1", "correction": "none", "sun_zenith": "61.2500", "sun_azimuth": "201.5000",
               "view_zenith": "1.5000", "view_azimuth": "98.2500", "cloud_cover": "4.0000"},
        options={} if how == "average" else {"detector_overlap": how},
    )  # fmt: skip


def by_image(folder: Path) -> Built:
    built = product(folder, "ZY1E", "swir", numbered=True)
    built.path = folder / f"{SCENES['ZY1E']}_SW.tif"
    return built


def zipped(folder: Path) -> Built:
    inside = folder / "files"
    inside.mkdir()
    built = product(inside, how="keep", mapped=True)
    built.path = folder / "scene.zip"
    with zipfile.ZipFile(built.path, "w") as archive:
        for file in sorted(inside.iterdir()):
            archive.write(file, f"{SCENES['GF5B']}/{file.name}")
    return built


CASES = (Case("gf5b-ahsi", "ahsi", product), Case("zy1e-ahsi-image", "ahsi", by_image), Case("gf5b-ahsi-map-zip", "ahsi", zipped))

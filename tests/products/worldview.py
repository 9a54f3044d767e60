"""WorldView scenes with the metadata that the maker's documentation describes, few pixels."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case
from tests.products.planetscope import COLS, ROWS, positions, rpc

PLACE = {"crs": "EPSG:32633", "transform": Affine(2.0, 0.0, 367000.0, 0.0, -2.0, 5807000.0)}
GRID = Grid((ROWS, COLS), (2.0, 0.0, 367000.0, 0.0, -2.0, 5807000.0), "EPSG:32633")
# centre, width, absCalFactor, effectiveBandwidth
WV02 = {"C": (428.31, 51.79, 9.295654e-03, 4.73e-02), "B": (479.09, 60.81, 1.260825e-02, 5.43e-02), "G": (547.55, 69.73, 9.713071e-03, 6.3e-02),
        "Y": (608.03, 38.54, 5.101088e-03, 3.74e-02), "R": (659.20, 59.27, 1.103623e-02, 5.74e-02)}  # fmt: skip
SWIR = {"S1": (1209.53, 31.81, 5.4e-03, 3.3e-02), "S2": (1571.93, 40.26, 2.6e-03, 3.97e-02), "S8": (2329.86, 69.38, 9.2e-04, 6.79e-02)}
PAN = {"P": (644.64, 336.0, 5.678345e-02, 2.846e-01)}
STEM = "14MAY03100615-M2AS-500000000000_01_P001"
MADE = {"processor": "Maxar", "processor_version": "28.3", "correction": "none", "sun_zenith": "38.5000", "sun_azimuth": "152.3000", "cloud_cover": "0.3000"}
FROM_IMD = {**MADE, "product": "500000000000_01_P001", "view_zenith": "14.4000", "view_azimuth": "98.4000"}


def imd(bands: dict[str, tuple[float, ...]], satellite: str = "WV02", level: str = "LV2A", enhancement: str = "") -> str:
    lines = ['version = "28.3";', "generationTime = 2014-05-04T01:02:03.000000Z;", 'productOrderId = "500000000000_01_P001";',
             f'bandId = "{"P" if list(bands) == ["P"] else "Multi"}";', f"numRows = {ROWS};", f"numColumns = {COLS};", f'productLevel = "{level}";',
             'radiometricLevel = "Corrected";', "bitsPerPixel = 16;"]  # fmt: skip
    lines += [f'radiometricEnhancement = "{enhancement}";'] if enhancement else []
    for name, (_, _, calibration, width) in bands.items():
        lines += [f"BEGIN_GROUP = BAND_{name}", "\tULLon =   13.04;", f"\tabsCalFactor = {calibration:e};", f"\teffectiveBandwidth = {width:e};",
                  "\tTDILevel = 24;", f"END_GROUP = BAND_{name}"]  # fmt: skip
    lines += ["BEGIN_GROUP = IMAGE_1", f'\tsatId = "{satellite}";', "\tfirstLineTime = 2014-05-03T10:06:15.123400Z;", "\tmeanSunAz =  152.3;",
              "\tmeanSunEl =   51.5;", "\tmeanSatAz =  98.4;", "\tmeanSatEl =  75.6;",
              "\tmeanOffNadirViewAngle =  12.7;", "\tcloudCover =  0.003;", "END_GROUP = IMAGE_1"]  # fmt: skip
    return "\n".join([*lines, "BEGIN_GROUP = MAP_PROJECTED_PRODUCT", "\toriginX = 367001;", "END_GROUP = MAP_PROJECTED_PRODUCT", "END;", ""])


def xml(bands: dict[str, tuple[float, ...]], satellite: str, level: str) -> str:
    groups = "".join(
        f"<BAND_{name}><ULLON>13.04</ULLON><ABSCALFACTOR>{calibration:e}</ABSCALFACTOR><EFFECTIVEBANDWIDTH>{width:e}</EFFECTIVEBANDWIDTH></BAND_{name}>"
        for name, (_, _, calibration, width) in bands.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<isd><IMD><VERSION>28.3</VERSION><PRODUCTLEVEL>{level}</PRODUCTLEVEL>{groups}<IMAGE>'
        f"<SATID>{satellite}</SATID><FIRSTLINETIME>2014-05-03T10:06:15.123400Z</FIRSTLINETIME><MEANSUNAZ>152.3</MEANSUNAZ><MEANSUNEL>51.5</MEANSUNEL>"
        "<MEANOFFNADIRVIEWANGLE>12.7</MEANOFFNADIRVIEWANGLE><CLOUDCOVER>0.003</CLOUDCOVER></IMAGE></IMD></isd>\n"
    )


def write(path: Path, rng: np.random.Generator, count: int, **place: object) -> np.ndarray:
    stored = rng.integers(1, 2047, (count, ROWS, COLS)).astype(np.uint16)
    stored[:, 0, :2] = 0
    with rasterio.open(path, "w", driver="GTiff", height=ROWS, width=COLS, count=count, dtype="uint16", **place) as file:
        file.write(stored)
    return stored


def radiance(stored: np.ndarray, bands: Sequence[tuple[float, ...]]) -> np.ndarray:
    factors = np.array([calibration / width for _, _, calibration, width in bands])[:, None, None]
    return np.where(stored == 0, np.nan, stored * factors).astype(np.float32)


def _built(path: Path, stored: np.ndarray, bands: dict[str, tuple[float, ...]], sensor: str, **more: object) -> Built:
    told = list(bands.values())
    return Built(path, radiance(stored, told), np.array([band[0] for band in told]), np.array([band[1] for band in told]), "radiance", sensor,
                 acquired="2014-05-03T10:06:15", **more)  # fmt: skip


def ortho_ready(folder: Path) -> Built:
    """Opened by the TIFF, with an IMD beside."""
    path = folder / f"{STEM}.TIF"
    stored = write(path, np.random.default_rng(64), len(WV02), **PLACE)
    (folder / f"{STEM}.IMD").write_text(imd(WV02))
    return _built(path, stored, WV02, "worldview-2", grid=GRID, attrs={**FROM_IMD, "processing_level": "LV2A"})


def swir_zip(folder: Path) -> Built:
    """WorldView-3's SWIR in a zip, beside a panchromatic image, by XML alone."""
    inside = folder / "files"
    (inside / "SWIR").mkdir(parents=True)
    (inside / "PAN").mkdir()
    stored = write(inside / "SWIR" / "a.tif", np.random.default_rng(65), len(SWIR), **PLACE)
    (inside / "SWIR" / "a.xml").write_text(xml(SWIR, "WV03", "LV2A"))
    write(inside / "PAN" / "b.tif", np.random.default_rng(66), 1, **PLACE)
    (inside / "PAN" / "b.xml").write_text(xml(PAN, "WV03", "LV2A"))
    path = folder / "order.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(inside.rglob("*.*")):
            archive.write(file, file.relative_to(inside))
    return _built(path, stored, SWIR, "worldview-3", grid=GRID, attrs={**MADE, "processing_level": "LV2A", "view_zenith": "12.7000"})


def basic(folder: Path) -> Built:
    """On the sensor's grid, opened by the IMD, with rational polynomials in the TIFF."""
    stored = write(folder / f"{STEM}.TIF", np.random.default_rng(67), len(WV02), rpcs=rpc())
    path = folder / f"{STEM}.IMD"
    path.write_text(imd(WV02, level="LV1B"))
    lon, lat = positions()
    return _built(path, stored, WV02, "worldview-2", longitude=lon, latitude=lat, attrs={**FROM_IMD, "processing_level": "LV1B"})


CASES = (
    Case("worldview-2-lv2a", "worldview", ortho_ready),
    Case("worldview-3-swir-zip", "worldview", swir_zip),
    Case("worldview-2-lv1b", "worldview", basic),
)

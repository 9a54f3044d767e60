"""DESIS products with the files and fields that DLR delivers, few pixels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case

ROWS, COLS = 6, 7
TRANSFORM = Affine(30.0, 0.0, 331245.0, 0.0, -30.0, 3801135.0)
BINNED = {1: 235, 2: 118, 3: 79, 4: 60}
LAYERS = ("shadow", "land", "snow", "haze_land", "haze_water", "cloud_land", "cloud_water", "water", "aot", "wv")


def _xml(stem: str, level: str, centres: np.ndarray, widths: np.ndarray, gains: np.ndarray, offsets: np.ndarray) -> str:
    bands = "".join(
        f"<band><bandNumber>{number}</bandNumber><wavelengthCenterOfBand>{centre!r}</wavelengthCenterOfBand><wavelengthWidthOfBand>{width!r}"
        f"</wavelengthWidthOfBand><response>0.1, 1.0, 0.1</response><wavelengths>{centre - 1}, {centre}, {centre + 1}</wavelengths>"
        f"<gainOfBand>{gain!r}</gainOfBand><offsetOfBand>{offset!r}</offsetOfBand><deadPixels>0</deadPixels><suspiciousPixel>0</suspiciousPixel></band>"
        for number, (centre, width, gain, offset) in enumerate(zip(*(values.tolist() for values in (centres, widths, gains, offsets)), strict=True), start=1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<hsi_doc xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <metadata><schema><name>metadata_DESIS.xsd</name><processingLevel>{level}</processingLevel></schema><name>{stem}METADATA.xml</name></metadata>
  <base><temporalCoverage><startTime>2022-04-04T19:32:59.253461Z</startTime><endTime>2022-04-04T19:33:03.6Z</endTime></temporalCoverage>
    <revision>02.20</revision><format>DESIS_{level}</format></base>
  <specific><sunZenithAngle>32.5</sunZenithAngle><sunAzimuthAngle>141.2</sunAzimuthAngle><sceneIncidenceAngle>11.25</sceneIncidenceAngle>
    <sceneAzimuthAngle>307.9</sceneAzimuthAngle><bandCharacterisation>{bands}</bandCharacterisation>
    <interiorOrientation><band><gainOfBand>0</gainOfBand><wavelengthCenterOfBand>1</wavelengthCenterOfBand></band></interiorOrientation></specific>
</hsi_doc>
"""


def _write(path: Path, values: np.ndarray, mapped: bool = True, **profile: object) -> None:
    place = {"crs": "EPSG:32611", "transform": TRANSFORM} if mapped else {}
    with rasterio.open(path, "w", driver="GTiff", height=ROWS, width=COLS, count=len(values), dtype=values.dtype, **place, **profile) as file:
        file.write(values)


def codes(count: int) -> np.ndarray:
    """Stored numbers of QL_QUALITY."""
    return np.random.default_rng(44).integers(0, 8, (count, ROWS, COLS)).astype(np.uint8)


def product(folder: Path, level: str, binning: int = 1, nodata: float | None = None) -> Built:
    rng = np.random.default_rng(40 + binning)
    count = BINNED[binning]
    centres, widths = np.linspace(401.275, 999.5, count).round(3), np.full(count, 3.4 * binning)
    gains = np.full(count, 1e-4) if level == "L2A" else rng.uniform(2e-4, 9e-4, count)
    offsets = np.zeros(count) if level == "L2A" else rng.uniform(-0.2, 0.4, count)
    stem = f"DESIS-HSI-{level}-DT0707652640_011-20220404T193259-V0220-"
    stored = rng.integers(0, 9000, (count, ROWS, COLS)).astype(np.int16)
    stored[:, rng.random((ROWS, COLS)) < 0.15] = -32768
    _write(folder / f"{stem}SPECTRAL_IMAGE.tif", stored, mapped=level != "L1B", interleave="pixel", compress="deflate", nodata=nodata)
    (folder / f"{stem}METADATA.xml").write_text(_xml(stem, level, centres, widths, gains, offsets))
    _write(folder / f"{stem}QL_QUALITY.tif", codes(count), mapped=level != "L1B")
    quality = {}
    if level == "L2A":
        layers = rng.integers(0, 2, (10, ROWS, COLS)).astype(np.uint8)
        _write(folder / f"{stem}QL_QUALITY-2.tif", layers)
        told = {name: layers[number] > 0 for number, name in enumerate(LAYERS)}
        quality = {
            "shadow": told["shadow"], "snow": told["snow"], "water": told["water"], "haze": told["haze_land"] | told["haze_water"],
            "cloud": told["cloud_land"] | told["cloud_water"],
        }  # fmt: skip
    factor = 1.0 if level == "L2A" else 10.0  # mW cm-2 -> W m-2
    truth = np.where(stored == -32768, np.nan, (stored * gains[:, None, None] + offsets[:, None, None]) * factor)
    a, b, c, d, e, f = tuple(TRANSFORM)[:6]
    return Built(
        folder, truth.astype(np.float32), centres, widths, "surface_reflectance" if level == "L2A" else "radiance", "desis",
        None if level == "L1B" else Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:32611"), quality=quality, acquired="2022-04-04T19:32:59",
        attrs={"processing_level": level, "product": stem[:-1], "processor": "DESIS ground segment (DLR)", "processor_version": "02.20",
               "correction": "atmosphere" if level == "L2A" else "none", "sun_zenith": "32.5000", "sun_azimuth": "141.2000", "view_zenith": "11.2500"},
    )  # fmt: skip


def zipped(folder: Path) -> Built:
    inside = folder / "files"
    inside.mkdir()
    built = product(inside, "L2A", binning=3, nodata=-32768)
    built.path = folder / "DESIS.zip"
    with zipfile.ZipFile(built.path, "w") as archive:
        for file in sorted(inside.iterdir()):
            archive.write(file, file.name)
    return built


def quality_codes(folder: Path) -> Built:
    """The code of each band and pixel, of level 1C."""
    built = product(folder, "L1C", binning=4)
    built.truth, built.quantity, built.quality = codes(60).astype(np.float32), "dn", {}
    built.options = {"variable": "quality"}
    return built


def by_image(folder: Path) -> Built:
    built = product(folder, "L1C", binning=4)
    built.path = next(folder.glob("*SPECTRAL_IMAGE.tif"))
    return built


CASES = (
    Case("desis-l2a", "desis", lambda folder: product(folder, "L2A")),
    Case("desis-l2a-binned-zip", "desis", zipped),
    Case("desis-l1c-binned", "desis", by_image),
    Case("desis-l1c-quality-codes", "desis", quality_codes),
    Case("desis-l1b-binned", "desis", lambda folder: product(folder, "L1B", binning=2)),
)

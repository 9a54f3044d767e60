"""HISUI products of level 1G with the files that are delivered, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.detectors import joined

ROWS, COLS = 9, 6
PRODUCT = "HSHL1G_N320W1032_20221030160051_20231127193053"
TRANSFORM = Affine(20.0, 0.0, 600010.0, 0.0, -20.0, 3540010.0)
VNIR = ((405.0, 11.0), (555.0, 10.9), (655.0, 10.8), (905.0, 10.6), (925.0, 10.5), (955.0, 10.4))
SWIR = ((902.5, 12.5), (915.0, 12.5), (940.0, 12.5), (965.0, 12.4), (1377.5, 12.4), (1650.0, 12.4), (1902.5, 12.3), (2200.0, 12.3))


def metadata() -> str:
    fields = {
        "ProductID": f'"{PRODUCT}"', "ProductVersion": '"3.1.0"', "SceneCenterTime": "2022-10-30T16:00:51.479728Z", "NumberOfBands": len(VNIR + SWIR),
        "RadianceMultiVNIR": "1.000000e-02", "RadianceAddVNIR": "-10.000000", "RadianceMultiSWIR": "3.200000e-03", "RadianceAddSWIR": "-3.200000",
        "RadianceUnit": '"W/m2/micron/sr"', "BadPixelDN": 1, "SaturatedPixelDN": 65535,
    }  # fmt: skip
    return "################ Product information ################\n" + "\n".join(f"{key:<55}= {value}" for key, value in fields.items()) + "\n"


def product(folder: Path, how: str = "average", point: bool = False) -> Built:
    """A product; its image may say that its coordinates are those of points, the centres of pixels."""
    rng = np.random.default_rng(70)
    table = VNIR + SWIR
    stored = rng.integers(2, 60000, (len(table), ROWS, COLS)).astype(np.uint16)
    stored[:, rng.random((ROWS, COLS)) < 0.15] = 0
    stored[(rng.random(stored.shape) < 0.03) & (stored > 0)] = 1
    stored[(rng.random(stored.shape) < 0.03) & (stored > 1)] = 65535
    path = folder / f"{PRODUCT}.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=ROWS, width=COLS, count=len(table), dtype="uint16", crs="EPSG:32613", transform=TRANSFORM, interleave="pixel",
        tiled=True, blockxsize=16, blockysize=16,
    ) as file:  # fmt: skip
        file.write(stored)
        if point:
            file.update_tags(AREA_OR_POINT="Point")
    (folder / f"{PRODUCT}.txt").write_text(metadata())
    lines = [f"{number},{centre},{width},1800.5,1.0e-4,0.0" for number, (centre, width) in enumerate(table, start=1)]
    header = "BandNo,CenterWavelengthNanometer,FullWidthAtHalfMaximumNanometer,SolarIrradianceWatt/Meter2/Micron,ReflectanceMulti,ReflectanceAdd"
    (folder / f"{PRODUCT}_B.csv").write_text("\ufeff" + "\n".join([header, *lines, ""]))
    vnir = np.arange(len(table))[:, None, None] < len(VNIR)
    physical = np.where(stored <= 1, np.nan, stored * np.where(vnir, 1e-2, 3.2e-3) + np.where(vnir, -10.0, -3.2))
    measured = [(*band, values) for band, values in zip(table, physical, strict=True)]
    values, wavelength, width = joined(measured[: len(VNIR)], measured[len(VNIR) :], how)
    a, b, c, d, e, f = tuple(TRANSFORM)[:6]
    return Built(
        folder, values.astype(np.float32), wavelength, width, "radiance", grid=Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:32613"),
        good=outside_water_vapour(wavelength),
        quality={"no-data": (stored == 0).all(axis=0), "saturated": (stored == 65535).any(axis=0)}, acquired="2022-10-30T16:00:51",
        attrs={"product": PRODUCT, "processing_level": "L1G", "processor": "HISUI ground segment", "processor_version": "3.1.0", "correction": "none"},
        options={} if how == "average" else {"detector_overlap": how},
    )  # fmt: skip


def by_image(folder: Path) -> Built:
    built = product(folder, "vnir", point=True)
    built.path = folder / f"{PRODUCT}.tif"
    return built


CASES = (Case("hisui-l1g", "hisui", product), Case("hisui-l1g-image", "hisui", by_image))

"""Dragonette scenes with the files and the STAC item that Wyvern's Data Product Guide describes, few pixels."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case

ROWS, COLS, BANDS = 7, 9, 6
NM = np.array([503.0, 549.0, 600.0, 660.0, 712.0, 799.0])
FWHM = np.array([23.0, 21.5, 20.0, 19.0, 17.5, 16.0])
DEGREES = Affine(5.86e-5, 0.0, -97.5, 0.0, -4.49e-5, 40.0)  # 5 m by 5 m at 40 degrees north
METRES = Affine(5.0, 0.0, 500000.0, 0.0, -5.0, 4400000.0)
NAME = "wyvern_dragonette-003_20250508T092313_a60915a4"
MADE = {"product": NAME, "platform": "wyvern_dragonette-003", "processor": "Wyvern", "sun_zenith": "31.7500",
        "sun_azimuth": "131.0000", "view_zenith": "11.5000", "view_azimuth": "275.5000", "cloud_cover": "20.0000"}  # fmt: skip


def item(level: str, unit: str, scale: float, nodata: float, dtype: str, masks: list[str], name: str = NAME) -> dict[str, Any]:
    bands = [{"name": f"Band_{nm:.0f}", "center_wavelength": nm / 1000, "full_width_half_max": width / 1000} for nm, width in zip(NM, FWHM, strict=True)]
    raster = {"nodata": nodata, "sampling": "area", "data_type": dtype, "unit": unit, "scale": scale, "offset": 0}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "stac_extensions": [], "geometry": None,
        "properties": {"datetime": "2025-05-08T09:23:13.456Z", "platform": "wyvern_dragonette-003", "processing:level": level, "view:off_nadir": 11.5,
                       "eo:cloud_cover": 20, "view:sun_elevation": 58.25, "view:sun_azimuth": 131.0, "view:azimuth": 275.5, "gsd": 5.0},
        "links": [], "assets": {
            "Preview": {"href": f"./{name}_preview.png", "type": "image/png", "roles": ["visual"]},
            "Cloud optimized GeoTiff": {"href": f"./{name}.tiff", "type": "image/tiff; application=geotiff; profile=cloud-optimized", "eo:bands": bands,
                                        "raster:bands": [raster] * BANDS, "roles": ["data"]},
            "Data Mask": {"href": f"./{name}_data_mask.tiff", "eo:bands": [{"name": mask} for mask in masks], "roles": ["data-mask"]},
        },
    }  # fmt: skip


def write(path: Path, values: np.ndarray, crs: str, transform: Affine, nodata: float) -> None:
    profile = {"driver": "GTiff", "height": ROWS, "width": COLS, "count": len(values), "dtype": values.dtype, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", nodata=nodata, **profile) as file:
        file.write(values)


def _mask(folder: Path, rng: np.random.Generator, names: list[str], crs: str, transform: Affine) -> dict[str, np.ndarray]:
    layers = (rng.random((len(names), ROWS, COLS)) < 0.3).astype(np.uint8)
    layers[:, 0, 0] = 255
    write(folder / f"{NAME}_data_mask.tiff", layers, crs, transform, 255)
    flags = {"QA_CLOUD_MASK": "cloud", "QA_HAZE_MASK": "haze", "QA_CLOUD_SHADOW_MASK": "shadow"}
    return {flags[name]: layer == 1 for name, layer in zip(names, layers, strict=True) if name in flags}


def _grid(crs: str, transform: Affine) -> Grid:
    a, b, c, d, e, f = tuple(transform)[:6]
    return Grid((ROWS, COLS), (a, b, c, d, e, f), crs)


def level_1(folder: Path) -> Built:
    """Opened by the image; its pixels are wider than high in degrees."""
    rng = np.random.default_rng(71)
    stored = rng.uniform(5, 200, (BANDS, ROWS, COLS)).astype(np.float32)
    stored[:, 0, 0] = -9999
    write(folder / f"{NAME}.tiff", stored, "EPSG:4326", DEGREES, -9999)
    masks = ["QA_CLEAR_MASK", "QA_CLOUD_MASK"]
    flags = _mask(folder, rng, masks, "EPSG:4326", DEGREES)
    (folder / f"{NAME}.json").write_text(json.dumps(item("L1B", "W / (m2 * sr * µm)", 1, -9999, "float32", masks)))
    truth = np.where(stored == -9999, np.nan, stored).astype(np.float32)
    return Built(folder / f"{NAME}.tiff", truth, NM, FWHM, "radiance", "", _grid("EPSG:4326", DEGREES), quality=flags, acquired="2025-05-08T09:23:13.456Z",
                 attrs={**MADE, "processing_level": "L1B", "correction": "none"},
                 names=tuple(f"Band_{nm:.0f}" for nm in NM))  # fmt: skip


def level_2(folder: Path) -> Built:
    """The zip of a delivery."""
    rng = np.random.default_rng(72)
    inside = folder / "files"
    inside.mkdir()
    stored = rng.integers(1, 9000, (BANDS, ROWS, COLS)).astype(np.uint16)
    stored[:, -1, 2:4] = 0
    write(inside / f"{NAME}.tiff", stored, "EPSG:32614", METRES, 0)
    masks = ["QA_CLEAR_MASK", "QA_CLOUD_MASK", "QA_HAZE_MASK", "QA_CLOUD_SHADOW_MASK"]
    flags = _mask(inside, rng, masks, "EPSG:32614", METRES)
    (inside / f"{NAME}.json").write_text(json.dumps(item("L2A", "", 0.0001, 0, "uint16", masks)))
    path = folder / "a60915a4-e949-4de7-929c-2d7ef960eba0_l2a.zip"
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "wyvern", "links": [{"rel": "item", "href": f"./{NAME}/{NAME}.json"}]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("guid_l2a/catalog.json", json.dumps(catalogue))
        for file in sorted(inside.iterdir()):
            archive.write(file, f"guid_l2a/{NAME}/{file.name}")
    truth = np.where(stored == 0, np.nan, stored * 1e-4).astype(np.float32)
    return Built(path, truth, NM, FWHM, "surface_reflectance", "", _grid("EPSG:32614", METRES), quality=flags, acquired="2025-05-08T09:23:13.456Z",
                 attrs={**MADE, "processing_level": "L2A", "correction": "atmosphere"})  # fmt: skip


CASES = (
    Case("wyvern-l1b", "wyvern", level_1),
    Case("wyvern-l2a-zip", "wyvern", level_2),
)

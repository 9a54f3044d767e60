"""Tiny GeoTIFF scenes with wavelengths in each convention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

PLACE = {"crs": "EPSG:32633", "transform": from_origin(365000, 5808000, 30, 30)}


def write_geotiff(
    path: Path,
    cube: np.ndarray,
    nm: Sequence[float] | None = None,
    convention: str = "imagery",
    scale: float | None = None,
    offset: float | None = None,
    **profile: Any,
) -> Path:
    """Writes a (bands, rows, cols) cube; `convention` is imagery, tags, lists, descriptions or none; `nm` None means 450 to 2400."""
    bands, rows, cols = cube.shape
    centres = np.linspace(450, 2400, bands) if nm is None else np.asarray(nm)
    with rasterio.open(path, "w", driver="GTiff", width=cols, height=rows, count=bands, dtype=cube.dtype, **{**PLACE, **profile}) as target:
        if scale is not None:
            target.scales = [scale] * bands
        if offset is not None:
            target.offsets = [offset] * bands
        if convention == "lists":
            target.update_tags(wavelength=", ".join(map(str, centres)), wavelength_units="nm", fwhm="{" + ", ".join(["9.5"] * bands) + "}")
        for band, centre in enumerate(centres, start=1):
            if convention == "imagery":
                target.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{centre / 1000:.9f}", FWHM_UM="0.0095")
            elif convention == "tags":
                target.update_tags(band, wavelength=str(centre / 1000), wavelength_units="Micrometers", fwhm="0.0095", bbl=str(int(band != 2)))
            elif convention == "descriptions":
                target.set_band_description(band, f"Band {band} ({centre:.3f} nm)")
        target.write(cube)
    return path

"""Coordinate reference systems as the text that a `Grid` holds."""

from __future__ import annotations

from typing import Any


def crs_text(crs: Any) -> str | None:
    """A CRS (WKT, "EPSG:n", or a `rasterio.crs.CRS`) as "EPSG:n" where it is one, else WKT; None where it cannot be understood."""
    from rasterio.crs import CRS
    from rasterio.errors import RasterioError

    if not crs:
        return None
    try:
        parsed = crs if isinstance(crs, CRS) else CRS.from_user_input(str(crs))
        code = parsed.to_epsg(confidence_threshold=90)
        return f"EPSG:{code}" if code else str(parsed.to_wkt()) or None
    except (RasterioError, ValueError):
        return None


def same_crs(one: str | None, other: str | None) -> bool:
    """Whether two CRS texts mean the same system."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    from rasterio.crs import CRS

    return bool(CRS.from_user_input(one) == CRS.from_user_input(other))

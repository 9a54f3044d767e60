"""What a scene is, in JSON-able facts: what `hsikit info` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsikit.geo.places import SwathPlaces
from hsikit.scene import Bands, Floats, SceneInfo, Source
from hsikit.sensors.percentiles import NEAR, WITHIN, percentiles

PROVENANCE = (
    "product", "processing_level", "product_version", "processor", "processor_version", "correction", "uncertainty",
    "sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth", "cloud_cover",
)  # fmt: skip
"""What readers of products say in `SceneInfo.attrs`."""


def describe(source: Source) -> dict[str, Any]:
    """Facts of an open scene, by name, in the order in which they are shown."""
    info = source.info
    grid = info.grid
    return {
        "scene": info.name,
        "format": info.driver,
        "sensor": info.sensor or "unknown",
        "size": {"rows": grid.shape[0], "cols": grid.shape[1]},
        **_bands(info),
        **_place(info),
        "quantity": info.quantity,
        "units": info.units,
        "percentiles": percentiles(source) or f"no good band within {WITHIN:g} nm, or half its width, of {', '.join(f'{near:g}' for near in NEAR)} nm",
        "stored_as": info.dtype,
        "nodata": "none" if info.nodata is None else info.nodata,
        "missing_share": f"{float(info.attrs.get('missing_share', 'nan')):.1%} (sampled)",
        "quality_flags": "none" if info.quality is None else list(info.quality.flags),
        "acquired": info.acquired or "unknown",
        **{name: info.attrs[name] for name in PROVENANCE if info.attrs.get(name)},
        "notices": list(info.notices),
    }


def _bands(info: SceneInfo) -> dict[str, Any]:
    bands = info.bands
    widths = bands.fwhm[np.isfinite(bands.fwhm)]
    return {
        "bands": len(bands),
        "wavelength_nm": _between(bands.wavelength) if np.isfinite(bands.wavelength).all() else "none",
        "fwhm_nm": _between(widths) if widths.size else "unknown",
        "bad_bands": _runs_of_bad(bands),
    }


def _between(values: Floats) -> dict[str, float]:
    return {"from": round(float(values.min()), 2), "to": round(float(values.max()), 2)}


def _runs_of_bad(bands: Bands) -> list[str]:
    """Bad bands by their wavelength, runs of neighbours as one; layers without wavelengths by name."""
    bad = np.flatnonzero(~bands.good)
    if not np.isfinite(bands.wavelength).all():
        return [bands.names[k] for k in bad]
    runs = [bands.wavelength[run] for run in np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1) if len(run)]
    return [f"{run[0]:.1f}" if len(run) == 1 else f"{run[0]:.1f} to {run[-1]:.1f} ({len(run)})" for run in runs]


def _place(info: SceneInfo) -> dict[str, Any]:
    grid = info.grid
    return {
        "pixels_lie": _lie(info),
        **_degrees(info),
        "crs": grid.crs_name,
        "extent": [round(edge, 6) for edge in grid.bounds] if grid.georeferenced else "none",
        "pixel_size": [round(size, 9) for size in grid.pixel_size] if grid.georeferenced else "none",
        "rotation_degrees": round(grid.rotation, 3),
    }


def _degrees(info: SceneInfo) -> dict[str, Any]:
    """Longitudes and latitudes of a swath."""
    if info.swath is None:
        return {}
    found = {}
    for name, values in zip(("longitude", "latitude"), SwathPlaces(info.swath).sample, strict=True):
        known = values[np.isfinite(values)]
        found[name] = {"from": round(float(known.min()), 5), "to": round(float(known.max()), 5)} if known.size else "unknown"
    return found


def _lie(info: SceneInfo) -> str:
    """On which kind of grid the pixels lie."""
    if info.swath is None:
        return "on a map grid" if info.grid.georeferenced else "unknown"
    return "on the sensor's grid, " + ("with a lookup table to the map" if info.swath.table is not None else "each with its longitude and latitude")

"""What a raster file says of its bands: names, wavelengths and classes, as text that every program can read.

Two conventions for wavelengths are in use and both are written: GDAL's IMAGERY domain (micrometres, read by QGIS) and the
tags `wavelength`, `wavelength_units`, `fwhm` and `bbl` of the default domain (nanometres, taken over from ENVI headers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from hsikit.layers import RESERVED, Colour, Layer, Legend


def has_wavelengths(layer: Layer) -> bool:
    """Whether a layer is a cube whose band centres are known."""
    return layer.wavelength is not None and len(layer.wavelength) == layer.bands and bool(np.isfinite(layer.wavelength).all())


def band_names(layer: Layer) -> tuple[str, ...]:
    """One name for each band: its own, else its wavelength, else the layer's name with a number."""
    if len(layer.band_names) == layer.bands:
        return layer.band_names
    if layer.wavelength is not None and has_wavelengths(layer):
        return tuple(f"{nm:g} nm" for nm in layer.wavelength)
    return (layer.name,) if layer.bands == 1 else tuple(f"{layer.name} {i}" for i in range(1, layer.bands + 1))


def layer_tags(layer: Layer) -> dict[str, str]:
    """Facts of the layer as a whole; empty ones are left out. `classes` is the legend as JSON."""
    facts = {"layer": layer.name, "description": layer.description, "units": layer.unit, "sensor": layer.sensor, "quantity": layer.quantity}
    if layer.legend is not None:
        facts["classes"] = json.dumps(layer.legend.to_json(), ensure_ascii=False)
    return {key: value for key, value in facts.items() if value}


def dataset_tags(layer: Layer, tags: Mapping[str, str]) -> dict[str, str]:
    """The caller's tags beside the layer's own, in alphabetical order so that equal input gives equal bytes."""
    return dict(sorted({**layer_tags(layer), **{str(k): str(v) for k, v in tags.items()}}.items()))


def band_tags(layer: Layer, band: int) -> tuple[dict[str, str], dict[str, str]]:
    """Tags of one band, counted from 0: those of the default domain (nm) and those of the IMAGERY domain (um)."""
    if layer.wavelength is None or not has_wavelengths(layer):
        return {}, {}
    centre = float(layer.wavelength[band])
    plain, imagery = {"wavelength": repr(centre), "wavelength_units": "Nanometers"}, {"CENTRAL_WAVELENGTH_UM": _micrometres(centre)}
    width = float(layer.fwhm[band]) if layer.fwhm is not None else float("nan")
    if np.isfinite(width):
        plain["fwhm"], imagery["FWHM_UM"] = repr(width), _micrometres(width)
    if layer.good is not None:
        plain["bbl"] = "1" if layer.good[band] else "0"
    return plain, imagery


def _micrometres(nm: float) -> str:
    """To 12 digits, so that 450.1 nm reads 0.4501 rather than 0.45010000000000006."""
    return f"{nm / 1000:.12g}"


def names_by_code(legend: Legend) -> dict[int, str]:
    """Names of the classes and of the reserved codes, ascending."""
    return dict(sorted({**{code: name for code, (name, _) in RESERVED.items()}, **{c.code: c.name for c in legend.classes}}.items()))


def colours_by_code(legend: Legend) -> dict[int, Colour]:
    """Colours of the classes and of the reserved codes, ascending."""
    return dict(sorted({**{code: colour for code, (_, colour) in RESERVED.items()}, **{c.code: c.colour for c in legend.classes}}.items()))

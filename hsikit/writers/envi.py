"""ENVI: a text header beside plain binary rows (band-interleaved by line).

The header says all that the format can hold: type, interleave, georeference, wavelengths, widths, good bands, fill value;
class maps carry names and colours. Map coordinates are those of the upper-left corner of the first pixel, as in ENVI.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from hsikit.errors import OutputError
from hsikit.geo.grid import IDENTITY, Grid
from hsikit.layers import Layer, Pixels
from hsikit.writers.blocks import RowsDone, pieces, read_pieces, row_bytes
from hsikit.writers.failures import writing
from hsikit.writers.tags import band_names, colours_by_code, dataset_tags, has_wavelengths, names_by_code

_TYPES = {
    "uint8": 1, "int16": 2, "int32": 3, "float32": 4, "float64": 5, "uint16": 12, "uint32": 13, "int64": 14, "uint64": 15,
}  # fmt: skip
_UNSAFE, _BRACES = str.maketrans("{},=", "();:"), str.maketrans("{}", "()")
_STRIP_BYTES = 8 << 20
"""Most bytes of rows that are held at once, twice: as they are read, and as they are written."""
_CODES = 256
"""A class map has entries for every code of uint8, since the reserved ones stand at its end."""


def write_envi(layer: Layer, grid: Grid, pixels: Pixels, path: Path, *, tags: Mapping[str, str], rows_done: RowsDone | None = None) -> list[Path]:
    """Writes an ENVI image and its header, in bounded memory.

    Args:
        layer: what is written.
        grid: its grid. Rotation is kept; shear cannot be.
        pixels: its values.
        path: the image (`.img`, `.dat`) or the header (`.hdr`; the image then ends in `.img`).
        tags: further fields of the header.
        rows_done: called with the number of rows that were finished.

    Returns:
        `path`, then the other one of the two files.

    Raises:
        OutputError: ENVI has no such type, the grid is sheared, or the disk does not take it.
    """
    is_header = path.suffix.lower() == ".hdr"
    header, image = (path, path.with_suffix(".img")) if is_header else (path.with_suffix(".hdr"), path)
    text = header_text(layer, grid, tags, path)
    cols = grid.shape[1]
    rows = max(1, _STRIP_BYTES // row_bytes(layer, cols))
    little = np.dtype(layer.dtype).newbyteorder("<")
    with writing(image), image.open("wb") as file:
        for _, values in read_pieces(pixels, layer, pieces(grid, layer, rows, cols), cols, rows_done):
            file.write(np.ascontiguousarray(values.transpose(1, 0, 2), little).data.cast("B"))
        file.flush()
        os.fsync(file.fileno())
    with writing(header):
        header.write_text(text, encoding="utf-8")
    return [path, image if is_header else header]


def header_text(layer: Layer, grid: Grid, tags: Mapping[str, str], path: Path) -> str:
    """The header of a layer.

    Raises:
        OutputError: ENVI has no such type, or the grid is sheared; names `path`.
    """
    if layer.dtype not in _TYPES:
        raise OutputError(path, f"ENVI files hold no {layer.dtype}", "Write a GeoTIFF (.tif) or Zarr (.zarr)")
    fields = {
        "description": f"{{{_plain(layer.description or layer.name)}}}", "samples": str(grid.shape[1]), "lines": str(grid.shape[0]),
        "bands": str(layer.bands), "header offset": "0", "file type": "ENVI Standard" if layer.legend is None else "ENVI Classification",
        "data type": str(_TYPES[layer.dtype]), "interleave": "bil" if layer.bands > 1 else "bsq", "byte order": "0",
        "data ignore value": f"{layer.nodata:.17g}", "band names": _braces(_plain(n) for n in band_names(layer)),
    }  # fmt: skip
    fields |= _place(grid, path) | _spectrum(layer) | _classes(layer)
    extra = {_key(k): _text(v) for k, v in dataset_tags(layer, tags).items() if k not in {"classes", "description"}}
    if "sensor" in extra:
        fields["sensor type"] = extra["sensor"]
    if "units" in extra:
        fields["data units"] = extra["units"]
    lines = [f"{key} = {value}" for key, value in {**extra, **fields}.items()]
    return "ENVI\n" + "\n".join(lines) + "\n"


def _spectrum(layer: Layer) -> dict[str, str]:
    """Wavelengths, widths and good bands of a cube."""
    if layer.wavelength is None or not has_wavelengths(layer):
        return {}
    fields = {"wavelength units": "Nanometers", "wavelength": _braces(repr(float(nm)) for nm in layer.wavelength)}
    if layer.fwhm is not None and np.isfinite(layer.fwhm).any():
        fields["fwhm"] = _braces(repr(float(nm)) if np.isfinite(nm) else "0" for nm in layer.fwhm)  # a list has no word for unknown
    if layer.good is not None:
        fields["bbl"] = _braces("1" if good else "0" for good in layer.good)
    return fields


def _classes(layer: Layer) -> dict[str, str]:
    """Names and colours of a class map, for all 256 codes."""
    if layer.legend is None:
        return {}
    names, colours = names_by_code(layer.legend), colours_by_code(layer.legend)
    return {
        "classes": str(_CODES),
        "class names": _braces(_plain(names.get(code, f"unused {code}")) for code in range(_CODES)),
        "class lookup": _braces(str(part) for code in range(_CODES) for part in colours.get(code, (0, 0, 0))),
    }


def _place(grid: Grid, path: Path) -> dict[str, str]:
    """`map info` and `coordinate system string`; nothing for a grid without a place."""
    if grid.transform == IDENTITY and grid.crs is None:
        return {}
    a, b, c, d, e, f = grid.transform
    width, height = math.hypot(a, d), math.hypot(b, e)
    # ENVI knows one angle and downward rows: the column and row axes must be at right angles, and not mirrored.
    if abs(a * b + d * e) > 1e-6 * width * height or a * e - b * d >= 0:
        raise OutputError(path, "an ENVI header cannot hold a sheared or mirrored grid", "Write a GeoTIFF (.tif) instead")
    angle = math.degrees(math.atan2(d, a))
    if abs(angle) > 180 - 1e-6:  # GDAL reads a rotation of 180 as a mirrored grid
        raise OutputError(path, "an ENVI header cannot hold a grid that stands on its head", "Write a GeoTIFF (.tif) instead")
    turned = abs(angle) > 1e-12
    if turned and abs(width - height) > 1e-9 * width:  # readers disagree on which pixel size goes with which axis
        raise OutputError(path, "an ENVI header cannot hold a rotated grid whose pixels are not square", "Write a GeoTIFF (.tif) instead")
    name, tail, wkt = _system(grid.crs)
    numbers = [f"{number:.17g}" for number in (1.0, 1.0, c, f, width, height)]
    fields = {"map info": _braces([name, *numbers, *tail, *([f"rotation={angle:.17g}"] if turned else [])])}
    if wkt:
        fields["coordinate system string"] = f"{{{wkt}}}"
    return fields


def _system(crs: str | None) -> tuple[str, list[str], str]:
    """How `map info` names a CRS, what follows its numbers, and the CRS as ESRI WKT."""
    if crs is None:
        return "Arbitrary", [], ""
    from pyproj import CRS

    system = CRS.from_user_input(crs)
    wkt = system.to_wkt("WKT1_ESRI") or ""
    datum = ["WGS-84"] if system.geodetic_crs is not None and system.geodetic_crs.name == "WGS 84" else []
    if system.is_geographic:
        return "Geographic Lat/Lon", [*datum, "units=Degrees"], wkt
    if system.utm_zone and datum:
        return "UTM", [system.utm_zone[:-1], "North" if system.utm_zone.endswith("N") else "South", *datum, "units=Meters"], wkt
    unit = system.axis_info[0].unit_name if system.axis_info else "metre"
    return _plain(system.name), [*datum, "units=Meters" if unit == "metre" else f"units={_plain(unit)}"], wkt


def _braces(items: Iterable[str]) -> str:
    return "{" + ", ".join(items) + "}"


def _plain(text: str) -> str:
    """Text that cannot break the header: no braces, commas or line ends."""
    return " ".join(str(text).translate(_UNSAFE).split())


def _text(text: str) -> str:
    """Text of a field of its own, in which commas and equals signs part nothing: no braces or line ends."""
    return " ".join(str(text).translate(_BRACES).split())


def _key(text: str) -> str:
    """A field's name: GDAL and SPy take lower-case words."""
    return re.sub(r"[^\w :.-]", "_", str(text)).strip().lower()

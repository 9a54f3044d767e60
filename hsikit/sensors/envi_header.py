"""An ENVI header: tokenised by Spectral Python, interpreted here in the field's many variants.

ENVI's format is documented only by its vendor's help pages; where they are silent, this follows what GDAL does, so that a
scene lies at the same place in QGIS.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import SceneError
from hsikit.geo.grid import IDENTITY, Coefficients, Grid
from hsikit.geo.remote import RemotePath
from hsikit.scene import Codes
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.cloud_cover import cloud_cover
from hsikit.sensors.crs import crs_text
from hsikit.sensors.facts import LONGEST_TEXT, Factor, FileFacts

Tokens = dict[str, Any]
DATA_TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
OF_THE_SCENE = ("description", "layer", "sensor type", "data units", "view_zenith")
OF_THE_FILE = frozenset({
    "samples", "lines", "bands", "header offset", "file type", "data type", "interleave", "byte order", "data ignore value", "band names", "map info",
    "coordinate system string", "wavelength units", "wavelength", "fwhm", "bbl", "classes", "class names", "class lookup", "acquisition time",
})  # fmt: skip
LAST_CLASS = 250
"""Codes above it are no classes in a map of hsikit."""
INTERLEAVES = ("bsq", "bil", "bip")
_DATUM_EPSG = {"wgs84": (32600, 32700, 4326), "nad83": (26900, None, 4269), "northamerica1983": (26900, None, 4269), "nad27": (26700, None, 4267)}
_DATUM_EPSG["northamerica1927"] = _DATUM_EPSG["nad27"]


@dataclass(frozen=True)
class EnviLayout:
    """How the numbers lie in the data file: interleave, stored type with its byte order, header offset, (bands, rows, cols)."""

    interleave: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, int, int]

    @property
    def file_size(self) -> int:
        """Bytes that the data file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(path: Path) -> Tokens:
    """The header's parameters: text or lists of text, by lower-case name.

    Raises:
        SceneError: it is not an ENVI header, or it breaks off.
    """
    import spectral.io.envi as spy

    # Spectral Python warns of capital letters in names, which are common and harmless.
    logging.getLogger("spectral").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _transcoded(path) if isinstance(path, RemotePath) else dict(spy.read_envi_header(str(path)))
            except (UnicodeDecodeError, spy.FileNotAnEnviHeader):
                return _transcoded(path)
    except FileNotFoundError:
        raise SceneError(path, "does not exist", "Check the path") from None
    except (spy.EnviException, OSError) as error:
        raise SceneError(path, f"is no readable ENVI header ({' '.join(str(error).split()) or 'it breaks off inside braces'})", "Repair the header") from None


def _transcoded(path: Path) -> Tokens:
    """Headers in a Latin or other national encoding, with a byte order mark, or on a server, by way of an ASCII copy."""
    import spectral.io.envi as spy

    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    with tempfile.NamedTemporaryFile("w", suffix=".hdr", encoding="ascii", errors="replace") as copy:
        copy.write(text.replace("µ", "u").replace("Âu", "u"))
        copy.flush()
        return dict(spy.read_envi_header(copy.name))


def envi_layout(path: Path, tokens: Tokens) -> EnviLayout:
    """How the data file is laid out.

    Raises:
        SceneError: a number is missing or makes no sense, or the data type is unknown or complex.
    """
    if "library" in str(tokens.get("file type", "")).lower():
        raise SceneError(path, "is a spectral library, not a scene")
    if str(tokens.get("file compression", "0")).strip() not in ("", "0"):
        raise SceneError(path, "describes a compressed file", "Write it without compression")
    for key in ("major frame offsets", "minor frame offsets"):
        if any(part.strip() not in ("", "0") for part in as_list(tokens.get(key)) or ()):
            raise SceneError(path, f"has {key}, which are not read", "Write the scene as a plain ENVI file")
    bands, rows, cols = (_integer(path, tokens, key, least=1) for key in ("bands", "lines", "samples"))
    kind = _integer(path, tokens, "data type")
    if kind not in DATA_TYPES:
        what = "complex, which is not read" if kind in (6, 9) else "not known"
        raise SceneError(path, f"data type {kind} is {what}", f"Known are {', '.join(map(str, DATA_TYPES))}")
    order = _integer(path, tokens, "byte order", default=0)
    if order not in (0, 1):
        raise SceneError(path, f"byte order {order} is neither 0 (little-endian) nor 1 (big-endian)")
    interleave = str(tokens.get("interleave", "bsq")).strip().lower()
    if interleave not in INTERLEAVES:
        raise SceneError(path, f"interleave {interleave!r} is not known", "Known are bsq, bil, bip")
    offset = _integer(path, tokens, "header offset", default=0, least=0)
    return EnviLayout(interleave, np.dtype("<>"[order] + DATA_TYPES[kind]), offset, (bands, rows, cols))


def envi_facts(name: str, header: Path, data: Path, tokens: Tokens, layout: EnviLayout) -> FileFacts:
    """What the header says of the scene."""
    bands, rows, cols = layout.shape
    notices: list[str] = []
    scale, offset, quantity = _scaling(header, tokens, bands, notices)
    claims = BandClaims(
        count=bands,
        wavelength=as_list(tokens.get("wavelength")),
        unit=str(tokens.get("wavelength units", "")),
        fwhm=as_list(tokens.get("fwhm")),
        good=as_list(tokens.get("bbl")),
        names=as_list(tokens.get("band names")),
        sensor=str(tokens.get("sensor type", "")),
    )
    if claims.wavelength and claims.unit.strip().lower() == "index":
        claims.wavelength = None
    if claims.wavelength is None and tokens.get("hsikit_version"):
        claims.spectral = False
    return FileFacts(
        name=name,
        driver="envi",
        grid=_grid(header, tokens, (rows, cols), notices),
        dtype=layout.dtype,
        claims=claims,
        scale=scale,
        offset=offset,
        nodata=_number(header, tokens, "data ignore value"),
        quantity=quantity,
        acquired=str(tokens.get("acquisition time") or tokens.get("acquired", "")).strip(),
        files=(header, data),
        notices=notices,
        attrs={
            **{key: " ".join(str(tokens[key]).split()) for key in _kept(tokens)},
            **cloud_cover(tokens.get("cloud cover", tokens.get("cloud_cover"))),  # ENVI's own field, and that of converted scenes
        },
        codes=Codes(_classes(tokens)),
    )


def _kept(tokens: Tokens) -> list[str]:
    """Fields that tell of the scene: a few of any program's header, and all of ours that tell not of the file's form."""
    if not tokens.get("hsikit_version"):
        return [key for key in OF_THE_SCENE if tokens.get(key)]
    return [key for key, text in tokens.items() if isinstance(text, str) and 0 < len(text) < LONGEST_TEXT and key not in OF_THE_FILE]


def as_list(value: Any) -> list[str] | None:
    """A parameter as a list of text; None where it is absent or empty."""
    if value is None:
        return None
    parts = [str(part).strip() for part in (value if isinstance(value, list) else str(value).strip("{} ").split(","))]
    while parts and not parts[-1]:
        parts.pop()
    return parts or None


def _scaling(header: Path, tokens: Tokens, bands: int, notices: list[str]) -> tuple[Factor, Factor, str]:
    """Factor, offset and quantity: a reflectance scale factor divides; gains multiply."""
    divisor = _number(header, tokens, "reflectance scale factor")
    if divisor is not None and not divisor > 0:
        raise SceneError(header, f"reflectance scale factor {divisor:g} is not positive")
    gains, offsets = (_per_band(header, tokens, key, bands) for key in ("data gain values", "data offset values"))
    if divisor is not None:
        if gains or offsets:
            notices.append("the header has both gains and a reflectance scale factor; the latter is used")
        return 1.0 / divisor, 0.0, "surface_reflectance"
    return gains or 1.0, offsets or 0.0, _stated_quantity(tokens)


def _classes(tokens: Tokens) -> str:
    """The classes of an ENVI classification as `Codes` has them, but for those that hsikit writes for codes without a class."""
    names, numbers = as_list(tokens.get("class names")) or [], as_list(tokens.get("class lookup")) or []
    used = [code for code, name in enumerate(names) if 1 <= code <= LAST_CLASS and name != f"unused {code}"]
    try:
        colours = {code: [int(part) for part in numbers[3 * code : 3 * code + 3]] for code in used}
    except ValueError:
        return ""
    if not used or any(len(colour) != 3 for colour in colours.values()):
        return ""
    return json.dumps([{"code": code, "name": names[code], "colour": colours[code]} for code in used])


def _stated_quantity(tokens: Tokens) -> str:
    from hsikit.scene import QUANTITIES

    stated = str(tokens.get("quantity", "")).strip().lower()
    return stated if stated in QUANTITIES else ""


def _per_band(header: Path, tokens: Tokens, key: str, bands: int) -> list[float] | None:
    parts = as_list(tokens.get(key))
    if parts is None:
        return None
    try:
        values = [float(part) for part in parts]
    except ValueError:
        raise SceneError(header, f"{key} are not all numbers") from None
    if len(values) not in (1, bands) or not np.isfinite(values).all():
        raise SceneError(header, f"has {len(values)} {key} for {bands} bands")
    return values * bands if len(values) == 1 else values


def _grid(header: Path, tokens: Tokens, shape: tuple[int, int], notices: list[str]) -> Grid:
    parts = as_list(tokens.get("map info"))
    if not parts:
        return Grid(shape)
    try:
        transform = map_info_transform(parts)
    except (ValueError, IndexError):
        raise SceneError(header, f"map info {{{', '.join(parts)}}} cannot be understood", "Repair or remove it") from None
    system = tokens.get("coordinate system string")
    wkt = ",".join(system) if isinstance(system, list) else str(system or "").strip("{} ")
    crs = crs_text(wkt) if wkt else None
    if wkt and crs is None:
        notices.append("the coordinate system string cannot be understood")
    crs = crs or _map_info_crs(parts)
    if crs is None and parts[0].lower() not in ("arbitrary", "pixel"):
        notices.append(f"the map projection {parts[0]!r} is not known; the scene has no CRS")
    return Grid(shape, transform, crs)


def map_info_transform(parts: Sequence[str]) -> Coefficients:
    """The transform that the parts of a map info say, its rotation included.

    Raises:
        ValueError: they are no numbers, or make no sense.
        IndexError: they are too few.
    """
    col, row, x, y, width, height = (float(part) for part in parts[1:7])
    if not (width > 0 and height != 0 and np.isfinite([col, row, x, y, width, height]).all()):
        raise ValueError("pixel size")
    turn = math.radians(next((float(part.partition("=")[2]) for part in parts[7:] if part.lower().replace(" ", "").startswith("rotation=")), 0.0))
    cos, sin = (math.cos(turn), math.sin(turn)) if turn else (1.0, 0.0)
    a, b, d, e = width * cos, width * sin, height * sin, -height * cos
    # The reference pixel counts from 1, at the upper-left corner of the first pixel.
    transform = (a, b, x - a * (col - 1) - b * (row - 1), d, e, y - d * (col - 1) - e * (row - 1))
    return IDENTITY if transform == (1.0, 0.0, 0.0, 0.0, -1.0, 0.0) else transform


def _map_info_crs(parts: Sequence[str]) -> str | None:
    """The CRS that map info alone names: UTM or geographic, on the usual datums."""
    words = [part.lower().replace("-", "").replace(" ", "").replace("_", "") for part in parts]
    datum = next((known for word in words[7:] for known in _DATUM_EPSG if word == known), None)
    if datum is None:
        return None
    north, south, geographic = _DATUM_EPSG[datum]
    if words[0].startswith("geographic"):
        return f"EPSG:{geographic}"
    if words[0] != "utm" or len(words) < 9 or not words[7].isdigit() or not 1 <= int(words[7]) <= 60:
        return None
    base = south if words[8].startswith("s") else north
    return f"EPSG:{base + int(words[7])}" if base is not None else None


def _integer(path: Path, tokens: Tokens, key: str, default: int | None = None, least: int | None = None) -> int:
    value = tokens.get(key)
    if value is None and default is not None:
        return default
    if value is None:
        raise SceneError(path, f"the header does not say {key!r}", "Repair the header")
    try:
        number = int(str(value))
    except ValueError:
        raise SceneError(path, f"{key} = {value} is no whole number", "Repair the header") from None
    if least is not None and number < least:
        raise SceneError(path, f"{key} = {number} makes no sense", "Repair the header")
    return number


def _number(path: Path, tokens: Tokens, key: str) -> float | None:
    value = tokens.get(key)
    if value is None or not str(value).strip():
        return None
    try:
        return float(str(value).strip("{} []'\""))
    except ValueError:
        raise SceneError(path, f"{key} = {value} is no number", "Repair the header") from None

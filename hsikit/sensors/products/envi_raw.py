"""Raw scenes of line cameras (Specim, HySpex, Headwall, Resonon) as ENVI files, made reflectance by the white and dark references beside.

Reflectance is (raw - dark) / (white - dark), for each band and column with the means of the references over their lines, relative
to the white panel; `scale` names the panel's own reflectance where it is not 1. Where the white reference was taken with another
integration time, it is brought to the scene's; its own dark reference is used where there is one.

The references are ENVI files in the scene's folder, of the same bands and columns, known by their names (case and punctuation do
not matter), either with the scene's name or alone:

    Specim      WHITEREF_scene, DARKREF_scene, WHITEDARKREF_scene
    Headwall    whiteReference, darkReference
    any         scene_white, scene_dark, scene_white_dark; white_reference, dark_reference; white, dark

Without a white reference the numbers stay raw. Names of header fields are from the makers' manuals and public examples; not held
against real files.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window, tile_windows
from hsikit.scene import QUALITY_FLAGS, Indices, Quality, Source
from hsikit.sensors.envi import EnviFile, EnviSource, envi_file, find_header
from hsikit.sensors.facts import Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.envi_jpl import place
from hsikit.sensors.products.envi_sidecars import open_layers

MAKERS = {
    "Specim": r"specim|\bfx\d\d|aisa|fenix|\biq\b", "HySpex": r"hyspex", "Headwall": r"headwall|hyperspec", "Resonon": r"resonon|\bpika",
}  # fmt: skip
ROLES = {
    "white": ("whiteref", "whitereference", "white"), "dark": ("darkref", "darkreference", "dark"),
    "white_dark": ("whitedarkref", "whitedarkreference", "whitedark"),
}  # fmt: skip
TIMES = ("tint", "integration time", "shutter", "exposure", "exposure time")
"""Header fields with the integration time; only ratios of one field are used, so that its unit does not matter."""
WHOLE_NUMBERS = ("1", "2", "3", "12", "13")
STRIP_ROWS = 128

Reference = NDArray[np.float32]


class Reader:
    """Opens raw scenes."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether a header describes whole numbers in wavelengths, and names such a camera or has references beside."""
        fields = probe.envi_fields
        if "wavelength" not in fields or "quantity" in fields or fields.get("data type", "") not in WHOLE_NUMBERS:
            return False
        header = probe.path if probe.path.suffix.lower() == ".hdr" else find_header(probe.path)
        return header is not None and _role(_bare(header), "") == "" and bool(_maker(fields) or "white" in find_references(header))

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: header or data file are missing or disagree, or a reference has other bands or columns.
        """
        file = envi_file(path)
        facts = file.facts
        facts.driver, facts.scale, facts.offset, facts.quantity = "envi-raw", 1.0, 0.0, "dn"
        facts.acquired = facts.acquired or _acquired(file.tokens)
        place(file)
        camera = facts.attrs.get("sensor type", "")
        facts.attrs = {**facts.attrs, "processing_level": "raw", "processor": _maker(file.tokens), "instrument": camera,
                       "integration_time": _time_text(file.tokens)}  # fmt: skip
        references = {role: _reference(file, header) for role, header in find_references(file.header).items()}
        ceiling = _ceiling(file)
        if "white" not in references:
            facts.notices.append("no white reference is beside it; its numbers stay raw")
            return _RawSource(file, options, ceiling, None)
        facts.notices += _doubts(file, references)
        names = ", ".join(reference.header.name for reference in references.values())
        facts.notices.append(f"its numbers become reflectance relative to the white reference beside ({names}); --scale names the panel's reflectance")
        facts.files = (*facts.files, *(path for reference in references.values() for path in (reference.header, reference.data)))
        facts.quantity, facts.dtype = "surface_reflectance", np.dtype(np.float32)
        facts.attrs = {**facts.attrs, "correction": "white and dark reference"}
        calibration = _Calibration(file, references)
        nodata, facts.nodata = facts.nodata, None
        return _RawSource(file, options, ceiling, calibration, nodata)


class _RawSource(EnviSource):
    """A scene whose raw numbers are calibrated as they are read."""

    def __init__(self, file: EnviFile, options: Options, ceiling: float | None, calibration: _Calibration | None, nodata: float | None = None) -> None:
        self._calibration, self._raw_nodata, self._ceiling = calibration, nodata, ceiling
        if ceiling is not None:
            file.facts.quality = Quality(("saturated",), self._saturated)
        super().__init__(layout(file.facts, options), file.stored, file.data)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        raw = super()._stored(window, bands)
        if self._calibration is None:
            return raw
        dark, factor = self._calibration.read(bands, window)
        values = (raw.astype(np.float32) - dark[:, np.newaxis]) * factor[:, np.newaxis]
        if self._raw_nodata is not None:
            values[raw == self._raw_nodata] = np.nan
        return values

    def _saturated(self, window: Window) -> NDArray[np.uint8]:
        raw = super()._stored(window, np.arange(len(self.info.bands)))
        return np.where((raw >= self._ceiling).any(axis=0), np.uint8(QUALITY_FLAGS["saturated"]), np.uint8(0))


class _Calibration:
    """What is subtracted from raw numbers, and then multiplied, for each band and column; the references are read when first needed."""

    def __init__(self, scene: EnviFile, references: Mapping[str, EnviFile]) -> None:
        self._scene, self._references, self._lock = scene, references, threading.Lock()

    def read(self, bands: Indices, window: Window) -> tuple[Reference, Reference]:
        """(dark, factor) of shape (bands, cols); the factor is NaN where white is not above dark."""
        with self._lock:
            dark, factor = self._all
        cols = slice(window.col, window.col_end)
        return dark[bands, cols], factor[bands, cols]

    @cached_property
    def _all(self) -> tuple[Reference, Reference]:
        bands, _, cols = self._scene.stored.shape
        means = {role: mean_of_lines(file) for role, file in self._references.items()}
        dark = means.get("dark", np.zeros((bands, cols)))
        span = (means["white"] - means.get("white_dark", dark)) * _ratio(self._scene, self._references["white"])
        factor = np.divide(1.0, span, out=np.full(span.shape, np.nan), where=span > 0)
        return dark.astype(np.float32), factor.astype(np.float32)


def mean_of_lines(file: EnviFile) -> NDArray[np.float64]:
    """The mean over all lines, shape (bands, cols)."""
    source = open_layers(file)
    bands, rows, cols = file.stored.shape
    total = np.zeros((bands, cols))
    for window in tile_windows(Window(0, 0, rows, cols), (STRIP_ROWS, cols)):
        total += source.read(window, np.arange(bands)).values.sum(axis=1, dtype=np.float64)
    source.close()
    return total / rows


def find_references(header: Path) -> dict[str, Path]:
    """Headers of the references beside a scene, by their role; those with the scene's name before those for a whole folder."""
    scene = _bare(header)
    found: dict[str, Path] = {}
    shared: dict[str, Path] = {}
    for path in sorted(entry for entry in header.parent.iterdir() if entry.suffix.lower() == ".hdr" and entry != header):
        for target, name in ((found, scene), (shared, "")):
            role = _role(_bare(path), name)
            if role:
                target.setdefault(role, path)
    return {**shared, **found}


def _role(name: str, scene: str) -> str:
    """Which reference of a scene a name says, "" for none."""
    rests = [name] if not scene else [rest for rest in (name.removeprefix(scene), name.removesuffix(scene)) if rest != name]
    return next((role for role, words in ROLES.items() if any(rest in words for rest in rests)), "")


def _bare(header: Path) -> str:
    """The name of a header without its endings, case and punctuation."""
    stem = re.sub(r"(\.(raw|bil|bip|bsq|img|dat|bin))?\.hdr$", "", header.name, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "", stem.lower())


def _reference(scene: EnviFile, header: Path) -> EnviFile:
    file = envi_file(header)
    bands, _, cols = scene.stored.shape
    if file.stored.shape[0] != bands or file.stored.shape[2] != cols:
        raise SceneError(header, f"has {file.stored.shape[0]} bands and {file.stored.shape[2]} columns, and {scene.header.name} has {bands} and {cols}",
                         "Put the reference of this scene beside it, or move the wrong one away")  # fmt: skip
    return file


def _maker(fields: Mapping[str, Any]) -> str:
    told = " ".join(str(fields.get(key, "")) for key in ("sensor type", "description", "sensor", "imager", "camera", "label")).lower()
    named = next((maker for maker, pattern in MAKERS.items() if re.search(pattern, told)), "")
    return named or ("Specim" if "tint" in fields and "fps" in fields else "Resonon" if "framerate" in fields and "shutter" in fields else "")


def _time(tokens: Mapping[str, Any]) -> tuple[str, float] | None:
    """The field with the integration time, and its number; None where there is none."""
    for key in TIMES:
        number = re.match(r"\s*(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)", str(tokens.get(key, "")))
        if number and float(number[1]) > 0:
            return key, float(number[1])
    return None


def _time_text(tokens: Mapping[str, Any]) -> str:
    found = _time(tokens)
    return "" if found is None else f"{found[1]:g}"


def _ratio(scene: EnviFile, other: EnviFile) -> float:
    """The scene's integration time by another file's; 1 where either is unknown."""
    one, two = _time(scene.tokens), _time(other.tokens)
    return one[1] / two[1] if one and two and one[0] == two[0] else 1.0


def _doubts(scene: EnviFile, references: Mapping[str, EnviFile]) -> list[str]:
    told = []
    ratio = _ratio(scene, references["white"])
    if "dark" not in references:
        told.append("no dark reference is beside it; nothing is subtracted")
    elif _ratio(scene, references["dark"]) != 1.0:
        told.append("its dark reference was taken with another integration time, and is used as it is")
    if ratio != 1.0:
        own = "" if "white_dark" in references else "; it has no dark reference of its own, so that of the scene is subtracted from it"
        told.append(f"its white reference was taken with another integration time, and is multiplied by {ratio:g}{own}")
    return told


def _ceiling(file: EnviFile) -> float | None:
    """The number at which the camera saturates, where the header says it."""
    ceiling, depth = (str(file.tokens.get(key, "")).strip() for key in ("ceiling", "bit depth"))
    if re.fullmatch(r"\d+(\.\d*)?", ceiling) and float(ceiling) > 0:
        return float(ceiling)
    return float(2 ** int(depth) - 1) if re.fullmatch(r"\d{1,2}", depth) and 1 <= int(depth) <= 32 else None


def _acquired(tokens: Mapping[str, Any]) -> str:
    """Date and time out of the fields that Specim writes."""
    date = re.search(r"\d{4}-\d{2}-\d{2}", str(tokens.get("acquisition date", "")))
    time = re.search(r"\d{2}:\d{2}:\d{2}", str(tokens.get("start time", "")))
    return "" if date is None else date[0] if time is None else f"{date[0]}T{time[0]}Z"

"""ASD field spectra (.asd), versions 1 to 8: a header of 484 bytes, the spectrum, and from version 2 on the white reference.

The spectrum and its reference are raw counts whatever the type: a file of type reflectance holds both, and reflectance is
their ratio; a raw file with a reference is read so too. Files of type radiance hold counts and, from version 7 on, the
calibration (lamp, panel, and the fore-optic's response to them) that makes radiance of them. Format: ASD File Format Version 8,
Revision B; the position is in degrees and minutes (DDDMM.mmm), east and north positive.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.library import LATITUDE, LONGITUDE, SPLICES, TIME
from hsikit.sensors.libraries.facts import UNLIKELY_REFLECTANCE, LibraryFacts, LibraryOptions
from hsikit.sensors.libraries.places import from_minutes

Floats = NDArray[np.float64]
HEADER = 484
FORMATS = {0: "<f4", 1: "<i4", 2: "<f8"}
RAW, REFLECTANCE, RADIANCE = 0, 1, 2
TYPES = ("raw", "reflectance", "radiance", "no units", "irradiance", "quality index", "transmittance", "unknown", "absorbance")
BASE, LAMP, FORE_OPTIC = 1, 2, 3
FULL_GAIN = 2048
"""The gain of a SWIR detector is 2048 over the number in the header."""
CLASSIFIER_TEXTS = 20
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Calibration:
    """A series of numbers beside the spectrum: what it is, the integration time (ms) and gains it was taken with."""

    kind: int
    time: int
    gains: tuple[int, int]
    values: Floats


class Bytes:
    """A file's bytes, read in order; little-endian."""

    def __init__(self, path: Path, data: bytes, at: int = 0) -> None:
        self.path, self.data, self.at = path, data, at

    def take(self, form: str) -> tuple[Any, ...]:
        """Unpacks a struct.

        Raises:
            SceneError: the file ends before it.
        """
        size = struct.calcsize("<" + form)
        self.need(size)
        self.at += size
        return struct.unpack_from("<" + form, self.data, self.at - size)

    def text(self) -> str:
        """A text behind its length."""
        (length,) = self.take("H")
        self.need(length)
        self.at += length
        return self.data[self.at - length : self.at].decode("latin-1")

    def array(self, dtype: str, count: int) -> Floats:
        """Numbers as float64."""
        self.need(count * np.dtype(dtype).itemsize)
        values = np.frombuffer(self.data, dtype, count, self.at).astype(np.float64)
        self.at += count * np.dtype(dtype).itemsize
        return values

    def need(self, size: int) -> None:
        """Refuses to read past the end."""
        if self.at + size > len(self.data):
            part = "header" if self.at < HEADER else "data"
            raise SceneError(self.path, f"ends after {len(self.data)} bytes, before its {part} does", "Fetch the file again")


@dataclass(frozen=True)
class Header:
    """What the reader uses of the 484 bytes."""

    version: int
    comment: str
    time: str
    kind: int
    first: float
    step: float
    dtype: str
    channels: int
    longitude: str
    latitude: str
    integration: int
    instrument: int
    gains: tuple[int, int]
    borders: tuple[float, float]

    @property
    def wavelength(self) -> Floats:
        """Channels (nm)."""
        return np.asarray(self.first + self.step * np.arange(self.channels), np.float64)


def read(path: Path, options: LibraryOptions) -> LibraryFacts:
    """Reads one spectrum.

    Raises:
        SceneError: truncated, or of a version, type or format that is not known.
    """
    if path.stat().st_size > MOST_BYTES:
        raise SceneError(path, "is too large to be one spectrum")
    data = Bytes(path, path.read_bytes())
    header = _header(data)
    spectrum = data.array(header.dtype, header.channels)
    reference = _reference(data, header) if header.version >= 2 and data.at < len(data.data) else None
    calibrations = _calibrations(data, header) if header.kind == RADIANCE and header.version >= 7 else []
    values, quantity, notices = _physical(header, spectrum, reference, calibrations)
    metadata = {
        TIME: header.time, LONGITUDE: header.longitude, LATITUDE: header.latitude, "type": TYPES[header.kind], "comment": header.comment,
        "instrument": str(header.instrument), SPLICES: " ".join(f"{b:g}" for b in header.borders if header.first < b < header.wavelength[-1]),
    }  # fmt: skip
    return LibraryFacts(
        name=str(path), spectra=values[np.newaxis], wavelength=header.wavelength.tolist(), unit="nm", names=[path.stem],
        metadata={key: [value] for key, value in metadata.items()}, scale=1.0, quantity=quantity, notices=notices,
    )  # fmt: skip


def _header(data: Bytes) -> Header:
    mark = data.take("3s")[0]
    if mark != b"ASD" and not (mark[:2] == b"as" and mark[2:].isdigit() and 1 <= int(mark[2:]) <= 8):
        raise SceneError(data.path, f"begins with {mark!r}, which is no ASD file", "Known are versions 1 to 8")
    version = 1 if mark == b"ASD" else int(mark[2:])
    (comment,) = data.take("157s")
    when = data.take("9h")
    data.take("2B b b i")
    kind, _, first, step, form, *_ = data.take("B i f f B 4B")
    (channels,) = data.take("H")
    data.take("128s")
    gps = data.take("5d 16s")
    integration, _, _, _, instrument = data.take("I h h H H")
    data.take("4f H B 4B H H H B I")
    gain1, gain2, _, _, border1, border2, _ = data.take("4H f f 32s")
    if kind >= len(TYPES) or form not in FORMATS or not channels or not (np.isfinite([first, step]).all() and step > 0):
        wrong = f"says type {kind}, format {form}, {channels} channels from {first:g} nm every {step:g} nm, which is no spectrum"
        raise SceneError(data.path, wrong, "Fetch the file again")
    longitude, latitude = (_angle(value) for value in (gps[3], gps[2])) if gps[2] or gps[3] else ("", "")
    return Header(version, comment.split(b"\0")[0].decode("latin-1").strip(), _time(when), kind, first, step, FORMATS[form], channels, longitude, latitude,
                  integration, instrument, (gain1, gain2), (border1, border2))  # fmt: skip


def _angle(value: float) -> str:
    return repr(round(from_minutes(value), 9)) if np.isfinite(value) and abs(value) <= 18000 else ""


def _time(when: tuple[int, ...]) -> str:
    second, minute, hour, day, month, year = when[:6]
    try:
        return datetime(year + 1900 if year < 1900 else year, month + 1, day, hour, minute, second).isoformat(timespec="seconds")
    except ValueError:
        return ""


def _reference(data: Bytes, header: Header) -> Floats | None:
    """The white reference; None where none was taken."""
    (taken, _, _) = data.take("H q q")
    data.text()
    values = data.array(header.dtype, header.channels)
    return values if taken and values.any() else None


def _calibrations(data: Bytes, header: Header) -> list[Calibration]:
    """Series behind the classifier and the dependent variables, whose length must be read through."""
    data.take("2B")
    for _ in range(CLASSIFIER_TEXTS):
        data.text()
    (constituents,) = data.take("H")
    data.take("10s" if constituents else "2s")
    for _ in range(constituents):
        data.text()
        data.text()
        data.take("9d i 2d")
    _, variables = data.take("H h")
    data.take("10s" if variables > 0 else "6s")
    for _ in range(max(variables, 0)):
        data.text()
    if variables > 0:
        data.take(f"10s {variables}f")
    (count,) = data.take("B")
    heads = [data.take("B 20s i H H") for _ in range(count)]
    return [Calibration(kind, time, (gain1, gain2), data.array("<f8", header.channels)) for kind, _, time, gain1, gain2 in heads]


def _physical(header: Header, spectrum: Floats, reference: Floats | None, calibrations: list[Calibration]) -> tuple[Floats, str, list[str]]:
    """Values, their quantity, and notices."""
    if header.kind in (RAW, REFLECTANCE) and reference is not None:
        with np.errstate(all="ignore"):
            return np.where(reference != 0, spectrum / reference, np.nan), "surface_reflectance", []
    series = {each.kind: each for each in calibrations}
    if header.kind == RADIANCE and {BASE, LAMP, FORE_OPTIC} <= series.keys():
        return _radiance(header, spectrum, series), "radiance", []
    if header.kind == REFLECTANCE and np.abs(spectrum[np.isfinite(spectrum)]).max(initial=0.0) < UNLIKELY_REFLECTANCE:  # older programs store the ratio itself
        return spectrum, "surface_reflectance", []
    return spectrum, "dn", [f"a file of type {TYPES[header.kind]} without what would turn it into reflectance or radiance: values are counts"]


def _radiance(header: Header, spectrum: Floats, series: dict[int, Calibration]) -> Floats:
    """Radiance (W m-2 sr-1 um-1): the lamp's irradiance off a panel, per count that the fore-optic gave, times the counts."""
    optic = series[FORE_OPTIC]
    with np.errstate(all="ignore"):
        known = series[LAMP].values / np.pi * series[BASE].values
        per_count = known / (optic.values / _gain(header, optic.time, optic.gains))
        radiance = per_count * spectrum / _gain(header, header.integration, header.gains)
        return np.where(np.isfinite(radiance), radiance * 1000.0, np.nan)


def _gain(header: Header, time: int, gains: tuple[int, int]) -> Floats:
    """Counts are proportional to this: the integration time up to the first border, then the gain of each SWIR detector."""
    detector = np.searchsorted(np.asarray(header.borders), header.wavelength, side="left")
    steps = np.array([time, *(FULL_GAIN / max(gain, 1) for gain in gains)], np.float64)
    return steps[detector]

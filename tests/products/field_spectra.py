"""Field spectra built byte by byte and line by line from their published formats; nothing here knows our readers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ASD_TYPES = {"raw": 0, "reflectance": 1, "radiance": 2}
ASD_STORED = {0: "<f4", 1: "<i4", 2: "<f8"}
LAMP, BASE, FORE_OPTIC = 2, 1, 3


def write_asd(
    path: Path,
    spectrum: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    version: int = 7,
    kind: str = "raw",
    stored: int = 2,
    first: float = 350.0,
    step: float = 1.0,
    position: tuple[float, float] = (0.0, 0.0),
    integration: int = 136,
    gains: tuple[int, int] = (500, 544),
    borders: tuple[float, float] = (1000.0, 1830.0),
    calibrations: Mapping[int, tuple[np.ndarray, int, tuple[int, int]]] | None = None,
    constituents: int = 0,
    variables: int = 0,
    comment: str = "oak, sunlit",
) -> Path:
    """An ASD file of versions 1 to 8: header at fixed offsets, spectrum, and what each version adds behind it.

    `position` is (latitude, longitude) as DDDMM.mmm; `calibrations` are (values, integration time, gains) by type.
    """
    head = bytearray(484)

    def put(offset: int, form: str, *values: object) -> None:
        struct.pack_into("<" + form, head, offset, *values)

    put(0, "3s", b"ASD" if version == 1 else b"as%d" % version)
    put(3, "157s", comment.encode())
    put(160, "9h", 7, 30, 10, 16, 5, 123, 5, 166, 0)  # 2023-06-16 10:30:07: months from 0, years from 1900
    put(178, "2B", 0x52, 0x70)
    put(186, "B", ASD_TYPES[kind])
    put(191, "ff", first, step)
    put(199, "B", stored)
    put(204, "H", len(spectrum))
    put(334, "5d", 0.0, 0.0, position[0], position[1], 71.5)
    put(390, "I", integration)
    put(394, "h", 25)
    put(400, "H", 18042)
    put(431, "B", 4)
    put(436, "4H", *gains, 0, 0)
    put(444, "ff", *borders)
    body = bytes(head) + spectrum.astype(ASD_STORED[stored]).tobytes()
    if version >= 2:
        taken = b"\xff\xff" if reference is not None else b"\0\0"
        white = np.zeros(len(spectrum)) if reference is None else reference
        body += taken + struct.pack("<qq", 1, 2) + _text(comment) + white.astype(ASD_STORED[stored]).tobytes()
    if version >= 6:
        body += _classifier(constituents) + _variables(variables)
    if version >= 7:
        series = list((calibrations or {}).items())
        body += struct.pack("<B", len(series))
        body += b"".join(struct.pack("<B20siHH", key, b"lamp.ill", time, *gain) for key, (_, time, gain) in series)
        body += b"".join(values.astype("<f8").tobytes() for _, (values, _, _) in series)
    if version >= 8:
        body += struct.pack("<i", 0) + bytes(128)
    path.write_bytes(body)
    return path


def _text(words: str) -> bytes:
    return struct.pack("<h", len(words)) + words.encode()


def _classifier(constituents: int) -> bytes:
    texts = b"".join(_text(f"text {i}"[: i % 8]) for i in range(20))
    items = b"".join(_text("clay") + _text("pass") + struct.pack("<9di2d", *range(9), 1, 0, 0) for _ in range(constituents))
    return bytes(2) + texts + struct.pack("<H", constituents) + (struct.pack("<HII", 1, constituents, 0) + items if constituents else bytes(2))


def _variables(count: int) -> bytes:
    if not count:
        return bytes(2) + struct.pack("<h", 0) + bytes(6)
    array = struct.pack("<HII", 1, count, 0)
    return b"\xff\xff" + struct.pack("<h", count) + array + b"".join(_text(f"v{i}") for i in range(count)) + array + struct.pack(f"<{count}f", *range(count))


def write_sig(path: Path, wavelength: Sequence[float], percent: Sequence[float], **fields: str) -> Path:
    """An SVC file: pairs are of the reference and of the target."""
    told = {
        "name": path.name, "instrument": "HI: 1132037 (HR-1024i)", "integration": "50.0, 40.0, 20.0, 60.0, 40.0, 20.0", "scan method": "Time-based, Time-based",
        "scan time": "1, 1", "optic": "LENS 4(1), LENS 4(1)", "error": "0, 0", "units": "Radiance, Radiance",
        "time": "6/16/2023 10:29:40AM, 6/16/2023 10:30:07AM", "longitude": "01303.9500E, 01303.9600E", "latitude": "5223.7500N, 5223.7600N",
        "gpstime": "082940.0, 083007.0", "comm": "oak", "memory slot": "0, 0", "factors": "1.000, 1.000, 1.000",
    }  # fmt: skip
    told.update({key.replace("_", " "): value for key, value in fields.items()})
    rows = [f"{w:.1f}  {1000.0:.2f}  {10 * p:.2f}  {p:.3f}" for w, p in zip(wavelength, percent, strict=True)]
    path.write_text("\n".join(["/*** Spectra Vista SIG Data ***/", *(f"{key}= {value}" for key, value in told.items()), "data=", *rows, ""]))
    return path


def write_sed(path: Path, columns: Mapping[str, Sequence[float]], **fields: str) -> Path:
    """A Spectral Evolution file with these columns."""
    told = {
        "Comment": "oak", "Version": "2.2 [1.2.5]", "File Name": path.name, "Instrument": "PSR+3500_SN1849090 [3]", "Detectors": "512,256,256",
        "Measurement": "REFLECTANCE", "Date": "06/16/2023,06/16/2023", "Time": "10:29:40.0,10:30:07.0", "Temperature (C)": "25.1,7.2,-5.3",
        "Averages": "10,10", "Integration": "2,2,10,8", "Foreoptic": "LENS4 {RADIANCE}, LENS4 {RADIANCE}", "Units": "W/m^2/sr/nm",
        "Wavelength Range": "350,2500", "Latitude": "52.39600", "Longitude": "13.06600", "Altitude": "35.2", "GPS Time": "08:30:07",
        "Channels": str(len(next(iter(columns.values())))), f"Columns [{len(columns)}]": "",
    }  # fmt: skip
    told.update({key.replace("_", " "): value for key, value in fields.items()})
    rows = ["\t".join(f"{value:.6E}" if i else f" {value:.1f}" for i, value in enumerate(row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([*(f"{key}: {value}".rstrip() for key, value in told.items()), "Data:", "\t".join(columns), *rows, ""]))
    return path

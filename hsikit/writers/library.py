"""Spectral libraries: ENVI's .sli with a table of metadata beside it, or one CSV table with a row for each spectrum.

Both hold what `hsikit.sensors.libraries` reads back equal: float32 values, wavelengths and widths in nm, names, metadata.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OutputError
from hsikit.scene import Bands
from hsikit.writers.failures import writing
from hsikit.writers.staging import check_target, commit

DELETED = -1.23e34
"""What stands for a deleted channel in ENVI libraries, after the USGS."""
MARK = "# hsikit spectral library"
"""How our CSV tables begin."""
_UNSAFE = str.maketrans("{},\n\r", "();  ")
NAME, NAMES = "name", "spectra names"
"""First column of our CSV tables, and of the tables that lie beside ENVI libraries."""


def write_library(path: Path, spectra: NDArray[np.float32], bands: Bands, names: Sequence[str], metadata: Mapping[str, Sequence[str]], quantity: str,
                  *, overwrite: bool = False) -> list[Path]:  # fmt: skip
    """Writes a library; the ending of `path` tells the form: .sli or .hdr, or .csv.

    Args:
        path: the file to make.
        spectra: shape (n, C), NaN where a channel is deleted.
        bands: the spectral axis.
        names: n of them.
        metadata: columns of text, n entries each.
        quantity: a key of `hsikit.scene.QUANTITIES`.
        overwrite: whether existing files may be replaced.

    Returns:
        What was written: for ENVI the data, the header and, where there are metadata, their table.

    Raises:
        OutputError: another ending, a file exists, or the disk does not take it.
    """
    ending = path.suffix.lower()
    if ending not in (".sli", ".hdr", ".csv"):
        raise OutputError(path, f"no form of library ends in {path.suffix!r}", "Known are .sli (ENVI) and .csv")
    if not len(spectra):
        raise OutputError(path, "the library holds no spectrum", "Choose some")
    texts = _table(spectra, bands, names, metadata, quantity) if ending == ".csv" else _envi(spectra, bands, names, metadata, quantity)
    targets = [path.with_suffix(suffix) for suffix in texts] if ending != ".csv" else [path]
    check_target(targets[0], overwrite, targets[1:])
    _check_beside(targets[2:])
    with writing(path), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        pairs = []
        for target, content in zip(targets, texts.values(), strict=True):
            part = Path(folder) / target.name
            part.write_bytes(content)
            pairs.append((part, target))
        commit(pairs)
    return targets


def _check_beside(tables: Sequence[Path]) -> None:
    """Refuses to replace a table that the user did not name, where it is none of an ENVI library."""
    for path in tables:
        if path.is_file() and not path.read_bytes().startswith(NAMES.encode()):
            raise OutputError(path, "exists, and the metadata of the library would take its name", "Choose another name for the library")


def _envi(spectra: NDArray[np.float32], bands: Bands, names: Sequence[str], metadata: Mapping[str, Sequence[str]], quantity: str) -> dict[str, bytes]:
    """Contents by ending."""
    fields = {
        "description": "{spectral library}", "samples": str(len(bands)), "lines": str(len(spectra)), "bands": "1", "header offset": "0",
        "file type": "ENVI Spectral Library", "data type": "4", "interleave": "bsq", "byte order": "0", "wavelength units": "Nanometers",
        "reflectance scale factor": "1.0" if quantity.endswith("reflectance") else None, "data ignore value": repr(DELETED), "quantity": quantity,
        "spectra names": _braces(_plain(name) for name in names), "wavelength": _braces(repr(float(w)) for w in bands.wavelength),
        "fwhm": _braces(repr(float(w)) for w in bands.fwhm) if np.isfinite(bands.fwhm).all() else None,
    }  # fmt: skip
    header = "ENVI\n" + "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    stored = np.where(np.isnan(spectra), np.float32(DELETED), spectra).astype("<f4")
    made = {".sli": stored.tobytes(), ".hdr": header.encode()}
    # ENVI's lists cannot hold commas and braces: where a name has them, the table beside says it right.
    if metadata or any(_plain(name) != name for name in names):
        made[".csv"] = _csv([[NAMES, *metadata], *([name, *(metadata[key][i] for key in metadata)] for i, name in enumerate(names))])
    return made


def _table(spectra: NDArray[np.float32], bands: Bands, names: Sequence[str], metadata: Mapping[str, Sequence[str]], quantity: str) -> dict[str, bytes]:
    rows: list[list[str]] = [[NAME, *metadata, *(repr(float(w)) for w in bands.wavelength)]]
    for i, (name, values) in enumerate(zip(names, spectra, strict=True)):
        rows.append([name, *(metadata[key][i] for key in metadata), *("" if np.isnan(v) else str(v) for v in values)])
    widths = ",".join("" if np.isnan(w) else repr(float(w)) for w in bands.fwhm)
    return {".csv": f"{MARK}: {quantity}\n# fwhm_nm: {widths}\n".encode() + _csv(rows)}


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _braces(items: Iterable[str]) -> str:
    return "{" + ", ".join(items) + "}"


def _plain(text: str) -> str:
    """A name that cannot break ENVI's lists."""
    return " ".join(text.translate(_UNSAFE).split())

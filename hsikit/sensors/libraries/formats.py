"""Which reader opens a library: recognised by content first, then by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hsikit.errors import SceneError
from hsikit.sensors.libraries.facts import LibraryFacts, LibraryOptions
from hsikit.sensors.probe import read_head

Read = Callable[[Path, LibraryOptions], LibraryFacts]
HEAD_BYTES = 4096


@dataclass(frozen=True)
class LibraryFormat:
    """One line of the table: the reader's module, what its files are, how they begin (a regular expression), hold, and are named."""

    module: str
    description: str
    begins: bytes = b""
    holds: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()


FORMATS: dict[str, LibraryFormat] = {
    "envi": LibraryFormat("envi", "ENVI spectral library", rb"ENVI\s", suffixes=(".sli", ".esl", ".hdr")),
    "asd": LibraryFormat("asd", "ASD FieldSpec", rb"ASD|as[1-8]", suffixes=(".asd",)),
    "svc": LibraryFormat("svc", "Spectra Vista (SVC)", rb"/\*{3} Spectra Vista", suffixes=(".sig",)),
    "spectral-evolution": LibraryFormat("spectral_evolution", "Spectral Evolution", holds=(b"\nColumns [", b"\nData:"), suffixes=(".sed",)),
    "usgs": LibraryFormat("usgs", "USGS text (splib07)", rb"\s*\S+\s+Record=\d+:"),
    "ecostress": LibraryFormat("ecostress", "ECOSTRESS or ASTER text", holds=(b"X Units:", b"Y Units:")),
    "matlab": LibraryFormat("matlab", "MATLAB", rb"MATLAB [57]\.[03] MAT-file|\x89HDF\r?\n\x1a\n", suffixes=(".mat",)),
    "csv": LibraryFormat("csv_table", "CSV table", suffixes=(".csv", ".tsv")),
}
"""In the order in which they are asked."""


def reader_of(path: Path) -> Read:
    """The reader of a file.

    Raises:
        SceneError: it does not exist, is empty, or is of no known kind.
    """
    name = format_of(path)
    if name is None:
        known = ", ".join(form.description for form in FORMATS.values())
        raise SceneError(path, "is no spectral library of a kind that is known here", f"Known are {known}, and folders of these")
    read: Read = import_module(f"hsikit.sensors.libraries.{FORMATS[name].module}").read
    return read


def format_of(path: Path) -> str | None:
    """A key of `FORMATS`, or None.

    Raises:
        SceneError: the file does not exist, cannot be read, or is empty.
    """
    head = read_head(path, HEAD_BYTES).replace(b"\r\n", b"\n")
    for name, form in FORMATS.items():
        if (form.begins and re.match(form.begins, head)) or (form.holds and all(part in head for part in form.holds)):
            return name
    suffix = path.suffix.lower()
    named = next((name for name, form in FORMATS.items() if suffix in form.suffixes), None)
    if named is not None:
        return named
    from hsikit.sensors.envi import find_header

    return "envi" if find_header(path) is not None else None

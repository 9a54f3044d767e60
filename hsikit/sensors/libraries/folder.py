"""A folder of spectra as one library: a field campaign, or a chapter of the USGS library."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.library import Library
from hsikit.sensors.libraries import usgs
from hsikit.sensors.libraries.facts import LibraryOptions, interpret
from hsikit.sensors.libraries.formats import format_of, reader_of
from hsikit.spectral.library import resample_spectra
from hsikit.spectral.resample import gaussian_resampling

FILE = "file"
"""Column of the metadata that says which file of the folder a spectrum is from."""


def open_folder(folder: Path, options: LibraryOptions) -> Library:
    """Every spectrum below a folder, in the order of the files' names.

    Where files differ in their channels, the axis of most spectra serves for all, and the others are interpolated to it.

    Raises:
        SceneError: no spectrum, or spectra of different quantities.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".") and _is_spectra(path)]
    if not files:
        raise SceneError(folder, "holds no spectra of a kind that is known here", "Name a library, or a folder of .asd, .sig, .sed or text files")
    parts = [interpret(reader_of(path)(path, options), options) for path in files]
    quantities = Counter(part.quantity for part in parts)
    if len(quantities) > 1:
        odd = next(part for part in parts if part.quantity != quantities.most_common(1)[0][0])
        wrong = f"holds spectra of several quantities ({', '.join(f'{n} of {what}' for what, n in quantities.items())}); the first other is {odd.source}"
        raise SceneError(folder, wrong, "Part them into folders, or open the files one by one")
    return _joined(folder, parts)


def _is_spectra(path: Path) -> bool:
    """Whether a file is read on its own: no data file beside its header, no table beside a library, no axis of the USGS."""
    kind = format_of(path) if path.stat().st_size else None
    if kind == "envi":
        return path.suffix.lower() == ".hdr"
    if kind == "csv":
        return not path.with_suffix(".hdr").is_file()
    return kind is not None and not (kind == "usgs" and usgs.is_axis(path))


def _joined(folder: Path, parts: list[Library]) -> Library:
    counts: Counter[bytes] = Counter()
    for part in parts:
        counts[_axis(part)] += len(part)
    common = next(part for part in parts if _axis(part) == counts.most_common(1)[0][0])
    notices = list(dict.fromkeys(notice for part in parts for notice in part.notices))
    moved = sum(len(part) for part in parts if _axis(part) != _axis(common))
    if moved:
        notices.append(f"{moved} spectra of other channels are interpolated to those of {Path(common.source).name}")
    columns = dict.fromkeys(key for part in parts for key in part.metadata)
    metadata = {key: tuple(text for part in parts for text in part.metadata.get(key, ("",) * len(part))) for key in columns}
    return Library(
        spectra=np.concatenate([_on(part, common) for part in parts]),
        wavelength=common.wavelength,
        fwhm=common.fwhm,
        names=tuple(name for part in parts for name in part.names),
        metadata={**metadata, FILE: tuple(str(Path(part.source).relative_to(folder)) for part in parts for _ in part.names)},
        source=str(folder),
        quantity=common.quantity,
        notices=tuple(notices),
    )


def _axis(part: Library) -> bytes:
    """What tells one axis from another: channels to a picometre."""
    return np.round(part.wavelength, 3).tobytes()


def _on(part: Library, common: Library) -> NDArray[np.float32]:
    if _axis(part) == _axis(common):
        return part.spectra
    return resample_spectra(part.spectra, part.wavelength, part.fwhm, lambda centres, widths: gaussian_resampling(centres, widths, common.wavelength, np.nan))

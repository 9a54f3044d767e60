"""Readers of spectral libraries and field spectra: any such file, or a folder of them, as one `Library`."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import ArrayLike

from hsikit.library import Library
from hsikit.sensors.libraries.facts import LibraryOptions, interpret
from hsikit.sensors.libraries.formats import FORMATS, reader_of

__all__ = ["FORMATS", "open_library"]


def open_library(
    path: str | Path,
    *,
    scale: float | None = None,
    quantity: str | None = None,
    wavelengths: str | Path | ArrayLike | None = None,
    sensor: str | None = None,
    variable: str | None = None,
) -> Library:
    """Opens a spectral library, a field spectrum, or a folder of either.

    Args:
        path: ENVI (.sli and .hdr), ECOSTRESS or USGS text, CSV, MATLAB, ASD (.asd), SVC (.sig), Spectral Evolution (.sed); or a
            folder whose files become one library.
        scale: factor from stored to physical values, such as 0.01 for percent; wins over what the file says or its values show.
        quantity: a key of `hsikit.scene.QUANTITIES`; reflectance unless the file says otherwise.
        wavelengths: a CSV file, or channels in nm; wins over the file's.
        sensor: a name of `hsikit sensors`, whose channels serve where the file has none.
        variable: which array of a MATLAB file with several.

    Returns:
        Reflectance as a fraction, NaN where channels are deleted, channels ascending in nm.

    Raises:
        SceneError: missing, empty, damaged, or of no known kind.
        WavelengthError: no usable wavelengths.
        OptionError: an option makes no sense.
    """
    options = LibraryOptions(scale, quantity, wavelengths, sensor, variable)
    place = Path(path)
    if place.is_dir():
        from hsikit.sensors.libraries.folder import open_folder

        return open_folder(place, options)
    return interpret(reader_of(place)(place, options), options)

"""What to look for in a scene: spectra of a library as the scene's sensor measures them, or the mean of pixels of the scene itself.

>>> source = open_source("scene.tif")
>>> targets = library_targets(source.info, "minerals.sli", ["alunite"])
>>> ace = hsikit.make_method("ace", targets=targets)
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import ModelError, OptionError, SceneError, WavelengthError
from hsikit.library import Library
from hsikit.scene import SceneInfo, Source
from hsikit.sensors.catalogue import known_sensor, sensor_bands
from hsikit.sensors.responses import SensorResponse, sensor_response
from hsikit.tasks.detection.target_spectra import TargetSpectra

if TYPE_CHECKING:
    from hsikit.tasks.detection.specdetr import SpecDetrDetector

MOST_TARGETS = 20
"""Spectra that are looked for at once, at most: each has a band of scores."""
MOST_SHIFT = 0.25
"""A band is taken for one of the sensor's table whose centre is within this many widths: a spectrometer's own centres may differ."""
Points = Sequence[tuple[float, float]]


def read_targets(source: Source, target: str | Path | Library | None = None, *, names: Sequence[str] = (), pixels: Sequence[tuple[int, int]] = (),
                 points: Points = (), crs: str | None = None) -> TargetSpectra:  # fmt: skip
    """Targets for a scene, from exactly one of a library, pixels, or points.

    Args:
        source: an open scene.
        target: a library, or any file or folder that `hsikit.sensors.libraries.open_library` takes.
        names: which of its spectra: names, or words that names hold; none: all of them.
        pixels: (row, column) from 0; their mean is the target.
        points: (x, y) each; the mean of the pixels under them is the target.
        crs: of the points; None: the scene's own (longitude and latitude for a swath).

    Raises:
        OptionError: none or several of these, no spectrum of a name, or too many.
        SceneError: a library that cannot be read, or pixels without values.
        WavelengthError: a library or scene without wavelengths, or a library that answers for no band of the scene.
        GridError: a place outside the scene.
    """
    given = [name for name, value in {"target": target, "pixels": pixels, "points": points}.items() if value is not None and value != ()]
    if len(given) != 1:
        raise OptionError("targets", f"{' and '.join(given) or 'nothing'} to look for is given", "Give one of a target file, pixels, or points")
    if target is not None:
        return library_targets(source.info, target, names)
    if names:
        raise OptionError("names", "they choose spectra of a library, and none is given", "Give a target file")
    return scene_target(source, pixels, points, crs)


def library_targets(info: SceneInfo, target: str | Path | Library, names: Sequence[str] = ()) -> TargetSpectra:
    """Spectra of a library at a scene's bands: by the sensor's measured responses where they are at hand, else by Gaussians of its widths.

    Args:
        info: facts of the scene.
        target: a library, or a path of one.
        names: as for `read_targets`.

    Raises:
        OptionError, SceneError, WavelengthError: as `read_targets`.
    """
    chosen = _chosen(_opened(target), names)
    if len(chosen) > MOST_TARGETS:
        told = f"{len(chosen)} spectra of {chosen.source} would be looked for, and {MOST_TARGETS} are the most"
        raise OptionError("name", told, f"Name some, such as --name {chosen.names[0]!r}")
    found = _at_bands(info, chosen)
    silent = _silent(info, found)
    if silent.any():
        raise _out_of_range(info, chosen, f"{chosen.names[int(silent.argmax())]} answers for no")
    return found


def library_references(info: SceneInfo, library: str | Path | Library, names: Sequence[str] = ()) -> TargetSpectra:
    """All spectra of a library, or those of some names, at a scene's bands, for methods that compare pixels with many.

    Spectra that answer for no good band stay, as unknown: positions are those of the library.

    Args:
        info: facts of the scene.
        library: a library, or a path of one.
        names: as for `read_targets`.

    Raises:
        OptionError: no spectrum of a name.
        SceneError: a library that cannot be read.
        WavelengthError: a library or scene without wavelengths, or a library that answers for no band of the scene.
    """
    chosen = _chosen(_opened(library), names)
    found = _at_bands(info, chosen)
    if _silent(info, found).all():
        raise _out_of_range(info, chosen, "none of its spectra answers for any")
    return found


def learned_targets(folder: str | Path) -> SpecDetrDetector:
    """The detector of the objects that a model of `hsikit train-objects` learned.

    Raises:
        ModelError: a folder that cannot be read, or of another kind of model.
    """
    from hsikit.models import load_method
    from hsikit.tasks.detection.specdetr import SpecDetrDetector

    found = load_method(folder)
    if not isinstance(found, SpecDetrDetector):
        raise ModelError(folder, f"{found.name} finds no objects", "Give a folder of `hsikit train-objects`")
    return found


def _at_bands(info: SceneInfo, chosen: Library) -> TargetSpectra:
    """Spectra of a library at a scene's bands; NaN where they do not answer."""
    from hsikit.spectral.library import resample_spectra
    from hsikit.spectral.resample import Resampling, gaussian_resampling, response_resampling

    if not info.bands.spectral:
        raise WavelengthError(info.name, "its bands have no wavelengths, so that no library spectrum can be compared", "Give --wavelengths or --sensor")
    measured = _measured_responses(info)

    def weigh(centres: NDArray[np.float64], widths: NDArray[np.float64]) -> Resampling:
        if measured is not None:
            return response_resampling(centres, widths, measured.wavelength, measured.response)
        return gaussian_resampling(centres, widths, info.bands.wavelength, info.bands.fwhm)

    values = resample_spectra(chosen.spectra, chosen.wavelength, chosen.fwhm, weigh).astype(np.float64)
    return TargetSpectra(chosen.names, values, info.bands.wavelength, info.bands.fwhm, chosen.quantity, chosen.source)


def _silent(info: SceneInfo, found: TargetSpectra) -> NDArray[np.bool_]:
    """Which spectra answer for no good band."""
    return np.asarray(~np.isfinite(found.values[:, info.bands.used]).any(axis=1))


def _out_of_range(info: SceneInfo, chosen: Library, told: str) -> WavelengthError:
    reach, own = (f"{axis[0]:g} to {axis[-1]:g} nm" for axis in (chosen.wavelength, info.bands.wavelength))
    return WavelengthError(chosen.source, f"{told} good band of {info.name} ({own})", f"The library reaches from {reach}")


def scene_target(source: Source, pixels: Sequence[tuple[int, int]] = (), points: Points = (), crs: str | None = None) -> TargetSpectra:
    """The mean spectrum of pixels of a scene, at its good bands; a band that no pixel has is unknown.

    Raises:
        GridError: a place outside the scene.
        SceneError: none of the pixels holds values.
    """
    from hsikit.convert.sampling import at_pixels, at_points

    found = at_points(source, points, crs) if len(points) else at_pixels(source, [row for row, _ in pixels], [col for _, col in pixels])
    info = source.info
    values = np.where(info.bands.good, found.values, np.nan).astype(np.float64)
    present = np.isfinite(values)
    if not present.any():
        raise SceneError(info.name, f"holds no values at {', '.join(found.names[:5])}", "Name pixels that are not nodata")
    counts = present.sum(axis=0)
    mean = np.where(counts > 0, np.where(present, values, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    name = found.names[0] if len(found.names) == 1 else f"mean of {len(found.names)} pixels"
    return TargetSpectra((name,), mean[np.newaxis], info.bands.wavelength, info.bands.fwhm, info.quantity, f"pixels of {info.name}")


def _opened(target: str | Path | Library) -> Library:
    from hsikit.sensors.libraries import open_library

    return target if isinstance(target, Library) else open_library(target)


def _chosen(library: Library, names: Sequence[str]) -> Library:
    """The spectra that are meant: those of a name, else those whose name holds all its words."""
    positions: dict[int, None] = {}
    for name in names:
        own = [i for i, known in enumerate(library.names) if known == name] or _holding(library, name)
        if not own:
            spelled = {known.lower(): known for known in library.names}
            near = [spelled[close] for close in difflib.get_close_matches(name.lower(), spelled, 3, 0.5)]
            advice = f"Near are {', '.join(near)}" if near else "`hsikit library` lists its names"
            raise OptionError("name", f"no spectrum of {library.source} is named {name!r}, or holds these words", advice)
        positions |= dict.fromkeys(own)
    chosen = library.select(list(positions)) if names else library
    if not len(chosen):
        raise SceneError(library.source, "holds no spectrum", "Give another file")
    return chosen


def _holding(library: Library, name: str) -> list[int]:
    words = name.lower().split()
    return [i for i, known in enumerate(library.names) if words and all(word in known.lower() for word in words)]


def _measured_responses(info: SceneInfo) -> SensorResponse | None:
    """The measured responses of a scene's bands; None where there are none, or its bands are not those of the sensor's table."""
    sensor = known_sensor(info.sensor, strict=False) if info.sensor else ""
    response = sensor_response(sensor) if sensor else None
    if response is None:
        return None
    table, own = sensor_bands(sensor), info.bands
    place = np.abs(own.wavelength[:, None] - table.wavelength).argmin(axis=1)
    apart = np.abs(own.wavelength - table.wavelength[place])
    if (apart > MOST_SHIFT * _widths(table.fwhm[place])).any() or len(np.unique(place)) < len(place):
        return None
    return SensorResponse(own.names, response.wavelength, response.response[place])


def _widths(fwhm: ArrayLike) -> NDArray[np.float64]:
    """Widths (nm), 0 where unknown."""
    return np.nan_to_num(np.asarray(fwhm, np.float64))

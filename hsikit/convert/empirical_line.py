"""A scene into surface reflectance by the empirical line: from field spectra of targets and the pixels that show them.

>>> library = open_library("field").splice_corrected()
>>> line = fit(source, library, match(library, source))
>>> print(line.report())
>>> reflectance = line.apply(source)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.convert.matching import Matches, match
from hsikit.convert.sampling import SceneSpectra, at_pixels
from hsikit.errors import ModelError, OptionError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.library import Library
from hsikit.scene import Bands, Decoding, Floats, Indices, Raw, SceneInfo, Source, read_window
from hsikit.spectral.empirical_line import fit_lines

Pixels = Matches | SceneSpectra | ArrayLike | None
SUSPECT = 3.0
"""A target whose residual is so many times the median of the others' is named."""
REFLECTANCE = "surface_reflectance"


@dataclass(frozen=True, eq=False)
class EmpiricalLine:
    """Lines from a scene's values to reflectance.

    Attributes:
        bands: of the scene that they were fitted on; those without a line are not good.
        gain: reflectance per unit of the scene, shape (C,); NaN where there is no line.
        offset: shape (C,).
        names: of the m targets.
        residuals: what the line through the other targets gives for each, less its reflectance, shape (m, C).
    """

    bands: Bands
    gain: Floats
    offset: Floats
    names: tuple[str, ...]
    residuals: Floats

    @property
    def errors(self) -> Floats:
        """Root mean square over the good bands of each target's residuals, shape (m,); NaN with fewer than three targets."""
        squares = np.where(self.bands.good, self.residuals, np.nan) ** 2
        known = np.isfinite(squares)
        return np.sqrt(np.where(known.any(axis=1), np.where(known, squares, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan))

    @property
    def suspects(self) -> tuple[str, ...]:
        """Targets that the line through the others misses by far: a wrong pixel, a moved tarp, a cloud's shadow."""
        errors = self.errors
        if len(errors) < 4 or not np.isfinite(errors).all():
            return ()
        return tuple(name for i, name in enumerate(self.names) if errors[i] > SUSPECT * np.median(np.delete(errors, i)))

    def report(self) -> str:
        """Targets with their residuals, and bands without a line, one line each."""
        lines = [f"{len(self.names)} targets, {int(self.bands.good.sum())} of {len(self.bands)} bands have a line"]
        if np.isfinite(self.errors).any():
            width = max(map(len, self.names))
            for name, error in zip(self.names, self.errors, strict=True):
                note = "  far from the line through the others" if name in self.suspects else ""
                lines.append(f"{name:<{width}}  residual {error:.4f}{note}")
        else:
            lines.append("two targets leave no residual: a third would tell what the lines are worth")
        return "\n".join(lines)

    def apply(self, source: Source) -> LineSource:
        """The scene as surface reflectance; nothing is read yet.

        Raises:
            ModelError: the scene's bands are not those of the lines.
        """
        centres = source.info.bands.wavelength
        if centres.shape != self.gain.shape or not np.allclose(centres, self.bands.wavelength, atol=1e-3):
            raise ModelError(source.info.name, "its bands are not those that the empirical line was fitted on", "Fit one on a scene of the same sensor")
        return LineSource(source, self, _info(source.info, self))


class LineSource:
    """A scene whose stored numbers are read by each band's line. Closing is left to whoever opened the scene."""

    def __init__(self, base: Source, line: EmpiricalLine, info: SceneInfo) -> None:
        self.info, self._base, self._line, self.block = info, base, line, base.block

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of the scene, with a decoding to reflectance; see `hsikit.scene.Source`."""
        index = np.asarray(bands, np.intp)
        gain, offset = self._line.gain[index], self._line.offset[index]
        if not np.isfinite(gain).all():  # a decoding says of no band that it is missing throughout
            return Raw(self._values(window, index), window, Decoding())
        raw = self._base.read(window, index)
        scale, shift = (np.broadcast_to(np.asarray(factor, np.float64), gain.shape) for factor in (raw.decoding.scale, raw.decoding.offset))
        return Raw(raw.values, raw.window, Decoding(scale * gain, shift * gain + offset, raw.decoding.nodata))

    def _values(self, window: Window, index: Indices) -> NDArray[np.float32]:
        values = read_window(self._base, window, index)
        gain, offset = (factor[index].astype(np.float32)[:, None, None] for factor in (self._line.gain, self._line.offset))
        return np.asarray(values * gain + offset, np.float32)

    def close(self) -> None:
        """Does nothing."""


def fit(source: Source, library: Library, pixels: Pixels = None) -> EmpiricalLine:
    """Fits one line for each band through targets on the ground.

    Args:
        source: an open scene, of any quantity.
        library: reflectance spectra of the targets, as field spectrometers give them; resampled to the scene's bands here.
        pixels: where they are: what `match` gives; (row, column) of each spectrum, shape (n, 2); means over polygons that bear
            the spectra's names (`polygon_means(source, file, field)`); or None: matched by position.

    Returns:
        The lines, with the residuals of the targets. Spectra in one pixel are averaged to one target.

    Raises:
        OptionError: fewer than two targets, spectra that are no reflectance, or pixels that do not fit them.
        GridError: a pixel outside the scene, or a scene without georeference.
        WavelengthError: no band of the scene has a line.
    """
    if library.quantity != REFLECTANCE:
        raise OptionError(library.source, f"its spectra are {library.quantity}, not reflectance", "Give reflectance of the targets")
    values, spectra, names = _targets(source, library, pixels)
    lines = fit_lines(values, spectra)
    good = source.info.bands.good & np.isfinite(lines.gain)
    if not good.any():
        raise WavelengthError(
            source.info.name, "no band has a line: the targets do not differ, or their spectra do not cover it", "Give brighter and darker targets"
        )
    bands = Bands(source.info.bands.wavelength, source.info.bands.fwhm, good, source.info.bands.names)
    return EmpiricalLine(bands, lines.gain, lines.offset, names, lines.residuals)


def _targets(source: Source, library: Library, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[str, ...]]:
    """What the scene shows of each target, its reflectance at the scene's bands, and its name."""
    if isinstance(pixels, SceneSpectra):
        missing = [name for name in pixels.names if name not in library.names]
        if missing:
            raise OptionError(library.source, f"no spectrum is named {missing[0]!r}, as a polygon is", "Let the polygons bear the names of the spectra")
        return pixels.values, _resampled(library.select(list(pixels.names)), source), pixels.names
    matched = _matched(source, library, pixels)
    if len(matched) == 0:
        raise OptionError("pixels", "none is given", "Give (row, column) of each spectrum")
    places, group = np.unique(matched.pixels, axis=0, return_inverse=True)
    values = at_pixels(source, places[:, 0].tolist(), places[:, 1].tolist()).values
    spectra = _resampled(library.select(matched.spectra), source)
    members = [np.flatnonzero(group.ravel() == i) for i in range(len(places))]
    means = np.stack([_mean(spectra[own]) for own in members])
    return values, means, tuple(_name(library, matched.spectra[own]) for own in members)


def _matched(source: Source, library: Library, pixels: Matches | ArrayLike | None) -> Matches:
    if pixels is None:
        return match(library, source)
    if isinstance(pixels, Matches):
        return pixels
    places = np.asarray(pixels)
    if places.shape != (len(library), 2) or places.dtype.kind not in "iu":
        raise OptionError("pixels", f"shape {places.shape} for {len(library)} spectra", "Give (row, column) of each spectrum, as whole numbers")
    return Matches(np.arange(len(library)), places[:, 0].astype(np.intp), places[:, 1].astype(np.intp))


def _resampled(library: Library, source: Source) -> NDArray[np.float32]:
    return library.resample_to(source.info.bands).spectra


def _mean(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of what is not missing, band by band."""
    present = np.isfinite(spectra)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, spectra, 0).sum(axis=0) / np.where(present.any(axis=0), present.sum(axis=0), np.nan), np.float32)


def _name(library: Library, spectra: Sequence[int] | Indices) -> str:
    first = library.names[int(spectra[0])]
    return first if len(spectra) == 1 else f"{first} and {len(spectra) - 1} more"


def _info(info: SceneInfo, line: EmpiricalLine) -> SceneInfo:
    told = [f"empirical line from {len(line.names)} targets"]
    told += [f"{name} lies far from the empirical line through the other targets" for name in line.suspects]
    digest = hashlib.sha256(line.gain.tobytes() + line.offset.tobytes()).hexdigest()
    identity = (*info.identity, {"empirical line": digest}) if info.identity else ()
    attrs = {**info.attrs, "correction": "empirical line", "corrected_from": info.quantity}
    return info.with_(bands=line.bands, quantity=REFLECTANCE, identity=identity, notices=(*info.notices, *told), attrs=attrs)

"""A scene as another sensor would have measured it: its bands resampled by that sensor's responses, lazily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from hsikit.convert.band_sums import BandSumSource
from hsikit.convert.by_spectrum import spectral_bands
from hsikit.errors import OptionError, WavelengthError
from hsikit.scene import Bands, Booleans, Floats, Source
from hsikit.sensors.catalogue import BandTable, known_sensor, read_band_table, sensor_bands
from hsikit.sensors.responses import SensorResponse, sensor_response
from hsikit.spectral.band_matrix import BandMatrix
from hsikit.spectral.resample import Resampling, gaussian_resampling, response_resampling

MIN_COVERAGE = 0.8
"""The share of a band's response that must lie where the scene measured something."""
WHOLE = 0.995
"""What rounds to 100 %."""
MOST_NAMED = 4
WANTED = "bands to resample to"
_TABLES = (".csv", ".txt", ".tsv")


class Spectrometer(Protocol):
    """Anything that names band centres and widths in nm: `hsikit.scene.Bands`, a spectral library, a band table."""

    @property
    def wavelength(self) -> Floats:
        """Band centres (nm), shape (D,)."""
        ...

    @property
    def fwhm(self) -> Floats:
        """Widths (nm), shape (D,)."""
        ...


Wanted = str | Path | Spectrometer | ArrayLike


@dataclass(frozen=True, eq=False)
class Target:
    """Bands to resample to.

    Attributes:
        bands: centres, widths and names, ascending.
        sensor: a name of `hsikit sensors`, or "".
        response: the measured responses, in the order of `bands`; None where Gaussians stand for them.
    """

    bands: Bands
    sensor: str = ""
    response: SensorResponse | None = None


def target_of(wanted: Wanted, fwhm: ArrayLike | None = None) -> Target:
    """What someone means by the bands to resample to.

    Args:
        wanted: a sensor's name, a CSV file of bands, anything with `wavelength` and `fwhm` in nm, or band centres (nm).
        fwhm: widths (nm) of band centres, one or one for each; None: interpolated between the scene's bands.

    Raises:
        OptionError: neither a known sensor nor a table.
        WavelengthError: a table that is none, centres that are no numbers, or two bands at one wavelength.
    """
    if isinstance(wanted, (str, Path)):
        return _by_name(str(wanted))
    wanted = getattr(wanted, "bands", wanted)
    if hasattr(wanted, "wavelength") and hasattr(wanted, "fwhm"):
        # The names of a library are those of its spectra.
        return _sorted(wanted.wavelength, wanted.fwhm, wanted.names if isinstance(wanted, (Bands, BandTable)) else ())
    return _sorted(wanted, np.nan if fwhm is None else fwhm)


def _by_name(wanted: str) -> Target:
    sensor = known_sensor(wanted, strict=False)
    if sensor:
        table = sensor_bands(sensor)
        return _sorted(table.wavelength, table.fwhm, table.names, sensor, sensor_response(sensor))
    if Path(wanted).suffix.lower() not in _TABLES:
        advice = "`hsikit sensors` lists the sensors; a table is a CSV file with the columns wavelength and fwhm"
        raise OptionError("to", f"{wanted!r} is neither a known sensor nor a table of bands", advice)
    table = read_band_table(Path(wanted))
    return _sorted(table.wavelength, table.fwhm, table.names)


def _sorted(centres: ArrayLike, widths: ArrayLike, names: tuple[str, ...] = (), sensor: str = "", response: SensorResponse | None = None) -> Target:
    try:
        wavelength = np.atleast_1d(np.asarray(centres, np.float64))
        fwhm = np.broadcast_to(np.asarray(widths, np.float64), wavelength.shape)
    except (ValueError, TypeError):
        raise WavelengthError(WANTED, "are no numbers, or not as many widths as centres", "Give centres in nm, and one width or one for each") from None
    if wavelength.ndim != 1 or not wavelength.size or not np.isfinite(wavelength).all():
        raise WavelengthError(WANTED, "are no row of finite wavelengths", "Give centres in nm")
    order = np.argsort(wavelength, kind="stable")
    bands = Bands(wavelength, fwhm, np.ones(len(wavelength), bool), names or tuple(f"{w:g} nm" for w in wavelength)).take(order)
    if (np.diff(bands.wavelength) <= 0).any():
        raise WavelengthError(WANTED, "two of the wavelengths are the same", "Give each band once")
    if response is not None:
        response = SensorResponse(bands.names, response.wavelength, response.response[order])
    return Target(bands, sensor, response)


def resampled(source: Source, to: Wanted, fwhm: ArrayLike | None = None, *, min_coverage: float = MIN_COVERAGE) -> BandSumSource:
    """A scene in another sensor's bands; nothing is read before a window of it is asked for.

    Only good bands are used. Where some of them are missing in a pixel, the others take over their weight, down to half of a
    response; below that the result is missing. All bands of the target come out, in its places: those that the scene cannot
    answer for (outside its range, in its gaps) are missing throughout and marked bad, and a notice names them. Another tells how far bands are
    covered, where any is not covered whole; the attribute `coverage` has the share of each.

    Example:
        >>> as_sentinel = resampled(open_source("emit.hdr"), "sentinel-2")

    Args:
        source: an open scene.
        to: see `target_of`.
        fwhm: the same.
        min_coverage: the share of a band's response (0 to 1) that must lie where the scene measured something.

    Raises:
        WavelengthError: the scene has no wavelengths, or no band can be answered for.
        OptionError: an unknown target, or a share that is none.
    """
    if not 0 < min_coverage <= 1:
        raise OptionError("min_coverage", f"{min_coverage} is no share of a response", "Give a number above 0, up to 1")
    info, target = source.info, target_of(to, fwhm)
    axis, used = spectral_bands(info)
    means = _weights(axis, target)
    answered = (means.coverage >= min_coverage) & (np.diff(means.weights.indptr) > 0)
    if not answered.any():
        raise WavelengthError(info.name, "its bands cannot answer for any of the wavelengths asked for", "Resample within its spectral range")
    bands = Bands(target.bands.wavelength, target.bands.fwhm, answered, target.bands.names)
    kept = BandMatrix.of(means.weights.toarray() * answered[:, None])
    kind = "Gaussian" if target.response is None else "measured"
    new = info.with_(
        bands=bands,
        sensor=target.sensor,
        notices=(*info.notices, *_notices(target, means, answered, min_coverage)),
        attrs={**info.attrs, "resampled_from": info.sensor or "unknown", "responses": kind, "coverage": " ".join(f"{round(c, 2):g}" for c in means.coverage)},
    )
    return BandSumSource(source, used, kept, new, shared=True)


def _weights(axis: Bands, target: Target) -> Resampling:
    if target.response is not None:
        return response_resampling(axis.wavelength, axis.fwhm, target.response.wavelength, target.response.response)
    return gaussian_resampling(axis.wavelength, axis.fwhm, target.bands.wavelength, target.bands.fwhm)


def _notices(target: Target, means: Resampling, answered: Booleans, least: float) -> list[str]:
    """By which responses, and which bands are missing for want of coverage."""
    name = target.sensor or f"{len(answered)} bands"
    found = [f"resampled to {name} by {'Gaussians of the band widths' if target.response is None else 'its measured responses'}"]
    lost = np.flatnonzero(~answered)
    if lost.size:
        told = [f"{target.bands.names[i]} ({means.coverage[i]:.0%})" for i in lost[:8]]
        more = f" and {lost.size - 8} more" if lost.size > 8 else ""
        found.append(f"less than {least:.0%} of their response was measured, so they are missing: {', '.join(told)}{more}")
    return found + coverage_notices(target.bands.names, means.coverage, answered)


def coverage_notices(names: Sequence[str], coverage: Floats, answered: Booleans) -> list[str]:
    """How many bands are covered whole (to half a percent), and how far those are that are not but are answered for; nothing where all are whole.

    Args:
        names: of the bands.
        coverage: the share of each band's response that lies where something was measured.
        answered: whether it was enough.
    """
    whole, told = coverage >= WHOLE, [f"{names[int(i)]} to {coverage[i]:.0%}" for i in np.flatnonzero(answered & (coverage < WHOLE))]
    if whole.all():
        return []
    partly = coverage[answered & ~whole]
    more = f" and {len(told) - MOST_NAMED} more, all to {partly.min():.0%} or further" if len(told) > MOST_NAMED else ""
    return [", ".join([f"{whole.sum()} of {len(whole)} bands are covered whole", *told[:MOST_NAMED]]) + more]

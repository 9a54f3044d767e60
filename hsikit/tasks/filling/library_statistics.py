"""What a library says of bands that a scene does not show: second moments of its spectra, and what instruments differ by.

A band that is missing everywhere has no covariance in the scene. Spectra of known materials have one. They are taken about zero, not about
their mean, so that a surface in the shade is the same material; and what the scene's instrument and the library's differ by (noise,
calibration, centres of bands) is added as for models that are read out by another sensor (`hsikit.spectral.sensor_change`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.scene import SceneInfo
from hsikit.spectral.conditional import Regression, regression
from hsikit.spectral.sensor_change import SensorChange, error_covariance
from hsikit.tasks.detection.target_spectra import TargetSpectra

Floats = NDArray[np.float64]
FEWEST_SPECTRA = 10
ANSWERED = 0.5
"""A band is used where at least this share of the spectra has it."""
SAME = 0.01
"""Centres (nm) that differ by less are the same."""


@dataclass(frozen=True, eq=False)
class LibraryStatistics:
    """Of the spectra of a library at a scene's bands.

    Attributes:
        covered: positions of the scene's bands that it answers for, ascending.
        second: second moments of these about zero, errors added, shape (D, D).
    """

    covered: NDArray[np.intp]
    second: Floats

    def read(self, wanted: tuple[int, ...], known: tuple[int, ...]) -> tuple[Regression, NDArray[np.intp]]:
        """Bands of the scene from others of it: the regression, and the positions of those of the others that it takes."""
        given = np.array([band for band in known if band in set(self.covered.tolist())], np.intp)
        places = [np.searchsorted(self.covered, bands) for bands in (np.array(wanted, np.intp), given)]
        return regression(self.second, places[0], places[1]), given


def library_statistics(spectra: TargetSpectra, scene: SceneInfo, wanted: tuple[int, ...], known: tuple[int, ...]) -> LibraryStatistics:
    """Statistics of a library for a scene.

    Args:
        spectra: of the library, at all bands of the scene (`hsikit.targets.library_references`).
        scene: facts of the scene.
        wanted: positions of the bands that it must answer for.
        known: positions of the bands that the scene has.

    Raises:
        OptionError: another quantity or other bands than the scene's, or a library that does not answer for a wanted band, or with too
            few spectra that do.
    """
    bands, where = scene.bands, spectra.source
    if spectra.quantity != scene.quantity:
        wrong = f"holds {spectra.quantity}, and {scene.name} is {scene.quantity} ({scene.units})"
        raise OptionError(where, wrong, "Give a library in the scene's quantity, or --method interpolate")
    if len(spectra.wavelength) != len(bands) or not np.allclose(spectra.wavelength, bands.wavelength, atol=SAME):
        raise OptionError(where, f"its spectra are not at the bands of {scene.name}", "Resample them with hsikit.targets.library_references")
    answered = np.isfinite(spectra.values).mean(0) >= ANSWERED
    if silent := [band for band in wanted if not answered[band]]:
        told = ", ".join(f"{bands.wavelength[band]:.0f}" for band in silent[:5])
        raise OptionError(where, f"most of its spectra have no value at {told} nm, which are to be filled", "Give another library, or --method interpolate")
    covered = np.flatnonzero(answered & np.isin(np.arange(len(bands)), [*wanted, *known]))
    values = spectra.values[:, covered]
    values = values[np.isfinite(values).all(1)]
    if len(values) < FEWEST_SPECTRA:
        raise OptionError(where, f"{len(values)} of its spectra have all the bands, and {FEWEST_SPECTRA} are needed", "Give a larger library")
    centres, every = bands.wavelength[covered], np.ones(len(covered))
    same = SensorChange(np.eye(len(covered)), np.arange(len(covered)), centres, every, every > 0)
    return LibraryStatistics(covered, values.T @ values / len(values) + error_covariance(same, centres, values.mean(0)))

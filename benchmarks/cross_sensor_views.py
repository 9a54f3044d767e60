"""Sensors as a training sensor's bands make them, and what they measure of its spectra: clean, or with errors of an instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Bands
from hsikit.sensors import sensor_bands
from hsikit.sensors.responses import sensor_response
from hsikit.spectral.resample import gaussian_resampling, response_resampling
from hsikit.spectral.sensor_change import BEYOND, SNR, SNR_BEYOND

Floats = NDArray[np.float64]
FOUR = ("B2", "B3", "B4", "B8")
HARDNESS = {"clean": 0.0, "all": 1.0, "hard": 2.0}
GAIN_LENGTH = {"all": 150.0, "hard": 60.0}
LEAST = 0.9


@dataclass(frozen=True, eq=False)
class View:
    """A sensor, as the training sensor's bands make it.

    Attributes:
        weights: shape (D, C).
        bands: its D bands.
    """

    weights: Floats
    bands: Bands


def views(own: Bands, names: tuple[str, ...]) -> dict[str, View]:
    """The sensors of a table; the training sensor itself first."""
    found = {"its own": View(np.eye(len(own)), own)}
    for name in names:
        if name == "30 % dropped":
            keep = np.sort(np.random.default_rng(0).permutation(len(own))[: round(0.7 * len(own))]).astype(np.intp)
            found[name] = View(np.eye(len(own))[keep], own.take(keep))
        else:
            found[name] = _seen(own, "sentinel-2" if name == "four bands" else name, FOUR if name == "four bands" else None)
    return found


def _seen(own: Bands, sensor: str, only: tuple[str, ...] | None) -> View:
    """By the sensor's published responses where there are any, else by Gaussians."""
    table, response = sensor_bands(sensor), sensor_response(sensor)
    found = (
        gaussian_resampling(own.wavelength, own.fwhm, table.wavelength, table.fwhm)
        if response is None
        else response_resampling(own.wavelength, own.fwhm, response.wavelength, response.response)
    )
    keep = np.flatnonzero(found.coverage >= LEAST)
    if only is not None:
        keep = keep[np.isin(np.array(table.names)[keep], only)]
    order = keep[np.argsort(table.wavelength[keep])]
    names = tuple(f"{centre:.1f}" for centre in table.wavelength[order])
    return View(np.asarray(found.weights.todense())[order], Bands(table.wavelength[order], table.fwhm[order], np.ones(len(order), bool), names))


def measured(spectra: Floats, own: Bands, view: View, kind: str, rng: np.random.Generator, near: NDArray[np.bool_]) -> Floats:
    """What a sensor measures of the pixels of a scene (rows, cols) that are `near`, given their spectra (n, C): shape (n, D)."""
    hardness = HARDNESS[kind]
    if not hardness:
        return np.asarray(spectra @ view.weights.T, np.float64)
    centres = view.bands.wavelength
    shift = hardness * rng.choice([-1.0, 1.0])
    place = np.clip(np.searchsorted(own.wavelength, own.wavelength + shift), 1, len(own) - 1)
    share = np.clip((own.wavelength + shift - own.wavelength[place - 1]) / np.diff(own.wavelength)[place - 1], 0, 1)
    moved = spectra[..., place - 1] * (1 - share) + spectra[..., place] * share
    seen = moved @ view.weights.T
    covariance = np.exp(-((centres[:, None] - centres) ** 2) / (2 * GAIN_LENGTH[kind] ** 2)) + 1e-9 * np.eye(len(centres))
    seen *= 1 + 0.03 * hardness * np.linalg.cholesky(covariance) @ rng.standard_normal(len(centres))
    noise = rng.standard_normal((*near.shape, len(centres)))[near] * np.abs(seen) * hardness / np.where(centres > BEYOND, SNR_BEYOND, SNR)
    return np.asarray(seen + noise, np.float64)

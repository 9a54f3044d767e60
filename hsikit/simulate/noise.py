"""Sensor noise by its signal-to-noise ratio: part photon noise, which grows with the signal, part read noise, which does not.

    variance(rho) = (reference / snr)^2 * (photon * rho / reference + 1 - photon)

so that at the reference reflectance the ratio of signal to standard deviation is `snr` exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# EnMAP's requirement is 500 at 495 nm and 150 at 2200 nm, for an albedo of 0.3 and the sun at 30 degrees from the zenith
# (Guanter et al. 2015, doi:10.3390/rs70708830); between and beyond them the curve follows the solar spectrum roughly.
ENMAP_SNR = ((400.0, 220.0), (495.0, 500.0), (600.0, 520.0), (750.0, 450.0), (900.0, 320.0), (1100.0, 330.0), (1300.0, 280.0), (1650.0, 260.0))
ENMAP_SNR_SWIR = ((1800.0, 200.0), (2100.0, 170.0), (2200.0, 150.0), (2350.0, 110.0), (2500.0, 80.0))
# (centre nm, width nm, share of the ratio left at the centre): water vapour takes the light that a ratio is made of.
WATER_VAPOUR = ((940.0, 18.0, 0.45), (1130.0, 22.0, 0.5), (1380.0, 40.0, 0.03), (1870.0, 60.0, 0.03))


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise of one sensor.

    Attributes:
        snr: signal-to-noise ratio of each band at the reference reflectance, shape (C,); infinite for no noise.
        reference: that reflectance.
        photon: share of the variance there that is photon noise, 0 to 1.
    """

    snr: Floats
    reference: float = 0.3
    photon: float = 0.8

    def sigma(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standard deviation of the noise, in reflectance.

        Args:
            reflectance: noise-free values of shape (..., C); negative ones count as 0.

        Returns:
            The same shape.
        """
        at_reference = (self.reference / self.snr).astype(np.float32)
        growth = np.maximum(reflectance, 0.0) * np.float32(self.photon / self.reference) + np.float32(1.0 - self.photon)
        return np.asarray(np.sqrt(growth) * at_reference, np.float32)

    def add(self, reflectance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Reflectances with noise; independent between pixels and between bands."""
        draws = rng.standard_normal(reflectance.shape, dtype=np.float32)
        return np.asarray(reflectance + draws * self.sigma(reflectance), np.float32)


def enmap_like(wavelength: Floats, scale: float = 1.0) -> NoiseModel:
    """A noise model with EnMAP's required ratios at any band centres (nm), times `scale`."""
    nodes = np.array(ENMAP_SNR + ENMAP_SNR_SWIR)
    snr = np.interp(wavelength, nodes[:, 0], nodes[:, 1])
    for centre, width, left in WATER_VAPOUR:
        snr = snr * (1.0 - (1.0 - left) * np.exp(-(((wavelength - centre) / width) ** 2)))
    return NoiseModel(snr * scale)

"""First and second derivatives of spectra along uneven wavelengths.

At each band the derivative is that of the parabola through it and its two neighbours (at the ends: through the three outermost
bands), which is exact for parabolas whatever the spacing. Derivatives take away what is constant or straight in a spectrum
(illumination, haze), and amplify noise: smooth first (`hsikit.spectral.smooth`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import OptionError, WavelengthError
from hsikit.spectral.band_matrix import BandMatrix
from hsikit.spectral.continuum import ascending

Floats = NDArray[np.float64]
ORDERS = (1, 2)


def derivative(values: NDArray[np.float32], wavelength: ArrayLike, order: int = 1) -> NDArray[np.float32]:
    """The derivative of spectra along the wavelength.

    Args:
        values: float32 of shape (..., C), NaN where missing.
        wavelength: band centres (nm), strictly ascending, shape (C,), three or more.
        order: 1 or 2.

    Returns:
        Float32 of shape (..., C), in the values' unit per nm or per nm²; NaN where one of the three bands is missing.

    Raises:
        WavelengthError: fewer than three bands, or wavelengths that do not ascend or fit.
        OptionError: another order.
    """
    return derivative_matrix(ascending(values, wavelength), order).apply(values)


def derivative_matrix(wavelength: ArrayLike, order: int = 1) -> BandMatrix:
    """The same as weights of bands, shape (C, C): three in each row.

    Raises:
        WavelengthError: fewer than three bands.
        OptionError: another order than 1 or 2.
    """
    from scipy.sparse import csr_array

    if order not in ORDERS:
        raise OptionError("order", f"{order} is no order of a derivative here", "Give 1 or 2")
    x = np.atleast_1d(np.asarray(wavelength, np.float64))
    if x.size < 3:
        raise WavelengthError("derivative", f"{x.size} bands", "A derivative takes three or more")
    middle = np.clip(np.arange(x.size), 1, x.size - 2)
    near = middle[:, None] + np.arange(-1, 2)
    weights = _parabola(x[near] - x[:, None], order)
    return BandMatrix(csr_array((weights.ravel(), near.ravel(), np.arange(0, 3 * x.size + 1, 3)), shape=(x.size, x.size)))


def _parabola(distance: Floats, order: int) -> Floats:
    """Weights of three values for the derivative, at distance 0, of the parabola through them; `distance` of shape (C, 3).

    From Lagrange's polynomials: each is (t - a)(t - b) over its value at its own place.
    """
    a, b = np.roll(distance, -1, axis=1), np.roll(distance, 1, axis=1)
    scale = (distance - a) * (distance - b)
    return np.asarray((-(a + b) if order == 1 else 2.0) / scale, np.float64)

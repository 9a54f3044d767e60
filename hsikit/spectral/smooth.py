"""Smoothing of spectra along uneven wavelengths by local polynomials.

Savitzky and Golay, 1964 (doi:10.1021/ac60214a047), who take evenly spaced points. Here the window is a range of nanometres around
each band and the polynomial is fitted to the bands that lie in it, at their own wavelengths; near the ends the window stays where
it still fits. What smooths is one sparse matrix. With evenly spaced bands it is Savitzky and Golay's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import OptionError
from hsikit.spectral.band_matrix import BandMatrix
from hsikit.spectral.continuum import ascending

Floats = NDArray[np.float64]
HIGHEST_ORDER = 9


def savitzky_golay(values: NDArray[np.float32], wavelength: ArrayLike, window_nm: float, order: int = 2) -> NDArray[np.float32]:
    """Smoothed spectra.

    Args:
        values: float32 of shape (..., C), NaN where missing.
        wavelength: band centres (nm), strictly ascending, shape (C,).
        window_nm: width of the window around each band (nm), borders included.
        order: of the polynomial, 0 to 9.

    Returns:
        Float32 of shape (..., C); NaN where a band in the window is missing (`hsikit.spectral.gaps.fill_gaps` fills them first).

    Raises:
        WavelengthError: wavelengths that do not ascend or fit.
        OptionError: see `smoothing_matrix`.
    """
    return smoothing_matrix(ascending(values, wavelength), window_nm, order).apply(values)


def smoothing_matrix(wavelength: ArrayLike, window_nm: float, order: int = 2) -> BandMatrix:
    """The same as weights of bands, shape (C, C); each row sums to 1.

    Raises:
        OptionError: no width or order, or a window that holds fewer bands than the polynomial has coefficients.
    """
    from scipy.sparse import csr_array

    if not (np.isfinite(window_nm) and window_nm > 0):
        raise OptionError("window_nm", f"{window_nm} is no width", "Give nanometres, such as 50")
    if not 0 <= order <= HIGHEST_ORDER or order != int(order):
        raise OptionError("order", f"{order} is no order of a polynomial here", f"Give a whole number from 0 to {HIGHEST_ORDER}")
    x = np.atleast_1d(np.asarray(wavelength, np.float64))
    half = min(window_nm, x[-1] - x[0]) / 2
    middle, reach = np.clip(x, x[0] + half, x[-1] - half), window_nm / 2 * (1 + 1e-9)
    first, end = np.searchsorted(x, middle - reach, "left"), np.searchsorted(x, middle + reach, "right")
    sparse = np.flatnonzero(end - first <= order)
    if sparse.size:
        i = int(sparse[0])
        wrong = f"a window of {window_nm:g} nm holds {end[i] - first[i]} bands at {x[i]:g} nm, too few for order {order}"
        raise OptionError("window_nm", wrong, "Widen the window, or lower the order")
    rows = [_fit((x[a:b] - centre) / reach, int(order)) for centre, a, b in zip(x, first, end, strict=True)]
    columns = np.concatenate([np.arange(a, b) for a, b in zip(first, end, strict=True)])
    starts = np.concatenate([[0], np.cumsum(end - first)])
    return BandMatrix(csr_array((np.concatenate(rows), columns, starts), shape=(x.size, x.size)))


def _fit(distance: Floats, order: int) -> Floats:
    """Weights of values at these distances for the least-squares polynomial at distance 0."""
    return np.asarray(np.linalg.pinv(np.vander(distance, order + 1, increasing=True))[0], np.float64)

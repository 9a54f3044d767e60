"""One sensor's bands as another's values speak for them: the best linear estimate, for scenes that are standardised by themselves.

Interpolation knows where bands lie, and nothing of the ground. A scene's covariance also knows how its bands go together: from what the other sensor
measured follows, with the least squared error, what the first one would have (Wiener 1949). Both scenes are standardised by their own
mean and deviation, so errors of gain and units are none, and only noise counts as an error of the other's values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.sensor_change import SensorChange, noise_deviation
from hsikit.spectral.wiener import wiener_estimate

Floats = NDArray[np.float64]


def band_estimate(change: SensorChange, mean: Floats, covariance: Floats, measured: NDArray[np.bool_] | None = None) -> Floats:
    """How a sensor's standardised bands follow from another's standardised values.

    Args:
        change: from the sensor to the other.
        mean: of a scene of the sensor, shape (C,).
        covariance: of its single pixels, shape (C, C).
        measured: the bands of the other that vary in its scene, bool (D,); all of them if None.

    Returns:
        Shape (C, D); 0 in columns of bands that do not vary, and in rows of bands that do not in the scene of the sensor.
    """
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    axes = np.diag(np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0))
    kept = np.ones(len(change.weights), bool) if measured is None else measured
    response, noise = change.weights[kept], noise_deviation(change, mean)[kept]
    found = wiener_estimate(response, np.diag(noise**2), covariance, axes)
    spread = np.sqrt(np.einsum("dc,ce,de->d", response, covariance, response, optimize=True) + noise**2)
    out = np.zeros((len(mean), len(kept)))
    out[:, kept] = found.weights * spread
    return out

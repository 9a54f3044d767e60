"""How heavy the tails of a background are: what tells a multivariate t-distribution from a Gaussian.

With r a pixel's distance from its background, E r^2 is the number d of dimensions that the background fills (fewer than its bands where the covariance
was shrunk), and for a t-distribution of n degrees of freedom E r^3 / E r is (d + 1)(n - 2) / (n - 3), from the moments of the chi distributions whose
quotient r is.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hsikit.errors import SceneError
from hsikit.method import Partial

LIGHTEST = 1e-9
"""Least inverse of the degrees of freedom: as good as a Gaussian."""


def distance_sums(squares: Tensor) -> Partial | None:
    """Sums over pixels of their distances' powers.

    Args:
        squares: squared distances, 1-D.

    Returns:
        "count", "first", "second" and "third", float64; None of no pixels.
    """
    if not len(squares):
        return None
    second = squares.double().clamp(min=0)
    first = second.sqrt()
    return {"count": second.new_tensor(float(len(second))), "first": first.sum(), "second": second.sum(), "third": (first * second).sum()}


def tail_of(found: Mapping[str, Tensor], scene: str) -> Partial:
    """The tail of all of them.

    Args:
        found: sums.
        scene: for messages.

    Returns:
        "dimensions", and "heaviness", one over the degrees of freedom: 0 for a Gaussian, at most a third.

    Raises:
        SceneError: no pixel is any distance away.
    """
    if not float(found["second"]) > 0:
        raise SceneError(scene, "all of its valid pixels are equal", "Check the scene and its nodata value")
    dimensions = found["second"] / found["count"]
    excess = found["third"] / found["first"] / (dimensions + 1) - 1
    return {"dimensions": dimensions, "heaviness": (excess / (1 + 3 * excess).clamp(min=1.0)).clamp(min=LIGHTEST)}

"""One detector's bands lie in order of wavelength, up or down: where they do not, its table is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hsikit.errors import WavelengthError


def need_order(centres: Sequence[float], path: str | Path, detector: str) -> None:
    """Refuses band centres that neither ascend nor descend.

    Args:
        centres: of one detector's bands, in the order of the product.
        path: the product, for the message.
        detector: its name, for the message.

    Raises:
        WavelengthError: they do neither.
    """
    steps = np.diff(np.asarray(centres, float))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise WavelengthError(path, f"the band centres of its {detector} neither ascend nor descend, so they are damaged", "Fetch the product again")

"""Line plots of spectra, for people: wavelength along x, one line for each spectrum, broken where bands are bad or missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.layers import PALETTE
from hsikit.scene import Bands, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 3.0
"""Neighbouring bands of a spectrometer further apart than this many median spacings are not joined."""
FEW = 30
"""With fewer bands than this, an instrument is no spectrometer: its bands are shown as points, and joined across any gap."""
LABELS = {
    "radiance": "radiance",
    "toa_reflectance": "reflectance at the top of the atmosphere",
    "surface_reflectance": "surface reflectance",
    "rrs": "remote-sensing reflectance",
    "brightness_temperature": "brightness temperature",
    "dn": "digital number",
}


def broken(bands: Bands, spectra: NDArray[Any]) -> tuple[Floats, Floats]:
    """Spectra with NaN at bad bands and within gaps of the spectral axis, so that lines break there.

    Args:
        bands: the spectral axis, C bands.
        spectra: shape (n, C).

    Returns:
        Wavelengths of shape (C + gaps,) and spectra of shape (n, C + gaps).
    """
    centres = bands.wavelength
    values = np.where(bands.good, np.asarray(spectra, np.float64), np.nan)
    if len(bands) < FEW:
        return centres, values
    spacing = np.diff(centres)
    gaps = np.flatnonzero(spacing > GAP * np.median(spacing))
    middles = (centres[gaps] + centres[gaps + 1]) / 2
    return np.insert(centres, gaps + 1, middles), np.insert(values, gaps + 1, np.nan, axis=1)


def plot_spectra(bands: Bands, spectra: NDArray[Any], labels: Sequence[str] = (), *, quantity: str = "", units: str = "", ax: Axes | None = None) -> Axes:
    """Draws spectra and returns the Axes.

    Args:
        bands: the spectral axis, C bands.
        spectra: shape (n, C), or (C,) for one; NaN where missing.
        labels: one for each spectrum, or none.
        quantity: names the vertical axis.
        units: unit of the values; "1" and "" are not shown.
        ax: where to draw; None: a new figure.

    Raises:
        OptionError: spectra of another number of bands, or labels of another number than spectra.
    """
    lines = np.atleast_2d(spectra)
    if lines.shape[1] != len(bands):
        raise OptionError("spectra", f"{lines.shape[1]} values for {len(bands)} bands", "Give one value for each band")
    if labels and len(labels) != len(lines):
        raise OptionError("labels", f"{len(labels)} labels for {len(lines)} spectra", "Give one for each spectrum, or none")
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(8, 4.5), layout="constrained")[1]
    wavelength, values = broken(bands, lines)
    for i, line in enumerate(values):
        colour = tuple(c / 255 for c in PALETTE[i % len(PALETTE)])
        ax.plot(wavelength, line, color=colour, linewidth=1.5, marker="." if len(bands) < FEW else None, label=labels[i] if labels else None)
    ax.set_xlabel("wavelength (nm)")
    ax.set_ylabel(LABELS.get(quantity, quantity or "value") + (f" ({units})" if units not in ("", "1") else ""))
    ax.grid(alpha=0.3)
    if labels:
        ax.legend(frameon=False)
    return ax

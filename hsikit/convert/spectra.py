"""Scenes whose spectra were transformed band by band: without their continuum, derived, smoothed; lazily.

Bad bands are left out: what stands between two good bands is then their distance in nanometres. What is no longer the scene's
quantity (a derivative, a ratio to the continuum) is called `dn`, so that no model takes it for reflectance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.band_sums import BandSumSource
from hsikit.convert.by_spectrum import Change, SpectrumSource, spectral_bands
from hsikit.scene import Indices, SceneInfo, Source
from hsikit.spectral import continuum
from hsikit.spectral.derivative import derivative_matrix
from hsikit.spectral.smooth import smoothing_matrix

ORDINALS = {1: "first", 2: "second"}


def derivative(source: Source, order: int = 1) -> Source:
    """The first or second derivative of a scene's good bands, per nm or nm²; see `hsikit.spectral.derivative`.

    Raises:
        WavelengthError: no wavelengths, or fewer than three good bands.
        OptionError: another order than 1 or 2.
    """
    bands, used = spectral_bands(source.info)
    sums = derivative_matrix(bands.wavelength, order)
    what = f"{ORDINALS[order]} derivative of {source.info.quantity} along the wavelength, per nm{'²' if order == 2 else ''}"
    return BandSumSource(source, used, sums, _told(source.info, what).with_(bands=bands), shared=False)


def smoothed(source: Source, window_nm: float, order: int = 2) -> Source:
    """A scene's good bands smoothed along the wavelength; see `hsikit.spectral.smooth`.

    Raises:
        WavelengthError: no wavelengths, or no good band.
        OptionError: a window that holds too few bands somewhere, or no window or order.
    """
    bands, used = spectral_bands(source.info)
    sums = smoothing_matrix(bands.wavelength, window_nm, order)
    what = f"smoothed by polynomials of order {order} in windows of {window_nm:g} nm"
    info = source.info.with_(bands=bands, attrs={**source.info.attrs, "transformed": what})
    return BandSumSource(source, used, sums, info, shared=False)


def continuum_removed(source: Source) -> Source:
    """A scene's good bands over the upper convex hull of each spectrum; see `hsikit.spectral.continuum`.

    Raises:
        WavelengthError: no wavelengths, or no good band.
    """
    bands, used = spectral_bands(source.info)
    info = _told(source.info, f"{source.info.quantity} over its continuum").with_(bands=bands)
    return _WithoutContinuum(source, used, info)


def _told(info: SceneInfo, what: str) -> SceneInfo:
    """Facts of values that are no longer the scene's quantity."""
    return info.with_(quantity="dn", attrs={**info.attrs, "transformed": what})


class _WithoutContinuum(SpectrumSource):
    """A source of the good bands of another, over their continuum; every band needs them all."""

    def __init__(self, base: Source, used: Indices, info: SceneInfo) -> None:
        super().__init__(base, used, info, {"continuum_removed": used.tolist(), "wavelength": info.bands.wavelength.tolist()})

    def _part(self, bands: Indices) -> tuple[Indices, Change]:
        def change(values: NDArray[np.float32]) -> NDArray[np.float32]:
            return continuum.continuum_removed(np.moveaxis(values, 0, -1), self.info.bands.wavelength)[..., bands].transpose(2, 0, 1)

        return np.arange(len(self._used)), change

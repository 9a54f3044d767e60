"""What an adapter knows of a window's bands, and the window's spectra put in order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hsikit.errors import WavelengthError
from hsikit.nn.wavelength_code import FWHM_PER_SIGMA

SHORTEST_PLAUSIBLE = 100.0
"""A band centre below this (nm) is in another unit."""


@dataclass(frozen=True, eq=False)
class Bands:
    """Usable bands, ascending, each with a centre and a width of its own.

    Attributes:
        wavelength: centres (nm), float64, shape (C,).
        fwhm: full widths at half maximum (nm), above 0, float64, shape (C,).
    """

    wavelength: Tensor
    fwhm: Tensor

    def __len__(self) -> int:
        return len(self.wavelength)

    @property
    def sigma(self) -> Tensor:
        """Deviations (nm) of the Gaussian responses, shape (C,)."""
        return self.fwhm / FWHM_PER_SIGMA

    def within(self, first: float, last: float) -> Tensor:
        """Whether each centre lies in a range (nm), bool, shape (C,)."""
        return (self.wavelength >= first) & (self.wavelength <= last)


def ordered_spectra(window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> tuple[Tensor, Bands]:
    """Every pixel's spectrum of the usable bands, in ascending order, whatever the order given.

    Bands that are not valid or have no width are left out. A width that is unknown (NaN) is the distance to the neighbours. Bands
    with the same centre and width are averaged: nothing could tell them apart.

    Args:
        window: shape (B, C, H, W).
        wavelength: band centres (nm), shape (C,).
        fwhm: widths (nm), shape (C,).
        valid: bool, shape (C,).

    Returns:
        Spectra, shape (B * H * W, usable bands), and what is known of the bands.

    Raises:
        WavelengthError: no usable band, a valid band without centre, a centre that is not in nanometres, a negative width, or a lone
            band without width.
        ValueError: shapes that do not fit.
    """
    count = window.shape[1] if window.dim() == 4 else -1
    if any(tuple(facts.shape) != (count,) for facts in (wavelength, fwhm, valid)) or valid.dtype != torch.bool:
        shapes = [tuple(each.shape) for each in (window, wavelength, fwhm, valid)]
        raise ValueError(f"shapes {shapes}: an adapter takes (B, C, H, W), then three times (C,), the last bool")
    device = window.device
    centres, widths = wavelength.to(device, torch.float64), fwhm.to(device, torch.float64)
    used = (valid.to(device) & (widths != 0)).nonzero().flatten()
    facts = torch.stack([centres[used], known_widths(centres[used], widths[used])], 1)
    unique, place = torch.unique(facts, dim=0, return_inverse=True)
    order = place.argsort(stable=True)
    spectra = window.index_select(1, used[order]).permute(0, 2, 3, 1).reshape(-1, len(used))
    return _averaged(spectra, place[order], len(unique)), Bands(*unique.T.contiguous())


def known_widths(centres: Tensor, widths: Tensor) -> Tensor:
    """The widths, where unknown the spacing of the bands.

    Raises:
        WavelengthError: see `ordered_spectra`.
    """
    if not len(centres):
        raise WavelengthError("spectral adapter", "no band is valid and has a width", "Mark at least one band as valid")
    if not centres.isfinite().all() or float(centres.min()) < SHORTEST_PLAUSIBLE:
        wrong = "a valid band has no centre, or one that is not in nanometres"
        raise WavelengthError("spectral adapter", wrong, "Give centres in nm, and mark bands without one as invalid")
    if (widths < 0).any() or widths.isinf().any():
        raise WavelengthError("spectral adapter", "a valid band has a negative or infinite width", "Give widths in nm, or NaN where unknown")
    unknown = widths.isnan()
    if not unknown.any():
        return widths
    places, which = torch.unique(centres, return_inverse=True)
    if len(places) < 2:
        raise WavelengthError("spectral adapter", "the width of a lone band is unknown", "Give its full width at half maximum in nm")
    steps = torch.gradient(places)[0]
    spacing = torch.minimum(steps, 2.0 * torch.quantile(places.diff(), 0.5))
    return torch.where(unknown, spacing[which], widths)


def _averaged(spectra: Tensor, place: Tensor, count: int) -> Tensor:
    """Columns of one place averaged, shape (n, count)."""
    if len(place) == count:
        return spectra
    total = spectra.new_zeros(len(spectra), count).index_add(1, place, spectra)
    return total / torch.bincount(place, minlength=count).to(spectra.dtype)

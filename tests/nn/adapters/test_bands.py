from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.errors import WavelengthError
from hsikit.nn.adapters.bands import ordered_spectra

NAN = float("nan")


def test_usable_bands_come_in_ascending_order_pixel_by_pixel() -> None:
    x = torch.arange(2 * 5 * 2 * 3.0).view(2, 5, 2, 3)
    wavelength, fwhm = torch.tensor([900.0, 500.0, 700.0, 600.0, 800.0]), torch.tensor([9.0, 5.0, 7.0, 0.0, 8.0])
    spectra, bands = ordered_spectra(x, wavelength, fwhm, torch.tensor([True, True, True, True, False]))
    assert bands.wavelength.tolist() == [500, 700, 900]
    assert bands.fwhm.tolist() == [5, 7, 9]
    np.testing.assert_array_equal(spectra, x[:, [1, 2, 0]].movedim(1, -1).reshape(12, 3))


def test_alike_bands_are_averaged_and_bands_of_two_widths_are_two() -> None:
    x = torch.tensor([1.0, 2.0, 4.0, 8.0])[None, :, None, None]
    spectra, bands = ordered_spectra(x, torch.tensor([700.0, 600, 700, 700]), torch.tensor([9.0, 9, 9, 12]), torch.ones(4, dtype=torch.bool))
    assert bands.wavelength.tolist() == [600, 700, 700]
    assert bands.fwhm.tolist() == [9, 9, 12]
    assert spectra.tolist() == [[2.0, 2.5, 8.0]]


def test_unknown_widths_are_the_spacing_but_no_wider_than_twice_the_usual() -> None:
    wavelength = torch.tensor([500.0, 510, 520, 530, 900, 910])
    _, bands = ordered_spectra(torch.zeros(1, 6, 1, 1), wavelength, torch.tensor([NAN, NAN, 4.0, NAN, NAN, NAN]), torch.ones(6, dtype=torch.bool))
    assert bands.fwhm.tolist() == [10, 10, 4, 20, 20, 10]


def test_an_infinite_width_is_refused() -> None:
    with pytest.raises(WavelengthError, match="infinite width"):
        ordered_spectra(torch.zeros(1, 1, 1, 1), torch.tensor([500.0]), torch.tensor([float("inf")]), torch.tensor([True]))

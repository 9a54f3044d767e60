"""Features of a spectrum that any sensor measures: integrals along the wavelength, over what its bands cover.

The weight of a band is a learned function of its wavelength, a sum of Gaussians, times the part of the axis that is the band's. So
sensors with the same coverage give the same features, whatever the number of their bands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.adapters.bands import known_widths
from hsikit.nn.sensor_lessons import Drawn, Floats, Lesson, Tell, by_chance, learn, perceptron
from hsikit.spectral.sensor_change import BEYOND, SNR, SNR_BEYOND, change_of

FIRST, LAST, STEP = 380.0, 2520.0, 20.0
"""Where the knots lie (nm); their deviation is the step."""
WIDTH = 64
GAIN, NOISE, LENGTHS = 0.06, 3.0, (300.0, 50.0)
"""In training: most deviation of the gain; of the noise, in multiples of an imaging spectrometer's; how far (nm) errors of gain reach."""
STEPS, PART, PARTS = 800, 64, 4
"""Each step sees 64 spectra through each of four instruments."""


class HyperWeights(nn.Module):
    """The integrals; has the signature of an adapter.

    Args:
        width: number of features.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        self.knots = torch.arange(FIRST, LAST + STEP / 2, STEP, dtype=torch.float64)
        self.by_value = nn.Parameter(torch.randn(len(self.knots), width) / len(self.knots) ** 0.5)
        self.by_cover = nn.Parameter(torch.randn(len(self.knots), width) / len(self.knots) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(width))

    def weights(self, wavelength: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (C, width) of the bands' standardised values, and what is added to the sum (width,)."""
        share = spacing(wavelength, fwhm)
        # Times the knots, so that a sensor that covers all of them gives sums of weights of the usual size.
        near = torch.exp(-0.5 * ((wavelength[:, None] - self.knots) / STEP).square()) * (share / share.sum())[:, None] * (len(self.knots) / (2 * np.pi) ** 0.5)
        return near.float() @ self.by_value, near.sum(0).float() @ self.by_cover + self.bias

    def forward(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, width, H, W)."""
        weights, offset = self.weights(wavelength[valid].double(), fwhm[valid].double())
        found: Tensor = torch.einsum("bchw,cf->bfhw", window[:, valid], weights) + offset[:, None, None]
        return found


def spacing(wavelength: Tensor, fwhm: Tensor) -> Tensor:
    """How much of the axis (nm) is nearest to each band, no more than its width on either side; at the ends half of it. Shape (C,)."""
    centres, order = wavelength.sort()
    widths = known_widths(wavelength, fwhm)[order]
    half = centres.diff() / 2
    cells = torch.cat([widths[:1] / 2, half]).minimum(widths) + torch.cat([half, widths[-1:] / 2]).minimum(widths)
    return torch.empty_like(cells).scatter_(0, order, cells)


class SpectrumNetwork(nn.Module):
    """Class logits of spectra.

    Args:
        adapter: of `hsikit.nn.adapters`, or with their signature.
        classes: K.
    """

    def __init__(self, adapter: nn.Module, classes: int) -> None:
        super().__init__()
        self.adapter, self.head = adapter, perceptron(int(adapter.width), classes)  # type: ignore[arg-type]

    def forward(self, spectra: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """Maps standardised spectra (n, D) to (n, K)."""
        valid = torch.ones(len(wavelength), dtype=torch.bool)
        logits: Tensor = self.head(self.adapter(spectra[..., None, None], wavelength, fwhm, valid)[..., 0, 0])
        return logits


def standardisation(weights: Floats, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean (D,) and deviation (D,) of a sensor's values in a scene, by the weights (D, C) of its bands."""
    return weights @ mean, np.sqrt(np.einsum("dc,ce,de->d", weights, covariance, weights, optimize=True))


@dataclass(frozen=True, eq=False)
class Seen:
    """How an instrument sees spectra of a scene.

    Attributes:
        wavelength: as stated (nm), shape (D,).
        fwhm: as stated (nm).
        weights: as it measures, shape (D, C).
        centre: mean of its values, as stated, shape (D,).
        scale: their deviation.
        noise: deviation of the noise over the value, of an imaging spectrometer.
        gain: a root (D, D) of the covariance of its gain, of deviation 1.
    """

    wavelength: Tensor
    fwhm: Tensor
    weights: Tensor
    centre: Tensor
    scale: Tensor
    noise: Tensor
    gain: Tensor

    @classmethod
    def of(cls, lesson: Lesson, drawn: Drawn) -> Seen:
        """For a scene."""
        centres, stated = drawn.change.wavelength, drawn.change.weights
        apart = (centres[:, None] - centres) ** 2
        gain = sum(np.exp(-apart / (2 * length**2)) for length in LENGTHS) / len(LENGTHS)
        noise = 1 / np.where(centres > BEYOND, SNR_BEYOND, SNR) / lesson.averaged**0.5
        parts = (drawn.measures, *standardisation(stated, lesson.mean, lesson.covariance), noise, np.linalg.cholesky(gain + 1e-6 * np.eye(len(centres))))
        facts = (torch.from_numpy(centres), torch.from_numpy(drawn.fwhm))
        return cls(*facts, *(torch.from_numpy(np.asarray(part)).float() for part in parts))

    def standardised(self, values: Tensor) -> Tensor:
        """Of mean 0 and deviation 1 in the scene."""
        return (values - self.centre) / self.scale

    def measured(self, spectra: Tensor) -> Tensor:
        """Standardised values (n, D) of spectra (n, C), each with a gain and noise of its own."""
        seen = spectra @ self.weights.T
        gain = GAIN * torch.rand(len(seen), 1) * (torch.randn_like(seen) @ self.gain.T)
        noise = NOISE * torch.rand(len(seen), 1) * self.noise * torch.randn_like(seen)
        return self.standardised(seen * (1 + gain) + seen.abs() * noise)


def learn_spectrum_network(
    lesson: Lesson, build: Callable[[], nn.Module] = HyperWeights, *, many: bool = True, parts: int | None = None, tell: Tell = lambda *step: None
) -> SpectrumNetwork:
    """Learns a network of an adapter.

    Args:
        lesson: what from.
        build: makes the adapter.
        many: whether through many instruments, with errors; or through the training sensor alone, without.
        parts: instruments that each step sees spectra through; as `PARTS` says where None.
        tell: told of steps.
    """
    parts = PARTS if parts is None else parts
    with by_chance(lesson.seed):
        network = SpectrumNetwork(build(), lesson.classes)
        own = np.eye(len(lesson.wavelength))
        drawn = lesson.instruments() if many else (Drawn(change_of(own, lesson.wavelength), lesson.fwhm, own),)
        instruments = [Seen.of(lesson, each) for each in drawn]
        spectra, targets = torch.from_numpy(lesson.spectra).float(), torch.from_numpy(lesson.targets)

        def part(size: int) -> Tensor:
            instrument, pixel = instruments[int(torch.randint(len(instruments), ()))], torch.randint(len(targets), (size,))
            seen = instrument.measured(spectra[pixel]) if many else instrument.standardised(spectra[pixel])
            return functional.cross_entropy(network(seen, instrument.wavelength, instrument.fwhm), targets[pixel])

        learn(network, lambda: torch.stack([part(PART) for _ in range(parts)]).mean() if many else part(parts * PART), STEPS, tell)
    return network

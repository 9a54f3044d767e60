"""What networks learn from that are to classify the spectra of any sensor after one training on the labels of one; and how.

They learn from labelled spectra as instruments drawn by chance see them (`hsikit.simulate.instruments`), with errors, and never meet a
label of another sensor. What they know of the scene are mean and covariance of its spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.hyper_weights import HyperWeights, SpectrumNetwork, perceptron
from hsikit.simulate.instruments import seen_by_chance
from hsikit.spectral.resample import gaussian_resampling
from hsikit.spectral.sensor_change import BEYOND, SNR, SNR_BEYOND, SensorChange, change_of, error_covariance
from hsikit.spectral.wiener import principal_axes, wiener_estimate
from hsikit.tasks.classification.scene_moments import CONSTANT

Floats = NDArray[np.float64]
Tell = Callable[[int, int, str], None]

INSTRUMENTS, COMPONENTS = 160, 30
RATE, DECAY, TELL_EVERY = 2e-3, 0.01, 50
WIENER_STEPS, WIENER_BATCH = 2000, 512
STEPS, PART, PARTS = 800, 64, 4
"""Of a network with an adapter: each step sees 64 spectra through each of four instruments."""
GAIN, NOISE, LENGTHS = 0.06, 3.0, (300.0, 50.0)
"""What it sees them with: most deviation of the gain; of the noise, in multiples of an imaging spectrometer's; how far (nm) errors of gain reach."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """An instrument.

    Attributes:
        change: from the training sensor's bands to its own, as it states them, D of them.
        fwhm: the widths that it states (nm), shape (D,).
        measures: how it really weighs the training sensor's bands, shape (D, C).
    """

    change: SensorChange
    fwhm: Floats
    measures: Floats


@dataclass(frozen=True, eq=False)
class Lesson:
    """What networks learn from.

    Attributes:
        spectra: labelled, on the training sensor, each the mean of `averaged` pixels, shape (n, C).
        targets: class positions 0 to K - 1, shape (n,).
        wavelength: centres of the training sensor's bands (nm), shape (C,).
        fwhm: their widths (nm).
        mean: of the scene's spectra, shape (C,).
        covariance: of the scene's spectra, shape (C, C).
        averaged: pixels whose mean is judged.
        seed: where chance starts.
    """

    spectra: Floats
    targets: NDArray[np.intp]
    wavelength: Floats
    fwhm: Floats
    mean: Floats
    covariance: Floats
    averaged: int
    seed: int = 0

    @property
    def classes(self) -> int:
        """K."""
        return int(self.targets.max()) + 1

    def errors(self, change: SensorChange) -> Floats:
        """Covariance (D, D) of what a sensor's values differ by beyond its responses."""
        return error_covariance(change, self.wavelength, self.mean, self.averaged)

    def instruments(self) -> tuple[Drawn, ...]:
        """Drawn by chance, none of them a real one."""
        rng = np.random.default_rng(self.seed)
        return tuple(self._draw(rng) for _ in range(INSTRUMENTS))

    def _draw(self, rng: np.random.Generator) -> Drawn:
        drawn, measures = seen_by_chance(self.wavelength, self.fwhm, rng, ())
        stated = gaussian_resampling(self.wavelength, self.fwhm, drawn.wavelength, drawn.fwhm).weights.todense()
        return Drawn(change_of(np.asarray(stated, np.float64), drawn.wavelength), drawn.fwhm, measures)


@contextmanager
def by_chance(seed: int) -> Iterator[None]:
    """Chance of its own, which leaves that of others alone, on one thread.

    The arrays are small: further threads would only wait for each other, and with their number the sums would change.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def learn(network: nn.Module, loss: Callable[[], Tensor], steps: int, tell: Tell = lambda *step: None) -> None:
    """Takes steps down a loss, and sets the network to answer."""
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    network.train()
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % TELL_EVERY == 0:
            tell(step // TELL_EVERY, steps // TELL_EVERY, "")
    network.eval()


def learn_wiener(lesson: Lesson, tell: Tell = lambda *step: None) -> tuple[Floats, nn.Sequential]:
    """Learns a perceptron of Wiener estimates of the scene's principal components, each with its deviation.

    In training the errors of the estimates are drawn from the covariance of `hsikit.spectral.sensor_change`.

    Returns:
        The axes of the components (C, P), and the perceptron of P estimates and P deviations.
    """
    axes = principal_axes(lesson.covariance, COMPONENTS)
    centred = lesson.spectra - lesson.mean
    clean, spread, deviation = [], [], []
    for drawn in lesson.instruments():
        errors = lesson.errors(drawn.change)
        found = wiener_estimate(drawn.change.weights, errors, lesson.covariance, axes)
        clean.append((centred @ (found.weights @ drawn.measures).T).astype(np.float32))
        spread.append(np.linalg.cholesky(found.weights @ errors @ found.weights.T + 1e-9 * np.eye(axes.shape[1])))
        deviation.append(found.deviation)
    estimates, roots, doubts = (torch.from_numpy(np.stack(each)).float() for each in (clean, spread, deviation))
    targets = torch.from_numpy(lesson.targets)

    with by_chance(lesson.seed):
        network = perceptron(2 * axes.shape[1], lesson.classes)

        def loss() -> Tensor:
            instrument, pixel = torch.randint(len(doubts), (WIENER_BATCH,)), torch.randint(len(targets), (WIENER_BATCH,))
            errors = (roots[instrument] @ torch.randn(WIENER_BATCH, axes.shape[1], 1))[..., 0]
            seen = torch.cat([estimates[instrument, pixel] + errors, doubts[instrument]], 1)
            return functional.cross_entropy(network(seen), targets[pixel])

        learn(network, loss, WIENER_STEPS, tell)
    return axes, network


def standardisation(weights: Floats, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean (D,) and deviation (D,) of a sensor's values in a scene, by the weights (D, C) of its bands; infinite where a band is constant."""
    centre = weights @ mean
    scale = np.sqrt(np.maximum(np.einsum("dc,ce,de->d", weights, covariance, weights, optimize=True), 0.0))
    return centre, np.where(scale > CONSTANT * np.abs(centre), scale, np.inf)


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

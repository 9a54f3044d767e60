"""Networks that classify the spectra of any sensor, after one training on the labels of one: what they learn from, and how.

They learn from labelled spectra as instruments drawn by chance see them (`hsikit.simulate.instruments`), with errors, and never meet a
label of another sensor. What they know of the scene are mean and covariance of its spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hsikit.simulate.instruments import seen_by_chance
from hsikit.spectral.resample import gaussian_resampling
from hsikit.spectral.sensor_change import SensorChange, change_of, error_covariance
from hsikit.spectral.wiener import principal_axes, wiener_estimate

Floats = NDArray[np.float64]
Tell = Callable[[int, int, str], None]

INSTRUMENTS, COMPONENTS, HIDDEN = 160, 30, 128
RATE, DECAY = 2e-3, 0.01
WIENER_STEPS, WIENER_BATCH = 2000, 512
TELL_EVERY = 50


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


def perceptron(features: int, classes: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, classes))


def perceptron_logits(layers: Mapping[str, Tensor], prefix: str, features: Tensor) -> Tensor:
    """What a `perceptron` answers, given its state by name: (n, features) to (n, K)."""
    for number in (0, 2, 4):
        features = functional.linear(features, layers[f"{prefix}{number}.weight"], layers[f"{prefix}{number}.bias"])
        features = functional.gelu(features) if number < 4 else features
    return features


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

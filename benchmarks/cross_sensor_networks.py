"""Networks that read any sensor after one training: rows of `benchmarks.cross_sensor`.

All learn from the labelled spectra (means of 3 x 3 pixels) as instruments drawn by chance see them (`hsikit.simulate.instruments`; none of
the table's sensors is among them), and never meet a label of another sensor. Classes are weighted by their frequency, as in marginal LDA.

* "Wiener network": the spectrum that a sensor's values speak for, given mean and covariance of the scene's pixels and the errors that
  `hsikit.spectral.sensor_change` allows for: 30 principal components, each with its posterior deviation, into a perceptron. In training
  the errors are drawn from their covariance.
* "hyper-weights": the integral along the wavelength of standardised value times learned functions, sums of Gaussians at 108 knots, over what
  the sensor covers; then a perceptron.
* "mean of three": the mean of these two's and marginal LDA's class probabilities.
* The adapters of `hsikit.nn.adapters`, each with the same perceptron. "One sensor" rows have seen the training sensor alone, without
  errors; "band index" knows bands by their number.

Values are standardised by what the sensor would see of the mean and covariance of the scene's pixels. These are unlabelled, and of the
training sensor; the test pixels and their neighbours are not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cross_sensor_views import View
from hsikit.nn.adapters import build_adapter
from hsikit.nn.adapters.bands import known_widths
from hsikit.pretrain.views import seen_by_chance
from hsikit.scene import Bands
from hsikit.spectral.resample import gaussian_resampling
from hsikit.spectral.sensor_change import BEYOND, SNR, SNR_BEYOND, SensorChange, error_covariance

Floats = NDArray[np.float64]
Posterior = Callable[[Floats], Floats]
Maker = Callable[[View], Posterior]

AVERAGED = 9
"""Pixels whose mean is judged."""
INSTRUMENTS, COMPONENTS, HIDDEN, WIDTH = 160, 30, 128, 64
FIRST, LAST, STEP = 380.0, 2520.0, 20.0
"""Where the knots lie (nm); their deviation is the step."""
GAIN, NOISE, LENGTHS = 0.06, 3.0, (300.0, 50.0)
"""Most deviation of the gain; of the noise, in multiples of an imaging spectrometer's; and how far (nm) errors of gain reach."""
RATE, DECAY = 2e-3, 0.01
WIENER_STEPS, WIENER_BATCH = 2000, 512
STEPS, PART, PARTS, PARTS_OF_ADAPTER = 800, 64, 4, 2
"""Of the other networks: each step sees 64 spectra through each of four instruments; of two with adapters, most of which cost more."""
ADAPTERS: Mapping[str, tuple[str, Mapping[str, Any], bool]] = {
    **{f"{name} adapter": (name, {}, True) for name in ("conv", "ranges", "channel", "hyper", "grid", "pixel")},
    "grid adapter, one sensor": ("grid", {}, False),
    "band index, one sensor": ("conv", {"form": "bands"}, False),
}
"""Rows: adapter, options, and whether it learns through many instruments."""
WIENER, HYPER, MEAN = "Wiener network", "hyper-weights", "mean of three"
ROWS = (WIENER, HYPER, MEAN, *ADAPTERS)


@dataclass(frozen=True, eq=False)
class Drawn:
    """An instrument.

    Attributes:
        view: as it is stated.
        weights: as it measures, its bands slightly beside, shape (D, C).
    """

    view: View
    weights: Floats


@dataclass(frozen=True, eq=False)
class Lesson:
    """What networks learn from.

    Attributes:
        spectra: labelled, on the training sensor, shape (n, C).
        targets: class positions 0 to K - 1, shape (n,).
        own: the training sensor's bands.
        mean: of the scene's pixels, shape (C,).
        covariance: of the scene's pixels, shape (C, C).
        seed: where chance starts.
    """

    spectra: Floats
    targets: NDArray[np.intp]
    own: Bands
    mean: Floats
    covariance: Floats
    seed: int = 0

    @property
    def classes(self) -> int:
        """K."""
        return int(self.targets.max()) + 1

    def errors(self, view: View) -> Floats:
        """Covariance (D, D) of what a sensor's values differ by beyond its responses."""
        used = np.arange(len(view.bands))
        change = SensorChange(view.weights, used, view.bands.wavelength, np.ones(len(used)), np.asarray((view.weights > 1e-3).any(0)))
        return error_covariance(change, self.own.wavelength, self.mean, AVERAGED)

    def instruments(self) -> tuple[Drawn, ...]:
        """Drawn by chance."""
        rng = np.random.default_rng(self.seed)
        return tuple(draw_view(self.own, rng) for _ in range(INSTRUMENTS))


def draw_view(own: Bands, rng: np.random.Generator) -> Drawn:
    """An instrument that measures what the training sensor's bands cover."""
    drawn, weights = seen_by_chance(own.wavelength, own.fwhm, rng, ())
    stated = gaussian_resampling(own.wavelength, own.fwhm, drawn.wavelength, drawn.fwhm).weights.todense()
    names = tuple(f"{centre:.1f}" for centre in drawn.wavelength)
    return Drawn(View(np.asarray(stated, np.float64), Bands(drawn.wavelength, drawn.fwhm, np.ones(len(names), bool), names)), weights)


@dataclass(frozen=True, eq=False)
class Wiener:
    """The linear estimate of some features of a spectrum from a sensor's values, the best one if all is normal.

    Attributes:
        weights: of the values that are the sensor's mean apart, shape (P, D).
        deviation: of the features about the estimate, shape (P,).
    """

    weights: Floats
    deviation: Floats


def wiener(response: Floats, errors: Floats, covariance: Floats, axes: Floats) -> Wiener:
    """The estimate for a sensor.

    Args:
        response: weights of its bands, shape (D, C).
        errors: covariance of its errors, shape (D, D).
        covariance: of the spectra, shape (C, C).
        axes: a spectrum's features are its products with these, shape (C, P).
    """
    across = response @ covariance @ axes
    weights = np.linalg.solve(response @ covariance @ response.T + errors, across).T
    left = ((covariance @ axes) * axes).sum(0) - (weights.T * across).sum(0)
    return Wiener(np.asarray(weights, np.float64), np.sqrt(np.maximum(left, 0.0)))


def principal_axes(covariance: Floats, count: int) -> Floats:
    """Axes (C, P) of the principal components, at most `count`, scaled to components of variance 1."""
    variance, axes = np.linalg.eigh(covariance)
    kept = np.argsort(-variance)[:count]
    kept = kept[variance[kept] > 1e-12 * variance.max()]
    return np.asarray(axes[:, kept] / np.sqrt(variance[kept]), np.float64)


def perceptron(features: int, classes: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, classes))


def fit(network: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    """Learns, and is set to answer."""
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()


def wiener_network(lesson: Lesson) -> Maker:
    """The perceptron of Wiener estimates; learns here."""
    torch.manual_seed(lesson.seed)
    axes = principal_axes(lesson.covariance, COMPONENTS)
    centred = lesson.spectra - lesson.mean
    clean, spread, deviation = [], [], []
    for drawn in lesson.instruments():
        errors = lesson.errors(drawn.view)
        found = wiener(drawn.view.weights, errors, lesson.covariance, axes)
        clean.append((centred @ (found.weights @ drawn.view.weights).T).astype(np.float32))
        spread.append(np.linalg.cholesky(found.weights @ errors @ found.weights.T + 1e-9 * np.eye(axes.shape[1])))
        deviation.append(found.deviation)
    estimates, roots, doubts = (torch.from_numpy(np.stack(each)).float() for each in (clean, spread, deviation))
    targets = torch.from_numpy(lesson.targets)
    network = perceptron(2 * axes.shape[1], lesson.classes)

    def loss() -> Tensor:
        instrument, pixel = torch.randint(len(doubts), (WIENER_BATCH,)), torch.randint(len(targets), (WIENER_BATCH,))
        errors = (roots[instrument] @ torch.randn(WIENER_BATCH, axes.shape[1], 1))[..., 0]
        seen = torch.cat([estimates[instrument, pixel] + errors, doubts[instrument]], 1)
        return functional.cross_entropy(network(seen), targets[pixel])

    fit(network, loss, WIENER_STEPS)

    def make(view: View) -> Posterior:
        found = wiener(view.weights, lesson.errors(view), lesson.covariance, axes)
        offset = view.weights @ lesson.mean

        def posterior(values: Floats) -> Floats:
            features = np.concatenate([(values - offset) @ found.weights.T, np.broadcast_to(found.deviation, (len(values), axes.shape[1]))], 1)
            with torch.no_grad():
                return np.asarray(network(torch.from_numpy(features).float()).softmax(1).double().numpy())

        return posterior

    return make


class HyperWeights(nn.Module):
    """Features of a spectrum: integrals along the wavelength, over what is covered. Has the signature of an adapter.

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

    def forward(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, width, H, W)."""
        centres, widths = wavelength[valid].double(), fwhm[valid].double()
        share = spacing(centres, widths)
        # Times the knots, so that a sensor that covers all of them gives sums of weights of the usual size.
        near = torch.exp(-0.5 * ((centres[:, None] - self.knots) / STEP).square()) * (share / share.sum())[:, None] * (len(self.knots) / (2 * np.pi) ** 0.5)
        weights, offset = near.float() @ self.by_value, near.sum(0).float() @ self.by_cover + self.bias
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

    def forward(self, spectra: Tensor, bands: Bands) -> Tensor:
        """Maps standardised spectra (n, D) to (n, K)."""
        facts = (torch.from_numpy(bands.wavelength), torch.from_numpy(bands.fwhm), torch.ones(len(bands), dtype=torch.bool))
        logits: Tensor = self.head(self.adapter(spectra[..., None, None], *facts)[..., 0, 0])
        return logits


@dataclass(frozen=True, eq=False)
class Seen:
    """How an instrument sees spectra of a scene.

    Attributes:
        bands: as stated.
        weights: as it measures, shape (D, C).
        centre: mean of its values, as stated, shape (D,).
        scale: their deviation.
        noise: deviation of the noise over the value, of an imaging spectrometer.
        gain: a root (D, D) of the covariance of its gain, of deviation 1.
    """

    bands: Bands
    weights: Tensor
    centre: Tensor
    scale: Tensor
    noise: Tensor
    gain: Tensor

    @classmethod
    def of(cls, lesson: Lesson, drawn: Drawn) -> Seen:
        """For a scene."""
        centres, stated = drawn.view.bands.wavelength, drawn.view.weights
        apart = (centres[:, None] - centres) ** 2
        gain = sum(np.exp(-apart / (2 * length**2)) for length in LENGTHS) / len(LENGTHS)
        scale = np.sqrt(np.einsum("dc,ce,de->d", stated, lesson.covariance, stated, optimize=True))
        noise = 1 / np.where(centres > BEYOND, SNR_BEYOND, SNR) / AVERAGED**0.5
        parts = (drawn.weights, stated @ lesson.mean, scale, noise, np.linalg.cholesky(gain + 1e-6 * np.eye(len(centres))))
        return cls(drawn.view.bands, *(torch.from_numpy(np.asarray(part)).float() for part in parts))

    def standardised(self, values: Tensor) -> Tensor:
        """Of mean 0 and deviation 1 in the scene."""
        return (values - self.centre) / self.scale

    def measured(self, spectra: Tensor) -> Tensor:
        """Standardised values (n, D) of spectra (n, C), each with a gain and noise of its own."""
        seen = spectra @ self.weights.T
        gain = GAIN * torch.rand(len(seen), 1) * (torch.randn_like(seen) @ self.gain.T)
        noise = NOISE * torch.rand(len(seen), 1) * self.noise * torch.randn_like(seen)
        return self.standardised(seen * (1 + gain) + seen.abs() * noise)


def spectrum_network(lesson: Lesson, build: Callable[[], nn.Module], many: bool, parts: int) -> Maker:
    """A network of an adapter; learns here.

    Args:
        lesson: what from.
        build: makes the adapter.
        many: whether through many instruments, or through the training sensor alone.
        parts: instruments that each step sees spectra through.
    """
    torch.manual_seed(lesson.seed)
    network = SpectrumNetwork(build(), lesson.classes)
    own = Drawn(View(np.eye(len(lesson.own)), lesson.own), np.eye(len(lesson.own)))
    instruments = [Seen.of(lesson, drawn) for drawn in (lesson.instruments() if many else (own,))]
    spectra, targets = torch.from_numpy(lesson.spectra).float(), torch.from_numpy(lesson.targets)

    def part(size: int) -> Tensor:
        instrument, pixel = instruments[int(torch.randint(len(instruments), ()))], torch.randint(len(targets), (size,))
        seen = instrument.measured(spectra[pixel]) if many else instrument.standardised(spectra[pixel])
        return functional.cross_entropy(network(seen, instrument.bands), targets[pixel])

    fit(network, lambda: torch.stack([part(PART) for _ in range(parts)]).mean() if many else part(parts * PART), STEPS)

    def make(view: View) -> Posterior:
        seen = Seen.of(lesson, Drawn(view, view.weights))

        def posterior(values: Floats) -> Floats:
            with torch.no_grad():
                return np.asarray(network(seen.standardised(torch.from_numpy(values).float()), view.bands).softmax(1).double().numpy())

        return posterior

    return make


def network_makers(lesson: Lesson, marginal: Maker) -> dict[str, Maker]:
    """The rows by name: for a sensor, what gives class probabilities (n, K). Each learns when it is first asked for.

    Args:
        lesson: what to learn from.
        marginal: class probabilities of marginal LDA, in the same order.
    """

    @cache
    def trained(name: str) -> Maker:
        if name == WIENER:
            return wiener_network(lesson)
        if name == HYPER:
            return spectrum_network(lesson, HyperWeights, True, PARTS)
        adapter, options, many = ADAPTERS[name]
        return spectrum_network(lesson, lambda: build_adapter(adapter, **options), many, PARTS_OF_ADAPTER)

    def mean(view: View) -> Posterior:
        three = [marginal(view), trained(WIENER)(view), trained(HYPER)(view)]
        return lambda values: np.asarray(np.mean([posterior(values) for posterior in three], axis=0))

    def row(name: str) -> Maker:
        return mean if name == MEAN else lambda view: trained(name)(view)

    return {name: row(name) for name in ROWS}

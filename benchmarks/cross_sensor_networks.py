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
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cross_sensor_views import View
from hsikit.nn.adapters import build_adapter
from hsikit.nn.hyper_weights import HyperWeights
from hsikit.spectral.sensor_change import change_of
from hsikit.spectral.wiener import wiener_estimate
from hsikit.tasks.classification.sensor_lessons import Drawn, Lesson, Seen, learn_spectrum_network, learn_wiener

Floats = NDArray[np.float64]
Posterior = Callable[[Floats], Floats]
Maker = Callable[[View], Posterior]

PARTS_OF_ADAPTER = 2
"""Instruments that each step of a network with an adapter sees spectra through: most of them cost more than the product's."""
ADAPTERS: Mapping[str, tuple[str, Mapping[str, Any], bool]] = {
    **{f"{name} adapter": (name, {}, True) for name in ("conv", "ranges", "channel", "hyper", "grid", "pixel")},
    "grid adapter, one sensor": ("grid", {}, False),
    "band index, one sensor": ("conv", {"form": "bands"}, False),
}
"""Rows: adapter, options, and whether it learns through many instruments."""
WIENER, HYPER, MEAN = "Wiener network", "hyper-weights", "mean of three"
ROWS = (WIENER, HYPER, MEAN, *ADAPTERS)


def wiener_network(lesson: Lesson) -> Maker:
    """The perceptron of Wiener estimates; learns here."""
    axes, network = learn_wiener(lesson)

    def make(view: View) -> Posterior:
        errors = lesson.errors(change_of(view.weights, view.bands.wavelength))
        found = wiener_estimate(view.weights, errors, lesson.covariance, axes)
        offset = view.weights @ lesson.mean

        def posterior(values: Floats) -> Floats:
            features = np.concatenate([(values - offset) @ found.weights.T, np.broadcast_to(found.deviation, (len(values), axes.shape[1]))], 1)
            with torch.no_grad():
                return np.asarray(network(torch.from_numpy(features).float()).softmax(1).double().numpy())

        return posterior

    return make


def spectrum_network(lesson: Lesson, build: Callable[[], torch.nn.Module], **options: Any) -> Maker:
    """A network of an adapter; learns here. For the arguments see `learn_spectrum_network`."""
    network = learn_spectrum_network(lesson, build, **options)

    def make(view: View) -> Posterior:
        seen = Seen.of(lesson, Drawn(change_of(view.weights, view.bands.wavelength), view.bands.fwhm, view.weights))

        def posterior(values: Floats) -> Floats:
            with torch.no_grad():
                logits = network(seen.standardised(torch.from_numpy(values).float()), seen.wavelength, seen.fwhm)
                return np.asarray(logits.softmax(1).double().numpy())

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
            return spectrum_network(lesson, HyperWeights)
        adapter, options, many = ADAPTERS[name]
        return spectrum_network(lesson, lambda: build_adapter(adapter, **options), many=many, parts=PARTS_OF_ADAPTER)

    def mean(view: View) -> Posterior:
        three = [marginal(view), trained(WIENER)(view), trained(HYPER)(view)]
        return lambda values: np.asarray(np.mean([posterior(values) for posterior in three], axis=0))

    def row(name: str) -> Maker:
        return mean if name == MEAN else lambda view: trained(name)(view)

    return {name: row(name) for name in ROWS}

"""From class probabilities to what a user gets: the map, its confidence, the probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hsikit.layers import NODATA, UNKNOWN, Layer, Legend, class_layer

if TYPE_CHECKING:
    from torch import Tensor

LOG_PROBABILITIES = "log_probabilities"
EXTRAS = ("confidence", "probabilities", LOG_PROBABILITIES)
"""Layers beside the map that can be asked for; the last is scratch, for what regularises them."""

LEAST = -69.0
"""Log-probabilities are no lower than this (1e-30): a class that a model excludes can still be smoothed."""


def output_layers(legend: Legend, extras: Sequence[str]) -> tuple[Layer, ...]:
    """The class map and the extra layers, in the order of `EXTRAS`."""
    classes, names = len(legend), legend.names
    layers = {
        "confidence": Layer("confidence", description="highest class probability"),
        "probabilities": Layer("probabilities", bands=classes, band_names=names, description="class probabilities"),
        LOG_PROBABILITIES: Layer(LOG_PROBABILITIES, bands=classes, band_names=names, delivered=False),
    }
    return (class_layer(legend), *(layers[name] for name in EXTRAS if name in extras))


def decide(log_probabilities: Tensor, legend: Legend, extras: Sequence[str], unknown_below: float = 0.0, temperature: float = 1.0) -> dict[str, Tensor]:
    """The output layers of one tile.

    Args:
        log_probabilities: shape (K, rows, cols); NaN throughout where there is no pixel.
        legend: K classes.
        extras: names out of `EXTRAS`.
        unknown_below: pixels whose confidence is lower become code 254.
        temperature: log-probabilities are divided by it before they become confidence and probabilities; the layer of
            log-probabilities itself stays as it is, since what smooths it comes before calibration.

    Returns:
        "map" (uint8) and the extras (float32), each of shape (bands, rows, cols).
    """
    import torch

    index = log_probabilities.max(0).indices
    calibrated = log_probabilities if temperature == 1 else (log_probabilities.clamp(min=LEAST) / temperature).log_softmax(0)
    best = calibrated.max(0).values
    codes = torch.tensor(legend.codes, dtype=torch.uint8, device=best.device)[index]
    if unknown_below > 0:
        codes = codes.masked_fill(best.exp() < unknown_below, UNKNOWN)
    layers = {"map": codes.masked_fill(best.isnan(), NODATA)[None]}
    if "confidence" in extras:
        layers["confidence"] = best.exp().float()[None]
    if "probabilities" in extras:
        layers["probabilities"] = calibrated.exp().float()
    if LOG_PROBABILITIES in extras:
        layers[LOG_PROBABILITIES] = log_probabilities.clamp(min=LEAST).float()
    return layers

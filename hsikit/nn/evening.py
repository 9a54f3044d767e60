"""Features of an encoder brought to nearly one size and made independent, within its last linear layers: what it can tell stays the same.

A pretraining leaves features most of which say how bright a pixel is. A discriminant that few labels teach shrinks covariances towards
independent features, and loses what small components say. A linear map that evens them out, found once on what the encoder was trained
on, goes into the weights; rebuilding bands from the features is adapted, so that `Encoder.query` answers as before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsikit.nn.encoder import Encoder

FLOOR = 1e-2
"""Variance, as a share of the mean one, that each component is taken to have at least: what is smaller is not magnified without end."""


def even_features(encoder: Encoder, mean: Tensor, covariance: Tensor, floor: float = FLOOR) -> None:
    """Changes an encoder in place, so that features of this mean and covariance become centred, and independent but for the floor.

    Args:
        encoder: its `dense` gives the features.
        mean: of the features, float64, shape (width,).
        covariance: within scenes, float64, shape (width, width).
        floor: see `FLOOR`.

    Raises:
        ValueError: a covariance that is not finite, or zero.
    """
    variance, axes = torch.linalg.eigh(covariance) if covariance.isfinite().all() else (covariance.new_zeros(1), covariance)
    if not float(variance.mean()) > 0:
        raise ValueError("features that do not vary, or are no numbers, cannot be evened out")
    spread = (variance.clamp(min=0) + floor * variance.mean()).sqrt()
    there, back = (axes / spread) @ axes.T, (axes * spread) @ axes.T
    with torch.no_grad():
        for place, fuse in enumerate(encoder.fuse):
            assert isinstance(fuse, nn.Linear)
            shifted = fuse.bias.double() - (mean if place == 0 else 0.0)
            fuse.weight.copy_(there @ fuse.weight.double())
            fuse.bias.copy_(there @ shifted)
        out, weight = encoder.band_features, encoder.band_features.weight.double()
        out.bias.copy_(out.bias.double() + weight @ mean)
        out.weight.copy_(weight @ back)


def feature_moments(features: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C), float64, of features (B, C, H, W) at usable pixels, bool (B, H, W)."""
    found = features.permute(0, 2, 3, 1)[usable].double()
    centred = found - found.mean(0)
    return found.mean(0), centred.T @ centred / len(found)

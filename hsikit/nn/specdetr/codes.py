"""Where a pixel or a box lies, as sines and cosines of absolute pixels: the size of the picture does not count."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ENCODER_TEMPERATURE, BOX_TEMPERATURE = 20.0, 10000.0


def sine_code(values: Tensor, features: int, unit: float, temperature: float) -> Tensor:
    """Sines and cosines of numbers at falling frequencies.

    Args:
        values: in pixels, any shape (...).
        features: of each number, even.
        unit: pixels of a full circle at the highest frequency.
        temperature: the lowest frequency is nearly so many times lower.

    Returns:
        Shape (..., features): sine and cosine of each frequency in turn.
    """
    steps = torch.arange(features // 2, device=values.device, dtype=values.dtype) * (2.0 / features)
    angles = values[..., None] * (2 * math.pi / unit) * temperature**-steps
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


def pixel_centres(rows: int, cols: int, device: torch.device) -> Tensor:
    """(x, y) of the centres of all pixels, row by row, shape (rows * cols, 2)."""
    y, x = torch.meshgrid(torch.arange(rows, device=device) + 0.5, torch.arange(cols, device=device) + 0.5, indexing="ij")
    return torch.stack((x, y), -1).reshape(-1, 2)


def pixel_code(centres: Tensor, width: int, unit: float) -> Tensor:
    """Code of places (n, 2), half of the features for y, half for x; shape (n, width)."""
    return torch.cat([sine_code(centres[:, axis], width // 2, unit, ENCODER_TEMPERATURE) for axis in (1, 0)], -1)


def box_code(boxes: Tensor, width: int, unit: float) -> Tensor:
    """Code of boxes (centre x, centre y, width, height) in pixels, shape (..., 4) to (..., 2 * width)."""
    return sine_code(boxes, width // 2, unit, BOX_TEMPERATURE).flatten(-2)

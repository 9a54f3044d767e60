"""Bands of made-up sensors, and adapters small enough for tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hsikit.nn.adapters import Adapter, build_adapter
from hsikit.nn.adapters.bands import Bands

MAKERS: dict[str, Callable[[], Adapter]] = {
    "channel": lambda: build_adapter("channel", width=16),
    "channel-ggem": lambda: build_adapter("channel", width=16, pool="ggem"),
    "conv": lambda: build_adapter("conv", width=16),
    "conv-bands": lambda: build_adapter("conv", width=16, form="bands", pool="attention"),
    "conv-ggem": lambda: build_adapter("conv", width=16, pool="ggem"),
    "grid": lambda: build_adapter("grid", width=16),
    "hyper-knots": lambda: build_adapter("hyper", width=16),
    "hyper-mlp": lambda: build_adapter("hyper", width=16, form="mlp"),
    "pixel": lambda: build_adapter("pixel", width=16),
    "pixel-ggem": lambda: build_adapter("pixel", width=16, pool="ggem"),
    "pixel-mean": lambda: build_adapter("pixel", width=16, pool="mean"),
    "pixel-bands": lambda: build_adapter("pixel", width=16, patch=1, depth=1),
    "ranges": lambda: build_adapter("ranges", width=16),
}
"""Every adapter in each of its forms."""


def adapter(name: str, seed: int = 0) -> Adapter:
    """An adapter of `MAKERS` in evaluation mode."""
    torch.manual_seed(seed)
    return MAKERS[name]().eval()


def sensor(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centres and widths (nm) of a sensor from 405 to 2495 nm, all bands valid."""
    wavelength = torch.linspace(405, 2495, count) if count > 1 else torch.tensor([865.0])
    return wavelength, torch.full((count,), min(60.0, 2100.0 / count)), torch.ones(count, dtype=torch.bool)


def bands(count: int) -> Bands:
    """The same as `Bands`."""
    wavelength, fwhm, _ = sensor(count)
    return Bands(wavelength.double(), fwhm.double())


def window(count: int, rows: int = 2, cols: int = 3, images: int = 2, seed: int = 1) -> Tensor:
    """Standardised values of a scene, shape (images, count, rows, cols)."""
    return torch.randn(images, count, rows, cols, generator=torch.Generator().manual_seed(seed))

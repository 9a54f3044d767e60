"""Every mixer in each of its forms, small enough for tests, and maps for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hsikit.nn.mixers import Mixer, build_mixer

WIDTH, TOKENS = 16, 3

MAKERS: dict[str, Callable[[], Mixer]] = {
    "channel": lambda: build_mixer("channel", WIDTH),
    "dwconv": lambda: build_mixer("dwconv", WIDTH),
    "dwconv-3": lambda: build_mixer("dwconv", WIDTH, kernel=3),
    "full": lambda: build_mixer("full", WIDTH),
    "joint": lambda: build_mixer("joint", WIDTH),
    "less": lambda: build_mixer("less", WIDTH, heads=2),
    "less-rank": lambda: build_mixer("less", WIDTH, heads=2, spectral=2, rank=3),
    "morphology": lambda: build_mixer("morphology", WIDTH),
    "morphology-paper": lambda: build_mixer("morphology", WIDTH, mode="paper"),
    "pool": lambda: build_mixer("pool", WIDTH),
    "reduced": lambda: build_mixer("reduced", WIDTH, cell=2),
    "scan": lambda: build_mixer("scan", WIDTH),
    "window": lambda: build_mixer("window", WIDTH, window=4),
    "window-shifted": lambda: build_mixer("window", WIDTH, window=4, shift=2),
}


def mixer(name: str, seed: int = 0) -> Mixer:
    """A mixer of `MAKERS` in evaluation mode."""
    torch.manual_seed(seed)
    return MAKERS[name]().eval()


def tokens_of(model: Mixer) -> int:
    """Tokens of a pixel in the maps that a mixer is tested with."""
    return TOKENS if model.by_token else 1


def tile(model: Mixer, rows: int = 9, cols: int = 7, images: int = 2, seed: int = 1) -> Tensor:
    """A map (images, rows, cols, C) that a mixer takes."""
    return torch.randn(images, rows, cols, WIDTH * tokens_of(model), generator=torch.Generator().manual_seed(seed))


def some_valid(rows: int = 9, cols: int = 7, images: int = 2) -> Tensor:
    """Pixels that count: most, but neither a corner, nor a row's end, nor one in the middle."""
    valid = torch.ones(images, rows, cols, dtype=torch.bool)
    valid[:, :2, :3] = False
    valid[0, rows // 2, 2] = False
    valid[1, rows // 2, cols // 2 :] = False
    return valid

"""Fewer bands in training, so that a model meets many sensors: which bands are left, for any model that honours `valid`.

Both functions return a mask; nothing of the model changes, and nothing happens in evaluation, where nobody calls them. (A channel
dropout inside the released LESS ViT also drops bands in evaluation.) All that is random comes from the generator.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def sample_bands(valid: Tensor, generator: Generator, least: int = 1) -> Tensor:
    """Hierarchical channel sampling (ChannelViT: Bao et al., 2024, arXiv:2309.16108): first how many bands, then which.

    The number is uniform from `least` to all, so that few bands are met as often as many; dropping each band by itself would
    almost always leave about the same number.

    Args:
        valid: bool, the bands that there are, shape (C,).
        generator: on the CPU.
        least: bands that are kept at least; all where there are no more.

    Returns:
        The bands that are kept, bool, shape (C,).

    Raises:
        ValueError: no valid band, or `least` below 1.
    """
    bands = _valid_bands(valid, least)
    least = min(least, len(bands))
    count = int(torch.randint(least, len(bands) + 1, (), generator=generator))
    return _only(bands[torch.randperm(len(bands), generator=generator)[:count]], valid)


def drop_bands(valid: Tensor, share: float, generator: Generator, least: int = 1) -> Tensor:
    """Drops each band by itself.

    Args:
        valid: bool, the bands that there are, shape (C,).
        share: probability that a band is dropped, 0 to below 1.
        generator: on the CPU.
        least: bands that are kept at least; where fewer would be left, those that came closest to being kept stay.

    Returns:
        The bands that are kept, bool, shape (C,).

    Raises:
        ValueError: no valid band, or a number out of range.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share {share} must be 0 or more and below 1")
    bands = _valid_bands(valid, least)
    chance = torch.rand(len(bands), generator=generator)
    kept = chance >= share
    kept[chance.argsort(descending=True)[:least]] = True
    return _only(bands[kept], valid)


def _valid_bands(valid: Tensor, least: int) -> Tensor:
    """Positions of the valid bands, on the CPU."""
    if valid.dtype != torch.bool or valid.dim() != 1 or not valid.any() or least < 1:
        raise ValueError(f"valid must be a mask of bands with one at least, and least {least} 1 or more")
    return valid.cpu().nonzero().flatten()


def _only(bands: Tensor, valid: Tensor) -> Tensor:
    mask = torch.zeros(len(valid), dtype=torch.bool)
    mask[bands] = True
    return mask.to(valid.device)

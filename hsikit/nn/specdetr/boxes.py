"""Boxes in pixels: overlaps, refinement, and what is left of many that overlap. Boxes are (centre x, centre y, width, height)."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST, LARGEST = 0.05, 512.0
"""Sides of a box (pixels) that a network may give."""


def corners(boxes: Tensor) -> Tensor:
    """Left, top, right, bottom of boxes; shape (..., 4) in and out."""
    return torch.cat((boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2), -1)


def refined(boxes: Tensor, change: Tensor) -> Tensor:
    """Boxes moved by pixels and stretched by exponentials, wherever in the picture they lie; shapes (..., 4)."""
    return torch.cat((boxes[..., :2] + change[..., :2], (boxes[..., 2:] * change[..., 2:].clamp(-8, 8).exp()).clamp(SMALLEST, LARGEST)), -1)


def overlaps(ones: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and its generalised form (Rezatofighi et al., 2019, arXiv:1902.09630), of every pair.

    Args:
        ones: shape (..., 4); its leading shape and that of `others` are broadcast, so that `ones[:, None]` and `others[None]` give all pairs.
        others: shape (..., 4).

    Returns:
        0 to 1, and -1 to 1, of the broadcast shape.
    """
    a, b = corners(ones), corners(others)
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    around = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = ones[..., 2:].prod(-1) + others[..., 2:].prod(-1) - shared
    share = shared / union
    return share, share - (around - union) / around


def kept(boxes: Tensor, scores: Tensor, most_overlap: float) -> Tensor:
    """Positions of boxes that overlap no box of a higher score by more than a share, the highest score first.

    Args:
        boxes: shape (n, 4).
        scores: shape (n,); of equal ones the first wins.
        most_overlap: intersection over union, 0 to 1.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    left = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    chosen = []
    for place in range(len(order)):
        if not left[place]:
            continue
        chosen.append(order[place])
        rest = order[place + 1 :]
        left[place + 1 :] &= overlaps(boxes[order[place]], boxes[rest])[0] <= most_overlap
    return torch.stack(chosen) if chosen else order


def whole_pixels(boxes: Tensor) -> Tensor:
    """Boxes whose edges are moved to the nearest edges of pixels, a pixel wide at least; shape (n, 4) in and out."""
    edges = corners(boxes).round()
    first = edges[..., :2]
    last = torch.maximum(edges[..., 2:], first + 1)
    # Where both edges round to one, the pixel that holds the centre is meant.
    narrow = edges[..., 2:] <= edges[..., :2]
    first = torch.where(narrow, boxes[..., :2].floor(), first)
    last = torch.where(narrow, first + 1, last)
    return torch.cat(((first + last) / 2, last - first), -1)

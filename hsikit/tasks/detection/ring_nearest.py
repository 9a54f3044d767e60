"""How far a pixel is from the pixels around it that are most like it: small at the edges and in the textures that surroundings hold too.

For objects of which nothing like them is near. It asks for no covariance, so that a ring of several covers does no harm: a pixel of a second
cover has others of that cover in its ring, and an object has none. Distances to the k-th nearest neighbour as a score: Ramaswamy, Rastogi and
Shim, 2000 (doi:10.1145/342009.335437), here among the neighbours in the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsikit.method import Cost


def ring_nearest(white: Tensor, valid: Tensor, inner: int, outer: int, share: float) -> Tensor:
    """Squared distances to the nearest pixels of the ring around each pixel.

    Args:
        white: components, 0 where not valid, shape (k, rows, cols), with a halo of outer // 2.
        valid: bool, shape (rows, cols).
        inner: side of the window that is left out (odd).
        outer: side of the window around it (odd).
        share: of the ring's valid pixels, those nearest in components; the distance is to the last of them, at least one.

    Returns:
        float32, shape (rows, cols) without the halo; where no pixel of the ring is valid, the squared length of the pixel's own components.
    """
    reach = outer // 2
    rows, cols = valid.shape[0] - 2 * reach, valid.shape[1] - 2 * reach
    ring = torch.ones(outer, outer, dtype=torch.bool, device=valid.device)
    ring[reach - inner // 2 : reach + inner // 2 + 1, reach - inner // 2 : reach + inner // 2 + 1] = False
    around, most = white.float(), int((ring.sum() * share).ceil())
    out = around.new_empty(rows, cols)
    for row in range(rows):
        windows = around[:, row : row + outer].unfold(2, outer, 1)
        centre = around[:, row + reach, reach : reach + cols]
        apart = around.new_zeros(outer, cols, outer)
        for picture, own in zip(windows, centre, strict=True):
            apart += (picture - own[:, None]).square_()
        there = valid[row : row + outer].unfold(1, outer, 1).transpose(0, 1)[:, ring]
        found = apart.transpose(0, 1)[:, ring].masked_fill_(~there, float("inf"))
        nearest, count = found.topk(most, dim=1, largest=False).values, there.sum(1)
        place = ((count * share).ceil().long() - 1).clamp(min=0)
        out[row] = torch.where(count > 0, nearest.gather(1, place[:, None])[:, 0], centre.square().sum(0))
    return out


def nearest_cost(tile: tuple[int, int], components: int, outer: int) -> Cost:
    """What the distances of a tile need beside its components."""
    around = outer * outer * tile[1]
    return Cost(4 * components * tile[0] * tile[1] + around * (3 * 4 + 2), 4.0 * components * tile[0] * around)

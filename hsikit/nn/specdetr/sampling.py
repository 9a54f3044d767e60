"""Deformable attention: each query looks at a few points that it chooses itself, between pixels, in a map and in the map's mean.

After Deformable DETR (Zhu et al., 2021, arXiv:2010.04159) as SpecDETR uses it: two levels, the map and one token for the whole of it. Offsets
are in pixels and may reach anywhere. What differs: a point of the second level lies relative to that token's middle wherever the query
is, so that what a query reads of it does not follow from the size of the picture; it reads all of it at first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 2


def sample_points(value: Tensor, locations: Tensor) -> Tensor:
    """Bilinear values between pixels; 0 outside of the map.

    Args:
        value: shape (n, D, rows, cols).
        locations: (x, y) in pixels from the map's corner, a pixel's centre at .5; shape (n, Q, P, 2).

    Returns:
        Shape (n, D, Q, P).
    """
    size = value.new_tensor([value.shape[3], value.shape[2]])
    return functional.grid_sample(value, 2 * locations / size - 1, mode="bilinear", padding_mode="zeros", align_corners=False)


class DeformableAttention(nn.Module):
    """Reads a map and its mean at points that the query chooses; the residual connection is the caller's.

    Args:
        width: channels, a multiple of `heads`.
        heads: each chooses points of its own.
        points: of each head on each level.
    """

    def __init__(self, width: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(width, heads * LEVELS * points * 2)
        self.weights = nn.Linear(width, heads * LEVELS * points)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            angle = torch.arange(heads) * (2 * math.pi / heads)
            direction = torch.stack((angle.cos(), angle.sin()), 1)
            direction /= direction.abs().amax(1, keepdim=True)
            start = self.offsets.bias.view(heads, LEVELS, points, 2)
            start[:, 0] = direction[:, None] * torch.arange(1, points + 1)[:, None]

    def forward(self, query: Tensor, tokens: Tensor, shape: tuple[int, int], centres: Tensor, reach: Tensor | None = None) -> Tensor:
        """What the queries read.

        Args:
            query: shape (B, Q, width).
            tokens: the map's pixels row by row, then its mean; shape (B, rows * cols + 1, width).
            shape: (rows, cols).
            centres: (x, y) of each query in pixels, shape (B, Q, 2) or (1, Q, 2).
            reach: length of a unit of the offsets (pixels), shape (B, Q, 2); a pixel where None.

        Returns:
            Shape (B, Q, width).
        """
        images, queries, width = query.shape
        heads, points = self.heads, self.points
        value = self.value(tokens)
        offsets = self.offsets(query).view(images, queries, heads, LEVELS, points, 2)
        weights = self.weights(query).view(images, queries, heads, LEVELS * points).softmax(-1).view(images, queries, heads, LEVELS, points)
        places = centres[:, :, None, None] + (offsets[:, :, :, 0] if reach is None else offsets[:, :, :, 0] * reach[:, :, None, None])
        # Bilinear sampling of a map of one token is a triangle around its middle.
        whole = (weights[:, :, :, 1] * (1 - offsets[:, :, :, 1].abs()).clamp(min=0).prod(-1)).sum(-1)
        # Sums of rows are faster, and sampled maps have the faster gradient.
        read = read_sampled if torch.is_grad_enabled() else read_summed
        out: Tensor = self.out(read(value.unflatten(-1, (heads, -1)), shape, places, weights[:, :, :, 0], whole).reshape(images, queries, width))
        return out


def read_sampled(value: Tensor, shape: tuple[int, int], places: Tensor, weights: Tensor, whole: Tensor) -> Tensor:
    """Weighted sums of bilinear values of a map, and of its mean, by sampling the map of each head.

    Args:
        value: of the map's pixels row by row, then of its mean; shape (B, rows * cols + 1, heads, D).
        shape: (rows, cols).
        places: (x, y) in pixels, shape (B, Q, heads, P, 2).
        weights: of the places, shape (B, Q, heads, P).
        whole: weight of the mean, shape (B, Q, heads).

    Returns:
        Shape (B, Q, heads, D).
    """
    images, _, heads, deep = value.shape
    queries, points = places.shape[1], places.shape[3]
    pixels = value[:, :-1].view(images, *shape, heads, deep).permute(0, 3, 4, 1, 2).reshape(images * heads, deep, *shape)
    read = sample_points(pixels, places.transpose(1, 2).reshape(images * heads, queries, points, 2))
    shares = weights.transpose(1, 2).reshape(images * heads, 1, queries, points)
    return (read * shares).sum(-1).view(images, heads, deep, queries).permute(0, 3, 1, 2) + whole[..., None] * value[:, -1:]


def read_summed(value: Tensor, shape: tuple[int, int], places: Tensor, weights: Tensor, whole: Tensor) -> Tensor:
    """The same as `read_sampled`, as one weighted sum over the four pixels around each place: no map is laid out anew, no sample is held."""
    images, tokens, heads, deep = value.shape
    (rows, cols), low = shape, (places - 0.5).floor()
    part, corner = places - 0.5 - low, low.int()
    near = torch.stack((1 - part, part), -1)
    number = torch.stack((corner, corner + 1), -1)
    limit = number.new_tensor([cols, rows]).unsqueeze(-1)
    share = near * ((number >= 0) & (number < limit))
    number = number.clamp(min=0).minimum(limit - 1)
    # x and y each have two numbers; a corner has one of each.
    row = (number[..., 1, :, None] * cols + number[..., 0, None, :]).flatten(3)
    share = ((weights[..., None] * share[..., 1, :])[..., None] * share[..., 0, None, :]).flatten(3)
    row = torch.cat((row, torch.full_like(row[..., :1], tokens - 1)), -1)
    first = torch.arange(images, device=row.device, dtype=row.dtype)[:, None, None, None] * tokens
    head = torch.arange(heads, device=row.device, dtype=row.dtype)[:, None]
    row, share = (row + first) * heads + head, torch.cat((share, whole[..., None]), -1)
    kind = torch.promote_types(value.dtype, torch.float32)
    summed = functional.embedding_bag(row.flatten(0, 2), value.reshape(-1, deep).to(kind), mode="sum", per_sample_weights=share.flatten(0, 2).to(kind))
    return summed.view(*places.shape[:3], deep)

"""Trends across a scene (light, path, view angle): least squares of each channel on row and column, up to their squares.

The trend belongs to the scene at hand and is fitted on all its valid pixels, labelled or not; what is left is put back to the
channel's mean. It may take away what is real: where classes themselves follow a gradient, leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsikit.geo.grid import Window
from hsikit.method import Partial, Reduce, Store, Tile

if TYPE_CHECKING:
    from torch import Tensor

TREND = "trend"


def trend_stage(layer: str, shape: tuple[int, int]) -> Reduce:
    """Folds a layer into the slopes of its trends, `store["trend"]["slopes"]` (channels, 4), and the mean place, `store["trend"]["place"]` (4,).

    Args:
        layer: its name; NaN where not valid.
        shape: (rows, cols) of the scene.
    """
    import torch

    def update(tile: Tile, store: Store) -> Partial | None:
        values = tile.inner(layer)
        valid = ~values[0].isnan()
        if not valid.any():
            return None
        places = place_terms(tile.core, shape, valid.device)[:, valid]
        design = torch.cat([torch.ones_like(places[:1]), places])
        return {"normal": design @ design.T, "values": values[:, valid].double() @ design.T}

    def finish(stored: Partial, store: Store) -> Partial:
        normal = stored["normal"]
        # A scene one pixel wide has no trend that way: the pseudo-inverse leaves those slopes out.
        inverse = torch.linalg.pinv(normal, hermitian=True, rtol=1e-10)
        return {"place": normal[0, 1:] / normal[0, 0], "slopes": (stored["values"] @ inverse)[:, 1:]}

    return Reduce(TREND, (layer,), update, finish=finish)


def place_terms(window: Window, shape: tuple[int, int], device: object) -> Tensor:
    """Column, its square, row, its square of each pixel of a window, scaled to -1 to 1 over the scene: float64 (4, rows, cols)."""
    import torch

    rows, cols = (
        torch.arange(first, first + count, dtype=torch.float64, device=device).mul_(2 / max(1, size - 1)).sub_(1)  # type: ignore[call-overload]
        for first, count, size in zip((window.row, window.col), window.shape, shape, strict=True)
    )
    row, col = torch.meshgrid(rows, cols, indexing="ij")
    return torch.stack([col, col**2, row, row**2])


def trend_at(trend: Mapping[str, Tensor], places: Tensor) -> Tensor:
    """Each channel's trend, 0 in the mean over the scene: float64 (channels, rows, cols).

    Args:
        trend: what `trend_stage` stored.
        places: `place_terms` of the window.
    """
    return (trend["slopes"] @ (places - trend["place"][:, None, None]).flatten(1)).view(-1, *places.shape[1:])

"""Mixers `full` and `joint`: every place attends to every other (Vaswani et al., 2017, arXiv:1706.03762); the cost is quadratic in the places.

`full` mixes pixels. `joint` mixes the tokens of all pixels, over space and spectrum at once, as SpectralGPT's 3-D tokens of patches and groups
of bands do (Hong et al., 2024, doi:10.1109/TPAMI.2024.3362475). There a pixel has four groups of three bands, and its places are learned for one
size of image; here it has as many tokens as its adapter gives, coded by wavelength, and the blocks' `position` tells places apart.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from hsikit.nn.attention import attend, check_heads
from hsikit.nn.mixers.base import Context, Mixer


class FullMixer(Mixer):
    """Attention among all pixels of a map.

    Args:
        width: channels, a multiple of `heads`.
        heads: of the attention.

    Raises:
        ValueError: the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        check_heads(width, heads)
        self.width, self.heads = width, heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """See `Mixer.forward`."""
        places = x.reshape(len(x), -1, self.width)
        valid = None if context.valid is None else context.valid.flatten(1).repeat_interleave(x.shape[3] // self.width, 1)
        query, key, value = self.qkv(places).chunk(3, -1)
        out: Tensor = self.proj(attend(query, key, value, self.heads, valid))
        return out.view(x.shape)

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        return tokens * self._flops(rows * cols)

    def _flops(self, places: int) -> int:
        return places * (8 * self.width**2 + 4 * places * self.width)


class JointMixer(FullMixer):
    """Attention among all tokens of all pixels of a map; see `FullMixer`."""

    by_token: ClassVar[bool] = True

    def flops(self, rows: int, cols: int, tokens: int = 1) -> int:
        """See `Mixer.flops`."""
        return self._flops(rows * cols * tokens)

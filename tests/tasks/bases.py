"""Small bases for tests: an encoder after two steps of training, in a folder as `hsikit pretrain` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hsikit.nn.base_files import save_base
from hsikit.nn.encoder import Encoder, build_encoder
from hsikit.nn.fit import fit
from hsikit.nn.lora import mark_pretrained

WAVELENGTH, FWHM = torch.linspace(420.0, 2450.0, 20), torch.full((20,), 100.0)


class Rebuilding(nn.Module):
    """Learns to say the values that it is given."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.value = encoder, nn.Linear(encoder.band_width, 1)

    def loss(self, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        found = self.value(self.encoder.band_tokens(batch[0], WAVELENGTH, FWHM, torch.ones(20, dtype=torch.bool)))[..., 0]
        error: Tensor = (found.movedim(-1, 1) - batch[0]).square().mean()
        return error


def trained_encoder(seed: int = 0, **changes: Any) -> Encoder:
    torch.manual_seed(seed)
    options = {"channels": (16,), "depths": (2,), "width": 16, "band_width": 8, **changes}
    encoder = build_encoder("tiny", **options)
    smooth = torch.randn(4, 20, 6, 6, generator=torch.Generator().manual_seed(seed)).cumsum(1) / 4
    fit(Rebuilding(encoder), (smooth,), epochs=1, batch=2, lr=1e-3, device="cpu")
    mark_pretrained(encoder)
    return encoder.eval()


def small_base(folder: Path, seed: int = 0, **changes: Any) -> Path:
    return save_base(folder, trained_encoder(seed, **changes), {"data": "noise"})

"""What an encoder of spectra learns from pixels without labels.

`ObjectObjective`: from fragments of a pixel's spectrum, predict a target given for the pixel, such as the denoised spectrum of the
object that it lies in. `MaskedObjective`: from some groups of bands, predict the values of the others (masked autoencoding, He et
al., 2022, doi:10.1109/CVPR52688.2022.01553).

`WindowObjective` does with windows what `ObjectObjective` does with pixels.

Each holds the encoder as `encoder` and gives `loss(batch, generator)`: all that is random comes from the generator, on the CPU, so
that a run repeats to the bit, on a GPU with the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hsikit.nn.blocks import Block
from hsikit.nn.spectral_transformer import SpectralTransformer
from hsikit.nn.window_transformer import WindowTransformer


def random_tokens(count: int, tokens: int, generator: Generator) -> Tensor:
    """A random order of the tokens for each pixel, int64, shape (count, tokens), on the CPU."""
    return torch.rand(count, tokens, generator=generator).argsort(1)


class ObjectObjective(nn.Module):
    """Predicts a pixel's target from a few of its groups of bands, with noise on them: mean of tokens, perceptron, squared error.

    Args:
        encoder: learns.
        targets: numbers of a pixel's target.
        keep: tokens that are kept, drawn anew for each pixel and step; all where there are no more.
        noise: standard deviation of the normal noise added to the spectra, in their own unit.
        hidden: hidden channels of the perceptron.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, encoder: SpectralTransformer, targets: int, keep: int = 8, noise: float = 0.1, hidden: int = 128) -> None:
        super().__init__()
        if min(targets, keep, hidden) < 1 or not noise >= 0:
            raise ValueError(f"targets {targets}, keep {keep} and hidden {hidden} must be 1 or more, noise {noise} 0 or more")
        self.encoder = encoder
        self.keep, self.noise = min(keep, encoder.token_count), noise
        self.head = _perceptron(encoder.width, hidden, targets)

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The mean squared error.

        Args:
            batch: spectra (n, channels, bands) and targets (n, d), both float32.
            generator: draws noise and tokens.
        """
        spectra, targets = batch
        noise = torch.randn(spectra.shape, generator=generator).to(spectra.device)
        keep = random_tokens(len(spectra), self.encoder.token_count, generator)[:, : self.keep].to(spectra.device)
        predicted = self.head(self.encoder(spectra + self.noise * noise, keep))
        return functional.mse_loss(predicted.float(), targets)


class WindowObjective(nn.Module):
    """Predicts the target of a window's centre pixel from some of its bands, with noise on them: perceptron, squared error.

    Args:
        encoder: learns.
        targets: numbers of a pixel's target.
        hide: share of the bands that are set to zero in the whole window, drawn anew for each window and step; one at least is shown.
        noise: standard deviation of the normal noise added to the spectra, in their own unit.
        hidden: hidden channels of the perceptron.

    Raises:
        ValueError: a number out of range.
    """

    def __init__(self, encoder: WindowTransformer, targets: int, hide: float = 0.5, noise: float = 0.1, hidden: int = 128) -> None:
        super().__init__()
        if min(targets, hidden) < 1 or not 0 <= hide < 1 or not noise >= 0:
            raise ValueError(f"targets {targets} and hidden {hidden} must be 1 or more, hide {hide} from 0 to below 1, noise {noise} 0 or more")
        self.encoder, self.hide, self.noise = encoder, hide, noise
        self.head = _perceptron(encoder.width, hidden, targets)

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The mean squared error.

        Args:
            batch: windows (n, 1, bands, rows, cols) and targets (n, d), both float32.
            generator: draws noise and bands.
        """
        windows, targets = batch
        count, _, bands = windows.shape[:3]
        noise = torch.randn(windows.shape, generator=generator).to(windows.device)
        rank = random_tokens(count, bands, generator).argsort(1)
        shown = (rank >= min(round(self.hide * bands), bands - 1)).to(windows.device)
        seen = (windows + self.noise * noise) * shown[:, None, :, None, None]
        return functional.mse_loss(self.head(self.encoder(seen)).float(), targets)


def _perceptron(width: int, hidden: int, targets: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, targets))


class MaskedObjective(nn.Module):
    """Predicts the values of the groups of bands that are hidden from those that are shown.

    Args:
        encoder: learns; sees the shown groups alone.
        keep: share of the groups that are shown; at least one is shown and one hidden.
        depth: blocks of the decoder.
        heads: of the decoder's attention; its width is the encoder's.

    Raises:
        ValueError: a share outside (0, 1), no block, or an encoder with a single token: nothing of it could be hidden.
    """

    def __init__(self, encoder: SpectralTransformer, keep: float = 0.25, depth: int = 1, heads: int = 4) -> None:
        super().__init__()
        tokens, width = encoder.token_count, encoder.width
        if not 0 < keep < 1 or depth < 1:
            raise ValueError(f"keep {keep} must lie between 0 and 1, depth {depth} must be 1 or more")
        if tokens < 2:
            raise ValueError("an encoder with one token has nothing to hide: use smaller groups of bands, or ObjectObjective")
        self.encoder = encoder
        self.keep = min(max(1, round(keep * tokens)), tokens - 1)
        self.enter = nn.Linear(width, width)
        self.hidden_token = nn.Parameter(0.02 * torch.randn(width))
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.decoder = nn.ModuleList(Block(width, heads, 2) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, encoder.stem.channels * encoder.stem.group)

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The mean squared error over the real bands of the hidden groups.

        Args:
            batch: spectra (n, channels, bands), float32; what else it holds is not used.
            generator: draws the groups that are shown.
        """
        spectra = batch[0]
        stem = self.encoder.stem
        order = random_tokens(len(spectra), stem.token_count, generator).to(spectra.device)
        hidden = order[:, self.keep :]
        wanted = stem.groups(spectra).gather(1, hidden[:, :, None].expand(-1, -1, stem.channels * stem.group))
        real = stem.real[hidden]
        missed = (self.predict(spectra, order).float() - wanted) * real
        return missed.square().sum() / real.sum()

    def predict(self, spectra: Tensor, order: Tensor) -> Tensor:
        """Values of the hidden groups.

        Args:
            spectra: shape (n, channels, bands).
            order: tokens of each pixel, shape (n, tokens): those shown first, then those hidden.

        Returns:
            Shape (n, hidden groups, channels * group), in the order of `order`.
        """
        shown: Tensor = self.enter(self.encoder.tokens(spectra, order[:, : self.keep]))
        masks = self.hidden_token.to(shown.dtype).expand(len(spectra), order.shape[1] - self.keep, -1)
        tokens = torch.cat([shown, masks], 1) + self.position[order]
        for block in self.decoder:
            tokens = block(tokens)
        out: Tensor = self.leave(self.norm(tokens[:, self.keep :]))
        return out

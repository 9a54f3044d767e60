"""Supervised tuning: a classifier on top of an encoder, and which of its weights learn from the labels.

From the fewest weights to all: `probe` (the head alone), `adapt` (adapters, norms, stem and head on a frozen, pretrained base), or
neither, which trains every weight. Then `fit(classifier, (spectra, codes), ...)`, for cycles of the adapters' strength with
`cyclic=CyclicScale(...)`, for smaller steps in the layers far from the head with `shares=rate_shares(classifier, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from hsikit.nn.adaptformer import add_adaptformer
from hsikit.nn.dora import add_dora
from hsikit.nn.lora import add_lora, freeze_base, is_pretrained
from hsikit.nn.spectral_transformer import LORA_TARGETS

LOW_RANK: Mapping[str, Callable[[nn.Module, Sequence[str], int, float, float], list[str]]] = {"lora": add_lora, "dora": add_dora}
"""Adapters that are a low-rank update of a weight, by name."""

CHUNK = 128
"""Pixels that go through a spectral transformer at once: its arrays then stay within a core's cache."""


class Encoder(Protocol):
    """What gives `width` features for each sample."""

    width: int


class Classifier(nn.Module):
    """A linear head on an encoder.

    Args:
        encoder: has `width`, and maps a batch to (n, width).
        classes: number of classes.
        weights: of each class in the loss, shape (classes,), such as `balanced_weights`; all 1 where None.
        smoothing: share of each label that is spread over all classes, from 0 to below 1.
        noise: standard deviation of normal noise added to the spectra in training, in their own unit.

    Raises:
        ValueError: a number out of range, or weights that do not fit.
    """

    weights: Tensor

    def __init__(self, encoder: nn.Module, classes: int, weights: Tensor | None = None, smoothing: float = 0.0, noise: float = 0.0) -> None:
        super().__init__()
        if classes < 2 or not 0 <= smoothing < 1 or not noise >= 0:
            raise ValueError(f"classes {classes} must be 2 or more, smoothing {smoothing} from 0 to below 1, noise {noise} 0 or more")
        given = torch.ones(classes) if weights is None else weights.detach().float().cpu().clone()
        if given.shape != (classes,) or not (given.isfinite() & (given >= 0)).all():
            raise ValueError(f"weights must be {classes} finite numbers of 0 or more")
        self.encoder, self.smoothing, self.noise = encoder, smoothing, noise
        self.head = nn.Linear(cast(Encoder, encoder).width, classes)
        self.register_buffer("weights", given, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (n, classes), of a batch as the encoder takes it."""
        out: Tensor = self.head(self.encoder(x))
        return out

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The cross-entropy, weighted by class and averaged over the samples.

        Args:
            batch: what the encoder takes, float32, and codes (n,), int64, from 0 to classes - 1.
            generator: draws the noise.
        """
        x, codes = batch
        if self.training and self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator).to(x.device)
        each = functional.cross_entropy(self(x).float(), codes, reduction="none", label_smoothing=self.smoothing)
        return (self.weights[codes] * each).mean()


def balanced_weights(codes: Tensor, classes: int) -> Tensor:
    """Weights that let all classes count alike: their mean over the samples is 1; classes without samples have 0.

    Args:
        codes: int64, shape (n,), from 0 to classes - 1.
        classes: number of classes.

    Returns:
        float32, shape (classes,).

    Raises:
        ValueError: no sample, or a code out of range.
    """
    if not len(codes) or int(codes.min()) < 0 or int(codes.max()) >= classes:
        raise ValueError(f"codes must be there, and lie from 0 to {classes - 1}")
    counts = torch.bincount(codes, minlength=classes)
    weights = len(codes) / (counts.clamp(min=1) * (counts > 0).sum())
    return torch.where(counts > 0, weights, 0.0).float()


def adapt(
    classifier: nn.Module, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0, targets: Sequence[str] = LORA_TARGETS, kind: str = "lora"
) -> list[str]:
    """Puts low-rank adapters on a classifier's attention and perceptrons and freezes the rest but norms, stem and head.

    Args:
        classifier: its encoder is pretrained.
        rank: of each adapter.
        alpha: strength of each adapter, divided by the rank.
        dropout: share of the adapters' inputs dropped in training.
        targets: see `add_lora`.
        kind: a key of `LOW_RANK`.

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: the encoder is not pretrained, and then nothing is changed; or see `add_lora`.
    """
    if is_pretrained(classifier):
        LOW_RANK[kind](classifier, targets, rank, alpha, dropout)
    return freeze_base(classifier)


def adapt_beside(classifier: nn.Module, targets: Sequence[str], hidden: int = 16, strength: float = 0.1, dropout: float = 0.0) -> list[str]:
    """Puts narrow perceptrons beside a classifier's perceptrons (AdaptFormer) and freezes the rest but norms, stem and head.

    Args:
        classifier: its encoder is pretrained.
        targets: names of the perceptrons, see `add_adaptformer`.
        hidden: see `add_adaptformer`.
        strength: see `add_adaptformer`.
        dropout: see `add_adaptformer`.

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: as for `adapt`.
    """
    if is_pretrained(classifier):
        add_adaptformer(classifier, targets, hidden, strength, dropout)
    return freeze_base(classifier)


def probe(classifier: nn.Module) -> list[str]:
    """Freezes a classifier but for its head.

    Returns:
        The names of the parameters that learn.

    Raises:
        ValueError: the encoder is not pretrained.
    """
    return freeze_base(classifier, ("head",))


@dataclass(frozen=True)
class ParameterCounts:
    """How many parameters a module has, and how many of them learn.

    Attributes:
        total: all of them, adapters among them.
        learning: those that learn.
    """

    total: int
    learning: int

    @property
    def share(self) -> float:
        """Learning ones over all, 0 to 1."""
        return self.learning / self.total


def parameter_counts(module: nn.Module) -> ParameterCounts:
    """Parameters of a module; buffers are none."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return ParameterCounts(sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns))


@torch.inference_mode()
def in_chunks(module: nn.Module, x: Tensor, chunk: int = CHUNK) -> Tensor:
    """What a module gives for many samples, a chunk at a time; the module should be in evaluation mode.

    Each chunk has the same size, the last one filled up with zeros: a sample's result depends as little as possible, in its last
    bits, on how many samples go with it.

    Args:
        module: maps (chunk, ...) to (chunk, k).
        x: shape (n, ...).
        chunk: samples at once, 1 or more.

    Returns:
        Shape (n, k).
    """
    parts = []
    for part in torch.split(x, chunk):
        missing = chunk - len(part)
        whole = torch.cat([part, part.new_zeros(missing, *part.shape[1:])]) if missing else part
        parts.append(module(whole)[: len(part)])
    return torch.cat(parts)

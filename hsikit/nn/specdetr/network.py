"""SpecDETR: every pixel is a token that looks around itself; the likeliest pixels become boxes, which look again and are refined.

Li et al., 2025 (arXiv:2405.10148), in plain torch, the layers in the published order. What differs: boxes and positions are in absolute
pixels, moved by pixels and stretched by exponentials, so that nothing follows from the picture's size; the label embedding that no
output depends on is left out; spectra may come whitened by the background of the training pictures, which is a linear map before the first
layer; and bands may go through a spectral adapter, or the encoder that all tasks share, instead of one weight each, so that a network can read
other sensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hsikit.nn.adapters import build_adapter
from hsikit.nn.body import BandFacts, TaskNetwork
from hsikit.nn.encoder import Encoder
from hsikit.nn.specdetr.boxes import refined
from hsikit.nn.specdetr.codes import box_code, pixel_centres, pixel_code
from hsikit.nn.specdetr.sampling import DeformableAttention

FIRST_SIDE = 1.28
"""Side of the box (pixels) that each pixel proposes before any change: 0.01 of SPOD's pictures."""
PRIOR = 0.01
"""Probability of each class before anything is learned."""
AT_ONCE = 1 << 22
"""Numbers of a perceptron's hidden layer that are held at once where nothing is learned."""
MANY_TOKENS = 4096
"""With more of them, what layers computed is computed again for the gradient instead of kept."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network.

    Attributes:
        bands: of the picture.
        classes: of the objects.
        width: channels of a token.
        heads: of each attention.
        encoder: layers in which pixels look around.
        decoder: layers in which boxes look.
        hidden: channels inside the perceptrons.
        points: of each head and level.
        queries: boxes that are refined.
        unit: pixels of a full circle of the highest frequency of position codes, and of a unit of the loss of boxes.
        absolute: whether pixels and boxes know where in the picture they lie; if not, they know their place within a pixel only, and the
            network does the same everywhere.
        adapter: name of a spectral adapter (`hsikit.nn.adapters`) in place of a weight for each band; "" for these.
        body: options of an encoder (`hsikit.nn.encoder.Encoder.config`) in their place; None for these.

    Raises:
        ValueError: sizes that do not fit together.
    """

    bands: int
    classes: int
    width: int = 64
    heads: int = 4
    encoder: int = 3
    decoder: int = 3
    hidden: int = 256
    points: int = 4
    queries: int = 100
    unit: float = 16.0
    absolute: bool = False
    adapter: str = ""
    body: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        counts = (self.bands, self.classes, self.width, self.heads, self.encoder, self.decoder, self.hidden, self.points, self.queries)
        if min(counts) < 1 or self.width % self.heads or self.width % 4 or not self.unit > 0:
            raise ValueError(f"{self}: counts of 1 or more, a width that 4 and the heads divide, a unit above 0")
        if self.adapter and self.body:
            raise ValueError("bands go through an adapter or an encoder, not both")

    @property
    def any_bands(self) -> bool:
        """Whether it reads the bands of other sensors too."""
        return bool(self.adapter or self.body)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "paper": {"width": 256, "heads": 8, "encoder": 6, "decoder": 6, "hidden": 2048, "queries": 900, "unit": 128.0, "absolute": True},
}
"""Sizes by name; `paper` has the 16.01 million parameters of the published network at 30 bands and 8 classes."""


@dataclass(frozen=True, eq=False)
class Found:
    """What one layer says.

    Attributes:
        logits: of each class, shape (B, Q, K).
        boxes: (centre x, centre y, width, height) in pixels, shape (B, Q, 4).
    """

    logits: Tensor
    boxes: Tensor


class Layer(nn.Module):
    """Attention and a perceptron, each added and normalised; encoder and decoder have the same."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = DeformableAttention(shape.width, shape.heads, shape.points)
        self.first_norm, self.second_norm = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.up, self.down = nn.Linear(shape.width, shape.hidden), nn.Linear(shape.hidden, shape.width)

    def forward(self, query: Tensor, position: Tensor | None, tokens: Tensor, size: tuple[int, int], centres: Tensor, reach: Tensor | None = None) -> Tensor:
        """Tokens (B, Q, width) after the layer; arguments as for `DeformableAttention`, the position is added to the query alone."""
        asked = query if position is None else query + position
        query = self.first_norm(query + self.attention(asked, tokens, size, centres, reach))
        out: Tensor = self.second_norm(query + self._perceptron(query))
        return out

    def _perceptron(self, query: Tensor) -> Tensor:
        if torch.is_grad_enabled() or query.shape[1] * self.up.out_features <= AT_ONCE:
            learned: Tensor = self.down(self.up(query).relu_())
            return learned
        out, count = torch.empty_like(query), max(1, AT_ONCE // self.up.out_features)
        for first in range(0, query.shape[1], count):
            out[:, first : first + count] = self.down(self.up(query[:, first : first + count]).relu_())
        return out


class Heads(nn.Module):
    """Classes and the change of a box, out of a token."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.label = nn.Linear(width, classes)
        self.box = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
        nn.init.constant_(self.label.bias, -float(torch.tensor(1 / PRIOR - 1).log()))
        last = self.box[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor, boxes: Tensor) -> Found:
        """What tokens (B, Q, width) make of boxes (B, Q, 4)."""
        return Found(self.label(tokens), refined(boxes, self.box(tokens)))


class SpecDetr(nn.Module):
    """The network.

    Args:
        shape: its sizes.

    Attributes:
        centre: is taken from each band first, shape (bands,).
        mixing: multiplies the bands then, shape (bands, bands).
    """

    centre: Tensor
    mixing: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.register_buffer("centre", torch.zeros(shape.bands))
        self.register_buffer("mixing", torch.eye(shape.bands))
        self.embed: nn.Module
        if shape.body:
            encoder = Encoder.from_config(shape.body)
            self.embed = TaskNetwork(encoder, nn.Linear(encoder.width, width))
        else:
            self.embed = build_adapter(shape.adapter, width=width) if shape.adapter else nn.Linear(shape.bands, width)
        self.embed_norm = nn.LayerNorm(width)
        self.level = nn.Parameter(torch.randn(2, width) if shape.absolute else torch.zeros(2, width))
        self.encoder = nn.ModuleList(Layer(shape) for _ in range(shape.encoder))
        self.proposal, self.proposal_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.place = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.decoder = nn.ModuleList(Layer(shape) for _ in range(shape.decoder))
        self.decoder_norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(Heads(width, shape.classes) for _ in range(shape.decoder + 1))

    def see(self, images: Tensor, valid: Tensor) -> Tensor:
        """Pixels as the first layer takes them; an encoder's are standardised by the whole picture, whatever part of it is looked at then.

        Args:
            images: shape (B, C, rows, cols), finite.
            valid: bool, shape (B, rows, cols); other pixels are seen as the background's mean.

        Returns:
            The same shape.
        """
        there = valid[:, None]
        if self.shape.body:
            return standardised(images, there)
        if self.shape.adapter:  # whose bands may be others than those of the training knows one constant alone
            return images * self.mixing[0, 0] * there
        return torch.einsum("bcij,cd->bdij", images - self.centre[:, None, None], self.mixing) * there

    def encode(self, seen: Tensor, valid: Tensor, bands: tuple[Tensor, Tensor] | None = None, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Tokens that have looked around.

        Args:
            seen: of `see`, whole pictures or parts of them, shape (B, C, rows, cols).
            valid: bool, shape (B, rows, cols).
            bands: centres and widths (nm), which an adapter or an encoder needs, (C,) each.
            origin: (x, y) of the first pixel in a larger picture, where places are absolute.

        Returns:
            Shape (B, rows * cols + 1, width); the last is the token of the whole.
        """
        count, _, rows, cols = seen.shape
        tokens = self.embed_norm(self._embedded(seen, valid, bands))
        there = valid.reshape(count, -1, 1)
        whole = ((tokens * there).sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)).detach()
        tokens = torch.cat((tokens, whole), 1)
        centres = pixel_centres(rows, cols, seen.device)
        centres = torch.cat((centres, centres.new_tensor([[cols / 2, rows / 2]])))[None]
        position = self._position(centres[0], origin)
        for layer in self.encoder:
            if torch.is_grad_enabled() and tokens.shape[1] > MANY_TOKENS:
                tokens = checkpoint(layer, tokens, position, tokens, (rows, cols), centres, use_reentrant=False)
            else:
                tokens = layer(tokens, position, tokens, (rows, cols), centres)
        encoded: Tensor = tokens
        return encoded

    def _embedded(self, seen: Tensor, valid: Tensor, bands: tuple[Tensor, Tensor] | None) -> Tensor:
        """The first layer's answer, shape (B, N, width)."""
        if not self.shape.any_bands:
            plain: Tensor = self.embed(seen.flatten(2).transpose(1, 2))
            return plain
        assert bands is not None
        facts = BandFacts(*bands, torch.ones(len(bands[0]), dtype=torch.bool)).on(seen.device)
        if self.shape.body:
            out: Tensor = self.embed(seen, facts, valid)
        else:
            out = self.embed(seen, facts.wavelength, facts.fwhm, facts.valid)
        return out.flatten(2).transpose(1, 2)

    def _position(self, centres: Tensor, origin: tuple[int, int]) -> Tensor:
        """What is added to the queries of the pixels and of the whole, shape (1, N + 1, width)."""
        level = torch.cat((self.level[:1].expand(len(centres) - 1, -1), self.level[1:]))
        if self.shape.absolute:
            level = level + pixel_code(centres + centres.new_tensor(origin), self.shape.width, self.shape.unit)
        return level[None]

    def propose(self, tokens: Tensor, size: tuple[int, int], valid: Tensor) -> Found:
        """A box of each pixel, and its classes; those of pixels that are not valid are hopeless. Arguments as for `decode`."""
        boxes = pixel_centres(*size, tokens.device)
        boxes = torch.cat((boxes, torch.full_like(boxes, FIRST_SIDE)), 1).expand(len(tokens), -1, -1)
        found: Found = self.heads[0](self.proposal_norm(self.proposal(tokens[:, :-1])), boxes)
        return Found(found.logits.masked_fill(~valid.reshape(len(tokens), -1, 1), -50.0), found.boxes)

    def decode(self, tokens: Tensor, size: tuple[int, int], boxes: Tensor, origin: tuple[int, int] = (0, 0)) -> list[Found]:
        """What each layer makes of boxes; each box for itself.

        Args:
            tokens: of `encode`.
            size: (rows, cols).
            boxes: to start from, shape (B, Q, 4).
            origin: as for `encode`.
        """
        query = torch.ones(*boxes.shape[:2], self.shape.width, device=boxes.device, dtype=tokens.dtype)
        start = boxes.detach()
        found = []
        for layer, heads in zip(self.decoder, self.heads[1:], strict=True):
            query = layer(query, self.place(self._box_code(start, origin)), tokens, size, start[..., :2], start[..., 2:] / (2 * self.shape.points))
            found.append(heads(self.decoder_norm(query), start))
            start = found[-1].boxes.detach()
        return found

    def _box_code(self, boxes: Tensor, origin: tuple[int, int]) -> Tensor:
        centres = boxes[..., :2] + boxes.new_tensor(origin) if self.shape.absolute else boxes[..., :2].remainder(1.0)
        return box_code(torch.cat((centres, boxes[..., 2:]), -1), self.shape.width, self.shape.unit)

    def best(self, proposals: Found, count: int) -> Found:
        """The proposals of the pixels that are likeliest to be an object, `count` of them or fewer."""
        order = proposals.logits.amax(-1).topk(min(count, proposals.logits.shape[1]), 1).indices[..., None]
        return Found(proposals.logits.gather(1, order.expand(-1, -1, proposals.logits.shape[2])), proposals.boxes.gather(1, order.expand(-1, -1, 4)))

    def forward(self, images: Tensor, valid: Tensor, bands: tuple[Tensor, Tensor] | None = None, origin: tuple[int, int] = (0, 0)) -> tuple[Found, Found]:
        """Proposals of all pixels, and the last layer's boxes; arguments of `see` and `encode`."""
        size = (images.shape[2], images.shape[3])
        tokens = self.encode(self.see(images, valid), valid, bands, origin)
        proposals = self.propose(tokens, size, valid)
        return proposals, self.decode(tokens, size, self.best(proposals, self.shape.queries).boxes, origin)[-1]


def build_network(preset: str, bands: int, classes: int, **changes: Any) -> SpecDetr:
    """A network with fresh weights.

    Args:
        preset: a key of `PRESETS`.
        bands: of the pictures.
        classes: of the objects.
        **changes: of `Shape`, in place of the preset's.

    Raises:
        ValueError: no such preset or size.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset '{preset}'; there are {', '.join(PRESETS)}")
    try:
        return SpecDetr(Shape(bands, classes, **{**PRESETS[preset], **changes}))
    except TypeError as error:
        raise ValueError(str(error)) from error


def standardised(images: Tensor, there: Tensor) -> Tensor:
    """Deviations from each band's mean over those of its picture; 0 where a band is constant, and where nothing is.

    Args:
        images: shape (B, C, rows, cols).
        there: bool, shape (B, 1, rows, cols).
    """
    count = there.sum((2, 3), keepdim=True).clamp(min=1)
    apart = (images - (images * there).sum((2, 3), keepdim=True) / count) * there
    deviation = (apart.square().sum((2, 3), keepdim=True) / count).sqrt()
    return apart / torch.where(deviation > 1e-12, deviation, torch.inf)


def whiten(network: SpecDetr, mean: Tensor, covariance: Tensor, loading: float = 1e-6) -> None:
    """Lets a network see the background as noise of unit variance, the same in all directions.

    Args:
        network: changed in place.
        mean: of the background, shape (C,).
        covariance: shape (C, C).
        loading: share of the mean variance that is added to each direction's.
    """
    values, vectors = torch.linalg.eigh(covariance.double())
    level = (values + loading * values.mean().clamp(min=1e-30)).clamp(min=1e-30)
    network.centre.copy_(mean)
    network.mixing.copy_(vectors / level.sqrt())


def scale(network: SpecDetr, constant: float) -> None:
    """Lets a network see values divided by one constant, as published."""
    network.centre.zero_()
    network.mixing.copy_(torch.eye(network.shape.bands) / constant)


__all__ = ["PRESETS", "Found", "Shape", "SpecDetr", "build_network", "scale", "whiten"]

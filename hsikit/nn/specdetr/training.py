"""What SpecDETR learns by: focal loss of classes, distance and overlap of boxes, at each layer and from disturbed true boxes too.

The weights and the disturbance are those of the publication. Pictures are cut at random places around their objects, turned and mirrored;
the published network saw whole pictures, mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.nn.specdetr.boxes import overlaps
from hsikit.nn.specdetr.matching import ALPHA, GAMMA, match
from hsikit.nn.specdetr.network import Found, SpecDetr

CLASS_WEIGHT, BOX_WEIGHT, OVERLAP_WEIGHT = 1.0, 5.0, 2.0
SHIFT, STRETCH = 0.5, 1.5
"""Of half a side: how far a disturbed box is moved, and how much it grows or shrinks, at most."""
DISTURBED = 200
"""Disturbed boxes of a picture that are meant to be recovered, and as many that are not."""
TRIES = 8
"""Places that are tried for ground without objects."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The objects of some pictures, filled up to one number.

    Attributes:
        labels: shape (B, n), -1 where there is none.
        boxes: shape (B, n, 4).
    """

    labels: Tensor
    boxes: Tensor

    @property
    def there(self) -> Tensor:
        """Which are objects, bool (B, n)."""
        return self.labels >= 0


class Training(nn.Module):
    """A network and its loss, as `hsikit.nn.fit` takes them. A batch is pictures (B, C, rows, cols), valid (B, rows, cols), labels (B, n), boxes (B, n, 4).

    Args:
        network: what learns.
        side: of the squares that pictures are cut to; 0: whole pictures.
        cuts: squares of each picture.
        bands: centres and widths (nm), for a network with a spectral adapter or an encoder.
        disturbed: boxes of a picture that are meant to be recovered.
        foreign: share of another picture's ground that squares are mixed with, at most; 0 for none.
    """

    def __init__(self, network: SpecDetr, side: int = 0, cuts: int = 1, bands: tuple[Tensor, Tensor] | None = None, disturbed: int = DISTURBED,
                 foreign: float = 0.0) -> None:  # fmt: skip
        super().__init__()
        self.network, self.side, self.cuts, self.bands, self.disturbed, self.foreign = network, side, cuts, bands, disturbed, foreign

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Mean over the objects of a batch."""
        images, valid, labels, boxes = batch
        net = self.network
        whole = (net.see(images, valid), valid, Truth(labels, boxes))
        seen, valid, truth, origin = cut_and_turned(*whole, self.side, self.cuts, generator, net.shape.absolute)
        if self.foreign and self.side:
            seen, valid = on_foreign_ground(seen, valid, whole, self.cuts, self.foreign, generator)
        size = (seen.shape[2], seen.shape[3])
        tokens = net.encode(seen, valid, self.bands, origin)
        proposals = net.best(net.propose(tokens, size, valid), net.shape.queries)
        noisy, meant = disturbed(truth, self.disturbed, generator)
        found = net.decode(tokens, size, torch.cat((proposals.boxes.detach(), noisy), 1), origin)
        count = proposals.boxes.shape[1]
        total = layer_loss(proposals, truth, net.shape.unit)
        for layer in found:
            total = total + layer_loss(Found(layer.logits[:, :count], layer.boxes[:, :count]), truth, net.shape.unit)
            if noisy.shape[1]:
                total = total + recovery_loss(Found(layer.logits[:, count:], layer.boxes[:, count:]), truth, meant, net.shape.unit)
        return total


def cut_and_turned(images: Tensor, valid: Tensor, truth: Truth, side: int, cuts: int, generator: torch.Generator, places: bool) -> tuple[
    Tensor, Tensor, Truth, tuple[int, int]
]:  # fmt: skip
    """Squares of the pictures, each holding an object where the picture has one, turned and mirrored alike; and where they begin."""
    rows, cols = images.shape[2:]
    side = min(side or max(rows, cols), rows, cols) if side else 0
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for number in range(len(images)):
        for _ in range(cuts if side else 1):
            row, col = _corner(truth.labels[number], truth.boxes[number], (rows, cols), side, generator) if side else (0, 0)
            height, width = (side, side) if side else (rows, cols)
            boxes = truth.boxes[number] - truth.boxes.new_tensor([col, row, 0, 0])
            inside = (boxes[:, 0] > 0) & (boxes[:, 0] < width) & (boxes[:, 1] > 0) & (boxes[:, 1] < height)
            labels = torch.where(inside, truth.labels[number], -1)
            window = (slice(row, row + height), slice(col, col + width))
            parts.append(_turned(images[number][(slice(None), *window)], valid[number][window], labels, boxes, _whole(8, generator)))
    shapes = {part[0].shape for part in parts}
    if len(shapes) > 1:  # whole pictures that are not square cannot be turned alone
        raise ValueError(f"pictures of shapes {sorted(map(tuple, shapes))}: give square ones")
    most = max(1, max(int((part[2] >= 0).sum()) for part in parts))
    order = [torch.argsort((part[2] < 0).to(torch.int8), stable=True)[:most] for part in parts]
    labels = torch.stack([part[2][chosen] for part, chosen in zip(parts, order, strict=True)])
    boxes = torch.stack([part[3][chosen] for part, chosen in zip(parts, order, strict=True)])
    origin = (_whole(rows - side + 1, generator), _whole(cols - side + 1, generator)) if side and places else (0, 0)
    return torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts]), Truth(labels, boxes), origin


def on_foreign_ground(squares: Tensor, valid: Tensor, whole: tuple[Tensor, Tensor, Truth], cuts: int, most: float, generator: torch.Generator) -> tuple[
    Tensor, Tensor
]:  # fmt: skip
    """Half of the squares mixed with ground of the batch's other pictures that holds no object.

    Mixing is what light does: an object that covers a share a of a pixel is seen as one that covers (1 - w) a, on ground that no picture has.

    Args:
        squares: of `cut_and_turned`, `cuts` of each picture, shape (n, C, side, side).
        valid: bool, shape (n, side, side).
        whole: the pictures, their valid pixels, and their objects.
        cuts: squares of each picture.
        most: largest share w.
        generator: where the shares and places come from.
    """
    images, there, truth = whole
    rows, cols = squares.shape[2:]
    squares, valid = squares.clone(), valid.clone()
    for number in range(len(squares)):
        share = float(torch.rand((), generator=generator)) * 2 - 1
        if share <= 0 or len(images) < 2:
            continue
        other = (number // cuts + 1 + _whole(len(images) - 1, generator)) % len(images)
        corner = _empty_corner(truth.labels[other], truth.boxes[other], (int(images.shape[2]), int(images.shape[3])), (rows, cols), generator)
        if corner is None:
            continue
        part = (slice(corner[0], corner[0] + rows), slice(corner[1], corner[1] + cols))
        ground, seen, _, _ = _turned(images[other][(slice(None), *part)], there[other][part], truth.labels[other], truth.boxes[other], _whole(8, generator))
        squares[number] = squares[number] * (1 - share * most) + ground * (share * most)
        valid[number] &= seen
    return squares, valid


def _empty_corner(labels: Tensor, boxes: Tensor, shape: tuple[int, int], size: tuple[int, int], generator: torch.Generator) -> tuple[int, int] | None:
    """A random square that touches no object; None where a few tries find none."""
    own = boxes[labels >= 0]
    left, top, right, bottom = (own[:, 0] - own[:, 2] / 2, own[:, 1] - own[:, 3] / 2, own[:, 0] + own[:, 2] / 2, own[:, 1] + own[:, 3] / 2)
    for _ in range(TRIES):
        row, col = _whole(shape[0] - size[0] + 1, generator), _whole(shape[1] - size[1] + 1, generator)
        if not ((right > col) & (left < col + size[1]) & (bottom > row) & (top < row + size[0])).any():
            return row, col
    return None


def _corner(labels: Tensor, boxes: Tensor, shape: tuple[int, int], side: int, generator: torch.Generator) -> tuple[int, int]:
    """A random square that holds one of the objects, or any where there is none."""
    objects = (labels >= 0).nonzero().flatten()
    if not len(objects):
        return _whole(shape[0] - side + 1, generator), _whole(shape[1] - side + 1, generator)
    x, y = boxes[objects[_whole(len(objects), generator)], :2].tolist()
    return _near(y, shape[0], side, generator), _near(x, shape[1], side, generator)


def _near(place: float, size: int, side: int, generator: torch.Generator) -> int:
    low, high = max(0, int(place) - side + 3), min(size - side, int(place) - 2)
    return _whole(high - low + 1, generator) + low if high > low else max(0, min(size - side, low))


def _whole(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(max(1, count), (1,), generator=generator))


def _turned(image: Tensor, valid: Tensor, labels: Tensor, boxes: Tensor, way: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One of the eight ways to lay down a picture, and its boxes (centre x, centre y, width, height); three of them for one that is not square."""
    rows, cols = image.shape[1:]
    x, y, width, height = boxes.unbind(-1)
    if way & 1:
        image, valid, x = image.flip(2), valid.flip(1), cols - x
    if way & 2:
        image, valid, y = image.flip(1), valid.flip(0), rows - y
    if way & 4 and rows == cols:
        image, valid, x, y, width, height = image.transpose(1, 2), valid.T, y, x, height, width
    return image, valid, labels, torch.stack((x, y, width, height), -1)


def disturbed(truth: Truth, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """True boxes, disturbed a little (to be recovered) and moved further (to be told from objects).

    Args:
        truth: of the pictures.
        count: of each kind, at most, for each picture.
        generator: where the disturbance comes from.

    Returns:
        Boxes (B, Q, 4), and the object that each means: its position, -1 for none, -2 where there is nothing to learn; (B, Q).
    """
    images, most = truth.labels.shape
    groups = max(1, count // most) if count else 0
    boxes, there = truth.boxes.repeat(1, groups, 1), truth.there.repeat(1, groups)
    boxes = torch.where(there[..., None], boxes, boxes.new_tensor([1.0, 1.0, 1.0, 1.0]))
    number = torch.arange(most, device=boxes.device).repeat(groups).expand(images, -1)

    def draw(low: float, high: float) -> Tensor:
        return (torch.rand(*boxes.shape[:2], 2, generator=generator) * (high - low) + low).to(boxes)

    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    grown = boxes[..., 2:] + draw(-1, 1) * STRETCH * half
    near = torch.cat((centre + draw(-1, 1) * SHIFT * half, grown), -1)
    far = torch.cat((centre + draw(-1, 1).sign() * draw(SHIFT, 1) * half, boxes[..., 2:] + draw(-1, 1) * STRETCH * half), -1)
    meant = torch.where(there, number, -2)
    return torch.cat((near, far), 1), torch.cat((meant, torch.where(there, -1, -2)), 1)


def layer_loss(found: Found, truth: Truth, unit: float) -> Tensor:
    """Loss of one layer's predictions after they are matched."""
    target = torch.full(found.logits.shape[:2], -1, dtype=torch.int64, device=found.logits.device)
    for number, (labels, boxes) in enumerate(zip(truth.labels, truth.boxes, strict=True)):
        own = (labels >= 0).nonzero().flatten()
        rows, columns = match(found.logits[number].float(), found.boxes[number].float(), labels[own], boxes[own], unit)
        target[number, rows] = own[columns]
    return recovery_loss(found, truth, target, unit)


def recovery_loss(found: Found, truth: Truth, meant: Tensor, unit: float) -> Tensor:
    """Loss of predictions whose objects are known: positions of objects, -1 for none, -2 for predictions that do not count; (B, Q)."""
    logits, counted, positive = found.logits.float(), meant > -2, meant >= 0
    which = meant.clamp(min=0)
    right = functional.one_hot(truth.labels.gather(1, which).clamp(min=0), logits.shape[2]).to(logits) * positive[..., None]
    objects = positive.sum().clamp(min=1)
    wrong = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    p = logits.sigmoid()
    missed = (1 - p) * right + p * (1 - right)
    weight = (ALPHA * right + (1 - ALPHA) * (1 - right)) * missed**GAMMA
    total = CLASS_WEIGHT * (weight * wrong * counted[..., None]).sum()
    boxes, aim = found.boxes[positive].float(), truth.boxes.gather(1, which[..., None].expand(-1, -1, 4))[positive]
    total = total + BOX_WEIGHT * (boxes - aim).abs().sum() / unit + OVERLAP_WEIGHT * (1 - overlaps(boxes, aim)[1]).sum()
    return total / objects

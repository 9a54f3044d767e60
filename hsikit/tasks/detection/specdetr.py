"""SpecDETR: boxes around objects of a few pixels, or of a part of one, each with a class and a score.

For surveyors who look for things that they can simulate: the network learns from scenes into which objects were planted. Li et al., 2025
(arXiv:2405.10148); `hsikit.nn.specdetr` has the network and what differs. A scene is looked at in windows of 128 x 128 pixels that lie at the
same places whatever the tiles, each answering for its middle 96; what two windows found of one object is merged. Edges of boxes are
moved to edges of pixels: objects are whole pixels, and small boxes are right or wrong by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.errors import ModelError, OptionError, WavelengthError
from hsikit.geo.grid import Grid, tile_windows
from hsikit.layers import Features, Layer
from hsikit.method import Cost, Finish, Input, Job, Map, Partial, Store, Strips, Tile
from hsikit.nn.body import TaskNetwork, block_bytes
from hsikit.nn.specdetr.boxes import corners, kept, whole_pixels
from hsikit.nn.specdetr.network import Shape, SpecDetr
from hsikit.nn.tuning import parameter_counts
from hsikit.scene import QUANTITIES, SceneInfo
from hsikit.tasks.detection.components import boxes_on_map
from hsikit.tasks.detection.scene_detection import OnScene

CORE, HALO = 96, 16
"""Side of the middle that a window answers for, and pixels that it sees around it."""
MARGIN = 2
"""Objects so many pixels outside of a window's middle are told by it too, so that none falls between two windows."""
MOST_OVERLAP = 0.01
"""Of two boxes that overlap by more, the one with the higher score stays."""
FIELDS = 6
"""Score, class, left, top, right, bottom."""
MOST_SHIFT = 0.25
"""A band of the scene is taken for the model's whose centre is within so many of its widths."""


@dataclass(frozen=True, eq=False)
class SpecDetrDetector:
    """A trained network and the bands that it reads.

    Attributes:
        network: in evaluation mode.
        names: of the classes.
        wavelength: band centres that it was trained on (nm), shape (C,).
        fwhm: their widths (nm), NaN where unknown, shape (C,).
        quantity: a key of `QUANTITIES`.
        training: how it was trained, JSON-able.
        least: objects of a lower score are not told, 0 to 1.

    Raises:
        OptionError: `least` is no score.
    """

    name: ClassVar[str] = "specdetr"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    network: SpecDetr
    names: tuple[str, ...]
    wavelength: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    quantity: str
    training: Mapping[str, Any]
    least: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise OptionError("-p least", f"{self.least} is no score", "Give 0 to 1; the default is 0.3")

    def with_options(self, **options: Any) -> SpecDetrDetector:
        """The same with other options: `least`.

        Raises:
            OptionError: no such option, or a value out of its range.
        """
        unknown = [name for name in options if name != "least"]
        if unknown:
            raise OptionError(unknown[0], "specdetr has no such option", "Its option is least")
        return replace(self, **options)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """See `hsikit.models.Stateful`."""
        arrays = {f"network.{key}": value.detach().cpu().numpy() for key, value in self.network.state_dict().items()}
        facts = {"shape": asdict(self.network.shape), "classes": list(self.names), "quantity": self.quantity, "objects": dict(self.training)}
        return {**arrays, "wavelength": self.wavelength, "fwhm": self.fwhm}, facts

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`; ValueError, KeyError or TypeError where they do not fit together."""
        try:
            network = SpecDetr(Shape(**facts["shape"]))
        except OptionError as error:
            raise ValueError(str(error)) from error
        weights = {key.removeprefix("network."): torch.from_numpy(np.array(value)) for key, value in arrays.items() if key.startswith("network.")}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        names = tuple(str(name) for name in facts["classes"])
        if len(names) != network.shape.classes or facts["quantity"] not in QUANTITIES or len(arrays["wavelength"]) != network.shape.bands:
            raise ValueError("classes, bands or quantity are not the network's")
        wavelength, fwhm = (np.asarray(arrays[key], np.float64) for key in ("wavelength", "fwhm"))
        return cls(network.eval(), names, wavelength, fwhm, str(facts["quantity"]), dict(facts["objects"]))

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layers "scores" (the likeliest class of each pixel, before boxes are refined; float32, 0 to 1) and "hits".

        Raises:
            ModelError: a scene of another quantity, or without the model's bands.
            WavelengthError: a model for any sensor that sees none of its bands.
        """
        scene = inputs["cube"]
        return _Detection(self, scene, self._bands(scene)).job()

    def _bands(self, scene: SceneInfo) -> tuple[int, ...]:
        """Positions of the model's bands among the scene's good ones."""
        if scene.quantity != self.quantity:
            raise ModelError(scene.name, f"is {scene.quantity}, and the model was trained on {self.quantity}", "Give a scene in that quantity")
        used = scene.bands.used
        if self.network.shape.any_bands and len(used) and scene.bands.spectral:
            self._require_seen(scene)
            return tuple(int(i) for i in used)
        centres = scene.bands.wavelength[used]
        if len(used) and scene.bands.spectral:
            nearest = np.abs(centres[None] - self.wavelength[:, None]).argmin(1)
            widths = np.where(np.isfinite(self.fwhm), self.fwhm, np.gradient(self.wavelength) if len(self.wavelength) > 1 else 10.0)
            if (np.abs(centres[nearest] - self.wavelength) <= MOST_SHIFT * widths).all() and (np.diff(nearest) > 0).all():
                return tuple(int(i) for i in used[nearest])
        told = f"{len(self.wavelength)} bands from {self.wavelength[0]:.0f} to {self.wavelength[-1]:.0f} nm"
        raise ModelError(scene.name, f"lacks some of the {told} that the model reads", "Give a scene of the sensor that it was trained for, or resample it")

    def _require_seen(self, scene: SceneInfo) -> None:
        bands = scene.bands.take(scene.bands.used)
        device = self.network.centre.device
        pixel, valid = torch.zeros(1, len(bands), 1, 1, device=device), torch.ones(1, 1, 1, dtype=torch.bool, device=device)
        try:
            with torch.inference_mode():
                self.network(pixel, valid, (torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy())))
        except WavelengthError as error:
            raise WavelengthError(scene.name, f"the model cannot read its bands: {error.wrong}", "Give a scene of bands within its range") from error

    def checksum(self) -> str:
        """Of the weights."""
        found = hashlib.blake2b(digest_size=16)
        for key, value in sorted(self.state()[0].items()):
            found.update(key.encode() + np.ascontiguousarray(value).tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[SpecDetrDetector]):
    """The stages for one scene."""

    def job(self) -> Job:
        told = self.options
        return Job(
            method=told.name,
            identity={"weights": told.checksum(), "least": told.least, "bands": list(self.used)},
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=(
                Layer("scores", description="how likely each pixel is an object's middle, of the likeliest class, before boxes are refined (SpecDETR)"),
                Layer("hits", "vector", description=f"objects of a score of {told.least:g} or more"),
                Layer("found", bands=FIELDS, delivered=False),
            ),
            stages=(
                Map("find", ("cube",), ("scores", "found"), self._find, halo=(HALO, HALO), align=CORE),
                Finish("hits", ("found",), self._gather),
            ),
            cost=self._cost,
            provenance={"least": f"{told.least:g}", "classes": ", ".join(told.names)},
        )

    def _cost(self, tile: tuple[int, int]) -> Cost:
        shape, tokens = self.options.network.shape, (CORE + 2 * HALO) ** 2
        samples = shape.heads * shape.points * 2
        work = tokens * shape.encoder * 2.0 * (3 * shape.width**2 + 2 * shape.width * shape.hidden + 3 * shape.width * samples)
        windows, most = max(1.0, tile[0] * tile[1] / CORE**2), 8 * (1 << 22)
        if isinstance(body := self.options.network.embed, TaskNetwork):
            work += tokens * 2.0 * parameter_counts(body).total
            most += block_bytes(body, len(self.used), CORE + 2 * HALO)
        return Cost(4 * tokens * (len(self.used) * 3 + 10 * shape.width + shape.width * shape.points + 8 * samples) + most, work * windows)

    def _find(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid, window = tile.arrays["cube"], tile.valid["cube"], tile.windows["cube"]
        rows, cols = tile.core.shape
        scores, found = values.new_zeros(1, rows, cols), values.new_full((FIELDS, rows, cols), float("nan"))
        for core in tile_windows(tile.core, (CORE, CORE)):
            seen = core.expand((HALO, HALO)).intersect(self.scene.grid.whole)
            inside = core.intersect(self.scene.grid.whole)
            part = seen.slices((window.row, window.col))
            if not inside.size or not valid[part].any():
                continue
            objects, likely = look(self.options.network, values[(slice(None), *part)], valid[part], self.options.least, self._facts())
            target, own = inside.slices((tile.core.row, tile.core.col)), inside.slices((seen.row, seen.col))
            scores[(0, *target)] = likely[own].to(scores)
            _put(found[(slice(None), *target)], objects, (inside.row - seen.row, inside.col - seen.col))
        return {"scores": scores, "found": found}

    def _facts(self) -> tuple[Tensor, Tensor]:
        bands = self.scene.bands.take(np.array(self.used))
        return torch.from_numpy(bands.wavelength.copy()), torch.from_numpy(bands.fwhm.copy())

    def _gather(self, strips: Strips, store: Store) -> tuple[Partial, Mapping[str, Features]]:
        parts = []
        for window, arrays in strips.strips("found"):
            row, col = np.nonzero(np.isfinite(arrays["found"][0]))
            table = arrays["found"][:, row, col].T.astype(np.float64)
            table[:, 2:] += np.stack((col + window.col, row + window.row, col + window.col, row + window.row), 1)
            parts.append(table)
        table = merged(np.concatenate(parts) if parts else np.zeros((0, FIELDS)))
        small = {"threshold": torch.tensor(self.options.least), "hits": torch.tensor(len(table))}
        return small, {"hits": as_features(table, self.options.names, strips.grid)}


def find_objects(network: SpecDetr, image: Tensor, valid: Tensor, least: float = 0.3, bands: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Objects of one picture.

    Args:
        network: in evaluation mode.
        image: shape (C, rows, cols); what is not valid may be anything.
        valid: bool, shape (rows, cols).
        least: lowest score.
        bands: centres and widths (nm), for a network with a spectral adapter.

    Returns:
        Score, class, left, top, right, bottom of each, the highest score first, shape (n, 6).
    """
    return look(network, image, valid, least, bands)[0]


@torch.no_grad()
def look(network: SpecDetr, image: Tensor, valid: Tensor, least: float, bands: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Objects as `find_objects` gives them, and the likeliest class of each pixel before boxes are refined, shape (rows, cols)."""
    device = network.centre.device
    clean = torch.where(valid, image, torch.zeros((), dtype=image.dtype)).to(device)[None]
    proposals, found = network(clean, valid.to(device)[None], bands)
    score, label = found.logits[0].float().sigmoid().max(-1)
    boxes = whole_pixels(found.boxes[0].float())
    likely = proposals.logits[0].float().sigmoid().amax(-1).view(valid.shape)
    keep = (score >= least).nonzero().flatten()
    keep = keep[kept(boxes[keep], score[keep], MOST_OVERLAP)]
    return torch.cat((torch.stack((score[keep], label[keep].to(score)), 1), corners(boxes[keep])), 1).cpu(), likely.cpu()


def _put(found: Tensor, objects: Tensor, corner: tuple[int, int]) -> None:
    """Writes objects to the pixels of their middles, or the nearest ones of this window's own, relative to these; the highest score last."""
    rows, cols = found.shape[1:]
    for score, label, left, top, right, bottom in objects.flip(0).tolist():
        x, y = (left + right) / 2 - corner[1], (top + bottom) / 2 - corner[0]
        if not (-MARGIN <= x < cols + MARGIN and -MARGIN <= y < rows + MARGIN):
            continue
        col, row = min(max(int(x // 1), 0), cols - 1), min(max(int(y // 1), 0), rows - 1)
        dx, dy = corner[1] + col, corner[0] + row
        found[:, row, col] = found.new_tensor([score, label, left - dx, top - dy, right - dx, bottom - dy])


def merged(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of objects that overlap, those of the highest scores; by cells, so that it takes a time in proportion to their number.

    Args:
        table: score, class, left, top, right, bottom, shape (n, 6).

    Returns:
        The same columns, the highest score first, then from top to bottom.
    """
    table = table[np.lexsort((table[:, 2], table[:, 3], -table[:, 0]))]
    side = max(8.0, float((table[:, 4:6] - table[:, 2:4]).max(initial=0.0)))
    cells: dict[tuple[int, int], list[int]] = {}
    chosen: list[int] = []
    for number, (_, _, left, top, right, bottom) in enumerate(table.tolist()):
        row, col = int((top + bottom) / 2 // side), int((left + right) / 2 // side)
        near = [other for i in (-1, 0, 1) for j in (-1, 0, 1) for other in cells.get((row + i, col + j), ())]
        if near:
            others = table[near, 2:]
            shared = np.clip(np.minimum(others[:, 2:], (right, bottom)) - np.maximum(others[:, :2], (left, top)), 0, None).prod(1)
            union = (right - left) * (bottom - top) + (others[:, 2:] - others[:, :2]).prod(1) - shared
            if (shared / union > MOST_OVERLAP).any():
                continue
        cells.setdefault((row, col), []).append(number)
        chosen.append(number)
    return table[chosen]


def as_features(table: NDArray[np.float64], names: tuple[str, ...], grid: Grid) -> Features:
    """Objects as points at their middles, with their boxes in the same coordinates, those of `Grid.drawn`."""
    a, b, c, d, e, f = grid.drawn
    col, row = (table[:, 2] + table[:, 4]) / 2, (table[:, 3] + table[:, 5]) / 2
    named = np.array([names[int(label)] for label in table[:, 1]], dtype=object)
    columns: dict[str, NDArray[Any]] = {"class": named, "score": table[:, 0].astype(np.float32), **boxes_on_map(table[:, 2:], grid)}
    return Features(columns, np.stack((a * col + b * row + c, d * col + e * row + f), 1), grid.crs)


__all__ = ["SpecDetrDetector", "as_features", "find_objects", "look", "merged"]

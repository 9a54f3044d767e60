"""The nearest label: every pixel gets the class of the label that lies nearest, without a look at its spectrum.

The floor under every other classifier. Where labels are spatially clustered, as they always are, this map alone can score
high; a method that does not beat it on the same pixels has learned proximity. Only for the scene that was labelled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError
from hsikit.geo.grid import IDENTITY, Grid
from hsikit.method import Cost, Job, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.decision import LEAST
from hsikit.tasks.classification.samples import refuse_unknown, training_samples

if TYPE_CHECKING:
    from scipy.spatial import cKDTree
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

_BUILDING = threading.Lock()


@dataclass(frozen=True, eq=False)
class NearestLabel(PixelClassifier):
    """Label pixels and their classes. Arrays: `places` (n, 2), map coordinates x and y; `targets` (n,), positions in the legend.

    A scene without georeference has pixel coordinates, and its shape must be the trained one's.
    """

    name: ClassVar[str] = "nearest-label"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"places": ("n", "xy"), "targets": ("n",)}
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"crs": (str, type(None)), "shape": (list,)}
    _trees: list[cKDTree] = field(default_factory=list, repr=False)

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Remembers where the labels are.

        Raises:
            ModelError: scenes of different CRS; or several without georeference, which have no common coordinates.
        """
        refuse_unknown(cls.name, options, ())
        grids = [scene.source.info.grid for scene in scenes]
        samples = training_samples(scenes)
        settings = {"crs": grids[0].crs, "shape": list(grids[0].shape)}
        model = cls(samples.basis, samples.legend, {}, settings)
        for scene in scenes:
            model.check_scene(scene.source.info)
        if len(scenes) > 1 and not grids[0].georeferenced:
            raise ModelError(scenes[1].source.info.name, "scenes without georeference have no common coordinates", "Train on one of them")
        places = np.empty((len(samples.codes), 2))
        for index, grid in enumerate(grids):
            mine = samples.scene == index
            places[mine] = _centres(grid, samples.rows[mine], samples.cols[mine])
        return cls(samples.basis, samples.legend, {"places": places, "targets": samples.targets.astype(np.int32)}, settings)

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or there is no label."""
        super().check_arrays()
        if not len(self.arrays["places"]) or not np.isfinite(self.arrays["places"]).all():
            raise ValueError("array 'places' names no place")

    def check_scene(self, info: SceneInfo) -> None:
        """Raises ModelError where the scene does not share the labels' coordinates."""
        grid = info.grid
        if grid.crs != self.settings["crs"]:
            wrong = f"its CRS is {grid.crs or 'unknown'}; the labels' places are in {self.settings['crs'] or 'pixels of a scene without CRS'}"
            raise ModelError(info.name, wrong, "nearest-label maps only the scene that was labelled")
        if not grid.georeferenced and list(grid.shape) != list(self.settings["shape"]):
            wrong = (
                f"it has {grid.shape[0]} x {grid.shape[1]} pixels; the labelled scene, without georeference, has {' x '.join(map(str, self.settings['shape']))}"
            )
            raise ModelError(info.name, wrong, "nearest-label maps only the scene that was labelled")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps the scene; see `PixelClassifier.bind`."""
        placed = replace(self, settings={**self.settings, "transform": list(inputs["cube"].grid.transform)})
        return super(NearestLabel, placed).bind(inputs)

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols): 0 for the nearest label's class, `LEAST` for the others, NaN where not valid."""
        import torch

        valid = tile.inner_valid("cube")
        rows, cols = (v.cpu().numpy() for v in torch.nonzero(valid, as_tuple=True))
        grid = Grid((0, 0), tuple(self.settings.get("transform", IDENTITY)), self.settings["crs"])
        _, nearest = self._tree().query(_centres(grid, rows + tile.core.row, cols + tile.core.col))
        target = torch.from_numpy(self.arrays["targets"][nearest].astype(np.int64)).to(valid.device)
        answers = torch.full((len(self.legend), *valid.shape), float("nan"), device=valid.device)
        answers[:, valid] = torch.where(torch.arange(len(self.legend), device=valid.device)[:, None] == target, 0.0, LEAST)
        return answers

    def _tree(self) -> cKDTree:
        """The labels' places for searching: built once, by the tile that comes first, for all threads."""
        from scipy.spatial import cKDTree

        with _BUILDING:
            if not self._trees:
                self._trees.append(cKDTree(self.arrays["places"]))
            return self._trees[0]

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        pixels = tile_shape[0] * tile_shape[1]
        return Cost(pixels * (8 * 8 + 12 * len(self.legend)) + 32 * len(self.arrays["places"]), pixels * 100.0)


def _centres(grid: Grid, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """Map coordinates (n, 2) of pixel centres."""
    a, b, c, d, e, f = grid.transform
    x, y = cols + 0.5, rows + 0.5
    return np.stack([a * x + b * y + c, d * x + e * y + f], 1)

"""What a Method is, and the Job that the engine runs for it.

A Method is immutable weights plus options. `bind` looks at the facts of its inputs (no pixel is read) and returns a Job:
which bands are read, which layers come out, and the stages that make them. There are five kinds of stage:

* `Map` writes layers tile by tile,
* `Reduce` folds all tiles into a small result (moments, noise covariance, histograms),
* `Loop` repeats stages until a condition holds,
* `Fit` learns on the scene step by step,
* `Finish` sees whole layers by strips (connected components, hits, class areas).

For every Method, tiles of any size give the same layers as one pass over the whole scene, where the receptive field is
within the halo. The engine, not the Method, keeps nodata: what a Method writes on pixels that are not valid is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from hsikit.geo.grid import Grid, Window
from hsikit.layers import Features, Layer
from hsikit.scene import SceneInfo

if TYPE_CHECKING:
    from torch import Tensor

Halo = tuple[int, int]
Partial = dict[str, "Tensor"]
Store = Mapping[str, Mapping[str, "Tensor"]]
"""Small results of earlier stages, by stage name: `store["moments"]["mean"]`. On the device of the run."""


@dataclass(frozen=True)
class Input:
    """How a role is read.

    Attributes:
        bands: positions in the scene's bands, ascending. A pixel is valid unless it is masked or more than a tenth of the
            good ones among these are missing.
        fill: whether the few missing bands of a valid pixel are interpolated along the wavelength.
        missing: the share of the good bands that a valid pixel may lack, where that is not a tenth.
    """

    bands: tuple[int, ...]
    fill: bool = True
    missing: float | None = None


@dataclass(frozen=True)
class Tile:
    """What a stage sees of the scene: one rectangle, with its halo, of one constant shape throughout a stage.

    Arrays are reused for later tiles: keep none of them.

    Attributes:
        arrays: by role or layer name, shape (bands, rows, cols). Roles are float32 with NaN where missing; outside the
            scene everything is missing. Layers have their own dtype.
        valid: by role, bool of shape (rows, cols).
        windows: by role or layer name: where the array lies on that grid, halo included.
        cores: by role or layer name: the slices that cut the halo off.
        core: the tile's own pixels on the reference grid.
    """

    arrays: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]
    windows: Mapping[str, Window]
    cores: Mapping[str, tuple[slice, slice]]
    core: Window

    def inner(self, name: str) -> Tensor:
        """The array without its halo."""
        return self.arrays[name][(slice(None), *self.cores[name])]

    def inner_valid(self, role: str) -> Tensor:
        """`valid` without the halo."""
        return self.valid[role][self.cores[role]]


class Strips(Protocol):
    """What a Finish stage reads layers with."""

    grid: Grid
    """The grid of the area that was run, cut to it."""

    def strips(self, *names: str) -> Iterator[tuple[Window, dict[str, Any]]]:
        """Full-width strips from top to bottom: the window within `grid`, and NumPy arrays (bands, rows, cols) by layer."""
        ...


class Reader(Protocol):
    """What a Fit stage reads the scene with."""

    area: Window
    """The part of the reference grid that is run: what lies outside is not learned from."""

    def window(self, role: str, window: Window) -> tuple[Tensor, Tensor]:
        """(bands, rows, cols) float32 with NaN where missing, and valid (rows, cols); may reach outside the scene."""
        ...


def add(left: Partial, right: Partial) -> Partial:
    """Merges two partial results by adding them entry by entry."""
    return {key: left[key] + right[key] for key in left}


def _as_is(partial: Partial, store: Store) -> Partial:
    return partial


@dataclass(frozen=True)
class Map:
    """Writes layers tile by tile.

    Attributes:
        name: unique in the Job.
        reads: roles and layers.
        writes: layers. A layer that is read too becomes a new version, seen after the stage.
        apply: returns core-shaped arrays (bands, rows, cols), on the grid of each layer it writes.
        halo: (rows, cols) around the core for every read, or by name; in pixels of that role's or layer's grid.
        align: the core's first row and column are multiples of this.
        footprint: "tile", or "columns" for full columns of the scene (push-broom statistics).
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    apply: Callable[[Tile, Store], Mapping[str, Tensor]]
    halo: Halo | Mapping[str, Halo] = (0, 0)
    align: int = 1
    footprint: Literal["tile", "columns"] = "tile"


@dataclass(frozen=True)
class Reduce:
    """Folds all tiles into `store[name]`.

    One partial result is made per tile and merged in the order of the tiles: bit-identical for one tile size whatever the
    number of threads, equal to float64 rounding across tile sizes. `update` returns None for a tile with nothing to add.
    """

    name: str
    reads: tuple[str, ...]
    update: Callable[[Tile, Store], Partial | None]
    merge: Callable[[Partial, Partial], Partial] = add
    finish: Callable[[Partial, Store], Partial] = _as_is
    halo: Halo | Mapping[str, Halo] = (0, 0)
    align: int = 1
    footprint: Literal["tile", "columns"] = "tile"


@dataclass(frozen=True)
class Loop:
    """Repeats its stages until `until(store, iteration)` holds (asked after each iteration, from 1) or `max_iter` is reached."""

    name: str
    stages: tuple[Stage, ...]
    max_iter: int
    until: Callable[[Store, int], bool] = lambda store, iteration: False


@dataclass(frozen=True)
class Fit:
    """Sequential learning on the scene: `state = step(state, reader, number, store)`, `steps` times, then `store[name]`.

    The state is a flat dict of tensors and is checkpointed; a step must draw its random numbers from its number alone, so
    that a resumed run learns the same.
    """

    name: str
    reads: tuple[str, ...]
    start: Callable[[Store], Partial]
    step: Callable[[Partial, Reader, int, Store], Partial]
    steps: int


@dataclass(frozen=True)
class Finish:
    """Sees whole layers, strip by strip, and returns arrays for `store[name]` and features for vector and table layers."""

    name: str
    reads: tuple[str, ...]
    run: Callable[[Strips, Store], tuple[Partial, Mapping[str, Features]]]


Stage = Map | Reduce | Loop | Fit | Finish


def _nothing(store: Store) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Cost:
    """What one worker needs for one tile, beyond the tile's own input and output arrays.

    Attributes:
        bytes: peak of the temporary arrays.
        flops: floating-point operations.
    """

    bytes: int
    flops: float = 0.0


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that the engine must know before a pixel is read.

    Attributes:
        method: the method's name.
        identity: JSON-able facts that tell this work from another: options, a checksum of the weights.
        reference: the role whose grid is tiled.
        inputs: how each role is read.
        layers: outputs and scratch; the first delivered raster takes the name of the output file.
        stages: run in order.
        cost: memory and work of one tile of `(rows, cols)` with its halo.
        provenance: what the metadata of the products should say, as text.
        findings: what they should say beside it of what the stages found, out of the store.
    """

    method: str
    identity: Mapping[str, Any]
    reference: str
    inputs: Mapping[str, Input]
    layers: tuple[Layer, ...]
    stages: tuple[Stage, ...]
    cost: Callable[[tuple[int, int]], Cost]
    provenance: Mapping[str, str] = field(default_factory=dict)
    findings: Callable[[Store], Mapping[str, str]] = _nothing

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)


class Method(Protocol):
    """Anything that turns cubes into layers."""

    name: ClassVar[str]
    task: ClassVar[str]
    roles: ClassVar[tuple[str, ...]]

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """Checks bands, units and overlap; reads no pixel."""
        ...


def halo_of(stage: Map | Reduce, name: str) -> Halo:
    """The halo that a stage asks for around one of its reads."""
    return stage.halo if isinstance(stage.halo, tuple) else stage.halo.get(name, (0, 0))

"""Features of whole objects, as stages that train and map alike: channels of each pixel, detrended, then diffused along edges or averaged.

What makes the channels is a `Projector`: a linear map of standardised spectra, or a network beside it. Edges lie where the
standardised spectra of neighbours differ (`edges`), or where their first noise-whitened components do, which the projector then
gives as its last channels: sharper, since noise has the same variance in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.decision import LEAST
from hsikit.tasks.classification.diffusion import diffusion_loop
from hsikit.tasks.classification.edges import EDGE_LAYER, edge_bytes, edge_stage, layer_edge_stage, median_stage
from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.trend import TREND, place_terms, trend_at, trend_stage

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

PROJECTED, GUIDE, FAR, FAR_NOW, NEAR = "projected", "guide", "object", "object_diffused", "neighbourhood"
JOINED, JOINED_NOW = "joined", "joined_diffused"
CHUNK = 1024
"""Pixels projected at once: bounds the temporary float64 arrays."""

EDGE_KINDS = ("spectra", "components")
GUIDES = 10
"""Components that guide the diffusion with `edges="components"`."""

Parts = tuple[slice | None, slice]
"""Which channels are diffused, None for none, and which averaged; they may be the same."""


class Projector(Protocol):
    """Makes the channels of each pixel."""

    @property
    def channels(self) -> int:
        """How many, the guides included."""
        ...

    @property
    def radius(self) -> int:
        """Neighbours on each side that a pixel's channels depend on."""
        ...

    def __call__(self, values: Tensor, valid: Tensor) -> Tensor:
        """Channels (channels, rows, cols), NaN where not valid, of spectra (C, rows + 2 radius, cols + 2 radius)."""
        ...

    def bytes(self, pixels: int) -> int:
        """Temporary memory, what is returned included."""
        ...

    def flops(self) -> float:
        """Floating-point operations a pixel."""
        ...


@dataclass(frozen=True, eq=False)
class LinearProjector:
    """Linear channels of standardised spectra.

    Attributes:
        mean: subtracted from them, shape (C,).
        matrix: shape (channels, C).
        standardised: whether spectra are standardised; else they are taken as they are.
    """

    mean: NDArray[Any]
    matrix: NDArray[Any]
    standardised: bool = True
    radius: int = 0

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.matrix)

    def __call__(self, values: Tensor, valid: Tensor) -> Tensor:
        """See `Projector`."""
        import torch

        weights = torch.from_numpy(np.array(self.matrix, np.float64)).to(values.device)
        centre = torch.from_numpy(np.array(self.mean, np.float64)).to(values.device)[:, None]
        spectra = values.flatten(1)
        out = values.new_full((len(weights), spectra.shape[1]), float("nan"))
        usable = valid.flatten().nonzero()[:, 0]
        for start in range(0, len(usable), CHUNK):
            places = usable[start : start + CHUNK]
            chunk = spectra[:, places].double()
            # In float64: whitened weights are large and of both signs.
            out[:, places] = (weights @ ((standardise(chunk) if self.standardised else chunk) - centre)).float()
        return out.view(-1, *valid.shape)

    def bytes(self, pixels: int) -> int:
        """See `Projector`."""
        bands = len(self.mean)
        return pixels * (4 * self.channels + 16) + CHUNK * 8 * (4 * bands + 2 * self.channels)

    def flops(self) -> float:
        """See `Projector`."""
        return 2.0 * len(self.mean) * self.channels


def with_guides(matrix: NDArray[Any], vectors: NDArray[Any], settings: Mapping[str, Any]) -> NDArray[Any]:
    """Rows of a projection, and after them those of the guides where edges are of components.

    Args:
        matrix: shape (d, C).
        vectors: of the transform, shape (C, components).
        settings: holds `edges`.
    """
    return np.concatenate([matrix, vectors[:, :GUIDES].T]) if settings["edges"] == "components" else matrix


def guides_of(settings: Mapping[str, Any], components: int) -> int:
    """How many last channels of the projector guide the edges."""
    return min(GUIDES, components) if settings["edges"] == "components" else 0


def feature_layers(projected: int, far: int, near: int, guides: int) -> tuple[Layer, ...]:
    """The scratch layers of `feature_stages`; without edges where nothing is diffused (`far` is 0)."""
    sizes = {PROJECTED: projected, FAR: far, FAR_NOW: far, NEAR: near, GUIDE: guides}
    return (*(Layer(name, bands=count, delivered=False) for name, count in sizes.items() if count), *((EDGE_LAYER,) if far else ()))


def project_stage(project: Projector, guides: int = 0) -> Map:
    """Writes `projected`, and `guide` of the last channels."""
    radius = project.radius

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        out = project(tile.arrays["cube"], tile.valid["cube"])
        cut = out.shape[0] - guides
        return {PROJECTED: out[:cut], GUIDE: out[cut:]} if guides else {PROJECTED: out}

    return Map("project", ("cube",), (PROJECTED, GUIDE) if guides else (PROJECTED,), apply, halo=(radius, radius))


def edge_stages(project: Projector, guides: int) -> tuple[Stage, ...]:
    """Stages that write `projected` and the edges."""
    return (project_stage(project, guides), layer_edge_stage(GUIDE) if guides else edge_stage(PROJECTED), median_stage())


def feature_stages(project: Projector, guides: int, parts: Parts, info: SceneInfo, settings: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Stages that write `object_diffused` and `neighbourhood`, or the second alone: channels, detrended, then diffused or averaged.

    Args:
        project: makes the channels.
        guides: how many of the last ones guide the edges.
        parts: which of the others are diffused, and which averaged.
        info: the scene.
        settings: `width`, `detrend`, `steps`, `keep`.
    """
    shape, radius = info.grid.shape, int(settings["width"]) // 2

    def part(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid = tile.arrays[PROJECTED].double(), ~tile.arrays[PROJECTED][0].isnan()
        if settings["detrend"]:
            values -= trend_at(store[TREND], place_terms(tile.windows[PROJECTED], shape, values.device))
        core = tile.cores[PROJECTED]
        near = {NEAR: box_mean(values[parts[1]], valid, radius).masked_fill_(~valid[core], float("nan")).float()}
        far = {name: values[(parts[0], *core)].float() for name in (FAR, FAR_NOW) if parts[0] is not None}
        return far | near

    whole = parts[0] is not None
    return (
        *(edge_stages(project, guides) if whole else (project_stage(project),)),
        *((trend_stage(PROJECTED, shape),) if settings["detrend"] else ()),
        Map("part", (PROJECTED,), (FAR, FAR_NOW, NEAR) if whole else (NEAR,), part, halo=(radius, radius)),
        *((diffusion_loop("diffuse", FAR, FAR_NOW, int(settings["steps"]), float(settings["keep"])),) if whole else ()),
    )


def features_at(
    scenes: Sequence[LabelledScene],
    samples: Samples,
    project: Projector,
    guides: int,
    parts: Parts,
    settings: Mapping[str, Any],
    run: Callable[..., Any],
    progress: Any,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Diffused and averaged channels at the training pixels, by the stages that make maps: float64 of shape (n, far) and (n, near)."""
    sizes = channel_counts(project.channels - guides, parts)
    far, near = (np.empty((len(samples.codes), size)) for size in sizes)
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene == number)
        if len(mine):
            job = feature_job(scene.source.info, samples.basis.match(scene.source.info), project, guides, parts, settings)
            at = (samples.rows[mine], samples.cols[mine])
            found = run(job, {"cube": scene.source}, layers=(FAR_NOW, NEAR) if sizes[0] else (NEAR,), at=at, progress=progress).values
            near[mine] = found[NEAR].T
            if sizes[0]:
                far[mine] = found[FAR_NOW].T
    return far, near


def feature_job(info: SceneInfo, bands: NDArray[Any], project: Projector, guides: int, parts: Parts, settings: Mapping[str, Any]) -> Job:
    """A job that ends with the features of a scene."""
    projected = project.channels - guides
    far, near = channel_counts(projected, parts)
    return Job(
        method="object features",
        identity={"settings": dict(settings)},
        reference="cube",
        inputs={"cube": Input(tuple(int(b) for b in bands))},
        layers=feature_layers(projected, far, near, guides),
        stages=feature_stages(project, guides, parts, info, settings),
        cost=lambda shape: stage_cost(shape, len(bands), project, max(far, near), int(settings["steps"]) if far else 0),
    )


def joined_layers(classes: int) -> tuple[Layer, ...]:
    """The scratch layers of the classes' log-probabilities, before and after they are diffused."""
    return tuple(Layer(name, bands=classes, delivered=False) for name in (JOINED, JOINED_NOW))


def join_stage(learned: Callable[[Any], Mapping[str, Tensor]], least: float | None = None) -> Map:
    """Adds the log-probabilities of the discriminant of objects and that of the neighbourhood, whose logits `feature_stages` writes.

    Args:
        learned: `object_intercepts` and `neighbourhood_intercepts`, shape (K,), on a device.
        least: see `diffusion_loop`; the sums are then log-probabilities again.
    """

    def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        intercepts, parts = learned(tile.arrays[NEAR].device), []
        for layer, name in ((FAR_NOW, "object"), (NEAR, "neighbourhood")):
            logits = tile.inner(layer).double() + intercepts[f"{name}_intercepts"][:, None, None]
            parts.append(logits.log_softmax(0).clamp(min=LEAST))
        joined = (parts[0] + parts[1]).float()
        if least is None:
            return {JOINED: joined, JOINED_NOW: joined}
        joined = joined.log_softmax(0)
        return {JOINED: joined, JOINED_NOW: joined.clamp(min=least)}

    return Map("join", (FAR_NOW, NEAR), (JOINED, JOINED_NOW), apply)


def channel_counts(projected: int, parts: Parts) -> tuple[int, int]:
    """How many of the projected channels are diffused, and how many averaged."""
    far, near = (0 if part is None else len(range(projected)[part]) for part in parts)
    return far, near


def stage_cost(tile_shape: tuple[int, int], bands: int, project: Projector, channels: int, steps: int) -> Cost:
    """Memory and work of one tile: of projecting, of taking trends out, or of diffusing for so many steps, whichever needs most."""
    pixels = tile_shape[0] * tile_shape[1]
    # Values, trend and two box sums in float64; their results.
    parting = pixels * 8 * (2 * project.channels + 4 * channels + 12)
    # Diffusion holds the originals, anchor, and three versions of the channels, with fourteen planes of edges and shares, in float64.
    diffusing = pixels * 8 * (5 * channels + 14)
    flops = pixels * (project.flops() + 10.0 * steps * channels + 30.0 * bands)
    return Cost(max(project.bytes(pixels), parting, diffusing, edge_bytes(bands) + pixels * 12), flops)

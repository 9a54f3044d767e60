"""Labelled pixels with their surroundings, small enough for a model folder: a network that looks around a pixel is refitted on them for another sensor.

Values are standardised by their scene's mean and deviation and kept as principal components, in half precision. A pixel that lies in
several windows is kept once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.sensor_change import SensorChange
from hsikit.tasks.classification.encoder_readout import Scatter
from hsikit.tasks.classification.mnf_lda_choice import BATCH_BYTES, filled_windows
from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.scene_moments import CONSTANT, scene_moments
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    from hsikit.nn.body import BandFacts, TaskNetwork
    from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]

PREFIX = "windows_"
"""What their arrays are called by in a model folder."""
LABELS, PIXELS, BYTES = 2000, 30_000, 6 << 20
"""Labelled pixels that are kept, pixels in all, and bytes of these, at most: the fewer pixels there are, the more components of each."""
OF_CLASS = 20
"""Labelled pixels that a small class keeps nevertheless, where all classes can."""
LARGEST = float(np.finfo(np.float16).max)
BATCH = 16
"""Windows that go through a network at once."""


@dataclass(frozen=True, eq=False)
class LabelledWindows:
    """Windows of labelled pixels.

    Attributes:
        axes: of the components, shape (C, P).
        values: components of each pixel, float16 of shape (M, P).
        index: the pixel at each place of a window, -1 where none is usable, shape (n, side, side).
        targets: class positions of the pixels in the middle, shape (n,).
        shares: of the classes in the training, shape (K,).
        covariance: of single pixels of the training scenes, shape (C, C).
    """

    axes: NDArray[np.float32]
    values: NDArray[np.float16]
    index: NDArray[np.int32]
    targets: NDArray[np.int32]
    shares: Floats
    covariance: Floats

    @property
    def radius(self) -> int:
        """Pixels on each side of the labelled one."""
        return int(self.index.shape[1]) // 2

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By their names in a model folder."""
        return {f"{PREFIX}{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], bands: int, classes: int) -> Self:
        """The inverse of `arrays`.

        Raises:
            KeyError, ValueError: one is missing, or they do not fit together.
        """
        found = cls(*(arrays[f"{PREFIX}{field.name}"] for field in fields(cls)))
        sides = found.index.shape[1:]
        whole = found.axes.ndim == found.values.ndim == 2 and found.axes.shape == (bands, found.values.shape[1])
        square = len(sides) == 2 and sides[0] == sides[1] and sides[0] % 2 == 1 and found.targets.shape == found.index.shape[:1]
        known = (found.shares.shape, found.covariance.shape) == ((classes,), (bands, bands))
        numbers = (found.values, found.axes, found.shares, found.covariance)
        if not (whole and square and known and all(np.isfinite(each).all() for each in numbers) and (found.shares > 0).all()):
            raise ValueError("the kept windows are not whole, or do not fit together")
        if not ((found.index >= -1) & (found.index < len(found.values))).all() or (found.index[:, found.radius, found.radius] < 0).any():
            raise ValueError("the kept windows name pixels that are not there")
        if np.unique(found.targets).tolist() != list(range(classes)):
            raise ValueError("the kept windows do not show every class")
        return found

    def features(self, network: TaskNetwork, through: Floats, bands: BandFacts, width: int) -> tuple[Floats, Floats]:
        """What a network makes of the windows, and how its features scatter.

        Args:
            network: on the CPU, in evaluation mode; with `width`, it sees as far as the windows reach.
            through: a sensor's standardised values as sums of the standardised bands, shape (D, C).
            bands: of that sensor.
            width: side of the square in the middle whose features are averaged.

        Returns:
            Features (n, F), and their scatter (F, F) over all pixels of these squares.
        """
        import torch

        from hsikit.nn.body import require_halo

        seen = torch.from_numpy((self.values.astype(np.float64) @ (through @ self.axes).T).astype(np.float32))
        halo, index = require_halo(network.body), torch.from_numpy(self.index.astype(np.int64))
        found, scatter = [], Scatter(network.body.width)
        for part in torch.split(index, BATCH):
            usable = part >= 0
            values = seen[part.clamp(min=0)].masked_fill_(~usable[..., None], 0.0)
            with torch.inference_mode():
                features = network.dense(values.movedim(-1, 1), bands, usable).movedim(1, -1)
            inner = (slice(None), *2 * (slice(halo, -halo or None),))
            middle, counts = features[inner].double(), usable[inner]
            found.append(middle.masked_fill(~counts[..., None], 0.0).sum((1, 2)) / counts.sum((1, 2))[:, None])
            scatter.add(middle[counts])
        return torch.cat(found).numpy(), scatter.about_mean()


def keep_windows(scenes: Sequence[LabelledScene], samples: Samples, covariance: Floats, radius: int, seed: int) -> LabelledWindows | None:
    """Gathers windows of training pixels, as many as are affordable, each class by its share; None where a scene has too few pixels to be standardised.

    Args:
        scenes: see `PixelClassifier.train`.
        samples: their training pixels.
        covariance: of single pixels of the scenes, shape (C, C).
        radius: pixels on each side.
        seed: which are kept where there are more.
    """
    chosen, pixels = _affordable(samples, radius, seed)
    spread = np.sqrt(np.diag(covariance))
    scaled = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    side = 2 * radius + 1
    places, position = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    components = max(1, BYTES // (np.dtype(np.float16).itemsize * len(places)))
    axes = np.linalg.eigh(covariance * scaled[:, None] * scaled)[1][:, ::-1][:, :components].astype(np.float32)
    index: NDArray[np.int32] = position.reshape(len(chosen), side, side).astype(np.int32)
    values = np.zeros((len(places), axes.shape[1]), np.float16)
    wavelength = samples.basis.bands.wavelength
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene[chosen] == number)
        if not len(mine):
            continue
        match = samples.basis.match(scene.source.info)
        moments = scene_moments([scene.source], samples.basis, single=True)
        if moments is None:
            return None
        centre, deviation = moments["scene_mean"], np.sqrt(np.diag(moments["scene_covariance"]))
        varies = deviation > CONSTANT * np.abs(centre)
        rows, cols = samples.rows[chosen[mine]], samples.cols[chosen[mine]]
        for part, windows in windows_at(scene.source, rows, cols, match, radius, budget=BATCH_BYTES):
            filled, usable = filled_windows(windows, wavelength)
            centred = np.moveaxis(filled.numpy(), 1, -1) - centre
            standardised = np.divide(centred, deviation, out=np.zeros_like(centred), where=varies)
            usable = usable.numpy()
            at = index[mine[part]]
            # A pixel far out of range, such as a hole that nobody declared, ends at the largest number there is.
            values[at[usable]] = (standardised[usable] @ axes).clip(-LARGEST, LARGEST).astype(np.float16)
            index[mine[part]] = np.where(usable, at, np.int32(-1))
    shares = np.bincount(samples.targets) / len(samples.targets)
    return LabelledWindows(axes, values, index, samples.targets[chosen].astype(np.int32), shares, covariance)


def _affordable(samples: Samples, radius: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the kept samples, n of them, and scene, row and column of each place of their windows, shape (n, side, side, 3)."""
    order = np.random.default_rng(seed).permutation(len(samples.codes))
    offset, most, classes = np.arange(-radius, radius + 1), LABELS, np.unique(samples.targets)
    least = min(OF_CLASS, max(1, PIXELS // (len(classes) * len(offset) ** 2)))
    while True:
        shares = [order[samples.targets[order] == target] for target in classes]
        chosen = np.sort(np.concatenate([mine[: max(least, round(most * len(mine) / len(order)))] for mine in shares]))
        rows, cols = (at[chosen][:, None, None] for at in (samples.rows, samples.cols))
        pixels = np.stack(np.broadcast_arrays(samples.scene[chosen][:, None, None], rows + offset[:, None], cols + offset), -1)
        if most <= 1 or len(np.unique(pixels.reshape(-1, 3), axis=0)) <= PIXELS:
            return chosen, pixels
        most //= 2


def standardised_response(change: SensorChange, covariance: Floats) -> Floats:
    """A sensor's standardised values as sums of another's standardised bands, shape (D, C); 0 in rows of bands that do not vary.

    Args:
        change: from the other to the sensor.
        covariance: of a scene's single pixels in the other's bands, shape (C, C).
    """
    seen = np.sqrt(np.einsum("dc,ce,de->d", change.weights, covariance, change.weights, optimize=True))
    spread = np.sqrt(np.diag(covariance))
    return np.asarray(np.divide(change.weights * spread, seen[:, None], out=np.zeros_like(change.weights), where=seen[:, None] > 0))

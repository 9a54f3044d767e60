"""A spectral transformer of one scene or several: what it is given for each pixel, how it learns without labels, and how it is kept.

Each pixel gives its own spectrum and the mean of its 5 x 5 neighbourhood, per-spectrum standardised or raw, each band scaled to
mean 0 and deviation 1. Without labels the network learns to say from fragments of them what the pixel's *object* is: the
noise-whitened components diffused along edges (`pretrain="object"`); or the bands that are hidden (`"masked"`, He et al., 2022,
doi:10.1109/CVPR52688.2022.01553).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import RunError
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.mnf_lda_choice import filled_windows
from hsikit.tasks.classification.object_features import LinearProjector
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hsikit.nn.fit import History
    from hsikit.scene import Source
    from hsikit.train.labelled import LabelledScene

RADIUS = 2
"""Neighbours on each side whose mean goes beside a pixel's spectrum."""

MOST_PIXELS = 25_000
"""Pixels without labels that a network learns from, drawn at random over all scenes."""

BLOCK = 32
"""Rows and columns of a tile that are prepared at once: bounds the temporary arrays whatever the tile."""

NORMALISATIONS: Mapping[str, tuple[bool, ...]] = {"standardised": (True,), "raw": (False,), "both": (True, False)}
"""Which forms of a spectrum the network is given: per-spectrum standardised (True) or as it is."""

Tell = Callable[[int, int, str], None]

PRETRAINING: Mapping[str, Any] = {"epochs": 27, "batch": 256, "lr": 2e-3}
OBJECT_OUTPUTS = 20
"""Leading components of the predicted object that are used as features."""


@dataclass(frozen=True, eq=False)
class SpectralNetwork:
    """A network and what it takes.

    Attributes:
        encoder: gives (n, width) numbers of scaled inputs (n, channels, C).
        top: makes features of them; None where they are features themselves.
        width: how many of the features are used, from the first.
        normalise: a key of `NORMALISATIONS`.
        centre: mean of each input, shape (channels, C).
        scale: its deviation.
    """

    chunk: ClassVar[int] = 128
    encoder: nn.Module
    top: nn.Module | None
    width: int
    normalise: str
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]

    def features(self, inputs: Tensor) -> Tensor:
        """(n, width) features of inputs (n, channels, C) that are not yet scaled."""
        from torch import nn

        from hsikit.nn.tuning import in_chunks

        module = self.encoder if self.top is None else nn.Sequential(self.encoder, self.top)
        return in_chunks(module.eval(), self.scaled(inputs), self.chunk)[:, : self.width]

    @property
    def lora_targets(self) -> Sequence[str]:
        """The linear layers that adapters belong on."""
        from hsikit.nn.spectral_transformer import LORA_TARGETS

        return LORA_TARGETS

    def inputs(self, source: Source, rows: NDArray[Any], cols: NDArray[Any], bands: NDArray[Any], wavelength: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `inputs_at`."""
        return inputs_at(source, rows, cols, bands, wavelength, self.normalise)

    def scaled(self, inputs: Tensor) -> Tensor:
        """Inputs (n, channels, C) to mean 0 and deviation 1 in each band."""
        import torch

        centre, scale = (torch.from_numpy(np.array(value)).to(inputs.device) for value in (self.centre, self.scale))
        return (inputs - centre) / scale

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a model folder keeps."""
        parts = {"encoder": self.encoder, **({"top": self.top} if self.top is not None else {})}
        weights = {f"{name}.{key}": value.detach().cpu().numpy() for name, part in parts.items() for key, value in part.state_dict().items()}
        return {**weights, "input_mean": self.centre, "input_scale": self.scale}

    def on(self, device: torch.device) -> SpectralNetwork:
        """A copy on a device."""
        parts = (copy.deepcopy(part).to(device) if part is not None else None for part in (self.encoder, self.top))
        encoder, top = parts
        assert encoder is not None
        return replace(self, encoder=encoder, top=top)


def network_from(arrays: Mapping[str, NDArray[Any]], preset: str, normalise: str) -> SpectralNetwork:
    """The inverse of `SpectralNetwork.arrays`.

    Raises:
        KeyError, ValueError, RuntimeError: arrays that do not fit together.
    """
    from hsikit.nn.spectral_transformer import build_encoder

    centre, scale = (np.asarray(arrays[name], np.float32) for name in ("input_mean", "input_scale"))
    encoder = build_encoder(preset, centre.shape[1], channels=2 * len(NORMALISATIONS[normalise]))
    top, width = split_arrays(arrays, encoder)
    return SpectralNetwork(encoder.eval(), top, width, normalise, centre, scale)


def split_arrays(arrays: Mapping[str, NDArray[Any]], encoder: nn.Module) -> tuple[nn.Module | None, int]:
    """Gives an encoder its weights; what stands on it, and the number of features.

    Raises:
        ValueError, RuntimeError: arrays that do not fit together.
    """
    import torch
    from torch import nn

    weights = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in weights.items() if name.startswith("encoder.")})
    own = {name.removeprefix("top."): value for name, value in weights.items() if name.startswith("top.")}
    top: nn.Module | None = None
    if "weight" in own:
        outputs, width = own["weight"].shape
        top = nn.Linear(width, outputs)
    elif own:
        (hidden, width), outputs = own["0.weight"].shape, len(own["2.bias"])
        top = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, outputs))
    if top is None:
        return None, int(encoder.width)  # type: ignore[arg-type]
    top.load_state_dict(own)
    return top.eval(), len(own["bias"]) if "bias" in own else min(OBJECT_OUTPUTS, len(own["2.bias"]))


def tile_inputs(values: Tensor, valid: Tensor, normalise: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs of a tile's valid pixels, block by block.

    Args:
        values: spectra, shape (C, rows + 4, cols + 4).
        valid: bool, shape (rows + 4, cols + 4).
        normalise: a key of `NORMALISATIONS`.

    Yields:
        Positions in the flattened (rows, cols), int64 (n,), and inputs not yet scaled, float32 (n, channels, C).
    """
    import torch

    rows, cols = (size - 2 * RADIUS for size in valid.shape)
    place = torch.arange(rows * cols, device=values.device).view(rows, cols)
    for row in range(0, rows, BLOCK):
        for col in range(0, cols, BLOCK):
            around = (slice(row, row + BLOCK + 2 * RADIUS), slice(col, col + BLOCK + 2 * RADIUS))
            shown = valid[around]
            inner = shown[RADIUS:-RADIUS, RADIUS:-RADIUS]
            if not inner.any():
                continue
            block, channels = values[(slice(None), *around)], []
            for kind in NORMALISATIONS[normalise]:
                spectra = standardise(block) if kind else block
                own = spectra[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
                channels += [part[:, inner].T for part in (own, box_mean(spectra, shown, RADIUS))]
            yield place[row : row + BLOCK, col : col + BLOCK][inner], torch.stack(channels, 1)


def inputs_at(
    source: Source, rows: NDArray[Any], cols: NDArray[Any], bands: NDArray[Any], wavelength: NDArray[np.float64], normalise: str
) -> NDArray[np.float32]:
    """Inputs of pixels, not yet scaled: float32 (n, channels, C); NaN where a pixel is not valid."""
    import torch

    kinds = NORMALISATIONS[normalise]
    out = np.full((len(rows), 2 * len(kinds), len(bands)), np.nan, np.float32)
    for index, windows in windows_at(source, rows, cols, bands, RADIUS):
        values, valid = filled_windows(windows, wavelength)
        for number, kind in enumerate(kinds):
            spectra = (standardise(values, 1) if kind else values).masked_fill_(~valid[:, None], 0.0)
            mean = spectra.sum((-2, -1)) / valid.sum((-2, -1))[:, None]
            pair = torch.stack([spectra[..., RADIUS, RADIUS], mean], 1)
            out[index, 2 * number : 2 * number + 2] = pair.masked_fill(~valid[:, RADIUS, RADIUS, None, None], float("nan")).float().numpy()
    return out


def drawn_pixels(scenes: Sequence[LabelledScene], seed: int, most: int | None = None) -> list[tuple[LabelledScene, NDArray[np.intp], NDArray[np.intp]]]:
    """Pixels of all scenes to learn from without labels, in the order of the scene: (scene, rows, cols); a scene comes once."""
    once = list({id(scene.source): scene for scene in scenes}.values())
    sizes = np.array([np.prod(scene.source.info.grid.shape) for scene in once], np.int64)
    rng, most = np.random.default_rng(seed), MOST_PIXELS if most is None else most
    places = np.arange(sizes.sum()) if sizes.sum() <= most else np.sort(rng.choice(sizes.sum(), most, replace=False))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    parts = []
    for number, scene in enumerate(once):
        mine = places[(places >= starts[number]) & (places < starts[number + 1])] - starts[number]
        rows, cols = np.divmod(mine, scene.source.info.grid.shape[1])
        parts.append((scene, rows, cols))
    return parts


def learn_without_labels(
    scenes: Sequence[LabelledScene],
    bands: Callable[[Source], NDArray[Any]],
    wavelength: NDArray[np.float64],
    settings: Mapping[str, Any],
    objects: Callable[[Source, NDArray[Any], NDArray[Any]], NDArray[np.float32]],
    *,
    seed: int,
    folder: Path | None,
    tell: Tell,
) -> tuple[SpectralNetwork, list[float]]:
    """A network that has learned from pixels of all scenes, and its loss in each epoch.

    Args:
        scenes: where the pixels are drawn from; labels are not looked at.
        bands: the bands of a scene that the model uses.
        wavelength: of those bands, nm.
        settings: `preset`, `pretrain`, `normalise`.
        objects: components of the objects that pixels lie in, float32 (n, d), NaN where not valid: what "object" predicts.
        seed: of pixels, weights and batches.
        folder: where snapshots are kept, so that a run that was killed goes on.
        tell: told (steps done, steps in all, text).
    """
    import torch

    from hsikit.nn.objectives import MaskedObjective, ObjectObjective
    from hsikit.nn.spectral_transformer import build_encoder

    parts = drawn_pixels(scenes, seed)
    inputs = np.concatenate([inputs_at(scene.source, rows, cols, bands(scene.source), wavelength, settings["normalise"]) for scene, rows, cols in parts])
    usable = ~np.isnan(inputs[:, 0, 0])
    targets = np.zeros((len(inputs), 0), np.float32)
    if settings["pretrain"] == "object":
        targets = np.concatenate([objects(scene.source, rows, cols) for scene, rows, cols in parts])
        usable &= ~np.isnan(targets[:, 0])
    inputs, targets = inputs[usable], targets[usable]
    centre, scale = inputs.mean(0, dtype=np.float64).astype(np.float32), inputs.std(0, dtype=np.float64).astype(np.float32)
    scale[scale == 0] = 1.0
    torch.manual_seed(seed)  # the first weights
    encoder = build_encoder(settings["preset"], len(wavelength), channels=inputs.shape[1])
    network = SpectralNetwork(encoder, None, encoder.width, settings["normalise"], centre, scale)
    if settings["pretrain"] == "none":
        return network, []
    scaled = network.scaled(torch.from_numpy(inputs))
    if settings["pretrain"] == "masked":
        return network, _fitted(MaskedObjective(encoder), (scaled,), encoder, seed, folder, tell)
    objective = ObjectObjective(encoder, targets.shape[1])
    losses = _fitted(objective, (scaled, object_targets(targets)), encoder, seed, folder, tell)
    return replace(network, top=objective.head, width=min(OBJECT_OUTPUTS, targets.shape[1])), losses


def object_targets(targets: NDArray[np.float32]) -> Tensor:
    """Components (n, d) as a network is to predict them: each over the root of its deviation. Strong ones count more, but not by their whole signal."""
    import torch

    return torch.from_numpy((targets - targets.mean(0)) / np.sqrt(np.maximum(targets.std(0), 1e-12)))


def _fitted(objective: nn.Module, arrays: tuple[Tensor, ...], encoder: nn.Module, seed: int, folder: Path | None, tell: Tell) -> list[float]:
    """Trains in place; the mean loss of each epoch."""
    from hsikit.nn.lora import mark_pretrained

    history = fit_or_resume(objective, arrays, seed=seed, folder=folder, progress=tell, **PRETRAINING)
    mark_pretrained(encoder)
    return list(history.losses)


def fit_or_resume(module: nn.Module, arrays: Sequence[Tensor], *, folder: Path | None, progress: Tell, **options: Any) -> History:
    """`hsikit.nn.fit.fit`; where the folder holds the snapshots of another run, these are removed, and that is told."""
    from hsikit.nn.fit import fit

    try:
        return fit(module, arrays, folder=folder, progress=progress, **options)
    except RunError:
        assert folder is not None
        for snapshot in folder.glob("epoch-*"):
            snapshot.unlink()
        progress(0, 0, "an unfinished training with other options or other data was dropped")
        return fit(module, arrays, folder=folder, progress=progress, **options)


@dataclass(frozen=True, eq=False)
class NetworkProjector:
    """Channels that are linear in a pixel's spectrum and in a network's features of it.

    Attributes:
        linear: of the spectrum alone; all channels.
        matrix: weights of the features, shape (first channels, width).
        network: on the device of the spectra.
    """

    linear: LinearProjector
    matrix: NDArray[Any]
    network: Callable[[torch.device], SpectralNetwork]
    radius: int = RADIUS

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.linear.channels

    def __call__(self, values: Tensor, valid: Tensor) -> Tensor:
        """See `Projector`."""
        import torch

        inner = slice(RADIUS, -RADIUS)
        out = self.linear(values[:, inner, inner], valid[inner, inner])
        network, weights = self.network(values.device), torch.from_numpy(np.array(self.matrix, np.float64)).to(values.device)
        flat = out.view(self.channels, -1)
        for places, inputs in tile_inputs(values, valid, network.normalise):
            flat[: len(weights), places] += (weights @ network.features(inputs).double().T).float()
        return out

    def bytes(self, pixels: int) -> int:
        """See `Projector`."""
        bands = len(self.linear.mean)
        # Standardised block, box sums and the inputs of both kinds; the network's own arrays for a chunk.
        return self.linear.bytes(pixels) + (BLOCK + 2 * RADIUS) ** 2 * bands * 4 * 16 + (16 << 20)

    def flops(self) -> float:
        """See `Projector`."""
        return self.linear.flops() + 6e6  # the tiny preset, 200 bands

"""The network of the preset "paper": windows of components in place of spectra, one for each pixel. Slow: see `SLOW`.

A window holds the first noise-whitened components of 15 x 15 pixels, bands on the spectral axis. The paper takes principal
components (arXiv:2506.17759). Pixels that are missing or outside the scene are zero, the components' mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.mnf_lda_choice import BATCH_BYTES, filled_windows
from hsikit.tasks.classification.object_features import LinearProjector
from hsikit.tasks.classification.spectral_network import SpectralNetwork, Tell, drawn_pixels, fit_or_resume, object_targets, split_arrays
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hsikit.scene import Source
    from hsikit.train.labelled import LabelledScene

PRESETS = ("paper", "paper-small")
WINDOW, RADIUS, COMPONENTS = 15, 7, 15
MOST_PIXELS = 5000
PRETRAINING: Mapping[str, Any] = {"epochs": 10, "batch": 64, "lr": 5e-4}
SLOW = "preset paper: a window goes through 181 million weights for each pixel, some 50 ms of a core; in training about three times that"


@dataclass(frozen=True, eq=False)
class WindowNetwork(SpectralNetwork):
    """A network of windows.

    Attributes:
        components: makes the components of a spectrum.
    """

    chunk: ClassVar[int] = 16
    components: LinearProjector | None = None

    @property
    def lora_targets(self) -> Sequence[str]:
        """The linear layers that adapters belong on."""
        from hsikit.nn.window_transformer import LORA_TARGETS

        return LORA_TARGETS

    def inputs(self, source: Source, rows: NDArray[Any], cols: NDArray[Any], bands: NDArray[Any], wavelength: NDArray[np.float64]) -> NDArray[np.float32]:
        """Windows of components around pixels, not yet scaled: float32 (n, 1, K, 15, 15); NaN where a pixel is not valid."""
        assert self.components is not None
        return windows_of(source, rows, cols, bands, wavelength, self.components)


def components_of(mean: NDArray[Any], vectors: NDArray[Any], standardised: bool) -> LinearProjector:
    """The first components that a window holds."""
    return LinearProjector(mean, vectors[:, :COMPONENTS].T, standardised)


def windows_of(
    source: Source, rows: NDArray[Any], cols: NDArray[Any], bands: NDArray[Any], wavelength: NDArray[np.float64], components: LinearProjector
) -> NDArray[np.float32]:
    """See `WindowNetwork.inputs`."""
    import torch

    weights, centre = torch.from_numpy(np.array(components.matrix, np.float64)), torch.from_numpy(np.array(components.mean, np.float64))
    out = np.full((len(rows), 1, len(weights), WINDOW, WINDOW), np.nan, np.float32)
    for index, windows in windows_at(source, rows, cols, bands, RADIUS, budget=BATCH_BYTES):
        values, valid = filled_windows(windows, wavelength)
        spectra = (standardise(values, 1) if components.standardised else values).masked_fill_(~valid[:, None], 0.0)
        found = torch.einsum("kc,nchw->nkhw", weights, spectra - centre[:, None, None]).masked_fill_(~valid[:, None], 0.0)
        out[index, 0] = found.masked_fill_(~valid[:, RADIUS, RADIUS, None, None, None], float("nan")).float().numpy()
    return out


def learn_windows_without_labels(
    scenes: Sequence[LabelledScene],
    bands: Callable[[Source], NDArray[Any]],
    wavelength: NDArray[np.float64],
    settings: Mapping[str, Any],
    components: LinearProjector,
    objects: Callable[[Source, NDArray[Any], NDArray[Any]], NDArray[np.float32]],
    *,
    seed: int,
    folder: Path | None,
    tell: Tell,
) -> tuple[WindowNetwork, list[float]]:
    """As `learn_without_labels`, of windows; what is learned is "object", or nothing."""
    import torch

    from hsikit.nn.lora import mark_pretrained
    from hsikit.nn.objectives import WindowObjective
    from hsikit.nn.window_transformer import build_window_encoder

    parts = drawn_pixels(scenes, seed, MOST_PIXELS)
    inputs = np.concatenate([windows_of(scene.source, rows, cols, bands(scene.source), wavelength, components) for scene, rows, cols in parts])
    targets = np.concatenate([objects(scene.source, rows, cols) for scene, rows, cols in parts]) if settings["pretrain"] == "object" else inputs[:, 0, :1, 0, 0]
    usable = ~(np.isnan(inputs[:, 0, 0, 0, 0]) | np.isnan(targets[:, 0]))
    inputs, targets = inputs[usable], targets[usable]
    centre = inputs.mean((0, 3, 4), dtype=np.float64, keepdims=True)[0].astype(np.float32)
    scale = inputs.std((0, 3, 4), dtype=np.float64, keepdims=True)[0].astype(np.float32)
    scale[scale == 0] = 1.0
    torch.manual_seed(seed)  # the first weights
    encoder = build_window_encoder(settings["preset"], WINDOW)
    network = WindowNetwork(encoder, None, encoder.width, settings["normalise"], centre, scale, components)
    if settings["pretrain"] == "none":
        return network, []
    objective = WindowObjective(encoder, targets.shape[1])
    arrays = (network.scaled(torch.from_numpy(inputs)), object_targets(targets))
    history = fit_or_resume(objective, arrays, seed=seed, folder=folder, progress=tell, **PRETRAINING)
    mark_pretrained(encoder)
    return replace(network, top=objective.head, width=targets.shape[1]), list(history.losses)


def window_network_from(arrays: Mapping[str, NDArray[Any]], preset: str, normalise: str, components: LinearProjector) -> WindowNetwork:
    """The inverse of `WindowNetwork.arrays`.

    Raises:
        KeyError, ValueError, RuntimeError: arrays that do not fit together.
    """
    from hsikit.nn.window_transformer import build_window_encoder

    encoder = build_window_encoder(preset, WINDOW)
    top, width = split_arrays(arrays, encoder)
    centre, scale = (np.asarray(arrays[name], np.float32) for name in ("input_mean", "input_scale"))
    return WindowNetwork(encoder.eval(), top, width, normalise, centre, scale, components)


@dataclass(frozen=True, eq=False)
class WindowProjector:
    """Channels that a network says of a pixel's window, and after them linear ones.

    Attributes:
        linear: of the spectrum alone; all channels, zero where the network's come.
        network: on the device of the spectra.
        weight_bytes: of the network.
    """

    linear: LinearProjector
    network: Callable[[torch.device], SpectralNetwork]
    weight_bytes: int
    radius: int = RADIUS

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.linear.channels

    def __call__(self, values: Tensor, valid: Tensor) -> Tensor:
        """See `Projector`."""
        inner = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
        out, network = self.linear(values[(slice(None), *inner)], valid[inner]), self.network(values.device)
        assert isinstance(network, WindowNetwork) and network.components is not None
        components = network.components(values, valid).masked_fill_(~valid, 0.0)
        windows = components.unfold(1, WINDOW, 1).unfold(2, WINDOW, 1)
        every = valid[inner].nonzero()
        for start in range(0, len(every), network.chunk):
            rows, cols = every[start : start + network.chunk].T
            said = network.features(windows[:, rows, cols].transpose(0, 1)[:, None])
            out[: network.width, rows, cols] += said.T
        return out

    def bytes(self, pixels: int) -> int:
        """See `Projector`."""
        # Components of the tile twice; arrays of the spectral convolutions for a chunk, 96 channels each.
        convolving = 5 * WindowNetwork.chunk * 96 * COMPONENTS * WINDOW**2 * 4
        return 2 * self.linear.bytes(pixels) + 8 * COMPONENTS * pixels + convolving + self.weight_bytes

    def flops(self) -> float:
        """See `Projector`."""
        return self.linear.flops() + 60.0 * self.weight_bytes

"""Tuning a pretrained encoder on labels: a linear head on its features, adapters beside it, or all weights with layer-wise decay.

The labelled pixels of all scenes lie in chips, windows with all that the encoder's halo asks for, so that what is tuned is what maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.tasks.classification.encoder_readout import fit_both
from hsikit.tasks.classification.mnf_lda_choice import filled_windows
from hsikit.tasks.classification.network_tuning import held_out
from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.spectral_network import fit_or_resume
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hsikit.nn.body import BandFacts, TaskNetwork
    from hsikit.nn.dense_classifier import StandardisedHead
    from hsikit.tasks.band_scale import BandScale
    from hsikit.train.labelled import LabelledScene

TUNING: Mapping[str, Any] = {"epochs": 60, "batch": 16, "patience": 10}
RATES: Mapping[str, float] = {"linear": 1e-2, "lora": 2e-4, "dora": 2e-4, "adaptformer": 2e-4, "full": 5e-4}
TEMPERATURES, USUAL_TEMPERATURE = tuple(2.0 ** (k / 2) for k in range(-2, 17)), 4.0
"""What logits of discriminants are divided by before they are tuned: one of these, or the other where no label is held out to tell."""
DECAY = 0.8
"""Of the learning rate from a layer to the one before, where all weights are tuned."""
WAY = 0.5
"""How far tuned weights go from where they began, as a share of where the steps led."""
SMOOTHING, NOISE, DROPPED = 0.05, 0.1, 0.1
CHIP_RADIUS = 4
"""Labels within 9 x 9 pixels share a chip."""
CHIP_BYTES = 256 << 20
"""Memory of all chips; where there are more labels, fewer of each class are tuned on."""


@dataclass(frozen=True, eq=False)
class Chips:
    """Windows around labelled pixels.

    Attributes:
        values: standardised, float32 (n, C, side, side); 0 where not usable.
        usable: bool (n, side, side).
        codes: class positions, int64 (n, side, side); -1 where no label is.
        held: whether a labelled pixel only tells when to stop, bool (n, side, side).
    """

    values: Tensor
    usable: Tensor
    codes: Tensor
    held: Tensor

    def part(self, held: bool) -> tuple[Tensor, Tensor, Tensor] | None:
        """Arrays of the chips with labels that are held out, or with the others; None where there is none."""
        codes = self.codes.masked_fill(self.held != held, -1)
        some = (codes >= 0).flatten(1).any(1)
        return (self.values[some], self.usable[some], codes[some]) if some.any() else None


def tune(
    network: TaskNetwork, settings: Mapping[str, Any], scenes: Sequence[LabelledScene], samples: Samples, bands: BandFacts, scales: Mapping[int, BandScale],
    seed: int, folder: Path | None, tell: Callable[[int, int, str], None],
) -> dict[str, list[float]]:  # fmt: skip
    """Tunes a network in place, early stopping on one label in five of each class; the losses by name.

    Its weights end halfway between where they began and where the steps led: what few labels of some fields teach holds less on others than it seems to
    there (Wortsman et al., 2022, arXiv:2109.01903).

    Args:
        network: what of it learns is decided already (`hsikit.nn.body.prepare`).
        settings: `head`, a key of `RATES`; also `cyclic`, steps of a cycle of the adapters' strength, `decay`, see `DECAY`, and `bands`, "drop" or
            "sample", see `DenseClassifier`, where they are given.
        scenes: see `PixelClassifier.train`.
        samples: their training pixels.
        bands: of all scenes.
        scales: of each scene, by `id` of its source.
        seed: of the batches and the labels held out.
        folder: for snapshots, so that a run that was killed goes on.
        tell: told (steps done, steps in all, text).
    """
    import torch

    from hsikit.nn.body import require_halo
    from hsikit.nn.dense_classifier import DenseClassifier
    from hsikit.nn.layer_decay import rate_shares
    from hsikit.nn.lora import CyclicScale
    from hsikit.nn.tuning import balanced_weights

    halo = require_halo(network.body)
    chosen = affordable(samples, halo, seed)
    if len(chosen.codes) < len(samples.codes):
        tell(0, 0, f"note: of {len(samples.codes)} labelled pixels {len(chosen.codes)} were tuned on, which fit into memory")
    chips = chips_of(scenes, chosen, scales, halo, seed)
    weights = balanced_weights(torch.from_numpy(chosen.targets.astype(np.int64)), len(chosen.legend))
    model = DenseClassifier(network, bands, weights, SMOOTHING, NOISE, DROPPED, sampled=settings.get("bands") == "sample")
    training, validation = chips.part(held=False), chips.part(held=True)
    assert training is not None
    start = {name: parameter.detach().clone() for name, parameter in network.named_parameters() if parameter.requires_grad}
    more = {
        "about": settings,
        "cyclic": CyclicScale(settings["cyclic"]) if "cyclic" in settings else None,
        "shares": rate_shares(model, settings.get("decay", DECAY)) if settings["head"] == "full" else None,
    }
    losses = _fitted(model, settings["head"], training, validation, seed, folder, tell, **more)
    go_part_of_the_way(network, start, WAY)
    return losses


def go_part_of_the_way(network: nn.Module, start: Mapping[str, Tensor], way: float) -> None:
    """Takes weights back towards where they began.

    What an adapter adds is a product that began at 0 by its second factor; that one goes back alone, so that the product goes back as far.

    Args:
        network: as tuned; changed in place.
        start: what learned of it, by name, as it began.
        way: 0 for the start, 1 for what was tuned.
    """
    import torch

    from hsikit.nn.adapted_layer import adapted_layers

    first_factors = tuple(f"{path}.{part}." for path, layer in adapted_layers(network).items() for part in ("lora_A", "down") if hasattr(layer, part))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in start and not name.startswith(first_factors):
                parameter.copy_(start[name].lerp(parameter, way))


def linear_head(
    features: NDArray[np.float64], samples: Samples, seed: int, folder: Path | None, tell: Callable[[int, int, str], None]
) -> tuple[StandardisedHead, dict[str, list[float]]]:
    """A linear head that was trained on features (n, width) that stay as they are, and its losses by name."""
    import torch

    from hsikit.nn.dense_classifier import StandardisedHead
    from hsikit.nn.tuning import Classifier, balanced_weights

    centre, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1.0
    inputs = torch.from_numpy(((features - centre) / scale).astype(np.float32))
    targets, held = torch.from_numpy(samples.targets.astype(np.int64)), torch.from_numpy(held_out(samples.targets, seed))
    torch.manual_seed(seed)
    as_they_are = torch.nn.Identity()
    as_they_are.width = features.shape[1]
    model = Classifier(as_they_are, len(samples.legend), balanced_weights(targets, len(samples.legend)), SMOOTHING, NOISE)
    history = _fitted(model, "linear", (inputs[~held], targets[~held]), (inputs[held], targets[held]) if held.any() else None, seed, folder, tell)
    return StandardisedHead(torch.from_numpy(centre), torch.from_numpy(scale), model.head.weight.detach(), model.head.bias.detach()), history


def discriminant_head(features: NDArray[np.float64], samples: Samples, axes: NDArray[np.float64], seed: int) -> StandardisedHead:
    """The head `lda` as a start for steps: fitted without the labels that tell when to stop, and only as sure as it is right about those."""
    import torch

    from hsikit.nn.dense_classifier import StandardisedHead

    held = held_out(samples.targets, seed)
    weights, intercepts = fit_both(axes, features[~held], samples.targets[~held], len(samples.legend))
    temperature = USUAL_TEMPERATURE
    if held.any():
        logits = features[held] @ weights.T + intercepts
        temperature = min(TEMPERATURES, key=lambda each: _surprise(logits / each, samples.targets[held]))
    centre, scale = features.mean(0), features.std(0)
    scale[scale == 0] = 1.0
    weights, intercepts = weights / temperature, (intercepts + weights @ centre) / temperature
    return StandardisedHead(*(torch.from_numpy(each) for each in (centre, scale, weights * scale, intercepts)))


def _surprise(logits: NDArray[np.float64], targets: NDArray[np.intp]) -> float:
    """The mean cross-entropy of logits (n, K)."""
    safe = logits - logits.max(1, keepdims=True)
    return float((np.log(np.exp(safe).sum(1)) - safe[np.arange(len(targets)), targets]).mean())


def _fitted(
    model: nn.Module, how: str, training: Sequence[Tensor], validation: Sequence[Tensor] | None, seed: int, folder: Path | None,
    tell: Callable[[int, int, str], None], **more: Any,
) -> dict[str, list[float]]:  # fmt: skip
    """Trains in place, stopping early where labels are held out; `more` is for `hsikit.nn.fit.fit`; the losses by name."""
    history = fit_or_resume(
        model, training, lr=RATES[how], seed=seed, folder=folder, progress=tell, validation=validation, epochs=TUNING["epochs"], batch=TUNING["batch"],
        patience=TUNING["patience"] if validation is not None else None, **more,
    )  # fmt: skip
    return {"tuning": list(history.losses), **({"validation": list(history.validation)} if history.validation else {})}


def affordable(samples: Samples, halo: int, seed: int) -> Samples:
    """The samples, thinned class by class until their chips fit into memory."""
    chip_bytes = 4 * len(samples.basis.bands) * (2 * (CHIP_RADIUS + halo) + 1) ** 2
    most = int(np.bincount(samples.targets).max())
    while len(np.unique(_cells(samples), axis=0)) * chip_bytes > CHIP_BYTES and most > 1:
        most //= 2
        samples = samples.thinned(most, seed)
    return samples


def _cells(samples: Samples) -> NDArray[np.intp]:
    """Scene, row and column of the chip that each pixel belongs to, shape (n, 3)."""
    width = 2 * CHIP_RADIUS + 1
    return np.stack([samples.scene, samples.rows // width, samples.cols // width], 1)


def chips_of(scenes: Sequence[LabelledScene], samples: Samples, scales: Mapping[int, BandScale], halo: int, seed: int) -> Chips:
    """The chips of the training pixels.

    Args:
        scenes: see `PixelClassifier.train`.
        samples: their training pixels.
        scales: of each scene, by `id` of its source.
        halo: pixels around the labels of a chip that an encoder needs.
        seed: of the labels held out.
    """
    import torch

    cells, chip = np.unique(_cells(samples), axis=0, return_inverse=True)
    chip, width, radius = chip.reshape(-1), 2 * CHIP_RADIUS + 1, CHIP_RADIUS + halo
    side = 2 * radius + 1
    values = torch.zeros(len(cells), len(samples.basis.bands), side, side)
    usable = torch.zeros(len(cells), side, side, dtype=torch.bool)
    codes = torch.full((len(cells), side, side), -1)
    held = torch.zeros(len(cells), side, side, dtype=torch.bool)
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(cells[:, 0] == number)
        centres = cells[mine, 1:] * width + CHIP_RADIUS
        index = samples.basis.match(scene.source.info)
        for part, windows in windows_at(scene.source, centres[:, 0], centres[:, 1], index, radius):
            filled, valid = filled_windows(windows, samples.basis.bands.wavelength)
            where = torch.from_numpy(mine[part])
            values[where] = scales[id(scene.source)].standardised(filled).float().masked_fill(~valid[:, None], 0.0)
            usable[where] = valid
    place = (torch.from_numpy(chip), *(torch.from_numpy(at % width + halo) for at in (samples.rows, samples.cols)))
    codes[place] = torch.from_numpy(samples.targets.astype(np.int64))
    held[place] = torch.from_numpy(held_out(samples.targets, seed))
    return Chips(values, usable, codes, held)

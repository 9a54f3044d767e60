"""What an encoder that has learned the scene cannot rebuild: an anomaly is a spectrum of which a hidden part does not follow from the rest.

For scenes of many covers: what belongs to a pixel's other bands is learned from all of them, and need be no linear function. A masked autoencoder
(He et al., 2022, doi:10.1109/CVPR52688.2022.01553) of single spectra on the project's encoder: it learns, for a bounded number of steps and from
pixels of the scene drawn by a seed, without labels, to rebuild runs of bands that are hidden. Then each of eight runs is hidden from every pixel in
turn, and the score is how far the errors of all bands lie from the usual ones, in their covariance over the drawn pixels: noise, and what is hard
to rebuild anywhere, count for little. What differs from autoencoders of whole spectra: no band is rebuilt from itself, so that nothing is gained by
copying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Layer
from hsikit.method import Cost, Fit, Job, Map, Partial, Reader, Reduce, Stage, Store, Tile
from hsikit.nn.adapters.hyper import FIRST, LAST
from hsikit.nn.body import BandFacts
from hsikit.nn.encoder import build_encoder
from hsikit.nn.rebuilding import Example, MaskedWindows, View
from hsikit.scene import SceneInfo
from hsikit.tasks.band_scale import BandScale, band_facts
from hsikit.tasks.detection.background import RIDGE, distances, row_chunks, scene_moments, temporary_bytes, whitener
from hsikit.tasks.detection.drawn_pixels import checked_seed, draw, drawn_bytes, merge_draws
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection

SAMPLE = 4096
"""Pixels drawn from the scene, to learn from."""
BATCH, LR = 64, 2e-3
RUNS, FEWEST = 8, 4
"""Runs of bands that are hidden in turn; bands of a scene, at least."""
SHRINKAGE = 0.1
MOST_EPOCHS = 1000
WEIGHTS = "rebuilding."
LOADED = 48 << 20
"""Bytes of what a training loads beside its arrays."""
SCORED_PIXELS = 2048
"""Pixels that go through the encoder at once: bounds the temporary arrays whatever the tile."""


@dataclass(frozen=True)
class EncoderResidual:
    """Error of bands rebuilt by an encoder of the scene.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        epochs: passes over 4096 pixels of the scene, in batches of 64.
        shrinkage: share of the errors' covariance that gives way to its mean eigenvalue, above 0, below 1.
        seed: of the pixels drawn, the first weights, and the bands hidden.

    Raises:
        OptionError: an option out of its range.
    """

    name: ClassVar[str] = "encoder-residual"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    epochs: int = 30
    shrinkage: float = SHRINKAGE
    seed: int = 0

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_seed(self.seed)
        if not 1 <= self.epochs <= MOST_EPOCHS:
            raise OptionError("-p epochs", f"{self.epochs} is no number of epochs", f"Give 1 to {MOST_EPOCHS}; the default is 30")
        if not RIDGE < self.shrinkage < 1:
            raise OptionError("-p shrinkage", f"{self.shrinkage} is not a share above {RIDGE:g}", f"Give less than 1; the default is {SHRINKAGE:g}")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32), and "hits" with `pfa`.

        Raises:
            SceneError: fewer than four good bands between 380 and 2520 nm.
        """
        import hsikit.nn.lightning_loop  # noqa: F401 - before a run measures the process: the training needs it

        scene = inputs["cube"]
        centres = scene.bands.wavelength
        used = tuple(int(i) for i in scene.bands.used if FIRST <= centres[i] <= LAST)
        if len(used) < FEWEST:
            wrong = f"{len(used)} of its good bands lie in {FIRST:g} to {LAST:g} nm, and {FEWEST} are needed"
            raise SceneError(scene.name, wrong, "Name its sensor or wavelengths, or use --method rx")
        return _Detection(self, scene, used).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[EncoderResidual]):
    """The stages for one scene."""

    def job(self) -> Job:
        told = self.options
        layers = [Layer("scores", description="squared distance of the errors of bands rebuilt by an encoder of the scene from the usual errors")]
        stages: list[Stage] = [
            Reduce("sample", ("cube",), self._gather, lambda left, right: merge_draws(left, right, SAMPLE), self._scale),
            Fit("network", ("cube",), lambda store: {}, self._learn, 1),
            Map("score", ("cube",), ("scores",), self._score),
        ]
        options = {"epochs": told.epochs, "shrinkage": told.shrinkage, "seed": told.seed}
        says = {
            **{name: f"{value:g}" for name, value in options.items()}, "bands_used": str(len(self.used)),
            "learned_unlabelled": f"an encoder, from up to {SAMPLE} of the scene's unlabelled pixels, in {told.epochs} passes",
        }  # fmt: skip
        return SceneDetection(told.name, self.used, told.pfa).job(layers, stages, self._cost, options, says)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        bands, pixels = len(self.used), tile[0] * tile[1]
        measuring = drawn_bytes(SAMPLE, bands, pixels)
        # Of some rows: spectra, standardised, as the adapter takes them, rebuilt, and their errors twice; the features of a block.
        scoring = max(SCORED_PIXELS, tile[1]) * (4 * 8 * bands + 4 * 64 * 10) + temporary_bytes(bands, tile[1]) + 4 * pixels
        learning = LOADED + SAMPLE * (4 * 11 * bands + 4 * 64 * 10) + BATCH * (4 * 8 * bands + 4 * 64 * 60)
        return Cost(max(measuring, scoring, learning), pixels * RUNS * (2.0 * 64 * bands + 2.0 * 4 * 2 * 64 * 128 + 2.0 * 32 * bands))

    def _gather(self, tile: Tile, store: Store) -> Partial | None:
        return draw(tile, SAMPLE, self.options.seed)

    def _scale(self, found: Partial, store: Store) -> Partial:
        """Standardised by the sample, not by the scene: its last digits do not depend on the tiles, and a training makes much of them."""
        exact = found["spectra"].double()
        scale = BandScale(exact.mean(0), exact.std(0, unbiased=False))
        if int(scale.varies.sum()) < FEWEST:
            raise SceneError(self.scene.name, f"fewer than {FEWEST} of its bands vary", "Use --method rx with -p ridge=1e-6")
        return {"spectra": found["spectra"], "mean": scale.mean, "deviation": scale.deviation}

    def _learn(self, state: Partial, reader: Reader, number: int, store: Store) -> Partial:
        """The whole training, which is short, and the usual errors."""
        from hsikit.nn.fit import fit

        sample, scale, facts = store["sample"], self._band_scale(store), self._facts(store)
        spectra = scale.standardised(sample["spectra"][..., None, None]).cpu()
        before = torch.random.get_rng_state()
        try:
            torch.manual_seed(self.options.seed)
            module = _Spectra(facts)
        finally:
            torch.random.set_rng_state(before)
        device = str(sample["spectra"].device)
        history = fit(module, (spectra,), epochs=self.options.epochs, batch=BATCH, lr=LR, seed=self.options.seed, device=device)
        errors = rebuilt_errors(module.rebuilding, View(spectra[..., 0].permute(2, 1, 0)[..., None], facts.on(spectra.device)))
        moments = scene_moments(errors, torch.ones(errors.shape[1:], dtype=torch.bool))
        assert moments is not None
        share = self.options.shrinkage
        usual = whitener(moments, share / (1 - share), self.scene.name, ())
        usual["whitener"] /= (1 - share) ** 0.5
        weights = {f"{WEIGHTS}{name}": value.detach().clone() for name, value in module.rebuilding.state_dict().items()}
        return {**weights, **usual, "losses": torch.tensor(history.losses, dtype=torch.float64)}

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid, learned = tile.inner("cube"), tile.inner_valid("cube"), store["network"]
        scale, facts = self._band_scale(store), self._facts(store)
        rebuilding = _rebuilding().to(values.device).eval()
        rebuilding.load_state_dict({name.removeprefix(WEIGHTS): value for name, value in learned.items() if name.startswith(WEIGHTS)})
        out = values.new_empty(values.shape[1:])
        for rows in row_chunks(values, SCORED_PIXELS):
            spectra = scale.standardised(torch.where(valid[rows], values[:, rows], 0.0))
            out[rows] = distances(rebuilt_errors(rebuilding, View(spectra[None], facts)), learned)
        return {"scores": out[None]}

    @staticmethod
    def _band_scale(store: Store) -> BandScale:
        return BandScale(store["sample"]["mean"], store["sample"]["deviation"])

    def _facts(self, store: Store) -> BandFacts:
        return band_facts(self.scene.bands.take(np.array(self.used)), self._band_scale(store))


def _rebuilding() -> MaskedWindows:
    """An encoder of single spectra, with fresh weights, and what rebuilds bands from its features: kernels of one pixel see no neighbour."""
    return MaskedWindows(build_encoder("tiny", mixers=(({"name": "dwconv", "kernel": 1},),)), pixels=0.0, agreement=0.0)


class _Spectra(nn.Module):
    """The objective for spectra of one scene, as `fit` takes it."""

    def __init__(self, bands: BandFacts) -> None:
        super().__init__()
        self.rebuilding, self._bands = _rebuilding(), bands

    def loss(self, batch: Sequence[Tensor], generator: Generator) -> Tensor:
        """The mean squared error of the bands that are hidden, of spectra (n, C, 1, 1)."""
        spectra = batch[0]
        usable = torch.ones(len(spectra), 1, 1, dtype=torch.bool, device=spectra.device)
        view = View(spectra, self._bands.on(spectra.device))
        return self.rebuilding.loss(Example(view, None, spectra, usable, spectra.new_zeros(0)), generator)


def rebuilt_errors(rebuilding: MaskedWindows, view: View) -> Tensor:
    """Errors of the bands that count, each rebuilt while its run is hidden.

    Args:
        rebuilding: what rebuilds them, in evaluation mode.
        view: standardised spectra of some pixels, (1, C, rows, cols).

    Returns:
        float32, shape (valid bands, rows, cols).
    """
    places = view.bands.valid.nonzero()[:, 0]
    usable = torch.ones_like(view.values[:, 0], dtype=torch.bool)
    errors = []
    with torch.inference_mode(), torch.autocast(view.values.device.type, enabled=False):
        for run in places.tensor_split(min(RUNS, len(places))):
            shown = view.bands.valid.clone()
            shown[run] = False
            features = rebuilding.features(view, shown, ~usable, usable)
            errors.append(rebuilding.decode(features, view.bands)[0, run] - view.values[0, run])
        return torch.cat(errors)

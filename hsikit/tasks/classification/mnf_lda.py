"""MNF and linear discriminant analysis of standardised spectra: the default classifier, strong with few labels.

Brightness is taken out of each spectrum; the minimum noise fraction of the whole scene (no labels needed) whitens the noise
and keeps the strong components; a small spatial mean over valid pixels steadies them; linear discriminant analysis with
automatic shrinkage needs ten labels a class. Green et al., 1988 (doi:10.1109/36.3001), for MNF; Ledoit and Wolf, 2004
(doi:10.1016/S0047-259X(03)00096-4), for the shrinkage. What differs: components, width of the mean and standardisation are
chosen by spatially disjoint cross-validation inside the labels; MNF, mean and discriminant being linear, a map costs one
product of K rows a pixel, then a mean over K channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError, OptionError
from hsikit.method import Cost, Input, Job, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.mnf import Mnf, fold_bytes, mnf_from_moments, mnf_moments
from hsikit.spectral.moments import Moments, merge_moments
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.mnf_lda_choice import candidates, choose, neighbourhood_means, parse_options
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

STATISTICS = "statistics"


@dataclass(frozen=True, eq=False)
class MnfLda(PixelClassifier):
    """A trained model.

    Arrays: `weights` (K, C) and `intercepts` (K,), the logits of a spectrum minus `mean` (C,), standardised where the setting
    says so; `neighbourhoods` (n, C), the spatial means of its training spectra, and `targets` (n,), from which it is refitted.

    Attributes:
        refit_statistics: learn mean, noise and covariance anew on the mapped scene, and the discriminant in their space.
    """

    refit_statistics: bool = False
    chunk: ClassVar[int] = 1024
    name: ClassVar[str] = "mnf-lda"
    learned_unlabelled: ClassVar[str] = "components"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "mean": ("C",),
        "weights": ("K", "C"),
        "intercepts": ("K",),
        "neighbourhoods": ("n", "C"),
        "targets": ("n",),
    }
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"components": (int,), "width": (int,), "standardise": (bool,)}

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes, and from all their unlabelled pixels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: which pixels are kept where a class has more than 2000, and which 300 of a class choose the setting.
            run: the engine's `compute`, for the statistics of whole scenes.
            progress: passed to `run`.
            options: `components`, `width` (1, 3, 5, ...), `standardise` (bool). Those not given are chosen by
                cross-validation inside the labels.

        Raises:
            OptionError: a number of components or a width that makes no sense.
        """
        basis = Basis.of(scenes[0].source.info)
        fixed = parse_options(options, len(basis.bands))
        tried = candidates(fixed, len(basis.bands))
        samples = training_samples(scenes, most=2000, seed=seed)
        transforms = scene_transforms(scenes, basis, sorted({setting.standardise for setting in tried}), run, progress)
        setting, share = choose(scenes, samples.thinned(300, seed), transforms, tried)
        kind = (setting.standardise, setting.width)
        kept = neighbourhood_means(scenes, samples, {kind})[kind].astype(np.float32)
        arrays = fit_logits(transforms[setting.standardise], kept, samples.targets, len(samples.legend), setting.components)
        arrays |= {"neighbourhoods": kept, "targets": samples.targets.astype(np.int32)}
        chosen = [key for key in ("components", "width", "standardise") if key not in fixed]
        return cls(samples.basis, samples.legend, arrays, {**setting.to_json(), "chosen_by_cross_validation": chosen, "cross_validated_accuracy": share})

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or a setting is out of range."""
        super().check_arrays()
        try:
            parse_options({name: self.settings[name] for name in self.kinds}, len(self.basis.bands))
        except OptionError as error:
            raise ValueError(f"setting {error}") from error
        if len(np.unique(self.arrays["targets"])) < len(self.legend):
            raise ValueError("array 'targets' lacks a class of the legend")

    @property
    def radius(self) -> int:
        """Radius of the spatial mean."""
        return int(self.settings["width"]) // 2

    def statistics(self) -> tuple[Stage, ...]:
        """With `refit_statistics`: one fold over the scene, then the discriminant anew."""
        if not self.refit_statistics:
            return ()
        return (moment_stage((bool(self.settings["standardise"]),), self._refit),)

    def _refit(self, stored: Moments, store: Store) -> Moments:
        import torch

        require_pixels(stored, self.name)
        transform = mnf_from_moments(stored, _prefix(self.settings["standardise"]))
        targets = self.arrays["targets"].astype(np.intp)
        arrays = fit_logits(transform, self.arrays["neighbourhoods"], targets, len(self.legend), int(self.settings["components"]))
        device = next(iter(stored.values())).device
        return {key: torch.from_numpy(value).to(device) for key, value in arrays.items()}

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols) log-softmax of the logits of the neighbourhoods' mean; NaN where not valid."""
        import torch

        values, valid = tile.arrays["cube"], tile.valid["cube"]
        learned = store[STATISTICS] if self.refit_statistics else self.tensors(values.device)
        scores = torch.zeros(len(self.legend), valid.numel(), dtype=torch.float64, device=values.device)
        spectra = values.reshape(len(values), -1)
        for start in range(0, valid.numel(), self.chunk):
            part = slice(start, start + self.chunk)
            if valid.view(-1)[part].any():
                scores[:, part] = self._scores(spectra[:, part], learned)
        scores = scores.view(-1, *valid.shape)
        logits = box_mean(scores, valid, self.radius) + learned["intercepts"][:, None, None]
        return logits.log_softmax(0).float().masked_fill_(~tile.inner_valid("cube"), float("nan"))

    def _scores(self, spectra: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
        """(K, n) logits without intercepts of spectra (C, n). In float64: whitened weights are large and of both signs."""
        spectra = spectra.double()
        spectra = standardise(spectra) if self.settings["standardise"] else spectra
        return learned["weights"] @ (spectra - learned["mean"][:, None])

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        bands, classes, pixels = len(self.basis.bands), len(self.legend), tile_shape[0] * tile_shape[1]
        fold = fold_bytes(bands) if self.refit_statistics else 0
        flops = pixels * (2.0 * bands * classes + 8 * bands + (4 * bands * bands if self.refit_statistics else 0))
        mapping = max(pixels * 8 * 4 * classes, pixels * 8 * classes + self.chunk * bands * 8 * 7)
        return Cost(max(mapping, pixels * 2 * 8 + fold), flops)

    def identity(self) -> dict[str, Any]:
        """What tells this model and its options from another."""
        return {**super().identity(), "refit_statistics": self.refit_statistics}


def fit_logits(transform: Mnf, neighbourhoods: NDArray[Any], targets: NDArray[np.intp], classes: int, components: int) -> dict[str, NDArray[Any]]:
    """`mean`, `weights` and `intercepts` of the discriminant in the first components of a transform, as one linear map of spectra."""
    vectors = transform.vectors[:, :components]
    weights, intercepts = fit_lda((neighbourhoods.astype(np.float64) - transform.mean) @ vectors, targets, classes)
    return {"mean": transform.mean, "weights": weights @ vectors.T, "intercepts": intercepts}


def moment_stage(kinds: Sequence[bool], finish: Callable[[Moments, Store], Moments] = lambda stored, store: stored) -> Reduce:
    """The fold that gathers the statistics of raw (False) or standardised (True) spectra, or of both, in one pass."""

    def update(tile: Tile, store: Store) -> Moments | None:
        # One column more to the right: each neighbour difference counts in the tile that holds its left pixel.
        rows, cols = tile.cores["cube"]
        cut = (rows, slice(cols.start, cols.stop + 1))
        values, valid = tile.arrays["cube"][(slice(None), *cut)], tile.valid["cube"][cut]
        if not valid.any():
            return None
        return {key: value for kind in kinds for key, value in mnf_moments(values, valid, standardised=kind, name=_prefix(kind)).items()}

    return Reduce(STATISTICS, ("cube",), update, merge_moments, finish, halo=(0, 1))


def scene_transforms(scenes: Sequence[LabelledScene], basis: Basis, kinds: Sequence[bool], run: Callable[..., Any], progress: Any) -> dict[bool, Mnf]:
    """The transforms of whole scenes, all their pixels together; for raw (False) or standardised (True) spectra, or both.

    Raises:
        ModelError: a scene without a valid pixel.
    """
    folded: Moments | None = None
    for source in {id(scene.source): scene.source for scene in scenes}.values():
        found = run(_statistics_job(basis, source.info, kinds), {"cube": source}, progress=progress).store[STATISTICS]
        stored = {key: value.cpu() for key, value in found.items()}
        require_pixels(stored, source.info.name)
        folded = stored if folded is None else merge_moments(folded, stored)
    return {kind: mnf_from_moments(folded or {}, _prefix(kind)) for kind in kinds}


def _statistics_job(basis: Basis, info: SceneInfo, kinds: Sequence[bool]) -> Job:
    bands = len(basis.bands)
    return Job(
        method="mnf-statistics",
        identity={"kinds": [bool(kind) for kind in kinds]},
        reference="cube",
        inputs={"cube": Input(tuple(int(b) for b in basis.match(info)))},
        layers=(),
        stages=(moment_stage(kinds),),
        cost=lambda shape: Cost(fold_bytes(bands, len(kinds)), shape[0] * shape[1] * 8.0 * bands * bands),
    )


def require_pixels(stored: Mapping[str, Tensor], where: str) -> None:
    """Raises ModelError where statistics were gathered from fewer than two pixels."""
    counts = [float(value) for key, value in stored.items() if key.endswith("total_count")]
    if not counts or min(counts) < 2:
        raise ModelError(where, "fewer than two valid pixels: no statistics can be learned", "Check its nodata value and its mask")


def _prefix(standardised: bool) -> str:
    return "standardised_" if standardised else "raw_"

"""Random forest on single spectra: quick to train, untroubled by bands of unlike scale.

Breiman, 2001 (doi:10.1023/A:1010933404324); Ham et al., 2005, for imaging spectroscopy (doi:10.1109/TGRS.2004.842481).
Grown by scikit-learn, stored as flat arrays, walked by torch. Probabilities are the mean of the leaves' class shares, equal
to scikit-learn's. Thresholds are rounded down to float32: for float32 spectra the comparisons come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.method import Store
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.samples import Samples, refuse_unknown, training_samples
from hsikit.tasks.forest import CHUNK, flat_forest, forest_mean

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

USUAL: Mapping[str, int] = {"trees": 200, "leaf_pixels": 1, "max_depth": 24}


@dataclass(frozen=True, eq=False)
class RandomForest(PixelClassifier):
    """A grown forest. Arrays, over the N nodes of all T trees one after another.

    `band` and `threshold` of each node; `child`, the position of its left child within the tree (the right one follows it; a
    leaf is its own child, with threshold infinity); `leaf`, its row in `shares` (L, K), or 0; `first` and `depth` of each tree.
    """

    name: ClassVar[str] = "random-forest"
    chunk: ClassVar[int] = CHUNK
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "band": ("N",), "threshold": ("N",), "child": ("N",), "leaf": ("N",), "shares": ("L", "K"), "first": ("T",), "depth": ("T",),
    }  # fmt: skip

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: of the bootstrap and of the bands tried at each node.
            run: not needed.
            progress: not needed.
            options: `trees` (200), `leaf_pixels` (1: the fewest training pixels in a leaf), `max_depth` (24).

        Raises:
            OptionError: a number below 1.
        """
        refuse_unknown(cls.name, options, USUAL)
        settings = {**USUAL, **options}
        for key, number in settings.items():
            if not isinstance(number, int) or number < 1:
                raise OptionError(key, f"{number!r} is not a whole number from 1")
        return cls.from_samples(training_samples(scenes), seed=seed, **settings)

    @classmethod
    def from_samples(cls, samples: Samples, *, seed: int = 0, **settings: int) -> Self:
        """The same from spectra that were read already; `settings` are all of the options."""
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            settings["trees"], min_samples_leaf=settings["leaf_pixels"], max_depth=settings["max_depth"], max_features="sqrt", n_jobs=2, random_state=seed
        )
        forest.fit(samples.spectra, samples.targets)
        return cls(samples.basis, samples.legend, flatten_forest([tree.tree_ for tree in forest.estimators_]), settings)

    def probabilities(self, spectra: Tensor) -> Tensor:
        """(n, K) mean of the leaves' class shares, for spectra of shape (n, C)."""
        learned = self.tensors(spectra.device)
        return forest_mean({**learned, "leaves": learned["shares"]}, spectra)

    def pixel_log_probabilities(self, spectra: Tensor, store: Store) -> Tensor:
        """(n, K) logarithms of the probabilities."""
        return self.probabilities(spectra).clamp_(min=1e-30).log_()

    def chunk_bytes(self) -> int:
        """Temporary memory of one chunk of pixels."""
        return self.chunk * (12 * len(self.basis.bands) + 24 * len(self.legend) + 40)

    def pixel_flops(self) -> float:
        """Operations a pixel."""
        return 20.0 * float(self.arrays["depth"].sum())

    def check_arrays(self) -> None:
        """Raises ValueError where shapes do not fit, or a node points outside its tree."""
        super().check_arrays()
        first, nodes = self.arrays["first"], len(self.arrays["band"])
        sizes = np.diff([*first.tolist(), nodes])
        if len(first) == 0 or first[0] != 0 or (sizes <= 0).any():
            raise ValueError("the trees of the forest overlap")
        size = np.repeat(sizes, sizes)
        child, leaf, band = self.arrays["child"], self.arrays["leaf"], self.arrays["band"]
        split = np.isfinite(self.arrays["threshold"])
        outside = (child < 0) | (child + split >= size) | (leaf < 0) | (leaf >= len(self.arrays["shares"])) | (band < 0) | (band >= len(self.basis.bands))
        if outside.any():
            raise ValueError("a node of the forest points outside it")


def flatten_forest(trees: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """The arrays of `RandomForest` from scikit-learn's trees."""
    flat = flat_forest(trees, _class_shares)
    return {**{key: value for key, value in flat.items() if key != "leaves"}, "shares": flat["leaves"]}


def _class_shares(tree: Any, leaves: NDArray[np.intp]) -> NDArray[Any]:
    shares: NDArray[Any] = tree.value[leaves, 0]
    return np.asarray(shares / shares.sum(1, keepdims=True))

"""RX: how far each pixel lies from the background of the scene, and the points where that is too far.

For analysts who look for what they cannot name: vehicles, spills, outcrops. Reed and Yu, "Adaptive multiple-band CFAR detection
of an optical pattern with unknown spectral distribution", 1990 (doi:10.1109/29.60107), in its global form. What differs: the
covariance is loaded with a ridge of 1e-10 of its mean eigenvalue, far below what changes a score; and the threshold is the
scene's own quantile, because scores of real scenes have far heavier tails than the chi-square law, whose threshold is given beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.layers import Layer
from hsikit.method import Cost, Job, Map, Partial, Reduce, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.detection.background import RIDGE, checked_ridge, distances, temporary_bytes, whitener
from hsikit.tasks.detection.hit_stages import checked_pfa
from hsikit.tasks.detection.scene_detection import OnScene, SceneDetection, good_bands, measure


@dataclass(frozen=True)
class RX:
    """Global RX.

    Attributes:
        pfa: share of the valid pixels that may exceed the threshold; None: scores alone, no hits.
        ridge: share of the covariance's mean eigenvalue that is added to all eigenvalues.

    Raises:
        OptionError: a `pfa` outside 0 to 1, or a negative ridge.
    """

    name: ClassVar[str] = "rx"
    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    pfa: float | None = None
    ridge: float = RIDGE

    def __post_init__(self) -> None:
        checked_pfa(self.pfa)
        checked_ridge(self.ridge)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "scores" (float32, chi-square distributed for a Gaussian background), and "hits" with `pfa`.

        Raises:
            SceneError: the scene has no good band.
        """
        return _Detection(self, inputs["cube"], good_bands(inputs["cube"])).job()


@dataclass(frozen=True, eq=False)
class _Detection(OnScene[RX]):
    """The stages for one scene."""

    def job(self) -> Job:
        pfa, bands = self.options.pfa, len(self.used)
        layers = [Layer("scores", description="squared Mahalanobis distance from the scene's mean (RX)")]
        stages: list[Stage] = [
            Reduce("background", ("cube",), measure, merge_moments, self._whitener),
            Map("score", ("cube",), ("scores",), self._score),
        ]
        says = {"bands_used": str(bands), "ridge": f"{self.options.ridge:g}", "covariance": "global, over n - 1"}
        law = {} if pfa is None else {"chi_square_threshold": self._chi_square(pfa)}
        return SceneDetection(self.options.name, self.used, pfa).job(layers, stages, self._cost, {"ridge": self.options.ridge}, says, **law)

    def _chi_square(self, pfa: float) -> float:
        """The threshold that a Gaussian background would have."""
        from scipy.stats import chi2

        return float(chi2.isf(pfa, len(self.used)))

    def _cost(self, tile: tuple[int, int]) -> Cost:
        pixels = tile[0] * tile[1]
        # The passes over the bits of the scores: a compressed copy, its bits, the digits as int64 in two copies.
        counting = 0 if self.options.pfa is None else 32 * pixels
        return Cost(max(temporary_bytes(len(self.used), tile[1]), counting), 2.0 * len(self.used) ** 2 * pixels)

    def _whitener(self, found: Partial, store: Store) -> Partial:
        names = tuple(self.scene.bands.names[i] for i in self.used)
        return {**found, **whitener(found, self.options.ridge, self.scene.name, names)}

    def _score(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return {"scores": distances(tile.inner("cube"), store["background"])[None]}

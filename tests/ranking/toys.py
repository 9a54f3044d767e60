"""A scene of correlated noise with small objects of one spectrum, and its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hsikit.method import Job
from hsikit.scene import SceneInfo
from hsikit.tasks.detection.spectral_angle import SpectralAngle
from hsikit.tasks.detection.target_spectra import TargetSpectra
from tests.tasks.classification.scenes import ArraySource, source

BANDS, ROWS, COLS = 8, 44, 40
CORNERS = ((5, 6), (12, 30), (20, 11), (27, 27), (35, 5), (38, 33))
"""Of objects of 2 x 2 pixels."""


def planted(seed: int = 0, share: float = 0.25, name: str = "scene.tif") -> tuple[ArraySource, np.ndarray]:
    """An open scene with holes, and where its targets are, (rows, cols): 1 a target, 0 background."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(BANDS, BANDS))
    values = 50 + np.einsum("bk,krc->brc", mixing, rng.normal(size=(BANDS, ROWS, COLS)))
    target, truth = 50 + 9 * rng.normal(size=BANDS), np.zeros((ROWS, COLS), np.uint8)
    for row, col in CORNERS:
        truth[row : row + 2, col : col + 2] = 1
    filled = share * rng.uniform(0.3, 1.7, truth.shape)
    values = np.where(truth, (1 - filled) * values + filled * target[:, None, None], values)
    values[:, rng.random(truth.shape) < 0.02] = np.nan
    values[:, 20, 11] = np.nan  # a target without data
    return source(values, name=name), truth


def counted_area(scores: np.ndarray, target: np.ndarray) -> float:
    """The chance that a target scores higher than background, pair by pair."""
    there = ~np.isnan(scores)
    apart = scores[there & target][:, None] - scores[there & ~target]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def matched(values: np.ndarray, pixels: np.ndarray, shrinkage: float = 0.01) -> np.ndarray:
    """The matched filter's abundance of the mean of pixels (n, 2), in float64."""
    spectra = values.astype(np.float64)
    good = spectra.reshape(len(values), -1).T
    good = good[~np.isnan(good).any(1)]
    mean, moments = good.mean(0), np.cov(good.T)
    moments = (1 - shrinkage) * moments + shrinkage * np.trace(moments) / len(values) * np.eye(len(values))
    towards = spectra[:, pixels[:, 0], pixels[:, 1]].mean(1) - mean
    weights = np.linalg.solve(moments, towards)
    return np.einsum("b,brc->rc", weights, spectra - mean[:, None, None]) / (towards @ weights)


def unusual(values: np.ndarray) -> np.ndarray:
    """Squared distance from the scene's mean, in float64."""
    spectra = values.astype(np.float64)
    good = spectra.reshape(len(values), -1).T
    good = good[~np.isnan(good).any(1)]
    apart = spectra - good.mean(0)[:, None, None]
    return np.einsum("brc,bd,drc->rc", apart, np.linalg.inv(np.cov(good.T)), apart)


@dataclass(frozen=True)
class Seeker:
    """What another package may bring: a detector of targets without a layer of scores."""

    task: ClassVar[str] = "detection"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    targets: TargetSpectra

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        job = SpectralAngle(self.targets).bind(inputs)
        return replace(job, layers=tuple(replace(layer, name="another") for layer in job.layers))

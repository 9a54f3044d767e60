"""Four simulated scenes, each overlapping the next by a third: their maps with dates, confidences, clouds and angles, and the pixel that each rule names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.mosaic.maps import on_whole, write_map

ROWS, COLS, STEP = 40, 36, 24
SHAPE = (ROWS, COLS + 3 * STEP)
TIMES = ("2024-05-01T10:00:00Z", "2024-07-01T10:00:00Z", "2024-06-01T10:00:00Z", "2024-04-01T10:00:00+02:00")


@dataclass(frozen=True)
class Four:
    """The maps, and what they hold on the whole of the mosaic: shape (4, rows, cols), 0 and NaN outside of each."""

    paths: list[Path]
    codes: np.ndarray
    confidence: np.ndarray
    cloud: np.ndarray
    view_zenith: np.ndarray
    lateness: tuple[int, ...] = field(default=(1, 3, 2, 0), kw_only=True)

    def expected(self, scores: np.ndarray, masked_yields: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Codes and numbers of the maps (from 1) pixel by pixel, by sorting: value before mask before nothing, then score, then order."""
        shape = self.codes.shape[1:]
        out, number = np.zeros(shape, np.uint8), np.zeros(shape, np.uint32)
        for row in range(shape[0]):
            for col in range(shape[1]):
                there = [i for i in range(4) if self.codes[i, row, col] != 0]
                if there:
                    kinds = {i: int(self.codes[i, row, col] != 255 or not masked_yields) for i in there}
                    found = {i: scores[i, row, col] if np.isfinite(scores[i, row, col]) else -np.inf for i in there}
                    best = sorted(there, key=lambda i: (-kinds[i], -found[i], i))[0]
                    out[row, col], number[row, col] = self.codes[best, row, col], best + 1
        return out, number

    def of_scenes(self, scores: tuple[float, ...]) -> np.ndarray:
        return np.broadcast_to(np.array(scores)[:, None, None], self.codes.shape)


def make_four(folder: Path, seed: int = 0) -> Four:
    rng = np.random.default_rng(seed)
    paths, whole = [], []
    for i in range(4):
        codes = rng.choice([1, 2, 3], (ROWS, COLS)).astype(np.uint8)
        codes[rng.random(codes.shape) < 0.1] = 255
        codes[:3, :5] = codes[-2:] = 0
        # Few steps, so that maps tie; nothing where there is no class.
        layers = {name: np.where(codes % 255 == 0, np.nan, rng.integers(0, 6, codes.shape) / 5) for name in ("confidence", "cloud", "view_zenith")}
        paths.append(write_map(folder / f"scene{i}.tif", codes, (0, i * STEP), acquired=TIMES[i], **layers))
        whole.append(
            [on_whole(SHAPE, codes, (0, i * STEP), 0), *(on_whole(SHAPE, values.astype(np.float32), (0, i * STEP), np.nan) for values in layers.values())]
        )
    stacked = [np.stack(arrays) for arrays in zip(*whole, strict=True)]
    return Four(paths, *stacked)


def scores_of(four: Four, rule: str) -> np.ndarray:
    """What a rule ranks by, larger is better, from the arrays that the files were made of."""
    return {
        "first": four.of_scenes((0, -1, -2, -3)),
        "latest": four.of_scenes(four.lateness),
        "most-confident": four.confidence,
        "least-cloud": -four.cloud,
        "nearest-nadir": -four.view_zenith,
    }[rule]

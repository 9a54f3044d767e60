"""RX beside SPy's `spectral.rx` on one generated scene, in one run: time from the image, and once statistics exist.

    python benchmarks/rx.py --rows 600 --cols 600 --bands 200 --threads 1

Both have the scene in memory in the layout that they prefer (tiles with bands first for ours, bands last for SPy) and the same number of
threads. "stages" is the mathematics alone, strip by strip; "engine" is the whole run with reading, decoding and writing to the
working file. The ratio is SPy's time over ours: above 1 is faster than SPy.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TILE, STRIP = 128, 64
Times = tuple[float, float]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--cols", type=int, default=600)
    parser.add_argument("--bands", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


def best(run: Callable[[], Any], repeat: int) -> tuple[Times, Any]:
    """Shortest of several wall times and of several CPU times, and the last answer."""
    wall, cpu = [], []
    for _ in range(repeat):
        start = time.perf_counter(), time.process_time()
        answer = run()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return (min(wall), min(cpu)), answer


def make_scene(rows: int, cols: int, bands: int) -> Any:
    """Radiance-like int16: twelve correlated factors and noise, shape (bands, rows, cols)."""
    import numpy as np

    rng = np.random.default_rng(0)
    factors = rng.normal(size=(bands, 12)).cumsum(0) * 20
    scene = np.empty((bands, rows, cols), np.int16)
    for row in range(rows):
        scene[:, row] = 3000 + factors @ rng.normal(size=(12, cols)) + 15 * rng.normal(size=(bands, cols))
    return scene


class InMemory:
    """A source over an array, so that no disk is timed."""

    block = (1, 1)

    def __init__(self, values: Any) -> None:
        import numpy as np

        from hsikit.geo.grid import Grid
        from hsikit.scene import Bands, SceneInfo

        bands = len(values)
        axis = Bands(np.linspace(400, 2500, bands), np.full(bands, 10.0), np.ones(bands, bool), tuple(map(str, range(bands))))
        self.values = values
        self.info = SceneInfo("generated", Grid(values.shape[1:]), axis, str(values.dtype), "memory", identity=("generated", *values.shape))

    def read(self, window: Any, bands: Any) -> Any:
        """All bands of a window."""
        from hsikit.scene import Decoding, Raw

        return Raw(self.values[(slice(None), *window.slices())], window, Decoding())

    def close(self) -> None:
        """Nothing is open."""


def spy(image: Any, repeat: int) -> tuple[Times, Times, Any]:
    import spectral

    whole, scores = best(lambda: spectral.rx(image), repeat)
    statistics = spectral.calc_stats(image)
    again, _ = best(lambda: spectral.rx(image, background=statistics), repeat)
    return whole, again, scores


def stages(image: Any, threads: int, repeat: int) -> tuple[Times, Times, Any]:
    """The two stages of the Job over float32 tiles, as the engine hands them over, in workers of one BLAS thread each."""
    import torch

    from hsikit.spectral.moments import merge_moments
    from hsikit.tasks.detection.background import RIDGE, distances, scene_moments, whitener

    bands, rows, cols = image.shape
    tiles = [image[:, row : row + STRIP].contiguous() for row in range(0, rows, STRIP)]
    valid = torch.ones(STRIP, cols, dtype=torch.bool)
    names = tuple(map(str, range(bands)))

    def statistics() -> Any:
        partials = pool.map(lambda tile: scene_moments(tile, valid[: tile.shape[1]]), tiles)
        return whitener(functools.reduce(merge_moments, partials), RIDGE, "generated", names)

    def score(background: Any) -> Any:
        return torch.cat(list(pool.map(lambda tile: distances(tile, background), tiles)))

    with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        whole, scores = best(lambda: score(statistics()), repeat)
        background = statistics()
        again, _ = best(lambda: score(background), repeat)
    return whole, again, scores.numpy()


def engine(scene: Any, threads: int, repeat: int) -> tuple[Times, Any]:
    from hsikit.engine import compute
    from hsikit.tasks.detection.rx import RX

    source = InMemory(scene)
    job = RX().bind({"cube": source.info})
    return best(lambda: compute(job, {"cube": source}, threads=threads, tile=TILE).layers["scores"][0], repeat)


def main() -> None:
    options = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    import numpy as np
    import torch

    torch.set_num_threads(options.threads)
    scene = make_scene(options.rows, options.cols, options.bands)
    image = np.ascontiguousarray(scene.transpose(1, 2, 0), np.float32)
    spy_whole, spy_again, expected = spy(image, options.repeat)
    del image
    whole, again, scores = stages(torch.from_numpy(scene.astype(np.float32)), options.threads, options.repeat)
    run, mapped = engine(scene, options.threads, options.repeat)
    print(f"{options.rows} x {options.cols} x {options.bands}, {options.threads} thread(s), best of {options.repeat}; wall seconds, SPy's time over ours")
    for label, theirs, ours in (
        ("from the image, stages", spy_whole, whole),
        ("from the image, engine", spy_whole, run),
        ("scores alone, stages", spy_again, again),
    ):
        ratio, cpu = (mine / yours for mine, yours in zip(theirs, ours, strict=True))
        print(f"{label:24} SPy {theirs[0]:7.3f}  ours {ours[0]:7.3f}  ratio {ratio:5.2f} (by CPU time {cpu:5.2f})")
    apart = max(np.abs(scores - expected).max(), np.abs(mapped - expected).max()) / expected.max()
    print(f"largest difference {apart:.1e} of the range")


if __name__ == "__main__":
    main()

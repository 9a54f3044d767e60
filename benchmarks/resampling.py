"""How fast spectra become another sensor's bands, and how exact the weights are.

    python -m benchmarks.resampling --spectra 250000

Spectra of EMIT's bands to Sentinel-2 by its measured responses, and to Landsat 9 and EnMAP; beside a plain matrix product of the same
weights. Targets: 250,000 spectra of 285 bands to Sentinel-2 in at most 0.5 s (float32, two cores), and weights that equal brute-force
integration to 1e-6. Also what continuum removal and smoothing of as many spectra take, without a target. Each figure is the best of
several runs, without making the weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hsikit.sensors import sensor_bands
from hsikit.sensors.responses import sensor_response
from hsikit.spectral.continuum import continuum_removed
from hsikit.spectral.resample import Resampling, gaussian_resampling, response_resampling
from hsikit.spectral.smooth import smoothing_matrix

TARGET = "sentinel-2"
Array = NDArray[np.float32]


def weights_to(name: str) -> Resampling:
    """From EMIT's bands to a sensor's."""
    emit, table, response = sensor_bands("emit"), sensor_bands(name), sensor_response(name)
    if response is None:
        return gaussian_resampling(emit.wavelength, emit.fwhm, table.wavelength, table.fwhm)
    return response_resampling(emit.wavelength, emit.fwhm, response.wavelength, response.response)


def seconds(work: Callable[[], object], repeats: int) -> float:
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return float(best)


def worst_difference(seed: int) -> float:
    """Of Sentinel-2's bands from a random spectrum, by weights and by summing a grid of 1 pm steps."""
    emit, response = sensor_bands("emit"), sensor_response(TARGET)
    assert response is not None
    values = np.random.default_rng(seed).random(len(emit.wavelength))
    by_weights = weights_to(TARGET).weights @ values
    worst = 0.0
    for curve, found in zip(response.response, by_weights, strict=True):
        seen = np.flatnonzero(curve)
        low, high = response.wavelength[seen[0] - 1], response.wavelength[seen[-1] + 1]
        step = 1e-3
        grid = np.arange(low, high, step) + step / 2
        height = np.interp(grid, response.wavelength, curve)
        worst = max(worst, abs(float((height * np.interp(grid, emit.wavelength, values)).sum() / height.sum()) - float(found)))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    nm = sensor_bands("emit").wavelength
    first: Array = np.random.default_rng(args.seed).random((len(nm), args.spectra), np.float32)
    print(f"{args.spectra:,} spectra of {len(nm)} bands, seconds, best of {args.repeats}")
    print(f"{'to':14}{'bands first':>13}{'bands last':>13}{'plain product':>15}")
    last = np.ascontiguousarray(first.T)
    for name in (TARGET, "landsat-9", "enmap"):
        means = weights_to(name)
        plain = means.weights.toarray().astype(np.float32)
        taken = [
            seconds(lambda means=means: means.apply_first(first), args.repeats),
            seconds(lambda means=means: means.apply(last), args.repeats),
            seconds(lambda plain=plain: plain @ first, args.repeats),
        ]
        aim = "  target 0.5" if name == TARGET else ""
        print(f"{name:14}{taken[0]:13.3f}{taken[1]:13.3f}{taken[2]:15.3f}{aim}")
    smooth = smoothing_matrix(nm, 60.0, 2)
    print(f"smoothing (60 nm, order 2)  {seconds(lambda: smooth.apply(last), 1):.2f}")
    print(f"continuum removal           {seconds(lambda: continuum_removed(last, nm), 1):.2f}")
    print(f"largest difference from brute force: {worst_difference(args.seed):.1e}, target 1e-6")


if __name__ == "__main__":
    main()

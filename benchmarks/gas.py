"""A plume retrieved by mag1c, and by a plain restatement of it, from the same simulated radiance.

    python -m benchmarks.gas --draws 5

32 detectors of 512 pixels in 73 bands, 30 pixels of 1000 ppm m in each, 0.2 % noise: mean and root mean square error over the plume, CPU seconds
on one thread, the share of plume pixels whose truth lies within one uncertainty, and the mean of pixels without gas. *Floor*: the error over the
same plume of the filter that knows the ground's true mean and covariance, to which no column's own can come, and its bound, the same over 80,000
spectra without gas. Twice: over ground of one spectrum, 0.3 to 1.5 of its brightness, where the plain restatement scores about what the released mag1c
was measured to (mean 989, error 64, without gas 3.6; plain filter 784, spread 108: the simulation behind these is not to be had), and over four covers mixed
in each pixel. *Stripes*: how far the means of columns without gas scatter, without gains of the detectors, with gains that differ by 1 %, and by one
background for all columns. *Real ground* (`--data`): reflectance of EnMAP over Potsdam, half tiles as columns, the gas multiplied in.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS, AT_ONCE = 30, 16
WINDOW, PLUME = (2122.0, 2488.0), 30
GROUNDS: dict[str, dict[str, Any]] = {"one spectrum": {"covers": 1, "brightness": (0.3, 1.5)}, "four covers": {}}
"""Of `gas_scene`."""
KNOWN_ROWS, KNOWN_COLS, KNOWN_SEED = 20_000, 4, 1_000_003
"""Of the scene without gas whose moments are the true ones."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=None, help="the folder enmap_potsdam")
    return parser.parse_args()


def plain_mag1c(spectra: Any, absorption: Any) -> Any:
    """mag1c as it is written, all moments anew in each round: ppm m of (k, P, B) radiance."""
    import torch

    share = absorption * 1e5

    def moments(values: Any) -> tuple[Any, Any, Any]:
        mean = values.mean(1, keepdim=True)
        centred = values - mean
        return mean, share * mean, torch.linalg.cholesky(centred.mT @ centred / values.shape[1])

    mean, target, factor = moments(spectra)
    light = (spectra @ mean.mT) / (mean @ mean.mT)
    solved = torch.cholesky_solve(target.mT, factor)
    amount = ((spectra - mean) @ solved / (light * (target @ solved))).clamp(min=0)
    for _ in range(ROUNDS):
        sparse = 1 / (light * (amount + 1e-9))
        mean, target, factor = moments(spectra - light * amount * target)
        solved = torch.cholesky_solve(target.mT, factor)
        amount = (((spectra - mean) @ solved - sparse) / (light * (target @ solved).clamp(min=1))).clamp(min=0)
    return amount[..., 0] * 1e5


def prepared(seed: int, **how: Any) -> tuple[Any, Any, Any, Any]:
    """Spectra (columns, pixels, bands), valid pixels, unit absorption and truth (columns, pixels) as tensors."""
    import torch

    from hsikit.simulate.gas import gas_scene

    scene = gas_scene(seed=seed, **how)
    spectra = torch.from_numpy(scene.radiance).double().permute(2, 1, 0).contiguous()
    absorption = torch.from_numpy(scene.table.unit_absorption(scene.wavelength, scene.fwhm, {}))
    return spectra, torch.ones(spectra.shape[:2], dtype=torch.bool), absorption, torch.from_numpy(scene.truth.T.copy())


def moments_of(spectra: Any) -> tuple[Any, Any]:
    """Mean and covariance of (n, B) spectra."""
    import torch

    return spectra.mean(0), torch.cov(spectra.T)


def without_gas(**ground: Any) -> Any:
    """Many spectra (n, B) of a scene of the same law."""
    return prepared(KNOWN_SEED, rows=KNOWN_ROWS, cols=KNOWN_COLS, amount=0.0, **ground)[0].flatten(0, 1)


def knowing(spectra: Any, absorption: Any, known: tuple[Any, Any]) -> Any:
    """Gas by the filter of the true moments, ppm m of (..., B) radiance."""
    import torch

    mean, covariance = known
    target = absorption * mean
    solved = torch.linalg.solve(covariance, target)
    light = spectra @ mean / (mean @ mean)
    return (spectra - mean) @ solved / (light * (target @ solved))


def plumes(draws: int, first: int, name: str) -> None:
    from hsikit.tasks.gas.retrieval import retrieve

    ground = GROUNDS[name]
    clean = without_gas(**ground)
    known = moments_of(clean)
    bound = rms(knowing(clean, prepared(first)[2], known))
    print(f"{name}: 32 x 512 x 73, 30 pixels of 1000 ppm m in each column, 0.2 % noise")
    own, theirs = ("mean", "RMSE", "held", "without", "seconds"), ("mean", "RMSE", "without", "seconds", "times")
    heads = (("seed", *own), ("plain:", *theirs), ("floor:", "RMSE", "bound"), ("emit", "spread"))
    print(" | ".join(" ".join(f"{head:>7}" for head in part) for part in heads))
    for seed in range(first, first + draws):
        spectra, valid, absorption, truth = prepared(seed, **ground)
        plume = truth > 0
        found, ours = timed(lambda: by_parts(spectra, valid, absorption))  # noqa: B023
        plain, slow = timed(lambda: plain_mag1c(spectra, absorption))  # noqa: B023
        error = (found.enhancement - truth)[plume]
        held = float((error.abs() < found.uncertainty[plume]).double().mean())
        simple = retrieve(spectra, valid, absorption, iterative=False).enhancement
        best = knowing(spectra, absorption, known)
        gas, without = found.enhancement[plume].mean(), found.enhancement[~plume].mean()
        print(f"{seed:7} {gas:7.1f} {rms(error):7.1f} {held:7.3f} {without:7.1f} {ours:7.3f} | {'':7} {plain[plume].mean():7.1f} "
              f"{rms((plain - truth)[plume]):7.1f} {plain[~plume].mean():7.1f} {slow:7.3f} {slow / ours:7.1f} | {'':7} "
              f"{rms((best - truth)[plume]):7.1f} {bound:7.1f} | {simple[plume].mean():7.1f} {simple[~plume].std():7.1f}", flush=True)  # fmt: skip


def rms(values: Any) -> float:
    return float(values.square().mean().sqrt())


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and its CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def by_parts(spectra: Any, valid: Any, absorption: Any) -> Any:
    """mag1c, a few columns at a time, as the method hands them over: they stay in the cache through all rounds."""
    import torch

    from hsikit.tasks.gas.retrieval import Retrieval, retrieve

    parts = [retrieve(spectra[i : i + AT_ONCE], valid[i : i + AT_ONCE], absorption, iterative=True) for i in range(0, len(spectra), AT_ONCE)]
    return Retrieval(*(torch.cat([getattr(part, name) for part in parts]) for name in ("enhancement", "uncertainty", "sensitivity")))


def stripes(draws: int, first: int) -> None:
    from hsikit.tasks.gas.retrieval import retrieve

    print("means of columns without gas, standard deviation in ppm m: without gains of the detectors, with gains, and by one background for all columns")
    for seed in range(first, first + draws):
        told = []
        for gain, pooled in ((0.0, False), (0.01, False), (0.01, True)):
            spectra, valid, absorption, _ = prepared(seed, amount=0.0, stripes=gain)
            if pooled:
                spectra, valid = spectra.reshape(1, -1, spectra.shape[2]), valid.reshape(1, -1)
            found = retrieve(spectra, valid, absorption, iterative=True).enhancement.reshape(32, -1)
            told.append(float(found.mean(1).std()))
        print(f"{seed:5} {told[0]:8.2f} {told[1]:8.2f} {told[2]:8.2f}")


def real(folder: Path, draws: int, first: int) -> None:
    """Plumes over ground of many covers, which no law describes."""
    import torch

    from hsikit.simulate.gas import gas_table

    ground, centres, widths = columns_of(folder)
    table, valid = gas_table(), torch.ones(ground.shape[:2], dtype=torch.bool)
    absorption = torch.from_numpy(table.unit_absorption(centres, widths, {}))
    print(f"real ground, {' x '.join(str(size) for size in ground.shape)}: mean and standard deviation over plumes, root mean square without gas")
    for amount in (4000.0, 10_000.0):
        told = []
        for seed in range(first, first + draws):
            spectra, plume = with_plumes(ground, amount, (table, centres, widths), seed)
            pair = (by_parts(spectra, valid, absorption).enhancement, plain_mag1c(spectra, absorption))
            told.append([[float(found[plume].mean()), float(found[plume].std()), rms(found[~plume])] for found in pair])
        for name, (mean, spread, false) in zip(("ours", "plain"), torch.tensor(told).mean(0).tolist(), strict=True):
            print(f"{amount:7.0f} {name:6} {mean:7.0f} {spread:7.0f} {false:7.0f}", flush=True)


def columns_of(folder: Path) -> tuple[Any, Any, Any]:
    """Half tiles without missing values (columns, pixels, bands), band centres and widths, in the window of methane."""
    import numpy as np
    import rasterio
    import torch

    centres, widths = np.loadtxt(folder / "enmap_potsdam_srf.csv", delimiter=",", skiprows=1).T
    within = np.flatnonzero((centres >= WINDOW[0]) & (centres <= WINDOW[1]))
    halves = []
    for path in sorted((folder / "images").glob("*.tif")):
        with rasterio.open(path) as tile:
            values = tile.read([int(i) + 1 for i in within]).reshape(len(within), 2, -1)
        halves += [half.T for half in values.transpose(1, 0, 2) if (half > 0).all()]
    return torch.from_numpy(np.stack(halves).astype(np.float64)), centres[within], widths[within]


def with_plumes(ground: Any, amount: float, seen: tuple[Any, Any, Any], seed: int) -> tuple[Any, Any]:
    """A plume in each column, by the fine lines of the gas as a sensor sees them; spectra, and where the plumes are."""
    import numpy as np
    import torch

    table, centres, widths = seen
    weights = np.exp(-0.5 * ((table.wavelength - centres[:, None]) / (widths[:, None] / 2.3548)) ** 2)
    lines = (table.radiance[0, 0, 0, 1] / table.radiance[0, 0, 0, 0]) ** (amount / table.concentration[1])
    left = torch.from_numpy(weights @ lines / weights.sum(1))
    spectra, plume = ground.clone(), torch.zeros(ground.shape[:2], dtype=torch.bool)
    for column, start in enumerate(np.random.default_rng(seed).integers(0, ground.shape[1] - PLUME + 1, len(ground))):
        plume[column, start : start + PLUME] = True
    spectra[plume] *= left
    return spectra, plume


def main() -> None:
    import torch

    options = arguments()
    torch.set_num_threads(1)
    for name in GROUNDS:
        plumes(options.draws, options.seed, name)
    stripes(options.draws, options.seed)
    if options.data is not None:
        real(options.data, options.draws, options.seed)


if __name__ == "__main__":
    main()

"""A plume retrieved by mag1c, and by a plain restatement of it, from the same simulated radiance.

    python -m benchmarks.gas --draws 5

32 detectors of 512 pixels in 73 bands, 30 pixels of 1000 ppm m in each, 0.2 % noise: mean and root mean square error over the plume, CPU seconds
on one thread, the share of plume pixels whose truth lies within one uncertainty. *Stripes*: how far the means of columns without gas scatter,
without gains of the detectors, with gains that differ by 1 %, and by one background for all columns.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

ROUNDS, AT_ONCE = 30, 16


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
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


def plumes(draws: int, first: int) -> None:
    import torch

    from hsikit.tasks.gas.retrieval import Retrieval, retrieve

    print("32 x 512 x 73, 30 pixels of 1000 ppm m in each column, 0.2 % noise")
    print(f"{'seed':>5} {'mean':>7} {'RMSE':>7} {'held':>6} {'seconds':>8} | {'plain: mean':>18} {'RMSE':>7} {'seconds':>8} {'times':>6} | {'emit':>10}")
    for seed in range(first, first + draws):
        spectra, valid, absorption, truth = prepared(seed)
        plume = truth > 0
        start = time.process_time()
        # A few columns at a time, as the method hands them over: they stay in the cache through all rounds.
        parts = [retrieve(spectra[i : i + AT_ONCE], valid[i : i + AT_ONCE], absorption, iterative=True) for i in range(0, len(spectra), AT_ONCE)]
        found = Retrieval(*(torch.cat([getattr(part, name) for part in parts]) for name in ("enhancement", "uncertainty", "sensitivity")))
        ours, start = time.process_time() - start, time.process_time()
        plain = plain_mag1c(spectra, absorption)
        theirs = time.process_time() - start
        error = (found.enhancement - truth)[plume]
        held = float((error.abs() < found.uncertainty[plume]).double().mean())
        simple = retrieve(spectra, valid, absorption, iterative=False).enhancement[plume].mean()
        print(f"{seed:5} {found.enhancement[plume].mean():7.1f} {error.square().mean().sqrt():7.1f} {held:6.3f} {ours:8.3f} | {plain[plume].mean():18.1f} "
              f"{(plain - truth)[plume].square().mean().sqrt():7.1f} {theirs:8.3f} {theirs / ours:6.1f} | {simple:10.1f}")  # fmt: skip


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


def main() -> None:
    import torch

    options = arguments()
    torch.set_num_threads(1)
    plumes(options.draws, options.seed)
    stripes(options.draws, options.seed)


if __name__ == "__main__":
    main()

"""What filling bands is worth on real scenes: known values are hidden, filled by each method, and compared.

    python -m benchmarks.filling --scene enmap-potsdam --base base/ --library berlin.hdr
    python -m benchmarks.filling --scene indian-pines --base base/

Rows, each on the scene's good bands:

* `stripes`: every tenth column of pixels lacks a run of 5, or of 20, neighbouring bands;
* `whole`: a run of 5, or of 20, bands is missing in all pixels, and so marked as bad; over three places along the spectrum.

RMSE over the hidden values, in the unit of the scene, and in percent of the size of what was hidden; seconds of the whole run, its own check
included. `gaussian` fills whole bands by `--library` alone, and without one the row is left out. The base should not have seen the scene.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_table_scenes import load_scene
from hsikit.api import make_method
from hsikit.engine import compute
from hsikit.scene import SceneInfo, read_window
from hsikit.sensors.array import ArraySource
from hsikit.targets import library_references

LENGTHS = (5, 20)
PLACES, EVERY = 3, 10
REFLECTANCE = {"enmap-potsdam": 1e-4}
"""Factors to surface reflectance; other scenes are in numbers of no unit."""
Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hidden:
    """A scene in which known values are hidden.

    Attributes:
        source: the scene.
        where: the hidden values, bool, shape (C, rows, cols).
    """

    source: ArraySource
    where: NDArray[np.bool_]


def good_scene(name: str, folder: Path | None) -> tuple[Values, SceneInfo]:
    """The good bands of a scene, NaN where missing."""
    given = load_scene(name, folder).source
    used = given.info.bands.used
    values = read_window(given, given.info.grid.whole, used) * np.float32(REFLECTANCE.get(name, 1.0))
    quantity = "surface_reflectance" if name in REFLECTANCE else given.info.quantity
    return values, given.info.with_(bands=given.info.bands.take(used), dtype="float32", nodata=None, quantity=quantity, identity=())


def stripes(values: Values, info: SceneInfo, length: int, seed: int) -> Iterator[Hidden]:
    """Runs of bands that every tenth column lacks, each column one of its own."""
    rng, out = np.random.default_rng(seed), values.copy()
    for col in range(EVERY // 2, values.shape[2], EVERY):
        start = int(rng.integers(1, len(values) - length))
        out[start : start + length, :, col] = np.nan
    yield Hidden(ArraySource(out, info), np.isnan(out) & ~np.isnan(values))


def whole(values: Values, info: SceneInfo, length: int, seed: int) -> Iterator[Hidden]:
    """Runs of bands that are missing everywhere, one after the other, spread over the spectrum."""
    for start in np.linspace(1, len(values) - length - 1, PLACES).round().astype(int):
        good, where = np.ones(len(values), bool), np.zeros(values.shape, bool)
        good[start : start + length] = False
        where[start : start + length] = ~np.isnan(values[start : start + length])
        out = np.where(where, np.float32(np.nan), values)
        yield Hidden(ArraySource(out, info.with_(bands=replace(info.bands, good=good))), where)


def methods(base: str, library: Path | None, whole_bands: bool, info: SceneInfo) -> dict[str, Any]:
    """What is compared."""
    found = {"interpolate": make_method("interpolate")}
    if not whole_bands:
        found["gaussian"] = make_method("gaussian")
    elif library is not None:
        found["gaussian, library"] = make_method("gaussian", library=library_references(info, library))
    if base:
        found["encoder"] = make_method("encoder-filling", base=base)
    return found


def score(values: Values, hidden: list[Hidden], method: Any) -> Mapping[str, float]:
    """Root mean square and relative error over what was hidden, and seconds for each run."""
    error = power = count = seconds = 0.0
    for one in hidden:
        start = time.perf_counter()
        filled = compute(method.bind({"cube": one.source.info}), {"cube": one.source}).layers["filled"]
        seconds += time.perf_counter() - start
        truth = values[one.where].astype(np.float64)
        error += float(np.square(filled[one.where] - truth).sum())
        power, count = power + float(np.square(truth).sum()), count + len(truth)
    return {"rmse": np.sqrt(error / count), "relative": np.sqrt(error / power), "seconds": seconds / len(hidden)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="enmap-potsdam", choices=("enmap-potsdam", "indian-pines"))
    parser.add_argument("--folder", type=Path, help="the scene's files")
    parser.add_argument("--base", default="", help="folder of a pretrained encoder")
    parser.add_argument("--library", type=Path, help="spectra, for whole bands by gaussian")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    values, info = good_scene(options.scene, options.folder)
    print(f"{options.scene}: {len(values)} bands, {int((~np.isnan(values).all(0)).sum())} pixels")
    for kind in (stripes, whole):
        for length in LENGTHS:
            hidden = list(kind(values, info, length, options.seed))
            for name, method in methods(options.base, options.library, kind is whole, info).items():
                found = score(values, hidden, method)
                print(f"{kind.__name__:<8} {length:>3} bands  {name:<18} {found['rmse']:10.4g} {found['relative']:8.2%} {found['seconds']:7.1f} s", flush=True)


if __name__ == "__main__":
    main()

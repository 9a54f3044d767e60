"""Minerals named in mixtures with soil, and the time for a scene as large as EMIT's.

    python -m benchmarks.minerals --data FOLDER --threads 2

*Naming*: library spectra at EMIT's bands, half and half with soil under 1 % noise; how often the best entry is of the right one of ten
minerals. Against all splib07 entries of the ten minerals; against these without the spectrum that is in the mixture; against 293 entries drawn by seed,
one of each mineral among them, most of which are no minerals of the ten: feldspars, oxides, organic matter, mixtures. The last column counts as
right an entry that is a mixture with the mineral, a coating or a rock of it by its name, such as Goethite0.02+Quartz. With `--draws N` that column alone, of
as many draws of 293 entries from `--seed` on, for what single draws hide. *Speed*: a scene of
mixtures of 293 drawn entries, 1280 x 1242 pixels unless told otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import Any

ENTRIES, SHARE, NOISE = 293, 0.5, 0.01
WATER = ((1320.0, 1440.0), (1770.0, 1970.0))
"""Where water vapour leaves nothing (nm)."""
SOILS = "SOIL"
BEARING = {
    "calcite": "calc(ite|[+.])", "chlorite": "chlor(ite|[+.])|clinochlore", "dolomite": "dolomite", "goethite": "goethite|gth", "gypsum": "gyp(sum|[+.])",
    "hematite": "hemat", "illite and muscovite": "illite|musc", "kaolinite": "kaol", "montmorillonite": "mont(morillonite|[+.])",
    "vermiculite": "vermiculite",
}  # fmt: skip
"""What names of entries that hold a mineral hold, alone or among others."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1280)
    parser.add_argument("--cols", type=int, default=1242)
    parser.add_argument("--cases", type=int, default=100, help="of each mineral")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=None, help="of the 293 entries, alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("naming", "speed"), default=None)
    return parser.parse_args()


def load(folder: Path) -> tuple[Any, Any, Any]:
    """splib07 at EMIT's bands, soils there (n, C), and which bands are good."""
    import numpy as np

    from hsikit.sensors.libraries import open_library

    library = open_library(folder / "libraries" / "s07_AV95_envi.hdr").resample_to("emit")
    others = open_library(folder / "sensors" / "emit" / "basic_endmember_library.csv").resample_to("emit")
    soils = others.spectra[[name == SOILS for name in others.names]]
    centres = library.wavelength
    good = (centres > 390) & (centres < 2480) & ~np.any([(centres > low) & (centres < high) for low, high in WATER], axis=0)
    return library, soils.astype(np.float64), good


def minerals_of(names: tuple[str, ...]) -> list[str]:
    """Which of the ten minerals each entry is, "" for none."""
    from hsikit.tasks.minerals.features import read_features

    table = read_features()
    return [next((mineral.name for mineral in table if mineral.match.search(name)), "") for name in names]


def bearing(names: tuple[str, ...], name: str) -> Any:
    """Which entries hold a mineral by their names (n,)."""
    import numpy as np

    return np.array([bool(re.search(BEARING[name], entry, re.IGNORECASE)) for entry in names])


def scene_of(library: Any, good: Any, values: Any) -> Any:
    """A source over reflectance (bands, rows, cols) at the library's bands."""
    from hsikit.geo.grid import Grid
    from hsikit.scene import Bands, Decoding, SceneInfo
    from hsikit.sensors.array import ArraySource

    bands = Bands(library.wavelength, library.fwhm, good, tuple(f"{nm:g}" for nm in library.wavelength))
    info = SceneInfo("mixtures", Grid(values.shape[1:]), bands, str(values.dtype), "array", quantity="surface_reflectance", identity=("mixtures",))
    return ArraySource(values, info, Decoding(1.0 if values.dtype.kind == "f" else 1e-4))


def mapped(library: Any, good: Any, values: Any, threads: int) -> tuple[Any, float, float]:
    """Entries of a scene (bands, rows, cols), and wall and CPU seconds."""
    from hsikit.engine import compute
    from hsikit.targets import library_references
    from hsikit.tasks.minerals.minerals import Minerals

    source = scene_of(library, good, values)
    start = time.perf_counter(), time.process_time()
    method = Minerals(library_references(source.info, library))
    found = compute(method.bind({"cube": source.info}), {"cube": source}, layers=["minerals"], threads=threads).layers["minerals"]
    return found, time.perf_counter() - start[0], time.process_time() - start[1]


def naming(folder: Path, cases: int, seed: int, threads: int) -> None:
    import numpy as np

    library, soils, good = load(folder)
    kinds = np.array(minerals_of(library.names))
    whole = np.isfinite(library.spectra[:, good]).all(axis=1)
    ten = sorted(set(kinds) - {""})
    rng = np.random.default_rng(seed)
    drawn = draw_entries(kinds, whole, ten, rng)
    print(f"best entry is of the right mineral, {cases} mixtures each of half an entry and half a soil, {NOISE:.0%} noise, seed {seed}")
    print(f"{'mineral':22} {'all of the ten':>15} {'without itself':>15} {f'{ENTRIES} drawn':>15} {'or a mixture':>15}")
    table = []
    for name in ten:
        table.append([
            share_right(library, soils, good, kinds, np.flatnonzero(kinds != ""), name, cases, rng, threads)[0],
            without_itself(library, soils, good, kinds, name, max(1, cases // 10), rng, threads),
            *share_right(library, soils, good, kinds, drawn, name, cases, rng, threads),
        ])  # fmt: skip
        print(f"{name:22} {' '.join(f'{share:15.3f}' for share in table[-1])}")
    print(f"{'all':22} {' '.join(f'{share:15.3f}' for share in np.mean(table, axis=0))}")


def draw_entries(kinds: Any, whole: Any, ten: list[str], rng: Any) -> Any:
    """One entry of each mineral, and others of all of the library (n,)."""
    import numpy as np

    one = [int(rng.choice(np.flatnonzero((kinds == name) & whole))) for name in ten]
    return np.array([*one, *rng.choice(np.setdiff1d(np.arange(len(kinds)), one), ENTRIES - len(one), replace=False)])


def by_draws(folder: Path, cases: int, first: int, draws: int, threads: int) -> None:
    """The share named right against drawn entries, by many draws."""
    import numpy as np

    library, soils, good = load(folder)
    kinds = np.array(minerals_of(library.names))
    whole = np.isfinite(library.spectra[:, good]).all(axis=1)
    ten, table = sorted(set(kinds) - {""}), []
    for seed in range(first, first + draws):
        rng = np.random.default_rng(seed)
        chosen = draw_entries(kinds, whole, ten, rng)
        table.append([share_right(library, soils, good, kinds, chosen, name, cases, rng, threads)[0] for name in ten])
    shares = np.array(table)
    print(f"best entry is of the right mineral, {cases} mixtures each, {draws} draws of {ENTRIES} entries from seed {first}: mean, standard error, worst, best")
    for name, own in [*zip(ten, shares.T, strict=True), ("all", shares.mean(1))]:
        error = own.std(ddof=1) / len(own) ** 0.5 if len(own) > 1 else float("nan")
        print(f"{name:22} {own.mean():8.3f} {error:8.3f} {own.min():8.3f} {own.max():8.3f}")


def share_right(library: Any, soils: Any, good: Any, kinds: Any, chosen: Any, name: str, cases: int, rng: Any, threads: int) -> tuple[float, float]:
    """The share of mixtures of a mineral that are named so; the same where entries count that hold it among others."""
    import numpy as np

    sources = [i for i in chosen if kinds[i] == name and np.isfinite(library.spectra[i, good]).all()]
    drawn = rng.choice(sources, cases)
    mixed = mixtures(library.spectra[drawn].astype(np.float64), soils[rng.integers(len(soils), size=cases)], rng)
    found, _, _ = mapped(library.select(chosen), good, mixed.T[:, :, None].astype(np.float32), threads)
    first = found[0 if name in ("goethite", "hematite") else 3, :, 0]
    entry, named = chosen[first - 1], first > 0
    right = kinds[entry] == name
    return float(np.mean(named & right)), float(np.mean(named & (right | bearing(library.names, name)[entry])))


def without_itself(library: Any, soils: Any, good: Any, kinds: Any, name: str, draws: int, rng: Any, threads: int) -> float:
    """The same where the spectrum in the mixture is not in the library, ten mixtures for each spectrum that is drawn."""
    import numpy as np

    chosen = np.flatnonzero(kinds != "")
    sources = [i for i in chosen if kinds[i] == name and np.isfinite(library.spectra[i, good]).all()]
    right = []
    for left_out in rng.choice(sources, draws):
        others = chosen[chosen != left_out]
        mixed = mixtures(np.repeat(library.spectra[[left_out]].astype(np.float64), 10, 0), soils[rng.integers(len(soils), size=10)], rng)
        found, _, _ = mapped(library.select(others), good, mixed.T[:, :, None].astype(np.float32), threads)
        first = found[0 if name in ("goethite", "hematite") else 3, :, 0]
        right.append(np.mean((first > 0) & (kinds[others][first - 1] == name)))
    return float(np.mean(right))


def mixtures(spectra: Any, soils: Any, rng: Any) -> Any:
    """Half and half under noise that is a share of the reflectance; unknown channels stay unknown."""
    mixed = SHARE * spectra + (1 - SHARE) * soils
    return mixed * (1 + NOISE * rng.standard_normal(mixed.shape))


def speed(folder: Path, rows: int, cols: int, seed: int, threads: int) -> None:
    import numpy as np

    library, soils, good = load(folder)
    rng = np.random.default_rng(seed)
    drawn = library.select(np.sort(rng.choice(len(library), ENTRIES, replace=False)))
    spectra = np.nan_to_num(drawn.spectra.astype(np.float64), nan=0.2)
    values = np.empty((len(library.wavelength), rows, cols), np.int16)
    for row in range(rows):
        mixed = mixtures(spectra[rng.integers(len(spectra), size=cols)], soils[rng.integers(len(soils), size=cols)], rng)
        values[:, row] = np.round(1e4 * np.clip(mixed, 0, 3)).T
    found, wall, cpu = mapped(drawn, good, values, threads)
    print(f"{rows} x {cols} x {len(values)} against {len(drawn)} entries, {threads} threads, seed {seed}: {wall:.0f} s ({cpu:.0f} s of CPU)")
    print(f"named in group 1 {np.mean(found[0] > 0):.3f}, in group 2 {np.mean(found[3] > 0):.3f} of the pixels")


def main() -> None:
    options = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if options.draws is not None:
        by_draws(options.data, options.cases, options.seed, options.draws, options.threads)
        return
    if options.only in (None, "naming"):
        naming(options.data, options.cases, options.seed, options.threads)
    if options.only in (None, "speed"):
        speed(options.data, options.rows, options.cols, options.seed, options.threads)


if __name__ == "__main__":
    main()

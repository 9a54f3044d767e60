"""`--memory` is a promise about the whole process: its peak stays below, and a scene four times larger does not raise it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .scenes import NODATA, SCALE, TRANSFORM, make_scene

MIB = 2**20
SIDE, BANDS = 440, 32
PROMISE = 560


def write_wide(folder: Path, times: int, kind: str) -> Path:
    """A scene of (times x SIDE) squared pixels, made of one square over and over."""
    square = make_scene(SIDE, SIDE, BANDS, seed=6).values
    size = times * SIDE
    place = f"{{UTM, 1, 1, {TRANSFORM[2]:g}, {TRANSFORM[5]:g}, 30, 30, 33, North, WGS-84, units=Meters}}"
    nm = ", ".join(f"{w:.2f}" for w in np.linspace(420, 2450, BANDS))
    if kind == "envi":
        with (folder / f"{times}.img").open("wb") as image:
            for band in square:
                row = np.tile(band, (1, times)).tobytes()
                for _ in range(times):
                    image.write(row)
        header = folder / f"{times}.hdr"
        header.write_text(
            f"ENVI\nsamples = {size}\nlines = {size}\nbands = {BANDS}\nheader offset = 0\ndata type = 2\ninterleave = bsq\nbyte order = 0\n"
            f"map info = {place}\nwavelength units = Nanometers\nwavelength = {{{nm}}}\nreflectance scale factor = 10000\ndata ignore value = {NODATA}\n"
        )
        return header
    import rasterio

    path = folder / f"{times}.tif"
    profile = {"width": size, "height": size, "count": BANDS, "dtype": "int16", "nodata": NODATA, "crs": "EPSG:32633", "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=256, blockysize=256, interleave="band", **profile) as target:
        target.scales = [SCALE] * BANDS
        for band, (values, centre) in enumerate(zip(square, np.linspace(420, 2450, BANDS), strict=True), start=1):
            target.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{centre / 1000:.6f}", FWHM_UM="0.0095")
            target.write(np.tile(values, (times, times)), band)
    return path


# The system's own count of a process's life also holds what its parent had when it was forked; VmHWM does not.
COMMAND = """
import sys
from pathlib import Path
from hsikit_cli.main import main
try:
    main(sys.argv[2:])
finally:
    Path(sys.argv[1]).write_text(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(folder: Path, *arguments: object) -> int:
    """Peak resident bytes of a command, as the system has counted them."""
    environment = {key: value for key, value in os.environ.items() if key != "GDAL_CACHEMAX"}
    words = [sys.executable, "-c", COMMAND, str(folder / "peak"), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, env={**environment, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return int((folder / "peak").read_text()) * 1024


counted = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system does not tell a peak")


@counted
@pytest.mark.parametrize(
    ("kind", "verb", "suffix"),
    [("geotiff", ("anomaly", "--hits", "hits.gpkg", "--pfa", "1e-3"), ".tif"), ("envi", ("superresolve", "--zoom", "2"), ".hdr")],
)
def test_four_times_the_pixels_the_same_memory(tmp_path: Path, kind: str, verb: tuple[str, ...], suffix: str) -> None:
    """With one tile for both: a plan gives a small scene less than was promised."""
    peaks = []
    for times in (1, 2):
        scene = write_wide(tmp_path, times, kind)
        more = [str(tmp_path / f"{times}{word}") if word.endswith(".gpkg") else word for word in verb[1:]]
        options = ("--memory", f"{PROMISE}M", "--threads", 1, "--tile", 96)
        peaks.append(peak(tmp_path, verb[0], scene, "-o", tmp_path / f"out{times}{suffix}", *options, *more) / MIB)
    small, large = peaks
    print(f"{kind} {' '.join(verb)}: {small:.0f} and {large:.0f} MiB")
    # Peaks of one plan differ from run to run by what the allocator keeps; without bounds they would differ by an array or more.
    tolerance = 0.1 * small + 20
    assert tolerance < 3 * SIDE**2 * BANDS * 4 / MIB
    assert large - small <= tolerance, f"{small:.0f} MiB, and {large:.0f} for four times the pixels"


@counted
def test_the_promise_is_kept_where_all_of_it_is_used(tmp_path: Path) -> None:
    scene = write_wide(tmp_path, 2, "envi")
    most = peak(tmp_path, "superresolve", scene, "-o", tmp_path / "out.hdr", "--memory", f"{PROMISE}M", "--threads", 2) / MIB
    print(f"{most:.0f} of {PROMISE} MiB")
    assert most <= PROMISE

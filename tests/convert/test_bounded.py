"""Writing a scene takes no more memory than a few strips of it, whatever the format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BANDS, SIDE, MOST = 24, 1300, 130
"""The scene has 155 MiB as float32; MiB that writing may take above what is loaded."""
COMMAND = f"""
import sys
from pathlib import Path
import h5py, numpy as np, pyproj, rasterio, zarr
from hsikit.convert.write import write_scene
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Decoding, Raw, SceneInfo


class Slopes:
    block = (1, {SIDE})
    info = SceneInfo(
        "slopes", Grid(({SIDE}, {SIDE}), (30.0, 0.0, 4e5, 0.0, -30.0, 5.8e6), "EPSG:32633"),
        Bands(np.linspace(400, 2400, {BANDS}), np.full({BANDS}, 10.0), np.ones({BANDS}, bool), tuple("b%d" % i for i in range({BANDS}))), "int16", "array",
    )

    def read(self, window, bands):
        values = np.broadcast_to(np.arange(window.row, window.row_end, dtype=np.int16)[:, None], (len(bands), *window.shape))
        return Raw(values, window, Decoding(1e-4, 0.0, None))


def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) >> 10


before = peak()
write_scene(Slopes(), Path(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is told by Linux alone")
@pytest.mark.parametrize("name", ["c.tif", "c.zarr", "c.img", "c.nc"])
def test_peak(tmp_path: Path, name: str) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, str(tmp_path / name)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST

"""Arrays on a web server: MATLAB files open as local ones do, NumPy files are refused with what to do."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from hsikit.errors import SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.remote_servers import http_server

CUBE = np.random.default_rng(0).random((6, 7, 5), np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scipy.io.savemat(tmp_path / "v5.mat", {"cube": CUBE})
    with h5py.File(tmp_path / "v7.mat", "w") as file:
        file["cube"] = CUBE.T
    np.save(tmp_path / "a.npy", CUBE)
    return tmp_path


@pytest.mark.parametrize("name", ["v5.mat", "v7.mat"])
def test_matlab_files_open(folder: Path, name: str) -> None:
    with http_server(folder) as (address, _):
        source = open_source(f"{address}/{name}", wavelengths=np.arange(500.0, 505))
        np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE.transpose(2, 0, 1))


def test_numpy_files_are_refused(folder: Path) -> None:
    with http_server(folder) as (address, _), pytest.raises(SceneError, match=r"a\.npy.*Download it first"):
        open_source(f"{address}/a.npy", wavelengths=np.arange(500.0, 505))

"""The benchmark of large scenes on tiny ones: all ways make the same map of all layouts."""

import numpy as np
import pytest

from benchmarks import scale, scale_peers
from benchmarks.network import Network
from hsikit.engine import compute
from hsikit.sensors import open_source

SHAPE = (6, 60, 52)


@pytest.mark.parametrize("layout", scale.LAYOUTS)
def test_all_ways_make_the_engines_map(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(scale_peers, "BLOCK", 32)
    path = scale_peers.make(tmp_path, layout, SHAPE)
    source = open_source(path)
    ours = compute(Network().bind({"cube": source.info}), {"cube": source}, tile=20, threads=1).layers["map"][0]
    assert 0.1 < (ours == 0).mean() < 0.4
    for way, run in scale_peers.PEERS.items():
        theirs = run(scale_peers.opened(path))
        assert theirs.shape == ours.shape and ((theirs == 0) == (ours == 0)).all(), way
        assert (theirs != ours).mean() < 2e-3, way


@pytest.mark.parametrize("layout", scale.LAYOUTS)
def test_a_job_has_a_scene_of_its_own(layout, tmp_path):
    path = scale_peers.make(tmp_path, layout, (2, 8, 8))
    other = scale.link(path, "job1")
    assert other == scale.link(path, "job1") != path
    source = open_source(other)
    assert source.info.grid.shape == (8, 8) and scale_peers.make(tmp_path, layout, (2, 8, 8)) == path


def test_the_line_of_a_way():
    run = {"wall": 2.0, "peak": 300 * 2**20, "inside": 1.6, "classes": [0, 4, 2]}
    words = scale.line_of("plain", "engine", [run, {**run, "wall": 4.0}], run, 2 * 256**2).split()
    assert words == ["plain", "2", "engine", "4.0", "1.6", "2.50", "1.00", "300"]
    assert "by at least 1 pixels" in scale.line_of("plain", "naive", [{**run, "classes": [0, 3, 3]}], run, 256**2)
    assert np.isclose(scale_peers.naive_bytes((200, 2000, 2000)) / 2**30, 9.6, atol=1)

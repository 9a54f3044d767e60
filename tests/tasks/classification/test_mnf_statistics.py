"""The statistics of mnf-lda: bit-identical whatever the number of threads, equal to float64 rounding whatever the tile."""

import numpy as np
import pytest
import torch

from hsikit.engine import compute
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.mnf_lda import STATISTICS, _statistics_job
from tests.engine.toys import Memory, odd_scene


@pytest.fixture(scope="module")
def source():
    return Memory(odd_scene(bands=24))


def statistics(source, tile, threads):
    job = _statistics_job(Basis.of(source.info), source.info, (False, True))
    return compute(job, {"cube": source}, tile=tile, threads=threads).store[STATISTICS]


def test_threads_change_no_bit(source):
    one, *others = (statistics(source, 16, threads) for threads in (1, 2, 4))
    for other in others:
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("tile", [9, 40, 512])
def test_tiles_change_nothing_but_rounding(source, tile):
    a, b = statistics(source, 16, 2), statistics(source, tile, 2)
    for key in a:
        scale = float(a[key].abs().max())
        np.testing.assert_allclose(a[key].numpy(), b[key].numpy(), rtol=0, atol=1e-10 * scale)

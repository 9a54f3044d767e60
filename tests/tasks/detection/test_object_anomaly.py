"""Objects of a known size are found, and the score is what it is said to be; tests/laws holds the tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.scene import Bands
from hsikit.tasks.detection.object_anomaly import ObjectAnomaly
from tests.engine.toys import Memory


def scene_with_objects(bands: int = 24, seed: int = 1) -> tuple[Memory, np.ndarray]:
    """Two covers, each with smooth changes of its own, and six objects of 1 to 12 pixels."""
    rng = np.random.default_rng(seed)
    rows, cols = 64, 59
    cover = (np.add.outer(np.arange(rows), np.arange(cols)) > 60).astype(int)
    means = rng.uniform(1000, 3000, (2, bands))
    spread = np.stack([rng.normal(size=(bands, 3)).cumsum(0) * 40 * (i + 1) for i in (0, 1)])
    smooth = ndimage.gaussian_filter(rng.normal(size=(rows, cols, 3)), (4, 4, 0))
    values = means[cover] + np.einsum("rcbk,rck->rcb", spread[cover], smooth / smooth.std()) + 10 * rng.normal(size=(rows, cols, bands))
    truth = np.zeros((rows, cols), bool)
    for i, (row, col) in enumerate(((8, 8), (20, 45), (33, 12), (40, 50), (50, 30), (12, 30))):
        part = slice(row, row + 1 + i // 2), slice(col, col + 1 + i % 4)
        values[part] += spread[0] @ rng.normal(0, 6, 3) + 60 * rng.normal(size=bands)
        truth[part] = True
    values[25:28] = values[:, 56:] = np.nan
    truth[25:28] = truth[:, 56:] = False
    return Memory(values.transpose(2, 0, 1).astype(np.float32), nodata=None), truth


def run(source: Memory, method: ObjectAnomaly | None = None, **how: int):
    job = (method or ObjectAnomaly(object_size=14)).bind({"cube": source.info})
    return compute(job, {"cube": source}, layers=["scores", "local", "shape"], **how)


def test_objects_stand_out() -> None:
    source, truth = scene_with_objects()
    found = run(source)
    scores = found.layers["scores"][0]
    assert roc_area(scores, truth) > 0.98
    assert 0 <= np.nanmin(scores) <= np.nanmax(scores) <= 1
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(source.values[0]))


def test_the_score_is_the_mean_rank_of_the_evidence() -> None:
    from scipy.stats import rankdata

    source, _ = scene_with_objects()
    found = run(source)
    there = ~np.isnan(found.layers["scores"][0])
    evidence = np.concatenate([found.layers["local"], found.layers["shape"]])[:, there]
    assert len(evidence) == 3
    expected = np.mean([(rankdata(row) - 0.5) / there.sum() for row in evidence], axis=0)
    apart = (evidence > evidence.min(1, keepdims=True) + 3e-5 * np.ptp(evidence, axis=1)[:, None]).all(0)  # not among the equal lowest
    assert apart.mean() > 0.7
    np.testing.assert_allclose(found.layers["scores"][0][there][apart], expected[apart], atol=2e-3)


def test_what_the_border_cuts_off_is_no_small_object() -> None:
    source, truth = scene_with_objects()
    source.values[:, 45:57, :3] = source.values[:, 8:9, 8:9] + np.random.default_rng(0).normal(0, 10, (24, 12, 3))  # 36 pixels, the half of a roof
    shape = run(source, ObjectAnomaly(object_size=40)).layers["shape"]
    assert shape[0, 46:56, 0].max() < 0.5 * np.nanmax(shape[0][truth])


def test_few_bands_are_enough() -> None:
    source, truth = scene_with_objects(bands=4)
    assert roc_area(run(source).layers["scores"][0], truth) > 0.8


@pytest.mark.parametrize("options", [{"pfa": 0.0}, {"object_size": 0}, {"object_size": 201}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        ObjectAnomaly(**options)


def test_a_threshold_says_that_it_is_the_scenes_own() -> None:
    info = scene_with_objects()[0].info
    assert ObjectAnomaly(pfa=1e-3).bind({"cube": info}).provenance["threshold"] == "the scene's own quantile"
    assert "threshold" not in ObjectAnomaly().bind({"cube": info}).provenance


def test_a_scene_without_good_bands_is_named() -> None:
    info = scene_with_objects()[0].info
    with pytest.raises(SceneError, match="none of its bands is good"):
        ObjectAnomaly().bind({"cube": info.with_(bands=Bands(info.bands.wavelength, info.bands.fwhm, np.zeros(24, bool), info.bands.names))})


@pytest.mark.parametrize(("name", "area"), [("abu-airport-3", 0.9787), ("sandiego_58", 0.9962)])
def test_real_scenes_reach_the_known_areas(shared_data: Path, name: str, area: float) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / f"{name}.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, ObjectAnomaly()).layers["scores"][0], found["map"]) == pytest.approx(area, abs=1.5e-3)

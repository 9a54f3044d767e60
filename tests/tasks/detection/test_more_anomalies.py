"""RX in components against NumPy, and objects by shape alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.metrics.detection import roc_area
from hsikit.scene import Bands
from hsikit.tasks.detection.attribute_filter import AttributeFilter
from hsikit.tasks.detection.object_anomaly import ObjectAnomaly
from hsikit.tasks.detection.rx import RX
from hsikit.tasks.detection.subspace_rx import SubspaceRX
from tests.engine.toys import Memory
from tests.tasks.detection.test_object_anomaly import scene_with_objects
from tests.tasks.detection.test_rx import gaussian_scene


def run(source: Memory, method) -> np.ndarray:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"]).layers["scores"][0]


@pytest.mark.parametrize("dropped", [0, 2])
def test_subspace_rx_equals_numpy(dropped: int) -> None:
    source = gaussian_scene()
    spectra = source.values.reshape(12, -1).T.astype(float)
    good = spectra[~np.isnan(spectra).any(1)]
    variances, vectors = np.linalg.eigh(np.cov(good.T))
    kept = slice(12 - 7, 12 - dropped)
    expected = (((spectra - good.mean(0)) @ vectors[:, kept]) ** 2 / variances[kept]).sum(1)
    found = run(source, SubspaceRX(components=7, dropped=dropped)).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.nanmax(expected))


def test_with_all_components_it_is_rx() -> None:
    source = gaussian_scene()
    plain = run(source, RX())
    np.testing.assert_allclose(run(source, SubspaceRX(components=12)), plain, rtol=0, atol=1e-5 * np.nanmax(plain))


def test_a_bright_and_a_dark_object_stand_out_and_a_field_does_not() -> None:
    rng = np.random.default_rng(0)
    values = 1000 + 2 * rng.normal(size=(6, 40, 40))
    values[:, 5:8, 5:8] += 200
    values[:, 20:22, 30:32] -= 200
    values[:, 25:40, 5:20] += 200
    found = run(Memory(values.astype(np.float32), nodata=None), AttributeFilter(object_size=20))
    assert min(found[5:8, 5:8].min(), found[20:22, 30:32].min()) > 2 * np.median(found[26:39, 6:19])


def test_objects_are_found_by_shape() -> None:
    source, truth = scene_with_objects()
    found = run(source, AttributeFilter(object_size=14))
    assert roc_area(found, truth) > 0.9
    np.testing.assert_array_equal(np.isnan(found), np.isnan(source.values[0]))


@pytest.mark.parametrize(
    ("name", "kind", "area"), [("abu-airport-1", SubspaceRX, 0.8), ("abu-airport-1", AttributeFilter, 0.98), ("sandiego_58", AttributeFilter, 0.99)]
)
def test_real_scenes(shared_data: Path, name: str, kind, area: float) -> None:
    from scipy.io import loadmat

    found = loadmat(shared_data / "detection" / f"{name}.mat")
    source = Memory(np.ascontiguousarray(found["data"].astype(np.float32).transpose(2, 0, 1)), nodata=None)
    assert roc_area(run(source, kind()), found["map"]) > area


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (SubspaceRX, {"components": 0}, "components"), (SubspaceRX, {"dropped": 20}, "cannot be left out"), (SubspaceRX, {"pfa": 0.0}, "pfa"),
        (AttributeFilter, {"object_size": 0}, "object_size"), (AttributeFilter, {"pfa": 1.0}, "pfa"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(kind, options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        kind(**options)


def test_scenes_that_cannot_be_looked_at_are_named() -> None:
    source = gaussian_scene()
    with pytest.raises(SceneError, match="has 12 good bands, and 20 components"):
        SubspaceRX().bind({"cube": source.info})
    bands = source.info.bands
    with pytest.raises(SceneError, match="none of its bands is good"):
        AttributeFilter().bind({"cube": source.info.with_(bands=Bands(bands.wavelength, bands.fwhm, np.zeros(12, bool), bands.names))})
    lone = Memory(source.values[:, :1, :1], nodata=None)
    for method in (SubspaceRX(components=5), AttributeFilter()):
        with pytest.raises(SceneError, match="1 valid pixels are too few"):
            run(lone, method)
    for method in (AttributeFilter(), ObjectAnomaly()):
        with pytest.raises(SceneError, match=r"Mark bands as bad .* or use rx"):
            run(lone, method)

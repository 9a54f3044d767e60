import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands
from hsikit.tasks.detection.rx import RX
from tests.engine.toys import Memory, odd_scene


def gaussian_scene(rows=70, cols=53, bands=12, seed=4):
    """Correlated bands around large means, a hole, and three objects that stand out."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(bands, bands)) * np.geomspace(100, 0.1, bands)
    values = (mix @ rng.normal(size=(bands, rows * cols))).reshape(bands, rows, cols) + 5000
    values[:, 10:12, 20:23] += 40 * rng.normal(size=(bands, 1, 1))
    values[:, 40, 5] += 60 * rng.normal(size=bands)
    values[:, 65:69, 50] += 50 * rng.normal(size=(bands, 1))
    values[:, 30:38, 30:44] = np.nan
    return Memory(values.astype(np.float32), nodata=None)


def run(source, method=None, **how):
    return compute((method or RX()).bind({"cube": source.info}), {"cube": source}, **how)


def numpy_rx(values):
    spectra = values.reshape(len(values), -1).T.astype(float)
    centred = spectra - np.nanmean(spectra, 0)
    valid = centred[~np.isnan(centred).any(1)]
    out = np.einsum("ij,jk,ik->i", centred, np.linalg.inv(np.cov(valid.T)), centred)
    return out.reshape(values.shape[1:])


def same(found, expected):
    """Equal to a hundred-thousandth of the range, and missing in the same places."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.nanmax(expected))


def test_equals_numpy():
    source = gaussian_scene()
    same(run(source, tile=32).layers["scores"][0], numpy_rx(source.values))


@settings(max_examples=10)
@given(st.integers(5, 80))
def test_tiles_of_any_size_give_the_same(tile):
    source = gaussian_scene()
    method = RX(pfa=0.01)
    whole, cut = run(source, method, tile=100), run(source, method, tile=tile)
    for key in ("count", "mean", "scatter"):
        expected = whole.store["background"][key].numpy()
        np.testing.assert_allclose(cut.store["background"][key].numpy(), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    same(cut.layers["scores"], whole.layers["scores"])
    np.testing.assert_allclose(cut.features["hits"].points, whole.features["hits"].points)


def test_statistics_are_bit_identical_for_any_number_of_threads():
    source = Memory(odd_scene(rows=120, cols=90))
    found = [run(source, tile=32, threads=threads).store["background"] for threads in (1, 2, 4)]
    for key in ("count", "mean", "scatter", "whitener"):
        assert all((other[key] == found[0][key]).all() for other in found[1:])


def test_bad_bands_are_left_out():
    source = gaussian_scene()
    bands = source.info.bands
    good = np.arange(len(bands)) % 3 > 0
    source.info = source.info.with_(bands=Bands(bands.wavelength, bands.fwhm, good, bands.names))
    same(run(source).layers["scores"][0], numpy_rx(source.values[good]))


@settings(max_examples=8)
@given(st.floats(0.002, 0.3))
def test_at_most_the_wanted_share_exceeds_the_threshold(pfa):
    source = gaussian_scene(rows=71, cols=54)
    found = run(source, RX(pfa), tile=17)
    scores = found.layers["scores"][0]
    scores = scores[~np.isnan(scores)]
    threshold = float(found.store["hits"]["threshold"])
    assert (scores > threshold).sum() == int(pfa * len(scores) + 1e-9)
    assert threshold in scores
    assert float(found.store["hits"]["chi_square_threshold"]) == pytest.approx(chi2.isf(pfa, 12), rel=1e-6)


def test_hits_are_the_groups_of_scipy():
    from scipy import ndimage

    source = gaussian_scene()
    found = run(source, RX(pfa=0.004), tile=16)
    scores, hits = found.layers["scores"][0], found.features["hits"]
    labels, count = ndimage.label(np.nan_to_num(scores) > float(found.store["hits"]["threshold"]), np.ones((3, 3)))
    assert len(hits) == count == int(found.store["hits"]["hits"])
    number = range(1, count + 1)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, number))
    order = np.argsort(-ndimage.maximum(scores, labels, number))
    expected = np.stack((400_000 + 30 * (centres[:, 1] + 0.5), 5_800_000 - 30 * (centres[:, 0] + 0.5)), 1)
    np.testing.assert_allclose(hits.points, expected[order])
    np.testing.assert_array_equal(hits.columns["pixels"], ndimage.sum(labels > 0, labels, number)[order])
    np.testing.assert_allclose(hits.columns["peak"], ndimage.maximum(scores, labels, number)[order])
    assert hits.crs == "EPSG:32633"


def test_an_object_stands_out_where_it_lies():
    found = run(gaussian_scene(), RX(pfa=11 / (70 * 53 - 8 * 14))).features["hits"]
    corners = [(found.columns[side][i]) for side in ("left", "bottom", "right", "top") for i in np.flatnonzero(found.columns["pixels"] == 6)]
    assert corners == [400_000 + 30 * 20, 5_800_000 - 30 * 12, 400_000 + 30 * 23, 5_800_000 - 30 * 10]


def test_a_scene_without_place_has_hits_in_pixels():
    source = gaussian_scene()
    source.info = source.info.with_(grid=Grid(source.values.shape[1:]))
    hits = run(source, RX(pfa=0.003)).features["hits"]
    assert hits.crs is None and (hits.points < 75).all() and len(hits) > 0


def singular(change):
    source = gaussian_scene()
    change(source.values)
    return source


def test_what_has_no_covariance_is_refused():
    with pytest.raises(SceneError, match="memory: the covariance of its 12 bands is singular; these bands are constant: b3"):
        run(singular(lambda v: v.__setitem__(3, 7.0 + 0 * v[3])))
    with pytest.raises(SceneError, match="some bands are combinations of others"):
        run(singular(lambda v: v.__setitem__(3, v[4])))
    with pytest.raises(SceneError, match="no valid pixel"):
        run(singular(lambda v: v.fill(np.nan)))
    with pytest.raises(SceneError, match="12 valid pixels are too few for a covariance of 12 bands"):
        run(Memory(np.random.default_rng(0).normal(size=(12, 3, 4)).astype(np.float32)))
    with pytest.raises(SceneError, match="all of its valid pixels are equal"):
        run(Memory(np.full((2, 9, 9), 3, np.int16)))
    nothing = gaussian_scene().info
    with pytest.raises(SceneError, match="none of its bands is good"):
        RX().bind({"cube": nothing.with_(bands=Bands(nothing.bands.wavelength, nothing.bands.fwhm, np.zeros(12, bool), nothing.bands.names))})


def test_a_declared_ridge_makes_a_singular_covariance_usable():
    source = singular(lambda v: v.__setitem__(3, v[4]))
    scores = run(source, RX(ridge=1e-8)).layers["scores"][0]
    np.testing.assert_allclose(scores, numpy_rx(np.delete(source.values, 3, 0)), rtol=0.05)


@pytest.mark.parametrize("options", [{"pfa": 0.0}, {"pfa": 1.0}, {"pfa": float("nan")}, {"ridge": -1.0}, {"ridge": float("nan")}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(OptionError):
        RX(**options)


AREAS = {"abu-airport-1": 0.8221, "abu-airport-2": 0.8404, "abu-airport-3": 0.9288, "abu-airport-4": 0.9526, "abu-beach-1": 0.9807, "sandiego_58": 0.8885}


@pytest.mark.parametrize("name", AREAS)
def test_real_scenes_equal_spy_and_the_known_areas(name, shared_data):
    import spectral
    from scipy.io import loadmat
    from sklearn.metrics import roc_auc_score

    data = loadmat(shared_data / "detection" / f"{name}.mat")
    cube = data["data"].astype(np.float32)
    scores = run(Memory(np.ascontiguousarray(cube.transpose(2, 0, 1)), nodata=None), tile=64).layers["scores"][0]
    expected = spectral.rx(cube.astype(float))
    assert np.abs(scores - expected).max() <= 2e-5 * expected.max()
    assert roc_auc_score(data["map"].ravel(), scores.ravel()) == pytest.approx(AREAS[name], abs=1e-3)

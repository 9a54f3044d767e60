from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import compute
from hsikit.errors import GridError, OptionError, SceneError, WavelengthError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands
from hsikit.tasks.pansharpening.brovey import FLOOR, LARGEST_RATIO, Brovey
from tests.engine.toys import Memory
from tests.tasks.superresolution.test_bicubic import slow_line

LEFT, TOP, PAN = 400_000.0, 5_800_000.0, 5.0
CASES = {"3": (F(3), (F(0), F(0))), "6": (F(6), (F(0), F(0))), "5/2": (F(5, 2), (F(0), F(0))), "3, shifted": (F(3), (F(-237, 100), F(13, 7)))}


def pan_source(values, bands=None):
    source = Memory(values, Grid(values.shape[1:], (PAN, 0, LEFT, 0, -PAN, TOP), "EPSG:32633"), nodata=None)
    source.info = source.info.with_(name="pan.tif", bands=bands or Bands(np.array([600.0]), np.array([200.0]), np.ones(1, bool), ("pan",)))
    return source


def make_pair(ratio, shift=(F(0), F(0)), seed=3, bands=6, holes=True):
    """A cube and a panchromatic image of one landscape; the cube's origin lies `shift` (rows, cols) fine pixels off."""
    rng = np.random.default_rng(seed)
    rows, cols = 24, 18
    fine = (int(rows * ratio), int(cols * ratio))
    y, x = np.mgrid[: fine[0], : fine[1]] / 9.0
    pan = (40 + 9 * np.sin(x) * np.cos(1.3 * y) + rng.normal(size=fine))[None].astype(np.float32)
    cube = rng.uniform(0.2, 0.5, (bands, 1, 1)) * (1 + 0.3 * rng.random((bands, rows, cols)))
    cube = cube.astype(np.float32)
    if holes:
        cube[:, 5:8, 3:6], cube[:, 20], pan[:, 7:9, 11] = np.nan, np.nan, np.nan
    pixel = PAN * float(ratio)
    at = (pixel, 0, LEFT + PAN * float(shift[1]), 0, -pixel, TOP - PAN * float(shift[0]))
    hs = Memory(cube, Grid((rows, cols), at, "EPSG:32633"), nodata=None)
    hs.info = hs.info.with_(name="hs.tif")
    return {"hs": hs, "pan": pan_source(pan)}


def run(pair, method=None, **how):
    job = (method or Brovey()).bind({role: source.info for role, source in pair.items()})
    return compute(job, pair, **how)


def shares(ratio, shift, coarse, fine):
    """Area of each fine pixel in each coarse one, as a share of the coarse."""
    low = np.arange(coarse)[:, None] * float(ratio) + float(shift)
    j = np.arange(fine)
    return np.clip(np.minimum(low + float(ratio), j + 1) - np.maximum(low, j), 0, None) / float(ratio)


def slow(pair, ratio, shift):
    """The method once more in NumPy: whole arrays, positions in floats."""
    hs, pan = pair["hs"].values.astype(float), pair["pan"].values[0].astype(float)
    wavelength = pair["hs"].info.bands.wavelength
    seen = (wavelength >= 500) & (wavelength <= 700)
    weights = [shares(ratio, s, n, m) for s, n, m in zip(shift, hs.shape[1:], pan.shape, strict=True)]
    average = weights[0] @ np.nan_to_num(pan) @ weights[1].T
    there = weights[0] @ (~np.isnan(pan)).astype(float) @ weights[1].T > 1 - 1e-6
    level = hs[seen].mean(0)
    use = there & ~np.isnan(level)
    gain = level[use].std() / average[use].std()
    offset = level[use].mean() - gain * average[use].mean()
    at = [(np.arange(m) + 0.5 - float(s)) / float(ratio) - 0.5 for s, m in zip(shift, pan.shape, strict=True)]
    inside = [(p > -0.5) & (p < n - 0.5) for p, n in zip(at, hs.shape[1:], strict=True)]
    fine = np.full((len(hs), *pan.shape), np.nan)
    for band, out in zip(hs, fine, strict=True):
        across = np.stack([slow_line(line, at[1][inside[1]]) for line in band])
        out[np.ix_(*inside)] = np.stack([slow_line(line, at[0][inside[0]]) for line in across.T]).T
    ratios = (gain * pan + offset) / np.maximum(fine[seen].mean(0), FLOOR * level[use].mean())
    return fine * np.clip(ratios, 0, LARGEST_RATIO)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_same_method_in_numpy(case):
    ratio, shift = CASES[case]
    pair = make_pair(ratio, shift)
    found, expected = run(pair, tile=29).layers["sharp"], slow(pair, ratio, shift)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert 0.03 < np.isnan(found).mean() < 0.2


@settings(max_examples=15)
@given(st.sampled_from(list(CASES)), st.integers(7, 90))
def test_tiles_of_any_size_give_the_same(case, tile):
    pair = make_pair(*CASES[case])
    whole, cut = run(pair, tile=400), run(pair, tile=tile)
    for key, value in whole.store["match"].items():
        assert float(cut.store["match"][key]) == pytest.approx(float(value), rel=1e-10)
    np.testing.assert_allclose(cut.layers["sharp"], whole.layers["sharp"], rtol=1e-6)


@settings(max_examples=8)
@given(st.floats(0.01, 1e4), st.floats(-100, 1e4))
def test_the_unit_of_the_panchromatic_image_does_not_matter(factor, constant):
    pair = make_pair(F(3), holes=False)
    other = {**pair, "pan": pan_source((pair["pan"].values.astype(float) * factor + constant * factor).astype(np.float32))}
    np.testing.assert_allclose(run(other).layers["sharp"], run(pair).layers["sharp"], rtol=5e-3)


def test_band_ratios_and_levels_stay_those_of_the_cube():
    pair = make_pair(F(3), holes=False)
    flat = np.linspace(0.2, 0.7, 6, dtype=np.float32)[:, None, None] * (1 + 0.2 * np.random.default_rng(0).random((1, 24, 18), np.float32))
    pair["hs"].values = flat
    sharp = run(pair).layers["sharp"]
    np.testing.assert_allclose(sharp / sharp[:1], np.broadcast_to((flat / flat[:1])[:, :1, :1], sharp.shape), rtol=1e-5)
    assert sharp.mean() == pytest.approx(float(flat.mean()), rel=0.01)


def test_a_perfect_panchromatic_image_gives_back_the_truth():
    """Where every band is a multiple of one image, and the panchromatic image is that image, sharpening is exact."""
    y, x = np.mgrid[:72, :54]
    truth = (2 + np.sin(x / 5) * np.cos(y / 7)).astype(np.float32)
    spectrum = np.linspace(0.1, 0.6, 6, dtype=np.float32)
    pair = make_pair(F(3), holes=False)
    pair["hs"].values = spectrum[:, None, None] * truth.reshape(24, 3, 18, 3).mean((1, 3))
    pair["pan"] = pan_source(7 * truth[None])
    found = run(pair).layers["sharp"]
    assert np.abs(found / (spectrum[:, None, None] * truth) - 1).max() < 1e-4


def test_only_good_bands_under_the_response_make_the_intensity():
    pair = make_pair(F(3))
    info = pair["hs"].info
    good = np.array([True, True, False, True, True, True])
    info = info.with_(bands=Bands(info.bands.wavelength, info.bands.fwhm, good, info.bands.names))
    job = Brovey((450, 720)).bind({"hs": info, "pan": pair["pan"].info})
    assert info.bands.wavelength.tolist() == [450, 540, 630, 720, 810, 900]
    assert job.provenance["intensity_bands"] == "1 2 4" and job.provenance["pan_range_nm"] == "450 720 (option)"
    assert job.layer("sharp").wavelength is info.bands.wavelength and job.layer("sharp").bands == 6


def test_a_panchromatic_image_that_names_no_response_sees_400_to_700():
    pair = make_pair(F(3))
    nameless = pan_source(pair["pan"].values, Bands(np.array([np.nan]), np.array([np.nan]), np.ones(1, bool), ("pan",)))
    job = Brovey().bind({"hs": pair["hs"].info, "pan": nameless.info})
    assert job.provenance["pan_range_nm"].startswith("400 700 (assumed") and job.provenance["intensity_bands"] == "1 2 3"


def test_what_cannot_work_is_refused():
    pair = make_pair(F(3))
    infos = {role: source.info for role, source in pair.items()}
    with pytest.raises(WavelengthError, match=r"hs\.tif: none of its good bands lies under the response of pan\.tif"):
        Brovey((1000, 1100)).bind(infos)
    with pytest.raises(GridError, match="pixels are larger"):
        Brovey().bind({"hs": infos["pan"].with_(bands=infos["hs"].bands), "pan": infos["hs"].with_(bands=infos["pan"].bands)})
    with pytest.raises(SceneError, match="one band, this one has 6"):
        Brovey().bind({"hs": infos["hs"], "pan": infos["pan"].with_(bands=infos["hs"].bands)})
    with pytest.raises(OptionError, match="--pan-range"):
        Brovey((700, 400))
    with pytest.raises(SceneError, match="constant"):
        run({**pair, "pan": pan_source(np.ones_like(pair["pan"].values))})


def test_a_real_pair_keeps_its_radiometry(shared_data):
    from scipy.io import loadmat

    data = loadmat(shared_data / "fusion" / "paris_eo1" / "paris_data_hs_pan.mat")
    cube, pan = (np.ascontiguousarray(v, np.float32) for v in (data["HSim"].transpose(2, 0, 1), data["PCim"][None]))
    hs = Memory(cube, Grid(cube.shape[1:]), nodata=None)
    number = data["non_del_bands"].ravel().astype(int)
    nanometres = np.where(number <= 57, 426.82 + 10.17 * (number - 8), 912.45 + 10.09 * (number - 77))
    hs.info = hs.info.with_(bands=Bands(nanometres, np.full(128, 10.5), np.ones(128, bool), hs.info.bands.names))
    wide = pan_source(pan, Bands(np.array([585.0]), np.array([210.0]), np.ones(1, bool), ("pan",)))
    wide.info = wide.info.with_(grid=Grid(pan.shape[1:]))
    found = run({"hs": hs, "pan": wide}, tile=64)
    sharp = found.layers["sharp"]
    assert float(found.store["match"]["correlation"]) > 0.8
    blurred = sharp.reshape(len(cube), 72, 3, 58, 3).mean((2, 4))
    cosine = (blurred * cube).sum(0) / np.linalg.norm(blurred, axis=0) / np.linalg.norm(cube, axis=0)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() < 4
    assert abs(blurred.mean() / cube.mean() - 1) < 0.02


def test_scenes_that_share_no_valid_pixel():
    pair = make_pair(F(3), holes=False)
    pair["hs"].values[:, :12] = np.nan
    pair["pan"].values[:, 36:] = np.nan
    with pytest.raises(SceneError, match=r"hs\.tif: no pixel is valid in both scenes"):
        run(pair)

"""Feature fitting against one regression at a time, on scenes whose materials are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsikit.engine import compute
from hsikit.errors import OptionError, WavelengthError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Decoding, SceneInfo, read_window
from hsikit.sensors.array import ArraySource
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.minerals.minerals import Minerals, profiles_of

from .test_features import NM, SEEN, dips

NAMES = ("calcite", "kaolinite", "goethite", "iron and clay", "flat")
SPECTRA = np.stack([
    dips((2340, 25, 0.2)), dips((2165, 15, 0.12), (2205, 15, 0.25)), dips((930, 90, 0.3)), dips((870, 70, 0.2), (2210, 25, 0.15), (2350, 15, 0.08)), dips(),
])  # fmt: skip
OWN = Minerals(TargetSpectra(("x",), np.ones((1, 3)), np.arange(3.0), np.ones(3), "surface_reflectance")).table


def references(spectra: np.ndarray = SPECTRA, names: tuple[str, ...] = NAMES, quantity: str = "surface_reflectance") -> TargetSpectra:
    return TargetSpectra(names, spectra, NM, np.full(len(NM), 8.0), quantity, "library.sli")


def scene_of(values: np.ndarray, quantity: str = "surface_reflectance") -> ArraySource:
    """A scene of reflectance (bands, rows, cols)."""
    bands = Bands(NM, np.full(len(NM), 8.0), SEEN, tuple(f"{nm:g}" for nm in NM))
    info = SceneInfo("scene.tif", Grid(values.shape[1:], (30.0, 0, 4e5, 0, -30.0, 5e6), "EPSG:32633"), bands, "float32", "array", quantity=quantity)
    return ArraySource(values.astype(np.float32), info, Decoding())


def _values(source: ArraySource) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def mixed_scene(rows: int = 12, cols: int = 15, noise: float = 0.002, seed: int = 0) -> tuple[ArraySource, np.ndarray, np.ndarray]:
    """Materials in changing shares with a grey one; their numbers and shares."""
    rng = np.random.default_rng(seed)
    number, share = rng.integers(0, len(SPECTRA), (rows, cols)), rng.uniform(0.4, 1, (rows, cols))
    values = share[..., None] * SPECTRA[number] + (1 - share[..., None]) * 0.3 + noise * rng.standard_normal((rows, cols, len(NM)))
    return scene_of(values.transpose(2, 0, 1)), number, share


def mapped(source: ArraySource, method: Minerals, **how) -> dict[str, np.ndarray]:
    return compute(method.bind({"cube": source.info}), {"cube": source}, layers=["minerals", "depth", "fit", "uncertainty"], **how).layers


def regression(spectrum: np.ndarray, profile, wavelength: np.ndarray) -> tuple[float, float]:
    """Fit and depth of one feature of one pixel, by lstsq."""
    first, stop, left, right = profile.window
    inside, values = wavelength[first:stop], spectrum[first:stop]
    ends = inside[:left].mean(), inside[-right:].mean()
    line = values[:left].mean() + (values[-right:].mean() - values[:left].mean()) * (inside - ends[0]) / (ends[1] - ends[0])
    b = np.linalg.lstsq(np.stack([np.ones(len(inside)), profile.centred], 1), values / line, rcond=None)[0][1]
    return (np.corrcoef(values / line, profile.centred)[0, 1] ** 2 if b > 0 else 0.0), max(b, 0.0) * profile.depth


def test_equals_one_regression_at_a_time() -> None:
    source, _, _ = mixed_scene(noise=0.01)
    told = references()
    found = mapped(source, Minerals(told, least_fit=0.0, least_depth=0.0, dark=0.0))
    profiles = profiles_of(told, source.info, OWN)
    used = source.info.bands.used
    assert [len(own) for own in profiles[:3]] == [1, 1, 1] and len(profiles[3]) >= 3 and profiles[4] == []
    for row, col in ((0, 0), (3, 7), (11, 14)):
        spectrum = _values(source)[used, row, col].astype(float)
        for group in (1, 2):
            expected = {}
            for entry, own in enumerate(profiles, 1):
                part = [profile for profile in own if profile.group == group]
                area = sum(profile.area for profile in part)
                each = [(profile.area / area, *regression(spectrum, profile, NM[used])) for profile in part]
                rejected = any(profile.diagnostic and not 0 < depth <= 1.5 * profile.depth for profile, (_, _, depth) in zip(part, each, strict=True))
                if part and not rejected:
                    expected[entry] = sum(w * fit for w, fit, _ in each), sum(w * depth for w, _, depth in each)
            ranked = sorted((entry for entry in expected if expected[entry][0] > 0), key=lambda entry: -expected[entry][0])[:3]
            bands = slice(3 * group - 3, 3 * group - 3 + len(ranked))
            assert found["minerals"][bands, row, col].tolist() == ranked
            np.testing.assert_allclose(found["fit"][bands, row, col], [expected[entry][0] for entry in ranked], atol=2e-5)
            np.testing.assert_allclose(found["depth"][bands, row, col], [expected[entry][1] for entry in ranked], atol=2e-5)


def test_materials_are_named_with_their_depth() -> None:
    source, number, share = mixed_scene()
    found = mapped(source, Minerals(references()))
    for place, group in ((0, 2), (1, 2), (2, 1), (3, 1), (3, 2)):
        here = number == place
        assert (found["minerals"][3 * group - 3][here] == place + 1).all()
        fits = found["fit"][3 * group - 3 : 3 * group, here]
        assert (fits[0] > 0.8).all() and (np.diff(fits, axis=0) <= 0).all() and (fits <= 1).all()
    assert (found["minerals"][:, number == 4] == 0).all() and (found["depth"][:, number == 4] == 0).all()
    kaolinite = number == 1
    assert np.corrcoef(found["depth"][3][kaolinite], share[kaolinite])[0, 1] > 0.98


def test_the_uncertainty_is_the_spread_of_depths() -> None:
    for noise in (0.002, 0.006):
        rng = np.random.default_rng(1)
        values = (SPECTRA[1] + noise * rng.standard_normal((40, 40, len(NM)))).transpose(2, 0, 1)
        for told in (noise, None):
            found = mapped(scene_of(values), Minerals(references(), noise=told))
            assert (found["minerals"][3] == 2).all()
            assert found["uncertainty"][1].mean() == pytest.approx(found["depth"][3].std(), rel=0.2)
    assert (found["uncertainty"][0][found["minerals"][0] == 0] == 0).all()


def test_the_uncertainty_is_the_slopes_by_hand() -> None:
    """One feature: L(w*) sqrt(sum (n L - sum L)^2 s^2) / (n sum L^2 - (sum L)^2), L the library's depths, s the noise over the continuum."""
    source, _, _ = mixed_scene()
    told, noise, used = references(SPECTRA[:1], NAMES[:1]), 0.004, source.info.bands.used
    found = mapped(source, Minerals(told, noise=noise, least_fit=0.0, least_depth=0.0))
    (profile,) = profiles_of(told, source.info, OWN)[0]
    first, stop, left, right = profile.window
    depths = profile.area / (stop - first) - profile.centred  # Lc
    n, total = len(depths), depths.sum()
    row, col = np.argwhere(found["minerals"][3] == 1)[0]
    values, inside = _values(source)[used[first:stop], row, col].astype(float), NM[used[first:stop]]
    ends = inside[:left].mean(), inside[-right:].mean()
    line = values[:left].mean() + (values[-right:].mean() - values[:left].mean()) * (inside - ends[0]) / (ends[1] - ends[0])
    by_hand = depths.max() * np.sqrt(((n * depths - total) ** 2 * (noise / line) ** 2).sum()) / (n * (depths**2).sum() - total**2)
    assert found["uncertainty"][1, row, col] == pytest.approx(by_hand, rel=1e-4)


def test_equal_entries_do_not_go_by_their_order() -> None:
    """The better fit wins from any place of the library."""
    source, _, _ = mixed_scene(noise=0.004)
    order = [3, 1, 4, 0, 2]
    straight = mapped(source, Minerals(references()))["minerals"]
    turned = mapped(source, Minerals(references(SPECTRA[order], tuple(NAMES[i] for i in order))))["minerals"]
    back = np.array([0, *(i + 1 for i in order)])
    np.testing.assert_array_equal(back[turned], straight)


def test_dark_pixels_and_nodata_have_no_mineral() -> None:
    values = np.broadcast_to(SPECTRA[1], (4, 5, len(NM))).transpose(2, 0, 1).copy()
    values[:, 0] *= 0.03
    values[:, 1] = np.nan
    values[:, 2] *= -1
    found = mapped(scene_of(values), Minerals(references()))
    assert (found["minerals"][:, 0] == 0).all() and (found["fit"][:, 0] == 0).all() and (found["minerals"][:, 2] == 0).all()
    assert (found["minerals"][:, 1] == -1).all() and np.isnan(found["depth"][:, 1]).all() and np.isnan(found["uncertainty"][:, 1]).all()
    assert (found["minerals"][3, 3] == 2).all()


def test_a_shoulder_ratio_and_an_optional_feature(tmp_path: Path) -> None:
    from hsikit.tasks.minerals.features import read_features

    shape = "group = 2, left = [2080, 2110], right = [2290, 2320]"
    file = tmp_path / "own.toml"
    source = scene_of(np.broadcast_to(SPECTRA[1], (2, 2, len(NM))).transpose(2, 0, 1))
    for more, named in (("", 1), (", slope = [0.5, 2.0]", 1), (", slope = [1.5, 2.0]", 0), (", slope = [1.5, 2.0], diagnostic = false", 1)):
        file.write_text(f'[[mineral]]\nname = "clay"\nfeatures = [{{ {shape}{more} }}]')
        found = mapped(source, Minerals(references(SPECTRA[1:2], ("clay",)), read_features(file)))
        assert (found["minerals"][3] == named).all(), more


def test_an_absorption_deeper_than_the_entry_is_not_the_entrys() -> None:
    """A faint and a deep entry of one shape: pixels deeper than the faint one by more than the ratio are the deep one's, or nobody's."""
    faint, deep = dips((2210, 25, 0.04)), dips((2210, 25, 0.25))
    source = scene_of(np.broadcast_to(0.5 * deep + 0.15, (2, 2, len(NM))).transpose(2, 0, 1))
    for spectra, names, more, named in (
        (faint[None], ("faint",), {}, 0), (faint[None], ("faint",), {"most_ratio": 10.0}, 1), (np.stack([faint, deep]), ("faint", "deep"), {}, 2)
    ):  # fmt: skip
        assert (mapped(source, Minerals(references(spectra, names), **more))["minerals"][3] == named).all()


def test_an_entry_without_a_diagnostic_feature_comes_after_the_others() -> None:
    """An edge in the blue fits the pixel as the iron does, and is named first only where no iron is among the entries."""
    edge = 0.3 + 0.7 / (1 + np.exp(-(NM - 520) / 25))
    spectra = np.stack([dips() * edge, dips((900, 60, 0.2))])
    source = scene_of(np.broadcast_to(dips((900, 60, 0.1)) * edge, (2, 2, len(NM))).transpose(2, 0, 1))
    both, alone = (mapped(source, Minerals(references(spectra[:n], ("edge", "iron")[:n]))) for n in (2, 1))
    assert (both["minerals"][:2] == np.reshape([2, 1], (2, 1, 1))).all() and (both["minerals"][2] == 0).all()
    assert (alone["minerals"][0] == 1).all()
    np.testing.assert_allclose(both["fit"][1], alone["fit"][0], atol=1e-5)


def test_entries_and_pixels_are_counted() -> None:
    source, _, _ = mixed_scene()
    result = compute(Minerals(references()).bind({"cube": source.info}), {"cube": source}, layers=["minerals"])
    table = result.features["entries"].columns
    assert table["name"].tolist() == list(NAMES) and table["features_group_2"].tolist()[:2] == [1, 1]
    assert table["pixels_group_2"].tolist() == [(result.layers["minerals"][3] == place).sum() for place in range(1, 6)]


@pytest.mark.parametrize(
    "wrong", [{"least_fit": -0.1}, {"least_fit": 1.0}, {"least_depth": 2}, {"dark": -1}, {"most_ratio": 0.0}, {"noise": 0.0}, {"noise": 3.0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Minerals(references(), **wrong)


def test_what_cannot_be_mapped_is_named() -> None:
    source, _, _ = mixed_scene()
    radiance = scene_of(_values(source), "radiance")
    with pytest.raises(OptionError, match=r"library\.sli: holds surface_reflectance .* correct the scene"):
        Minerals(references()).bind({"cube": radiance.info})
    with pytest.raises(OptionError, match="none of its 1 entries has a feature"):
        Minerals(references(SPECTRA[4:], NAMES[4:])).bind({"cube": source.info})
    other = TargetSpectra(NAMES, SPECTRA[:, ::2], NM[::2], np.full(len(NM[::2]), 8.0), "surface_reflectance", "library.sli")
    with pytest.raises(WavelengthError, match="not at the bands of"):
        Minerals(other).bind({"cube": source.info})
    blind = source.info.with_(bands=Bands(np.full(len(NM), np.nan), np.full(len(NM), np.nan), SEEN, source.info.bands.names))
    with pytest.raises(WavelengthError, match="no wavelengths"):
        Minerals(references()).bind({"cube": blind})


def test_a_single_pixel_can_be_mapped() -> None:
    found = mapped(scene_of(SPECTRA[1][:, None, None]), Minerals(references()))
    assert found["minerals"][3].item() == 2 and torch.isfinite(torch.from_numpy(found["uncertainty"])).all()

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.errors import ModelError, OptionError
from hsikit.geo.grid import Window
from hsikit.layers import UNKNOWN
from hsikit.method import Tile
from hsikit.scene import Bands
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.svm import Svm
from tests.tasks.classification.scenes import bands, fields, labelled, layers_of, run_with, source

KINDS: list[tuple[type[PixelClassifier], dict[str, object]]] = [
    (NearestLabel, {}), (Svm, {}), (RandomForest, {"trees": 20}), (MnfLda, {"components": 8, "width": 5, "standardise": True}),
]  # fmt: skip
VALUES, TRUTH = fields(43, 37, 4, 12, noise=2.5)
SCENE = source(VALUES)
MODELS = {kind.name: kind.train([labelled(SCENE, TRUTH)], run=run_with(), **options) for kind, options in KINDS}  # type: ignore[arg-type]


@settings(max_examples=5)
@given(st.integers(5, 45))
@pytest.mark.parametrize("name", MODELS)
def test_tiles_of_any_size_give_what_the_whole_gives(name: str, tile: int) -> None:
    job = MODELS[name].with_options(extras=("confidence", "probabilities")).bind({"cube": SCENE.info})
    whole, tiled = (layers_of(job, SCENE, size, "map", "confidence", "probabilities") for size in (None, tile))
    for layer in ("confidence", "probabilities"):
        np.testing.assert_allclose(tiled[layer], whole[layer], atol=1e-6)
    np.testing.assert_array_equal(tiled["map"], whole["map"])


@pytest.mark.parametrize("name", MODELS)
def test_layers_agree_with_each_other(name: str) -> None:
    job = MODELS[name].with_options(extras=("confidence", "probabilities")).bind({"cube": SCENE.info})
    found = layers_of(job, SCENE, None, "map", "confidence", "probabilities")
    missing = np.isnan(VALUES).sum(0) > 1.2
    np.testing.assert_array_equal(found["map"][0] == 0, missing)
    assert np.isnan(found["confidence"][0][missing]).all() and np.isnan(found["probabilities"][:, missing]).all()
    np.testing.assert_allclose(found["probabilities"][:, ~missing].sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(found["probabilities"].max(0), found["confidence"][0])
    best = np.array(MODELS[name].legend.codes)[found["probabilities"][:, ~missing].argmax(0)]
    np.testing.assert_array_equal(found["map"][0][~missing], best)


def test_unsure_pixels_become_unknown() -> None:
    job = MODELS["random-forest"].with_options(extras=("confidence",), unknown_below=0.6).bind({"cube": SCENE.info})
    found = layers_of(job, SCENE, None, "map", "confidence")
    valid = found["map"][0] > 0
    unsure = found["confidence"][0] < 0.6
    assert 0 < unsure.sum() < valid.sum()
    np.testing.assert_array_equal(found["map"][0][valid] == UNKNOWN, unsure[valid])


def test_only_the_map_unless_asked() -> None:
    assert [layer.name for layer in MODELS["svm"].bind({"cube": SCENE.info}).layers] == ["map"]


def test_bands_are_found_in_a_scene_that_has_more_of_them() -> None:
    more = np.repeat(VALUES, 2, 0)
    centres = np.sort(np.concatenate([SCENE.info.bands.wavelength + 2.5, SCENE.info.bands.wavelength + 40]))
    wide = source(more, bands=Bands(centres, np.full(24, 12.0), np.ones(24, bool), tuple(map(str, range(24)))))
    assert MODELS["svm"].bind({"cube": wide.info}).inputs["cube"].bands == tuple(range(0, 24, 2))
    plain, found = (layers_of(MODELS["svm"].bind({"cube": scene.info}), scene, None, "map")["map"] for scene in (SCENE, wide))
    np.testing.assert_array_equal(plain, found)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bands": bands(12, shift=3.1)}, "quarter of their width"),
        ({"quantity": "radiance"}, "radiance .W m-2 sr-1 um-1.*trained on dn"),
        ({"bands": Bands(bands(12).wavelength, bands(12).fwhm, np.arange(12) > 2, bands(12).names)}, "marked bad"),
        ({"bands": Bands(np.full(12, np.nan), bands(12).fwhm, np.ones(12, bool), bands(12).names)}, "no wavelengths"),
    ],
)
def test_another_scene_is_refused_with_the_reason(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=rf"other\.tif.*{reason}"):
        MODELS["svm"].bind({"cube": source(VALUES, name="other.tif", **changes).info})


def test_bands_of_unknown_width_fit_by_their_spacing() -> None:
    spaced = bands(12)
    basis = Basis("", "dn", Bands(spaced.wavelength, np.full(12, np.nan), spaced.good, spaced.names))
    spacing = np.diff(spaced.wavelength)[0]
    basis.match(source(VALUES, bands=bands(12, shift=spacing * 0.24)).info)
    with pytest.raises(ModelError):
        basis.match(source(VALUES, bands=bands(12, shift=spacing * 0.26)).info)


@pytest.mark.parametrize("name", MODELS)
def test_state_gives_the_model_back(name: str) -> None:
    model = MODELS[name]
    again = type(model).from_state(*model.state())
    assert again.identity() == model.identity()
    assert again.bind({"cube": SCENE.info}).inputs == model.bind({"cube": SCENE.info}).inputs


@pytest.mark.parametrize("name", MODELS)
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    model = MODELS[name]
    arrays, facts = model.state()
    for key in model.shapes:
        with pytest.raises(ValueError, match=key):
            type(model).from_state({k: v for k, v in arrays.items() if k != key}, facts)
        with pytest.raises(ValueError, match="has shape"):
            type(model).from_state({**arrays, key: arrays[key][None]}, facts)


def test_identity_tells_models_and_options_apart() -> None:
    model = MODELS["svm"]
    other = Svm.train([labelled(SCENE, TRUTH, seed=1)], run=run_with())
    identities = [m.identity() for m in (model, other, model.with_options(unknown_below=0.5), model.with_options(extras=("confidence",)))]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])


@pytest.mark.parametrize("options", [{"unknown_below": 2.0}, {"extras": ("map2",)}, {"legend": None}, {"bogus": 1}, {"refit_statistics": True}])
def test_refuses_options(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        MODELS["svm"].with_options(**options)


def test_cost_grows_with_the_tile() -> None:
    for model in MODELS.values():
        small, large = (model.cost(shape) for shape in ((64, 64), (512, 512)))
        assert 0 < small.bytes < large.bytes and 0 < small.flops < large.flops


@pytest.mark.parametrize("name", MODELS)
def test_settings_that_do_not_fit_are_refused(name: str) -> None:
    arrays, facts = MODELS[name].state()
    for key in MODELS[name].kinds:
        for settings_ in ({k: v for k, v in facts["options"].items() if k != key}, {**facts["options"], key: {"a": 1}}):
            with pytest.raises(ValueError, match=key):
                type(MODELS[name]).from_state(arrays, {**facts, "options": settings_})
    if "targets" in arrays:
        with pytest.raises(ValueError, match="targets"):
            type(MODELS[name]).from_state({**arrays, "targets": arrays["targets"] + 1}, facts)


def test_two_bands_of_the_model_on_one_of_the_scene_are_refused() -> None:
    close = np.array([500.0, 502.0, 600.0])
    basis = Basis("", "dn", Bands(close, np.full(3, 12.0), np.ones(3, bool), ("a", "b", "c")))
    scene = source(VALUES[:2], bands=Bands(np.array([501.0, 600.0]), np.full(2, 12.0), np.ones(2, bool), ("d", "e")))
    with pytest.raises(ModelError, match=r"500\.0, 502\.0 nm.*501\.0 nm"):
        basis.match(scene.info)


def test_spectra_are_gathered_a_chunk_at_a_time() -> None:
    """No operation takes as much as the spectra of the tile."""
    from torch.profiler import ProfilerActivity, profile

    model = replace(MODELS["svm"])
    object.__setattr__(model, "chunk", 64)
    values = torch.from_numpy(VALUES).repeat(1, 4, 4)
    whole = Window(0, 0, *values.shape[1:])
    tile = Tile({"cube": values}, {"cube": ~values.isnan().any(0)}, {"cube": whole}, {"cube": (slice(None), slice(None))}, whole)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        found = model.log_probabilities(tile, {})
    assert max(event.self_cpu_memory_usage for event in seen.events()) < values.nbytes / 2
    valid = tile.valid["cube"]
    expected = model.pixel_log_probabilities(values[:, valid].T.contiguous(), {}).T
    torch.testing.assert_close(found[:, valid], expected)
    assert found[:, ~valid].isnan().all()

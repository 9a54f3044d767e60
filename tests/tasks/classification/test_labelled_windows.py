"""Labelled pixels with their surroundings: what is kept of them, and a head that is fitted on them for another sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from hsikit.errors import ModelError
from hsikit.scene import Bands
from hsikit.spectral.resample import gaussian_resampling
from hsikit.spectral.sensor_change import change_of
from hsikit.tasks.band_scale import band_facts, scene_scale
from hsikit.tasks.classification import labelled_windows
from hsikit.tasks.classification.any_sensor import AnySensor
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.encoder import EncoderClassifier
from hsikit.tasks.classification.encoder_features import features_at
from hsikit.tasks.classification.labelled_windows import LabelledWindows, standardised_response
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.refitting import OtherSensor, refitted
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.scene_moments import scene_moments
from hsikit.tasks.classification.transfer import Transfer, gather_transfer
from hsikit.transfer import gather_transfer as gather_for
from tests.tasks.bases import small_base
from tests.tasks.classification.scenes import as_sensor, fields, labelled, layers_of, run_with, source

BANDS, RUN = 15, run_with()
CENTRES, WIDTHS = [580.0, 870.0, 1150.0, 1440.0, 1730.0, 2020.0], [200.0] * 6
VALUES, TRUTH = fields(38, 33, 3, BANDS)
SCENE = source(np.abs(VALUES) + 1)
SCENE.info = SCENE.info.with_(bands=replace(SCENE.info.bands, fwhm=np.full(BANDS, 140.0)))
LABELS = labelled(SCENE, TRUTH, 25)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EncoderClassifier:
    return EncoderClassifier.train([LABELS], run=RUN, base=str(small_base(tmp_path_factory.mktemp("bases") / "base")), width=3)


@pytest.fixture(scope="module")
def windows(model: EncoderClassifier) -> LabelledWindows:
    found = model.labelled_windows([LABELS])
    assert found is not None
    return found


def test_they_hold_what_the_scene_holds_around_each_label(model: EncoderClassifier, windows: LabelledWindows) -> None:
    samples = training_samples([LABELS])
    np.testing.assert_array_equal(windows.targets, samples.targets)
    valid, whole = np.isnan(SCENE.values).mean(0) <= 0.1, ~np.isnan(SCENE.values).any(0)
    scale = scene_scale(SCENE, model.basis.match(SCENE.info), RUN)
    standardised = scale.standardised(torch.from_numpy(SCENE.values)).numpy()
    radius = windows.radius
    assert radius == model.radius
    for row, col, index in zip(samples.rows, samples.cols, windows.index, strict=True):
        for down in range(-radius, radius + 1):
            for across in range(-radius, radius + 1):
                place, kept = (row + down, col + across), index[down + radius, across + radius]
                inside = 0 <= place[0] < valid.shape[0] and 0 <= place[1] < valid.shape[1] and valid[place]
                assert (kept >= 0) == inside
                if inside and whole[place]:
                    np.testing.assert_allclose(windows.axes @ windows.values[kept].astype(float), standardised[(slice(None), *place)], atol=0.02)


def test_features_are_those_of_the_scene(model: EncoderClassifier, windows: LabelledWindows) -> None:
    samples = training_samples([LABELS])
    network, own = model._network("cpu"), SCENE.info.bands
    scale = scene_scale(SCENE, model.basis.match(SCENE.info), RUN)
    wanted = features_at([LABELS], samples, network, {id(SCENE): scale}, [3], RUN, None)[3]
    found, scatter = windows.features(network, np.eye(BANDS), band_facts(own, scale), 3)
    np.testing.assert_allclose(found, wanted, atol=0.03 * wanted.std())
    assert np.linalg.eigvalsh(scatter).min() > -1e-6 * np.trace(scatter)


def test_a_sensors_standardised_values_follow_from_the_standardised_bands() -> None:
    rng = np.random.default_rng(0)
    spectra = rng.normal(size=(5000, 6)) @ rng.normal(size=(6, 6)) + 5
    weights = rng.uniform(size=(3, 6))
    seen = spectra @ weights.T
    own = (spectra - spectra.mean(0)) / spectra.std(0, ddof=1)
    found = own @ standardised_response(change_of(weights, np.array([500.0, 600.0, 700.0])), np.cov(spectra.T)).T
    np.testing.assert_allclose(found, (seen - seen.mean(0)) / seen.std(0, ddof=1), atol=1e-9)


def other_sensor(transfer: Transfer, centres: Sequence[float] = CENTRES) -> OtherSensor:
    own = transfer.basis.bands
    bands = Bands(np.array(centres), np.full(len(centres), 200.0), np.ones(len(centres), bool), tuple(f"b{c:g}" for c in centres))
    return OtherSensor("other", "other", bands, gaussian_resampling(own.wavelength, own.fwhm, bands.wavelength, bands.fwhm))


def test_a_head_for_another_sensor_is_that_of_a_training_on_its_scene(model: EncoderClassifier, tmp_path: Path) -> None:
    transfer = gather_for(model, [LABELS])
    assert transfer is not None and transfer.windows is not None and not transfer.has_networks
    again = Transfer.from_state(*transfer.state())
    made, notes = refitted(model, again, other_sensor(again))
    assert "head lda was fitted anew on 75 of 75" in notes[0]
    other = as_sensor(SCENE, CENTRES, WIDTHS)
    peer = EncoderClassifier.train([replace(LABELS, source=other)], run=RUN, base=str(small_base(tmp_path / "base")), width=3)
    maps = [layers_of(each.bind({"cube": other.info}), other, None, "map")["map"][0] for each in (made, peer)]
    known = maps[0] > 0
    assert (maps[0] == maps[1])[known].mean() > 0.95 and (maps[0] == TRUTH)[known].mean() > 0.8
    assert not made.sensor_notice(other.info)
    restored = EncoderClassifier.from_state(*made.state())
    np.testing.assert_array_equal(layers_of(restored.bind({"cube": other.info}), other, 20, "map")["map"][0], maps[0])


def test_an_adapted_model_is_adapted_again_from_the_same_windows(model: EncoderClassifier) -> None:
    transfer = gather_for(model, [LABELS])
    assert transfer is not None
    first, _ = refitted(model, transfer, other_sensor(transfer))
    once, again = (
        refitted(each, replace(transfer, origin={"model": "m"}), other_sensor(transfer, [600.0, 900.0, 1600.0, 2200.0]))[0] for each in (model, first)
    )
    np.testing.assert_array_equal(once.arrays["head.weight"], again.arrays["head.weight"])
    # It has lost what a third sensor needs; what its folder keeps of the first has not.
    third = as_sensor(SCENE, SCENE.info.bands.wavelength[1:12].tolist(), [150.0] * 11)
    assert isinstance(AnySensor(again, replace(transfer, origin={"model": "m"})).for_scene(third.info), MarginalLda)


def test_an_adapters_file_has_the_new_head(tmp_path: Path) -> None:
    made = EncoderClassifier.train([LABELS], run=RUN, base=str(small_base(tmp_path / "base")), width=3, head="lora")
    transfer = gather_for(made, [LABELS])
    assert transfer is not None
    again, _ = refitted(made, transfer, other_sensor(transfer))
    own = again.adapter()
    assert own is not None
    for name in ("weight", "bias"):
        np.testing.assert_allclose(own[0][f"base_model.model.head.{name}"], again.arrays[f"head.{name}"], rtol=1e-6)
    assert again.settings["refitted"] == "lda" and "parameters" not in again.settings


def test_the_classes_count_by_their_share_in_the_training(model: EncoderClassifier, windows: LabelledWindows) -> None:
    basis = Basis(SCENE.info.sensor, SCENE.info.quantity, SCENE.info.bands)
    own = change_of(np.eye(BANDS), SCENE.info.bands.wavelength)
    rare = replace(windows, shares=np.array([1e-6, 0.5, 0.5]))
    plain, other = (model.for_sensor(each, own, basis).arrays["head.bias"] for each in (windows, rare))
    np.testing.assert_allclose(other - plain, np.log(rare.shares / windows.shares), atol=1e-9)


def test_a_pixel_far_out_of_range_leaves_the_folder_whole(tmp_path: Path) -> None:
    values = SCENE.values.copy()
    row, col = int(LABELS.rows[0]), int(LABELS.cols[0])
    values[:, row + (1 if row < 37 else -1), col] = 3e7
    wild = source(values)
    wild.info = SCENE.info.with_(identity=())
    labels = replace(LABELS, source=wild)
    with mock.patch.object(labelled_windows, "scene_moments", lambda *given, **more: scene_moments([SCENE], given[1], single=True)):
        made = EncoderClassifier.train([labels], run=RUN, base=str(small_base(tmp_path / "base")), width=3)
        transfer = gather_for(made, [labels])
    assert transfer is not None and Transfer.from_state(*transfer.state()).windows is not None


def test_scenes_that_differ_in_level_do_not_count_as_spread() -> None:
    # Even along the spectrum, so that gaps are filled alike.
    shifted = source(SCENE.values + 10 * np.arange(BANDS, dtype=np.float32)[:, None, None])
    shifted.info = SCENE.info.with_(identity=())
    basis = Basis(SCENE.info.sensor, SCENE.info.quantity, SCENE.info.bands)
    one, two = (scene_moments(sources, basis, single=True) for sources in ([SCENE], [SCENE, shifted]))
    assert one is not None and two is not None
    np.testing.assert_allclose(two["scene_covariance"], one["scene_covariance"], rtol=0.01, atol=1e-3)


def test_without_them_the_true_cause_is_told(model: EncoderClassifier) -> None:
    bare = gather_for(model, [LABELS], spectra=False)
    assert bare is not None
    with pytest.raises(ModelError, match="no labelled windows"):
        refitted(model, bare, other_sensor(bare))
    kept = gather_for(model, [LABELS])
    assert kept is not None and kept.windows is not None
    narrow = replace(kept, arrays={**kept.arrays, "windows_index": kept.windows.index[:, 1:-1, 1:-1]})
    with pytest.raises(ModelError, match="its network sees"):
        refitted(model, narrow, other_sensor(narrow))


def test_where_they_are_kept_a_note_says_what_they_are_good_for(model: EncoderClassifier) -> None:
    other, notes = as_sensor(SCENE, CENTRES, WIDTHS), []
    for transfer in (gather_for(model, [LABELS]), gather_transfer([LABELS])):
        assert transfer is not None
        AnySensor(model, transfer, progress=mock.Mock(note=notes.append)).for_scene(other.info)
    assert len(notes) == 2 and "adapt --to" in notes[0] and "adapt" not in notes[1]


def test_they_are_kept_by_choice_and_by_the_methods_that_need_them(model: EncoderClassifier) -> None:
    bare = gather_for(model, [LABELS], spectra=False)
    assert bare is not None and bare.windows is None
    plain = gather_transfer([LABELS])
    assert plain is not None and plain.windows is None


def test_as_many_are_kept_as_are_affordable_of_each_class(model: EncoderClassifier, windows: LabelledWindows) -> None:
    limits = {"PIXELS": len(windows.values) // 2, "BYTES": 4000, "OF_CLASS": 2}
    # A class of two labels beside two of many.
    small = LABELS.take(np.concatenate([np.flatnonzero(LABELS.codes == code)[: 2 if code == 1 else None] for code in (1, 2, 3)]))
    with mock.patch.multiple(labelled_windows, **limits):
        fewer = model.labelled_windows([small])
    assert fewer is not None and len(fewer.values) <= len(windows.values) // 2 and fewer.values.nbytes <= 4000
    counts = np.bincount(fewer.targets)
    assert counts[0] == 2 and counts[1] == counts[2] < 25


def test_damaged_ones_are_refused(windows: LabelledWindows) -> None:
    arrays = windows.arrays()
    damaged = {
        "windows_values": windows.values[:5], "windows_axes": windows.axes[1:], "windows_targets": windows.targets + 3,
        "windows_index": windows.index[:, :-1], "windows_shares": windows.shares[1:], "windows_covariance": windows.covariance[1:],
    }  # fmt: skip
    for name, value in damaged.items():
        with pytest.raises(ValueError, match="kept windows"):
            LabelledWindows.from_arrays({**arrays, name: value}, BANDS, 3)
    with pytest.raises(ValueError, match="every class"):
        LabelledWindows.from_arrays({**arrays, "windows_targets": np.zeros_like(windows.targets)}, BANDS, 3)
    with pytest.raises(KeyError):
        LabelledWindows.from_arrays({name: value for name, value in arrays.items() if name != "windows_axes"}, BANDS, 3)

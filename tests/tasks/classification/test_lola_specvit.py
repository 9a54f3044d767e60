from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import hsikit
from hsikit.errors import ModelError, OptionError
from hsikit.nn.spectral_transformer import PRESETS
from hsikit.nn.tuning import Classifier
from hsikit.tasks.classification.diffusion import advance
from hsikit.tasks.classification.lola_specvit import GROUP, LolaSpecVit
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.spectral_network import network_from
from tests.tasks.classification.networks import KEEP, STEPS, USUAL, labels, short, small, train, trained
from tests.tasks.classification.scenes import ArraySource, fields, labelled, layers_of, run_with, source
from tests.tasks.classification.test_mnf_lda import plain_features
from tests.tasks.classification.test_mnf_lda_edge import box, detrended
from tests.tasks.classification.test_smooth import plain_diffusion

KINDS = [
    ("object", "lda", "standardised", "yes"), ("object", "lda", "both", "yes"), ("object", "lda", "raw", "no"),
    ("object", "linear", "raw", "yes"), ("object", "linear", "both", "no"),
    ("object", "lora", "standardised", "yes"), ("object", "lora", "both", "yes"), ("object", "lora", "raw", "no"),
    ("masked", "lda", "raw", "yes"), ("masked", "linear", "standardised", "yes"), ("masked", "lora", "both", "yes"),
    ("none", "linear", "raw", "yes"), ("none", "linear", "both", "no"),
]  # fmt: skip


def mapped(model: LolaSpecVit, scene: ArraySource, tile: int | None = None) -> Mapping[str, np.ndarray]:
    job = model.with_options(extras=("probabilities", "log_probabilities")).bind({"cube": scene.info})
    return layers_of(job, scene, tile, "map", "probabilities", "log_probabilities")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_comes_back_from_its_folder_and_maps_the_same(kind: tuple[str, str, str, str], tmp_path: Path) -> None:
    scene, truth = small()
    model = trained(*kind)
    hsikit.save_method(model, tmp_path / "model")
    back = hsikit.load_method(tmp_path / "model")
    assert isinstance(back, LolaSpecVit)
    assert {name: tuple(losses) for name, losses in back.history.items()} == {name: tuple(losses) for name, losses in model.history.items()}
    first, second = mapped(model, scene), mapped(back, scene)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    missing = np.isnan(scene.values).sum(0) > 0.1 * len(scene.values)
    np.testing.assert_array_equal(first["map"][0] == 0, missing)
    assert (first["map"][0] == truth)[~missing].mean() > 0.8
    np.testing.assert_allclose(first["probabilities"][:, ~missing].sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (("object", "lda", "both"), {"pretraining": 2}),
        (("masked", "lora", "both"), {"pretraining": 2, "tuning": 8}),
        (("none", "linear", "raw"), {"tuning": 8}),
    ],
)
def test_losses_are_told(kind: tuple[str, str, str], told: dict[str, int]) -> None:
    history = trained(*kind).history
    assert set(told) <= set(history)
    assert ("pretraining" in history) == ("pretraining" in told)
    for name, most in told.items():
        assert 1 <= len(history[name]) <= most
        assert all(np.isfinite(loss) and loss > 0 for loss in history[name])


def test_a_longer_pretraining_predicts_better() -> None:
    losses = train(epochs=(6, 8)).history["pretraining"]
    assert losses[-1] < 0.8 * losses[0]


def plain_edges(guides: np.ndarray) -> tuple[np.ndarray, float]:
    """Root mean square differences of (rows, cols, d) to the right and below, and their median."""
    edges = np.full((2, *guides.shape[:2]), np.nan)
    edges[0, :, :-1] = np.sqrt(((guides[:, 1:] - guides[:, :-1]) ** 2).mean(2))
    edges[1, :-1] = np.sqrt(((guides[1:] - guides[:-1]) ** 2).mean(2))
    return edges, float(np.nanmedian(edges))


def network_features(model: LolaSpecVit, values: np.ndarray, prefix: str = "") -> np.ndarray:
    """What a model's network says of each pixel, (rows, cols, width); the input made by NumPy, of standardised spectra."""
    cube = values.transpose(1, 2, 0).astype(np.float64)
    cube = (cube - cube.mean(2, keepdims=True)) / cube.std(2, keepdims=True)
    pair = np.stack([cube, box(cube, 2)], 2).reshape(-1, 2, len(values))
    arrays = {name.removeprefix(prefix): value for name, value in model.arrays.items() if name.startswith(prefix)}
    network = network_from({**arrays, **{name: model.arrays[name] for name in ("input_mean", "input_scale")}}, "tiny", "standardised")
    found = network.features(torch.from_numpy(pair.astype(np.float32))).numpy().astype(np.float64)
    return found.reshape(*values.shape[1:], -1)


@pytest.mark.parametrize("detrend", [True, False])
def test_lda_head_equals_the_chain_of_numpy_and_scikit_learn(detrend: bool) -> None:
    """Components by SciPy, discriminants by scikit-learn, everything diffused feature by feature: only the network's answers are taken as they are."""
    scene, _ = small(15, holes=False)
    marked = labels(12, bands=15, holes=False)
    model = train([marked], components=9, width=3, detrend=detrend, normalise="standardised")
    components, said = plain_features(scene.values, 9, 1), network_features(model, scene.values)
    edges, median = plain_edges(components)

    def diffused(channels: np.ndarray) -> np.ndarray:
        return plain_diffusion(channels.transpose(2, 0, 1), edges, median, STEPS, KEEP).transpose(1, 2, 0)

    both = np.concatenate([components, said], 2)
    both = detrended(both) if detrend else both
    shape, joined = components.shape[:2], np.zeros((*components.shape[:2], 4))
    for features in (diffused(both[..., :9]), box(both, 1)):
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[marked.rows, marked.cols], marked.codes)
        joined += oracle.predict_log_proba(features.reshape(-1, features.shape[2])).clip(-69).reshape(*shape, 4)
    joined -= np.logaddexp.reduce(joined, axis=2, keepdims=True)
    expected = diffused(joined.clip(-9)) + 0.02 * joined
    found = mapped(model, scene)
    normalised = expected - np.logaddexp.reduce(expected, axis=2, keepdims=True)
    np.testing.assert_allclose(found["log_probabilities"].transpose(1, 2, 0), normalised.clip(-69), rtol=5e-3, atol=0.05)
    ranked = np.sort(expected, 2)
    sure = ranked[..., -1] - ranked[..., -2] > 0.1
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(found["map"][0][sure], expected.argmax(2)[sure] + 1)


def test_without_objects_a_discriminant_of_the_neighbourhood_is_all() -> None:
    """Neither detrended nor diffused."""
    scene, _ = small(15, holes=False)
    marked = labels(12, bands=15, holes=False)
    model = train([marked], components=9, width=3, normalise="standardised", objects="no")
    features = box(np.concatenate([plain_features(scene.values, 9, 1), network_features(model, scene.values)], 2), 1)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features[marked.rows, marked.cols], marked.codes)
    expected = oracle.predict_log_proba(features.reshape(-1, features.shape[2])).T.reshape(4, *scene.values.shape[1:])
    np.testing.assert_allclose(mapped(model, scene)["log_probabilities"], expected.clip(-69), rtol=5e-3, atol=0.05)
    assert not any(stage.name in ("edges", "diffuse", "trend") for stage in model.bind({"cube": scene.info}).stages)


@pytest.mark.parametrize(("large", "chosen"), [(True, "yes"), (False, "no")])
@pytest.mark.parametrize("head", ["lda", "linear"])
def test_objects_are_judged_where_there_are_some(large: bool, chosen: str, head: str) -> None:
    """Fields under noise; or pixels that have nothing to do with their neighbours."""
    values, truth = fields(45, 45, 4, 12, noise=4.0 if large else 0.3, holes=False)
    if not large:
        order = np.random.default_rng(0).permutation(truth.size)
        values, truth = values.reshape(12, -1)[:, order].reshape(values.shape), truth.reshape(-1)[order].reshape(truth.shape)
    scene = source(np.ascontiguousarray(values))
    model = train([labelled(scene, truth, 40)], width=1, normalise="standardised", objects="auto", head=head, epochs=(2, 20))
    assert model.settings["objects"] == chosen
    assert (mapped(model, scene)["map"][0] == truth).mean() > 0.75


@pytest.mark.parametrize("head", ["linear", "lora"])
def test_tuned_heads_diffuse_what_their_network_says(head: str) -> None:
    scene, _ = small(15, holes=False)
    model = train([labels(12, bands=15, holes=False)], components=9, head=head, normalise="standardised")
    edges, median = plain_edges(plain_features(scene.values, 9, 1))
    logits = network_features(model, scene.values, "tuned.")
    said = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    expected = plain_diffusion(said.transpose(2, 0, 1), edges, median, STEPS, KEEP)
    expected -= np.logaddexp.reduce(expected, axis=0)
    np.testing.assert_allclose(mapped(model, scene)["log_probabilities"], expected, atol=0.01)


@pytest.mark.parametrize("head", ["lda", "linear", "lora"])
def test_a_refit_keeps_the_network_and_learns_other_labels(head: str) -> None:
    model, others = trained("object", head), labels(20, seed=5)
    with short():
        again = model.refit([others], run=run_with(), **USUAL, head=head, normalise="standardised")
    learned = [name for name in model.arrays if name.startswith(("encoder.", "top.", "input_")) or name in ("mean", "vectors")]
    assert len(learned) > 20
    for name in learned:
        np.testing.assert_array_equal(again.arrays[name], model.arrays[name])
    anew = train([others], head=head, normalise="standardised")
    assert again.identity() == anew.identity() != model.identity()
    assert dict(again.history).keys() == dict(anew.history).keys()


@pytest.mark.parametrize(("head", "other"), [("lda", "lora"), ("lora", "linear"), ("linear", "lda")])
def test_a_refit_may_have_another_head(head: str, other: str) -> None:
    with short():
        again = trained("object", head).refit([labels()], run=run_with(), **USUAL, head=other, normalise="standardised")
    assert again.identity() == trained("object", other).identity()


@pytest.mark.parametrize("changed", [{"pretrain": "masked"}, {"components": 5}, {"normalise": "raw"}, {"keep": 0.1}])
def test_a_refit_that_asks_for_another_network_trains_it(changed: dict[str, object]) -> None:
    options = {**USUAL, "normalise": "standardised", **changed}
    with short():
        again = trained().refit([labels()], run=run_with(), **options)
    assert again.identity() == train(**options).identity()


def test_labels_do_not_move_what_is_learned_without_them() -> None:
    first, second = train([labels(6)], normalise="raw"), train([labels(15, seed=9)], normalise="raw")
    for name in first.arrays:
        if name.startswith(("encoder.", "top.", "input_")):
            np.testing.assert_array_equal(first.arrays[name], second.arrays[name])


def brightness(raw: bool) -> tuple[ArraySource, np.ndarray]:
    """Classes that differ in brightness alone, or classes under uneven light that differ in shape alone."""
    rng = np.random.default_rng(0)
    _, truth = fields(40, 40, 3, 12, holes=False)
    shape = 2 + np.sin(np.linspace(0, 5, 12))
    shapes = np.stack([shape, shape, shape]) if raw else np.stack([shape, shape[::-1], np.roll(shape, 4)])
    light = (np.array([1.0, 1.5, 2.0])[truth - 1] if raw else rng.uniform(0.2, 3.0, truth.shape))[..., None]
    values = shapes[truth - 1] * light + rng.normal(size=(*truth.shape, 12)) * 0.05
    return source(values.transpose(2, 0, 1).astype(np.float32)), truth


@pytest.mark.parametrize(("raw", "chosen"), [(True, "raw"), (False, "standardised")])
def test_the_normalisation_is_chosen_inside_the_labels(raw: bool, chosen: str) -> None:
    scene, truth = brightness(raw)
    model = train([labelled(scene, truth, 20)])
    assert model.settings["normalise"] == chosen
    assert model.settings["standardise"] == (chosen == "standardised")
    assert (mapped(model, scene)["map"][0] == truth).mean() > 0.9


def test_bands_are_on_the_spectral_axis() -> None:
    """A scene turned or mirrored gives the map turned or mirrored; with other bands in their places the map is another."""
    scene, _ = small(holes=False)
    model = trained()
    plain = mapped(model, scene)["log_probabilities"]
    for turned in (lambda values: values[:, ::-1], lambda values: values[:, :, ::-1], lambda values: values.transpose(0, 2, 1)):
        tuned = train_free(model)
        found = mapped(tuned, source(np.ascontiguousarray(turned(scene.values))))["log_probabilities"]
        np.testing.assert_allclose(found, turned(mapped(tuned, scene)["log_probabilities"]), atol=2e-3)
    rolled = mapped(model, source(np.roll(scene.values, 5, 0)))["log_probabilities"]
    assert np.abs(rolled - plain).max() > 1


def train_free(model: LolaSpecVit) -> LolaSpecVit:
    """The same without trends, which are of the scene as it lies."""
    return type(model)(model.basis, model.legend, model.arrays, {**model.settings, "detrend": False})


def test_has_at_most_half_a_million_parameters_for_224_bands() -> None:
    scene, truth = small(224)
    model = train([labelled(scene, truth, 8)], epochs=(1, 1), head="lora", normalise="both")
    for prefix in ("encoder.", "tuned."):
        assert 50_000 < sum(value.size for name, value in model.arrays.items() if name.startswith(prefix)) <= 500_000


@settings(max_examples=6)
@given(bands=st.integers(2, 30), head=st.sampled_from(["lda", "linear", "lora"]))
def test_any_number_of_bands(bands: int, head: str) -> None:
    scene, truth = small(bands)
    found = mapped(train([labelled(scene, truth, 8)], epochs=(1, 2), head=head), scene)
    valid = found["map"][0] > 0
    assert valid.mean() > 0.8
    np.testing.assert_allclose(found["probabilities"][:, valid].sum(0), 1, atol=1e-5)


def test_learns_from_several_scenes_and_maps_each() -> None:
    scene, truth = small()
    second = source(scene.values[:, ::-1].copy(), name="second.tif")
    model = train([labels(), labelled(second, truth[::-1], 12)], head="lora")
    for each, wanted in ((scene, truth), (second, truth[::-1])):
        found = mapped(model, each)["map"][0]
        assert (found == wanted)[found > 0].mean() > 0.8


@pytest.mark.parametrize("kind", [("object", "lda", "standardised"), ("object", "lora", "standardised")])
def test_smoothing_comes_on_top(kind: tuple[str, str, str]) -> None:
    scene, truth = small()
    job = smooth(trained(*kind).with_options(extras=("log_probabilities",)).bind({"cube": scene.info}))
    found = layers_of(job, scene, None, "map")["map"][0]
    assert (found == truth)[found > 0].mean() > 0.8


def test_a_pixel_says_no_more_than_the_bound_to_its_object() -> None:
    """Where all of a scene is one object, unbounded evidence of one pixel outvotes the others; bounded evidence does not."""
    model, scene = trained(), small()[0]
    older = type(model)(model.basis, model.legend, model.arrays, {name: value for name, value in model.settings.items() if name != "bound"})
    probabilities = torch.full((2, 40, 40), 0.5)
    probabilities[0] += 0.1
    probabilities[1] -= 0.1
    logs = probabilities.log()
    logs[:, 20, 20] = torch.tensor([-2000.0, 0.0])
    edges, median = torch.zeros(2, 40, 40).double(), torch.tensor(1.0).double()
    for mine, wins in ((model, 0), (older, 1)):
        bounded = logs if mine._least is None else logs.clamp(min=mine._least)
        after = advance(bounded.double(), bounded.double(), edges, median, 500, 0.005)
        assert (after[:, 5:15, 15:25].argmax(0) == wins).float().mean() > 0.9
    found, before = (mapped(each, scene) for each in (model, older))
    assert not np.allclose(found["log_probabilities"], before["log_probabilities"], equal_nan=True)
    assert np.nanmax(-found["log_probabilities"]) < np.nanmax(-before["log_probabilities"])


def test_a_scene_of_another_quantity_is_refused() -> None:
    with pytest.raises(ModelError, match=r"radiance.*trained on dn"):
        trained().bind({"cube": small()[0].info.with_(quantity="radiance")})


@pytest.mark.parametrize("kind", [("object", "lda"), ("object", "lda", "raw", "no"), ("masked", "lda", "raw"), ("object", "lora"), ("none", "linear", "raw")])
def test_arrays_that_are_missing_or_do_not_fit_are_refused(kind: tuple[str, ...]) -> None:
    model = trained(*kind)
    arrays, facts = model.state()
    needed = [name for name in arrays if not name.startswith("adapter.")]
    assert len(needed) > 50
    for name in needed:
        with pytest.raises((ValueError, KeyError)):
            type(model).from_state({key: value for key, value in arrays.items() if key != name}, facts)
        with pytest.raises((ValueError, IndexError)):
            type(model).from_state({**arrays, name: np.concatenate([arrays[name][None]] * 2)}, facts)


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = hsikit.save_method(trained(), tmp_path / "model")
    arrays = load_file(folder / "model.safetensors")
    save_file({**arrays, "encoder.stem.weight": arrays["encoder.stem.weight"][:1]}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="network's arrays do not fit"):
        hsikit.load_method(folder)


@pytest.mark.parametrize(
    "changed", [{"head": "forest"}, {"objects": "auto"}, {"normalise": None}, {"steps": 7}, {"standardise": "yes"}, {"width": None}, {"components": 9}]
)
def test_settings_that_do_not_fit_are_refused(changed: dict[str, object]) -> None:
    arrays, facts = trained().state()
    with pytest.raises((ValueError, TypeError)):
        LolaSpecVit.from_state(arrays, {**facts, "options": {**facts["options"], **changed}})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "forest"}, "none of lda, linear, lora"),
        ({"pretrain": "yes"}, "none of object, masked, none"),
        ({"preset": "huge"}, "none of tiny, paper"),
        ({"objects": "maybe"}, "none of auto, yes, no"),
        ({"normalise": "log"}, "none of auto, standardised, raw, both"),
        ({"pretrain": "none"}, "stands on a pretrained network"),
        ({"pretrain": "none", "head": "lora"}, "stands on a pretrained network"),
        ({"edges": "lines"}, "neither spectra nor components"),
        ({"steps": 60}, "multiple of 25"),
        ({"bound": 0.5}, "not a number from 1 to 69"),
        ({"bound": "much"}, "not a number from 1 to 69"),
        ({"keep": 0.0}, "share"),
        ({"components": 99}, "number of bands"),
        ({"width": 4}, "odd"),
        ({"trees": 3}, "no such training option"),
    ],
)
def test_says_which_option_makes_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        train(**options)


def test_masked_pretraining_needs_a_second_group_of_bands() -> None:
    assert PRESETS["tiny"]["group"] == GROUP
    with pytest.raises(OptionError, match=f"more than {GROUP} bands"):
        train([labels(bands=GROUP)], pretrain="masked")
    assert train([labels(bands=GROUP + 1)], epochs=(1, 1), pretrain="masked").history["pretraining"]


def test_only_the_adapted_head_has_an_adapter() -> None:
    assert trained("object", "lda").adapter() is None
    assert trained("object", "linear", "raw").adapter() is None
    found = trained("object", "lora").adapter()
    assert found is not None
    assert found[1]["peft_type"] == "LORA"
    assert all(name.startswith("base_model.model.") for name in found[0])
    arrays, facts = trained("object", "lora").state()
    with pytest.raises(ValueError, match="no adapter"):
        LolaSpecVit.from_state({name: value for name, value in arrays.items() if not name.startswith("adapter.")}, facts)
    with pytest.raises(ValueError, match="no adapter"):
        LolaSpecVit.from_state(arrays, {**facts, "options": {name: value for name, value in facts["options"].items() if name != "adapter"}})


def test_the_folders_adapter_opens_in_peft_beside_the_folders_network(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from safetensors.numpy import load_file

    folder = hsikit.save_method(trained("object", "lora"), tmp_path / "model")
    arrays = load_file(folder / "model.safetensors")
    encoder = network_from(arrays, "tiny", "standardised").encoder
    theirs = peft.PeftModel.from_pretrained(Classifier(encoder, 4), str(folder / "adapter")).eval()
    inputs = torch.randn(40, 2, len(arrays["input_mean"][0])) * 0.3
    own = {name.removeprefix("tuned."): value for name, value in arrays.items() if name.startswith(("tuned.", "input_"))}
    tuned, base = network_from(own, "tiny", "standardised"), network_from(arrays, "tiny", "standardised")
    with torch.inference_mode():
        found = theirs(base.scaled(inputs))
    torch.testing.assert_close(found, tuned.features(inputs), atol=1e-4, rtol=1e-3)
    assert found.std(0).min() > 1e-2


def test_an_adapter_goes_with_the_model_that_it_belongs_to(tmp_path: Path) -> None:
    folder = hsikit.save_method(trained("object", "lora"), tmp_path / "model")
    assert sorted(path.name for path in (folder / "adapter").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    hsikit.save_method(trained("object", "lda"), folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


class Stops:
    """A progress that stops the training after so many steps of a part, and keeps what it is told."""

    def __init__(self, part: str = "", steps: int = 0) -> None:
        self.part, self.left = part, steps
        self.done: dict[str, int] = {}
        self.notes: list[str] = []

    def begin(self, plan: str, total: int, done: int) -> None:
        self.done[plan] = done

    def advance(self, stage: str, steps: int = 1) -> None:
        self.left -= stage == self.part
        if stage == self.part and not self.left:
            raise InterruptedError(stage)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize(("part", "steps"), [("pretraining", 12), ("tuning", 5)])
def test_a_training_that_was_stopped_goes_on(tmp_path: Path, part: str, steps: int) -> None:
    options = {"head": "lora", "normalise": "standardised", "epochs": (5, 8)}
    with pytest.raises(InterruptedError):
        train(workspace=tmp_path, progress=Stops(part, steps), **options)
    again = Stops()
    resumed, undisturbed = train(workspace=tmp_path, progress=again, **options), train(**options)
    assert again.done[part] > 0
    assert ("pretraining" in again.done) == (part == "pretraining")
    assert resumed.identity() == undisturbed.identity()
    assert resumed.history == undisturbed.history
    assert again.notes == []


@pytest.mark.parametrize("changed", [{"seed": 1}, {"normalise": "raw"}, {"pretrain": "masked"}])
def test_what_another_training_left_is_dropped(tmp_path: Path, changed: dict[str, object]) -> None:
    options = {"head": "linear", "normalise": "standardised"}
    train(workspace=tmp_path, **options)
    told = Stops()
    other = train(workspace=tmp_path, progress=told, **{**options, **changed})
    assert other.identity() == train(**{**options, **changed}).identity()
    assert told.notes == ["an unfinished training with other options or other data was dropped"] * 2

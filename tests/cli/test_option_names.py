"""An option at fault is named as the user typed it, and an unknown one of a method is answered with those it has."""

import pytest

from .conftest import Field, Hsikit


def error_of(hsikit: Hsikit, *arguments: object) -> str:
    done = hsikit(*arguments)
    assert done.code == 2, done.text
    return done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--block", 0), "error: --block: 0 is no size"),
        (("--test-share", 2), "error: --test-share: 2.0 leaves nothing"),
        (("--per-class", 0), "error: --per-class: 0 leaves nothing"),
        (("--split", "leave-polygon-out", "--folds", 1), "error: --folds: 1 fold"),
        (("--guard", -1), "error: --guard: -1 is no distance"),
    ],
)
def test_options_of_the_split(hsikit: Hsikit, place: Field, tmp_path, wrong, named):
    said = error_of(hsikit, "train", "svm", place.scene, "--labels", place.labels, "-o", tmp_path / "model", *wrong)
    assert said.startswith(named)


def test_options_of_the_scene_and_of_a_verb_below_another(hsikit: Hsikit, place: Field, tmp_path):
    assert error_of(hsikit, "quicklook", place.scene, "--scale", 0, "-o", tmp_path / "q.png").startswith("error: --scale: 0.0 is no factor")
    assert error_of(hsikit, "simulate", "scene", "-o", tmp_path / "s.tif", "--snr", -1).startswith("error: --snr: -1.0 is no factor")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("svm", "C, gamma"),
        ("random-forest", "trees, leaf_pixels, max_depth"),
        ("mnf-lda", "components, width, standardise"),
        ("mnf-lda-edge", "components, width, detrend, edges, steps, keep"),
    ],
)
@pytest.mark.parametrize("typed", [("-p", "D=3"), ("-pD=3",)])
def test_an_unknown_option_of_a_method_is_answered_with_its_own(hsikit: Hsikit, place: Field, tmp_path, method, options, typed):
    said = error_of(hsikit, "train", method, place.scene, "--labels", place.labels, "-o", tmp_path / "model", *typed)
    assert said == f"error: -p D: {method} has no such training option. Its options are {options}"


def test_a_method_without_options_says_so(hsikit: Hsikit, place: Field, tmp_path):
    said = error_of(hsikit, "train", "nearest-label", place.scene, "--labels", place.labels, "-o", tmp_path / "model", "-p", "D=3")
    assert said == "error: -p D: nearest-label has no such training option. It has none"


def test_an_unknown_option_of_a_method_that_learns_nothing(hsikit: Hsikit, place: Field, tmp_path):
    said = error_of(hsikit, "anomaly", place.scene, "-o", tmp_path / "a.tif", "-p", "D=3")
    assert "D" in said and "Its options are: pfa, ridge" in said

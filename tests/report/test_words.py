"""What a report says depends on what is known, and says no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsikit.report import words
from hsikit.report.content import Diagram, Places, Spectra
from hsikit.train.pipeline import ELSEWHERE, REFITTED

from .contents import areas, assessment, content, model, split


def told(**changes: object) -> str:
    return " ".join(words.summary(content(**changes))).replace("\u00a0", " ")


def test_a_summary_in_words() -> None:
    text = told()
    assert "1 of the model's 2 classes on 1,200 × 900 pixels of 30 m, made by svm from 1,550 labelled pixels" in text
    assert "On 1,200 test pixels its overall accuracy is 90.0 % (95 % interval 85.0 to 93.0 %)" in text
    assert "coordinates alone 70.0 %" in text and "adds 20.0 points to the better floor" in text
    assert "different blocks" in text and "not the accuracy of the whole map" in text


def test_the_scored_model_saw_the_training_part_alone() -> None:
    assert "from 300 labelled pixels" in told(model=model(refitted=False))
    assert "labelled pixels" not in told(split=None)


@pytest.mark.parametrize(("floor", "said"), [(0.95, "5.0 points below the better floor"), (0.895, "adds nothing clear"), (0.905, "adds nothing clear")])
def test_a_method_that_beats_no_floor(floor: float, said: str) -> None:
    assert said in told(assessment=assessment(floor=floor))


def test_of_several_floors_the_better_counts() -> None:
    rows = assessment().rows
    found = content(assessment=assessment(rows=(*rows, replace(rows[1], name="svm on spectra", overall=0.85))))
    assert found.best_floor is not None and found.best_floor.name == "svm on spectra"
    assert "5.0 points" in " ".join(words.summary(found))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("random", "says nothing about other places"),
        ("class-halves", "halves"),
        ("group:plot", "groups"),
        ("scene", "scenes"),
        ("leave-polygon-out", "polygons"),
    ],
)
def test_every_split_has_a_meaning(name: str, said: str) -> None:
    assert said in told(assessment=assessment(split=split(name)))


def test_a_reference_sample_is_the_accuracy_of_the_map() -> None:
    text = told(areas=areas())
    assert "From a reference sample of 640 points" in text and "94.7 % ± 1.8 %" in text and "not the accuracy" not in text


def test_nothing_known_is_said() -> None:
    assert "Nothing is known" in told(assessment=None, split=None)
    assert "no floor was scored" in told(assessment=assessment(rows=assessment().rows[:1]))


def test_scores_without_smoothing_are_told_of_a_smoothed_map() -> None:
    smoothed = replace(content().map, smooth="60 steps")
    assert "without smoothing" in told(map=smoothed)
    assert "without smoothing" not in told(map=smoothed, assessment=assessment(smoothed=True))


def test_labels_elsewhere_calibrate_nothing() -> None:
    assert words.elsewhere(content()) == ""
    assert words.elsewhere(content(assessment=assessment(notes=(ELSEWHERE,)))) == ELSEWHERE
    assert words.elsewhere(content(assessment=assessment(split=split("class-halves")))) == ELSEWHERE
    assert words.elsewhere(content(assessment=None)) == ""


def test_a_note_is_said_once() -> None:
    assert words.other_notes(content(assessment=assessment(notes=(ELSEWHERE, REFITTED, "Mind the gap.")))) == ["Mind the gap."]
    assert words.other_notes(content(assessment=None)) == []


def test_the_split_in_a_sentence() -> None:
    text = words.split_sentence(content(split=split(lost=("rye",))))
    for part in ("“blocks”", "300 pixels", "1,200 tested", "50 did neither", "5 pixels apart", "10", "15 × 15", "Lost classes: rye", "fitted on all labels"):
        assert part in text
    assert "1 pixel apart" in words.split_sentence(content(split=split(nearest=1)))
    assert "does not say" in words.split_sentence(content(split=None))


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (Places("none"), "None of the pixels"),
        (Places("labels", 5), "does not keep the test pixels apart"),
        (Places("split", 5, 6, 7), "5 training pixels and 13 test pixels"),
    ],
)
def test_what_is_not_known_of_the_places_is_said(places: Places, said: str) -> None:
    assert said in words.places_sentence(content(places=places))


def test_whose_spectra() -> None:
    one = (Spectra(1, 3, 3, (0.1,), (0.1,), (0.1,)),)
    assert "test pixels" in words.spectra_sentence(content(spectra=one, spectra_of="test"))
    assert "does not keep their labels" in words.spectra_sentence(content(spectra=one, spectra_of="mapped"))
    assert "was not given" in words.spectra_sentence(content(scene=""))
    assert "no label pixel" in words.spectra_sentence(content())


def test_calibration_in_a_sentence() -> None:
    diagram = Diagram("before", 0.37, (0.0, 1.0), (5,), (0.5,), (0.5,))
    found = content(assessment=assessment(diagrams=(diagram, replace(diagram, name="after", ece=0.16))))
    assert "37.0 % before calibration and 16.0 % after calibration" in words.calibration_sentence(found).replace("\u00a0", " ")
    assert "No reliability diagram" in words.calibration_sentence(content())


def test_the_methods_paragraph_says_what_a_paper_needs() -> None:
    text = words.methods_paragraph(content(areas=areas(), map=replace(content().map, smooth="60 steps"))).replace("\u00a0", " ")
    for part in (
        "hsikit 0.1.0", "svm (Cortes and Vapnik, 1995; Melgani and Bruzzone, 2004)", "smoothed along edges",
        "enmap (224 bands, 418 to 2445 nm, surface reflectance",
        "acquired 2024-09-09", "1,550 labelled pixels of 2 classes (kernel width 0.25, scaled on), seed 7", "split “blocks” with a guard of 4 pixels",
        "overall accuracy 90.0 % (95 % interval 85.0 to 93.0 %, bootstrapped over 30 groups)", "kappa 0.750 (Cohen, 1960)", "coordinates alone 70.0 %",
        "640 reference points (Olofsson et al., 2014)",
    ):  # fmt: skip
        assert part in text
    assert "cross validated" not in text


def test_parameters_that_learned_are_told_in_one_place() -> None:
    made = model(settings={"head": "lora", "parameters": 12523, "parameters_tuned": 947})
    assert words.learned(made) == "947 of 12,523 (7.6 %)" and words.own_settings(made) == {"head": "lora"}
    assert "2 classes (head lora; parameters that learned from the labels: 947 of 12,523 (7.6 %))" in words.methods_paragraph(content(model=made))
    assert words.learned(model()) == ""


def test_everything_cited_is_among_the_references() -> None:
    found = content(areas=areas(), map=replace(content().map, smooth="60 steps"), assessment=assessment(temperature=2.0))
    text = words.references(found)
    for key in ("hsikit", "cortes1995", "melgani2004", "perona1990", "cohen1960", "guo2017", "olofsson2014"):
        assert text.count(f"{{{key},") == 1
    assert "olofsson2014" not in words.references(content())


def test_a_number_stays_with_its_sign() -> None:
    assert words.bound("95 % of 3 % x %") == "95\u00a0% of 3\u00a0% x %"
    assert words.sentence("Yes") == "Yes." and words.sentence("Yes.") == "Yes."

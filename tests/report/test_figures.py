"""The pictures: what is painted where, limits of axes, text for those who cannot see, and equal bytes of equal content."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from hsikit.report import canvas, figures
from hsikit.report.content import Diagram, Spectra
from hsikit.report.gather import Content, Views, gather
from hsikit.sensors import open_source

from .conftest import HOSTILE, Reported
from .contents import assessment, content, model


@pytest.fixture(scope="module")
def gathered(reported: Reported) -> tuple[Content, Views]:
    return gather(reported.map, reported.model, scene=open_source(reported.scene))


def pixels(picture: figures.Picture) -> np.ndarray:
    head, _, data = picture.uri.partition(",")
    assert head == "data:image/png;base64"
    return np.rint(imread(io.BytesIO(base64.b64decode(data)), format="png")[..., :3] * 255).astype(int)


def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(image - np.array(colour)).max(-1) <= 1).any())


def test_the_map_shows_the_legends_colours(gathered: tuple[Content, Views]) -> None:
    picture = figures.class_map(*gathered)
    assert all(has(pixels(picture), facts.colour) for facts in gathered[0].classes) and HOSTILE[0] in picture.alt


def test_the_split_map_shows_both_parts(gathered: tuple[Content, Views]) -> None:
    picture, places = figures.split_map(*gathered), gathered[0].places
    assert picture is not None and all(has(pixels(picture), colour) for colour in (figures.TRAINING, figures.RIGHT, figures.WRONG))
    assert f"{places.training} training pixels" in picture.alt and f"{places.wrong} of them wrong" in picture.alt


def test_label_pixels_lie_where_they_are(gathered: tuple[Content, Views]) -> None:
    views = gathered[1]
    painted = figures._with_labels(np.ones((*views.grid.shape, 3), np.float32), views)
    marked = np.zeros(views.grid.shape, bool)
    marked[views.places.training] = marked[views.places.test] = True
    np.testing.assert_array_equal((painted < 1).any(-1), marked)


def test_large_scenes_have_their_labels_in_reach() -> None:
    canvas = np.ones((400, 200, 3), np.float32)
    figures._paint(canvas, (np.array([2000]), np.array([999])), (4000, 1000), figures.WRONG)
    assert set(zip(*np.nonzero((canvas < 1).any(-1)), strict=True)) == {(row, col) for row in (199, 200, 201) for col in (198, 199)}


def test_equal_content_gives_equal_pictures(gathered: tuple[Content, Views]) -> None:
    assert figures.score_bars(gathered[0]) == figures.score_bars(gathered[0])
    assert figures.quicklook(*gathered) == figures.quicklook(*gathered)


def test_one_picture_of_spectra_for_each_class(gathered: tuple[Content, Views]) -> None:
    found = figures.class_spectra(*gathered)
    assert [facts.name for facts, _, _ in found] == list(HOSTILE)
    assert all(str(spectra.pixels) in picture.alt for _, spectra, picture in found)


def test_limits_leave_out_what_towers() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [50.0]])
    low, high = canvas.limits_of(values)
    assert -0.1 < low < 0 and 1 < high < 1.5
    assert canvas.limits_of(np.full(4, np.nan)) == (0.0, 1.0)
    flat = canvas.limits_of(np.full(4, 3.0))
    assert flat[0] < 3 < flat[1]


def test_what_is_unknown_has_no_picture() -> None:
    assert figures.score_bars(content(assessment=None)) is None
    assert figures.reliability(()) is None
    assert figures.training_curve(content()) is None


def test_pictures_in_words() -> None:
    diagram = Diagram("before", 0.37, (0.0, 0.5, 1.0), (5, 0), (0.4, None), (0.2, None))
    drawn = figures.reliability((diagram,))
    assert drawn is not None and "37.0 %" in drawn.alt
    bars = figures.score_bars(content(assessment=assessment(own=0.912)))
    assert bars is not None and "svm 91.2 %" in bars.alt and "nearest-label 70.0 %" in bars.alt
    curve = figures.training_curve(content(model=model(history={"loss": (2.0, None, 0.5), "empty": (None,)})))
    assert curve is not None and curve.alt == "Training curve: loss from 2 to 0.5"


def test_spectra_without_a_scene(gathered: tuple[Content, Views]) -> None:
    one = Spectra(1, 3, 3, (0.1,), (0.1,), (0.1,))
    views = Views(gathered[1].grid, gathered[1].codes, None, None, "", "", gathered[1].places, gathered[1].legend)
    assert figures.class_spectra(content(spectra=(one,)), views) == [] and figures.quicklook(content(), views) is None
    assert figures.split_map(gathered[0], views) is not None

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from hsikit.geo.area import pixel_areas
from hsikit.mosaic import compose, make_mosaic
from hsikit.mosaic.seams import Moments
from tests.mosaic.four import Four, make_four
from tests.mosaic.maps import grid_at, write_map, write_numbers


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return make_four(tmp_path_factory.mktemp("four"))


def test_seams_of_classes_are_those_of_scikit_learn(four: Four, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsikit.mosaic.seams.PART", (7, 5))
    made = make_mosaic(four.paths, tmp_path / "all.tif", report=tmp_path / "seams.csv")
    areas = pixel_areas(made.grid)
    assert areas is not None
    assert [(seam.first, seam.second) for seam in made.seams] == [(1, 2), (2, 3), (3, 4)]
    for seam in made.seams:
        a, b = four.codes[seam.first - 1], four.codes[seam.second - 1]
        both = (a % 255 > 0) & (b % 255 > 0)
        assert seam.pixels == both.sum() > 0
        assert seam.hectares == pytest.approx(areas.read(made.grid.whole)[both].sum(), rel=1e-9)
        assert seam.agreement == pytest.approx((a == b)[both].mean(), rel=1e-12)
        assert seam.kappa == pytest.approx(cohen_kappa_score(a[both], b[both]), rel=1e-9)
        assert seam.hides == ((a == 255) & (b % 255 > 0)).sum()
    with (tmp_path / "seams.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["agreement"]) for row in rows] == [seam.agreement for seam in made.seams]
    assert rows[0]["second_map"] == str(four.paths[1])


def test_seams_of_numbers_are_those_of_numpy(four: Four, tmp_path: Path) -> None:
    made = make_mosaic(four.paths, tmp_path / "all.tif", layer="confidence", report=tmp_path / "seams.html")
    for seam in made.seams:
        difference = (four.confidence[seam.second - 1] - four.confidence[seam.first - 1]).astype(np.float64)
        assert seam.pixels == np.isfinite(difference).sum()
        assert (seam.mean_difference, seam.sd) == pytest.approx((np.nanmean(difference), np.nanstd(difference)), rel=1e-6)
        assert np.isnan(seam.agreement)
    page = (tmp_path / "seams.html").read_text()
    assert "<h1>3 seams of 4 maps</h1>" in page
    assert page.index("scene0_confidence.tif") > 0


def test_maps_that_touch_have_no_seam(tmp_path: Path) -> None:
    maps = [write_map(tmp_path / f"{i}.tif", np.ones((4, 4)), (0, 4 * i)) for i in range(3)]
    assert make_mosaic(maps, tmp_path / "all.tif").seams == ()


def test_names_on_the_page_are_escaped(tmp_path: Path) -> None:
    maps = [write_numbers(tmp_path / f"<b>{i}.tif", np.ones((4, 4)), "score", grid_at(0, i, (4, 4))).path for i in range(2)]
    make_mosaic(maps, tmp_path / "all.tif", report=tmp_path / "seams.html")
    assert "&lt;b&gt;0.tif" in (tmp_path / "seams.html").read_text()
    assert "<b>" not in (tmp_path / "seams.html").read_text()


@given(st.lists(arrays(np.float64, st.integers(0, 9), elements=st.floats(-1e3, 1e3)), max_size=5))
def test_moments_of_parts_are_those_of_the_whole(parts: list[np.ndarray]) -> None:
    moments = Moments()
    for part in parts:
        moments.add(part)
    whole = np.concatenate([np.zeros(0), *parts])
    if whole.size:
        assert (moments.mean, moments.sd) == pytest.approx((whole.mean(), whole.std()), rel=1e-9, abs=1e-9)
    else:
        assert np.isnan(moments.mean) and np.isnan(moments.sd)


def test_a_window_is_read_only_where_maps_lie(four: Four, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = compose.Composition.values_of
    monkeypatch.setattr(compose.Composition, "values_of", lambda self, index, window: seen.append(window.size) or original(self, index, window))
    maps = [write_map(tmp_path / f"{i}.tif", np.ones((4, 4)), (0, 500 * i)) for i in range(3)]
    make_mosaic(maps, tmp_path / "all.tif")
    assert sum(seen) == 3 * 16

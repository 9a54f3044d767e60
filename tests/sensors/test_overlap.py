"""Joining detectors that see the same wavelengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, SceneInfo, read_window
from hsikit.sensors import ArraySource
from hsikit.sensors.overlap import join_detectors

VNIR, SWIR = np.array([850.0, 870, 900, 930, 960, 990]), np.array([905.0, 915, 940, 970, 1000, 1010])


def scene(values: np.ndarray | None = None) -> tuple[ArraySource, list[bool]]:
    """A scene whose value is its wavelength, unless told."""
    centres = np.concatenate([VNIR, SWIR])
    order = np.argsort(centres)
    shorter = [bool(i < len(VNIR)) for i in order]
    stored = np.broadcast_to(centres[order, None, None], (12, 2, 3)).astype(np.float32).copy() if values is None else values
    bands = Bands(
        centres[order], np.full(12, 10.0), np.ones(12, bool), tuple(f"{'v' if s else 's'}{c:g}" for s, c in zip(shorter, centres[order], strict=True))
    )
    return ArraySource(stored, SceneInfo("scene", Grid((2, 3)), bands, "float32", "array")), shorter


def whole(source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def test_average_keeps_the_centres_of_the_vnir_and_a_straight_spectrum() -> None:
    source, shorter = scene()
    joined = join_detectors(source, shorter, "average")
    np.testing.assert_array_equal(joined.info.bands.wavelength, [850, 870, 900, 930, 960, 990, 1000, 1010])
    np.testing.assert_allclose(whole(joined)[:, 0, 0], joined.info.bands.wavelength, rtol=1e-6)
    assert any("overlap from 905 to 990 nm" in notice for notice in joined.info.notices)
    assert joined.info.identity != source.info.identity


def test_the_weight_passes_from_one_detector_to_the_other() -> None:
    values = np.zeros((12, 2, 3), np.float32)
    source, shorter = scene(values)
    source._values[~np.array(shorter)] = 1.0
    share = whole(join_detectors(source, shorter, "average"))[:, 0, 0]
    np.testing.assert_allclose(share, [0, 0, 0, 25 / 85, 55 / 85, 1, 1, 1], atol=1e-6)


def test_where_one_is_missing_the_other_stands_alone() -> None:
    source, shorter = scene()
    names = source.info.bands.names
    source._values[names.index("v930"), 0, 0] = np.nan
    source._values[[names.index("s915"), names.index("s940")], 1, 1] = np.nan
    source._values[[names.index("v960"), names.index("s940"), names.index("s970")], 0, 2] = np.nan
    found = whole(join_detectors(source, shorter, "average"))
    assert found[3, 0, 0] == pytest.approx(930.0)  # interpolated from the SWIR
    assert found[3, 1, 1] == pytest.approx(930.0)  # of the VNIR alone
    assert np.isnan(found[4, 0, 2])


@pytest.mark.parametrize(("how", "kept"), [("vnir", [850, 870, 900, 930, 960, 990, 1000, 1010]), ("swir", [850, 870, 900, 905, 915, 940, 970, 1000, 1010])])
def test_one_detector_is_kept(how: str, kept: list[float]) -> None:
    source, shorter = scene()
    joined = join_detectors(source, shorter, how)
    np.testing.assert_array_equal(joined.info.bands.wavelength, kept)
    np.testing.assert_array_equal(whole(joined)[:, 1, 2], np.float32(kept))
    assert joined.info.dtype == source.info.dtype


def test_a_band_that_nearly_repeats_the_last_one_kept_goes() -> None:
    source, shorter = scene()
    wavelength = np.where(source.info.bands.wavelength == 1000, 991.0, source.info.bands.wavelength)
    source.info = source.info.with_(bands=replace(source.info.bands, wavelength=wavelength))
    kept = join_detectors(source, shorter, "vnir").info.bands.wavelength
    assert 990 in kept
    assert 991 not in kept
    assert 991 in join_detectors(source, shorter, "average").info.bands.wavelength


def test_keep_and_no_overlap_change_nothing() -> None:
    source, shorter = scene()
    assert join_detectors(source, shorter, "keep") is source
    apart = [centre < 904 for centre in source.info.bands.wavelength]
    assert join_detectors(source, apart, "average") is source
    assert join_detectors(source, [True] * 12, "average") is source


@given(data=st.data())
def test_a_window_equals_the_same_part_of_the_whole(data) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 50)))
    values = rng.normal(size=(12, 2, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    source, shorter = scene(values)
    joined = join_detectors(source, shorter, data.draw(st.sampled_from(["average", "vnir", "swir"])))
    row, col = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 2))
    count = len(joined.info.bands)
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1))), np.intp)
    window = Window(row, col, 2 - row, 3 - col)
    np.testing.assert_array_equal(read_window(joined, window, bands), whole(joined)[(bands, *window.slices())])

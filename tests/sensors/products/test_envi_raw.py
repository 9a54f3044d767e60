"""Traps of raw scenes and their references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.sensors import open_source
from tests.products import envi_raw as raw
from tests.products.envi import write_envi


def cube(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


def opened(path: Path, **options) -> Source:
    return open_source(path, inspect=False, **options)


def scene(folder: Path, rng: np.random.Generator, time: float = 10, white: float | None = 10, dark: float | None = 10) -> tuple[Path, dict[str, np.ndarray]]:
    parts = {"scene": raw.numbers(rng, 300, 3000), "white": raw.numbers(rng, 2000, 2400, 4), "dark": raw.numbers(rng, 95, 105, 3)}
    for name, part, tint in (("scene", "scene", time), ("WHITEREF_scene", "white", white), ("DARKREF_scene", "dark", dark)):
        if tint is not None:
            write_envi(folder / f"{name}.hdr", parts[part], "bil", suffix=".raw", **raw.specim_header(tint=tint))
    return folder / "scene.hdr", parts


def test_windows_are_exact(tmp_path: Path) -> None:
    source = opened(raw.specim(tmp_path).path)
    whole = cube(source)
    for window in (Window(0, 0, 1, 1), Window(3, 2, 4, 3), Window(8, 5, 1, 1)):
        np.testing.assert_array_equal(read_window(source, window, np.array([1, 3, 6])), whole[(np.array([1, 3, 6]), *window.slices())])


def test_white_with_another_integration_time_is_brought_to_the_scene_s(tmp_path: Path) -> None:
    path, parts = scene(tmp_path, np.random.default_rng(1), 10, 5)
    source = opened(path)
    np.testing.assert_allclose(cube(source), raw.reflectance(parts["scene"], parts["white"], parts["dark"], ratio=2.0), rtol=1e-5, atol=1e-6)
    assert any("multiplied by 2; it has no dark reference of its own" in notice for notice in source.info.notices)


def test_a_dark_of_another_integration_time_is_told(tmp_path: Path) -> None:
    path, _ = scene(tmp_path, np.random.default_rng(2), 10, 10, 20)
    assert any("dark reference was taken with another integration time" in notice for notice in opened(path).info.notices)


def test_without_a_dark_reference_nothing_is_subtracted_and_it_is_told(tmp_path: Path) -> None:
    path, parts = scene(tmp_path, np.random.default_rng(3), dark=None)
    source = opened(path)
    np.testing.assert_allclose(cube(source), raw.reflectance(parts["scene"], parts["white"], parts["dark"] * 0), rtol=1e-5)
    assert any("nothing is subtracted" in notice for notice in source.info.notices)


def test_without_a_white_reference_the_numbers_stay_raw(tmp_path: Path) -> None:
    path, parts = scene(tmp_path, np.random.default_rng(4), white=None)
    source = opened(path)
    assert (source.info.quantity, source.info.dtype) == ("dn", "uint16")
    np.testing.assert_array_equal(cube(source), parts["scene"])
    assert any("stay raw" in notice for notice in source.info.notices)


def test_the_panel_s_own_reflectance_is_the_scale(tmp_path: Path) -> None:
    path, _ = scene(tmp_path, np.random.default_rng(5))
    np.testing.assert_allclose(cube(opened(path, scale=0.5)), 0.5 * cube(opened(path)), rtol=1e-6)


def test_a_reference_of_the_scene_wins_over_one_of_the_folder(tmp_path: Path) -> None:
    path, _ = scene(tmp_path, np.random.default_rng(6))
    before = cube(opened(path))
    write_envi(tmp_path / "whiteReference.hdr", raw.numbers(np.random.default_rng(7), 3900, 4000), "bil", suffix=".raw", **raw.specim_header())
    np.testing.assert_array_equal(cube(opened(path)), before)


def test_a_reference_of_another_scene_is_not_taken(tmp_path: Path) -> None:
    path, _ = scene(tmp_path, np.random.default_rng(8), white=None)
    write_envi(tmp_path / "WHITEREF_scene_2.hdr", raw.numbers(np.random.default_rng(9), 3900, 4000), "bil", suffix=".raw", **raw.specim_header())
    assert opened(path).info.quantity == "dn"


def test_a_reference_of_another_shape_is_refused(tmp_path: Path) -> None:
    path, parts = scene(tmp_path, np.random.default_rng(10))
    write_envi(tmp_path / "WHITEREF_scene.hdr", parts["white"][:, :, :4], "bil", suffix=".raw", **raw.specim_header())
    with pytest.raises(SceneError, match="8 bands and 4 columns"):
        opened(path)


def test_a_truncated_reference_is_refused(tmp_path: Path) -> None:
    path, _ = scene(tmp_path, np.random.default_rng(11))
    data = tmp_path / "DARKREF_scene.raw"
    data.write_bytes(data.read_bytes()[:-2])
    with pytest.raises(SceneError, match="DARKREF_scene"):
        opened(path)


def test_a_reference_itself_opens_as_raw_numbers(tmp_path: Path) -> None:
    scene(tmp_path, np.random.default_rng(12))
    info = opened(tmp_path / "WHITEREF_scene.hdr").info
    assert info.quantity == "dn"


def test_floats_are_no_raw_numbers(tmp_path: Path) -> None:
    write_envi(tmp_path / "scene.hdr", np.ones((8, 3, 3), np.float32), **raw.specim_header())
    write_envi(tmp_path / "white.hdr", np.ones((8, 3, 3), np.float32), **raw.specim_header())
    assert opened(tmp_path / "scene.hdr").info.driver == "envi"


def test_a_changed_reference_is_another_input(tmp_path: Path) -> None:
    path, parts = scene(tmp_path, np.random.default_rng(13))
    before = opened(path).info.identity
    (tmp_path / "WHITEREF_scene.raw").write_bytes((parts["white"] + 1).transpose(1, 0, 2).tobytes())
    assert opened(path).info.identity != before

"""Scenes transformed along the wavelength: lazy, of good bands only, equal to the plain functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.convert import by_spectrum
from hsikit.convert.spectra import continuum_removed, derivative, smoothed
from hsikit.cube import to_cube
from hsikit.errors import OptionError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.spectral import continuum
from hsikit.spectral.derivative import derivative as plain_derivative
from hsikit.spectral.smooth import savitzky_golay

from .scenes import scene

NM = np.arange(450.0, 900.0, 10.0)
MADE = {
    "continuum": (continuum_removed, continuum.continuum_removed),
    "first": (derivative, plain_derivative),
    "second": (lambda source: derivative(source, 2), lambda values, nm: plain_derivative(values, nm, 2)),
    "smoothed": (lambda source: smoothed(source, 130.0, 3), lambda values, nm: savitzky_golay(values, nm, 130.0, 3)),
}


def spectra(source: Source) -> np.ndarray:
    return read_window(source, source.info.grid.whole)


@pytest.mark.parametrize("name", MADE)
def test_the_scene_equals_the_function_of_its_good_bands(name: str) -> None:
    source = scene(nm=NM)
    lazy, plain = MADE[name]
    used = source.info.bands.used
    expected = plain(np.moveaxis(spectra(source)[used], 0, -1), NM[used])
    made = lazy(source)
    np.testing.assert_allclose(spectra(made), np.moveaxis(expected, -1, 0), rtol=1e-5, atol=1e-7)
    assert made.info.bands.names == source.info.bands.take(used).names and made.info.dtype == "float32" and made.info.nodata is None
    assert made.info.quantity == ("surface_reflectance" if name == "smoothed" else "dn") and made.info.attrs["transformed"]


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=10)
@given(data=st.data())
def test_any_window_is_the_same_part_of_the_whole(name: str, data: st.DataObject) -> None:
    made = MADE[name][0](scene(nm=NM, seed=2))
    rows, cols = made.info.grid.shape
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    window = Window(row, col, data.draw(st.integers(0, rows - row)), data.draw(st.integers(0, cols - col)))
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, len(made.info.bands) - 1), min_size=1))), np.intp)
    np.testing.assert_allclose(read_window(made, window, bands), spectra(made)[bands][(slice(None), *window.slices())], rtol=1e-6)


@pytest.mark.parametrize("block", [(1, 15), (4, 15), (4, 4)])
def test_pieces_of_a_window_make_the_whole(block: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name: spectra(lazy(scene(nm=NM))) for name, (lazy, _) in MADE.items()}
    monkeypatch.setattr(by_spectrum, "PIECE_BYTES", 4 * 45 * 40)
    for name, (lazy, _) in MADE.items():
        source = scene(nm=NM)
        sizes: list[int] = []
        read = source.read
        source.block = block
        source.read = lambda window, bands, read=read, sizes=sizes: (sizes.append(window.size), read(window, bands))[1]  # type: ignore[method-assign,misc]
        np.testing.assert_allclose(spectra(lazy(source)), expected[name], rtol=1e-6)
        assert len(sizes) > 3 and max(sizes) <= max(60, block[0] * block[1])


def test_cubes_do_it_lazily() -> None:
    source = scene(nm=NM)
    reads: list[Window] = []
    read = source.read
    source.read = lambda window, bands: (reads.append(window), read(window, bands))[1]  # type: ignore[method-assign]
    cube = to_cube(source)
    made = [cube.hsi.continuum_removed(), cube.hsi.derivative(2), cube.hsi.smoothed(130.0, order=3)]
    assert reads == []
    for lazy, name in zip(made, ("continuum", "second", "smoothed"), strict=True):
        np.testing.assert_allclose(lazy.isel(y=slice(3, 5)).values, spectra(MADE[name][0](scene(nm=NM)))[:, 3:5], rtol=1e-6)
    assert all(window.rows <= 2 for window in reads[:3])


def test_identities_tell_transforms_apart() -> None:
    source = scene(nm=NM, identity=("scene.dat", 1, 2))
    found = [str(made[0](source).info.identity) for made in MADE.values()]
    found += [str(smoothed(source, 100.0).info.identity), str(derivative(scene(nm=NM + 1, identity=("scene.dat", 1, 2))).info.identity)]
    assert len(set(found)) == len(found)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionError, match="order"):
        derivative(scene(nm=NM), 3)
    with pytest.raises(OptionError, match="holds"):
        smoothed(scene(nm=NM), 15.0)
    with pytest.raises(WavelengthError, match="bands"):
        derivative(scene(nm=[500.0, 600.0]))

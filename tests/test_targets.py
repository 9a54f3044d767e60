"""Targets: library spectra at a scene's bands, means of its pixels, and what is said where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from hsikit.errors import GridError, OptionError, SceneError, WavelengthError
from hsikit.library import Library
from hsikit.scene import Bands
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.responses import sensor_response
from hsikit.targets import read_targets
from tests.engine.toys import Memory

NM = np.linspace(400, 1000, 601)
NAMES = ("alunite fine", "alunite coarse", "kaolinite", "grass")


def spectra() -> np.ndarray:
    """Straight lines and a Gaussian dip."""
    lines = np.array([[0.2, 3e-4], [0.4, -1e-4], [0.1, 5e-4]]) @ np.stack([np.ones_like(NM), NM - 400])
    return np.vstack([lines, 0.5 - 0.3 * np.exp(-0.5 * ((NM - 680) / 20) ** 2)]).astype(np.float32)


@pytest.fixture
def library() -> Library:
    return Library(spectra(), NM, np.full(len(NM), 1.0), NAMES, source="minerals.csv")


def scene(wavelength: np.ndarray | None = None, fwhm: float = 10.0, sensor: str = "") -> Memory:
    nm = np.linspace(450, 900, 7) if wavelength is None else wavelength
    values = np.random.default_rng(0).uniform(0.1, 0.6, (len(nm), 12, 9)).astype(np.float32)
    source = Memory(values, nodata=None)
    bands = Bands(nm, np.full(len(nm), fwhm), np.ones(len(nm), bool), tuple(f"{w:g}" for w in nm))
    source.info = source.info.with_(quantity="surface_reflectance", bands=bands, sensor=sensor)
    return source


def test_a_library_spectrum_is_weighed_by_gaussians(library: Library) -> None:
    source = scene(fwhm=40.0)
    found = read_targets(source, library, names=["grass"])
    sigma = 40 / np.sqrt(8 * np.log(2))

    def weighed(centre: float) -> float:
        def reflectance(nm: float) -> float:
            return 0.5 - 0.3 * np.exp(-0.5 * ((nm - 680) / 20) ** 2)

        ends = centre - 5 * sigma, centre + 5 * sigma
        top, _ = quad(lambda nm: reflectance(nm) * np.exp(-0.5 * ((nm - centre) / sigma) ** 2), *ends)
        bottom, _ = quad(lambda nm: np.exp(-0.5 * ((nm - centre) / sigma) ** 2), *ends)
        return top / bottom

    expected = [weighed(centre) for centre in source.info.bands.wavelength]
    np.testing.assert_allclose(found.values[0], expected, atol=2e-4)
    used, seen = found.seen_by(source.info)
    np.testing.assert_allclose(seen[0], found.values[0][used], atol=1e-9)  # seen once, not blurred again


def test_measured_responses_are_used_where_they_are_at_hand(library: Library) -> None:
    table, measured = sensor_bands("landsat-8"), sensor_response("landsat-8")
    assert measured is not None
    chosen = np.flatnonzero(table.wavelength < 900)[::-1]
    chosen = chosen[np.argsort(table.wavelength[chosen])]
    chosen = chosen[np.diff(table.wavelength[chosen], prepend=0) > 0]
    source = scene(table.wavelength[chosen])
    source.info = source.info.with_(sensor="Landsat 8", bands=replace(source.info.bands, fwhm=table.fwhm[chosen]))
    found = read_targets(source, library, names=["grass"]).values[0]
    curve = measured.response[chosen].astype(float)
    fine = np.interp(measured.wavelength, NM, spectra()[3].astype(float))
    expected = np.trapezoid(curve * fine, measured.wavelength) / np.trapezoid(curve, measured.wavelength)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    shifted = scene(table.wavelength[chosen] + 30)
    shifted.info = shifted.info.with_(sensor="landsat-8")
    np.testing.assert_allclose(read_targets(shifted, library, names=["alunite fine"]).values[0], 0.2 + 3e-4 * (table.wavelength[chosen] - 370), atol=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], NAMES),
        (["kaolinite"], NAMES[2:3]),
        (["ALUNITE"], NAMES[:2]),
        (["fine alunite", "grass"], (NAMES[0], NAMES[3])),
        (["alunite", "alunite fine"], NAMES[:2]),
    ],
)
def test_names_choose(library: Library, names: list[str], expected: tuple[str, ...]) -> None:
    assert read_targets(scene(), library, names=names).names == expected


def test_a_file_is_opened(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "minerals.sli")
    found = read_targets(scene(), tmp_path / "minerals.sli", names=["kaolinite"])
    np.testing.assert_allclose(found.values, read_targets(scene(), library, names=["kaolinite"]).values, atol=1e-6)


def test_pixels_and_points_of_the_scene() -> None:
    source = scene()
    source.values[2, 3, 4] = np.nan
    found = read_targets(source, pixels=[(3, 4), (5, 6)])
    expected = source.values[:, [3, 5], [4, 6]].astype(float)
    np.testing.assert_allclose(found.values[0], np.nanmean(expected, 1))
    assert found.quantity == "surface_reflectance" and found.names == ("mean of 2 pixels",)
    a, _, c, _, e, f = source.info.grid.transform
    points = [(c + a * 4.5, f + e * 3.5), (c + a * 6.2, f + e * 5.9)]
    np.testing.assert_array_equal(read_targets(source, points=points).values, found.values)


def test_bad_bands_are_unknown_to_pixels_of_the_scene() -> None:
    source = scene()
    good = np.arange(7) != 2
    source.info = source.info.with_(bands=replace(source.info.bands, good=good))
    np.testing.assert_array_equal(np.isfinite(read_targets(source, pixels=[(0, 0)]).values[0]), good)


def test_mistakes_are_named(library: Library) -> None:
    source = scene()
    with pytest.raises(OptionError, match="nothing to look for is given"):
        read_targets(source)
    with pytest.raises(OptionError, match="target and pixels to look for is given"):
        read_targets(source, library, pixels=[(0, 0)])
    with pytest.raises(OptionError, match="choose spectra of a library"):
        read_targets(source, names=["grass"], pixels=[(0, 0)])
    with pytest.raises(OptionError, match=r"'kaolinte', or holds these words\. Near are kaolinite"):
        read_targets(source, library, names=["kaolinte"])
    with pytest.raises(OptionError, match=r"'zzz'.*`hsikit library` lists its names"):
        read_targets(source, library, names=["zzz"])
    many = Library(np.repeat(spectra(), 6, 0), NM, np.full(len(NM), 1.0), tuple(f"s{i}" for i in range(24)))
    with pytest.raises(OptionError, match="24 spectra of library would be looked for, and 20 are the most"):
        read_targets(source, many)
    with pytest.raises(SceneError, match="holds no spectrum"):
        read_targets(source, many.select([]))
    with pytest.raises(WavelengthError, match=r"alunite fine answers for no good band of memory \(2000 to 2400 nm\)\. The library reaches from 400 to 1000 nm"):
        read_targets(scene(np.linspace(2000, 2400, 5)), library)
    with pytest.raises(GridError, match=r"pixel \(row 50, column 0\) lies outside"):
        read_targets(source, pixels=[(50, 0)])
    source.values[:, 1, 1] = np.nan
    with pytest.raises(SceneError, match="holds no values at row 1 column 1"):
        read_targets(source, pixels=[(1, 1)])
    nameless = scene()
    nameless.info = nameless.info.with_(bands=replace(nameless.info.bands, wavelength=np.full(7, np.nan)))
    with pytest.raises(WavelengthError, match="have no wavelengths"):
        read_targets(nameless, library)

"""The traps of Hyperion's products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products import hyperion


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product, which tests leave as it is: it has many files."""
    return hyperion.product(tmp_path_factory.mktemp("hyperion")).path


def test_the_detectors_have_different_scales(scene: Path) -> None:
    source = open_source(scene, detector_overlap="keep", inspect=False)
    names = list(source.info.bands.names)
    for band, divisor in ((20, 40), (150, 80)):
        values = read_window(source, source.info.grid.whole, np.array([names.index(f"B{band}")]))[0]
        with rasterio.open(scene / f"{hyperion.SCENE}_B{band:03d}_L1T.TIF") as file:
            stored = file.read(1)
        np.testing.assert_allclose(values, np.where(stored == 0, np.nan, stored / divisor), rtol=1e-6)


def test_bands_that_are_not_calibrated_or_in_water_vapour_are_bad_and_169_remain(scene: Path) -> None:
    source = open_source(scene / f"{hyperion.SCENE}_MTL_L1T.TXT")
    assert source.info.driver == "hyperion"
    assert source.info.bands.good.sum() == 169  # of the 196 that are calibrated
    assert (np.diff(source.info.bands.wavelength) > 0).all()
    assert sum("44 bands are not calibrated" in notice for notice in source.info.notices) == 1
    assert sum("27 bands lie where water vapour absorbs" in notice for notice in source.info.notices) == 1
    assert not any("constant or empty" in notice for notice in source.info.notices)
    assert {"B77", "B78"}.isdisjoint(source.info.bands.names)


def test_archive_of_the_calibrated_bands_opens(tmp_path: Path) -> None:
    built = hyperion.zipped(tmp_path)
    source = open_source(built.path, inspect=False, **built.options)
    np.testing.assert_allclose(read_window(source, source.info.grid.whole), built.truth, rtol=1e-6)


def test_level_1r_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "EO1H0380342005105110KF.L1R"
    path.write_bytes(b"\x0e\x03\x13\x01" + bytes(2000))
    with pytest.raises(SceneError, match="level 1T"):
        open_source(path)


def test_missing_band_is_named(scene: Path) -> None:
    band = scene / f"{hyperion.SCENE}_B100_L1T.TIF"
    away = band.rename(scene / "away")
    try:
        with pytest.raises(SceneError, match="B100"):
            open_source(scene)
    finally:
        away.rename(band)


@pytest.mark.parametrize(("old", "new"), [("= 40.000", "= zero"), ("= 80.000", "= 0"), ('"HYPERION"', '"ALI"')])
def test_metadata_that_make_no_sense_are_refused(scene: Path, old: str, new: str) -> None:
    metadata = scene / f"{hyperion.SCENE}_MTL_L1T.TXT"
    metadata.write_text(hyperion.MTL.replace(old, new))
    try:
        with pytest.raises(SceneError):
            open_source(scene)
    finally:
        metadata.write_text(hyperion.MTL)


def test_the_level_is_that_of_the_name_where_the_metadata_tell_none(tmp_path: Path) -> None:
    built = hyperion.product(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("_L1T.", "_L1GST.")))
    metadata = next(tmp_path.glob("*_MTL_*"))
    metadata.write_text("\n".join(line for line in metadata.read_text().splitlines() if "PRODUCT_TYPE" not in line))
    assert open_source(built.path, inspect=False).info.attrs["processing_level"] == "L1GST"

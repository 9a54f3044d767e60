"""The traps of DESIS's products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import OptionError, SceneError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.products import desis


@pytest.mark.parametrize(("binning", "count"), list(desis.BINNED.items()))
def test_every_binning_opens_with_its_own_centres(tmp_path: Path, binning: int, count: int) -> None:
    info = open_source(desis.product(tmp_path, "L2A", binning).path, inspect=False).info
    assert len(info.bands) == count
    assert info.bands.wavelength[[0, -1]] == pytest.approx([401.275, 999.5])


def test_every_band_of_radiance_has_its_own_gain_and_offset_and_our_unit(tmp_path: Path) -> None:
    built = desis.product(tmp_path, "L1C", 4)
    source = open_source(built.path, inspect=False)
    values = read_window(source, source.info.grid.whole)
    np.testing.assert_allclose(values, built.truth, rtol=1e-5)
    assert source.info.units == "W m-2 sr-1 um-1"
    assert 10 < np.nanmedian(values) < 60  # 2.45 mW cm-2 sr-1 um-1 are 24.5 of ours


def test_level_1b_has_no_place(tmp_path: Path) -> None:
    info = open_source(desis.product(tmp_path, "L1B", 4).path, inspect=False).info
    assert info.swath is None
    assert any("no place on a map" in notice for notice in info.notices)


def test_metadata_that_do_not_fit_the_image_are_refused(tmp_path: Path) -> None:
    built = desis.product(tmp_path, "L2A", 4)
    metadata = next(tmp_path.glob("*METADATA.xml"))
    text = metadata.read_text()
    for old, new in (("<bandCharacterisation>", "<bandCharacterisation><band><gainOfBand>1</gainOfBand></band>"), ("<gainOfBand>0.0001", "<gainOfBand>x")):
        metadata.write_text(text.replace(old, new, 1))
        with pytest.raises(SceneError):
            open_source(built.path)
    metadata.write_text(text.replace("L2A", "L0"))
    metadata.rename(metadata.with_name("METADATA.xml"))
    with pytest.raises(SceneError, match="of which level"):
        open_source(built.path)


def test_quality_with_fewer_layers_is_refused(tmp_path: Path) -> None:
    built = desis.product(tmp_path, "L2A", 4)
    desis._write(next(tmp_path.glob("*QL_QUALITY-2.tif")), np.zeros((3, desis.ROWS, desis.COLS), np.uint8))
    with pytest.raises(SceneError, match="3 layers"):
        open_source(built.path)


def test_only_its_codes_are_another_variable(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'clouds' is nothing that DESIS has"):
        open_source(desis.product(tmp_path, "L2A", 4).path, variable="clouds")

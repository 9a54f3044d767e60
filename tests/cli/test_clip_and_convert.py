"""`hsikit clip` and `hsikit convert`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import typer

from hsikit.errors import HsikitError, OptionError, OutputError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from tests.laws.scenes import CRS, NODATA, SCALE, make_scene
from tests.products.geotiff import write_geotiff

from .conftest import square

Verb = Callable[..., str]


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs `clip ARGUMENTS` or `convert ARGUMENTS`; what it said."""
    from hsikit_cli import clip, convert

    app = typer.Typer()
    clip.add_to(app)
    convert.add_to(app)

    def run(*arguments: object) -> str:
        app(args=[str(argument) for argument in arguments], standalone_mode=False)
        said = capsys.readouterr()
        return said.out + said.err

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_scene(48, 36, 12, seed=3, classes=3, side=12)
    return write_geotiff(tmp_path_factory.mktemp("clip") / "scene.tif", made.values, made.nm, scale=SCALE, nodata=NODATA)


def values_of(path: Path) -> np.ndarray:
    source = open_source(path, inspect=False)
    found = read_window(source, source.info.grid.whole)
    source.close()
    return found


@pytest.mark.parametrize("suffix", [".tif", ".zarr", ".hdr", ".nc"])
def test_convert_keeps_the_scene(verb: Verb, path: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert f"wrote {out}" in verb("convert", path, "-o", out)
    np.testing.assert_array_equal(values_of(out), values_of(path))
    found, told = open_source(out).info, open_source(path).info
    assert found.grid == told.grid and found.quantity == told.quantity == "surface_reflectance"
    np.testing.assert_allclose(found.bands.wavelength, told.bands.wavelength)


def test_convert_refuses_what_exists_and_itself(verb: Verb, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.nc"
    verb("convert", path, "-o", out)
    with pytest.raises(OutputError, match="--overwrite"):
        verb("convert", path, "-o", out)
    assert verb("convert", path, "-o", out, "--overwrite", "--quiet") == ""
    with pytest.raises(OutputError, match="is the scene itself"):
        verb("convert", path, "-o", path, "--overwrite")
    with pytest.raises(OutputError, match=r"Known are \.tif .*\.nc"):
        verb("convert", path, "-o", tmp_path / "out.xyz")


def test_convert_takes_what_the_user_says_of_the_scene(verb: Verb, path: Path, tmp_path: Path) -> None:
    verb("convert", path, "-o", tmp_path / "out.nc", "--scale", "1", "--quantity", "dn")
    np.testing.assert_allclose(values_of(tmp_path / "out.nc"), values_of(path) / SCALE, rtol=1e-6)
    assert open_source(tmp_path / "out.nc").info.quantity == "dn"


def test_clip_by_box_polygons_and_bands(verb: Verb, path: Path, tmp_path: Path) -> None:
    polygon = tmp_path / "p.gpkg"
    geopandas.GeoDataFrame(geometry=[square(12, 12)], crs=CRS).to_file(polygon)
    verb("clip", path, "-o", tmp_path / "p.tif", "--polygon", polygon)
    np.testing.assert_array_equal(values_of(tmp_path / "p.tif"), values_of(path)[:, 12:24, 12:24])
    box = [str(edge) for edge in square(0, 24).bounds]
    verb("clip", path, "-o", tmp_path / "b.nc", "--bbox", *box, "--bands", "400-700,2000-2500")
    nm = open_source(path).info.bands.wavelength
    kept = (nm < 700) | (nm > 2000)
    np.testing.assert_array_equal(values_of(tmp_path / "b.nc"), values_of(path)[kept, :12, 24:])


def test_clip_says_what_it_needs(verb: Verb, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    for arguments, wrong in (((), "nothing says what is cut"), (("--bbox-crs", "EPSG:4326", "--drop-bad"), "no --bbox"), (("--bands", "red"), "no range")):
        with pytest.raises(OptionError, match=wrong):
            verb("clip", path, "-o", out, *arguments)
    with pytest.raises(HsikitError):
        verb("clip", path, "-o", out, "--bbox", "0", "0", "1", "1")
    assert not out.exists()

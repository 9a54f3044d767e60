"""`hsikit gas`: a plume in a raw file of radiance, in whatever unit, with what lies beside the map."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.simulate.gas import GasScene, gas_scene
from tests.products.envi import write_envi
from tests.products.geotiff import write_geotiff

from .verbs import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GasScene]:
    """An ENVI file in uW/cm2/sr/nm that does not say so, and the gas's table."""
    folder = tmp_path_factory.mktemp("plume")
    return folder, write_line(folder)


def write_line(folder: Path) -> GasScene:
    """line.hdr, methane.csv, and map.tif: the same where it does not belong."""
    folder.mkdir(exist_ok=True)
    scene = gas_scene(rows=200, cols=7, bands=30, seed=1, plume=15, amount=2000.0)
    (0.1 * scene.radiance).astype("<f4").tofile(folder / "line.img")
    centres, widths = (", ".join(f"{value:.3f}" for value in axis) for axis in (scene.wavelength, scene.fwhm))
    bands, rows, cols = scene.radiance.shape
    (folder / "line.hdr").write_text(
        f"ENVI\nsamples = {cols}\nlines = {rows}\nbands = {bands}\nheader offset = 0\ndata type = 4\ninterleave = bsq\nbyte order = 0\n"
        f"wavelength units = Nanometers\nwavelength = {{{centres}}}\nfwhm = {{{widths}}}\n"
    )
    table = scene.table
    lines = [["wavelength_nm", *(f"{k:g}" for k in table.concentration)]]
    lines += [[f"{value:.9f}" for value in (nm, *row)] for nm, row in zip(table.wavelength, table.radiance[0, 0, 0].T, strict=True)]
    (folder / "methane.csv").write_text("\n".join(map(",".join, lines)))
    write_geotiff(folder / "map.tif", scene.radiance, scene.wavelength)
    return scene


@pytest.mark.parametrize(("method", "low", "high"), [("mag1c", 0.96, 1.04), ("emit", 0.5, 0.95)])
def test_a_plume_is_found(made: tuple[Path, GasScene], tmp_path: Path, method: str, low: float, high: float) -> None:
    folder, scene = made
    given = ("--absorption", folder / "methane.csv", "--unit", "uW/cm2/sr/nm", "--method", method, "--tile", 3)
    done = run("gas", folder / "line.hdr", *given, "-o", tmp_path / "gas.tif")
    assert done.code == 0, done.err
    found, sigma, answer = (rasterio.open(tmp_path / name).read(1) for name in ("gas.tif", "gas_uncertainty.tif", "gas_sensitivity.tif"))
    plume = scene.truth > 0
    assert low < found[plume].mean() / 2000 < high and np.abs(found[~plume].mean()) < 250
    assert (sigma > 0).all() and answer.mean() == pytest.approx(1, abs=0.1)
    with (tmp_path / "gas_absorption.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 and float(rows[0]["wavelength_nm"]) == 2122 and all(float(row["per_ppm_m"]) < 0 for row in rows)


def test_a_line_of_a_known_instrument_loses_the_bands_in_water_vapour_and_none_of_the_gas(made: tuple[Path, GasScene], tmp_path: Path) -> None:
    folder, scene = made
    dark = np.random.default_rng(0).uniform(0, 0.02, (1, *scene.radiance.shape[1:]))
    write_envi(tmp_path / "ang20200101t120000_rdn.hdr", (0.1 * np.concatenate([dark, scene.radiance])).astype(np.float32),
               wavelength=[1900.0, *scene.wavelength], fwhm=[5.0, *scene.fwhm])  # fmt: skip
    window = ("--window", "1850,2488", "--absorption", folder / "methane.csv")
    told = run("info", tmp_path / "ang20200101t120000_rdn.hdr", "--json")
    assert json.loads(told.out)["bad_bands"] == ["1900.0"]
    for name, line in (("known", tmp_path / "ang20200101t120000_rdn.hdr"), ("plain", folder / "line.hdr")):
        done = run("gas", line, *window, *([] if name == "known" else ["--unit", "uW/cm2/sr/nm"]), "-o", tmp_path / f"{name}.tif")
        assert done.code == 0, done.err
    known, plain = (rasterio.open(tmp_path / f"{name}.tif").read(1) for name in ("known", "plain"))
    assert plain[scene.truth > 0].mean() > 1500
    np.testing.assert_allclose(known, plain, atol=1)  # ppm m, at which its rounds end


def test_masked_pixels_are_told_from_missing_ones(made: tuple[Path, GasScene], tmp_path: Path) -> None:
    folder, scene = made
    hidden = np.zeros(scene.truth.shape, np.uint8)
    hidden[20:30, 2:4] = 1
    with rasterio.open(tmp_path / "cloud.tif", "w", driver="GTiff", height=len(hidden), width=hidden.shape[1], count=1, dtype="uint8") as file:
        file.write(hidden, 1)
    given = ("--absorption", folder / "methane.csv", "--unit", "uW/cm2/sr/nm", "--tile", 3, "--mask", tmp_path / "cloud.tif")
    done = run("gas", folder / "line.hdr", *given, "-o", tmp_path / "gas.tif")
    assert done.code == 0, done.err
    np.testing.assert_array_equal(rasterio.open(tmp_path / "gas_masked.tif").read(1), np.where(hidden, 255, 1))
    assert np.isnan(rasterio.open(tmp_path / "gas.tif").read(1)[hidden > 0]).all()


def test_mistakes(made: tuple[Path, GasScene], tmp_path: Path) -> None:
    folder, _ = made
    line, table = folder / "line.hdr", folder / "methane.csv"
    told = {
        (line, "--quantity", "surface_reflectance"): "Give the product's radiance",
        (line, "--unit", "m"): "--unit: 'm' is no unit of spectral radiance",
        (line, "--unit", "uW/cm2/sr/nm", "--scale", 2): "--scale says how values are read already",
        (line, "--quantity", "radiance", "--method", "rx"): "--method: rx finds no gas. Those that do are mag1c, emit",
        (line, "--quantity", "radiance", "--window", "2100"): "--window: '2100' is not LOW,HIGH",
        (line, "--quantity", "radiance", "--window", "2300,2200"): "no range of wavelengths",
        (line, "--quantity", "radiance", "--window", "900,1000"): "0 good bands from 900 to 1000 nm",
        (line, "--quantity", "radiance", "--sun-zenith", 91): "91.0 is no angle",
        (line, "--quantity", "radiance", "--absorption", folder / "none.csv"): "there is no such file",
        (folder / "map.tif", "--quantity", "radiance"): "on a map's grid, whose columns mix detectors",
    }  # fmt: skip
    for arguments, words in told.items():
        done = run("gas", "--absorption", table, *arguments, "-o", tmp_path / "gas.tif")
        assert done.code == 2 and words in done.err, (arguments, done.err)
    assert list(tmp_path.iterdir()) == []

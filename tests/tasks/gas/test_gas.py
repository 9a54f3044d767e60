"""Gas retrieval against mag1c written out plainly, on simulated plumes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from benchmarks.gas import GROUNDS, knowing, moments_of, plain_mag1c, prepared, without_gas
from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, Decoding, SceneInfo
from hsikit.sensors.absorption_table import read_absorption
from hsikit.sensors.array import ArraySource
from hsikit.simulate.gas import gas_scene, gas_table
from hsikit.spectral.absorption import AbsorptionTable
from hsikit.tasks.gas.gas import EmitGhg, Mag1c
from hsikit.tasks.gas.retrieval import retrieve

LAYERS = ("enhancement", "uncertainty", "sensitivity")


def source_of(scene, grid: Grid | None = None, quantity: str = "radiance", **attrs: str) -> ArraySource:
    bands = Bands(scene.wavelength, scene.fwhm, np.ones(len(scene.wavelength), bool), tuple(f"{nm:g}" for nm in scene.wavelength))
    info = SceneInfo("line.nc", grid or Grid(scene.radiance.shape[1:]), bands, "float32", "array", quantity=quantity, attrs=attrs)
    return ArraySource(scene.radiance, info, Decoding())


def mapped(source: ArraySource, method, **how) -> dict[str, np.ndarray]:
    found = compute(method.bind({"cube": source.info}), {"cube": source}, layers=list(LAYERS), **how).layers
    return {name: found[name][0] for name in LAYERS}


def small(**how):
    return gas_scene(**{"rows": 300, "cols": 6, "bands": 40, "seed": 3, "plume": 20, **how})


def test_equals_mag1c_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without loading and shrinkage, and with all rounds, as the plain form has it."""
    monkeypatch.setattr("hsikit.tasks.gas.retrieval.LOADING", 0.0)
    monkeypatch.setattr("hsikit.tasks.gas.retrieval.MOST_SHRUNK", 0.0)
    monkeypatch.setattr("hsikit.tasks.gas.retrieval.STILL", -1.0)
    scene = small()
    absorption = torch.from_numpy(scene.table.unit_absorption(scene.wavelength, scene.fwhm, {}))
    expected = plain_mag1c(torch.from_numpy(scene.radiance).double().permute(2, 1, 0), absorption).T
    found = mapped(source_of(scene), Mag1c(scene.table))["enhancement"]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert (found > 0).mean() > 0.05


def shrunk_mag1c(spectra: np.ndarray, absorption: np.ndarray, rounds: int = 30) -> np.ndarray:
    """mag1c of one column (P, B), in which a share of the covariance gives way to the residual variances of each band's regression on all others.

    The share is that of the squared partial correlations, those of two bands' residuals on all others, that errors of 1 / (P - B) account for.
    """
    share, (pixels, bands) = absorption * 1e5, spectra.shape

    def residuals(fitted: list[int]) -> np.ndarray:
        others = np.column_stack([np.ones(pixels), np.delete(spectra, fitted, 1)])
        return spectra[:, fitted] - others @ np.linalg.lstsq(others, spectra[:, fitted], rcond=None)[0]

    own = np.array([(residuals([band]) ** 2).sum() / (pixels - bands) for band in range(bands)])
    squares = sum(np.corrcoef(residuals([i, j]).T)[0, 1] ** 2 for i in range(bands) for j in range(i))
    kept = 1 - min(0.8, bands * (bands - 1) / 2 / (pixels - bands) / squares)
    assert 0.2 < kept < 0.9

    def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mean = values.mean(0)
        covariance = kept * np.cov(values.T, bias=True) + (1 - kept) * np.diag(own)
        return mean, share * mean, np.linalg.solve(covariance, share * mean)

    mean, target, solved = moments(spectra)
    light = spectra @ mean / (mean @ mean)
    amount = np.clip((spectra - mean) @ solved / (light * (target @ solved)), 0, None)
    for _ in range(rounds):
        sparse = 1 / (light * (amount + 1e-9))
        mean, target, solved = moments(spectra - (light * amount)[:, None] * target)
        amount = np.clip(((spectra - mean) @ solved - sparse) / (light * max(target @ solved, 1)), 0, None)
    return amount * 1e5


def test_equals_a_filter_of_shrunk_covariances(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column's error in its covariance gives way, which the released mag1c keeps."""
    monkeypatch.setattr("hsikit.tasks.gas.retrieval.LOADING", 0.0)
    monkeypatch.setattr("hsikit.tasks.gas.retrieval.STILL", -1.0)
    scene = small(cols=2, bands=20)
    absorption = scene.table.unit_absorption(scene.wavelength, scene.fwhm, {})
    found = mapped(source_of(scene), Mag1c(scene.table))["enhancement"]
    for col in range(2):
        np.testing.assert_allclose(found[:, col], shrunk_mag1c(scene.radiance[:, :, col].T.astype(float), absorption), atol=0.05)


def test_the_simulated_gas_is_as_strong_as_methane() -> None:
    scene = gas_scene(rows=2, cols=1, plume=1)
    absorption = scene.table.unit_absorption(scene.wavelength, scene.fwhm, {})
    assert absorption.min() == pytest.approx(-1.784e-5, rel=0.01) and absorption.max() == pytest.approx(-2.3e-8, rel=0.1)


def test_the_plain_filter_equals_numpy() -> None:
    scene = small()
    scene.radiance[:, 10:60, 2] = np.nan  # these count in no statistics
    found = mapped(source_of(scene), EmitGhg(scene.table))
    absorption = scene.table.unit_absorption(scene.wavelength, scene.fwhm, {})
    for col in range(6):
        x = scene.radiance[:, :, col].T.astype(float)
        x = x[np.isfinite(x).all(1)]
        mean, covariance = x.mean(0), np.cov(x.T, bias=True)
        covariance += 1e-6 * np.trace(covariance) / 40 * np.eye(40)
        target = absorption * mean
        solved = np.linalg.solve(covariance, target)
        there = np.isfinite(found["enhancement"][:, col])
        assert there.sum() == len(x)
        np.testing.assert_allclose(found["enhancement"][there, col], (x - mean) @ solved / (target @ solved), rtol=1e-4, atol=0.05)
        np.testing.assert_allclose(found["sensitivity"][there, col], np.abs(x @ (solved * absorption)) / (target @ solved), rtol=1e-4)


def test_a_plume_is_retrieved_and_its_uncertainty_holds() -> None:
    scene = gas_scene(rows=512, cols=8, seed=0)
    found, plume = mapped(source_of(scene), Mag1c(scene.table)), scene.truth > 0
    plain = mapped(source_of(scene), EmitGhg(scene.table))
    assert found["enhancement"][plume].mean() == pytest.approx(1000, rel=0.02)
    assert plain["enhancement"][plume].mean() < 900 and found["enhancement"][~plume].mean() < 20
    error = np.abs(found["enhancement"] - scene.truth)[plume]
    assert 0.6 < (error < found["uncertainty"][plume]).mean() < 0.76
    spectra, absorption = prepared(0, cols=8)[0], prepared(0, cols=8)[2]
    best = knowing(spectra, absorption, moments_of(without_gas())).T.numpy()
    released = plain_mag1c(spectra, absorption).T.numpy()
    floor, written = (np.sqrt(((values - scene.truth)[plume] ** 2).mean()) for values in (best, released))
    assert floor < np.sqrt((error**2).mean()) < min(1.06 * floor, 0.96 * written)


def test_over_ground_of_one_spectrum_the_error_is_at_most_that_measured_of_the_release() -> None:
    spectra, valid, absorption, truth = prepared(0, **GROUNDS["one spectrum"])
    plume = truth > 0
    released = plain_mag1c(spectra, absorption)
    assert (released - truth)[plume].square().mean().sqrt() == pytest.approx(64, rel=0.1)
    found = retrieve(spectra, valid, absorption, iterative=True).enhancement
    assert (found - truth)[plume].square().mean().sqrt() < 64
    assert found[plume].mean() == pytest.approx(1000, rel=0.02)


def test_gains_of_detectors_make_no_stripes() -> None:
    even, striped = (mapped(source_of(small(amount=0.0, stripes=gain)), Mag1c(small().table))["enhancement"].mean(0).std() for gain in (0.0, 0.02))
    assert striped < 1.2 * even + 0.5


def test_tiles_and_neighbours_do_not_matter() -> None:
    scene = small()
    whole = mapped(source_of(scene), Mag1c(scene.table))
    for tile in (7, 40):
        cut = mapped(source_of(scene), Mag1c(scene.table), tile=tile, threads=2)
        for name in LAYERS:
            np.testing.assert_allclose(cut[name], whole[name], rtol=1e-5, atol=1e-3)
    lone = mapped(source_of(replace(scene, radiance=scene.radiance[:, :, 2:3].copy())), Mag1c(scene.table))
    np.testing.assert_allclose(lone["enhancement"][:, 0], whole["enhancement"][:, 2], rtol=1e-5, atol=1e-3)


def test_units_do_not_matter() -> None:
    scene = small()
    ours, theirs = (mapped(source_of(replace(scene, radiance=scene.radiance * np.float32(factor))), Mag1c(scene.table)) for factor in (1, 0.1))
    np.testing.assert_allclose(theirs["enhancement"], ours["enhancement"], rtol=1e-3, atol=0.1)


def test_a_column_too_short_stays_empty() -> None:
    scene = small()
    scene.radiance[:, 30:, 1] = np.nan
    found = mapped(source_of(scene), Mag1c(scene.table))
    assert np.isnan(found["enhancement"][:, 1]).all() and np.isfinite(np.delete(found["enhancement"], 1, 1)).all()
    scene.radiance[:, 30:] = np.nan
    with pytest.raises(SceneError, match="no column has more valid pixels than the 40 bands"):
        mapped(source_of(scene), Mag1c(scene.table))


def test_what_is_refused() -> None:
    scene, table = small(), gas_table()
    placed = Grid(scene.radiance.shape[1:], (30.0, 0, 4e5, 0, -30.0, 5e6), "EPSG:32633")
    with pytest.raises(OptionError, match=r"line\.nc: it is surface_reflectance .* Give the product's radiance"):
        Mag1c(table).bind({"cube": source_of(scene, quantity="surface_reflectance").info})
    with pytest.raises(SceneError, match="on a map's grid, whose columns mix detectors"):
        Mag1c(table).bind({"cube": source_of(scene, placed).info})
    with pytest.raises(SceneError, match="columns of 30 pixels are too short"):
        Mag1c(table).bind({"cube": source_of(small(rows=30)).info})
    with pytest.raises(WavelengthError, match="0 good bands from 400 to 500 nm"):
        Mag1c(table, ((400.0, 500.0),)).bind({"cube": source_of(scene).info})
    with pytest.raises(WavelengthError, match="widths of its bands"):
        Mag1c(table).bind({"cube": source_of(replace(scene, fwhm=np.full(40, np.nan))).info})
    with pytest.raises(OptionError, match=r"it reaches from 2200 to 2509\.75 nm"):
        Mag1c(gas_table(low=2200.0)).bind({"cube": source_of(scene).info})
    flat = replace(table, radiance=np.ones_like(table.radiance))
    with pytest.raises(OptionError, match="takes nothing away"):
        Mag1c(flat).bind({"cube": source_of(scene).info})
    for wrong in ({"windows": ()}, {"windows": ((5.0, 4.0),)}, {"sun_zenith": 90.0}, {"view_zenith": -1.0}, {"water": -1.0}):
        with pytest.raises(OptionError):
            Mag1c(table, **wrong)


def by_angle() -> AbsorptionTable:
    """Twice the path at 60 degrees."""
    table, angles = gas_table(), np.array([0.0, 30.0, 60.0])
    values = np.stack([table.radiance[0] ** (1 / np.cos(np.radians(angle))) for angle in angles])
    return replace(table, radiance=values, axes={**table.axes, "sun_zenith": angles}, source="angles.nc")


def test_the_geometry_is_the_scenes_or_the_users() -> None:
    scene, table = small(), by_angle()
    amounts = {}
    for name, attrs, own in (("scene", {"sun_zenith": "60"}, None), ("user", {"sun_zenith": "0"}, 60.0), ("up", {"sun_zenith": "0"}, None)):
        amounts[name] = mapped(source_of(scene, **attrs), Mag1c(table, sun_zenith=own))["enhancement"]
    np.testing.assert_array_equal(amounts["scene"], amounts["user"])
    plume = scene.truth > 0
    assert amounts["up"][plume].mean() == pytest.approx(2 * amounts["scene"][plume].mean(), rel=0.1)
    with pytest.raises(OptionError, match=r"angles\.nc: it is a table by sun zenith, which the scene does not tell\. Give --sun-zenith"):
        Mag1c(table).bind({"cube": source_of(scene).info})
    with pytest.raises(OptionError, match="from 0 to 60 of sun zenith, and the scene has 70"):
        Mag1c(table).bind({"cube": source_of(scene, sun_zenith="70").info})


def test_interpolation_is_linear_and_the_slope_is_least_squares() -> None:
    table = by_angle()
    np.testing.assert_allclose(table.at({"sun_zenith": 15.0}), (table.radiance[0, 0, 0] + table.radiance[1, 0, 0]) / 2)
    centres, fwhm = np.array([2300.0, 2371.0]), np.array([6.0, 6.0])
    weights = np.exp(-0.5 * ((table.wavelength - centres[:, None]) / (6 / 2.3548)) ** 2)
    seen = np.log(table.radiance[0, 0, 0] @ (weights / weights.sum(1, keepdims=True)).T)
    expected = [np.polyfit(table.concentration, band, 1)[0] for band in seen.T]
    np.testing.assert_allclose(table.unit_absorption(centres, fwhm, {"sun_zenith": 0.0}), expected, rtol=5e-3)


def test_tables_of_files(tmp_path: Path) -> None:
    table = by_angle()
    with h5py.File(tmp_path / "table.nc", "w") as file:
        for name, axis in (("sun_zenith", table.axes["sun_zenith"]), ("concentration", table.concentration), ("wavelength", table.wavelength)):
            file[name] = axis
            file[name].make_scale(name)
        file["radiance"] = table.radiance[:, 0, 0].transpose(2, 0, 1)
        for place, name in enumerate(("wavelength", "sun_zenith", "concentration")):
            file["radiance"].dims[place].attach_scale(file[name])
    np.testing.assert_array_equal(read_absorption(tmp_path / "table.nc").radiance, table.radiance)
    rows = [",".join(("wavelength_nm", *(f"{k:g}" for k in table.concentration)))]
    rows += [",".join(f"{value!r}" for value in (float(nm), *map(float, line))) for nm, line in zip(table.wavelength, table.radiance[0, 0, 0].T, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    found = read_absorption(tmp_path / "table.csv")
    np.testing.assert_array_equal(found.radiance, table.radiance[:1])
    assert found.needs() == () and read_absorption(tmp_path / "table.nc").needs() == ("sun_zenith",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no table of numbers"),
        ("wavelength_nm,0,a\n1,2,3", "no table of numbers"),
        ("wavelength_nm,0,500\n2000,1,0.9\n2001,1", "no table of numbers"),
        ("wavelength_nm,0,500\n2000,1,0.9\n1999,1,0.9", "wavelength does not ascend"),
        ("wavelength_nm,500,0\n2000,1,0.9\n2001,1,0.9", "concentration does not ascend"),
        ("wavelength_nm,0,500\n2000,1,0.9\n2001,1,-0.9", "not above 0"),
        ("wavelength_nm,0\n2000,1\n2001,1", "fewer than two"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(OptionError, match=words):
        read_absorption(tmp_path / "table.csv")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no such file"):
        read_absorption(tmp_path / "none.csv")
    (tmp_path / "bad.nc").write_bytes(b"no hdf5")
    with pytest.raises(OptionError, match="cannot be read as NetCDF-4"):
        read_absorption(tmp_path / "bad.nc")
    with h5py.File(tmp_path / "other.nc", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(OptionError, match="it lacks radiance, wavelength or concentration; it holds x"):
        read_absorption(tmp_path / "other.nc")
    with h5py.File(tmp_path / "odd.nc", "w") as file:
        file["wavelength"], file["concentration"], file["radiance"] = [1.0, 2.0], [0.0, 1.0], [[1.0, 1.0, 1.0]]
    with pytest.raises(OptionError, match="does not fit its axes"):
        read_absorption(tmp_path / "odd.nc")


def test_simulated_ground_of_one_spectrum_differs_by_brightness_alone() -> None:
    made = gas_scene(rows=40, cols=2, bands=20, seed=1, amount=0.0, noise=0.0, covers=1, brightness=(0.3, 1.5))
    shape = made.radiance / made.radiance.mean(0)
    np.testing.assert_allclose(shape, np.broadcast_to(shape[:, :1, :1], shape.shape), rtol=1e-5)
    bright = made.radiance[0] / made.radiance[0].min()
    assert 4 < bright.max() <= 5
    with pytest.raises(ValueError, match="covers is 5"):
        gas_scene(rows=2, cols=1, covers=5)

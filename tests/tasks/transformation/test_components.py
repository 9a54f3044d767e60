"""PCA and MNF over whole scenes, held against NumPy, SciPy and scikit-learn."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from sklearn.decomposition import PCA

import hsikit
from hsikit.engine import compute
from hsikit.errors import OptionError, SceneError
from hsikit.scene import Bands
from hsikit.tasks.transformation.base import ComponentMethod
from hsikit.tasks.transformation.mnf import MinimumNoiseFraction
from hsikit.tasks.transformation.pca import Pca
from tests.engine.toys import Memory

METHODS: list[ComponentMethod] = [Pca(), Pca(standardise=True), *(MinimumNoiseFraction(noise=noise) for noise in ("horizontal", "vertical", "both"))]


def scene(rows: int = 47, cols: int = 39, bands: int = 9, seed: int = 3) -> Memory:
    """Smooth fields in three directions of the spectrum, noise of unequal bands, a hole."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :cols] / 10
    fields = np.stack([np.sin(x), np.cos(y + x / 2), np.sin(y * 1.3)])
    values = (
        np.einsum("bf,frc->brc", rng.normal(size=(bands, 3)), fields) + 5 + rng.normal(size=(bands, rows, cols)) * np.linspace(0.05, 0.4, bands)[:, None, None]
    )
    values[:, 10:15, 20:33] = np.nan
    return Memory(values.astype(np.float32), block=(1, cols), nodata=None)


def run(method: ComponentMethod, source: Memory, **how: Any) -> Any:
    return compute(method.bind({"cube": source.info}), {"cube": source}, **how)


def oracle(method: ComponentMethod, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components of all pixels (C, rows, cols) and strengths, from whole arrays."""
    cube = values.astype(float)
    spectra = cube[:, ~np.isnan(cube).any(0)].T
    mean = spectra.mean(0)
    if isinstance(method, Pca):
        scale = spectra.std(0, ddof=1) if method.standardise else np.ones(len(mean))
        fitted = PCA().fit((spectra - mean) / scale)
        vectors, strengths = fitted.components_.T, fitted.explained_variance_
        signed = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(mean))])
        return np.einsum("bk,brc->krc", signed / scale[:, None], cube - mean[:, None, None]), strengths
    assert isinstance(method, MinimumNoiseFraction)
    across, along = np.diff(cube, axis=2).reshape(len(mean), -1), np.diff(cube, axis=1).reshape(len(mean), -1)
    pairs = {"horizontal": across, "vertical": along, "both": np.concatenate([across, along], 1)}[method.noise]
    noise = np.cov(pairs[:, ~np.isnan(pairs).any(0)], ddof=0) / 2
    strengths, vectors = eigh(np.cov(spectra.T, ddof=0), noise + np.eye(len(mean)) * np.trace(noise) / len(mean) * 1e-6)
    vectors = vectors[:, ::-1]
    signed = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(mean))])
    return np.einsum("bk,brc->krc", signed, cube - mean[:, None, None]), strengths[::-1]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_equals_the_oracle(method: ComponentMethod) -> None:
    source = scene()
    components, strengths = oracle(method, source.values)
    found = run(method, source, tile=16)
    np.testing.assert_allclose(found.layers["components"], components, atol=2e-5 * np.nanmax(np.abs(components)))
    np.testing.assert_allclose(found.features["strengths"].columns[method.strength], strengths, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=str)
@settings(max_examples=6)
@given(tile=st.integers(5, 60), threads=st.sampled_from([1, 2]))
def test_tiles_of_any_size_give_the_same(method: ComponentMethod, tile: int, threads: int) -> None:
    whole, cut = (run(method, scene(), tile=side, threads=threads).layers["components"] for side in (100, tile))
    np.testing.assert_allclose(cut, whole, atol=1e-5 * np.nanmax(np.abs(whole)))


def test_noise_of_mnf_is_white_and_components_of_pca_are_uncorrelated() -> None:
    source = scene()
    mnf = run(MinimumNoiseFraction(), source).layers["components"]
    noise = np.diff(mnf, axis=2).reshape(len(mnf), -1)
    np.testing.assert_allclose(np.cov(noise[:, ~np.isnan(noise).any(0)]) / 2, np.eye(len(mnf)), atol=2e-3)
    pca = run(Pca(), source).layers["components"].reshape(9, -1)
    covariance = np.cov(pca[:, ~np.isnan(pca).any(0)].astype(float))
    np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=1e-5 * covariance.max())
    assert (np.diff(covariance.diagonal()) < 0).all()


def test_stripes_are_noise_across_but_not_along() -> None:
    source = scene()
    source.values += (10 * np.random.default_rng(0).normal(size=(1, 1, 39))).astype(np.float32)  # every column its own offset
    across, along = (
        run(MinimumNoiseFraction(noise=noise), source).features["strengths"].columns["total_over_noise_variance"] for noise in ("horizontal", "vertical")
    )
    assert along[0] > 20 * across[0]


def test_the_files_tables_and_names(tmp_path: Path) -> None:
    source = scene()
    bands = source.info.bands
    good = np.arange(9) != 4
    source.info = source.info.with_(bands=Bands(bands.wavelength, bands.fwhm, good, bands.names))
    report = hsikit.run(MinimumNoiseFraction(components=3), source, tmp_path / "mnf.tif")
    assert {path.name for path in report.files} >= {"mnf.tif", "mnf_strengths.csv", "mnf_loadings.csv"}
    rows = list(csv.DictReader((tmp_path / "mnf_loadings.csv").read_text().splitlines()))
    assert [row["band"] for row in rows] == [name for name, kept in zip(bands.names, good, strict=True) if kept]
    import rasterio

    with rasterio.open(tmp_path / "mnf.tif") as file:
        assert file.descriptions == ("MNF 1", "MNF 2", "MNF 3") and file.tags()["noise"] == "horizontal"
        values = file.read()
    vectors = np.array([[float(row[f"component_{k}"]) for k in (1, 2, 3)] for row in rows])
    mean = np.array([float(row["mean"]) for row in rows])
    again = np.einsum("bk,brc->krc", vectors, source.values[good] - mean[:, None, None])
    np.testing.assert_allclose(values, again, atol=1e-4)
    assert len((tmp_path / "mnf_strengths.csv").read_text().splitlines()) == 9


def test_what_makes_no_sense_is_refused() -> None:
    source = scene()
    for make in (lambda: Pca(components=0), lambda: MinimumNoiseFraction(noise="diagonal"), lambda: Pca(components=10).bind({"cube": source.info})):
        with pytest.raises(OptionError):
            make()
    assert Pca().bind({"cube": source.info}).layers[0].bands == 9
    bands = source.info.bands
    source.info = source.info.with_(bands=Bands(bands.wavelength, bands.fwhm, np.zeros(9, bool), bands.names))
    with pytest.raises(SceneError, match="good"):
        Pca().bind({"cube": source.info})


def test_scenes_too_small_to_learn_from() -> None:
    lone = scene(rows=3, cols=3)
    lone.values[:] = np.nan
    lone.values[:, 1, 1] = 1.0
    for method in METHODS:
        with pytest.raises(SceneError, match=r"too (little|few)"):
            run(method, lone)
    lone.values[:, 1, 1] = np.nan
    with pytest.raises(SceneError):
        run(Pca(), lone)


def test_a_constant_band_does_not_stand_in_the_way() -> None:
    source = scene()
    source.values[2][np.isfinite(source.values[2])] = 4.0
    for method in METHODS:
        layers = run(method, source).layers["components"]
        assert np.isfinite(layers[:, 0, 0]).all()

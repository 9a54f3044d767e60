from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import RunOptions, compute
from hsikit.errors import MethodError, OptionError
from hsikit.geo.grid import Window
from hsikit.tasks.classification.diffusion import advance
from hsikit.tasks.classification.edges import BLOCK, EDGES, MEDIAN, _block_edges, _count, _median, edge_bytes, spectral_edges
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


def plain_diffusion(start: np.ndarray, edges: np.ndarray, median: float, steps: int, keep: float) -> np.ndarray:
    """The formula, pixel by pixel."""
    rows, cols = start.shape[1:]
    now = start.copy()
    for _ in range(steps):
        after = now.copy()
        for r in range(rows):
            for c in range(cols):
                near = [(edges[0, r, c], r, c + 1), (edges[1, r, c], r + 1, c)]
                near += [(edges[0, r, c - 1], r, c - 1)] if c else []
                near += [(edges[1, r - 1, c], r - 1, c)] if r else []
                near = [(np.exp(-((d / median) ** 2)), i, j) for d, i, j in near if not np.isnan(d)]
                if near:
                    weighted = sum(w * now[:, i, j] for w, i, j in near) / sum(w for w, _, _ in near)
                    after[:, r, c] = keep * start[:, r, c] + (1 - keep) * weighted
        now = after
    return now


def test_diffusion_equals_the_formula() -> None:
    rng = np.random.default_rng(0)
    start, edges = rng.normal(size=(3, 9, 8)), rng.uniform(0.2, 2, (2, 9, 8))
    valid = rng.random((9, 8)) > 0.15
    start[:, ~valid] = np.nan
    edges[0, :, -1] = edges[1, -1] = np.nan
    edges[0, :, :-1][~(valid[:, 1:] & valid[:, :-1])] = np.nan
    edges[1, :-1][~(valid[1:] & valid[:-1])] = np.nan
    expected = plain_diffusion(start, edges, 0.7, 6, 0.1)
    data = torch.from_numpy(start)
    found = advance(data, data, torch.from_numpy(edges), torch.tensor(0.7, dtype=torch.float64), 6, 0.1)
    np.testing.assert_allclose(found[:, torch.from_numpy(valid)], expected[:, valid], atol=1e-12)
    assert found[:, torch.from_numpy(~valid)].isnan().all()


def test_across_edges_of_many_medians_the_nearest_neighbour_still_counts() -> None:
    edges = torch.full((2, 1, 3), torch.nan)
    edges[0, 0, :2] = torch.tensor([40.0, 41.0])
    data = torch.tensor([[[1.0, 0.0, -1.0]]])
    found = advance(data, data, edges, torch.tensor(1.0), 1, 0.5)
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.5, -0.5]]]))


def test_edges_are_differences_of_the_means() -> None:
    values, _ = fields(12, 13, 3, 7, holes=False)
    cube = values.astype(np.float64)
    padded = torch.from_numpy(np.pad(values, ((0, 0), (2, 2), (2, 2)), constant_values=np.nan))
    found = spectral_edges(padded, ~padded[0].isnan()).numpy()
    cube = (cube - cube.mean(0)) / cube.std(0)
    means = np.stack([[cube[:, max(0, r - 1) : r + 2, max(0, c - 1) : c + 2].mean((1, 2)) for c in range(13)] for r in range(12)])
    np.testing.assert_allclose(found[0, :, :-1], np.sqrt(((means[:, 1:] - means[:, :-1]) ** 2).mean(2)), atol=1e-5)
    np.testing.assert_allclose(found[1, :-1], np.sqrt(((means[1:] - means[:-1]) ** 2).mean(2)), atol=1e-5)
    assert np.isnan(found[0, :, -1]).all() and np.isnan(found[1, -1]).all()


def test_edges_made_in_blocks_are_those_of_the_whole() -> None:
    values = torch.from_numpy(np.random.default_rng(3).uniform(1, 9, (5, 2 * BLOCK + 11, BLOCK + 5)).astype(np.float32))
    valid = torch.from_numpy(np.random.default_rng(4).random(values.shape[1:]) > 0.1)
    torch.testing.assert_close(spectral_edges(values, valid), _block_edges(values, valid), rtol=0, atol=1e-6, equal_nan=True)


AREA = Window(5, 13, 21, 28)


def test_an_area_is_smoothed_as_the_file_that_holds_it_alone() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(np.repeat(np.arange(6) % 3, 9), (33, 1))  # stripes, so that means and edges are those of the crop
    values = np.cumsum(rng.normal(size=(3, 8)), 1)[truth].transpose(2, 0, 1).astype(np.float32)
    scene = source(values)
    crop = source(values[(slice(None), *AREA.slices())], grid=scene.info.grid.crop(AREA))
    model = Svm.train([labelled(scene, (truth + 1).astype(np.uint8))], run=run_with()).with_options(extras=("probabilities", "log_probabilities"))
    found = []
    for mapped, area in ((scene, AREA), (crop, None)):
        job = smooth(model.bind({"cube": mapped.info}), 12)
        found.append(compute(job, {"cube": mapped}, layers=("map", "probabilities", EDGES), options=RunOptions(tile=10, threads=1, area=area)))
    of_area, of_crop = found
    torch.testing.assert_close(of_area.store[MEDIAN]["median"], of_crop.store[MEDIAN]["median"])
    np.testing.assert_allclose(of_area.layers[EDGES], of_crop.layers[EDGES], atol=1e-6)
    np.testing.assert_allclose(of_area.layers["probabilities"], of_crop.layers["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(of_area.layers["map"], of_crop.layers["map"])


def test_smoothing_is_not_planned_as_if_edges_had_its_halo() -> None:
    values, truth = fields(20, 20, 2, 60)
    scene = source(values)
    model = Svm.train([labelled(scene, truth)], run=run_with()).with_options(extras=("log_probabilities",))
    job = model.bind({"cube": scene.info})
    small, large = (smooth(job).cost((side, side)).bytes for side in (128, 1024))
    assert small >= edge_bytes(60)
    assert large < 1024**2 * 4 * 60  # less than one copy of the tile's spectra


@pytest.mark.parametrize("tile", [None, 11])
def test_median_of_the_scene(tile: int | None) -> None:
    values, truth = fields(50, 47, 3, 7)
    scene = source(values)
    model = MnfLda.train([labelled(scene, truth)], run=run_with(), components=4, width=3).with_options(extras=("log_probabilities",))
    job = smooth(model.bind({"cube": scene.info}), 3)
    result = compute(job, {"cube": scene}, layers=(EDGES,), threads=1, tile=tile)
    assert float(result.store[MEDIAN]["median"]) == pytest.approx(float(np.nanmedian(result.layers[EDGES])), rel=1e-3)


@given(st.lists(st.floats(1e-6, 2), min_size=1, max_size=40))
def test_median_from_the_histogram(numbers: list[float]) -> None:
    class Edges:
        def inner(self, name: str) -> torch.Tensor:
            return torch.tensor([numbers], dtype=torch.float32)[:, None]

    found = float(_median(_count(Edges(), {}), {})["median"])  # type: ignore[arg-type]
    ordered = sorted(numbers)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    assert low * 0.997 <= found <= high * 1.003


def test_no_edges_at_all() -> None:
    assert float(_median({"count": torch.zeros(5, dtype=torch.int64)}, {})["median"]) == 1


@settings(max_examples=6)
@given(st.integers(5, 40))
def test_tiles_of_any_size_give_what_the_whole_gives(tile: int) -> None:
    values, truth = fields(33, 41, 3, 8, noise=1.5)
    scene = source(values)
    model = MnfLda.train([labelled(scene, truth)], run=run_with(), components=5, width=3)
    job = smooth(model.with_options(extras=("probabilities", "log_probabilities")).bind({"cube": scene.info}), 9)
    whole, tiled = (layers_of(job, scene, size, "map", "probabilities") for size in (None, tile))
    np.testing.assert_allclose(tiled["probabilities"], whole["probabilities"], atol=1e-5)
    ordered = np.sort(whole["probabilities"], 0)
    differs = whole["map"][0] != tiled["map"][0]
    assert (ordered[-1] - ordered[-2])[differs].max(initial=0) < 1e-5


def test_smoothing_helps_where_noise_is_strong() -> None:
    values, truth = fields(60, 60, 3, 8, noise=6.0)
    scene = source(values)
    model = MnfLda.train([labelled(scene, truth)], run=run_with(), components=5, width=1).with_options(extras=("log_probabilities",))
    job = model.bind({"cube": scene.info})
    valid = ~np.isnan(values).all(0)
    plain, smoothed = (layers_of(j, scene, None, "map")["map"][0] for j in (job, smooth(job)))
    assert (smoothed == truth)[valid].mean() > (plain == truth)[valid].mean()
    assert (smoothed[~valid] == 0).all()


def test_says_what_it_cannot_do() -> None:
    values, truth = fields(20, 20, 2, 6)
    scene = source(values)
    model = MnfLda.train([labelled(scene, truth)], run=run_with(), components=3, width=1)
    job = model.bind({"cube": scene.info})
    with pytest.raises(MethodError, match="log_probabilities"):
        smooth(job)
    job = model.with_options(extras=("log_probabilities",)).bind({"cube": scene.info})
    for steps, keep in ((0, 0.05), (10**6, 0.05), (5, 0.0), (5, 1.5)):
        with pytest.raises(OptionError):
            smooth(job, steps, keep)
    with pytest.raises(MethodError):
        smooth(replace(job, stages=()))

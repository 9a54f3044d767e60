"""What a mask hid, and what was missing: told apart beside every output that is no class map, in each format, on each grid."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from matplotlib.image import imread

from hsikit.api import draw_quicklook
from hsikit.engine import RunOptions, compute, run_job
from hsikit.engine.state import STATE
from hsikit.errors import OptionError, OutputError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Window
from hsikit.layers import MASKED, RESERVED, Layer, Legend, class_layer
from hsikit.method import Map, Reduce
from hsikit.viz.maps import MISSING

from .test_run import Dying
from .toys import BANDS, COLS, ROWS, SHAPES, Memory, diffusion, finer, job, mean_filter, odd_scene, standardise

HIDDEN = np.zeros((ROWS, COLS), bool)
HIDDEN[5:60, 8:45] = True
"""Over a part of the hole, a part of the missing row, and much else."""
STATES = np.where((odd_scene() == -9999).any(axis=0), 0, np.where(HIDDEN, 255, 1)).astype(np.uint8)


class Cloud:
    """The mask."""

    identity = ("cloud",)

    def read(self, window):
        return HIDDEN[window.slices()]


def run(make, path, progress=None, **options):
    source = Memory(odd_scene())
    report = run_job(make(), {"cube": source}, path, options=RunOptions(**{"tile": 17, "threads": 2, "mask": Cloud(), **options}), progress=progress)
    return report, source


def codes_of(path: Path) -> np.ndarray:
    if path.suffix == ".zarr":
        import zarr

        return np.asarray(zarr.open_group(path, mode="r")["masked"][:])
    with rasterio.open(path.with_suffix(".img") if path.suffix == ".hdr" else path) as found:
        assert found.count == 1 and found.nodata == 0
        return found.read(1)


def finer_states(zoom: Fraction, area: Window | None = None) -> np.ndarray:
    """The states of finer pixels, each by the pixel that holds its centre."""
    area = area or Window.whole((ROWS, COLS))
    rows, cols = (
        [ceil((i + Fraction(1, 2)) / zoom) - 1 for i in range(int(first * zoom + Fraction(1, 2)), int(end * zoom + Fraction(1, 2)))]
        for first, end in ((area.row, area.row_end), (area.col, area.col_end))
    )
    return STATES[np.ix_(rows, cols)]


def test_the_scene_of_these_tests_has_all_there_is():
    assert {(bool(hidden), int(code)) for hidden, code in zip(HIDDEN.flat, STATES.flat, strict=True)} == {(False, 0), (False, 1), (True, 0), (True, 255)}


@pytest.mark.parametrize("suffix", [".tif", ".zarr", ".hdr", ".nc"])
def test_every_format_tells_masked_from_missing(suffix, tmp_path):
    report, _ = run(mean_filter, tmp_path / f"mean{suffix}")
    other = tmp_path / f"mean_masked{suffix}"
    assert report.files[0] == tmp_path / f"mean{suffix}" and other in report.files
    np.testing.assert_array_equal(codes_of(other), STATES)
    assert (tmp_path / "mean_masked.qml").exists()
    assert draw_quicklook(other, tmp_path / "mean.png") == "classes of the map"
    seen = set(map(tuple, np.rint(255 * imread(tmp_path / "mean.png")[..., :3]).astype(int).reshape(-1, 3).tolist()))
    assert {STATE.legend.classes[0].colour, MISSING, RESERVED[MASKED][1]} <= seen


def test_a_geotiff_names_and_colours_its_codes(tmp_path):
    run(mean_filter, tmp_path / "mean.tif")
    with rasterio.open(tmp_path / "mean_masked.tif") as found:
        assert found.dtypes == ("uint8",) and found.tags()["hsikit_layer"] == "masked"
        assert Legend.from_json(json.loads(found.tags()["classes"])).names == ("measured",)
        table = found.colormap(1)
    assert len({table[code] for code in (0, 1, 255)}) == 3 and table[0][3] == 0 and table[1][3] == table[255][3] == 255
    beside = (tmp_path / "mean_masked.tif.aux.xml").read_text()
    assert all(f"<Category>{name}</Category>" in beside for name in ("no data", "measured", "masked"))


def test_other_formats_name_their_codes(tmp_path):
    for suffix in (".hdr", ".nc"):
        run(mean_filter, tmp_path / f"mean{suffix}", overwrite=True)  # of the QGIS style, which both have
    header = (tmp_path / "mean_masked.hdr").read_text()
    assert "file type = ENVI Classification" in header and "class names = {no data, measured, unused 2" in header and "masked}" in header
    with rasterio.open(tmp_path / "mean_masked.nc") as found:
        assert "measured" in found.tags(1)["flag_meanings"] and "masked" in found.tags(1)["flag_meanings"]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("tile", [13, 100])
def test_the_states_are_those_of_the_scene_whatever_the_job_and_its_tiles(name, tile, tmp_path):
    run(SHAPES[name], tmp_path / "out.tif", tile=tile)
    zoom = Fraction(name.split()[1]) if name.startswith("zoom") else Fraction(1)
    np.testing.assert_array_equal(codes_of(tmp_path / "out_masked.tif"), STATES if zoom == 1 else finer_states(zoom))


@pytest.mark.parametrize("zoom", [1, 2, Fraction(5, 2)])
def test_a_part_of_a_scene_has_the_states_and_the_hectares_of_that_part(zoom, tmp_path):
    area = Window(11, 7, 50, 30)
    report, _ = run(lambda: finer(zoom), tmp_path / "fine.tif", area=area)
    codes = codes_of(tmp_path / "fine_masked.tif")
    np.testing.assert_array_equal(codes, finer_states(Fraction(zoom), area))
    grid = Memory(odd_scene()).info.grid.crop(area).finer(Fraction(zoom))
    with rasterio.open(tmp_path / "fine_masked.tif") as found, rasterio.open(tmp_path / "fine.tif") as main:
        assert found.shape == main.shape == grid.shape and found.transform == main.transform and found.crs == main.crs
    expected = class_areas([(grid.whole, codes)], grid)
    assert {code: pixels for code, (pixels, _) in report.areas["masked"].items()} == {code: pixels for code, (pixels, _) in expected.items()}
    assert report.areas["masked"][1][1] == pytest.approx(expected[1][1], rel=1e-9)


def test_the_item_says_what_the_layer_is_for(tmp_path):
    run(mean_filter, tmp_path / "mean.tif")
    item = json.loads((tmp_path / "mean.json").read_text())
    asset = item["assets"]["masked"]
    assert asset["href"] == "./mean_masked.tif" and asset["roles"] == ["data-mask"] and item["assets"]["mean"]["roles"] == ["data"]
    assert {row["value"]: row["title"] for row in asset["classification:classes"]}.items() >= {0: "no data", 1: "measured", 255: "masked"}.items()
    assert item["properties"]["hsikit:parameters"]["areas"]["masked"]["measured"]["pixels"] == (STATES == 1).sum()


def test_without_a_mask_nothing_is_added_and_with_one_the_output_is_not_read_twice(tmp_path):
    report, source = run(mean_filter, tmp_path / "plain.tif", mask=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.json", "plain.tif"] == sorted(path.name for path in report.files)
    _, masked = run(mean_filter, tmp_path / "hidden.tif")
    assert masked.reads == source.reads


def classes(second, first="map"):
    """A class map and a float layer, one of them the main one."""

    def apply(tile, store):
        values = tile.inner("cube")[:1]
        return {"map": torch.ones_like(values, dtype=torch.uint8), "level": values}

    layers = {"map": class_layer(Legend.of({1: "ground"})), "level": Layer("level")}
    return job([Map("both", ("cube",), ("map", "level"), apply)], [layers[first], layers[second]])


def test_a_class_map_needs_no_other_layer(tmp_path):
    report, _ = run(lambda: classes("level"), tmp_path / "map.tif")
    assert sorted(path.name for path in report.files) == ["map.json", "map.qml", "map.tif", "map.tif.aux.xml", "map_level.tif"]
    np.testing.assert_array_equal(codes_of(tmp_path / "map.tif"), STATES)
    run(lambda: classes("map", "level"), tmp_path / "level.tif")
    np.testing.assert_array_equal(codes_of(tmp_path / "level_masked.tif"), STATES)


@pytest.mark.parametrize("there", ["mean_masked.tif", "mean_masked.qml", "mean_masked.tif.aux.xml"])
def test_what_lies_there_already_is_not_overwritten(there, tmp_path):
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputError, match=rf"{there}: exists already"):
        run(mean_filter, tmp_path / "mean.tif")
    assert [path.name for path in tmp_path.iterdir()] == [there] and (tmp_path / there).read_text() == "mine"
    run(mean_filter, tmp_path / "mean.tif", overwrite=True)
    np.testing.assert_array_equal(codes_of(tmp_path / "mean_masked.tif"), STATES)


def test_the_layer_can_be_named_and_only_with_a_mask(tmp_path):
    for mask in (Cloud(), None):
        options = RunOptions(tile=30, mask=mask)
        call = lambda chosen=options: run_job(  # noqa: E731
            mean_filter(), {"cube": Memory(odd_scene())}, tmp_path / f"{chosen.mask is None}.tif", named={"masked": tmp_path / "why.tif"}, options=chosen
        )
        if mask is None:
            with pytest.raises(OptionError, match="masked: toy has no such layer"):
                call()
        else:
            call()
    np.testing.assert_array_equal(codes_of(tmp_path / "why.tif"), STATES)
    assert not (tmp_path / "False_masked.tif").exists()


@pytest.mark.parametrize("make", [mean_filter, standardise, diffusion])
def test_an_interrupted_run_resumes_to_the_same_states(make, tmp_path, monkeypatch):
    monkeypatch.setattr("hsikit.engine.ledger.SYNC_SECONDS", 0.0)
    monkeypatch.setattr("hsikit.engine.stages.KEEP_SECONDS", 0.0)
    resumed = []
    for after in (3, 9, 20, 10**9):
        progress = Dying(after)
        try:
            run(make, tmp_path / "out.tif", progress, tile=12)
        except KeyboardInterrupt:
            assert not list(tmp_path.glob("out*"))
        resumed.append(progress.started[1])
    assert resumed[-1] > resumed[1] >= 2
    np.testing.assert_array_equal(codes_of(tmp_path / "out_masked.tif"), STATES)
    assert not (tmp_path / ".out.tif.hsikit").exists()


def test_a_job_whose_layers_read_no_scene_is_run_as_it_is(tmp_path):
    """Nothing has looked at the pixels where only a statistic did."""

    def count(tile, store):
        return {"n": tile.inner_valid("cube").sum()}

    def apply(tile, store):
        return {"flat": torch.full((1, *tile.core.shape), float(store["count"]["n"]))}

    report, _ = run(lambda: job([Reduce("count", ("cube",), count), Map("flat", (), ("flat",), apply)], [Layer("flat")]), tmp_path / "flat.tif")
    assert sorted(path.name for path in report.files) == ["flat.json", "flat.tif"] and int(report.store["count"]["n"]) == (STATES == 1).sum()


@pytest.mark.parametrize("mask", [None, Cloud()])
def test_no_layer_of_a_method_has_the_name_of_the_engines(mask):
    with pytest.raises(ValueError, match="layer or role stands twice: masked"):
        compute(job([Map("copy", ("cube",), ("masked",), lambda tile, store: {})], [Layer("masked", bands=BANDS)]), {"cube": Memory(odd_scene())},
                options=RunOptions(mask=mask))  # fmt: skip

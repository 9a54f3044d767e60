"""`hsikit classify`: what is written, in every format and with every option."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from tests.laws.scenes import CRS, NODATA, SCALE, TRANSFORM, write_codes
from tests.products.geotiff import write_geotiff

from .conftest import SIDE, Field, Hsikit, codes_of, shifted, square


@pytest.fixture(scope="module")
def plain(place: Field, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The map without any option."""
    import hsikit

    target = tmp_path_factory.mktemp("plain") / "map.tif"
    hsikit.run(place.model, place.scene, target)
    return codes_of(target)


def test_a_map_with_its_bundle(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    target = tmp_path / "map.tif"
    done = hsikit("classify", place.scene, "--model", place.model, "-o", target)
    assert done.code == 0 and f"wrote {target}" in done.out and "plan: " in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.json", "map.qml", "map.tif", "map.tif.aux.xml"]
    with rasterio.open(target) as made, rasterio.open(place.scene) as scene:
        codes = made.read(1)
        assert (made.crs, made.transform, made.shape) == (scene.crs, scene.transform, scene.shape)
        assert made.nodata == 0 and made.dtypes == ("uint8",) and len({made.colormap(1)[code] for code in (1, 2, 3)}) == 3
    np.testing.assert_array_equal(codes, plain)
    np.testing.assert_array_equal(codes == 0, place.made.truth == 0)
    assert (codes == place.made.truth)[codes > 0].mean() > 0.7
    for code, name in ((1, "class 1"), (2, "class 2"), (3, "class 3")):
        line = next(line for line in done.out.splitlines() if line.startswith(name))
        assert f" {int((codes == code).sum())} pixels" in line and line.endswith(" ha")
    item = json.loads((tmp_path / "map.json").read_text())
    assert item["type"] == "Feature" and "map.tif" in json.dumps(item["assets"])


def test_quiet_says_nothing(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--quiet")
    assert (done.code, done.text) == (0, "")


def test_confidence_and_probabilities(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--confidence", "--probabilities").code == 0
    np.testing.assert_array_equal(codes_of(tmp_path / "map.tif"), plain)
    with rasterio.open(tmp_path / "map_confidence.tif") as one, rasterio.open(tmp_path / "map_probabilities.tif") as all_:
        confidence, probabilities = one.read(1), all_.read()
        assert one.dtypes == ("float32",) and np.isnan(one.nodata) and all_.count == 3
    there = plain > 0
    assert np.isnan(confidence[~there]).all() and np.isfinite(confidence[there]).all()
    np.testing.assert_allclose(probabilities[:, there].sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities[:, there].max(0), confidence[there], atol=1e-6)
    np.testing.assert_array_equal(probabilities[:, there].argmax(0) + 1, plain[there])


def test_unknown_below(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    options = ("--confidence", "--unknown-below", "0.6")
    done = hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", *options)
    codes = codes_of(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map_confidence.tif") as found:
        low = found.read(1) < 0.6
    assert 0 < low.sum() < low.size / 2
    np.testing.assert_array_equal(codes, np.where(low & (plain > 0), 254, plain))
    said = sum(int(line.split(" pixels")[0].split()[-1]) for line in done.out.splitlines() if " pixels" in line)
    assert said == int(((codes > 0) & (codes < 254)).sum())  # the unknown have no area
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "no.tif", "--unknown-below", "1.5").code == 2


def test_mask_of_polygons_is_255(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    geopandas.GeoDataFrame({"cloud": [1]}, geometry=[square(36, 24)], crs=CRS).to_crs(4326).to_file(tmp_path / "clouds.gpkg")
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--mask", tmp_path / "clouds.gpkg").code == 0
    check_masked(codes_of(tmp_path / "map.tif"), plain)


def test_mask_raster_is_255(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    clouds = np.zeros(plain.shape, np.uint8)
    clouds[36 : 36 + SIDE, 24 : 24 + SIDE] = 7
    mask = write_codes(tmp_path / "clouds.tif", clouds)
    done = hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--mask", mask, "--confidence")
    assert done.code == 0
    check_masked(codes_of(tmp_path / "map.tif"), plain)
    with rasterio.open(tmp_path / "map_confidence.tif") as found:
        assert np.isnan(found.read(1)[36 : 36 + SIDE, 24 : 24 + SIDE]).all()


def check_masked(codes: np.ndarray, plain: np.ndarray) -> None:
    hidden = np.zeros(plain.shape, bool)
    hidden[36 : 36 + SIDE, 24 : 24 + SIDE] = True
    assert (codes[hidden & (plain > 0)] == 255).all()
    np.testing.assert_array_equal(codes[~hidden], plain[~hidden])


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_bbox(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path, crs: str | None) -> None:
    step, _, left, _, _, top = TRANSFORM
    box = (left + 10.5 * step, top - 50.5 * step, left + 30.5 * step, top - 20.5 * step)
    told = box if crs is None else Transformer.from_crs(CRS, crs, always_xy=True).transform_bounds(*box)
    more = () if crs is None else ("--bbox-crs", crs)
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", "--bbox", *told, *more).code == 0
    with rasterio.open(tmp_path / "map.tif") as made:
        row, col = round((top - made.bounds.top) / step), round((made.bounds.left - left) / step)
        codes = made.read(1)
    # Every pixel that the box touches; a box that is turned by its CRS touches a few more.
    assert 9 <= row <= 20 and 8 <= col <= 10 and 31 <= codes.shape[0] <= 34 and 21 <= codes.shape[1] <= 24
    np.testing.assert_array_equal(codes, plain[row : row + codes.shape[0], col : col + codes.shape[1]])


@pytest.mark.parametrize(("options", "words"), [
    (("--bbox", 1, 2, 3, 4), "lies outside"),
    (("--bbox", 3, 4, 1, 2), "--bbox: 3 4 1 2 is no box"),
    (("--bbox", 10, 50, 11, 51, "--bbox-crs", "EPSG:nonsense"), "--bbox-crs"),
    (("--mask", "no-mask.gpkg"), "no-mask.gpkg"),
    (("--memory", "lots"), "'lots' is not an amount"),
    (("--memory", "1M"), "--memory: 1 MiB is too little"),
    (("--tile", 0), "--tile: 0 is below 1"),
    (("--threads", 0), "--threads: 0 is below 1"),
    (("--device", "abacus"), "abacus"),
    (("--precision", "float8"), "float8"),
    (("--sieve", 1), "sieve"),
    (("--refit-statistics",), "--refit-statistics"),
])  # fmt: skip
def test_options_that_make_no_sense(hsikit: Hsikit, place: Field, tmp_path: Path, options: tuple[object, ...], words: str) -> None:
    done = hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif", *options)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and words in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_sieve_and_smooth(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    from scipy.ndimage import label

    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "sieved.tif", "--sieve", 8).code == 0
    assert hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "smooth.tif", "--smooth").code == 0

    def small(codes: np.ndarray) -> int:
        return sum(int((np.bincount(label(codes == code)[0].ravel())[1:] < 8).sum()) for code in (1, 2, 3))

    def right(codes: np.ndarray) -> float:
        return float((codes == place.made.truth)[place.made.truth > 0].mean())

    sieved, smoothed = codes_of(tmp_path / "sieved.tif"), codes_of(tmp_path / "smooth.tif")
    assert small(sieved) < small(plain) / 4 and small(smoothed) < small(plain) / 4
    assert right(sieved) > right(plain) and right(smoothed) > right(plain)
    np.testing.assert_array_equal(sieved == 0, plain == 0)
    np.testing.assert_array_equal(smoothed == 0, plain == 0)


@pytest.mark.parametrize("suffix", [".zarr", ".hdr"])
def test_other_formats_hold_the_same(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"map{suffix}"
    done = hsikit("classify", place.scene, "--model", place.model, "-o", target, "--confidence")
    assert done.code == 0 and (tmp_path / f"map_confidence{suffix}").exists()
    if suffix == ".hdr":
        assert "ENVI Classification" in target.read_text()
        with rasterio.open(tmp_path / "map.img") as made:
            codes = made.read(1)
            assert made.crs.to_epsg() == 32633
    else:
        import zarr

        codes = np.asarray(zarr.open_group(target, mode="r")["map"]).squeeze()
    np.testing.assert_array_equal(codes, plain)


def test_unknown_format_is_refused(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    done = hsikit("classify", place.scene, "--model", place.model, "-o", tmp_path / "map.doc")
    assert done.code == 2 and "map.doc" in done.err and ".tif" in done.err and list(tmp_path.iterdir()) == []


def test_several_tiles_are_one_scene(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    halves = []
    for number, cols in enumerate((slice(0, 28), slice(28, 60))):
        values = np.ascontiguousarray(place.made.values[:, :, cols])
        halves.append(write_geotiff(tmp_path / f"tile{number}.tif", values, place.made.nm, scale=SCALE, nodata=NODATA, transform=shifted(cols.start)))
    assert hsikit("classify", *halves, "--model", place.model, "-o", tmp_path / "map.tif", "--tile", 20).code == 0
    np.testing.assert_array_equal(codes_of(tmp_path / "map.tif"), plain)


def test_tile_memory_and_threads_change_nothing(hsikit: Hsikit, place: Field, plain: np.ndarray, tmp_path: Path) -> None:
    for number, options in enumerate((("--tile", 17), ("--memory", "2G", "--threads", 1), ("--tile", 33, "--threads", 2, "--seed", 5))):
        target = tmp_path / f"{number}.tif"
        assert hsikit("classify", place.scene, "--model", place.model, "-o", target, *options).code == 0
        np.testing.assert_array_equal(codes_of(target), plain)


def test_an_output_in_place_needs_overwrite(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    target = tmp_path / "map.tif"
    target.write_bytes(b"older")
    done = hsikit("classify", place.scene, "--model", place.model, "-o", target)
    assert done.code == 2 and str(target) in done.err and "--overwrite" in done.err and target.read_bytes() == b"older"
    assert hsikit("classify", place.scene, "--model", place.model, "-o", target, "--overwrite").code == 0
    assert codes_of(target).any()


def test_a_table_of_the_configuration(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    config = tmp_path / "options.toml"
    config.write_text('[classify]\nconfidence = true\nunknown-below = 0.6\ntile = 20\nmemory = "2G"\n')
    assert hsikit("--config", config, "classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif").code == 0
    assert (tmp_path / "map_confidence.tif").exists() and (codes_of(tmp_path / "map.tif") == 254).any()
    # The command line wins.
    assert hsikit("--config", config, "classify", place.scene, "--model", place.model, "-o", tmp_path / "all.tif", "--unknown-below", 0).code == 0
    assert not (codes_of(tmp_path / "all.tif") == 254).any()


@pytest.mark.parametrize(("text", "words"), [
    ("[classyfy]\ntile = 3\n", "'classyfy' is no verb"),
    ("tile = 20\n", "'tile' is no verb"),
    ("classify = 3\n", "'classify' is no table"),
    ("[classify\n", "it is not TOML"),
    ("[classify]\ntyle = 20\n", "'classify' has no option 'tyle'"),
    ("[classify]\ntile = 'many'\n", "--tile"),
])  # fmt: skip
def test_wrong_configurations(hsikit: Hsikit, place: Field, tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "options.toml"
    config.write_text(text)
    done = hsikit("--config", config, "classify", place.scene, "--model", place.model, "-o", tmp_path / "map.tif")
    assert done.code == 2 and words in done.err and not (tmp_path / "map.tif").exists()
    assert "internal error" not in done.err


def test_a_configuration_of_nested_verbs_and_flags(hsikit: Hsikit, place: Field, tmp_path: Path) -> None:
    config = tmp_path / "options.toml"
    config.write_text(f"[simulate.scene]\nrows = 50\ncols = 60\noutput = '{tmp_path}/sim.tif'\n[info]\njson = true\n")
    assert hsikit("--config", config, "simulate", "scene").code == 0
    assert json.loads(hsikit("--config", config, "info", tmp_path / "sim.tif").out)["size"] == {"rows": 50, "cols": 60}


def test_a_missing_configuration(hsikit: Hsikit, tmp_path: Path) -> None:
    done = hsikit("--config", tmp_path / "none.toml", "methods")
    assert done.code == 2 and "none.toml" in done.err

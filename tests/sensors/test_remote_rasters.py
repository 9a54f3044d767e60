"""Rasters on S3 through GDAL: right pixels, few bytes, and credentials that are renewed while a file is open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsikit.errors import SceneError
from hsikit.geo import remote_files
from hsikit.geo.grid import Window
from hsikit.geo.remote import place_of
from hsikit.sensors.rasters import RasterReads, raster_facts
from hsikit.sensors.remote_rasters import gdal_name
from tests.geo.test_remote import expiring_keys
from tests.remote_servers import Traffic, bucket, http_server, put  # noqa: F401 - a fixture

IMAGE = np.random.default_rng(4).integers(0, 9999, (6, 500, 520), dtype=np.uint16)
WINDOW = Window(130, 260, 90, 110)
FORMS = {
    "band": {"interleave": "band", "compress": "deflate", "tiled": True, "blockxsize": 128, "blockysize": 128},
    "pixel": {"interleave": "pixel", "compress": "deflate", "tiled": True, "blockxsize": 128, "blockysize": 128},
    "strips": {"interleave": "band", "blockysize": 16},
}


def write(folder: Path, form: str) -> Path:
    file = folder / f"{form}.tif"
    shape = {"count": IMAGE.shape[0], "height": IMAGE.shape[1], "width": IMAGE.shape[2]}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 400000, 0, -30, 5800000)}
    with rasterio.open(file, "w", driver="GTiff", dtype="uint16", **shape, **place, **FORMS[form]) as out:
        out.write(IMAGE)
    return file


def tile_bytes(file: Path, window: Window) -> int:
    with rasterio.open(file) as data:
        rows, cols = data.block_shapes[0]
        bands = range(1, data.count + 1) if data.profile["interleave"] == "band" else [1]
        tiles = [(x, y) for y in range(window.row // rows, -(-window.row_end // rows)) for x in range(window.col // cols, -(-window.col_end // cols))]
        return sum(int(data.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=band)) for band in bands for x, y in tiles)


@pytest.mark.parametrize("form", FORMS)
def test_a_window_has_the_right_pixels_for_few_bytes(bucket: Traffic, tmp_path: Path, form: str) -> None:  # noqa: F811
    file = write(tmp_path, form)
    address = put(file, f"in/{file.name}")
    assert raster_facts(address) == raster_facts(str(file))
    bucket.clear()
    reads = RasterReads(address)
    np.testing.assert_array_equal(reads.read(address, range(1, 7), WINDOW), IMAGE[(slice(None), *WINDOW.slices())])
    reads.close()
    need = tile_bytes(file, WINDOW)
    assert need <= bucket.bytes_read <= 1.3 * need


def test_an_exchanged_object_is_not_read_from_memory(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    file = write(tmp_path, "band")
    address = put(file, "in/a.tif")
    reads = RasterReads(address)
    reads.read(address, [1], WINDOW)
    reads.close()
    with rasterio.open(file, "r+") as out:
        out.write(IMAGE + 1)
    put(file, "in/a.tif")
    np.testing.assert_array_equal(reads.read(address, [1], WINDOW)[0], IMAGE[0][WINDOW.slices()] + 1)


def test_gdal_is_given_renewed_credentials(bucket: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    file = write(tmp_path, "band")
    address = put(file, "in/a.tif")
    expiring_keys(tmp_path, monkeypatch)
    remote_files._s3.cache_clear()
    bucket.clear()
    reads = RasterReads(address)
    reads.read(address, [1], WINDOW)
    first = list(bucket.keys)
    assert first and all(key.startswith("key") for key in first)
    bucket.refuse = lambda method, path, key: 403 if key in first else None
    other = Window(0, 0, 100, 100)
    np.testing.assert_array_equal(reads.read(address, [2], other)[0], IMAGE[1][other.slices()])
    assert set(bucket.keys) - set(first)


def test_a_server_that_fails_is_named_and_no_secret_is(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    address = put(write(tmp_path, "band"), "in/a.tif")
    reads = RasterReads(address)
    bucket.refuse = lambda method, path, key: 403
    with pytest.raises(SceneError, match=rf"{address}: access is denied") as caught:
        reads.read(address, [1], WINDOW)
    assert "secret-of-quiet" not in str(caught.value) and caught.value.__cause__ is None
    bucket.refuse = lambda method, path, key: None
    with pytest.raises(SceneError, match="cannot be read as a raster"):
        text = tmp_path / "text.tif"
        text.write_text("no raster at all")
        raster_facts(put(text, "in/text.tif"))


def test_names_for_gdal(tmp_path: Path) -> None:
    assert gdal_name(place_of("s3://b/c/d.tif")) == "/vsis3/b/c/d.tif"
    assert gdal_name(tmp_path / "a.tif") == str(tmp_path / "a.tif")
    with http_server(tmp_path) as (address, _):
        write(tmp_path, "strips")
        assert raster_facts(f"{address}/strips.tif").count == 6

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from hsikit.errors import LabelError, OptionError
from hsikit.train import label_rasters
from hsikit.train.labels import read_labels

TRANSFORM = rasterio.Affine(30.0, 0.0, 500000.0, 0.0, -30.0, 5600000.0)


@pytest.fixture
def raster(tmp_path):
    def write(values, name="labels.tif", transform=TRANSFORM, crs="EPSG:32633", **more):
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype, transform=transform, crs=crs, **more
        ) as file:
            file.write(values, 1)
        return path

    return write


@pytest.fixture
def codes():
    rng = np.random.default_rng(3)
    return np.where(rng.random((20, 30)) < 0.3, rng.integers(1, 6, (20, 30)), 0).astype(np.uint8)


def as_map(labelled):
    out = np.zeros(labelled.source.info.grid.shape, np.uint8)
    out[labelled.rows, labelled.cols] = labelled.codes
    return out


def test_array_raster_and_files_agree(memory_source, raster, codes, tmp_path):
    import h5py
    from scipy.io import savemat

    source = memory_source()
    np.save(tmp_path / "labels.npy", codes)
    savemat(tmp_path / "v5.mat", {"gt": codes, "other": np.zeros(3)})
    with h5py.File(tmp_path / "v73.mat", "w") as file:
        file["gt"] = codes.T.astype(float)
    for labels in (codes, codes[None], codes.astype(float), raster(codes), tmp_path / "labels.npy", tmp_path / "v5.mat", tmp_path / "v73.mat"):
        labelled = read_labels(source, labels)
        assert np.array_equal(as_map(labelled), codes)
        assert labelled.legend.names == tuple(f"class {c}" for c in np.unique(codes[codes > 0]))


def test_windows_do_not_change_the_answer(memory_source, raster, codes, monkeypatch):
    path = raster(np.kron(codes, np.ones((4, 4), np.uint8)), transform=TRANSFORM @ rasterio.Affine.scale(0.25))
    monkeypatch.setattr(label_rasters, "WINDOW_PIXELS", 64)
    assert np.array_equal(as_map(read_labels(memory_source(), path)), codes)
    assert np.array_equal(as_map(read_labels(memory_source(), codes)), codes)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_grid_gives_the_label_at_the_pixel_centre(memory_source, raster, seed):
    rng = np.random.default_rng(seed)
    size = rng.uniform(7, 90)
    transform = rasterio.Affine(size, 0, 500000 + rng.uniform(-300, 300), 0, -size, 5600000 + rng.uniform(-200, 200))
    labels = rng.integers(1, 9, (rng.integers(5, 40), rng.integers(5, 40))).astype(np.uint8)
    with rasterio.open(raster(labels, transform=transform)) as file:
        xs, ys = 500000 + 30 * (np.arange(30) + 0.5), 5600000 - 30 * (np.arange(20) + 0.5)
        expected = np.array([v[0] for v in file.sample([(x, y) for y in ys for x in xs])]).reshape(20, 30)
    if expected.any():
        assert np.array_equal(as_map(read_labels(memory_source(), raster(labels, transform=transform))), expected)


def test_another_crs(memory_source, raster):
    rng = np.random.default_rng(5)
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    left, top = to_degrees.transform(499900.0, 5600100.0)
    transform = rasterio.Affine(0.0003, 0, left, 0, -0.0002, top)
    labels = rng.integers(1, 9, (60, 70)).astype(np.uint8)
    with rasterio.open(raster(labels, transform=transform, crs="EPSG:4326")) as file:
        places = [to_degrees.transform(500000 + 30 * (c + 0.5), 5600000 - 30 * (r + 0.5)) for r in range(20) for c in range(30)]
        expected = np.array([v[0] for v in file.sample(places)]).reshape(20, 30)
    assert np.array_equal(as_map(read_labels(memory_source(), raster(labels, transform=transform, crs="EPSG:4326"))), expected)


def test_groups_are_connected_components(memory_source):
    from scipy.ndimage import label

    rng = np.random.default_rng(8)
    codes = rng.integers(0, 3, (20, 30)).astype(np.uint8)
    labelled = read_labels(memory_source(), codes)
    for code in (1, 2):
        known = label(codes == code, np.ones((3, 3)))[0][labelled.rows, labelled.cols]
        mine = labelled.groups
        here = labelled.codes == code
        pairs = {*zip(known[here].tolist(), mine[here].tolist(), strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_nodata_ignored_and_reserved(memory_source, raster, codes):
    marked = codes.copy()
    marked[0] = 255
    labelled = read_labels(memory_source(), raster(marked, nodata=255))
    assert 255 not in labelled.counts
    assert 0 not in read_labels(memory_source(), raster(marked), ignore=255).rows
    with pytest.raises(LabelError, match=r"labels\.tif: 255 is no class code"):
        read_labels(memory_source(), raster(marked))


def test_names_and_colours_of_the_raster_become_the_legend(memory_source, raster, codes):
    path = raster(codes)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {c: (c * 10, c, 7, 255) for c in range(1, 6)})
    names = "".join(f"<Category>{'' if c == 0 else f'crop {c}'}</Category>" for c in range(6))
    path.with_name("labels.tif.aux.xml").write_text(f"<PAMDataset><PAMRasterBand band='1'><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>")
    legend = read_labels(memory_source(), path).legend
    assert legend.names == tuple(f"crop {c}" for c in range(1, 6))
    assert legend.classes[2].colour == (30, 3, 7)


def test_attribute_tables_name_classes(memory_source, raster, codes):
    path = raster(codes)
    rows = "".join(f"<Row index='{c}'><F>{c}</F><F>crop {c}</F></Row>" for c in range(1, 6))
    fields = "<FieldDefn><Name>Value</Name><Usage>5</Usage></FieldDefn><FieldDefn><Name>Class</Name><Usage>2</Usage></FieldDefn>"
    text = f"<PAMDataset><PAMRasterBand band='1'><GDALRasterAttributeTable>{fields}{rows}</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    path.with_name("labels.tif.aux.xml").write_text(text)
    assert read_labels(memory_source(), path).legend.names[0] == "crop 1"


def test_scenes_without_georeference_take_their_own_shape_only(memory_source, raster, codes):
    plain = memory_source(georeferenced=False)
    assert np.array_equal(as_map(read_labels(plain, raster(codes))), codes)
    with pytest.raises(LabelError, match="no georeference"):
        read_labels(plain, raster(codes[:10]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_cannot_be_done_is_said(memory_source, raster, codes, tmp_path):
    source = memory_source()
    with pytest.raises(LabelError, match=r"shape \(19, 30\), the scene \(20, 30\)"):
        read_labels(source, codes[1:])
    with pytest.raises(LabelError, match=r"0\.5 is no class code"):
        read_labels(source, codes * 0.5)
    with pytest.raises(LabelError, match="not class codes"):
        read_labels(source, np.full((20, 30), "a"))
    with pytest.raises(LabelError, match="unknown CRS"):
        read_labels(source, raster(codes[1:], crs=None))
    with pytest.raises(LabelError, match=r"labels\.tif: no label lies inside the scene.*left 600000.*left 500000"):
        read_labels(source, raster(codes, transform=rasterio.Affine.translation(100000, 0) @ TRANSFORM))
    with pytest.raises(LabelError, match=r"labels\.tif: holds no labelled pixel"):
        read_labels(source, raster(codes * 0))
    for option in ({"class_field": "a"}, {"group_field": "a"}, {"buffer": 3.0}):
        with pytest.raises(OptionError, match="no fields"):
            read_labels(source, raster(codes), **option)
    with pytest.raises(OptionError, match="no fields"):
        read_labels(source, codes, class_field="a")


def test_broken_files_are_named(memory_source, raster, codes, tmp_path):
    source = memory_source()
    cases = {
        "text.tif": b"this is no image",
        "zero.tif": b"",
        "cut.npy": b"\x93NUMPY\x01\x00v",
        "bad.mat": b"x" * 300,
        "v73.mat": b"\0" * 512 + b"\x89HDF\r\n\x1a\n" + b"\0" * 90,
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LabelError, match=name):
            read_labels(source, tmp_path / name)
    path = raster(codes, name="cut.tif")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(LabelError, match=r"cut\.tif"):
        read_labels(source, path)
    with pytest.raises(LabelError, match=r"gone\.gpkg: there is no such"):
        read_labels(source, tmp_path / "gone.gpkg")
    np.save(tmp_path / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    with pytest.raises(LabelError, match=r"objects\.npy"):
        read_labels(source, tmp_path / "objects.npy")


def test_mat_files_with_several_fitting_arrays_are_refused(memory_source, codes, tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "two.mat", {"a": codes, "b": codes})
    with pytest.raises(LabelError, match=r"two\.mat: holds 2 arrays.*a 20x30, b 20x30"):
        read_labels(memory_source(), tmp_path / "two.mat")


def test_the_real_label_map_of_potsdam(shared_data, memory_source):
    """The whole label map, read on the grid of one tile, equals that tile's own labels where it has any."""
    folder = shared_data / "classification" / "enmap_potsdam"
    maps = [path for path in sorted(folder.rglob("*.tif")) if _is_single_band(path)]
    large = max(maps, key=lambda path: _size(path))
    tiles = [path for path in maps if path != large and _size(path) == 1024][:4]
    assert tiles
    agreed = 0
    for path in tiles:
        with rasterio.open(path) as file:
            own, transform, crs = file.read(1), tuple(file.transform)[:6], file.crs
        if crs is None or not own.any():
            continue
        source = memory_source(own.shape, transform=transform, crs=f"EPSG:{crs.to_epsg()}")
        labelled = read_labels(source, large, ignore=(0, 255))
        assert np.array_equal(own[labelled.rows, labelled.cols], labelled.codes)
        agreed += len(labelled)
    assert agreed > 0


def _is_single_band(path):
    with rasterio.open(path) as file:
        return file.count == 1


def _size(path):
    with rasterio.open(path) as file:
        return file.width * file.height

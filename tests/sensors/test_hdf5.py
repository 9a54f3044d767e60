"""Arrays of HDF5 files as scenes: axes in any order, several arrays, positions and lookup tables, damage."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import read_window
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.hdf5 import Hdf5File, Hdf5Source, Hdf5Table, Part, locate_by, lookup_from_one
from hsikit.sensors.probe import Probe

CUBE = np.arange(4 * 3 * 5, dtype=np.float32).reshape(4, 3, 5)
ORDERS = {"bil": (1, 0, 2), "bip": (2, 0, 1), "bsq": (0, 1, 2), "turned": (0, 2, 1)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    with h5py.File(path, "w") as file:
        for name, axes in ORDERS.items():
            file[name] = CUBE.transpose(np.argsort(axes))
        file["one"] = CUBE[0]
        file["one_turned"] = CUBE[0].T
        file["lon"], file["lat"] = np.linspace(-10, 10, 15).reshape(3, 5), np.array([[np.nan] * 5, [50.0] * 5, [-9999.0] * 5])
        file["x"], file["y"] = np.array([[0, 1, -5], [5, 2, 0]]), np.array([[0, 1, -3], [3, 2, 0]])
        file.attrs["title"] = np.bytes_("a title")
        file.attrs["number"] = np.array([3.5])
        file["group/below/deeper"] = np.zeros(2)
        file["names"] = np.array([b"one", b"two"])
    return path


def source_of(path: Path, parts: list[Part], count: int) -> Hdf5Source:
    claims = BandClaims(count, list(range(500, 500 + count)), "nm")
    return Hdf5Source(layout(FileFacts(str(path), "test", Grid((3, 5)), np.dtype("f4"), claims, files=(path,)), Options()), Hdf5File(path), parts)


@pytest.mark.parametrize("name", ORDERS)
def test_axes_in_any_order(path: Path, name: str) -> None:
    source = source_of(path, [Part(name, ORDERS[name])], 4)
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole), CUBE)
    source.close()


@given(data=st.data())
def test_bands_of_several_arrays(path: Path, data) -> None:
    parts = [Part("bil", ORDERS["bil"], 1, 2), Part("one", (None, 0, 1)), Part("one_turned", (None, 1, 0)), Part("bsq", ORDERS["bsq"], 3)]
    source = source_of(path, parts, 5)
    truth = np.stack([CUBE[1], CUBE[2], CUBE[0], CUBE[0], CUBE[3]])
    row, col = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 4))
    window = Window(row, col, data.draw(st.integers(1, 3 - row)), data.draw(st.integers(1, 5 - col)))
    bands = np.array(sorted(data.draw(st.sets(st.integers(0, 4), min_size=1))), np.intp)
    np.testing.assert_array_equal(read_window(source, window, bands), truth[(bands, *window.slices())])
    source.close()


def test_shapes_that_disagree_are_refused(path: Path) -> None:
    with pytest.raises(SceneError, match="hold 4 bands, and 5 are described"):
        source_of(path, [Part("bil", ORDERS["bil"])], 5)
    with pytest.raises(SceneError, match=r"pixels, and the scene has"):
        source_of(path, [Part("bsq", (2, 0, 1))], 5)
    with pytest.raises(SceneError, match="has no array 'absent'"):
        source_of(path, [Part("absent")], 4)
    with pytest.raises(SceneError, match="has 4 bands"):
        source_of(path, [Part("bsq", ORDERS["bsq"], 2, 3)], 3)


def test_positions_that_cannot_be_are_missing(path: Path) -> None:
    lon, lat = locate_by(Hdf5File(path), "lon", "lat")(Window(0, 1, 3, 2))
    np.testing.assert_array_equal(np.isnan(lon), [[True, True], [False, False], [True, True]])
    np.testing.assert_array_equal(lat[1], [50, 50])


def test_a_lookup_table_counts_from_one_and_marks_infill_by_negative_numbers(path: Path) -> None:
    grid = Grid((2, 3), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "EPSG:4326")
    table = Hdf5Table(Hdf5File(path), grid, "x", "y", (3, 5)).read(grid.whole)
    np.testing.assert_array_equal(table.rows, [[-1, 0, 2], [2, 1, -1]])
    np.testing.assert_array_equal(table.cols, [[-1, 0, 4], [4, 1, -1]])
    np.testing.assert_array_equal(table.infill, [[False, False, True], [False, False, False]])
    with pytest.raises(SceneError, match="points outside"):
        lookup_from_one(np.array([[6]]), np.array([[1]]), (3, 5), path)
    with pytest.raises(SceneError, match="its map"):
        Hdf5Table(Hdf5File(path), Grid((3, 3)), "x", "y", (3, 5))


def test_what_a_probe_sees(path: Path) -> None:
    probe = Probe(path, path.read_bytes()[:1024])
    assert probe.container == "hdf5"
    assert probe.hdf5.text("title") == "a title"
    assert probe.hdf5.attrs["number"] == 3.5
    assert {"bil", "group", "group/below", "group/below/deeper"} <= probe.hdf5.keys


def test_short_arrays_and_attributes(path: Path) -> None:
    file = Hdf5File(path)
    assert file.texts("names") == ["one", "two"]
    assert file.numbers("lon").shape == (15,)
    assert file.attributes()["title"] == "a title"
    assert file.has("group/below")
    assert not file.has("group/above")
    with pytest.raises(SceneError, match="no row of at most 3"):
        file.numbers("lon", most=3)
    file.close()
    assert file.has("bil")


def test_a_damaged_file_is_named(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"cut\.h5: cannot be read as an HDF5 file"):
        _ = Probe(cut, cut.read_bytes()[:1024]).hdf5
    with pytest.raises(SceneError, match=r"cut\.h5"):
        Hdf5File(cut).read("bil")


def test_bands_that_alternate_between_arrays_come_from_their_own(path: Path) -> None:
    """The first and the last of one array do not make all those between of it."""
    parts = [Part("bil", ORDERS["bil"], 0, 2), Part("bsq", ORDERS["bsq"], 2)]
    claims = BandClaims(4, [500, 700, 600, 800], "nm")
    facts = FileFacts(str(path), "test", Grid((3, 5)), np.dtype("f4"), claims, files=(path,))
    source = Hdf5Source(layout(facts, Options()), Hdf5File(path), parts)
    whole = read_window(source, source.info.grid.whole)
    np.testing.assert_array_equal(whole, CUBE[[0, 2, 1, 3]])
    np.testing.assert_array_equal(read_window(source, source.info.grid.whole, np.array([0, 1, 2])), CUBE[[0, 2, 1]])


def lists(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("lists", (2,), h5py.vlen_dtype(np.int32))
        file.create_dataset("records", (2,), np.dtype([("n", np.int32), ("of", h5py.vlen_dtype(np.int32))]))
        file["texts"] = np.array(["a", "b"], object)
        file.attrs.create("kept", "text")
        file.attrs.create("pointers", np.array([file["texts"].ref], h5py.ref_dtype))
        several = np.empty(2, object)
        several[:] = [np.arange(3, dtype=np.int32), np.arange(2, dtype=np.int32)]
        file.attrs.create("dropped", several, dtype=h5py.vlen_dtype(np.int32))


def test_lists_of_variable_length_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "lists.h5"
    lists(path)
    file = Hdf5File(path, "a product")
    for name in ("lists", "records"):
        with pytest.raises(SceneError, match=f"has lists in {name}"):
            file.read(name)
    assert file.texts("texts") == ["a", "b"]
    assert set(file.attributes()) == set(Probe(path, b"\x89HDF\r\n\x1a\n").hdf5.attrs) == {"kept", "pointers"}


def test_a_text_type_of_an_unknown_kind_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    lists(path)
    data = path.read_bytes()
    text = b"\x19\x01"  # class 9 of version 1, and the kind: 1 is text
    assert text in data
    path.write_bytes(data.replace(text, b"\x19\x09"))
    with pytest.raises(SceneError, match="has lists in texts"):
        Hdf5File(path, "a product").texts("texts")

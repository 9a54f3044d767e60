import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from defusedxml import ElementTree as ET
from hypothesis import given
from hypothesis import strategies as st

from hsikit.layers import Legend
from hsikit.writers import write_bundle, write_raster
from hsikit.writers.qgis import attribute_table, style
from tests.writers.arrays import LEGEND, UTM, ArrayPixels, class_map

AREAS = {0: (10, 0.9), 1: (1000, 90.125), 3: (3, None), 254: (5, None), 255: (7, None)}


def rows(xml: str) -> list[dict[str, str]]:
    """The attribute table as GDAL reads it: names of the fields, then one list of values per row."""
    table = ET.fromstring(xml).find("PAMRasterBand/GDALRasterAttributeTable")
    names = [field.findtext("Name") for field in table.findall("FieldDefn")]
    return [dict(zip(names, [f.text for f in row.findall("F")], strict=True)) for row in table.findall("Row")]


def test_attribute_table_has_classes_and_reserved_codes() -> None:
    table = {int(row["Value"]): row for row in rows(attribute_table(LEGEND, AREAS))}
    assert list(table) == [0, 1, 3, 7, 254, 255]
    assert (table[1]["Class"], table[1]["Pixels"], table[1]["Hectares"], table[1]["Reserved"]) == ("corn", "1000", "90.125", "0")
    assert tuple(int(table[3][part]) for part in ("Red", "Green", "Blue")) == LEGEND.classes[1].colour
    assert table[3]["Class"] == LEGEND.classes[1].name and table[7]["Pixels"] == "0"
    assert {code for code, row in table.items() if row["Reserved"] == "1"} == {0, 254, 255}
    assert all(math.isnan(float(table[code]["Hectares"])) for code in (0, 3, 254, 255)) and table[7]["Hectares"] == "0"
    assert table[254]["Class"] == "unknown" and table[254]["Pixels"] == "5"


def test_counts_beyond_32_bits_are_kept_as_reals() -> None:
    xml = attribute_table(LEGEND, {1: (3_000_000_000, 1.0)})
    types = {field.findtext("Name"): field.findtext("Type") for field in ET.fromstring(xml).iter("FieldDefn")}
    assert types["Pixels"] == "1" and {row["Pixels"] for row in rows(xml) if row["Value"] == "1"} == {"3000000000"}


def test_style_is_paletted_with_labels() -> None:
    root = ET.fromstring(style(LEGEND))
    renderer = root.find("pipe/rasterrenderer")
    assert root.tag == "qgis" and renderer.attrib["type"] == "paletted" and renderer.attrib["band"] == "1"
    entries = {int(e.attrib["value"]): e.attrib for e in renderer.find("colorPalette")}
    assert list(entries) == [0, 1, 3, 7, 254, 255]
    assert entries[1]["color"] == "#e69f00" and entries[3]["label"] == LEGEND.classes[1].name
    assert {code: e["alpha"] for code, e in entries.items()} == {0: "0", 1: "255", 3: "255", 7: "255", 254: "255", 255: "255"}


@given(st.text(min_size=1, max_size=30))
def test_any_class_name_is_well_formed_xml(name: str) -> None:
    legend = Legend.of({1: name})
    label = next(e.attrib["label"] for e in ET.fromstring(style(legend)).iter("paletteEntry") if e.attrib["value"] == "1")
    found = next(row["Class"] for row in rows(attribute_table(legend, {})) if row["Value"] == "1")
    if name.isprintable():
        assert label == name and found == name


@pytest.mark.parametrize(
    ("map_name", "expected"),
    [
        ("map.tif", ["map.qml", "map.tif.aux.xml"]),
        ("map.hdr", ["map.qml", "map.img.aux.xml"]),
        ("map.zarr", ["map.qml"]),
        ("a.b.tif", ["a.b.qml", "a.b.tif.aux.xml"]),
    ],
)
def test_files_are_staged_and_named_after_the_map(tmp_path: Path, map_name: str, expected: list[str]) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    pairs = write_bundle(tmp_path / map_name, stage, LEGEND, AREAS)
    assert [final for _, final in pairs] == [tmp_path / name for name in expected]
    assert sorted(p.name for p in stage.iterdir()) == sorted(expected)


def test_gdal_reads_the_map_with_its_side_car(tmp_path: Path) -> None:
    """GDAL copies what it has parsed: the table in the copy's side-car is GDAL's own writing of it."""
    layer, values = class_map()
    path = tmp_path / "map.tif"
    write_raster(layer, UTM, ArrayPixels(values), path)
    (staged, final) = write_bundle(path, tmp_path, LEGEND, AREAS)[1]
    written = rows(staged.read_text(encoding="utf-8"))
    with rasterio.open(path) as src:
        assert str(final) in src.files
        assert src.colormap(1)[1][:3] == LEGEND.classes[0].colour
        np.testing.assert_array_equal(src.read(), values)
    rasterio.shutil.copy(path, tmp_path / "copy.png", driver="PNG")
    side_car = (tmp_path / "copy.png.aux.xml").read_text(encoding="utf-8")
    assert rows(side_car) == written
    names = [c.text or "" for c in ET.fromstring(side_car).find("PAMRasterBand/CategoryNames")]
    assert [names[code] for code in (0, 1, 3, 254, 255)] == ["no data", "corn", LEGEND.classes[1].name, "unknown", "masked"]


def test_map_without_place_has_no_hectares() -> None:
    table = rows(attribute_table(LEGEND, {1: (4, None)}))
    assert {row["Hectares"] for row in table} == {"nan"}

"""What lies beside a class map so that QGIS shows it at once: a `.qml` style and an `.aux.xml` attribute table.

The reserved codes (no data, unknown, masked) stand in both. In the attribute table they are flagged and have no area.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from hsikit.layers import NODATA, RESERVED, Legend
from hsikit.writers.failures import writing
from hsikit.writers.tags import colours_by_code, names_by_code

Areas = Mapping[int, tuple[int, float | None]]
"""Code -> (pixels, hectares); hectares are None where the map has no place on the ground."""

_INTEGER, _REAL, _TEXT = "0", "1", "2"
_COLUMNS = (
    ("Value", _INTEGER, "5"), ("Class", _TEXT, "2"), ("Red", _INTEGER, "6"), ("Green", _INTEGER, "7"), ("Blue", _INTEGER, "8"),
    ("Pixels", _INTEGER, "1"), ("Hectares", _REAL, "0"), ("Reserved", _INTEGER, "0"),
)  # fmt: skip
"""Name, GDAL's type (GDALRATFieldType) and GDAL's usage (GDALRATFieldUsage) of each column."""
_LARGEST_INTEGER = 2**31 - 1


def write_bundle(map_path: Path, folder: Path, legend: Legend, areas: Areas) -> list[tuple[Path, Path]]:
    """Writes the style and the attribute table of a class map into a staging folder.

    Args:
        map_path: where the map will finally lie; the files are named after it (`map.qml`, `map.tif.aux.xml`). A Zarr store
            gets only the style, since GDAL keeps no attribute table for it.
        folder: where they are staged.
        legend: classes of the map.
        areas: pixels and hectares by code; codes that are missing count none.

    Returns:
        Pairs (staged file, final path).

    Raises:
        OutputError: the disk does not take them.
    """
    texts = (style(legend), attribute_table(legend, areas))
    pairs = [(folder / path.name, path) for path in bundle_paths(map_path)]
    for (staged, _), text in zip(pairs, texts, strict=False):
        with writing(staged):
            staged.write_text(text, encoding="utf-8")
    return pairs


def bundle_paths(map_path: Path) -> list[Path]:
    """Where the style and the attribute table of a map lie; a Zarr store has only the style."""
    found = [map_path.with_suffix(".qml")]
    if map_path.suffix.lower() != ".zarr":
        image = map_path.with_suffix(".img") if map_path.suffix.lower() == ".hdr" else map_path
        found.append(image.with_name(f"{image.name}.aux.xml"))
    return found


def style(legend: Legend) -> str:
    """A QGIS 3 layer style: paletted colours with labels; no data is transparent."""
    root = ET.Element("qgis", {"version": "3.22.0", "styleCategories": "Symbology", "hasScaleBasedVisibilityFlag": "0"})
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(pipe, "rasterrenderer", {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""})
    ET.SubElement(renderer, "rasterTransparency")
    palette = ET.SubElement(renderer, "colorPalette")
    names = names_by_code(legend)
    for code, (red, green, blue) in colours_by_code(legend).items():
        entry = {"value": str(code), "color": f"#{red:02x}{green:02x}{blue:02x}", "label": _legal(names[code]), "alpha": "0" if code == NODATA else "255"}
        ET.SubElement(palette, "paletteEntry", entry)
    ET.SubElement(pipe, "brightnesscontrast", {"brightness": "0", "contrast": "0", "gamma": "1"})
    ET.SubElement(pipe, "huesaturation", {"saturation": "0", "grayscaleMode": "0", "colorizeOn": "0"})
    ET.SubElement(pipe, "rasterresampler", {"maxOversampling": "2"})
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode") + "\n"


def attribute_table(legend: Legend, areas: Areas) -> str:
    """GDAL's side-car file: category names, and the raster attribute table (columns: `_COLUMNS`)."""
    names, colours = names_by_code(legend), colours_by_code(legend)
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", {"band": "1"})
    categories = ET.SubElement(band, "CategoryNames")
    for code in range(max(names) + 1):
        ET.SubElement(categories, "Category").text = _legal(names.get(code, ""))
    table = ET.SubElement(band, "GDALRasterAttributeTable", {"tableType": "thematic"})
    nothing = 0.0 if any(hectares is not None for _, hectares in areas.values()) else None
    large = any(pixels > _LARGEST_INTEGER for pixels, _ in areas.values())
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        field = ET.SubElement(table, "FieldDefn", {"index": str(index)})
        _texts(field, [("Name", name), ("Type", _REAL if large and name == "Pixels" else kind), ("Usage", usage)])
    for index, (code, name) in enumerate(names.items()):
        pixels, hectares = areas.get(code, (0, nothing))
        area = "nan" if code in RESERVED or hectares is None else f"{hectares:.15g}"
        values = [str(code), _legal(name), *(str(part) for part in colours[code]), str(int(pixels)), area, str(int(code in RESERVED))]
        _texts(ET.SubElement(table, "Row", {"index": str(index)}), [("F", value) for value in values])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _texts(parent: ET.Element, children: Iterable[tuple[str, str]]) -> None:
    for tag, text in children:
        ET.SubElement(parent, tag).text = text


def _legal(text: str) -> str:
    """Text without the control characters and half pairs that XML cannot hold, escaped or not."""
    return "".join(c if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") else "\ufffd" for c in text)

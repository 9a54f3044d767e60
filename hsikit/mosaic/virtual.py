"""A mosaic without pixels of its own, over the files of its maps: GDAL's virtual raster (VRT), or a tile index (GTI, GDAL 3.9 and later).

Both paint maps one over the other, so they hold rules that rank whole scenes. What lies on top hides what is below wherever it is not
nodata, masked pixels included. Paths are relative where maps lie on a disk, so that a folder can be moved as a whole.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.errors import GridError
from hsikit.geo.grid import Grid
from hsikit.geo.remote import RemotePath
from hsikit.layers import NODATA, Layer
from hsikit.mosaic.lattice import Place
from hsikit.mosaic.maps import Map
from hsikit.sensors.remote_rasters import gdal_name
from hsikit.writers.failures import writing
from hsikit.writers.tags import band_names, colours_by_code, dataset_tags

GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32", "uint64": "UInt64", "int64": "Int64",
    "float32": "Float32", "float64": "Float64",
}  # fmt: skip


def write_vrt(
    maps: Sequence[Map], places: Sequence[Place], order: Sequence[int], layer: Layer, grid: Grid, path: Path, home: Path, tags: Mapping[str, str]
) -> None:
    """Writes a virtual raster.

    Args:
        maps: open maps, whose pixels are pixels of `grid`.
        places: of each.
        order: positions of the maps, the best first.
        layer: that they hold.
        grid: of the mosaic.
        path: the file to make.
        home: the folder in which it will finally lie.
        tags: facts to keep in the file.

    Raises:
        OutputError: the disk does not take it.
    """
    from rasterio.crs import CRS

    rows, cols = grid.shape
    root = ET.Element("VRTDataset", {"rasterXSize": str(cols), "rasterYSize": str(rows)})
    ET.SubElement(root, "SRS").text = CRS.from_user_input(grid.crs).to_wkt()
    a, b, c, d, e, f = grid.transform
    ET.SubElement(root, "GeoTransform").text = ", ".join(map(repr, (c, a, b, f, d, e)))
    metadata = ET.SubElement(root, "Metadata")
    for key, text in dataset_tags(layer, tags).items():
        ET.SubElement(metadata, "MDI", {"key": key}).text = text
    for number, name in enumerate(band_names(layer), start=1):
        band = ET.SubElement(root, "VRTRasterBand", {"dataType": GDAL_TYPES[layer.dtype], "band": str(number)})
        _describe(band, layer, name)
        for index in reversed(order):  # the best is painted last
            _add_source(band, maps[index], places[index], layer, number, home)
    ET.indent(root)
    with writing(path):
        path.write_text(ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def _describe(band: ET.Element, layer: Layer, name: str) -> None:
    """Name, unit, nodata and colours of a band."""
    ET.SubElement(band, "Description").text = name
    if layer.unit:
        ET.SubElement(band, "UnitType").text = layer.unit
    ET.SubElement(band, "NoDataValue").text = f"{layer.nodata:.17g}"
    if layer.legend is None or layer.dtype != "uint8":
        return
    ET.SubElement(band, "ColorInterp").text = "Palette"
    table, colours = ET.SubElement(band, "ColorTable"), colours_by_code(layer.legend)
    for code in range(256):
        red, green, blue = colours.get(code, (0, 0, 0))
        ET.SubElement(table, "Entry", {"c1": str(red), "c2": str(green), "c3": str(blue), "c4": "0" if code == NODATA else "255"})


def _add_source(band: ET.Element, one: Map, place: Place, layer: Layer, number: int, home: Path) -> None:
    """One map, cut to what lies on the mosaic."""
    window = place.window
    if not window.size:
        return
    source = ET.SubElement(band, "ComplexSource")
    ET.SubElement(source, "SourceFilename", {"relativeToVRT": "0" if isinstance(one.path, RemotePath) else "1"}).text = location(one.path, home)
    ET.SubElement(source, "SourceBand").text = str(number)
    rows, cols = one.source.info.grid.shape
    down, across = one.source.block
    sizes = {"RasterXSize": cols, "RasterYSize": rows, "BlockXSize": across, "BlockYSize": down}
    ET.SubElement(source, "SourceProperties", {**{key: str(size) for key, size in sizes.items()}, "DataType": GDAL_TYPES[layer.dtype]})
    for name, row, col in (("SrcRect", window.row - place.offset[0], window.col - place.offset[1]), ("DstRect", window.row, window.col)):
        ET.SubElement(source, name, {"xOff": str(col), "yOff": str(row), "xSize": str(window.cols), "ySize": str(window.rows)})
    ET.SubElement(source, "NODATA").text = f"{layer.nodata:.17g}"


def location(path: Path, home: Path) -> str:
    """How a file in a folder names a map: relative; one on a server by GDAL's name."""
    return str(gdal_name(path)) if isinstance(path, RemotePath) else Path(os.path.relpath(path.absolute(), home.absolute())).as_posix()


def write_tile_index(maps: Sequence[Map], order: Sequence[int], layer: Layer, grid: Grid, path: Path, home: Path, tags: Mapping[str, str]) -> None:
    """Writes a tile index: a GeoPackage with the outline, the file and the rank of each map, which GDAL opens as one raster.

    Args are those of `write_vrt`. `rank` is highest for the map that lies on top; a GIS may edit or filter the table.

    Raises:
        GridError: the grid is rotated, which a tile index cannot say.
        OutputError: the disk does not take it.
    """
    import geopandas
    import pyogrio
    from shapely.geometry import Polygon

    a, b, _, d, e, _ = grid.transform
    if b or d:
        raise GridError(path.name, "the maps' grid is rotated, which a tile index cannot say", "Write a .vrt or .tif")
    left, bottom, right, top = grid.bounds
    places = np.argsort(np.asarray(order))
    columns: dict[str, Any] = {
        "location": [location(one.path, home) for one in maps],
        "rank": (len(maps) - places).astype(np.int64),
        "acquired": [one.seen.acquired for one in maps],
        "cloud_cover": [one.seen.cloud_cover for one in maps],
        "view_zenith": [one.seen.view_zenith for one in maps],
    }
    outlines = [Polygon(_corners(one.source.info.grid)) for one in maps]
    told = {
        "LOCATION_FIELD": "location", "SORT_FIELD": "rank", "SORT_FIELD_ASC": "YES", "RESX": repr(abs(a)), "RESY": repr(abs(e)), "MINX": repr(left),
        "MINY": repr(bottom), "MAXX": repr(right), "MAXY": repr(top), "BAND_COUNT": str(layer.bands), "DATA_TYPE": GDAL_TYPES[layer.dtype],
        "NODATA": f"{layer.nodata:.17g}", **dataset_tags(layer, tags),
    }  # fmt: skip
    with writing(path):
        frame = geopandas.GeoDataFrame(columns, geometry=outlines, crs=grid.crs)
        pyogrio.write_dataframe(frame, path, driver="GPKG", layer="index", geometry_type="Polygon", layer_metadata=told)


def _corners(grid: Grid) -> list[tuple[float, float]]:
    """The four corners of a grid in map units."""
    a, b, c, d, e, f = grid.transform
    rows, cols = grid.shape
    return [(a * col + b * row + c, d * col + e * row + f) for row, col in ((0, 0), (0, cols), (rows, cols), (rows, 0))]

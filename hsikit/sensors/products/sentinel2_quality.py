"""What Sentinel-2 products say of their pixels: the scene classification of Level 2A, the cloud masks of Level 1C, and the masks of each band.

A mask of one band flags the pixel. Lost packets and pixels without data are no data; degraded packets, defective columns that were
filled in, and corrected cross-talk are measurements, and no flag stands for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import QUALITY_FLAGS, Quality
from hsikit.sensors.archive import Delivery
from hsikit.sensors.rasters import RasterBand, RasterReads, factors, raster_facts

SATURATED = 65535
CLASSES = {0: "no-data", 1: "saturated", 3: "shadow", 6: "water", 8: "cloud", 9: "cloud", 10: "cirrus", 11: "snow"}
"""Flags of the scene classification's numbers; 1 is saturated or defective. Dark areas (2) and unclassified (7) are none."""
LAYERS = {"CLASSI": {1: "cloud", 2: "cirrus", 3: "snow"}, "QUALIT": {3: "no-data", 6: "no-data", 8: "saturated"}}
"""Masks as rasters (baseline 4.0 on) -> layer -> flag. CLASSI: opaque clouds, cirrus, snow and ice. QUALIT: ancillary data lost and
degraded, packets lost and degraded, defective columns, no data, cross-talk partly corrected, saturated at level 1A."""
POLYGONS = {
    "CLOUDS": {"OPAQUE": "cloud", "CIRRUS": "cirrus"},
    "NODATA": {"QT_NODATA_PIXELS": "no-data"},
    "TECQUA": {"MSI_LOST": "no-data"},
    "SATURA": {"QT_SATURATED_PIXELS_L1A": "saturated", "QT_SATURATED_PIXELS_L1B": "saturated"},
}
"""Masks as GML polygons (before) -> type of a polygon -> flag."""
ALL_BANDS = "B00"
CLASSIFIED = ("CLASSI", "CLOUDS")
"""Masks for which Level 2A has its scene classification."""
MASK = re.compile(r"(?:.*_)?MSK_([A-Z]{6})_(?:.*_)?(B\d\d|B8A)(?:_MSIL1C)?\.(jp2|gml)")
"""Of a mask's file name: kind, band, form; products of before December 2016 have longer names."""
MOST_POINTS = 1 << 22

Flags = NDArray[np.uint8]
Layer = Callable[[Window], Flags]


class MeasuredReads(RasterReads):
    """Reads rasters in which saturated numbers count as not measured."""

    def _plain(self, path: str, bands: Sequence[int], window: Window) -> NDArray[Any]:
        values = super()._plain(path, bands, window)
        values[values == SATURATED] = 0 if self._nodata is None else self._nodata
        return values


def quality(
    delivery: Delivery, granule: str, level: str, classification: Mapping[int, str], resolution: int, grid: Grid, bands: Mapping[str, RasterBand]
) -> Quality | None:
    """The flags of a scene, read when asked for; None where the product has none.

    Args:
        delivery: the product.
        granule: the folder of its tile.
        level: "L1C" or "L2A".
        classification: the files of the scene classification by their resolution (m).
        resolution: of the scene (m).
        grid: of the scene.
        bands: of the scene, by their names in file names ("B02").

    Raises:
        SceneError: a mask is damaged.
        GridError: a mask's grid does not fit the scene's.
    """
    flags, layers = _masks(delivery, granule, grid, {ALL_BANDS, *bands}, () if level == "L1C" else CLASSIFIED)
    if level == "L1C":
        flags.append("saturated")
        layers.append(_of_numbers(str(delivery.path), tuple(bands.values())))
    present = {size: file for size, file in classification.items() if file in delivery.names}
    if present:
        file = present.get(resolution) or present[min(present)]
        flags += CLASSES.values()
        layers.append(_classified(delivery.gdal(file), f"{delivery.path}: {file}", grid))
    return Quality(tuple(dict.fromkeys(flags)), lambda window: np.bitwise_or.reduce([layer(window) for layer in layers])) if layers else None


def _of_numbers(name: str, bands: Sequence[RasterBand]) -> Layer:
    """What is saturated in any band."""
    reads = RasterReads(name)

    def read(window: Window) -> Flags:
        out = np.zeros(window.shape, np.uint8)
        for band in bands:
            out[_saturated(reads, band, window)] |= QUALITY_FLAGS["saturated"]
        return out

    return read


def _saturated(reads: RasterReads, band: RasterBand, window: Window) -> NDArray[np.bool_]:
    """Where a band is saturated, or any of the finer pixels that make one of the scene's."""
    if band.shrink == 1:
        return np.asarray(reads.read(band.path, [band.band], window, band.zoom)[0] == SATURATED)
    fine = reads.read(band.path, [band.band], Window(*(value * band.shrink for value in window)))[0] == SATURATED
    return np.asarray(fine.reshape(window.rows, band.shrink, window.cols, band.shrink).any(axis=(1, 3)))


def _classified(path: str, name: str, grid: Grid) -> Layer:
    zoom, step = factors(grid, _placed(raster_facts(path, name).grid, grid), name)
    reads = RasterReads(name)
    of_class = np.zeros(256, np.uint8)
    for number, flag in CLASSES.items():
        of_class[number] = QUALITY_FLAGS[flag]

    def read(window: Window) -> Flags:
        if step == 1:
            return np.asarray(of_class[reads.read(path, [1], window, zoom)[0]])
        fine = of_class[reads.read(path, [1], Window(*(value * step for value in window)))[0]]
        return np.asarray(np.bitwise_or.reduce(fine.reshape(window.rows, step, window.cols, step), axis=(1, 3)), np.uint8)

    return read


def _masks(delivery: Delivery, granule: str, grid: Grid, bands: set[str], but: Sequence[str]) -> tuple[list[str], list[Layer]]:
    """The flags of the masks of these bands, of all kinds `but` some, and their reading."""
    flags: list[str] = []
    layers: list[Layer] = []
    for file in delivery.names:
        place = PurePosixPath(file)
        found = MASK.fullmatch(place.name) if str(place.parent) == f"{granule}/QI_DATA" else None
        if found is None or found[2] not in bands or found[1] in but:
            continue
        name = f"{delivery.path}: {file}"
        if found[3] == "jp2" and found[1] in LAYERS:
            flags += LAYERS[found[1]].values()
            layers.append(_raster(delivery.gdal(file), name, grid, LAYERS[found[1]]))
        elif found[3] == "gml" and found[1] in POLYGONS:
            flags += POLYGONS[found[1]].values()
            layers.append(_polygons(delivery, file, name, grid, POLYGONS[found[1]]))
    return flags, layers


def _raster(path: str, name: str, grid: Grid, of_layer: Mapping[int, str]) -> Layer:
    facts = raster_facts(path, name)
    if facts.count < max(of_layer):
        raise SceneError(name, f"has {facts.count} layers, and {max(of_layer)} are expected", "Fetch the product again")
    zoom, step = factors(grid, _placed(facts.grid, grid), name)
    reads = RasterReads(name)

    def read(window: Window) -> Flags:
        fine = reads.read(path, list(of_layer), Window(*(value * step for value in window)) if step > 1 else window, zoom) > 0
        stored = np.any(fine.reshape(len(of_layer), window.rows, step, window.cols, step), axis=(2, 4))
        out = np.zeros(window.shape, np.uint8)
        for flag, layer in zip(of_layer.values(), np.asarray(stored), strict=True):
            out[layer] |= QUALITY_FLAGS[flag]
        return out

    return read


def _placed(mask: Grid, scene: Grid) -> Grid:
    """A mask's own grid; without georeference, it covers the scene's outline."""
    if mask.georeferenced:
        return mask
    a, b, c, d, e, f = scene.transform
    ratio = scene.shape[0] / mask.shape[0]
    return Grid(mask.shape, (a * ratio, b, c, d, e * ratio, f), scene.crs)


def _polygons(delivery: Delivery, file: str, name: str, grid: Grid, of_type: Mapping[str, str]) -> Layer:
    """A mask of polygons; the file is read when it is asked for: products have dozens of them."""

    @lru_cache(1)
    def shapes_of() -> dict[str, list[dict[str, Any]]]:
        shapes: dict[str, list[dict[str, Any]]] = {flag: [] for flag in of_type.values()}
        for feature in delivery.xml(file).iter("{http://www.opengis.net/eop/2.0}MaskFeature"):
            flag = of_type.get((feature.findtext("{http://www.opengis.net/eop/2.0}maskType") or "").strip())
            if flag is not None:
                shapes[flag] += [_polygon(element, name) for element in feature.iter("{http://www.opengis.net/gml/3.2}Polygon")]
        return shapes

    def read(window: Window) -> Flags:
        from rasterio.features import rasterize

        out = np.zeros(window.shape, np.uint8)
        for flag, shapes in shapes_of().items():
            if shapes:
                burnt = rasterize(shapes, out_shape=window.shape, transform=grid.crop(window).affine, default_value=1, dtype="uint8")
                out[burnt != 0] |= QUALITY_FLAGS[flag]
        return out

    return read


def _polygon(element: Element, name: str) -> dict[str, Any]:
    rings = []
    for points in element.iter("{http://www.opengis.net/gml/3.2}posList"):
        size = int(points.attrib.get("srsDimension", "2"))
        values = np.array((points.text or "").split(), float)
        if size not in (2, 3) or values.size % size or not 4 * size <= values.size <= MOST_POINTS or not np.isfinite(values).all():
            raise SceneError(name, "one of its polygons is no closed ring of points", "Fetch the product again")
        rings.append(values.reshape(-1, size)[:, :2].tolist())
    if not rings:
        raise SceneError(name, "one of its polygons has no points", "Fetch the product again")
    return {"type": "Polygon", "coordinates": rings}

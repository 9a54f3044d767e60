"""What Sentinel-2 products say of their pixels: the scene classification of Level 2A, the cloud masks of Level 1C."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
LAYERS = ("cloud", "cirrus", "snow")
"""The layers of MSK_CLASSI, in order: opaque clouds, cirrus, snow and ice."""
POLYGONS = {"OPAQUE": "cloud", "CIRRUS": "cirrus"}
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
    delivery: Delivery, granule: str, level: str, classification: Mapping[int, str], resolution: int, grid: Grid, bands: Sequence[RasterBand]
) -> Quality | None:
    """The flags of a scene, read when asked for; None where the product has none.

    Args:
        delivery: the product.
        granule: the folder of its tile.
        level: "L1C" or "L2A".
        classification: the files of the scene classification by their resolution (m).
        resolution: of the scene (m).
        grid: of the scene.
        bands: of the scene.

    Raises:
        SceneError: a mask is damaged.
        GridError: a mask's grid does not fit the scene's.
    """
    if level == "L1C":
        return _of_numbers(str(delivery.path), *_clouds(delivery, granule, grid), bands)
    present = {size: file for size, file in classification.items() if file in delivery.names}
    if not present:
        return None
    file = present.get(resolution) or present[min(present)]
    return Quality(tuple(dict.fromkeys(CLASSES.values())), _classified(delivery.gdal(file), f"{delivery.path}: {file}", grid))


def _of_numbers(name: str, flags: Sequence[str], clouds: Layer, bands: Sequence[RasterBand]) -> Quality:
    """Level 1C: the cloud mask, and what is saturated in any band."""
    reads = RasterReads(name)

    def read(window: Window) -> Flags:
        out = clouds(window)
        for band in bands:
            out[_saturated(reads, band, window)] |= QUALITY_FLAGS["saturated"]
        return out

    return Quality((*flags, "saturated"), read)


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


def _clouds(delivery: Delivery, granule: str, grid: Grid) -> tuple[tuple[str, ...], Layer]:
    """The flags of Level 1C's cloud mask, and their reading; none where there is no such mask."""
    raster, vector = (f"{granule}/QI_DATA/MSK_{name}" for name in ("CLASSI_B00.jp2", "CLOUDS_B00.gml"))
    if raster in delivery.names:
        return LAYERS, _cloud_raster(delivery.gdal(raster), f"{delivery.path}: {raster}", grid)
    if vector in delivery.names:
        return tuple(POLYGONS.values()), _cloud_polygons(delivery.xml(vector), f"{delivery.path}: {vector}", grid)
    return (), lambda window: np.zeros(window.shape, np.uint8)


def _cloud_raster(path: str, name: str, grid: Grid) -> Layer:
    facts = raster_facts(path, name)
    if facts.count < len(LAYERS):
        raise SceneError(name, f"has {facts.count} layers, and {len(LAYERS)} are expected", "Fetch the product again")
    zoom, _ = factors(grid, _placed(facts.grid, grid), name)
    reads = RasterReads(name)

    def read(window: Window) -> Flags:
        stored = reads.read(path, range(1, len(LAYERS) + 1), window, zoom)
        out = np.zeros(window.shape, np.uint8)
        for flag, layer in zip(LAYERS, stored, strict=True):
            out[layer > 0] |= QUALITY_FLAGS[flag]
        return out

    return read


def _placed(mask: Grid, scene: Grid) -> Grid:
    """A mask's own grid; without georeference, it covers the scene's outline."""
    if mask.georeferenced:
        return mask
    a, b, c, d, e, f = scene.transform
    ratio = max(1, round(scene.shape[0] / mask.shape[0]))
    return Grid(mask.shape, (a * ratio, b, c, d, e * ratio, f), scene.crs)


def _cloud_polygons(root: Element, name: str, grid: Grid) -> Layer:
    polygons: dict[str, list[dict[str, Any]]] = {flag: [] for flag in POLYGONS.values()}
    for feature in root.iter("{http://www.opengis.net/eop/2.0}MaskFeature"):
        flag = POLYGONS.get((feature.findtext("{http://www.opengis.net/eop/2.0}maskType") or "").strip())
        if flag is not None:
            polygons[flag] += [_polygon(element, name) for element in feature.iter("{http://www.opengis.net/gml/3.2}Polygon")]

    def read(window: Window) -> Flags:
        from rasterio.features import rasterize

        out = np.zeros(window.shape, np.uint8)
        for flag, shapes in polygons.items():
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

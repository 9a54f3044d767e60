"""Objects planted into any scene: lazily, as a scene of its own, with their truth as a GeoPackage.

For whoever asks how small and how faint a thing may be to be found in this very scene, and for training detectors. `objects` has the recipe.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, OutputError, SceneError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.scene import Decoding, Indices, Raw, SceneInfo, Source, read_window
from hsikit.simulate.objects import BLOCK, ObjectClass, PlantedObject, Planting, draw_objects, plant

Floats = NDArray[np.float64]


class PlantedSource:
    """A scene with objects in it: physical values, float32, NaN where missing. Closing is left to whoever opened the scene.

    Args:
        base: the scene.
        objects: in its rows and columns, at its bands.
        seed: what they were drawn from, for the identity.
    """

    def __init__(self, base: Source, objects: Sequence[PlantedObject], seed: int = 0) -> None:
        self._base, self.objects = base, tuple(objects)
        self._by_block: dict[tuple[int, int], list[PlantedObject]] = {}
        for planted in self.objects:
            for block in {(int(row) // BLOCK, int(col) // BLOCK) for row, col in planted.pixels}:
                self._by_block.setdefault(block, []).append(planted)
        facts = ("planted", seed, len(self.objects), float(sum(planted.abundance.sum() for planted in self.objects)))
        self.info: SceneInfo = base.info.with_(dtype="float32", nodata=None, identity=(*base.info.identity, facts))
        self.block = base.block

    def read(self, window: Window, bands: Indices) -> Raw:
        """Values of a window; see `Source`."""
        index = np.asarray(bands, np.intp)
        values = read_window(self._base, window, index)
        near = [
            planted
            for row in range(window.row // BLOCK, (window.row_end - 1) // BLOCK + 1)
            for col in range(window.col // BLOCK, (window.col_end - 1) // BLOCK + 1)
            for planted in self._by_block.get((row, col), ())
        ]
        # An object on the border of two blocks stands there twice, and is planted once.
        plant(values, list({id(planted): planted for planted in near}.values()), index, (window.row, window.col))
        return Raw(values, window, Decoding())

    def close(self) -> None:
        """Does nothing."""


def planted_source(source: Source, classes: Sequence[ObjectClass], *, planting: Planting | None = None, seed: int = 0) -> PlantedSource:
    """Draws objects for a scene and plants them.

    Example:
        >>> scene = planted_source(open_source("scene.tif"), [ObjectClass("blue roof", spectrum[None])], seed=1)

    Args:
        source: an open scene.
        classes: what is planted: spectra at all the scene's bands, in its unit.
        planting: how many, and how varied.
        seed: of everything random.

    Returns:
        The scene with the objects. Where the scene is missing there are none.

    Raises:
        OptionError: spectra of another number of bands, no class, or no room.
        SceneError: no object has a place where the scene is not missing.
    """
    info = source.info
    wrong = [kind.name for kind in classes if kind.spectra.shape[1] != len(info.bands)]
    if wrong:
        raise OptionError(wrong[0], f"its spectra are not at the {len(info.bands)} bands of {info.name}", "Bring them to the scene's bands")
    drawn = draw_objects(info.grid.shape, classes, planting or Planting(), np.random.default_rng(seed))
    there = _valid_places(source)
    kept = [planted for planted in drawn if there[tuple(planted.pixels.T)].all()]
    if not kept:
        raise SceneError(info.name, "has no place where an object could be planted", "See that it is not all missing")
    return PlantedSource(source, kept, seed)


def _valid_places(source: Source) -> NDArray[np.bool_]:
    """Pixels whose first good band has a value."""
    used = source.info.bands.used[:1]
    if not len(used):
        raise SceneError(source.info.name, "none of its bands is good", "Look at its bad-band list")
    there = np.zeros(source.info.grid.shape, bool)
    for window in tile_windows(source.info.grid.whole, (BLOCK, source.info.grid.shape[1])):
        there[window.slices()] = np.isfinite(read_window(source, window, used)[0])
    return there


def full_spectra(values: Floats, used: Indices, info: SceneInfo) -> Floats:
    """Spectra at all the bands of a scene, from some: along the wavelength between these, and held beyond.

    Args:
        values: shape (K, D).
        used: positions of their bands, shape (D,).
        info: facts of the scene.

    Returns:
        Shape (K, C).
    """
    centres = info.bands.wavelength
    return np.stack([np.interp(centres, centres[used], row) for row in values])


def write_truth(path: Path, objects: Sequence[PlantedObject], classes: Sequence[ObjectClass], grid: Grid, *, overwrite: bool = False) -> Path:
    """Writes the boxes of objects as polygons of a GeoPackage.

    Its attributes: `class`, `pixels`, `size` (the size code), `abundance` (sum over the pixels: how many whole pixels it would fill), `peak`
    (the largest abundance of a pixel). Without georeference coordinates are (column, -row), where a GIS shows such a picture.

    Raises:
        OutputError: the file exists without `overwrite`, or cannot be written.
    """
    import geopandas
    from shapely.geometry import Polygon

    if path.exists() and not overwrite:
        raise OutputError(path, "exists", "Give --overwrite to replace it")
    a, b, c, d, e, f = grid.drawn

    def outline(planted: PlantedObject) -> Polygon:
        left, top, right, bottom = planted.box
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        return Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in corners])

    table = {
        "class": [classes[planted.label].name for planted in objects],
        "pixels": [len(planted.pixels) for planted in objects],
        "size": [planted.size for planted in objects],
        "abundance": [float(planted.abundance.sum()) for planted in objects],
        "peak": [float(planted.abundance.max()) for planted in objects],
    }
    frame = geopandas.GeoDataFrame(table, geometry=[outline(planted) for planted in objects], crs=grid.crs)
    beside = path.with_name(f".{path.stem}.part.gpkg")
    try:
        beside.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")  # a picture without a place has none
            frame.to_file(beside, driver="GPKG", layer="objects", engine="pyogrio")
        beside.replace(path)
    except Exception as error:
        beside.unlink(missing_ok=True)
        raise OutputError(path, f"the objects cannot be written ({error})", "See that the folder exists, can be written and has room") from error
    return path

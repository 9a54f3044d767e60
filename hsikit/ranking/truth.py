"""Where a scene's targets are, pixel by pixel: of a raster or array on the scene's grid, or of points and polygons.

truth = read_truth(source, "truth.tif")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.geo.grid import Grid
from hsikit.geo.places import places_of
from hsikit.layers import Legend
from hsikit.scene import Source
from hsikit.sensors.masking import MaskedSource, Masks, open_masks
from hsikit.train.extract import drop_hidden, drop_invalid
from hsikit.train.label_arrays import mat_array, npy_array
from hsikit.train.label_pixels import extent_text
from hsikit.train.label_rasters import array_of_shape, crs_text, on_scene_grid, open_quietly
from hsikit.train.label_vectors import VectorOptions, features_around, pixels_of_frame
from hsikit.train.labelled import LabelledScene, connected_groups
from hsikit.train.labels import file_kind

FIELD = "target"
LEGEND = Legend.of({1: FIELD})
PLAIN = VectorOptions(FIELD)


@dataclass(frozen=True, eq=False)
class Truth:
    """A scene and where its targets are; all other pixels are background, but for those that are not scored.

    Attributes:
        targets: the target pixels that hold data, as labels of one class; `groups` are the objects.
        unscored: where nothing is known, bool (rows, cols); None: nowhere.
    """

    targets: LabelledScene
    unscored: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def source(self) -> Source:
        """The scene."""
        return self.targets.source

    @property
    def objects(self) -> NDArray[np.intp]:
        """The object of each target pixel, numbered from 0, shape (n,)."""
        return np.asarray(np.unique(self.targets.groups, return_inverse=True)[1], np.intp)


def read_truth(source: Source, truth: Any, *, mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None,
               options: Mapping[str, Any] | None = None) -> Truth:  # fmt: skip
    """Reads where the targets of a scene are.

    Args:
        source: an open scene.
        truth: a raster of one band on the scene's grid, a `.npy` or `.mat` file, or an array: above 0 a target, 0 background (also where 0 is
            declared as nodata), other nodata (NaN) not scored; objects are pixels of one value that touch by side or corner. Or a vector file or
            GeoDataFrame, in any CRS: points, each the pixel that it lies in, the eight around it not scored, since nobody says which of them belong to
            the object; or polygons, each an object.
        mask: what neither methods nor scores see: see `hsikit.run`.
        dilate: as for `hsikit.run`.
        aoi: as for `hsikit.run`.
        options: for polygons `buffer`, `min_coverage`, `all_touched`: see `hsikit.read_labels`.

    Raises:
        LabelError: no such file, another grid, no target, no background, values below 0, or no target where the scene has data.
        OptionError: masks that cannot be used, or an option of polygons for a raster.
    """
    hidden = open_masks(source.info, mask, dilate, aoi)
    found = _placed(source if hidden is None else MaskedSource(source, hidden), truth, VectorOptions(FIELD, **(options or {})))
    targets = found.targets
    if hidden is not None:
        targets = drop_hidden(replace(targets, notes=(*targets.notes, f"{source.info.name}: {hidden.told()}")), hidden)
    return replace(found, targets=drop_invalid(targets))


def _placed(source: Source, truth: Any, options: VectorOptions) -> Truth:
    """The truth before the scene's data are looked at."""
    options.check()
    grid, swath = source.info.grid, source.info.swath
    if not isinstance(truth, str | Path):
        if hasattr(truth, "geometry"):
            return _of_features(source, truth, options, "truth (GeoDataFrame)")
        return _of_array(source, np.asarray(truth), None, "truth (array)", options)
    name = str(truth)
    kind, path = file_kind(name)
    if kind == "vector":
        return _of_features(source, features_around(name, grid, name, swath, lambda fields: None), options, name)
    if kind == "raster":
        return _of_array(source, *_raster(source, path, name), name, options)
    return _of_array(source, npy_array(path, name) if path.suffix.lower() == ".npy" else mat_array(path, grid.shape, name), None, name, options)


def _raster(source: Source, path: Path, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values of a raster on the scene's grid, and where they are nodata."""
    from rasterio.errors import RasterioError

    grid = source.info.grid
    try:
        with open_quietly(path) as file:
            if file.count != 1:
                raise LabelError(name, f"has {file.count} bands", "Give a raster of one band: above 0 a target, 0 background")
            own = Grid((file.height, file.width), tuple(file.transform)[:6], crs_text(file.crs))
            places = places_of(grid, source.info.swath)
            if not on_scene_grid(own, grid, places, name):
                there, here = extent_text(own.bounds, own.crs), "" if places is None else extent_text(places.bounds, places.crs)
                sizes = [f"{rows} x {cols} pixels" for rows, cols in (own.shape, grid.shape)]
                wrong = f"lies on another grid than the scene: {sizes[0]} at {there}; the scene has {sizes[1]} at {here}"
                raise LabelError(name, wrong, "Give truth pixel by pixel of the scene, or points or polygons")
            values = file.read(1)
            # Where 0 is declared as nodata, as in many masks, it is background all the same.
            return values, np.zeros(values.shape, bool) if file.nodata == 0 else file.read_masks(1) == 0
    except (RasterioError, OSError) as error:
        raise LabelError(name, f"the raster cannot be read ({error.__class__.__name__})", "Check that the file is whole") from error


def _of_array(source: Source, values: NDArray[Any], nodata: NDArray[np.bool_] | None, name: str, options: VectorOptions) -> Truth:
    """Truth by pixel values."""
    for option in ("buffer", "min_coverage", "all_touched"):
        if getattr(options, option) != getattr(PLAIN, option):
            raise OptionError("--" + option.replace("_", "-"), f"{name} is given pixel by pixel and has no polygons", "Leave it out")
    array = array_of_shape(values, source.info.grid.shape, name)
    unscored = np.zeros(array.shape, bool) if nodata is None else nodata
    if array.dtype.kind == "f":
        unscored = unscored | np.isnan(array)
    target = (array > 0) & ~unscored
    below = (array < 0) & ~unscored
    if below.any():
        wrong = f"{int(below.sum())} pixels hold values below 0 (such as {array[below][0]:g})"
        raise LabelError(name, wrong, "Above 0 is a target, 0 background; declare what is unknown as nodata (gdal_edit.py -a_nodata)")
    if not target.any():
        raise LabelError(name, "holds no target: no value is above 0", "Give truth with targets")
    if (target | unscored).all():
        raise LabelError(name, "holds no background: no value is 0", "Give truth with both")
    rows, cols = np.nonzero(target)
    kinds = np.unique(array[rows, cols], return_inverse=True)[1]
    return Truth(_targets(source, rows, cols, connected_groups(rows, cols, kinds, array.shape[1]), name), unscored if unscored.any() else None)


def _of_features(source: Source, frame: Any, options: VectorOptions, name: str) -> Truth:
    """Truth by points and polygons: what lies under none is background."""
    grid = source.info.grid
    plain = frame[[frame.geometry.name]].assign(**{FIELD: 1})
    pixels = pixels_of_frame(plain, grid, options, name, source.info.swath)
    notes, groups = pixels.notes, pixels.groups
    unscored = None
    if groups is None:
        groups = connected_groups(pixels.rows, pixels.cols, np.ones(len(pixels.rows), np.uint8), grid.shape[1])
        unscored = _around(pixels.rows, pixels.cols, grid.shape)
    elif len(np.unique(groups)) < len(plain):
        lost = len(plain) - len(np.unique(groups))
        notes = (*notes, f"{name}: {lost} of {len(plain)} features are no pixel's: outside the scene, or too small (see --all-touched)")
    if len(pixels.rows) == grid.whole.size:
        raise LabelError(name, "holds no background: its polygons cover the whole scene", "Give the outlines of targets")
    return Truth(replace(_targets(source, pixels.rows, pixels.cols, groups, name), notes=notes), unscored)


def _around(rows: NDArray[np.intp], cols: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels that touch some pixels by side or corner, without these, bool (rows, cols)."""
    from scipy import ndimage

    own = np.zeros(shape, bool)
    own[rows, cols] = True
    return np.asarray(ndimage.binary_dilation(own, np.ones((3, 3))) & ~own)


def _targets(source: Source, rows: NDArray[np.intp], cols: NDArray[np.intp], groups: NDArray[np.int64], name: str) -> LabelledScene:
    return LabelledScene(source, rows, cols, np.ones(len(rows), np.uint8), groups, LEGEND, name)

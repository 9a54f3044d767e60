"""The label pixels that were used, as points of a GeoPackage: for looking at a split in a GIS, and for the record."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OutputError
from hsikit.geo.places import LONGITUDE_LATITUDE, places_of
from hsikit.train.labelled import LabelledScene

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from hsikit.train.splits import Split


def check_pixels_target(path: str | Path) -> Path:
    """Checks, before any work, that label pixels can be written there.

    Raises:
        OutputError: the folder is missing, or the name does not end in .gpkg.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise OutputError(path, "the folder of the label pixels does not exist", "Create it first")
    if target.suffix.lower() != ".gpkg":
        raise OutputError(path, "label pixels are written as a GeoPackage", "Let the name end in .gpkg")
    return target


def write_label_pixels(scenes: Sequence[LabelledScene], path: str | Path, split: Split | None = None) -> None:
    """Writes one point per label pixel, at the pixel's centre, with scene, row, col, class, code, group and part.

    Of swaths that is in longitude and latitude. Scenes of one CRS share a layer (`label_pixels`); further CRS get `label_pixels_2`
    and so on. Without georeference points lie at (column + 0.5, -(row + 0.5)), where a GIS shows such an image. An existing file is
    replaced, at once.

    Args:
        scenes: the labelled scenes.
        path: the GeoPackage (`.gpkg`).
        split: gives `part`: "train", "test" or "" for each pixel.

    Raises:
        OutputError: the folder is missing or cannot be written to.
    """
    from pyogrio.errors import DataSourceError, FeatureError

    target = check_pixels_target(path)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            part = Path(folder) / target.name
            for number, crs in enumerate(dict.fromkeys(_crs(scene) for scene in scenes), start=1):
                chosen = [(scene, _parts(scene, k, split)) for k, scene in enumerate(scenes) if _crs(scene) == crs]
                frame = _frame(chosen, crs)
                frame.to_file(part, layer="label_pixels" if number == 1 else f"label_pixels_{number}", driver="GPKG", engine="pyogrio", promote_to_multi=False)
            part.replace(target)
    except (DataSourceError, FeatureError, OSError) as error:
        raise OutputError(path, f"the label pixels cannot be written ({error})", "Check the folder and the disk") from error


def _parts(scene: LabelledScene, number: int, split: Split | None) -> NDArray[Any]:
    """The part of each label pixel: "train", "test" or nothing."""
    if split is None:
        return np.full(len(scene), "", object)
    return np.where(split.train[number], "train", np.where(split.test[number], "test", "")).astype(object)


def _frame(scenes: Sequence[tuple[LabelledScene, NDArray[Any]]], crs: str | None) -> GeoDataFrame:
    """The points of scenes of one CRS."""
    import geopandas
    import pandas
    import shapely

    tables = []
    for scene, part in scenes:
        names = np.array([""] * 256, object)
        for entry in scene.legend.classes:
            names[entry.code] = entry.name
        groups = np.array(scene.group_names, object)[scene.groups] if scene.group_field else scene.groups.astype(str).astype(object)
        columns = {"scene": scene.source.info.name, "row": scene.rows, "col": scene.cols, "class": names[scene.codes], "code": scene.codes.astype(np.int32)}
        tables.append(geopandas.GeoDataFrame({**columns, "group": groups, "part": part}, geometry=shapely.points(_centres(scene)), crs=crs))
    return geopandas.GeoDataFrame(pandas.concat(tables, ignore_index=True), crs=crs)


def _crs(scene: LabelledScene) -> str | None:
    """The CRS of a scene's points."""
    info = scene.source.info
    return info.grid.crs if info.swath is None else LONGITUDE_LATITUDE


def _centres(scene: LabelledScene) -> NDArray[np.float64]:
    """Map coordinates of the label pixels' centres, shape (n, 2)."""
    info = scene.source.info
    places = places_of(info.grid, info.swath)
    if places is None:
        return np.column_stack([scene.cols + 0.5, -(scene.rows + 0.5)])
    return np.column_stack(places.at(scene.rows, scene.cols))

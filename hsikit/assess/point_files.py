"""Files of reference points as columns and coordinates: vector files that GDAL reads, and CSV tables with x and y."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError
from hsikit.train.label_vectors import LAYER_MARK

ADVICE = "Give points as a GeoPackage, GeoJSON or shapefile, or a CSV table with the columns x and y"
MOST_NAMED = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PointFile:
    """Points as a file has them.

    Attributes:
        name: the file as the user gave it, for messages.
        columns: values by field, None where a cell is empty.
        x: map coordinate, shape (n,).
        y: the other one.
        crs: their CRS as WKT or "EPSG:n"; None where the file does not say.
        is_table: whether it is a CSV table, which cannot hold a CRS.
        tables: the file's layers without geometry, each as columns.
    """

    name: str
    columns: Mapping[str, list[Any]]
    x: Floats
    y: Floats
    crs: str | None
    is_table: bool = False
    tables: Mapping[str, Mapping[str, list[Any]]] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """What each point is called in messages: its field `id`, else its place in the file."""
        given = self.columns.get("id")
        return [str(value) for value in given] if given is not None else [str(number) for number in range(1, len(self.x) + 1)]


def some(ids: Sequence[str]) -> str:
    """The first few ids, for messages."""
    return ", ".join(ids[:MOST_NAMED]) + (", ..." if len(ids) > MOST_NAMED else "")


def read_points(path: str | Path) -> PointFile:
    """Reads a file of points; `path` may end with QGIS's `|layername=NAME`.

    Raises:
        LabelError: missing, unreadable, empty, without points, or with several layers of them.
    """
    found = _read_csv(Path(path)) if Path(path).suffix.lower() == ".csv" else _read_vector(str(path))
    if not len(found.x):
        raise LabelError(path, "holds no points", ADVICE)
    return found


def _read_csv(path: Path) -> PointFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(path, f"cannot be read ({error.__class__.__name__})", ADVICE) from error
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",", skipinitialspace=True)
    fields = [name.strip() for name in reader.fieldnames or ()]
    lower = [name.lower() for name in fields]
    if not {"x", "y"} <= set(lower):
        raise LabelError(path, f"has no columns x and y; its columns are {', '.join(fields) or 'none'}", "Name the map coordinates x and y")
    reader.fieldnames = fields
    lines = list(reader)
    columns = {name: [(line.get(name) or "").strip() or None for line in lines] for name in fields}
    x, y = (_numbers(columns.pop(fields[lower.index(axis)]), axis, path) for axis in ("x", "y"))
    return PointFile(str(path), columns, x, y, None, is_table=True)


def _numbers(cells: Sequence[str | None], axis: str, path: Path) -> Floats:
    """Coordinates of a CSV column."""
    numbers = np.empty(len(cells))
    for place, cell in enumerate(cells):
        try:
            numbers[place] = float(cell or "")
        except ValueError:
            raise LabelError(path, f"line {place + 2}: {axis} is {cell!r}, no number", "Write coordinates with a point for decimals") from None
    return numbers


def _read_vector(path: str) -> PointFile:
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

    file, _, asked = path.partition(LAYER_MARK)
    try:
        layers = {str(name): kind for name, kind in pyogrio.list_layers(file)}
        chosen = _layer(path, layers, asked)
        frame = pyogrio.read_dataframe(file, layer=chosen)
        tables = {name: _columns(pyogrio.read_dataframe(file, layer=name)) for name, kind in layers.items() if kind is None}
    except DataSourceError as error:
        raise LabelError(path, "is missing, or is no vector file that GDAL reads", ADVICE) from error
    except (DataLayerError, FieldError, FeatureError, GeometryError) as error:
        raise LabelError(path, f"cannot be read ({error})", "Check that the file is whole") from error
    shapes = _single(frame, path)
    crs = None if frame.crs is None or frame.crs.is_engineering else frame.crs.to_wkt()
    columns = _columns(frame.drop(columns=frame.geometry.name))
    return PointFile(path, columns, np.array([shape.x for shape in shapes]), np.array([shape.y for shape in shapes]), crs, tables=tables)


def _layer(path: str, layers: Mapping[str, Any], asked: str) -> str:
    """The layer of the points: the one that is named, or the only one with geometry."""
    placed = [name for name, kind in layers.items() if kind is not None]
    if asked and asked not in placed:
        raise LabelError(path, f"has no layer of points {asked!r}", f"Its layers are {', '.join(placed) or 'none'}")
    if asked:
        return asked
    if not placed:
        raise LabelError(path, "holds no points", ADVICE)
    if len(placed) > 1:
        raise LabelError(path, f"has {len(placed)} layers: {', '.join(placed)}", f"Name one: '{path}{LAYER_MARK}{placed[0]}'")
    return placed[0]


def _single(frame: Any, path: str) -> list[Any]:
    """The points of a frame; a multipoint of one point is one."""
    import shapely

    shapes = frame.geometry.to_numpy()
    empty = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    if empty.any():
        raise LabelError(path, f"{int(empty.sum())} points have no place (first: feature {int(np.flatnonzero(empty)[0]) + 1})", "Remove or place them")
    flat = [shapely.get_geometry(shape, 0) if shapely.get_num_geometries(shape) == 1 else shape for shape in shapes]
    strange = sorted({shape.geom_type for shape in flat} - {"Point"})
    if strange:
        advice = "Give points of single pixels: the pixels of one polygon are a cluster, and intervals from them would be too narrow"
        raise LabelError(path, f"holds features of kind {', '.join(strange)}", advice)
    return flat


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Columns as Python values, None where a cell is empty."""
    return {str(name): [_cell(value) for value in frame[name].tolist()] for name in frame.columns}


def _cell(value: Any) -> Any:
    """None for NaN and for blank text."""
    if isinstance(value, float) and np.isnan(value):
        return None
    return None if isinstance(value, str) and not value.strip() else value

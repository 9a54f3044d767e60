"""Reference points as an assessment needs them: answers, and the strata that they were drawn from where the file keeps these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import ClassMap, Stratum
from hsikit.assess.point_files import PointFile, read_points, some
from hsikit.assess.sample import DRAWN, STRATA
from hsikit.errors import GridError, LabelError
from hsikit.geo.grid import IDENTITY
from hsikit.train.crosswalk import Value, as_code
from hsikit.train.label_pixels import extent_text, place_on
from hsikit.train.label_rasters import projection

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a sample file keeps of its drawing.

    Attributes:
        strata: the classes of the map that was sampled.
        codes: the stratum of each point, by code, shape (n,).
        places: rows and columns of the points in that map, each of shape (n,); None where the file has lost them.
    """

    strata: tuple[Stratum, ...]
    codes: NDArray[np.int64]
    places: tuple[Indices, Indices] | None


@dataclass(frozen=True, eq=False)
class Reference:
    """Points with what is true there.

    Attributes:
        file: where they were read.
        answers: code or name of the class at each point; None where nobody has answered.
        drawn: strata of a stratified sample; None where the file keeps none.
    """

    file: PointFile
    answers: list[Value | None]
    drawn: Drawn | None

    def named(self, chosen: NDArray[np.bool_]) -> str:
        """The first ids of chosen points, for messages."""
        ids = self.file.ids
        return some([ids[place] for place in np.flatnonzero(chosen)])


def read_reference(path: str | Path, field: str) -> Reference:
    """Reads reference points.

    Args:
        path: GeoPackage, GeoJSON, shapefile, or a CSV table with x and y.
        field: the field of the class, by name or code.

    Raises:
        LabelError: the file cannot be read, has no such field, or contradicts itself in what it keeps of its strata.
    """
    file = read_points(path)
    if field not in file.columns:
        raise LabelError(path, f"has no field {field!r} for the reference class", f"Name one with --field; its fields are {', '.join(file.columns) or 'none'}")
    answers = [None if value is None else _value(value) for value in file.columns[field]]
    return Reference(file, answers, _drawn(file) if STRATA in file.tables else None)


def _value(value: Any) -> Value:
    """A cell as a code or a name."""
    code = as_code(value)
    return str(value).strip() if code is None else code


def _drawn(file: PointFile) -> Drawn:
    """The strata that the file keeps, and each point's."""
    table = file.tables[STRATA]
    if missing := [name for name in ("code", "name", "pixels") if name not in table]:
        raise LabelError(file.name, f"its table {STRATA!r} lacks the column {missing[0]!r}", "Use the file that `hsikit sample` wrote, or remove the table")
    count = len(table["code"])
    hectares, points = table.get("hectares", [None] * count), table.get("points", [0] * count)
    rows = zip(table["code"], table["name"], table["pixels"], hectares, points, strict=True)
    strata = tuple(Stratum(int(code), str(name), int(pixels), area, int(drawn or 0)) for code, name, pixels, area, drawn in rows)
    codes = _stratum_of(file)
    known = {stratum.code for stratum in strata}
    strange = [file.ids[place] for place, code in enumerate(codes) if code not in known]
    if strange:
        wrong = f"{len(strange)} points have no stratum in its table {STRATA!r} (ids {some(strange)})"
        raise LabelError(file.name, wrong, "Keep map_code as it was drawn, and add no points by hand")
    return Drawn(strata, np.array(codes, np.int64), _places(file.columns))


def _stratum_of(file: PointFile) -> list[int | None]:
    """The stratum of each point: its field `map_code`, or a blind sample's table of them."""
    if "map_code" in file.columns:
        return [as_code(value) for value in file.columns["map_code"]]
    if DRAWN not in file.tables or "id" not in file.columns:
        raise LabelError(file.name, "keeps strata, but not which point was drawn from which", "Use the file that `hsikit sample` wrote, with its fields")
    by_id = {as_code(key): as_code(code) for key, code in zip(file.tables[DRAWN]["id"], file.tables[DRAWN]["map_code"], strict=True)}
    return [by_id.get(as_code(key)) for key in file.columns["id"]]


def _places(columns: Mapping[str, Sequence[Any]]) -> tuple[Indices, Indices] | None:
    """Rows and columns that the file keeps of its points."""
    if not {"row", "col"} <= columns.keys() or None in [*columns["row"], *columns["col"]]:
        return None
    return np.array(columns["row"], np.intp), np.array(columns["col"], np.intp)


def pixels_of(points: PointFile, found: ClassMap, crs: str | None) -> tuple[Indices, Indices]:
    """Rows and columns of the map's pixels that hold the points.

    Args:
        points: the points.
        found: the map.
        crs: CRS of points whose file does not say; None: the map's, for a CSV table only.

    Raises:
        GridError: the one has a CRS and the other none.
        LabelError: points lie outside the map, or their CRS is unknown.
    """
    grid = found.grid
    x, y = _projected(points, found, crs)
    if grid.crs is None and grid.transform == IDENTITY:
        y = np.abs(y)  # a GIS shows such an image below the x axis
    with np.errstate(invalid="ignore"):
        across, down = place_on(~grid.affine, x, y)
        inside = (across >= 0) & (across < grid.shape[1]) & (down >= 0) & (down < grid.shape[0])
    if not inside.all():
        beside = [name for name, is_in in zip(points.ids, inside, strict=True) if not is_in]
        there = extent_text((x.min(), y.min(), x.max(), y.max()), grid.crs) if np.isfinite([x, y]).all() else "places that the map's CRS does not reach"
        wrong = f"{len(beside)} of {len(x)} points lie outside the map (ids {some(beside)}): points at {there}, map at {extent_text(grid.bounds, grid.crs)}"
        raise LabelError(points.name, wrong, "Remove them, or check the CRS of both")
    return np.floor(down).astype(np.intp), np.floor(across).astype(np.intp)


def _projected(points: PointFile, found: ClassMap, crs: str | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Map coordinates of the points in the map's CRS."""
    grid, source = found.grid, points.crs or crs
    if points.crs is not None and crs is not None:
        raise GridError(points.name, "the file says its CRS itself", "Leave out --crs")
    if grid.crs is None:
        if source is not None:
            raise GridError(found.name, "the map has no coordinate reference system, but the points have one", "Give the map its CRS (gdal_edit.py -a_srs)")
        return points.x, points.y
    if source is None and not points.is_table:
        raise GridError(points.name, "the CRS of the points is unknown", "Name it with --crs, such as EPSG:4326")
    x, y = projection(source or grid.crs, grid.crs, points.name)(points.x, points.y)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)

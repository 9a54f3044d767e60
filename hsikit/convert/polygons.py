"""Polygons of a vector file, with their names, in the file's own CRS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, OptionError

ADVICE = "Give a GeoPackage, GeoJSON or shapefile of polygons"


def read_polygons(path: Path, field: str | None = None) -> tuple[NDArray[Any], list[str], Any]:
    """All polygons of a file.

    Args:
        path: any vector file that GDAL reads.
        field: the field that names them; None: they are numbered from 1.

    Returns:
        Valid shapely polygons, n of them; their names; their CRS.

    Raises:
        OptionError: the file is missing, no vector file, without polygons, or without that field.
        GridError: it has no CRS.
    """
    import geopandas
    import shapely

    if not path.exists():
        raise OptionError(path, "the file of polygons does not exist", "Check the path")
    try:
        frame = geopandas.read_file(path)
    except Exception as error:  # GDAL and pyogrio raise each their own
        raise OptionError(path, f"cannot be read as polygons ({' '.join(str(error).split())[:200]})", ADVICE) from None
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise OptionError(path, "has no geometry", ADVICE)
    if field is not None and field not in frame.columns:
        known = ", ".join(str(name) for name in frame.columns if name != frame.geometry.name)
        raise OptionError("field", f"{path.name} has no field {field!r}", f"It has {known or 'none'}")
    if frame.crs is None:
        raise GridError(path, "the polygons have no coordinate reference system", "Assign their CRS before use")
    shapes = np.asarray(frame.geometry.array, dtype=object)
    flat = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes)) & (shapely.get_dimensions(shapes) == 2)
    if not flat.any():
        raise OptionError(path, "holds no polygon", ADVICE)
    names = [str(i + 1) for i in range(len(frame))] if field is None else [str(value) for value in frame[field]]
    return np.asarray(shapely.make_valid(shapes[flat]), dtype=object), [name for name, kept in zip(names, flat, strict=True) if kept], frame.crs

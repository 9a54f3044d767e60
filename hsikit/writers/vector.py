"""Points with attributes as GeoPackage, GeoParquet or GeoJSON.

Points of a scene without a CRS are written all the same, in its columns and rows; the file says so.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from hsikit.errors import MissingExtraError, OutputError
from hsikit.layers import Features
from hsikit.writers.failures import writing
from hsikit.writers.table import columns_of

_DRIVERS = {".gpkg": "GPKG", ".parquet": "Parquet", ".geojson": "GeoJSON", ".json": "GeoJSON"}
_TAKEN = {"fid", "geom", "geometry"}
NO_CRS = "Coordinates are columns and rows of the scene's pixels: the scene has no coordinate reference system"


def driver_of(path: Path) -> str:
    """GDAL's driver for a file's ending.

    Raises:
        OutputError: the name ends in nothing that is known.
        MissingExtraError: GeoParquet without pyarrow.
    """
    driver = _DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise OutputError(path, f"no vector format ends in {path.suffix!r}", "Known are .gpkg, .parquet and .geojson")
    if driver == "Parquet":
        _require_pyarrow(path)
    return driver


def write_vector(features: Features, path: Path, *, layer_name: str = "") -> list[Path]:
    """Writes points (or, without points, a table) to exactly `path`, replacing what is there.

    Args:
        features: points, their CRS, and columns; none at all give a valid file with the columns and no row.
        path: `.gpkg`, `.parquet` (needs pyarrow), `.geojson` or `.json`. GeoJSON is in WGS 84, as its standard demands.
        layer_name: of the layer inside a GeoPackage; by default the file's stem.

    Returns:
        The file.

    Raises:
        OutputError: the name ends in nothing that is known, columns do not fit, the CRS is unknown, or the disk does not take it.
        MissingExtraError: GeoParquet without pyarrow.
    """
    driver = driver_of(path)
    columns_of(features, path)
    clash = _TAKEN & {name.lower() for name in features.columns}
    if clash:
        raise OutputError(path, f"a column is named {', '.join(sorted(clash))}, which the format keeps for itself", "Rename the column")
    with writing(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*crs.*was not provided")
        path.unlink(missing_ok=True)
        frame = _frame(features)
        if driver == "Parquet":
            _write_parquet(frame, path, features)
        else:
            _write_ogr(frame, path, driver, layer_name or path.stem, features)
    return [path]


def _frame(features: Features) -> Any:
    """A GeoDataFrame, or a DataFrame where there are no points."""
    import geopandas
    import pandas

    columns = pandas.DataFrame(dict(features.columns))
    if features.points is None:
        return columns
    points = geopandas.points_from_xy(features.points[:, 0], features.points[:, 1])
    return geopandas.GeoDataFrame(columns, geometry=points, crs=features.crs)


def _write_ogr(frame: Any, path: Path, driver: str, layer_name: str, features: Features) -> None:
    """Writes through GDAL."""
    import pyogrio

    options: dict[str, Any] = {}
    if features.points is not None:
        options["geometry_type"] = "Point"
        if features.crs is None:
            options["DESCRIPTION"] = NO_CRS
        elif driver == "GeoJSON":
            options["RFC7946"] = "YES"
    pyogrio.write_dataframe(frame, path, driver=driver, layer=layer_name, **options)


def _write_parquet(frame: Any, path: Path, features: Features) -> None:
    """Writes through pyarrow; a missing CRS is null in GeoParquet, and the frame's attributes say what that means."""
    if features.points is not None and features.crs is None:
        frame.attrs["description"] = NO_CRS
    frame.to_parquet(path, index=False)


def _require_pyarrow(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingExtraError(path, "GeoParquet needs the package pyarrow, which is not installed", "Run: pip install pyarrow; or write a GeoPackage (.gpkg)")

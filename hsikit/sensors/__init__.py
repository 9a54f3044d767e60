"""Readers: any file that holds a scene, opened as a `Source` with its bands in nm, ascending.

`open_source` recognises the kind of file and applies what the user names; `list_sensors` says which instruments' band centres
are at hand. Nothing heavy is imported before a file of its kind is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from hsikit.errors import OptionError
from hsikit.geo.remote import place_of
from hsikit.scene import Source
from hsikit.sensors.array import ArraySource
from hsikit.sensors.catalogue import SensorEntry, list_sensors, sensor_bands
from hsikit.sensors.facts import Options
from hsikit.sensors.formats import FORMATS, reader_for
from hsikit.sensors.inspection import inspect as _inspect

__all__ = ["FORMATS", "ArraySource", "SensorEntry", "list_sensors", "open_source", "sensor_bands"]


def open_source(
    path: str | Path | Sequence[str | Path],
    *,
    sensor: str | None = None,
    wavelengths: str | Path | ArrayLike | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
    quantity: str | None = None,
    role: str = "cube",
    pan_range: tuple[float, float] | None = None,
    variable: str | None = None,
    resolution: float | None = None,
    detector_overlap: str = "average",
    dem: str | Path | None = None,
    inspect: bool = True,
) -> Source:
    """Opens a scene for reading by windows.

    Args:
        path: a file (ENVI, GeoTIFF, MATLAB, NumPy), a Zarr store, a folder of tiles, or a list of tiles on one grid;
            or the address of one: `s3://bucket/key`, `https://host/file`.
        sensor: a name of `list_sensors()`; its band centres serve where the file has none.
        wavelengths: a CSV file (columns wavelength, and optionally fwhm, good, name), or band centres in nm; wins over the file's.
        scale: factor from stored to physical values; wins over the file's.
        offset: added after the factor; wins over the file's.
        nodata: the stored fill value; wins over the file's.
        quantity: a key of `hsikit.scene.QUANTITIES`; wins over the file's.
        role: what the scene is for. "pan" takes one band, which needs no wavelengths; "layer" takes bands without wavelengths too.
        pan_range: (shortest, longest) wavelength in nm of a pan band.
        variable: which array of a container with several.
        resolution: side of a pixel (m) for products that deliver several grids; the product's usual one unless told.
        detector_overlap: how two detectors that see the same wavelengths are joined: "average", "vnir", "swir", or "keep".
        dem: a raster of heights above the ellipsoid (m), for products that are placed by rational polynomials.
        inspect: look at a sample of the scene for constant and empty bands, and for the share of missing pixels.

    Raises:
        SceneError: missing, empty, truncated, of no known kind, or at odds with its own header.
        WavelengthError: no usable wavelengths.
        OptionError: an option makes no sense.
    """
    options = Options(sensor, wavelengths, scale, offset, nodata, quantity, role, pan_range, variable, resolution, detector_overlap, dem)
    if isinstance(path, (str, Path)):
        source = _opened(path, options)
    elif len(path) == 1:
        source = _opened(path[0], options)
    elif path:
        from hsikit.sensors.mosaic import open_tiles

        source = open_tiles([place_of(tile) for tile in path], options, f"{path[0]} and {len(path) - 1} more tiles")
    else:
        raise OptionError("path", "an empty list of tiles", "Name at least one file")
    if inspect:
        _inspect(source)
    return source


def _opened(path: str | Path, options: Options) -> Source:
    place = place_of(path)
    return reader_for(place).open(place, options)

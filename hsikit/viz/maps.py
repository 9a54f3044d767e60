"""Class maps as pictures with a legend, for reports and slides; the GeoTIFF itself is what GIS programs open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, OutputError, SceneError
from hsikit.geo.grid import Coefficients
from hsikit.layers import MASKED, NODATA, RESERVED, Colour, Legend, legend_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hsikit.scene import Source

UNNAMED: Colour = (255, 0, 255)
"""Codes that the legend does not name: to be seen."""
MISSING: Colour = (210, 210, 210)
"""No data where masked pixels, which are white, occur too."""


def draw_class_map(codes: NDArray[np.uint8], legend: Legend, transform: Coefficients | None = None, title: str = "", ax: Axes | None = None) -> Axes:
    """Draws class codes in the legend's colours and returns the Axes; the legend shows the classes that occur.

    Args:
        codes: shape (rows, cols); 0 is transparent, and grey where masked pixels occur, which would look the same.
        legend: names and colours.
        transform: of the codes' grid, to label the axes in map units; None or rotated: pixels.
        title: above the map.
        ax: where to draw; None: a new figure.
    """
    from matplotlib.patches import Patch

    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    entries = _entries(np.unique(codes), legend)
    table = np.zeros((256, 4), np.uint8)
    for code, (_, colour) in entries.items():
        table[code] = (*colour, 255)
    if transform is not None and transform[1] == 0 and transform[3] == 0:
        a, _, c, _, e, f = transform
        ax.imshow(table[codes], extent=(c, c + a * codes.shape[1], f + e * codes.shape[0], f), interpolation="nearest")
        ax.ticklabel_format(style="plain", useOffset=False)
        ax.tick_params(labelsize=8)
        ax.locator_params(nbins=5)
    else:
        ax.imshow(table[codes], interpolation="nearest")
        ax.set_xlabel("column")
        ax.set_ylabel("row")
    handles = [Patch(facecolor=(colour[0] / 255, colour[1] / 255, colour[2] / 255), edgecolor="0.5", label=name) for name, colour in entries.values()]
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
    ax.set_title(title)
    return ax


def _entries(present: NDArray[np.uint8], legend: Legend) -> dict[int, tuple[str, Colour]]:
    """Name and colour of each code that occurs, reserved codes last; nodata only beside masked pixels."""
    named = {NODATA: (RESERVED[NODATA][0], MISSING), **{c.code: (c.name, c.colour) for c in legend.classes}}
    codes = [int(code) for code in present if code != NODATA or MASKED in present]
    ordered = sorted(codes, key=lambda code: (code in RESERVED, code))
    return {code: named.get(code) or RESERVED.get(code) or (f"code {code}", UNNAMED) for code in ordered}


def class_map(raster: str | Path, legend: Legend, path: str | Path, max_size: int = 1024, title: str = "") -> None:
    """Writes a PNG of a class map with its legend.

    Args:
        raster: the GeoTIFF; its first band holds the codes. A larger one is shown by every n-th pixel.
        legend: names and colours.
        path: the PNG; a file of that name is replaced once the new one is whole.
        max_size: longest side that is read (pixels).
        title: above the map; "": the name of the raster.

    Raises:
        SceneError: the raster cannot be read, or holds no codes.
        OutputError: the folder does not exist or cannot be written.
    """
    codes, transform = read_codes(Path(raster), max_size)
    write_class_map(codes, legend, path, transform, title or Path(raster).name)


def write_class_map(codes: NDArray[np.uint8], legend: Legend, path: str | Path, transform: Coefficients | None, title: str) -> None:
    """Writes a PNG of class codes with their legend; arguments are those of `draw_class_map`, errors those of `class_map`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = codes.shape[0] / codes.shape[1]
    figure = Figure(figsize=(8.5, float(np.clip(6.0 * tall, 2.5, 12.0)) + 0.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    draw_class_map(codes, legend, transform, title, figure.add_subplot())
    _save(figure, Path(path))


def draw_codes(source: Source, path: str | Path, max_size: int = 1024) -> bool:
    """Writes a PNG of a class map in whatever format, if a scene is one.

    Returns:
        Whether it is: one band of codes with a legend.

    Raises:
        OptionError: no size.
        OutputError: the folder does not exist or cannot be written.
    """
    from hsikit.viz.quicklook import sample

    info = source.info
    legend = legend_in(info.codes.classes) if info.codes is not None and info.dtype == "uint8" and len(info.bands) == 1 else None
    if legend is None:
        return False
    codes = np.nan_to_num(sample(source, (0,), max_size)[0], nan=NODATA).astype(np.uint8)
    a, b, c, d, e, f = info.grid.transform
    right, down = info.grid.shape[1] / codes.shape[1], info.grid.shape[0] / codes.shape[0]
    transform = (a * right, b * down, c, d * right, e * down, f) if info.grid.crs else None
    write_class_map(codes, legend, path, transform, Path(info.name).name)
    return True


def read_codes(raster: Path, max_size: int) -> tuple[NDArray[np.uint8], Coefficients | None]:
    """Codes of a class map, every n-th pixel of a large one, and their transform (None without a CRS).

    Args:
        raster: the file; its first band holds the codes.
        max_size: longest side that is read (pixels).

    Raises:
        SceneError: it cannot be read, or holds no codes.
        OptionError: no size.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError

    if max_size < 1:
        raise OptionError("max_size", f"{max_size} is not a size in pixels", "Give 1 or more")
    try:
        with rasterio.open(raster) as data:
            if data.dtypes[0] != "uint8":
                raise SceneError(raster, f"its values are of type {data.dtypes[0]}, not the codes of a class map (uint8)", "Give a class map")
            shrink = max(1.0, max(data.height, data.width) / max_size)
            shape = (max(1, round(data.height / shrink)), max(1, round(data.width / shrink)))
            codes = data.read(1, out_shape=shape, resampling=Resampling.nearest)
            a, b, c, d, e, f = data.transform[:6]
            right, down = data.width / shape[1], data.height / shape[0]
            return codes, (a * right, b * down, c, d * right, e * down, f) if data.crs else None
    except (RasterioError, OSError) as error:
        raise SceneError(raster, f"it cannot be read as a raster ({error})", "Give the GeoTIFF of a class map") from error


def _save(figure: Any, path: Path) -> None:
    if not path.parent.is_dir():
        raise OutputError(path, f"its folder {path.parent} does not exist", "Create it first")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, format="png", bbox_inches="tight")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(path, f"it cannot be written ({error.strerror or error})", "Choose a folder that can be written, with space left") from error

"""Quicklooks: three bands of a scene as a picture, for whoever wants to see what a file holds before doing anything with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError, OutputError, WavelengthError
from hsikit.geo.grid import Grid, Window
from hsikit.scene import Bands, Floats, Indices, Source, read_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPOSITES: dict[str, tuple[float, float, float]] = {
    "true colour": (640.0, 550.0, 475.0),
    "near-infrared false colour": (860.0, 650.0, 550.0),
    "short-wave infrared false colour": (2200.0, 1650.0, 1250.0),
    "thermal infrared false colour": (12000.0, 10600.0, 8600.0),
}
"""Wavelengths (nm) of red, green and blue, in the order of preference."""
NEAR = 0.08
"""A band serves for a wavelength when it is this close to it, as a share of the wavelength."""
STRIP_PIXELS = 4 << 20
COORDINATE_INCHES = 0.9
"""Width of a map coordinate of seven digits on an axis, and of the space beside it."""


@dataclass(frozen=True)
class Composite:
    """Which bands a picture shows: positions of red, green and blue, and what such a picture is called."""

    indices: tuple[int, int, int]
    name: str


def rgb_bands(bands: Bands, wavelengths: Sequence[float] | None = None) -> Composite:
    """The good bands that make a picture.

    True colour (640, 550, 460 nm) where the scene sees it; else a false colour by name; else three bands spread over the
    range. A scene of one or two bands is shown in grey.

    Args:
        bands: the spectral axis; where all bands are marked bad, all are considered.
        wavelengths: three of one's own choice (nm), each served by the nearest good band.

    Raises:
        OptionError: not three wavelengths.
        WavelengthError: a wavelength of one's own choice lies outside the scene's range.
    """
    used = bands.used if bands.good.any() else np.arange(len(bands))
    centres = bands.wavelength[used]
    if wavelengths is not None:
        return _own_choice(centres, used, wavelengths)
    if len(used) < 3 or not np.isfinite(centres).all():
        return _named(used[[0, 0, 0]], "grey", centres[[0, 0, 0]])
    for name, wanted in COMPOSITES.items():
        nearest = _nearest(centres, wanted)
        if (np.abs(centres[nearest] - wanted) <= NEAR * np.asarray(wanted)).all() and len(set(nearest.tolist())) == 3:
            return _named(used[nearest], name, centres[nearest])
    low, high = float(centres[0]), float(centres[-1])
    spread = np.unique(_nearest(centres, [low + (high - low) * share for share in (0.9, 0.5, 0.1)]))[::-1]
    spread = spread if len(spread) == 3 else np.array([len(used) - 1, len(used) // 2, 0])
    return _named(used[spread], "false colour", centres[spread])


def _own_choice(centres: Floats, used: Indices, wavelengths: Sequence[float]) -> Composite:
    if len(wavelengths) != 3:
        raise OptionError("bands", f"{len(wavelengths)} wavelengths given", "Give three, for red, green and blue, in nm")
    nearest = _nearest(centres, wavelengths)
    off = np.abs(centres[nearest] - np.asarray(wavelengths)) > NEAR * np.asarray(wavelengths)
    if off.any():
        wrong = float(np.asarray(wavelengths)[off][0])
        raise WavelengthError("bands", f"no good band near {wrong:g} nm", f"The good bands lie from {np.min(centres):g} to {np.max(centres):g} nm")
    return _named(used[nearest], "chosen bands", centres[nearest])


def _nearest(centres: Floats, wanted: Sequence[float]) -> Indices:
    return np.asarray(np.abs(centres[None, :] - np.asarray(wanted, np.float64)[:, None]).argmin(axis=1), np.intp)


def _named(indices: Indices, name: str, centres: Floats) -> Composite:
    red, green, blue = (int(i) for i in indices)
    shown = ", ".join(f"{w:.0f}" for w in centres) if len(set(indices.tolist())) > 1 else f"{centres[0]:.0f}"
    return Composite((red, green, blue), f"{name} ({shown} nm)" if np.isfinite(centres).all() else name)


def limits(values: NDArray[np.float32], stretch: tuple[float, float]) -> Floats:
    """What becomes 0 and 1: percentiles of each colour over pixels where nothing is missing.

    Args:
        values: shape (3, rows, cols), NaN where missing.
        stretch: the two percentiles, 0 to 100.

    Returns:
        Shape (3, 2).

    Raises:
        OptionError: percentiles out of order or range.
    """
    low, high = stretch
    if not 0 <= low < high <= 100:
        raise OptionError("stretch", f"({low:g}, {high:g}) are not two ascending percentiles", "Give for example (2, 98)")
    seen = values[:, np.isfinite(values).all(axis=0)]
    if seen.shape[1] == 0:
        return np.tile([0.0, 1.0], (3, 1))
    return np.percentile(seen.astype(np.float64), [low, high], axis=1).T


def to_unit(values: NDArray[np.float32], bounds: Floats) -> NDArray[np.float32]:
    """Values between the bounds of each colour as 0 to 1; NaN in all three colours where one is missing."""
    low, high = bounds[:, 0].reshape(3, 1, 1), bounds[:, 1].reshape(3, 1, 1)
    unit = np.clip((values - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0).astype(np.float32)
    unit[:, np.isnan(values).any(axis=0)] = np.nan
    return unit


def sample(source: Source, bands: Sequence[int], max_size: int) -> NDArray[np.float32]:
    """Every n-th row and column of some bands, so that neither side is longer than `max_size`; read in bounded memory.

    Returns:
        float32, shape (len(bands), rows, cols), NaN where missing.

    Raises:
        OptionError: no size.
    """
    if max_size < 1:
        raise OptionError("max_size", f"{max_size} is not a size in pixels", "Give 1 or more")
    index, back = np.unique(np.asarray(bands), return_inverse=True)
    rows, cols = source.info.grid.shape
    step = max(1, -(-max(rows, cols) // max_size))
    out = np.empty((len(index), len(range(0, rows, step)), len(range(0, cols, step))), np.float32)
    for window in _sampled_windows(source, step, len(index)):
        first_row, first_col = -(-window.row // step), -(-window.col // step)
        picked = read_window(source, window, index)[:, first_row * step - window.row :: step, first_col * step - window.col :: step]
        out[:, first_row : first_row + picked.shape[1], first_col : first_col + picked.shape[2]] = picked
    return out[back]


def _sampled_windows(source: Source, step: int, bands: int) -> Iterator[Window]:
    """Windows of at most `STRIP_PIXELS` samples that hold every sampled pixel: single rows of plain files, whole block rows of others."""
    rows, cols = source.info.grid.shape
    width = min(cols, max(source.block[1], STRIP_PIXELS // (bands * max(1, source.block[0]))))
    height = max(1, min(source.block[0] if step > 1 else rows, STRIP_PIXELS // (bands * width)))
    row = 0
    while row < rows:
        end = min(rows, row // height * height + height)
        last = row + (end - 1 - row) // step * step
        for col in range(0, cols, width):
            count = min(width, cols - col)
            if -(-col // step) * step < col + count:
                yield Window(row, col, last - row + 1, count)
        row = last + step


def quicklook(
    source: Source, path: str | Path, max_size: int = 1024, stretch: tuple[float, float] = (2, 98), bands: Sequence[float] | None = None
) -> Composite:
    """Writes a PNG of a scene, transparent where it has no data.

    Larger scenes are shown by every n-th pixel: it is fast, of bounded memory, and mixes no measurement with nodata.

    Args:
        source: an open scene.
        path: the PNG; a file of that name is replaced once the new one is whole.
        max_size: longest side (pixels).
        stretch: percentiles that become black and full colour, for each colour on its own.
        bands: three wavelengths (nm) for red, green and blue; None: as `rgb_bands` chooses.

    Returns:
        What the picture shows; tell the user when it is not true colour.

    Raises:
        OutputError: the folder does not exist or cannot be written.
        OptionError, WavelengthError: as `rgb_bands`, `sample` and `limits`.
    """
    choice = rgb_bands(source.info.bands, bands)
    values = sample(source, choice.indices, max_size)
    unit = to_unit(values, limits(values, stretch))
    seen = np.isfinite(unit[0])
    rgba = np.zeros((*unit.shape[1:], 4), np.uint8)
    rgba[..., :3] = np.moveaxis(np.rint(np.nan_to_num(unit) * 255), 0, -1)
    rgba[..., 3] = np.where(seen, 255, 0)
    _write_png(Path(path), rgba, choice.name)
    return choice


def _write_png(path: Path, rgba: NDArray[np.uint8], description: str) -> None:
    from matplotlib.image import imsave

    if not path.parent.is_dir():
        raise OutputError(path, f"its folder {path.parent} does not exist", "Create it first")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        imsave(part, np.ascontiguousarray(rgba), format="png", metadata={"Description": description, "Software": "hsikit"})
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(path, f"it cannot be written ({error.strerror or error})", "Choose a folder that can be written, with space left") from error


def _labels_across(ax: Axes, tallness: float) -> int:
    """How many intervals between map coordinates fit under a picture that is so many times as high as wide."""
    box = ax.get_window_extent()
    width = min(box.width, box.height / tallness) / ax.figure.dpi
    return max(1, int(width / COORDINATE_INCHES))


def draw_rgb(unit: NDArray[np.float32], grid: Grid, title: str, ax: Axes | None = None) -> Axes:
    """Draws a picture of shape (rows, cols, 3) between 0 and 1, NaN transparent, in map units where its grid is not rotated."""
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots()[1]
    seen = np.asarray(np.isfinite(unit).all(axis=-1))
    rgba = np.concatenate([np.nan_to_num(unit), seen[..., None]], axis=-1)
    plain = grid.georeferenced and grid.transform[1] == 0 and grid.transform[3] == 0
    if plain:
        a, _, c, _, e, f = grid.transform
        rows, cols = grid.shape
        ax.imshow(rgba, extent=(c, c + a * cols, f + e * rows, f), interpolation="nearest")
        ax.set_xlabel("x")
        ax.set_ylabel("y")
        ax.ticklabel_format(style="plain", useOffset=False)
        ax.locator_params(axis="x", min_n_ticks=1, nbins=_labels_across(ax, abs(e) * rows / (abs(a) * cols)))
    else:
        ax.imshow(rgba, interpolation="nearest")
        ax.set_xlabel("column")
        ax.set_ylabel("row")
    ax.set_title(title)
    return ax

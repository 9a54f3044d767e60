"""Labels with traps: beside the scene, off its grid, of another time, under clouds, at odds with each other, too few."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hsikit.check.finding import Finding, passed, skipped, warned
from hsikit.check.place import corner_shift
from hsikit.errors import HsikitError, LabelError
from hsikit.geo.grid import Grid
from hsikit.scene import Source
from hsikit.sensors.quality import FlagMask
from hsikit.train.extract import drop_invalid, hidden_at
from hsikit.train.labelled import LabelledScene
from hsikit.train.labels import read_labels

TROUBLE = ("cloud", "shadow", "cirrus", "haze", "saturated", "no-data")
"""Flags under which a pixel does not show its class; snow and water may well be classes."""
FEW_PIXELS = 30
DAYS = 366
ALIGNED = 1e-3
HALF = (0.4, 0.6)
DATE_FIELDS = ("date", "datum", "day", "acquired", "observed", "surveyed", "survey_date", "year", "jahr")
DATE_TAGS = ("ACQUISITION_DATE", "ACQUISITION_TIME", "TIFFTAG_DATETIME", "DATE", "DATETIME")


def check_labels(source: Source, labels: Any, options: Mapping[str, Any]) -> list[Finding]:
    """All checks of this file.

    Args:
        source: the scene.
        labels: as for `hsikit.train.labels.read_labels`.
        options: its further arguments.
    """
    try:
        labelled = read_labels(source, labels, **options)
    except HsikitError as error:
        return [warned("labels", f"{error.where}: {error.wrong}", error.advice or "Correct the labels"), _time(source, labels)]
    read = passed("labels", f"{len(labelled)} pixels of {len(labelled.counts)} classes lie inside the scene")
    told = [warned("label file", note, "Look at these features") for note in labelled.notes]
    return [read, *told, _aligned(source, labels), _time(source, labels), _measured(labelled), _flagged(labelled), _few(labelled)]


def _raster(labels: Any) -> Any:
    """The label raster, opened; None for anything else."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    if not isinstance(labels, str | Path) or not Path(labels).is_file():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            file = rasterio.open(labels)
        except RasterioError:
            return None
    if file.count:
        return file
    file.close()
    return None


def _aligned(source: Source, labels: Any) -> Finding:
    name, info = "label grid", source.info
    file = _raster(labels)
    if file is None:
        return skipped(name, "the labels are no raster file")
    with file:
        own = Grid(file.shape, tuple(file.transform)[:6], str(file.crs) if file.crs else None)
        same_crs = bool(file.crs) and info.grid.georeferenced and file.crs == _crs(info.grid)
    if info.swath is not None and own.georeferenced:
        return passed(name, "each pixel of the swath takes the label under its centre")
    if not own.georeferenced or not info.grid.georeferenced:
        return passed(name, "labels and scene are matched pixel by pixel")
    if not same_crs:
        return warned(name, "the label raster has another CRS than the scene: each pixel takes the label under its centre", "Make labels on the scene's grid")
    return _on_one_crs(name, info.grid, own)


def _crs(grid: Grid) -> Any:
    from rasterio.crs import CRS

    return CRS.from_user_input(grid.crs)


def _on_one_crs(name: str, scene: Grid, own: Grid) -> Finding:
    alike = np.allclose(np.array(own.transform)[[0, 1, 3, 4]], np.array(scene.transform)[[0, 1, 3, 4]], rtol=1e-6, atol=0)
    if not alike:
        return warned(name, "the label raster has other pixels than the scene: each pixel takes the label under its centre", "Make labels on the scene's grid")
    off = [abs(step - round(step)) for step in corner_shift(scene.transform, own.transform)]
    if max(off) <= ALIGNED:
        return passed(name, "the labels lie on the scene's grid")
    half = all(step <= ALIGNED or HALF[0] <= step <= HALF[1] for step in off)
    doubt = "half a pixel, as if one took a corner for a centre" if half else f"{off[0]:.2f} columns and {off[1]:.2f} rows"
    return warned(name, f"the labels lie off the scene's grid by {doubt}", "Correct the georeference of the one that is wrong")


def _time(source: Source, labels: Any) -> Finding:
    name, seen = "label date", _moment(source.info.acquired)
    if seen is None:
        return skipped(name, "when the scene was taken is not known")
    found = sorted(moment for moment in _dates(labels) if moment is not None)
    if not found:
        return skipped(name, "the labels bear no date")
    first, last = ((moment - seen).days for moment in (found[0], found[-1]))
    far = [days for days in (first, last) if abs(days) > DAYS]
    if far:
        word = "older" if far[0] < 0 else "newer"
        wrong = f"labels are up to {max(map(abs, far)) / 365.25:.1f} years {word} than the scene ({seen:%Y-%m-%d})"
        return warned(name, wrong, "Use labels of the scene's time, or check that nothing has changed since")
    return passed(name, f"labels lie within {max(abs(first), abs(last))} days of the scene")


def _dates(labels: Any) -> Iterator[datetime | None]:
    """Dates in the fields of a vector file, or in the tags of a raster."""
    file = _raster(labels)
    if file is not None:
        with file:
            tags = {key.upper(): value for key, value in file.tags().items()}
        yield next((_moment(tags[key]) for key in DATE_TAGS if key in tags), None)
        return
    frame = labels if hasattr(labels, "columns") else _fields(labels)
    if frame is None:
        return
    for column in frame.columns:
        if str(column).lower() in DATE_FIELDS or "datetime" in str(frame[column].dtype):
            yield from (_moment(str(value)) for value in frame[column].dropna().unique())


def _fields(labels: Any) -> Any:
    """The fields of a vector file, without shapes; None where there are none."""
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    if not isinstance(labels, str | Path):
        return None
    path, _, layer = str(labels).partition("|layername=")
    try:
        return pyogrio.read_dataframe(path, layer=layer or None, read_geometry=False)
    except (DataSourceError, DataLayerError, ValueError):
        return None


def _moment(text: str) -> datetime | None:
    """A date out of a text: ISO 8601, EXIF's form, or a year alone, which stands for its middle."""
    year = re.fullmatch(r"((?:19|20)\d\d)(?:\.0)?", text.strip())
    if year:
        return datetime(int(year[1]), 7, 1, tzinfo=UTC)
    found = re.match(r"(\d{4})[-:/]?(\d\d)[-:/]?(\d\d)", text.strip())
    try:
        return datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC) if found else None
    except ValueError:
        return None


def _measured(labelled: LabelledScene) -> Finding:
    name = "labels on missing pixels"
    try:
        left = drop_invalid(replace(labelled, notes=()))
    except LabelError as error:
        return warned(name, error.wrong, error.advice)
    lost = len(labelled) - len(left)
    if lost:
        return warned(
            name, f"at {lost} of {len(labelled)} label pixels the scene has no data: they are left out", "Check the place of the labels, and --nodata"
        )
    return passed(name, "the scene has data at all label pixels")


def _flagged(labelled: LabelledScene) -> Finding:
    name, info = "labels under clouds", labelled.source.info
    if info.quality is None:
        return skipped(name, "the scene holds no quality flags")
    asked = [flag for flag in TROUBLE if flag in info.quality.flags]
    counts = {flag: int(hidden_at(FlagMask(info.quality, (flag,), ()), labelled.rows, labelled.cols, info.grid.shape).sum()) for flag in asked}
    found = {flag: count for flag, count in counts.items() if count}
    if found:
        told = ", ".join(f"{flag} {count}" for flag, count in found.items())
        return warned(name, f"of {len(labelled)} label pixels the product flags: {told}", f"--mask {','.join(found)}")
    return passed(name, f"no label pixel is flagged as {', '.join(asked)}")


def _few(labelled: LabelledScene) -> Finding:
    name = "small classes"
    names = {entry.code: entry.name for entry in labelled.legend.classes}
    few = {names[code]: count for code, count in labelled.counts.items() if count < FEW_PIXELS}
    if few:
        told = ", ".join(f"{text} ({count})" for text, count in few.items())
        return warned(name, f"fewer than {FEW_PIXELS} pixels: {told}", "Add labels, or join classes with --crosswalk")
    return passed(name, f"every class has at least {FEW_PIXELS} pixels")

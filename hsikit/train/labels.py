"""Labels of a scene from any source: polygons, points, label rasters, arrays; several scenes under one legend; label pixels out again.

labelled = read_labels(source, "fields.gpkg", class_field="crop", buffer=15)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.layers import LAST_CLASS, PALETTE, Colour, Legend
from hsikit.scene import Source
from hsikit.train.crosswalk import Crosswalk, Value, encode, generic_name, read_crosswalk
from hsikit.train.fixed_parts import join_parts
from hsikit.train.label_arrays import pixels_of_mat, pixels_of_npy
from hsikit.train.label_export import write_label_pixels
from hsikit.train.label_pixels import LabelPixels
from hsikit.train.label_rasters import open_quietly, pixels_of_array, pixels_of_raster
from hsikit.train.label_vectors import LAYER_MARK, VectorOptions, ignored_values, pixels_of_file, pixels_of_frame
from hsikit.train.labelled import LabelledScene, connected_groups, label_names

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

VECTORS = {".gpkg", ".geojson", ".json", ".shp", ".fgb", ".gml", ".kml", ".zip", ".gdb", ".sqlite", ".csv", ".dxf", ".gpx"}


def read_labels(
    source: Source,
    labels: str | Path | NDArray[Any] | GeoDataFrame,
    *,
    class_field: str | None = None,
    crosswalk: str | Path | Crosswalk | None = None,
    legend: Legend | None = None,
    ignore: Iterable[Value] | Value = (0,),
    buffer: float = 0.0,
    min_coverage: float = 0.5,
    all_touched: bool = False,
    group_field: str | None = None,
    test_labels: str | Path | NDArray[Any] | GeoDataFrame | None = None,
) -> LabelledScene:
    """Puts labels on a scene's grid.

    Args:
        source: the scene; no pixel of it is read. A scene without georeference takes label rasters and arrays of its own shape;
            on a swath, polygons, points and rasters are placed by the longitude and latitude of its pixels' centres.
        labels: a vector file (any CRS; `FILE|layername=NAME` for one of several layers), a label raster (any grid, any CRS;
            nearest by pixel centre), a `.npy` or `.mat` array, an array of the scene's shape, or a GeoDataFrame.
        class_field: the field of a vector file with the class, a code or a name; may be left out where there is only one field.
        crosswalk: a CSV file (see `hsikit.train.crosswalk`) from the file's values to codes or names.
        legend: the classes to use, such as a model's. None: integer codes 1 to 250 are kept, names are numbered alphabetically.
        ignore: codes or names to leave out.
        buffer: polygons are shrunk inward by so many metres first.
        min_coverage: the share of a pixel, above 0 to 1, that a polygon must cover; not on a swath, where it must hold the centre.
        all_touched: take every pixel that a polygon touches; not on a swath.
        group_field: a field (parcel, flight line) of whose values no split may cut one.
        test_labels: further labels, read alike, to test on: the split `fixed` then trains on `labels`.

    Raises:
        LabelError: the file is missing or of no known kind; no such field; no features; an unknown CRS; no label inside the
            scene (both extents are said); polygons of two classes overlap; a value that is no class code; a pixel is both a
            training and a test label.
        OptionError: an option that makes no sense, or does not suit this kind of labels.
    """
    if test_labels is not None:
        kept: dict[str, Any] = {"class_field": class_field, "crosswalk": crosswalk, "legend": legend, "ignore": ignore, "buffer": buffer}
        kept |= {"min_coverage": min_coverage, "all_touched": all_touched, "group_field": group_field}
        return join_parts(*combine_legends([read_labels(source, given, **kept) for given in (labels, test_labels)]))
    options = VectorOptions(class_field, ignored_values(ignore), buffer, min_coverage, all_touched, group_field)
    options.check()
    name, pixels = _pixels(source, labels, options)
    table = read_crosswalk(crosswalk) if isinstance(crosswalk, (str, Path)) else crosswalk
    coding = encode(pixels.values, name, crosswalk=table, legend=legend, ignore=options.ignore, names=pixels.names, colours=pixels.colours)
    code_of = np.array([coding.codes.get(value, 0) for value in pixels.values], np.uint8)
    codes = code_of[pixels.value] if len(pixels.value) else np.zeros(0, np.uint8)
    keep = codes > 0
    if not keep.any():
        raise LabelError(name, "holds no labelled pixel inside the scene", "Check that it holds class codes, and what is ignored")
    rows, cols, given = pixels.rows, pixels.cols, pixels.groups
    if not keep.all():
        rows, cols, codes, given = rows[keep], cols[keep], codes[keep], None if given is None else given[keep]
    groups = connected_groups(rows, cols, codes, source.info.grid.shape[1]) if given is None else given
    return LabelledScene(
        source, rows, cols, codes, groups, coding.legend, name, group_field or "", pixels.group_names, numbered=coding.numbered, notes=pixels.notes
    )


def _pixels(source: Source, labels: Any, options: VectorOptions) -> tuple[str, LabelPixels]:
    """The name of the labels for messages, and their pixels."""
    grid, swath = source.info.grid, source.info.swath
    if not isinstance(labels, (str, Path)):
        if hasattr(labels, "geometry"):
            return "labels (GeoDataFrame)", pixels_of_frame(labels, grid, options, "labels (GeoDataFrame)", swath)
        _refuse_fields(options, "an array")
        return "labels (array)", pixels_of_array(np.asarray(labels), grid.shape, "labels (array)")
    name = str(labels)
    kind, path = file_kind(name)
    if kind == "vector":
        return name, pixels_of_file(name, grid, options, name, swath)
    _refuse_fields(options, f"a {path.suffix.lower()} file" if kind == "array" else "a label raster")
    if kind == "raster":
        return name, pixels_of_raster(path, grid, name, swath)
    return name, pixels_of_npy(path, grid.shape, name) if path.suffix.lower() == ".npy" else pixels_of_mat(path, grid.shape, name)


def file_kind(name: str) -> tuple[Literal["array", "raster", "vector"], Path]:
    """What a label file is, and the file to open: an array (.npy, .mat), a raster (of an ENVI header: its data file), or a vector file.

    Raises:
        LabelError: there is no such file, or it is empty.
    """
    path = Path(name.partition(LAYER_MARK)[0])
    if not path.exists():
        raise LabelError(name, "there is no such label file", "Check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise LabelError(name, "the label file is empty (0 bytes)", "Give another file")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".mat"):
        return "array", path
    raster = None if suffix in VECTORS or LAYER_MARK in name else _raster_path(path)
    return ("vector", path) if raster is None else ("raster", raster)


def _refuse_fields(options: VectorOptions, kind: str) -> None:
    """Labels without fields cannot obey options about fields and shapes."""
    for option, given in (("--group-field", options.group_field), ("--class-field", options.class_field), ("--buffer", options.buffer or None)):
        if given is not None:
            raise OptionError(option, f"{kind} has no fields and no polygons", "Leave the option out, or give vector labels")


def _raster_path(path: Path) -> Path | None:
    """The file to open where GDAL sees a raster (of an ENVI header: its data file), else None."""
    from rasterio.errors import RasterioError

    stems = [path] if path.suffix.lower() != ".hdr" else [path.with_suffix(end) for end in ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw")]
    for candidate in stems:
        try:
            with open_quietly(candidate) as file:
                if file.count:
                    return candidate
        except RasterioError:
            continue
    return None


def combine_legends(scenes: Sequence[LabelledScene]) -> list[LabelledScene]:
    """Brings several labelled scenes under one legend: classes are matched by name.

    Codes that the label files give are kept. Names that were numbered here take the code of the same name elsewhere, or the
    lowest free one; where all were numbered here, they are numbered anew, alphabetically.

    Raises:
        LabelError: one code stands for two names, or one name has two codes; both files are named.
    """
    fixed = [scene for scene in scenes if not scene.numbered]
    names: dict[int, tuple[str, str]] = {}
    for scene in fixed:
        for entry in scene.legend.classes:
            _agree(names, entry.code, entry.name, scene.name)
    code_of = {name: code for code, (name, _) in names.items()}
    wanted = sorted({entry.name for scene in scenes if scene.numbered for entry in scene.legend.classes} - set(code_of))
    free = [code for code in range(1, LAST_CLASS + 1) if code not in names]
    if len(wanted) > len(free):
        raise LabelError(label_names(scenes), f"together have more than {LAST_CLASS} classes", "Merge classes with a crosswalk")
    code_of.update(zip(wanted, free, strict=False))
    chosen = {code_of[name]: colour for scene in reversed(scenes) if scene.numbered for name, colour in _chosen_colours(scene.legend).items()}
    colours = chosen | {code_of[e.name]: e.colour for scene in reversed(fixed) for e in scene.legend.classes if e.name in code_of}
    legend = Legend.of({code: name for name, code in code_of.items()}, colours)
    return [replace(_recoded(scene, code_of, legend), numbered=not fixed) for scene in scenes]


def _chosen_colours(legend: Legend) -> dict[str, Colour]:
    """Colours that somebody gave the classes of a legend, by name: those that are not just the next of the palette."""
    return {entry.name: entry.colour for i, entry in enumerate(legend.classes) if entry.colour != PALETTE[i % len(PALETTE)]}


def _agree(names: dict[int, tuple[str, str]], code: int, name: str, file: str) -> None:
    """Enters a code's name; a class without a name of its own takes that of the same code elsewhere."""
    known, first = names.get(code, (name, file))
    if known != name and generic_name(code) not in (known, name):
        raise LabelError(file, f"code {code} is {name!r} here, but {known!r} in {first}", "Bring both to one legend with a crosswalk")
    real = known if name == generic_name(code) else name
    twin = next((other for other, (text, _) in names.items() if text == real and other != code), None)
    if twin is not None:
        raise LabelError(file, f"class {real!r} has code {code} here, but {twin} in {names[twin][1]}", "Bring both to one legend with a crosswalk")
    names[code] = (real, first)


def under_legend(scenes: Sequence[LabelledScene], legend: Legend) -> list[LabelledScene]:
    """Brings labels under a model's legend: classes are matched by name, and by code only where either has no name for it.

    Classes that the model does not have get the lowest codes that are free in its legend.

    Args:
        scenes: labelled scenes under one legend (`combine_legends`).
        legend: the model's.

    Raises:
        LabelError: no class of the labels is one of the model's.
    """
    own = scenes[0].legend
    code_of = {entry.name: entry.code for entry in legend.classes}
    name_of = {entry.code: entry.name for entry in legend.classes}
    target: dict[int, int] = {}
    for entry in own.classes:
        if entry.name in code_of:
            target[entry.code] = code_of[entry.name]
        elif not scenes[0].numbered and entry.code in name_of and generic_name(entry.code) in (entry.name, name_of[entry.code]):
            target[entry.code] = entry.code
    if not target:
        wrong = f"none of its classes ({', '.join(own.names)}) is one of the model's ({', '.join(legend.names)})"
        raise LabelError(label_names(scenes), wrong, "Send them to the model's classes with a crosswalk")
    strange = [entry for entry in own.classes if entry.code not in target]
    free = [code for code in range(1, LAST_CLASS + 1) if code not in name_of]
    if len(strange) > len(free):
        raise LabelError(label_names(scenes), f"together with the model's there are more than {LAST_CLASS} classes", "Merge classes with a crosswalk")
    target |= {entry.code: code for entry, code in zip(strange, free, strict=False)}
    extra = {target[entry.code]: entry for entry in strange}
    names = name_of | {code: entry.name for code, entry in extra.items()}
    colours = {entry.code: entry.colour for entry in legend.classes} | {code: entry.colour for code, entry in extra.items()}
    table = np.zeros(256, np.uint8)
    table[list(target)] = list(target.values())
    joined = Legend.of(names, colours)
    return [replace(scene, codes=table[scene.codes], legend=joined) for scene in scenes]


def _recoded(scene: LabelledScene, code_of: dict[str, int], legend: Legend) -> LabelledScene:
    """A scene under the common legend."""
    table = np.arange(256, dtype=np.uint8)
    if scene.numbered:
        for entry in scene.legend.classes:
            table[entry.code] = code_of[entry.name]
    return replace(scene, codes=table[scene.codes], legend=legend, numbered=False)


__all__ = ["combine_legends", "read_labels", "under_legend", "write_label_pixels"]

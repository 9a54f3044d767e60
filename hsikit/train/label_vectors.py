"""Vector labels: polygons and points of any file and CRS, put on the scene's grid.

A polygon labels the pixels of which it covers at least a given share, computed exactly. A pixel that polygons of two
classes merely share along their border goes to the one that covers more of it; polygons that overlap there are an error. On a
swath, whose pixels have centres but no known outlines, a polygon labels the pixels whose centres lie inside. A field `colour`
with `#rrggbb` gives the classes their colours in the map.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.geo.grid import Grid
from hsikit.geo.places import Bounds, places_of
from hsikit.geo.swath import Swath
from hsikit.layers import Colour
from hsikit.train.coverage import covered_pixels
from hsikit.train.crosswalk import Value, as_code, ignored, parse_colour
from hsikit.train.label_pixels import LabelPixels, extent_text, place_on
from hsikit.train.label_rasters import projection
from hsikit.train.swath_claims import centres_claimed

LAYER_MARK = "|layername="
COLOUR_FIELDS = ("colour", "color")
COLOUR_TEXT = r"#[0-9a-fA-F]{6}"
HALF = 0.5
TOUCHED = 1e-6
"""The least share of a pixel that counts as touched: a border shared with the pixel's edge is not a touch."""


@dataclass(frozen=True)
class VectorOptions:
    """How polygons and points become label pixels; the arguments of `read_labels` of the same names."""

    class_field: str | None = None
    ignore: tuple[Value, ...] = (0,)
    buffer: float = 0.0
    min_coverage: float = HALF
    all_touched: bool = False
    group_field: str | None = None

    def check(self) -> None:
        """Raises OptionError for values that make no sense."""
        if not (np.isfinite(self.buffer) and self.buffer >= 0):
            raise OptionError("--buffer", f"{self.buffer} is not a distance inward", "Give metres, 0 or more")
        if not 0 < self.min_coverage <= 1:
            raise OptionError("--min-coverage", f"{self.min_coverage} is no share of a pixel", "Give a share above 0 and up to 1, or --all-touched")

    def check_swath(self) -> None:
        """Raises OptionError for what only map grids know: how much of a pixel a polygon covers."""
        for option, given in (("--min-coverage", self.min_coverage != HALF), ("--all-touched", self.all_touched)):
            if given:
                wrong = "the outlines of a swath's pixels are not known, only their centres, so a polygon labels the pixels whose centres it holds"
                raise OptionError(option, wrong, "Leave the option out; --buffer shrinks polygons")


@dataclass(frozen=True, eq=False)
class _Claims:
    """Which feature claims which pixel, and how much of it: arrays of one length, and each feature's class."""

    flat: NDArray[np.int64]
    feature: NDArray[np.intp]
    share: NDArray[np.float64]


def pixels_of_file(path: str, grid: Grid, options: VectorOptions, name: str, swath: Swath | None = None) -> LabelPixels:
    """Label pixels of a vector file; `path` may end with QGIS's `|layername=NAME`.

    Raises:
        LabelError: see `read_labels`.
    """
    frame = features_around(path, grid, name, swath, lambda fields: _check_fields(name, fields, options))
    return pixels_of_frame(frame, grid, options, name, swath)


def features_around(path: str, grid: Grid, name: str, swath: Swath | None, check: Callable[[Sequence[str]], Any]) -> Any:
    """The features of a vector file around a scene, a GeoDataFrame whose index is the features' numbers.

    Args:
        path: of the file; may end with `|layername=NAME`.
        grid: the scene's.
        name: of the labels, for messages.
        swath: where the scene's pixels lie, if it is on the sensor's grid.
        check: given the names of the file's fields, before any feature is read.

    Raises:
        LabelError: see `read_labels`.
    """
    import pyogrio
    from pyogrio.errors import DataSourceError

    file, _, layer = path.partition(LAYER_MARK)
    try:
        layers = [str(entry) for entry in pyogrio.list_layers(file)[:, 0]]
        if not layer and len(layers) > 1:
            raise LabelError(name, f"has {len(layers)} layers: {', '.join(layers)}", f"Name one: '{file}{LAYER_MARK}{layers[0]}'")
        if layer and layer not in layers:
            raise LabelError(name, f"has no layer {layer!r}", f"Its layers are {', '.join(layers)}")
        chosen = layer or (layers[0] if layers else None)
        info = pyogrio.read_info(file, layer=chosen, force_feature_count=True, force_total_bounds=True)
        bounds, scene_crs = _scene_place(name, info["crs"], grid, swath)
        if info["features"] == 0:
            raise LabelError(name, "has no features", "Draw polygons or points, or give another file")
        check([str(f) for f in info["fields"]])
        frame = pyogrio.read_dataframe(file, layer=chosen, bbox=_search_box(bounds, scene_crs, info["crs"], name), fid_as_index=True)
    except DataSourceError as error:
        raise LabelError(name, "is neither a label raster nor a vector file that GDAL reads", "Give a GeoPackage, GeoJSON, shapefile or GeoTIFF") from error
    except (pyogrio.errors.DataLayerError, pyogrio.errors.FieldError, pyogrio.errors.FeatureError, pyogrio.errors.GeometryError) as error:
        raise LabelError(name, f"cannot be read ({error})", "Check that the file is whole") from error
    if not len(frame):
        raise _outside(name, info["total_bounds"], info["crs"], bounds, scene_crs)
    return frame


def _scene_place(name: str, crs: Any, grid: Grid, swath: Swath | None) -> tuple[Bounds, str]:
    """Extent and CRS of the scene; both the features and the scene must have a place on the ground."""
    places = places_of(grid, swath)
    if places is None:
        wrong = "these are vector labels, but the scene has no georeference to place them by"
        raise LabelError(name, wrong, "Give a label raster or array of the scene's shape")
    if not crs:
        raise LabelError(name, "the labels' CRS is unknown", "Give the file its CRS (a .prj beside a shapefile; ogr2ogr -a_srs)")
    return places.bounds, places.crs


def _check_fields(name: str, fields: Sequence[str], options: VectorOptions) -> str:
    """The class field: the named one, or the only one there is."""
    there = f"Its fields are {', '.join(fields)}" if fields else "Its features have no fields at all"
    for option, wanted in (("class", options.class_field), ("group", options.group_field)):
        if wanted is not None and wanted not in fields:
            raise LabelError(name, f"has no {option} field {wanted!r}", there)
    if options.class_field is not None:
        return options.class_field
    if len(fields) != 1:
        raise LabelError(name, "which field holds the class is not said", f"Name it with --class-field. {there}")
    return fields[0]


def _search_box(bounds: Bounds, scene_crs: str, crs: Any, name: str) -> Bounds | None:
    """The scene's extent in the labels' CRS, a little wider; None (read all) where it cannot be projected."""
    left, bottom, right, top = bounds
    edge = np.linspace(0, 1, 33)
    x = np.concatenate([left + edge * (right - left), left + edge * (right - left), np.full(33, left), np.full(33, right)])
    y = np.concatenate([np.full(33, bottom), np.full(33, top), bottom + edge * (top - bottom), bottom + edge * (top - bottom)])
    out_x, out_y = projection(scene_crs, crs, name)(x, y)
    if not (np.isfinite(out_x).all() and np.isfinite(out_y).all()) or (np.ptp(out_x) > 180 and abs(out_x).max() <= 360):
        return None
    margin = 0.01 * max(np.ptp(out_x), np.ptp(out_y))
    return float(out_x.min() - margin), float(out_y.min() - margin), float(out_x.max() + margin), float(out_y.max() + margin)


def _outside(name: str, bounds: Sequence[float], crs: Any, scene: Bounds, scene_crs: str) -> LabelError:
    """The error for labels beside the scene, with both extents."""
    wrong = f"no label lies inside the scene: the labels lie at {extent_text(bounds, str(crs))}, the scene at {extent_text(scene, scene_crs)}"
    return LabelError(name, wrong, "Check that they belong together, and the CRS of both")


def pixels_of_frame(frame: Any, grid: Grid, options: VectorOptions, name: str, swath: Swath | None = None) -> LabelPixels:
    """Label pixels of a GeoDataFrame; its index names the features in messages.

    Raises:
        LabelError: see `read_labels`.
    """
    crs = frame.crs
    place = _scene_place(name, crs, grid, swath)
    if not len(frame):
        raise LabelError(name, "has no features", "Draw polygons or points, or give another file")
    fields = [str(column) for column in frame.columns if column != frame.geometry.name]
    field = _check_fields(name, fields, options)
    notes: list[str] = []
    frame = _usable(frame, field, options, name, notes)
    bounds = frame.total_bounds
    frame, shapes, claims = _claimed(frame, grid, swath, options, name, notes)
    classes = [_value(v) for v in frame[field]]
    values = list(dict.fromkeys(classes))
    colours = _colours(frame, classes, name, notes)
    kind = np.array([values.index(c) for c in classes], np.intp)
    if not len(claims.flat):
        if swath is None and _meets(shapes, grid):
            raise LabelError(name, "the labels inside the scene cover no pixel enough", "Lower --min-coverage or --buffer, or give --all-touched")
        raise _outside(name, bounds, crs.to_string(), *place)
    best = _settle(claims, kind, [str(i) for i in frame.index], [str(values[k]) for k in kind], grid.shape[1], name, notes)
    flat, feature = claims.flat[best], claims.feature[best]
    groups, group_names = _groups(frame, feature, shapes, options.group_field, name)
    return LabelPixels(flat // grid.shape[1], flat % grid.shape[1], kind[feature], values, groups, group_names, colours=colours, notes=tuple(notes))


def _claimed(frame: Any, grid: Grid, swath: Swath | None, options: VectorOptions, name: str, notes: list[str]) -> tuple[Any, NDArray[Any], _Claims]:
    """The features that are left, their shapes, and the pixels that they claim."""
    import shapely

    shapes, crs = _shrunk(frame, grid, options.buffer, name, notes)
    if swath is not None:
        options.check_swath()
        frame, shapes = _left(frame, shapes, options.buffer, name, notes)
        flat, feature = centres_claimed(shapes, crs, swath)
        return frame, shapes, _Claims(flat, feature, np.ones(len(flat)))
    shapes = _project(shapes, crs, grid.crs, name)
    inverse = ~grid.affine
    shapes = shapely.transform(shapes, lambda xy: np.column_stack(place_on(inverse, xy[:, 0], xy[:, 1])))
    frame, shapes = _left(frame, shapes, options.buffer, name, notes)
    return frame, shapes, _claims(shapes, grid, TOUCHED if options.all_touched else options.min_coverage)


def _value(value: Any) -> Value:
    """A field's value as a code or a name."""
    code = as_code(value)
    return str(value).strip() if code is None else code


def _colours(frame: Any, classes: Sequence[Value], name: str, notes: list[str]) -> dict[Value, Colour]:
    """The classes' colours, where a field `colour` (or `color`) gives each class one as `#rrggbb`."""
    field = next((column for column in COLOUR_FIELDS if column in frame.columns), None)
    if field is None:
        return {}
    texts = [str(text).strip() for text in frame[field]]
    found = dict(zip(classes, texts, strict=True))
    if all(re.fullmatch(COLOUR_TEXT, text) and found[value] == text for value, text in zip(classes, texts, strict=True)):
        return {value: parse_colour(text, name) for value, text in found.items()}
    notes.append(f"{name}: the field {field!r} does not give each class one colour as #rrggbb, so it is not used")
    return {}


def _usable(frame: Any, field: str, options: VectorOptions, name: str, notes: list[str]) -> Any:
    """The features that have a shape and a class, and are not ignored."""
    hollow = frame.geometry.isna() | frame.geometry.is_empty | frame[field].isna() | (frame[field].astype(str).str.strip() == "")
    if hollow.any():
        notes.append(f"{name}: {int(hollow.sum())} features without geometry or without {field!r} were left out")
    frame = frame[~hollow]
    frame = frame[[not ignored(_value(v), options.ignore) for v in frame[field]]]
    if not len(frame):
        raise LabelError(name, f"no feature has a class in the field {field!r}", "Fill the field, or ignore fewer classes")
    kinds = set(frame.geometry.geom_type)
    strange = sorted(kinds - {"Polygon", "MultiPolygon", "Point", "MultiPoint"})
    if strange:
        raise LabelError(name, f"holds features of kind {', '.join(strange)}", "Labels are polygons or points; buffer lines to polygons first")
    return frame


def _shrunk(frame: Any, grid: Grid, buffer: float, name: str, notes: list[str]) -> tuple[NDArray[Any], Any]:
    """The features' shapes, valid and shrunk inward, and the CRS that they are in."""
    import shapely

    areas = frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    shapes = frame.geometry.to_numpy().copy()
    broken = areas & ~shapely.is_valid(shapes)
    if broken.any():
        notes.append(f"{name}: {int(broken.sum())} polygons cross themselves and were repaired (feature {frame.index[broken][0]} first)")
        shapes[broken] = shapely.make_valid(shapes[broken])
    source = frame.crs
    if buffer > 0 and areas.any():
        source = _metric(grid, frame)
        shapes = _project(shapes, frame.crs, source, name)
        shapes[areas] = shapely.buffer(shapes[areas], -buffer)
    return shapes, source


def _left(frame: Any, shapes: NDArray[Any], buffer: float, name: str, notes: list[str]) -> tuple[Any, NDArray[Any]]:
    """Without the features that have vanished."""
    import shapely

    kept = ~shapely.is_empty(shapes)
    if not kept.any():
        raise LabelError(name, f"no polygon is left after shrinking by {buffer} m", "Give a smaller --buffer")
    if not kept.all():
        notes.append(f"{name}: {int((~kept).sum())} polygons vanish when shrunk by {buffer} m")
    return frame[kept], shapes[kept]


def _metric(grid: Grid, frame: Any) -> Any:
    """A CRS in metres to shrink polygons in: the scene's or the labels' own, or the UTM zone of the labels."""
    from pyproj import CRS

    for given in (grid.crs, frame.crs):
        crs = None if given is None else CRS.from_user_input(given)
        if crs is not None and crs.is_projected and all(abs(axis.unit_conversion_factor - 1) < 1e-9 for axis in crs.axis_info[:2]):
            return crs
    return frame.estimate_utm_crs()


def _project(shapes: NDArray[Any], source: Any, target: Any, name: str) -> NDArray[Any]:
    """Shapes in another CRS; those without an image there become empty."""
    import shapely

    project = projection(source, target, name)
    moved = shapely.transform(shapes, lambda xy: np.column_stack(project(xy[:, 0], xy[:, 1])))
    finite = np.isfinite(shapely.bounds(moved)).all(axis=1) & np.array([np.isfinite(shapely.get_coordinates(s)).all() for s in moved])
    moved[~finite] = shapely.from_wkt("GEOMETRYCOLLECTION EMPTY")
    return np.asarray(moved, object)


def _meets(shapes: NDArray[Any], grid: Grid) -> bool:
    """Whether any shape meets the scene."""
    import shapely

    return bool(shapely.intersects(shapely.box(0, 0, grid.shape[1], grid.shape[0]), shapes).any())


def _claims(shapes: NDArray[Any], grid: Grid, least: float) -> _Claims:
    """Pixels that each shape covers by at least a share; points cover their pixel whole."""
    flat, feature, share = [np.zeros(0, np.int64)], [np.zeros(0, np.intp)], [np.zeros(0)]
    for number, shape in enumerate(shapes):
        rows, cols, covered = covered_pixels(shape, grid.shape)
        keep = covered >= least - 1e-9
        flat.append(rows[keep].astype(np.int64) * grid.shape[1] + cols[keep])
        feature.append(np.full(int(keep.sum()), number, np.intp))
        share.append(covered[keep])
    return _Claims(np.concatenate(flat), np.concatenate(feature), np.concatenate(share))


def _settle(claims: _Claims, kind: NDArray[np.intp], ids: Sequence[str], classes: Sequence[str], width: int, name: str, notes: list[str]) -> NDArray[np.intp]:
    """One claim for each pixel, in the order of the pixels: the largest; a border pixel claimed equally by two classes goes to none.

    Raises:
        LabelError: polygons of two classes overlap.
    """
    order = np.lexsort((claims.feature, -claims.share, claims.flat))
    flat, share, kinds = claims.flat[order], claims.share[order], kind[claims.feature[order]]
    first = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    pixel = np.cumsum(np.r_[True, flat[1:] != flat[:-1]]) - 1
    rival = kinds != kinds[first][pixel]
    # The winner and its largest rival cannot both fit into one pixel unless they overlap.
    strongest = np.zeros(len(first))
    np.maximum.at(strongest, pixel[rival], share[rival])
    overlap = share[first] + strongest > 1 + 1e-6
    if overlap.any():
        at = int(np.flatnonzero(overlap)[0])
        one = int(claims.feature[order][first[at]])
        other = int(claims.feature[order][np.flatnonzero(rival & (pixel == at))[0]])
        where = f"pixel (row {flat[first[at]] // width}, column {flat[first[at]] % width})"
        wrong = f"features {ids[one]} ({classes[one]}) and {ids[other]} ({classes[other]}) both claim {where}; {int(overlap.sum())} such pixels in all"
        raise LabelError(name, wrong, "Correct the overlap, shrink polygons with --buffer, or ignore one class")
    tied = (strongest > 0) & (share[first] - strongest < 1e-9)
    if tied.any():
        notes.append(f"{name}: {int(tied.sum())} pixels half in one class and half in another were left out")
    return order[first[~tied]]


def _groups(frame: Any, feature: NDArray[np.intp], shapes: NDArray[Any], field: str | None, name: str) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The group of each label pixel: the group field's value, else the polygon; None where points ask for connected components."""
    import shapely

    if field is not None:
        missing = frame[field].isna()
        if missing.any():
            raise LabelError(name, f"{int(missing.sum())} features have no {field!r} (feature {frame.index[missing][0]} first)", "Fill the group field")
        values = [str(_value(v)) for v in frame[field]]
        names = tuple(sorted(set(values)))
        return np.array([names.index(v) for v in values], np.int64)[feature], names
    if (shapely.get_dimensions(shapes) < 2).all():
        return None, ()
    return feature.astype(np.int64), ()


def ignored_values(ignore: Iterable[Value] | Value) -> tuple[Value, ...]:
    """What to ignore, given one by one or alone."""
    return (ignore,) if isinstance(ignore, (int, str)) else tuple(ignore)

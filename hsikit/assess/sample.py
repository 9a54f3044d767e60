"""Draws a reference sample from a class map: points for an interpreter to answer, stratified by map class or simple random.

Two passes over the map, strip by strip: the pixels of each class are counted, then those of the drawn ordinal numbers are found.
An ordinal counts the pixels of a class row by row from the top, so that the same seed draws the same pixels however the file is
cut into blocks. Olofsson et al. (2014), doi:10.1016/j.rse.2014.02.015; that strata stay those of the map sampled: Stehman (2014),
doi:10.1080/01431161.2014.930207.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import Census, ClassMap, Stratum, open_class_map
from hsikit.assess.design import Design, points_in_all, points_per_stratum
from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import IDENTITY, Grid
from hsikit.layers import Features
from hsikit.version import __version__
from hsikit.writers.failures import writing
from hsikit.writers.staging import check_target, commit
from hsikit.writers.vector import write_vector

SAMPLE, STRATA, DRAWN, DESIGN = "sample", "strata", "drawn", "design"
"""Layers of the GeoPackage: the points; N_i of each stratum; a blind sample's strata by point; how it was drawn."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Sample:
    """What was drawn.

    Attributes:
        path: the GeoPackage.
        simple: whether it is a simple random sample.
        strata: the map's classes; `points` of each that were drawn.
        outside: pixels outside the population, by code.
        notes: what the user should know.
    """

    path: Path
    simple: bool
    strata: tuple[Stratum, ...]
    outside: Mapping[int, int]
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Points in all."""
        return sum(stratum.points for stratum in self.strata)

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "sample": str(self.path),
            "design": "simple" if self.simple else "stratified",
            "points": self.points,
            "strata": [asdict(stratum) for stratum in self.strata],
            "outside": {str(code): pixels for code, pixels in self.outside.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class _Group:
    """Pixels among which points are drawn alike: those of some codes, and which of them are drawn, ascending."""

    codes: Sequence[int]
    ordinals: NDArray[np.int64]


def sample_map(
    path: str | Path,
    output: str | Path,
    *,
    per_class: int | None = None,
    total: int | None = None,
    standard_error: float | None = None,
    expected_accuracy: float | Mapping[str | int, float] | None = None,
    minimum: int = 50,
    simple: bool = False,
    seed: int = 0,
    blind: bool = False,
    outside: Iterable[int] = (),
    inside: Iterable[int] = (),
    overwrite: bool = False,
) -> Sample:
    """Draws reference points from a class map into a GeoPackage, in an order that says nothing of the class.

    The layer `sample` holds points at pixel centres with `id`, `map_code`, `map_class`, `row`, `col` and the empty field
    `reference`; the table `strata` the pixels of each class, which `assess_map` needs. Without georeference points lie at
    (col + 0.5, -(row + 0.5)), where a GIS shows such an image.

    Args:
        path: the class map.
        output: the GeoPackage (`.gpkg`).
        per_class: points of each class.
        total: points in all; each class gets at least `minimum`, the rest is shared in proportion.
        standard_error: wanted of the overall accuracy, such as 0.01; the total follows.
        expected_accuracy: user's accuracy that is expected (0 to 1), one or by class name or code; with `standard_error` only.
        minimum: the fewest points of a class, at least 2.
        simple: a simple random sample of all pixels, whatever their class.
        seed: the same seed draws the same pixels of the same map.
        blind: leave the map's class out of the points, so that it cannot lead the interpreter.
        outside: further codes outside the population; the file's nodata, 0, 254 and 255 are outside anyway.
        inside: codes of 0, 254 and 255 that are classes in this map.
        overwrite: whether an existing file may be replaced.

    Raises:
        MapError: the map cannot be read, is no class map, or has a class of one pixel.
        OptionError: the numbers contradict each other or are too small.
        OutputError: the file exists, or cannot be written.
        GridError: areas cannot be computed in the map's CRS.
    """
    target = Path(output)
    if target.suffix.lower() != ".gpkg":
        raise OutputError(output, "a sample is written as a GeoPackage, which keeps its strata too", "Let the name end in .gpkg")
    if seed < 0:
        raise OptionError("seed", f"{seed} is below 0", "Give 0 or more")
    check_target(target, overwrite)
    design = Design(per_class, total, standard_error, expected_accuracy, minimum, simple)
    design.check()
    with open_class_map(path, outside=outside, inside=inside) as found:
        census = found.census()
        groups, notes = _groups(design, census, found.name, seed)
        rows, cols, codes = _draw(found, groups)
        order = np.random.default_rng([seed, 1]).permutation(len(rows))
        rows, cols, codes = rows[order], cols[order], codes[order]
        drawn = {stratum.code: int((codes == stratum.code).sum()) for stratum in census.strata}
        strata = tuple(replace(stratum, points=drawn[stratum.code]) for stratum in census.strata)
        facts = {"design": "simple" if simple else "stratified", "map": Path(found.name).name, "seed": seed, "version": __version__}
        _write(target, _points(found, rows, cols, codes, blind), _tables(strata, codes, facts, blind))
    return Sample(target, simple, strata, census.outside, notes)


def _groups(design: Design, census: Census, where: str, seed: int) -> tuple[list[_Group], tuple[str, ...]]:
    """Which ordinals of which classes are drawn."""
    notes: tuple[str, ...] = ()
    if design.simple:
        codes, sizes, points = [[stratum.code for stratum in census.strata]], [census.pixels], [points_in_all(design, census)]
    else:
        codes, sizes = [[stratum.code] for stratum in census.strata], [stratum.pixels for stratum in census.strata]
        counts, notes = points_per_stratum(design, census, where)
        points = counts.tolist()
    # One generator for each group, so that more points in one class leave the others where they are.
    streams = [np.random.default_rng([seed, 0, number]) for number in range(len(codes))]
    drawn = [np.sort(rng.choice(size, count, replace=False)) for rng, size, count in zip(streams, sizes, points, strict=True)]
    return [_Group(of, ordinals) for of, ordinals in zip(codes, drawn, strict=True)], notes


def _draw(found: ClassMap, groups: Collection[_Group]) -> tuple[Indices, Indices, NDArray[np.int64]]:
    """Rows, columns and codes of the drawn pixels, row by row whatever the strips."""
    passed = [0] * len(groups)
    rows: list[Indices] = []
    cols: list[Indices] = []
    codes: list[NDArray[np.int64]] = []
    for window in found.windows():
        strip = found.read(window)
        for number, group in enumerate(groups):
            if passed[number] > group.ordinals[-1]:
                continue
            inside = strip == group.codes[0] if len(group.codes) == 1 else np.isin(strip, group.codes)
            before, passed[number] = passed[number], passed[number] + int(np.count_nonzero(inside))
            first, last = np.searchsorted(group.ordinals, (before, passed[number]))
            if last > first:
                row, col = _nth(inside, group.ordinals[first:last] - before)
                rows.append(row + window.row)
                cols.append(col)
                codes.append(strip[row, col].astype(np.int64))
    row, col, code = np.concatenate(rows), np.concatenate(cols), np.concatenate(codes)
    order = np.lexsort((col, row))
    return row[order], col[order], code[order]


def _nth(inside: NDArray[np.bool_], ordinals: NDArray[np.int64]) -> tuple[Indices, Indices]:
    """Rows and columns of the n-th true pixels, counted row by row; `ordinals` ascend from 0."""
    ends = np.cumsum(np.count_nonzero(inside, axis=1))
    rows = np.searchsorted(ends, ordinals, side="right").astype(np.intp)
    starts = ends[rows] - np.count_nonzero(inside[rows], axis=1)
    cols = [np.flatnonzero(inside[row])[ordinals[rows == row] - starts[rows == row]] for row in np.unique(rows)]
    return rows, np.concatenate(cols)


def _points(found: ClassMap, rows: Indices, cols: Indices, codes: NDArray[np.int64], blind: bool) -> Features:
    """The points as the interpreter gets them."""
    columns: dict[str, NDArray[Any]] = {"id": np.arange(1, len(rows) + 1)}
    if not blind:
        columns |= {"map_code": codes, "map_class": np.array([found.name_of(int(code)) for code in codes], object)}
    columns |= {"row": rows, "col": cols, "reference": np.full(len(rows), None, object)}
    return Features(columns, np.column_stack(place_of(found.grid, rows, cols)), found.grid.crs)


def place_of(grid: Grid, rows: Indices, cols: Indices) -> tuple[Any, Any]:
    """Map coordinates of pixel centres; rows count downward as -y where the map has no transform, as a GIS shows it."""
    x, y = grid.centres(rows, cols)
    return (x, -y) if grid.transform == IDENTITY else (x, y)


def _tables(strata: Sequence[Stratum], codes: NDArray[np.int64], facts: Mapping[str, Any], blind: bool) -> dict[str, dict[str, list[Any]]]:
    """The tables beside the points, by name."""
    tables: dict[str, dict[str, list[Any]]] = {DESIGN: {name: [value] for name, value in facts.items()}}
    if facts["design"] == "stratified":
        tables[STRATA] = {name: [getattr(stratum, name) for stratum in strata] for name in ("code", "name", "pixels", "hectares", "points")}
        if blind:
            tables[DRAWN] = {"id": list(range(1, len(codes) + 1)), "map_code": codes.tolist()}
    return tables


def _write(target: Path, points: Features, tables: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """Writes points and tables beside the target, then gives them its name."""
    import pandas
    import pyogrio

    with writing(target), tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        part = Path(folder) / target.name
        write_vector(points, part, layer_name=SAMPLE)
        for name, columns in tables.items():
            pyogrio.write_dataframe(pandas.DataFrame(dict(columns)), part, layer=name, driver="GPKG")
        commit([(part, target)])

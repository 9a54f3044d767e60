"""A class map against reference points: accuracy and areas, each with a 95 % interval, for whoever publishes the map.

The estimators are those of `hsikit.metrics.area_accuracy` (Olofsson et al. 2014, doi:10.1016/j.rse.2014.02.015; Stehman 2014,
doi:10.1080/01431161.2014.930207). Here it is settled what the strata are. Where the sample's file keeps them, they are those, be
the map the one that was sampled or another one; else the points are post-stratified by the map.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import Census, ClassMap, Stratum, open_class_map
from hsikit.assess.point_files import some
from hsikit.assess.reference import Drawn, Reference, pixels_of, read_reference
from hsikit.errors import LabelError, OptionError
from hsikit.metrics.area_accuracy import AreaAccuracy, Estimates, area_accuracy
from hsikit.train.crosswalk import Value

Codes = NDArray[np.int64]

WHOLE = "the whole map"
FROM_THIS = "The strata are the classes of this map, from which the sample was drawn"
FROM_ANOTHER = "The strata are the classes of the map that the sample was drawn from, not of this one (Stehman 2014)"
POST = "The file keeps no strata: its points are post-stratified by this map, as is right where they were drawn at random from it, or within its classes"
NO_HECTARES = "The map has no georeference: areas are in pixels, and there are no hectares"
SIMPLE = "The points are taken as a simple random sample of the map, in one stratum"


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a map is worth. Arrays over K classes are in the order of `accuracy.classes`.

    Attributes:
        map: the map.
        reference: the file of reference points.
        accuracy: estimates with their standard errors.
        codes: the map's code of each class; None for a class that the map lacks.
        area: estimated area of each class in `unit`, shape (K,).
        mapped: area of each class as the map has it, in `unit`, shape (K,).
        unit: "ha" (geodesic), or "pixels" where the map has no place on the ground.
        strata: what the points were stratified by, one sentence.
        points: reference points that were used.
        unanswered: points that were left out because nobody has answered them.
        notes: what a reader must know of these numbers, `strata` first.
    """

    map: str
    reference: str
    accuracy: AreaAccuracy
    codes: tuple[int | None, ...]
    area: Estimates
    mapped: NDArray[np.float64]
    unit: str
    strata: str
    points: int
    unanswered: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined values are None."""
        return {
            "map": self.map,
            "reference": self.reference,
            "points": self.points,
            "unanswered": self.unanswered,
            "strata": self.strata,
            "codes": list(self.codes),
            **self.accuracy.to_json(),
            "unit": self.unit,
            "area": self.area.to_json(),
            "mapped_area": self.mapped.tolist(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class _Points:
    """Answered points: map class and reference class as positions in the list of classes, and stratum as position in the strata."""

    mapped: NDArray[np.intp]
    reference: NDArray[np.intp]
    stratum: NDArray[np.intp]


def assess_map(
    path: str | Path,
    reference: str | Path,
    *,
    field: str = "reference",
    crs: str | None = None,
    simple: bool = False,
    allow_unanswered: bool = False,
    allow_unmapped: bool = False,
    outside: Iterable[int] = (),
    inside: Iterable[int] = (),
) -> Assessment:
    """Accuracy and class areas of a map from reference points.

    Args:
        path: the class map.
        reference: points: what `sample_map` wrote, with its field `reference` filled in, or any GeoPackage, GeoJSON, shapefile, or
            CSV table with x and y. Each stands for one pixel.
        field: the field of the true class, by name or code.
        crs: CRS of points whose file does not say; a CSV table is in the map's CRS otherwise.
        simple: take the points as a simple random sample, in one stratum.
        allow_unanswered: leave out points without an answer, as if they were like the others of their stratum.
        allow_unmapped: accept reference classes that the map lacks, where it is always wrong.
        outside: further codes outside the population.
        inside: codes of 0, 254 and 255 that are classes in this map.

    Raises:
        MapError: the map cannot be read, or is no class map.
        LabelError: points outside the map or its population, unanswered, of a class that the map lacks, moved from their pixels,
            or fewer than two in a stratum.
        GridError: a CRS is missing or not understood.
        OptionError: codes contradict each other, or `simple` is said of points that were drawn by strata.
    """
    given = read_reference(reference, field)
    with open_class_map(path, outside=outside, inside=inside) as found:
        census = found.census()
        places = pixels_of(given.file, found, crs)
        codes = found.codes_at(*places)
        _check_inside(given, codes, found)
        names, answers = _answers(given, found, census, allow_unmapped)
        strata, stratum, basis = _strata(given, census, codes, places, simple)
        answered = np.array([answer is not None for answer in answers])
        missing = _unanswered(given, answered, allow_unanswered)
        shown = sorted({*codes[answered].tolist(), *(answer for answer in answers if answer is not None)})
        notes = [basis, *missing, *_remarks(given, found, places, census, set(codes[answered].tolist()), crs)]
        points = _Points(np.searchsorted(shown, codes[answered]), np.searchsorted(shown, [a for a in answers if a is not None]), stratum[answered])
        labels = [names[code] for code in shown]
        accuracy = _estimate(str(reference), points, labels, strata, basis)
        area, mapped, unit = _areas(accuracy, strata, census, shown)
        notes += [NO_HECTARES] if unit == "pixels" else []
        known = tuple(code if code in _codes_of(found, census) else None for code in shown)
        unused = len(answered) - len(points.mapped) + _lost(given.drawn)
    return Assessment(str(path), str(reference), accuracy, known, area, mapped, unit, basis, len(points.mapped), unused, (*notes, *accuracy.notes))


def _check_inside(given: Reference, codes: Codes, found: ClassMap) -> None:
    """Points must lie where the map has a class."""
    beside = np.isin(codes, list(found.outside))
    if beside.any():
        kinds = ", ".join(map(str, np.unique(codes[beside])))
        wrong = f"{int(beside.sum())} points lie where the map has no class (code {kinds}; ids {given.named(beside)})"
        raise LabelError(given.file.name, wrong, "Remove them: they say nothing of this map (or see --inside)")


def _codes_of(found: ClassMap, census: Census) -> set[int]:
    """Codes that are classes of the map: those that occur, and those of its legend."""
    return {stratum.code for stratum in census.strata} | (set(found.names) - found.outside)


def _answers(given: Reference, found: ClassMap, census: Census, allow_unmapped: bool) -> tuple[dict[int, str], list[int | None]]:
    """Names by code, and each point's answer as a code; classes that the map lacks get codes above all others."""
    names = {code: found.name_of(code) for code in sorted(_codes_of(found, census))}
    codes = {value: _code_of(value, names, given) for value in dict.fromkeys(given.answers) if value is not None}
    strange = [value for value, code in codes.items() if code is None]
    if strange and not allow_unmapped:
        at = given.named(np.array([value in strange for value in given.answers]))
        wrong = f"the map has no class {', '.join(map(repr, strange))} (ids {at})"
        classes = ", ".join(f"{code} {name}" for code, name in names.items())
        raise LabelError(given.file.name, wrong, f"Its classes are {classes}. Correct the answers, or accept such a class with --allow-unmapped")
    above = 1 + max([*names, *(value for value in codes if isinstance(value, int))])
    for number, value in enumerate(strange):
        codes[value] = above + number
        names[above + number] = str(value) if isinstance(value, str) else f"class {value}"
    return names, [None if value is None else codes[value] for value in given.answers]


def _code_of(value: Value, names: Mapping[int, str], given: Reference) -> int | None:
    """The class that an answer means: by its name, in upper or lower case, or by its code."""
    wanted = str(value).casefold()
    named = [code for code, name in names.items() if name.casefold() == wanted]
    exact = [code for code in named if names[code] == value]
    if len(exact or named) > 1:
        raise LabelError(given.file.name, f"the map has {len(exact or named)} classes called {value!r}", "Answer by the code")
    if named:
        return (exact or named)[0]
    return value if isinstance(value, int) and value in names else None


def _strata(given: Reference, census: Census, codes: Codes, places: Any, simple: bool) -> tuple[tuple[Stratum, ...], NDArray[np.intp], str]:
    """The strata, each point's position in them, and what they are."""
    if simple and given.drawn is not None:
        raise OptionError("simple", f"the points of {given.file.name} were drawn by strata, which the file keeps", "Leave it out")
    if simple:
        hectares = [stratum.hectares for stratum in census.strata]
        area = None if None in hectares else float(sum(h for h in hectares if h is not None))
        return (Stratum(0, WHOLE, census.pixels, area),), np.zeros(len(codes), np.intp), SIMPLE
    drawn = given.drawn
    if drawn is None:
        return census.strata, _positions(census.strata, codes), POST
    counted = {stratum.code: stratum.pixels for stratum in census.strata}
    if any(counted.get(stratum.code) != stratum.pixels for stratum in drawn.strata):
        return drawn.strata, _positions(drawn.strata, drawn.codes), FROM_ANOTHER
    _check_unmoved(given, drawn, codes, places)
    return drawn.strata, _positions(drawn.strata, drawn.codes), FROM_THIS


def _positions(strata: Sequence[Stratum], codes: Codes) -> NDArray[np.intp]:
    place = {stratum.code: position for position, stratum in enumerate(strata)}
    return np.array([place[code] for code in codes.tolist()], np.intp)


def _check_unmoved(given: Reference, drawn: Drawn, codes: Codes, places: Any) -> None:
    """Points of a sample of this very map lie on the pixels that were drawn."""
    moved = drawn.codes != codes
    if drawn.places is not None:
        moved |= (drawn.places[0] != places[0]) | (drawn.places[1] != places[1])
    if moved.any():
        wrong = f"{int(moved.sum())} points do not lie on the pixels that were drawn (ids {given.named(moved)})"
        raise LabelError(given.file.name, wrong, "Put them back: a point that is moved is no random one")


def _unanswered(given: Reference, answered: NDArray[np.bool_], allowed: bool) -> list[str]:
    """What to say of points without an answer, and of those that were drawn and are no longer in the file."""
    empty, lost = int((~answered).sum()), _lost(given.drawn)
    what = [f"{empty} of {len(answered)} points have no answer (ids {given.named(~answered)})"] if empty else []
    what += [f"{lost} points that were drawn are missing from the file"] if lost else []
    if what and not allowed:
        raise LabelError(given.file.name, "; ".join(what), "Answer them all, or leave them out with --allow-unanswered")
    return [f"{text}: they are left out, as if they were like the others of their stratum" for text in what]


def _lost(drawn: Drawn | None) -> int:
    """Points that were drawn and are no longer in the file."""
    if drawn is None:
        return 0
    return sum(max(0, stratum.points - int((drawn.codes == stratum.code).sum())) for stratum in drawn.strata)


def _remarks(given: Reference, found: ClassMap, places: Any, census: Census, met: Collection[int], crs: str | None) -> list[str]:
    """What else a reader should know."""
    notes = []
    twice = len(places[0]) - len(set(zip(*(axis.tolist() for axis in places), strict=True)))
    if twice:
        notes.append(f"{twice} points share their pixel with another one")
    if given.file.is_table and crs is None and found.grid.crs is not None:
        notes.append(f"The points' x and y are taken to be in the map's CRS ({found.grid.crs_name}): --crs names another")
    silent = [stratum.name for stratum in census.strata if stratum.code not in met]
    if silent:
        notes.append(f"No answered point lies in the map's {some(silent)}: nothing is known of the user's accuracy there")
    return notes


def _estimate(where: str, points: _Points, classes: Sequence[str], strata: Sequence[Stratum], basis: str) -> AreaAccuracy:
    """The estimates; refuses strata with fewer than two points."""
    counts = np.zeros((len(strata), len(classes), len(classes)), np.int64)
    np.add.at(counts, (points.stratum, points.mapped, points.reference), 1)
    short = [f"{stratum.name} ({held})" for stratum, held in zip(strata, counts.sum((1, 2)), strict=True) if held < 2]
    if short:
        wrong = f"fewer than two points in {', '.join(short)}: no interval can be computed"
        other = "" if basis == SIMPLE else ", or, if the points are a simple random sample, say --simple"
        raise LabelError(where, wrong, f"Add points there, join the class to another in the map{other}")
    by_area = all(stratum.hectares is not None for stratum in strata)
    sizes = [stratum.hectares if by_area else stratum.pixels for stratum in strata]
    return area_accuracy(counts, np.array(sizes, np.float64), classes, 1.0 if by_area else None, [stratum.name for stratum in strata])


def _areas(accuracy: AreaAccuracy, strata: Sequence[Stratum], census: Census, shown: Sequence[int]) -> tuple[Estimates, NDArray[np.float64], str]:
    """Estimated and mapped areas in hectares, or in pixels where the map has no place on the ground."""
    held = {stratum.code: stratum for stratum in census.strata}
    if accuracy.hectares is not None:
        return accuracy.hectares, np.array([held[code].hectares if code in held else 0.0 for code in shown], np.float64), "ha"
    total = float(sum(stratum.pixels for stratum in strata))
    area = Estimates(accuracy.share.value * total, accuracy.share.error * total)
    return area, np.array([held[code].pixels if code in held else 0 for code in shown], np.float64), "pixels"

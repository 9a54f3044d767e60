"""Absorption features: where they are looked for, and what they are like in a library spectrum at a sensor's bands.

A feature is named by two shoulders. Features of well-known minerals are in `features.toml`, from the literature; those of any
other spectrum are found where it lies below its own continuum.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.spectral.continuum import continuum

Floats = NDArray[np.float64]
GROUPS = {1: (300.0, 1900.0), 2: (1900.0, 2600.0)}
"""Wavelengths (nm) of the two groups: electronic absorptions, mainly of iron, and overtones of hydroxyl, carbonate and water."""
LEAST_AREA_DEPTH = 0.02
"""A feature of a library spectrum is one from this depth on."""
MOST_FOUND = 3
"""Features that are found in a group of a spectrum, at most: those of the largest area."""
SHOULDER = 0.1
"""Width of a shoulder that is found, as a share of the feature."""
LEAST_BANDS = 5
"""Bands from the first of the left shoulder to the last of the right one."""
MOST_HOLE = 0.25
"""Widest distance of neighbouring bands, as a share of the feature: beyond it the feature is not seen."""
LEAST_SPAN = 40.0
"""Width (nm) of a feature that is found, at least: narrower ones are noise of the library."""
RETURN = 0.1
"""Two absorptions are two where the spectrum between them is below its continuum by at most this share of the shallower one."""
TABLE = Path(__file__).with_name("features.toml")


@dataclass(frozen=True)
class Feature:
    """Where an absorption is looked for.

    Attributes:
        group: 1 or 2: entries compete within a group.
        left: the shoulder of shorter wavelength, from and to (nm).
        right: the other shoulder.
        diagnostic: whether a pixel without it cannot be this material.
        slope: least and most of the right shoulder's reflectance over the left one's.
    """

    group: int
    left: tuple[float, float]
    right: tuple[float, float]
    diagnostic: bool = True
    slope: tuple[float, float] = (0.0, float("inf"))


@dataclass(frozen=True)
class Mineral:
    """Features of a mineral that is known from the literature.

    Attributes:
        name: the mineral.
        match: which names of a library are it.
        features: where to look.
    """

    name: str
    match: re.Pattern[str]
    features: tuple[Feature, ...]


@dataclass(frozen=True, eq=False)
class _Found:
    """A feature that is found, its area, and whether both its shoulders are seen."""

    feature: Feature
    area: float
    closed: bool


@dataclass(frozen=True, eq=False)
class Profile:
    """A feature of one library spectrum at a sensor's bands.

    Attributes:
        window: first band, the band after the last, and how many of them are left and right shoulder: features of one window share their continuum.
        group, diagnostic, slope: as in `Feature`.
        centred: the spectrum over its continuum less its mean, shape (n,).
        depth: 1 less its least value.
        area: sum of what it is below 1.
    """

    window: tuple[int, int, int, int]
    group: int
    diagnostic: bool
    slope: tuple[float, float]
    centred: Floats
    depth: float
    area: float


def read_features(path: str | Path = TABLE) -> tuple[Mineral, ...]:
    """The table of diagnostic features.

    Args:
        path: TOML, an array of tables `mineral`: `name`, `match` (a regular expression for names of library spectra), and `features`,
            each with `group` (1 or 2), `left` and `right` (from, to in nm), and optionally `diagnostic` (true) and `slope` (least, most).

    Raises:
        OptionError: it cannot be read, or says what is no feature.
    """
    file = Path(path)
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(file, f"the features cannot be read ({error.strerror})", "Check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(file, f"it is not TOML ({error})", "See docs/minerals.md for its form") from None
    listed = tables.get("mineral")
    if not isinstance(listed, list) or not listed or not all(isinstance(table, dict) for table in listed):
        raise OptionError(file, "it holds no [[mineral]]", "See docs/minerals.md for its form")
    return tuple(_mineral(file, table) for table in listed)


def _mineral(file: Path, table: Mapping[str, Any]) -> Mineral:
    name = str(table.get("name", "a mineral without a name"))
    unknown = set(table) - {"name", "match", "features"}
    if unknown or not isinstance(table.get("features"), list) or not table["features"]:
        wrong = f"{name}: it has no features" if not unknown else f"{name}: '{min(unknown)}' is not known"
        raise OptionError(file, wrong, "A mineral has name, match and features")
    try:
        match = re.compile(str(table.get("match", f"^{re.escape(name)}")), re.IGNORECASE)
    except re.error as error:
        raise OptionError(file, f"{name}: its match is no regular expression ({error})") from None
    return Mineral(name, match, tuple(_feature(file, name, told) for told in table["features"]))


def _feature(file: Path, name: str, told: Any) -> Feature:
    known = {"group", "left", "right", "diagnostic", "slope"}
    try:
        if set(told) - known:
            raise ValueError(f"'{min(set(told) - known)}' is not known")
        left, right = _pair(told["left"]), _pair(told["right"])
        slope = _pair(told.get("slope", (0.0, float("inf"))))
        if told["group"] not in GROUPS or not isinstance(told.get("diagnostic", True), bool):
            raise ValueError("group is 1 or 2, and diagnostic true or false")
        if left[1] >= right[0]:
            raise ValueError("the left shoulder does not end before the right one begins")
    except KeyError as error:
        raise OptionError(file, f"{name}: a feature has no {error.args[0]}", "Give group, left and right") from None
    except (TypeError, ValueError) as error:
        raise OptionError(file, f"{name}: a feature cannot be used ({error})", "See docs/minerals.md for its form") from None
    return Feature(told["group"], left, right, told.get("diagnostic", True), slope)


def _pair(value: Any) -> tuple[float, float]:
    low, high = (float(number) for number in value)
    if not low <= high:
        raise ValueError(f"{value} does not ascend")
    return low, high


def features_of(name: str, spectrum: Floats, wavelength: Floats, table: tuple[Mineral, ...]) -> tuple[Feature, ...]:
    """Where to look for a library spectrum: what the table says of its name, else what is found in it."""
    known = next((mineral.features for mineral in table if mineral.match.search(name)), None)
    return known if known is not None else find_features(spectrum, wavelength)


def find_features(spectrum: Floats, wavelength: Floats) -> tuple[Feature, ...]:
    """The absorptions of a spectrum: what lies between places on its continuum, and is deep and wide enough.

    Args:
        spectrum: reflectance, NaN where unknown, shape (C,).
        wavelength: nm, ascending, shape (C,).

    Returns:
        At most `MOST_FOUND` for each group, the largest closed one diagnostic; none of them where all are cut off by the ends of the data.
    """
    found: list[_Found] = []
    for group, (low, high) in GROUPS.items():
        for part in _parts(np.flatnonzero(np.isfinite(spectrum) & (wavelength >= low) & (wavelength < high)), wavelength):
            found += _between_corners(group, spectrum[part], wavelength[part])
    kept: list[Feature] = []
    for group in GROUPS:
        own = sorted((one for one in found if one.feature.group == group), key=lambda one: -one.area)[:MOST_FOUND]
        largest = next((one for one in own if one.closed), None)
        kept += [replace(one.feature, diagnostic=one is largest) for one in own]
    return tuple(kept)


def _parts(index: NDArray[np.intp], wavelength: Floats) -> list[NDArray[np.intp]]:
    """Runs of bands without holes, such as water vapour leaves."""
    if len(index) < LEAST_BANDS:
        return []
    steps = np.diff(wavelength[index])
    return [part for part in np.split(index, np.flatnonzero(steps > 4 * np.median(steps)) + 1) if len(part) >= LEAST_BANDS]


def _between_corners(group: int, spectrum: Floats, wavelength: Floats) -> list[_Found]:
    """Each absorption between neighbouring corners of a continuum."""
    values = spectrum.astype(np.float32)
    hull = continuum(values[np.newaxis], wavelength)[0]
    if not (hull > 0).all():
        return []
    below = 1 - values / hull
    corners = np.flatnonzero(below <= 1e-6)
    found = []
    for first, last in (part for ends in pairwise(corners.tolist()) for part in _split(below, *ends)):
        span = wavelength[last] - wavelength[first]
        if last - first + 1 < LEAST_BANDS or span < LEAST_SPAN or below[first:last].max() < LEAST_AREA_DEPTH:
            continue
        left, right = wavelength[first], wavelength[last]
        feature = Feature(group, (float(left), float(left + SHOULDER * span)), (float(right - SHOULDER * span), float(right)))
        found.append(_Found(feature, float(below[first:last].sum()), _closed(spectrum, wavelength, first, last)))
    return found


def _closed(spectrum: Floats, wavelength: Floats, first: int, last: int) -> bool:
    """Whether both ends are shoulders: where the reflectance falls towards the end of the data, that end lies within another absorption.

    Charge transfer of iron, and the wings of water, reach so into the data: their continuum begins where the data do, and such a piece of a
    wing is alike in many materials.
    """
    width = SHOULDER * (wavelength[last] - wavelength[first])
    left = int(np.searchsorted(wavelength, wavelength[first] + width, "right")) - first
    right = last + 1 - int(np.searchsorted(wavelength, wavelength[last] - width, "left"))
    falls_left = first == 0 and spectrum[:left].mean() < spectrum[left : 2 * left].mean()
    falls_right = last == len(spectrum) - 1 and spectrum[-right:].mean() < spectrum[-2 * right : -right].mean()
    return not (falls_left or falls_right)


def _split(below: NDArray[np.float32], first: int, last: int) -> list[tuple[int, int]]:
    """Absorptions between two corners, apart where the spectrum nearly comes back to its continuum between them."""
    inside = below[first : last + 1]
    if len(inside) < 3:
        return [(first, last)]
    least = np.minimum(np.maximum.accumulate(inside), np.maximum.accumulate(inside[::-1])[::-1])
    between = np.where((inside <= RETURN * least) & (least >= LEAST_AREA_DEPTH), inside, np.inf)
    place = int(between.argmin())
    if not np.isfinite(between[place]):
        return [(first, last)]
    return [*_split(below, first, first + place), *_split(below, first + place, last)]


def profile_of(feature: Feature, spectrum: Floats, wavelength: Floats) -> Profile | None:
    """A feature of a library spectrum at a sensor's bands.

    Args:
        feature: where it is.
        spectrum: reflectance at the bands, NaN where unknown, shape (C,).
        wavelength: of the bands that are used (nm), ascending, shape (C,).

    Returns:
        None where the sensor has too few bands there, or the spectrum no absorption.
    """
    left, right = (np.flatnonzero((wavelength >= low) & (wavelength <= high)) for low, high in (feature.left, feature.right))
    if not len(left) or not len(right):
        return None
    first, stop = int(left[0]), int(right[-1]) + 1
    inside = wavelength[first:stop]
    values = spectrum[first:stop]
    hole = np.diff(inside).max(initial=0.0) > MOST_HOLE * (inside[-1] - inside[0])
    if stop - first < LEAST_BANDS or stop - first < len(left) + len(right) + 1 or hole or not np.isfinite(values).all():
        return None
    window = (first, stop, len(left), len(right))
    ends = values[: len(left)].mean(), values[-len(right) :].mean()
    share = across(wavelength, window)
    if min(ends) <= 0:
        return None
    removed = values / (ends[0] * (1 - share) + ends[1] * share)
    depth = float(1 - removed.min())
    area = float((1 - removed).sum())
    if depth < LEAST_AREA_DEPTH or area <= 0:
        return None
    return Profile(window, feature.group, feature.diagnostic, feature.slope, removed - removed.mean(), depth, area)


def across(wavelength: Floats, window: tuple[int, int, int, int]) -> Floats:
    """How far each band of a window is from the left shoulder's mean wavelength (0) to the right one's (1), shape (n,)."""
    first, stop, left, right = window
    inside = wavelength[first:stop]
    low, high = inside[:left].mean(), inside[-right:].mean()
    return np.asarray((inside - low) / (high - low), np.float64)

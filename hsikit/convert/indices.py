"""Spectral indices of a scene, by the names of the catalogue or by formulas of one's own, computed window by window.

>>> source = index_source(open_source("scene.tif"), ["NDVI", "chl = b705 / b665 - 1"])
>>> write_indices(source, Path("indices.tif"))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.orthorectify import orthorectified
from hsikit.convert.staged import write_staged
from hsikit.convert.write import Progress, ScenePixels, refuse_input, scene_tags
from hsikit.errors import OptionError, SceneError
from hsikit.geo.grid import Window, tile_windows
from hsikit.layers import Layer
from hsikit.scene import Bands, Decoding, Indices, Raw, SceneInfo, Source, read_window
from hsikit.spectral.indices import BandChoice, Formula, choose_bands, index_entry, parse_formula
from hsikit.spectral.indices.bands import BY_WAVELENGTH
from hsikit.spectral.indices.catalogue import CENTRES, band_ranges, constants
from hsikit.writers import SWATH_FORMATS, format_of, write_raster

MOST_NUMBERS = 1 << 23
"""Numbers of the scene that are held at once, where a single row of blocks allows it."""
REFLECTANCES = ("surface_reflectance", "toa_reflectance", "rrs")
_NONE: Mapping[str, float] = MappingProxyType({})
_NAMED = re.compile(r"^\s*([A-Za-z]\w*)\s*=\s*(.+)$", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Index:
    """One index on one scene.

    Attributes:
        name: as the output's band is called.
        formula: parsed.
        bands: what stands for each band that it names.
        constants: values of everything else that it names.
        reference: where it was published, "" for a formula of the user's own.
    """

    name: str
    formula: Formula
    bands: Mapping[str, BandChoice]
    constants: Mapping[str, float]
    reference: str = ""

    def describe(self) -> str:
        """The formula and what stands for its names, in one line."""
        told = [_told(choice) for choice in self.bands.values()]
        told += [f"{name} = {value:g}" for name, value in self.constants.items()]
        said = self.name if self.name == self.formula.text else f"{self.name} = {self.formula.text}"
        return f"{said}; {', '.join(told)}"


def _told(choice: BandChoice) -> str:
    count = len(choice.index)
    what = f"{choice.name}: band at {choice.centre:.0f} nm" if count == 1 else f"{choice.name}: {count} bands about {choice.centre:.0f} nm"
    if choice.name not in band_ranges():
        return what
    low, high = band_ranges()[choice.name].range
    return f"{what} ({choice.coverage:.0%} of {low:g} to {high:g})"


class IndexSource:
    """Indices as the bands of a scene: names, no wavelengths; float32, NaN where an index has no value. Closing is left to whoever opened the scene."""

    def __init__(self, base: Source, indices: Sequence[Index], info: SceneInfo) -> None:
        self.info, self.indices, self._base, self.block = info, tuple(indices), base, base.block

    def read(self, window: Window, bands: Indices) -> Raw:
        """Some of the indices in a window; see `hsikit.scene.Source`."""
        wanted = [self.indices[i] for i in bands]
        out = np.empty((len(wanted), *window.shape), np.float32)
        chosen = {name: choice for index in wanted for name, choice in index.bands.items()}
        needed = np.unique(np.concatenate([np.zeros(0, np.intp), *(choice.index for choice in chosen.values())]))
        for part in tile_windows(window, (self._rows(len(needed), window), max(1, window.cols))):
            values = read_window(self._base, part, needed)
            means = {name: _mean(values[np.searchsorted(needed, choice.index)]) for name, choice in chosen.items()}
            cut = (slice(None), *part.slices((window.row, window.col)))
            out[cut] = [np.broadcast_to(index.formula({**means, **index.constants}), part.shape) for index in wanted]
        return Raw(out, window, Decoding())

    def _rows(self, bands: int, window: Window) -> int:
        """Rows that are read at once: whole blocks of the file, where they fit."""
        rows = max(1, MOST_NUMBERS // max(1, bands * window.cols))
        return rows - rows % self.block[0] if rows >= self.block[0] else rows

    def close(self) -> None:
        """Does nothing: the scene belongs to whoever opened it."""


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over bands of what is not missing; NaN where all is."""
    if len(values) == 1:
        return np.asarray(values[0], np.float32)
    # Band after band: a sum along the axis is ordered by the window's shape, and would differ from window to window.
    total, count = np.zeros(values.shape[1:], np.float32), np.zeros(values.shape[1:], np.float32)
    for band in values:
        present = np.isfinite(band)
        np.add(total, band, out=total, where=present)
        count += present
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count, np.float32)


def index_source(source: Source, wanted: Sequence[str], values: Mapping[str, float] = _NONE) -> IndexSource:
    """Indices of a scene; nothing is read yet.

    Args:
        source: an open scene.
        wanted: names of the catalogue ("NDVI"), formulas in its letters or by wavelength ("b842 / b665"), or such with a name
            ("ratio = N / R").
        values: constants that are to differ from the catalogue's, such as {"L": 0.5}.

    Returns:
        A source whose bands are the indices, in the order given, each with what stands for its letters.

    Raises:
        OptionError: an index or a name that is not known, a formula that is no arithmetic, two indices of one name, or a constant
            that is no number.
        WavelengthError: the scene has no good band for a letter or near a wavelength.
        SceneError: the scene has no wavelengths.
    """
    info = source.info
    if not np.isfinite(info.bands.wavelength).all():
        raise SceneError(info.name, "its bands have no wavelengths", "Name them with --sensor or --wavelengths")
    if not wanted:
        raise OptionError("indices", "none is named", "Name some, such as NDVI; `hsikit indices --list` names all")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise OptionError(name, f"{value!r} is no number", "Give a constant its value, such as L=0.5")
    indices = [resolve(text, info, values) for text in wanted]
    names = [index.name for index in indices]
    if len(set(names)) < len(names):
        raise OptionError("indices", f"{max(names, key=names.count)} is named twice", "Name each once, or call one otherwise: other = formula")
    idle = [name for name in values if not any(name in index.constants for index in indices)]
    if idle:
        raise OptionError(idle[0], "none of the indices has such a constant", f"Their constants are {_constants_of(indices)}")
    return IndexSource(source, indices, _info(info, indices))


def resolve(text: str, info: SceneInfo, values: Mapping[str, float] = _NONE) -> Index:
    """One index on a scene's bands; arguments and errors are those of `index_source`."""
    name, formula, reference = _formula(text)
    letters = tuple(part for part in formula.names if part not in values and _is_band(part))
    centres = tuple(part.removeprefix(CENTRES) for part in formula.names if part not in values and _is_centre(part))
    chosen = choose_bands(tuple(dict.fromkeys((*letters, *centres))), info.bands.wavelength, info.bands.fwhm, info.bands.good, info.name)
    settled = {part: _constant(part, name, values, chosen) for part in formula.names if part not in letters}
    if not letters:
        raise OptionError("formula", f"{text!r} names no band", "Write letters of the catalogue, such as N and R, or wavelengths, such as b842")
    return Index(name, formula, {part: chosen[part] for part in letters}, settled, reference)


def _formula(text: str) -> tuple[str, Formula, str]:
    """Name, formula and reference of what the user wrote."""
    words = text.strip()
    if words.isidentifier() and not _is_band(words):
        entry = index_entry(words)
        return entry.name, entry.parse(), entry.reference
    named = _NAMED.match(words)
    name, formula = named.groups() if named else (words, words)
    return name, parse_formula(formula), ""


def _is_band(name: str) -> bool:
    return name in band_ranges() or BY_WAVELENGTH.match(name) is not None


def _is_centre(name: str) -> bool:
    return name.startswith(CENTRES) and name.removeprefix(CENTRES) in band_ranges()


def _constant(part: str, index: str, values: Mapping[str, float], chosen: Mapping[str, BandChoice]) -> float:
    """What a name that is no band stands for: the user's value, a band's centre, the catalogue's default."""
    if part in values:
        return float(values[part])
    if _is_centre(part):
        return chosen[part.removeprefix(CENTRES)].centre
    known = constants().get(part)
    if known is not None and known.default is not None:
        return known.default
    wrong = f"needs {part} ({known.meaning})" if known else f"needs {part}, which no band of an optical scene gives"
    raise OptionError(index, wrong, f"Give its value: {part}=..." if known else "Choose another index, or letters of the catalogue")


def _constants_of(indices: Sequence[Index]) -> str:
    return ", ".join(dict.fromkeys(name for index in indices for name in index.constants)) or "none"


def _info(info: SceneInfo, indices: Sequence[Index]) -> SceneInfo:
    unknown = np.full(len(indices), np.nan)
    bands = Bands(unknown, unknown.copy(), np.ones(len(indices), bool), tuple(index.name for index in indices))
    notices = list(info.notices)
    if info.quantity not in REFLECTANCES:
        notices.append(f"indices are made for reflectance, and the scene holds {info.quantity}: their values compare with no others")
    identity = (*info.identity, {"indices": [index.describe() for index in indices]}) if info.identity else ()
    return info.with_(bands=bands, dtype="float32", quantity="dn", nodata=None, identity=identity, notices=tuple(notices))


def write_indices(source: IndexSource, path: Path, *, overwrite: bool = False, progress: Progress | None = None) -> list[Path]:
    """Writes indices as the bands of one raster, each named; the format follows the ending.

    Those of a swath are computed on the sensor's grid and put on the map, but where the format holds the positions of a swath.

    Returns:
        The files, `path` first.

    Raises:
        OutputError: the output exists without `overwrite`, is the scene itself, or cannot be written.
    """
    info, count = source.info, len(source.indices)
    layer = Layer("indices", bands=count, description="spectral indices", band_names=info.bands.names, sensor=info.sensor)
    kind = format_of(path, layer)
    refuse_input(info, path)
    tags = scene_tags(info, kind) | {f"formula_{i}": index.describe() for i, index in enumerate(source.indices, start=1)}
    swath = info.swath if kind in SWATH_FORMATS else None
    placed: Source = source if info.swath is None or swath is not None else orthorectified(source)
    grid = placed.info.grid
    if progress is not None:
        progress.begin("", grid.shape[0], 0)

    def write(staged: Path) -> list[Path]:
        done = None if progress is None else lambda rows: progress.advance("writing", rows)
        return write_raster(layer, grid, ScenePixels(placed), staged, format=kind, tags=tags, rows_done=done, swath=swath)

    return write_staged(path, write, overwrite=overwrite)

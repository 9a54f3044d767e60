"""A spectral library: spectra of known materials or places on one axis of wavelengths, with what is known of each.

>>> library = hsikit.open_library("s07_AV95_envi.hdr")
>>> clays = library.search("kaolinite|alunite", regex=True).resample_to("enmap")
>>> clays.plot()
>>> clays.save("clays.sli")

Readers of files make it (`hsikit.sensors.libraries`); everything else works from its arrays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsikit.errors import OptionError, WavelengthError
from hsikit.scene import Bands, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hsikit.convert.resample import Wanted

LONGITUDE, LATITUDE, TIME, SPLICES = "longitude", "latitude", "time", "splice_nm"
"""Columns of the metadata that mean the same in every library: degrees (WGS 84), ISO 8601, and borders of detectors (nm)."""
MOST_LINES = 12
"""Spectra that `plot` names in its legend, at most."""


@dataclass(frozen=True, eq=False)
class Library:
    """Spectra with names and metadata.

    Attributes:
        spectra: shape (n, C), float32; reflectance as a fraction. NaN where a channel is deleted.
        wavelength: band centres (nm), strictly ascending, shape (C,).
        fwhm: widths (nm), NaN where unknown, shape (C,).
        names: one for each spectrum.
        metadata: a table of text: column -> one entry for each spectrum ("" where nothing is known).
        source: the file or folder that it came from.
        quantity: a key of `hsikit.scene.QUANTITIES`.
        notices: what the reader found worth telling, one sentence each.
    """

    spectra: NDArray[np.float32]
    wavelength: Floats
    fwhm: Floats
    names: tuple[str, ...]
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = "library"
    quantity: str = "surface_reflectance"
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n, bands = self.spectra.shape
        wrong = [key for key, column in self.metadata.items() if len(column) != n]
        if len(self.names) != n or wrong:
            raise OptionError(self.source, f"{n} spectra, but {len(self.names)} names; metadata that do not fit: {wrong}", "Give one for each spectrum")
        if self.wavelength.shape != (bands,) or self.fwhm.shape != (bands,) or (np.diff(self.wavelength) <= 0).any():
            raise WavelengthError(self.source, f"its {len(self.wavelength)} wavelengths do not ascend, or do not fit {bands} channels", "Sort the channels")

    def __len__(self) -> int:
        return len(self.spectra)

    @property
    def bands(self) -> Bands:
        """The spectral axis; a channel that no spectrum has is not good."""
        good = np.isfinite(self.spectra).any(axis=0) if len(self) else np.ones(len(self.wavelength), bool)
        return Bands(self.wavelength, self.fwhm, np.asarray(good, bool), tuple(f"{w:g} nm" for w in self.wavelength))

    def select(self, which: str | int | Sequence[str] | ArrayLike) -> Library:
        """Some of the spectra, in the order given.

        Args:
            which: names (exact), positions from 0, or a mask of n booleans.

        Raises:
            OptionError: a name or position that is not there, or a name that several spectra have.
        """
        index = self._positions(which)
        columns = {key: tuple(column[i] for i in index) for key, column in self.metadata.items()}
        return replace(self, spectra=self.spectra[index], names=tuple(self.names[i] for i in index), metadata=columns)

    def _positions(self, which: Any) -> NDArray[np.intp]:
        given = np.atleast_1d(np.asarray(which))
        if given.dtype.kind == "U":
            return np.array([self._position(str(name)) for name in given], np.intp)
        if given.dtype == bool and given.shape == (len(self),):
            return np.flatnonzero(given)
        if given.size and (given.dtype.kind not in "iu" or given.ndim != 1 or given.min() < -len(self) or given.max() >= len(self)):
            raise OptionError("select", f"{which!r} names no spectra of {self.source}", f"Give names, positions 0 to {len(self) - 1}, or {len(self)} booleans")
        return given.astype(np.intp)

    def _position(self, name: str) -> int:
        found = [i for i, own in enumerate(self.names) if own == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise OptionError("select", f"{len(found)} spectra of {self.source} are named {name!r}", f"Give positions: {', '.join(map(str, found[:9]))}")
        near = ", ".join([own for own in self.names if name.lower() in own.lower()][:3])
        advice = f"Near are {near}" if near else "See its names, or use search"
        raise OptionError("select", f"no spectrum of {self.source} is named {name!r}", advice)

    def search(self, text: str, *, regex: bool = False, columns: Sequence[str] | None = None) -> Library:
        """The spectra whose name or metadata hold a text, whatever its case; may be none.

        Args:
            text: what to look for: all its words, in any order; or a regular expression.
            regex: whether it is one.
            columns: where to look, of "name" and the metadata's columns; None: everywhere.

        Raises:
            OptionError: no regular expression, or no such column.
        """
        unknown = [key for key in columns or () if key not in ("name", *self.metadata)]
        if unknown:
            raise OptionError("columns", f"{self.source} has no column {unknown[0]!r}", f"It has {', '.join(('name', *self.metadata))}")
        try:
            wanted = [re.compile(part if regex else re.escape(part), re.IGNORECASE) for part in ([text] if regex else text.split())]
        except re.error as error:
            raise OptionError("search", f"{text!r} is no regular expression ({error})", "Leave regex out to look for plain words") from None
        told = {"name": self.names, **self.metadata}
        lines = ["\n".join(told[key][i] for key in (columns or told)) for i in range(len(self))]
        return self.select([all(part.search(line) for part in wanted) for line in lines] if lines else [])

    def resample_to(self, target: Wanted | Library, fwhm: ArrayLike | None = None, *, min_coverage: float = 0.8) -> Library:
        """What a sensor would measure: by its measured responses where they are at hand, else by Gaussians of its band widths.

        Each spectrum answers for itself: where too much of a band lies in its deleted channels, it is NaN there. A notice tells how far
        the bands are covered by the channels that any spectrum has, where any is not covered whole.

        Args:
            target: a name of `hsikit sensors`, a CSV file of bands, anything with `wavelength` and `fwhm` in nm (`Bands`, a
                cube's `hsi.bands`, another library), or band centres (nm).
            fwhm: widths (nm) that go with band centres; None: spectra are interpolated there.
            min_coverage: the share of a band's response that must lie where the spectrum was measured.

        Raises:
            OptionError: neither a known sensor nor a table of bands.
            WavelengthError: no band can be answered for, or two band centres are the same.
        """
        from hsikit.convert.resample import coverage_notices, target_of
        from hsikit.spectral.library import channel_spacing, resample_spectra
        from hsikit.spectral.resample import Resampling, gaussian_resampling, response_resampling

        wanted = target_of(target.bands if isinstance(target, Library) else target, fwhm)

        def weigh(centres: Floats, widths: Floats) -> Resampling:
            if wanted.response is not None:
                return response_resampling(centres, widths, wanted.response.wavelength, wanted.response.response)
            return gaussian_resampling(centres, widths, wanted.bands.wavelength, wanted.bands.fwhm)

        values = resample_spectra(self.spectra, self.wavelength, self.fwhm, weigh, min_coverage=min_coverage)
        if len(self) and not np.isfinite(values).any():
            low, high = self.wavelength[[0, -1]]
            raise WavelengthError(self.source, "its spectra answer for none of the bands asked for", f"They reach from {low:g} to {high:g} nm")
        notices = self.notices
        if (good := self.bands.good).any():
            widths = np.where(np.isnan(self.fwhm), channel_spacing(self.wavelength), self.fwhm)
            coverage = weigh(self.wavelength[good], widths[good]).coverage
            notices = (*notices, *coverage_notices(wanted.bands.names, coverage, coverage >= min_coverage))
        return replace(self, spectra=values, wavelength=wanted.bands.wavelength, fwhm=wanted.bands.fwhm, notices=notices)

    def splice_corrected(self, borders: Sequence[float] | None = None) -> Library:
        """Field spectra without jumps at the borders of detectors; see `hsikit.spectral.splice`.

        Args:
            borders: the last wavelength (nm) of each detector but the last, for all spectra; None: what each file says.

        Raises:
            OptionError: no file says where its detectors meet.
        """
        from hsikit.spectral.splice import correct_splices

        told = self.metadata.get(SPLICES, ("",) * len(self))
        try:
            each = [tuple(borders) if borders is not None else tuple(float(part) for part in text.split()) for text in told]
        except ValueError as error:
            raise OptionError(self.source, f"its column {SPLICES!r} holds what is no wavelength ({error})", "Name the borders in nm") from None
        if not len(self):
            return self
        if not any(each):
            raise OptionError("splice", f"{self.source} does not say where its detectors meet", "Name the borders in nm, such as 1000 and 1830")
        values = np.stack([correct_splices(row[np.newaxis], self.wavelength, own)[0][0] for row, own in zip(self.spectra, each, strict=True)])
        return replace(self, spectra=values)

    def places(self) -> tuple[Floats, Floats]:
        """Longitude and latitude (degrees, WGS 84) of each spectrum, each of shape (n,); NaN where unknown.

        Raises:
            OptionError: a position that is no number.
        """
        return self._degrees(LONGITUDE, "lon"), self._degrees(LATITUDE, "lat")

    def _degrees(self, column: str, short: str) -> Floats:
        key = next((key for key in self.metadata if key.strip().lower() in (column, short)), None)
        return np.full(len(self), np.nan) if key is None else self._numbers(key)

    def _numbers(self, column: str) -> Floats:
        try:
            return np.array([float(text) if text.strip() else np.nan for text in self.metadata[column]], np.float64)
        except ValueError as error:
            raise OptionError(self.source, f"its column {column!r} holds a position that is no number ({error})", "Write decimal degrees") from None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the spectra, broken at deleted channels and in gaps, and returns the Axes."""
        from hsikit.scene import QUANTITIES
        from hsikit.viz.spectra import plot_spectra

        labels = self.names if len(self) <= MOST_LINES else ()
        return plot_spectra(self.bands, self.spectra, labels, quantity=self.quantity, units=QUANTITIES[self.quantity], ax=ax)

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Writes an ENVI spectral library (.sli or .hdr, metadata in a .csv beside it) or one table (.csv); both open again as they were.

        Returns:
            What was written.

        Raises:
            OutputError: another ending, a file exists without `overwrite`, or the disk does not take it.
        """
        from hsikit.writers.library import write_library

        return write_library(Path(path), self.spectra, self.bands, self.names, self.metadata, self.quantity, overwrite=overwrite)

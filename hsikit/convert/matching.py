"""Field spectra and the pixels of a scene that they were taken in, by position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsikit.errors import GridError, OptionError
from hsikit.geo.pixels_at import OUTSIDE, pixels_at
from hsikit.geo.places import LONGITUDE_LATITUDE, Places, places_of
from hsikit.library import Library
from hsikit.scene import Indices, SceneInfo, Source


@dataclass(frozen=True, eq=False)
class Matches:
    """Spectra of a library that fall into a scene, and where.

    Attributes:
        spectra: positions in the library, ascending, shape (m,).
        rows: of the pixel of each, shape (m,).
        cols: the same.
        unplaced: spectra without a position.
        outside: spectra that lie in no pixel of the scene.
    """

    spectra: Indices
    rows: Indices
    cols: Indices
    unplaced: int = 0
    outside: int = 0

    def __len__(self) -> int:
        return len(self.spectra)

    @property
    def pixels(self) -> Indices:
        """(row, column) of each spectrum, shape (m, 2)."""
        return np.column_stack([self.rows, self.cols])


def match(library: Library, source: Source) -> Matches:
    """Pairs spectra with pixels: on a map grid the pixel around the position, in a swath the nearest one that reaches so far.

    Args:
        library: spectra whose metadata have `longitude` and `latitude` (degrees, WGS 84), as field spectrometers write them.
        source: an open scene.

    Raises:
        OptionError: no spectrum has a position.
        GridError: the scene has no georeference, or no spectrum lies in it.
    """
    longitude, latitude = library.places()
    placed = np.flatnonzero(np.isfinite(longitude) & np.isfinite(latitude))
    if not placed.size:
        raise OptionError(library.source, "none of its spectra has a position", "Add the columns longitude and latitude (degrees) to its metadata")
    places = scene_places(source.info)
    rows, cols = pixels_at(places, longitude[placed], latitude[placed], LONGITUDE_LATITUDE)
    held = rows != OUTSIDE
    if not held.any():
        west, south, east, north = longitude[placed].min(), latitude[placed].min(), longitude[placed].max(), latitude[placed].max()
        wrong = f"none of its {placed.size} spectra with a position lies in {source.info.name}"
        raise GridError(library.source, wrong, f"They lie from {west:.6g} to {east:.6g} degrees east and {south:.6g} to {north:.6g} north")
    return Matches(placed[held], rows[held], cols[held], len(library) - placed.size, int((~held).sum()))


def scene_places(info: SceneInfo) -> Places:
    """Where a scene's pixels lie.

    Raises:
        GridError: nobody knows.
    """
    places = places_of(info.grid, info.swath)
    if places is None:
        raise GridError(info.name, "has no georeference, so positions mean nothing", "Name pixels by row and column instead")
    return places

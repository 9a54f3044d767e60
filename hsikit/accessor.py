"""`cube.hsi`: what analysts do with a cube interactively. Registered by `to_cube`; results stay lazy where they are cubes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from hsikit.cube import bands_of, grid_of, lazy_source, to_cube, validate
from hsikit.cube_coords import swath_of
from hsikit.errors import GridError, OptionError, WavelengthError
from hsikit.geo.grid import Grid
from hsikit.scene import Bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hsikit.convert.resample import Wanted

MOST_PIXELS = 4_000_000
"""Pixels that `rgb` finds its stretch from, at most: more are sampled at a constant step."""


@xr.register_dataarray_accessor("hsi")  # type: ignore[no-untyped-call]  # xarray leaves it untyped
class Hsi:
    """Spectral verbs of a cube (dims wavelength, y, x; see `hsikit.cube`)."""

    def __init__(self, cube: xr.DataArray) -> None:
        validate(cube)
        self._cube = cube

    @property
    def bands(self) -> Bands:
        """The spectral axis."""
        return bands_of(self._cube)

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return grid_of(self._cube)

    def select(self, low: float, high: float) -> xr.DataArray:
        """The bands from `low` to `high` (nm, both included); lazy.

        Raises:
            WavelengthError: there are none.
        """
        centres = self.bands.wavelength
        index = np.flatnonzero((centres >= low) & (centres <= high))
        if not index.size:
            raise WavelengthError(self._name, f"no band from {low:g} to {high:g} nm", f"Its bands lie from {np.min(centres):g} to {np.max(centres):g} nm")
        return self._cube.isel(wavelength=slice(int(index[0]), int(index[-1]) + 1))

    def drop_bad_bands(self) -> xr.DataArray:
        """The bands with `good_band` True; lazy.

        Raises:
            WavelengthError: all bands are bad.
        """
        if not self.bands.good.any():
            raise WavelengthError(self._name, "all its bands are marked bad", "Correct its good_band coordinate")
        return self._cube.isel(wavelength=self.bands.used)

    def spectrum(self, x: float | None = None, y: float | None = None, crs: str | None = None, *, pixel: tuple[int, int] | None = None) -> xr.DataArray:
        """The spectrum of one pixel, read from the scene; bad bands included.

        Args:
            x: map coordinate, in the cube's CRS or in `crs`; of a swath, longitude.
            y: map coordinate; of a swath, latitude.
            crs: the CRS of x and y ("EPSG:4326": longitude, latitude); None: the cube's.
            pixel: (row, column) instead, from 0.

        Returns:
            Shape (wavelength,), with the cube's coordinates along it, and x and y of the pixel.

        Raises:
            GridError: the place lies outside the cube, or has no meaning without a georeference.
            OptionError: neither a place nor a pixel is given, or both.
        """
        row, col = self._locate(x, y, crs, pixel)
        _, down, across = self._cube.dims
        return self._cube.isel({down: row, across: col}).load()

    def _locate(self, x: float | None, y: float | None, crs: str | None, pixel: tuple[int, int] | None) -> tuple[int, int]:
        if pixel is not None and x is None and y is None:
            row, col = (int(n) for n in pixel)
            place = f"pixel (row {row}, column {col})"
        elif pixel is None and x is not None and y is not None:
            row, col = self._pixel_at(x, y, crs)
            place = f"point ({x:g}, {y:g})"
        else:
            raise OptionError("spectrum", "it takes x and y, or pixel=(row, column)", "Give one of the two")
        rows, cols = self._cube.shape[1:]
        if not (0 <= row < rows and 0 <= col < cols):
            raise GridError(self._name, f"{place} lies outside the scene", f"It has {rows} rows and {cols} columns" + self._extent())
        return row, col

    def _pixel_at(self, x: float, y: float, crs: str | None) -> tuple[int, int]:
        """Row and column under a point; outside the scene any that are outside."""
        grid = self.grid
        if (swath := swath_of(self._cube)) is not None:
            from hsikit.geo.pixels_at import pixels_at
            from hsikit.geo.places import SwathPlaces

            rows, cols = pixels_at(SwathPlaces(swath), np.array([x]), np.array([y]), crs or "EPSG:4326")
            return int(rows[0]), int(cols[0])
        if grid.crs is None or not grid.georeferenced:
            raise GridError(self._name, "it has no georeference, so x and y have no meaning", "Use pixel=(row, column)")
        px, py = _to_crs(x, y, crs, grid.crs) if crs else (x, y)
        a, b, c, d, e, f = (~grid.affine)[:6]
        place = (d * px + e * py + f, a * px + b * py + c)
        row, col = (int(np.floor(n)) if np.isfinite(n) else -1 for n in place)
        return row, col

    @property
    def _name(self) -> str:
        return str(self._cube.attrs.get("source", "cube"))

    def _extent(self) -> str:
        if not self.grid.georeferenced:
            return ""
        left, bottom, right, top = self.grid.bounds
        return f", from ({left:.8g}, {bottom:.8g}) to ({right:.8g}, {top:.8g}) in {_short_crs(str(self.grid.crs))}"

    def rgb(self, stretch: tuple[float, float] = (2, 98), bands: Sequence[float] | None = None) -> xr.DataArray:
        """A picture to look at: red, green and blue between 0 and 1, NaN where anything is missing; read from three bands.

        Args:
            stretch: percentiles that become 0 and 1, for each colour on its own.
            bands: three wavelengths (nm) for red, green and blue; None: as `hsikit.viz.quicklook.rgb_bands` chooses.

        Returns:
            float32, dims ("y", "x", "colour"); attribute `composite` says what is shown.
        """
        from hsikit.viz.quicklook import limits, rgb_bands, to_unit

        choice = rgb_bands(self.bands, bands)
        picture = self._cube.isel(wavelength=sorted(set(choice.indices)))
        position = {band: i for i, band in enumerate(sorted(set(choice.indices)))}
        values = picture.values.astype(np.float32)[[position[i] for i in choice.indices]]
        step = max(1, int(np.ceil(np.sqrt(values[0].size / MOST_PIXELS))))
        unit = to_unit(values, limits(values[:, ::step, ::step], stretch))
        coords = {name: c for name, c in self._cube.coords.items() if "wavelength" not in c.dims}
        out = xr.DataArray(np.moveaxis(unit, 0, -1), dims=(*picture.dims[1:], "colour"), coords={**coords, "colour": ["red", "green", "blue"]}, name="rgb")
        return out.assign_attrs(composite=choice.name, wavelengths=[float(w) for w in self.bands.wavelength[list(choice.indices)]])

    def resample_to(self, sensor_or_wavelengths: Wanted, fwhm: ArrayLike | None = None) -> xr.DataArray:
        """What another sensor's bands would measure, by its responses; a lazy cube again.

        Measured responses are used where they are at hand (`hsikit sensors` says so), else Gaussians of the band widths. What
        happens to missing bands, and to bands that the scene cannot answer for: see `hsikit.convert.resample.resampled`.

        Args:
            sensor_or_wavelengths: a sensor's name, a CSV file of bands, anything with `wavelength` and `fwhm` in nm, or band
                centres (nm).
            fwhm: widths (nm), one or one for each band, with band centres; None: interpolated between the bands.

        Raises:
            WavelengthError: no band can be answered for.
            OptionError: neither a known sensor nor a table of bands.
        """
        from hsikit.convert.resample import resampled

        return to_cube(resampled(lazy_source(self._cube), sensor_or_wavelengths, fwhm))

    def continuum_removed(self) -> xr.DataArray:
        """The good bands divided by the upper convex hull of each spectrum: absorption features on a level line; a lazy cube.

        See `hsikit.spectral.continuum.continuum_removed`.
        """
        from hsikit.convert.spectra import continuum_removed

        return to_cube(continuum_removed(lazy_source(self._cube)))

    def derivative(self, order: int = 1) -> xr.DataArray:
        """The first or second derivative of the good bands along the wavelength, per nm or nm²; a lazy cube.

        See `hsikit.spectral.derivative.derivative`.

        Raises:
            OptionError: an order other than 1 or 2, or too few bands.
        """
        from hsikit.convert.spectra import derivative

        return to_cube(derivative(lazy_source(self._cube), order))

    def smoothed(self, window_nm: float, order: int = 2) -> xr.DataArray:
        """The good bands smoothed along the wavelength by local polynomials (Savitzky and Golay); a lazy cube.

        See `hsikit.spectral.smooth.savitzky_golay`.

        Args:
            window_nm: width of the window around each band (nm).
            order: of the polynomial.

        Raises:
            OptionError: a window that holds too few bands somewhere, or no window or order.
        """
        from hsikit.convert.spectra import smoothed

        return to_cube(smoothed(lazy_source(self._cube), window_nm, order))

    def plot_rgb(self, ax: Axes | None = None, stretch: tuple[float, float] = (2, 98), bands: Sequence[float] | None = None) -> Axes:
        """Draws `rgb` in map coordinates (or pixels) and returns the Axes."""
        from hsikit.viz.quicklook import draw_rgb

        picture = self.rgb(stretch, bands)
        return draw_rgb(np.asarray(picture.values), self.grid, str(picture.attrs["composite"]), ax)

    def plot_spectrum(
        self, x: float | None = None, y: float | None = None, crs: str | None = None, *, pixel: tuple[int, int] | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draws the spectrum of one place (see `spectrum`), broken at bad bands, and returns the Axes."""
        row, col = self._locate(x, y, crs, pixel)
        label = f"row {row}, column {col}" if pixel is not None else f"{x:.8g}, {y:.8g}"
        return self._plot(np.asarray([self._cube.isel(y=row, x=col).values]), [label], ax)

    def plot_spectra(
        self,
        points: Sequence[tuple[float, float]] = (),
        crs: str | None = None,
        *,
        pixels: Sequence[tuple[int, int]] = (),
        labels: Sequence[str] = (),
        ax: Axes | None = None,
    ) -> Axes:
        """Draws the spectra of several places, (x, y) or (row, column), and returns the Axes."""
        places = [self._locate(x, y, crs, None) for x, y in points] + [self._locate(None, None, None, p) for p in pixels]
        if not places:
            raise OptionError("plot_spectra", "no places are given", "Give points=[(x, y), ...] or pixels=[(row, column), ...]")
        names = list(labels) or [f"{x:.8g}, {y:.8g}" for x, y in points] + [f"row {r}, column {c}" for r, c in pixels]
        return self._plot(np.stack([self._cube.isel(y=row, x=col).values for row, col in places]), names, ax)

    def _plot(self, spectra: NDArray[Any], labels: Sequence[str], ax: Axes | None) -> Axes:
        from hsikit.viz.spectra import plot_spectra

        return plot_spectra(
            self.bands, spectra, labels, quantity=str(self._cube.attrs.get("quantity", "")), units=str(self._cube.attrs.get("units", "")), ax=ax
        )


def _to_crs(x: float, y: float, crs: str, target: str) -> tuple[float, float]:
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        px, py = Transformer.from_crs(crs, target, always_xy=True).transform(x, y)
    except ProjError as error:
        raise GridError(crs, "this coordinate reference system is not understood", 'Name it like "EPSG:4326"') from error
    return float(px), float(py)


def _short_crs(crs: str) -> str:
    return crs if len(crs) < 40 else "its own CRS"

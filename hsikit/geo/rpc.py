"""Rational polynomials: where on the ground the pixels of a scene lie that no map grid places.

Model and order of the twenty terms are those of RPC00B (NIMA, STDI-0002, 2000): line and sample are ratios of cubic polynomials
of latitude, longitude and height above the WGS 84 ellipsoid. Whole numbers of line and sample are the centres of pixels, as
GDAL takes them. From image to ground there is no formula: Newton's method finds the point whose image the pixel is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import GridError, SceneError
from hsikit.geo.dem import HeightModel
from hsikit.geo.grid import Window
from hsikit.geo.swath import Degrees, Swath

Floats = NDArray[np.float64]
Heights = Callable[[Floats, Floats], Floats]
"""Heights (m) at longitudes and latitudes (degrees), of one shape; NaN where unknown."""

TOLERANCE = 1e-5
"""Pixels by which the image of a found point may miss its pixel."""
STEPS, UNDAMPED = 60, 10
"""Newton's method needs four on smooth ground; steep ground seen obliquely takes more, in halved steps."""
SETTLED = 1e-3
"""Metres by which the height of a found point may differ from that of the ground."""
BLOCK = 1 << 12
"""Points that are worked on at once: their terms lie in a processor's cache."""
_NUMBERS = ("line", "samp", "lat", "long", "height")
_POLYNOMIALS = ("linenum", "lineden", "sampnum", "sampden")
_LIST = re.compile(r"(\w+)\s*=\s*\(([^()]*)\)")
_PAIR = re.compile(r"^\s*(\w+)\s*[:=]\s*([^;(\n]+?)\s*;?\s*$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class RationalPolynomials:
    """The model of one scene.

    Attributes:
        offsets: of line, sample, latitude, longitude (degrees) and height (m), shape (5,).
        scales: the same.
        coefficients: numerator and denominator of the line, then of the sample, shape (4, 20).
    """

    offsets: Floats
    scales: Floats
    coefficients: Floats

    @property
    def height(self) -> float:
        """The height in the middle of the model's range (m)."""
        return float(self.offsets[4])

    def to_image(self, longitude: Floats, latitude: Floats, height: Floats | float) -> tuple[Floats, Floats]:
        """Rows and columns of points on the ground; whole numbers are centres of pixels.

        Args:
            longitude: degrees, any shape.
            latitude: the same.
            height: metres above the ellipsoid; the same, or one number.
        """
        lon, lat, high = np.broadcast_arrays(*(np.asarray(values, float) for values in (longitude, latitude, height)))
        ground = self._normalised(lon.ravel(), lat.ravel(), high.ravel())
        out = np.empty((2, lon.size))
        for first in range(0, lon.size, BLOCK):
            part = slice(first, first + BLOCK)
            out[:, part] = self._image(ground[:, part])[0]
        return out[0].reshape(lon.shape), out[1].reshape(lon.shape)

    def to_ground(self, rows: Floats, cols: Floats, heights: Heights | float) -> tuple[Degrees, Degrees]:
        """Longitudes and latitudes of pixels, on ground of a known height.

        Args:
            rows: whole numbers are centres of pixels; any shape.
            cols: the same.
            heights: of the ground (m above the ellipsoid): a function, or one number.

        Returns:
            Two arrays of the same shape; NaN where the height is unknown, or no point is found.
        """
        ground = heights if callable(heights) else _constant(float(heights))
        out = np.empty((2, rows.size))
        for first in range(0, rows.size, BLOCK):
            part = slice(first, first + BLOCK)
            out[:, part] = self._ground(np.stack([rows.ravel()[part], cols.ravel()[part]]), ground)
        return out[0].reshape(rows.shape), out[1].reshape(rows.shape)

    def _ground(self, wanted: Floats, heights: Heights) -> Floats:
        """Longitudes and latitudes of pixels, shape (2, n); `wanted` are their rows and columns."""
        point = np.zeros((3, wanted.shape[1]))  # normalised longitude, latitude, height: the middle of the scene
        done = known = np.zeros(wanted.shape[1], bool)
        for step in range(STEPS):
            height = heights(*self._degrees(point))
            known = np.isfinite(height)
            rise = np.where(known, (height - self.offsets[4]) / self.scales[4] - point[2], 0.0)
            point[2] += rise if step < UNDAMPED else rise / 2  # on steep ground whole steps go to and fro
            image, slopes = self._image(point)
            short = wanted - image
            done = (np.abs(short).max(axis=0) < TOLERANCE) & ((np.abs(rise * self.scales[4]) < SETTLED) | (step < UNDAMPED))
            if done.all():
                break
            point[:2] += np.clip(_solve(slopes, short), -1.0, 1.0)
            np.clip(point[:2], -3.0, 3.0, out=point[:2])
        found = known & done
        return np.asarray(np.where(found, self._degrees(point), np.nan))

    def _image(self, point: Floats) -> tuple[Floats, Floats]:
        """Rows and columns of normalised points (3, n), shape (2, n); and their slopes by longitude and latitude, shape (2, 2, n)."""
        scale, offset = self.scales[:2, None], self.offsets[:2, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = self.coefficients @ _terms(point)
            slopes = np.stack([self.coefficients @ terms for terms in _slopes(point)], axis=1)
            above, below = value[0::2], value[1::2]
            image = above / below * scale + offset
            quotient = (slopes[0::2] * below[:, None] - above[:, None] * slopes[1::2]) / below[:, None] ** 2
        return image, quotient * scale[:, None]

    def _normalised(self, longitude: Floats, latitude: Floats, height: Floats) -> Floats:
        east = (longitude - self.offsets[3] + 180.0) % 360.0 - 180.0  # the date line
        return np.stack([east / self.scales[3], (latitude - self.offsets[2]) / self.scales[2], (height - self.offsets[4]) / self.scales[4]])

    def _degrees(self, point: Floats) -> Floats:
        longitude = point[0] * self.scales[3] + self.offsets[3]
        return np.stack([(longitude + 180.0) % 360.0 - 180.0, point[1] * self.scales[2] + self.offsets[2]])


def _constant(height: float) -> Heights:
    return lambda longitude, latitude: np.full(longitude.shape, height)


def _terms(point: Floats) -> Floats:
    """The twenty terms at normalised points (3, n), shape (20, n)."""
    x, y, z = point
    xx, yy, zz, xy = x * x, y * y, z * z, x * y
    return _rows(1, x, y, z, xy, x * z, y * z, xx, yy, zz, xy * z, xx * x, x * yy, x * zz, xx * y, yy * y, y * zz, xx * z, yy * z, zz * z)


def _slopes(point: Floats) -> tuple[Floats, Floats]:
    """Derivatives of the terms by longitude and by latitude."""
    x, y, z = point
    xx, yy, zz, xy = x * x, y * y, z * z, 2 * x * y
    yz, xz = y * z, x * z
    by_longitude = _rows(0, 1, 0, 0, y, z, 0, 2 * x, 0, 0, yz, 3 * xx, yy, zz, xy, 0, 0, 2 * xz, 0, 0)
    return by_longitude, _rows(0, 0, 1, 0, x, 0, z, 0, 2 * y, 0, xz, 0, xy, 0, xx, 3 * yy, zz, 0, 2 * yz, 0)


def _rows(*terms: Floats | int) -> Floats:
    """Terms below each other; numbers hold for all points."""
    size = next(term.size for term in terms if isinstance(term, np.ndarray))
    out = np.empty((len(terms), size))
    for row, term in zip(out, terms, strict=True):
        row[:] = term
    return out


def _solve(slopes: Floats, short: Floats) -> Floats:
    """The steps that two equations ask for, shape (2, n); none where they cannot be solved."""
    (a, b), (c, d) = slopes
    determinant = a * d - b * c
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.stack([d * short[0] - b * short[1], a * short[1] - c * short[0]]) / determinant
    return np.where(np.isfinite(steps), steps, 0.0)


def rpc_from_mapping(told: Mapping[str, str], name: str | Path) -> RationalPolynomials:
    """Coefficients by the names of GDAL's metadata (`LINE_OFF`, `LINE_NUM_COEFF`), or of vendors' files (`lineOffset`, `lineNumCoef`).

    Args:
        told: values as text. A polynomial is twenty numbers in one text, or twenty entries `LINE_NUM_COEFF_1` to `_20`.
        name: the file, for messages.

    Raises:
        SceneError: a value is missing, or no number.
    """
    plain = {re.sub(r"[^a-z0-9]", "", key.lower()): str(text) for key, text in told.items()}
    offsets = [_number(plain, (f"{what}off", f"{what}offset"), name) for what in _NUMBERS]
    scales = [_number(plain, (f"{what}scale",), name) for what in _NUMBERS]
    coefficients = np.array([_polynomial(plain, what, name) for what in _POLYNOMIALS])
    if not all(scales) or not np.isfinite([*offsets, *scales]).all() or not np.isfinite(coefficients).all() or not coefficients[1::2].any(axis=1).all():
        raise SceneError(name, "its rational polynomials have scales or denominators of zero, or values that are not finite", "Fetch the product again")
    return RationalPolynomials(np.array(offsets), np.array(scales), coefficients)


def rpc_from_text(text: str, name: str | Path) -> RationalPolynomials:
    """Coefficients out of a file beside the image: lines `LINE_OFF: +5000.0 pixels` (`_RPC.TXT`), or `lineOffset = 5000.0;` (`.RPB`).

    Raises:
        SceneError: a value is missing, or no number.
    """
    lists = {key: numbers.replace(",", " ") for key, numbers in _LIST.findall(text)}
    return rpc_from_mapping({**dict(_PAIR.findall(text)), **lists}, name)


def _number(plain: Mapping[str, str], keys: tuple[str, ...], name: str | Path) -> float:
    text = next((plain[key] for key in keys if plain.get(key, "").strip()), None)
    if text is None:
        raise SceneError(name, f"its rational polynomials lack {keys[0]}", "Fetch the product again")
    try:
        return float(text.split()[0])
    except ValueError:
        raise SceneError(name, f"{keys[0]} of its rational polynomials is no number ({text[:40]!r})", "Fetch the product again") from None


def _polynomial(plain: Mapping[str, str], what: str, name: str | Path) -> list[float]:
    key = next((f"{what}{ending}" for ending in ("coeff", "coef", "coefflist", "coeflist") if f"{what}{ending}" in plain), None)
    if key is None:
        return [_number(plain, (f"{what}coeff{number}", f"{what}coef{number}"), name) for number in range(1, 21)]
    words = plain[key].replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 20:
        raise SceneError(name, f"{key} of its rational polynomials is not twenty numbers", "Fetch the product again")
    return numbers


def rpc_swath(rpc: RationalPolynomials, shape: tuple[int, int], name: str, dem: str | Path | None = None) -> tuple[Swath, str]:
    """The swath of a scene that rational polynomials place, and one sentence for the user about how.

    Args:
        rpc: of the scene.
        shape: (rows, cols).
        name: of the scene, for messages.
        dem: a raster of heights above the ellipsoid (m); without one, the height in the middle of the model's range holds everywhere.

    Raises:
        SceneError: the polynomials do not place the scene.
        OptionError: the raster cannot be read.
        GridError: it has no CRS, or does not cover the scene.
    """
    rows, cols = np.meshgrid(np.linspace(0, shape[0] - 1, 3), np.linspace(0, shape[1] - 1, 3), indexing="ij")
    longitude, latitude = rpc.to_ground(rows, cols, rpc.height)
    if not np.isfinite(longitude).all():
        raise SceneError(name, "its rational polynomials do not place all of its corners", "Fetch the product again")
    heights: Heights | float = rpc.height
    if dem is None:
        notice = f"it is placed by rational polynomials at {rpc.height:g} m above the ellipsoid; relief shifts its pixels: name a height model with --dem"
    else:
        model = HeightModel(dem)
        if not np.isfinite(model.heights(longitude, latitude)).any():
            raise GridError(dem, f"the height model does not cover {name}", "Give one of the same area")
        heights = model.heights
        notice = f"it is placed by rational polynomials and {Path(dem).name}, whose heights are taken as metres above the ellipsoid"

    def locate(window: Window) -> tuple[Degrees, Degrees]:
        rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end].astype(float)
        return rpc.to_ground(rows, cols, heights)

    return Swath(shape, locate), notice

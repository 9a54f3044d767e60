"""What methods that fill bands share: which bands are meant, the stages, the flags, and the check on bands that are known.

A band is filled whole where it is bad (the product's list, constant, empty) or the user names it: nothing that stands in it is used.
Of other bands, the values that single pixels lack are filled. A pixel without half of its good bands is no data, and stays so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.layers import Layer
from hsikit.method import Cost, Finish, Input, Job, Map, Stage, Store, Tile
from hsikit.scene import Bands, Indices, SceneInfo, bands_within
from hsikit.tasks.filling.drills import SetAside
from hsikit.tasks.filling.known import known_stage

if TYPE_CHECKING:
    from torch import Tensor

MEASURED, FILLED, HELD = 1, 2, 3
"""Flags: a measured value; an estimate from others; the value of the nearest band, beyond the first or last that the pixel has."""
MISSING_ALLOWED = 0.5
"""Share of the good bands that a valid pixel may lack: more than other methods allow, which fill no more than a tenth themselves."""
FEWEST = 3
"""Bands that must be known."""


@dataclass(frozen=True, eq=False)
class View:
    """A part of a scene in which values are missing.

    Attributes:
        values: float32, shape (C, rows, cols), NaN where missing, throughout in the bands that are filled whole; with the method's
            halo around it.
        valid: the pixels that count, bool, shape (rows, cols).
        whole: positions of the bands that no pixel has.
    """

    values: Tensor
    valid: Tensor
    whole: tuple[int, ...]

    def inner(self, halo: int) -> tuple[Tensor, Tensor]:
        """Values and `valid` without a halo."""
        rows, cols = (slice(halo, size - halo) for size in self.valid.shape)
        return self.values[:, rows, cols], self.valid[rows, cols]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a method says of a view's missing values.

    Attributes:
        values: shape (C, rows, cols) without the halo; looked at only where values are missing.
        deviation: standard deviations of the same; None where the method has none.
    """

    values: Tensor
    deviation: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Filling:
    """One scene to be filled.

    Attributes:
        scene: its facts.
        whole: positions of the bands of which no value is used, ascending.
        left: those of them that stay as they are.
        aside: what nothing is learned from.
        memo: what a method has worked out for this scene once.
    """

    scene: SceneInfo
    whole: tuple[int, ...]
    left: frozenset[int]
    aside: SetAside
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def bands(self) -> Bands:
        """The scene's bands."""
        return self.scene.bands

    @property
    def filled(self) -> tuple[int, ...]:
        """Positions of the bands that are filled in all pixels, ascending."""
        return tuple(band for band in self.whole if band not in self.left)

    @property
    def known(self) -> tuple[int, ...]:
        """Positions of the other bands, ascending."""
        return tuple(band for band in range(len(self.bands)) if band not in set(self.whole))

    @property
    def known_index(self) -> Indices:
        """The same as an array."""
        return np.array(self.known, np.intp)


@dataclass(frozen=True)
class BandFilling(ABC):
    """A method that fills bands.

    Attributes:
        bands: ranges of wavelengths (nm) whose bands are filled whole.
        bad: whether bad bands are filled whole too; else they stay as they are, and nothing is learned from them.
        mark_good: whether bands that were filled whole count as good in the output. They say nothing that the others do not, and a
            covariance of all would be singular.

    Raises:
        OptionError: a range that does not ascend.
    """

    task: ClassVar[str] = "band filling"
    roles: ClassVar[tuple[str, ...]] = ("cube",)
    name: ClassVar[str]
    holds: ClassVar[bool] = True
    """Whether a band beyond all known ones is given the nearest one's value."""
    is_floor: ClassVar[bool] = False
    """Whether it is the interpolation that others are compared with."""
    most_drills: ClassVar[int] = 400
    """Runs of bands of one length that are hidden to check the method, at most."""
    most_everywhere: ClassVar[int | None] = None
    """The same for runs that are hidden in all pixels, where that is fewer."""

    bands: tuple[tuple[float, float], ...] = ()
    bad: bool = True
    mark_good: bool = False

    def __post_init__(self) -> None:
        for pair in self.bands:
            if len(pair) != 2 or not pair[0] < pair[1]:
                raise OptionError("bands", f"{pair} is no range of wavelengths", "Give ranges like 1350-1450")

    @property
    def halo(self) -> int:
        """Pixels around a tile that the method looks at."""
        return 0

    @property
    def gives_deviation(self) -> bool:
        """Whether the layer `sigma` is wanted."""
        return False

    def learn(self, filling: Filling) -> tuple[Stage, ...]:
        """The stages that learn from the scene, after `known`; or a refusal of what the method cannot fill.

        Raises:
            HsikitError: the method cannot fill these bands of this scene.
        """
        return ()

    @abstractmethod
    def estimate(self, view: View, filling: Filling, store: Store) -> Estimate:
        """The missing values of a view."""

    @abstractmethod
    def estimate_cost(self, filling: Filling, tile: tuple[int, int]) -> Cost:
        """Memory and work of one `estimate`, its result included."""

    def options(self) -> dict[str, Any]:
        """What tells this method's options from others', but for the bands; JSON-able."""
        return {}

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene.

        Raises:
            WavelengthError: a scene without wavelengths.
            OptionError: a range that holds no band.
            SceneError: too few bands are known, or the method cannot fill the others.
        """
        scene = inputs["cube"]
        if not scene.bands.spectral:
            raise WavelengthError(scene.name, "its bands have no wavelengths, so that none is another's neighbour", "Give --wavelengths or --sensor")
        named = np.logical_or.reduce([bands_within(scene, pair) for pair in self.bands]) if self.bands else np.zeros(len(scene.bands), bool)
        whole = np.flatnonzero(named | ~scene.bands.good)
        if len(scene.bands) - len(whole) < FEWEST:
            raise SceneError(scene.name, f"{len(scene.bands) - len(whole)} of its bands are good and not to be filled; {FEWEST} are needed", "Name fewer bands")
        left = frozenset() if self.bad else frozenset(np.flatnonzero(~named & ~scene.bands.good).tolist())
        return _Stages(self, Filling(scene, tuple(whole.tolist()), left, SetAside.of(scene.grid.shape))).job()


@dataclass(frozen=True, eq=False)
class _Stages:
    """The stages for one scene.

    Attributes:
        method: the method.
        filling: the scene.
    """

    method: BandFilling
    filling: Filling

    def job(self) -> Job:
        from hsikit.tasks.filling.check import check_stage, check_table, findings

        method, filling = self.method, self.filling
        layers = self._layers()
        told = {"bands": [list(pair) for pair in method.bands], "bad": method.bad, "mark_good": method.mark_good, **method.options()}
        written = tuple(layer.name for layer in layers if layer.kind == "raster")
        return Job(
            method=method.name,
            identity={**told, "whole": list(filling.whole)},
            reference="cube",
            inputs={"cube": Input(tuple(range(len(filling.bands))), fill=False, missing=MISSING_ALLOWED)},
            layers=layers,
            stages=(
                known_stage(filling),
                *method.learn(filling),
                check_stage(method, filling),
                Map("fill", ("cube",), written, self._apply, halo=(method.halo, method.halo)),
                Finish("report", (), lambda strips, store: ({}, {"check": check_table(store, filling)})),
            ),
            cost=self._cost,
            provenance={"filled_nm": self._named_bands(), **{key: str(value) for key, value in method.options().items()}},
            findings=findings,
        )  # fmt: skip

    def _layers(self) -> tuple[Layer, ...]:
        scene, bands = self.filling.scene, self.filling.bands
        good = bands.good.copy()
        good[list(self.filling.filled)] = self.method.mark_good
        cube: dict[str, Any] = {
            "bands": len(bands), "band_names": bands.names, "wavelength": bands.wavelength, "fwhm": bands.fwhm, "good": good, "sensor": scene.sensor,
        }  # fmt: skip
        told = f"{MEASURED} measured, {FILLED} estimated from other bands, {HELD} held: the nearest band's value, beyond those that the pixel has"
        layers = [
            Layer("filled", unit=scene.units, quantity=scene.quantity, description="the scene, bands filled", **cube),
            Layer("flags", dtype="uint8", nodata=0, description=told, **cube),
        ]
        if self.method.gives_deviation:
            layers.append(Layer("sigma", unit=scene.units, description="standard deviation of each estimate; 0 where measured", **cube))
        return (*layers, Layer("check", "table", description="errors on known bands that were hidden"))

    def _named_bands(self) -> str:
        return ", ".join(f"{self.filling.bands.wavelength[band]:.1f}" for band in self.filling.filled)

    def _cost(self, tile: tuple[int, int]) -> Cost:
        own, pixels, bands = self.method.estimate_cost(self.filling, tile), tile[0] * tile[1], len(self.filling.bands)
        # The view, what is missing in it, and the layers.
        return Cost(own.bytes + pixels * bands * (4 + 2 + 5 + 4 * self.method.gives_deviation), own.flops)

    def _apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        view = whole_hidden(tile.arrays["cube"], tile.valid["cube"], self.filling.whole)
        found = self.method.estimate(view, self.filling, store)
        values, _ = view.inner(self.method.halo)
        missing = values.isnan()
        layers = {"filled": torch.where(missing, found.values, values), "flags": flags_of(missing, self.method.holds)}
        if self.filling.left:
            kept = sorted(self.filling.left)
            layers["filled"][kept] = tile.inner("cube")[kept]
            layers["flags"][kept] = torch.where(layers["filled"][kept].isnan(), 0, MEASURED).to(torch.uint8)
        if self.method.gives_deviation:
            assert found.deviation is not None
            layers["sigma"] = torch.where(missing, found.deviation, 0.0)
        return layers


def whole_hidden(values: Tensor, valid: Tensor, whole: tuple[int, ...]) -> View:
    """A view in which some bands are missing throughout; the values are copied."""
    hidden = values.clone()
    if whole:
        hidden[list(whole)] = float("nan")
    return View(hidden, valid, whole)


def flags_of(missing: Tensor, holds: bool) -> Tensor:
    """Flags of values, by which are missing, bool (C, rows, cols)."""
    flags = torch.where(missing, FILLED, MEASURED).to(torch.uint8)
    if holds:
        for band, beyond in enumerate(_beyond(missing)):
            flags[band][beyond] = HELD
    return flags


def _beyond(missing: Tensor) -> Tensor:
    """Missing values before the first or after the last band that a pixel has, bool (C, rows, cols)."""
    found = torch.zeros_like(missing)
    for order in (range(len(missing)), reversed(range(len(missing)))):
        seen = torch.zeros_like(missing[0])
        for band in order:
            seen |= ~missing[band]
            found[band] |= ~seen
    return found

"""Methane, or any gas of a table: enhancement above the background of each column of the detector, with its uncertainty.

For those who look for leaks in radiance of push-broom spectrometers. `mag1c` after Foote et al., 2020 (doi:10.1109/TGRS.2020.2976888), whose
statistics exclude the gas itself; `emit-ghg` is the plain filter of Thompson et al., 2015 (doi:10.5194/amt-8-4383-2015), as EMIT's product uses it.
Unlike the released mag1c a mask counts in the statistics, the covariance is loaded by 1e-6 of its mean variance, as much of it as is error gives way to
each band's variance given all others, the unit absorption is that of a table at the scene's geometry, and rounds end when nothing moves; uncertainty and
sensitivity are had for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hsikit.errors import OptionError, SceneError, WavelengthError
from hsikit.layers import Features, Layer
from hsikit.method import Cost, Finish, Input, Job, Map, Partial, Store, Strips, Tile
from hsikit.scene import Indices, SceneInfo
from hsikit.spectral.absorption import GEOMETRY, AbsorptionTable
from hsikit.tasks.gas.retrieval import LOADING, MOST_SHRUNK, ROUNDS, retrieve

METHANE = ((2122.0, 2488.0),)
"""The window (nm) in which methane absorbs most."""
LEAST_BANDS = 5
LEAST_TAKEN = 1e-9
"""Share of a band's light that the table's largest amount takes away: less is rounding."""
CHUNK_BYTES = 2**22
"""Spectra of columns that are worked off at once, in float64: they stay in the cache through all rounds."""


@dataclass(frozen=True)
class GasFilter:
    """A filter for one gas in each column of the detector.

    Attributes:
        table: radiance by wavelength and amount of the gas.
        windows: wavelengths (nm) that are used, from and to.
        sun_zenith, view_zenith: degrees from the vertical, in place of what the scene says.
        water: precipitable water (cm).

    Raises:
        OptionError: no window, one that does not ascend, or an angle that is none.
    """

    name: ClassVar[str]
    task: ClassVar[str] = "gas"
    roles: ClassVar[tuple[str, ...]] = ("cube",)
    iterative: ClassVar[bool]

    table: AbsorptionTable
    windows: tuple[tuple[float, float], ...] = METHANE
    sun_zenith: float | None = None
    view_zenith: float | None = None
    water: float | None = None

    def __post_init__(self) -> None:
        wrong = [pair for pair in self.windows if not pair[0] < pair[1]]
        if wrong or not self.windows:
            raise OptionError("--window", f"{wrong[0] if wrong else 'nothing'} is no range of wavelengths", "Give LOW,HIGH in nm, such as 2122,2488")
        for name in ("sun_zenith", "view_zenith"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 90:
                raise OptionError(name, f"{value} is no angle from the vertical", "Give degrees, 0 to below 90")
        if self.water is not None and self.water < 0:
            raise OptionError("water", f"{self.water} is no column of water", "Give centimetres")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layers "enhancement", "uncertainty" and "sensitivity" (float32), and the table "absorption".

        Raises:
            OptionError: no radiance, or a table that does not fit the scene.
            SceneError: a scene whose columns are not the detector's, or with fewer rows than bands.
            WavelengthError: a scene without wavelengths or widths, or with too few bands in the windows.
        """
        scene = inputs["cube"]
        _check(scene)
        used = self._used(scene)
        rows = scene.grid.shape[0]
        if rows <= len(used):
            raise SceneError(scene.name, f"its columns of {rows} pixels are too short for the covariance of {len(used)} bands", "Give a narrower --window")
        where = self._geometry(scene)
        absorption = self.table.unit_absorption(scene.bands.wavelength[used], scene.bands.fwhm[used], where)
        if not (absorption * self.table.concentration.max() < -LEAST_TAKEN).any():
            raise OptionError(self.table.source, f"its gas takes nothing away in the {len(used)} bands that are used", "Give another --window")
        return _Retrieving(self, scene, tuple(int(i) for i in used), torch.from_numpy(absorption), where).job()

    def _used(self, scene: SceneInfo) -> Indices:
        centres, widths = scene.bands.wavelength, scene.bands.fwhm
        within = np.any([(centres >= low) & (centres <= high) for low, high in self.windows], axis=0)
        used = np.flatnonzero(within & scene.bands.good)
        told = ", ".join(f"{low:g} to {high:g} nm" for low, high in self.windows)
        if len(used) < LEAST_BANDS:
            raise WavelengthError(scene.name, f"it has {len(used)} good bands from {told}", "Give a --window of more bands")
        if not np.isfinite(widths[used]).all():
            raise WavelengthError(scene.name, f"the widths of its bands from {told} are not known", "Give --wavelengths with a column fwhm, or --sensor")
        return used

    def _geometry(self, scene: SceneInfo) -> dict[str, float]:
        """What is known of the geometry: what the user says, else the scene."""
        found: dict[str, float] = {}
        for name in GEOMETRY:
            told = getattr(self, name)
            text = scene.attrs.get(name, "")
            try:
                value = told if told is not None else float(text)
            except ValueError:
                continue
            if np.isfinite(value):
                found[name] = float(value)
        return {name: found[name] for name in self.table.needs() if name in found}


@dataclass(frozen=True)
class Mag1c(GasFilter):
    """Iterative, sparse, corrected for the ground's brightness."""

    name: ClassVar[str] = "mag1c"
    iterative: ClassVar[bool] = True


@dataclass(frozen=True)
class EmitGhg(GasFilter):
    """The plain matched filter of each column."""

    name: ClassVar[str] = "emit-ghg"
    iterative: ClassVar[bool] = False


def _check(scene: SceneInfo) -> None:
    """Refuses what is no radiance on the sensor's own grid."""
    if scene.quantity != "radiance":
        wrong = f"it is {scene.quantity} ({scene.units}), from which the air's absorption was taken out or is not known"
        raise OptionError(scene.name, wrong, "Give the product's radiance; where the file does not say that it is: --quantity radiance")
    if scene.grid.georeferenced and scene.swath is None:
        wrong = "it lies on a map's grid, whose columns mix detectors; each detector has its own background"
        raise SceneError(scene.name, wrong, "Give the scene as the sensor saw it, before orthorectification; the result is put on the map")
    if not scene.bands.spectral:
        raise WavelengthError(scene.name, "its bands have no wavelengths", "Give --wavelengths or --sensor")


@dataclass(frozen=True, eq=False)
class _Retrieving:
    """The stages for one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of the bands.
        absorption: their unit absorption.
        where: the geometry that the table was read at.
    """

    options: GasFilter
    scene: SceneInfo
    used: tuple[int, ...]
    absorption: Tensor
    where: dict[str, float]

    def job(self) -> Job:
        told = self.options
        layers = (
            Layer("enhancement", unit="ppm m", description="gas above the background of the pixel's column"),
            Layer("uncertainty", unit="ppm m", description="standard deviation of the enhancement: noise and ground that the filter leaves"),
            Layer("sensitivity", unit="1", description="answer to the gas over that above the column's mean spectrum; low over dark ground"),
            Layer("absorption", "table", description="unit absorption of the bands that were used"),
        )
        windows = ", ".join(f"{low:g}-{high:g} nm" for low, high in told.windows)
        geometry = {name: f"{value:g}" for name, value in self.where.items()}
        return Job(
            method=told.name,
            identity={
                "bands": list(self.used), "absorption": hashlib.sha256(self.absorption.numpy().tobytes()).hexdigest(), "loading": LOADING,
                "shrunk": MOST_SHRUNK if told.iterative else 0.0,
            },
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=layers,
            stages=(
                # A column is whole in a tile, so that its statistics are exact whatever the tiles.
                Map("retrieve", ("cube",), ("enhancement", "uncertainty", "sensitivity"), self._apply, footprint="columns"),
                Finish("check", ("enhancement",), self._finish),
            ),
            cost=self._cost,
            provenance={"absorption_table": told.table.source, "windows": windows, "bands_used": str(len(self.used)), **geometry},
        )  # fmt: skip

    def _cost(self, tile: tuple[int, int]) -> Cost:
        bands, (rows, cols) = len(self.used), tile
        at_once = self._at_once(rows, cols)
        return Cost(at_once * (8 * 4 * rows * bands + 8 * 10 * bands**2) + 24 * rows * cols, rows * cols * bands * (bands + 4.0 * ROUNDS))

    def _at_once(self, rows: int, cols: int) -> int:
        """Columns that are worked off at once."""
        return max(1, min(cols, CHUNK_BYTES // (8 * rows * len(self.used))))

    def _apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        cube, valid = tile.inner("cube"), tile.inner_valid("cube")
        rows, cols = valid.shape
        out = cube.new_full((3, rows, cols), float("nan"))
        # A column of fewer pixels than bands has no covariance: it stays without values, and is told at the end.
        able = (valid.sum(0) > len(self.used)).nonzero()[:, 0]
        absorption = self.absorption.to(cube.device)
        for part in torch.split(able, self._at_once(rows, cols)) if len(able) else ():
            spectra = cube[:, :, part].permute(2, 1, 0).double()
            found = retrieve(spectra, valid[:, part].T, absorption, iterative=self.options.iterative)
            for layer, values in enumerate((found.enhancement, found.uncertainty, found.sensitivity)):
                out[layer, :, part] = values.T.float()
        return {"enhancement": out[:1], "uncertainty": out[1:2], "sensitivity": out[2:]}

    def _finish(self, strips: Strips, store: Store) -> tuple[Partial, Mapping[str, Features]]:
        there = np.zeros(strips.grid.shape[1], bool)
        for window, arrays in strips.strips("enhancement"):
            there[window.col : window.col_end] |= np.isfinite(arrays["enhancement"][0]).any(0)
        if not there.any():
            raise SceneError(self.scene.name, f"no column has more valid pixels than the {len(self.used)} bands", "Mask less, or give a narrower --window")
        bands = self.scene.bands.take(np.array(self.used, np.intp))
        columns = {"band": np.array(bands.names), "wavelength_nm": bands.wavelength, "per_ppm_m": self.absorption.numpy()}
        return {"columns_without": torch.tensor(int((~there).sum()))}, {"absorption": Features(columns)}

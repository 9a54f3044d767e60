"""Minerals by their absorption features: of each group of wavelengths the three entries of a library that fit a pixel best.

For geologists with a library of reflectance and a scene of surface reflectance. The method is that of Tetracorder (Clark et al., 2003,
doi:10.1029/2002JE001847) as EMIT's product uses it (Green et al., 2020, doi:10.1109/AERO47225.2020.9172731): features are fitted over their
continuum, weighed by their areas, and the highest fit wins within a group; mixtures are entries of their own. Here the weights, gates
and features are plain numbers and one table, entries that the table does not know get features of their own spectrum, equal fits do not
go by the order of the library, three entries are kept instead of one, and the uncertainty of a depth is that of a slope.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hsikit.errors import OptionError, WavelengthError
from hsikit.layers import Features, Layer
from hsikit.method import Cost, Finish, Input, Job, Map, Partial, Store, Strips, Tile
from hsikit.scene import QUANTITIES, SceneInfo
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.minerals.features import GROUPS, Mineral, Profile, features_of, profile_of, read_features
from hsikit.tasks.minerals.fitting import CHUNK_PIXELS, Gates, GroupFit, members_of

KEPT = 3
"""Entries that are kept of each group."""
RANKS = ("first", "second", "third")
MOST_ENTRIES = 2**15 - 2
"""What the positions in a map can say."""
NODATA = -1


@dataclass(frozen=True)
class Minerals:
    """Best fitting library entries by their absorption features.

    Attributes:
        references: spectra of the library at the scene's bands.
        table: features of known minerals; see `features.read_features`.
        least_fit: squared correlation from which on an entry is told, 0 to 1.
        least_depth: band depth from which on it is, and from which on a diagnostic feature is there.
        most_ratio: depth of a diagnostic feature over that in the library, up to which it may be the entry's: a pixel that holds a share of it shows
            no more than the whole, but for the size of its grains.
        dark: reflectance below which a feature's continuum says nothing.
        noise: standard deviation of the reflectance for the uncertainty of depths; None: from what the fit leaves over.

    Raises:
        OptionError: an option out of its range, or too many entries.
    """

    name: ClassVar[str] = "minerals"
    task: ClassVar[str] = "mineral mapping"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    references: TargetSpectra
    table: tuple[Mineral, ...] = field(default_factory=read_features)
    least_fit: float = 0.5
    least_depth: float = 0.01
    most_ratio: float = 1.5
    dark: float = 0.02
    noise: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("least_fit", self.least_fit), ("least_depth", self.least_depth), ("dark", self.dark)):
            if not 0 <= value < 1:
                raise OptionError(name, f"{value} is not a share below 1", "Give 0 to 1")
        if not self.most_ratio > 0:
            raise OptionError("most_ratio", f"{self.most_ratio} is no ratio of depths", "Give a number above 0, such as 1.5")
        if self.noise is not None and not 0 < self.noise < 1:
            raise OptionError("noise", f"{self.noise} is no standard deviation of a reflectance", "Give a fraction, such as 0.005")
        if len(self.references.names) > MOST_ENTRIES:
            raise OptionError(self.references.source, f"{len(self.references.names)} entries are more than {MOST_ENTRIES}", "Choose some with --name")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layers "minerals" (int16), "depth", "fit", "uncertainty" (float32) and the table "entries".

        Raises:
            OptionError: another quantity than the library's, or no entry with a feature that the sensor sees.
            WavelengthError: a scene without wavelengths, or a library at other bands.
        """
        scene = inputs["cube"]
        told = self.references
        if told.quantity != scene.quantity:
            wrong = f"holds {told.quantity} ({QUANTITIES[told.quantity]}), and {scene.name} is {scene.quantity} ({scene.units})"
            raise OptionError(told.source, wrong, "Absorption features need surface reflectance: correct the scene, or say --quantity where it is")
        if not scene.bands.spectral:
            raise WavelengthError(scene.name, "its bands have no wavelengths, so that no feature can be found", "Give --wavelengths or --sensor")
        if told.wavelength.shape != scene.bands.wavelength.shape or not np.allclose(told.wavelength, scene.bands.wavelength):
            raise WavelengthError(told.source, f"its spectra are not at the bands of {scene.name}", "Use hsikit.targets.library_references")
        used = scene.bands.used
        profiles = profiles_of(told, scene, self.table)
        if not any(profiles):
            raise OptionError(told.source, f"none of its {len(profiles)} entries has a feature that {scene.name} shows", "Give a library of the sensor's range")
        return _Mapping(self, scene, tuple(int(i) for i in used), profiles).job()


def profiles_of(references: TargetSpectra, scene: SceneInfo, table: tuple[Mineral, ...]) -> list[list[Profile]]:
    """The features of each library entry that a scene's good bands show."""
    used = scene.bands.used
    wavelength = scene.bands.wavelength[used]
    found = []
    for name, values in zip(references.names, references.values[:, used], strict=True):
        features = features_of(name, values, wavelength, table)
        found.append([profile for profile in (profile_of(feature, values, wavelength) for feature in features) if profile is not None])
    return found


@dataclass(frozen=True, eq=False)
class _Mapping:
    """The stages for one scene.

    Attributes:
        options: the method.
        scene: facts of the scene.
        used: positions of its good bands.
        profiles: features of each entry.
    """

    options: Minerals
    scene: SceneInfo
    used: tuple[int, ...]
    profiles: list[list[Profile]]

    @cached_property
    def groups(self) -> list[GroupFit | None]:
        """The entries of each group; None where no entry has features in it."""
        told, wavelength = self.options, self.scene.bands.wavelength[list(self.used)]
        gates = Gates(told.least_fit, told.least_depth, told.dark, told.most_ratio)
        members = members_of(self.profiles)
        return [GroupFit(members[group], wavelength, gates) if members[group] else None for group in GROUPS]

    def job(self) -> Job:
        told = self.options
        names = tuple(f"group {group} {rank}" for group in GROUPS for rank in RANKS)
        layers = (
            Layer("minerals", dtype="int16", bands=len(names), nodata=NODATA, band_names=names, description="entries of the library, from 1; 0: none"),
            Layer("depth", bands=len(names), unit="1", band_names=names, description="band depth of the entry"),
            Layer("fit", bands=len(names), unit="1", band_names=names, description="squared correlation with the entry, weighed over its features"),
            Layer("uncertainty", bands=len(GROUPS), unit="1", band_names=tuple(f"group {group} first" for group in GROUPS),
                  description="standard deviation of the depth of the first entry"),
            Layer("entries", "table", description="names of the entries, and the pixels that each is first in"),
        )  # fmt: skip
        return Job(
            method=told.name,
            identity={**self._gates(), "bands": list(self.used), "library": self._checksum()},
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=layers,
            stages=(
                Map("fit-features", ("cube",), ("minerals", "depth", "fit", "uncertainty"), self._apply),
                Finish("count", ("minerals",), self._count),
            ),
            cost=self._cost,
            provenance={"library": told.references.source, **{name: str(value) for name, value in self._gates().items()}},
        )

    def _gates(self) -> dict[str, Any]:
        told = self.options
        names = ("least_fit", "least_depth", "most_ratio", "dark", "noise")
        return {name: getattr(told, name) for name in names}

    def _checksum(self) -> str:
        """Of the entries' names and features."""
        sum_ = hashlib.sha256("\n".join(self.options.references.names).encode())
        for own in self.profiles:
            for profile in own:
                sum_.update(f"{profile.window} {profile.group} {profile.diagnostic} {profile.slope} {profile.depth!r}".encode())
                sum_.update(profile.centred.tobytes())
            sum_.update(b"/")
        return sum_.hexdigest()

    def _cost(self, tile: tuple[int, int]) -> Cost:
        bands, pixels, most = len(self.used), tile[0] * tile[1], max(len(own.entries) if own else 0 for own in self.groups)
        features = sum(map(len, self.profiles))
        results = pixels * len(GROUPS) * (KEPT * 10 + 4 + 16)
        return Cost(results + CHUNK_PIXELS * (4 * bands + 4 * 3 * bands + 24 * most + 16 * bands), 200.0 * features * pixels)

    def _apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        cube = tile.inner("cube")
        places = tile.inner_valid("cube").flatten().nonzero()[:, 0]
        flat, count = cube.flatten(1), cube.shape[1] * cube.shape[2]
        kept = KEPT * len(GROUPS)
        index = torch.zeros(kept, count, dtype=torch.int16, device=cube.device)
        depth, fit = cube.new_zeros(2, kept, count)
        sigma = cube.new_zeros(len(GROUPS), count)
        for part in torch.split(places, CHUNK_PIXELS):
            values = cube.new_full((len(flat), CHUNK_PIXELS), 1.0)
            values[:, : len(part)] = flat[:, part]
            for number, group in enumerate(self.groups):
                if group is None:
                    continue
                rows = slice(number * KEPT, (number + 1) * KEPT)
                best = [found[:, : len(part)] for found in group.best(values, KEPT)]
                index[rows, part], depth[rows, part], fit[rows, part] = best
                sigma[number, part] = group.uncertainty(values[:, : len(part)], best[0][0], self.options.noise)
        shape = cube.shape[1:]
        return {
            "minerals": index.view(kept, *shape), "depth": depth.view(kept, *shape), "fit": fit.view(kept, *shape),
            "uncertainty": sigma.view(len(GROUPS), *shape),
        }  # fmt: skip

    def _count(self, strips: Strips, store: Store) -> tuple[Partial, Mapping[str, Features]]:
        names = self.options.references.names
        counts = np.zeros((len(GROUPS), len(names) + 1), np.int64)
        for _, arrays in strips.strips("minerals"):
            for number in range(len(GROUPS)):
                first = arrays["minerals"][number * KEPT]
                counts[number] += np.bincount(first[first >= 0].ravel(), minlength=len(names) + 1)
        columns: dict[str, Any] = {"index": np.arange(1, len(names) + 1), "name": np.array(names)}
        for number, group in enumerate(GROUPS):
            columns[f"features_group_{group}"] = np.array([sum(profile.group == group for profile in own) for own in self.profiles])
            columns[f"pixels_group_{group}"] = counts[number, 1:]
        return {"counts": torch.from_numpy(counts)}, {"entries": Features(columns)}

"""The files of one EMIT granule together: masks give a scene its quality, the observation the angles, another file the uncertainty."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, Quality
from hsikit.sensors.damage import damage_named
from hsikit.sensors.hdf5 import Hdf5File
from hsikit.sensors.hdf5_heaps import refuse_endless_heaps
from hsikit.sensors.products.angles import observed
from hsikit.sensors.products.jpl import FILL

WHAT = "an EMIT product"
NAMES = {"obs": "sensor_band_parameters/observation_bands", "mask": "sensor_band_parameters/mask_bands"}
MASK_FLAGS = {
    "cloud flag": "cloud", "dilated cloud flag": "cloud", "spectf-cloud flag": "cloud", "cirrus flag": "cirrus", "water flag": "water",
    "spacecraft flag": "no-data",
}  # fmt: skip
"""Bands of the masks by name, and what they say; where a part of the space station hides the ground, there is no measurement of it."""
GRANULE = re.compile(r"EMIT_L\d[AB]_[A-Z0-9]+_(\d{3})_(\d{8}T\d{6}_\d+_\d+)\.nc")


def file_beside(path: Path, product: str) -> Path | None:
    """Another product ("L2A_MASK") of the same granule in the same folder: of the same version, else of the newest."""
    own = GRANULE.fullmatch(path.name)
    if own is None:
        return None
    found = {name[1]: other for other in path.parent.glob(f"EMIT_{product}_*_{own[2]}.nc") if (name := GRANULE.fullmatch(other.name)) and other != path}
    return found.get(own[1]) or (found[max(found)] if found else None)


def masks_beside(path: Path, shape: tuple[int, int], notices: list[str]) -> tuple[Quality, Hdf5File] | None:
    """The flags of the masks file beside a spectral one, and that file, open; None, with a notice, where it is damaged or does not fit."""
    beside = file_beside(path, "L2A_MASK")
    if beside is None:
        return None
    file = Hdf5File(beside, WHAT)
    try:
        with damage_named(beside, WHAT):
            refuse_endless_heaps(beside)
            return mask_quality(file, shape), file
    except SceneError as error:
        notices.append(f"the masks beside it are not used: {error}")
        file.close()
        return None


def mask_quality(file: Hdf5File, shape: tuple[int, int]) -> Quality:
    """The flags of a masks file, whose bands (8 in V001, 11 in V002, fewer in later ones) are known by their names.

    Raises:
        SceneError: it is of another shape, or its bands have no names.
    """
    dataset = file.dataset("mask")
    names = file.texts(NAMES["mask"])
    if dataset.ndim != 3 or dataset.shape[:2] != shape or dataset.shape[2] != len(names):
        raise SceneError(file.path, f"its masks have the shape {dataset.shape}, for {len(names)} names and {shape} pixels", "Fetch the file again")
    flags = {number: MASK_FLAGS[name.strip().lower()] for number, name in enumerate(names) if name.strip().lower() in MASK_FLAGS}
    if not flags:
        raise SceneError(file.path, f"none of its masks is known ({', '.join(names)})", "Name a mask of your own with --mask")
    fill = float(file.attributes("mask").get("_FillValue", FILL))
    last = max(flags) + 1

    def read(window: Window) -> NDArray[np.uint8]:
        values = file.read("mask", (*window.slices(), slice(0, last)))
        out = np.zeros(window.shape, np.uint8)
        for number, flag in flags.items():
            out[values[..., number] > 0.5] |= QUALITY_FLAGS[flag]
            out[values[..., number] == fill] |= QUALITY_FLAGS["no-data"]
        return out

    return Quality(tuple(dict.fromkeys([*flags.values(), "no-data"])), read)


def angles_beside(path: Path, notices: list[str]) -> dict[str, str]:
    """Angles (degrees) at the pixel in the middle of the observation beside a spectral file; none, with a notice, where it is damaged."""
    beside = file_beside(path, "L1B_OBS")
    if beside is None:
        return {}
    file = Hdf5File(beside, WHAT)
    try:
        with damage_named(beside, WHAT):
            refuse_endless_heaps(beside)
            return _angles(file)
    except SceneError as error:
        notices.append(f"the observation beside it is not used: {error}")
        return {}
    finally:
        file.close()


def _angles(file: Hdf5File) -> dict[str, str]:
    rows, cols, _ = file.dataset("obs").shape
    return observed(file.texts(NAMES["obs"]), file.read("obs", (rows // 2, cols // 2)))

"""HISUI (METI, on the International Space Station), level 1G: the image, a text of metadata, and a table of the bands (`_B.csv`).

A folder, an archive, or one of the three files. The first bands are those of the VNIR (58 of 185); the SWIR begins where the
centres step back.

Source: Japan Space Systems, HISUI product format, as published programs read it; from the specification; not seen in a real file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.scene import QUALITY_FLAGS, Indices, Quality, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Layout, Options, layout
from hsikit.sensors.overlap import join_detectors
from hsikit.sensors.probe import Probe
from hsikit.sensors.products.band_order import need_order
from hsikit.sensors.radiance_units import radiance_factor
from hsikit.sensors.rasters import RasterBand, RasterReads, RasterStack, raster_facts
from hsikit.sensors.times import utc_text
from hsikit.sensors.water_vapour import WATER_VAPOUR

TABLE = r".*_B\.csv"
MARK = "RadianceMultiVNIR"
LAST_OF_VNIR = 58
FILL = 0
OURS = "W/m2/micron/sr"


class Reader:
    """Opens HISUI products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the metadata of HISUI lie beside the table of its bands."""
        stem = _stem(probe.delivery)
        return stem is not None and MARK in probe.delivery.text(f"{stem}.txt")

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: a file of it is missing or damaged, or its table does not fit its image.
        """
        delivery = Delivery(path)
        stem = _stem(delivery)
        if stem is None:
            raise SceneError(path, "lacks the image, the metadata or the table of bands", "Fetch the whole product again")
        return _open(delivery, stem, options)


def _stem(delivery: Delivery) -> str | None:
    """The name that the three files share; None where one of them is missing."""
    if delivery.kind == "file":
        stems = [re.sub(r"(_B)?\.(csv|txt|tif)$", "", delivery.path.name)]
    else:
        stems = [name.removesuffix("_B.csv") for name in delivery.all(TABLE)]
    names = set(delivery.names)
    return next((stem for stem in stems if {f"{stem}.txt", f"{stem}.tif", f"{stem}_B.csv"} <= names), None)


def _open(delivery: Delivery, stem: str, options: Options) -> Source:
    fields = _fields(delivery.text(f"{stem}.txt"))
    centres, widths = _bands(delivery, f"{stem}_B.csv")
    image = f"{stem}.tif"
    raster = raster_facts(delivery.gdal(image), f"{delivery.path}: {image}")
    if raster.count != len(centres):
        raise SceneError(delivery.path, f"has {raster.count} bands in its image, and {len(centres)} in its table", "Fetch the product again")
    back = np.flatnonzero(np.diff(centres) < 0)
    vnir = int(back[0]) + 1 if back.size else min(LAST_OF_VNIR, len(centres))
    for detector, part in (("VNIR", centres[:vnir]), ("SWIR", centres[vnir:])):
        need_order(part, delivery.path, detector)
    unit = radiance_factor(fields.get("RadianceUnit", OURS))
    if unit is None:
        raise SceneError(delivery.path, f"gives radiance in {fields['RadianceUnit']!r}, which is no unit known here", "Name the factor with --scale")
    detectors = ["VNIR" if number < vnir else "SWIR" for number in range(len(centres))]
    factors = {detector: tuple(_number(delivery, fields, f"Radiance{key}{detector}") * unit for key in ("Multi", "Add")) for detector in ("VNIR", "SWIR")}
    bad = {FILL, *([int(_number(delivery, fields, "BadPixelDN"))] if "BadPixelDN" in fields else [])}
    bands = [RasterBand(delivery.gdal(image), number + 1) for number in range(raster.count)]
    facts = FileFacts(
        name=str(delivery.path), driver="hisui", grid=raster.grid, dtype=np.dtype(np.float32),
        claims=BandClaims(
            len(centres), centres, "nm", widths, names=[f"{detector} {n + 1}" for n, detector in enumerate(detectors)], absorbed=WATER_VAPOUR,
        ),
        scale=[factors[detector][0] for detector in detectors], offset=[factors[detector][1] for detector in detectors], quantity="radiance",
        acquired=utc_text(fields.get("SceneCenterTime", "")), files=delivery.files([f"{stem}.txt", f"{stem}_B.csv", image]),
        attrs={
            "product": fields.get("ProductID", PurePosixPath(stem).name), "processing_level": "L1G", "processor": "HISUI ground segment",
            "processor_version": fields.get("ProductVersion", ""), "correction": "none",
        },
        quality=_quality(delivery, image, raster.count, fields),
    )  # fmt: skip
    scene = layout(facts, options)
    return join_detectors(_Stack(scene, bands, raster.block, bad), [bool(place < vnir) for place in scene.order], options.detector_overlap)


def _fields(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            found.setdefault(key.strip(), value.strip().strip("\"'"))
    return found


def _number(delivery: Delivery, fields: Mapping[str, str], key: str) -> float:
    try:
        found = float(fields.get(key, ""))
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise SceneError(delivery.path, f"has no number {key} in its metadata ({fields.get(key, '')[:40]!r})", "Fetch the product again")
    return found


def _bands(delivery: Delivery, name: str) -> tuple[list[float], list[float]]:
    """Centres and widths (nm), in the order of the image."""
    rows = list(csv.DictReader(delivery.text(name).lstrip("\ufeff").splitlines()))
    columns = ("CenterWavelengthNanometer", "FullWidthAtHalfMaximumNanometer")
    try:
        centres, widths = ([float(row[column]) for row in rows] for column in columns)
    except (KeyError, TypeError, ValueError):
        raise SceneError(f"{delivery.path}: {name}", f"has no numbers in its columns {' and '.join(columns)}", "Fetch the product again") from None
    return centres, widths


class _Stack(RasterStack):
    """The image as stored, but for what is not measured, which is NaN.

    Args:
        scene: see `RasterStack`.
        bands: the same.
        block: the same.
        missing: stored numbers that mean nothing measured.
    """

    def __init__(self, scene: Layout, bands: Sequence[RasterBand], block: tuple[int, int], missing: set[int]) -> None:
        super().__init__(scene, bands, block)
        self._missing = sorted(missing)

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        stored = super()._stored(window, bands)
        if self.info.nodata is None:
            stored[np.isin(stored, self._missing)] = np.nan
        return stored


def _quality(delivery: Delivery, image: str, count: int, fields: Mapping[str, str]) -> Quality:
    """Flags out of the numbers that mean fill and saturation."""
    saturated = _number(delivery, fields, "SaturatedPixelDN") if "SaturatedPixelDN" in fields else None
    reads, path = RasterReads(str(delivery.path)), delivery.gdal(image)

    def read(window: Window) -> NDArray[np.uint8]:
        stored = reads.read(path, range(1, count + 1), window)
        out = np.zeros(window.shape, np.uint8)
        out[(stored == FILL).all(axis=0)] |= QUALITY_FLAGS["no-data"]
        if saturated is not None:
            out[(stored == saturated).any(axis=0)] |= QUALITY_FLAGS["saturated"]
        return out

    return Quality(("no-data", *(["saturated"] if saturated is not None else [])), read)

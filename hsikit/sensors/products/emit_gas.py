"""EMIT's gas products: enhancement of methane or carbon dioxide, its sensitivity and its uncertainty, each one map (NASA/JPL, LP DAAC).

Cloud-optimised GeoTIFFs of one layer. From the specification, not seen in a real file. Source: EMIT L2B greenhouse gas user guides,
NASA/JPL emit-ghg.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hsikit.errors import SceneError
from hsikit.scene import Source
from hsikit.sensors.bands import BandClaims
from hsikit.sensors.facts import FileFacts, Options, layout
from hsikit.sensors.probe import Probe
from hsikit.sensors.rasters import RasterBand, RasterStack, raster_facts
from hsikit.sensors.tiff_directory import refuse_short_directory
from hsikit.sensors.times import utc_text

KIND = re.compile(rb"EMIT_L2B_((?:CH4|CO2)(?:ENH|SENS|UNCERT))")
"""What the product is, in its name."""
TAGGED = re.compile(rb">EMIT_L2B_((?:CH4|CO2)(?:ENH|SENS|UNCERT))<")
"""The same among the metadata, which such a file has at its beginning."""
NAME = re.compile(r"EMIT_L2B_[A-Z0-9]+_(\d{3})_(\d{8}T\d{6})_(\d+_\d+)\.tif", re.IGNORECASE)
UNITS = {"ENH": "ppm m", "UNCERT": "ppm m", "SENS": "1"}
GASES = {"CH4": "methane", "CO2": "carbon dioxide"}
WORDS = {"ENH": "enhancement", "UNCERT": "enhancement uncertainty", "SENS": "enhancement sensitivity"}
HEAD = 1 << 16
FILL = -9999.0


class Reader:
    """Opens EMIT's gas products."""

    @staticmethod
    def recognises(probe: Probe) -> bool:
        """Whether the file's name or the metadata at its beginning name a gas product."""
        return _kind(probe.path) is not None

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a product.

        Raises:
            SceneError: it is damaged, or has several layers.
        """
        kind = _kind(path) or ""
        refuse_short_directory(path)
        facts = raster_facts(str(path), path)
        if facts.count != 1:
            raise SceneError(path, f"has {facts.count} layers, and a gas product has one", "Fetch the file again")
        name = NAME.fullmatch(path.name)
        gas, what = GASES[kind[:3]], kind[3:]
        attrs = {
            "product": f"EMIT L2B {kind}",
            "granule": f"{name[2]}_{name[3]}" if name else "",
            "processing_level": "L2B",
            "product_version": facts.tags.get("product_version", ""),
            "processor": "EMIT SDS",
            "processor_version": facts.tags.get("software_build_version", ""),
            "layer_units": UNITS[what],
            **_uncertainty(path, kind),
        }
        claims = BandClaims(1, names=[f"{gas} {WORDS[what]}"], sensor="emit", spectral=False)
        nodata = FILL if facts.nodata is None else facts.nodata
        told = FileFacts(
            name=str(path), driver="emit-gas", grid=facts.grid, dtype=np.dtype(facts.dtype), claims=claims, nodata=nodata, quantity="dn",
            acquired=utc_text(name[2]) if name else "", files=(path,), attrs=attrs,
        )  # fmt: skip
        return RasterStack(layout(told, options), [RasterBand(str(path))], facts.block)


def _kind(path: Path) -> str | None:
    named = KIND.match(path.name.encode())
    if named is None:
        with path.open("rb") as file:
            named = TAGGED.search(file.read(HEAD))
    return named[1].decode() if named else None


def _uncertainty(path: Path, kind: str) -> dict[str, str]:
    beside = path.with_name(path.name.replace(kind, f"{kind[:3]}UNCERT"))
    return {"uncertainty": f"per pixel: {beside.name}"} if kind.endswith("ENH") and beside != path and beside.is_file() else {}

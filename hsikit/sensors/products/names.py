"""Products by their names alone: what a path that no reader recognises was probably meant to be, for the message."""

from __future__ import annotations

import re
from pathlib import Path

PRODUCTS: dict[str, str] = {
    r"PRS_L\w+\.(he5|zip)": "a PRISMA product",
    r"EMIT_L\w+\.nc": "an EMIT product",
    r"(ENMAP|enmap_L).*(\.zip|METADATA\.XML)": "an EnMAP product",
    r"DESIS-.*(\.zip|METADATA\.xml)": "a DESIS product",
    r"S2[ABC]_MSIL.*(\.SAFE|\.zip)": "a Sentinel-2 product",
    r"L[COTEM]0\d_L.*(_MTL\.(txt|xml|json)|_B\d+\.TIF|_(QA|SR|ST)_\w+\.TIF|\.tar)": "a Landsat product",
    r"PACE_OCI.*\.nc": "a PACE OCI product",
    r"NEON_.*\.h5": "a NEON product",
}
"""Pattern of a file's name -> what it is."""


def named_like(path: Path) -> str | None:
    """What a file, or a file in a folder, is named like; None where it is like nothing that is known here."""
    names = [path.name, *(sorted(child.name for child in path.iterdir()) if path.is_dir() else ())]
    return next((kind for pattern, kind in PRODUCTS.items() if any(re.fullmatch(pattern, name, re.IGNORECASE) for name in names)), None)

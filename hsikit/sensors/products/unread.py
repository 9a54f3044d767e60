"""Deliveries of space agencies that hsikit does not read yet: recognised, so that the message can say what they are."""

from __future__ import annotations

import re
from pathlib import Path

PRODUCTS: dict[str, str] = {
    r"PRS_L\w+\.he5": "a PRISMA product",
    r"EMIT_L\w+\.nc": "an EMIT product",
    r"(ENMAP|enmap_L).*(\.zip|METADATA\.XML)": "an EnMAP archive",
    r"DESIS-.*(\.zip|METADATA\.xml)": "a DESIS archive",
    r"S2[ABC]_MSIL.*(\.SAFE|\.zip)": "a Sentinel-2 product",
    r"L[COTEM]0\d_L.*(_MTL\.(txt|xml|json)|_B\d+\.TIF|_(QA|SR|ST)_\w+\.TIF|\.tar)": "a Landsat product",
    r"PACE_OCI.*\.nc": "a PACE OCI product",
}
"""Pattern of a file's name -> what it is."""
ADVICE = {
    "a Landsat product": "Stack its bands into one GeoTIFF, and open that with --sensor landsat-8",
    "an EnMAP archive": "Unpack it, and give the GeoTIFF of its spectral image with --sensor enmap",
}
USUAL_ADVICE = "Convert it to GeoTIFF or ENVI with its wavelengths first"


def unread_product(path: Path) -> tuple[str, str] | None:
    """What a file or folder is, and what to do with it; None where it is no product that is known here."""
    names = [path.name, *(sorted(child.name for child in path.iterdir()) if path.is_dir() else ())]
    for pattern, kind in PRODUCTS.items():
        if any(re.fullmatch(pattern, name, re.IGNORECASE) for name in names):
            return kind, ADVICE.get(kind, USUAL_ADVICE)
    return None

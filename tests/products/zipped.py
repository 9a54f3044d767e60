"""Products of one HDF5 file in the zip in which agencies deliver them, or users keep them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.products import emit, neon, netcdf_cf, prisma
from tests.products.case import Built, Case

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
BESIDE = {"PRS_L2D_STD.xml": b"<PRISMA/>", "browse/PRS_L2D.png": b"\x89PNG\r\n\x1a\n" + bytes(range(200))}


def pack(path: Path, files: Mapping[str, bytes], method: int = STORED) -> Path:
    """A zip of these files, the same at any time."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2024, 4, 2, 10, 28, 36))
            entry.compress_type, entry.external_attr = method, 0o644 << 16
            archive.writestr(entry, data)
    return path


def zipped(built: Built, method: int, inside: str = "", beside: Mapping[str, bytes] | None = None) -> Built:
    """A product, packed and taken away; its file lies in the folder `inside`, after the files beside it. What lies beside the zip is not beside it."""
    file = built.path
    packed = pack(file.with_suffix(".zip"), {**(beside or {}), f"{inside}{file.name}": file.read_bytes()}, method)
    file.unlink()
    kept = {key: text for key, text in built.attrs.items() if key != "uncertainty" or not text.endswith(".nc")}
    return replace(built, path=packed, attrs=kept)


CASES = (
    Case("prisma-l2d-zip-stored", "prisma", lambda folder: zipped(prisma.product(folder, "2D"), STORED)),
    Case("prisma-l2d-zip-deflated", "prisma", lambda folder: zipped(prisma.product(folder, "2D"), DEFLATED, "PRS_L2D_STD/", BESIDE)),
    Case("prisma-l1-pan-zip-deflated", "prisma", lambda folder: zipped(prisma.panchromatic(folder, "1"), DEFLATED)),
    Case("emit-l2b-minerals-zip-stored", "emit-minerals", lambda folder: zipped(emit.minerals(folder), STORED)),
    Case("neon-reflectance-zip-deflated", "neon", lambda folder: zipped(neon.reflectance(folder), DEFLATED)),
    Case("netcdf-cf-map-zip-stored", "netcdf", lambda folder: zipped(netcdf_cf.build_map(folder), STORED)),
)

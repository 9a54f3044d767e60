"""Wavelengths in GeoTIFF tags, in the conventions that are found in the wild.

In this order: GDAL's IMAGERY domain; `wavelength` tags of each band; lists of the whole file; band descriptions; a CSV file beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hsikit.sensors.bands import BandClaims

Tags = Mapping[str, str]
_CENTRE_KEYS = ("wavelength", "wavelengths", "central_wavelength", "center_wavelength", "centre_wavelength", "wavelength_nm", "central_wavelength_nm")
_UNIT_KEYS = ("wavelength_units", "wavelength_unit", "wavelengths_units", "wavelengths_unit", "wavelength units", "units_wavelength")
_WIDTH_KEYS = ("fwhm", "fwhms", "bandwidth")
_FLAG_KEYS = ("bbl", "good_band", "good_bands")
_UNITS = r"nanomet(?:er|re)s?|nm|micromet(?:er|re)s?|microns?|um|µm|μm"
_DESCRIBED = re.compile(rf"(?<![\w.])(\d+(?:\.\d*)?|\.\d+)\s*({_UNITS})\b", re.IGNORECASE)


def band_claims(dataset: Any, path: Path) -> BandClaims:
    """What an open rasterio dataset says of its bands."""
    count = dataset.count
    names = [text.strip() for text in dataset.descriptions] if all(dataset.descriptions) else None
    claims = BandClaims(count, names=names)
    tags = [_lower(dataset.tags(band)) for band in range(1, count + 1)]
    whole = _lower(dataset.tags())
    claims.sensor = whole.get("sensor", "")
    found = _imagery(dataset, claims) or _per_band(tags, claims) or _lists(whole, claims) or _descriptions(dataset.descriptions, claims)
    if claims.good is None:
        claims.good = _flags(tags) or _split(_first(whole, _FLAG_KEYS))
    if not found:
        _side_car(path, claims)
    return claims


def _imagery(dataset: Any, claims: BandClaims) -> bool:
    tags = [dataset.tags(band, ns="IMAGERY") for band in range(1, claims.count + 1)]
    centres = [tag.get("CENTRAL_WAVELENGTH_UM") for tag in tags]
    if not any(centres):
        return False
    claims.wavelength, claims.unit = [centre or "missing" for centre in centres], "um"
    claims.fwhm = _some([tag.get("FWHM_UM") for tag in tags])
    return True


def _per_band(tags: Sequence[Tags], claims: BandClaims) -> bool:
    centres = [_first(tag, _CENTRE_KEYS) for tag in tags]
    if not any(centres):
        return False
    if claims.count == 1 and len(_split(centres[0]) or ()) > 1:
        return False
    claims.wavelength = [centre or "missing" for centre in centres]
    claims.unit = _unit(tags[0])
    claims.fwhm = _some([_first(tag, _WIDTH_KEYS) for tag in tags])
    return True


def _lists(whole: Tags, claims: BandClaims) -> bool:
    claims.wavelength = _split(_first(whole, _CENTRE_KEYS))
    if claims.wavelength is None:
        return False
    claims.unit, claims.fwhm = _unit(whole), _split(_first(whole, _WIDTH_KEYS))
    return True


def _descriptions(descriptions: Sequence[str | None], claims: BandClaims) -> bool:
    """Band descriptions such as "450.2 nm" or "Band 12 (0.55 um)"; all of them must name a centre."""
    found = [_DESCRIBED.search(text or "") for text in descriptions]
    if not all(found):
        return False
    units = {match[2].lower() for match in found if match}
    if len(units) != 1:
        return False
    claims.wavelength, claims.unit = [match[1] for match in found if match], units.pop()
    return True


def _side_car(path: Path, claims: BandClaims) -> None:
    """`scene.csv` or `scene_wavelengths.csv`; a CSV of something else, without wavelengths, is not meant."""
    from hsikit.errors import WavelengthError
    from hsikit.sensors.catalogue import read_band_table

    exact = path.with_name(f"{path.stem}_wavelengths.csv")
    for candidate in (exact, path.with_suffix(".csv")):
        if not candidate.is_file():
            continue
        try:
            table = read_band_table(candidate)
        except WavelengthError:
            if candidate == exact:
                raise
            continue
        claims.wavelength, claims.unit, claims.fwhm = table.wavelength.tolist(), "nm", table.fwhm.tolist()
        claims.good = table.good.tolist() if table.good is not None else claims.good
        claims.names = table.names or claims.names
        return


def _lower(tags: Tags) -> dict[str, str]:
    return {key.lower(): value for key, value in tags.items()}


def _unit(tags: Tags) -> str:
    stated = _first(tags, _UNIT_KEYS)
    return stated or ("nm" if _first(tags, ("wavelength_nm", "central_wavelength_nm")) else "")


def _first(tags: Tags, keys: Sequence[str]) -> str | None:
    return next((tags[key] for key in keys if tags.get(key)), None)


def _split(text: str | None) -> list[str] | None:
    parts = [part for part in re.split(r"[,;\s]+", (text or "").strip("{}[]() \n")) if part]
    return parts or None


def _some(values: list[str | None]) -> list[str] | None:
    return [value or "nan" for value in values] if any(values) else None


def _flags(tags: Sequence[Tags]) -> list[str] | None:
    flags = [_first(tag, _FLAG_KEYS) for tag in tags]
    return [flag or "1" for flag in flags] if any(flags) else None

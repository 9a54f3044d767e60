"""Wavelengths in the many spellings that files use, as nanometres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hsikit.errors import WavelengthError
from hsikit.scene import Floats

ADVICE = "Name the band centres with --sensor NAME or --wavelengths FILE.csv"
PLAUSIBLE_NM = (150.0, 30_000.0)  # from the ultraviolet to the thermal infrared

_FACTORS: dict[str, float] = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres", "nanom", "nano meters", "nano-meters", "10^-9 m"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres", "micro-meters", "micro meters"), 1e3),
    **dict.fromkeys(("a", "å", "angstrom", "angstroms", "ångström", "ångstrom"), 0.1),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e6),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e9),
}
_UNSTATED = {"", "unknown", "none", "n/a", "na", "undefined", "unitless", "?"}


def parse_numbers(name: str, values: Sequence[Any], what: str = "wavelengths") -> Floats:
    """Numbers out of text.

    Raises:
        WavelengthError: some are words.
    """
    numbers, words = [], []
    for value in values:
        try:
            numbers.append(float(str(value).strip()))
        except ValueError:
            words.append(str(value).strip())
    if words:
        raise WavelengthError(name, f"its {what} are words, not numbers ({', '.join(map(repr, words[:3]))})", ADVICE)
    return np.asarray(numbers, float)


def to_nanometres(name: str, values: Floats, unit: str) -> tuple[Floats, float, str]:
    """Band centres in nm.

    Args:
        name: the file, for messages.
        values: band centres in `unit`, shape (C,).
        unit: as the file spells it; "" or "Unknown" is guessed from the range.

    Returns:
        Centres in nm, the factor that made them, and a notice ("" where the unit was stated).

    Raises:
        WavelengthError: wavenumbers or frequencies, an unknown unit, or values that no instrument has.
    """
    spelled = " ".join(unit.strip().strip('"').lower().split())
    if not np.isfinite(values).all():
        raise WavelengthError(name, "some of its wavelengths are not finite", ADVICE)
    notice = ""
    if spelled in _UNSTATED:
        factor = _guess(name, values)
        notice = f"wavelengths have no unit; their range says {'nm' if factor == 1.0 else 'um'}"
    elif spelled in _FACTORS:
        factor = _FACTORS[spelled]
    else:
        raise WavelengthError(name, f"its wavelengths are in {unit.strip()!r}, which is no unit of length known here", ADVICE)
    centres = values * factor
    if centres.min() < PLAUSIBLE_NM[0] or centres.max() > PLAUSIBLE_NM[1]:
        raise WavelengthError(name, f"its wavelengths, {values.min():g} to {values.max():g}, are implausible in {unit.strip()!r}", ADVICE)
    return centres, factor, notice


def _guess(name: str, values: Floats) -> float:
    count = len(values)
    numbered = count > 1 and (np.array_equal(values, np.arange(count)) or np.array_equal(values, np.arange(1, count + 1)))
    if not numbered:
        if values.min() >= PLAUSIBLE_NM[0] and values.max() <= PLAUSIBLE_NM[1]:
            return 1.0
        if values.min() >= PLAUSIBLE_NM[0] / 1e3 and values.max() <= PLAUSIBLE_NM[1] / 1e3:
            return 1e3
    raise WavelengthError(name, f"its wavelengths, {values.min():g} to {values.max():g} without a unit, are implausible in nm and in um", ADVICE)

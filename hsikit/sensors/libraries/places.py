"""Where and when a field spectrum was taken, as its many spellings say it: degrees and ISO 8601."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

_DEGREES = re.compile(r"^\s*([NSEW]?)\s*([-+]?)(\d+)(\.\d*)?\s*°?\s*,?\s*([NSEW]?)\s*$", re.IGNORECASE)
_DATES = ("%m/%d/%Y %I:%M:%S%p", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%y %I:%M:%S%p", "%m/%d/%y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S.%f",
          "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S")  # fmt: skip
LONGEST = {"longitude": 180.0, "latitude": 90.0}


def degrees(text: str, axis: str) -> str:
    """An angle as decimal degrees, "" where it is none.

    Args:
        text: decimal degrees, or degrees and minutes in one number as GPS receivers write them (4304.1234N is 43 degrees 4.1234
            minutes); a letter or a sign tells the hemisphere.
        axis: "longitude" or "latitude".
    """
    found = _DEGREES.match(text)
    if found is None:
        return ""
    before, sign, whole, fraction, after = found.groups()
    value = float(whole + (fraction or ""))
    # Four digits before the point, or more, hold degrees and minutes.
    value = from_minutes(value) if len(whole) >= 4 else value
    south = (before or after).upper() in ("S", "W") or sign == "-"
    if value > LONGEST[axis]:
        return ""
    return repr(round(-value if south else value, 9) + 0.0)


def from_minutes(value: float) -> float:
    """DDDMM.mmm, of either sign, as decimal degrees."""
    whole = int(abs(value) // 100)
    angle = whole + (abs(value) - 100 * whole) / 60
    return -angle if value < 0 else angle


def iso_time(texts: Sequence[str]) -> str:
    """Date and time as ISO 8601, "" where they are none; instruments write the month first, without a time zone."""
    joined = " ".join(part.strip() for part in texts if part.strip())
    for form in _DATES:
        try:
            return datetime.strptime(joined, form).isoformat(timespec="seconds")
        except ValueError:
            continue
    return ""

"""Units of spectral radiance in the spellings of files, as the factor to ours (W m-2 sr-1 um-1)."""

from __future__ import annotations

import re

_PREFIXES = {"": 0, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "c": -2, "k": 3}
"""Powers of ten."""
_WORDS = {
    "watt": "w", "watts": "w", "milliwatts": "mw", "microwatts": "uw", "meter": "m", "meters": "m", "metre": "m", "centimeter": "cm", "nanometer": "nm",
    "nanometers": "nm", "micrometer": "um", "micrometers": "um", "micron": "um", "microns": "um", "steradian": "sr", "steradians": "sr", "ster": "sr",
}  # fmt: skip
_SIGNS = str.maketrans({"²": "2", "³": "3", "¹": "1", "⁻": "-", "·": " ", "*": " ", "^": "", "_": " ", "[": "(", "]": ")"})
_FACTOR = re.compile(r"([a-zµμ]+)([+-]?\d+)?$")
_OURS = 6
"""One W m-2 sr-1 um-1 is so many powers of ten of one W m-3 sr-1."""


def radiance_factor(unit: str) -> float | None:
    """The factor from values in a unit to W m-2 sr-1 um-1; None where the unit is none of spectral radiance by wavelength.

    Understood are powers ("m-2", "m^-2", "m²"), slashes ("uW/cm^2/SR/nm"), and brackets behind a slash ("W/(m^2 sr um)").
    """
    tens, power, solid, length = 0, 0, 0, 0
    for word, exponent in _factors(unit):
        if word == "sr":
            solid += exponent
            continue
        prefix, base = word[:-1], word[-1]
        if base not in "wm" or prefix not in _PREFIXES:
            return None
        tens += _PREFIXES[prefix] * exponent
        power, length = power + exponent * (base == "w"), length + exponent * (base == "m")
    return float(f"1e{tens - _OURS}") if (power, solid, length) == (1, -1, -3) else None


def _factors(unit: str) -> list[tuple[str, int]]:
    """(unit, power) of each factor; ("?", 0) for what is not understood."""
    text = unit.lower().replace("**", "").translate(_SIGNS).replace("per ", "/")
    found: list[tuple[str, int]] = []
    for number, part in enumerate(_numerator_and_denominators(text)):
        for word in part.split():
            match = _FACTOR.match(word)
            if match is None:
                if word != "1":
                    found.append(("?", 0))
                continue
            power = int(match[2] or 1)
            found.append((_WORDS.get(match[1], match[1]), power if number == 0 else -power))
    return found


def _numerator_and_denominators(text: str) -> list[str]:
    """The text before the first slash, then what each slash divides by: a bracket, or one factor (what follows it multiplies again)."""
    below: list[str] = []
    head, *rest = text.split("/")
    above = head.replace("(", " ").replace(")", " ")
    for part in map(str.strip, rest):
        inside, _, after = part[1:].partition(")") if part.startswith("(") else part.replace(")", " ").partition(" ")
        below.append(inside)
        above += " " + after.replace("(", " ")
    return [above, *below]

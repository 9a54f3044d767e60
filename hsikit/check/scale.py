"""Numbers that cannot be what the scene says they are: wrong factors, offsets, fill values, quantities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsikit.check.finding import Finding, passed, skipped, warned
from hsikit.check.sample import SceneSample
from hsikit.scene import SceneInfo
from hsikit.sensors.water_vapour import DARK_RANGES, within

REFLECTANCES = ("toa_reflectance", "surface_reflectance", "rrs")
BRIGHTEST = 1.6
"""Reflectance that snow and glint in the sun do not reach in most bands of a scene's brightest fiftieth."""
PERCENT = 150.0
DARKEST = 0.002
SUNLIT = 1000.0
"""Radiance (W m-2 sr-1 um-1) above all that the sun sends back: its own over pi is at most 700."""
DIM = 1.0
TEMPERATURES = (170.0, 420.0)
NEGATIVE, NEGATIVE_ALLOWED = -0.002, 0.02
SHIFTED, ALIKE = 0.08, 0.05
"""No band has a pixel darker than the first, and the darkest pixels of all bands differ by less than the second."""
FILL_SHARE = 0.002
MOSTLY_MISSING = 0.5
LEAST_PIXELS = 50


def check_numbers(info: SceneInfo, sample: SceneSample) -> list[Finding]:
    """All checks of this file."""
    return [_quantity(info, sample), _scale(info, sample), _offset(info, sample), _fill(sample), _missing(sample)]


def _clear(info: SceneInfo) -> NDArray[np.bool_]:
    """Good bands outside water vapour, bool (bands,); all bands where that leaves none."""
    clear = info.bands.good & ~within(info.bands.wavelength, DARK_RANGES)
    return clear if clear.any() else np.ones(len(info.bands), bool)


def _bright(info: SceneInfo, sample: SceneSample) -> float:
    """The 98th percentile of the middle one of the clear bands."""
    values = sample.percentile(98)[_clear(info)]
    return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")


def _quantity(info: SceneInfo, sample: SceneSample) -> Finding:
    name = "quantity"
    if info.quantity != "dn":
        return passed(name, f"the values are {info.quantity} ({info.units})")
    if not info.bands.spectral or info.attrs.get("processing_level"):
        return skipped(name, "the product's numbers are neither reflectance nor radiance")
    bright = _bright(info, sample)
    if PERCENT < bright <= 20_000:
        return warned(name, f"not said; up to {bright:.4g}, the numbers look like reflectance times 10000", "--scale 0.0001 --quantity surface_reflectance")
    if np.dtype(info.dtype).kind == "f" and 0.01 < bright <= BRIGHTEST:
        return warned(name, f"not said; up to {bright:.2g}, the numbers look like reflectance", "--quantity surface_reflectance (or toa_reflectance)")
    return warned(name, "not said: the numbers count as digital numbers", "--quantity surface_reflectance (or radiance, toa_reflectance, ...)")


def _scale(info: SceneInfo, sample: SceneSample) -> Finding:
    name, bright = "scale", _bright(info, sample)
    if len(sample.spectra) < LEAST_PIXELS or np.isnan(bright):
        return skipped(name, "too few pixels hold anything")
    if info.quantity in REFLECTANCES:
        return _reflectance(name, bright)
    if info.quantity == "radiance":
        if bright > SUNLIT:
            return warned(name, f"radiance of {bright:.4g} {info.units} is more than the sun sends back", "--scale with the product's factor")
        if bright < DIM:
            return warned(name, f"radiance of {bright:.4g} {info.units} is that of night", "--scale 10 for uW cm-2 nm-1 sr-1, else the product's factor")
        return passed(name, f"the brightest fiftieth is around {bright:.3g} {info.units}")
    if info.quantity == "brightness_temperature":
        low, high = TEMPERATURES
        return (
            passed(name, f"the warmest fiftieth is around {bright:.4g} K")
            if low < bright < high
            else warned(name, f"{bright:.4g} K is no temperature of the earth", "--scale and --offset with the product's factors")
        )
    return skipped(name, "digital numbers have no scale")


def _reflectance(name: str, bright: float) -> Finding:
    if bright > PERCENT:
        return warned(name, f"reflectance up to {bright:.4g} looks like 0 to 10000", "--scale 0.0001")
    if bright > BRIGHTEST:
        return warned(name, f"reflectance up to {bright:.4g} looks like percent", "--scale 0.01")
    if bright < DARKEST:
        return warned(name, f"reflectance of at most {bright:.2g} looks as if a factor had been applied twice", "--scale 1, or the product's factor")
    return passed(name, f"the brightest fiftieth reflects around {bright:.2f}")


def _offset(info: SceneInfo, sample: SceneSample) -> Finding:
    name = "offset"
    if info.quantity not in REFLECTANCES:
        return skipped(name, "only reflectance has a known zero")
    values = sample.spectra[:, _clear(info)]
    if len(values) < LEAST_PIXELS or not np.isfinite(values).any():
        return skipped(name, "too few pixels hold anything")
    below = float((values < NEGATIVE).sum() / np.isfinite(values).sum())
    floor = sample.percentile(0.5)[_clear(info)]
    floor = floor[np.isfinite(floor)]
    if below > NEGATIVE_ALLOWED:
        own = bool(info.attrs.get("processing_level"))
        cure = "None here: the offset is the product's own" if own else "--offset 0, or the product's offset"
        return warned(name, f"{below:.0%} of the values are negative: {'corrected too far' if own else 'an offset too many, or corrected too far'}", cure)
    if len(floor) > 1 and floor.min() >= SHIFTED and np.ptp(floor) < ALIKE:
        dark = float(np.median(floor))
        wrong = f"no pixel reflects less than {floor.min():.2f} in any band, as if an offset had been left in (Sentinel-2 adds 0.1 since baseline 04.00)"
        return warned(name, wrong, f"--offset {-round(dark, 1):g}, or the product's offset")
    return passed(name, f"the darkest pixels reflect {floor.min():.3f}" if len(floor) else "nothing is negative")


def _fill(sample: SceneSample) -> Finding:
    name = "undeclared fill"
    if not sample.alike or sample.alike[0][1] < FILL_SHARE:
        return passed(name, "no number stands in all bands of many pixels")
    number, share = sample.alike[0]
    return warned(name, f"{share:.1%} of the pixels hold {number:.10g} in every band, and count as measured", f"--nodata {number:.10g}")


def _missing(sample: SceneSample) -> Finding:
    name = "missing pixels"
    if sample.missing > MOSTLY_MISSING:
        return warned(name, f"{sample.missing:.0%} of the pixels are missing", "--nodata if a measured value is declared as fill; else clip to what is there")
    return passed(name, f"{sample.missing:.1%} of the pixels are missing")

"""Units of radiance against factors worked out by hand."""

import pytest

from hsikit.sensors.radiance_units import radiance_factor


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("W m-2 sr-1 um-1", 1.0),
        ("uW/cm^2/SR/nm", 10.0),
        ("uW cm-2 nm-1 sr-1", 10.0),
        ("µW cm⁻² nm⁻¹ sr⁻¹", 10.0),
        ("mW m-2 nm-1 sr-1", 1.0),
        ("W m-2 nm-1 sr-1", 1000.0),
        ("mW/cm2/um/sr", 10.0),
        ("W/(m^2 sr um)", 1.0),
        ("Watts/(m**2*sr*micron)", 1.0),
        ("microwatts per centimeter^2 per nanometer per steradian", 10.0),
        ("W m-3 sr-1", 1e-6),
        ("W m-2 um-1", None),
        ("W m-2 sr-1", None),
        ("mW m-2 sr-1 (cm-1)-1", None),
        ("K", None),
        ("1", None),
        ("", None),
        ("counts", None),
    ],
)
def test_factor(unit: str, factor: float | None) -> None:
    assert radiance_factor(unit) == factor

"""`hsikit sensors`: products that are read, and instruments whose bands are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say

if TYPE_CHECKING:
    from hsikit.sensors import SensorEntry
    from hsikit.sensors.products import Product

MARKS = "lpvcutsw"
"""Letters for the keys of `hsikit.sensors.products.TELLS`, in their order."""


def sensors(
    name: Annotated[str | None, typer.Argument(help="An instrument, whose bands are shown; all are listed without.", show_default=False)] = None,
) -> None:
    """Products that are read, and instruments whose bands are at hand (for `--sensor` and `hsikit resample`); of one, its bands."""
    from hsikit.sensors import list_sensors
    from hsikit.sensors.products import PRODUCTS, TELLS

    if name is not None:
        for line in band_lines(name):
            say(line)
        return
    say("Products that are read, what their reading was held against, and what they tell of their making:")
    say(f"({', '.join(f'{mark} {kind}' for mark, kind in zip(MARKS, TELLS, strict=True))})")
    for line in product_table(PRODUCTS):
        say(line)
    say("")
    say("Sensors whose bands are at hand:")
    for line in table(list_sensors()):
        say(line)


def product_table(products: Sequence[Product]) -> list[str]:
    """A line for each product, or kind of product where they differ in state: name, state, what it tells by `MARKS`, what it is."""
    from hsikit.sensors.products import TELLS

    marks = {product.name: "".join(mark if kind in product.tells else "-" for mark, kind in zip(MARKS, TELLS, strict=True)) for product in products}
    lines = [(product.name, state, marks[product.name], what) for product in products for what, state in product.states]
    width, states = (max(len(line[column]) for line in lines) for column in (0, 1))
    return [f"{name:<{width}}  {state:<{states}}  {told}  {what}" for name, state, told, what in lines]


def table(entries: Sequence[SensorEntry]) -> list[str]:
    """A line for each sensor: name, bands, range, responses, what it is."""
    width = max(len(entry.name) for entry in entries)
    return [
        f"{entry.name:<{width}}  {entry.bands:>3} bands, {entry.range[0]:>4.0f} to {entry.range[1]:>4.0f} nm, "
        f"{'measured' if entry.measured else 'Gaussian'} responses  {entry.description}"
        for entry in entries
    ]


def band_lines(name: str) -> list[str]:
    """A sensor's table: what it is, where its numbers are from, and a line for each band.

    Raises:
        OptionError: the sensor is not known.
    """
    from hsikit.sensors.catalogue import sensor_bands, sensor_entry

    entry = sensor_entry(name)
    bands = sensor_bands(entry.name)
    names = bands.names or tuple(str(number) for number in range(1, entry.bands + 1))
    width = max(4, *map(len, names))
    response = "measured" if entry.measured else "Gaussian"
    return [
        f"{entry.name}: {entry.description}",
        f"bands: {entry.source}",
        f"responses: {response}; {entry.response_source or 'none are at hand, each band counts as a Gaussian of its width'}",
        "",
        f"{'band':<{width}}  {'centre nm':>9}  {'FWHM nm':>8}  response",
        *(f"{band:<{width}}  {centre:>9.2f}  {fwhm:>8.2f}  {response}" for band, centre, fwhm in zip(names, bands.wavelength, bands.fwhm, strict=True)),
    ]


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(sensors)

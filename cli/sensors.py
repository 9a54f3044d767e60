"""`hsikit sensors`: products that are read, and instruments whose bands are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from .console import say

if TYPE_CHECKING:
    from hsikit.sensors import SensorEntry
    from hsikit.sensors.products import Product


def sensors() -> None:
    """Products that are read, and instruments whose bands are at hand (for `--sensor` and `hsikit resample`)."""
    from hsikit.sensors import list_sensors
    from hsikit.sensors.products import PRODUCTS

    say("Products that are read, and what each reader was held against:")
    for line in product_table(PRODUCTS):
        say(line)
    say("")
    say("Sensors whose bands are at hand:")
    for line in table(list_sensors()):
        say(line)


def product_table(products: Sequence[Product]) -> list[str]:
    """A line for each product: name, state, what it is."""
    width, states = max(len(product.name) for product in products), max(len(product.state) for product in products)
    return [f"{product.name:<{width}}  {product.state:<{states}}  {product.description}" for product in products]


def table(entries: Sequence[SensorEntry]) -> list[str]:
    """A line for each sensor: name, bands, range, responses, what it is."""
    width = max(len(entry.name) for entry in entries)
    return [
        f"{entry.name:<{width}}  {entry.bands:>3} bands, {entry.range[0]:>4.0f} to {entry.range[1]:>4.0f} nm, "
        f"{'measured' if entry.measured else 'Gaussian'} responses  {entry.description}"
        for entry in entries
    ]


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(sensors)

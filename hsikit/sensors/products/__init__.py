"""Readers of products as their agencies deliver them: one file for each family; this table says which.

Each reader is asked by what a path holds, not by its name alone: `recognises(probe)`. Only readers for the container at hand
are imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsikit.sensors.probe import Probe

REAL, METADATA, SPECIFICATION = "real bytes", "real metadata", "from specification"
"""What a reader was held against: real files; real structure and headers with pixels built by us; the agency's document alone."""


@dataclass(frozen=True)
class Product:
    """One line of `hsikit sensors` and of the documentation's table.

    Attributes:
        name: the driver's name, which `hsikit info` prints as the format.
        target: "module:Class" of its reader.
        containers: kinds of `Probe.container` that it may come in.
        description: what it is, in a few words.
        state: `REAL`, `METADATA` or `SPECIFICATION`.
    """

    name: str
    target: str
    containers: tuple[str, ...]
    description: str
    state: str


_HERE = "hsikit.sensors.products."
DELIVERED = ("folder", "zip", "tar")
PRODUCTS: tuple[Product, ...] = (
    Product("landsat", f"{_HERE}landsat:Reader", (*DELIVERED, "text", "xml", "json", "tiff"), "Landsat 4 to 9, Collection 2, Level 1 and 2", REAL),
)
"""In the order in which they are asked."""


def product_reader(probe: Probe) -> tuple[Product, Any] | None:
    """The product that a path is, and its reader; None where no reader knows it.

    Raises:
        SceneError: the path is damaged.
    """
    for product in PRODUCTS:
        if probe.container in product.containers:
            reader = load_product(product)
            if reader.recognises(probe):
                return product, reader
    return None


def load_product(product: Product) -> Any:
    """The reader of a product, imported now."""
    module, _, attribute = product.target.partition(":")
    return getattr(import_module(module), attribute)

"""Mosaics: the maps of many scenes as one, by a named rule, and how well they agree where they meet."""

from hsikit.mosaic.make import Made, make_mosaic
from hsikit.mosaic.rules import RULES

__all__ = ["RULES", "Made", "make_mosaic"]

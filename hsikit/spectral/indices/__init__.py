"""Spectral indices by name: the public catalogue's formulas, parsed safely, on the bands of any optical sensor."""

from hsikit.spectral.indices.bands import BandChoice, choose_bands
from hsikit.spectral.indices.catalogue import IndexEntry, index_entry, list_indices
from hsikit.spectral.indices.expression import Formula, parse_formula

__all__ = ["BandChoice", "Formula", "IndexEntry", "choose_bands", "index_entry", "list_indices", "parse_formula"]

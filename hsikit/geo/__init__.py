"""Geometry: grids, windows, the relation of two grids, masks, areas on the ellipsoid."""

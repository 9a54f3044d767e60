"""Gases: how much of one lies above each pixel, from its absorption in radiance on the sensor's own grid.

Layers: `enhancement` (ppm m above the column's background), `uncertainty` (ppm m), `sensitivity` (1 over ground as bright as the mean).
"""

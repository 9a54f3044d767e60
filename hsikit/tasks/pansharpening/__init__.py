"""Pansharpening: a cube and a sharper panchromatic image of the same place in, the cube on the panchromatic grid out.

Roles: `hs` (the cube) and `pan` (one band, finer pixels; its grid is the output's).
Layers: `sharp`, float32, all bands of the cube with its wavelengths, quantity and unit; NaN where either input has no data.
Metrics, at reduced resolution (Wald's protocol) against the cube itself: Q2n, spectral angle (degrees), ERGAS; at full
resolution, without a reference: D_lambda, D_S, D_rho.
"""

"""Band filling: a cube in, the same cube with its bad, missing or named bands estimated from the others out.

Layers: `filled`, float32, all bands of the scene with wavelengths, quantity and unit; `flags`, uint8, which of its values were measured
and which are estimates; `sigma`, the standard deviation of each estimate, where a method has one and it is asked for; and the table
`check`: errors on known bands that were hidden, where nothing was learned, beside those of interpolation. No data stays no data.
"""

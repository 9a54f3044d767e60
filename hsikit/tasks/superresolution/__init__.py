"""Super-resolution: one cube in, the same cube on a grid 2 to 8 times finer out.

Layers: `fine`, float32, all bands of the scene with its wavelengths, quantity and unit; NaN where the scene has no data.
Metrics, against a reference of the fine grid: PSNR (mean over bands), SSIM (mean over bands), spectral angle (degrees), ERGAS.
"""

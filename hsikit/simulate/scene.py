"""A small simulated scene for a first map: farmland, woods, water and villages under an EnMAP-like sensor.

The truth is known everywhere, and everything is drawn from one seed. Physics is kept simple and said plainly: areas mix
linearly, the sun lights a Lambertian relief, noise follows `noise.py`; there is no atmosphere beyond what noise says of
water vapour. It shows that software works, not how well a method does on the ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import HsikitError, OptionError, OutputError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.simulate.clouds import cloud_spectrum, draw_clouds
from hsikit.simulate.fields import labelled_fields, write_fields
from hsikit.simulate.landscape import CLASSES, COLOURS, WATER, Landscape, draw_landscape
from hsikit.simulate.library import resampled_library, sensor_bands
from hsikit.simulate.light import cosine_of_incidence, diffuse_share, lit
from hsikit.simulate.materials import ObjectSpectra, object_spectra
from hsikit.simulate.noise import NoiseModel, enmap_like

PIXEL = 30.0
ORIGIN = (399_960.0, 5_800_020.0)
CRS = "EPSG:32633"
SUN_ZENITH, SUN_AZIMUTH = 52.0, 145.0
ACQUIRED = datetime(2024, 9, 9, 9, 15, tzinfo=UTC)
"""When the sun stands so above that place."""
NODATA, SCALE = -32768, 1e-4
BLOCK = 128
SMALLEST_SIDE = 48


@dataclass(frozen=True)
class SimulatedScene:
    """The files of one simulation: the scene, the class of every pixel, a few labelled fields, and where clouds lie (None without clouds)."""

    scene: Path
    truth: Path
    fields: Path
    clouds: Path | None = None


@dataclass(frozen=True, eq=False)
class _Recipe:
    """All that the spectra of a window follow from."""

    land: Landscape
    spectra: ObjectSpectra
    cosine: NDArray[np.float32]
    diffuse: NDArray[np.float32]
    noise: NoiseModel
    seed: int
    clouds: NDArray[np.bool_]
    cloud: NDArray[np.float32]


def simulate_scene(
    path: str | Path,
    *,
    rows: int = 400,
    cols: int = 360,
    seed: int = 0,
    sensor: str = "enmap",
    snr: float = 1.0,
    fields: str | Path | None = None,
    fields_per_class: int = 8,
    origin: tuple[float, float] = ORIGIN,
    acquired: str = "",
    clouds: float = 0.0,
    view_zenith: float | None = None,
    overwrite: bool = False,
) -> SimulatedScene:
    """Writes a simulated scene as a tiled GeoTIFF, with its truth and labelled fields beside it.

    For `scene.tif` these are `scene_truth.tif` (uint8 class codes, 0 in the hole without data) and `fields.gpkg` (polygons
    with the attributes `class`, `code`, `colour` and `field`); with clouds also `scene_clouds.tif` (uint8, 1 where one lies), which
    `--mask` takes. The truth is that of the ground, also under clouds; labelled fields lie beside them. Spectra are made 128 x 128
    pixels at a time; the plan of the landscape, at most 1 kB per pixel while it is drawn, is whole in memory.

    Args:
        path: the scene, ending in .tif.
        rows: height in pixels, at least 48.
        cols: width in pixels, at least 48.
        seed: the same seed gives the same pixels.
        sensor: whose band centres and widths are simulated, a name of `hsikit sensors`; the noise is EnMAP's.
        snr: factor on EnMAP's signal-to-noise ratios; infinite for no noise.
        fields: where the polygons go; `fields.gpkg` beside the scene unless told.
        fields_per_class: labelled fields wanted of each class.
        origin: easting and northing of the upper left corner (m, EPSG:32633). One seed gives one landscape, wherever it is put.
        acquired: ISO 8601 time that the scene states; a time of its own for each seed unless told. The sun stands as ever.
        clouds: share of the pixels under opaque clouds, below 1; the scene states it in percent.
        view_zenith: degrees from the vertical that the scene states; pixels do not change with it.
        overwrite: whether files that exist are replaced.

    Returns:
        Where the files are.

    Raises:
        OptionError: the size, the place, the time, the clouds or the angle make no sense, or there is no such sensor.
        OutputError: a file exists or cannot be written.
    """
    scene = Path(path)
    truth_file, mask = (scene.with_name(f"{scene.stem}_{ending}.tif") for ending in ("truth", "clouds"))
    made = SimulatedScene(scene, truth_file, Path(fields) if fields else scene.with_name("fields.gpkg"), mask if clouds else None)
    _check(made, (rows, cols), snr, overwrite)
    _check_seen(origin, acquired, clouds, view_zenith)
    wavelength, fwhm = sensor_bands(sensor)
    grid = Grid((rows, cols), (PIXEL, 0.0, origin[0], 0.0, -PIXEL, origin[1]), CRS)
    # One generator for each purpose, so that a change to one leaves what the others draw.
    land_rng, spectra_rng, field_rng, cloud_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4))
    land = draw_landscape(rows, cols, land_rng)
    truth = land.truth()
    slopes = cosine_of_incidence(land.elevation, PIXEL, SUN_ZENITH, SUN_AZIMUTH)
    cosine = np.where(truth == WATER, np.float32(1.0), slopes) * land.texture
    objects = object_spectra(land, resampled_library(wavelength, fwhm), spectra_rng)
    covered = draw_clouds(~land.hole, clouds, cloud_rng)
    recipe = _Recipe(land, objects, cosine, diffuse_share(wavelength), enmap_like(wavelength, snr), seed, covered, cloud_spectrum(wavelength))
    seen = _seen(acquired, seed, covered.sum() / (~land.hole).sum(), view_zenith)
    _write_raster(made.scene, grid, len(wavelength), "int16", NODATA, _blocks(recipe), _SceneTags(wavelength, fwhm, sensor, seed, seen))
    _write_raster(made.truth, grid, 1, "uint8", 0, _parts(truth), _TruthTags())
    _write_names(made.truth)
    if made.clouds is not None:
        _write_raster(made.clouds, grid, 1, "uint8", None, _parts(covered.astype(np.uint8)), lambda dataset: dataset.set_band_description(1, "cloud"))
    made.fields.unlink(missing_ok=True)
    write_fields(made.fields, *labelled_fields(replace(land, hole=land.hole | covered), fields_per_class, field_rng), grid)
    return made


def _check(made: SimulatedScene, shape: tuple[int, int], snr: float, overwrite: bool) -> None:
    """Refuses what cannot be simulated, before anything is written."""
    if min(shape) < SMALLEST_SIDE:
        raise OptionError("rows and cols", f"{shape[0]} x {shape[1]} pixels is too small for a landscape", f"Give at least {SMALLEST_SIDE} x {SMALLEST_SIDE}")
    if not snr > 0:
        raise OptionError("snr", f"{snr} is no factor on a signal-to-noise ratio", "Give a number above 0")
    if made.scene.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(made.scene, "a simulated scene is written as GeoTIFF", "End its name in .tif")
    if not made.scene.parent.is_dir():
        raise OutputError(made.scene, "its folder does not exist", "Make the folder first")
    for file in (made.scene, made.truth, made.fields, made.clouds):
        if file is not None and file.exists() and not overwrite:
            raise OutputError(file, "exists", "Give --overwrite to replace it")


def _check_seen(origin: tuple[float, float], acquired: str, clouds: float, view_zenith: float | None) -> None:
    """Refuses a place, a time, clouds or an angle that no scene has.

    Raises:
        OptionError: one of them.
    """
    if not np.isfinite(origin).all():
        raise OptionError("origin", f"{origin[0]} {origin[1]} is no place", f"Give easting and northing (m) in {CRS}")
    if not 0 <= clouds < 1:
        raise OptionError("clouds", f"{clouds} is no share of a scene that shows ground", "Give 0 or more, below 1: 0.2 for a fifth")
    if view_zenith is not None and not 0 <= view_zenith < 90:
        raise OptionError("view_zenith", f"{view_zenith} is no angle at which ground is seen", "Give 0 or more degrees, below 90")
    try:
        datetime.fromisoformat(acquired or ACQUIRED.isoformat())
    except ValueError:
        raise OptionError("acquired", f"'{acquired}' is no ISO 8601 time", "Write it as 2024-09-09T09:15:00Z") from None


def _seen(acquired: str, seed: int, covered: float, view_zenith: float | None) -> dict[str, str]:
    """When and how the scene was seen, as its tags say."""
    # A second for each seed: scenes of one place that were taken at one time would count as the same measurements.
    own = (ACQUIRED + timedelta(seconds=seed % 600)).strftime("%Y-%m-%dT%H:%M:%SZ")
    angle = {} if view_zenith is None else {"view_zenith": f"{view_zenith:g}"}
    return {"acquired": acquired or own, "cloud_cover": f"{100 * covered:.4f}", **angle}


def _parts(values: NDArray[Any]) -> Iterator[tuple[Window, NDArray[Any]]]:
    """One block after another of a layer of shape (rows, cols)."""
    for window in tile_windows(Window.whole((values.shape[0], values.shape[1])), (BLOCK, BLOCK)):
        yield window, values[None, *window.slices()]


def _blocks(recipe: _Recipe) -> Iterator[tuple[Window, NDArray[np.int16]]]:
    """Stored values of one block after another, shape (bands, rows, cols)."""
    for window in tile_windows(Window.whole(recipe.land.shape), (BLOCK, BLOCK)):
        rows, cols = window.slices()
        clean = lit(recipe.spectra.mix(recipe.land, rows, cols), recipe.cosine[rows, cols], recipe.diffuse)
        clean[recipe.clouds[rows, cols]] = recipe.cloud
        noisy = recipe.noise.add(clean, np.random.default_rng([recipe.seed, window.row, window.col]))
        stored = np.clip(np.rint(noisy / SCALE), -1000, 20_000).astype(np.int16)
        stored[recipe.land.hole[rows, cols]] = NODATA
        yield window, stored.transpose(2, 0, 1)


class _TruthTags:
    """Colours of the truth."""

    def __call__(self, dataset: Any) -> None:
        dataset.write_colormap(1, {0: (0, 0, 0, 0), **{code: (*colour, 255) for code, colour in COLOURS.items()}})
        dataset.set_band_description(1, "class")


def _write_names(path: Path) -> None:
    """Class names beside the truth, in GDAL's own side-car: rasterio has no call for them."""
    root = ElementTree.Element("PAMDataset")
    names = ElementTree.SubElement(ElementTree.SubElement(root, "PAMRasterBand", band="1"), "CategoryNames")
    for code in range(max(CLASSES) + 1):
        ElementTree.SubElement(names, "Category").text = CLASSES.get(code, "no data")
    path.with_name(f"{path.name}.aux.xml").write_bytes(ElementTree.tostring(root))


@dataclass(frozen=True, eq=False)
class _SceneTags:
    """Wavelengths in both conventions of GeoTIFF, scale, sensor and quantity; when and how the scene was seen."""

    wavelength: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    sensor: str
    seed: int
    seen: Mapping[str, str]

    def __call__(self, dataset: Any) -> None:
        dataset.update_tags(sensor=self.sensor, quantity="surface_reflectance", simulated="true", seed=str(self.seed), **self.seen)
        dataset.scales, dataset.offsets = (SCALE,) * len(self.fwhm), (0.0,) * len(self.fwhm)
        for band, (centre, width) in enumerate(zip(self.wavelength, self.fwhm, strict=True), start=1):
            dataset.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{centre / 1000:.6f}", FWHM_UM=f"{width / 1000:.6f}")
            dataset.update_tags(band, wavelength=f"{centre:.3f}", wavelength_units="nm", fwhm=f"{width:.3f}")
            dataset.set_band_description(band, f"{centre:.2f} nm")


def _write_raster(path: Path, grid: Grid, bands: int, dtype: str, nodata: float | None, blocks: Any, describe: Any) -> None:
    """Writes blocks into a tiled GeoTIFF.

    Raises:
        OutputError: the file cannot be written.
    """
    import rasterio

    profile = {"driver": "GTiff", "height": grid.shape[0], "width": grid.shape[1], "count": bands, "dtype": dtype, "nodata": nodata, "crs": grid.crs}
    layout = {"transform": grid.affine, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band", "compress": "deflate"}
    try:
        for ending in (".aux.xml", ".ovr", ".msk"):  # of an older raster
            path.with_name(path.name + ending).unlink(missing_ok=True)
        with rasterio.open(path, "w", **profile, **layout, predictor=2 if dtype == "int16" else 1, zlevel=1, BIGTIFF="IF_SAFER") as dataset:
            describe(dataset)
            for window, values in blocks:
                dataset.write(values, window=((window.row, window.row_end), (window.col, window.col_end)))
    except HsikitError:
        raise
    except Exception as error:
        raise OutputError(path, f"cannot be written ({error})", "See that the folder can be written and the disk has room") from error

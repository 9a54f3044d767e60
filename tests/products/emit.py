"""EMIT products with the groups, names, types and attributes of real OBS and MASK files, few pixels and bands."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from hsikit.sensors.products import SPECIFICATION
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.netcdf import add_array, add_attributes, add_texts

ROWS, COLS = 9, 7
STEP = 0.000542232520256367
WEST, NORTH = 61.6401744677027, 36.391611842888395
WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],'
    'PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],'
    'AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
ROOT = {
    "ncei_template_version": "NCEI_NetCDF_Swath_Template_v2.0", "Conventions": "CF-1.63", "sensor": "EMIT (Earth Surface Mineral Dust Source Investigation)",
    "instrument": "EMIT", "platform": "ISS", "naming_authority": "LPDAAC", "flight_line": "emit20220827t060753_o23904_s001",
    "time_coverage_start": "2022-08-27T06:07:53+0000", "time_coverage_end": "2022-08-27T06:08:05+0000", "software_build_version": "010608",
    "product_version": "V001", "crosstrack_orientation": "as seen on ground", "spatialResolution": STEP, "spatial_ref": WGS84, "day_night_flag": "Day",
}  # fmt: skip
WAVELENGTHS = np.array(
    [381.00558, 447.74283, 559.3142, 655.18567, 864.5551, 1030.4806, 1328.2015, 1380.3, 1432.4, 1650.95, 1774.3, 1850.66, 2199.4622, 2492.9238], np.float32
)
FWHM = np.linspace(8.4, 8.8, len(WAVELENGTHS)).astype(np.float32)
GOOD = np.array([not (1325 < nm < 1435 or 1770 < nm < 1962) for nm in WAVELENGTHS])
OBS = [
    "Path length (sensor-to-ground in meters)", "To-sensor azimuth (0 to 360 degrees CW from N)", "To-sensor zenith (0 to 90 degrees from zenith)",
    "To-sun azimuth (0 to 360 degrees CW from N)", "To-sun zenith (0 to 90 degrees from zenith)",
    "Solar phase (degrees between to-sensor and to-sun vectors in principal plane)", "Slope (local surface slope as derived from DEM in degrees)",
    "Aspect (local surface aspect 0 to 360 degrees clockwise from N)",
    "Cosine(i) (apparent local illumination factor based on DEM slope and aspect and to sun vector)", "UTC Time (decimal hours for mid-line pixels)",
    "Earth-sun distance (AU)",
]  # fmt: skip
MASKS = {
    "001": ["Cloud flag", "Cirrus flag", "Water flag", "Spacecraft Flag", "Dilated Cloud Flag", "AOD550", "H2O (g cm-2)", "Aggregate Flag"],
    "002": [
        "Cloud Flag", "Cirrus Flag", "Water Flag", "Spacecraft Flag", "Dilated Cloud Flag", "AOD550", "H2O (g cm-2)", "Aggregate Flag",
        "SpecTf-Cloud Probability", "SpecTf-Cloud Flag", "SpecTf-Buffer Distance",
    ],
}  # fmt: skip
SCENE = "20220827T060753_2223904_013"
FILL = -9999.0


def geometry(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Grid, np.ndarray, np.ndarray]:
    """Longitude and latitude of a turned swath, and the table that holds the nearest pixel within one step (rows and cols, -1 for none)."""
    row, col = np.mgrid[:ROWS, :COLS].astype(float)
    lon = WEST + STEP * (2 + 0.9 * col + 0.3 * row) + rng.normal(0, 1e-6, row.shape)
    lat = NORTH - STEP * (3 + 0.9 * row - 0.3 * col) + rng.normal(0, 1e-6, row.shape)
    grid = Grid((15, 13), (STEP, 0.0, WEST, 0.0, -STEP, NORTH), "EPSG:4326")
    rows, cols = np.full(grid.shape, -1), np.full(grid.shape, -1)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            far = np.hypot(lon - (WEST + STEP * (j + 0.5)), lat - (NORTH - STEP * (i + 0.5)))
            if far.min() < STEP:
                rows[i, j], cols[i, j] = np.unravel_index(far.argmin(), far.shape)
    return lon, lat, grid, rows, cols


class Granule:
    """One granule's place, shared by its files."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.lon, self.lat, self.grid, self.rows, self.cols = geometry(self.rng)
        self.hole = self.rng.random((ROWS, COLS)) < 0.1

    def open(self, path: Path, title: str, table_fill: bool = False) -> h5py.File:
        """A new file with everything but the product's own arrays; newer versions write a fill value into the table besides 0."""
        file = h5py.File(path, "w")
        add_attributes(file, {**ROOT, "title": title, "geotransform": [WEST, STEP, -0.0, NORTH, -0.0, -STEP]})
        for name, values, unit in (("lon", self.lon, "degrees east"), ("lat", self.lat, "degrees north")):
            add_array(file, f"location/{name}", values, _FillValue=FILL, units=unit)
        add_array(file, "location/elev", self.rng.uniform(100, 900, (ROWS, COLS)), _FillValue=FILL, long_name="Surface Elevation", units="m")
        for name, values in (("glt_x", self.cols), ("glt_y", self.rows)):
            stored = (values + 1).astype(np.int32)
            if table_fill:
                stored[-1] = np.where(values[-1] < 0, -9999, stored[-1])
            add_array(file, f"location/{name}", stored, **({"_FillValue": -9999} if table_fill else {}))
        return file

    def built(self, path: Path, truth: np.ndarray, **more: object) -> Built:
        told = {"wavelength": WAVELENGTHS.astype(float), "fwhm": FWHM.astype(float), "sensor": "emit", "acquired": "2022-08-27T06:07:53Z", **more}
        with h5py.File(path) as file:
            title = file.attrs["title"].decode()
        made = {"product": title, "processing_level": path.name[5:8], "product_version": "V001", "processor": "EMIT SDS", "processor_version": "010608"}
        told["attrs"] = {**made, **told.get("attrs", {})}  # type: ignore[dict-item]
        table = (self.grid, self.rows, self.cols)
        return Built(path, truth.astype(np.float32), longitude=self.lon, latitude=self.lat, table=table, **told)  # type: ignore[arg-type]

    def spectra(self, low: float, high: float) -> np.ndarray:
        """Values of (rows, cols, bands)."""
        values = self.rng.uniform(low, high, (ROWS, COLS, len(WAVELENGTHS))).astype(np.float32)
        values[self.hole] = FILL
        return values

    def masks(self, path: Path, version: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Writes the masks; returns them, NaN where fill, (bands, rows, cols), and the truth of the flags."""
        names = MASKS[version]
        values = np.zeros((ROWS, COLS, len(names)), np.float32)
        for number, name in enumerate(names):
            flag = "flag" in name.lower()
            values[..., number] = self.rng.random((ROWS, COLS)) < 0.2 if flag else self.rng.random((ROWS, COLS))
        empty = self.rng.random((ROWS, COLS)) < 0.1
        values[empty] = FILL
        bits = self.rng.random((ROWS, COLS, 285)) < 0.1
        with self.open(path, f"EMIT L2A Masks 60 m V{version}", table_fill=version == "002") as file:
            add_array(file, "mask", values, _FillValue=FILL, long_name="Masks", units="unitless")
            add_array(file, "band_mask", np.packbits(bits, axis=-1), long_name="Per-Wavelength Mask")
            add_texts(file, "sensor_band_parameters/mask_bands", names)
        told = {name.lower(): (values[..., number] > 0.5) & ~empty for number, name in enumerate(names)}
        cloud = told["cloud flag"] | told["dilated cloud flag"] | told.get("spectf-cloud flag", np.zeros_like(empty))
        flags = {"cloud": cloud, "cirrus": told["cirrus flag"], "water": told["water flag"], "no-data": empty | told["spacecraft flag"]}
        return np.where(values == FILL, np.nan, values).transpose(2, 0, 1), flags


def _add_bands(file: h5py.File, good: bool) -> None:
    add_array(file, "sensor_band_parameters/wavelengths", WAVELENGTHS, _FillValue=FILL, long_name="Wavelength Centers", units="nm")
    add_array(file, "sensor_band_parameters/fwhm", FWHM, _FillValue=FILL, long_name="Full Width at Half Max", units="nm")
    if good:
        add_array(file, "sensor_band_parameters/good_wavelengths", GOOD.astype(np.uint8), units="unitless")


def radiance(folder: Path) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L1B_RAD_001_{SCENE}.nc"
    values = granule.spectra(0.01, 12)
    with granule.open(path, "EMIT L1B At-Sensor Calibrated Radiance Data 60 m V001") as file:
        _add_bands(file, good=False)
        add_array(file, "radiance", values, _FillValue=FILL, long_name="Radiance Data", units="uW/cm^2/SR/nm")
    _, flags = granule.masks(folder / f"EMIT_L2A_MASK_001_{SCENE}.nc", "001")
    truth = np.where(values == FILL, np.nan, 10 * values).transpose(2, 0, 1)
    return granule.built(
        path, truth, good=outside_water_vapour(WAVELENGTHS), quantity="radiance", quality=flags, attrs={"granule": ROOT["flight_line"], "correction": "none"}
    )


def reflectance(folder: Path, good: bool = True) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L2A_RFL_001_{SCENE}.nc"
    values = granule.spectra(-0.02, 0.6)
    values[..., ~GOOD] = -0.01
    values[granule.hole] = FILL
    values[0, 0, 1] = -0.01  # where light was measured it is a value like any other
    with granule.open(path, "EMIT L2A Estimated Surface Reflectance 60 m V001", table_fill=True) as file:
        _add_bands(file, good)
        add_array(file, "reflectance", values, _FillValue=FILL, long_name="Surface Reflectance", units="unitless")
    _, flags = granule.masks(folder / f"EMIT_L2A_MASK_002_{SCENE}.nc", "002")
    uncertainty(folder)
    middle = observation(folder).truth[:, ROWS // 2, COLS // 2]
    angles = {name: f"{middle[number]:.4f}" for name, number in (("view_azimuth", 1), ("view_zenith", 2), ("sun_azimuth", 3), ("sun_zenith", 4))}
    truth = np.where(values == FILL, np.nan, values).transpose(2, 0, 1)
    truth[~GOOD] = np.nan
    attrs = {"correction": "ISOFIT (optimal estimation)", "uncertainty": "per pixel: --variable reflectance_uncertainty", **angles}
    return granule.built(path, truth, good=GOOD, quality=flags, attrs=attrs)


def reflectance_of_2022(folder: Path) -> Built:
    return reflectance(folder, good=False)


def uncertainty(folder: Path) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L2A_RFLUNCERT_001_{SCENE}.nc"
    values = granule.spectra(0.001, 0.05)
    with granule.open(path, "EMIT L2A Estimated Surface Reflectance Uncertainty 60 m V001", table_fill=True) as file:
        _add_bands(file, good=True)
        add_array(file, "reflectance_uncertainty", values, _FillValue=FILL, units="unitless")
    truth = np.where(values == FILL, np.nan, values).transpose(2, 0, 1)
    return granule.built(path, truth, good=GOOD, quantity="dn")


def _layers(names: list[str]) -> dict[str, object]:
    return {"wavelength": np.full(len(names), np.nan), "fwhm": None, "names": tuple(names), "quantity": "dn"}


def observation(folder: Path) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L1B_OBS_001_{SCENE}.nc"
    values = granule.rng.uniform(0, 360, (ROWS, COLS, len(OBS))).astype(np.float32)
    values[..., ["zenith" in name.split("(")[0] for name in OBS]] /= 4
    values[granule.hole] = FILL
    with granule.open(path, "EMIT L1B Observation Data 60 m V001") as file:
        add_array(file, "obs", values, _FillValue=FILL, long_name="Observation Data")
        add_texts(file, "sensor_band_parameters/observation_bands", OBS)
    return granule.built(path, np.where(values == FILL, np.nan, values).transpose(2, 0, 1), **_layers(OBS))


def masks(folder: Path, version: str) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L2A_MASK_{version}_{SCENE}.nc"
    values, flags = granule.masks(path, version)
    return granule.built(path, values, quality=flags, **_layers(MASKS[version]))


def masks_1(folder: Path) -> Built:
    return masks(folder, "001")


def masks_2(folder: Path) -> Built:
    return masks(folder, "002")


def minerals(folder: Path) -> Built:
    granule = Granule()
    path = folder / f"EMIT_L2B_MIN_001_{SCENE}.nc"
    layers = {}
    with granule.open(path, "EMIT L2B Estimated Mineral Identification and Band Depth and Uncertainty 60 m V001") as file:
        for group in (1, 2):
            depth = granule.rng.uniform(0, 0.3, (ROWS, COLS)).astype(np.float32)
            number = granule.rng.integers(0, 290, (ROWS, COLS)).astype(np.int16)
            depth[granule.hole], number[granule.hole] = FILL, -9999
            add_array(file, f"group_{group}_band_depth", depth, _FillValue=FILL, long_name=f"Group {group} Band Depth", units="unitless")
            add_array(file, f"group_{group}_mineral_id", number, _FillValue=-9999, long_name=f"Group {group} Mineral ID", units="unitless")
            layers[f"group_{group}_band_depth"], layers[f"group_{group}_mineral_id"] = depth.astype(float), number.astype(float)
        add_array(file, "mineral_metadata/index", np.arange(1, 4, dtype=np.uint32))
        add_texts(file, "mineral_metadata/name", ["Hematite", "Goethite", "Kaolinite"])
    with granule.open(folder / f"EMIT_L2B_MINUNCERT_001_{SCENE}.nc", "EMIT L2B Estimated Mineral Identification and Band Depth Uncertainty 60 m V001") as file:
        add_array(file, "group_1_band_depth_unc", np.zeros((ROWS, COLS), np.float32), _FillValue=FILL, units="unitless")
    truth = np.stack([np.where(values == FILL, np.nan, values) for values in layers.values()])
    attrs = {"minerals": "1 Hematite; 2 Goethite; 3 Kaolinite", "uncertainty": f"per pixel: EMIT_L2B_MINUNCERT_001_{SCENE}.nc"}
    return granule.built(path, truth, attrs=attrs, **_layers(list(layers)))


def gas(folder: Path, kind: str, layer: str, unit: str) -> Built:
    rng = np.random.default_rng(6)
    path = folder / f"EMIT_L2B_{kind}_002_{SCENE}.tif"
    transform = Affine(STEP, 0, WEST, 0, -STEP, NORTH)
    values = rng.normal(0, 400, (ROWS, COLS)).astype(np.float32)
    values[rng.random((ROWS, COLS)) < 0.3] = FILL
    with rasterio.open(path, "w", driver="GTiff", height=ROWS, width=COLS, count=1, dtype="float32", crs="EPSG:4326", transform=transform, nodata=FILL) as file:
        file.write(values, 1)
        file.set_band_description(1, f"EMIT_L2B_{kind}")
        file.update_tags(software_build_version="010622", product_version="V002", units=unit)
    a, b, c, d, e, f = tuple(transform)[:6]
    return Built(
        path, np.where(values == FILL, np.nan, values)[None].astype(np.float32), np.array([np.nan]), quantity="dn", sensor="emit",
        grid=Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:4326"), acquired="2022-08-27T06:07:53Z", names=(layer,),
        attrs={"product": f"EMIT L2B {kind}", "processing_level": "L2B", "product_version": "V002", "processor": "EMIT SDS", "processor_version": "010622",
               "layer_units": unit},
    )  # fmt: skip


def methane(folder: Path) -> Built:
    built = gas(folder, "CH4ENH", "methane enhancement", "ppm m")
    gas(folder, "CH4UNCERT", "", "")
    built.attrs = {**built.attrs, "uncertainty": f"per pixel: EMIT_L2B_CH4UNCERT_002_{SCENE}.tif"}
    return built


def carbon_dioxide_sensitivity(folder: Path) -> Built:
    return gas(folder, "CO2SENS", "carbon dioxide enhancement sensitivity", "1")


CASES = (
    Case("emit-l1b-radiance", "emit", radiance),
    Case("emit-l2a-reflectance", "emit", reflectance),
    Case("emit-l2a-reflectance-of-2022", "emit", reflectance_of_2022),
    Case("emit-l2a-uncertainty", "emit", uncertainty),
    Case("emit-l1b-observation", "emit-layers", observation),
    Case("emit-l2a-masks-v001", "emit-layers", masks_1),
    Case("emit-l2a-masks-v002", "emit-layers", masks_2, SPECIFICATION),
    Case("emit-l2b-minerals", "emit-minerals", minerals),
    Case("emit-l2b-methane-v002", "emit-gas", methane),
    Case("emit-l2b-co2-sensitivity-v002", "emit-gas", carbon_dioxide_sensitivity),
)

"""PlanetScope SuperDove scenes with the files and the XML that Planet's specification describes, few pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.rpc import RPC
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from tests.products.case import Built, Case

ROWS, COLS = 8, 6
BANDS = ((443.66, 20.83), (491.22, 53.12), (532.73, 37.67), (565.77, 39.14), (611.65, 23.70), (665.95, 33.00), (706.96, 17.76), (865.51, 42.32))
COEFFICIENTS = [2.1e-5, 2.2e-5, 2.3e-5, 2.45e-5, 2.6e-5, 2.8e-5, 3.1e-5, 4.6e-5]
PLACE = {"crs": "EPSG:32616", "transform": Affine(3.0, 0.0, 369000.0, 0.0, -3.0, 4410000.0)}
GRID = Grid((ROWS, COLS), (3.0, 0.0, 369000.0, 0.0, -3.0, 4410000.0), "EPSG:32616")
STEM = "20220601_163015_12_2461"
MADE = {"product": f"{STEM}_3B_AnalyticMS", "processor": "CMO Processor", "processor_version": "4.1.4", "sun_zenith": "28.7500", "sun_azimuth": "141.5000",
        "view_zenith": "4.2500", "view_azimuth": "98.0000", "cloud_cover": "2.0000"}  # fmt: skip
ROOT = (
    '<ps:EarthObservation xmlns:ps="http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level" xmlns:gml="http://www.opengis.net/gml" '
    'xmlns:eop="http://earth.esa.int/eop" xmlns:opt="http://earth.esa.int/opt" version="1.2.1" planet_standard_product_version="1.0">'
)


def write(path: Path, values: np.ndarray, description: str = "", **place: object) -> None:
    profile = {"driver": "GTiff", "height": values.shape[1], "width": values.shape[2], "count": len(values), "dtype": values.dtype}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(values)
        if description:
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=description)


def metadata(level: str, count: int, coefficients: list[float] = COEFFICIENTS, instrument: str = "PSB.SD") -> str:
    # the bands stand in no certain order
    bands = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{band + 1}</ps:bandNumber><ps:radiometricScaleFactor>0.01</ps:radiometricScaleFactor>"
        f"<ps:reflectanceCoefficient>{coefficients[band]}</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for band in reversed(range(count))
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{ROOT}<gml:metaDataProperty><ps:EarthObservationMetaData>'
        f"<eop:identifier>{STEM}_3B_AnalyticMS</eop:identifier>"
        f"<eop:productType>{level}</eop:productType><eop:processing><eop:ProcessingInformation><eop:processorName>CMO Processor</eop:processorName>"
        "<eop:processorVersion>4.1.4</eop:processorVersion></eop:ProcessingInformation></eop:processing></ps:EarthObservationMetaData></gml:metaDataProperty><gml:using><eop:EarthObservationEquipment>"
        f"<eop:instrument><eop:Instrument><eop:shortName>{instrument}</eop:shortName></eop:Instrument></eop:instrument><eop:acquisitionParameters>"
        '<ps:Acquisition><eop:incidenceAngle uom="deg">-4.25</eop:incidenceAngle><opt:illuminationAzimuthAngle uom="deg">141.5</opt:illuminationAzimuthAngle>'
        '<opt:illuminationElevationAngle uom="deg">61.25</opt:illuminationElevationAngle><ps:azimuthAngle uom="deg">98.0</ps:azimuthAngle>'
        "<ps:acquisitionDateTime>2022-06-01T16:30:15.123456+00:00</ps:acquisitionDateTime></ps:Acquisition></eop:acquisitionParameters>"
        "</eop:EarthObservationEquipment></gml:using><gml:resultOf><ps:EarthObservationResult>"
        f'<opt:cloudCoverPercentage uom="percentage">2</opt:cloudCoverPercentage>{bands}</ps:EarthObservationResult></gml:resultOf>'
        "</ps:EarthObservation>\n"
    )


def mask(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    layers = (rng.random((8, ROWS, COLS)) < 0.25).astype(np.uint8)
    layers[6] = rng.integers(0, 101, (ROWS, COLS))  # confidence
    layers[7] = rng.integers(0, 128, (ROWS, COLS))  # bits: 0 black fill, 1 cloud, 2 and on missing data by band
    flags = {"snow": layers[1] == 1, "shadow": layers[2] == 1, "haze": (layers[3] == 1) | (layers[4] == 1), "cloud": layers[5] == 1}
    return layers, {**flags, "no-data": layers[7] & 1 == 1}


def surface(folder: Path) -> Built:
    """The folder of an order, 8 bands."""
    rng = np.random.default_rng(61)
    stored = rng.integers(1, 9000, (8, ROWS, COLS)).astype(np.uint16)
    stored[:, :2, 0] = 0
    layers, flags = mask(rng)
    description = '{"atmospheric_correction": {"aerosol_model": "continental", "aot_coverage": 1.0, "atmospheric_correction_algorithm": "6Sv2.1"}}'
    write(folder / f"{STEM}_3B_AnalyticMS_SR_8b_clip.tif", stored, description, nodata=0, **PLACE)
    write(folder / f"{STEM}_3B_udm2_clip.tif", layers, **PLACE)
    (folder / f"{STEM}_3B_AnalyticMS_8b_metadata_clip.xml").write_text(metadata("L3B", 8))
    truth = np.where(stored == 0, np.nan, stored * 1e-4).astype(np.float32)
    return Built(folder, truth, np.array([c for c, _ in BANDS]), np.array([w for _, w in BANDS]), "surface_reflectance", "planetscope-superdove", GRID,
                 quality=flags, acquired="2022-06-01T16:30:15", names=tuple(f"B{number}" for number in range(1, 9)),
                 attrs={**MADE, "processing_level": "L3B", "correction": "atmosphere (6Sv2.1)"})  # fmt: skip


def top_of_atmosphere(folder: Path) -> Built:
    """Four bands, opened by the image."""
    rng = np.random.default_rng(62)
    stored = rng.integers(1, 20000, (4, ROWS, COLS)).astype(np.uint16)
    path = folder / f"{STEM}_3B_AnalyticMS.tif"
    write(path, stored, **PLACE)
    (folder / f"{STEM}_3B_AnalyticMS_metadata.xml").write_text(metadata("L3B", 4))
    truth = (stored * np.array(COEFFICIENTS[:4])[:, None, None]).astype(np.float32)
    chosen = [BANDS[position] for position in (1, 3, 5, 7)]
    return Built(path, truth, np.array([c for c, _ in chosen]), np.array([w for _, w in chosen]), "toa_reflectance", "planetscope-superdove", GRID,
                 acquired="2022-06-01T16:30:15", names=("B2", "B4", "B6", "B8"),
                 attrs={**MADE, "processing_level": "L3B", "correction": "none"})  # fmt: skip


def rpc() -> RPC:
    """A plain model: rows run south and columns east, whatever the height."""
    one, lon, lat = [1.0] + [0.0] * 19, [0.0, 1.0] + [0.0] * 18, [0.0, 0.0, -1.0] + [0.0] * 17
    return RPC(height_off=100.0, height_scale=500.0, lat_off=39.8, lat_scale=0.05, line_off=(ROWS - 1) / 2, line_scale=(ROWS - 1) / 2, line_num_coeff=lat,
               line_den_coeff=one, long_off=-88.5, long_scale=0.04, samp_off=(COLS - 1) / 2, samp_scale=(COLS - 1) / 2, samp_num_coeff=lon,
               samp_den_coeff=one)  # fmt: skip


def positions() -> tuple[np.ndarray, np.ndarray]:
    """Of pixel centres by that model."""
    row, col = np.mgrid[0:ROWS, 0:COLS].astype(float)
    down, across = (ROWS - 1) / 2, (COLS - 1) / 2
    return -88.5 + 0.04 * (col - across) / across, 39.8 - 0.05 * (row - down) / down


def basic(folder: Path) -> Built:
    """On the sensor's grid, opened by the XML."""
    rng = np.random.default_rng(63)
    stored = rng.integers(1, 20000, (8, ROWS, COLS)).astype(np.uint16)
    write(folder / f"{STEM}_1B_AnalyticMS_8b.tif", stored, rpcs=rpc())
    path = folder / f"{STEM}_1B_AnalyticMS_8b_metadata.xml"
    path.write_text(metadata("L1B", 8))
    truth = (stored * np.array(COEFFICIENTS)[:, None, None]).astype(np.float32)
    lon, lat = positions()
    return Built(path, truth, np.array([c for c, _ in BANDS]), None, "toa_reflectance", "planetscope-superdove", longitude=lon, latitude=lat,
                 acquired="2022-06-01T16:30:15", attrs={**MADE, "processing_level": "L1B", "correction": "none"})  # fmt: skip


CASES = (
    Case("planetscope-sr", "planetscope", surface),
    Case("planetscope-toa-4b", "planetscope", top_of_atmosphere),
    Case("planetscope-basic", "planetscope", basic),
)

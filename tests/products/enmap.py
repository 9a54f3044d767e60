"""EnMAP products as DLR delivers them: the fields of the METADATA.XML of official test products and of the flight, few pixels and bands."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from hsikit.sensors.products import SPECIFICATION
from tests.products.case import Built, Case, outside_water_vapour
from tests.products.detectors import joined

ROWS, COLS = 8, 9
TRANSFORM = Affine(30.0, 0.0, 628785.0, 0.0, -30.0, 5294265.0)
Table = tuple[tuple[float, float], ...]
FLIGHT: tuple[Table, Table] = (
    ((418.24, 6.99561), (551.031, 6.00221), (659.7, 7.4), (863.455, 9.73971), (895.537, 10.0772), (903.617, 10.164), (911.715, 10.2508), (919.827, 10.3369),
     (927.951, 10.422), (976.783, 10.7533), (993.083, 10.6375)),
    ((902.257, 9.17725), (911.872, 9.31901), (921.624, 9.45441), (951.677, 9.82789), (982.851, 10.1638), (1004.21, 10.3742), (1390.48, 11.6),
     (1650.1, 11.4), (1925.5, 9.9), (2205.3, 8.8), (2445.53, 7.7)),
)  # fmt: skip
BEFORE: tuple[Table, Table] = (
    ((423.03, 6.93), (428.8, 6.58), (560.0, 6.4), (670.0, 7.1), (895.25, 10.0), (903.36, 10.1), (911.49, 10.2), (944.23, 10.4), (985.21, 10.6)),
    ((904.78, 9.8), (914.44, 9.9), (944.17, 10.0), (985.73, 10.3), (996.4, 10.4), (1018.1, 10.5), (1640.0, 11.2), (2438.6, 8.1)),
)  # fmt: skip
MADE = {"processor": "EnMAP ground segment (DLR)", "sun_zenith": "31.7500", "sun_azimuth": "149.5000", "cloud_cover": "3.0000"}
LAYERS = {"CLOUD": (0, 1), "CLOUDSHADOW": (0, 1), "HAZE": (0, 1), "SNOW": (0, 1), "CIRRUS": (0, 1, 2, 3), "CLASSES": (0, 1, 2, 3)}


def _bands(tables: tuple[Table, Table], merged: bool) -> list[tuple[float, float, str]]:
    """Centre, width and detector in the order of the metadata: by wavelength, or the VNIR first."""
    bands = [(centre, width, detector) for detector, table in zip(("vnir", "swir"), tables, strict=True) for centre, width in table]
    return sorted(bands) if merged else bands


def _xml(stem: str, level: str, bands: list[tuple[float, float, str]], gains: np.ndarray, offsets: np.ndarray, background: int, before: bool) -> str:
    channels = {
        detector: ",".join(str(number) for number, band in enumerate(bands, start=1) if band[2] == detector and number != 2) for detector in ("vnir", "swir")
    }
    channels["vnir"] = "1,2" + channels["vnir"].removeprefix("1")  # the second band was expected, and is missing
    table = "".join(
        f'<bandID number="{number}"><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand><FWHMOfBand>{width}</FWHMOfBand>'
        f"<GainOfBand>{gain!r}</GainOfBand><OffsetOfBand>{offset!r}</OffsetOfBand></bandID>"
        for number, ((centre, width, _), gain, offset) in enumerate(zip(bands, gains.tolist(), offsets.tolist(), strict=True), start=1)
    )
    corners = "<upper_left unit='DEG'>61.0</upper_left><center unit='DEG'>{}</center>"
    images = "".join(f"<{name}><channels>{sum(band[2] == name for band in bands)}</channels></{name}>" for name in ("vnir", "swir")) if level == "L1B" else (
        f"<merge><channels>{len(bands)}</channels><name>{stem}SPECTRAL_IMAGE.TIF</name><dimension><columns>{COLS}</columns><rows>{ROWS}</rows></dimension></merge>"
    )  # fmt: skip
    polynomials = "".join(
        f'<bandID number="{number}">' + "".join(f"<{name}>{value!r}</{name}>" for name, value in _polynomials(band[2]).items()) + "</bandID>"
        for number, band in enumerate(bands, start=1)
    )
    view = "" if before else f"<viewingZenithAngle>{corners.format(6.5)}</viewingZenithAngle>"
    return f"""<level_X xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="metadata_Lx_00-02-00.xsd">
  <metadata><schema><copyright>(c) DLR EnMAP 2019</copyright><versionSchema>00.02.00</versionSchema><processingLevel>{level}</processingLevel></schema>
    <name>{escape(stem)}METADATA.XML</name><comment>EnMAP product</comment></metadata>
  <processing><terrainCorrection>Yes</terrainCorrection><correctionType>{"Land_Mode" if level == "L2A" else "NA"}</correctionType></processing>
  <base><temporalCoverage><startTime>2022-07-24T10:45:26.500000Z</startTime><stopTime>2022-07-24T10:45:31.000000Z</stopTime></temporalCoverage>
    <revision>{"00.02.04" if before else "01.03.02"}</revision><format>ENMAP_{level}</format><level>{level}</level></base>
  <specific>
    <vnirProductQuality><vnirProductStatus>OK</vnirProductStatus><numChannelsExpected>9</numChannelsExpected>
      <expectedChannelsList>{channels["vnir"]}</expectedChannelsList><numChannelsMissing>1</numChannelsMissing>
      <missingChannelsList>2</missingChannelsList></vnirProductQuality>
    <swirProductQuality><expectedChannelsList>{channels["swir"]}</expectedChannelsList><missingChannelsList></missingChannelsList></swirProductQuality>
    <missionPhase>{"pre-launch" if before else "nominal"}</missionPhase><mission>EnMAP</mission>
    <numberOfSWIRBands>{sum(band[2] == "swir" for band in bands)}</numberOfSWIRBands>
    <numberOfVNIRBands>{sum(band[2] == "vnir" for band in bands)}</numberOfVNIRBands>
    <backgroundValue>{background}</backgroundValue>
    <sunElevationAngle>{corners.format(58.25)}</sunElevationAngle><sunAzimuthAngle>{corners.format(149.5)}</sunAzimuthAngle>{view}
    <qualityFlag><cloudCover>3</cloudCover></qualityFlag>
    <bandCharacterisation>{table}</bandCharacterisation>
  </specific>
  <product><image>{images}</image><navigation><RPC>{polynomials if level == "L1B" else ""}</RPC></navigation></product>
</level_X>
"""


def _polynomials(detector: str) -> dict[str, float]:
    """Rational polynomials of a straight swath: rows go south, columns east; the SWIR looks 20 rows ahead."""
    told = {"ROW_OFF": ROWS / 2 - (20 if detector == "swir" else 0), "COL_OFF": COLS / 2, "LAT_OFF": 47.6, "LONG_OFF": 10.9, "HEIGHT_OFF": 800.0,
            "ROW_SCALE": 500.0, "COL_SCALE": 500.0, "LAT_SCALE": 0.125, "LONG_SCALE": 0.25, "HEIGHT_SCALE": 900.0}  # fmt: skip
    terms = {"ROW_NUM": {3: -1.0}, "ROW_DEN": {1: 1.0}, "COL_NUM": {2: 1.0}, "COL_DEN": {1: 1.0}}
    return told | {f"{name}_{number:02d}": values.get(number, 0.0) for name, values in terms.items() for number in range(1, 21)}


def _positions(detector: str) -> tuple[np.ndarray, np.ndarray]:
    told = _polynomials(detector)
    down, across = np.mgrid[0:ROWS, 0:COLS]
    return 10.9 + (across - told["COL_OFF"]) / 500 * 0.25, 47.6 - (down - told["ROW_OFF"]) / 500 * 0.125


def _write(path: Path, values: np.ndarray, nodata: float | None = None, mapped: bool = True) -> None:
    place = {"crs": "EPSG:32632", "transform": TRANSFORM} if mapped else {"crs": "EPSG:4326", "transform": Affine(4.3e-4, 0, 10.7, 0, -2.9e-4, 47.8)}
    with rasterio.open(path, "w", driver="GTiff", height=ROWS, width=COLS, count=len(values), dtype=values.dtype, nodata=nodata, **place) as file:
        file.write(values)


def _layers(folder: Path, stem: str, rng: np.random.Generator, tests: dict[str, int], mapped: bool = True) -> dict[str, np.ndarray]:
    stored = {name: rng.choice(values, (ROWS, COLS)).astype(np.uint8) for name, values in LAYERS.items()}
    flags = {
        "cloud": stored["CLOUD"] == 1, "shadow": stored["CLOUDSHADOW"] == 1, "haze": stored["HAZE"] == 1, "snow": stored["SNOW"] == 1,
        "cirrus": stored["CIRRUS"] > 0, "water": stored["CLASSES"] == 2, "no-data": stored["CLASSES"] == 3,
    }  # fmt: skip
    for name, bits in tests.items():
        over = rng.random((ROWS, COLS)) < 0.2
        stored[name] = (rng.integers(0, 4, (ROWS, COLS)) | np.where(over, bits, 0) | (rng.integers(0, 2, (ROWS, COLS)) << 6)).astype(np.uint8)
        flags["saturated"] = over
    for name, values in stored.items():
        _write(folder / f"{stem}QL_QUALITY_{name}.TIF", values[np.newaxis], mapped=mapped)
    return flags


def merged(folder: Path, level: str, before: bool = False, how: str = "average", background: int | None = None, tag: float | None = None) -> Built:
    """Level 1C or 2A, of the flight or from before the launch."""
    rng = np.random.default_rng(31)
    tables = BEFORE if before else FLIGHT
    bands = _bands(tables, merged=True)
    fill = (0 if before or level == "L1C" else -32768) if background is None else background
    stem = f"ENMAP01-____{level}-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z-"
    hole = rng.random((ROWS, COLS)) < 0.15
    stored = rng.integers(1, 9000, (len(bands), ROWS, COLS)).astype(np.int16)
    stored[:, hole] = fill
    stored[1] = fill  # the missing channel
    gains = np.full(len(bands), 1e-4) if level == "L2A" else rng.uniform(2e-6, 9e-6, len(bands))
    offsets = np.zeros(len(bands)) if level == "L2A" else rng.uniform(1e-5, 0.05, len(bands))
    _write(folder / f"{stem}SPECTRAL_IMAGE.TIF", stored, tag)
    (folder / f"{stem}METADATA.XML").write_text(_xml(stem, level, bands, gains, offsets, fill, before))
    flags = _layers(folder, stem, rng, {"TESTFLAGS": 0b110000})
    factor = 1.0 if level == "L2A" else 1000.0  # per nanometre -> per micrometre
    physical = np.where(stored == fill, np.nan, (stored * gains[:, None, None] + offsets[:, None, None]) * factor)
    one, two = ([(c, w, v) for (c, w, d), v in zip(bands, physical, strict=True) if d == detector] for detector in ("vnir", "swir"))
    values, wavelength, width = joined(one, two, how)
    good = (wavelength != bands[1][0]) & outside_water_vapour(wavelength)
    a, b, c, d, e, f = tuple(TRANSFORM)[:6]
    return Built(
        folder, values.astype(np.float32), wavelength, width, "surface_reflectance" if level == "L2A" else "radiance", "enmap",
        Grid((ROWS, COLS), (a, b, c, d, e, f), "EPSG:32632"), good, quality=flags, acquired="2022-07-24T10:45:26",
        attrs={**MADE, "processing_level": level, "product": stem[:-1], "processor_version": "00.02.04" if before else "01.03.02",
               "correction": "atmosphere, land mode" if level == "L2A" else "none", **({} if before else {"view_zenith": "6.5000"})},
        options={} if how == "average" else {"detector_overlap": how},
    )  # fmt: skip


def zipped(folder: Path) -> Built:
    """A product of level 1C from before the launch, in its archive with a folder in it."""
    inside = folder / "files"
    inside.mkdir()
    built = merged(inside, "L1C", before=True, how="keep")
    built.path = folder / "enmap_L1C.zip"
    with zipfile.ZipFile(built.path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(inside.iterdir()):
            archive.write(file, f"enmap_L1C_gtif_qualification/{file.name}")
    return built


def by_image(folder: Path) -> Built:
    """A product of level 2A, opened by its image; the files are cloud-optimised copies."""
    built = merged(folder, "L2A", how="swir")
    for file in sorted(folder.glob("*.TIF")):
        file.rename(file.with_name(f"{file.stem}_COG.TIF"))
    built.path = next(folder.glob("*SPECTRAL_IMAGE_COG.TIF"))
    return built


def by_metadata(folder: Path) -> Built:
    built = merged(folder, "L2A", before=True, how="vnir")
    built.path = next(folder.glob("*METADATA.XML"))
    return built


def sensor_grid(folder: Path, detector: str) -> Built:
    """Level 1B, one detector."""
    rng = np.random.default_rng(32)
    bands = _bands(FLIGHT, merged=False)
    stem = "ENMAP01-____L1B-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z-"
    gains, offsets = rng.uniform(2e-6, 9e-6, len(bands)), rng.uniform(1e-5, 0.05, len(bands))
    (folder / f"{stem}METADATA.XML").write_text(_xml(stem, "L1B", bands, gains, offsets, 0, before=False))
    flags = _layers(folder, stem, rng, {}, mapped=False)
    truth = {}
    for name, bit in (("vnir", 1 << 5), ("swir", 1 << 4)):
        index = [i for i, band in enumerate(bands) if band[2] == name]
        stored = rng.integers(0, 9000, (len(index), ROWS, COLS)).astype(np.uint16)
        stored[rng.random(stored.shape) < 0.1] = 0
        _write(folder / f"{stem}SPECTRAL_IMAGE_{name.upper()}.TIF", stored, mapped=False)
        over = rng.random((ROWS, COLS)) < 0.2
        _write(folder / f"{stem}QL_QUALITY_TESTFLAGS_{name.upper()}.TIF", np.where(over, bit, 3).astype(np.uint8)[np.newaxis], mapped=False)
        truth[name] = (np.where(stored == 0, np.nan, (stored * gains[index, None, None] + offsets[index, None, None]) * 1000), over)
    table = FLIGHT[0] if detector == "vnir" else FLIGHT[1]
    longitude, latitude = _positions(detector)
    centres = np.array([centre for centre, _ in table])
    good = outside_water_vapour(centres) & ((detector == "swir") | (np.arange(len(table)) != 1))
    return Built(
        folder if detector == "vnir" else folder / f"{stem}SPECTRAL_IMAGE_SWIR.TIF", truth[detector][0].astype(np.float32), centres,
        np.array([w for _, w in table]), "radiance", "enmap", longitude=longitude, latitude=latitude, good=good,
        quality={**(flags if detector == "vnir" else {}), "saturated": truth[detector][1]}, acquired="2022-07-24T10:45:26",
        attrs={**MADE, "processing_level": "L1B", "product": stem[:-1], "processor_version": "01.03.02", "correction": "none", "view_zenith": "6.5000"},
    )  # fmt: skip


def pixelmask(folder: Path, level: str) -> Built:
    """The mask of defective elements: of level 2A all bands by wavelength, of level 1B those of the SWIR."""
    built = merged(folder, "L2A") if level == "L2A" else sensor_grid(folder, "swir")
    bands = _bands(FLIGHT, merged=True) if level == "L2A" else [(*band, "swir") for band in FLIGHT[1]]
    stored = (np.random.default_rng(33).random((len(bands), ROWS, COLS)) < 0.2).astype(np.uint8)
    stem = next(folder.glob("*METADATA.XML")).name.removesuffix("METADATA.XML")
    _write(folder / f"{stem}QL_PIXELMASK{'' if level == 'L2A' else '_SWIR'}.TIF", stored, mapped=level == "L2A")
    built.truth, built.quantity, built.quality = stored.astype(np.float32), "dn", {}
    built.wavelength, built.fwhm = np.array([band[0] for band in bands]), np.array([band[1] for band in bands])
    built.good = np.array([band != bands[1] or level == "L1B" for band in bands])
    built.options = {"variable": "pixelmask" if level == "L2A" else "swir-pixelmask"}
    return built


CASES = (
    Case("enmap-l2a", "enmap", lambda folder: merged(folder, "L2A")),
    Case("enmap-l2a-image", "enmap", by_image),
    Case("enmap-l2a-before-launch", "enmap", by_metadata),
    Case("enmap-l1c", "enmap", lambda folder: merged(folder, "L1C")),
    Case("enmap-l1c-before-launch-zip", "enmap", zipped),
    Case("enmap-l1b-vnir", "enmap", lambda folder: sensor_grid(folder, "vnir"), SPECIFICATION),
    Case("enmap-l1b-swir", "enmap", lambda folder: sensor_grid(folder, "swir"), SPECIFICATION),
    Case("enmap-l2a-pixelmask", "enmap", lambda folder: pixelmask(folder, "L2A")),
    Case("enmap-l1b-pixelmask", "enmap", lambda folder: pixelmask(folder, "L1B"), SPECIFICATION),
)

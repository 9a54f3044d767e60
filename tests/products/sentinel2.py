"""Sentinel-2 products in the compact format: folders, names and metadata as the real Level 1C product of baseline 2.06 has them, few pixels."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from hsikit.geo.grid import Grid
from hsikit.sensors.products import SPECIFICATION
from tests.products.case import Built, Case

ROWS, COLS = 18, 12  # of the 20 m grid
LEFT, TOP, CRS = 499980.0, 6900040.0, "EPSG:32755"
# bandId, physicalBand, resolution, first and last nm of the response, centre, all as in the real MTD_MSIL1C.xml
BANDS = (
    (0, "B1", 60, 430, 457, 443.9), (1, "B2", 10, 440, 538, 496.6), (2, "B3", 10, 537, 582, 560.0), (3, "B4", 10, 646, 684, 664.5),
    (4, "B5", 20, 694, 713, 703.9), (5, "B6", 20, 731, 749, 740.2), (6, "B7", 20, 769, 797, 782.5), (7, "B8", 10, 760, 908, 835.1),
    (8, "B8A", 20, 848, 881, 864.8), (9, "B9", 60, 932, 958, 945.0), (10, "B10", 60, 1337, 1412, 1373.5), (11, "B11", 20, 1539, 1682, 1613.7),
    (12, "B12", 20, 2078, 2320, 2202.4),
)  # fmt: skip
OFFSETS = {number: -1000 - 7 * number for number, *_ in BANDS}
SUN = (22.4880527964554, 80.2567450853157)
ANGLES = {"sun_zenith": "22.4881", "sun_azimuth": "80.2567", "view_zenith": "8.6000", "view_azimuth": "1.0000"}
MADE = {
    "L1C": {"processing_level": "L1C", "processor": "Sentinel-2 IPF", "correction": "none"},
    "L2A": {"processing_level": "L2A", "processor": "Sen2Cor", "correction": "Sen2Cor"},
}
GRANULE = "GRANULE/L1C_T55JEJ_A012840_20171207T002252"
L2A_SIZES = {"B1": (20, 60), "B2": (10, 20, 60), "B3": (10, 20, 60), "B4": (10, 20, 60), "B5": (20, 60), "B6": (20, 60), "B7": (20, 60), "B8": (10,),
             "B8A": (20, 60), "B9": (60,), "B11": (20, 60), "B12": (20, 60)}  # fmt: skip


def shape_of(resolution: int) -> tuple[int, int]:
    return ROWS * 20 // resolution, COLS * 20 // resolution


def write_jp2(path: Path, values: np.ndarray, resolution: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = values if values.ndim == 3 else values[np.newaxis]
    profile = {"driver": "JP2OpenJPEG", "height": layers.shape[1], "width": layers.shape[2], "count": len(layers), "dtype": values.dtype}
    place = {"crs": CRS, "transform": Affine(resolution, 0, LEFT, 0, -resolution, TOP)}
    with rasterio.open(path, "w", QUALITY="100", REVERSIBLE="YES", **profile, **place) as file:
        file.write(layers)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def repeated(values: np.ndarray, times: int) -> np.ndarray:
    return values.repeat(times, axis=0).repeat(times, axis=1)


def means(stored: np.ndarray, side: int) -> np.ndarray:
    """Means of squares over what is measured, rounded as stored numbers are; 0 where nothing is."""
    rows, cols = stored.shape[0] // side, stored.shape[1] // side
    out = np.zeros((rows, cols))
    for row in range(rows):
        for col in range(cols):
            square = stored[row * side : (row + 1) * side, col * side : (col + 1) * side].astype(float)
            known = square[(square != 0) & (square != 65535)]
            out[row, col] = np.rint(known.mean()) if known.size else 0
    return out


def padded(name: str) -> str:
    """The band's name in file names."""
    return name if len(name) > 2 else f"B0{name[1:]}"


def _spectral() -> str:
    parts = []
    for number, name, resolution, low, high, centre in BANDS:
        values = np.exp(-0.5 * ((np.arange(low, high + 1) - (low + high) / 2) / ((high - low) / 5)) ** 2)
        parts.append(
            f'<Spectral_Information bandId="{number}" physicalBand="{name}"><RESOLUTION>{resolution}</RESOLUTION><Wavelength><MIN unit="nm">{low}</MIN>'
            f'<MAX unit="nm">{high}</MAX><CENTRAL unit="nm">{centre}</CENTRAL></Wavelength><Spectral_Response><STEP unit="nm">1</STEP>'
            f"<VALUES>{' '.join(f'{v:.8f}' for v in values)}</VALUES></Spectral_Response></Spectral_Information>"
        )
    return "".join(parts)


def fwhm_of(low: int, high: int) -> float:
    return 2 * np.sqrt(2 * np.log(2)) * (high - low) / 5


def write_metadata(root: Path, level: str, baseline: str, images: list[str], offsets: Mapping[int, float], spacecraft: str = "Sentinel-2A") -> None:
    if level == "L1C":
        scaling = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
        tags = ("Radiometric_Offset_List", "RADIO_ADD_OFFSET")
    else:
        scaling = (
            '<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
            '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE><WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>'
            "</QUANTIFICATION_VALUES_LIST>"
        )
        tags = ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET")
    if offsets:
        scaling += f"<{tags[0]}>" + "".join(f'<{tags[1]} band_id="{number}">{value}</{tags[1]}>' for number, value in offsets.items()) + f"</{tags[0]}>"
    files = "".join(f"<IMAGE_FILE>{image.removesuffix('.jp2')}</IMAGE_FILE>" for image in images)
    special = "".join(
        f"<Special_Values><SPECIAL_VALUE_TEXT>{text}</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX></Special_Values>"
        for text, value in (("NODATA", 0), ("SATURATED", 65535))
    )
    tag = f"Level-{level[1:]}_User_Product"
    (root / f"MTD_MSI{level}.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<n1:{tag} xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level[1:]}.xsd">'
        f"<n1:General_Info><Product_Info><PRODUCT_START_TIME>2017-12-07T00:20:51.026Z</PRODUCT_START_TIME><PRODUCT_URI>{root.name}</PRODUCT_URI>"
        f"<PROCESSING_LEVEL>Level-{level[1:]}</PROCESSING_LEVEL><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE><Datatake>"
        f'<SPACECRAFT_NAME>{spacecraft}</SPACECRAFT_NAME></Datatake><Product_Organisation><Granule_List><Granule imageFormat="JPEG2000">{files}</Granule>'
        f"</Granule_List></Product_Organisation></Product_Info><Product_Image_Characteristics>{special}{scaling}<Spectral_Information_List>{_spectral()}"
        f"</Spectral_Information_List></Product_Image_Characteristics></n1:General_Info><n1:Quality_Indicators_Info>"
        f"<Cloud_Coverage_Assessment>7.25</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info></n1:{tag}>\n"
    )


def write_tile(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = "".join(f'<Size resolution="{r}"><NROWS>{shape_of(r)[0]}</NROWS><NCOLS>{shape_of(r)[1]}</NCOLS></Size>' for r in (10, 20, 60))
    places = "".join(
        f'<Geoposition resolution="{r}"><ULX>{LEFT:.0f}</ULX><ULY>{TOP:.0f}</ULY><XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>' for r in (10, 20, 60)
    )
    views = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{number}"><ZENITH_ANGLE unit="deg">{8 + 0.1 * number}</ZENITH_ANGLE>'
        f'<AZIMUTH_ANGLE unit="deg">{(355 + number) % 360}</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>'
        for number, *_ in BANDS
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<n1:Level-1C_Tile_ID '
        'xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd"><n1:General_Info>'
        '<SENSING_TIME metadataLevel="Standard">2017-12-07T00:22:52.127Z</SENSING_TIME></n1:General_Info><n1:Geometric_Info>'
        f'<Tile_Geocoding metadataLevel="Brief"><HORIZONTAL_CS_CODE>{CRS}</HORIZONTAL_CS_CODE>{sizes}{places}</Tile_Geocoding><Tile_Angles>'
        f'<Mean_Sun_Angle><ZENITH_ANGLE unit="deg">{SUN[0]}</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">{SUN[1]}</AZIMUTH_ANGLE></Mean_Sun_Angle>'
        f"<Mean_Viewing_Incidence_Angle_List>{views}</Mean_Viewing_Incidence_Angle_List></Tile_Angles></n1:Geometric_Info></n1:Level-1C_Tile_ID>\n"
    )


def stored_bands(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Stored numbers of each band on its own grid, with nodata (0) and saturation (65535)."""
    found = {}
    for _, name, resolution, *_ in BANDS:
        values = rng.integers(1100, 9000, shape_of(resolution)).astype(np.uint16)
        values[rng.random(values.shape) < 0.05] = 0
        values[rng.random(values.shape) < 0.05] = 65535
        values[-(60 // resolution) :, : 60 // resolution] = 0
        found[name] = values
    return found


def on_grid(stored: np.ndarray, own: int, resolution: int) -> np.ndarray:
    """Stored numbers as the scene has them; 0 where nothing is measured."""
    if own < resolution:
        return means(stored, resolution // own)
    return repeated(np.where(stored == 65535, 0, stored).astype(float), own // resolution)


def any_on(high: np.ndarray, own: int, resolution: int) -> np.ndarray:
    """Where a condition holds in a pixel of the scene, or in any of the finer ones that make it."""
    if own < resolution:
        side = resolution // own
        return high.reshape(high.shape[0] // side, side, -1, side).any(axis=(1, 3))
    return repeated(high, own // resolution)


def _ring(top: int, left: int, bottom: int, right: int) -> str:
    """A closed ring along borders of 20 m pixels."""
    points = ((top, left), (top, right), (bottom, right), (bottom, left), (top, left))
    return " ".join(f"{LEFT + 20 * col} {TOP - 20 * row} 120.5" for row, col in points)


def _feature(kind: str, outer: str, inner: str = "") -> str:
    edge = '<gml:{0}><gml:LinearRing><gml:posList srsDimension="3">{1}</gml:posList></gml:LinearRing></gml:{0}>'
    hole = edge.format("interior", inner) if inner else ""
    return (f'<eop:MaskFeature gml:id="{kind}.0"><eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType><eop:extentOf>'
            f'<gml:Polygon gml:id="{kind}.0_Polygon">{edge.format("exterior", outer)}{hole}</gml:Polygon></eop:extentOf></eop:MaskFeature>')  # fmt: skip


def _gml(members: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" '
        f'gml:id="S2A_OPER_MSK"><eop:maskMembers>{members}</eop:maskMembers></eop:Mask>\n'
    )


def write_polygon_masks(folder: Path, name: str = "MSK_{}.gml") -> dict[str, np.ndarray]:
    """Masks as before baseline 4.0, and the truth on the 20 m grid; a cloud has a hole."""
    cloud, cirrus, absent, over = (np.zeros((ROWS, COLS), bool) for _ in range(4))
    cloud[2:9, 3:10] = True
    cloud[4:6, 5:7] = False
    cirrus[11:15, 0:4] = True
    absent[0:2, 0:5] = absent[16:17, 2:4] = True
    over[8:9, 8:12] = True
    everywhere = _ring(0, 0, ROWS, COLS)
    masks = {
        "CLOUDS_B00": _feature("OPAQUE", _ring(2, 3, 9, 10), _ring(4, 5, 6, 7)) + _feature("CIRRUS", _ring(11, 0, 15, 4)),
        "NODATA_B11": _feature("QT_NODATA_PIXELS", _ring(0, 0, 2, 5)) + _feature("QT_PARTIALLY_CORRECTED_PIXELS", everywhere),
        "TECQUA_B05": _feature("MSI_LOST", _ring(16, 2, 17, 4)) + _feature("ANC_LOST", everywhere),
        "SATURA_B04": _feature("QT_SATURATED_PIXELS_L1A", _ring(8, 8, 9, 12)),
        "DEFECT_B10": _feature("QT_DEFECTIVE_PIXELS", everywhere),
        "DETFOO_B02": _feature("DETECTOR_FOOTPRINT", everywhere),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for mask, members in masks.items():
        (folder / name.format(mask)).write_text(_gml(members))
    return {"cloud": cloud, "cirrus": cirrus, "no-data": absent, "saturated": over}


def write_raster_masks(folder: Path, rng: np.random.Generator, resolution: int, level: str) -> dict[str, np.ndarray]:
    """Masks as since baseline 4.0, and the truth on a resolution's grid."""
    coarse = (rng.random((3, *shape_of(60))) < 0.3).astype(np.uint8)
    write_jp2(folder / "MSK_CLASSI_B00.jp2", coarse, 60)
    flags = {name: repeated(layer > 0, 60 // resolution) for name, layer in zip(("cloud", "cirrus", "snow"), coarse, strict=True)} if level == "L1C" else {}
    absent, over = np.zeros((2, *shape_of(resolution)), bool)
    for band, own in (("B02", 10), ("B05", 20), ("B09", 60)):
        layers = np.ones((8, *shape_of(own)), np.uint8)
        layers[[2, 5, 7]] = rng.random((3, *shape_of(own))) < 0.03
        write_jp2(folder / f"MSK_QUALIT_{band}.jp2", layers, own)
        absent |= any_on((layers[2] | layers[5]) > 0, own, resolution)
        over |= any_on(layers[7] > 0, own, resolution)
    return flags | {"no-data": absent, "saturated": over}


def level_1(folder: Path, resolution: int = 20, offsets: Mapping[int, float] = OFFSETS, raster_masks: bool = True) -> Built:
    rng = np.random.default_rng(21)
    root = folder / f"S2A_MSIL1C_20171207T002051_N{'0400' if offsets else '0206'}_R116_T55JEJ_20171207T032513.SAFE"
    stored = stored_bands(rng)
    images = []
    for _, name, own, *_ in BANDS:
        images.append(f"{GRANULE}/IMG_DATA/T55JEJ_20171207T002051_{padded(name)}.jp2")
        write_jp2(root / images[-1], stored[name], own)
    write_metadata(root, "L1C", "04.00" if offsets else "02.06", [*images, f"{GRANULE}/IMG_DATA/T55JEJ_20171207T002051_TCI.jp2"], offsets)
    write_tile(root / GRANULE / "MTD_TL.xml")
    masks = root / GRANULE / "QI_DATA"
    flags = write_raster_masks(masks, rng, resolution, "L1C") if raster_masks else write_polygon_masks(masks)
    flags["saturated"] |= saturated(stored, resolution)
    return _built(root, stored, {name: own for _, name, own, *_ in BANDS}, resolution, offsets, "toa_reflectance", flags)


def saturated(stored: Mapping[str, np.ndarray], resolution: int) -> np.ndarray:
    return np.any([any_on(stored[name] == 65535, own, resolution) for _, name, own, *_ in BANDS], axis=0)


def level_1_of_2016(folder: Path) -> Built:
    """Two tiles in the format of before December 2016, names as in a real product; one is asked for."""
    rng = np.random.default_rng(23)
    root = folder / "S2A_OPER_PRD_MSIL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424.SAFE"
    tiles, listed = {}, ""
    for tile in ("T53HLA", "T55JEJ"):
        granule, stem = f"S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_{tile}_N02.04", f"S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_{tile}"
        stored = tiles[tile] = stored_bands(rng)
        for _, name, own, *_ in BANDS:
            write_jp2(root / "GRANULE" / granule / "IMG_DATA" / f"{stem}_{padded(name)}.jp2", stored[name], own)
        images = "".join(f"<IMAGE_ID>{stem}_{padded(name)}</IMAGE_ID>" for _, name, *_ in BANDS)
        listed += f'<Granule_List><Granules granuleIdentifier="{granule}" imageFormat="JPEG2000">{images}</Granules></Granule_List>'
        write_tile(root / "GRANULE" / granule / f"S2A_OPER_MTD_L1C_TL_SGS__20160905T073438_A006291_{tile}.xml")
        mask = f"S2A_OPER_MSK_{{kind}}_SGS__20160905T073438_A006291_{tile}_{{band}}_MSIL1C.gml"
        folder_of_masks = root / "GRANULE" / granule / "QI_DATA"
        flags = write_polygon_masks(folder_of_masks)
        for file in list(folder_of_masks.iterdir()):
            _, kind, band = file.stem.split("_")
            file.rename(file.with_name(mask.format(kind=kind, band=band)))
    write_metadata(root, "L1C", "02.04", [], {})
    metadata = root / "MTD_MSIL1C.xml"
    text = metadata.read_text()
    start, end = text.index("<Granule_List>"), text.index("</Granule_List>") + len("</Granule_List>")
    text = (text[:start] + listed + text[end:]).replace(f"<PRODUCT_URI>{root.name}<", "<PRODUCT_URI>791_2016-09-05T10_37<")
    metadata.write_text(text)
    metadata.rename(root / f"{root.stem.replace('PRD_MSI', 'MTD_SAF')}.xml")
    flags["saturated"] |= saturated(tiles["T55JEJ"], 20)
    built = _built(root, tiles["T55JEJ"], {name: own for _, name, own, *_ in BANDS}, 20, {}, "toa_reflectance", flags)
    built.options = {"variable": "T55JEJ"}
    built.attrs = {
        **built.attrs,
        **MADE["L1C"],
        "processor_version": "baseline 02.04",
        "product": "S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T55JEJ_N02.04",
    }
    return built


def _made(root: Path) -> dict[str, str]:
    """What a product tells of its making: by its name its level and, after the sensing time, the baseline (N0400)."""
    baseline = re.search(r"_N(\d\d)(\d\d)_", root.name)
    version = {"processor_version": f"baseline {baseline[1]}.{baseline[2]}"} if baseline else {}
    return {**MADE.get(root.name[7:10], {}), **version, "product": root.stem, **ANGLES, "cloud_cover": "7.2500"}


def _built(root: Path, stored: Mapping[str, np.ndarray], owns: Mapping[str, int], resolution: int, offsets: Mapping[int, float], quantity: str,
           flags: Mapping[str, np.ndarray]) -> Built:  # fmt: skip
    bands = sorted((band for band in BANDS if band[1] in stored), key=lambda band: band[5])
    layers = []
    for number, name, *_ in bands:
        numbers = on_grid(stored[name], owns[name], resolution)
        layers.append(np.where(numbers == 0, np.nan, (numbers + offsets.get(number, 0)) / 10000))
    return Built(
        root, np.stack(layers).astype(np.float32), np.array([band[5] for band in bands]), None, quantity, "sentinel-2a",
        Grid(shape_of(resolution), (resolution, 0.0, LEFT, 0.0, -resolution, TOP), CRS), quality=flags, acquired="2017-12-07T00:22:52",
        attrs=_made(root),
        names=tuple(band[1] for band in bands), options={} if resolution == 20 else {"resolution": resolution},
    )  # fmt: skip


def level_1_zip(folder: Path) -> Built:
    """The old baseline without offsets, clouds as polygons, as a zip under another name."""
    inside = folder / "files"
    inside.mkdir()
    built = level_1(inside, offsets={}, raster_masks=False)
    archive = folder / "download.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in sorted(inside.rglob("*")):
            target.write(file, file.relative_to(inside))
    built.path = archive
    return built


def level_2(folder: Path, resolution: int = 20) -> Built:
    rng = np.random.default_rng(22)
    root = folder / "S2A_MSIL2A_20171207T002051_N0500_R116_T55JEJ_20230101T000000.SAFE"
    granule = GRANULE.replace("L1C", "L2A")
    images, stored, owns = [], {}, {}
    for _, name, *_ in BANDS:
        for size in L2A_SIZES.get(name, ()):
            values = rng.integers(1100, 9000, shape_of(size)).astype(np.uint16)
            values[:3, : 120 // size] = 0
            images.append(f"{granule}/IMG_DATA/R{size}m/T55JEJ_20171207T002051_{padded(name)}_{size}m.jp2")
            write_jp2(root / images[-1], values, size)
            if size == resolution or (resolution not in L2A_SIZES[name] and size == min(L2A_SIZES[name])):
                stored[name], owns[name] = values, size
    flags = {}
    for size in (20, 60):
        classes = rng.integers(0, 12, shape_of(size)).astype(np.uint8)
        images.append(f"{granule}/IMG_DATA/R{size}m/T55JEJ_20171207T002051_SCL_{size}m.jp2")
        write_jp2(root / images[-1], classes, size)
        if size == max(20, resolution):
            shown = repeated(classes, size // resolution)
            numbers = {"no-data": (0,), "saturated": (1,), "shadow": (3,), "water": (6,), "cloud": (8, 9), "cirrus": (10,), "snow": (11,)}
            flags = {flag: np.isin(shown, chosen) for flag, chosen in numbers.items()}
    for flag, truth in write_raster_masks(root / granule / "QI_DATA", rng, resolution, "L2A").items():
        flags[flag] = flags[flag] | truth
    write_metadata(root, "L2A", "05.00", images, OFFSETS)
    write_tile(root / granule / "MTD_TL.xml")
    return _built(root, stored, owns, resolution, OFFSETS, "surface_reflectance", flags)


def level_1_file(folder: Path) -> Built:
    """Opened by its metadata, at 60 m."""
    built = level_1(folder, 60)
    built.path = built.path / "MTD_MSIL1C.xml"
    return built


CASES = (
    Case("sentinel-2-l1c", "sentinel-2", level_1, SPECIFICATION),
    Case("sentinel-2-l1c-zip", "sentinel-2", level_1_zip),
    Case("sentinel-2-l1c-60m", "sentinel-2", level_1_file, SPECIFICATION),
    Case("sentinel-2-l1c-of-2016", "sentinel-2", level_1_of_2016),
    Case("sentinel-2-l2a", "sentinel-2", level_2, SPECIFICATION),
    Case("sentinel-2-l2a-10m", "sentinel-2", lambda folder: level_2(folder, 10), SPECIFICATION),
)

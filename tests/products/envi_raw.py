"""Raw ENVI scenes of line cameras with white and dark references beside, headers from the makers' manuals and public examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.products.case import Built, Case
from tests.products.envi import write_envi

ROWS, COLS, BANDS = 9, 6, 8
NM = np.linspace(400, 1000, BANDS).round(2)
CALIBRATED = {"processing_level": "raw", "correction": "white and dark reference"}


def numbers(rng: np.random.Generator, low: int, high: int, lines: int = ROWS) -> np.ndarray:
    return rng.integers(low, high, (BANDS, lines, COLS)).astype(np.uint16)


def reflectance(raw: np.ndarray, white: np.ndarray, dark: np.ndarray, white_dark: np.ndarray | None = None, ratio: float = 1.0) -> np.ndarray:
    """By the definition, column by column, band by band."""
    out = np.empty(raw.shape)
    own = dark if white_dark is None else white_dark
    for band in range(raw.shape[0]):
        for col in range(raw.shape[2]):
            zero = dark[band, :, col].astype(float).mean()
            span = (white[band, :, col].astype(float).mean() - own[band, :, col].astype(float).mean()) * ratio
            out[band, :, col] = (raw[band, :, col] - zero) / span if span > 0 else np.nan
    return out.astype(np.float32)


def specim_header(**more: Any) -> dict[str, Any]:
    return {
        "wavelength": list(NM), "wavelength_units": "nm", "fwhm": [5.5] * BANDS, "sensor_type": "SPECIM FX10, SpecSensor", "fps": "50.00", "tint": "10.00",
        "acquisition_date": "DATE(yyyy-mm-dd): 2019-05-16", "Start_Time": "UTC TIME: 08:14:53", "default_bands": "{5,3,2}", **more,
    }  # fmt: skip


def specim(folder: Path) -> Built:
    """Another integration time for white, with its own dark; one dead column."""
    rng = np.random.default_rng(41)
    raw, white, dark, white_dark = numbers(rng, 300, 3000), numbers(rng, 2000, 2400, 20), numbers(rng, 95, 105, 25), numbers(rng, 90, 100, 15)
    white[3, :, 2] = 20
    white_dark[3, :, 2] = 20
    capture = folder / "capture"
    capture.mkdir()
    name = "sample_2019-05-16_08-14-53"
    for prefix, values, time in (("", raw, "10.00"), ("WHITEREF_", white, "4.00"), ("DARKREF_", dark, "10.00"), ("WHITEDARKREF_", white_dark, "4.00")):
        write_envi(capture / f"{prefix}{name}.hdr", values, "bil", suffix=".raw", **specim_header(tint=time))
    truth = reflectance(raw, white, dark, white_dark, 10 / 4)
    return Built(capture / f"{name}.raw", truth, NM, np.full(BANDS, 5.5), "surface_reflectance", acquired="2019-05-16T08:14:53Z",
                 attrs={**CALIBRATED, "processor": "Specim", "instrument": "SPECIM FX10, SpecSensor", "integration_time": "10"}, tolerance=1e-5)  # fmt: skip


def headwall(folder: Path) -> Built:
    """References for the whole folder."""
    rng = np.random.default_rng(42)
    raw, white, dark = numbers(rng, 300, 3000), numbers(rng, 2500, 3200, 5), numbers(rng, 95, 105, 5)
    fields = {"wavelength": list(NM), "fwhm": [6.0] * BANDS, "description": "{[HEADWALL Hyperspec III]}", "data_ignore_value": 0}
    raw[:, 2, 3] = 0
    for name, values in (("raw_0", raw), ("darkReference", dark), ("whiteReference", white)):
        write_envi(folder / f"{name}.hdr", values, "bil", suffix="", **fields)
    truth = reflectance(raw, white, dark)
    truth[:, 2, 3] = np.nan
    return Built(folder / "raw_0", truth, NM, np.full(BANDS, 6.0), "surface_reflectance", attrs={**CALIBRATED, "processor": "Headwall"}, tolerance=1e-5)


def resonon(folder: Path) -> Built:
    """Without references; the header says where the camera saturates."""
    rng = np.random.default_rng(43)
    raw = numbers(rng, 300, 4095)
    raw[2, 4, 1] = raw[5, 0, 0] = 4095
    fields = {"wavelength": list(NM), "framerate": 142.0, "shutter": 6.6, "gain": 0.0, "bit_depth": 12, "imager_type": "Pika L"}
    write_envi(folder / "cube_3.bil.hdr", raw, "bil", suffix="", wavelength_units="nm", **fields)
    return Built(folder / "cube_3.bil", raw.astype(np.float32), NM, None, "dn", quality={"saturated": (raw == 4095).any(axis=0)},
                 attrs={"processing_level": "raw", "processor": "Resonon", "integration_time": "6.6"})  # fmt: skip


def hyspex(folder: Path) -> Built:
    """References with the scene's name, big-endian."""
    rng = np.random.default_rng(44)
    raw, white, dark = numbers(rng, 300, 3000), numbers(rng, 2500, 3200, 5), numbers(rng, 95, 105, 5)
    fields = {"wavelength": list(NM), "description": "{HySpex VNIR-1800}", "integration_time": 12000}
    for name, values in (("plant_raw", raw), ("plant_raw_dark", dark), ("plant_raw_white", white)):
        write_envi(folder / f"{name}.hdr", values, "bsq", 1, **fields)
    return Built(folder / "plant_raw.hdr", reflectance(raw, white, dark), NM, None, "surface_reflectance", attrs={**CALIBRATED, "processor": "HySpex"},
                 tolerance=1e-5)  # fmt: skip


CASES = (
    Case("raw-specim", "envi-raw", specim),
    Case("raw-headwall", "envi-raw", headwall),
    Case("raw-resonon", "envi-raw", resonon),
    Case("raw-hyspex", "envi-raw", hyspex),
)

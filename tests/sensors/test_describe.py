"""What a scene is, in facts: percentiles of known wavelengths, quality flags, where the pixels lie, how it was made."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsikit.geo.grid import Grid
from hsikit.geo.swath import swath_of_arrays
from hsikit.scene import Bands, Quality, SceneInfo
from hsikit.sensors.array import ArraySource
from hsikit.sensors.catalogue import sensor_bands
from hsikit.sensors.describe import describe
from hsikit.sensors.percentiles import bands_near, percentiles
from tests.geo.swaths import tilted_positions

SHAPE = (40, 30)


def scene(centres, values=None, good=None, **facts):
    axis = Bands(
        np.array(centres, float), np.full(len(centres), 10.0), np.ones(len(centres), bool) if good is None else np.array(good, bool), ("b",) * len(centres)
    )
    info = SceneInfo("scene", facts.pop("grid", Grid(SHAPE)), axis, "float32", "array", quantity="surface_reflectance", **facts)
    shape = (len(centres), *SHAPE)
    return ArraySource(np.random.default_rng(0).random(shape).astype(np.float32) if values is None else values, info)


def test_percentiles_are_numpys_of_the_nearest_good_bands():
    source = scene([460, 545, 556, 840, 870, 1668, 2200], good=[1, 1, 0, 1, 1, 1, 1])
    found = percentiles(source)
    assert list(found) == ["545.0 nm", "840.0 nm", "1668.0 nm"]
    for name, band in zip(found, (1, 3, 5), strict=True):
        values = source.read(source.info.grid.whole, np.array([band])).values
        assert list(found[name]) == ["2 %", "50 %", "98 %"]
        assert list(found[name].values()) == pytest.approx(np.percentile(values, [2, 50, 98]), rel=1e-3)


def test_bands_that_are_too_far_away_and_missing_values():
    values = np.full((2, *SHAPE), np.nan, np.float32)
    values[0, 3, 4] = 0.25
    assert percentiles(scene([560, 900], values)) == {"560.0 nm": {"2 %": 0.25, "50 %": 0.25, "98 %": 0.25}}
    assert percentiles(scene([560, 845], values))["845.0 nm"] == "nothing"
    assert percentiles(scene([np.nan, np.nan])) == {}
    assert describe(scene([400, 450]))["percentiles"] == "no good band within 30 nm, or half its width, of 550, 850, 1650 nm"


@pytest.mark.parametrize(("sensor", "band"), [("landsat-8", "B6"), ("landsat-9", "B6"), ("sentinel-2a", "B11"), ("sentinel-2b", "B11"), ("sentinel-2c", "B11")])
def test_a_broad_band_is_near_within_half_its_width(sensor, band):
    table = sensor_bands(sensor)
    bands = Bands(table.wavelength, table.fwhm, np.ones(len(table.wavelength), bool), table.names)
    assert band in [table.names[k] for k in bands_near(bands)]


def test_of_bands_that_are_near_the_nearest_counts():
    def near(centres, widths):
        return bands_near(Bands(np.array(centres, float), np.array(widths, float), np.ones(len(centres), bool), ("b",) * len(centres))).tolist()

    assert near([500, 585], [110, 10]) == [0], "the narrow one is closer, and does not see it"
    assert near([500, 545], [110, 10]) == [1] and near([585], [np.nan]) == [] and near([575], [np.nan]) == [0]


def test_quality_flags_and_how_it_was_made():
    said = {"processor_version": "01.05", "correction": "L2A land", "sun_zenith": "33.1", "missing_share": "0.125", "other": "x"}
    facts = describe(scene([550, 860], attrs=said, quality=Quality(("cloud", "snow"), lambda window: np.zeros(window.shape, np.uint8))))
    assert facts["quality_flags"] == ["cloud", "snow"] and facts["missing_share"] == "12.5% (sampled)"
    assert facts["processor_version"] == "01.05" and facts["correction"] == "L2A land" and facts["sun_zenith"] == "33.1"
    assert "other" not in facts and "view_zenith" not in facts
    assert describe(scene([550]))["quality_flags"] == "none"
    json.dumps(facts)


def test_where_the_pixels_lie():
    lon, lat = tilted_positions(SHAPE)
    facts = describe(scene([550], swath=swath_of_arrays(lon, lat)))
    assert facts["pixels_lie"] == "on the sensor's grid, each with its longitude and latitude" and facts["crs"] == "none"
    assert facts["longitude"] == {"from": round(lon.min(), 5), "to": round(lon.max(), 5)} and facts["latitude"]["to"] == round(lat.max(), 5)
    nowhere = np.full(SHAPE, np.nan)
    assert describe(scene([550], swath=swath_of_arrays(nowhere, nowhere)))["longitude"] == "unknown"
    assert describe(scene([550]))["pixels_lie"] == "unknown"
    placed = describe(scene([550], grid=Grid(SHAPE, (30.0, 0.0, 0.0, 0.0, -30.0, 0.0), "EPSG:32633")))
    assert placed["pixels_lie"] == "on a map grid" and "longitude" not in placed


def test_bad_bands_are_told_in_runs_and_layers_by_name():
    facts = describe(scene([400, 500, 600, 700, 800], good=[0, 1, 0, 0, 1]))
    assert facts["bad_bands"] == ["400.0", "600.0 to 700.0 (2)"] and facts["wavelength_nm"] == {"from": 400.0, "to": 800.0}
    assert describe(scene([400, 500]))["bad_bands"] == []
    facts = describe(scene([np.nan, np.nan], good=[0, 1]))
    assert facts["bad_bands"] == ["b"] and facts["wavelength_nm"] == "none"

"""Tables of measured responses: whole, in step with the band tables, and found by the names that people write."""

from __future__ import annotations

import numpy as np
import pytest

from hsikit.errors import OptionError
from hsikit.sensors import list_sensors, sensor_bands
from hsikit.sensors.catalogue import RESPONSES, TABLES, known_sensor
from hsikit.sensors.responses import SensorResponse, sensor_response

MEASURED = sorted(path.stem for path in RESPONSES.glob("*.csv"))


def response(name: str) -> SensorResponse:
    found = sensor_response(name)
    assert found is not None
    return found


def test_the_list_says_which_sensors_have_responses() -> None:
    assert [entry.name for entry in list_sensors() if entry.measured] == sorted(MEASURED, key=lambda name: name + ".csv")
    assert {"sentinel-2", "sentinel-2c", "landsat-4", "landsat-9", "sentinel-3a-olci", "worldview-3", "pace-oci", "modis-aqua"} <= set(MEASURED)
    assert sensor_response("EnMAP") is None


LOBES = ("pace-oci", "modis-terra", "modis-aqua")
"""Sensors whose centres are those of the main lobe, down to a fiftieth of the maximum."""


def main_lobe(curve: np.ndarray) -> np.ndarray:
    peak, low = int(curve.argmax()), np.flatnonzero(curve < 0.02 * curve.max())
    inside = np.zeros(len(curve), bool)
    inside[low[low < peak][-1] + 1 : low[low > peak][0]] = True
    return inside


@pytest.mark.parametrize("name", MEASURED)
def test_responses_are_those_of_the_bands(name: str) -> None:
    """Centre and width of each curve, taken from a fine grid, are the table's."""
    table, found = sensor_bands(name), response(name)
    assert found.names == table.names and found.response.shape == (len(table.wavelength), len(found.wavelength))
    assert (found.response >= 0).all() and (np.diff(found.wavelength) > 0).all()
    for centre, fwhm, curve in zip(table.wavelength, table.fwhm, found.response, strict=True):
        within = np.flatnonzero(curve)
        grid = np.arange(found.wavelength[within[0]] - 20, found.wavelength[within[-1]] + 20, 0.05)
        fine = np.interp(grid, found.wavelength, curve)
        fine[~main_lobe(fine)] *= name not in LOBES
        assert (fine * grid).sum() / fine.sum() == pytest.approx(centre, abs=0.12)
        above = grid[fine >= fine.max() / 2]
        assert above[-1] - above[0] == pytest.approx(fwhm, abs=3.5)


def test_oli_sees_between_its_published_limits() -> None:
    """Limits of the bands at half of the maximum, USGS."""
    found = response("landsat-8")
    limits = {"B1": (435, 451), "B2": (452, 512), "B3": (533, 590), "B4": (636, 673), "B5": (851, 879), "B6": (1566, 1651), "B7": (2107, 2294)}
    for name, (low, high) in limits.items():
        curve = found.response[found.names.index(name)]
        seen = found.wavelength[curve >= curve.max() / 2]
        assert seen[0] == pytest.approx(low, abs=2) and seen[-1] == pytest.approx(high, abs=2), name


def test_names_as_people_write_them() -> None:
    for spelled in ("Sentinel-2A", "sentinel 2a", "SENTINEL_2A", "sentinel2a"):
        assert known_sensor(spelled) == "sentinel-2a"
    assert known_sensor("", strict=False) == known_sensor("../tables/emit", strict=False) == ""
    with pytest.raises(OptionError, match="no-such-sensor"):
        sensor_response("no-such-sensor")


def test_every_table_names_its_source_and_all_stay_small() -> None:
    files = [*TABLES.glob("*.csv"), *RESPONSES.glob("*.csv")]
    assert not [path.name for path in files if not path.read_text(encoding="utf-8").split("\n")[1].startswith("# Source: ")]
    assert sum(path.stat().st_size for path in files) < 2_000_000

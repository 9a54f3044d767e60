"""Four simulated scenes, each overlapping its neighbours by a third of its side, with dates, clouds and view angles, mapped by one trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.mosaic.four import Four
from tests.mosaic.maps import on_whole, read

SIDE, STEP, PIXEL = 60, 40, 30.0
WHOLE = (SIDE + STEP, SIDE + STEP)
CORNERS = ((0, 0), (0, STEP), (STEP, 0), (STEP, STEP))
LEFT, TOP = 399_960.0, 5_800_020.0
TIMES = ("2024-06-01T10:00:00Z", "2024-08-01T10:00:00Z", "2024-05-01T10:00:00Z", "2024-06-01T11:30:00+01:00")
LATENESS = (1, 3, 0, 2)
CLOUDS = (0.3, 0.05, 0.2, 0.0)
VIEW_ZENITH = (3.0, 20.0, 12.0, 28.0)
SENSOR = "sentinel-2"


def make_simulated(folder: Path) -> Four:
    """Simulates, trains, maps with clouds masked; then reads the maps as they are, and puts beside them what was asked of the simulation."""
    import hsikit
    from hsikit.simulate.scene import simulate_scene

    learned = simulate_scene(folder / "learned.tif", rows=110, cols=96, seed=5, sensor=SENSOR)
    model = hsikit.train("svm", hsikit.open_scene(learned.scene), learned.fields, class_field="class", refit=False, calibrate=False)
    paths, codes, confidence = [], [], []
    for i, (row, col) in enumerate(CORNERS):
        made = simulate_scene(
            folder / f"scene{i}.tif", rows=SIDE, cols=SIDE, seed=10 + i, sensor=SENSOR, fields=folder / f"fields{i}.gpkg",
            origin=(LEFT + col * PIXEL, TOP - row * PIXEL), acquired=TIMES[i], clouds=CLOUDS[i], view_zenith=VIEW_ZENITH[i],
        )  # fmt: skip
        paths.append(folder / f"map{i}.tif")
        hsikit.run(model, hsikit.open_scene(made.scene), paths[-1], confidence=True, mask=made.clouds)
        codes.append(on_whole(WHOLE, read(paths[-1]), (row, col), 0))
        confidence.append(on_whole(WHOLE, read(folder / f"map{i}_confidence.tif"), (row, col), np.nan))
    cloud, angle = (np.broadcast_to(np.array(each)[:, None, None], (4, *WHOLE)) for each in (CLOUDS, VIEW_ZENITH))
    return Four(paths, np.stack(codes), np.stack(confidence), cloud, angle, lateness=LATENESS)

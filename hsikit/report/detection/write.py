"""Writes the report of a detection: the page, and `run.json` with every number in it, together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hsikit.report.detection.worth import Run
from hsikit.report.write import check_outputs, put_report
from hsikit.scene import Source

if TYPE_CHECKING:
    from hsikit.tasks.detection.target_spectra import TargetSpectra


def write_detection_report(
    path: str | Path,
    output: str | Path,
    run: Run,
    *,
    scene: Source | None = None,
    hits: str | Path | None = None,
    target: TargetSpectra | None = None,
    pixels: Sequence[tuple[int, int]] = (),
    truth: str | Path | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Writes one self-contained HTML page about a map of scores, and `run.json` beside it.

    Args:
        path: a map of `hsikit detect` or `hsikit anomaly`, as GeoTIFF or ENVI.
        output: the page; its name ends in `.html`.
        run: runs a method on a scene, for the floor.
        scene: the scene that the map was made from, for quicklook, spectra and floor.
        hits: a file of the run's hits; None: they are found in the map, where it has a threshold.
        target: what was looked for; None: what the map's own metadata say.
        pixels: rows and columns in the scene of the pixels that the target was taken from, which are not scored.
        truth: a raster on the map's grid, not 0 where a target is; or polygons or points of objects.
        overwrite: whether an older report may be replaced.

    Returns:
        The page and `run.json`.

    Raises:
        OutputError: the page or `run.json` exists (without `overwrite`), is that of another report, or cannot be written.
        MapError, OptionError, GridError, LabelError, SceneError: as `hsikit.report.detection.gather.gather_detection`.
    """
    page = Path(output)
    numbers = check_outputs(page, overwrite)
    from hsikit.report.detection.gather import gather_detection
    from hsikit.report.detection.render import render

    content, views = gather_detection(path, run, scene=scene, hits=hits, target=target, pixels=pixels, truth=truth)
    return put_report(page, numbers, render(content, views), content.to_json())

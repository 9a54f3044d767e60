"""`hsikit simulate`: scenes with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import wrote

simulate = typer.Typer(name="simulate", help="Scenes with a known truth.", no_args_is_help=True)


@simulate.command()
def scene(
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoTIFF; truth and labelled fields lie beside it.")],
    rows: Annotated[int, typer.Option(help="Height in pixels.")] = 400,
    cols: Annotated[int, typer.Option(help="Width in pixels.")] = 360,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    sensor: Annotated[str, typer.Option(help="Sensor of `hsikit sensors`.")] = "enmap",
    snr: Annotated[float, typer.Option(help="Factor on the signal-to-noise ratios of EnMAP; inf for no noise.")] = 1.0,
    fields_per_class: Annotated[int, typer.Option(help="Labelled fields of each class.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """A landscape of fields, water and shade, as a sensor would see it."""
    from hsikit.simulate.scene import simulate_scene

    made = simulate_scene(output, rows=rows, cols=cols, seed=seed, sensor=sensor, snr=snr, fields_per_class=fields_per_class, overwrite=overwrite)
    wrote([made.scene, made.truth, made.fields])


@simulate.callback()
def _root() -> None:
    """Scenes with a known truth."""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.add_typer(simulate)

"""`hsikit gas`: how much of a gas lies above each pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import MaskArgs, RunArgs, SceneArgs, grouped
from .pairs import pairs
from .running import map_scene

METHODS = {"mag1c": "mag1c", "emit": "emit-ghg"}


@grouped
def gas(
    scene: Annotated[list[str], typer.Argument(help="Radiance on the sensor's own grid.")],
    absorption: Annotated[Path, typer.Option(help="Table of the gas's absorption: .csv or .nc, see docs/gas.md.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Enhancement in ppm m: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    method: Annotated[str, typer.Option(help="mag1c, or emit: the plain filter of each column.")] = "mag1c",
    window: Annotated[
        list[str] | None, typer.Option(help="Wavelengths that are used (nm); repeated; 2122,2488.", metavar="LOW,HIGH", show_default=False)
    ] = None,
    sun_zenith: Annotated[float | None, typer.Option(help="Degrees, in place of the scene's.", show_default=False)] = None,
    view_zenith: Annotated[float | None, typer.Option(help="Degrees, in place of the scene's.", show_default=False)] = None,
    water: Annotated[float | None, typer.Option(help="Precipitable water (cm), for tables that ask for it.", show_default=False)] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of a scene that does not say it, such as uW/cm2/sr/nm.", show_default=False)] = None,
) -> None:
    """Maps a gas by its absorption in each column of the detector, with uncertainty and sensitivity."""
    from hsikit.api import make_method
    from hsikit.errors import OptionError
    from hsikit.tasks.gas.gas import METHANE

    if method not in METHODS:
        raise OptionError("--method", f"{method} finds no gas", f"Those that do are {', '.join(METHODS)}")
    windows = tuple(pairs(window, "--window", "LOW,HIGH", float)) if window else METHANE
    reading = _reading(unit, scene_args)

    def make() -> Any:
        from hsikit.sensors.absorption_table import read_absorption

        geometry = {"sun_zenith": sun_zenith, "view_zenith": view_zenith, "water": water}
        return make_method(METHODS[method], table=read_absorption(absorption), windows=windows, **geometry)

    map_scene(make, {"cube": (scene, reading)}, output, run_args, mask_args, scene_args)


def _reading(unit: str | None, scene_args: SceneArgs) -> dict[str, Any]:
    """How a scene in such a unit is read."""
    from hsikit.errors import OptionError
    from hsikit.sensors.radiance_units import radiance_factor

    if unit is None:
        return {}
    factor = radiance_factor(unit)
    if factor is None:
        raise OptionError("--unit", f"{unit!r} is no unit of spectral radiance", "Write it like uW/cm2/sr/nm, or W m-2 sr-1 um-1")
    if scene_args.scale is not None:
        raise OptionError("--unit", "--scale says how values are read already", "Give one of the two")
    return {"scale": factor, "quantity": "radiance"}


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(gas)

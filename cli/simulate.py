"""`hsikit simulate`: scenes with a known truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Bar, say, wrote
from .options import SceneArgs, grouped
from .pairs import pairs

if TYPE_CHECKING:
    from hsikit.scene import Source
    from hsikit.simulate.objects import ObjectClass, PlantedObject

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
    origin: Annotated[
        tuple[float, float] | None, typer.Option(help="Upper left corner: easting and northing (m, EPSG:32633).", metavar="X Y", show_default=False)
    ] = None,
    acquired: Annotated[str, typer.Option(help="ISO 8601 time that the scene states.", metavar="TIME", show_default=False)] = "",
    clouds: Annotated[float, typer.Option(help="Share under clouds, such as 0.2; OUTPUT_clouds.tif, a mask, says where.")] = 0.0,
    view_zenith: Annotated[float | None, typer.Option(help="Degrees from the vertical that the scene states.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """A landscape of fields, water and shade, as a sensor would see it."""
    from hsikit.simulate.scene import ORIGIN, simulate_scene

    made = simulate_scene(
        output, rows=rows, cols=cols, seed=seed, sensor=sensor, snr=snr, fields_per_class=fields_per_class, origin=origin or ORIGIN, acquired=acquired,
        clouds=clouds, view_zenith=view_zenith, overwrite=overwrite,
    )  # fmt: skip
    wrote([made.scene, made.truth, made.fields, *([made.clouds] if made.clouds else [])])


@simulate.command()
@grouped
def targets(
    background: Annotated[list[str], typer.Argument(help="A scene to plant objects into; or several tiles on one grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The scene with objects: .tif, .zarr, .hdr or .nc; their truth lies beside it.")],
    scene_args: SceneArgs,
    target: Annotated[Path | None, typer.Option(help="Spectra to plant: any file of `hsikit library`; each is a class.", show_default=False)] = None,
    name: Annotated[list[str] | None, typer.Option(help="Which of them, by name or words of it; repeated.", show_default=False)] = None,
    pixel: Annotated[list[str] | None, typer.Option(help="Plant the mean of such pixels, from 0; repeated.", metavar="ROW,COL", show_default=False)] = None,
    objects: Annotated[int, typer.Option(help="Objects in 128 x 128 pixels, at most.")] = 20,
    size: Annotated[list[int] | None, typer.Option(help="Size code, 0 (a part of a pixel) to 4 (16 pixels); repeated.", show_default=False)] = None,
    brightness: Annotated[float, typer.Option(help="Objects are so much brighter or darker, at most, as a share.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    truth: Annotated[Path | None, typer.Option(help="GeoPackage of the boxes; OUTPUT_objects.gpkg.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Small objects of known place, class and abundance, planted into a scene."""
    from hsikit.api import source_of
    from hsikit.errors import OptionError
    from hsikit.simulate.objects import ObjectClass, Planting
    from hsikit.simulate.targets import full_spectra, planted_source
    from hsikit.targets import read_targets

    boxes = _boxes(output, truth, overwrite)
    if (target is None) == (not pixel):
        raise OptionError("targets", "both a library and pixels are given" if pixel else "nothing to plant is given", "Give one of --target and --pixel")
    source = source_of(background[0] if len(background) == 1 else background, **scene_args.options())
    try:
        found = read_targets(source, target, names=name or []) if target else read_targets(source, pixels=pairs(pixel or [], "--pixel", "ROW,COL", int))
        used, values = found.seen_by(source.info)
        spectra = full_spectra(values, used, source.info)
        classes = [ObjectClass(each, row[None], tuple(size or range(5))) for each, row in zip(found.names, spectra, strict=True)]
        planted = planted_source(source, classes, planting=Planting(most=objects, brightness=brightness), seed=seed)
        _write(planted, planted.objects, classes, output, boxes, overwrite, quiet)
    finally:
        source.close()


@simulate.command()
def points(
    output: Annotated[Path, typer.Option("--output", "-o", help="The pictures side by side: .tif, .zarr, .hdr or .nc; their truth lies beside it.")],
    pictures: Annotated[int, typer.Option(help="How many, of 128 x 128 pixels and 30 bands.")] = 100,
    seed: Annotated[int, typer.Option(help="Of everything; classes look the same in all sets of one seed.")] = 0,
    part: Annotated[str, typer.Option(help="A name: another part of the same seed has other landscapes and objects.")] = "training",
    truth: Annotated[Path | None, typer.Option(help="GeoPackage of the boxes; OUTPUT_objects.gpkg.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """A set of pictures like SPOD's: eight classes of small objects on landscapes, for trying out detectors without any data."""
    from hsikit.api import source_of
    from hsikit.simulate.point_set import as_scene, simulate_points

    boxes = _boxes(output, truth, overwrite)
    made = simulate_points(pictures, seed=seed, part=part)
    cube, objects = as_scene(made)
    _write(source_of(cube), objects, made.classes, output, boxes, overwrite, quiet)


def _boxes(output: Path, truth: Path | None, overwrite: bool) -> Path:
    """Where the boxes go; neither file exists, unless it may be replaced."""
    from hsikit.api import require_new

    boxes = truth or output.with_name(f"{output.stem}_objects.gpkg")
    for file in (output, boxes):
        require_new(file, overwrite)
    return boxes


def _write(scene: Source, objects: Sequence[PlantedObject], classes: Sequence[ObjectClass], output: Path, boxes: Path, overwrite: bool, quiet: bool) -> None:
    """Writes a scene and the objects in it."""
    from hsikit.convert.write import write_scene
    from hsikit.simulate.targets import write_truth

    with Bar(quiet) as bar:
        files = write_scene(scene, output, overwrite=overwrite, progress=bar)
    write_truth(boxes, objects, classes, scene.info.grid, overwrite=overwrite)
    if not quiet:
        say(f"{len(objects)} objects of {len(classes)} classes")
    wrote([*files, boxes], quiet)


@simulate.callback()
def _root() -> None:
    """Scenes with a known truth."""


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.add_typer(simulate)

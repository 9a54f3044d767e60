"""`hsikit train-objects`: a detector of small objects from scenes with objects of known place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Bar, say, tell, wrote
from .options import MaskArgs, SceneArgs, grouped

if TYPE_CHECKING:
    from hsikit.scene import Source


@grouped
def train_objects(
    scenes: Annotated[list[str], typer.Argument(help="Scenes of one sensor, such as `hsikit simulate targets` makes.")],
    objects: Annotated[list[Path], typer.Option(help="Boxes or points of the objects; repeated, one file for each scene.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    scene_args: SceneArgs,
    mask_args: MaskArgs,
    preset: Annotated[str, typer.Option(help="small, or paper: the published network, for a CUDA device.")] = "small",
    steps: Annotated[int | None, typer.Option(help="Steps of 4 pictures; 14000 for small, 2500 for paper.", show_default=False)] = None,
    adapter: Annotated[str, typer.Option(help="Spectral adapter, for a model that reads other sensors too; none.", show_default=False)] = "",
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of `hsikit pretrain`: its encoder, with a LoRA, reads the bands of any sensor.", show_default=False)
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Of the encoder's LoRA; 4.", show_default=False)] = None,
    class_field: Annotated[str, typer.Option(help="Attribute of the class.")] = "class",
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:1.")] = "auto",
    licence: Annotated[str, typer.Option(help="Licence of the model, kept in its folder.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Trains SpecDETR on objects of known place; the same command after a kill goes on."""
    import shutil

    import hsikit
    from hsikit.api import source_of
    from hsikit.errors import OptionError
    from hsikit.models import check_target
    from hsikit.tasks.detection.specdetr_training import train_objects as train

    check_target(output, overwrite=overwrite)
    if len(objects) != len(scenes):
        raise OptionError("--objects", f"{len(objects)} files for {len(scenes)} scenes", "Give one for each scene, in the same order")
    workspace = output.absolute().parent / f".{output.name}.training"
    sources = [_masked(source_of(scene, **scene_args.options()), mask_args, quiet) for scene in scenes]
    done = 0

    with Bar(quiet) as bar:

        def progress(step: int, total: int, note: str) -> None:
            nonlocal done
            if not total:
                return bar.note(f"note: {note}")
            if not done:
                bar.begin("tuning", total, step - 1)
                done = step - 1
            bar.advance(note, step - done)
            done = step

        try:
            model = train(
                list(zip(sources, objects, strict=True)), class_field=class_field, seed=seed, tell=None if quiet else tell, preset=preset, steps=steps,
                adapter=adapter, encoder=encoder, rank=rank, device=device, workspace=workspace, progress=progress,
            )  # fmt: skip
        finally:
            for source in sources:
                source.close()
    hsikit.save_method(model, output, licence=licence, overwrite=overwrite)
    shutil.rmtree(workspace, ignore_errors=True)
    if not quiet:
        say(f"loss {model.training['losses'][0]:.3g} at first, {model.training['losses'][-1]:.3g} at last")
    wrote([output], quiet)


def _masked(source: Source, mask_args: MaskArgs, quiet: bool) -> Source:
    """The scene without what is hidden, of which the share is told."""
    from hsikit.sensors.masking import MaskedSource, open_masks

    hidden = open_masks(source.info, mask_args.mask, mask_args.dilate, mask_args.aoi)
    if hidden is None:
        return source
    if not quiet:
        tell(f"note: {source.info.name}: {hidden.told()}")
    return MaskedSource(source, hidden)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("train-objects")(train_objects)

"""`hsikit pretrain`: an encoder of any sensor, learned without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, tell, wrote
from .options import MaskArgs, SceneArgs, grouped


@grouped
def pretrain(
    output: Annotated[Path, typer.Option("--output", "-o", help="Base folder to write.")],
    scene_args: SceneArgs,
    mask_args: MaskArgs,
    scenes: Annotated[list[str] | None, typer.Argument(help="Scenes of any sensors; none with --simulate.", show_default=False)] = None,
    simulate: Annotated[list[str] | None, typer.Option(help="Sensor whose scenes are simulated as needed; repeated.", show_default=False)] = None,
    preset: Annotated[str, typer.Option(help="Encoder: base, small, tiny, ...")] = "base",
    adapter: Annotated[
        str, typer.Option(help="Spectral adapter in place of the preset's: channel, conv, grid, hyper, pixel, ranges.", show_default=False)
    ] = "",
    objective: Annotated[str, typer.Option(help="What is learned: detail, mae, multiscale, spectral-sum, mixup, less.")] = "detail",
    sensors: Annotated[str, typer.Option(help="Whether windows are also seen through instruments drawn by chance: random, or off.")] = "random",
    steps: Annotated[int, typer.Option(help="Steps of the training.")] = 2000,
    minutes: Annotated[float | None, typer.Option(help="Train about so long, instead of --steps.", show_default=False)] = None,
    window: Annotated[int, typer.Option(help="Side of a window in pixels.")] = 16,
    windows: Annotated[int, typer.Option(help="Windows of one scene in a step.")] = 4,
    per_step: Annotated[int, typer.Option(help="Scenes of a step.")] = 2,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or cuda:1.")] = "auto",
    licence: Annotated[str, typer.Option(help="Licence of the base, kept in its folder.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Pretrains an encoder without labels: hides bands and pixels of windows of many scenes, and learns to rebuild them."""
    import hsikit
    from hsikit.api import source_of

    sources = [source_of(scene, **scene_args.options()) for scene in scenes or []]
    if not quiet:
        for notice in (notice for source in sources for notice in source.info.notices):
            tell(f"note: {notice}")
    with Bar(quiet) as bar:
        made = hsikit.pretrain(
            sources, output, simulate=simulate or [], minutes=minutes, device=device, licence=licence, progress=bar, preset=preset, adapter=adapter,
            objective=objective, sensors=sensors, steps=steps, window=window, windows=windows, scenes_per_step=per_step, lr=lr, seed=seed,
            **mask_args.options(),
        )  # fmt: skip
    wrote([made], quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(pretrain)

"""`hsikit classify`: a map from a scene and a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import MaskArgs, RunArgs, SceneArgs, grouped
from .running import map_scene

_MAP = "The map"


@grouped
def classify(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    model: Annotated[Path, typer.Option(help="Model folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Map: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    confidence: Annotated[bool, typer.Option("--confidence", help="Also STEM_confidence: the highest class probability.", rich_help_panel=_MAP)] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also STEM_probabilities.", rich_help_panel=_MAP)] = False,
    smooth: Annotated[bool, typer.Option("--smooth", help="Regularise the probabilities along edges.", rich_help_panel=_MAP)] = False,
    sieve: Annotated[int, typer.Option(help="Patches of fewer pixels take the class around them.", rich_help_panel=_MAP)] = 0,
    unknown_below: Annotated[float, typer.Option(help="Less confident pixels become unknown (254).", rich_help_panel=_MAP)] = 0.0,
    refit_statistics: Annotated[
        bool, typer.Option("--refit-statistics", help="Learn this scene's statistics anew, and refit what stands on them.", rich_help_panel=_MAP)
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything random (no classifier here draws when it maps).")] = 0,
) -> None:
    """Maps the classes of a scene of any size, tile by tile; of another sensor than the model's by what the model keeps of its classes."""
    from hsikit.transfer import open_model

    options = {
        "confidence": confidence, "probabilities": probabilities, "smooth": smooth, "sieve": sieve, "unknown_below": unknown_below,
        "refit_statistics": refit_statistics,
    }  # fmt: skip
    map_scene(lambda: open_model(model), {"cube": (scene, {})}, output, run_args, mask_args, scene_args, **options)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(classify)

"""`hsikit minerals`: which materials of a library a scene shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .console import tell
from .options import MaskArgs, Params, RunArgs, SceneArgs, grouped, parameters
from .running import map_scene


@grouped
def minerals(
    scene: Annotated[list[str], typer.Argument(help="A scene of surface reflectance; or several tiles on one grid.")],
    library: Annotated[Path, typer.Option(help="Spectra of minerals: any file or folder of `hsikit library`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Entries, three for each group: .tif, .zarr or .hdr.")],
    run_args: RunArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    name: Annotated[list[str] | None, typer.Option(help="Only such entries, by name or words of it; repeated.", show_default=False)] = None,
    features: Annotated[Path | None, typer.Option(help="TOML table of features in place of ours.", show_default=False)] = None,
    noise: Annotated[float | None, typer.Option(help="Standard deviation of the reflectance, for the uncertainty.", show_default=False)] = None,
    param: Params = None,
) -> None:
    """Maps the best fitting entries of a library, their band depths and fits, in two groups of wavelengths."""
    from hsikit.api import make_method, source_of

    chosen = parameters(param, own=("references", "table", "noise"))

    def make() -> Any:
        from hsikit.targets import library_references
        from hsikit.tasks.minerals.features import TABLE, read_features

        table = read_features(features or TABLE)
        source = source_of(scene[0] if len(scene) == 1 else scene, **scene_args.options(), inspect=False)
        try:
            method = make_method("minerals", references=library_references(source.info, library, name or []), table=table, noise=noise, **chosen)
            if not run_args.quiet:
                _tell_unseen(method, source)
        finally:
            source.close()
        return method

    map_scene(make, {"cube": (scene, {})}, output, run_args, mask_args, scene_args)


def _tell_unseen(method: Any, source: Any) -> None:
    """How many entries have no feature that the scene shows."""
    from hsikit.tasks.minerals.minerals import profiles_of

    shown = profiles_of(method.references, source.info, method.table)
    unseen = [entry for entry, own in zip(method.references.names, shown, strict=True) if not own]
    if unseen:
        tell(f"note: {len(unseen)} of {len(shown)} entries have no feature that the scene's good bands show, such as {unseen[0]}")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(minerals)

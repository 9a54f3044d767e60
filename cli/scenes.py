"""What the verbs that make a scene of a scene share: the output checked first, notices, a bar, what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .console import Bar, tell, wrote
from .options import SceneArgs


def write_cube(scene: list[str], output: Path, scene_args: SceneArgs, change: Callable[[Any], Any], *, overwrite: bool = False, quiet: bool = False) -> None:
    """Opens a scene, changes it, and writes it.

    Args:
        scene: a path, or those of tiles on one grid.
        output: where it goes; its ending tells the format.
        scene_args: of reading the scene.
        change: makes the scene that is written out of the open one.
        overwrite: whether an existing output is replaced.
        quiet: say nothing but errors.
    """
    from hsikit.api import require_new
    from hsikit.convert.write import write_scene

    require_new(output, overwrite)
    source = scene_args.opened(scene[0] if len(scene) == 1 else scene)
    try:
        changed = change(source)
        if not quiet:
            for notice in changed.info.notices:
                tell(f"note: {notice}")
        with Bar(quiet) as bar:
            files = write_scene(changed, output, overwrite=overwrite, progress=bar)
    finally:
        source.close()
    wrote(files, quiet)

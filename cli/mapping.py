"""Options that the verbs share which put a scene on another grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .options import SceneArgs


@dataclass
class MappedSceneArgs(SceneArgs):
    """How a scene is read; here --res is the pixel of the map that is made, not one of the grids that a product delivers."""

    resolution: Annotated[float | None, typer.Option("--res", help="Side of a pixel of the map, in units of its CRS.", show_default=False, metavar="SIZE")] = (
        None
    )

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.open_scene`."""
        return {name: value for name, value in super().options().items() if name != "resolution"}

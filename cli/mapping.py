"""Options that the verbs share which put a scene on another grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import SceneArgs

if TYPE_CHECKING:
    from hsikit.scene import Source


@dataclass
class MappedSceneArgs(SceneArgs):
    """How a scene is read; here --res is the pixel of the map that is made, and --scene-res names one of the grids that a product delivers."""

    resolution: Annotated[float | None, typer.Option("--res", help="Side of a pixel of the map, in units of its CRS.", show_default=False, metavar="SIZE")] = (
        None
    )
    scene_resolution: Annotated[
        float | None,
        typer.Option("--scene-res", help="Which of the product's grids is read: side of its pixel (m).", show_default=False, metavar="METRES"),
    ] = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.open_scene`."""
        found = {name: value for name, value in super().options().items() if name not in ("resolution", "scene_resolution")}
        return found if self.scene_resolution is None else {**found, "resolution": self.scene_resolution}

    def opened(self, scene: str | list[str]) -> Source:
        """The scene, open.

        Raises:
            SceneError: it cannot be opened.
            OptionError: an option makes no sense; a grid that the product has not is said of --scene-res.
        """
        from hsikit.errors import OptionError

        try:
            return super().opened(scene)
        except OptionError as error:
            if error.where != "res":
                raise
            raise OptionError("--scene-res", error.wrong, error.advice) from None

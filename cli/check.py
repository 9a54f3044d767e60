"""`hsikit check`: the traps of a scene and its labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say
from .options import LabelArgs, SceneArgs, grouped

if TYPE_CHECKING:
    from hsikit.check import Finding


@grouped
def check(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    label_args: LabelArgs,
    scene_args: SceneArgs,
    labels: Annotated[str | None, typer.Option(help="Polygons, points, or a raster.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Looks for the traps of a scene and of labels, and says which option cures each. Ends with 0 whatever it finds."""
    from hsikit.api import check as look

    found = look(scene[0] if len(scene) == 1 else scene, labels, label_options=label_args.options(), **scene_args.options())
    if as_json:
        say(json.dumps([finding.to_json() for finding in found], indent=2))
        return
    _table(found)


def _table(found: list[Finding]) -> None:
    """A line for each finding, the cure below a warning, and the sum."""
    width = max(len(finding.name) for finding in found)
    for finding in found:
        say(f"{finding.state:<4}  {finding.name:<{width}}  {finding.what}")
        if finding.cure:
            say(f"{'':<4}  {'':<{width}}  cure: {finding.cure}")
    warnings = sum(finding.state == "warn" for finding in found)
    say(f"{len(found)} checks, {warnings} warnings")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(check)

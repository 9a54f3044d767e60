"""`hsikit info`: what a scene is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from .console import say
from .options import SceneArgs, grouped


@grouped
def info(
    scene: Annotated[list[str], typer.Argument(help="A scene; or several tiles on one grid.")],
    scene_args: SceneArgs,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What a scene is: sensor, bands, wavelengths, bad bands, size, place, units, how bright, quality flags, share of nodata, how it was made."""
    from hsikit.api import describe

    facts = describe(scene[0] if len(scene) == 1 else scene, **scene_args.options())
    if as_json:
        say(json.dumps(facts, indent=2))
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        say(f"{key.replace('_', ' '):<{width}}  {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value) if value else "none"
    if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, dict):
        return (" " if "from" in value else ", ").join(f"{key} {_text(item)}" for key, item in value.items())
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(info)

"""`hsikit demo`: the whole way, on a real scene and on a simulated one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, say, tell, wrote


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("hsikit-demo"),
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Maps real Indian Pines from few labels, then a simulated scene that opens in QGIS."""
    from hsikit.demo import run_demo

    with Bar(quiet) as bar:
        files = run_demo(output, seed=seed, say=(lambda text: None) if quiet else say, note=(lambda text: None) if quiet else tell, progress=bar)
    wrote(files, quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(demo)

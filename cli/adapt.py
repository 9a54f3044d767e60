"""`hsikit adapt`: a model of one sensor, refitted for another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import tell, wrote


def adapt(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    to: Annotated[str, typer.Option(help="A sensor of `hsikit sensors`, a CSV file of bands, or a scene of the other sensor.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Refits a model for another sensor on the labelled spectra that it keeps, seen through that sensor's responses."""
    from hsikit.models import check_target
    from hsikit.transfer import adapt as adapted

    check_target(output, overwrite=overwrite)
    made = adapted(model, to, seed=seed)
    if not quiet:
        for note in made.notes:
            tell(f"note: {note}")
    wrote([made.save(output, overwrite=overwrite)], quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(adapt)

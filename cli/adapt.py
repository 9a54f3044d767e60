"""`hsikit adapt`: a model of one sensor, made anew for another, or for any."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, tell, wrote


def adapt(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    to: Annotated[str, typer.Option(help="A sensor of `hsikit sensors`, a CSV file of bands, a scene of the other sensor, or any.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Refits a model for another sensor on the labelled spectra that it keeps, seen through that sensor's responses.

    For --to any, small networks learn from these spectra through instruments drawn by chance; the new model reads scenes of any sensor by
    them and by marginal LDA.
    """
    from hsikit.models import check_target
    from hsikit.transfer import adapt as adapted

    check_target(output, overwrite=overwrite)
    with Bar(quiet) as bar:
        made = adapted(model, to, seed=seed, progress=bar)
    if not quiet:
        for note in made.notes:
            tell(f"note: {note}")
    wrote([made.save(output, overwrite=overwrite)], quiet)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(adapt)

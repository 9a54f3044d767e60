"""`hsikit indices`: spectral indices of a scene, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import Bar, say, tell, wrote
from .options import SceneArgs, grouped, parameters


@grouped
def indices(
    scene_args: SceneArgs,
    scene: Annotated[str | None, typer.Argument(help="A scene.", show_default=False)] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Indices such as NDVI, or formulas such as '(b842 - b665) / (b842 + b665)'.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="One band for each index: .tif, .zarr, .hdr or .nc.", show_default=False)] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the catalogue; with a scene, what its bands can give.")] = False,
    domain: Annotated[str | None, typer.Option(help="With --list: vegetation, water, burn, snow, soil, urban, clouds, ...", show_default=False)] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="Constant of a formula, such as L=0.5; repeated.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Spectral indices of a scene by their names in the public catalogue, or by formulas of your own."""
    from hsikit.api import source_of
    from hsikit.convert.indices import index_source, write_indices
    from hsikit.errors import OptionError

    if list_:
        _list(domain, scene, scene_args)
        return
    if scene is None or output is None:
        raise OptionError("indices", "a scene, indices and an output are needed", "Write hsikit indices SCENE NDVI -o OUT.tif, or --list")
    source = source_of(scene, **scene_args.options())
    made = index_source(source, names or [], parameters(param))
    if not quiet:
        for notice in made.info.notices:
            tell(f"note: {notice}")
        for index in made.indices:
            say(index.describe())
    with Bar(quiet) as bar:
        files = write_indices(made, output, overwrite=overwrite, progress=bar)
    source.close()
    wrote(files, quiet)


def _list(domain: str | None, scene: str | None, scene_args: SceneArgs) -> None:
    """The catalogue, one line for each index; with a scene those that its bands can give."""
    from hsikit.api import source_of
    from hsikit.convert.indices import resolve
    from hsikit.errors import OptionError, WavelengthError
    from hsikit.spectral.indices import list_indices

    entries = [entry for entry in list_indices() if domain in (None, entry.domain)]
    if not entries:
        known = ", ".join(sorted({entry.domain for entry in list_indices()}))
        raise OptionError("domain", f"{domain!r} is not known", f"Known are {known}")
    source = source_of(scene, **scene_args.options(), inspect=False) if scene is not None else None
    width, shown = max(len(entry.name) for entry in entries), 0
    for entry in entries:
        if source is not None:
            try:
                resolve(entry.name, source.info)
            except (OptionError, WavelengthError):
                continue
        shown += 1
        say(f"{entry.name:<{width}}  {entry.domain:<10}  {entry.formula}  ({entry.long_name}; {entry.reference})")
    tell(f"{shown} of {len(entries)} indices" + ("" if source is None else f" can be had from {scene}"))
    if source is not None:
        source.close()


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(indices)

"""`hsikit library`: spectral libraries and field spectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say, tell, wrote

if TYPE_CHECKING:
    from hsikit.library import Library

SHOWN = 20
"""Names that are listed, at most, unless all are asked for."""


def library(
    path: Annotated[Path, typer.Argument(help="ENVI (.sli), ECOSTRESS or USGS text, .csv, .mat, .asd, .sig, .sed; or a folder of such files.")],
    search: Annotated[str | None, typer.Option(help="Words that names or metadata must hold.", show_default=False)] = None,
    regex: Annotated[bool, typer.Option("--regex", help="--search is a regular expression.")] = False,
    splice: Annotated[bool, typer.Option("--splice", help="Take out jumps between the detectors of field spectrometers.")] = False,
    border: Annotated[list[float] | None, typer.Option(help="With --splice: last wavelength (nm) of a detector; repeated.", show_default=False)] = None,
    to: Annotated[str | None, typer.Option(help="Resample to a sensor of `hsikit sensors`, or a CSV file of bands.", show_default=False)] = None,
    scene: Annotated[Path | None, typer.Option(help="List the pixels of this scene that spectra were taken in.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Save what is left: .sli or .csv.", show_default=False)] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the spectra (.png, .pdf, .svg).", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="List all names.")] = False,
    scale: Annotated[float | None, typer.Option(help="Factor to physical values, such as 0.01 for percent.", show_default=False)] = None,
    quantity: Annotated[str | None, typer.Option(help="What the values are, where they are no reflectance.", show_default=False)] = None,
    wavelengths: Annotated[Path | None, typer.Option(help="CSV file of channels, where the file has none.", show_default=False)] = None,
    sensor: Annotated[str | None, typer.Option(help="Sensor whose channels the file lacks.", show_default=False)] = None,
    variable: Annotated[str | None, typer.Option(help="Which matrix of a .mat file.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
) -> None:
    """Looks into a spectral library or a folder of field spectra; searches, resamples, saves and plots it."""
    from hsikit.errors import OptionError
    from hsikit.sensors.libraries import open_library

    if regex and search is None:
        raise OptionError("--regex", "there is no --search that it could be of", "Give --search too")
    if border and not splice:
        raise OptionError("--border", "it is used by --splice alone", "Give --splice too")
    found = open_library(path, scale=scale, quantity=quantity, wavelengths=wavelengths, sensor=sensor, variable=variable)
    for notice in found.notices:
        tell(f"note: {notice}")
    if search is not None:
        found = found.search(search, regex=regex)
        if not len(found):
            _nothing(path, search, needed=output or plot or scene)
    found = found.splice_corrected(border or None) if splice else found
    if to is not None and len(found):
        known, found = len(found.notices), found.resample_to(to)
        for notice in found.notices[known:]:
            tell(f"note: {notice}")
    _show(found, everything)
    if scene is not None:
        _pixels(found, scene)
    if output is not None:
        wrote(found.save(output, overwrite=overwrite))
    if plot is not None:
        from hsikit.convert.pictures import save_plot

        wrote(save_plot(found.plot, plot, overwrite=overwrite))


def _nothing(path: Path, search: str, needed: object) -> None:
    """Says that nothing was found; refuses what needs something."""
    from hsikit.errors import OptionError

    wrong = f"no spectrum of {path} has {search!r} in its name or metadata"
    if needed:
        raise OptionError("--search", wrong, f"Try other words; `hsikit library {path} --all` lists the names")
    tell(f"note: {wrong}")


def _show(found: Library, everything: bool) -> None:
    """How many spectra of what, and their names."""
    low, high = found.wavelength[[0, -1]]
    say(f"{len(found)} spectra, {found.quantity}, {len(found.wavelength)} channels from {low:g} to {high:g} nm")
    if found.metadata:
        say(f"metadata: {', '.join(found.metadata)}")
    shown = len(found) if everything else SHOWN
    for name in found.names[:shown]:
        say(f"  {name}")
    if len(found) > shown:
        say(f"  and {len(found) - shown} more (--all lists them)")


def _pixels(found: Library, scene: Path) -> None:
    """Where in a scene the spectra were taken."""
    from hsikit.convert.matching import match
    from hsikit.errors import WavelengthError
    from hsikit.sensors import open_source

    try:
        source = open_source(scene, inspect=False)
    except WavelengthError as error:
        # --sensor and --wavelengths are the library's here
        advice = f"Write the scene with them: `hsikit convert {scene} --wavelengths FILE.csv -o NEW.tif` (or --sensor NAME), and give --scene NEW.tif"
        raise WavelengthError(str(scene), error.wrong, advice) from None
    try:
        matched = match(found, source)
    finally:
        source.close()
    for spectrum, row, col in zip(matched.spectra, matched.rows, matched.cols, strict=True):
        say(f"row {row}, column {col}: {found.names[spectrum]}")
    tell(f"{len(matched)} spectra lie in the scene, {matched.outside} outside; {matched.unplaced} have no position")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(library)

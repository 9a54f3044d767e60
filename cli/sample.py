"""`hsikit sample`: reference points drawn from a class map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import say, tell, wrote

if TYPE_CHECKING:
    from hsikit.assess.sample import Sample


def sample(
    class_map: Annotated[Path, typer.Argument(help="A class map: one band of codes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="GeoPackage of points.")],
    per_class: Annotated[int | None, typer.Option(help="Points of each class.", show_default=False)] = None,
    total: Annotated[int | None, typer.Option(help="Points in all, shared in proportion to the classes' pixels.", show_default=False)] = None,
    standard_error: Annotated[float | None, typer.Option(help="Wanted of the overall accuracy, such as 0.01; gives the total.", show_default=False)] = None,
    expected_accuracy: Annotated[list[str] | None, typer.Option(help="Expected, such as 0.85; or by class, forest=0.9, repeated.", show_default=False)] = None,
    minimum: Annotated[int, typer.Option(help="The fewest points of a class, where they are shared.")] = 50,
    simple: Annotated[bool, typer.Option("--simple/--stratified", help="A simple random sample, whatever the class; or stratified by class.")] = False,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    blind: Annotated[bool, typer.Option("--blind", help="Leave the map's class out of the points.")] = False,
    outside: Annotated[list[int] | None, typer.Option(help="Code that is no class; repeated. 0, 254, 255 and nodata are none.", show_default=False)] = None,
    inside: Annotated[list[int] | None, typer.Option(help="Code of 0, 254 and 255 that is a class in this map.", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was drawn, as JSON.")] = False,
) -> None:
    """Draws reference points from a class map, for an interpreter to say what is true there."""
    from hsikit.assess.sample import sample_map

    drawn = sample_map(
        class_map, output, per_class=per_class, total=total, standard_error=standard_error, expected_accuracy=_expected(expected_accuracy or []),
        minimum=minimum, simple=simple, seed=seed, blind=blind, outside=outside or (), inside=inside or (), overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        say(json.dumps(drawn.to_json(), indent=2))
        return
    _show(drawn)
    wrote([drawn.path])


def _expected(words: list[str]) -> float | dict[str | int, float] | None:
    """One accuracy for all, or one by class."""
    from hsikit.errors import OptionError

    found: dict[str | int, float] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise OptionError("--expected-accuracy", f"'{word}' is neither an accuracy nor class=accuracy", "Give e.g. 0.85, or forest=0.9") from None
    if "" in found and len(words) > 1:
        raise OptionError("--expected-accuracy", "one for all and others by class", "Give one, or one for each class")
    return found.get("", found or None)


def _show(drawn: Sample) -> None:
    """Strata with their pixels and points, what lies outside the population, and notes."""
    width = max(len(stratum.name) for stratum in drawn.strata)
    for stratum in drawn.strata:
        say(f"{stratum.name:<{width}}  {stratum.pixels:>12} pixels  {stratum.points:>6} points")
    say(f"{'in all':<{width}}  {sum(stratum.pixels for stratum in drawn.strata):>12} pixels  {drawn.points:>6} points")
    if drawn.outside:
        codes = ", ".join(f"{pixels} of code {code}" for code, pixels in drawn.outside.items())
        say(f"outside the population: {sum(drawn.outside.values())} pixels ({codes})")
    for note in drawn.notes:
        tell(f"note: {note}")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(sample)

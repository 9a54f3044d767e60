"""`hsikit sensors`: instruments whose bands are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .console import say

if TYPE_CHECKING:
    from hsikit.sensors import SensorEntry


def sensors() -> None:
    """Instruments whose bands are at hand, for files that lack theirs and for `hsikit resample`."""
    from hsikit.sensors import list_sensors

    for line in table(list_sensors()):
        say(line)


def table(entries: list[SensorEntry]) -> list[str]:
    """A line for each sensor: name, bands, range, responses, what it is."""
    width = max(len(entry.name) for entry in entries)
    return [
        f"{entry.name:<{width}}  {entry.bands:>3} bands, {entry.range[0]:>4.0f} to {entry.range[1]:>4.0f} nm, "
        f"{'measured' if entry.measured else 'Gaussian'} responses  {entry.description}"
        for entry in entries
    ]


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(sensors)

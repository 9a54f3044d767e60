"""`hsikit sensors`: instruments whose band centres are at hand."""

from __future__ import annotations

import typer

from .console import say


def sensors() -> None:
    """Instruments whose band centres are at hand, for files that lack theirs."""
    from hsikit.sensors import list_sensors

    entries = list_sensors()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        say(f"{entry.name:<{width}}  {entry.bands:>3} bands, {entry.range[0]:.0f} to {entry.range[1]:.0f} nm  {entry.description}")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(sensors)

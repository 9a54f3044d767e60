"""`hsikit methods`: what can be done, by task."""

from __future__ import annotations

import typer

from .console import say


def methods() -> None:
    """Every method by task: what it does, what it needs, its paper."""
    from hsikit.registry import list_methods

    entries = list_methods()
    width = max(len(entry.name) for entry in entries)
    for task in dict.fromkeys(entry.task for entry in entries):
        say(f"{task}")
        for entry in (entry for entry in entries if entry.task == task):
            more = "; ".join(part for part in (f"needs {entry.needs}" if entry.needs else "", entry.paper) if part)
            say(f"  {entry.name:<{width}}  {entry.line} ({more})" if more else f"  {entry.name:<{width}}  {entry.line}")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(methods)

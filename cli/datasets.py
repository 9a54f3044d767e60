"""`hsikit datasets`: public datasets, and whether a copy of one is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import say


def datasets(
    name: Annotated[str | None, typer.Argument(help="A dataset; all of them are listed without.", show_default=False)] = None,
    folder: Annotated[Path | None, typer.Argument(help="Your copy, to be checked.", show_default=False)] = None,
) -> None:
    """Public datasets: what they are, where to get them, and whether your copy is whole."""
    from hsikit.cards import list_cards, load_card, verify

    if name is None:
        cards = list_cards()
        width = max(len(card.name) for card in cards)
        for card in cards:
            rows, cols, bands = card.shape
            say(f"{card.name:<{width}}  {rows} x {cols}, {bands} bands, {len(card.classes) or len(card.endmembers)} classes  {card.title}")
        return
    card = load_card(name)
    if folder is None:
        for line in _lines(card):
            say(line)
        return
    checks = verify(card, folder)
    for check in checks:
        say(f"{check.status:<7}  {check.file}: {check.message}")
    if any(check.status != "ok" for check in checks):
        raise typer.Exit(2)


def _lines(card: object) -> list[str]:
    from hsikit.cards import Card, crosswalk_of

    assert isinstance(card, Card)
    rows, cols, bands = card.shape
    classes = ", ".join(f"{code} {name} ({pixels})" for code, (name, pixels) in card.classes.items())
    facts = {
        "what": card.about, "sensor": card.instrument, "size": f"{rows} x {cols} pixels, {bands} bands, {card.range_nm[0]:g} to {card.range_nm[1]:g} nm",
        "quantity": card.quantity, "classes": classes or ", ".join(card.endmembers), "homepage": card.homepage, "licence": card.licence,
        "cite": card.citation, "bands": f"--sensor {card.sensor}" if card.sensor else "",
        "names": f"--crosswalk {crosswalk_of(card)}" if card.crosswalk else "", "split": ": ".join(part for part in card.split if part),
    }  # fmt: skip
    files = [f"file        {file.name} ({file.role})" for file in card.files]
    traps = [f"beware      {trap}" for trap in card.traps]
    return [card.title, *(f"{key:<10}  {value}" for key, value in facts.items() if value), *files, *traps]


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(datasets)

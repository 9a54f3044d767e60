"""The machinery of a page: templates in which everything that is put in is escaped, and numbers as people read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.layers import Colour
from hsikit.report import words
from hsikit.report.content import Number

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def environment() -> Environment:
    """Templates of this folder, with the filters that all pages use.

    Class names and file names are data: everything that is put into a page is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters.update(
        percent=percent,
        decimal=decimal,
        significant=significant,
        whole=whole,
        hectares=hectares,
        colour=css,
        file_name=words.file_name,
        readable=readable,
        sentence=words.sentence,
    )
    return pages


def number(value: Number, text: str) -> Markup:
    """A number as people read it, with its full precision for machines."""
    from markupsafe import Markup

    return Markup("–") if value is None else Markup('<data value="{}">{}</data>').format(repr(value), text)


def percent(value: Number, digits: int = 1) -> Markup:
    """A share in percent, without the sign."""
    return number(value, "" if value is None else f"{100 * value:.{digits}f}")


def decimal(value: Number, digits: int = 3) -> Markup:
    """A number to so many digits behind the point."""
    return number(value, "" if value is None else f"{value:.{digits}f}")


def significant(value: Number, digits: int = 4) -> Markup:
    """A number to so many significant digits."""
    return number(value, "" if value is None else f"{value:.{digits}g}")


def whole(value: int | None) -> Markup:
    """A whole number with thousands separated."""
    return number(value, "" if value is None else words.count(value))


def hectares(value: Number) -> Markup:
    """Hectares to three or more significant digits."""
    return number(value, "" if value is None else words.count(value) if abs(value) >= 1000 else f"{value:.1f}")


def css(colour: Colour) -> str:
    """A colour for a style sheet."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def readable(value: Any) -> str:
    """An option's value in a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(readable(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {readable(part)}" for name, part in value.items()) or "none"
    return str(value)

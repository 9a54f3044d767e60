"""Places as a command line gives them: two numbers with a comma between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Number = TypeVar("Number", int, float)


def pairs(texts: Sequence[str], option: str, form: str, kind: type[Number]) -> list[tuple[Number, Number]]:
    """Pairs of numbers.

    Args:
        texts: such as "120,45".
        option: as the user wrote it, for messages.
        form: how the help names it, such as "ROW,COL".
        kind: int or float.

    Raises:
        OptionError: a text that is no such pair.
    """
    return [_pair(text, option, form, kind) for text in texts]


def _pair(text: str, option: str, form: str, kind: type[Number]) -> tuple[Number, Number]:
    from hsikit.errors import OptionError

    try:
        first, second = (kind(part) for part in text.split(","))
    except ValueError:
        raise OptionError(option, f"{text!r} is not {form}", "Write two numbers with a comma between them, such as 120,45") from None
    return first, second

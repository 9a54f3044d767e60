"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["pass", "warn", "skip"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: of the check.
        state: "pass"; "warn" where something looks wrong; "skip" where the check makes no sense or lacks what it needs.
        what: what was seen, in a sentence.
        cure: the option, or what else to do, for a warning; else "".
    """

    name: str
    state: State
    what: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """JSON-able form."""
        return asdict(self)


def passed(name: str, what: str) -> Finding:
    """All is well."""
    return Finding(name, "pass", what)


def warned(name: str, what: str, cure: str) -> Finding:
    """Something looks wrong."""
    return Finding(name, "warn", what, cure)


def skipped(name: str, why: str) -> Finding:
    """The check says nothing here."""
    return Finding(name, "skip", why)

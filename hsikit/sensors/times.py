"""Times of acquisition in the spellings of files, as ISO 8601 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime


def utc_text(text: str) -> str:
    """A time as ISO 8601 in UTC ("2022-08-27T06:07:53Z"); without a zone it counts as UTC. "" where it is none."""
    spelled = re.sub(r"(\.\d{6})\d+", r"\1", text.strip())
    try:
        when = datetime.fromisoformat(spelled)
    except ValueError:
        return ""
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return aware.isoformat(timespec="auto" if aware.microsecond % 1000 else "milliseconds" if aware.microsecond else "seconds").replace("+00:00", "Z")

"""One guard for damage in files: whatever another library raises on them becomes a `SceneError` that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsikit.errors import HsikitError, SceneError


@contextmanager
def damage_named(path: str | Path, what: str, advice: str = "Fetch the file again") -> Iterator[None]:
    """Lets no other error out of the block than those of hsikit.

    Parsers of binary formats meet damage with errors of many classes; which of them depends on the byte that is wrong.

    Args:
        path: the file, for the message.
        what: what it should be ("an EMIT product").
        advice: what to do.

    Raises:
        SceneError: in place of whatever was raised.
    """
    try:
        yield
    except HsikitError:
        raise
    except Exception as error:
        raise SceneError(path, f"cannot be read as {what}; it is incomplete or damaged ({type(error).__name__}: {_short(error)})", advice) from None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:157]}..."

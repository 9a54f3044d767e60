"""Files that are read at any place, whatever holds their bytes: what those of servers and of archives share."""

from __future__ import annotations

import io
import os


class RawFile(io.RawIOBase):
    """A file of known size to read and seek in, for one thread at a time; a subclass fills buffers (`readinto`) from `_at` on, and moves it.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self._at = size, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Sets where the next read begins."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence])
        return self._at

"""Addresses of files that lie on S3 or an HTTP server, as paths: `s3://bucket/key`, `https://host/file`.

A `RemotePath` does what readers ask of a path (name, neighbours, size, an open file), so that a reader of a product finds the parts of
one on S3 as it does on a disk. Its text is the address without its query: a signature in there opens the file to whoever reads a log.
"""

from __future__ import annotations

import fnmatch
import io
import os
import re
import stat as modes
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PosixPath
from typing import IO, Any
from urllib.parse import parse_qsl

from hsikit.errors import SceneError

SCHEMES = ("s3", "http", "https")
SIGNATURES = ("x-amz-signature", "x-goog-signature", "signature", "sig")
"""Parameters of a query that prove a right to read, in lower case: of S3, Google, CloudFront, Azure."""
_ADDRESS = re.compile(r"(s3|https?):/+(.*)", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_queries: dict[str, str] = {}
"""Signed queries by address, as last given."""


class RemotePath(PosixPath):
    """A file or folder on S3 or an HTTP server; made by `place_of`. Servers of HTTP list no folders: none of their files has neighbours to be listed."""

    _folder: bool | None = None
    """Whether it is a folder, where a list of its neighbours has told."""

    def __str__(self) -> str:
        scheme, found, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}" if found else scheme

    @property
    def on_s3(self) -> bool:
        """Whether it lies on S3."""
        return str(self).startswith("s3:")

    @property
    def bucket(self) -> str:
        """The bucket; for HTTP the host."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """What comes behind bucket or host."""
        return "/".join(self.parts[2:])

    @property
    def address(self) -> str:
        """Where it is fetched from, with the signature that was given: never to be shown."""
        query = _queries.get(str(self))
        return f"{self}?{query}" if query else str(self)

    def absolute(self) -> RemotePath:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """Itself: no links are followed."""
        return self

    def state(self) -> tuple[int, str]:
        """Bytes, and what tells a change of the contents: the server's ETag, or its time of the last change.

        Raises:
            SceneError: there is no such file, or it cannot be reached.
        """
        from hsikit.geo.remote_files import facts_of

        facts = facts_of(self)
        return facts.size, facts.tag

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size and kind; of a folder the kind alone.

        Raises:
            FileNotFoundError: there is nothing of that name.
        """
        from hsikit.geo.remote_files import facts_if

        facts = facts_if(self)
        if facts is None and not self.is_dir():
            raise FileNotFoundError(2, "does not exist", str(self))
        size, mode = (0, modes.S_IFDIR) if facts is None else (facts.size, modes.S_IFREG)
        return os.stat_result((mode | 0o444, 0, 0, 1, 0, 0, size, 0, 0, 0), {"st_mtime_ns": 0})

    def is_file(self) -> bool:
        """Whether there is a file of that name which may be read."""
        from hsikit.geo.remote_files import facts_if

        return not self._folder if self._folder is not None else bool(self.key) and facts_if(self) is not None

    def is_dir(self) -> bool:
        """Whether files lie below that name; on HTTP, whether it ends in `.zarr`."""
        from hsikit.geo.remote_files import listed

        if self._folder is not None:
            return self._folder
        return bool(listed(self, most=1)) if self.on_s3 else self.suffix == ".zarr"

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is a file or folder of that name."""
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        """False: a server has none."""
        return False

    def iterdir(self) -> Iterator[RemotePath]:  # type: ignore[override]  # a generator from Python 3.13 on
        """What lies in a folder on S3; nothing on HTTP, nor where a bucket may not be listed."""
        from hsikit.geo.remote_files import listed

        for name, folder in (listed(self) if self.on_s3 else {}).items():
            child = self / name
            child._folder = folder
            yield child

    def glob(self, pattern: str, *_: Any, **__: Any) -> Iterator[RemotePath]:  # type: ignore[override]  # a generator before Python 3.13
        """What lies in a folder under names of a pattern without folders.

        Raises:
            ValueError: the pattern names folders.
        """
        if "/" in pattern or "**" in pattern:
            raise ValueError(f"{pattern} looks into folders, of which a server has none")
        return (child for child in self.iterdir() if fnmatch.fnmatchcase(child.name, pattern))

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> IO[Any]:  # type: ignore[override]
        """The file for reading, by ranges.

        Raises:
            SceneError: there is no such file, or it cannot be reached.
            ValueError: it is to be written.
        """
        from hsikit.geo.remote_files import RangeFile

        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"{self} can only be read")
        file = io.BufferedReader(RangeFile(self), 1)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding=encoding or "utf-8", errors=errors, newline=newline)


def place_of(path: str | Path) -> Path:
    """A path, remote or on a disk; a `Path` that was made of an address, and has lost a slash by that, is understood.

    Raises:
        SceneError: an address that has no bucket or host, leads upwards, or carries a password or a query that is no signature.
    """
    match = _ADDRESS.fullmatch(str(path))
    if isinstance(path, RemotePath) or match is None:
        return path if isinstance(path, Path) else Path(path)
    scheme, rest = match[1].lower(), match[2]
    query = ""
    if scheme != "s3":
        rest, _, query = rest.partition("?")
    shown = f"{scheme}://{rest}"
    _refuse_unsafe(scheme, rest, "//" in rest, shown)
    found = RemotePath(f"{scheme}:/{rest}")
    if query:
        _refuse_unsigned(query, shown)
        _queries[str(found)] = query
    return found


def href_from(folder: Path, path: Path) -> str:
    """How a page or document in a folder of this machine names a file: relative; a remote one by its address."""
    return str(path) if isinstance(path, RemotePath) else Path(os.path.relpath(path, folder)).as_posix()


def without_query(text: str) -> str:
    """An address as it may be shown and kept; other texts as they are."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return text
    rest = match[2] if match[1].lower() == "s3" else match[2].partition("?")[0]
    host, slash, key = rest.partition("/")
    return f"{match[1].lower()}://{host.rpartition('@')[2]}{slash}{key}"


def set_aside(text: str) -> str:
    """An address without its signature, which this process keeps for reading; other texts as they are.

    Raises:
        SceneError: see `place_of`.
    """
    found = place_of(text)
    return str(found) if isinstance(found, RemotePath) else text


def signatures_of(texts: Iterable[str]) -> dict[str, str]:
    """The signed queries of these addresses, for another process that is to read them: never to be shown or written."""
    return {text: _queries[text] for text in texts if text in _queries}


def take_signatures(signatures: Mapping[str, str]) -> None:
    """Keeps what `signatures_of` gave in another process."""
    _queries.update(signatures)


def _refuse_unsafe(scheme: str, rest: str, doubled: bool, shown: str) -> None:
    host, _, key = rest.partition("/")
    if "@" in host:
        raise SceneError(without_query(shown), "carries a name or password", "Give credentials by the environment, not in an address")
    if not host or (scheme == "s3" and not _BUCKET.fullmatch(host)):
        raise SceneError(shown, f"has no {'bucket' if scheme == 's3' else 'host'}", f"Write {scheme}://{'bucket/key' if scheme == 's3' else 'host/file'}")
    if doubled or any(part in (".", "..") for part in key.split("/")) or any(ord(sign) < 32 for sign in key) or "\\" in key or (scheme != "s3" and "#" in key):
        raise SceneError(shown, "has a name that cannot be told from others: no '//', '.', '..', backslash, '#' or control sign", "Give the file another name")


def _refuse_unsigned(query: str, shown: str) -> None:
    names = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    if not names.intersection(SIGNATURES) or "versionid" in names:
        raise SceneError(shown, "has a query that is no signature, by which one address would stand for several files", "Download the file first")

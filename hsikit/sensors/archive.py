"""The files of a product as its agency delivers them: a folder, an archive, or one file among its neighbours.

An archive is never unpacked: texts are read out of it in memory, rasters through GDAL's virtual file systems. It is checked
before anything in it is read: names that lead outside, links, encryption, and declared sizes that no product has are refused.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from hsikit.errors import SceneError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_FILES = 10_000
MOST_TEXT = 64 << 20
"""Bytes of one text file (metadata); the largest known, of EnMAP, takes 4 MiB."""
MOST_RATIO = 1000.0
"""Unpacked to packed size of one file: deflate cannot do more than 1032, and rasters of one value come near."""
MOST_BYTES = 1 << 40
DEPTH = 6


class Delivery:
    """Names and contents of a product's files.

    Args:
        path: a folder, a `.zip` or `.tar` archive, or one file of a product whose other files lie beside it.

    Raises:
        SceneError: an archive that is damaged or must not be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind = "folder" if path.is_dir() else _archive_kind(path) or "file"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Files by their path within the delivery, with forward slashes, sorted."""
        if self.kind == "zip":
            return _zip_names(self.path)
        if self.kind == "tar":
            return _tar_names(self.path)
        if self.kind == "file":
            return tuple(sorted(entry.name for entry in self.root.iterdir() if entry.is_file()))
        return tuple(sorted(_folder_names(self.root)))

    @property
    def root(self) -> Path:
        """The folder, or the archive."""
        return self.path.parent if self.kind == "file" else self.path

    def all(self, pattern: str) -> list[str]:
        """Files whose last part of the name matches a regular expression entirely, case ignored."""
        found = re.compile(pattern, re.IGNORECASE)
        return [name for name in self.names if found.fullmatch(PurePosixPath(name).name)]

    def find(self, pattern: str) -> str | None:
        """The first such file, or None."""
        return next(iter(self.all(pattern)), None)

    def need(self, pattern: str, what: str) -> str:
        """The first such file.

        Raises:
            SceneError: there is none.
        """
        found = self.find(pattern)
        if found is None:
            raise SceneError(self.path, f"lacks {what} (a file like {pattern})", "Fetch the whole product again, or unpack it completely")
        return found

    def read(self, name: str, most: int = MOST_TEXT) -> bytes:
        """The bytes of a small file.

        Raises:
            SceneError: it cannot be read, or is larger than `most` bytes.
        """
        try:
            if self.kind == "zip":
                with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                    data = file.read(most + 1)
            elif self.kind == "tar":
                with tarfile.open(self.path, "r:") as tar:
                    member = tar.extractfile(name)
                    data = b"" if member is None else member.read(most + 1)
            else:
                with (self.root / name).open("rb") as file:
                    data = file.read(most + 1)
        except (OSError, KeyError, EOFError, RuntimeError, NotImplementedError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SceneError(self.path, f"{name} in it cannot be read ({type(error).__name__})", "Fetch the product again") from None
        except Exception as error:  # zlib, lzma and bz2 have errors of their own
            raise SceneError(self.path, f"{name} in it is damaged ({type(error).__name__})", "Fetch the product again") from None
        if len(data) > most:
            raise SceneError(self.path, f"{name} in it is larger than {most >> 20} MiB, which no metadata is", "Check where the file comes from")
        return data

    def text(self, name: str) -> str:
        """A small text file; bytes that are no UTF-8 are replaced."""
        return self.read(name).decode("utf-8", errors="replace")

    def xml(self, name: str) -> Element:
        """The root of an XML file; document types and entities are refused.

        Raises:
            SceneError: it is no XML, or is unsafe.
        """
        return parse_xml(self.read(name), f"{self.path}: {name}" if self.kind != "file" else str(self.root / name))

    def gdal(self, name: str) -> str:
        """What GDAL calls a file of the delivery."""
        if self.kind in ("zip", "tar"):
            return f"/vsi{self.kind}/{{{self.path.absolute()}}}/{name}"
        return str(self.root / name)

    def files(self, names: Sequence[str]) -> tuple[Path, ...]:
        """What tells whether these files are still the same: the archive, or each of them."""
        return (self.path,) if self.kind in ("zip", "tar") else tuple(self.root / name for name in names)


def parse_xml(data: bytes, name: str) -> Element:
    """The root of an XML text.

    Raises:
        SceneError: it is no XML, or holds a document type or entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Any = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise SceneError(name, "declares XML entities or a document type, which are never expanded", "Check where the file comes from") from None
    except (ParseError, ValueError, LookupError) as error:
        raise SceneError(name, f"is no valid XML ({error})", "Fetch the product again") from None
    return root  # type: ignore[no-any-return]


def _archive_kind(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar" or path.suffix.lower() == ".tar":
        return "tar"
    if head.startswith(b"\x1f\x8b") and path.name.lower().endswith((".tar.gz", ".tgz")):
        raise SceneError(path, "is a compressed tar, which cannot be read by windows", "Unpack it, and open its folder")
    return None


def _folder_names(root: Path) -> list[str]:
    found: list[str] = []
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                if depth < DEPTH and not entry.is_symlink():
                    pending.append((entry, depth + 1))
            else:
                found.append(entry.relative_to(root).as_posix())
            if len(found) >= MOST_FILES:  # no product has so many; a folder of tiles may
                return found
    return found


def _zip_names(path: Path) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, UnicodeDecodeError):
        raise SceneError(path, "is no zip archive, or it is truncated or damaged", "Fetch it again") from None
    _check_number(path, len(entries))
    for entry in entries:
        _check_name(path, entry.filename)
        if entry.flag_bits & 1:
            raise SceneError(path, f"{entry.filename} in it is encrypted", "Unpack it first")
        if entry.external_attr >> 16 & 0o170000 == 0o120000:
            raise SceneError(path, f"{entry.filename} in it is a link, which is not followed", "Check where the archive comes from")
        if entry.file_size > MOST_RATIO * max(1, entry.compress_size) + (1 << 20):
            raise SceneError(path, f"{entry.filename} in it unpacks to {entry.file_size / 1e6:.0f} MB from {entry.compress_size} bytes: a decompression bomb",
                             "Check where the archive comes from")  # fmt: skip
    _check_size(path, sum(entry.file_size for entry in entries))
    return tuple(sorted(entry.filename for entry in entries if not entry.is_dir()))


def _tar_names(path: Path) -> tuple[str, ...]:
    names, total = [], 0
    try:
        with tarfile.open(path, "r:") as archive:
            for number, member in enumerate(archive):
                _check_number(path, number + 1)
                _check_name(path, member.name)
                if member.issym() or member.islnk() or member.isdev():
                    raise SceneError(path, f"{member.name} in it is a link or a device, which is not followed", "Check where the archive comes from")
                if member.isfile():
                    names.append(member.name)
                    total += member.size
    except (tarfile.TarError, OSError, ValueError, EOFError, UnicodeDecodeError):
        raise SceneError(path, "is no tar archive, or it is truncated or damaged", "Fetch it again") from None
    _check_size(path, total)
    return tuple(sorted(names))


def _check_number(path: Path, number: int) -> None:
    if number > MOST_FILES:
        raise SceneError(path, f"holds more than {MOST_FILES} files, which no product does", "Check where the archive comes from")


def _check_size(path: Path, total: int) -> None:
    if total > MOST_BYTES:
        raise SceneError(path, f"declares {total / 1e12:.1f} TB of contents, which no product has", "Check where the archive comes from")


def _check_name(path: Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if not name or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name or "}" in name:
        raise SceneError(path, f"a name in it leads outside the archive ({name!r})", "Check where the archive comes from")

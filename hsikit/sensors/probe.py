"""What a path is, looked at once, before a reader of products is asked: container, names, and the root of an HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hsikit.errors import SceneError
from hsikit.geo.remote import RemotePath
from hsikit.sensors.archive import Delivery

HDF5 = b"\x89HDF\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_ATTRIBUTES = 4096


def read_head(path: Path, count: int) -> bytes:
    """The first bytes of a file.

    Raises:
        SceneError: it does not exist, cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(count)
    except FileNotFoundError:
        raise SceneError(path, "does not exist", "Check the path") from None
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    if not head:
        raise SceneError(path, "is empty", "Fetch the file again")
    return head


def holds_hdf5(head: bytes) -> bool:
    """Whether a file that begins with these bytes (520 or more) is HDF5, be it behind the 512 bytes of MATLAB's header."""
    return head.startswith(HDF5) or head[512:520] == HDF5


@dataclass(frozen=True)
class Hdf5Root:
    """The root of an HDF5 file.

    Attributes:
        attrs: its attributes; text as `str`, other values as h5py gives them.
        keys: names of its groups and arrays, and "group/name" of what lies one and two levels below.
    """

    attrs: Mapping[str, Any] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        """A text attribute, "" where there is none."""
        value = self.attrs.get(name, "")
        return value if isinstance(value, str) else ""


class Probe:
    """A path, and what it holds.

    Args:
        path: a file or a folder.
        head: the first bytes of a file, empty for a folder.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self.path, self.head = path, head

    @cached_property
    def container(self) -> str:
        """One of "hdf5", "tiff", "envi", "xml", "json", "text", "zip", "tar", "folder", "other"."""
        if self.path.is_dir():
            return "folder"
        if holds_hdf5(self.head):
            return "hdf5"
        kinds: dict[str, tuple[bytes, ...]] = {"tiff": TIFF, "zip": (b"PK\x03\x04", b"PK\x05\x06"), "envi": (b"ENVI", b"\xef\xbb\xbfENVI")}
        for kind, marks in kinds.items():
            if self.head.startswith(marks):
                return kind
        start = self.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if start == b"<":
            return "xml"
        if self.head[257:262] == b"ustar" or self.path.suffix.lower() == ".tar":
            return "tar"
        if start == b"{":
            return "json"
        if self.head.startswith(b"GROUP = "):
            return "text"
        from hsikit.sensors.envi import find_header

        return "envi" if find_header(self.path) is not None else "other"

    @cached_property
    def delivery(self) -> Delivery:
        """The product's files: of the folder or archive, or beside the file.

        Raises:
            SceneError: an archive that is damaged, must not be opened, or lies on a server.
        """
        if isinstance(self.path, RemotePath) and self.container in ("zip", "tar"):
            raise SceneError(self.path, "is an archive, which cannot be read from a server", "Download it first, or put its unpacked folder on S3")
        return Delivery(self.path)

    @cached_property
    def hdf5(self) -> Hdf5Root:
        """The root of an HDF5 file; empty for any other container.

        Raises:
            SceneError: the file is damaged.
        """
        return _hdf5_root(self.path) if self.container == "hdf5" else Hdf5Root()

    @cached_property
    def envi_fields(self) -> Mapping[str, str]:
        """The fields of an ENVI header as text, names in lower case; empty for any other container."""
        if self.container != "envi":
            return {}
        from hsikit.sensors.envi import find_header

        header = self.path if self.head.startswith((b"ENVI", b"\xef\xbb\xbfENVI")) else find_header(self.path)
        return _header_fields(header) if header is not None else {}


def _header_fields(header: Path) -> Mapping[str, str]:
    try:
        text = header.read_bytes()[: 8 << 20].decode("utf-8", errors="replace")
    except OSError as error:
        raise SceneError(header, f"cannot be read ({error.strerror})") from None
    found: dict[str, str] = {}
    key, value, depth = "", "", 0
    for line in text.splitlines()[1:]:
        if depth == 0:
            if line.lstrip().startswith(";"):
                continue
            key, equals, value = line.partition("=")
            if not equals:
                continue
        else:
            value += " " + line
        depth = value.count("{") - value.count("}")
        if depth <= 0:
            depth = 0
            found[" ".join(key.lower().split())] = value.strip().strip("{}").strip()
    return found


def _hdf5_root(path: Path) -> Hdf5Root:
    import h5py

    from hsikit.geo.remote_files import openable
    from hsikit.sensors.damage import damage_named
    from hsikit.sensors.hdf5_heaps import refuse_endless_heaps

    refuse_endless_heaps(path)
    with damage_named(path, "an HDF5 file"), h5py.File(openable(path), "r") as file:
        attrs = attributes_of(file)
        keys: set[str] = set()
        _collect(file, "", keys, 3)
    return Hdf5Root(attrs, frozenset(keys))


def _collect(group: Any, prefix: str, keys: set[str], depth: int) -> None:
    import h5py

    for name in group:
        if len(keys) > MOST_ATTRIBUTES:
            return
        keys.add(prefix + name)
        if depth > 1 and group.get(name, getclass=True) is h5py.Group:
            _collect(group[name], f"{prefix}{name}/", keys, depth - 1)


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of a group or array, but for lists of variable length; text as `str`."""
    known = ((name, item.attrs.get_id(name).dtype) for name in list(item.attrs)[:MOST_ATTRIBUTES])
    return {str(name): plain(item.attrs[name]) for name, dtype in known if not holds_lists(dtype)}


def holds_lists(dtype: Any) -> bool:
    """Whether an HDF5 type has lists of variable length, alone or in records: the HDF5 library ends the process on a damaged one. Texts are none."""
    import h5py

    if dtype.subdtype is not None:
        return holds_lists(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(holds_lists(field[0]) for field in dtype.fields.values())
    return dtype.kind == "O" and h5py.check_string_dtype(dtype) is None and h5py.check_ref_dtype(dtype) is None


def plain(value: Any) -> Any:
    """An attribute's value: bytes and arrays of one text become `str`, arrays of one number the number."""
    import numpy as np

    if isinstance(value, bytes | np.bytes_):
        return value.decode("utf-8", errors="replace").rstrip("\0")
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "SOUiuf":
        return plain(value.ravel()[0])
    return value.item() if isinstance(value, np.generic) else value

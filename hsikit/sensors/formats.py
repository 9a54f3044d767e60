"""Which reader opens a file: recognised by content first, then by name.

Readers of other packages are entry points of the group `hsikit.readers`: each names a class with `recognises(path, head) -> bool`
(`head` is the first 1024 bytes, empty for a folder) and `open(path, options) -> Source`. They are asked before ours.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from hsikit.errors import OptionError, SceneError
from hsikit.scene import Handled, Source
from hsikit.sensors.archive import Delivery
from hsikit.sensors.damage import damage_named
from hsikit.sensors.facts import Options, WatchedOptions
from hsikit.sensors.probe import HDF5, Probe, read_head
from hsikit.sensors.products import product_reader
from hsikit.sensors.products.names import named_like
from hsikit.sensors.zipped_hdf5 import hdf5_inside

GROUP = "hsikit.readers"
HEAD_BYTES = 1024


class SceneReader(Protocol):
    """Opens scenes of one format."""

    def open(self, path: Path, options: Options) -> Source:
        """The scene, with its bands in ascending order."""
        ...


@dataclass(frozen=True)
class Format:
    """One line of the table: where the reader is, and what its files look like."""

    target: str
    description: str
    suffixes: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()


FORMATS: dict[str, Format] = {
    "envi": Format("hsikit.sensors.envi:Reader", "ENVI (header and data)", (".hdr",), (b"ENVI", b"\xef\xbb\xbfENVI")),
    "geotiff": Format("hsikit.sensors.geotiff:Reader", "GeoTIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "vrt": Format("hsikit.sensors.geotiff:VrtReader", "GDAL's virtual rasters", (".vrt",), (b"<VRTDataset",)),
    "jpeg2000": Format("hsikit.sensors.geotiff:Jpeg2000Reader", "JPEG 2000", (".jp2",), (b"\0\0\0\x0cjP  \r\n\x87\n",)),
    "matlab": Format("hsikit.sensors.matlab:Reader", "MATLAB v5 and v7.3", (".mat",), (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")),
    "numpy": Format("hsikit.sensors.numpy_file:Reader", "NumPy", (".npy", ".npz"), (b"\x93NUMPY",)),
    "netcdf": Format("hsikit.sensors.netcdf_cf:Reader", "CF NetCDF", (".nc", ".nc4", ".h5", ".hdf5"), (HDF5, b"CDF\x01", b"CDF\x02", b"CDF\x05")),
    "zarr": Format("hsikit.sensors.zarr_store:Reader", "Zarr", (".zarr",)),
    "mosaic": Format("hsikit.sensors.mosaic:Reader", "folder of tiles on one grid"),
}
ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


def reader_for(path: Path) -> SceneReader:
    """The reader of a file or folder.

    Raises:
        SceneError: it does not exist, is empty, or is of no known kind.
    """
    head = b"" if path.is_dir() else read_head(path, HEAD_BYTES)
    foreign = _plugin(path, head)
    if foreign is not None:
        return foreign  # type: ignore[no-any-return]
    return _reader(Probe(path, head))


def _reader(probe: Probe) -> SceneReader:
    found = product_reader(probe)
    if found is not None:
        return GuardedReader(found[1], found[0].description)
    if probe.container == "zip" and hdf5_inside(probe.delivery) is not None:
        return ZippedReader()
    name = _own(probe.path, probe.head)
    return WatchedReader(load_reader(name), FORMATS[name].description)


@dataclass(frozen=True)
class WatchedReader:
    """A reader that refuses choices which have no effect on what it opens."""

    reader: Any
    what: str

    def open(self, path: Path, options: Options) -> Source:
        """See `SceneReader`.

        Raises:
            OptionError: a choice was made that the reader does not look at.
        """
        watched = WatchedOptions.of(options)
        source = self._opened(path, watched)
        try:
            watched.refuse_unused(self.what)
        except OptionError:
            source.close()
            raise
        return source

    def _opened(self, path: Path, options: Options) -> Source:
        source: Source = self.reader.open(path, options)
        return source


class GuardedReader(WatchedReader):
    """A reader of products that lets no other error out than ours, besides."""

    def _opened(self, path: Path, options: Options) -> Source:
        with damage_named(path, self.what):
            return super()._opened(path, options)


class ZippedReader:
    """Opens the one HDF5 file of a zip by the reader that would open the file itself; readers of other packages are not asked, which take paths."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """See `SceneReader`.

        Raises:
            SceneError: there is no such file in it, or several.
        """
        inside = hdf5_inside(Delivery(path))
        if inside is None:
            raise SceneError(path, "holds no HDF5 file", "Check what is in it")
        with nullcontext(inside.keep()):  # one unpacked copy serves all that look into it
            source = _reader(Probe(inside, read_head(inside, HEAD_BYTES))).open(inside, options)
        # Whoever reads the name in a map's provenance can open the archive, not what is in it.
        source.info = source.info.with_(name=str(path), notices=(*source.info.notices, *map(Handled, inside.costs())))
        return source


def refuse_product(path: Path) -> None:
    """Says so where a path that no reader recognises is named like an agency's product.

    Raises:
        SceneError: it is.
    """
    kind = named_like(path)
    if kind is not None and path.is_dir():
        raise SceneError(path, f"is a folder with a file that is named like {kind}", "Give the file itself; or, if that is what it is, the whole product")
    if kind is not None:
        raise SceneError(path, f"is named like {kind}, but does not hold one", "Fetch the whole product again: its metadata belongs beside its images")


def load_reader(name: str) -> SceneReader:
    """A reader of ours by name, imported now."""
    module, _, attribute = FORMATS[name].target.partition(":")
    reader: SceneReader = getattr(import_module(module), attribute)
    return reader


def _own(path: Path, head: bytes) -> str:
    if path.is_dir():
        return "zarr" if path.suffix == ".zarr" or any((path / mark).exists() for mark in ZARR_MARKS) else "mosaic"
    if head.startswith(HDF5) and path.suffix.lower() == ".mat":
        return "matlab"
    for name, form in FORMATS.items():
        if head.startswith(form.magic):
            return name
    suffix = path.suffix.lower()
    named = next((name for name, form in FORMATS.items() if suffix in form.suffixes), None)
    if named is not None:
        return named
    from hsikit.sensors.envi import find_header

    if find_header(path) is not None:
        return "envi"
    refuse_product(path)
    known = ", ".join(form.description for form in FORMATS.values())
    raise SceneError(path, "is of no kind that is known here", f"Known are {known}; an ENVI data file needs its .hdr beside it")


def _plugin(path: Path, head: bytes) -> Any:
    for entry in entry_points(group=GROUP):
        try:
            reader = entry.load()
            if reader.recognises(path, head):
                return reader
        except Exception as error:
            raise SceneError(path, f"the reader {entry.name!r} of another package failed on it ({error})", f"Update or remove {entry.value}") from error
    return None

import errno
from pathlib import Path

import pytest

from hsikit.errors import LabelError, OutputError
from hsikit.writers import raster_paths
from hsikit.writers.failures import writing

PATH = Path("folder/map.tif")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "permission"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission"),
        (SystemError("Unknown GDAL Error. To debug: see"), "GDAL gives no reason"),
        (OSError("something else"), "something else"),
    ],
)
def test_every_failure_is_one_message_that_names_the_file(error: Exception, words: str) -> None:
    with pytest.raises(OutputError, match=rf"^folder/map\.tif: .*{words}"), writing(PATH):
        raise error


def test_the_innermost_reason_is_told() -> None:
    with pytest.raises(OutputError, match="disk is full"), writing(PATH):
        raise OSError("Write failed. See previous exception for details.") from RuntimeError("No space left on device")


def test_numbers_of_gdal_are_not_those_of_the_system() -> None:
    """GDAL numbers its errors on its own: 1 is no EPERM."""

    class CPLEError(Exception):
        errno = errno.EPERM

    CPLEError.__module__ = "rasterio._err"
    with pytest.raises(OutputError, match="could not be written"), writing(PATH):
        raise CPLEError("odd")


def test_our_own_errors_and_bugs_pass_unchanged() -> None:
    with pytest.raises(LabelError), writing(PATH):
        raise LabelError("a", "b")
    with pytest.raises(ZeroDivisionError), writing(PATH):
        raise ZeroDivisionError


@pytest.mark.parametrize(("name", "others"), [("a.tif", []), ("a.zarr", []), ("a.hdr", ["a.img"]), ("a.img", ["a.hdr"]), ("a.dat", ["a.hdr"])])
def test_paths_of_a_raster(name: str, others: list[str]) -> None:
    assert raster_paths(Path(name)) == [Path(name), *map(Path, others)]

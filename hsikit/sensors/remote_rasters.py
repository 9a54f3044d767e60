"""Rasters on S3 and HTTP servers through GDAL's virtual file systems: only the blocks that a window needs are fetched.

GDAL is given botocore's credentials, and its files are opened again when these were renewed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hsikit.errors import SceneError
from hsikit.geo.handles import HandlePool
from hsikit.geo.remote import RemotePath
from hsikit.geo.remote_files import ATTEMPTS, CONNECT_SECONDS, SILENT_SECONDS, WAIT_SECONDS, facts_of, s3_credentials, s3_endpoint, signs_requests

OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # looks for no side-cars: each would cost a request
    "CPL_VSIL_CURL_NON_CACHED": "/vsis3/:/vsicurl",  # what a server has exchanged since is not read from memory
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "NO",
    "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_SECONDS),
    "GDAL_HTTP_LOW_SPEED_TIME": str(SILENT_SECONDS),
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": str(ATTEMPTS - 1),
    "GDAL_HTTP_RETRY_DELAY": str(WAIT_SECONDS),
    "GDAL_INGESTED_BYTES_AT_OPEN": "16384",
    "CPL_VSIL_CURL_CHUNK_SIZE": "2048",  # what is fetched beyond a block on either side
}

_QUERY = re.compile(r"(?<=://)([^\s?]*)\?\S*|(?<=/vsicurl)\?\S*")


def gdal_name(path: str | Path) -> str:
    """What GDAL calls a file; a path on a disk as it is."""
    if not isinstance(path, RemotePath):
        return str(path)
    if path.on_s3:
        return f"/vsis3/{path.bucket}/{path.key}"
    head = "no" if path.address != str(path) else "yes"  # what is signed for reading may not be asked for its head
    return f"/vsicurl?use_head={head}&list_dir=no&empty_dir=yes&url={quote(path.address, safe='')}"


class RasterHandles:
    """Open rasters of one file for several threads, lent one to each.

    Args:
        path: the file.
        open_: opens it; called where GDAL has the credentials.
    """

    def __init__(self, path: str | Path, open_: Callable[[], Any]) -> None:
        self._path, self._open = path, open_
        self._pools: dict[str, HandlePool[Any]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """A dataset for one read.

        Raises:
            SceneError: a remote file cannot be read.
        """
        with gdal_access(self._path) as key:
            with self._lock:
                pool = self._pools.setdefault(key, HandlePool(self._open, _close))
                outdated = [self._pools.pop(other) for other in list(self._pools) if other != key]
            for old in outdated:
                old.close()
            with pool.lend() as dataset:
                yield dataset

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the file again."""
        for pool in list(self._pools.values()):
            pool.close()


def _close(dataset: Any) -> None:
    dataset.close()


@contextmanager
def gdal_access(path: str | Path) -> Iterator[str]:
    """GDAL's settings for a remote file; nothing for one on a disk. Gives what tells the credentials in use from later ones.

    Raises:
        SceneError: a remote file cannot be read. GDAL's own words are not repeated: its names of files hold signatures.
    """
    if not isinstance(path, RemotePath):
        yield ""
        return
    import rasterio

    logging.getLogger("rasterio._env").addFilter(_hide_queries)  # added once, however often
    from rasterio.errors import RasterioError

    secrets = _s3_options() if path.on_s3 else {}
    with ExitStack() as held:
        held.enter_context(rasterio.Env(session=_session(secrets), **OPTIONS))
        try:
            yield secrets.get("AWS_ACCESS_KEY_ID", "")
        except RasterioError:
            facts_of(path)  # says whether it is absent, denied, or out of reach
            raise SceneError(path, "cannot be read as a raster; it is damaged, or its server failed", "Download it, and check that it opens in QGIS") from None


def _hide_queries(record: logging.LogRecord) -> bool:
    """Takes queries out of addresses in what GDAL says: there a signature may stand."""
    record.msg, record.args = _QUERY.sub(r"\1", record.getMessage()), ()
    return True


def _session(options: dict[str, str]) -> Any:
    from rasterio.session import DummySession

    class Given(DummySession):  # type: ignore[misc]  # rasterio has no types
        """Credentials by GDAL's names; rasterio takes them from a session alone."""

        def get_credential_options(self) -> dict[str, str]:
            """See rasterio."""
            return options

    return Given()


def _s3_options() -> dict[str, str]:
    """Credentials, region and endpoint by GDAL's names."""
    options: dict[str, str] = {}
    if signs_requests():
        frozen = s3_credentials().get_frozen_credentials()
        options = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key, "AWS_SESSION_TOKEN": frozen.token or ""}
    else:
        options["AWS_NO_SIGN_REQUEST"] = "YES"
    endpoint = s3_endpoint()
    if endpoint is not None:
        parts = urlsplit(endpoint)
        options |= {
            "AWS_S3_ENDPOINT": parts.netloc + parts.path.rstrip("/"),
            "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
            "AWS_VIRTUAL_HOSTING": "NO",
        }
    return options

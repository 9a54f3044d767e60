"""Files on S3 and HTTP servers: what they are, what lies beside them, and their bytes by ranges.

Credentials are those that botocore finds (environment, profile, process, role), and are renewed by it before they expire.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import hashlib
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hsikit.errors import MissingExtraError, SceneError
from hsikit.geo.raw_file import RawFile

if TYPE_CHECKING:
    from hsikit.geo.remote import RemotePath

CONNECT_SECONDS, SILENT_SECONDS = 10, 60
"""How long a server may take to answer, and to send nothing."""
ATTEMPTS, WAIT_SECONDS = 4, 0.5
BLOCK = 32 << 10
"""Bytes that a small read fetches; larger reads fetch what they ask for."""
BLOCKS_KEPT = 256
TOGETHER = 8
"""Ranges that are fetched at once."""
STORE_METADATA = ("zarr.json", ".zmetadata", ".zgroup", ".zarray")
MOST_LISTED = 10_000
"""Files of one folder; no product has so many."""
_CHANGED = ("PreconditionFailed", "pre-conditions", "(412)")
"""What messages of a changed file hold; the number alone may stand in an address."""
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFacts:
    """What a server says of a file.

    Attributes:
        size: bytes.
        tag: its ETag without quotes; else its time of the last change; "" where it says neither.
        strong: whether `tag` is an ETag that a server compares.
        meta: what was stored with an object on S3, names in lower case.
    """

    size: int
    tag: str
    strong: bool = True
    meta: tuple[tuple[str, str], ...] = ()


class Denied(Exception):
    """A server refuses access."""


class Changed(Exception):
    """A file is no longer what it was when it was opened."""


def s3_endpoint() -> str | None:
    """The address of the S3 server where it is not Amazon's: botocore's name for it, else GDAL's (`AWS_S3_ENDPOINT`, `AWS_HTTPS`)."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    other = os.environ.get("AWS_S3_ENDPOINT", "")
    if named or not other or "://" in other:
        return named or other or None
    return f"{'http' if os.environ.get('AWS_HTTPS', 'YES').upper() in ('NO', 'FALSE', 'OFF') else 'https'}://{other}"


def s3_filesystem() -> Any:
    """The S3 of the environment, as fsspec has it.

    Raises:
        MissingExtraError: s3fs is not installed.
    """
    return _s3(s3_endpoint(), signs_requests(), os.getpid())


@functools.lru_cache(4)
def _s3(endpoint: str | None, signed: bool, process: int) -> Any:
    with _extra():
        from s3fs import S3FileSystem

    return S3FileSystem(**s3_options(endpoint, signed), skip_instance_cache=True)


def s3_options(endpoint: str | None, signed: bool) -> dict[str, Any]:
    """How s3fs is set up."""
    config = {"connect_timeout": CONNECT_SECONDS, "read_timeout": SILENT_SECONDS, "retries": {"max_attempts": ATTEMPTS, "mode": "standard"}}
    return {"anon": not signed, "endpoint_url": endpoint, "config_kwargs": config, "use_listings_cache": False}


def signs_requests() -> bool:
    """Whether there are credentials; public buckets need none."""
    unsigned = os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() in ("YES", "TRUE", "ON", "1")
    return not unsigned and s3_credentials() is not None


def s3_credentials() -> Any:
    """What botocore finds, which renews itself; None where there is nothing.

    Raises:
        MissingExtraError: botocore is not installed.
    """
    names = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    return _credentials(tuple(os.environ.get(name) for name in names))


@functools.lru_cache(4)
def _credentials(told: tuple[str | None, ...]) -> Any:
    with _extra():
        from botocore.session import get_session
    return get_session().get_credentials()


@functools.lru_cache(2)
def _http(process: int) -> Any:
    with _extra():
        from fsspec.implementations.http import HTTPFileSystem

    return HTTPFileSystem(**_http_options(), skip_instance_cache=True)


def _http_options() -> dict[str, Any]:
    with _extra():
        import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}}


@contextmanager
def _extra() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        missing = (error.name or "a package").partition(".")[0]
        raise MissingExtraError("remote files", f"{missing} is not installed", 'Install it: pip install "hsikit[remote]"') from None


def _tells_of_change(error: Exception) -> bool:
    """Whether a server refused to read on in a file that is no longer the one that was begun."""
    return getattr(error, "status", None) == 412 or any(sign in str(error) for sign in _CHANGED)


@contextmanager
def reached(path: RemotePath) -> Iterator[None]:
    """Lets no other error out than those of hsikit; none repeats what a library says, in which a signature may stand.

    Raises:
        SceneError: the file does not exist, may not be read, has changed, or the server does not answer.
    """
    from hsikit.errors import HsikitError

    try:
        yield
    except HsikitError:
        raise
    except FileNotFoundError:
        raise SceneError(path, "does not exist", "Check the address") from None
    except (PermissionError, Denied):
        advice = "Check the credentials of the environment (aws sts get-caller-identity shows them)" if path.on_s3 else "A signed address may have expired"
        raise SceneError(path, "access is denied, or there is no such file", advice) from None
    except Changed:
        raise SceneError(path, "changed while it was read", "Run the command again") from None
    except Exception as error:
        if _tells_of_change(error) or type(error).__name__ == "FileExpired":
            raise SceneError(path, "changed while it was read", "Run the command again") from None
        raise SceneError(
            path, f"cannot be reached ({type(error).__name__} after {ATTEMPTS} attempts)", "Check the address, the endpoint and the network"
        ) from None


def facts_of(path: RemotePath) -> RemoteFacts:
    """What the server says of a file.

    Raises:
        SceneError: there is no such file, it may not be read, or the server gives no ranges.
    """
    with reached(path):
        return _s3_facts(path) if path.on_s3 else _http_facts(path)


def facts_if(path: RemotePath) -> RemoteFacts | None:
    """The same; None where there is no such file, or it may not be read: a bucket that may not be listed says so of absent ones."""
    with reached(path):
        try:
            return _s3_facts(path) if path.on_s3 else _http_facts(path)
        except (FileNotFoundError, PermissionError, Denied):
            return None


def _s3_facts(path: RemotePath) -> RemoteFacts:
    if not path.key:
        raise FileNotFoundError(str(path))
    head = s3_filesystem().call_s3("head_object", Bucket=path.bucket, Key=path.key)
    return RemoteFacts(int(head["ContentLength"]), str(head["ETag"]).strip('"'), True, tuple(sorted((k.lower(), v) for k, v in head["Metadata"].items())))


def listed(folder: RemotePath, most: int = MOST_LISTED) -> dict[str, bool]:
    """Names in a folder on S3, at most so many, and whether each is a folder; none where the bucket may not be listed."""
    prefix = f"{folder.key}/" if folder.key else ""
    names: dict[str, bool] = {}
    with reached(folder):
        try:
            for page in _pages(folder.bucket, Prefix=prefix, Delimiter="/", MaxKeys=min(1000, most + 1)):
                names |= {entry["Prefix"].removeprefix(prefix).rstrip("/"): True for entry in page.get("CommonPrefixes", ())}
                names |= {entry["Key"].removeprefix(prefix): False for entry in page.get("Contents", ()) if entry["Key"] != prefix}
                if len(names) >= most:
                    break
        except (PermissionError, FileNotFoundError):
            return {}
    return {name: kind for name, kind in list(names.items())[:most] if name not in ("", ".", "..")}


def _pages(bucket: str, **asked: Any) -> Iterator[Any]:
    """The pages of a list of objects."""
    files, token = s3_filesystem(), dict[str, str]()
    while True:
        page = files.call_s3("list_objects_v2", Bucket=bucket, **asked, **token)
        yield page
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def objects_below(folder: RemotePath) -> dict[str, tuple[int, str]]:
    """Bytes and ETag of every object below a folder on S3, by its key."""
    with reached(folder):
        entries = [entry for page in _pages(folder.bucket, Prefix=f"{folder.key}/") for entry in page.get("Contents", ())]
    return {entry["Key"]: (int(entry["Size"]), str(entry["ETag"]).strip('"')) for entry in entries}


def folder_state(folder: RemotePath) -> tuple[int, str]:
    """Bytes below a folder, and a checksum over names, sizes and ETags of its files; of a store on HTTP, of its metadata.

    Raises:
        SceneError: it cannot be reached.
    """
    if folder.on_s3:
        found = objects_below(folder)
    else:
        known = ((name, facts_if(folder / name)) for name in STORE_METADATA)
        found = {name: (facts.size, facts.tag) for name, facts in known if facts is not None}
    text = "\n".join(f"{key} {size} {tag}" for key, (size, tag) in sorted(found.items()))
    return sum(size for size, _ in found.values()), hashlib.sha256(text.encode()).hexdigest()


def store_options(path: RemotePath) -> dict[str, Any]:
    """How fsspec is set up for Zarr stores, which ask by a thread of their own; one connection serves all of them to the end."""
    atexit.unregister(_quiet_end)
    atexit.register(_quiet_end)
    return s3_options(s3_endpoint(), signs_requests()) if path.on_s3 else _http_options()


def _quiet_end() -> None:
    """Lets the connections of stores end with the process: aiohttp would say so on stderr."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def _http_facts(path: RemotePath) -> RemoteFacts:
    """By a range of one byte: an address that is signed for reading may not be asked for its head."""
    status, headers, _ = _sync(_http(os.getpid()), lambda: _patiently(lambda: _get(path, {"Range": "bytes=0-0"}, 1)))
    if status == 416:
        return RemoteFacts(0, "")
    total = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
    if status != 206 or total is None:
        raise SceneError(path, "its server sends whole files only, no ranges", "Download the file first")
    tag = headers.get("ETag", "")
    return RemoteFacts(int(total[1]), tag.removeprefix("W/").strip('"') or headers.get("Last-Modified", ""), tag.startswith('"'))


async def _get(path: RemotePath, headers: dict[str, str], most: int) -> tuple[int, Any, bytes]:
    """Status, headers and body of a request; a body that is longer than asked for is not read."""
    files = _http(os.getpid())
    session = await files.set_session()
    async with session.get(files.encode_url(path.address), headers={"Accept-Encoding": "identity", **headers}) as answer:
        if answer.status in (401, 403):
            raise Denied
        if answer.status == 412:
            raise Changed
        if answer.status in (404, 410):
            raise FileNotFoundError(str(path))
        if answer.status != 416:
            answer.raise_for_status()
        wanted = answer.status == 206 and answer.content_length is not None and answer.content_length <= most
        return answer.status, answer.headers.copy(), await answer.read() if wanted else b""


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Asks again after a pause where a server fails or does not answer."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await ask()
        except (FileNotFoundError, PermissionError, Denied, Changed):
            raise
        except Exception as error:
            status = getattr(error, "status", None)
            if _tells_of_change(error) or (status is not None and status < 500 and status != 429):
                raise
            await asyncio.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
    return await ask()


def _sync(files: Any, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer to a request that fsspec's own thread makes."""
    from fsspec.asyn import sync

    return sync(files.loop, ask)  # type: ignore[no-any-return]


class RangeFile(RawFile):
    """A remote file to read and seek in, for one thread at a time. Small reads come in blocks that are kept, larger ones as they are asked for.

    Raises:
        SceneError: there is no such file, it cannot be reached, or it changed since it was opened.
    """

    def __init__(self, path: RemotePath) -> None:
        facts = facts_of(path)
        super().__init__(facts.size)
        self.path = path
        self._files = s3_filesystem() if path.on_s3 else _http(os.getpid())
        self._fetch = partial(_from_s3 if path.on_s3 else _from_http, path, facts)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer, but for the end of the file."""
        view = memoryview(buffer).cast("B")
        data = self.range(self._at, min(self._at + len(view), self.size))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def range(self, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end`, which lie within the file.

        Raises:
            SceneError: they cannot be had.
        """
        if end <= start:
            return b""
        if end - start >= BLOCK:
            return self._exactly(start, end)
        first, last = start // BLOCK, (end - 1) // BLOCK
        joined = b"".join(self._block(number) for number in range(first, last + 1))
        return joined[start - first * BLOCK : end - first * BLOCK]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._exactly(number * BLOCK, min((number + 1) * BLOCK, self.size))
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _exactly(self, start: int, end: int) -> bytes:
        return next(self.ranges([(start, end)]))

    def ranges(self, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Bytes of each span (start, end), several fetched at once.

        Raises:
            SceneError: they cannot be had.
        """
        for first in range(0, len(spans), TOGETHER):
            part = spans[first : first + TOGETHER]
            with reached(self.path):
                found = _sync(self._files, lambda part=part: _all(self._fetch, part))  # type: ignore[misc]
            for (start, end), data in zip(part, found, strict=True):
                if len(data) != end - start:
                    raise SceneError(self.path, f"its server gave {len(data)} bytes where {end - start} were asked for", "Download the file first")
                yield data


async def _all(fetch: Callable[[int, int], Awaitable[bytes]], spans: Sequence[tuple[int, int]]) -> list[bytes]:
    return list(await asyncio.gather(*(_patiently(partial(fetch, start, end)) for start, end in spans)))


async def _from_s3(path: RemotePath, facts: RemoteFacts, start: int, end: int) -> bytes:
    answer = await s3_filesystem()._call_s3("get_object", Bucket=path.bucket, Key=path.key, Range=f"bytes={start}-{end - 1}", IfMatch=facts.tag)
    async with answer["Body"] as body:
        return bytes(await body.read())


async def _from_http(path: RemotePath, facts: RemoteFacts, start: int, end: int) -> bytes:
    same = {"If-Match": f'"{facts.tag}"'} if facts.strong and facts.tag else {}
    return (await _get(path, {"Range": f"bytes={start}-{end - 1}", **same}, end - start))[2]


def openable(path: Path) -> Any:
    """What a library is given that takes paths and file objects: a remote file by its ranges, one in a zip by its bytes, a path on a disk as it is.

    Raises:
        SceneError: there is no such remote file, or it cannot be reached; the archive is damaged, or there is no room to unpack it.
    """
    from hsikit.geo.remote import RemotePath
    from hsikit.geo.zipped import ZippedPath

    if isinstance(path, ZippedPath):
        return path.raw()
    return RangeFile(path) if isinstance(path, RemotePath) else path

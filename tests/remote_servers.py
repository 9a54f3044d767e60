"""Servers on loopback that count what they send: S3 (moto), and plain HTTP with ranges or without."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "quiet", "AWS_SECRET_ACCESS_KEY": "secret-of-quiet", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_VIRTUAL_HOSTING": "FALSE",
}  # fmt: skip
"""What a test sets beside `AWS_ENDPOINT_URL`."""
FOREIGN = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_S3_ENDPOINT", "AWS_HTTPS", "AWS_NO_SIGN_REQUEST", "AWS_ENDPOINT_URL_S3", "AWS_REGION")
"""What it takes away."""
BUCKET = "data"


@dataclass
class Traffic:
    """What a server sent since `clear`.

    Attributes:
        sent: (method, path, bytes) of each answer.
        keys: access keys by which requests were signed, in order of their first use.
        refuse: asked of each request; what it returns is the answer's status, None for a usual answer.
    """

    sent: list[tuple[str, str, int]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    refuse: Callable[[str, str, str], int | None] = lambda method, path, key: None

    @property
    def bytes_read(self) -> int:
        """Bytes of bodies that GET requests were answered with, lists of folders among them."""
        return sum(size for method, _, size in self.sent if method == "GET")

    def clear(self) -> None:
        """Forgets what was sent."""
        self.sent.clear()
        self.keys.clear()


class Counted:
    """A WSGI application whose traffic is counted."""

    def __init__(self, app: Any, traffic: Traffic) -> None:
        self._app, self._traffic = app, traffic

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        key = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
        if key and key not in self._traffic.keys:
            self._traffic.keys.append(key)
        refused = self._traffic.refuse(method, path, key)
        if refused is not None:
            start(f"{refused} refused", [("Content-Type", "application/xml")])
            self._traffic.sent.append((method, path, 0))
            return [] if method == "HEAD" else [b"<Error><Code>AccessDenied</Code><Message>refused</Message></Error>"]
        body = b"".join(self._app(environ, start))
        self._traffic.sent.append((method, path, 0 if method == "HEAD" else len(body)))
        return [body]


@functools.cache
def _s3_server() -> tuple[str, Traffic]:
    """The one server of this process."""
    server_of = pytest.importorskip("moto.server", reason="moto is not installed")
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: Any) -> None:
            pass

    traffic = Traffic()
    app = Counted(server_of.DomainDispatcherApplication(server_of.create_backend_app), traffic)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", traffic


@contextmanager
def s3_server() -> Iterator[tuple[str, Traffic]]:
    """An empty S3 server: its address and its traffic."""
    pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    address, traffic = _s3_server()
    traffic.refuse = Traffic().refuse
    with urlopen(Request(f"{address}/moto-api/reset", method="POST")):
        traffic.clear()
    yield address, traffic


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traffic]:
    """An empty bucket `data` on the S3 server of the environment, and a scratch folder of the test's own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with s3_server() as (address, traffic):
        for name in FOREIGN:
            monkeypatch.delenv(name, raising=False)
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address, "TMPDIR": str(scratch)}.items():
            monkeypatch.setenv(name, value)
        from hsikit.geo.remote_files import s3_filesystem

        s3_filesystem().call_s3("create_bucket", Bucket=BUCKET)
        traffic.clear()
        yield traffic


def keys() -> set[str]:
    """Keys of the objects in the bucket."""
    from hsikit.geo.remote_files import s3_filesystem

    return {entry["Key"] for entry in s3_filesystem().call_s3("list_objects_v2", Bucket=BUCKET).get("Contents", ())}


def put(file: Path, key: str) -> str:
    """Puts a file or folder into the bucket; gives its address."""
    from hsikit.geo.remote_files import s3_filesystem

    files = s3_filesystem()
    if file.is_dir():
        files.put(f"{file}/", f"{BUCKET}/{key}/", recursive=True)
    else:
        files.put_file(str(file), f"{BUCKET}/{key}")
    return f"s3://{BUCKET}/{key}"


class _FolderHandler(BaseHTTPRequestHandler):
    """Files of a folder, by ranges."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, traffic: Traffic, ranges: bool, *arguments: Any) -> None:
        self.folder, self.traffic, self.ranges = folder, traffic, ranges
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        refused = self.traffic.refuse(self.command, self.path, "")
        file = self.folder / name
        if refused is not None or not file.is_file():
            return self._send(refused or 404, {"Location": "file:///etc/passwd"} if refused in (301, 302) else {}, b"", body)
        facts, wanted = file.stat(), self.headers.get("Range", "")
        headers = {"ETag": f'"{facts.st_size}-{facts.st_mtime_ns}"', "Accept-Ranges": "bytes"}
        if self.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
            return self._send(412, {}, b"", body)
        if not (self.ranges and wanted):
            return self._send(200, headers, file.read_bytes(), body)
        first, last = wanted.removeprefix("bytes=").split("-")
        start, end = int(first), min(int(last) + 1 if last else facts.st_size, facts.st_size)
        if start >= facts.st_size:
            return self._send(416, {}, b"", body)
        with file.open("rb") as opened:
            opened.seek(start)
            data = opened.read(end - start)
        return self._send(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{facts.st_size}"}, data, body)

    def _send(self, status: int, headers: dict[str, str], data: bytes, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.traffic.sent.append((self.command, self.path, len(data) if body else 0))
        if body:
            with suppress(ConnectionError):  # the client has seen enough
                self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def http_server(folder: Path, ranges: bool = True) -> Iterator[tuple[str, Traffic]]:
    """A server of a folder's files: its address and its traffic."""
    traffic = Traffic()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_FolderHandler, folder, traffic, ranges))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", traffic
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

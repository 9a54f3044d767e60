"""Addresses as paths, and files of servers by ranges."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import MissingExtraError, SceneError
from hsikit.geo import remote_files
from hsikit.geo.remote import RemotePath, place_of, without_query
from hsikit.geo.remote_files import RangeFile, facts_of, openable, s3_credentials, s3_endpoint, s3_filesystem
from tests.remote_servers import BUCKET, Traffic, bucket, http_server, put  # noqa: F401 - a fixture

DATA = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
NAMES = st.text(st.characters(categories=("L", "N"), include_characters="-_.%+ ="), min_size=1, max_size=12).filter(lambda name: name.strip(".") != "")


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_an_address_survives_as_a_path_and_as_its_text(names: list[str]) -> None:
    text = "s3://bucket/" + "/".join(names)
    place = place_of(text)
    assert str(place) == text and place_of(Path(text)) == place == place_of(str(Path(text)))
    assert isinstance(place, RemotePath) and (place.bucket, place.key, place.name) == ("bucket", "/".join(names), names[-1])
    assert str(place.parent / names[-1]) == text and place.absolute() == place == place.resolve()
    assert type(place.with_name("other.hdr")) is RemotePath and place.relative_to(place.parent).as_posix() == names[-1]


@pytest.mark.parametrize("path", ["scene.tif", "/vsizip/{/a/b.zip}/c.tif", "folder/s3/a", "C:/a", "notes s3:/a/b", Path("x")])
def test_other_paths_stay_what_they_are(path: str | Path) -> None:
    assert type(place_of(path)) is type(Path("x")) and str(place_of(path)) == str(path)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("s3://", "no bucket"), ("https://", "no host"), ("s3://b/../../etc/passwd", "cannot be told"),
        ("https://h/a/../b", "cannot be told"), ("s3://b/a\\b", "cannot be told"), ("s3://b/a\nb", "cannot be told"), ("s3://b/a//b", "cannot be told"),
        ("https://me:secret@h/a", "password"), ("https://h/a?id=7", "no signature"), ("https://h/a?versionId=1&X-Amz-Signature=z", "no signature"),
    ],
)  # fmt: skip
def test_unsafe_and_ambiguous_addresses_are_refused(text: str, wrong: str) -> None:
    with pytest.raises(SceneError, match=wrong) as caught:
        place_of(text)
    assert "secret" not in str(caught.value)


def test_a_signature_is_used_and_not_shown() -> None:
    place = place_of("https://host/a.tif?X-Amz-Signature=hidden&X-Amz-Expires=9")
    assert isinstance(place, RemotePath) and place.address.endswith("hidden&X-Amz-Expires=9")
    assert "hidden" not in f"{place} {place!r} {place.name} {place.with_suffix('.hdr')}" and place.suffix == ".tif"
    assert place_of("https://host/a.tif") == place  # its text, as a ledger or a reader keeps it, still opens it
    assert without_query("https://me:secret@host/a.tif?sig=hidden") == "https://host/a.tif"
    assert without_query("s3://b/what?.tif") == "s3://b/what?.tif" and without_query("what?.tif") == "what?.tif"


@pytest.fixture
def file(bucket: Traffic, tmp_path: Path) -> RemotePath:  # noqa: F811 - a fixture
    (tmp_path / "a.bin").write_bytes(DATA)
    found = place_of(put(tmp_path / "a.bin", "in/a.bin"))
    assert isinstance(found, RemotePath)
    bucket.clear()
    return found


def test_reads_and_seeks_are_those_of_a_file(file: RemotePath) -> None:
    rng = np.random.default_rng(2)
    with file.open("rb") as remote, io.BytesIO(DATA) as local:
        for _ in range(60):
            start, count = int(rng.integers(0, len(DATA) + 10)), int(rng.choice([0, 1, 100, 33_000, 70_000]))
            assert remote.seek(start) == local.seek(start)
            assert remote.read(count) == local.read(count) and remote.tell() == local.tell()
        assert remote.seek(-7, os.SEEK_END) == local.seek(-7, os.SEEK_END) and remote.read() == local.read()
    assert file.read_bytes() == DATA
    spans = [(0, 10), (200_000, 300_000), (5, 6)]
    assert list(RangeFile(file).ranges(spans)) == [DATA[start:end] for start, end in spans]


def test_small_reads_share_their_blocks_and_large_ones_fetch_no_more(file: RemotePath, bucket: Traffic) -> None:  # noqa: F811
    with file.open("rb") as remote:
        for place in range(0, 30_000, 1000):
            remote.seek(place)
            remote.read(10)
        assert bucket.bytes_read == remote_files.BLOCK
        bucket.clear()
        remote.seek(100_001)
        remote.read(100_000)
    assert bucket.bytes_read == 100_000


def test_names_sizes_and_kinds(file: RemotePath) -> None:
    folder = file.parent
    put_empty = s3_filesystem().call_s3("put_object", Bucket=BUCKET, Key="in/deep/er/b.txt", Body="zwölf\nzeilen".encode())
    assert put_empty and {(child.name, child.is_dir()) for child in folder.iterdir()} == {("a.bin", False), ("deep", True)}
    assert [child.name for child in folder.glob("*.bin")] == ["a.bin"]
    assert file.is_file() and not file.is_dir() and folder.is_dir() and not folder.is_file() and not (folder / "no").exists()
    assert file.stat().st_size == len(DATA) and stat.S_ISREG(file.stat().st_mode) and stat.S_ISDIR(folder.stat().st_mode)
    assert (folder / "deep/er/b.txt").read_text(encoding="utf-8").splitlines() == ["zwölf", "zeilen"]
    assert file.state() == (len(DATA), s3_filesystem().call_s3("head_object", Bucket=BUCKET, Key="in/a.bin")["ETag"].strip('"'))
    with pytest.raises(ValueError, match="only be read"):
        file.open("wb")
    with pytest.raises(FileNotFoundError):
        (folder / "no").stat()


def test_libraries_take_the_open_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.txt", "inside")
    with http_server(tmp_path) as (address, _), zipfile.ZipFile(openable(place_of(f"{address}/a.zip"))) as archive:
        assert archive.read("in.txt") == b"inside"
    assert openable(tmp_path) == tmp_path


def test_a_file_that_changes_while_it_is_read_is_refused(file: RemotePath, tmp_path: Path) -> None:
    with file.open("rb") as remote:
        s3_filesystem().call_s3("put_object", Bucket=BUCKET, Key=file.key, Body=bytes(len(DATA)))
        with pytest.raises(SceneError, match="changed while it was read"):
            remote.read(10)
    (tmp_path / "b.bin").write_bytes(DATA)
    with http_server(tmp_path) as (address, _), place_of(f"{address}/b.bin").open("rb") as remote:
        (tmp_path / "b.bin").write_bytes(bytes(len(DATA)))
        with pytest.raises(SceneError, match="changed while it was read"):
            remote.read(10)


def test_a_server_that_fails_at_first_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "WAIT_SECONDS", 0.001)
    (tmp_path / "b.bin").write_bytes(DATA)
    with http_server(tmp_path) as (address, traffic):
        failures = iter([503, 500, 503])
        traffic.refuse = lambda method, path, key: next(failures, None)
        assert place_of(f"{address}/b.bin").read_bytes() == DATA
        traffic.refuse = lambda method, path, key: 503
        with pytest.raises(SceneError, match=rf"{address}/b.bin: cannot be reached"):
            facts_of(place_of(f"{address}/b.bin"))  # type: ignore[arg-type]


def test_endpoints_by_the_names_of_botocore_and_gdal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT", "AWS_HTTPS"):
        monkeypatch.delenv(name, raising=False)
    assert s3_endpoint() is None
    monkeypatch.setenv("AWS_S3_ENDPOINT", "host:9000")
    assert s3_endpoint() == "https://host:9000"
    monkeypatch.setenv("AWS_HTTPS", "NO")
    assert s3_endpoint() == "http://host:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other:1")
    assert s3_endpoint() == "http://other:1"


PROCESS = """
import datetime, json, pathlib, sys
counter = pathlib.Path(sys.argv[1])
number = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(number))
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
print(json.dumps({"Version": 1, "AccessKeyId": f"key{number}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": until.isoformat()}))
"""


def expiring_keys(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of a process whose keys end within botocore's margin, so that each use renews them."""
    (folder / "keys.py").write_text(PROCESS)
    (folder / "config").write_text(f"[default]\ncredential_process = {sys.executable} {folder / 'keys.py'} {folder / 'count'}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))


def test_credentials_are_renewed_while_a_file_is_open(file: RemotePath, bucket: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    expiring_keys(tmp_path, monkeypatch)
    remote_files._s3.cache_clear()
    with file.open("rb") as remote:
        first = list(bucket.keys)
        bucket.refuse = lambda method, path, key: 403 if key in first else None  # the old ones have ended
        remote.seek(100_000)
        assert remote.read(90_000) == DATA[100_000:190_000]
    assert first[0].startswith("key") and set(bucket.keys) > set(first)
    assert s3_credentials().get_frozen_credentials().access_key not in first


def test_without_credentials_requests_are_not_signed(file: RemotePath, bucket: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    s3_filesystem().call_s3("put_object_acl", Bucket=BUCKET, Key=file.key, ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    bucket.clear()
    assert facts_of(file).size == len(DATA)
    assert bucket.sent and not bucket.keys


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    remote_files._s3.cache_clear()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"hsikit\[remote\]\""):
        place_of("s3://bucket/key").exists()


def test_addresses_load_nothing_heavy() -> None:
    code = "import sys, hsikit.geo.remote, hsikit.geo.remote_files; print(*{'fsspec', 's3fs', 'aiohttp', 'botocore'} & set(sys.modules))"
    assert not subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_number_in_an_address_tells_of_no_change() -> None:
    class Answer(Exception):
        def __init__(self, status: int, text: str) -> None:
            super().__init__(text)
            self.status = status

    assert not remote_files._tells_of_change(Answer(503, "503, message='Service Unavailable', url='http://127.0.0.1:41223/b.bin'"))
    assert remote_files._tells_of_change(Answer(412, "412, message='Precondition Failed', url='http://127.0.0.1:80/b.bin'"))
    assert remote_files._tells_of_change(OSError("An error occurred (412) when calling the HeadObject operation: Precondition Failed"))

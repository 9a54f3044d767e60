"""Outputs on S3: whole with their record or not there, whatever happens in between."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hsikit.errors import OutputError
from hsikit.geo.remote import RemotePath, place_of
from hsikit.geo.remote_files import s3_filesystem
from hsikit.version import __version__
from hsikit.writers import check_target, commit
from hsikit.writers.remote import is_done, read_record, record_of, scratch_folder, states_in
from tests.remote_servers import BUCKET, Traffic, bucket, keys, put  # noqa: F401 - a fixture

MAIN = place_of(f"s3://{BUCKET}/out/map.tif")
STORE = place_of(f"s3://{BUCKET}/out/map.zarr")
assert isinstance(MAIN, RemotePath) and isinstance(STORE, RemotePath)


def staged(folder: Path, text: str = "pixels") -> list[tuple[Path, Path]]:
    """A map and its item, the map last."""
    (folder / "map.tif").write_text(text)
    (folder / "map.json").write_text("{}")
    return [(folder / "map.json", MAIN.with_suffix(".json")), (folder / "map.tif", MAIN)]


def staged_store(folder: Path, chunks: int) -> list[tuple[Path, Path]]:
    store = folder / "map.zarr"
    (store / "c").mkdir(parents=True, exist_ok=True)
    (store / "zarr.json").write_text("{}")
    for number in range(chunks):
        (store / "c" / str(number)).write_bytes(bytes([number]) * 10)
    for number in range(chunks, 9):
        (store / "c" / str(number)).unlink(missing_ok=True)
    return [(store, STORE)]


def test_a_record_says_what_was_put_and_of_what(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    identity = (("s3://data/in/a.tif", 7, "etag"), ("reading", "digest"), {"indices": []}, ("/disk/b.tif", 8, 9, "more"))
    commit(staged(tmp_path), {"cube": identity})
    record = read_record(MAIN)
    assert is_done(MAIN) and record is not None and record["version"] == __version__
    assert record["inputs"] == {"cube": [["s3://data/in/a.tif", 7, "etag"], ["/disk/b.tif", 8, 9]]}
    assert [(told["key"], told["size"]) for told in record["files"]] == [("out/map.json", 2), ("out/map.tif", 6)]
    assert states_in(identity) == [("s3://data/in/a.tif", 7, "etag"), ("/disk/b.tif", 8, 9)]
    assert bucket.sent[-2:] != [] and [path for method, path, _ in bucket.sent if method == "PUT"][-1].endswith("map.tif.done.json")


@pytest.mark.parametrize("fails_at", range(3))
def test_wherever_a_put_stops_nothing_counts_and_the_next_call_repairs(bucket: Traffic, tmp_path: Path, fails_at: int) -> None:  # noqa: F811
    puts = iter(range(99))
    bucket.refuse = lambda method, path, key: 403 if method == "PUT" and next(puts) >= fails_at else None
    with pytest.raises(OutputError, match="permission to write is denied"):
        commit(staged(tmp_path))
    assert not is_done(MAIN)
    bucket.refuse = lambda method, path, key: None
    check_target(MAIN, overwrite=False)  # what lies there is ours, and no obstacle
    bucket.clear()
    commit(staged(tmp_path))
    assert is_done(MAIN)
    assert len([path for method, path, _ in bucket.sent if method == "PUT"]) == 3 - fails_at


def test_a_second_commit_of_the_same_puts_nothing(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    for pairs in (staged(tmp_path), staged_store(tmp_path, 3)):
        commit(pairs)
        bucket.clear()
        commit(pairs)
        assert not [path for method, path, _ in bucket.sent if method in ("PUT", "DELETE")]


def test_while_an_output_is_exchanged_no_record_describes_it(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    commit(staged(tmp_path))
    bucket.refuse = lambda method, path, key: 403 if method == "PUT" and path.endswith("map.tif") else None
    with pytest.raises(OutputError):
        commit(staged(tmp_path, "others"))
    bucket.refuse = lambda method, path, key: None
    assert not is_done(MAIN) and read_record(MAIN) is None
    commit(staged(tmp_path, "others"))
    assert is_done(MAIN) and MAIN.read_text() == "others"


def test_a_store_is_put_whole_and_leaves_no_older_chunk(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    commit(staged_store(tmp_path, 5))
    assert is_done(STORE) and keys() == {"out/map.zarr.done.json", "out/map.zarr/zarr.json", *(f"out/map.zarr/c/{n}" for n in range(5))}
    s3_filesystem().call_s3("delete_object", Bucket=BUCKET, Key="out/map.zarr/c/2")
    assert not is_done(STORE)
    commit(staged_store(tmp_path, 3))
    assert is_done(STORE) and keys() == {"out/map.zarr.done.json", "out/map.zarr/zarr.json", *(f"out/map.zarr/c/{n}" for n in range(3))}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", json.dumps({"format": 1, "files": [7]}).encode(), json.dumps({"format": 2, "files": []}).encode()]
)
def test_a_damaged_record_counts_for_nothing(bucket: Traffic, tmp_path: Path, body: bytes) -> None:  # noqa: F811
    commit(staged(tmp_path))
    s3_filesystem().call_s3("put_object", Bucket=BUCKET, Key=record_of(MAIN).key, Body=body)
    assert not is_done(MAIN)


def test_what_is_done_or_somebody_elses_is_not_replaced_unasked(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    check_target(MAIN, overwrite=False)
    commit(staged(tmp_path))
    with pytest.raises(OutputError, match="exists already"):
        check_target(Path("s3:/data/out/map.tif"), overwrite=False)
    check_target(MAIN, overwrite=True)
    (tmp_path / "mine").write_text("precious")
    for key in ("out/mine.tif", "out/mine.zarr/c/0"):
        put(tmp_path / "mine", key)
    for name in ("mine.tif", "mine.zarr"):
        with pytest.raises(OutputError, match="did not put it there"):
            check_target(MAIN.with_name(name), overwrite=False)
    with pytest.raises(OutputError, match="one bucket"):
        check_target(MAIN, overwrite=False, also=[tmp_path / "a.json"])
    with pytest.raises(OutputError, match="no bucket absent"):
        check_target(place_of("s3://absent/a.tif"), overwrite=False)
    with pytest.raises(OutputError, match="no place to write to"):
        check_target(place_of("https://host/a.tif"), overwrite=False)


def test_a_missing_staged_file_is_told(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(OutputError, match="is missing"):
        commit([(tmp_path / "no.tif", MAIN)])
    assert keys() == set()


def test_the_scratch_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = scratch_folder(MAIN)
    assert folder == scratch_folder(MAIN) != scratch_folder(STORE) and folder.parent.stat().st_mode & 0o777 == 0o700
    folder.parent.rmdir()
    folder.parent.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="not yours alone"):
        scratch_folder(MAIN)
    folder.parent.unlink()
    folder.parent.mkdir()
    os.chmod(folder.parent, 0o777)  # noqa: PTH101 - what is tested is what others may do
    with pytest.raises(OutputError, match="not yours alone"):
        scratch_folder(MAIN)

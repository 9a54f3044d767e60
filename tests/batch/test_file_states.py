"""States of files on a disk and on servers."""

from __future__ import annotations

from pathlib import Path

from hsikit.batch.file_states import changed, is_there, state_of
from hsikit.geo.remote import place_of
from hsikit.writers import commit
from tests.remote_servers import Traffic, bucket, put  # noqa: F401 - a fixture


def test_states_on_a_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    facts = (tmp_path / "a").stat()
    assert state_of(tmp_path / "a") == (str(tmp_path / "a"), 3, facts.st_mtime_ns)
    assert state_of(tmp_path)[1] == 3 and state_of(tmp_path / "no")[1:] == (-1, -1) and state_of("a\0b")[1:] == (-1, -1)
    assert is_there(tmp_path / "a") and not is_there(tmp_path / "no")


def test_states_on_s3_follow_the_contents_and_no_clock(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a").write_text("one")
    address = put(tmp_path / "a", "in/a")
    folder = put(tmp_path, "in/store.zarr")
    before = [state_of(address), state_of(folder), state_of("s3://data/no")]
    assert before[0][:2] == (address, 3) and before[1][1] == 3 and before[2] == ("s3://data/no", -1, -1)
    put(tmp_path / "a", "in/a")
    assert not changed(before)
    (tmp_path / "a").write_text("two")
    put(tmp_path / "a", "in/a")
    put(tmp_path / "a", "in/store.zarr/a")
    assert [changed([state]) for state in before] == [True, True, False]
    bucket.refuse = lambda method, path, key: 403
    assert state_of(address)[1:] == (-1, -1)
    assert not changed(before)  # who cannot look does not know


def test_an_output_on_s3_is_there_with_its_record(bucket: Traffic, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "a.tif").write_text("one")
    output = place_of(put(tmp_path / "a.tif", "out/a.tif"))
    assert not is_there(output)
    commit([(tmp_path / "a.tif", output)])
    assert is_there(output)

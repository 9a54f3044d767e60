"""The ledger's lock, its rows, and what is no ledger."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hsikit.batch.file_states import changed, state_of, states_in
from hsikit.batch.ledger import BatchLedger, read_rows
from hsikit.batch.lock import NETWORK, Lock, file_system_of, holder_of, require_local
from hsikit.errors import HsikitError, OptionError, OutputError, RunError

from .conftest import Make

HOLD = "import sys, time; from pathlib import Path; from hsikit.batch.lock import Lock; Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def test_a_second_holder_is_told_of_the_first_and_a_killed_one_leaves_none(tmp_path: Path) -> None:
    ledger = tmp_path / "l.sqlite"
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(ledger)], stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {first.pid} on {re.escape(socket.gethostname())} .* is running this batch"):
            Lock(ledger)
        assert f"process {first.pid}" in holder_of(ledger)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert holder_of(ledger) == ""
    lock = Lock(ledger)
    assert f"process {os.getpid()}" in holder_of(ledger)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_in_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the ledger cannot be made"):
        Lock(tmp_path / "none" / "l.sqlite")


def test_ledgers_on_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_system_of(tmp_path) not in NETWORK
    require_local(tmp_path / "l.sqlite")
    table = f"1 0 0:1 / / rw - ext4 root rw\n2 1 0:2 / {tmp_path} rw shared:1 - nfs4 server:/x rw\n"
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: table if str(path) == "/proc/self/mountinfo" else read(path, *a, **k))
    with pytest.raises(OptionError, match=r"network file system \(nfs4\)"):
        BatchLedger(tmp_path / "deep" / "l.sqlite")
    assert file_system_of(tmp_path.parent) == "ext4"
    table = table.replace("nfs4 server:/x", "fuse mountpoint-s3")
    with pytest.raises(OptionError, match=r"network file system \(mountpoint-s3\)"):
        require_local(tmp_path / "l.sqlite")


def test_rows_tell_what_became_of_a_scene(tmp_path: Path, orders: Make) -> None:
    one, two = orders("a", "b")
    path = tmp_path / "l.sqlite"
    with BatchLedger(path) as ledger:
        ledger.register([one, two])
        ledger.begin(one, [state_of(one.scene[0])], state_of(one.output))
        assert [row.state for row in read_rows(path)] == ["running", "waiting"]  # while it is open
        ledger.wait(one.output)
        ledger.begin(one, [state_of(one.scene[0])], state_of(one.output))
        ledger.opened(one, [state_of(one.scene[0])], 12)
        one.output.write_text("map")
        ledger.finish(one.output, [state_of(one.output)], 1.5, 2**20)
        ledger.begin(two, [], state_of(two.output))
        ledger.fail(two.output, "no <b>", 0.5, None)
    first, second = read_rows(path)
    assert (first.state, first.attempts, first.seconds, first.peak, first.pixels) == ("done", 2, 1.5, 2**20, 12)
    assert first.files == (state_of(one.output),) and first.before == ((str(one.output), -1, -1),) and first.inputs == (state_of(one.scene[0]),)
    assert (second.state, second.error, second.attempts, second.name) == ("failed", "no <b>", 1, two.name)
    with BatchLedger(path) as ledger:
        ledger.register([two])
        assert (ledger.rows()[two.output].state, ledger.rows()[two.output].error, ledger.rows()[two.output].attempts) == ("waiting", "", 1)
    assert sorted(found.name for found in tmp_path.iterdir() if found.name.startswith("l.")) == ["l.sqlite"]


def test_a_ledger_is_read_from_a_folder_that_cannot_be_written(tmp_path: Path, orders: Make) -> None:
    path = tmp_path / "closed" / "l.sqlite"
    path.parent.mkdir()
    with BatchLedger(path) as ledger:
        ledger.register(orders("a"))
    path.parent.chmod(0o555)
    try:
        assert [row.state for row in read_rows(path)] == ["waiting"]
    finally:
        path.parent.chmod(0o755)


def test_what_is_no_ledger(tmp_path: Path) -> None:
    text, other, newer = tmp_path / "text", tmp_path / "other", tmp_path / "newer"
    text.write_bytes(b"not a database, but long enough to be looked at as one " * 10)
    for path, made in ((other, "CREATE TABLE recipes (name)"), (newer, "PRAGMA user_version = 99")):
        db = sqlite3.connect(path)
        db.execute(made)
        db.commit()
        db.close()
    before = {path: path.read_bytes() for path in (text, other, newer)}
    for path in before:
        with pytest.raises(HsikitError, match="no ledger of a batch"):
            BatchLedger(path)
        with pytest.raises(RunError, match="no ledger of a batch"):
            read_rows(path)
        assert path.read_bytes() == before[path] and not path.with_name(f"{path.name}.lock").exists()
    with pytest.raises(RunError, match="there is no ledger"):
        read_rows(tmp_path / "none")


def test_states_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "f" / "g").mkdir(parents=True)
    (tmp_path / "f" / "a").write_text("123")
    (tmp_path / "f" / "g" / "b").write_text("45")
    os.utime(tmp_path / "f" / "a", ns=(1, 20))
    os.utime(tmp_path / "f" / "g" / "b", ns=(1, 10))
    assert state_of(tmp_path / "f") == (str(tmp_path / "f"), 5, 20)
    assert state_of(tmp_path / "none") == (str(tmp_path / "none"), -1, -1) and state_of("a\0b")[1:] == (-1, -1)
    known = [state_of(tmp_path / "f"), state_of(tmp_path / "none")]
    assert not changed(known)
    (tmp_path / "f" / "a").write_text("124")
    assert changed(known)
    shutil.rmtree(tmp_path / "f")
    assert not changed(known)  # what is gone says nothing of what was made of it
    (tmp_path / "none").write_text("new")
    assert changed(known)


def test_states_in_the_identity_of_a_scene() -> None:
    identity = [["/a", 3, 5], ["reading", "abc"], ["/z", 1, 2, "digest"], "text", ["masked", ["/m", 1, 1]]]
    assert states_in(identity) == [("/a", 3, 5), ("/z", 1, 2)]

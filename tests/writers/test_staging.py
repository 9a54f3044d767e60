import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hsikit.errors import OutputError
from hsikit.writers import check_space, check_target, commit, undo

Pairs = list[tuple[Path, Path]]


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """A store and two files staged over older ones, and one file that is new."""
    stage = tmp_path / ".map.tif.hsikit"
    stage.mkdir()
    for folder, word in ((tmp_path, "old"), (stage, "new")):
        for name in ("map.qml", "map.tif"):
            (folder / name).write_text(word)
        (folder / "cube.zarr" / "c").mkdir(parents=True)
        (folder / "cube.zarr" / "c" / "0").write_text(word)
    (stage / "map.json").write_text("new")
    return [(stage / name, tmp_path / name) for name in ("cube.zarr", "map.json", "map.qml", "map.tif")]


def state(pairs: Pairs) -> list[str | None]:
    """What lies at the final paths."""
    return [(p / "c" / "0").read_text() if p.is_dir() else p.read_text() if p.exists() else None for _, p in pairs]


OLD: list[str | None] = ["old", None, "old", "old"]
NEW: list[str | None] = ["new"] * 4


def staged(pairs: Pairs) -> list[str]:
    return sorted(p.name for p in pairs[0][0].parent.iterdir())


def test_commit_puts_all_in_place_and_leaves_nothing(pairs: Pairs) -> None:
    commit(pairs)
    assert state(pairs) == NEW and staged(pairs) == []
    commit(pairs)
    undo(pairs)
    assert state(pairs) == NEW


def test_side_cars_of_the_older_raster_go_with_it(pairs: Pairs) -> None:
    """Statistics and overviews that a GIS made of the older pixels; a side-car that is an output itself stays."""
    stage, home = pairs[0][0].parent, pairs[0][1].parent
    for name in ("map.tif.ovr", "map.tif.aux.xml", "other.tif.aux.xml"):
        (home / name).write_text("old")
    commit(pairs)
    assert sorted(path.name for path in home.glob("[!.]*.tif*")) == ["map.tif", "other.tif.aux.xml"]
    (stage / "map.tif").write_text("newer")
    (stage / "map.tif.aux.xml").write_text("table")
    commit([(stage / "map.tif.aux.xml", home / "map.tif.aux.xml"), (stage / "map.tif", home / "map.tif")])
    assert (home / "map.tif.aux.xml").read_text() == "table"


def test_file_and_folder_may_replace_each_other(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    for name in ("a", "b"):
        (stage / name).mkdir(parents=True) if name == "a" else (tmp_path / name).mkdir()
    (tmp_path / "a").write_text("old")
    (stage / "b").write_text("new")
    commit([(stage / "a", tmp_path / "a"), (stage / "b", tmp_path / "b")])
    assert (tmp_path / "a").is_dir() and (tmp_path / "b").read_text() == "new" and list(stage.iterdir()) == []


def in_child(act: Callable[[], None], before: int) -> int:
    """Runs `act` in a child that is killed before its n-th change of a name; returns the child's exit status."""
    child = os.fork()
    if child == 0:
        left = [before]

        def mortal(call: Callable[..., object]) -> Callable[..., object]:
            def wrapped(*args: object, **kwargs: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return wrapped

        for name in ("replace", "link", "unlink", "rmdir"):
            setattr(os, name, mortal(getattr(os, name)))
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("before", range(16))
def test_killed_commit_is_finished_by_the_next(pairs: Pairs, before: int) -> None:
    status = in_child(lambda: commit(pairs), before)
    assert status in (0, signal.SIGKILL)
    assert state(pairs)[2] in ("old", "new") and state(pairs)[3] in ("old", "new"), "a file is whole at any moment"
    commit(pairs)
    assert state(pairs) == NEW and staged(pairs) == []


def test_kills_reach_every_step(pairs: Pairs) -> None:
    """The range above is long enough: the last kill comes after the end."""
    assert in_child(lambda: commit(pairs), 16) == 0


@pytest.mark.parametrize("before", range(16))
def test_killed_commit_is_undone(pairs: Pairs, before: int) -> None:
    in_child(lambda: commit(pairs), before)
    finished = not any(os.path.lexists(new) for new, _ in pairs)
    undo(pairs)
    assert state(pairs) == (NEW if finished else OLD)
    if not finished:
        assert staged(pairs) == ["cube.zarr", "map.json", "map.qml", "map.tif"]
        assert [p.read_text() for p, _ in pairs[1:]] == ["new"] * 3


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("end", [commit, undo])
def test_killed_undo_can_go_either_way(pairs: Pairs, before: int, end: Callable[[Pairs], None]) -> None:
    in_child(lambda: commit(pairs), 8)
    in_child(lambda: undo(pairs), before)
    end(pairs)
    assert state(pairs) == (NEW if end is commit else OLD)
    assert staged(pairs) == ([] if end is commit else ["cube.zarr", "map.json", "map.qml", "map.tif"])


def failing(monkeypatch: pytest.MonkeyPatch, name: str, target: Path, number: int) -> None:
    """Makes one rename fail as the operating system would."""
    real = Path.replace

    def replace(self: Path, to: Path) -> Path:
        if to == target:
            monkeypatch.setattr(Path, "replace", real)
            raise OSError(number, os.strerror(number), str(to))
        return real(self, to)

    monkeypatch.setattr(Path, name, replace)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission")])
def test_failed_rename_brings_the_older_outputs_back(pairs: Pairs, monkeypatch: pytest.MonkeyPatch, which: int, links: bool, number: int, words: str) -> None:
    if not links:

        def link(*args: object, **kwargs: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", link)
    failing(monkeypatch, "replace", pairs[which][1], number)
    with pytest.raises(OutputError, match=rf"{pairs[which][1].name}: .*{words}"):
        commit(pairs)
    assert state(pairs) == OLD
    commit(pairs)
    assert state(pairs) == NEW and staged(pairs) == []


def test_a_missing_staged_output_changes_nothing(pairs: Pairs) -> None:
    pairs[1][0].unlink()
    with pytest.raises(OutputError, match=r"map\.json"):
        commit(pairs)
    assert state(pairs) == OLD


def test_target_exists(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    check_target(path, overwrite=False)
    path.write_text("")
    with pytest.raises(OutputError, match=r"map\.tif.*exists.*--overwrite"):
        check_target(path, overwrite=False)
    check_target(path, overwrite=True)
    with pytest.raises(OutputError, match=r"map\.tif.*--overwrite"):
        check_target(tmp_path / "other.tif", overwrite=False, also=[path])


def test_only_our_folders_are_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    check_target(folder, overwrite=True)
    (folder / "thesis.doc").write_text("")
    with pytest.raises(OutputError, match="neither a Zarr store nor a model"):
        check_target(folder, overwrite=True)
    (folder / "zarr.json").write_text("{}")
    check_target(folder, overwrite=True)


def test_folder_of_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "no" / "a.tif", "does not exist"),
        (tmp_path / "file" / "a.tif", "is a file"),
        (tmp_path / "file" / "b" / "a.tif", "folder"),
    ):
        with pytest.raises(OutputError, match=words):
            check_target(path, overwrite=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        check_target(tmp_path / "a.tif", overwrite=True)


def test_space(tmp_path: Path) -> None:
    check_space(tmp_path, 1)
    with pytest.raises(OutputError, match=r"GiB are needed.*free"):
        check_space(tmp_path, 1 << 60)
    with pytest.raises(OutputError, match="no-such"):
        check_space(tmp_path / "no-such", 1)

"""How outputs appear: checked first, written aside, then renamed into place, all or none.

`commit` may be killed at any point. Called again with the same pairs it finishes the work; `undo` takes it back. Until the
moment a new file takes its name, the older one is whole; a folder cannot be exchanged in one step, so an older Zarr store
is missing between two renames, and lies in the staging folder meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hsikit.errors import OutputError
from hsikit.geo.remote import RemotePath, place_of
from hsikit.writers.failures import writing

Pair = tuple[Path, Path]
_OURS = ("zarr.json", ".zgroup", ".zarray", "model.json")
"""A folder may be overwritten only if it holds one of these, or nothing."""
_RASTERS = (".tif", ".tiff", ".img", ".dat", ".nc", ".nc4")
_NO_INPUTS: Mapping[str, Iterable[Any]] = MappingProxyType({})
_SIDECARS = (".aux.xml", ".ovr", ".msk")
"""What GIS programs lay beside a raster: statistics, overviews and masks of its older pixels."""


def check_target(path: Path, overwrite: bool, also: Sequence[Path] = ()) -> None:
    """Refuses an output that cannot or must not be written, before any work is done.

    Args:
        path: where the main output will lie.
        overwrite: whether an older one may be replaced.
        also: further outputs, checked alike.

    Raises:
        OutputError: an output exists and `overwrite` is False, or is a folder that hsikit did not make; the folder is missing, is
            a file, or is not writable.
    """
    outputs = [place_of(target) for target in (path, *also)]
    if any(isinstance(target, RemotePath) for target in outputs):
        from hsikit.writers.remote import check_remote_target

        return check_remote_target(outputs, overwrite)
    for target in (path, *also):
        _check_folder(target)
        if not os.path.lexists(target):
            continue
        if target.is_dir() and not any((target / name).exists() for name in _OURS) and any(target.iterdir()):
            raise OutputError(target, "is a folder that is neither a Zarr store nor a model", "Choose another name")
        if not overwrite:
            raise OutputError(target, "exists already", "Choose another name, or give --overwrite to replace it")


def _check_folder(path: Path) -> None:
    """The parts of `check_target` that concern the folder of a path."""
    folder = path.parent
    try:
        if not folder.exists():
            raise OutputError(path, f"its folder {folder} does not exist", "Make the folder, or choose another one")
        if not folder.is_dir():
            raise OutputError(path, f"{folder} is a file, not a folder", "Choose a folder")
    except OSError as error:  # a part of the path is a file, or may not be looked into
        raise OutputError(path, f"its folder {folder} cannot be reached ({error.strerror})", "Choose another folder") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(path, f"its folder {folder} is not writable", "Choose a folder that you may write to")


def check_space(folder: Path, needed: int) -> None:
    """Refuses a run whose outputs will not fit.

    Args:
        folder: an existing folder on the disk that will be written.
        needed: bytes.

    Raises:
        OutputError: fewer bytes are free.
    """
    with writing(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(folder, f"{_size(needed)} are needed, and {_size(free)} are free", "Make room, or write to another disk")


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def commit(staged: Sequence[Pair], inputs: Mapping[str, Iterable[Any]] = _NO_INPUTS) -> None:
    """Renames each staged file or folder to its final name, in this order; give the main output last.

    Staged paths must be distinct, and on the same disk as the final ones. Older outputs are kept beside the staged ones until
    all is done, and brought back if something fails; what a GIS laid beside an older raster is then removed. Safe to call again
    after being killed.

    Outputs on S3 are put, with a record at the end: see `hsikit.writers.remote.put_outputs`.

    Args:
        staged: pairs (staged path, final path).
        inputs: what the outputs were made of, for the record of those on S3: `SceneInfo.identity` by role.

    Raises:
        OutputError: a staged output is missing and was not committed before, or a rename fails; the older outputs are back.
    """
    remote = [(new, place) for new, final in staged if isinstance(place := place_of(final), RemotePath)]
    if remote:
        from hsikit.writers.remote import put_outputs

        return put_outputs(remote, inputs)
    for new, final in staged:
        if not os.path.lexists(new) and not os.path.lexists(final):
            raise OutputError(final, f"the finished output {new.name} is missing from {new.parent}", "Run the same command again")
        if os.path.lexists(new):
            with writing(new):
                _sync(new)
    try:
        for new, final in staged:
            with writing(final):
                _exchange(new, final)
    except BaseException:
        undo(staged)
        raise
    for sidecar in _stale(staged):
        with writing(sidecar):
            sidecar.unlink(missing_ok=True)
    _sync_folders(staged)
    for new, _ in staged:
        _remove(_aside(new))


def undo(staged: Sequence[Pair]) -> None:
    """Takes back an unfinished `commit`: the older outputs get their names again, the new ones lie staged again. On S3 nothing is taken back.

    Once every output has its name, the commit counts as finished, and there is nothing to take back.

    Args:
        staged: the pairs that `commit` was given.

    Raises:
        OutputError: a rename fails.
    """
    if not any(os.path.lexists(new) for new, _ in staged) or any(isinstance(place_of(final), RemotePath) for _, final in staged):
        return
    for new, final in reversed(staged):
        with writing(final):
            _restore(new, final)
    _sync_folders(staged)


def _stale(staged: Sequence[Pair]) -> list[Path]:
    """Side-cars of the committed rasters that are none of the outputs themselves."""
    outputs = {final for _, final in staged}
    beside = [final.with_name(final.name + ending) for final in outputs if final.suffix.lower() in _RASTERS for ending in _SIDECARS]
    return [path for path in beside if path not in outputs and os.path.lexists(path)]


def _aside(new: Path) -> Path:
    """Where the older output waits: in the staging folder."""
    return new.with_name(f"{new.name}.older")


def _exchange(new: Path, final: Path) -> None:
    """Puts `new` in the place of `final` and the older one aside; does only what is left to do."""
    if not os.path.lexists(new):
        return
    if _same(new, final):  # killed within `undo`: a rename onto another link of the same file would do nothing
        new.unlink()
        return
    if os.path.lexists(final):
        _move(final, _aside(new), keep=not _is_folder(new))
    new.replace(final)


def _move(path: Path, to: Path, *, keep: bool) -> None:
    """Gives an output another name; with `keep`, a file has its own name too, where the disk has hard links."""
    if _same(path, to):
        return
    _remove(to)
    if keep and not _is_folder(path):
        with suppress(OSError):
            os.link(path, to, follow_symlinks=False)
            return
    path.replace(to)


def _restore(new: Path, final: Path) -> None:
    """Undoes `_exchange`, from whatever point it reached."""
    aside = _aside(new)
    if not os.path.lexists(new) and os.path.lexists(final):
        _move(final, new, keep=os.path.lexists(aside) and not _is_folder(aside))
    if _same(final, aside):
        aside.unlink()
    elif os.path.lexists(aside):
        aside.replace(final)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _same(one: Path, other: Path) -> bool:
    """Whether two names are links of one file."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _remove(path: Path) -> None:
    """Removes a file or folder, if there is one."""
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Makes a file, or a folder with all it holds, survive a power cut."""
    for child in [*(path.rglob("*") if _is_folder(path) else ()), path]:
        descriptor = os.open(child, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_folders(staged: Sequence[Pair]) -> None:
    """Makes renames survive a power cut."""
    for folder in dict.fromkeys(path.parent for pair in staged for path in pair):
        with writing(folder):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def process_runs(process: int) -> bool:
    """Whether a process of this number is running on this machine, whoever owns it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

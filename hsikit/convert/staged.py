"""Outputs written aside: a hidden folder beside the output that goes when the output has its name, or the write has failed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hsikit.errors import OutputError
from hsikit.writers import check_target, commit, raster_paths
from hsikit.writers.failures import writing
from hsikit.writers.staging import process_runs


def write_staged(path: Path, write: Callable[[Path], Sequence[Path]], *, overwrite: bool = False) -> list[Path]:
    """Lets an output appear whole, or not at all.

    Args:
        path: the output; for ENVI either of its two files.
        write: makes the output at the path that it is given, which lies in a folder of its own, and returns all that it made,
            the main file first.
        overwrite: whether an older output is replaced.

    Returns:
        The files, `path` first.

    Raises:
        OutputError: the output exists without `overwrite`, its folder is missing, or the write failed; an older output is whole.
    """
    check_target(path, overwrite, also=raster_paths(path)[1:])
    _clear_abandoned(path)
    with writing(path):
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}.", dir=path.absolute().parent))
    try:
        made = _named(path, folder, write)
        commit([(new, path.parent / new.name) for new in reversed(made)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [path.parent / new.name for new in made]


def _named(path: Path, folder: Path, write: Callable[[Path], Sequence[Path]]) -> Sequence[Path]:
    """Lets an error name the output as the user knows it, not the place where it is staged."""
    try:
        return write(folder / path.name)
    except OutputError as error:
        raise OutputError(path, error.wrong, error.advice) from error


def _clear_abandoned(path: Path) -> None:
    """Removes what writes of this output left behind whose processes were killed."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.\w{{8}}")
    for folder in path.absolute().parent.iterdir():
        found = pattern.fullmatch(folder.name)
        if found and folder.is_dir() and not process_runs(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)

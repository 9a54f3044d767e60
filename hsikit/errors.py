"""What can go wrong, said so that the user knows what to do next.

Every error that hsikit raises for bad input is a small class under `HsikitError`. A message names the file (or option) at
fault, what is wrong with it, and what to do. The command line prints the message alone and exits with `exit_code`:
2 for the user's mistakes, 1 for ours.
"""

from __future__ import annotations

from pathlib import Path


class HsikitError(Exception):
    """Root of all errors that hsikit raises knowingly.

    Args:
        where: the file, option or object at fault, as the user named it.
        wrong: what is wrong with it.
        advice: what to do next; may be empty.
    """

    exit_code = 2

    def __init__(self, where: str | Path, wrong: str, advice: str = "") -> None:
        self.where, self.wrong, self.advice = str(where), wrong, advice
        super().__init__(f"{where}: {wrong}" + (f". {advice}" if advice else ""))


class SceneError(HsikitError):
    """A scene cannot be opened or read: missing, truncated, of an unknown kind, or at odds with its own header."""


class EmptySceneError(SceneError):
    """Nothing in a scene, or in the part that was asked for, is valid."""


class WavelengthError(SceneError):
    """Band centres are missing, of the wrong number, in words, or in an implausible unit."""


class GridError(HsikitError):
    """Two grids do not fit: no overlap, another CRS, an unknown CRS, rotated against each other."""


class LabelError(HsikitError):
    """Labels cannot be used: no field, no class, none inside the scene, conflicting polygons."""


class MapError(HsikitError):
    """A class map cannot be sampled or assessed: several bands, no whole numbers, no class in it."""


class SplitError(LabelError):
    """No split of the labels leaves something to train on and something to test on."""


class ModelError(HsikitError):
    """A model folder cannot be loaded, or its model does not fit the scene: other bands, quantity or units."""


class MethodError(HsikitError):
    """No method of that name, or it does not do what is asked of it."""


class OptionError(HsikitError):
    """An option's value makes no sense, alone or beside the others."""


class OutputError(HsikitError):
    """An output cannot be written: it exists, its folder is missing or read-only, the disk is full."""


class RunError(HsikitError):
    """An unfinished run stands in the way, or another process holds the output."""


class MemoryPlanError(HsikitError):
    """No tile is small enough for the memory that was promised."""


class MissingExtraError(HsikitError):
    """A part of hsikit needs a package that is not installed."""

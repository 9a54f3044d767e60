"""The part of `hsikit benchmark` that `--truth` begins: detectors on scenes whose targets are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

from hsikit.errors import OptionError

from .comparing import CellBar, end, opened_scenes, require_one_each, told
from .console import tell
from .options import LabelArgs, MaskArgs, SceneArgs, SplitArgs

SHAPES = ("buffer", "min_coverage", "all_touched")
"""Options of labels that polygons of targets have too."""


def rank(scenes: Sequence[str], truth: Sequence[str], methods: Sequence[Any], output: Path, label_args: LabelArgs, mask_args: MaskArgs,
         scene_args: SceneArgs, quiet: bool, **choices: Any) -> None:  # fmt: skip
    """Ranks detectors; `choices` are further arguments of `hsikit.rank_detectors`."""
    import hsikit

    require_one_each("--truth", "truth", truth, scenes)
    shapes = {option: getattr(label_args, option) for option in SHAPES}
    with ExitStack() as held:
        sources = opened_scenes(scenes, scene_args, held)
        if not quiet:
            for notice in (notice for source in sources for notice in source.info.notices):
                tell(f"note: {notice}")
        with CellBar(quiet) as bar:
            found = hsikit.rank_detectors(
                sources, list(truth), methods, output, truth_options=shapes, progress=bar, **mask_args.options(), **choices
            )  # fmt: skip
    told(str(found), found.notes, found.files, quiet)
    end(found.failed, len(found.cells))


def of_classifiers(label_args: LabelArgs, split_args: SplitArgs) -> dict[str, Any]:
    """Options of labels and splits that are given and mean nothing to detectors."""
    every = [(group, option) for group in (label_args, split_args) for option in fields(group) if option.name not in SHAPES]
    return {"--" + option.name.replace("_", "-"): getattr(group, option.name) != option.default for group, option in every}


def refuse(given: Mapping[str, Any], whose: str, beside: str) -> None:
    """Refuses options of the other kind of benchmark.

    Raises:
        OptionError: one is given.
    """
    for option, value in given.items():
        if value:
            raise OptionError(option, f"it belongs to {whose}, and {beside} is given", "Leave one of them out")

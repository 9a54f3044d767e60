"""`hsikit benchmark`: methods x splits x seeds on the same draws, ranked in one table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hsikit.errors import OptionError

from .console import Bar, say, tell, wrote
from .options import LabelArgs, MaskArgs, SceneArgs, SplitArgs, grouped, parameters

if TYPE_CHECKING:
    from hsikit.train.benchmark_plan import Plan

LISTS = ("--methods", "--splits")
"""Options that take several words."""

MOST_LINES = 100
"""Of progress in a log file."""


class Smoothing(StrEnum):
    """Whether maps are smoothed."""

    no = "no"
    yes = "yes"
    both = "both"


class WordLists(TyperCommand):
    """A command whose `--methods a b` means `--methods a --methods b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click's."""
        return super().parse_args(ctx, repeated(args))


def repeated(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the option before each word of a list."""
    found: list[str] = []
    current = ""
    for place, word in enumerate(arguments):
        if word == "--":
            return [*found, *arguments[place:]]
        name = word.partition("=")[0]
        if word.startswith("-"):
            current = name if name in LISTS else ""
        elif current and found[-1] != current:
            found.append(current)
        found.append(word)
    return found


class CellBar(Bar):
    """The progress of a benchmark, counted in cells."""

    def begin(self, plan: str, total: int, done: int) -> None:
        """See `hsikit.engine.options.Progress`."""
        super().begin(plan, total, 0)
        if done and not self.quiet:
            tell(f"{done} of {total} cells are there already")
        self._done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def advance(self, stage: str, steps: int = 1) -> None:
        """See `hsikit.engine.options.Progress`."""
        if self._bar is not None or self.quiet:
            super().advance(stage, steps)
            return
        self._done += steps
        if self._done * MOST_LINES // self._total > (self._done - steps) * MOST_LINES // self._total:
            tell(f"cell {self._done} of {self._total}: {stage}")


@grouped
def benchmark(
    scenes: Annotated[list[str], typer.Argument(help="One scene, or several, each with labels of its own.")],
    labels: Annotated[list[str], typer.Option(help="Polygons, points, or a raster; repeated, one for each scene.")],
    methods: Annotated[list[str], typer.Option(help="Classifiers, such as svm or mnf-lda:components=40,width=5; several words.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of cells and tables; one that is there is gone on with.")],
    label_args: LabelArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    split_args: SplitArgs,
    splits: Annotated[list[str] | None, typer.Option(help="Splits, such as class-halves or blocks:guard=6; several words.  [default: blocks]")] = None,
    seeds: Annotated[str, typer.Option(help="Numbers and ranges, such as 0-19 or 0,3,7-9.")] = "0-9",
    smooth: Annotated[Smoothing, typer.Option(help="Smooth the methods' maps along edges: yes, no, or both as rows of their own.")] = Smoothing.no,
    against: Annotated[str | None, typer.Option(help="Row that differences are taken to; the best floor.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Compares classifiers on the same draws of training and test pixels: ranked, with paired differences and their intervals."""
    from hsikit.engine import compute
    from hsikit.tasks.classification.smooth import smooth as smoothed
    from hsikit.train.benchmark import run_benchmark
    from hsikit.train.benchmark_plan import make_plan
    from hsikit.train.benchmark_statistics import standings
    from hsikit.train.benchmark_table import benchmark_notes, table_text, write_results

    plan = make_plan(
        [_named(text, "--methods") for text in methods], [_named(text, "--splits") for text in splits or ["blocks"]], seed_numbers(seeds),
        smooth=smooth.value, split_options=split_args.options(), against=against,
    )  # fmt: skip
    with ExitStack() as held:
        labelled = _labelled(scenes, labels, label_args, mask_args, scene_args, held, quiet)
        with CellBar(quiet) as bar:
            cells = run_benchmark(labelled, plan, output, run=compute, smooth=smoothed, progress=bar)
        files = write_results(output, plan, cells, labelled)
        notes = benchmark_notes(plan, cells, labelled)
    say(table_text(standings(plan, cells)))
    for note in notes:
        tell(f"note: {note}")
    wrote(files, quiet)
    _end(plan, cells)


def _labelled(scenes: list[str], labels: list[str], label_args: LabelArgs, mask_args: MaskArgs, scene_args: SceneArgs, held: ExitStack,
              quiet: bool) -> list[Any]:  # fmt: skip
    """The scenes with their labels under one legend; `held` closes them."""
    import hsikit
    from hsikit.api import source_of
    from hsikit.train.labels import combine_legends

    if len(labels) != len(scenes):
        raise OptionError("--labels", f"{len(labels)} label files for {len(scenes)} scenes", "Give one for each scene, in the same order")
    sources = [held.enter_context(closing(source_of(scene, **scene_args.options()))) for scene in scenes]
    said = {**label_args.options(), **mask_args.options()}
    found = combine_legends([hsikit.read_labels(source, label, **said) for source, label in zip(sources, labels, strict=True)])
    if not quiet:
        for notice in (notice for scene in found for notice in (*scene.source.info.notices, *scene.notes)):
            tell(f"note: {notice}")
    return found


def _named(text: str, option: str) -> tuple[str, dict[str, Any]]:
    """A name with options, such as mnf-lda:width=3,components=8; the argument of a split (group:plot) stays with its name."""
    name, colon, tail = text.rpartition(":")
    if not colon or "=" not in tail:
        return text, {}
    try:
        return name, parameters(tail.split(","))
    except OptionError as error:
        raise OptionError(f"{option} {text}", error.wrong, "Write it like mnf-lda:components=40,width=5 or blocks:guard=6") from None


def seed_numbers(text: str) -> list[int]:
    """Numbers and ranges: "0-2,7" is 0, 1, 2, 7.

    Raises:
        OptionError: it is something else.
    """
    found: list[int] = []
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise OptionError("--seeds", f"'{text}' is not numbers and ranges", "Write it like 0-19 or 0,3,7-9")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def _end(plan: Plan, cells: Sequence[Any]) -> None:
    """Ends with code 1 where a cell failed."""
    failed = sum(bool(cell.error) for cell in cells)
    if failed:
        tell(f"{failed} of {len(cells)} cells failed; the same command tries them again")
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command(cls=WordLists)(benchmark)

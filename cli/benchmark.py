"""`hsikit benchmark`: classifiers on the same draws of labels, or detectors on the same targets, ranked in one table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hsikit.errors import OptionError

from .comparing import CellBar, end, opened_scenes, require_one_each, told
from .console import tell
from .options import LabelArgs, MaskArgs, SceneArgs, SplitArgs, grouped, parameters
from .ranking import of_classifiers, rank, refuse

if TYPE_CHECKING:
    from hsikit.train.benchmark_plan import Plan

LISTS = ("--methods", "--splits")
"""Options that take several words."""
DETECTION = "Detectors"


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


def _detection(help_: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help_, rich_help_panel=DETECTION, show_default=False, metavar=metavar)


@grouped
def benchmark(
    *,
    scenes: Annotated[list[str], typer.Argument(help="One scene, or several, each with labels or truth of its own.")],
    labels: Annotated[list[str] | None, typer.Option(help="For classifiers: polygons, points, or a raster; repeated, one for each scene.")] = None,
    truth: Annotated[list[str] | None, _detection("For detectors: where targets are. A raster (above 0), points or polygons; repeated, one each.")] = None,
    methods: Annotated[list[str], typer.Option(help="Classifiers, such as svm or mnf-lda:components=40,width=5; with --truth detectors; several words.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of cells and tables; one that is there is gone on with.")],
    target_pixels: Annotated[int | None, _detection("Look for the mean of N target pixels, drawn by each seed and not scored.", "N")] = None,
    target: Annotated[Path | None, _detection("Look for spectra of a library instead: any file of `hsikit library`.")] = None,
    name: Annotated[list[str] | None, _detection("Which of them, by name or words of it; repeated.")] = None,
    splits: Annotated[list[str] | None, typer.Option(help="Splits, such as class-halves or blocks:guard=6; several words.  [default: blocks]")] = None,
    seeds: Annotated[str | None, typer.Option(help="Numbers and ranges, such as 0-19 or 0,3,7-9.  [default: 0-9]")] = None,
    smooth: Annotated[Smoothing, typer.Option(help="Smooth the methods' maps along edges: yes, no, or both as rows of their own.")] = Smoothing.no,
    against: Annotated[str | None, typer.Option(help="Row that differences are taken to; the best floor, of detectors the first.", show_default=False)] = None,
    label_args: LabelArgs,
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    split_args: SplitArgs,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Compares classifiers on the same draws of labels, or detectors on the same targets: ranked, with paired differences and their intervals."""
    chosen = [_named(text, "--methods") for text in methods]
    numbers = None if seeds is None else seed_numbers(seeds)
    if truth:
        given = {"--labels": labels, "--splits": splits, "--smooth": smooth != Smoothing.no, **of_classifiers(label_args, split_args)}
        refuse(given, "classifiers", "--truth")
        rank(scenes, truth, chosen, output, label_args, mask_args, scene_args, quiet, seeds=numbers, against=against, target_pixels=target_pixels,
             target=target, names=name or [])  # fmt: skip
        return
    if not labels:
        raise OptionError("benchmark", "neither --labels nor --truth is given", "Give --labels to compare classifiers, --truth to compare detectors")
    refuse({"--target-pixels": target_pixels, "--target": target, "--name": name}, "detectors", "--labels")
    plan = _plan(chosen, [_named(text, "--splits") for text in splits or ["blocks"]], numbers, smooth, split_args, against)
    _compare(scenes, labels, plan, output, label_args, mask_args, scene_args, quiet)


def _plan(methods: list[Any], splits: list[Any], seeds: Sequence[int] | None, smooth: Smoothing, split_args: SplitArgs, against: str | None) -> Plan:
    """What is compared of classifiers."""
    from hsikit.train.benchmark_plan import make_plan

    numbers = range(10) if seeds is None else seeds
    return make_plan(methods, splits, numbers, smooth=smooth.value, split_options=split_args.options(), against=against)


def _compare(scenes: list[str], labels: list[str], plan: Plan, output: Path, label_args: LabelArgs, mask_args: MaskArgs, scene_args: SceneArgs,
             quiet: bool) -> None:  # fmt: skip
    """Compares classifiers."""
    from hsikit.engine import compute
    from hsikit.tasks.classification.smooth import smooth as smoothed
    from hsikit.train.benchmark import run_benchmark
    from hsikit.train.benchmark_statistics import standings
    from hsikit.train.benchmark_table import benchmark_notes, table_text, write_results

    with ExitStack() as held:
        labelled = _labelled(scenes, labels, label_args, mask_args, scene_args, held, quiet)
        with CellBar(quiet) as bar:
            cells = run_benchmark(labelled, plan, output, run=compute, smooth=smoothed, progress=bar)
        files = write_results(output, plan, cells, labelled)
        notes = benchmark_notes(plan, cells, labelled)
    told(table_text(standings(plan, cells)), notes, files, quiet)
    end(sum(bool(cell.error) for cell in cells), len(cells))


def _labelled(scenes: list[str], labels: list[str], label_args: LabelArgs, mask_args: MaskArgs, scene_args: SceneArgs, held: ExitStack,
              quiet: bool) -> list[Any]:  # fmt: skip
    """The scenes with their labels under one legend; `held` closes them."""
    import hsikit
    from hsikit.train.labels import combine_legends

    require_one_each("--labels", "label", labels, scenes)
    sources = opened_scenes(scenes, scene_args, held)
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


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command(cls=WordLists)(benchmark)

"""`hsikit plan`: time, memory and traffic before a run; for scenes that are here, and for an archive on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .batch import MIB, nested, show_plan, size_text, texts
from .console import say
from .options import MaskArgs, SceneArgs, grouped, parameters

if TYPE_CHECKING:
    from hsikit.batch.pace import Pace
    from hsikit.batch.sizing import Archive

NOWHERE = "hsikit-plan/{parent}/{stem}_{task}.tif"
"""Outputs of scenes whose outputs are not said: nothing is written."""
ONCE = "Give scenes, or --scenes with --pace FILE"


@grouped
def plan(
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    jobs: Annotated[list[str] | None, typer.Argument(help="Scenes, patterns, or one list, as for `hsikit batch`.", show_default=False)] = None,
    task: Annotated[str | None, typer.Option(help="classify (if nothing is said), anomaly, detect, minerals, gas, superresolve.", show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder.", show_default=False)] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Outputs, as for `hsikit batch`; what is done is left out.", show_default=False)] = "",
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="Option of the task, such as sieve=4; repeated.", show_default=False)] = None,
    asset: Annotated[str | None, typer.Option(help="Asset of each STAC item that is the scene.", show_default=False)] = None,
    workers: Annotated[int, typer.Option("--jobs", "-j", help="Worker processes.")] = 1,
    threads: Annotated[int, typer.Option(help="Compute threads of each worker.")] = 1,
    memory: Annotated[str | None, typer.Option(help="What each worker may plan with, such as 2G.", show_default=False)] = None,
    pace: Annotated[Path | None, typer.Option(help="What an earlier --save-pace measured, instead of measuring.", show_default=False)] = None,
    save_pace: Annotated[Path | None, typer.Option(help="Keep what is measured (.json).", show_default=False)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is no pace.")] = False,
    scenes: Annotated[int | None, typer.Option(help="Size a cluster for so many scenes.", show_default=False)] = None,
    scene_size: Annotated[str | None, typer.Option(help="Their size, such as 2000x2000x200; that of the pace.", show_default=False)] = None,
    bandwidth: Annotated[str | None, typer.Option(help="Bytes a second that the storage gives to all workers, such as 1G.", show_default=False)] = None,
) -> None:
    """Predicts time, memory and traffic from a few tiles that are run now; writes no map."""
    from hsikit.batch import plan_batch, read_orders
    from hsikit.batch.pace import check_pace, read_pace, write_pace
    from hsikit.errors import OptionError

    _check(jobs, scenes, scene_size, bandwidth, pace, save_pace)
    if save_pace is not None:
        check_pace(save_pace, overwrite=overwrite)
    known = read_pace(pace) if pace is not None else None
    if jobs:
        masks = {name: value for name, value in mask_args.options().items() if value}
        options: dict[str, Any] = {**masks, **texts(scene_args.options()), **nested(parameters(param), task), **({"model": str(model)} if model else {})}
        orders = read_orders(jobs, task=task, output=output or NOWHERE, asset=asset, **options)
        found = plan_batch(orders, jobs=workers, threads=threads, memory=memory, paces={known.task: known} if known else None)
        for measured in found.paces.values():
            _show_pace(measured)
        if save_pace is not None:
            if len(found.paces) != 1:
                raise OptionError("save_pace", f"{len(found.paces)} tasks were measured", "Plan one task of scenes that are not done yet")
            write_pace(save_pace, next(iter(found.paces.values())), overwrite=overwrite)
        if scenes is None:
            return show_plan(found)
        for order in found.scenes:
            if order.error:
                raise OptionError("scenes", f"its scene cannot be run: {order.error}", "Give one that can")
        known = next(iter(found.paces.values()), None)
    if known is None or scenes is None:
        raise OptionError("scenes", "there is no pace to size an archive with", ONCE)
    _size_archive(known, scenes, scene_size, workers, threads, bandwidth)


def _check(jobs: list[str] | None, scenes: int | None, scene_size: str | None, bandwidth: str | None, pace: Path | None, save_pace: Path | None) -> None:
    """Refuses options that say nothing together.

    Raises:
        OptionError: it says which.
    """
    from hsikit.errors import OptionError

    if not jobs and (pace is None or scenes is None):
        raise OptionError("JOBS", "there is nothing to plan", ONCE)
    if scenes is None:
        for name, value in (("scene_size", scene_size), ("bandwidth", bandwidth)):
            if value is not None:
                raise OptionError(name, "it is about an archive", "Give --scenes, the number of its scenes, too")
    if save_pace is not None and (pace is not None or not jobs):
        raise OptionError("save_pace", "nothing is measured", "Give scenes, and no --pace")


def _size_archive(pace: Pace, scenes: int, scene_size: str | None, workers: int, threads: int, bandwidth: str | None) -> None:
    """Sizes a cluster and says so."""
    from hsikit.batch.sizing import parse_rate, parse_size, size_archive

    size = parse_size(scene_size) if scene_size is not None else (pace.rows, pace.cols, pace.bands)
    rate = parse_rate(bandwidth) if bandwidth is not None else None
    _show_archive(size_archive(pace, scenes, size, workers=workers, threads=threads, bandwidth=rate), threads)


def _show_pace(pace: Pace) -> None:
    """One line on what was measured."""
    reading, work, tail = (f"{1e6 * rate:.2f} s" for rate in (pace.read, pace.work, pace.tail))
    rates = f"for a million pixels reading {reading}, computing {work}, writing {tail}"
    say(f"{pace.task} on {pace.scene}: a worker starts in {pace.start:.1f} s; each scene {pace.fixed:.1f} s; {rates}")


def _show_archive(archive: Archive, threads: int) -> None:
    """What an archive takes, a line for each resource."""
    from hsikit.batch.summary import duration

    say(f"{archive.scenes} scenes, {archive.workers} workers of {threads} thread{'s' if threads > 1 else ''}: {duration(archive.seconds)}")
    say(f"one scene: {duration(archive.scene_seconds)}")
    say(f"processors: {archive.processor_hours:.0f} hours")
    say(f"memory: {size_text(archive.memory // archive.workers)} a worker, {size_text(archive.memory)} in all")
    say(f"traffic: {size_text(round(archive.traffic_in))} in, {size_text(round(archive.traffic_out))} out; {archive.bandwidth / MIB:.0f} MiB a second in")
    say(f"disk: {size_text(round(archive.traffic_out))} of products, {size_text(round(archive.working))} of working files")
    say(f"held up by: {archive.limit}")


def add_to(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("plan")(plan)

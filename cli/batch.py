"""`hsikit batch`: many scenes, a ledger, worker processes; `hsikit batch status`: how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .console import say, tell
from .options import MaskArgs, SceneArgs, grouped, parameters

if TYPE_CHECKING:
    from hsikit.batch import BatchPlan, Cluster, Order, Outcome, Status

RUN, STATUS = "run", "status"
TYPED = ("jobs", "threads", "timeout", "split_above", "asset", "ledger", "output", "task", "scheduler", "cluster", "cluster_option")
MIB = 2**20
_Summary = Annotated[Path | None, typer.Option(help="HTML page of all scenes and failures.", show_default=False)]
_Collection = Annotated[Path | None, typer.Option(help="STAC collection of the outputs (.json).", show_default=False)]
_OfTask = Annotated[list[str] | None, typer.Option("--param", "-p", help="Option of the task, such as sieve=4; repeated.", show_default=False)]


class WithJobs(TyperGroup):
    """A group whose verb may be left out: `hsikit batch JOBS` is `hsikit batch run JOBS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        if args and args[0] not in (*self.commands, "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


@grouped
def run(
    jobs: Annotated[list[str], typer.Argument(help="Scenes, patterns such as 'scenes/*.tif'; or one list: .csv or .toml.")],
    mask_args: MaskArgs,
    scene_args: SceneArgs,
    task: Annotated[str | None, typer.Option(help="classify (if nothing is said), anomaly, detect, minerals, gas, superresolve.", show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder.", show_default=False)] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Pattern such as maps/{stem}.tif, or a folder.", show_default=False)] = "",
    param: _OfTask = None,
    workers: Annotated[int, typer.Option("--jobs", "-j", help="Worker processes.")] = 1,
    threads: Annotated[int, typer.Option(help="Compute threads of each worker.")] = 1,
    memory: Annotated[str | None, typer.Option(help="Peak memory of each worker, such as 2G; more ends it.", show_default=False)] = None,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler whose workers do it, such as tcp://host:8786.", show_default=False)] = "",
    cluster: Annotated[str, typer.Option(help="Make a Dask cluster of --jobs workers: local or slurm.", show_default=False)] = "",
    cluster_option: Annotated[list[str] | None, typer.Option(help="Of that cluster, such as walltime=02:00:00; repeated.", show_default=False)] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one attempt at a scene.", show_default=False)] = None,
    split_above: Annotated[str | None, typer.Option(help="Pixels, such as 50M, above which several workers share a scene.", show_default=False)] = None,
    asset: Annotated[str | None, typer.Option(help="Asset of each STAC item that is the scene.", show_default=False)] = None,
    ledger: Annotated[Path | None, typer.Option(help="Ledger, on a local disk; .hsikit-batch.sqlite in the outputs' folder.", show_default=False)] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try scenes again that failed before.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that the ledger does not know.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Open every scene, print the plan, write nothing.")] = False,
    summary: _Summary = None,
    collection: _Collection = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but failures.")] = False,
) -> None:
    """Maps many scenes; the same command goes on after a crash. Ends with 1 if scenes failed."""
    from hsikit.batch import check_pages, plan_batch, read_orders, run_batch

    from .batch_view import View

    masks = {name: value for name, value in mask_args.options().items() if value}
    options: dict[str, Any] = {**masks, **texts(scene_args.options()), **nested(parameters(param), task)}
    if model is not None:
        options["model"] = str(model)
    with _as_typed():
        orders = read_orders(jobs, task=task, output=output, asset=asset, **texts(options))
        shared: dict[str, Any] = {"ledger": ledger, "jobs": workers, "threads": threads, "memory": memory, "retry_failed": retry_failed, "overwrite": overwrite}
        if dry_run:
            return show_plan(plan_batch(orders, **shared))
        check_pages(orders, ledger, summary, collection, overwrite=overwrite)
        with View(quiet) as view:
            outcome = run_batch(
                orders, timeout=timeout, split_above=_count(split_above), cluster=_cluster(scheduler, cluster, cluster_option), watcher=view, **shared
            )
    _finish(outcome, orders, summary, collection, overwrite, quiet)


def status(
    ledger: Annotated[Path, typer.Argument(help="Ledger of a batch, or the folder that holds it.")],
    summary: _Summary = None,
    collection: _Collection = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that no batch wrote.")] = False,
) -> None:
    """Says how a batch stands, also while it runs; names every failure."""
    from hsikit.batch import read_status

    found = read_status(ledger)
    _sums(found)
    for row in found.failures:
        say(f"failed: {row.name} ({row.task}): {row.error}")
    _pages(found, summary, collection, overwrite, quiet=False)


@contextmanager
def _as_typed() -> Iterator[None]:
    """Names options of this verb as the user writes them; the library knows them as keyword arguments."""
    from hsikit.errors import OptionError

    try:
        yield
    except OptionError as error:
        if error.where not in TYPED:
            raise
        raise OptionError(f"--{error.where.replace('_', '-')}", error.wrong, error.advice) from None


def _cluster(scheduler: str, kind: str, options: list[str] | None) -> Cluster | None:
    """The cluster that was named; None: this machine."""
    from hsikit.batch.cluster import Cluster, read_option

    if not (scheduler or kind or options):
        return None
    return Cluster(scheduler, kind, dict(read_option(text) for text in options or ()))


def _count(text: str | None) -> int | None:
    """A number of pixels, with k, M or G for thousands, millions or milliards.

    Raises:
        OptionError: it is none.
    """
    from hsikit.errors import OptionError

    if text is None:
        return None
    digits, factor = (text[:-1], {"k": 10**3, "M": 10**6, "G": 10**9}[text[-1]]) if text[-1:] in ("k", "M", "G") else (text, 1)
    try:
        return int(float(digits) * factor)
    except (ValueError, OverflowError):
        raise OptionError("split_above", f"{text!r} is no number of pixels", "Write one such as 50M") from None


def texts(options: dict[str, Any]) -> dict[str, Any]:
    """Options with paths as text, as a ledger keeps them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}


def nested(given: dict[str, Any], task: str | None) -> dict[str, Any]:
    """Options of a task as they are; others are the method's."""
    from hsikit.batch.orders import RUNNING, TASKS

    tasks = [TASKS[task]] if task in TASKS else TASKS.values()
    own = {name for options in tasks for name in options} | set(RUNNING)
    of_method = {name: value for name, value in given.items() if name not in own}
    return {**{name: value for name, value in given.items() if name in own}, **({"param": of_method} if of_method else {})}


def _sums(found: Status) -> None:
    from hsikit.batch.summary import duration

    say(f"{found.ledger}: " + ", ".join(f"{count} {state}" for state, count in found.counts.items()))
    if found.done:
        say(f"scenes took {duration(found.seconds)} in all, and up to {found.peak // MIB} MiB")
    if found.holder:
        say(f"{found.holder} is running it")


def _finish(outcome: Outcome, orders: list[Order], summary: Path | None, collection: Path | None, overwrite: bool, quiet: bool) -> None:
    """Says what a run came to, names the failures, and ends with the code that tells it."""
    from hsikit.batch import read_status

    names = {order.output: f"{order.name} ({order.task})" for order in orders}
    for output, error in outcome.failed.items():
        tell(f"failed: {names[output]}: {error}")
    if not quiet:
        say(f"{len(outcome.done)} done, {len(outcome.kept)} were done before, {len(outcome.failed)} failed; ledger {outcome.ledger}")
    _pages(read_status(outcome.ledger), summary, collection, overwrite, quiet)
    if not outcome.finished:
        raise KeyboardInterrupt
    if outcome.failed:
        raise typer.Exit(1)


def _pages(found: Status, summary: Path | None, collection: Path | None, overwrite: bool, quiet: bool) -> None:
    """Writes the page and the collection that were asked for."""
    items = 0
    if summary is not None:
        from hsikit.batch.summary import write_summary

        write_summary(summary, found, overwrite=overwrite)
    if collection is not None and found.done:
        from hsikit.batch.collection import write_collection

        items = write_collection(collection, found, overwrite=overwrite)
        if not quiet:
            say(f"{items} items in {collection}" if items else f"note: no output has a place on the ground, so that {collection} is not written")
    written = [path for path in (summary, collection if found.done and items else None) if path is not None]
    if written and not quiet:
        say("wrote " + ", ".join(map(str, written)))


def show_plan(plan: BatchPlan) -> None:
    """A line for each scene, then the sums."""
    from hsikit.batch.summary import duration

    width = max((len(scene.order.name) for scene in plan.scenes), default=0)
    for scene in plan.scenes:
        head = f"{scene.order.name:<{width}}  {scene.order.task:<12}"
        if scene.error:
            say(f"{head}  cannot be done: {scene.error}")
            continue
        rows, cols = scene.shape
        sizes = f"{rows} x {cols} pixels, {scene.tiles} tiles, reads {size_text(scene.read)}, writes {size_text(scene.written)}"
        say(f"{head}  {sizes}, {scene.memory // MIB} MiB, about {duration(scene.seconds)}")
        for warning in scene.warnings:
            say(f"{'':<{width}}  warning: {warning}")
    good = plan.good
    say(f"{len(plan.scenes)} to do, {len(plan.scenes) - len(good)} of them cannot be done; {plan.kept} done already, {len(plan.failed)} failed before")
    if good:
        reads, writes = (size_text(sum(sizes)) for sizes in ([scene.read for scene in good], [scene.written for scene in good]))
        memory = plan.jobs * max(scene.memory for scene in good) // MIB
        say(f"reads {reads}, writes {writes}; {plan.jobs} workers take up to {memory} MiB and about {duration(plan.seconds)}")
        say("time from " + ", ".join(f"{why} ({task})" for task, why in plan.basis.items()))
    if len(good) < len(plan.scenes):
        raise typer.Exit(1)


def size_text(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / MIB:.1f} MiB"


def add_to(app: typer.Typer) -> None:
    """Adds the verb and what stands below it."""
    group = typer.Typer(help="Maps many scenes with worker processes and a ledger.", cls=WithJobs, no_args_is_help=True)
    group.command(RUN)(run)
    group.command(STATUS)(status)
    app.add_typer(group, name="batch")

"""A run before it begins: its scenes opened, its method bound, its masks and options checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.errors import MemoryPlanError, OptionError
from hsikit.scene import Source
from hsikit.transfer import open_model

if TYPE_CHECKING:
    from hsikit.engine import RunReport
    from hsikit.engine.options import Progress, RunOptions
    from hsikit.method import Job


@dataclass(frozen=True)
class PreparedRun:
    """What the engine is given.

    Attributes:
        job: of the method on these scenes.
        sources: open scenes by role.
        options: for the engine.
        progress: who is told.
    """

    job: Job
    sources: Mapping[str, Source]
    options: RunOptions
    progress: Progress | None

    def write(self, output: str | Path, named: Mapping[str, str | Path] | None = None) -> RunReport:
        """Runs it; where the promised memory is too little, the message says what this process held before it began.

        Args:
            output: the main raster.
            named: paths of further layers, by name.

        Raises:
            HsikitError: as `hsikit.run`.
        """
        from hsikit.engine import run_job
        from hsikit.engine.resources import MIB, resident_bytes

        held = resident_bytes() // MIB
        try:
            paths = {name: Path(path) for name, path in (named or {}).items()}
            return run_job(self.job, self.sources, output, named=paths, options=self.options, progress=self.progress)
        except MemoryPlanError as error:
            raise MemoryPlanError(error.where, f"{error.wrong}, {held} MiB of it held by this process before it began", error.advice) from None


@contextmanager
def prepare_run(method: Any, scene: Any, progress: Progress | None = None, *, bbox: tuple[float, float, float, float] | None = None,
                bbox_crs: str | None = None, mask: Any = None, dilate: int = 0, aoi: str | Path | None = None, memory: int | str | None = None,
                device: str = "cpu", precision: str = "float32", classifier: Mapping[str, Any] | None = None,
                **options: Any) -> Iterator[PreparedRun]:  # fmt: skip
    """Opens, binds and checks; what was opened here is closed at the end.

    Args:
        method: as for `hsikit.run`; so are all that are not said.
        scene: as there.
        progress: told of progress.
        bbox: as there.
        bbox_crs: as there.
        mask: as there.
        dilate: as there.
        aoi: as there.
        memory: as there.
        device: as there.
        precision: as there.
        classifier: what only classifiers can do, by name; see `bind_job`.
        options: further fields of `hsikit.engine.RunOptions`.

    Raises:
        HsikitError: as `hsikit.run`.
    """
    from hsikit.api import opened
    from hsikit.engine import RunOptions
    from hsikit.engine.device import require_device, require_precision
    from hsikit.engine.resources import parse_memory
    from hsikit.geo.bbox import window_of
    from hsikit.sensors.masking import open_masks

    bound = open_model(method, progress)
    inputs = scene if isinstance(scene, Mapping) else {bound.roles[0]: scene}
    if set(inputs) != set(bound.roles):
        raise OptionError(bound.name, f"its inputs are {', '.join(bound.roles)}, not {', '.join(inputs)}", "Give a mapping of these names to scenes")
    with ExitStack() as held:
        sources = {role: held.enter_context(opened(given)) for role, given in inputs.items()}
        job = bind_job(bound, sources, **(classifier or {}))
        info = sources[job.reference].info
        area = window_of(info.grid, bbox, bbox_crs, info.name, info.swath) if bbox else None
        hidden = open_masks(info, mask, dilate, aoi, [source.info for role, source in sources.items() if role != job.reference])
        if hidden is not None:
            held.callback(hidden.close)
            job = replace(job, identity={**job.identity, "masked": hidden.said}, provenance={**job.provenance, "hsikit_masked": hidden.said})
            if progress is not None:
                progress.note(hidden.told(area))
        chosen = RunOptions(
            memory=parse_memory(memory) if isinstance(memory, str) else memory, device=require_device(device),
            precision=require_precision(precision), area=area, mask=hidden, **options,
        )  # fmt: skip
        yield PreparedRun(job, sources, chosen, progress)


def bind_job(method: Any, sources: Mapping[str, Source], *, confidence: bool = False, probabilities: bool = False, smooth: bool = False, sieve: int = 0,
             unknown_below: float = 0.0, refit_statistics: bool = False) -> Job:  # fmt: skip
    """Binds a method; what only classifiers can do is asked of them alone.

    Raises:
        OptionError: something is asked that the method cannot do.
        HsikitError: the scenes do not fit the method.
    """
    infos = {role: source.info for role, source in sources.items()}
    wanted = {"confidence": confidence, "probabilities": probabilities, "log_probabilities": smooth}
    asked = [name for name, on in {**wanted, "sieve": sieve, "unknown_below": unknown_below, "refit_statistics": refit_statistics}.items() if on]
    if not asked:
        return method.bind(infos)  # type: ignore[no-any-return]
    if method.task != "classification":
        raise OptionError(asked[0].replace("_", "-"), f"{method.name} makes no class map", "Leave it out")
    from hsikit.tasks.classification.sieve import sieve as sieved
    from hsikit.tasks.classification.smooth import smooth as smoothed

    options: dict[str, Any] = {"extras": tuple(name for name, on in wanted.items() if on), "unknown_below": unknown_below}
    if refit_statistics:
        options["refit_statistics"] = True
    job = method.with_options(**options).bind(infos)
    job = smoothed(job) if smooth else job
    return sieved(job, sieve) if sieve else job

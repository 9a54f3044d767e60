"""What all stages of one run share: the job, the open scenes, the tiles, the working files, the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hsikit.engine.layerfile import LayerFile
from hsikit.engine.ledger import Ledger
from hsikit.engine.options import Progress, RunOptions
from hsikit.engine.plan import Plan, alignment
from hsikit.engine.state import STATE, is_state
from hsikit.engine.tiling import Tiling, make_tiling
from hsikit.errors import EmptySceneError
from hsikit.geo.grid import Grid, Window
from hsikit.geo.relation import Relation, relate
from hsikit.layers import Features, Layer
from hsikit.method import Job, Loop, Map, Reduce, Stage
from hsikit.scene import Source

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.engine.parts import Parts


@dataclass
class Context:
    """The state of one run.

    Attributes:
        job: what is run.
        sources: open scenes by role.
        relations: of every role but the reference to the reference grid.
        options: the user's.
        plan: tiles and threads.
        folder: where working files lie.
        ledger: what is done.
        progress: who is told.
        begun: whether an earlier run had begun this one.
        store: results of finished stages, on the run's device.
        files: the present version of each layer.
        features: what Finish stages delivered.
        only: tiles to run, where not all are wanted.
        parts: tiles of the first stage that other processes made for this run.
    """

    job: Job
    sources: Mapping[str, Source]
    relations: Mapping[str, Relation]
    options: RunOptions
    plan: Plan
    folder: Path
    ledger: Ledger
    progress: Progress
    begun: bool = False
    store: dict[str, Mapping[str, Tensor]] = field(default_factory=dict)
    files: dict[str, LayerFile] = field(default_factory=dict)
    features: dict[str, Features] = field(default_factory=dict)
    only: frozenset[int] | None = None
    parts: Parts | None = None

    @property
    def grid(self) -> Grid:
        """The reference grid."""
        return self.sources[self.job.reference].info.grid

    @property
    def area(self) -> Window:
        """The part of the reference grid that is run."""
        return self.options.area or self.grid.whole

    def tiling(self, stage: Map | Reduce) -> Tiling:
        """The tiles of a stage."""
        rows, cols = self.plan.tile
        align = alignment(self.job)
        if stage.footprint == "columns":
            return make_tiling(self.area, (self.area.rows + self.area.row % align, max(1, min(cols, rows * cols // self.area.rows))), align)
        return make_tiling(self.area, (rows, cols), align)

    def new_file(self, layer: Layer, key: str, tiling: Tiling) -> LayerFile:
        """A working file for a new version of a layer."""
        name = f"{layer.name}.{key}".replace("/", "_")
        return LayerFile(self.folder / name, layer, self.area, tiling.clipped, tiling.grid)

    def on_device(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Small results where the stages compute."""
        return {key: value.to(self.options.device) for key, value in arrays.items()}

    def nothing_valid(self) -> EmptySceneError:
        """The error of a scene without a single usable pixel."""
        where = self.sources[self.job.reference].info.name
        what = "no valid pixel" + (" in what is left by --bbox and --mask" if self.options.area or self.options.mask else ": all of it is nodata")
        return EmptySceneError(where, what, "Check its nodata value and its bands with `hsikit info`")

    def close(self) -> None:
        """Closes the working files."""
        for file in self.files.values():
            file.close()


def check_job(job: Job) -> None:
    """Refuses a job whose stages or layers do not have names of their own, or that of the engine's layer: a mistake in a Method.

    Raises:
        ValueError: a name stands twice.
    """
    names = [stage.name for stage in _opened(job.stages)]
    layers = [layer.name for layer in job.layers if not is_state(layer)] + [STATE.name, *job.inputs]
    for kind, found in (("stage", names), ("layer or role", layers)):
        twice = {name for name in found if found.count(name) > 1}
        if twice:
            raise ValueError(f"{job.method}: the name of a {kind} stands twice: {', '.join(sorted(twice))}")


def _opened(stages: tuple[Stage, ...]) -> list[Stage]:
    """All stages, those of loops too."""
    return [found for stage in stages for found in ((stage, *_opened(stage.stages)) if isinstance(stage, Loop) else (stage,))]


def relations_of(job: Job, sources: Mapping[str, Source]) -> dict[str, Relation]:
    """How the grid of every other role lies on the reference grid."""
    reference = sources[job.reference].info
    return {
        role: relate(reference.grid, source.info.grid, names=(reference.name, source.info.name)) for role, source in sources.items() if role != job.reference
    }

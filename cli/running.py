"""What the verbs that run a method share: outputs checked first, scenes opened, a bar, what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Bar, say, tell, wrote
from .options import MaskArgs, RunArgs, SceneArgs

if TYPE_CHECKING:
    from hsikit.engine import RunReport


def map_scene(make: Callable[[], Any], inputs: Mapping[str, tuple[list[str], dict[str, Any]]], output: Path, run_args: RunArgs,
              mask_args: MaskArgs, scene_args: SceneArgs, **options: Any) -> RunReport:  # fmt: skip
    """Runs a method on scenes, and says what was written.

    Args:
        make: gives the method.
        inputs: by role, paths and further reading options.
        output: the main raster.
        run_args: the user's options of the run.
        mask_args: what is hidden.
        scene_args: of reading the scene; a panchromatic image has its own.
        options: further arguments of `hsikit.run`.
    """
    import hsikit
    from hsikit.api import require_new, source_of
    from hsikit.engine.ledger import COMMITTING, work_folder
    from hsikit.engine.resources import limit_gdal_cache

    # A run that was killed while its outputs took their names may have put this one there; the same command finishes it.
    require_new(output, run_args.overwrite or (work_folder(output) / COMMITTING).exists())
    limit_gdal_cache(run_args.memory)
    method = make()
    sources = {}
    for role, (paths, reading) in inputs.items():
        shared = {} if role == "pan" else scene_args.options()
        sources[role] = source_of(paths[0] if len(paths) == 1 else paths, **shared, **reading)
        if not run_args.quiet:
            for notice in sources[role].info.notices:
                tell(f"note: {notice}")
    with Bar(run_args.quiet) as bar:
        report = hsikit.run(method, sources, output, progress=bar, **run_args.options(), **mask_args.options(), **options)
    if not run_args.quiet:
        _areas(method, report)
        _clusters(report)
        _hits(report)
    wrote(report.files, run_args.quiet)
    return report


def _hits(report: Any) -> None:
    """How many hits there are, and above which score."""
    found = report.store.get("hits")
    if found is not None:
        law = f" (a Gaussian background would have {float(found['chi_square_threshold']):.6g})" if "chi_square_threshold" in found else ""
        say(f"{int(found['hits'])} hits above a score of {float(found['threshold']):.6g}{law}")


def _clusters(report: Any) -> None:
    """How many clusters of the scene stood, where these are its background."""
    found = [stage["standing"] for stage in report.store.values() if "standing" in stage]
    if found:
        asked = len(report.store["clusters"]["centres"])
        say(f"{int(found[-1])} of {asked} clusters stand as backgrounds; smaller ones have joined them")


def _areas(method: Any, report: Any) -> None:
    """Pixels and hectares of each class."""
    legend = getattr(method, "legend", None)
    if legend is None or "map" not in report.areas:
        return
    width = max(len(entry.name) for entry in legend.classes)
    for entry in legend.classes:
        pixels, hectares = report.areas["map"].get(entry.code, (0, 0.0))
        say(f"{entry.name:<{width}}  {pixels:>9} pixels" + ("" if hectares is None else f"  {hectares:>12.1f} ha"))

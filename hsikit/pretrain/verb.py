"""`hsikit.pretrain`: the pretraining as users call it, from paths and names of sensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.errors import OptionError

if TYPE_CHECKING:
    from hsikit.pretrain.windows import Supply
    from hsikit.scene import Source
    from hsikit.sensors.masking import Masks

LIMITS = "Learned without labels from the scenes named here; what it was not shown (other surfaces, other wavelengths, clouds) it may not tell apart."


def pretrain(
    scenes: Any, output: str | Path, *, simulate: str | Iterable[str] = (), minutes: float | None = None, device: str = "auto", licence: str = "",
    workspace: Path | None = None, progress: Any = None, mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None, **options: Any,
) -> Path:  # fmt: skip
    """Pretrains an encoder of any sensor without labels, on windows of many scenes, and writes its base folder.

    Example:
        >>> hsikit.pretrain(["a.tif", "b.tif"], "base/", simulate=["enmap", "prisma"], minutes=30)
        >>> model = hsikit.train("encoder", cube, "fields.gpkg", class_field="crop", base="base/")

    Args:
        scenes: a path, a cube, an open `Source`, or a list of them; of any sensors; may be empty beside `simulate`.
        output: the base folder; must not exist.
        simulate: sensors of `hsikit sensors`: for each, scenes are simulated as they are needed, and seen by it.
        minutes: trains about so long instead of `steps`.
        device: "auto" (CUDA where it is there), "cpu", "cuda" or "cuda:1".
        licence: of the base, kept in its folder.
        workspace: folder for snapshots; beside the output unless told. The same call after a kill goes on from there.
        progress: told of progress, and of the share of each scene that is masked.
        mask: what is not learned from, in every scene: quality flags, rasters, polygons; see `hsikit.run`.
        dilate: pixels by which all that is grown.
        aoi: polygons; nothing outside is learned from.
        **options: attributes of `hsikit.pretrain.recipe.Recipe`: `preset`, `adapter`, `objective`, `sensors` ("random" or "off"), `steps`, `window`,
            `lr`, `seed` and others.

    Returns:
        The folder.

    Raises:
        OptionError: an option that does not exist or is out of range, a mask that cannot be had, or nothing to learn from.
        OutputError: the folder exists, or something could not be written.
        SceneError: a scene is missing or damaged, or has no window with data.
        WavelengthError: a scene has fewer than four good bands between 380 and 2520 nm.
        RunError: the workspace holds another run.
    """
    from hsikit.pretrain.recipe import Recipe, known_options
    from hsikit.pretrain.run import pretrain as run
    from hsikit.pretrain.windows import SceneSupply
    from hsikit.sensors.masking import MaskedSource, open_masks
    from hsikit.tasks.telling import teller

    for name in sorted(set(options) - known_options()):
        raise OptionError(name, "is no option of a pretraining", f"There are {', '.join(sorted(known_options()))}")
    recipe = Recipe(**options)
    given = list(scenes) if isinstance(scenes, list | tuple) else [scenes]
    tell, masked = teller(progress, "pretraining"), list[str]()
    with ExitStack() as opened:
        supplies: list[Supply] = []
        for scene in given:
            source, ours = _source_of(scene)
            if ours:
                opened.callback(source.close)
            if (hidden := open_masks(source.info, mask, dilate, aoi)) is not None:
                opened.callback(hidden.close)
                source = MaskedSource(source, hidden)
                tell(0, 0, f"note: {source.info.name}: {hidden.told()}")
                masked.append(hidden.said)
            supplies.append(SceneSupply(source))
        if not given and (mask or dilate or aoi):
            raise OptionError("--mask", "there is no scene to hide anything of", "Name scenes, or leave --mask, --dilate and --aoi out")
        supplies += simulated_supplies([simulate] if isinstance(simulate, str) else list(simulate))
        about = {"licence": licence, "limits": LIMITS, **({"masked": masked} if masked else {})}
        return run(supplies, recipe, Path(output), about=about, minutes=minutes, device=device, workspace=workspace, tell=tell)


def simulated_supplies(sensors: Sequence[str]) -> list[Supply]:
    """Simulations seen by each of some sensors.

    Raises:
        OptionError: a sensor is not known, or sees too little between 380 and 2520 nm.
    """
    from hsikit.pretrain.windows import FEWEST, FIRST, LAST, SimulatedSupply
    from hsikit.sensors.catalogue import known_sensor
    from hsikit.simulate.library import sensor_bands

    found: list[Supply] = []
    for sensor in sensors:
        name = known_sensor(sensor)
        wavelength, fwhm = sensor_bands(name)
        inside = (wavelength >= FIRST) & (wavelength <= LAST)
        if inside.sum() < FEWEST:
            raise OptionError("simulate", f"{name} has {inside.sum()} bands in {FIRST:g} to {LAST:g} nm, and {FEWEST} are needed", "Name another sensor")
        found.append(SimulatedSupply(name, wavelength[inside], fwhm[inside]))
    return found


def _source_of(scene: Any) -> tuple[Source, bool]:
    """Any form of a scene as a source, and whether it was opened here."""
    from hsikit.sensors import open_source

    if isinstance(scene, str | Path):
        return open_source(scene), True
    if hasattr(scene, "read") and hasattr(scene, "info"):
        return scene, False
    from hsikit.cube import from_cube

    return from_cube(scene), False

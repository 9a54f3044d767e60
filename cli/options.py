"""Options that several verbs share, each group a dataclass; `grouped` spreads its fields out as options of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from hsikit.scene import Source

SCENE, RUN, MASKS, LABELS, SPLIT = "Reading the scene", "The run", "What is hidden", "Labels", "The split"


def _option(help_: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help_, rich_help_panel=panel, show_default=False, metavar=metavar)


Params = Annotated[list[str] | None, typer.Option("--param", "-p", help="Option of the method, such as components=40; repeated.", show_default=False)]


@dataclass
class SceneArgs:
    """How a scene is read where its file says nothing, or the wrong thing."""

    sensor: Annotated[str | None, _option("Sensor whose band centres the file lacks (see `hsikit sensors`).", SCENE)] = None
    wavelengths: Annotated[Path | None, _option("CSV file of band centres (columns wavelength, fwhm, good, name).", SCENE)] = None
    scale: Annotated[float | None, _option("Factor from stored to physical values.", SCENE)] = None
    offset: Annotated[float | None, _option("Added after the factor.", SCENE)] = None
    nodata: Annotated[float | None, _option("Stored value of missing pixels.", SCENE)] = None
    quantity: Annotated[str | None, _option("radiance, toa_reflectance, surface_reflectance, rrs, brightness_temperature, or dn.", SCENE)] = None
    variable: Annotated[str | None, _option("Which array of a container with several.", SCENE)] = None
    resolution: Annotated[float | None, _option("Side of a pixel (m) for products that deliver several grids.", SCENE, "--res", metavar="METRES")] = None
    detector_overlap: Annotated[str | None, _option("Where two detectors see the same wavelengths: average, vnir, swir, or keep.", SCENE)] = None
    dem: Annotated[Path | None, _option("Heights above the ellipsoid (m), for scenes placed by rational polynomials.", SCENE)] = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.open_scene`."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def opened(self, scene: str | list[str]) -> Source:
        """The scene, or several tiles as one, open.

        Raises:
            SceneError: it cannot be opened.
            OptionError: an option makes no sense.
        """
        from hsikit.api import source_of

        return source_of(scene, **self.options())


@dataclass
class RunArgs:
    """How a scene is processed."""

    tile: Annotated[int | None, _option("Rows and columns of a tile, without its halo.", RUN)] = None
    memory: Annotated[str | None, _option("Peak memory of the whole process, such as 700M or 4G; half of what is available.", RUN)] = None
    threads: Annotated[int | None, _option("Compute threads; all cores.", RUN)] = None
    device: Annotated[str, _option("cpu, cuda, or cuda:1.", RUN)] = "cpu"
    precision: Annotated[str, _option("float32, or bf16 for networks.", RUN)] = "float32"
    bbox: Annotated[tuple[float, float, float, float] | None, _option("Only this part: left bottom right top.", RUN, metavar="LEFT BOTTOM RIGHT TOP")] = None
    bbox_crs: Annotated[str | None, _option("CRS of --bbox; the scene's.", RUN, metavar="EPSG:N")] = None
    grid: Annotated[str, _option("Where results of a swath lie: on the map, or on the sensor's own grid.", RUN, metavar="map|sensor")] = "map"
    overwrite: Annotated[bool, _option("Replace an output that exists.", RUN, "--overwrite")] = False
    restart: Annotated[bool, _option("Drop the unfinished part of an earlier run.", RUN, "--restart")] = False
    quiet: Annotated[bool, _option("Say nothing but errors.", RUN, "--quiet", "-q")] = False

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.run`."""
        return {name: value for name, value in asdict(self).items() if name != "quiet"}


@dataclass
class MaskArgs:
    """What is hidden of a scene."""

    mask: Annotated[list[str] | None, _option("Quality flags (cloud,shadow), a raster (non-zero), or polygons; repeated.", MASKS)] = None
    dilate: Annotated[int, _option("Pixels by which all masks are grown.", MASKS)] = 0
    aoi: Annotated[Path | None, _option("Polygons; what lies outside is hidden.", MASKS)] = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.run`, `hsikit.train` and `hsikit.read_labels`."""
        return asdict(self)


@dataclass
class LabelArgs:
    """How labels are read."""

    class_field: Annotated[str | None, _option("Field of the class: names, or codes 1 to 250.", LABELS)] = None
    crosswalk: Annotated[Path | None, _option("CSV file (from, to, name, colour) that renames or joins classes.", LABELS)] = None
    ignore: Annotated[list[str] | None, _option("Class that is no class; may be repeated. 0 always is none.", LABELS)] = None
    buffer: Annotated[float, _option("Metres by which polygons are shrunk.", LABELS)] = 0.0
    min_coverage: Annotated[float, _option("Share of a pixel that a polygon must cover.", LABELS)] = 0.5
    all_touched: Annotated[bool, _option("Take every pixel that a polygon touches.", LABELS, "--all-touched")] = False
    group_field: Annotated[str | None, _option("Field (plot, flight line) that no split may cut.", LABELS)] = None
    test_labels: Annotated[str | None, _option("Labels to test on, read like --labels, for --split fixed.", LABELS)] = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `hsikit.read_labels`."""
        found = {name: value for name, value in asdict(self).items() if name != "ignore"}
        return {**found, "ignore": (0, *(int(v) if v.lstrip("-").isdigit() else v for v in self.ignore or ()))}


@dataclass
class SplitArgs:
    """How labels are split into training and test."""

    guard: Annotated[int | None, _option("Pixels between training and test.", SPLIT)] = None
    block: Annotated[int | None, _option("Side of the blocks, in pixels.", SPLIT)] = None
    test_share: Annotated[float | None, _option("Share of each class to test on.", SPLIT)] = None
    per_class: Annotated[int | None, _option("Training pixels of each class, at most.", SPLIT)] = None
    folds: Annotated[int | None, _option("Folds of leave-polygon-out.", SPLIT)] = None
    allow_lost_classes: Annotated[bool, _option("Accept a split that loses a class.", SPLIT, "--allow-lost-classes")] = False

    def options(self) -> dict[str, Any]:
        """Arguments of `hsikit.train.splits.make_split`."""
        found = {name: value for name, value in asdict(self).items() if value is not None and name != "allow_lost_classes"}
        return {**found, **({"allow_lost": True} if self.allow_lost_classes else {})}


def parameters(pairs: list[str] | None, own: Collection[str] = ()) -> dict[str, Any]:
    """Options of a method: name=value, where a value is a number, true, false, or text.

    Args:
        pairs: as the user wrote them.
        own: names that the command itself has.

    Raises:
        OptionError: not of that form, or a name of the command's own.
    """
    from hsikit.errors import OptionError

    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise OptionError("--param", f"'{pair}' is not name=value", "Write it like components=40")
        key = name.replace("-", "_")
        if key in own:
            raise OptionError("--param", f"'{name}' is no option of the method but of the command", f"See --help: --{name.replace('_', '-')}, where it has it")
        found[key] = _value(text)
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter whose type is a dataclass of options by the dataclass's fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    spread: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and is_dataclass(kind):
            groups[name] = kind
            types = get_type_hints(kind, include_extras=True)
            for field in fields(kind):
                default = field.default if field.default is not MISSING else inspect.Parameter.empty
                spread.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[field.name]))
        else:
            spread.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        own = {name: kind(**{field.name: values.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()}
        command(**values, **own)

    gathered.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    return gathered

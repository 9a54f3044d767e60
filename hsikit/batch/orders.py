"""What a batch is to do: one `Order` for each scene and task, with the options that a task has and their types.

The command line, a CSV file and a TOML file all end here, so that one mistake has one message.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hsikit.errors import OptionError
from hsikit.geo.remote import place_of, set_aside, signatures_of

Kind = type[bool] | type[int] | type[float] | type[str] | str
"""Type of an option; "texts": one or several texts, "numbers": four numbers, "ranges": pairs of numbers, "table": options of a method by name."""

READING: dict[str, Kind] = {
    "sensor": str, "wavelengths": str, "scale": float, "offset": float, "nodata": float, "quantity": str, "variable": str, "resolution": float,
    "detector_overlap": str, "dem": str,
}  # fmt: skip
RUNNING: dict[str, Kind] = {
    "mask": "texts", "dilate": int, "aoi": str, "tile": int, "bbox": "numbers", "bbox_crs": str, "grid": str, "device": str, "precision": str,
}  # fmt: skip
TASKS: dict[str, dict[str, Kind]] = {
    "classify": {
        "model": str, "confidence": bool, "probabilities": bool, "smooth": bool, "sieve": int, "unknown_below": float, "refit_statistics": bool,
    },
    "anomaly": {"method": str, "pfa": float, "hits": str, "param": "table"},
    "detect": {"target": str, "name": "texts", "method": str, "model": str, "pfa": float, "hits": str, "param": "table"},
    "minerals": {"library": str, "name": "texts", "features": str, "noise": float, "param": "table"},
    "gas": {"absorption": str, "method": str, "window": "ranges", "sun_zenith": float, "view_zenith": float, "water": float},
    "superresolve": {"method": str, "zoom": int, "param": "table"},
}  # fmt: skip
"""Tasks that a batch can do, and their own options."""
OF_CLASSIFIER = ("confidence", "probabilities", "smooth", "sieve", "unknown_below", "refit_statistics")
"""Options that only classifiers have."""
METHODS = {"anomaly": "rx", "detect": "matched-filter", "gas": "mag1c", "superresolve": "bicubic"}
"""The method of a task where none is named."""
NEEDED = {
    "classify": (("model",), "a model", "Give --model, or model = in the table [classify]"),
    "detect": (("target", "model"), "a target or a model", "Give a library as -p target=spectra.sli, or a model of `hsikit train-objects`"),
    "minerals": (("library",), "a library", "Give one as -p library=minerals.sli, or library = in the table [minerals]"),
    "gas": (("absorption",), "a table of its absorption", "Give it as -p absorption=methane.csv, or absorption = in the table [gas]"),
}
"""What a task must be given one of, in words, and how."""
FILES = ("model", "wavelengths", "dem", "aoi", "target", "library", "features", "absorption")
"""Options that name a file or folder which the result follows from; so may each mask."""
FIELDS = ("stem", "parent", "task")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Order:
    """One scene and what is to be done with it. Signatures of addresses are set aside: none stands in any text of it.

    Attributes:
        scene: the scene; or several tiles on one grid.
        task: a key of `TASKS`.
        output: the main raster, absolute.
        options: of `READING`, `RUNNING` and the task, checked.
    """

    scene: tuple[str, ...]
    task: str
    output: Path
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "scene", tuple(set_aside(part) for part in self.scene))
        object.__setattr__(self, "options", _each_text(self.options, set_aside))

    @property
    def signatures(self) -> dict[str, str]:
        """What opens its signed addresses, for the process that does it: never to be shown or written."""
        return signatures_of(_texts([self.scene, self.options]))

    @property
    def name(self) -> str:
        """The scene as people call it."""
        return self.scene[0] if len(self.scene) == 1 else f"{self.scene[0]} and {len(self.scene) - 1} more"

    @property
    def absolute(self) -> Self:
        """The same with absolute paths, for a worker that starts elsewhere."""
        scene = tuple(str(place_of(part).absolute()) for part in self.scene)
        options = {name: str(place_of(value).absolute()) if name in FILES else value for name, value in self.options.items()}
        if "mask" in options:
            options["mask"] = [str(place_of(text).absolute()) if place_of(text).exists() else text for text in options["mask"]]
        return replace(self, scene=scene, options=options)

    @property
    def inputs(self) -> list[Path]:
        """Files and folders, absolute, that the result follows from, as far as the order names them."""
        own = self.absolute
        named = [*own.scene, *(own.options[name] for name in FILES if name in own.options)]
        masks = [place_of(text) for text in own.options.get("mask", ())]
        return [*(place_of(text) for text in named), *(mask for mask in masks if mask.exists())]

    @property
    def key(self) -> str:
        """A hash of the work: the same wherever the command is typed."""
        own = self.absolute
        return hashlib.sha256(json.dumps([list(own.scene), self.task, own.options], sort_keys=True).encode()).hexdigest()

    def part(self, names: Mapping[str, Kind]) -> dict[str, Any]:
        """Those of the options that have these names."""
        return {name: value for name, value in self.options.items() if name in names}

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"scene": list(self.scene), "task": self.task, "output": str(self.output), "options": dict(self.options)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(tuple(facts["scene"]), facts["task"], place_of(facts["output"]), facts["options"])


def make_order(scene: Sequence[str], task: str, pattern: str, options: Mapping[str, Any], where: str) -> Order:
    """Checks one order.

    Args:
        scene: its path, or those of its tiles.
        task: a key of `TASKS`.
        pattern: of the output; see `output_path`.
        options: by name; values of the right type, or text.
        where: what messages name: a line of a file, or the command.

    Raises:
        OptionError: an unknown task or option, a value of another type, no model, no output.
    """
    if any("\0" in text for text in _texts([scene, task, pattern, options])):
        raise OptionError(where, "a text of it holds a NUL character", "Remove it: no file can be called so")
    if task not in TASKS:
        raise OptionError(where, f"'{task}' is no task of a batch", f"Its tasks are {', '.join(TASKS)}")
    known = {**READING, **RUNNING, **TASKS[task]}
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            shown = next(iter(value), name) if name == "param" and isinstance(value, Mapping) else name
            raise OptionError(where, f"{task} has no option '{shown}' in a batch", f"It has {', '.join(known)}")
        checked[name] = _typed(value, known[name], f"{where}: {name}")
    if task in NEEDED:
        names, words, advice = NEEDED[task]
        given = [name for name in names if name in checked]
        if len(given) != 1:
            raise OptionError(where, f"{task} needs {words}{', not both' if given else ''}", advice)
    output = output_path(pattern, scene[0], task, where)
    if "hits" in checked:
        checked["hits"] = str(output_path(checked["hits"], scene[0], task, f"{where}: hits"))
    return Order(tuple(scene), task, output, checked)


def method_options(text: str, where: str) -> dict[str, Any]:
    """Options of a method as one text: name=value, separated by spaces or `;`; a value is a number, true, false, or text.

    Raises:
        OptionError: a part is not of that form.
    """
    found: dict[str, Any] = {}
    for part in text.replace(";", " ").split():
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise OptionError(where, f"'{part}' is not name=value", "Write it like components=40; several are separated by spaces or ';'")
        typed = (_scalar(value, kind) for kind in (bool, int, float))
        found[name.replace("-", "_")] = next((one for one in typed if one is not None), value)
    return found


def output_path(pattern: str, scene: str, task: str, where: str) -> Path:
    """The output of a scene, absolute: `{stem}`, `{parent}` and `{task}` filled in; a folder stands for FOLDER/{stem}.tif.

    Raises:
        OptionError: an unknown field, or no pattern.
    """
    if not pattern:
        raise OptionError(where, "there is no output", "Give --output maps/{stem}.tif, or an output of its own")
    if pattern.endswith("/") or (not place_of(pattern).suffix and "{" not in pattern):
        pattern = f"{pattern.rstrip('/')}/{{stem}}.tif"
    path = place_of(scene).absolute()
    values = {"stem": path.stem.removesuffix(".tar"), "parent": path.parent.name, "task": task}
    unknown = [name for name in _PLACEHOLDER.findall(pattern) if name not in values]
    if unknown:
        raise OptionError(where, f"the output has no field {{{unknown[0]}}}", f"Its fields are {', '.join(f'{{{name}}}' for name in FIELDS)}")
    return place_of(_PLACEHOLDER.sub(lambda match: values[match[1]], pattern)).absolute()


def require_distinct(orders: Sequence[Order]) -> None:
    """Refuses orders that would write one file, or read what another writes.

    Raises:
        OptionError: two do.
    """
    outputs = {order.output for order in orders}
    for order in orders:
        if any(place_of(part).absolute() in outputs for part in order.scene):
            raise OptionError("output", f"{order.name} is a scene and an output of this batch", "Write into another folder")
    seen: dict[Path, Order] = {}
    for order in orders:
        for path in (order.output, *([place_of(order.options["hits"])] if "hits" in order.options else [])):
            if path in seen:
                advice = "Put {stem}, {parent} or {task} into the output, or give one of them an output of its own"
                raise OptionError("output", f"{seen[path].name} ({seen[path].task}) and {order.name} ({order.task}) would both write {path}", advice)
            seen[path] = order


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A value as JSON has it, with each text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each_text(part, change) for name, part in value.items()}
    return [_each_text(part, change) for part in value] if isinstance(value, list | tuple) else value


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value as JSON has it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _typed(value: Any, kind: Kind, where: str) -> Any:
    """A value of an option's type; text is read as that type.

    Raises:
        OptionError: it is of another.
    """
    if kind == "texts":
        found = [value] if isinstance(value, str) else value
        if isinstance(found, list | tuple) and all(isinstance(part, str) for part in found):
            return [part.strip() for text in found for part in text.split(";") if part.strip()]
    elif kind == "numbers":
        parts = value.split() if isinstance(value, str) else value
        if isinstance(parts, list | tuple) and len(parts) == 4:
            return [_typed(part, float, where) for part in parts]
    elif kind == "ranges":
        pairs = [part.split(",") for part in value.split(";")] if isinstance(value, str) else value
        if isinstance(pairs, list | tuple) and pairs and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            return [[_typed(part, float, where) for part in pair] for pair in pairs]
    elif kind == "table":
        if isinstance(value, Mapping):
            return dict(value)
    else:
        found = _scalar(value, kind)
        if found is not None:
            return found
    raise OptionError(where, f"{value!r} is {_WANTED[kind]}", "See docs/batch.md for the options of a batch")


_WANTED: dict[Kind, str] = {
    bool: "neither true nor false", int: "no whole number", float: "no number", str: "no text", "texts": "no text, and no list of texts",
    "numbers": "not four numbers", "ranges": "no pairs of numbers, such as 2122,2488", "table": "no table",
}  # fmt: skip


def _scalar(value: Any, kind: Kind) -> bool | int | float | str | None:
    """A truth, number or text; None where it is none."""
    if kind is bool:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if kind is str:
        return str(value) if isinstance(value, str | Path) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(str(value)) if kind is int else float(value)
    except ValueError:
        return None

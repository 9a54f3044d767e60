"""Lists of scenes as users write them: patterns, CSV, TOML and YAML files, STAC item collections; each becomes orders."""

from __future__ import annotations

import csv
import fnmatch
import glob
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsikit.batch.item_lists import scenes_in
from hsikit.batch.orders import READING, RUNNING, TASKS, Order, make_order, method_options, require_distinct
from hsikit.errors import OptionError
from hsikit.geo.remote import RemotePath, place_of, set_aside

TABLES = (".toml", ".yaml", ".yml")
"""Endings of lists that name their tasks themselves."""
ITEMS = (".json", ".geojson")
LISTS = (*TABLES, ".csv", *ITEMS)
_SHARED = {**READING, **RUNNING}


def read_orders(jobs: Sequence[str | Path], *, task: str | None = None, output: str = "", asset: str | None = None, **options: Any) -> list[Order]:
    """The orders of a batch.

    Example:
        >>> read_orders(["scenes/*.tif"], model="model", output="maps/{stem}.tif")
        >>> read_orders(["jobs.toml"])

    Args:
        jobs: scenes and patterns; or one list: TOML, YAML, CSV, or a STAC item collection (.json). Paths are relative to the working
            folder; those in a collection, to its file.
        task: a key of `hsikit.batch.orders.TASKS`; None: "classify". Not with a TOML or YAML file, whose tables say it.
        output: pattern of the outputs, see `hsikit.batch.orders.output_path`.
        asset: name of the asset of each STAC item that is the scene; None: the one asset with the role "data" or "reflectance".
        **options: of the task, for all scenes; what a line of a file says of its scene wins.

    Raises:
        OptionError: a list that cannot be read, no scenes, unknown tasks or options, two scenes with one output.
    """
    lists = [Path(job) for job in jobs if Path(job).suffix.lower() in LISTS]
    given = {name: value for name, value in options.items() if value is not None}
    if lists and len(jobs) > 1:
        raise OptionError(lists[0], "a list of scenes stands beside other scenes", "Give one list, or scenes alone")
    kind = lists[0].suffix.lower() if lists else ""
    if asset is not None and kind not in ITEMS:
        raise OptionError("asset", "only a STAC item collection has assets", "Leave it out, or give the collection (.json)")
    if kind in TABLES:
        if task is not None:
            raise OptionError("task", "such a file says its tasks by its tables", "Leave --task out, and write a table such as [classify]")
        orders = _from_tables(lists[0], output, given)
    elif kind in ITEMS:
        scenes = scenes_in(lists[0], asset)
        orders = [make_order([scene], task or "classify", output, given, str(lists[0])) for scene in dict.fromkeys(scenes)]
    elif lists:
        orders = list(_from_csv(lists[0], task or "classify", output, given))
    else:
        scenes = [path for job in jobs for path in _matching(str(job), "JOBS")]
        orders = [make_order([scene], task or "classify", output, given, "the command") for scene in dict.fromkeys(scenes)]
        for job in jobs:
            _require_outside(str(job), orders)
    if not orders:
        raise OptionError(", ".join(map(str, jobs)) or "JOBS", "there are no scenes in it", "Name scenes, a pattern, or a list of them")
    require_distinct(orders)
    return orders


def _require_outside(pattern: str, orders: Sequence[Order]) -> None:
    """Refuses outputs that the pattern of the scenes would find in the next run.

    Raises:
        OptionError: there is one.
    """
    wanted = place_of(pattern).absolute()
    for order in orders:
        pairs = zip(order.output.parts, wanted.parts, strict=False)
        deep = "**" in pattern and fnmatch.fnmatchcase(str(order.output), str(wanted).replace("**/", "*"))
        if deep or (len(order.output.parts) == len(wanted.parts) and all(fnmatch.fnmatchcase(*pair) for pair in pairs)):
            raise OptionError("output", f"{order.output} would be one of the scenes {set_aside(pattern)} in the next run", "Write into another folder")


def _matching(pattern: str, where: str | Path) -> list[str]:
    """The paths of a pattern, sorted; a path without one stands for itself, whether it exists or not: a missing scene fails by itself.

    Raises:
        OptionError: a pattern that nothing matches, or that is no text of a path.
    """
    if "\0" in pattern:
        raise OptionError(where, "a pattern holds a NUL character", "Remove it: no file can be called so")
    place, pattern = place_of(pattern), set_aside(pattern)
    if not glob.has_magic(pattern) or place.exists():
        return [pattern]
    found = sorted(str(path) for path in place.parent.glob(place.name)) if isinstance(place, RemotePath) else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not found:
        raise OptionError(where, f"nothing is called like {pattern}", "Check the pattern and the working folder")
    return found


def _from_csv(path: Path, task: str, output: str, given: Mapping[str, Any]) -> Iterator[Order]:
    """Orders of a CSV file: columns scene, output, task and options."""
    with _reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        columns = [name.strip() for name in lines.fieldnames or ()]
        rows = [(lines.line_num, row) for row in lines]
    known = {"scene", "output", "task", *_SHARED, *(name for own in TASKS.values() for name in own)}
    wrong = [name for name in columns if name not in known]
    if "scene" not in columns or wrong or len(set(columns)) < len(columns):
        none = f"it has no column 'scene', but {', '.join(columns) or 'nothing'}"
        fault = none if "scene" not in columns else f"'{wrong[0]}' is no column of it" if wrong else "a column stands twice"
        raise OptionError(path, fault, f"Its columns are {', '.join(sorted(known))}, each once")
    for number, row in rows:
        where = f"{path}, line {number}"
        if None in row or None in row.values():
            raise OptionError(where, f"it has not the {len(columns)} cells of the first line", "Put cells that hold a comma into quotes")
        cells: dict[str, Any] = {name.strip(): text.strip() for name, text in row.items() if text.strip()}
        scene = [part.strip() for part in cells.pop("scene", "").split(";") if part.strip()]
        if not scene:
            raise OptionError(where, "it names no scene", "Fill in the column 'scene', or remove the line")
        chosen, pattern = cells.pop("task", task), cells.pop("output", output)
        if "param" in cells:
            cells["param"] = method_options(cells["param"], f"{where}: param")
        yield make_order(scene, chosen, pattern, _over(given, cells), where)


def _over(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Options of several places, of which a later one wins; also of each option of the method."""
    found: dict[str, Any] = {}
    for layer in layers:
        before, above = found.get("param"), layer.get("param")
        found |= layer
        if isinstance(before, Mapping) and isinstance(above, Mapping):
            found["param"] = {**before, **above}
    return found


def _document(path: Path) -> dict[str, Any]:
    """A TOML or YAML file. YAML is read safely: plain values alone, no objects.

    Raises:
        OptionError: it cannot be read, or is no table.
    """
    with _reading(path):
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            return tomllib.loads(text)
        import yaml

        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
            raise OptionError(path, f"it is not YAML ({' '.join(str(error).split())})", "docs/batch.md shows how it is written") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise OptionError(path, "it is no table of names and values", "docs/batch.md shows how it is written")
    return found


def _from_tables(path: Path, output: str, given: Mapping[str, Any]) -> list[Order]:
    """Orders of a TOML or YAML file: shared options, a table for each task, scenes with options of their own."""
    document = _document(path)
    patterns, lines = document.pop("scenes", []), document.pop("scene", [])
    tables = {name: document.pop(name) for name in list(document) if isinstance(document[name], dict)}
    _check_tables(path, patterns, lines, tables, document)
    shared = {name: value for name, value in document.items() if name != "output"}
    own: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in lines:
        own.setdefault(tuple(_paths(path, line)), []).append(line)
        if line.get("task") not in (None, *tables):
            raise OptionError(path, f"a [[scene]] is for the task {line['task']!r}, which has no table", "Write that table, or leave its task out")
    orders: list[Order] = []
    listed = dict.fromkeys([*((scene,) for pattern in patterns for scene in _matching(pattern, path)), *own])
    for scene in listed:
        for line in own.get(scene, [{}]):
            for task in (task for task in tables if line.get("task", task) == task):
                layers = _over(shared, tables[task], given, line)
                pattern = line.get("output") or output or layers.get("output", "") or document.get("output", "")
                options = {name: value for name, value in layers.items() if name not in ("path", "task", "output")}
                orders.append(make_order(scene, task, pattern, options, str(path)))
    for wanted in patterns:
        _require_outside(wanted, orders)
    return orders


def _check_tables(path: Path, patterns: Any, lines: Any, tables: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
    """Refuses what is no list of scenes and tasks.

    Raises:
        OptionError: it says where.
    """
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise OptionError(path, "'scenes' is no list of patterns", 'Write it like scenes = ["granules/*.tif"]')
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise OptionError(path, "'scene' is no list of tables", 'Write [[scene]], and below it path = "granules/b.tif"')
    unknown = [name for name in tables if name not in TASKS]
    if unknown or not tables:
        fault = f"[{unknown[0]}] is no task of a batch" if unknown else "it has no task"
        raise OptionError(path, fault, f"Write a table for each task: {', '.join(f'[{task}]' for task in TASKS)}")
    odd = [name for name in shared if name not in ("output", *_SHARED)]
    if odd:
        raise OptionError(path, f"'{odd[0]}' is no option that all tasks share", f"Those are output, {', '.join(_SHARED)}; others belong into a task's table")
    for name, table in (("", shared), *tables.items(), *(("scene", line) for line in lines)):
        if not isinstance(table.get("output", ""), str):
            raise OptionError(path, f"the output of {f'[{name}]' if name else 'all tasks'} is no text", 'Write it like output = "maps/{stem}.tif"')


def _paths(path: Path, line: Mapping[str, Any]) -> list[str]:
    """The scene of a [[scene]]: its path, or the paths of its tiles."""
    found = line.get("path")
    parts = [found] if isinstance(found, str) else found
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) and part for part in parts):
        raise OptionError(path, "a [[scene]] has no path", 'Write it like path = "granules/b.tif", or as a list of tiles')
    return [set_aside(part) for part in parts]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what can go wrong with a list into an `OptionError` that names it."""
    try:
        yield
    except OSError as error:
        raise OptionError(path, f"the list of scenes cannot be read ({error.strerror})", "Check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        form = {".toml": "TOML", ".csv": "CSV in UTF-8"}.get(path.suffix.lower(), "text in UTF-8")
        raise OptionError(path, f"it is not {form} ({error})", "docs/batch.md shows how it is written") from None

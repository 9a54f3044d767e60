"""From what a label file says to class codes 1 to 250: crosswalk tables, ignored values, and the numbering of names.

A crosswalk is a CSV file with the columns `from,to` and, where wanted, `name,colour`: each value of the label file goes to a
code (1 to 250) or to a name; an empty `to`, or 0, leaves it out. Colours are `#rrggbb`. Without a crosswalk integer codes
are kept, and names are numbered from 1 in alphabetical order or take the codes of a legend that is given.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hsikit.errors import LabelError
from hsikit.layers import LAST_CLASS, Colour, Legend

Value = int | str
"""A class as the label file has it: a code or a name."""

K = TypeVar("K")
V = TypeVar("V")

ADVICE = "Map the values to codes 1 to 250 with a crosswalk (CSV with columns from,to), or ignore them"


@dataclass(frozen=True)
class Crosswalk:
    """A table from a label file's values to codes or names.

    Attributes:
        path: where it was read, for messages.
        targets: by value, as text: a code, a name, or None for what is left out.
        names: names of codes.
        colours: colours by code or name.
    """

    path: str
    targets: Mapping[str, Value | None]
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[Value, Colour] = field(default_factory=dict)


@dataclass(frozen=True)
class Coding:
    """What each value of a label file becomes.

    Attributes:
        codes: class code by value; values that are left out are absent.
        legend: the classes.
        numbered: whether names were numbered here.
    """

    codes: Mapping[Value, int]
    legend: Legend
    numbered: bool


def generic_name(code: int) -> str:
    """What a class is called as long as nobody has named it."""
    return f"class {code}"


def as_code(value: object) -> int | None:
    """The integer that a value stands for ("3", 3, 3.0), or None."""
    text = str(value).strip()
    return int(float(text)) if re.fullmatch(r"[+-]?\d{1,15}(\.0*)?", text) else None


def _key(value: object) -> str:
    """How a value is looked up: integers alike whether written 3, 3.0 or "3"."""
    code = as_code(value)
    return str(value).strip() if code is None else str(code)


def read_crosswalk(path: str | Path) -> Crosswalk:
    """Reads a crosswalk CSV.

    Raises:
        LabelError: the file is missing, lacks a column, says two things of one value, or has an impossible code or colour.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            path, f"the crosswalk cannot be read ({error.__class__.__name__})", "Give a CSV file with the columns from,to[,name,colour]"
        ) from error
    delimiter = ";" if text.split("\n", 1)[0].count(";") > text.split("\n", 1)[0].count(",") else ","
    table = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    columns = {name.strip().lower(): name for name in table.fieldnames or ()}
    if not {"from", "to"} <= set(columns):
        raise LabelError(path, f"the crosswalk has the columns {', '.join(columns) or 'none'}", "Its first line must name the columns from,to[,name,colour]")
    targets: dict[str, Value | None] = {}
    names: dict[int, str] = {}
    colours: dict[Value, Colour] = {}
    for row in table:
        where = f"{path}, line {table.line_num}"
        source, to, name, colour = ((row.get(columns.get(key, "")) or "").strip() for key in ("from", "to", "name", "colour"))
        if not source and not to:
            continue
        target = _target(to, where)
        _put(targets, _key(source), target, where, f"value {source!r}")
        if target is not None and colour:
            _put(colours, target, parse_colour(colour, where), where, f"colour of {target!r}")
        if isinstance(target, int) and name:
            _put(names, target, name, where, f"name of code {target}")
    return Crosswalk(str(path), targets, names, colours)


def _target(text: str, where: str) -> Value | None:
    """The code or name that a value goes to."""
    code = as_code(text)
    if text == "" or code == 0:
        return None
    if code is not None and not 1 <= code <= LAST_CLASS:
        raise LabelError(where, f"goes to code {code}", f"Class codes run from 1 to {LAST_CLASS}; 0 or nothing leaves the value out")
    return text if code is None else code


def _put(table: dict[K, V], key: K, value: V, where: str, what: str) -> None:
    """Enters a value, which must not contradict an earlier one."""
    if key in table and table[key] != value:
        raise LabelError(where, f"gives the {what} as {value!r}, an earlier line as {table[key]!r}", "Keep one of the two")
    table[key] = value


def parse_colour(text: str, where: str) -> Colour:
    """A colour from `#rrggbb` or three numbers 0 to 255.

    Raises:
        LabelError: it is neither.
    """
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    if len(numbers) != 3 or max(numbers) > 255:
        raise LabelError(where, f"{text!r} is no colour", "Write colours as #rrggbb")
    return numbers[0], numbers[1], numbers[2]


def ignored(value: Value, ignore: Iterable[Value]) -> bool:
    """Whether a value is among those to ignore, codes and names alike."""
    return _key(value) in {_key(item) for item in ignore}


def encode(
    values: Sequence[Value],
    where: str,
    *,
    crosswalk: Crosswalk | None = None,
    legend: Legend | None = None,
    ignore: Iterable[Value] = (),
    names: Mapping[int, str] | None = None,
    colours: Mapping[Value, Colour] | None = None,
) -> Coding:
    """Gives class codes to the values of a label file.

    Args:
        values: the different values that occur.
        where: the label file, for messages.
        crosswalk: sends values to codes or names; each value must be in it or in `ignore`.
        legend: the classes to use; every class must be in it. None: they are made here.
        ignore: values and classes to leave out.
        names: names of codes that the label file itself brings.
        colours: colours that the label file itself brings, by code or name.

    Raises:
        LabelError: a value is missing from crosswalk or legend, or is no code of 1 to 250.
    """
    skip = {_key(item) for item in ignore}
    targets: dict[Value, Value] = {}
    for value in values:
        target = value if crosswalk is None else _through(crosswalk, value, skip, where)
        if target is not None and _key(value) not in skip and _key(target) not in skip:
            targets[value] = target
    known = dict(names or {}) if crosswalk is None else dict(crosswalk.names)
    shades: dict[Value, Colour] = dict(colours or {}) if crosswalk is None else dict(crosswalk.colours)
    if legend is not None:
        codes = {value: _in_legend(target, legend, known, where) for value, target in targets.items()}
        return Coding(codes, legend, False)
    text = [t for t in targets.values() if as_code(t) is None]
    if text and len(text) < len(targets):
        code = next(t for t in targets.values() if as_code(t) is not None)
        raise LabelError(where, f"some classes are names ({text[0]!r}) and some are codes ({code})", "Send all to codes, or all to names, with a crosswalk")
    if text:
        different = {str(t) for t in text}
        if len(different) > LAST_CLASS:
            raise LabelError(
                where, f"has {len(different)} class names, more than {LAST_CLASS}", "Is this the class field? Otherwise merge classes with a crosswalk"
            )
        made = Legend.from_names(sorted(different))
        position = {entry.name: entry.code for entry in made.classes}
        legend = Legend.of(dict(zip(made.codes, made.names, strict=True)), {position[str(k)]: c for k, c in shades.items() if str(k) in position})
        return Coding({value: position[str(target)] for value, target in targets.items()}, legend, True)
    codes = {value: _checked(target, where) for value, target in targets.items()}
    found = sorted(set(codes.values()))
    given = {int(k): c for k, c in shades.items() if as_code(k) in found}
    return Coding(codes, Legend.of({code: known.get(code, generic_name(code)) for code in found}, given), False)


def _through(crosswalk: Crosswalk, value: Value, skip: set[str], where: str) -> Value | None:
    """Where the crosswalk sends a value."""
    if _key(value) in crosswalk.targets:
        return crosswalk.targets[_key(value)]
    if _key(value) in skip:
        return None
    raise LabelError(where, f"value {value!r} is not in the crosswalk {crosswalk.path}", "Add a line for it; an empty `to` leaves it out")


def _checked(target: Value, where: str) -> int:
    """A code that the map can hold."""
    code = as_code(target)
    if code is None or not 1 <= code <= LAST_CLASS:
        raise LabelError(where, f"{target!r} is no class code of 1 to {LAST_CLASS}", ADVICE)
    return code


def _in_legend(target: Value, legend: Legend, known: Mapping[int, str], where: str) -> int:
    """The code of a class in a legend: by name, or by code where the class has no name of its own."""
    by_name = {entry.name: entry.code for entry in legend.classes}
    code = as_code(target)
    name = str(target) if code is None else known.get(code, "")
    if name in by_name:
        return by_name[name]
    if code is not None and code in legend.codes and name in ("", generic_name(code)):
        return code
    if code is not None and code in legend.codes and legend.names[legend.codes.index(code)] == generic_name(code):
        return code
    classes = ", ".join(f"{entry.code} {entry.name}" for entry in legend.classes)
    called = f"class {target!r}" + (f" ({name})" if code is not None and name else "")
    raise LabelError(where, f"{called} is not in the legend ({classes})", "Ignore it, or send it to one of these with a crosswalk")

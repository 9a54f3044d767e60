"""Options of the method `encoder` that some heads have alone: whose they are, and what their values may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hsikit.errors import OptionError
from hsikit.tasks.classification.network_tuning import PERIOD

CYCLES: Mapping[Any, int | None] = {"yes": PERIOD, True: PERIOD, "no": None, False: None}
"""Steps of a cycle of an adapter's strength, by what says whether there are cycles at all."""


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most


def _is_cycle(value: Any) -> bool:
    return value in CYCLES if isinstance(value, bool | str) else _is_whole(value, 2)


OF_HEADS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], bool], str]] = {
    "rank": (("lora", "dora"), lambda value: _is_whole(value, 1), "a whole number of 1 or more"),
    "alpha": (("lora", "dora"), lambda value: _is_positive(value, 1e6), "a number above 0, up to a million,"),
    "targets": (("lora", "dora"), lambda value: isinstance(value, str) and all(layer_names(value)), "names of layers with commas between them"),
    "cyclic": (("lora",), _is_cycle, "yes, no, or the steps of a cycle, 2 or more,"),
    "bands": (("lora", "dora", "adaptformer", "full"), lambda value: value in ("drop", "sample"), "drop or sample"),
    "hidden": (("adaptformer",), lambda value: _is_whole(value, 1), "a whole number of 1 or more"),
    "decay": (("full",), lambda value: _is_positive(value, 1.0), "a number above 0, up to 1,"),
}
"""For each option the heads that have it, whether a value makes sense, and which do."""


def own_settings(head: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the user gave of `OF_HEADS`; `cyclic` as the steps of a cycle, left out where there are no cycles.

    Raises:
        OptionError: an option that the head has not, or a value out of range.
    """
    own = {name: value for name, value in given.items() if name in OF_HEADS}
    for name, value in own.items():
        heads, makes_sense, what = OF_HEADS[name]
        if head not in heads or not makes_sense(value):
            raise OptionError(name, f"{value!r} is no {name} of the head {head!r}", f"Give {what} with head={' or head='.join(heads)}, or leave it out")
    if isinstance(own.get("cyclic"), bool | str):
        own["cyclic"] = CYCLES[own["cyclic"]]
    return {name: value for name, value in own.items() if value is not None}


def layer_names(targets: str) -> list[str]:
    """The names in a setting `targets`, such as "enter, leave"."""
    return [name.strip() for name in targets.split(",")]

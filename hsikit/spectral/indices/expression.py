"""Formulas of spectral indices as text, parsed by a whitelist of arithmetic and turned into a program over arrays.

Numbers, names, + - * / **, unary signs, parentheses and a few functions of one or two values are known; anything else is refused
before anything is computed. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError

Values = NDArray[np.float32] | np.float32
Program = Callable[[Mapping[str, Values]], Values]

LONGEST, MOST_NODES, DEEPEST = 500, 200, 40
LARGEST_NUMBER, LARGEST_EXPONENT = 1e12, 16.0
ADVICE = "A formula holds numbers, names of bands, + - * / **, parentheses, and sqrt, log, log10, exp, abs, minimum, maximum"

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Pow: np.power,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: np.negative, ast.UAdd: np.positive}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "sqrt": (np.sqrt, 1), "log": (np.log, 1), "log10": (np.log10, 1), "exp": (np.exp, 1), "abs": (np.abs, 1),
    "minimum": (np.minimum, 2), "maximum": (np.maximum, 2),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Formula:
    """A parsed formula.

    Attributes:
        text: as it was written.
        names: the names that it needs, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _program: Program

    def __call__(self, values: Mapping[str, Any]) -> NDArray[np.float32]:
        """The formula's value, float32; NaN where it has none (a division by zero, a root of a negative number, a missing band).

        Args:
            values: arrays of one shape, or numbers, one for each of `names`.
        """
        known = {name: np.asarray(values[name], np.float32) for name in self.names}
        with np.errstate(all="ignore"):
            result = np.asarray(self._program(known), np.float32)
        shape = np.broadcast_shapes(result.shape, *(value.shape for value in known.values()))
        out = np.array(np.broadcast_to(result, shape))
        out[~np.isfinite(out)] = np.nan
        return out


def parse_formula(text: str) -> Formula:
    """Parses a formula.

    Raises:
        OptionError: not arithmetic, a call, an attribute, a huge number or power, too long, or too deeply nested.
    """
    short = text if len(text) <= 60 else f"{text[:57]}..."
    if len(text) > LONGEST:
        raise OptionError("formula", f"{short!r} has {len(text)} characters", f"The most are {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = sum(1 for _ in ast.walk(tree))
        deep = _depth(tree)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise OptionError("formula", f"{short!r} is no formula", ADVICE) from None
    if nodes > MOST_NODES or deep > DEEPEST:
        raise OptionError("formula", f"{short!r} has {nodes} parts, nested {deep} deep", f"The most are {MOST_NODES} parts, {DEEPEST} deep")
    names: dict[str, None] = {}
    program = _compile(tree, short, names)
    return Formula(text, tuple(names), program)


def _depth(tree: ast.AST) -> int:
    """Levels of nesting, found without recursion."""
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return deepest


def _compile(node: ast.expr, text: str, names: dict[str, None]) -> Program:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        number = _number(node.value, text)
        return lambda values: number
    if isinstance(node, ast.Name):
        name = node.id
        names[name] = None
        return lambda values: values[name]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _binary(node, text, names)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        sign, inner = _UNARY[type(node.op)], _compile(node.operand, text, names)
        return lambda values: sign(inner(values))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords:
        function, count = _FUNCTIONS[node.func.id]
        if len(node.args) == count and not any(isinstance(part, ast.Starred) for part in node.args):
            parts = [_compile(part, text, names) for part in node.args]
            return lambda values: function(*(part(values) for part in parts))
    raise OptionError("formula", f"{text!r} holds {_what(node)}, which is no arithmetic", ADVICE)


def _binary(node: ast.BinOp, text: str, names: dict[str, None]) -> Program:
    if isinstance(node.op, ast.Pow):
        exponent = _constant(node.right)
        if exponent is not None and abs(exponent) > LARGEST_EXPONENT:
            raise OptionError("formula", f"{text!r} holds a power of {exponent:g}", f"The largest is {LARGEST_EXPONENT:g}")
    operator, left, right = _BINARY[type(node.op)], _compile(node.left, text, names), _compile(node.right, text, names)
    return lambda values: operator(left(values), right(values))


def _constant(node: ast.expr) -> float | None:
    """The value of a part without names; None where it has some."""
    if any(isinstance(part, ast.Name) for part in ast.walk(node)):
        return None
    with np.errstate(all="ignore"):
        return float(_compile(node, "", {})({}))


def _number(value: int | float, text: str) -> np.float32:
    # Compared before it is converted: an int of thousands of digits fits no float.
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise OptionError("formula", f"{text!r} holds a number beyond {LARGEST_NUMBER:g}", "Use smaller numbers")
    return np.float32(value)


def _what(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else "something"
        return f"a call of {name}" if name not in _FUNCTIONS else f"{name} with {len(node.args)} values"
    names = {
        ast.Attribute: "an attribute",
        ast.Subscript: "a subscript",
        ast.Lambda: "a lambda",
        ast.Compare: "a comparison",
        ast.Constant: "a text or a truth",
    }
    return names.get(type(node), type(node).__name__)

"""Formulas: what is arithmetic gives Python's own answer; what is not is refused before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.errors import OptionError
from hsikit.spectral.indices import parse_formula

NAMES = ("N", "R", "b842")
LEAVES = st.sampled_from(NAMES) | st.floats(0.1, 9, allow_nan=False).map(lambda x: f"{x:.3f}")


def _join(parts: tuple[str, str, str]) -> str:
    return f"({parts[0]} {parts[2]} {parts[1]})"


FORMULAS = st.recursive(LEAVES, lambda inner: st.tuples(inner, inner, st.sampled_from("+-*/")).map(_join) | inner.map(lambda x: f"-{x}"), max_leaves=12)


@given(text=FORMULAS, seed=st.integers(0, 99))
def test_arithmetic_is_that_of_python(text: str, seed: int) -> None:
    formula = parse_formula(text)
    arrays = dict(zip(NAMES, np.float32(np.random.default_rng(seed).uniform(0.1, 1, (3, 2, 4))), strict=True))
    found = formula(arrays)
    with np.errstate(all="ignore"):
        want = np.broadcast_to(eval(text, {"__builtins__": {}}, {name: array.astype(np.float64) for name, array in arrays.items()}), (2, 4))
    assert found.dtype == np.float32
    if set(formula.names):
        assert found.shape == (2, 4)
    close = np.isclose(found, want, rtol=1e-3, atol=1e-3)
    unsettled = ~np.isfinite(want) | (np.abs(want) > 1e3)  # near a division by zero float32 and float64 part
    assert (close | unsettled | np.isnan(found)).all() and (np.isfinite(found) | unsettled | (np.abs(want) > 1e2)).all()


def test_powers_functions_and_signs() -> None:
    values = {"N": np.float32([0.25, 4.0]), "R": np.float32([2.0, -1.0])}
    np.testing.assert_allclose(parse_formula("(N ** 0.5 + sqrt(N)) / 2")(values), [0.5, 2.0])
    np.testing.assert_allclose(parse_formula("-N ** 2")(values), [-0.0625, -16])
    np.testing.assert_allclose(parse_formula("maximum(abs(R), minimum(N, +R))")(values), [2.0, 1.0])
    np.testing.assert_allclose(parse_formula("log(exp(N)) + log10(100)")(values), [2.25, 6.0], rtol=1e-6)
    np.testing.assert_allclose(parse_formula("N ** (1/3)")(values), np.cbrt([0.25, 4.0]), rtol=1e-6)


def test_no_value_is_nan_without_a_warning() -> None:
    values = {"N": np.float32([0.0, 1.0, np.nan]), "R": np.float32([0.0, -1.0, 1.0])}
    for text in ("N / R", "(N - R) / (N + R)", "sqrt(R)", "R ** 0.5", "log(R - 1)"):
        assert np.isnan(parse_formula(text)(values)[[0, 2] if "sqrt" not in text and "0.5" not in text and "log" not in text else [1]]).all()


def test_names_in_order() -> None:
    assert parse_formula("g * (N - R) / (N + C1 * R - C2 * B + L)").names == ("g", "N", "R", "C1", "C2", "B", "L")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("__import__('os').system('true')", "a call of something"), ("N.__class__", "an attribute"),
        ("eval('N')", "a call of eval"), ("N[0]", "a subscript"),
        ("lambda: N", "a lambda"), ("N if R else B", "IfExp"), ("N < R", "a comparison"),
        ("'N'", "a text"), ("True", "a text or a truth"), ("N and R", "BoolOp"),
        ("[N for N in R]", "ListComp"), ("(N, R)", "Tuple"), ("N; R", "no formula"), ("N = R", "no formula"), ("", "no formula"), ("N +", "no formula"),
        ("N // R", "BinOp"), ("N % R", "BinOp"), ("N @ R", "BinOp"), ("~N", "UnaryOp"), ("not N", "UnaryOp"), ("1j * N", "a text or a truth"),
        ("N ** 9 ** 9", "power of 3.87"), ("N ** 99", "power of 99"), ("N ** -17", "power of -17"), ("N + 1e300", "number beyond"),
        ("1" * 400, "number beyond"),
        ("sqrt(N, R)", "sqrt with 2"), ("sqrt(*N)", "sqrt with 1"), ("maximum(N)", "maximum with 1"), ("sqrt(x=N)", "sqrt with 0"), ("f(N)", "a call of f"),
        ("(" * 120 + "N" + ")" * 120 + "." * 3, "no formula"), ("-" * 60 + "N", "nested"), ("N" + "+N" * 120, "parts"), ("N" * 501, "501 characters"),
        ("N.real", "an attribute"), ("print(N)", "a call of print"), ("(N := R)", "NamedExpr"), ("f'{N}'", "JoinedStr"), ("N\x00", "no formula"),
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text: str, why: str) -> None:
    with pytest.raises(OptionError, match=why.replace("(", r"\(")):
        parse_formula(text)


@given(text=st.text(st.sampled_from("NRb842()+-*/. ,x_'\"[]{}:;=\\\n\t"), max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        formula = parse_formula(text)
    except OptionError:
        return
    assert formula(dict.fromkeys(formula.names, np.float32(0.5))).dtype == np.float32

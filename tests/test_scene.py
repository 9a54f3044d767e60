"""Stored numbers become physical ones as the plain formula says, whatever is missing where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit import scene
from hsikit.geo.grid import Window
from hsikit.scene import Decoding, Raw

FILL = -9999


def stored(bands: int, dtype: str, holes: str, seed: int) -> np.ndarray:
    """Values with fill in all bands of some pixels ("alike"), in some bands of some pixels ("apart"), everywhere, or nowhere."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-300, 9000, (bands, 7, 11)).astype(dtype)
    if holes in ("alike", "both"):
        values[:, rng.random((7, 11)) < 0.4] = FILL
    if holes in ("apart", "both"):
        values[rng.random(values.shape) < 0.2] = FILL
    if holes == "all":
        values[:] = FILL
    return values


@given(
    st.integers(1, 9), st.sampled_from(["int16", ">i2", "int32", "float32"]), st.sampled_from(["none", "alike", "apart", "both", "all"]),
    st.sampled_from([1, 150, 2**17]), st.integers(0, 99),
)  # fmt: skip
def test_decoding_equals_the_formula(bands, dtype, holes, at_once, seed):
    values = stored(bands, dtype, holes, seed)
    raw, window = Raw(values, Window(20, 30, 7, 11), Decoding(1e-4, 0.5, FILL)), Window(21, 33, 5, 6)
    out = np.empty((bands, 5, 6), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene, "DECODED_AT_ONCE", at_once)
        missing, empty = raw.decode(window, out), raw.empty(window)
    part = values[:, 1:6, 3:9].astype(np.float64)
    expected = np.where(part == FILL, np.nan, part * 1e-4 + 0.5)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
    assert missing == bool((part == FILL).any())
    assert empty == bool((part == FILL).all())


def test_infinity_that_all_bands_share_is_missing():
    values = np.ones((3, 2, 4), np.float32)
    values[:, 1, 2], values[:, 0, 0] = np.inf, -np.inf
    out = np.empty_like(values)
    assert Decoding().apply(values, out, slice(None))
    assert (np.isnan(out) == ~np.isfinite(values)).all() and (out[:, 0, 1:] == 1).all()

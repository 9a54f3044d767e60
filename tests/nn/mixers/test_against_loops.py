"""Each mixer against an answer that is computed another way: loops, or full attention with a mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import softmax
from torch import Tensor

from hsikit.nn.mixers import Context, Mixer, build_mixer
from hsikit.nn.mixers.channel import ChannelMixer
from hsikit.nn.mixers.full import FullMixer, JointMixer
from hsikit.nn.mixers.less import GridPool, LessMixer, SequenceAttention
from hsikit.nn.mixers.morphology import MorphologyMixer, linear_scan
from hsikit.nn.mixers.reduced import ReducedMixer
from hsikit.nn.mixers.scan import ScanMixer, selective_scan
from hsikit.nn.mixers.window import WindowMixer
from tests.nn.mixers.makers import WIDTH, some_valid, tile

Array = NDArray[np.float64]
VALID = some_valid(5, 6)[:1]


def built(name: str, kind: type[Mixer], **options: object) -> Mixer:
    torch.manual_seed(3)
    model = build_mixer(name, WIDTH, **options).double().eval()
    assert isinstance(model, kind)
    return model


def array(x: Tensor) -> Array:
    return x.detach().numpy().astype(np.float64)


def linear(layer: torch.nn.Module, x: Array) -> Array:
    assert isinstance(layer, torch.nn.Linear)
    return x @ array(layer.weight).T + (0.0 if layer.bias is None else array(layer.bias))


def attention(query: Array, key: Array, value: Array, heads: int, counted: Array, bias: Array | float = 0.0) -> Array:
    """Rows attend to rows; `counted` is bool, (rows, rows) or (rows,); `bias` is (heads, rows, rows)."""
    parts = [np.stack(np.split(each, heads, 1)) for each in (query, key, value)]
    logits = parts[0] @ parts[1].transpose(0, 2, 1) / np.sqrt(parts[0].shape[2]) + bias
    share = softmax(np.where(counted, logits, -np.inf), axis=2)
    return np.concatenate(list(share @ parts[2]), 1)


def compare(model: Mixer, x: Tensor, wanted: Array, valid: Tensor = VALID) -> None:
    found = array(model(x, Context(valid)))[0]
    counted = valid[0].numpy()
    np.testing.assert_allclose(found[counted], wanted.reshape(found.shape)[counted], atol=1e-10)


def small(model: Mixer) -> Tensor:
    return tile(model, 5, 6, images=1).double()


def test_dwconv() -> None:
    model = build_mixer("dwconv", WIDTH, kernel=3).double()
    x = small(model)
    seen = array(x)[0] * VALID[0].numpy()[..., None]
    kernel, offset = (array(each) for each in model.conv.parameters())  # type: ignore[union-attr, operator]
    planes = [ndimage.correlate(seen[..., i], kernel[i, 0], mode="constant") + offset[i] for i in range(WIDTH)]
    compare(model, x, np.stack(planes, 2))


def test_pool() -> None:
    model = build_mixer("pool", WIDTH, kernel=5).double()
    x = small(model)
    values, counted, wanted = array(x)[0], VALID[0].numpy(), np.zeros((5, 6, WIDTH))
    for row, col in np.argwhere(counted):
        near = np.s_[max(0, row - 2) : row + 3, max(0, col - 2) : col + 3]
        wanted[row, col] = values[near][counted[near]].mean(0) - values[row, col]
    compare(model, x, wanted)


def test_channel() -> None:
    model = built("channel", ChannelMixer, heads=2)
    assert isinstance(model, ChannelMixer)
    with torch.no_grad():
        model.temperature[1] = 4.0
    x, counted = small(model), VALID[0].numpy().ravel()
    query, key, value = np.split(linear(model.qkv, array(x).reshape(30, WIDTH)), 3, 1)
    wanted = []
    for head, temperature in enumerate((1.0, 4.0)):
        own = np.s_[8 * head : 8 * head + 8]
        cosines = np.array([[q @ k / np.linalg.norm(q) / np.linalg.norm(k) for k in key[counted, own].T] for q in query[counted, own].T])
        wanted.append(value[:, own] @ softmax(temperature * cosines, axis=1).T)
    compare(model, x, linear(model.proj, np.concatenate(wanted, 1)))


@pytest.mark.parametrize(("name", "tokens"), [("full", 1), ("joint", 3)])
def test_full_and_joint(name: str, tokens: int) -> None:
    model = built(name, FullMixer if name == "full" else JointMixer)
    assert isinstance(model, FullMixer)
    x, counted = small(model), np.repeat(VALID[0].numpy().ravel(), tokens)
    query, key, value = np.split(linear(model.qkv, array(x).reshape(-1, WIDTH)), 3, 1)
    compare(model, x, linear(model.proj, attention(query, key, value, model.heads, counted)))


@pytest.mark.parametrize(("window", "shift"), [(3, 0), (3, 1), (4, 2), (7, 3)])
def test_window_is_full_attention_among_pixels_of_a_window(window: int, shift: int) -> None:
    model = built("window", WindowMixer, window=window, shift=shift)
    assert isinstance(model, WindowMixer)
    x, (rows, cols) = small(model), np.indices((5, 6)).reshape(2, -1)
    # The first window is `window - shift` long; along a side that one window covers, there is but one.
    of_row, of_col = ((at + (shift if side > window else 0)) // min(window, side) for at, side in ((rows, 5), (cols, 6)))
    same = (of_row[:, None] == of_row) & (of_col[:, None] == of_col)
    table = array(model.attention.bias)
    down, across = rows[:, None] - rows, cols[:, None] - cols
    near = (abs(down) < window) & (abs(across) < window)
    bias = np.where(near, table[:, np.clip(down + window - 1, 0, 2 * window - 2), np.clip(across + window - 1, 0, 2 * window - 2)], 0.0)
    query, key, value = np.split(linear(model.attention.qkv, array(x).reshape(-1, WIDTH)), 3, 1)
    counted = same & (VALID[0].numpy().ravel() | np.eye(30, dtype=bool))
    compare(model, x, linear(model.attention.proj, attention(query, key, value, 4, counted, bias)))


def test_reduced() -> None:
    model = built("reduced", ReducedMixer, cell=2)
    assert isinstance(model, ReducedMixer)
    x, counted = small(model), VALID[0].numpy()
    values, cells = array(x)[0], []
    for row in range(0, 5, 2):
        for col in range(0, 6, 2):
            part = np.s_[row : row + 2, col : col + 2]
            if counted[part].any():
                cells.append(values[part][counted[part]].mean(0))
    told = np.array(cells)
    told = (told - told.mean(1, keepdims=True)) / np.sqrt(told.var(1, keepdims=True) + model.norm.eps)
    key, value = np.split(linear(model.key_value, told), 2, 1)
    query = linear(model.query, values.reshape(30, WIDTH))
    compare(model, x, linear(model.proj, attention(query, key, value, model.heads, np.ones(len(cells), bool))))


def shares(part: SequenceAttention, sequence: Array, counted: Array) -> tuple[Array, Array]:
    """Attention (heads, n, n) and values (heads, n, channels) of a sequence."""
    query, key, value = (np.stack(np.split(each, part.heads, 1)) for each in np.split(linear(part.qkv, sequence), 3, 1))
    logits = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[2])
    return softmax(np.where(counted, logits, -np.inf), axis=2), value


def pooled(pool: GridPool, grid: Array, counted: Array) -> tuple[Array, Array]:
    """Sequences of pixels and of bands of tokens (N, T, width)."""
    over_bands = softmax(linear(pool.over_bands.score, grid), axis=1)
    over_pixels = softmax(np.where(counted[:, None, None], linear(pool.over_pixels.score, grid), -np.inf), axis=0)
    return (over_bands * grid).sum(1), (over_pixels * grid).sum(0)


@pytest.mark.parametrize(("heads", "spectral", "rank"), [(1, 4, 1), (2, 2, 3)])
def test_less_is_attention_by_a_kronecker_product(heads: int, spectral: int, rank: int) -> None:
    """Pixels attend to pixels and bands to bands: with 5 rows, 6 columns and 3 bands, no axis can stand for another."""
    model = built("less", LessMixer, heads=heads, spectral=spectral, rank=rank)
    assert isinstance(model, LessMixer)
    x, counted = small(model), VALID[0].numpy().ravel()
    pixels, bands = pooled(model.pool, array(x).reshape(30, 3, WIDTH), counted)
    (by_pixel, of_pixel), (by_band, of_band) = shares(model.spatial, pixels, counted), shares(model.spectral, bands, np.ones(3, bool))
    joint = [np.kron(by_pixel[i], by_band[i]) @ np.kron(of_pixel[i], of_band[i]) for i in range(rank * heads)]
    wanted = [sum(joint[rank_ * heads + head] for rank_ in range(rank)) for head in range(heads)]
    compare(model, x, linear(model.proj, np.concatenate(wanted, 1)))


@pytest.mark.parametrize("chunk", [1, 4, 7, 64])
def test_a_scan_in_chunks_is_a_loop(chunk: int) -> None:
    draw = torch.Generator().manual_seed(0)
    value, write, read = (torch.randn(2, 19, *shape, generator=draw, dtype=torch.float64) for shape in ((3, 4), (5,), (5,)))
    step, rate = torch.rand(2, 19, 3, generator=draw, dtype=torch.float64), torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)
    step[:, 4:9] = 0
    wanted, state = torch.zeros_like(value), torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    for t in range(19):
        kept = torch.exp(-rate * step[:, t])[:, :, None, None]
        state = kept * state + torch.einsum("nh,nhc,ns->nhcs", step[:, t], value[:, t], write[:, t])
        wanted[:, t] = torch.einsum("nhcs,ns->nhc", state, read[:, t])
    torch.testing.assert_close(selective_scan(value, step, write, read, rate, chunk), wanted)


def test_no_side_of_a_map_is_before_another() -> None:
    model = built("scan", ScanMixer)
    x = tile(model, 9, 11).double()
    wanted = model(x, Context())
    torch.testing.assert_close(model(x.flip(1, 2), Context()), wanted.flip(1, 2))
    torch.testing.assert_close(model(x.transpose(1, 2), Context()), wanted.transpose(1, 2))


def test_dilation_and_erosion_are_maximum_and_minimum() -> None:
    model = built("morphology", MorphologyMixer)
    assert isinstance(model, MorphologyMixer)
    x, counted = small(model), VALID[0].numpy()
    dilated, eroded = (array(each)[0] for each in model.morphology(x, VALID))
    values = array(x)[0]
    for sign, found in ((1, dilated), (-1, eroded)):
        seen = np.where(counted[..., None], sign * values, -np.inf)
        wanted = ndimage.maximum_filter(seen, size=(5, 5, 1), mode="constant", cval=-np.inf)
        np.testing.assert_allclose(found[counted], sign * wanted[counted])


def test_what_the_paper_calls_erosion_is_its_dilation_with_the_sign_changed() -> None:
    model = built("morphology", MorphologyMixer, mode="paper")
    assert isinstance(model, MorphologyMixer)
    x = small(model)
    dilated, eroded = model.morphology(x, None)
    assert torch.equal(eroded, -dilated)
    sums = ndimage.uniform_filter(array(x)[0], (5, 5, 1), mode="constant") * 25
    np.testing.assert_allclose(array(dilated)[0], sums, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_a_linear_scan_by_doubling_is_a_loop(length: int) -> None:
    draw = torch.Generator().manual_seed(0)
    added = torch.randn(2, length, 4, generator=draw, dtype=torch.float64)
    carry = torch.randn(4, 4, generator=draw, dtype=torch.float64) / 3
    state, wanted = torch.zeros(2, 4, dtype=torch.float64), []
    for t in range(length):
        state = state @ carry.T + added[:, t]
        wanted.append(state)
    torch.testing.assert_close(linear_scan(added, carry), torch.stack(wanted, 1))

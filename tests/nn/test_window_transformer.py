from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hsikit.nn.fit import fit
from hsikit.nn.lora import add_lora, freeze_base, lora_layers, mark_pretrained, set_scale
from hsikit.nn.tuning import Classifier
from hsikit.nn.window_transformer import (
    LORA_TARGETS,
    Downsample,
    SpectralFront,
    SqueezeExcite,
    SwiGlu,
    WindowBlock,
    WindowTransformer,
    build_window_encoder,
)


def small(window: int = 9, seed: int = 0) -> WindowTransformer:
    torch.manual_seed(seed)
    return build_window_encoder("paper-small", window).eval()


def windows(count: int = 3, bands: int = 12, window: int = 9) -> Tensor:
    return torch.randn(count, 1, bands, window, window, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("bands", "window"), [(1, 3), (15, 15), (30, 15), (12, 9), (5, 11), (4, 31)])
def test_any_number_of_bands_and_any_odd_window(bands: int, window: int) -> None:
    """The released LoLA-SpecViT breaks where the window is not as wide as there are components."""
    found = small(window)(windows(2, bands, window))
    assert found.shape == (2, 64)
    assert found.isfinite().all()


def test_bands_lie_on_the_spectral_axis_and_rows_on_the_rows() -> None:
    """The released LoLA-SpecViT convolves image rows where bands should be: seven of them, and three bands."""
    torch.manual_seed(0)
    convolve = SpectralFront((4, 4, 4)).eval().convolve
    x = torch.zeros(1, 1, 31, 17, 15)
    moved = x.clone()
    moved[0, 0, 15, 8, 7] = 1.0
    touched = (convolve(moved) != convolve(x)).any(1)[0].nonzero()
    assert [(int(axis.min()), int(axis.max())) for axis in touched.T] == [(15 - 6, 15 + 6), (8 - 3, 8 + 3), (7 - 3, 7 + 3)]


def test_the_order_of_the_bands_matters() -> None:
    model, x = small(), windows()
    assert (model(x) - model(x.flip(2))).abs().max() > 1e-3


def test_mirrored_kernels_see_a_mirrored_window_alike() -> None:
    """Rows and cols are exchanged together with the kernels' own; bands are not."""
    torch.manual_seed(0)
    front = SpectralFront((4, 4, 4)).eval()
    x = windows()
    wanted = front(x).flip(2).transpose(2, 3)
    with torch.no_grad():
        for layer in front.convolve:
            if isinstance(layer, nn.Conv3d):
                layer.weight.copy_(layer.weight.flip(3).transpose(3, 4))
    torch.testing.assert_close(front(x.flip(3).transpose(3, 4)), wanted, atol=1e-5, rtol=1e-4)


def test_dropped_bands_are_dropped_whole_and_in_training_only() -> None:
    front = SpectralFront((4, 4, 4), band_drop=0.5)
    seen: list[Tensor] = []
    front.weigh.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    front.train()(windows())
    gone = (seen[0] == 0).all(1).all(2).all(2)
    assert 0 < gone.sum() < gone.numel()
    assert torch.equal(gone, (seen[0] == 0).any(1).any(2).any(2))
    front.eval()(windows())
    assert (seen[1] != 0).any(1).any(2).any(2).all()


def test_squeeze_and_excite_is_its_formula() -> None:
    torch.manual_seed(0)
    layer, x = SqueezeExcite(8, 4), torch.randn(2, 8, 5, 3, 3)
    hidden = x.mean((2, 3, 4)) @ layer.squeeze.weight.T + layer.squeeze.bias
    weights = torch.sigmoid((hidden * torch.sigmoid(hidden)) @ layer.excite.weight.T + layer.excite.bias)
    torch.testing.assert_close(layer(x), x * weights[:, :, None, None, None])


def test_the_gated_perceptron_is_its_formula() -> None:
    torch.manual_seed(0)
    layer, x = SwiGlu(3), torch.randn(5, 3)
    inner = x @ layer.enter.weight.T + layer.enter.bias
    gate, value = (inner @ part.weight.T + part.bias for part in (layer.gate, layer.value))
    mixed = (gate * torch.sigmoid(gate) * value) @ layer.mix.weight.T + layer.mix.bias
    torch.testing.assert_close(layer(x), mixed @ layer.leave.weight.T + layer.leave.bias)


@pytest.mark.parametrize(("rows", "cols"), [(7, 7), (4, 5), (1, 1)])
def test_downsampling_halves_the_grid_rounded_up(rows: int, cols: int) -> None:
    assert Downsample(4)(torch.randn(2, rows, cols, 4)).shape == (2, (rows + 1) // 2, (cols + 1) // 2, 8)


def test_drop_path_leaves_out_whole_branches_in_training_only() -> None:
    torch.manual_seed(0)
    block, x = WindowBlock(8, 2, 0.5), torch.randn(64, 2, 2, 8)
    untouched = (block.train()(x) == x).flatten(1).all(1)
    assert 0 < untouched.sum() < 64
    assert not (block.eval()(x) == x).flatten(1).all(1).any()
    rates = [part.drop_path for part in build_window_encoder("paper-small", 9).modules() if isinstance(part, WindowBlock)]
    assert rates == pytest.approx([0, 0.1, 0.2])


def test_paper_has_the_published_size() -> None:
    """Measured on the released code: 181.05 million without its adapters' dense matrices."""
    with torch.device("meta"):
        model = build_window_encoder("paper", 15)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(181.05e6, abs=5e3)
    names = add_lora(model, LORA_TARGETS, 16, 32.0)
    assert len(names) == 4 * (3 + 4 + 19)
    low = sum(p.numel() for layer in lora_layers(model).values() for p in (layer.lora_A.weight, layer.lora_B.weight))
    assert low == pytest.approx(2.14e6, abs=5e3)


def test_the_scale_of_adapters_acts() -> None:
    model, x = small(), windows()
    add_lora(model, LORA_TARGETS, 2, 4.0)
    for layer in lora_layers(model).values():
        nn.init.normal_(layer.lora_B.weight)
    full = model(x)
    set_scale(model, 0.5)
    assert (model(x) - full).abs().max() > 1e-3


def test_a_frozen_base_leaves_the_whole_front_to_learn() -> None:
    """The released LoLA-SpecViT froze its random convolutions, positions and norms."""
    model = Classifier(small(), 3)
    with pytest.raises(ValueError, match="not pretrained"):
        freeze_base(model)
    mark_pretrained(model)
    add_lora(model, LORA_TARGETS, 2, 4.0)
    learning = set(freeze_base(model))
    assert {name for name, _ in model.named_parameters() if ".stem." in name or "norm" in name or name.startswith("head.")} <= learning
    assert not {name for name in learning if ".base." in name or ".gate." in name or ".halve." in name}


def test_it_learns_what_only_the_spectral_axis_tells() -> None:
    torch.manual_seed(3)
    codes = torch.arange(40) % 2
    x = 0.3 * torch.randn(40, 1, 12, 5, 5)
    ramp = torch.linspace(-1, 1, 12)[:, None, None]
    x[codes == 0] += ramp
    x[codes == 1] -= ramp
    model = Classifier(small(5), 2)
    history = fit(model, (x, codes), epochs=8, batch=20, lr=3e-3, device="cpu")
    assert history.losses[-1] < 0.3 * history.losses[0]
    assert (model(x).argmax(1) == codes).float().mean() > 0.9


@pytest.mark.parametrize("window", [1, 8, 33])
def test_windows_out_of_range_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match="odd number from 3 to 31"):
        build_window_encoder("paper-small", window)


def test_stages_windows_and_presets_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="no preset 'huge'; there are paper, paper-small"):
        build_window_encoder("huge", 9)
    with pytest.raises(ValueError, match="twice the one before"):
        WindowTransformer(9, (8, 8), (1, 1), (1, 1), (4, 4))
    with pytest.raises(ValueError, match=r"\(3, 1, 12, 7, 7\); this encoder takes \(n, 1, bands, 9, 9\)"):
        small()(windows(window=7))

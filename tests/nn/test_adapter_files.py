from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hsikit.errors import ModelError
from hsikit.nn.adapter_files import adapter_config, adapter_state, load_adapter
from hsikit.nn.fit import fit
from hsikit.nn.lora import add_lora, freeze_base, lora_layers, mark_pretrained, set_scale
from hsikit.nn.spectral_transformer import LORA_TARGETS
from hsikit.nn.tuning import Classifier
from hsikit.nn.window_transformer import LORA_TARGETS as WINDOW_TARGETS
from hsikit.nn.window_transformer import build_window_encoder
from tests.nn.models import HeadedEncoder, spectra


def tuned(seed: int = 3, rank: int = 2) -> HeadedEncoder:
    """A model whose adapters, norms, stem and head have all moved from the base of `HeadedEncoder()`."""
    torch.manual_seed(0)
    model = HeadedEncoder().eval()
    add_lora(model, LORA_TARGETS, rank, 4.0)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(word in name for word in ("lora", "norm", "stem", "head")):
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def base_model() -> HeadedEncoder:
    torch.manual_seed(0)
    return HeadedEncoder().eval()


def test_an_adapter_brings_the_tuned_model_back() -> None:
    model, x = tuned(), spectra()
    state, config = adapter_state(model), adapter_config(model)
    other = base_model()
    assert (other(x) - model(x)).abs().max() > 1e-2
    add_lora(other, config["target_modules"], config["r"], config["lora_alpha"])
    load_adapter(other, state)
    assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_peft_loads_the_adapter_and_gives_the_same(tmp_path: Path, scale: float) -> None:
    peft = pytest.importorskip("peft")
    model, x = tuned(), spectra()
    set_scale(model, scale)
    save_file(adapter_state(model), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter_config(model)), encoding="utf-8")
    other = peft.PeftModel.from_pretrained(base_model(), str(tmp_path)).eval()
    torch.testing.assert_close(other(x), model(x))


def test_peft_loads_an_adapter_of_windows_with_its_running_statistics(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")

    def base() -> Classifier:
        torch.manual_seed(0)
        return Classifier(build_window_encoder("paper-small", 5), 3)

    model, x = base(), torch.randn(6, 1, 9, 5, 5)
    add_lora(model, WINDOW_TARGETS, 2, 4.0)
    mark_pretrained(model)
    freeze_base(model)
    fit(model, (x, torch.arange(6) % 3), epochs=3, batch=3, lr=1e-2, device="cpu")
    save_file(adapter_state(model), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter_config(model)), encoding="utf-8")
    other = peft.PeftModel.from_pretrained(base(), str(tmp_path)).eval()
    assert (base().eval()(x) - model(x)).abs().max() > 1e-2
    torch.testing.assert_close(other(x), model(x))


def test_an_adapter_that_peft_saved_is_loaded(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = adapter_config(tuned())
    torch.manual_seed(8)
    options = {key: config[key] for key in ("r", "lora_alpha", "target_modules", "modules_to_save")}
    theirs = peft.get_peft_model(base_model(), peft.LoraConfig(init_lora_weights=False, **options)).eval()
    theirs.save_pretrained(str(tmp_path))
    ours = base_model()
    add_lora(ours, config["target_modules"], config["r"], config["lora_alpha"])
    load_adapter(ours, load_file(tmp_path / "adapter_model.safetensors"))
    torch.testing.assert_close(ours(spectra()), theirs(spectra()))


def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    state = adapter_state(tuned())
    model = tuned(seed=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    name = next(iter(state))
    cases = {
        "is missing": {key: value for key, value in state.items() if key != name},
        "is unknown": {**state, "base_model.model.other.weight": torch.zeros(1)},
        "has shape": adapter_state(tuned(rank=3)),
    }
    for message, given in cases.items():
        with pytest.raises(ModelError, match=message):
            load_adapter(model, given)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_what_is_no_adapter_or_merged_is_refused() -> None:
    for kept in (adapter_state, adapter_config):
        with pytest.raises(ValueError, match="no layer here has an adapter"):
            kept(nn.Linear(2, 2))
    model = tuned()
    state = adapter_state(model)
    next(iter(lora_layers(model).values())).scale = 0.5
    with pytest.raises(ValueError, match="2 kinds"):
        adapter_config(model)
    next(iter(lora_layers(model).values())).merge()
    with pytest.raises(ValueError, match="unmerge"):
        load_adapter(model, state)


def test_the_state_is_a_copy() -> None:
    model = tuned()
    state = adapter_state(model)
    name = "base_model.model.head.bias"
    before = state[name].clone()
    with torch.no_grad():
        model.head.bias += 1
    assert torch.equal(state[name], before)

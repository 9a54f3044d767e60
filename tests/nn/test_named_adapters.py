from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hsikit.errors import ModelError
from hsikit.nn.adapted_layer import adapted_layers, remove_adapters
from hsikit.nn.adapter_files import CONFIG, TENSORS, adapter_config, adapter_state, attach_adapter, read_adapter
from hsikit.nn.adaptformer import add_adaptformer
from hsikit.nn.dora import add_dora
from hsikit.nn.lora import add_lora, merge_adapters, unmerge_adapters
from hsikit.nn.named_adapters import NamedAdapters
from tests.nn.models import HeadedEncoder, spectra

KINDS = ("lora", "dora", "adaptformer")


def base() -> HeadedEncoder:
    torch.manual_seed(0)
    return HeadedEncoder().eval()


def tuned(kind: str, seed: int = 3) -> HeadedEncoder:
    """A model whose adapters and the parts beside them have moved from the base."""
    model = base()
    if kind == "adaptformer":
        add_adaptformer(model, ["mlp"], 3)
    else:
        (add_lora if kind == "lora" else add_dora)(model, ["qkv", "proj", "mlp.0"], 2, 4.0)
    torch.manual_seed(seed)
    beside = [part for path, part in model.named_modules() if path.rpartition(".")[2] in ("stem", "head", "norm", "norm_mlp", "norm_attention")]
    tensors = [*(tensor for layer in adapted_layers(model).values() for tensor in layer.learned.values()), *(p for part in beside for p in part.parameters())]
    with torch.no_grad():
        for tensor in tensors:
            tensor += 0.3 * torch.randn_like(tensor)
    return model


def kept(kind: str, seed: int = 3) -> tuple[dict[str, object], dict[str, Tensor]]:
    model = tuned(kind, seed)
    return json.loads(json.dumps(adapter_config(model))), adapter_state(model)


@pytest.mark.parametrize("kind", KINDS)
def test_files_bring_the_tuned_model_back(tmp_path: Path, kind: str) -> None:
    config, state = kept(kind)
    save_file(state, tmp_path / TENSORS)
    (tmp_path / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    model = base()
    attach_adapter(model, *read_adapter(tmp_path))
    assert torch.equal(model(spectra()), tuned(kind)(spectra()))
    remove_adapters(model)
    assert not adapted_layers(model)


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_peft_loads_the_adapter_and_gives_the_same(tmp_path: Path, kind: str, scale: float) -> None:
    peft = pytest.importorskip("peft")
    model, x = tuned(kind), spectra()
    for layer in adapted_layers(model).values():
        layer.scale = scale
    save_file(adapter_state(model), tmp_path / TENSORS)
    (tmp_path / CONFIG).write_text(json.dumps(adapter_config(model)), encoding="utf-8")
    other = peft.PeftModel.from_pretrained(base(), str(tmp_path)).eval()
    assert (base()(x) - model(x)).abs().max() > 1e-2
    torch.testing.assert_close(other(x), model(x), rtol=1e-5, atol=1e-5)


def test_a_dora_adapter_that_peft_saved_is_loaded(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config, _ = kept("dora")
    options = {key: config[key] for key in ("r", "lora_alpha", "target_modules", "modules_to_save", "use_dora")}
    torch.manual_seed(8)
    theirs = peft.get_peft_model(base(), peft.LoraConfig(init_lora_weights=False, **options)).eval()
    theirs.save_pretrained(str(tmp_path))
    ours = base()
    attach_adapter(ours, *read_adapter(tmp_path))
    torch.testing.assert_close(ours(spectra()), theirs(spectra()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_whole_model_merges_to_the_same_outputs_and_back(kind: str) -> None:
    model, x = tuned(kind), spectra()
    wanted, state = model(x), {name: value.clone() for name, value in model.state_dict().items()}
    merge_adapters(model)
    torch.testing.assert_close(model(x), wanted, rtol=1e-5, atol=1e-5)
    unmerge_adapters(model)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    merge_adapters(model)
    remove_adapters(model)
    assert all(torch.equal(value, base().state_dict()[name]) for name, value in model.state_dict().items() if name.endswith("qkv.weight"))


def test_several_adapters_on_one_base_are_switched_by_name() -> None:
    model, x = base(), spectra()
    plain = model(x)
    shelf = NamedAdapters(model)
    for kind in KINDS:
        shelf.add(kind, *kept(kind))
    assert shelf.names == KINDS
    assert torch.equal(model(x), plain)
    for kind in (*KINDS, *reversed(KINDS)):
        shelf.use(kind)
        assert shelf.active == kind
        assert torch.equal(model(x), tuned(kind)(x))
    merge = NamedAdapters(base())
    merge.add("dora", *kept("dora"))
    merge.use("dora")
    merge_adapters(merge.module)
    merge.use(None)
    shelf.use(None)
    assert torch.equal(model(x), plain)
    assert torch.equal(merge.module(x), plain)
    assert shelf.active is None


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    model, x = base(), spectra()
    shelf = NamedAdapters(model)
    shelf.add("fields", *kept("lora"))
    shelf.use("fields")
    wanted = model(x)
    config, state = kept("dora")
    for wrong in ({**config, "r": 5}, {**config, "target_modules": ["nothing"]}, {**config, "peft_type": "IA3"}, {"peft_type": "LORA"}):
        with pytest.raises(ModelError, match="adapter"):
            shelf.add("forest", wrong, state)
    with pytest.raises(ValueError, match="'fields' already"):
        shelf.add("fields", config, state)
    with pytest.raises(KeyError, match="there are fields"):
        shelf.use("forest")
    assert (shelf.active, shelf.names) == ("fields", ("fields",))
    assert torch.equal(model(x), wanted)
    with pytest.raises(ValueError, match="adapters already"):
        NamedAdapters(model)
    with pytest.raises(ValueError, match="adapters already"):
        attach_adapter(model, config, state)


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{CONFIG} is missing"):
        read_adapter(tmp_path)
    (tmp_path / CONFIG).write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match=f"{TENSORS} is missing"):
        read_adapter(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / TENSORS)
    with pytest.raises(ModelError, match="no configuration"):
        read_adapter(tmp_path)
    (tmp_path / TENSORS).write_bytes(b"cut")
    with pytest.raises(ModelError, match="not whole"):
        read_adapter(tmp_path)

"""Adapters as files, in the layout of PEFT: what `adapter_model.safetensors` and `adapter_config.json` hold.

So a tuned adapter (LoRA, DoRA) opens in PEFT beside the base model, and costs a few kilobytes where the model costs megabytes. PEFT
has no AdaptFormer: such files have the same layout and names, and open here alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hsikit.errors import ModelError
from hsikit.nn.adapted_layer import AdaptedLayer, adapted_layers, remove_adapters
from hsikit.nn.adaptformer import ParallelBottleneck, add_adaptformer
from hsikit.nn.dora import DoRALinear, add_dora
from hsikit.nn.lora import TRAINED_BESIDE, LoRALinear, add_lora, trained_parts

PREFIX = "base_model.model."
HEAD = "head"
"""Where a task network has its head."""
TENSORS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def adapter_state(module: nn.Module, beside: Sequence[str] = TRAINED_BESIDE) -> dict[str, Tensor]:
    """The tensors of an adapter: what learned in each layer, and the parts trained in full beside them.

    Args:
        module: has adapters.
        beside: names of the parts, see `freeze_base`.

    Returns:
        Copies on the CPU, by PEFT's names: `base_model.model.<path>.lora_A.weight`, `.lora_B.weight`, `base_model.model.<path>.weight`.

    Raises:
        ValueError: no layer has an adapter.
    """
    tensors = _tensors(module, beside)
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _tensors(module: nn.Module, beside: Sequence[str]) -> dict[str, Tensor]:
    """The module's own tensors by PEFT's names."""
    layers = _require_layers(module)
    tensors = {f"{PREFIX}{path}.{name}": tensor for path, layer in layers.items() for name, tensor in layer.learned.items()}
    for path, part in trained_parts(module, beside):
        tensors |= {f"{PREFIX}{path}.{name}": tensor for name, tensor in part.state_dict(keep_vars=True).items()}
    return tensors


def _require_layers(module: nn.Module) -> dict[str, AdaptedLayer]:
    """The adapted layers by path, one at least."""
    if not (layers := adapted_layers(module)):
        raise ValueError("no layer here has an adapter; a head on a frozen base is kept by itself")
    return layers


def adapter_config(module: nn.Module, beside: Sequence[str] = TRAINED_BESIDE) -> dict[str, Any]:
    """What PEFT's `adapter_config.json` says of a module's adapters; their present scale is part of their strength.

    Raises:
        ValueError: there are no adapters, or they differ in kind, rank or strength.
    """
    layers = _require_layers(module)
    kinds = [_own_config(layer) for layer in layers.values()]
    different = len({json.dumps(kind, sort_keys=True) for kind in kinds})
    if different != 1:
        raise ValueError(f"{len(layers)} adapters of {different} kinds; PEFT's file describes adapters of one rank, strength and dropout")
    return {
        **kinds[0],
        "target_modules": list(layers),
        "modules_to_save": [path for path, _ in trained_parts(module, beside)] or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "task_type": None,
        "base_model_name_or_path": None,
    }


def _own_config(layer: nn.Module) -> dict[str, Any]:
    """The part of the configuration that one layer decides."""
    if isinstance(layer, ParallelBottleneck):
        return {"peft_type": "ADAPTFORMER", "hidden": layer.hidden, "strength": layer.strength * layer.scale, "dropout": layer.dropout.p}
    assert isinstance(layer, LoRALinear)
    weight_decomposed = isinstance(layer, DoRALinear)
    return {"peft_type": "LORA", "use_dora": weight_decomposed, "r": layer.rank, "lora_alpha": layer.alpha * layer.scale, "lora_dropout": layer.dropout.p}


@torch.no_grad()
def load_adapter(module: nn.Module, state: Mapping[str, Tensor], beside: Sequence[str] = TRAINED_BESIDE) -> None:
    """Gives a module the adapter of `adapter_state`, or one that PEFT saved.

    Args:
        module: the base model with adapters of the same layers and rank: `add_lora` with `target_modules`, `r` and `lora_alpha` of
            the configuration. Nothing is changed where something does not fit.
        state: tensors by PEFT's names.
        beside: names of the parts trained in full.

    Raises:
        ModelError: tensors are missing, unknown, or of another shape.
        ValueError: no layer has an adapter, or one is merged.
    """
    if merged := [path for path, layer in adapted_layers(module).items() if layer.merged]:
        raise ValueError(f"{', '.join(merged)}: merged; unmerge before an adapter is loaded")
    own = _tensors(module, beside)
    wrong = [f"{name} is missing" for name in own.keys() - state.keys()]
    wrong += [f"{name} is unknown" for name in state.keys() - own.keys()]
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in own.keys() & state.keys()}
    wrong += [f"{name} has shape {given}, not {wanted}" for name, (given, wanted) in shapes.items() if given != wanted]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError("adapter", "; ".join(sorted(wrong)[:3]) + more, "Use the adapter with the base model that it was trained on")
    for name, tensor in own.items():
        tensor.copy_(state[name])


def attach_adapter(module: nn.Module, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Puts an adapter on a base that has none, of the kind and on the layers that its configuration names.

    Args:
        module: the base model; where something does not fit, it is left without adapters.
        config: see `adapter_config`.
        state: see `adapter_state`.

    Raises:
        ModelError: a configuration that describes none of our adapters or is not of this base, or tensors that do not fit.
        ValueError: the module has adapters already.
    """
    if adapted_layers(module):
        raise ValueError("the module has adapters already; remove_adapters takes them away")
    try:
        _add_layers(module, config)
        load_adapter(module, state, beside_of(config))
    except (KeyError, TypeError, ValueError) as error:
        remove_adapters(module)
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError("adapter", f"its configuration does not fit: {what}", "Use the adapter with the base model that it was trained on") from error
    except ModelError:
        remove_adapters(module)
        raise


def split_head(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> tuple[nn.Linear, dict[str, Any], dict[str, Tensor]]:
    """An adapter in two: its linear head, and what goes on a base that other heads share, whatever their numbers of classes.

    Args:
        config: see `adapter_config`.
        state: see `adapter_state`.

    Returns:
        The head; configuration and tensors without it.

    Raises:
        ModelError: the adapter has no linear head.
    """
    prefix = f"{PREFIX}{HEAD}."
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if own.keys() != {"weight", "bias"} or own["weight"].dim() != 2:
        raise ModelError("adapter", "it holds no linear head", "Use one out of a model folder of `hsikit train encoder`")
    head = nn.Linear(own["weight"].shape[1], own["weight"].shape[0])
    head.load_state_dict(own)
    beside = [path for path in config.get("modules_to_save") or () if path != HEAD]
    return head, {**config, "modules_to_save": beside or None}, {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


def beside_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the parts that a configuration says were trained in full beside the adapters."""
    return tuple(sorted({str(path).rpartition(".")[2] for path in config.get("modules_to_save") or ()}))


def _add_layers(module: nn.Module, config: Mapping[str, Any]) -> None:
    kind, targets = config["peft_type"], [str(path) for path in config["target_modules"]]
    if kind == "ADAPTFORMER":
        add_adaptformer(module, targets, int(config["hidden"]), float(config["strength"]), float(config["dropout"]))
    elif kind == "LORA":
        add = add_dora if config.get("use_dora") else add_lora
        add(module, targets, int(config["r"]), float(config["lora_alpha"]), float(config["lora_dropout"]))
    else:
        raise ValueError(f"adapters of the kind {kind!r} are not known")


def read_adapter(folder: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of an adapter's folder, ours or one that PEFT saved.

    Raises:
        ModelError: a file is missing or not what it should be.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder, advice = Path(folder), "Copy the adapter again, or tune it anew"
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = load_file(folder / TENSORS)
    except FileNotFoundError as error:
        raise ModelError(folder, f"it is no adapter: {Path(str(error.filename or folder / TENSORS)).name} is missing", advice) from error
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise ModelError(folder, f"its files are not whole ({error}); other kinds of weights are never opened", advice) from error
    if not isinstance(config, dict):
        raise ModelError(folder / CONFIG, "it holds no configuration", advice)
    return config, state

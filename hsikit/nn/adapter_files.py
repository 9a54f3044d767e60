"""Adapters in the layout of PEFT: what `adapter_model.safetensors` and `adapter_config.json` hold.

So a tuned adapter opens in PEFT beside the base model, and costs a few kilobytes where the model costs megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hsikit.errors import ModelError
from hsikit.nn.lora import TRAINED_BESIDE, lora_layers, trained_parts

PREFIX = "base_model.model."


def adapter_state(module: nn.Module, beside: Sequence[str] = TRAINED_BESIDE) -> dict[str, Tensor]:
    """The tensors of an adapter: A and B of each layer, and the parts trained in full beside them.

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
    layers = lora_layers(module)
    if not layers:
        raise ValueError("no layer here has an adapter; call add_lora first")
    tensors: dict[str, Tensor] = {}
    for path, layer in layers.items():
        tensors[f"{PREFIX}{path}.lora_A.weight"] = layer.lora_A.weight
        tensors[f"{PREFIX}{path}.lora_B.weight"] = layer.lora_B.weight
    for path, part in trained_parts(module, beside):
        tensors |= {f"{PREFIX}{path}.{name}": tensor for name, tensor in part.state_dict(keep_vars=True).items()}
    return tensors


def adapter_config(module: nn.Module, beside: Sequence[str] = TRAINED_BESIDE) -> dict[str, Any]:
    """What PEFT's `adapter_config.json` says of a module's adapters; their present scale is part of `lora_alpha`.

    Raises:
        ValueError: there are no adapters, or they differ in rank or strength.
    """
    layers = lora_layers(module)
    kinds = {(layer.rank, layer.alpha * layer.scale, layer.dropout.p) for layer in layers.values()}
    if len(kinds) != 1:
        raise ValueError(f"{len(layers)} adapters of {len(kinds)} kinds; PEFT's file describes adapters of one rank, strength and dropout")
    rank, alpha, dropout = kinds.pop()
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": list(layers),
        "modules_to_save": [path for path, _ in trained_parts(module, beside)] or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "task_type": None,
        "base_model_name_or_path": None,
    }


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
    if merged := [path for path, layer in lora_layers(module).items() if layer.merged]:
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

"""Whether the device and the precision that were asked for are there."""

from __future__ import annotations

import re

from hsikit.engine.options import Precision
from hsikit.errors import OptionError


def require_device(name: str) -> str:
    """The device's name.

    Raises:
        OptionError: no such device, or none on this machine.
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise OptionError("--device", f"'{name}' is no device", "Give cpu, cuda, or cuda:1")
    if name != "cpu":
        import torch

        number = int(name.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            raise OptionError("--device", f"{name} is not there: torch sees {torch.cuda.device_count()} CUDA devices", "Give cpu")
    return name


def require_precision(name: str) -> Precision:
    """The precision.

    Raises:
        OptionError: no such precision.
    """
    if name == "bf16":
        return "bf16"
    if name == "float32":
        return "float32"
    raise OptionError("--precision", f"'{name}' is no precision", "Give float32 or bf16")

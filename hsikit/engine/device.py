"""The device that a run computes on: whether it is there, what it takes of the main memory, what goes wrong on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from hsikit.engine.options import Precision
from hsikit.errors import MemoryPlanError, OptionError


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


def start_device(name: str) -> None:
    """Starts a device with its libraries, so that what they take of the main memory is there before the memory is planned."""
    if name == "cpu":
        return
    import torch

    square = torch.ones(2, 2, device=name)
    (square @ square).cpu()


@contextmanager
def computing_on(name: str, precision: Precision) -> Iterator[None]:
    """Around the stages of a run: float32 keeps its digits on a GPU, and a full GPU is told as such.

    cuDNN cuts the factors of float32 convolutions to ten bits unless told otherwise: results would then differ from the
    CPU's, and between tiles, by far more than rounding. Who wants speed asks for bf16.

    Raises:
        MemoryPlanError: the device has too little memory for the tiles that are computed at once.
    """
    import torch

    try:
        with _whole_digits() if name != "cpu" and precision == "float32" else nullcontext():
            yield
    except torch.OutOfMemoryError as error:
        raise MemoryPlanError("--device", f"the memory of {name} is full", "Compute fewer or smaller tiles at once: --threads 1, --tile 64") from error


@contextmanager
def _whole_digits() -> Iterator[None]:
    from torch.backends import cudnn

    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before

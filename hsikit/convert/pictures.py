"""Plots into files: a figure drawn without a display, that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hsikit.convert.staged import write_staged
from hsikit.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".png", ".pdf", ".svg")


def save_plot(draw: Callable[[Axes], object], path: Path, *, overwrite: bool = False) -> list[Path]:
    """Draws and writes a plot.

    Args:
        draw: draws into the Axes that it is given.
        path: a picture; its ending tells the format.
        overwrite: whether an older picture is replaced.

    Raises:
        OutputError: another ending, the picture exists without `overwrite`, or the disk does not take it.
    """
    check_picture(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    draw(figure.subplots())

    def write(staged: Path) -> list[Path]:
        figure.savefig(staged, dpi=150)
        return [staged]

    return write_staged(path, write, overwrite=overwrite)


def check_picture(path: Path) -> None:
    """Refuses a name that ends in no format of pictures.

    Raises:
        OutputError: it does.
    """
    if path.suffix.lower() not in ENDINGS:
        raise OutputError(path, f"no format of pictures ends in {path.suffix!r}", f"Known are {', '.join(ENDINGS)}")

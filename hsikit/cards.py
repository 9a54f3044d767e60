"""Cards of public datasets: what each is, where it comes from, its classes and traps, and whether a user's copy is the real one.

A card is a TOML file in `datasets/`, installed as `hsikit._cards`. Nothing is downloaded: `verify` says what to fetch from
where, and checks what lies in a folder by checksum where one is known, else by variable, shape and type.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from hsikit.errors import HsikitError, OptionError, SceneError

CHUNK = 1 << 20


@dataclass(frozen=True)
class CardFile:
    """One file that belongs to a dataset.

    Attributes:
        name: path inside the dataset's folder.
        role: "cube", "labels", "abundances and endmembers", ...
        shape: of the array, in the file's own order; empty where not known.
        dtype: NumPy name of its type; "" where not known for certain.
        variable: name of the array inside a MATLAB file.
        sha256: checksum; "" where not known for certain.
        source: where to get it, if not from the card's homepage.
    """

    name: str
    role: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    variable: str = ""
    sha256: str = ""
    source: str = ""


@dataclass(frozen=True)
class Card:
    """One public dataset.

    Attributes:
        name: what `hsikit datasets NAME` takes.
        title, about, homepage, licence, citation: for people.
        task: what it is commonly used for.
        traps: what goes wrong with it, one sentence each.
        instrument: the sensor's full name.
        shape: (rows, cols, bands).
        quantity: a key of `hsikit.scene.QUANTITIES`.
        range_nm: first and last wavelength (nm).
        sensor: what `--sensor` takes for its wavelengths, or "".
        wavelengths: name of a CSV of band centres beside the card, or "".
        crosswalk: name of a CSV of class names and colours beside the card, or "".
        classes: code -> (name, labelled pixels).
        endmembers: names, in no particular order.
        split: the split to evaluate on, and why.
        files: what a complete copy holds.
    """

    name: str
    title: str
    about: str
    homepage: str
    licence: str
    citation: str
    task: str
    traps: tuple[str, ...]
    instrument: str
    shape: tuple[int, int, int]
    quantity: str
    range_nm: tuple[float, float]
    sensor: str = ""
    wavelengths: str = ""
    crosswalk: str = ""
    acquired: str = ""
    pixel_m: float | None = None
    classes: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    endmembers: tuple[str, ...] = ()
    split: tuple[str, str] = ("", "")
    files: tuple[CardFile, ...] = ()


@dataclass(frozen=True)
class Check:
    """What `verify` found of one file: "ok", "missing" or "wrong", and a sentence that says so."""

    file: str
    status: Literal["ok", "missing", "wrong"]
    message: str


def list_cards() -> list[Card]:
    """All cards, in alphabetical order of their names."""
    return sorted((_parse(entry) for entry in _folder().iterdir() if entry.name.endswith(".toml")), key=lambda card: card.name)


def load_card(name: str) -> Card:
    """The card of that name; upper case and underscores do not matter.

    Raises:
        OptionError: there is none.
    """
    wanted = name.lower().replace("_", "-")
    entry = _folder() / f"{wanted.replace('-', '_')}.toml"
    if not wanted.replace("-", "").isalnum() or not entry.is_file():
        known = ", ".join(card.name for card in list_cards())
        raise OptionError(name, "no dataset of that name", f"Known: {known}")
    return _parse(entry)


def wavelengths_of(card: Card) -> str:
    """The text of the CSV of band centres that lies beside a card.

    Raises:
        OptionError: the card has none.
    """
    if not card.wavelengths:
        raise OptionError(card.name, "its band centres were not published with it", "Name your own with --wavelengths FILE.csv")
    return (_folder() / card.wavelengths).read_text(encoding="utf-8")


def crosswalk_of(card: Card) -> Path:
    """The CSV of class names and colours that lies beside a card: what `--crosswalk` takes for its labels.

    Raises:
        OptionError: the card has none.
    """
    if not card.crosswalk:
        raise OptionError(card.name, "it has no table of class names and colours", "Name your own with --crosswalk FILE.csv")
    return Path(str(_folder() / card.crosswalk))


def verify(card: Card, folder: str | Path) -> list[Check]:
    """Checks a user's copy of a dataset, file by file.

    Args:
        card: which dataset.
        folder: where the files lie, under the names that the card gives.

    Returns:
        One check for each file of the card, in its order.

    Raises:
        OptionError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise OptionError(root, "is not a folder", f"Make it and put the files of {card.title} there: {card.homepage}")
    return [_check(card, wanted, root / wanted.name) for wanted in card.files]


def _folder() -> Traversable:
    """The cards as installed, or in the checkout, where an editable install does not map the folder."""
    try:
        return files("hsikit._cards")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[1] / "datasets"


def _parse(entry: Traversable) -> Card:
    """Reads one card."""
    try:
        raw = tomllib.loads(entry.read_text(encoding="utf-8"))
        scene, split = raw["scene"], raw.get("split", {})
        return Card(
            **{key: raw[key] for key in ("name", "title", "about", "homepage", "licence", "citation", "task")},
            traps=tuple(raw["traps"]),
            instrument=scene["instrument"],
            shape=tuple(scene["shape"]),
            quantity=scene["quantity"],
            range_nm=tuple(scene["range_nm"]),
            **{key: scene[key] for key in ("sensor", "wavelengths", "crosswalk", "acquired", "pixel_m") if key in scene},
            classes={int(code): (str(name), int(count)) for code, (name, count) in raw.get("classes", {}).items()},
            endmembers=tuple(raw.get("endmembers", {}).get("names", ())),
            split=(split.get("name", ""), split.get("why", "")),
            files=tuple(CardFile(**{**item, "shape": tuple(item.get("shape", ()))}) for item in raw["files"]),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise SceneError(entry.name, f"the card is damaged ({error})", "Install hsikit anew") from error


def _check(card: Card, wanted: CardFile, path: Path) -> Check:
    """One file against what the card says of it."""
    if not path.is_file():
        return Check(wanted.name, "missing", f"get it from {wanted.source or card.homepage}")
    if wanted.sha256:
        if sha256_of(path) == wanted.sha256:
            return Check(wanted.name, "ok", "the checksum agrees")
        return Check(wanted.name, "wrong", "the checksum differs: another version, or damaged on its way")
    try:
        wrong = _differences(wanted, *array_facts(path, wanted.variable))
    except HsikitError as error:
        return Check(wanted.name, "wrong", f"{error.wrong}. {error.advice}".strip())
    if wrong:
        return Check(wanted.name, "wrong", wrong)
    return Check(wanted.name, "ok", "shape and type agree; no checksum is known")


def _differences(wanted: CardFile, shape: tuple[int, ...], dtype: str) -> str:
    """What differs from the card, or nothing."""
    said = []
    if wanted.shape and shape != wanted.shape:
        said.append(f"its shape is {shape}, not {wanted.shape}")
    if wanted.dtype and dtype != wanted.dtype:
        said.append(f"its type is {dtype}, not {wanted.dtype}")
    return "; ".join(said)


def sha256_of(path: Path) -> str:
    """The checksum of a file, read by pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def array_facts(path: Path, variable: str = "") -> tuple[tuple[int, ...], str]:
    """Shape and NumPy type of the array in a file; no pixel is read and nothing is unpickled.

    Args:
        path: .npy, .mat (v5 or v7.3) or anything that GDAL reads (bands, rows, cols).
        variable: the array's name inside a MATLAB file.

    Raises:
        SceneError: the file cannot be read or holds no such array.
    """
    readers = {".npy": _npy_facts, ".mat": _mat_facts}
    try:
        return readers.get(path.suffix.lower(), _raster_facts)(path, variable)
    except HsikitError:
        raise
    except Exception as error:
        raise SceneError(path, f"cannot be read ({error})", "Get it anew") from error


def _npy_facts(path: Path, variable: str) -> tuple[tuple[int, ...], str]:
    import numpy as np

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return tuple(array.shape), str(array.dtype)


def _mat_facts(path: Path, variable: str) -> tuple[tuple[int, ...], str]:
    import h5py

    found: dict[str, Any]
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as store:
            # MATLAB is column-major: HDF5 shows its axes the other way round.
            found = {name: (tuple(reversed(item.shape)), str(item.dtype)) for name, item in store.items() if isinstance(item, h5py.Dataset)}
    else:
        from scipy.io import whosmat

        types = {"double": "float64", "single": "float32"}
        found = {name: (tuple(shape), types.get(kind, kind)) for name, shape, kind in whosmat(path)}
    if variable not in found:
        raise SceneError(path, f"holds no variable {variable!r} but {', '.join(sorted(found)) or 'none'}", "Another version of the file?")
    shape, dtype = found[variable]
    return shape, dtype


def _raster_facts(path: Path, variable: str) -> tuple[tuple[int, ...], str]:
    import rasterio

    with rasterio.open(path) as dataset:
        return (dataset.count, dataset.height, dataset.width), str(dataset.dtypes[0])

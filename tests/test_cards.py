from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hsikit import cards
from hsikit.cards import Card, CardFile, array_facts, crosswalk_of, list_cards, load_card, sha256_of, verify, wavelengths_of
from hsikit.errors import OptionError, SceneError
from hsikit.scene import QUANTITIES
from hsikit.train.crosswalk import read_crosswalk

EXPECTED = {
    "cuprite", "enmap-potsdam", "houston-2013", "indian-pines", "jasper-ridge", "ksc", "pavia-university",
    "salinas", "samson", "urban", "whu-hi-hanchuan", "whu-hi-honghu", "whu-hi-longkou",
}  # fmt: skip
# Labelled pixels as published, by dataset.
LABELLED = {
    "indian-pines": 10249, "pavia-university": 42776, "salinas": 54129, "ksc": 5211, "houston-2013": 15029,
    "whu-hi-longkou": 204542, "whu-hi-hanchuan": 257530, "whu-hi-honghu": 386693, "enmap-potsdam": 5672,
}  # fmt: skip


def test_all_the_cards_are_there() -> None:
    assert [card.name for card in list_cards()] == sorted(EXPECTED)


@pytest.mark.parametrize("card", list_cards(), ids=lambda card: card.name)
def test_a_card_is_complete(card: Card) -> None:
    assert card.quantity in QUANTITIES
    assert len(card.shape) == 3
    assert card.range_nm[0] < card.range_nm[1]
    assert card.homepage.startswith("http")
    assert card.licence and card.citation and card.traps and card.files
    assert all(len(file.sha256) in (0, 64) for file in card.files)
    assert any(file.role.startswith("cube") for file in card.files)
    assert card.classes or card.endmembers
    assert not card.classes or card.split[0]


@pytest.mark.parametrize("name", sorted(LABELLED))
def test_the_legends_add_up(name: str) -> None:
    card = load_card(name)
    assert sorted(card.classes) == list(range(1, len(card.classes) + 1))
    assert sum(count for _, count in card.classes.values()) == LABELLED[name]
    assert len({label for label, _ in card.classes.values()}) == len(card.classes)


@pytest.mark.parametrize("card", [card for card in list_cards() if card.crosswalk], ids=lambda card: card.name)
def test_a_crosswalk_names_and_colours_every_class(card: Card) -> None:
    table = read_crosswalk(crosswalk_of(card))
    assert table.names == {code: name for code, (name, _) in card.classes.items()}
    assert table.targets == {str(code): code for code in card.classes}
    assert len(set(table.colours.values())) == len(card.classes)


def test_a_card_without_a_crosswalk_says_so() -> None:
    with pytest.raises(OptionError, match="samson: it has no table of class names"):
        crosswalk_of(load_card("samson"))


def test_the_bands_of_indian_pines() -> None:
    lines = [line for line in wavelengths_of(load_card("indian-pines")).splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    numbers, centres, widths = (np.array([float(row[key]) for row in rows]) for key in ("band", "wavelength", "fwhm"))
    dropped = {*range(104, 109), *range(150, 164), 220}
    assert list(numbers) == [n for n in range(1, 221) if n not in dropped]
    assert centres[0] == pytest.approx(400.02) and centres[-1] == pytest.approx(2489.11, abs=0.01)
    assert np.flatnonzero(np.diff(centres) < 0).tolist() == [30, 93]
    assert 8 < widths.min() < widths.max() < 17


def test_names_are_found_however_they_are_written() -> None:
    assert load_card("Indian_Pines").name == "indian-pines"


@pytest.mark.parametrize("name", ["atlantis", "../pyproject", "", "indian-pines.toml"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OptionError, match="pavia-university"):
        load_card(name)


def test_a_card_without_published_wavelengths_says_so() -> None:
    with pytest.raises(OptionError, match="--wavelengths"):
        wavelengths_of(load_card("pavia-university"))


def test_a_damaged_card_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.toml").write_text('name = "cut"\n[scene')
    monkeypatch.setattr(cards, "_folder", lambda: tmp_path)
    with pytest.raises(SceneError, match=r"cut\.toml"):
        load_card("cut")


def card_of(*files: CardFile) -> Card:
    return Card("toy", "Toy", "", "http://home", "", "", "classification", (), "", (2, 3, 4), "dn", (400.0, 900.0), files=files)


def test_verify_tells_present_wrong_and_missing_apart(tmp_path: Path) -> None:
    from scipy.io import savemat

    np.save(tmp_path / "good.npy", np.zeros((2, 3), np.uint8))
    np.save(tmp_path / "small.npy", np.zeros((2, 2), np.uint8))
    savemat(tmp_path / "cube.mat", {"cube": np.zeros((2, 3, 4))})
    (tmp_path / "broken.mat").write_bytes(b"not a matrix")
    known = CardFile("good.npy", "labels", sha256=sha256_of(tmp_path / "good.npy"))
    wrong = CardFile("good.npy", "labels", sha256="0" * 64)
    files = [
        known, wrong, CardFile("small.npy", "labels", (2, 3), "uint8"), CardFile("cube.mat", "cube", (2, 3, 4), "float64", "cube"),
        CardFile("cube.mat", "cube", (2, 3, 4), variable="Cube"), CardFile("broken.mat", "cube", variable="x"), CardFile("absent.npy", "labels"),
    ]  # fmt: skip
    checks = verify(card_of(*files), tmp_path)
    assert [check.status for check in checks] == ["ok", "wrong", "wrong", "ok", "wrong", "wrong", "missing"]
    assert "(2, 2), not (2, 3)" in checks[2].message
    assert "but cube" in checks[4].message
    assert "http://home" in checks[6].message


def test_a_pickled_array_is_wrong_and_not_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (trap,)

    np.save(tmp_path / "trap.npy", np.array([Trap()], object), allow_pickle=True)
    (check,) = verify(card_of(CardFile("trap.npy", "cube", (1,))), tmp_path)
    assert check.status == "wrong"
    assert not trap.exists()


def test_matlab_7_3_axes_are_turned_back(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "cube.mat", "w") as store:
        store["cube"] = np.zeros((4, 3, 2), np.uint16)
    assert array_facts(tmp_path / "cube.mat", "cube") == ((2, 3, 4), "uint16")


def test_a_raster_is_checked_too(tmp_path: Path) -> None:
    import rasterio

    with rasterio.open(tmp_path / "x.tif", "w", driver="GTiff", height=2, width=3, count=4, dtype="int16") as dataset:
        dataset.write(np.zeros((4, 2, 3), np.int16))
    assert array_facts(tmp_path / "x.tif") == ((4, 2, 3), "int16")


def test_a_missing_folder_says_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="http://home"):
        verify(card_of(), tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("indian-pines", "classification/indian_pines"), ("enmap-potsdam", "classification/enmap_potsdam"), ("samson", "unmixing/samson")],
)
def test_the_real_files_agree(name: str, folder: str, shared_data: Path) -> None:
    assert {check.status for check in verify(load_card(name), shared_data / folder)} == {"ok"}


def test_indian_pines_ships_inside_tensorly() -> None:
    from importlib.util import find_spec

    found = find_spec("tensorly")
    assert found is not None and found.origin is not None, "the demo and dev extras install tensorly"
    checks = verify(load_card("indian-pines"), Path(found.origin).parent / "datasets" / "data")
    assert {check.status for check in checks} == {"ok"}

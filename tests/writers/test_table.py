import csv
from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import OutputError
from hsikit.layers import Features
from hsikit.writers import write_table


def test_values_come_back_exactly(tmp_path: Path) -> None:
    columns = {"class": np.array(["corn, late", 'say "so"', "Wälder"]), "score": np.array([0.1, np.nan, 1e-300]), "n": np.array([1, 2, 3])}
    path = tmp_path / "hits.csv"
    assert write_table(Features(columns, np.array([[1.5, 2.5], [3.0, 4.0], [5.0, 6.0]])), path) == [path]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["x", "y", "class", "score", "n"]
    assert [row["class"] for row in rows] == list(columns["class"])
    assert [row["score"] for row in rows] == ["0.1", "", "1e-300"]
    assert [(float(row["x"]), int(row["n"])) for row in rows] == [(1.5, 1), (3.0, 2), (5.0, 3)]


def test_no_rows_leave_the_header(tmp_path: Path) -> None:
    write_table(Features({"a": np.zeros(0), "b": np.zeros(0, int)}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\n"


@pytest.mark.parametrize(
    ("features", "name", "words"),
    [
        (Features({"a": np.zeros(2)}), "t.xlsx", "xlsx"),
        (Features({"a": np.zeros(2), "b": np.zeros(3)}), "t.csv", "differ in length"),
        (Features({"x": np.zeros(1)}, np.zeros((1, 2))), "t.csv", "coordinate"),
        (Features({"a": np.zeros(1)}), "missing/t.csv", r"missing"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, features: Features, name: str, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        write_table(features, tmp_path / name)

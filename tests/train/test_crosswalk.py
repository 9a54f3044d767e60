from __future__ import annotations

import pytest

from hsikit.errors import LabelError
from hsikit.layers import Legend
from hsikit.train.crosswalk import encode, read_crosswalk


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "walk.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_names_are_numbered_alphabetically():
    coding = encode(["wheat", "corn", "soy"], "f.gpkg")
    assert coding.legend.names == ("corn", "soy", "wheat")
    assert coding.codes == {"corn": 1, "soy": 2, "wheat": 3}
    assert coding.numbered


def test_integer_codes_are_kept():
    coding = encode([250, 7, 11], "f.gpkg", names={7: "corn"}, colours={11: (1, 2, 3)})
    assert coding.codes == {250: 250, 7: 7, 11: 11}
    assert coding.legend.names == ("corn", "class 11", "class 250")
    assert coding.legend.classes[1].colour == (1, 2, 3)
    assert not coding.numbered


def test_ignored_codes_and_names_vanish():
    assert encode([1, 2, 999], "f", ignore=(999, "2")).codes == {1: 1}
    assert encode(["a", "b"], "f", ignore=("b",)).legend.names == ("a",)


def test_crosswalk_merges_renames_and_colours(table):
    walk = read_crosswalk(table("from,to,name,colour\n311,1,forest,#00ff00\n312,1,,\nwater,2,Water,0 0 255\nroad,,,\n"))
    coding = encode([311, 312, "water", "road"], "f", crosswalk=walk)
    assert coding.codes == {311: 1, 312: 1, "water": 2}
    assert [(c.code, c.name, c.colour) for c in coding.legend.classes] == [(1, "forest", (0, 255, 0)), (2, "Water", (0, 0, 255))]


def test_crosswalk_to_names_and_semicolons(table):
    walk = read_crosswalk(table("\ufefffrom;to;colour\n1;grass;#010203\n2;bare;\n"))
    coding = encode([1, 2], "f", crosswalk=walk)
    assert coding.codes == {1: 2, 2: 1}
    assert coding.legend.classes[1].colour == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "columns a, b"),
        ("from,to\n1,2\n1,3\n", "line 3.*'1'"),
        ("from,to\n1,300\n", "line 2.*300"),
        ("from,to,colour\n1,2,green\n", "no colour"),
        ("from,to,name\n1,2,a\n3,2,b\n", "name of code 2"),
        ("", "none"),
    ],
)
def test_bad_crosswalks_name_file_and_line(table, text, words):
    path = table(text)
    with pytest.raises(LabelError, match=words) as error:
        read_crosswalk(path)
    assert "walk.csv" in str(error.value)


def test_a_missing_crosswalk_is_named(tmp_path):
    with pytest.raises(LabelError, match=r"none\.csv"):
        read_crosswalk(tmp_path / "none.csv")


def test_values_missing_from_the_crosswalk_are_named(table):
    with pytest.raises(LabelError, match=r"f\.gpkg: value 3 .*walk\.csv"):
        encode([1, 3], "f.gpkg", crosswalk=read_crosswalk(table("from,to\n1,2\n")))


def test_a_given_legend_is_matched_by_name_or_code():
    legend = Legend.of({4: "corn", 9: "soy"})
    assert encode(["soy", "corn"], "f", legend=legend).codes == {"soy": 9, "corn": 4}
    assert encode([4], "f", legend=legend).codes == {4: 4}
    assert encode([1], "f", legend=legend, names={1: "soy"}).codes == {1: 9}
    assert encode([3], "f", legend=Legend.of({3: "class 3"}), names={3: "soy"}).codes == {3: 3}
    for value, names in (("oat", {}), (5, {}), (4, {4: "oat"})):
        with pytest.raises(LabelError, match="4 corn, 9 soy"):
            encode([value], "f", legend=legend, names=names)


def test_impossible_codes_and_mixtures_are_refused():
    with pytest.raises(LabelError, match="251"):
        encode([251], "f")
    with pytest.raises(LabelError, match="-3"):
        encode([-3], "f")
    with pytest.raises(LabelError, match=r"names .* codes"):
        encode(["corn", 3], "f")
    with pytest.raises(LabelError, match="300 class names"):
        encode([f"n{i}" for i in range(300)], "f")

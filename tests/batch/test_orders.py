"""One order: its options by type, its output, its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.batch.orders import Order, make_order, output_path, require_distinct
from hsikit.errors import OptionError


def order(scene: str = "a/s.tif", task: str = "classify", pattern: str = "maps/{stem}.tif", **options: Any) -> Order:
    return make_order([scene], task, pattern, {**({"model": "m"} if task == "classify" else {}), **options}, "here")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("maps/{stem}.tif", "maps/s.tif"), ("maps", "maps/s.tif"), ("maps/", "maps/s.tif"), ("{parent}_{stem}_{task}.zarr", "a_s_classify.zarr"),
        ("maps/{parent}", "maps/a"), ("one.tif", "one.tif"),
    ],
)  # fmt: skip
def test_outputs(pattern: str, name: str) -> None:
    assert order(pattern=pattern).output == Path(name).absolute()


def test_the_stem_of_an_archive() -> None:
    assert output_path("{stem}.tif", "x/scene.tar.gz", "classify", "here").name == "scene.tif"


@pytest.mark.parametrize(("field", "wrong"), [("{steam}.tif", "steam"), ("{stem.__class__}.tif", "stem.__class__"), ("{}.tif", "")])
def test_an_output_has_no_other_fields(field: str, wrong: str) -> None:
    with pytest.raises(OptionError, match="no field") as told:
        order(pattern=field)
    assert f"{{{wrong}}}" in str(told.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("sieve", "4", 4), ("confidence", "TRUE", True), ("smooth", False, False), ("unknown_below", "0.5", 0.5), ("unknown_below", 1, 1.0),
        ("mask", "cloud,shadow; b.gpkg", ["cloud,shadow", "b.gpkg"]), ("mask", ["a.gpkg", "b.gpkg"], ["a.gpkg", "b.gpkg"]),
        ("bbox", "1 2 3 4.5", [1.0, 2.0, 3.0, 4.5]), ("nodata", "-9999", -9999.0),
    ],
)  # fmt: skip
def test_values_are_read_by_their_type(name: str, text: Any, value: Any) -> None:
    found = order(**{name: text}).options[name]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("sieve", "4.5", "no whole number"), ("sieve", True, "no whole number"), ("confidence", "maybe", "neither true nor false"), ("scale", "x", "no number"),
        ("mask", 3, "no list of texts"), ("bbox", "1 2 3", "not four numbers"), ("bbox", ["a", 2, 3, 4], "no number"), ("grid", 3, "no text"),
    ],
)  # fmt: skip
def test_other_values_are_refused(name: str, value: Any, wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong) as told:
        order(**{name: value})
    assert str(told.value).startswith(f"here: {name}: ")


def test_what_a_task_lacks() -> None:
    with pytest.raises(OptionError, match="anomaly has no option 'sieve'"):
        order(task="anomaly", sieve=4)
    with pytest.raises(OptionError, match="classify needs a model"):
        make_order(["s.tif"], "classify", "o.tif", {}, "here")
    with pytest.raises(OptionError, match="'transform' is no task"):
        order(task="transform")
    with pytest.raises(OptionError, match="there is no output"):
        order(pattern="")


def test_two_scenes_for_one_output() -> None:
    require_distinct([order("a/s.tif"), order("a/t.tif"), order("a/s.tif", "anomaly", "maps/{stem}_{task}.tif")])
    with pytest.raises(OptionError, match=r"a/s\.tif \(classify\) and b/s\.tif \(classify\) would both write"):
        require_distinct([order("a/s.tif"), order("b/s.tif")])
    hits = {"hits": "maps/hits.gpkg"}
    with pytest.raises(OptionError, match=r"hits\.gpkg"):
        require_distinct([order("a/s.tif", "anomaly", **hits), order("a/t.tif", "anomaly", **hits)])


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.integers(), st.text(), st.booleans())
def test_an_order_survives_its_json(scene: list[str], sieve: int, mask: str, smooth: bool) -> None:
    made = Order(tuple(scene), "classify", Path("o.tif"), {"model": "m", "sieve": sieve, "mask": [mask], "smooth": smooth})
    assert Order.from_json(made.to_json()) == made


def test_the_key_is_that_of_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = order("s.tif", model="m")
    assert one.key == order(str(tmp_path / "s.tif"), model=str(tmp_path / "m")).key
    assert len({one.key, order("s.tif", sieve=2).key, order("t.tif").key, order("s.tif", "anomaly").key, order("s.tif", model="n").key}) == 5


def test_absolute_paths_for_a_worker_of_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clouds.gpkg").touch()
    one = order("a/s.tif", mask=["cloud,shadow", "clouds.gpkg"], confidence=True)
    found = one.absolute
    assert found.scene == (str(tmp_path / "a" / "s.tif"),) and found.output == one.output
    assert found.options == {"model": str(tmp_path / "m"), "mask": ["cloud,shadow", str(tmp_path / "clouds.gpkg")], "confidence": True}
    assert found.key == one.key and found.absolute == found


SIGNED = "http://host/a.tif?X-Amz-Signature=SECRET"


def test_signatures_stand_in_no_text_of_an_order() -> None:
    made = make_order([SIGNED], "anomaly", "m/{stem}.tif", {"dem": SIGNED.replace("/a.", "/d.")}, "")
    bare = make_order(["http://host/a.tif"], "anomaly", "m/{stem}.tif", {"dem": "http://host/d.tif"}, "")
    assert made == bare and made.key == bare.key and "SECRET" not in repr(made) + json.dumps(made.to_json())
    assert made.signatures == made.absolute.signatures == dict.fromkeys(("http://host/a.tif", "http://host/d.tif"), "X-Amz-Signature=SECRET")
    masked = Order(("b.tif",), "anomaly", Path("/m.tif"), {"mask": ["cloud", SIGNED.replace("/a.", "/m.")]})
    assert masked.options == {"mask": ["cloud", "http://host/m.tif"]} and masked.signatures == {"http://host/m.tif": "X-Amz-Signature=SECRET"}
    assert Order(("a?b.tif", "s3://data/a?b.tif"), "anomaly", Path("/m.tif"), {}).scene == ("a?b.tif", "s3://data/a?b.tif")

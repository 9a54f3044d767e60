"""What a benchmark compares, and the mistakes that are named before any work."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hsikit.errors import HsikitError, MethodError, OptionError
from hsikit.train.benchmark_plan import make_plan


def test_floors_stand_in_every_plan_unsmoothed() -> None:
    plan = make_plan(["mnf-lda"], ["blocks"], [0], smooth="yes")
    assert [row.row for row in plan.contenders] == ["nearest-label", "svm", "mnf-lda+smooth"]
    assert plan.floors == ("nearest-label", "svm")
    both = make_plan(["svm", ("mnf-lda", {"width": 3, "standardise": True})], ["blocks"], [0], smooth="both")
    expected = ["nearest-label", "svm", "svm+smooth", "mnf-lda:width=3,standardise=true", "mnf-lda:width=3,standardise=true+smooth"]
    assert [row.row for row in both.contenders] == expected


def test_options_of_a_split_win_over_those_of_all() -> None:
    plan = make_plan(["svm"], ["class-halves", ("blocks", {"guard": 6}), "blocks", "blocks"], [3, 1, 3], split_options={"guard": 2, "per_class": 10})
    assert [design.name for design in plan.designs] == ["class-halves", "blocks:guard=6", "blocks"]
    assert [design.options["guard"] for design in plan.designs] == [2, 6, 2] and plan.seeds == (3, 1)
    assert plan.designs[1].title == "blocks:guard=6,per_class=10"


@pytest.mark.parametrize(
    ("split", "kind"), [("group:plot", "groups"), ("groups", "groups"), ("scene:a.tif", "scene"), ("leave-polygon-out", "leave-polygon-out")]
)
def test_the_kind_of_a_split(split: str, kind: str) -> None:
    assert make_plan(["svm"], [split], [0]).designs[0].kind == kind


def test_coordinates_are_no_floor_where_none_are_shared(labelled: Any, memory_source: Any) -> None:
    codes = np.repeat([[1, 2]], 6, axis=0)
    near, far = ([labelled(codes, source=memory_source(codes.shape, 2, georeferenced=placed)) for _ in range(2)] for placed in (True, False))
    plan = make_plan(["mnf-lda"], ["blocks", "scene"], [0])
    blocks, scene = plan.designs
    rows = {name: [row.row for row in plan.rows_of(design, scenes)] for name, design, scenes in
            (("near", blocks, near), ("one", blocks, far[:1]), ("far", blocks, far), ("scene", scene, near))}  # fmt: skip
    assert rows["near"] == rows["one"] == ["nearest-label", "svm", "mnf-lda"]
    assert rows["far"] == rows["scene"] == ["svm", "mnf-lda"]
    asked = make_plan(["nearest-label"], ["scene"], [0])
    assert [row.row for row in asked.rows_of(asked.designs[0], near)] == ["nearest-label", "svm"]


@pytest.mark.parametrize(("change", "kind", "words"), [
    ({"methods": []}, OptionError, "--methods: there is nothing"),
    ({"splits": []}, OptionError, "--splits: there is nothing"),
    ({"seeds": []}, OptionError, "--seeds: there is nothing"),
    ({"seeds": [-1]}, OptionError, "-1 is no seed"),
    ({"smooth": "perhaps"}, OptionError, "perhaps"),
    ({"methods": ["by-magic"]}, MethodError, "by-magic: there is no such method"),
    ({"methods": ["rx"]}, MethodError, "rx: learns nothing from labels"),
    ({"methods": [("svm", {"seed": 3})]}, OptionError, "svm:seed"),
    ({"splits": ["by-magic"]}, OptionError, "there is no split 'by-magic'"),
    ({"splits": ["blocks:plot"]}, OptionError, "there is no split 'blocks:plot'"),
    ({"splits": [("blocks", {"colour": 1})]}, OptionError, "no option 'colour'"),
    ({"splits": [("blocks", {"guard": "six"})]}, OptionError, "guard='six'"),
    ({"splits": [("blocks", {"guard": True})]}, OptionError, "guard=True"),
    ({"splits": [("blocks", {"guard": -1})]}, OptionError, "-1 is no distance"),
    ({"against": "svm+smooth"}, OptionError, "'svm+smooth' is no row of the table. The rows are nearest-label, svm"),
])  # fmt: skip
def test_mistakes_are_named(change: dict[str, Any], kind: type[HsikitError], words: str) -> None:
    given = {"methods": ["svm"], "splits": ["blocks"], "seeds": [0], **change}
    with pytest.raises(kind, match=re.escape(words)):
        make_plan(**given)

"""What is compared: kinds of detectors, floors, draws, and plans that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from hsikit.errors import MethodError, OptionError
from hsikit.ranking.plan import FLOORS, TASKS, kind_of, make_ranking_plan
from hsikit.registry import METHODS


def test_every_detector_of_pixels_is_ranked() -> None:
    for entry in METHODS:
        if entry.task in TASKS:
            assert kind_of(entry.name) == TASKS[entry.task]
        else:
            with pytest.raises(MethodError, match=f"{entry.name}: is of the task {entry.task}.*of targets are ace, .*of anomalies rx, "):
                kind_of(entry.name)


def test_the_floor_joins_and_rows_are_named_by_their_options() -> None:
    plan = make_ranking_plan([("object-anomaly", {"object_size": 30}), "local-rx", "local-rx"])
    assert [detector.row for detector in plan.detectors] == ["object-anomaly:object_size=30", "local-rx", "rx"]
    assert (plan.kind, plan.floor, plan.seeds, plan.drawn, plan.against) == ("anomaly", FLOORS["anomaly"], (0,), 0, None)
    plan = make_ranking_plan(["spectral-angle", "ace"], target_pixels=3, seeds=[4, 4, 2])
    assert [detector.row for detector in plan.detectors] == ["spectral-angle", "ace"] and (plan.drawn, plan.seeds) == (3, (4, 2))
    assert make_ranking_plan(["ace"], target_pixels=1).seeds == tuple(range(10))
    assert make_ranking_plan(["ace"], target="minerals.csv", names=["alunite"]).seeds == (0,)


@pytest.mark.parametrize(("methods", "choices", "error", "wrong"), [
    ([], {}, OptionError, "--methods: there is nothing to compare"),
    (["no-such"], {}, MethodError, "there is no such method. The methods are .*object-anomaly"),
    (["svm"], {}, MethodError, "svm: is of the task classification"),
    (["rx", "ace"], {"target_pixels": 3}, OptionError, "ace looks for a target, and rx for anomalies"),
    (["rx"], {"target_pixels": 3}, OptionError, "--target-pixels: rx looks for no target"),
    (["rx"], {"names": ["alunite"]}, OptionError, "--name: rx looks for no target"),
    (["ace"], {}, OptionError, "ace looks for a target, and none is given. Give --target-pixels 3"),
    (["ace"], {"target_pixels": 3, "target": "a.csv"}, OptionError, "and two are given"),
    (["ace"], {"target_pixels": 3, "names": ["a"]}, OptionError, "--name: it chooses spectra of a library"),
    (["ace"], {"target_pixels": 0}, OptionError, "0 is no number of pixels"),
    (["ace"], {"target_pixels": 3, "seeds": []}, OptionError, "--seeds: there is no seed"),
    (["ace"], {"target_pixels": 3, "seeds": [-1]}, OptionError, "--seeds: -1 is no seed"),
    (["rx"], {"seeds": [1]}, OptionError, "--seeds: nothing is drawn"),
    ([("rx", {"pfa": 1e-3})], {}, OptionError, "rx:pfa: is no option here"),
    ([("rx", {"size": 3})], {}, OptionError, "has no such options as size"),
    ([("ace", {"shrinkage": 2})], {"target_pixels": 3}, OptionError, "not a share below 1"),
    (["local-rx"], {"against": "ace"}, OptionError, "'ace' is no row of the table. The rows are local-rx, rx"),
])  # fmt: skip
def test_plans_that_make_no_sense(methods: list[Any], choices: dict[str, Any], error: type[Exception], wrong: str) -> None:
    with pytest.raises(error, match=wrong):
        make_ranking_plan(methods, **choices)

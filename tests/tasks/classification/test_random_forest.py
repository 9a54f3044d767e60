from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from hsikit.errors import OptionError
from hsikit.tasks.classification.random_forest import RandomForest, flatten_forest
from tests.tasks.classification.scenes import fields, labelled, layers_of, run_with, source


@pytest.mark.parametrize("classes", [2, 5])
def test_equals_scikit_learn(classes: int) -> None:
    values, truth = fields(40, 37, classes, 12, noise=3.0)
    scene = source(values)
    complete = ~np.isnan(values).any(0)
    labels = labelled(scene, truth, 40)
    labels = labels.take(complete[labels.rows, labels.cols])
    model = RandomForest.train([labels], run=run_with(), seed=3, trees=30)
    oracle = RandomForestClassifier(30, max_depth=24, random_state=3).fit(values[:, labels.rows, labels.cols].T, labels.codes)
    pixels = np.ascontiguousarray(values[:, complete].T)
    np.testing.assert_allclose(model.probabilities(torch.from_numpy(pixels)), oracle.predict_proba(pixels), atol=1e-6)
    found = layers_of(model.with_options(extras=("probabilities",)).bind({"cube": scene.info}), scene, None, "probabilities")["probabilities"]
    np.testing.assert_allclose(found[:, complete].T, oracle.predict_proba(pixels), atol=1e-6)


@settings(max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=12, unique=True))
def test_thresholds_between_neighbouring_floats_part_them_as_scikit_learn_does(numbers: list[float]) -> None:
    values = np.array(sorted(numbers), np.float32)
    values = np.unique(np.concatenate([values, np.nextafter(values, np.float32(np.inf))]))[:, None]
    targets = np.arange(len(values)) % 2
    forest = RandomForestClassifier(3, random_state=0).fit(values, targets)
    base, truth = fields(12, 12, 2, 1, holes=False)
    model = RandomForest.train([labelled(source(base), truth)], run=run_with(), trees=1)
    model = RandomForest(model.basis, model.legend, flatten_forest([tree.tree_ for tree in forest.estimators_]))
    np.testing.assert_allclose(model.probabilities(torch.from_numpy(values)), forest.predict_proba(values), atol=1e-6)


def test_a_node_that_points_outside_is_refused() -> None:
    values, truth = fields(20, 20, 2, 5, holes=False)
    model = RandomForest.train([labelled(source(values), truth)], run=run_with(), trees=4)
    arrays, facts = model.state()
    child = arrays["child"].copy()
    child[0] = 10_000
    with pytest.raises(ValueError, match="outside"):
        RandomForest.from_state({**arrays, "child": child}, facts)
    RandomForest.from_state(arrays, facts)


def test_refuses_a_forest_of_no_trees() -> None:
    values, truth = fields(20, 20, 2, 5, holes=False)
    with pytest.raises(OptionError, match="trees"):
        RandomForest.train([labelled(source(values), truth)], run=run_with(), trees=0)

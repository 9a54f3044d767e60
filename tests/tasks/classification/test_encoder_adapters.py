"""Adapters of model folders on one base, switched by name."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from hsikit.errors import ModelError
from hsikit.models import save_method
from hsikit.nn.adapter_files import read_adapter, split_head
from hsikit.nn.base_files import load_base
from hsikit.nn.body import BandFacts, TaskNetwork
from hsikit.nn.named_adapters import NamedAdapters
from hsikit.tasks.classification import encoder_tuning
from hsikit.tasks.classification.encoder import EncoderClassifier
from tests.tasks.bases import FWHM, WAVELENGTH, small_base
from tests.tasks.classification.scenes import fields, labelled, run_with, source

BANDS = BandFacts(WAVELENGTH, FWHM, torch.ones(20, dtype=torch.bool))


@pytest.mark.parametrize("heads", [("lora", "lora"), ("lora", "dora"), ("adaptformer", "lora")])
def test_two_customers_stand_on_one_base_whatever_their_classes(tmp_path: Path, heads: tuple[str, str]) -> None:
    values, truth = fields(20, 19, 3, 15)
    scene, base = source(np.abs(values) + 1), small_base(tmp_path / "base")
    shelf, own, models = NamedAdapters(TaskNetwork(load_base(base), torch.nn.Identity()).eval()), {}, {}
    for customer, head, wanted in zip(("crops", "trees"), heads, (truth, np.minimum(truth, 2)), strict=True):
        with mock.patch.object(encoder_tuning, "TUNING", {**encoder_tuning.TUNING, "epochs": 3}):
            models[customer] = EncoderClassifier.train([labelled(scene, wanted, 10)], run=run_with(), base=str(base), head=head)
        save_method(models[customer], tmp_path / customer)
        own[customer], config, tensors = split_head(*read_adapter(tmp_path / customer / "adapter"))
        shelf.add(customer, config, tensors)
    window = torch.randn(1, 20, 6, 5, generator=torch.Generator().manual_seed(0))
    plain, seen = shelf.module.dense(window, BANDS), {}
    for customer in ("trees", "crops", "trees"):
        shelf.use(customer)
        features, network = shelf.module.dense(window, BANDS), models[customer]._network("cpu")
        torch.testing.assert_close(features, network.dense(window, BANDS), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(own[customer].weight.detach(), models[customer].arrays["head.weight"])
        assert own[customer](features.movedim(1, -1)).shape == (1, 6, 5, 3 if customer == "crops" else 2)
        assert torch.equal(seen.setdefault(customer, features), features)
    assert not torch.equal(seen["crops"], seen["trees"])
    shelf.use(None)
    assert torch.equal(shelf.module.dense(window, BANDS), plain)


def test_an_adapter_without_a_linear_head_is_not_parted() -> None:
    with pytest.raises(ModelError, match="no linear head"):
        split_head({"modules_to_save": None}, {"base_model.model.head.weights.mlp.0.weight": torch.zeros(2, 2)})

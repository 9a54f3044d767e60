"""A model on scenes of its own sensor and of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsikit.errors import ModelError, OptionError
from hsikit.scene import Bands
from hsikit.tasks.classification.any_sensor import READ_OUT, AnySensor
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import gather_transfer
from tests.tasks.classification.networks import short
from tests.tasks.classification.scenes import BROAD, as_sensor, fifteen_bands, layers_of, run_with

CENTRES, WIDTHS = BROAD


@pytest.fixture(scope="module")
def made():
    scene, truth, labels = fifteen_bands()
    return AnySensor(Svm.train([labels], run=run_with()), gather_transfer([labels])), scene, truth, labels


def test_its_own_sensor_is_mapped_as_before(made) -> None:
    model, scene, _, _ = made
    job, plain = model.bind({"cube": scene.info}), model.own.bind({"cube": scene.info})
    assert job.identity == plain.identity and job.provenance == plain.provenance
    assert (model.name, model.task, model.roles, model.legend) == ("svm", "classification", ("cube",), model.own.legend)


def test_another_sensor_is_read_out_and_says_so(made) -> None:
    model, scene, truth, _ = made
    other = as_sensor(scene, CENTRES, WIDTHS)
    job = model.with_options(extras=("confidence",)).bind({"cube": other.info})
    told = job.provenance[READ_OUT]
    assert "other.tif" in told and "(toy)" in told and "6 of its 6" in told and "% of the model's range (visible 100%, near infrared 100%, " in told
    found = layers_of(job, other, None, "map", "confidence")
    known = (truth > 0) & (found["map"][0] > 0)
    assert (found["map"][0] == truth)[known].mean() > 0.8 and np.nanmax(found["confidence"]) <= 1
    alone = layers_of(model.transfer.marginal.bind({"cube": other.info}), other, 16, "map")
    np.testing.assert_array_equal(found["map"], alone["map"])


def test_networks_that_were_learned_read_it_out(made) -> None:
    model, scene, truth, labels = made
    other = as_sensor(scene, CENTRES, WIDTHS)
    with short():
        taught = replace(model, transfer=gather_transfer([labels], networks=True))
    job = taught.bind({"cube": other.info})
    assert "marginal LDA and two networks" in job.provenance[READ_OUT]
    found = layers_of(job, other, 16, "map")["map"]
    np.testing.assert_array_equal(found, layers_of(taught.transfer.reader.bind({"cube": other.info}), other, None, "map")["map"])
    known = (truth > 0) & (found[0] > 0)
    assert (found[0] == truth)[known].mean() > 0.8
    assert taught.bind({"cube": scene.info}).identity == model.bind({"cube": scene.info}).identity


def test_what_it_cannot_do_is_refused(made) -> None:
    model, scene, _, labels = made
    few = scene.info.with_(bands=Bands(np.array([600.0, 900.0]), np.full(2, 99.0), np.ones(2, bool), ("a", "b")))
    with pytest.raises(ModelError, match="of its bands lie where"):
        model.bind({"cube": few})
    with pytest.raises(ModelError, match="values are"):
        model.for_scene(scene.info.with_(quantity="radiance"))
    with pytest.raises(OptionError):
        model.with_options(refit_statistics=True)
    other = as_sensor(scene, CENTRES, WIDTHS)
    mnf = AnySensor(MnfLda.train([labels], run=run_with(), components=5, width=3, standardise=False), model.transfer)
    with pytest.raises(OptionError, match="marginal-lda has no such option"):
        mnf.with_options(refit_statistics=True).bind({"cube": other.info})


def test_a_marginal_discriminant_reads_itself_out_unless_it_was_adapted(made) -> None:
    _, scene, _, labels = made
    own = MarginalLda.train([labels], run=run_with(), width=1)
    transfer = gather_transfer([labels])
    other = as_sensor(scene, CENTRES, WIDTHS)
    job = AnySensor(own, transfer).bind({"cube": other.info})
    assert AnySensor(own, transfer).for_scene(other.info) is own and READ_OUT in job.provenance
    adapted = AnySensor(own, replace(transfer, origin={"model": "first"}))
    assert adapted.for_scene(other.info).settings["width"] == 3

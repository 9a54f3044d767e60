"""A classifier for another sensor, fitted in seconds on the labelled spectra that its model keeps, as that sensor would see them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError
from hsikit.scene import Bands
from hsikit.spectral.resample import Resampling
from hsikit.spectral.sensor_change import SensorChange, change_by, error_covariance
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.encoder import EncoderClassifier
from hsikit.tasks.classification.marginal_lda import WIDTH, MarginalLda, class_statistics, normal_discriminant, require_seen, statistics_through
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.samples import Samples
from hsikit.tasks.classification.sensor_ensemble import SensorEnsemble
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import Transfer

RAW_FORM = (
    "mnf-lda was refitted in raw form: a discriminant of 3 x 3 means of all bands, with what instruments differ by in its covariance, "
    "since the noise of a scene of the other sensor is not known; its confidence is not calibrated"
)
HEAD_ANEW = "the encoder stayed as it is; its head lda was fitted anew on {} of {} labelled pixels; its confidence is not calibrated"
FROM_FEWER = "of {} labelled pixels {} were kept, and the networks learned from these"
FEWER = "of {} labelled pixels {} were kept, and the refit rests on these"
NEITHER = (
    "`hsikit classify` maps scenes of other sensors with this very model, where it can read them; `hsikit adapt --to any` makes one of its labels "
    "that reads every sensor; or resample the training scene, and train again"
)


@dataclass(frozen=True, eq=False)
class OtherSensor:
    """A sensor, as bands of the training sensor make it.

    Attributes:
        name: for messages and the model's facts.
        sensor: what scenes of it call themselves, or "".
        bands: all its bands, ascending, D' of them.
        resampling: weights of shape (D', C) from the good bands of the training sensor.
    """

    name: str
    sensor: str
    bands: Bands
    resampling: Resampling


def refitted(method: Any, transfer: Transfer, other: OtherSensor, *, seed: int = 0) -> tuple[Any, tuple[str, ...]]:
    """A model of the same method for another sensor.

    `svm` and `random-forest` learn again, with their own options, from the kept single spectra. `marginal-lda` takes its
    statistics through the responses, exactly, and needs no spectra. `mnf-lda` becomes a discriminant of the kept 3 x 3 means in
    raw form, not standardised and without components: noise and covariance of a scene of the other sensor are not at hand.
    `encoder` keeps its network, and fits its head `lda` on the kept windows.

    Args:
        method: the trained model.
        transfer: what its folder keeps.
        other: the sensor.
        seed: of everything random.

    Returns:
        The model, and what the user should know.

    Raises:
        ModelError: a method that cannot be refitted, no kept spectra, or too little of the model's range is seen.
    """
    if isinstance(method, SensorEnsemble):
        raise ModelError(method.name, "it reads any sensor as it is, so there is nothing to refit", "Map the scene with `hsikit classify`")
    change = change_by(other.resampling, other.bands.wavelength)
    require_seen(change, other.name)
    basis = Basis(other.sensor, transfer.basis.quantity, other.bands.take(change.used))
    if isinstance(method, MarginalLda):
        # What an adapted model knows went through its sensor's bands already; the original statistics did not.
        original = transfer.arrays if transfer.origin else method.arrays
        return replace(method, basis=basis, arrays=statistics_through(original, change), _placed={}), ()
    if isinstance(method, EncoderClassifier):
        if transfer.windows is None:
            raise ModelError(method.name, "the model folder keeps no labelled windows to fit its head on", "Train it again without --no-spectra")
        return method.for_sensor(transfer.windows, change, basis), (HEAD_ANEW.format(len(transfer.windows.targets), transfer.pixels),)
    if not isinstance(method, (MnfLda, Svm, RandomForest)):
        raise ModelError(method.name, "it cannot be refitted from labelled spectra: it learns from whole scenes, or not from spectra", NEITHER)
    if not transfer.has_spectra:
        raise ModelError(method.name, "the model folder keeps no labelled spectra to refit it on", "Train it again without --no-spectra")
    kept = len(transfer.arrays["codes"])
    notes = (FEWER.format(transfer.pixels, kept),) if kept < transfer.pixels else ()
    if isinstance(method, MnfLda):
        return _raw_discriminant(transfer, change, basis), (*notes, RAW_FORM)
    samples = _samples(transfer, change, basis, "spectra")
    own = ("C", "gamma") if isinstance(method, Svm) else ("trees", "leaf_pixels", "max_depth")
    made: Any = type(method).from_samples(samples, seed=seed, **{name: method.settings[name] for name in own})
    return made.with_options(temperature=method.temperature), notes


def for_any_sensor(name: str, transfer: Transfer, *, seed: int = 0, progress: Any = None) -> tuple[SensorEnsemble, tuple[str, ...]]:
    """A model that reads scenes of any sensor, out of what a model keeps: marginal LDA and two networks, which learn here if they have not.

    Args:
        name: of the model, for messages.
        transfer: what its folder keeps.
        seed: of everything random.
        progress: told of the networks' steps.

    Returns:
        The model, and what the user should know.

    Raises:
        ModelError: no kept spectra, or a folder of an older release, without the scene's covariance.
    """
    if not transfer.has_networks:
        if not transfer.has_spectra:
            raise ModelError(name, "the model folder keeps no labelled spectra for networks to learn from", "Train it again without --no-spectra")
        if not transfer.knows_scene:
            raise ModelError(name, "the model folder is of an older release and keeps no covariance of its scenes", "Train it again")
        if not transfer.can_learn:
            raise ModelError(name, "no band of its scenes varies, so there is nothing to learn", "Train it on other scenes")
        transfer = transfer.with_networks(seed=seed, progress=progress)
    made = transfer.reader
    assert isinstance(made, SensorEnsemble)
    kept = len(transfer.arrays["codes"]) if transfer.has_spectra else transfer.pixels
    return made, (FROM_FEWER.format(transfer.pixels, kept),) if kept < transfer.pixels else ()


def _samples(transfer: Transfer, change: SensorChange, basis: Basis, kind: str) -> Samples:
    """The kept spectra through the responses; they have no place in a scene."""
    seen = (transfer.arrays[kind].astype(np.float64) @ change.weights.T).astype(np.float32)
    nowhere = np.zeros(len(seen), np.intp)
    return Samples(basis, transfer.legend, seen, transfer.arrays["codes"], nowhere, nowhere, nowhere)


def _raw_discriminant(transfer: Transfer, change: SensorChange, basis: Basis) -> MnfLda:
    """The discriminant of the kept 3 x 3 means, its covariance widened by the errors of `hsikit.spectral.sensor_change`."""
    samples, bands = _samples(transfer, change, basis, "neighbourhoods"), len(change.used)
    found = class_statistics(samples.spectra.astype(np.float64), samples.targets, len(transfer.legend))
    # Widened, for a plain refit trusts differences of narrow bands that no second instrument shares.
    errors = error_covariance(change, transfer.basis.bands.wavelength, transfer.arrays["scene_mean"].astype(np.float64), WIDTH**2)
    weights, intercepts = normal_discriminant(found["means"], found["covariance"] + errors, found["priors"])
    arrays: dict[str, NDArray[Any]] = {"mean": np.zeros(bands), "weights": weights, "intercepts": intercepts}
    arrays |= {"neighbourhoods": samples.spectra, "targets": samples.targets.astype(np.int32)}
    return MnfLda(basis, transfer.legend, arrays, {"components": bands, "width": WIDTH, "standardise": False})

"""Models of one sensor on scenes of another: the method that maps a scene, and models refitted for a sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hsikit.errors import ModelError
from hsikit.scene import Bands, SceneInfo

if TYPE_CHECKING:
    from hsikit.convert.resample import Target
    from hsikit.sensors.responses import SensorResponse
    from hsikit.tasks.classification.refitting import OtherSensor
    from hsikit.tasks.classification.transfer import Transfer
    from hsikit.train.labelled import LabelledScene
    from hsikit.train.record import TrainingRecord

TABLES = (".csv", ".txt", ".tsv")
ANY = "any"
"""What stands for every sensor where one is named."""
ELSEWHERE = "The scores are those of the model that it was made from, on that model's sensor."


class Told(Protocol):
    """Whoever is told of what a user should know."""

    def note(self, message: str) -> None:
        """One sentence."""
        ...


def open_model(model: Any, progress: Told | None = None) -> Any:
    """A method that also maps scenes of other sensors, where its model keeps what that needs; else the method.

    Args:
        model: a model folder; what `train` or `adapt` gave; or a method, which stays as it is.
        progress: told how a scene of another sensor is mapped.

    Raises:
        ModelError: the folder is missing, damaged, or of a newer format.
    """
    from hsikit.tasks.classification.any_sensor import AnySensor

    if isinstance(model, AnySensor):
        return replace(model, progress=progress)
    if isinstance(model, str | Path):
        from hsikit.models import load_method, load_transfer
        from hsikit.tasks.classification.transfer import Transfer

        method, transfer = load_method(model), load_transfer(model, Transfer)
    else:
        method, transfer = getattr(model, "method", model), getattr(model, "transfer", None)
    return method if transfer is None or not hasattr(method, "basis") else AnySensor(method, transfer, progress=progress)


def gather_transfer(
    method: Any, scenes: Sequence[LabelledScene], *, spectra: bool = True, networks: bool = True, seed: int = 0, progress: Any = None
) -> Transfer | None:
    """What other sensors need of a training: see `hsikit.tasks.classification.transfer.gather_transfer`.

    Networks learn only for a method that maps its own sensor alone; labelled windows are kept for one that looks around a pixel.
    """
    from hsikit.tasks.classification.any_sensor import maps_own_sensor_only
    from hsikit.tasks.classification.transfer import gather_transfer as gather

    kept = gather(scenes, spectra=spectra, networks=networks and maps_own_sensor_only(method), seed=seed, progress=progress)
    windows = method.labelled_windows(scenes, seed=seed) if kept is not None and spectra and hasattr(method, "labelled_windows") else None
    return kept if kept is None or windows is None else replace(kept, arrays={**kept.arrays, **windows.arrays()})


def method_for(model: Any, scene: Any, progress: Told | None = None) -> Any:
    """The method that maps a scene: the model itself where the scene has its bands, else what reads its classes out for any sensor.

    Args:
        model: a model folder, or what `train` or `adapt` gave.
        scene: a path, a cube, an open `Source`, or a `SceneInfo`.
        progress: told how a scene of another sensor is mapped.

    Raises:
        ModelError: another quantity, or too little of the model's range is seen.
        SceneError: the scene cannot be opened.
    """
    found, info = open_model(model, progress), info_of(scene)
    return found.for_scene(info) if hasattr(found, "for_scene") else found


def info_of(scene: Any) -> SceneInfo:
    """The facts of a scene, which is opened and closed where it is a path."""
    from hsikit.cube import from_cube
    from hsikit.sensors import open_source

    if isinstance(scene, SceneInfo):
        return scene
    if not isinstance(scene, str | Path):
        return scene.info if hasattr(scene, "info") else from_cube(scene).info
    source = open_source(scene)
    try:
        return source.info
    finally:
        source.close()


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model refitted for another sensor; maps scenes like any method.

    Attributes:
        method: the refitted method.
        transfer: the labelled spectra and statistics of the original sensor, and the model's origin.
        record: how the original was trained; None where its folder does not say.
        licence: of the original.
        notes: what the user should know, one sentence each.
    """

    method: Any
    transfer: Transfer
    record: TrainingRecord | None
    licence: str
    notes: tuple[str, ...]

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Any:
        """See `hsikit.method.Method`."""
        return self.method.bind(inputs)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes the model folder, with the original's licence.

        Raises:
            OutputError: it exists without `overwrite`, or cannot be written.
        """
        from hsikit.models import save_method

        return save_method(self.method, folder, record=self.record, transfer=self.transfer, licence=self.licence, overwrite=overwrite)


def adapt(folder: str | Path, to: Any, *, seed: int = 0, progress: Any = None) -> Adapted:
    """Makes a model for another sensor, or for any, out of the labelled spectra that a model's folder keeps.

    For one sensor the model's method is refitted: see `refitted` for how, by method. Measured responses are used where they are at hand,
    else Gaussians of the bands' widths. For "any" the new model is a `sensor-ensemble`.

    Example:
        >>> hsikit.adapt("model/", "prisma").save("model-prisma/")

    Args:
        folder: a model folder.
        to: a sensor of `list_sensors`, a CSV file of bands, a scene (path, cube, `Source` or `SceneInfo`), or "any".
        seed: of everything random.
        progress: told of steps, where it takes long.

    Raises:
        ModelError: the folder keeps no spectra, its method cannot be refitted, or the sensor sees too little of its range.
        OptionError, WavelengthError, SceneError: no such sensor, table or scene.
    """
    from hsikit.models import load_method, load_record, load_transfer, read_folder
    from hsikit.tasks.classification.refitting import for_any_sensor, refitted
    from hsikit.tasks.classification.transfer import Transfer
    from hsikit.train.record import TrainingRecord

    folder = Path(folder)
    method: Any = load_method(folder)
    transfer = require_transfer(folder, load_transfer(folder, Transfer))
    origin = {"model": folder.resolve().name, "method": method.name, "sensor": method.basis.sensor, "weights": method.identity()["weights"]}
    if isinstance(to, str) and to == ANY:
        made, notes = for_any_sensor(method.name, transfer, seed=seed, progress=progress)
        origin, how = {**origin, "to": ANY}, "made to read scenes of any sensor, by marginal LDA and two networks; its confidence is not calibrated"
    else:
        target = adaptation_target(to)
        other = other_sensor(transfer, target)
        made, notes = refitted(method, transfer, other, seed=seed)
        responses = "Gaussians of the band widths" if target.response is None else "its measured responses"
        origin |= {"to": other.name, "responses": responses}
        how = f"refitted for {other.name} by {responses}: {len(made.basis.bands)} of its {len(other.bands)} bands"
    made = replace(made, settings={**made.settings, "adapted_from": f"{origin['model']} ({origin['sensor'] or 'unknown sensor'})"})
    told = (how, *notes)
    record = load_record(folder, TrainingRecord)
    kept = None if record is None else replace(record, notes=(*record.notes, ELSEWHERE, *told))
    return Adapted(made, replace(transfer, origin=origin), kept, str(read_folder(folder)[0].get("licence", "")), told)


def require_transfer(folder: str | Path, transfer: Transfer | None) -> Transfer:
    """What a folder keeps for other sensors.

    Raises:
        ModelError: it keeps nothing.
    """
    if transfer is None:
        raise ModelError(folder, "it keeps nothing for other sensors: it is of an older release, or its scenes had no wavelengths", "Train it again")
    return transfer


def adaptation_target(to: Any) -> Target:
    """The bands and responses that someone means: a sensor, a table, or the good bands of a scene.

    Raises:
        OptionError: none of these.
    """
    from hsikit.convert.resample import target_of
    from hsikit.sensors.catalogue import known_sensor

    if isinstance(to, str | Path) and (known_sensor(str(to), strict=False) or Path(to).suffix.lower() in TABLES or not Path(to).exists()):
        return target_of(to)
    info = info_of(to)
    bands = info.bands.take(info.bands.used)
    if not len(bands) or not bands.spectral:
        raise ModelError(info.name, "it has no wavelengths to refit a model for", "Name a sensor, or a CSV file of bands")
    return replace(target_of(bands), sensor=info.sensor, response=scene_response(bands, info.sensor))


def scene_response(bands: Bands, sensor: str) -> SensorResponse | None:
    """The measured responses of a scene's bands; None where its sensor has none, or not of all of them."""
    from hsikit.convert.resample import target_of
    from hsikit.sensors.catalogue import known_sensor
    from hsikit.sensors.responses import SensorResponse
    from hsikit.tasks.classification.basis import WIDTH_SHARE

    name = known_sensor(sensor, strict=False)
    known = target_of(name) if name else None
    if known is None or known.response is None:
        return None
    apart = np.abs(bands.wavelength[:, None] - known.bands.wavelength)
    nearest = apart.argmin(1)
    if len(set(nearest.tolist())) < len(nearest) or not (apart.min(1) <= WIDTH_SHARE * known.bands.fwhm[nearest]).all():
        return None
    return SensorResponse(bands.names, known.response.wavelength, known.response.response[nearest])


def other_sensor(transfer: Transfer, target: Target) -> OtherSensor:
    """A target as the bands of the training sensor make it."""
    from hsikit.spectral.resample import gaussian_resampling, response_resampling
    from hsikit.tasks.classification.refitting import OtherSensor

    own, wanted = transfer.basis.bands, target.bands
    if target.response is None:
        weights = gaussian_resampling(own.wavelength, own.fwhm, wanted.wavelength, wanted.fwhm)
    else:
        weights = response_resampling(own.wavelength, own.fwhm, target.response.wavelength, target.response.response)
    return OtherSensor(target.sensor or f"{len(wanted)} bands", target.sensor, wanted, weights)

"""A model that maps scenes of its own sensor by its method, and those of other sensors by what it keeps of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hsikit.errors import ModelError
from hsikit.method import Job
from hsikit.scene import SceneInfo
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.marginal_lda import MarginalLda
from hsikit.tasks.classification.seen_bands import SeenBands, told_ranges
from hsikit.tasks.classification.sensor_ensemble import SensorEnsemble

if TYPE_CHECKING:
    from hsikit.layers import Legend
    from hsikit.tasks.classification.transfer import Transfer

WINDOWS = "; where bands are few, a model of `hsikit adapt --to` that sensor is better, as a rule"
READ_OUT = "read_out"
"""The key of a job's provenance that says how a scene of another sensor is mapped."""
NETWORKS = "; `hsikit adapt --to any` makes a model of it that reads other sensors out better, as a rule"


@dataclass(frozen=True, eq=False)
class AnySensor:
    """A trained classifier, and what its folder keeps for other sensors.

    Attributes:
        own: the classifier.
        transfer: see `hsikit.tasks.classification.transfer`.
        options: see `PixelClassifier.with_options`.
        progress: its `note` is told how a scene of another sensor is mapped.
    """

    own: Any
    transfer: Transfer
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Any = None

    @property
    def name(self) -> str:
        """The classifier's."""
        return str(self.own.name)

    @property
    def task(self) -> str:
        """The classifier's."""
        return str(self.own.task)

    @property
    def roles(self) -> tuple[str, ...]:
        """The classifier's."""
        return tuple(self.own.roles)

    @property
    def legend(self) -> Legend:
        """The classifier's."""
        return self.own.legend  # type: ignore[no-any-return]

    @property
    def reader(self) -> MarginalLda | SensorEnsemble:
        """What reads the classes out of scenes that the classifier does not take."""
        # What an adapted discriminant knows went through its sensor's bands already; the original statistics did not.
        if isinstance(self.own, SensorEnsemble) or (isinstance(self.own, MarginalLda) and not self.transfer.origin):
            return self.own
        return self.transfer.reader.with_options(**self.options)

    def with_options(self, **options: Any) -> AnySensor:
        """A copy with options of the method that maps.

        Raises:
            OptionError: an option that the classifier does not have, or a value that makes no sense.
        """
        return replace(self, own=self.own.with_options(**options), options={**self.options, **options})

    def for_scene(self, info: SceneInfo) -> Any:
        """The method that maps a scene: the classifier where the scene has its bands or it takes any or it reads itself out, else what reads it out.

        A note tells of other sensors: confidence is not calibrated for them. Its options are those of `with_options`.

        Raises:
            ModelError: another quantity, no wavelengths, or too little of the model's range is seen.
            OptionError: `refit_statistics` for a scene of another sensor.
        """
        lacking = lacking_bands(self.own.basis, info)
        if lacking is None:
            if (told := own_notice(self.own, info)) and self.progress is not None:
                self.progress.note(f"note: {told}{WINDOWS if self.transfer.windows is not None else ''}")
            return self.own
        known = self.reader
        try:
            told = read_out_notice(known, info)
        except ModelError as error:
            if error.wrong == lacking.wrong:
                raise
            raise ModelError(info.name, f"{lacking.wrong}; nor can its classes be read out: {error.wrong}", error.advice) from None
        if self.progress is not None:
            better = known is not self.own and not self.transfer.has_networks and self.transfer.can_learn
            self.progress.note(f"note: {told}{NETWORKS if better else ''}")
        return known

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene; for one of another sensor its provenance says how (`READ_OUT`), too.

        Raises:
            ModelError, OptionError: see `for_scene`.
        """
        info = inputs[self.roles[0]]
        chosen = self.for_scene(info)
        job: Job = chosen.bind(inputs)
        if lacking_bands(self.own.basis, info) is None:
            return job
        return replace(job, provenance={**job.provenance, READ_OUT: read_out_notice(chosen, info)})


def maps_own_sensor_only(own: Any) -> bool:
    """Whether scenes of other sensors are mapped by what a model keeps: the classifier neither takes any bands nor reads itself out."""
    return not isinstance(own, MarginalLda | SensorEnsemble) and not isinstance(own.basis, SeenBands)


def own_notice(own: Any, info: SceneInfo) -> str:
    """How a classifier that takes any bands maps a scene of another sensor; "" for its own sensor, or where it takes no others."""
    return str(own.sensor_notice(info)) if hasattr(own, "sensor_notice") else ""


def lacking_bands(basis: Basis, info: SceneInfo, *, own: bool = False) -> ModelError | None:
    """What a scene lacks of the bands that a model reads, or of their quantity; None where it lacks nothing.

    Args:
        basis: the model's.
        info: of the scene.
        own: whether the scene must have the model's very bands, also where the model takes others.
    """
    try:
        Basis.match(basis, info) if own else basis.match(info)
    except ModelError as error:
        return error
    return None


def read_out_notice(known: MarginalLda | SensorEnsemble, info: SceneInfo) -> str:
    """How a scene of another sensor is mapped, and how much of the model's range it sees."""
    change = known.change_to(info)
    trained = f" ({known.basis.sensor})" if known.basis.sensor else ""
    return (
        f"{info.name} has not the bands of the model{trained}: its classes are read out by {known.reading}, "
        f"through {len(change.used)} of its {len(info.bands.used)} good bands, which see {change.seen.mean():.0%} of the model's range "
        f"({told_ranges(known.basis.bands, change.seen)}); "
        "their confidence is not calibrated for this sensor"
    )

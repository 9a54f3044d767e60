"""The Job of a target detector on one scene: a background, scores against it, both again without the pixels that scored highest, and hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Stage
from hsikit.tasks.detection.cluster_background import ClusterBackground
from hsikit.tasks.detection.global_background import GlobalBackground
from hsikit.tasks.detection.hit_stages import hit_findings, hit_layer, hit_provenance, hit_stages
from hsikit.tasks.detection.local_background import LocalBackground
from hsikit.tasks.detection.quantile import quantile_stages
from hsikit.tasks.detection.sought import EXCLUDED, POSITIVE, Sought


class Background(Protocol):
    """Where the z'z, u'u and z'u of a detector come from."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers beside the scores."""
        ...

    @property
    def says(self) -> Mapping[str, str]:
        """What the metadata say of it, and what tells it from another."""
        ...

    def stages(self, again: bool) -> list[Stage]:
        """The stages up to the scores.

        Args:
            again: leave out the pixels that scored highest the first time.
        """
        ...

    def cost(self, tile: tuple[int, int]) -> Cost:
        """What a tile needs."""
        ...


KINDS: Mapping[str, Callable[[Sought], Background]] = {"global": GlobalBackground, "clusters": ClusterBackground, "local": LocalBackground}


def target_job(sought: Sought) -> Job:
    """The Job: layer "scores" (float32), and "hits" with a false-alarm rate."""
    told = sought.options
    background = KINDS[told.background](sought)
    layers = [Layer("scores", bands=len(told.band_names), band_names=told.band_names, description=told.description), *background.layers]
    if sought.ranked:
        layers.append(Layer(POSITIVE, description="the highest score of all targets, where it is positive", delivered=False))
    stages = background.stages(again=False)
    if told.exclude:
        stages += [*quantile_stages(POSITIVE, told.exclude, EXCLUDED), *background.stages(again=True)]
    if told.pfa is not None:
        layers.append(hit_layer(told.pfa))
        stages += hit_stages(POSITIVE, told.pfa)
    return Job(
        method=told.name,
        identity={
            "targets": sought.spectra.tolist(), "names": list(told.targets.names), "pfa": told.pfa, "shrinkage": told.shrinkage,
            "exclude": told.exclude, "bands": list(sought.used), **told.own_options, **background.says,
        },
        reference="cube",
        inputs={"cube": Input(sought.used)},
        layers=tuple(layers),
        stages=tuple(stages),
        cost=background.cost,
        provenance=_provenance(sought, background.says),
        findings=hit_findings,
    )  # fmt: skip


def _provenance(sought: Sought, says: Mapping[str, str]) -> dict[str, str]:
    told = sought.options
    found = {"bands_used": str(len(sought.used)), "targets": ", ".join(told.targets.names)}
    if told.needs_background:
        left_out = f"without the {told.exclude:g} of the pixels that score highest" if told.exclude else "all valid pixels"
        where = f"{says['background']}, {left_out}" if says else left_out
        found |= {"shrinkage": f"{told.shrinkage:g}", "background": where} | {name: str(value) for name, value in told.own_options.items()}
        found |= {name: text for name, text in says.items() if name != "background"}
    return found | hit_provenance(told.pfa)

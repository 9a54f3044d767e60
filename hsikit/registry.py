"""What methods there are: one static table, so that listing them imports nothing heavy.

Other packages add theirs through the entry-point group `hsikit.methods` (name = "module:Class"); the class carries `task`,
`roles`, and its docstring's first line is what `hsikit methods` shows.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hsikit.errors import MethodError

GROUP = "hsikit.methods"


@dataclass(frozen=True)
class MethodEntry:
    """One line of the table.

    Attributes:
        name: what a user types.
        task: what it is for.
        where: "module:Class".
        line: what it does.
        needs: what it must be given.
        paper: where it is from.
    """

    name: str
    task: str
    where: str
    line: str
    needs: str
    paper: str


METHODS: tuple[MethodEntry, ...] = (
    MethodEntry("mnf-lda", "classification", "hsikit.tasks.classification.mnf_lda:MnfLda",
                "noise-whitened components, small spatial mean, shrinkage discriminant; the default", "labels", "Green 1988; Ledoit & Wolf 2004"),
    MethodEntry("mnf-lda-edge", "classification", "hsikit.tasks.classification.mnf_lda_edge:MnfLdaEdge",
                "two such discriminants, diffused along edges over whole objects; for objects many pixels wide", "labels", "Green 1988; Perona & Malik 1990"),
    MethodEntry("lola-specvit", "classification", "hsikit.tasks.classification.lola_specvit:LolaSpecVit",
                "the same beside a spectral transformer that learns the scene without labels; minutes to train", "labels", "arXiv:2506.17759"),
    MethodEntry("encoder", "classification", "hsikit.tasks.classification.encoder:EncoderClassifier",
                "a pretrained encoder of any sensor, read out by a discriminant or tuned", "labels", "arXiv:2106.09685"),
    MethodEntry("marginal-lda", "classification", "hsikit.tasks.classification.marginal_lda:MarginalLda",
                "discriminant of small spatial means that maps scenes of other sensors too", "labels", "conditioning of normal classes"),
    MethodEntry("sensor-ensemble", "classification", "hsikit.tasks.classification.sensor_ensemble:SensorEnsemble",
                "the same averaged with two small networks that learned through instruments drawn by chance", "labels", "Wiener 1949; arXiv:2411.05714"),
    MethodEntry("svm", "classification", "hsikit.tasks.classification.svm:Svm",
                "RBF support vector machine on single spectra", "labels", "Melgani & Bruzzone 2004"),
    MethodEntry("random-forest", "classification", "hsikit.tasks.classification.random_forest:RandomForest",
                "forest of decision trees on single spectra", "labels", "Breiman 2001"),
    MethodEntry("nearest-label", "classification", "hsikit.tasks.classification.nearest_label:NearestLabel",
                "the floor: the class of the nearest label, no spectrum seen", "labels", "Cover & Hart 1967"),
    MethodEntry("bicubic", "super-resolution", "hsikit.tasks.superresolution.bicubic:Bicubic",
                "cubic convolution, 2 to 8 times finer", "--zoom", "Keys 1981"),
    MethodEntry("interpolate", "band filling", "hsikit.tasks.filling.interpolate:Interpolate",
                "bad and missing bands by a straight line along the wavelength: the floor", "nothing", ""),
    MethodEntry("gaussian", "band filling", "hsikit.tasks.filling.gaussian:Gaussian",
                "missing values by the scene's own covariance, each with its deviation", "nothing", "Anderson 2003"),
    MethodEntry("encoder-filling", "band filling", "hsikit.tasks.filling.encoder:EncoderFilling",
                "a pretrained encoder, tuned on the scene's own pixels, corrects the interpolation", "nothing", "arXiv:2106.09685"),
    MethodEntry("brovey", "pansharpening", "hsikit.tasks.pansharpening.brovey:Brovey",
                "bands scaled by the ratio of the panchromatic image to their intensity", "--pan", "Gillespie 1987"),
    MethodEntry("ace", "target detection", "hsikit.tasks.detection.ace:Ace",
                "adaptive coherence with its sign: blind to brightness", "--target", "Kraut 2005"),
    MethodEntry("matched-filter", "target detection", "hsikit.tasks.detection.matched_filter:MatchedFilter",
                "how much of the target a pixel holds, 0 to 1", "--target", "Boardman & Kruse 2011"),
    MethodEntry("smf", "target detection", "hsikit.tasks.detection.matched_filter:SpectralMatchedFilter",
                "the same in deviations of the background", "--target", "Robey 1992"),
    MethodEntry("cem", "target detection", "hsikit.tasks.detection.cem:Cem",
                "the filter with the least answer to the scene that answers 1 to the target", "--target", "Harsanyi 1993"),
    MethodEntry("glrt", "target detection", "hsikit.tasks.detection.ace:Glrt",
                "Kelly's generalised likelihood ratio with its sign", "--target", "Kelly 1986"),
    MethodEntry("spsmf", "target detection", "hsikit.tasks.detection.spsmf:SubpixelMatchedFilter",
                "likelihood ratio of a target that replaces a part of the pixel", "--target", "Schaum & Stocker 1997"),
    MethodEntry("spectral-angle", "target detection", "hsikit.tasks.detection.spectral_angle:SpectralAngle",
                "cosine of the angle to the target; looks at no background", "--target", "Kruse 1993"),
    MethodEntry("minerals", "mineral mapping", "hsikit.tasks.minerals.minerals:Minerals",
                "absorption features fitted to those of a library, three best entries of each of two groups", "--library", "Clark 2003"),
    MethodEntry("mag1c", "gas", "hsikit.tasks.gas.gas:Mag1c",
                "iterative sparse filter in each column of the detector, ppm m", "--absorption", "Foote 2020"),
    MethodEntry("emit-ghg", "gas", "hsikit.tasks.gas.gas:EmitGhg",
                "plain filter of each column; `hsikit gas --method emit`", "--absorption", "Thompson 2015"),
    MethodEntry("osp", "target detection", "hsikit.tasks.detection.osp:SubspaceProjection",
                "the target's share once the background's main directions are taken out", "--target", "Harsanyi & Chang 1994"),
    MethodEntry("msd", "target detection", "hsikit.tasks.detection.msd:MatchedSubspace",
                "how much better background and target explain a pixel than background alone", "--target", "Scharf & Friedlander 1994"),
    MethodEntry("tcimf", "target detection", "hsikit.tasks.detection.tcimf:ConstrainedFilter",
                "a filter that answers 1 to a target and 0 to the others that are given", "--target", "Ren & Chang 2000"),
    MethodEntry("hcem", "target detection", "hsikit.tasks.detection.hcem:HierarchicalCem",
                "cem in layers, each on what looked like the target so far", "--target", "Zou & Shi 2016"),
    MethodEntry("mtmf", "target detection", "hsikit.tasks.detection.mtmf:MixtureTuned",
                "the matched filter's abundance, and how far a pixel is from any mixture", "--target", "Boardman & Kruse 2011"),
    MethodEntry("asd", "target detection", "hsikit.tasks.detection.asd:AdaptiveSubspace",
                "all targets as one subspace: a material of several looks", "--target", "Kraut 2001"),
    MethodEntry("mnf", "transformation", "hsikit.tasks.transformation.mnf:MinimumNoiseFraction",
                "components ordered by signal to noise, the noise whitened", "nothing", "Green 1988"),
    MethodEntry("pca", "transformation", "hsikit.tasks.transformation.pca:Pca",
                "components ordered by variance", "nothing", "Pearson 1901"),
    MethodEntry("rx", "anomaly detection", "hsikit.tasks.detection.rx:RX",
                "Mahalanobis distance to the scene's background", "nothing", "Reed & Yu 1990"),
    MethodEntry("subspace-rx", "anomaly detection", "hsikit.tasks.detection.subspace_rx:SubspaceRX",
                "the same in the leading principal components, without noise", "nothing", "Chang & Chiang 2002"),
    MethodEntry("attribute-filter", "anomaly detection", "hsikit.tasks.detection.attribute_filter:AttributeFilter",
                "bright or dark objects of up to so many pixels, by shape alone", "nothing", "Kang 2017"),
    MethodEntry("local-rx", "anomaly detection", "hsikit.tasks.detection.local_rx:LocalRX",
                "the same to a ring around each pixel; for small objects among several covers", "nothing", "Reed & Yu 1990"),
    MethodEntry("cluster-rx", "anomaly detection", "hsikit.tasks.detection.cluster_rx:ClusterRX",
                "the same to the nearest of several backgrounds, clusters of the scene", "nothing", "Carlotto 2005"),
    MethodEntry("crd", "anomaly detection", "hsikit.tasks.detection.crd:Crd",
                "what the pixels around each pixel leave unexplained, those like it the most welcome", "nothing", "Li & Du 2015"),
    MethodEntry("kernel-rx", "anomaly detection", "hsikit.tasks.detection.kernel_rx:KernelRX",
                "RX in the space of a Gaussian kernel, for a background of any shape", "nothing", "Kwon & Nasrabadi 2005"),
    MethodEntry("isolation-forest", "anomaly detection", "hsikit.tasks.detection.isolation_forest:IsolationForest",
                "how few random cuts set a pixel apart from all others", "nothing", "Liu 2008"),
    MethodEntry("encoder-residual", "anomaly detection", "hsikit.tasks.detection.encoder_residual:EncoderResidual",
                "bands that an encoder, which learns the scene without labels, cannot rebuild from the others; a minute", "nothing", "He 2022"),
    MethodEntry("object-anomaly", "anomaly detection", "hsikit.tasks.detection.object_anomaly:ObjectAnomaly",
                "neighbours unlike a pixel and two area filters, joined by their ranks; objects of so many pixels", "nothing", "Kang 2017"),
    MethodEntry("specdetr", "object detection", "hsikit.tasks.detection.specdetr:SpecDetrDetector",
                "boxes around objects of a few pixels or less, by a network trained on planted ones", "hsikit train-objects", "arXiv:2405.10148"),
)  # fmt: skip


def _plugged() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _entry(point: EntryPoint) -> MethodEntry:
    origin = point.dist.name if point.dist else "another package"
    return MethodEntry(point.name, "plug-in", point.value, f"from {origin}", "", "")


def list_methods() -> list[MethodEntry]:
    """All methods, ours first."""
    known = {entry.name for entry in METHODS}
    others = [_entry(point) for point in _plugged().values() if point.name not in known]
    return [*METHODS, *others]


def load_class(name: str) -> type[Any]:
    """The class of a method.

    Raises:
        MethodError: there is no method of that name.
    """
    for entry in list_methods():
        if entry.name == name:
            module, _, attribute = entry.where.partition(":")
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    raise MethodError(name, "there is no such method", f"The methods are {', '.join(entry.name for entry in list_methods())}; see `hsikit methods`")

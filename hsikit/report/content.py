"""What a report says, as plain values: every number of the page stands here once, and `run.json` is this, written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hsikit.layers import Colour

Number = float | None
"""A number, or None where it is undefined: JSON has no NaN."""


@dataclass(frozen=True)
class MapFacts:
    """The map that is reported.

    Attributes:
        name: its file, as the user named it.
        rows, cols: its size (pixels).
        crs: in a few words; "none" without georeference.
        georeferenced: whether its pixels have a place on the ground.
        pixel_size: width and height of a pixel in map units; None without georeference.
        unit: of the map's coordinates ("m", "degrees"); "" without georeference.
        bounds: left, bottom, right, top in map units; None without georeference.
        method: the method's name.
        smooth, sieve: how it was regularised after classification, as its metadata say; "" where it was not.
        inputs: scenes by role, as its metadata name them.
        parameters: further options of the run, JSON-able.
        version: of the hsikit that made it, or "".
        acquired: ISO 8601 time of the scene, or "".
        written: ISO 8601 time of the file.
    """

    name: str
    rows: int
    cols: int
    crs: str
    georeferenced: bool
    pixel_size: tuple[float, float] | None
    unit: str
    bounds: tuple[float, float, float, float] | None
    method: str
    smooth: str = ""
    sieve: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    acquired: str = ""
    written: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """The model that made the map.

    Attributes:
        name: its folder, as the user named it.
        method: the method's name.
        line: what the method does, one line.
        paper: where it is from, in the registry's words.
        sensor, quantity, units: of the scenes that it was trained on.
        bands: number of bands that it reads.
        wavelengths: the first and the last band centre (nm); None where unknown.
        settings: what was chosen in training, JSON-able.
        options: what the user chose, JSON-able.
        version: of the hsikit that trained it.
        licence: of the model, or "".
        refitted: whether it was fitted on all labels after it was scored; None where its folder does not say.
        seed: of its training; None where its folder does not say.
        history: curves of its training by name, one number an epoch; empty for methods that have none.
    """

    name: str
    method: str
    line: str
    paper: str
    sensor: str
    quantity: str
    units: str
    bands: int
    wavelengths: tuple[float, float] | None
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    version: str
    licence: str
    refitted: bool | None
    seed: int | None
    history: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassFacts:
    """One class: its place in the legend, in the map, in the labels, and its scores. Scores are 0 to 1.

    Attributes:
        code, name, colour: as in the legend.
        pixels: mapped pixels.
        hectares: mapped area; None without georeference.
        share: of the mapped pixels, 0 to 1; None where nothing is mapped.
        train, test: label pixels of the split's two parts; None where the model does not say.
        tested: scored pixels.
        f1, iou, producers, users: None where undefined.
    """

    code: int
    name: str
    colour: Colour
    pixels: int = 0
    hectares: Number = None
    share: Number = None
    train: int | None = None
    test: int | None = None
    tested: int | None = None
    f1: Number = None
    iou: Number = None
    producers: Number = None
    users: Number = None


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table of scores: the method, or a floor. Shares are 0 to 1; intervals are of 95 %."""

    name: str
    floor: bool
    overall: Number
    average: Number
    kappa: Number
    macro_f1: Number
    overall_interval: tuple[float, float] | None = None
    average_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Diagram:
    """A reliability diagram: expected calibration error, and by bin of confidence the pixels, mean confidence and share right."""

    name: str
    ece: Number
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    confidence: tuple[Number, ...]
    accuracy: tuple[Number, ...]


@dataclass(frozen=True)
class SplitFacts:
    """How the labels were split.

    Attributes:
        name: of the split.
        train, test, unused: label pixels.
        guard: pixels between the two parts; None where it has none.
        nearest: least distance between a training and a test pixel (pixels), or None.
        overlap: share of test windows of `window` pixels that overlap a training window, 0 to 1; None where unknown.
        window: side of these windows.
        lost: names of classes that the split lost.
        labels: the label files.
    """

    name: str
    train: int
    test: int
    unused: int
    guard: int | None
    nearest: int | None
    overlap: Number
    window: int | None
    lost: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Assessment:
    """What the model scored, and how that was found.

    Attributes:
        source: "training" (kept in the model folder) or "evaluation" (a file of `hsikit evaluate`).
        split: that the scores are of; None where they are of labels that the model has not seen.
        smoothed: whether the class probabilities were smoothed before they were scored.
        tested: scored pixels; unscored: test pixels where the map says nodata or unknown.
        rows: the method first, then its floors.
        codes: class codes in the order of the confusion matrix.
        names: of these classes.
        confusion: rows are the reference, columns the map.
        diagrams: reliability, before and after calibration as far as known.
        temperature: by which the model's log-probabilities are divided; 1 where it is not calibrated.
        groups: units of the intervals (polygons or patches); None without intervals.
        notes: what the user was told, one sentence each.
    """

    source: str
    split: SplitFacts | None
    smoothed: bool
    tested: int
    unscored: int
    rows: tuple[ScoreRow, ...]
    codes: tuple[int, ...]
    names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    diagrams: tuple[Diagram, ...] = ()
    temperature: float = 1.0
    groups: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spectra:
    """Spectra of a class's label pixels: mean, and 10th and 90th percentile, by band; None at bad bands.

    Attributes:
        code: of the class.
        pixels: that were read, out of `of`.
    """

    code: int
    pixels: int
    of: int
    mean: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]


@dataclass(frozen=True)
class Estimate:
    """A value with half of its 95 % interval; None where there is nothing to divide by."""

    value: Number
    half_width: Number


@dataclass(frozen=True)
class AreaRow:
    """One class of the area-adjusted accuracy."""

    name: str
    hectares: Estimate | None
    share: Estimate
    users: Estimate
    producers: Estimate
    points: int


@dataclass(frozen=True)
class Areas:
    """Area-adjusted accuracy of a map from a reference sample: a file of `hsikit accuracy --json`."""

    map: str
    overall: Estimate
    points: int
    rows: tuple[AreaRow, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where the labels lie on the map.

    Attributes:
        kind: "split" where training and test pixels are known apart, "labels" where only all pixels that the saved model was
            fitted on are known, "none" where none of them lies on this map.
        training, right, wrong: pixels on this map: fitted on, and test pixels that the scored model got right and wrong.
    """

    kind: str
    training: int = 0
    right: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Content:
    """A whole report.

    Attributes:
        title: one line.
        map, model: what is reported.
        classes: the legend's, in its order.
        unknown, masked, nodata: pixels of the reserved codes.
        scene: name of the scene that was read for quicklook and spectra, or "".
        composite: what the quicklook's colours are, or "".
        places: where the labels lie.
        split: that the model was trained with; assessment, areas: what it is worth. None where nothing is known of them.
        wavelengths: of the scene's bands (nm), for `spectra`.
        spectra: of the classes that have such pixels on the map.
        spectra_of: "test" (labelled test pixels) or "mapped" (label pixels by their class in the map); "" without any.
        warnings: what a reader must know before anything else.
        version: of the hsikit that wrote the report.
        created: ISO 8601 time of the report.
    """

    title: str
    map: MapFacts
    model: ModelFacts
    classes: tuple[ClassFacts, ...]
    unknown: int
    masked: int
    nodata: int
    scene: str
    composite: str
    places: Places
    split: SplitFacts | None
    assessment: Assessment | None
    areas: Areas | None
    wavelengths: tuple[float, ...] = ()
    spectra: tuple[Spectra, ...] = ()
    spectra_of: str = ""
    warnings: tuple[str, ...] = ()
    version: str = ""
    created: str = ""

    @property
    def best_floor(self) -> ScoreRow | None:
        """The floor of the highest overall accuracy."""
        rows = [row for row in self.assessment.rows if row.floor and row.overall is not None] if self.assessment else []
        return max(rows, key=lambda row: row.overall or 0.0, default=None)

    @property
    def own_scores(self) -> ScoreRow | None:
        """The method's own line of the table."""
        return self.assessment.rows[0] if self.assessment else None

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

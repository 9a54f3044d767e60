"""What the report of a detection says, as plain values: every number of the page stands here once, and `run.json` is this, written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hsikit.report.content import MapFacts, Number

RATES = (1e-3, 1e-4)
"""False-alarm rates at which the rate of detection is told."""
TARGETS, ANOMALIES, OBJECTS = "target detection", "anomaly detection", "object detection"


@dataclass(frozen=True)
class MethodFacts:
    """What was looked for, and how.

    Attributes:
        method: its name.
        task: "target detection", "anomaly detection" or "object detection".
        line: what it does, one line.
        paper: where it is from, in the registry's words.
        description: what a score is, as the map says; "" where it does not.
        targets: names of what was looked for; none for anomalies.
        told: further facts of the map's own metadata, by name.
    """

    method: str
    task: str
    line: str
    paper: str
    description: str
    targets: tuple[str, ...]
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreFacts:
    """The scores of the whole map.

    Attributes:
        scored, nodata: pixels with and without a score.
        lowest, highest: of them.
        edges: of the histogram's bins, n + 1 of them.
        counts: pixels in each, n of them; target pixels are among them.
        targets: target pixels in each; None without truth.
        pfa: the false-alarm rate that was asked for; None where the map has no threshold.
        threshold: the score that at most so many exceed; None without.
        above: pixels above it.
        ranked: what the threshold is of, where it is not the score itself; else "".
    """

    scored: int
    nodata: int
    lowest: float
    highest: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    targets: tuple[int, ...] | None = None
    pfa: Number = None
    threshold: Number = None
    above: int | None = None
    ranked: str = ""


@dataclass(frozen=True)
class HitFacts:
    """One group of pixels above the threshold.

    Attributes:
        number: from 1, the highest score first.
        score: the highest of its pixels.
        pixels: how many it has; None where the hits do not say.
        x, y: of its middle, in map coordinates; (column, -row) without georeference.
        row, col: of its highest pixel, from 0; None where that is not known.
        like: the target that its highest pixel is most like, where several are looked for; the class of an object; else "".
        true: target pixels above the threshold in its box; None without truth.
    """

    number: int
    score: float
    pixels: int | None
    x: float
    y: float
    row: int | None
    col: int | None
    like: str = ""
    true: int | None = None


@dataclass(frozen=True)
class Found:
    """The hits.

    Attributes:
        source: "file" (the user's), "map" (found here, as the run found them), or "none" where the map has no threshold.
        file: name of the user's file, or "".
        count: of all hits.
        groups: above the threshold in the map, which the user's file may hold a part of; None where that is not known.
        listed: those of the highest scores.
    """

    source: str
    file: str = ""
    count: int = 0
    groups: int | None = None
    listed: tuple[HitFacts, ...] = ()


@dataclass(frozen=True)
class Line:
    """A spectrum: its name, what it is of ("hit", "target", "mean"), and values by band; None at bad bands and where unknown."""

    name: str
    kind: str
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Rate:
    """What a method scores, or a floor: all 0 to 1.

    Attributes:
        name: of the method.
        floor: whether it is one.
        area: under the ROC curve.
        interval: of 95 %, over objects; None for a single object.
        at: rates of detection, at false-alarm rates of `RATES`.
        average_precision: see `hsikit.metrics.detection`.
    """

    name: str
    floor: bool
    area: float
    interval: tuple[float, float] | None
    at: tuple[float, ...]
    average_precision: float


@dataclass(frozen=True)
class Worth:
    """The map against truth.

    Attributes:
        truth: name of the file.
        kind: "raster", "polygons" or "points".
        targets: scored target pixels; objects: groups of them that touch.
        background: scored pixels that are none.
        unscored: target pixels without a score.
        left_out: scored pixels of unknown truth.
        taken: scored pixels that the target was taken from, which count as none of these.
        rows: the method first, then its floor.
        no_floor: why there is none; "" where there is.
        objects_found: objects with a pixel above the threshold; None without a threshold.
        pixels_found: target pixels above it.
        false_alarms: pixels of the background above it.
    """

    truth: str
    kind: str
    targets: int
    objects: int
    background: int
    unscored: int
    left_out: int
    taken: int
    rows: tuple[Rate, ...]
    no_floor: str = ""
    objects_found: int | None = None
    pixels_found: int | None = None
    false_alarms: int | None = None

    @property
    def own(self) -> Rate:
        """The method's."""
        return self.rows[0]

    @property
    def floor(self) -> Rate | None:
        """The floor's; None without."""
        return self.rows[1] if len(self.rows) > 1 else None


@dataclass(frozen=True)
class DetectionContent:
    """A whole report.

    Attributes:
        title: one line.
        map: the map's facts; made_by: what made it.
        scores: of the whole map.
        found: the hits.
        worth: against truth; None without.
        scene: name of the scene that was read for quicklook and spectra, or "".
        composite: what the quicklook's colours are, or "".
        wavelengths: of the scene's bands (nm), for `lines`.
        lines: spectra of hits, and of what they are beside.
        quantity, units: of the spectra.
        warnings: what a reader must know before anything else.
        version: of the hsikit that wrote the report.
        created: ISO 8601 time of the report.
    """

    title: str
    map: MapFacts
    made_by: MethodFacts
    scores: ScoreFacts
    found: Found
    worth: Worth | None
    scene: str = ""
    composite: str = ""
    wavelengths: tuple[float, ...] = ()
    lines: tuple[Line, ...] = ()
    quantity: str = ""
    units: str = ""
    warnings: tuple[str, ...] = ()
    version: str = ""
    created: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

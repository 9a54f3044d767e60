"""What the report of a detection says in sentences: the summary, captions that depend on what is known, and a methods paragraph."""

from __future__ import annotations

from collections.abc import Sequence

from hsikit.report.detection.content import ANOMALIES, OBJECTS, RATES, DetectionContent, Worth
from hsikit.report.references import DETECTORS, HSIKIT, bibliography, cited
from hsikit.report.words import bound, count, percent, pixel_size

FEW_TARGETS, FEW_OBJECTS = 100, 10
"""Below so many the page says that they are few."""
CLEARLY = 0.01
"""Area or rate of detection that a method must add to the floor before the summary calls it more."""
MISSED = (
    "Nothing is known of how many were missed, nor of how many of the hits are none: the false-alarm rate is a share of this scene's own pixels, "
    "whatever they are. With truth (--truth) this page tells both."
)
FEW = (
    "With few targets the area under the curve says little: at 0.98, half of 60 targets in 10,000 pixels may stand behind 200 others. "
    "Look at the rates of detection."
)

__all__ = ["bound", "count", "knows", "methods_paragraph", "percent", "references", "summary"]


def plural(number: int, one: str, several: str = "") -> str:
    """A number and what it counts."""
    return f"{count(number)} {one if number == 1 else several or one + 's'}"


def looked_for(content: DetectionContent, most: int = 3) -> str:
    """What was looked for, in a few words."""
    facts = content.made_by
    if facts.task == ANOMALIES:
        return "what stands out from its surroundings" if facts.method != "rx" else "what stands out from the scene's background"
    if facts.task == OBJECTS:
        return f"objects of the classes {facts.told.get('classes', 'that a model learned')}"
    names = [f"“{name}”" for name in facts.targets]
    if not names:
        return "a target that the map does not name"
    return _listed(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def summary(content: DetectionContent) -> list[str]:
    """What was looked for, what was found, and what that is worth; one sentence each."""
    size = f"{count(content.map.rows)} × {count(content.map.cols)} pixels"
    if content.map.pixel_size is not None:
        size += f" of {pixel_size(content.map)}"
    first = f"The map scores {count(content.scores.scored)} of {size} for {looked_for(content)}, by {content.made_by.method}."
    return [first, *_hits(content), *_worth(content)]


def _hits(content: DetectionContent) -> list[str]:
    facts, found = content.scores, content.found
    if found.source == "none" and facts.threshold is None:
        return ["It was made without a threshold, so that it puts pixels in order and tells no hits."]
    if facts.threshold is None or facts.above is None:
        return [f"{plural(found.count, 'hit')} are told."] if found.source != "none" else []
    if content.made_by.task == OBJECTS:
        return [f"{plural(found.count, 'object')} of a score of {facts.threshold:.4g} or more were found."] if found.source != "none" else []
    rate = f", for a false-alarm rate of {facts.pfa:g}" if facts.pfa is not None else ""
    groups = found.count if found.groups is None else found.groups
    return [f"{plural(facts.above, 'pixel')} in {plural(groups, 'group')} lie above the threshold of {facts.threshold:.4g}{rate}."]


def _worth(content: DetectionContent) -> list[str]:
    worth = content.worth
    if worth is None:
        return [MISSED]
    own = worth.own
    ends = f" (95 % interval over objects {own.interval[0]:.3f} to {own.interval[1]:.3f})" if own.interval else ""
    told = f"Against {plural(worth.targets, 'target pixel')} in {plural(worth.objects, 'object')} its area under the ROC curve is {own.area:.4f}{ends}"
    sentences = [f"{told}; at a false-alarm rate of {RATES[0]:g} it finds {percent(own.at[0])} of them."]
    if worth.objects_found is not None and worth.false_alarms is not None:
        every = "all" if 1 < worth.objects == worth.objects_found else f"{count(worth.objects_found)} of"
        sentences.append(
            f"Above the map's threshold lie pixels of {every} {plural(worth.objects, 'object')}, and {plural(worth.false_alarms, 'pixel')} of the background."
        )
    return [*sentences, *_gain(content)]


def _gain(content: DetectionContent) -> list[str]:
    worth = content.worth
    if worth is None or worth.floor is None:
        return [worth.no_floor] if worth is not None and worth.no_floor else []
    own, floor = worth.own, worth.floor
    told = f"The floor, {floor.name} on the same scene, has an area of {floor.area:.4f} and finds {percent(floor.at[0])}"
    better = [_step(own.area - floor.area), _step(own.at[0] - floor.at[0])]
    if max(better) > 0 and min(better) >= 0:
        return [f"{told}: the method adds to it."]
    if min(better) < 0 and max(better) <= 0:
        return [f"{told}: the method is below it, and the simpler one serves this scene better."]
    return [f"{told}: the method adds nothing clear to it." if not any(better) else f"{told}: each is better in one of the two."]


def _step(gain: float) -> int:
    return 1 if gain > CLEARLY else -1 if gain < -CLEARLY else 0


def cautions(content: DetectionContent) -> list[str]:
    """What keeps a score from saying more than it does; one sentence each."""
    worth = content.worth
    if worth is None:
        return []
    found = []
    if worth.targets < FEW_TARGETS or worth.objects < FEW_OBJECTS:
        found.append(FEW)
    if worth.objects == 1:
        found.append("There is a single object, whose pixels are no independent evidence: the area has no interval.")
    elif worth.objects < FEW_OBJECTS:
        found.append(f"{plural(worth.objects, 'object')} are little evidence: the interval knows of these alone, and is too narrow for others.")
    rare = [rate for rate in RATES if rate * worth.background < 1]
    if rare:
        none = f"not one of the {count(worth.background)} pixels of the background may be above"
        found.append(f"At a rate of {rare[0]:g} {none}: what is told there is found before the first false alarm.")
    if worth.kind == "points":
        found.append("Truth names single pixels: the eight around each are not scored, and what an object covers beyond them counts as a false alarm.")
    if worth.left_out and worth.kind != "points":
        found.append(f"{plural(worth.left_out, 'pixel')} of unknown truth are not scored.")
    if worth.taken:
        found.append(f"{plural(worth.taken, 'pixel')} that the target was taken from are not scored, here and for the floor.")
    if worth.unscored:
        found.append(f"{plural(worth.unscored, 'target pixel')} have no score in the map, and are left out.")
    if len(content.made_by.targets) > 1:
        found.append("Several targets were looked for; a pixel counts by the highest of its scores, and truth does not say which target it is.")
    return [*found, "These are scores of this scene and these targets, and of no others."]


def map_sentence(content: DetectionContent, step: int) -> str:
    """What the score map shows."""
    facts = content.scores
    told = f"Scores: {content.made_by.description}." if content.made_by.description else "Scores."
    each = f" Each pixel of the picture is the highest of {step} × {step}, so that no small thing is lost." if step > 1 else ""
    without = f" {plural(facts.nodata, 'pixel')} have none." if facts.nodata else ""
    return f"{told}{each}{without}"


def rings_sentence(content: DetectionContent, drawn: int) -> str:
    """What the rings on the quicklook are."""
    found = content.found
    if not found.count:
        return ""
    which = f"the {count(drawn)} hits of the highest scores" if drawn < found.count else f"the {plural(found.count, 'hit')}"
    return f" Rings: {which}; numbers are those of the table."


def histogram_sentence(content: DetectionContent) -> str:
    """What the histogram says."""
    facts = content.scores
    if facts.threshold is None:
        return "How many pixels have each score, on a logarithmic axis. The map was made without a threshold."
    share = percent(facts.above / facts.scored, 3) if facts.above is not None else "–"
    rate = "as the run was told"
    if facts.pfa is not None:
        rate = f"a false-alarm rate of {facts.pfa:g} was asked for, and the threshold is the scene's own quantile"
    return f"How many pixels have each score, on a logarithmic axis; {share} lie above the threshold of {facts.threshold:.6g} ({rate})."


def hits_sentence(content: DetectionContent) -> str:
    """Where the hits come from, and how many are listed."""
    found = content.found
    if found.source == "none" and content.made_by.task == OBJECTS:
        return "No hits: the boxes that the run found lie in its own file. Give it as --hits."
    if found.source == "none":
        return "No hits: the map was made without a threshold. Run it with --hits for points."
    origin = "from the user's file" if found.source == "file" else "found in the map as the run finds them"
    if not found.count:
        return f"No pixel lies above the threshold ({origin})."
    listed = f"; the {len(found.listed)} of the highest scores are listed" if len(found.listed) < found.count else ""
    what = "object" if content.made_by.task == OBJECTS else "group of neighbouring pixels"
    several = "objects" if content.made_by.task == OBJECTS else "groups of neighbouring pixels"
    return f"{plural(found.count, what, several)} above the threshold, {origin}{listed}."


def spectra_sentence(content: DetectionContent) -> str:
    """Whose spectra are shown, and what they are beside."""
    if not content.lines:
        return "" if not content.found.count else "No spectra: the scene was not given." if not content.scene else "No spectra: no hit has a pixel with data."
    kind = next((line.kind for line in content.lines if line.kind != "hit"), "")
    beside = {"target": "beside the target's", "mean": "beside the scene's mean"}.get(kind, "alone")
    return f"The highest pixel of each hit (dark) {beside}; lines break at bad bands and gaps."


def methods_paragraph(content: DetectionContent) -> str:
    """A paragraph for a paper, of what is known and nothing else."""
    made, told = content.made_by, content.made_by.told
    parts = [f"shrinkage {told['shrinkage']}" if "shrinkage" in told else "", f"background: {told['background']}" if "background" in told else ""]
    parts += [f"{told['bands_used']} bands" if "bands_used" in told else ""]
    chosen = f" ({'; '.join(part for part in parts if part)})" if any(parts) else ""
    when = f", acquired {content.map.acquired[:10]}" if content.map.acquired else ""
    sentences = [
        f"The scores were made with hsikit {content.map.version or content.version} by the method {made.method}{cited(DETECTORS.get(made.method, ()))}{chosen}"
        f"{when}, looking for {looked_for(content, 20)}."
    ]
    facts = content.scores
    if facts.threshold is not None and facts.pfa is not None:
        sentences.append(
            f"The threshold of {facts.threshold:.4g} is the scene's own quantile at a false-alarm rate of {facts.pfa:g}; "
            f"{plural(content.found.count, 'group')} of touching pixels exceed it."
        )
    if content.worth is not None:
        sentences.append(_assessed(content.worth))
    return " ".join(sentences)


def _assessed(worth: Worth) -> str:
    own = worth.own
    ends = f" (95 % interval over objects {own.interval[0]:.3f} to {own.interval[1]:.3f})" if own.interval else ""
    text = (
        f"Against {plural(worth.targets, 'target pixel')} in {plural(worth.objects, 'object')} and {plural(worth.background, 'pixel')} of background its area "
        f"under the ROC curve{cited(['mann1947'])} is {own.area:.4f}{ends}, and it finds {percent(own.at[0])} at a false-alarm rate of {RATES[0]:g}"
    )
    floor = worth.floor
    return f"{text}; the floor {floor.name} has {floor.area:.4f}, and finds {percent(floor.at[0])}." if floor is not None else f"{text}."


def references(content: DetectionContent) -> str:
    """BibTeX of everything that the methods paragraph cites, and of hsikit."""
    return bibliography([HSIKIT.key, *DETECTORS.get(content.made_by.method, ()), *(["mann1947"] if content.worth is not None else [])])


def knows(method: str) -> bool:
    """Whether the references of a method are known here."""
    return method in DETECTORS

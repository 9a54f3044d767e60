"""What a report says in sentences: the summary, captions that depend on what is known, and a methods paragraph ready to paste."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hsikit.report.content import Content, MapFacts, ModelFacts, Number
from hsikit.report.references import HSIKIT, OF_METHOD, bibliography, cited
from hsikit.tasks.telling import PARAMETERS, TUNED, learned_share
from hsikit.train.pipeline import ELSEWHERE, REFITTED
from hsikit.viz.spectra import LABELS

CLEARLY = 0.01
"""Overall accuracy that a method must add to the better floor before the summary calls it more."""
FAR = ("class-halves", "scene", "leave-polygon-out", "group", "fixed")
"""Beginnings of the names of splits whose test lies on ground that no label touches."""
SPLITS = {
    "blocks": "square blocks of pixels were kept apart",
    "class-halves": "the two halves of each class were kept apart",
    "leave-polygon-out": "whole polygons were kept apart, each tested once",
    "group": "whole groups of labels were kept apart",
    "scene": "whole scenes were kept apart",
    "fixed": "the two parts were given",
    "random": "pixels were drawn at random, which keeps nothing apart",
}
MEANING = {
    "blocks": "Training and test lie in different blocks of one region: near the labels this is what to expect, far from them less.",
    "class-halves": "Training and test lie in different halves of each class.",
    "leave-polygon-out": "Training and test lie in different polygons.",
    "group": "Training and test lie in different groups of labels.",
    "scene": "Training and test are different scenes.",
    "fixed": "Training and test pixels were given.",
    "random": "Test pixels lie beside training pixels, so that this says nothing about other places.",
}


def percent(share: Number, digits: int = 1) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def count(number: float) -> str:
    """A whole number with thousands separated."""
    return f"{number:,.0f}"


def interval(ends: tuple[float, float] | None) -> str:
    """A 95 % interval of a share, in percent."""
    return "" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}\u00a0%"


def elsewhere(content: Content) -> str:
    """That labels in one place cannot calibrate another, where the test was kept apart from them; else ""."""
    if content.assessment is None:
        return ""
    notes, split = content.assessment.notes, content.assessment.split
    far = split is not None and split.name.startswith(FAR)
    return ELSEWHERE if far or ELSEWHERE in notes else ""


def other_notes(content: Content) -> list[str]:
    """What the user was told, without what stands elsewhere on the page."""
    return [note for note in (content.assessment.notes if content.assessment else ()) if note not in (ELSEWHERE, REFITTED)]


def summary(content: Content) -> list[str]:
    """What was mapped, its score beside its floors, and what that means; one sentence each."""
    made, size = content.model, f"{count(content.map.rows)} × {count(content.map.cols)} pixels"
    if content.map.pixel_size is not None:
        size += f" of {pixel_size(content.map)}"
    mapped = sum(facts.pixels > 0 for facts in content.classes)
    of = f"{len(content.classes)} classes" if mapped == len(content.classes) else f"{mapped} of the model's {len(content.classes)} classes"
    sentences = [f"The map shows {of} on {size}, made by {made.method}{_training(content)}."]
    return [*sentences, *_scored(content), *_meaning(content), *_estimated(content)]


def pixel_size(facts: MapFacts) -> str:
    """The size of a map's pixels, with its unit."""
    width, height = facts.pixel_size or (0.0, 0.0)
    size = f"{width:g}" if abs(width - height) < 1e-6 * width else f"{width:g} × {height:g}"
    return f"{size} {facts.unit}"


def _training(content: Content) -> str:
    if content.split is None:
        return ""
    split = content.split
    pixels = split.train + split.test + split.unused if content.model.refitted else split.train
    return f" from {count(pixels)} labelled pixels"


def _scored(content: Content) -> list[str]:
    own = content.own_scores
    if own is None or content.assessment is None:
        return ["Nothing is known of what it is worth."]
    ends = f" (95 % interval {interval(own.overall_interval)})" if own.overall_interval else ""
    text = (
        f"On {count(content.assessment.tested)} test pixels its overall accuracy is {percent(own.overall)}{ends}, its average accuracy {percent(own.average)}"
    )
    floors = [row for row in content.assessment.rows if row.floor and row.overall is not None]
    if not floors:
        return [f"{text}; no floor was scored beside it."]
    told = " and ".join(f"{_floor(row.name)} {percent(row.overall)}" for row in floors)
    return [f"{text}; the floors, which cost nothing, reach {told}."]


def _floor(name: str) -> str:
    return {"nearest-label": "coordinates alone", "svm on spectra": "single spectra"}.get(name, name)


def _meaning(content: Content) -> list[str]:
    own, floor = content.own_scores, content.best_floor
    if own is None or own.overall is None:
        return []
    sentences = []
    if floor is not None and floor.overall is not None:
        gain = own.overall - floor.overall
        if gain > CLEARLY:
            sentences.append(f"The method adds {100 * gain:.1f} points to the better floor.")
        elif gain < -CLEARLY:
            sentences.append(f"The method is {-100 * gain:.1f} points below the better floor: a simpler one serves these labels better.")
        else:
            sentences.append("The method adds nothing clear to the better floor.")
    split = content.assessment.split if content.assessment else None
    if split is not None:
        sentences += [text for name, text in MEANING.items() if split.name.startswith(name)]
    if content.map.smooth and content.assessment is not None and not content.assessment.smoothed:
        sentences.append("The map was smoothed afterwards; the scores are those of the classifier without smoothing.")
    return sentences


def _estimated(content: Content) -> list[str]:
    if content.areas is None:
        return ["This is a score on labels, not the accuracy of the whole map; that takes a reference sample (hsikit sample, hsikit accuracy)."]
    whole = content.areas.overall
    return [
        f"From a reference sample of {count(content.areas.points)} points the accuracy of the whole map is estimated as "
        f"{percent(whole.value)} ± {percent(whole.half_width)} (95 % interval)."
    ]


def split_sentence(content: Content) -> str:
    """How the labels were split."""
    split = content.split
    if split is None:
        return "The model folder does not say how the labels were split."
    how = next((text for name, text in SPLITS.items() if split.name.startswith(name)), "the labels were split by this name")
    parts = [f"Split “{split.name}”: {how}. {count(split.train)} pixels trained the model that was scored, {count(split.test)} tested it"]
    if split.unused:
        parts.append(f", {count(split.unused)} did neither")
    parts.append(".")
    if split.nearest is not None:
        parts.append(f" The nearest training and test pixels are {split.nearest} pixel{'s' if split.nearest != 1 else ''} apart.")
    if split.overlap is not None and split.window is not None:
        parts.append(f" {percent(split.overlap, 0)} of the test windows of {split.window} × {split.window} pixels overlap a training window.")
    if split.lost:
        parts.append(f" Lost classes: {', '.join(split.lost)}.")
    if content.model.refitted:
        parts.append(" The saved model, which made the map, was then fitted on all labels.")
    return "".join(parts)


def places_sentence(content: Content) -> str:
    """What the picture of the label pixels shows, and what it cannot."""
    places = content.places
    if places.kind == "none":
        return "None of the pixels that the model was fitted on lies on this map, so there is no map of them."
    if places.kind == "labels":
        which = "of both parts" if content.model.refitted else "that the model was fitted on"
        return f"{count(places.training)} label pixels {which}. The model folder does not keep the test pixels apart, so that the two parts are not told here."
    tested = places.right + places.wrong
    return (
        f"{count(places.training)} training pixels and {count(tested)} test pixels lie on this map; of the latter {count(places.wrong)} were predicted wrong."
    )


def spectra_sentence(content: Content) -> str:
    """Whose spectra are shown."""
    of = {
        "test": "the test pixels of each class",
        "mapped": "the label pixels, by the class that the map gives them (the model folder does not keep their labels)",
    }
    if not content.spectra:
        return "No spectra: the scene was not given." if not content.scene else "No spectra: no label pixel with data lies on this map."
    return (
        f"Mean (line) and 10th to 90th percentile (band) of {of[content.spectra_of]}; the means of the other classes in grey. "
        "Lines break at bad bands and gaps."
    )


def calibration_sentence(content: Content) -> str:
    """What the reliability diagram says, or why there is none."""
    found = content.assessment.diagrams if content.assessment else ()
    if not found:
        return "No reliability diagram: neither the model folder nor an evaluation keeps the confidence of the test pixels."
    told = " and ".join(f"{percent(one.ece)} {one.name} calibration" for one in found)
    return f"Expected calibration error (mean distance between confidence and share of right pixels): {told}."


def methods_paragraph(content: Content) -> str:
    """A paragraph for a paper, of what is known and nothing else."""
    model, sentences = content.model, []
    sentences.append(
        f"The map was made with hsikit {content.map.version or content.version} by the method {model.method}{cited(OF_METHOD.get(model.method, ()))}"
        f"{_regularised(content)}, from {_data(content)}."
    )
    sentences.append(_fitted(content))
    sentences.append(_tested(content))
    if content.areas is not None:
        whole = content.areas.overall
        sentences.append(
            f"Area-adjusted accuracy and areas were estimated from {count(content.areas.points)} reference points{cited(['olofsson2014'])}: "
            f"overall accuracy {percent(whole.value)} ± {percent(whole.half_width)} (95 % interval)."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _regularised(content: Content) -> str:
    steps = [f"smoothed along edges ({content.map.smooth}){cited(['perona1990'])}" if content.map.smooth else "", "sieved" if content.map.sieve else ""]
    told = " and ".join(step for step in steps if step)
    return f", {told}" if told else ""


def _data(content: Content) -> str:
    model = content.model
    span = f", {model.wavelengths[0]:.0f} to {model.wavelengths[1]:.0f} nm" if model.wavelengths else ""
    when = f", acquired {content.map.acquired[:10]}" if content.map.acquired else ""
    sensor = f"a scene of {model.sensor}" if model.sensor else "a scene"
    return f"{sensor} ({model.bands} bands{span}, {LABELS.get(model.quantity, model.quantity)}{when})"


def _fitted(content: Content) -> str:
    model, split = content.model, content.split
    settings = ", ".join(
        f"{name.replace('_', ' ')} {_setting(value)}"
        for name, value in own_settings(model).items()
        if isinstance(value, (int, float, str)) and "accuracy" not in name
    )
    if share := learned(model):
        settings += f"; parameters that learned from the labels: {share}"
    chosen = f" ({settings})" if settings else ""
    if split is None:
        return f"The classifier knows {len(content.classes)} classes{chosen}."
    pixels = split.train + split.test + split.unused if model.refitted else split.train
    seed = f", seed {model.seed}" if model.seed is not None else ""
    return f"The classifier was trained on {count(pixels)} labelled pixels of {len(content.classes)} classes{chosen}{seed}."


def own_settings(model: ModelFacts) -> dict[str, Any]:
    """What was chosen in training; how many parameters learned is told in a sentence of its own (`learned`)."""
    return {name: value for name, value in model.settings.items() if name not in (PARAMETERS, TUNED)}


def learned(model: ModelFacts) -> str:
    """How many of the model's parameters learned from the labels; "" where its folder does not say."""
    return learned_share(model.settings)


def _setting(value: float | str) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _tested(content: Content) -> str:
    found, own = content.assessment, content.own_scores
    if found is None or own is None:
        return ""
    on = f"on {count(found.tested)} label pixels"
    if found.split is not None:
        guard = f" with a guard of {found.split.guard} pixels" if found.split.guard else ""
        on = f"{on} of the split “{found.split.name}”{guard}"
    groups = f", bootstrapped over {count(found.groups)} groups" if found.groups else ""
    ends = f" (95 % interval {interval(own.overall_interval)}{groups})" if own.overall_interval else ""
    text = f"It was assessed {on}: overall accuracy {percent(own.overall)}{ends}, average accuracy {percent(own.average)}"
    text += f", mean F1 {own.macro_f1:.3f}" if own.macro_f1 is not None else ""
    text += f", kappa {own.kappa:.3f}{cited(['cohen1960'])}" if own.kappa is not None else ""
    floors = [f"{_floor(row.name)} {percent(row.overall)}" for row in found.rows if row.floor]
    return f"{text}; floors on the same pixels: {', '.join(floors)}." if floors else f"{text}."


def references(content: Content) -> str:
    """BibTeX of everything that the methods paragraph cites, and of hsikit."""
    keys = [HSIKIT.key, *OF_METHOD.get(content.model.method, ())]
    keys += ["perona1990"] if content.map.smooth else []
    keys += ["cohen1960"] if content.own_scores is not None and content.own_scores.kappa is not None else []
    keys += ["guo2017"] if content.assessment is not None and content.assessment.temperature != 1.0 else []
    keys += ["olofsson2014"] if content.areas is not None else []
    return bibliography(keys)


def file_name(path: str) -> str:
    """The last part of a path."""
    return Path(path).name or path


def bound(text: str) -> str:
    """Text in which no line breaks between a number and its percent sign."""
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", text)


def sentence(text: str) -> str:
    """Text with a full stop."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def knows(method: str) -> bool:
    """Whether the references of a method are known here."""
    return method in OF_METHOD

"""How the settings of `object-anomaly` are chosen: each scene's area under the setting that is best on the five others.

    python -m benchmarks.anomaly_choice --data FOLDER

Candidates differ in the local evidence (components and share of `ring_nearest`, or local RX) and in the components whose shapes are looked at. The
setting that the product has is marked. What a new scene may expect is the row "left out", not the best row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.detection import SCENES, load, scored

NEIGHBOURS, NEAREST, PICTURES = (3, 4, 5, 8), (0.005, 0.01, 0.02, 0.04), (2, 3, 4)
LEAST, MEAN, BELOW = 0.965, 0.990, 0.01
"""What is asked for: least area, mean area, and how far an area may lie below that of global RX."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/detection"))
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def evidence(source: Any, layer: str, threads: int, **constants: float) -> Any:
    """Ranks of a layer of `object-anomaly` with other constants."""
    from hsikit.api import make_method
    from hsikit.engine import compute

    with mock.patch.multiple("hsikit.tasks.detection.object_anomaly", **constants):
        found = compute(make_method("object-anomaly").bind({"cube": source.info}), {"cube": source}, layers=[layer], threads=threads)
    return [ranked(values) for values in found.layers[layer]]


def ranked(values: Any) -> Any:
    from scipy.stats import rankdata

    return rankdata(values).reshape(values.shape) / values.size


def candidates(source: Any, threads: int) -> dict[str, Any]:
    """Scores of a scene by the name of the setting."""
    from hsikit.api import make_method

    local = {f"{k} neighbours, {share:g}": evidence(source, "local", threads, NEIGHBOURS=k, NEAREST=share)[0] for k in NEIGHBOURS for share in NEAREST}
    local |= {"local RX": ranked(scored(make_method("local-rx"), source, threads))}
    shape = {f"{n} pictures": evidence(source, "shape", threads, PICTURES=n) for n in PICTURES}
    found = {f"{one}, {two}": near + small + far for one, near in local.items() for two, (small, far) in shape.items()}
    return found | {f"{two} alone": small + far for two, (small, far) in shape.items()}


def main() -> None:
    import numpy as np

    from hsikit.metrics.detection import roc_area
    from hsikit.tasks.detection import object_anomaly

    options = arguments()
    rows: dict[str, list[float]] = {}
    for scene in SCENES:
        source, truth = load(options.data / f"{scene}.mat")
        for name, scores in candidates(source, options.threads).items():
            rows.setdefault(name, []).append(roc_area(scores, truth))
    table, names, own = np.array(list(rows.values())), list(rows), np.arange(len(SCENES))
    product = f"{object_anomaly.NEIGHBOURS} neighbours, {object_anomaly.NEAREST:g}, {object_anomaly.PICTURES} pictures"
    print(f"{'setting':34}" + " ".join(f"{name.removeprefix('abu-'):>11}" for name in SCENES) + f" {'mean':>7}")
    for i in np.argsort(-table.mean(1)):
        print(
            f"{names[i]:34}" + " ".join(f"{area:11.4f}" for area in table[i]) + f" {table[i].mean():7.4f}" + (" <- the product" if names[i] == product else "")
        )
    chosen = [int(np.argmax(table[:, own != i].mean(1))) for i in own]
    left = table[chosen, own]
    print(f"{'left out':34}" + " ".join(f"{area:11.4f}" for area in left) + f" {left.mean():7.4f}")
    print("chosen without it: " + "; ".join(f"{scene.removeprefix('abu-')}: {names[i]}" for scene, i in zip(SCENES, chosen, strict=True)))
    below = max(known - area for known, area in zip(SCENES.values(), left, strict=True))
    print(f"mean {left.mean():.4f} (asked {MEAN:g}), least {left.min():.4f} ({LEAST:g}), at most {below:+.4f} below rx ({BELOW:g})")


if __name__ == "__main__":
    main()

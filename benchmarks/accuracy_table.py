"""Accuracy of every classifier, as it is and smoothed, by where labels and test pixels lie; differences paired draw by draw.

    python -m benchmarks.accuracy_table --scene indian-pines --processes 2 --cache FOLDER -o table.md
    python -m benchmarks.accuracy_table --scene indian-pines --columns far --check 2 --calibrate 10 --cache FOLDER

All draws of a row have one configuration, and no choice looks at test pixels. `--check` runs draws by the product itself (train,
map, smooth) and prints how far the table's short way is from it, and the product's seconds; of a row that pretrains, only seed 0
has the table's network. `--calibrate` prints the expected calibration error before and after a temperature is found inside the
labels. A killed run goes on from its cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy_table_cells import VARIANTS, Cell, Desk, Task, cells
from benchmarks.accuracy_table_columns import COLUMNS, Column
from benchmarks.accuracy_table_rows import ROWS
from benchmarks.accuracy_table_scenes import load_scene
from hsikit.train.benchmark_statistics import paired_difference, spread

REFERENCES = (("mnf-lda 40/5/standardised", "smoothed"), ("mnf-lda-edge", "plain"), ("mnf-lda-edge, edges of components", "plain"))
"""Rows that the others are compared with: the smoothed floor, and the best method without a network."""
CALIBRATED = ("far", "near")

Line = tuple[str, str]
"""A row's name, and "plain" or "smoothed"."""


def by_line(made: Iterable[Cell], column: str, kind: str = "scores") -> dict[Line, dict[int, Cell]]:
    """The cells of one kind and column: by row and variant, then by seed."""
    found: dict[Line, dict[int, Cell]] = {}
    for cell in sorted(made, key=lambda cell: cell.task.seed):
        if cell.task.column == column and cell.task.kind == kind:
            for variant in VARIANTS:
                found.setdefault((cell.task.row, variant), {})[cell.task.seed] = cell
    order = {name: place for place, name in enumerate(ROWS)}
    return dict(sorted(found.items(), key=lambda item: (order[item[0][0]], VARIANTS.index(item[0][1]))))


def difference(lines: Mapping[Line, Mapping[int, Cell]], line: Line, reference: Line, measure: str) -> str:
    """A paired difference in points with its standard error, over the draws that both have."""
    mine, other = lines[line], lines.get(reference, {})
    seeds = sorted(set(mine) & set(other))
    if line == reference or not seeds:
        return "–"
    values = [[100 * there[seed].values[name[1]][measure] for seed in seeds] for there, name in ((mine, line), (other, reference))]
    found = paired_difference(*values)
    return f"{found.mean:+.2f}" if np.isnan(found.error) else f"{found.mean:+.2f} ({found.error:.2f})"


def score_table(made: Sequence[Cell], name: str, column: Column, classes: Mapping[int, str]) -> list[str]:
    """One column's scores as Markdown."""
    lines = by_line(made, name)
    draws = {seed: cell for there in lines.values() for seed, cell in there.items()}
    heading = [title for row, variant in REFERENCES for title in (f"OA to {line_name((row, variant))}", f"AA to {line_name((row, variant))}")]
    out = [
        f"## {name}: {column.title}",
        "",
        f"{len(draws)} draws from seed {min(draws)}; {mean_of(draws, 'labels'):.0f} labels and {mean_of(draws, 'tested'):.0f} test pixels a draw. "
        "Mean ± deviation, and paired difference (its standard error), in points.",
        left_out(draws.values(), classes),
        "",
        markdown("row", "OA", "AA", *heading, "a draw, s"),
        markdown(*["---"] * (4 + len(heading))),
    ]
    for line, there in lines.items():
        figures = [shown([cell.values[line[1]][measure] for cell in there.values()]) for measure in ("overall", "average")]
        apart = [difference(lines, line, reference, measure) for reference in REFERENCES for measure in ("overall", "average")]
        seconds = float(np.median([cell.seconds["draw"] for cell in there.values()]))
        out.append(markdown(line_name(line), *figures, *apart, f"{seconds:.2f}"))
    return [*out, ""]


def left_out(draws: Iterable[Cell], classes: Mapping[int, str]) -> str:
    """Which classes are not scored, and how often."""
    every = [cell.facts["left_out"] for cell in draws]
    counts = {code: sum(code in codes for codes in every) for code in classes}
    told = [f"{classes[code]} in {count}" for code, count in counts.items() if count]
    return f"Classes without labels or test pixels, not scored: {', '.join(told)} of {len(every)} draws." if told else "All classes are scored in every draw."


def check_table(made: Sequence[Cell], name: str) -> list[str]:
    """How far the short way is from the product, and what the product takes."""
    lines = by_line(made, name, "check")
    out = [
        f"## {name}: the short way against the product",
        "",
        markdown("row", "draws", "test pixels that differ", "largest difference in OA", "in AA", "train, s", "map, s"),
        markdown(*["---"] * 7),
    ]
    for line, there in lines.items():
        worst = {measure: max(cell.values[line[1]][measure] for cell in there.values()) for measure in ("pixels", "overall", "average")}
        train, mapped = (np.median([cell.seconds[name] for cell in there.values()]) for name in ("train", "map" if line[1] == "plain" else "map_smoothed"))
        apart = (f"{worst['pixels']:.0f}", f"{100 * worst['overall']:.2f}", f"{100 * worst['average']:.2f}")
        out.append(markdown(line_name(line), str(len(there)), *apart, f"{train:.2f}", f"{mapped:.2f}"))
    return [*out, ""]


def calibration_table(made: Sequence[Cell], name: str) -> list[str]:
    """Expected calibration error in 15 bins, in per cent."""
    out = [
        f"## {name}: expected calibration error, 15 bins, %",
        "",
        markdown("row", "draws", "before", "after", "after over before", "temperature"),
        markdown(*["---"] * 6),
    ]
    for line, there in by_line(made, name, "calibration").items():
        before, after = ([cell.values[line[1]][when] for cell in there.values()] for when in ("before", "after"))
        ratio, temperature = float(np.mean(after) / np.mean(before)), float(np.median([cell.facts["temperature"] for cell in there.values()]))
        out.append(markdown(line_name(line), str(len(there)), shown(before), shown(after), f"{ratio:.2f}", f"{temperature:.2f}"))
    return [*out, ""]


def shown(shares: Sequence[float]) -> str:
    """Mean and deviation in per cent."""
    found = spread(shares)
    return f"{100 * found.mean:.2f}" if np.isnan(found.deviation) else f"{100 * found.mean:.2f} ± {100 * found.deviation:.2f}"


def mean_of(draws: Mapping[int, Cell], fact: str) -> float:
    return float(np.mean([cell.facts[fact] for cell in draws.values()]))


def line_name(line: Line) -> str:
    return line[0] if line[1] == "plain" else f"{line[0]}, smoothed"


def markdown(*parts: str) -> str:
    return f"| {' | '.join(parts)} |"


def wanted(options: argparse.Namespace) -> list[Task]:
    """All tasks, those of one draw together, so that a killed run leaves whole draws."""
    out = []
    for name in options.columns:
        column = COLUMNS[options.scene][name]
        numbers = {
            "scores": min(column.draws, options.draws) if options.draws is not None else column.draws,
            "check": options.check,
            "calibration": options.calibrate if name in CALIBRATED else 0,
        }
        for kind, count in numbers.items():
            out += [Task(kind, row, name, seed) for seed in range(options.first, options.first + count) for row in options.rows]
    return out


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", choices=list(COLUMNS), default="indian-pines")
    parser.add_argument("--folder", type=Path, help="holds the scene's files; default: the package tensorly, or HSIKIT_SHARED_DATA")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="default: all of the scene")
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=list(ROWS), default=list(ROWS), help="default: all")
    parser.add_argument("--draws", type=int, help="at most so many of each column; default: 100 of far, 20 of others, 5 of Potsdam")
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--check", type=int, default=0, metavar="K", help="draws that also go through the product, in each column")
    parser.add_argument("--calibrate", type=int, default=0, metavar="K", help="draws of far and near that are calibrated")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="folder of features and of finished cells")
    parser.add_argument("-o", "--output", type=Path, help="Markdown file; default: printed only")
    options = parser.parse_args()
    options.columns = options.columns or list(COLUMNS[options.scene])
    strange = [name for name in options.columns if name not in COLUMNS[options.scene]]
    if strange:
        parser.error(f"{options.scene} has no column {strange[0]!r}; its columns are {', '.join(COLUMNS[options.scene])}")
    if min(options.processes, 1 if options.draws is None else options.draws) < 1 or min(options.check, options.calibrate, options.first) < 0:
        parser.error("--processes and --draws are 1 or more, --check, --calibrate and --first 0 or more")
    return options


def write(text: str, path: Path) -> None:
    """Writes beside, then renames."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text)
    beside.replace(path)


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    desk = Desk(options.scene, load_scene(options.scene, options.folder), options.cache)
    tasks, made = wanted(options), []
    for cell in cells(desk, tasks, options.processes, options.folder):
        made.append(cell)
        print(f"\r{len(made)} of {len(tasks)}", end="\n" if len(made) == len(tasks) else "", file=sys.stderr, flush=True)
    classes = {entry.code: entry.name for entry in desk.scene.legend.classes}
    out = [f"# Accuracy on {desk.scene.source.info.name}", ""]
    for name in options.columns:
        out += score_table(made, name, COLUMNS[options.scene][name], classes)
        out += check_table(made, name) if options.check else []
        out += calibration_table(made, name) if options.calibrate and name in CALIBRATED else []
    text = "\n".join(out)
    print(text)
    if options.output:
        write(text, options.output)


if __name__ == "__main__":
    main()

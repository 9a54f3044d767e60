"""The pretraining itself: examples drawn by (seed, step), an optimiser, snapshots, and the base folder at the end.

What a step sees and does follows from the recipe and the number of the step alone, and a snapshot holds state dicts of weights and
optimiser: a run that was killed and is started again ends, on a CPU, with the same weights to the bit.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hsikit.errors import OptionError, OutputError, RunError
from hsikit.nn.base_files import save_base
from hsikit.nn.encoder import EXACT, Encoder, build_encoder
from hsikit.nn.evening import even_features, feature_moments
from hsikit.nn.fit import choose_device
from hsikit.nn.lora import mark_pretrained
from hsikit.nn.optimizer_state import load_optimizer, optimizer_tensors
from hsikit.nn.rebuilding import Example, MaskedWindows, build_objective
from hsikit.nn.snapshots import Snapshot, load_snapshot, save_snapshot
from hsikit.pretrain.recipe import REAL, Recipe
from hsikit.pretrain.views import make_example
from hsikit.pretrain.windows import Supply

EVERY = 200
"""Steps between snapshots."""
TOLD = 50
"""Steps whose mean loss is one number of the record."""
TRIED = 3
"""Steps that are timed to find how many fit into some minutes."""
EVENED = 24
"""Examples by which the features are evened out at the end."""
UNSERVED = "no method can stand on this base, whose maps in tiles would not be those of one pass: its encoder has {}. Exact are {}"
PLAN = "plan.json"
OPTIMIZER = "optimizer."

Tell = Callable[[int, int, str], None]
"""Told (steps done, steps in all, text) after each step, and (0, 0, note) of what a user should know."""


@dataclass
class State:
    """What a run has reached: steps done, mean losses so far, and those not booked yet."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    open: list[float] = field(default_factory=list)


def pretrain(
    supplies: Sequence[Supply], recipe: Recipe, output: Path, *, about: Mapping[str, Any], minutes: float | None = None, device: str = "auto",
    workspace: Path | None = None, tell: Tell | None = None,
) -> Path:  # fmt: skip
    """Trains an encoder on windows and writes its base folder.

    Args:
        supplies: where the windows come from, each in turn.
        recipe: the options.
        output: the base folder; must not exist.
        about: what is said of the base beside its recipe: licence, data, limits.
        minutes: instead of the recipe's steps, as many as are done in this time, by the pace of the first ones.
        device: "auto" (CUDA where it is there), "cpu", "cuda" or "cuda:1". On CUDA the arithmetic is mixed with bfloat16.
        workspace: folder for snapshots, removed at the end; beside the output unless told.
        tell: who is told.

    Raises:
        OptionError: an option out of range, no such device, or a loss that is no longer finite.
        RunError: the workspace holds another run.
        OutputError: the base exists, or something could not be written.
        SceneError: a scene is damaged, or has no window with data.
    """
    if not supplies:
        raise OptionError("scenes", "there is nothing to learn from", "Name scenes, or give --simulate with a sensor")
    if output.exists():
        raise OutputError(output, "exists already", "Choose another name")
    target = choose_device(device)
    folder = workspace or output.absolute().parent / f".{output.name}.pretraining"
    torch_state = torch.random.get_rng_state()
    try:
        torch.manual_seed(recipe.seed)
        encoder = build_encoder(recipe.preset, **{**recipe.changes, **({"adapter": recipe.adapter} if recipe.adapter else {})})
        module = build_objective(recipe.objective, encoder)
    finally:
        torch.random.set_rng_state(torch_state)
    if tell is not None and encoder.halo is None:
        tell(0, 0, f"note: {UNSERVED.format(encoder.unbounded, ', '.join(EXACT))}")
    recipe = _with_steps(recipe, module, supplies, minutes, target, folder)
    state = _trained(module, supplies, recipe, target, folder, tell)
    module.to("cpu").eval()
    even_out(module.encoder, supplies, recipe)
    mark_pretrained(module.encoder)
    said = {**about, "recipe": recipe.record(), "scenes": [supply.identity[0:2] for supply in supplies], "losses": [round(each, 6) for each in state.losses]}
    saved = save_base(output, module.encoder, said)
    shutil.rmtree(folder, ignore_errors=True)
    return saved


def example_of(supplies: Sequence[Supply], recipe: Recipe, step: int, part: int) -> Example:
    """One of the examples of a step; it follows from these numbers alone."""
    turn = step * recipe.scenes_per_step + part
    windows = supplies[turn % len(supplies)].draw(turn // len(supplies), recipe.windows, recipe.window, recipe.seed)
    rng = np.random.default_rng([recipe.seed, step, part, 3]) if recipe.sensors == "random" else None
    return make_example(windows, rng, REAL)


def even_out(encoder: Encoder, supplies: Sequence[Supply], recipe: Recipe) -> None:
    """Evens the features out by examples that come after the training's last, each scene's about its own mean."""
    found = []
    for step in range(recipe.steps, recipe.steps + EVENED):
        view, usable = (example := example_of(supplies, recipe, step, 0)).own, example.usable
        with torch.inference_mode():
            features = encoder.dense(view.values, view.bands.wavelength, view.bands.fwhm, view.bands.valid, usable)
            found.append(feature_moments(features, usable))
    mean, covariance = (torch.stack(each).mean(0) for each in zip(*found, strict=True))
    even_features(encoder, mean.clone(), covariance.clone())


def _with_steps(recipe: Recipe, module: MaskedWindows, supplies: Sequence[Supply], minutes: float | None, device: torch.device, folder: Path) -> Recipe:
    """The recipe with the steps that fit into some minutes; what was found once holds for a run that goes on."""
    if minutes is None:
        return recipe
    if not (math.isfinite(minutes) and minutes > 0):
        raise OptionError("minutes", f"{minutes} is no time", "Give a number above 0")
    path = folder / PLAN
    asked = {"minutes": minutes, "recipe": replace(recipe, steps=1).record()}
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise RunError(path, f"cannot be read ({error})", "Remove the folder, and start again") from error
    if kept is not None:
        if kept.get("asked") != json.loads(json.dumps(asked)):
            raise RunError(folder, "holds the training of other data or with other options", "Choose another folder, or remove this one")
        return replace(recipe, steps=int(kept["steps"]))
    tried = copy.deepcopy(module).to(device)
    loop = Loop(tried, supplies, recipe, device)
    loop.step(0)  # warms up what is made once
    start = time.monotonic()
    for step in range(1, 1 + TRIED):
        loop.step(step)
    steps = max(1, int(60 * minutes * TRIED / max(time.monotonic() - start, 1e-6)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps({"asked": asked, "steps": steps}), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise OutputError(path, f"it cannot be written ({error.strerror or error})", "Make room, or choose another folder") from error
    return replace(recipe, steps=steps)


class Loop:
    """Steps of the optimiser on a device.

    Args:
        module: learns; goes to the device.
        supplies: see `pretrain`.
        recipe: see `pretrain`.
        device: where the steps are made.

    Attributes:
        mixed: whether the arithmetic is mixed with bfloat16, as it is on CUDA.
    """

    def __init__(self, module: MaskedWindows, supplies: Sequence[Supply], recipe: Recipe, device: torch.device) -> None:
        self.module, self.supplies, self.recipe, self.device = module.to(device).train(), supplies, recipe, device
        self.mixed = device.type == "cuda"
        matrices, vectors = ([p for p in module.parameters() if p.requires_grad and (p.dim() > 1) == large] for large in (True, False))
        self.optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}], recipe.lr)

    def step(self, number: int) -> float:
        """One step; the mean loss of its examples."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(number)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in range(recipe.scenes_per_step):
            example = example_of(self.supplies, recipe, number, part).on(self.device)
            generator = torch.Generator().manual_seed(int(np.random.SeedSequence([recipe.seed, number, part, 4]).generate_state(1, np.uint64)[0] >> 1))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                loss = self.module.loss(example, generator, number / recipe.steps) / recipe.scenes_per_step
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise OptionError("lr", f"the training went astray in step {number + 1}: its loss is no number any more", "Give a smaller learning rate")
        nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip)
        self.optimizer.step()
        return total


def _trained(module: MaskedWindows, supplies: Sequence[Supply], recipe: Recipe, device: torch.device, folder: Path, tell: Tell | None) -> State:
    """Trains a module in place, from the last snapshot on."""
    identity, state = _identity(module, supplies, recipe), State()
    loop = Loop(module, supplies, recipe, device)
    found, notes = load_snapshot(folder, identity)
    if found is not None:
        state = _restored(found, loop)
    for note in notes:
        if tell is not None:
            tell(0, 0, note)
    while state.step < recipe.steps:
        state.open.append(loop.step(state.step))
        state.step += 1
        if len(state.open) == TOLD or state.step == recipe.steps:
            state.losses.append(sum(state.open) / len(state.open))
            state.open = []
        if state.step % EVERY == 0 or state.step == recipe.steps:
            save_snapshot(folder, identity, _snapshot(state, loop))
        if tell is not None:
            tell(state.step, recipe.steps, f"loss {state.losses[-1]:.4g}" if state.losses else "")
    return state


def _snapshot(state: State, loop: Loop) -> Snapshot:
    tensors: dict[str, Tensor] = {f"model.{name}": tensor for name, tensor in loop.module.state_dict().items()}
    tensors |= {f"{OPTIMIZER}{name}": tensor for name, tensor in optimizer_tensors(loop.optimizer).items()}
    return Snapshot(state.step, tensors, {"losses": state.losses, "open": state.open})


def _restored(snapshot: Snapshot, loop: Loop) -> State:
    """The state of a snapshot; weights and optimiser go into the loop."""
    loop.module.load_state_dict({key.removeprefix("model."): tensor for key, tensor in snapshot.tensors.items() if key.startswith("model.")})
    load_optimizer(loop.optimizer, {key.removeprefix(OPTIMIZER): tensor for key, tensor in snapshot.tensors.items() if key.startswith(OPTIMIZER)})
    return State(snapshot.epoch, list(snapshot.record["losses"]), list(snapshot.record["open"]))


def _identity(module: MaskedWindows, supplies: Sequence[Supply], recipe: Recipe) -> str:
    """Tells one run from another: what it learns from, and how."""
    shapes = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    facts = {"recipe": recipe.record(), "supplies": [supply.identity for supply in supplies], "shapes": shapes}
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from hsikit.errors import OptionError, OutputError, RunError
from hsikit.nn.fit import History, Plan, choose_device, fit
from hsikit.nn.lora import CyclicScale, add_lora, lora_layers
from hsikit.nn.objectives import ObjectObjective
from tests.nn.models import encoder, spectra


class Regression(nn.Module):
    """A linear fit, with dropout and noise so that every source of chance is there."""

    def __init__(self, dropout: float = 0.0, noise: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.dropout, self.noise = nn.Linear(3, 1), nn.Dropout(dropout), noise
        self.seen: list[tuple[bool, int]] = []
        self.scales: list[float] = []

    def loss(self, batch: tuple[Tensor, ...], generator: Generator) -> Tensor:
        x, y = batch
        self.seen.append((self.training, len(x)))
        if isinstance(self.layer, nn.Module) and hasattr(self.layer, "scale"):
            self.scales.append(self.layer.scale)
        noisy = x + self.noise * torch.randn(x.shape, generator=generator).to(x.device)
        return (self.layer(self.dropout(noisy)) - y).square().mean()


def samples(count: int = 50) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(4))
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def run(folder: Path | None = None, *, epochs: int = 6, **options: object) -> tuple[dict[str, Tensor], History]:
    model = Regression(dropout=0.2, noise=0.1)
    history = fit(model, samples(), epochs=epochs, batch=16, lr=0.05, folder=folder, device="cpu", **options)  # type: ignore[arg-type]
    return weights(model), history


def test_the_weights_are_those_of_a_plain_loop() -> None:
    x, y = samples()
    ours, theirs = Regression(), Regression()
    history = fit(ours, (x, y), epochs=5, batch=16, lr=0.05, weight_decay=0.1, clip=0.5, seed=3, device="cpu")
    plan = Plan(5, 16, 0.05, 0.1, "cosine", 3, 0.5, None, None)
    optimizer = torch.optim.AdamW([{"params": [theirs.layer.weight], "weight_decay": 0.1}, {"params": [theirs.layer.bias], "weight_decay": 0.0}])
    losses = []
    for epoch in range(5):
        total = 0.0
        order = torch.randperm(50, generator=torch.Generator().manual_seed(plan.random(0, epoch)))
        for number, rows in enumerate(order.tensor_split(4)):
            for group in optimizer.param_groups:
                group["lr"] = plan.rate(epoch * 4 + number, 20)
            optimizer.zero_grad()
            loss = theirs.loss((x[rows], y[rows]), torch.Generator())
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / 50)
    torch.testing.assert_close(weights(ours), weights(theirs))
    assert history.losses == pytest.approx(losses, rel=1e-5)
    assert history.best_epoch == 5


def test_it_learns_and_leaves_the_module_ready_for_use() -> None:
    model = Regression(dropout=0.0)
    history = fit(model, samples(), epochs=80, batch=16, lr=0.1, weight_decay=0.0, device="cpu")
    torch.testing.assert_close(model.layer.weight.detach(), torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-3, rtol=0)
    assert history.losses[-1] < 1e-4
    assert not model.training


def test_each_epoch_sees_each_sample_once_in_batches_of_nearly_equal_size() -> None:
    model = Regression()
    fit(model, samples(49), epochs=2, batch=16, lr=0.1, device="cpu")
    assert sorted(size for _, size in model.seen) == [12] * 6 + [13] * 2


@pytest.mark.parametrize(("schedule", "rates"), [("cosine", [0.2, 0.17071, 0.1, 0.02929]), ("constant", [0.2] * 4)])
def test_schedules(schedule: str, rates: list[float]) -> None:
    plan = Plan(2, 8, 0.2, 0.0, schedule, 0, 1.0, None, None)  # type: ignore[arg-type]
    assert [plan.rate(step, 4) for step in range(4)] == pytest.approx(rates, abs=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_does_not() -> None:
    torch.manual_seed(77)
    first, _ = run()
    torch.manual_seed(78)
    assert same(first, run()[0])
    assert not same(first, run(seed=1)[0])


def test_torch_s_own_random_numbers_are_left_as_they_were() -> None:
    model = Regression(dropout=0.5)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(model, samples(), epochs=1, batch=16, lr=0.1, device="cpu")
    assert torch.equal(torch.rand(3), wanted)


def test_validation_picks_the_best_epoch_and_patience_ends_the_training() -> None:
    x, y = samples()
    model = Regression()
    # The validation part wants the opposite: the first epoch is the best there.
    history = fit(model, (x, y), epochs=50, batch=50, lr=0.05, device="cpu", validation=(x, -y), patience=3)
    assert history.stopped
    assert len(history.losses) == len(history.validation) == history.best_epoch + 3
    assert min(history.validation) == history.validation[history.best_epoch - 1]
    assert model.loss((x, -y), torch.Generator()).item() == pytest.approx(min(history.validation), rel=1e-5)


def test_validation_is_without_dropout_and_training_with_it() -> None:
    model = Regression(dropout=0.5)
    fit(model, samples(), epochs=2, batch=25, lr=0.05, device="cpu", validation=samples(30))
    assert model.seen == [(True, 25), (True, 25), (False, 15), (False, 15)] * 2


def test_the_cyclic_scale_acts_in_training_and_is_full_otherwise() -> None:
    model = Regression()
    add_lora(model, ["layer"], 1, 1.0)
    fit(model, samples(), epochs=2, batch=25, lr=0.05, device="cpu", validation=samples(20), cyclic=CyclicScale(4, 0.5, 1.5))
    assert model.scales == pytest.approx([0.5, 1.0, 1.5, 1.5, 1.0, 1.5])
    assert [layer.scale for layer in lora_layers(model).values()] == [1.5]


def test_frozen_weights_stay() -> None:
    model = Regression()
    add_lora(model, ["layer"], 1, 1.0)
    before = weights(model)
    fit(model, samples(), epochs=3, batch=25, lr=0.05, device="cpu")
    changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert changed == {"layer.lora_A.weight", "layer.lora_B.weight"}


def test_progress_is_told_of_every_step() -> None:
    told: list[tuple[int, int, str]] = []
    fit(Regression(), samples(), epochs=2, batch=25, lr=0.05, device="cpu", progress=lambda *what: told.append(what))
    assert [(done, total) for done, total, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert told[0][2] == "epoch 1 of 2"
    assert told[3][2].startswith("epoch 2 of 2, loss ")


def test_nothing_is_printed_and_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run(validation=samples(20))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, history = run(tmp_path, validation=samples(20))
    again, repeated = run(tmp_path, validation=samples(20))
    assert same(first, again)
    assert (repeated.losses, repeated.validation, repeated.resumed_after) == (history.losses, history.validation, 6)


class Killed(Exception):
    pass


def break_off(folder: Path, steps: int, **options: object) -> None:
    def told(done: int, total: int, text: str) -> None:
        if done == steps:
            raise Killed

    with pytest.raises(Killed):
        run(folder, progress=told, **options)


@pytest.mark.parametrize("steps", [3, 4, 9, 23])
def test_a_run_broken_off_and_resumed_ends_with_the_same_weights(tmp_path: Path, steps: int) -> None:
    wanted, whole = run(validation=samples(20), patience=4)
    break_off(tmp_path, steps, validation=samples(20), patience=4)
    found, history = run(tmp_path, validation=samples(20), patience=4)
    assert same(found, wanted)
    assert history.resumed_after == (steps - 1) // 4
    assert (history.losses, history.validation, history.best_epoch) == (whole.losses, whole.validation, whole.best_epoch)


def pretrained(folder: Path, told: Callable[[int, int, str], None] | None = None) -> tuple[dict[str, Tensor], History]:
    torch.set_num_threads(1)
    model, x = ObjectObjective(encoder(dropout=0.1), 4, keep=2), spectra(64)
    history = fit(model, (x, x.mean(1)[:, :4]), epochs=5, batch=8, lr=1e-2, seed=2, device="cpu", folder=folder, progress=told)
    return weights(model), history


PROGRAM = """
import sys, time
from pathlib import Path
from tests.nn.test_fit import pretrained
def told(done, total, text):
    print(done, flush=True)
    time.sleep(0.02)
pretrained(Path(sys.argv[1]), told)
"""


def test_a_killed_process_resumes_to_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    wanted, _ = pretrained(tmp_path / "undisturbed")
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "killed")]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if int(line) == 21:  # within the third epoch
                killed.send_signal(signal.SIGKILL)
                break
        assert killed.wait(60) == -signal.SIGKILL
    found, history = pretrained(tmp_path / "killed")
    assert history.resumed_after == 2
    assert same(found, wanted)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        data[-3] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied"])
def test_a_damaged_snapshot_is_told_and_the_one_before_is_used(tmp_path: Path, how: str) -> None:
    wanted, _ = run()
    break_off(tmp_path, 15)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["epoch-000002.safetensors", "epoch-000003.safetensors"]
    damage(files[-1], how)
    told: list[str] = []
    found, history = run(tmp_path, progress=lambda done, total, text: told.append(text))
    assert same(found, wanted)
    assert history.resumed_after == 2
    assert history.notes == (f"{files[-1]} is damaged and was not used", "training goes on after epoch 2")
    assert told[:2] == list(history.notes)


def test_where_all_snapshots_are_damaged_training_starts_anew_and_says_so(tmp_path: Path) -> None:
    wanted, _ = run()
    break_off(tmp_path, 15)
    for file in tmp_path.iterdir():
        damage(file, "flipped")
    with pytest.warns(UserWarning, match="damaged"):
        found, history = run(tmp_path)
    assert same(found, wanted)
    assert history.notes[-1] == "training starts from the beginning"


@pytest.mark.parametrize("options", [{"seed": 1}, {"epochs": 7}, {"validation": samples(10)}, {"about": {"alpha": 4.0}}])
def test_another_run_in_the_folder_is_not_touched(tmp_path: Path, options: dict[str, object]) -> None:
    run(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(RunError, match="other data or with other options"):
        run(tmp_path, **options)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="state of the training"):
        run(tmp_path / "file" / "folder")


def test_ctrl_c_is_ctrl_c() -> None:
    def told(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(progress=told)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_training_that_goes_astray_says_so() -> None:
    x, y = samples()
    with pytest.raises(OptionError, match=r"lr: the training went astray in epoch \d"):
        fit(Regression(), (x, y * 1e25), epochs=3, batch=16, lr=0.1, device="cpu")


SENSELESS: list[dict[str, object]] = [
    {"epochs": 0},
    {"batch": 0},
    {"lr": 0.0},
    {"lr": float("nan")},
    {"weight_decay": -1.0},
    {"clip": 0.0},
    {"seed": -1},
    {"schedule": "step"},
    {"patience": 0},
    {"patience": 3},
    {"device": "tpu"},
]


@pytest.mark.parametrize("options", SENSELESS, ids=str)
def test_senseless_options_are_named(options: dict[str, object]) -> None:
    usual: dict[str, object] = {"epochs": 1, "batch": 4, "lr": 0.1, "device": "cpu"}
    with pytest.raises(OptionError, match=next(iter(options))):
        fit(Regression(), samples(), **{**usual, **options})  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match=r"cuda:99 is not there"):
        choose_device("cuda:99")


def test_arrays_that_cannot_be_trained_on_are_refused() -> None:
    x, y = samples()
    cases = {"lengths": (x, y[:3]), "not finite": (x, y / 0)}
    for message, arrays in cases.items():
        with pytest.raises(ValueError, match=message):
            fit(Regression(), arrays, epochs=1, batch=4, lr=0.1)
    with pytest.raises(ValueError, match="no parameter"):
        fit(Regression().requires_grad_(False), (x, y), epochs=1, batch=4, lr=0.1)
    with pytest.raises(ValueError, match="add_lora"):
        fit(Regression(), (x, y), epochs=1, batch=4, lr=0.1, cyclic=CyclicScale(4))
    merged = Regression()
    add_lora(merged, ["layer"], 1, 1.0)
    lora_layers(merged)["layer"].merge()
    with pytest.raises(ValueError, match="unmerge"):
        fit(merged, (x, y), epochs=1, batch=4, lr=0.1)


def test_pretraining_an_encoder() -> None:
    x = spectra(64)
    model = ObjectObjective(encoder(), 4, keep=2)
    history = fit(model, (x, x.mean(1)[:, :4]), epochs=15, batch=16, lr=1e-2, device="cpu")
    assert history.losses[-1] < 0.8 * history.losses[0]

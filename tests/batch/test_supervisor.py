"""The supervisor with workers that die, hang, grow or never begin."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hsikit.batch.executor import Assignment, Limits
from hsikit.batch.orders import Order
from hsikit.batch.supervisor import Supervisor
from hsikit.errors import RunError

from .conftest import FAKE, Make, runs_of

MIB = 2**20


class Book:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.ends: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.steps = threading.Event()
        self.workers: set[int] = set()

    def _end(self, assignment: Assignment, what: str) -> None:
        self.ends.setdefault(assignment.order.output.stem, []).append(what)

    def begun(self, assignment: Assignment, worker: int) -> None:
        self.workers.add(worker)

    def opened(self, assignment: Assignment, identity: Sequence[Any], pixels: int) -> None:
        assert identity and pixels == 12

    def arrived(self, assignment: Assignment) -> list[Path]:
        return []

    def stepped(self, worker: int, steps: int, total: int) -> None:
        if steps > 2:
            self.steps.set()

    def done(self, assignment: Assignment, worker: int, files: Sequence[str], seconds: float, peak: int) -> None:
        self._end(assignment, "done")

    def failed(self, assignment: Assignment, worker: int, error: str, seconds: float, peak: int) -> None:
        self._end(assignment, error)

    def interrupted(self, assignment: Assignment, worker: int) -> None:
        self._end(assignment, "waits")

    def note(self, message: str) -> None:
        self.notes.append(message)


def run(orders: list[Order], **limits: Any) -> tuple[Book, bool]:
    book = Book()
    told = Limits(**{"jobs": 2, "threads": 1, "memory": 512 * MIB, **limits})
    return book, Supervisor(told, {}, FAKE).run([Assignment(order) for order in orders], book)


def test_all_are_done_once_by_two_workers(orders: Make) -> None:
    made = orders(*(f"ok-{number}" for number in range(7)))
    book, finished = run(made)
    assert finished and book.ends == {order.output.stem: ["done"] for order in made} and book.workers <= {1, 2}
    assert [runs_of(order) for order in made] == [1] * 7


def test_no_more_workers_than_scenes(orders: Make) -> None:
    book, _ = run(orders("ok-1"), jobs=5)
    assert book.workers == {1}


def test_a_killed_worker_is_replaced_and_its_scene_goes_on(orders: Make) -> None:
    made = orders("once-a", "ok-b")
    book, _ = run(made, jobs=1)
    assert book.ends == {"once-a": ["waits", "done"], "ok-b": ["done"]} and runs_of(made[0]) == 2
    assert "worker 1 was killed by SIGKILL (the last words)" in book.notes[0]


def test_a_scene_that_ends_its_worker_twice_has_failed(orders: Make) -> None:
    made = orders("dies-a", "fails-b", "ok-c")
    book, finished = run(made)
    assert finished and book.ends["ok-c"] == ["done"]
    assert book.ends["dies-a"][0] == "waits" and "its worker ended with code 7 (the last words), the last of 2 in a row" in book.ends["dies-a"][1]
    assert "is damaged" in book.ends["fails-b"][0] and len(book.ends["fails-b"]) == 1
    assert [runs_of(order) for order in made] == [2, 1, 1]


@pytest.mark.parametrize(("counts", "attempts"), [([5], 10), ([None], 2), (range(99), 2)])
def test_a_scene_whose_workers_are_killed_from_outside_has_more_attempts(
    orders: Make, monkeypatch: pytest.MonkeyPatch, counts: Sequence[int | None], attempts: int
) -> None:
    """Not where the system does not say whether memory was short, or where it was."""
    told = itertools.cycle(counts)
    monkeypatch.setattr("hsikit.batch.crew.memory_kills", lambda: next(told))
    made = orders("killed-a")
    book, _ = run(made)
    assert runs_of(made[0]) == attempts and f"SIGKILL (the last words), the last of {attempts} in a row" in book.ends["killed-a"][-1]


def test_deaths_are_not_held_against_a_scene_that_gets_further(orders: Make) -> None:
    made = orders("climbs-a")
    book, _ = run(made)
    assert book.ends["climbs-a"] == ["waits"] * 4 + ["done"] and runs_of(made[0]) == 5


def test_a_timeout_fails_the_scene_and_the_rest_goes_on(orders: Make) -> None:
    made = orders("sleeps-a", "ok-b")
    book, _ = run(made, timeout=0.3, jobs=1)
    assert "it took longer than --timeout 0.3 s" in book.ends["sleeps-a"][0] and book.ends["ok-b"] == ["done"] and runs_of(made[0]) == 1


def test_a_worker_above_its_memory_is_ended(orders: Make) -> None:
    made = orders("grows-a", "ok-b")
    book, _ = run(made, ceiling=100 * MIB, jobs=1)
    assert "more than --memory allows" in book.ends["grows-a"][0] and book.ends["ok-b"] == ["done"] and runs_of(made[0]) == 1


def test_workers_that_never_begin_are_an_error(orders: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FALSE_START", "1")
    with pytest.raises(RunError, match=r"ended with code 1 \(nothing works\) before it was ready, 5 times"):
        run(orders("ok-a"))


def test_a_stop_lets_tiles_finish_and_leaves_the_rest_waiting(orders: Make) -> None:
    made = orders("steps-a", "steps-b", "ok-c")
    book, answers = Book(), []
    boss = Supervisor(Limits(2, 1, 512 * MIB), {}, FAKE)
    thread = threading.Thread(target=lambda: answers.append(boss.run([Assignment(order) for order in made], book)))
    thread.start()
    assert book.steps.wait(20)
    boss.stop()
    thread.join(20)
    assert answers == [False] and "waits" in book.ends["steps-a"] and "ok-c" not in book.ends


def test_a_second_stop_ends_workers_at_once(orders: Make) -> None:
    book, answers = Book(), []
    boss = Supervisor(Limits(1, 1, 512 * MIB), {}, FAKE)
    (stuck,) = orders("sleeps-a")
    thread = threading.Thread(target=lambda: answers.append(boss.run([Assignment(stuck)], book)))
    thread.start()
    while not runs_of(stuck):
        threading.Event().wait(0.02)
    boss.stop()
    boss.stop()
    thread.join(20)
    assert answers == [False] and book.ends == {"sleeps-a": ["waits"]}


def test_an_error_of_the_book_ends_the_workers(orders: Make) -> None:
    class Full(Book):
        def done(self, *told: Any) -> None:
            raise OSError("no space")

    boss = Supervisor(Limits(2, 1, 512 * MIB), {}, FAKE)
    with pytest.raises(OSError, match="no space"):
        boss.run([Assignment(order) for order in orders("ok-a", "sleeps-b")], Full())
    assert not boss._posts

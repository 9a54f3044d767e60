"""A worker without an engine, whose scenes do what their names say; it speaks the lines of `hsikit.batch.worker`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

STOP = threading.Event()


def say(kind: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"is": kind, **facts}) + "\n")
    sys.stdout.flush()


def attempts(scene: Path) -> int:
    """How often this scene was begun, this time included; kept beside it."""
    log = scene.with_suffix(".runs")
    with log.open("a") as file:
        file.write("run\n")
    return len(log.read_text().splitlines())


def fill(scene: Path, output: Path) -> None:
    kind, attempt = scene.stem.split("-")[0], attempts(scene)
    stat = scene.stat()
    say("opened", identity=[[str(scene.absolute()), stat.st_size, stat.st_mtime_ns]], pixels=12)
    if kind == "fails":
        return say("failed", error=f"{scene}: is damaged", seconds=0.1, resident=2**20)
    if kind == "climbs":  # finishes one tile more before each death
        say("begin", total=5, done=attempt - 1)
        if attempt < 5:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        say("begin", total=4, done=0)
    if kind in ("dies", "killed") or (kind == "once" and attempt == 1):
        print("the last words", file=sys.stderr, flush=True)
        if kind == "dies":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL)
    held = bytearray(os.urandom(2**20) * 200) if kind == "grows" else b""
    while kind in ("sleeps", "grows", "steps") or (kind == "lost" and attempt == 1):
        time.sleep(0.02)
        if kind in ("steps", "lost"):
            say("advance", steps=1)
            if STOP.is_set():
                return say("stopped", seconds=0.1, resident=2**20)
    del held
    try:
        output.write_text("map")
    except OSError as error:
        return say("failed", error=type(error).__name__, seconds=0.1, resident=2**20)
    if kind == "arrives":
        os.kill(os.getpid(), signal.SIGKILL)
    return say("done", files=[str(output)], seconds=0.1, resident=2**20)


def listen(waiting: list[dict]) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("stop"):
            STOP.set()
        else:
            waiting.append(message)
    os._exit(1)


def main() -> None:
    if os.environ.get("FAKE_FALSE_START"):
        sys.exit("nothing works")
    waiting: list[dict] = []
    threading.Thread(target=listen, args=(waiting,), daemon=True).start()
    say("ready")
    while True:
        while waiting:
            order = waiting.pop(0)["order"]
            fill(Path(order["scene"][0]), Path(order["output"]))
        time.sleep(0.005)


if __name__ == "__main__":
    main()

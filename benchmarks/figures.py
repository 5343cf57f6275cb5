"""One measured figure, and the ways to take the time of two sides in turns. Used by every benchmark."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
BACKBONES = ("resnet50", "efficientnetb0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line asked for; None: the benchmark's own."""

    faces: int | None = None
    repeats: int | None = None
    backbones: tuple[str, ...] = BACKBONES
    shared: Path | None = None
    """Folder with `data/faces` and `weights/`; None: drawn faces and random weights."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The median of some repeats beside what it should be at most."""

    name: str
    value: float
    low: float
    """Smallest of the repeats."""
    high: float
    repeats: int
    unit: Literal["ratio", "s", "requests"]
    target: float
    goal: float | None = None
    ours: str = ""
    """What was measured, with its median."""
    against: str = ""
    note: str = ""


def ratio(
    name: str,
    ours: Sequence[float],
    against: Sequence[float],
    *,
    target: float,
    sides: tuple[str, str],
    goal: float | None = None,
    note: str = "",
) -> Figure:
    """Seconds of two sides, taken in turns: each pair gives one ratio."""
    ratios = [one / other for one, other in zip(ours, against, strict=True)]
    return Figure(
        name=name,
        value=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        repeats=len(ratios),
        unit="ratio",
        target=target,
        goal=goal,
        ours=f"{sides[0]}: {_short(statistics.median(ours))} s",
        against=f"{sides[1]}: {_short(statistics.median(against))} s",
        note=note,
    )


def plain(name: str, values: Sequence[float], *, unit: Literal["s", "requests"], target: float, what: str) -> Figure:
    """A figure that is no ratio."""
    return Figure(
        name=name,
        value=statistics.median(values),
        low=min(values),
        high=max(values),
        repeats=len(values),
        unit=unit,
        target=target,
        ours=what,
    )


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def commands_in_turns(*commands: list[str], repeats: int) -> list[list[float]]:
    """Seconds of each command, a fresh process each time; the first, cold round is left out."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(repeats + 1):
        for times, command in zip(taken, commands, strict=True):
            times.append(seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True)))
    return [times[1:] for times in taken]


@dataclass(kw_only=True)
class Worker:
    """A process that keeps a network alive and does one piece of work at each `go`.

    Two of them make two sides that share neither TensorFlow's settings nor its caches.
    """

    module: str
    arguments: list[str]
    folder: Path
    process: Any = field(init=False, default=None)

    def __enter__(self) -> "Worker":
        self.log = self.folder / f"{self.module}-{'-'.join(self.arguments[:2])}.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("wb"),
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        return self

    def go(self) -> dict[str, float]:
        """What the worker measured."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} ended: {self.log.read_text()[-2000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def __exit__(self, *error: object) -> None:
        if error[0]:
            self.process.kill()
        else:
            self.process.stdin.close()
        self.process.wait()


class Pace:
    """The worker's end: waits for `go`, and answers with what one piece of work took."""

    def __init__(self) -> None:
        self.out = sys.stdout
        sys.stdout = sys.stderr  # libraries print

    def wait(self) -> bool:
        """False when the benchmark is over."""
        return bool(sys.stdin.readline())

    def answer(self, **figures: float) -> None:
        """Tells the benchmark."""
        self.out.write(json.dumps(figures) + "\n")
        self.out.flush()


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"

"""What a training and a job tell of their progress; the command line draws it. All rooms may use it."""

from collections.abc import Mapping
from typing import Protocol


class Sink(Protocol):
    """Where a training reports to."""

    def begin(self, *, epochs: int, steps: int) -> None:
        """`epochs` of the whole run and `steps` of each follow."""

    def step(self, *, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """A step (1-based) is done; figures are the epoch's running means and the step's `learning_rate`."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """An epoch is done: one row of the history."""


class Reporter(Sink, Protocol):
    """A training's `Sink` that also hears of what comes before and after."""

    def stage(self, name: str) -> None:
        """A part of the work begins: `reading faces`."""

    def advance(self, done: int, total: int) -> None:
        """So much of the stage is done."""

    def note(self, text: str) -> None:
        """Something worth knowing."""

    def warn(self, text: str) -> None:
        """Something that may make the numbers mean less."""


class Both:
    """Tells two sinks, the first one first."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self.sinks = (first, second)

    def begin(self, *, epochs: int, steps: int) -> None:
        """See Sink."""
        for sink in self.sinks:
            sink.begin(epochs=epochs, steps=steps)

    def step(self, *, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """See Sink."""
        for sink in self.sinks:
            sink.step(epoch=epoch, step=step, figures=figures)

    def epoch(self, row: Mapping[str, float]) -> None:
        """See Sink."""
        for sink in self.sinks:
            sink.epoch(row)

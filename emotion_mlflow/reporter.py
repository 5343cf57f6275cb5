"""What a job tells the person who watches it; the command line draws it. Used by the jobs."""

from collections.abc import Mapping
from typing import Protocol

from emotion_mlflow.train import Sink


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

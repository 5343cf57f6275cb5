"""Progress on stderr: bars on a terminal, one plain line an epoch elsewhere."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from emotion_mlflow.labels import TASKS

SHOWN = ("loss", "expression/accuracy", *(f"{task}/loss" for task in TASKS))


def reporter() -> "PlainReporter":
    """Bars where stderr is a terminal, plain lines where it is not."""
    return BarReporter() if sys.stderr.isatty() else PlainReporter()


class PlainReporter:
    """One line for each epoch, note and warning."""

    epochs = 0

    def stage(self, name: str) -> None:
        """Nothing: a log file needs no bars."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """A line."""
        click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """A line that says so."""
        click.echo(f"warning: {text}", err=True)

    def begin(self, *, epochs: int, steps: int) -> None:
        """See Sink."""
        self.epochs = epochs

    def step(self, *, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """`epoch 2/10  loss 1.234  ...`."""
        click.echo(epoch_line(row, self.epochs), err=True)

    def close(self) -> None:
        """Nothing is open."""


class BarReporter(PlainReporter):
    """A bar for the stage and one for the training, with steps, losses, learning rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # where a terminal is narrow the figures are cut
        self.console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", table_column=rest),
            console=self.console,
            transient=True,
            expand=True,
        )
        self.current: Any = None
        self.steps = 0
        self.begun = False

    def stage(self, name: str) -> None:
        """A new bar in the place of the last one."""
        self.bars.start()
        if self.current is not None:
            self.bars.remove_task(self.current)
        self.current = self.bars.add_task(name, total=None, figures="")

    def advance(self, done: int, total: int) -> None:
        """Moves the bar."""
        self.bars.update(self.current, completed=done, total=total)

    def note(self, text: str) -> None:
        """A line above the bars."""
        self.console.print(text, highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """The same, in bold."""
        self.console.print(f"warning: {text}", highlight=False, markup=False, style="bold")

    def begin(self, *, epochs: int, steps: int) -> None:
        """The bar counts the steps of the whole run."""
        self.epochs, self.steps, self.begun = epochs, steps, False
        self.stage("compiling the first step")
        self.bars.update(self.current, total=epochs * steps, completed=0)

    def step(self, *, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """Moves the bar and shows the running figures."""
        shown = "  ".join(f"{name} {figures[name]:.3f}" for name in SHOWN if name in figures)
        shown += f"  rate {figures['learning_rate']:.2g}"
        done = (epoch - 1) * self.steps + step
        if not self.begun:  # a training that goes on begins here: earlier steps and the compiling tell nothing of speed
            self.bars.reset(self.current, total=self.epochs * self.steps, completed=done - 1)
            self.begun = True
        self.bars.update(self.current, completed=done, description=f"training {epoch} of {self.epochs}", figures=shown)

    def epoch(self, row: Mapping[str, float]) -> None:
        """A line that stays."""
        self.note(epoch_line(row, self.epochs))

    def close(self) -> None:
        """Takes the bars away."""
        self.bars.stop()


def epoch_line(row: Mapping[str, float], epochs: int) -> str:
    """`epoch 2/10  loss 1.23  acc 0.41 | val 1.34  acc 0.40  F1 0.33  ccc 0.51 0.42  nme 0.08 | rate 0.0003  12 s`."""
    train = f"loss {row['train/loss']:.3f}" + _figure(row, "acc", "train/expression/accuracy")
    val = f"val {row['val/loss']:.3f}" + _figure(row, "acc", "val/expression/accuracy")
    val += _figure(row, "F1", "val/expression/macro_f1")
    val += _figure(row, "ccc", "val/valence/ccc", "val/arousal/ccc")
    val += _figure(row, "nme", "val/landmarks/nme", "val/landmarks/nme_box")
    times = f"rate {row['learning_rate']:.2g}  {row['seconds'] + row['validation_seconds']:.0f} s"
    return f"epoch {int(row['epoch'])}/{epochs}  {train} | {val} | {times}"


def _figure(row: Mapping[str, float], word: str, *names: str) -> str:
    values = [f"{round(row[name], 3) + 0.0:.3f}" for name in names if name in row]  # no -0.000
    return f"  {word} {' '.join(values)}" if values else ""

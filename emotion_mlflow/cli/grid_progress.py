"""A grid's progress on stderr: one table with the time left on a terminal, plain lines elsewhere."""

import contextlib
import re
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import click

EPOCH = re.compile(r"epoch (\d+)/(\d+)\b")
ROOM = 8
"""Lines of a terminal that the table leaves free."""


class PlainTable:
    """Lines, each with its cell's name; and the clock of the grid, for those that draw it."""

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.finished: Collection[str] = ()
        self.outcomes: list[Any] = []
        self.current: Any = None
        self.begun = 0.0
        self.epochs = (0, 0)
        self.first_epoch = 0
        """Of those the current cell has told: a resumed one does not begin with 1."""

    def planned(self, cells: Sequence[Any], *, finished: Collection[str] = ()) -> None:
        """See Watcher."""
        self.cells, self.finished = list(cells), finished
        there = f", {len(finished)} finished before" if finished else ""
        self.say(f"grid of {len(cells)} cells{there}")

    def started(self, cell: Any, *, resumed: str) -> None:
        """See Watcher."""
        self.current, self.begun, self.epochs, self.first_epoch = cell, time.monotonic(), (0, 0), 0
        how = f"going on in run {resumed}" if resumed else "training"
        self.say(f"{cell.name} | {how} (cell {len(self.outcomes) + 1} of {len(self.cells)}{self._ahead()})")

    def line(self, cell: Any, text: str) -> None:
        """See Watcher."""
        found = EPOCH.match(text)
        if found:
            self.epochs = int(found[1]), int(found[2])
            self.first_epoch = self.first_epoch or self.epochs[0]
        self.relay(f"{cell.name} | {text}", is_epoch=bool(found))

    def ended(self, outcome: Any) -> None:
        """See Watcher."""
        self.outcomes.append(outcome)
        self.current = None
        if outcome.status == "skipped":
            self.say(f"{outcome.cell.name} | skipped: finished before, in run {outcome.run_id}")
        elif outcome.status == "failed":
            self.say(f"{outcome.cell.name} | FAILED after {outcome.seconds:.0f} s: {outcome.error}")
        else:
            self.say(f"{outcome.cell.name} | finished in {outcome.seconds:.0f} s: run {outcome.run_id}")

    def say(self, text: str) -> None:
        """A line of the grid's own."""
        click.echo(text, err=True)

    def relay(self, text: str, *, is_epoch: bool) -> None:
        """A line of a training."""
        click.echo(text, err=True)

    def seconds_left(self) -> float | None:
        """About how long the rest takes; None before anything is known."""
        rest = self.cells[len(self.outcomes) + (self.current is not None) :]
        waiting = [cell for cell in rest if cell.digest not in self.finished]
        trained = [one for one in self.outcomes if one.status == "finished"]
        elapsed = time.monotonic() - self.begun if self.current is not None else 0.0
        return seconds_left(trained, self.current, waiting, elapsed=elapsed, share=self._share())

    def _share(self) -> float:
        done, epochs = self.epochs
        told = done - self.first_epoch + 1 if self.first_epoch else 0
        return told / (epochs - self.first_epoch + 1) if told else 0.0

    def _ahead(self) -> str:
        left = self.seconds_left()
        return f", about {duration(left)} left" if left else ""


class LiveTable(PlainTable):
    """One row a cell, redrawn in place; a training's notes and warnings stay above it."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self.console = Console(stderr=True)
        self.live = Live(console=self.console, get_renderable=self.draw, refresh_per_second=2, transient=True)
        self.last = ""

    def planned(self, cells: Sequence[Any], *, finished: Collection[str] = ()) -> None:
        """See Watcher."""
        super().planned(cells, finished=finished)
        self.live.start()

    def started(self, cell: Any, *, resumed: str) -> None:
        """See Watcher."""
        self.last = f"going on in run {resumed}" if resumed else "starting"
        super().started(cell, resumed=resumed)

    def say(self, text: str) -> None:
        """Above the table."""
        self.console.print(text, highlight=False, markup=False)

    def relay(self, text: str, *, is_epoch: bool) -> None:
        """An epoch's line in its row, any other above the table."""
        if is_epoch:
            self.last = text.partition(" | ")[2]
        else:
            self.say(text)

    def draw(self) -> Any:
        """The table as it is now, with as many rows as the terminal has room for."""
        from rich.table import Table
        from rich.text import Text

        left = self.seconds_left()
        rest = "" if left is None else f", about {duration(left)} left"
        table = Table(title=f"{len(self.outcomes)} of {len(self.cells)} cells done{rest}", title_justify="left")
        for heading in ("", "cell", "state", "time"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", justify="right" if not heading else "left")
        first, end = window(len(self.outcomes), len(self.cells), self.console.height - ROOM)
        for number in range(first, end):
            table.add_row(str(number + 1), Text(self.cells[number].name), *self._state(number))
        return table

    def _state(self, number: int) -> tuple[Any, str]:
        from rich.text import Text

        if number < len(self.outcomes):
            outcome = self.outcomes[number]
            word = Text("FAILED", "bold red") if outcome.status == "failed" else Text(outcome.status, "green")
            return word, duration(outcome.seconds)
        if number == len(self.outcomes) and self.current is not None:
            return Text(self.last, "bold"), duration(time.monotonic() - self.begun)
        return Text("waiting", "dim"), ""


@contextlib.contextmanager
def watching() -> Iterator[PlainTable]:
    """A table where stderr is a terminal, plain lines where it is not."""
    if not sys.stderr.isatty():
        yield PlainTable()
        return
    table = LiveTable()
    try:
        yield table
    finally:
        table.live.stop()


def seconds_left(
    trained: Sequence[Any], current: Any, waiting: Sequence[Any], *, elapsed: float, share: float
) -> float | None:
    """Seconds until the last cell is done; None before anything is known.

    A cell takes the mean of those trained with its backbone and recipe, else of all trained, else what the current
    one's `elapsed` over its `share` of epochs says.
    """
    guess = elapsed / share if share else None

    def expected(cell: Any) -> float | None:
        alike = [one.seconds for one in trained if _kind(one.cell) == _kind(cell)] or [one.seconds for one in trained]
        return sum(alike) / len(alike) if alike else guess

    wholes = [expected(cell) for cell in waiting]
    if current is not None:
        whole = guess if guess is not None else expected(current)
        wholes.append(None if whole is None else max(whole - elapsed, 0.0))
    known = [whole for whole in wholes if whole is not None]
    return sum(known) if len(known) == len(wholes) else None


def window(current: int, total: int, room: int) -> tuple[int, int]:
    """First row and the one after the last, so that the current one is seen and at most `room` are (at least 3)."""
    rows = min(total, max(room, 3))
    first = min(max(current - rows // 2, 0), total - rows)
    return first, first + rows


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def outcome_table(outcomes: Sequence[Any]) -> Any:
    """Every cell with what became of it and why."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="grid", title_justify="left")
    for heading in ("cell", "status", "version", "time", "run or reason"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        failed = outcome.status == "failed"
        why = f"{outcome.error} (run {outcome.run_id})" if failed and outcome.run_id else outcome.error
        table.add_row(
            Text(outcome.cell.name),
            Text(outcome.status.upper() if failed else outcome.status, "bold red" if failed else ""),
            outcome.model_version or "",
            duration(outcome.seconds) if outcome.status != "skipped" else "",
            Text(why or outcome.run_id or ""),
        )
    return table


def _kind(cell: Any) -> tuple[str, str]:
    return cell.request.backbone, cell.recipe

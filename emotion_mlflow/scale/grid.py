"""Trainings below one parent run: finished cells are skipped, unfinished ones go on, one that fails stops none.

Used by the command line. Where a cell is trained is the `Starter`'s business.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import EmotionError, ModelError, first_line, without_password
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.jobs.resume import take_up
from emotion_mlflow.scale.cells import Cell
from emotion_mlflow.scale.starter import STATUSES, CellOutcome, Starter, has_checkpoints
from emotion_mlflow.tracking import cells as known
from emotion_mlflow.tracking import journaled, registry
from emotion_mlflow.tracking.journal import JournalBusyError
from emotion_mlflow.tracking.stored import experiment_name, read_run

UNSAID = "resnet50"
"""The backbone that `train --resume` takes for none said."""

FILE = "grid.json"
"""The parent's artifact: every cell, its run and what became of it."""


class Watcher(Protocol):
    """What a grid tells of its progress; the command line draws it."""

    def planned(self, cells: Sequence[Cell], *, finished: Collection[str] = ()) -> None:
        """These follow, in this order; those with a digest of `finished` will be skipped."""

    def started(self, cell: Cell, *, resumed: str) -> None:
        """A cell is being trained; `resumed`: the run it goes on in, or ""."""

    def line(self, cell: Cell, text: str) -> None:
        """A line that the training told."""

    def say(self, text: str) -> None:
        """A line of the grid's own."""

    def ended(self, outcome: CellOutcome) -> None:
        """A cell is done with."""


@dataclass(frozen=True, kw_only=True)
class GridOutcome:
    """A grid that went through all its cells."""

    parent_run_id: str
    cells: tuple[CellOutcome, ...]
    experiment: str
    tracking_uri: str

    @property
    def failed(self) -> tuple[CellOutcome, ...]:
        return tuple(outcome for outcome in self.cells if outcome.status == "failed")

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints, without the comparison."""
        return {"parent_run_id": self.parent_run_id, "cells": [outcome.to_dict() for outcome in self.cells]}


class _FailedCellsError(EmotionError):
    """Ends the parent run FAILED; what it says becomes the run's tag `error`."""


def run_grid(cells: Sequence[Cell], *, starter: Starter, watcher: Watcher, params: Mapping[str, object]) -> GridOutcome:
    """Trains what is not trained yet, cell after cell; the parent run ends FAILED where one failed.

    `params` become the parent's. The cells go into the experiment that the parent run is in, which is `mlflow run`'s
    own where that started us. Stopped and KeyboardInterrupt leave it KILLED, after the training has ended.
    """
    first, done = cells[0].request, list[CellOutcome]()
    with (
        contextlib.suppress(_FailedCellsError),  # the outcome tells it
        journaled.open_run(
            experiment=first.experiment,
            tracking_uri=first.tracking_uri,
            name=f"grid of {len(cells)}",
            tags={"kind": "grid"},
            cache_dir=first.cache_dir,
            sync_wait=first.sync_wait,
            tell=watcher.say,
        ) as run,
    ):
        grid = _Grid(run=run, starter=starter, watcher=watcher, done=done)
        run.log_params(params)
        try:
            place = run.experiment_id
            watcher.planned(
                cells, finished={one.digest for one in cells if known.cell_runs(place, one.digest).finished}
            )
            for cell in cells:
                grid.through(cell)
        finally:
            grid.log()
        grid.require_all()
    return grid.outcome()


@dataclass(frozen=True, kw_only=True)
class _Grid:
    run: journaled.JournaledRun
    starter: Starter
    watcher: Watcher
    done: list[CellOutcome]

    def outcome(self) -> GridOutcome:
        return GridOutcome(
            parent_run_id=self.run.run_id,
            cells=tuple(self.done),
            experiment=self._experiment,
            tracking_uri=without_password(self.run.tracking_uri),
        )

    def through(self, cell: Cell) -> None:
        begun = time.perf_counter()
        try:
            outcome = self._outcome_of(cell)
        except EmotionError as error:
            seconds = time.perf_counter() - begun
            outcome = CellOutcome(cell=cell, status="failed", seconds=seconds, error=str(error))
        except (MlflowException, OSError) as error:  # a server that refuses, a full disk: the next cell may fare better
            seconds = time.perf_counter() - begun
            outcome = CellOutcome(cell=cell, status="failed", seconds=seconds, error=first_line(error))
        self.done.append(outcome)
        self.watcher.ended(outcome)

    def log(self) -> None:
        """What is known so far, in the parent run."""
        text = json.dumps(self.outcome().to_dict(), indent=2, default=str)
        self.run.log_text(FILE, text)
        counts = Counter[str](outcome.status for outcome in self.done)
        self.run.log_scores({f"cells/{status}": counts[status] for status in STATUSES})

    def require_all(self) -> None:
        failed = self.outcome().failed
        if failed:
            names = "; ".join(f"{outcome.cell.name}: {outcome.error}" for outcome in failed)
            raise _FailedCellsError("every cell to finish", got=f"{len(failed)} of {len(self.done)} failed: {names}")

    def _outcome_of(self, cell: Cell) -> CellOutcome:
        place, request = self.run.experiment_id, cell.request
        stored = known.cell_runs(place, cell.digest)
        sent = [self._sent(one, request) for one in stored.unfinished]
        if any(sent):
            stored = known.cell_runs(place, cell.digest)
        if stored.finished and (skipped := self._skipped(cell, stored.finished)):
            return skipped
        resume = next((one for one in stored.unfinished if self._can_go_on(cell, one)), "")
        self.watcher.started(cell, resumed=resume)
        outcome = self.starter.start(
            replace(cell, request=replace(request, experiment=self._experiment)),
            parent_run=self.run.run_id,
            resume=resume,
            tell=lambda text: self.watcher.line(cell, text),
        )
        run_id = outcome.run_id or known.child_run(place, cell.digest, self.run.run_id)
        return replace(outcome, cell=cell, run_id=run_id)

    def _skipped(self, cell: Cell, run_id: str) -> CellOutcome | None:
        """The finished cell with its version, registered now where it has none; None where that cannot be."""
        request = cell.request
        version = registry.version_of(run_id, request.model_name)
        if version is None and request.register:
            try:
                version = registry.register_finished(run_id, request.model_name)
            except ModelError as error:
                self.watcher.line(cell, f"warning: run {run_id} is trained again, as it cannot be registered: {error}")
                return None
            self.watcher.line(cell, f"run {run_id} was finished before and is version {version} now")
        return CellOutcome(cell=cell, status="skipped", run_id=run_id, model_version=version)

    def _sent(self, run_id: str, request: TrainRequest) -> bool:
        """Whether an earlier training's unsent writes have now arrived: it may have been finished all along."""
        with contextlib.suppress(JournalBusyError):  # it is at work, or being sent
            return journaled.send_rest(
                run_id,
                cache_dir=request.cache_dir,
                tracking_uri=request.tracking_uri,
                seconds=request.sync_wait,
                tell=self.watcher.say,
            )
        return False

    def _can_go_on(self, cell: Cell, run_id: str) -> bool:
        """Whether an unfinished run has an epoch here to go on from, and would end as the cell asks; if not, says why.

        Were it only tried, a run that can't go on would fail its cell on every call.
        """
        request = cell.request
        if not has_checkpoints(request.cache_dir, run_id):
            return False
        asked = TrainRequest(backbone=UNSAID, cache_dir=request.cache_dir)
        try:
            taken = take_up(asked, read_run(run_id), experiment=self._experiment).request
        except EmotionError as error:
            self.watcher.line(cell, f"warning: run {run_id} does not go on: {error}")
            return False
        if (taken.model_name, taken.register) == (request.model_name, request.register):
            return True
        self.watcher.line(cell, f"warning: run {run_id} does not go on: it is to be registered otherwise")
        return False

    @cached_property
    def _experiment(self) -> str:
        return experiment_name(self.run.experiment_id)

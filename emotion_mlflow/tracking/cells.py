"""Trainings by their cell's digest, and the surroundings of one that another process runs. Used by `grid`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import mlflow

from emotion_mlflow.tracking.runs import told

TAG = "cell_digest"
PARENT = "mlflow.parentRunId"
"""MLflow's own tag: its UI nests runs by it."""
SEEN = 100
"""Unfinished runs of one cell that are looked at, newest first."""

OWN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
"""What `mlflow run` tells the process it starts, which is true of that process alone."""


@dataclass(frozen=True, kw_only=True)
class CellRuns:
    """What a store has of one cell."""

    finished: str | None
    """The newest finished run."""
    unfinished: tuple[str, ...]
    """Newest first; not asked for where there is a finished one."""


def cell_runs(experiment_id: str, digest: str) -> CellRuns:
    """One or two requests, by tag; deleted runs do not count."""
    same = f"tags.{TAG} = '{digest}' and attributes.status"
    finished = _search(experiment_id, f"{same} = 'FINISHED'", most=1)
    unfinished = () if finished else _search(experiment_id, f"{same} != 'FINISHED'", most=SEEN)
    return CellRuns(finished=finished[0] if finished else None, unfinished=tuple(unfinished))


def child_run(experiment_id: str, digest: str, parent_run: str) -> str | None:
    """The run that a grid's cell got, however it ended."""
    asked = f"tags.{TAG} = '{digest}' and tags.`{PARENT}` = '{parent_run}'"
    return next(iter(_search(experiment_id, asked, most=1)), None)


def child_environment(tracking_uri: str) -> dict[str, str]:
    """This process's, for one that opens a run of its own in the same store.

    The address goes this way, not as a flag: it may hold a password, and a command line is logged.
    """
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    return kept | {"MLFLOW_TRACKING_URI": tracking_uri}


def _search(experiment_id: str, asked: str, *, most: int) -> Sequence[str]:
    with told(f"experiment {experiment_id}"):
        found = mlflow.MlflowClient().search_runs(
            [experiment_id], filter_string=asked, order_by=["attributes.start_time DESC"], max_results=most
        )
    return [run.info.run_id for run in found]

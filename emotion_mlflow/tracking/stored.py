"""What a run left behind, read back by its id: params, metrics, tables. Never scans runs. Used by the jobs."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from emotion_mlflow.data.parquet import UNREADABLE
from emotion_mlflow.errors import ModelError, first_line
from emotion_mlflow.tracking.runs import PARAM_PREFIX, told

_EVERY_EPOCH = "train/loss"
_ONCE = ("final/", "cost/", "data/", "best_epoch", "epochs", "stopped_early")
"""Metrics logged once a run."""


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run as the server has it."""

    run_id: str
    status: str
    experiment_id: str
    params: Mapping[str, str]
    """Settings, without `config/`."""
    metrics: Mapping[str, float]
    """The last value of each."""
    tags: Mapping[str, str]


@dataclass(kw_only=True)
class Logged:
    """What the server has of a run: names of params and of scores, and the epochs."""

    params: set[str] = field(default_factory=set)
    scores: set[str] = field(default_factory=set)
    epochs: set[int] = field(default_factory=set)


def read_run(run_id: str) -> StoredRun:
    """ModelError where there is none."""
    try:
        run = mlflow.MlflowClient().get_run(run_id)
    except MlflowException as error:
        raise ModelError("a run that the server has", got=first_line(error), where=run_id) from None
    params = {name.removeprefix(PARAM_PREFIX): text for name, text in run.data.params.items()}
    return StoredRun(
        run_id=run_id,
        status=run.info.status,
        experiment_id=run.info.experiment_id,
        params=params,
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
    )


def logged_by(client: mlflow.MlflowClient, run_id: str) -> Logged:
    """What the server has of a run."""
    data = client.get_run(run_id).data
    epochs = client.get_metric_history(run_id, _EVERY_EPOCH)
    at_the_end = {name for name in data.metrics if name.startswith(_ONCE)}
    return Logged(params=set(data.params), scores=at_the_end, epochs={metric.step for metric in epochs})


def experiment_name(experiment_id: str) -> str:
    """The name that goes with an experiment's id."""
    with told(f"experiment {experiment_id}"):
        return str(mlflow.MlflowClient().get_experiment(experiment_id).name)


def read_table(run_id: str, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """A Parquet or CSV artifact of a run, or some columns of it; ModelError where it has none that can be read."""
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as folder:
        try:
            file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder)
            if Path(file).suffix == ".parquet":
                return pd.read_parquet(file, columns=columns)
            return pd.read_csv(file, usecols=columns)
        except (MlflowException, OSError, *UNREADABLE) as error:
            got = first_line(error)
            raise ModelError(f"a run that logged {name}", got=got, where=f"run {run_id}") from None

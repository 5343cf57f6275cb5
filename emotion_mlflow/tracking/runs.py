"""MLflow runs of jobs of seconds - evaluations, comparisons, promotions - each write a request; what all runs share.

A training's run, which outlives its server, is in `journaled.py`.
"""

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import requests
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.entities import LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import ConfigError, EmotionError, Stopped, TrackingError, first_line

PARAM_PREFIX = "config/"
"""`mlflow run -P learning_rate=1e-3` logs the raw text under the bare name, which can't be changed afterwards."""

DEFAULT_EXPERIMENT = "emotion"
"""Of every request: what a run is opened in, unless `mlflow run` opened it elsewhere."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "6"}
"""How long the first request may take: a server that is away at the start is a mistake, told within 15 s."""

SENDING = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
"""How long a request of the journal's sender may take."""
ONE_ATTEMPT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""The sender tries again by itself, and first asks what arrived; the client below it would send blindly."""


_AWAY = (MlflowException, requests.RequestException)
"""What MLflow's client raises where its server is gone or refuses."""


@dataclass(kw_only=True)
class Run:
    """One open MLflow run of a job of seconds: each write is a request. A training's is a `JournaledRun`."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    artifact_uri: str
    client: mlflow.MlflowClient

    def log_params(self, params: Mapping[str, object]) -> None:
        """Settings, under `config/`."""
        entries = [Param(PARAM_PREFIX + name, str(value)) for name, value in params.items()]
        with told(self._place):
            self.client.log_batch(self.run_id, params=entries)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        with told(self._place):
            self.client.log_batch(self.run_id, tags=[RunTag(name, str(value)) for name, value in tags.items()])

    def log_scores(self, scores: Mapping[str, float], *, step: int = 0) -> None:
        """Figures in one request; undefined ones (NaN) are left out, MLflow would store them as 0."""
        now = int(time.time() * 1000)
        figures = [Metric(name, float(value), now, step) for name, value in scores.items() if not pd.isna(value)]
        with told(self._place):
            self.client.log_batch(self.run_id, metrics=figures)

    def log_dataset(self, manifest: Manifest, *, split: str, digest: str) -> None:
        """One split as an MLflow dataset: ids, contents and labels, with the split's content digest."""
        with told(self._place):
            mlflow.log_input(as_dataset(manifest, split=split, digest=digest), context=split)

    def log_text(self, name: str, text: str) -> None:
        """A text artifact."""
        with told(self._place):
            self.client.log_text(self.run_id, text, name)

    def log_model_input(self, model_id: str | None) -> None:
        """Makes the run an evaluation of the logged model in MLflow's own view, where there is one."""
        if model_id:
            with told(self._place):
                self.client.log_inputs(self.run_id, models=[LoggedModelInput(model_id=model_id)])

    def log_folder(self, folder: Path) -> None:
        """Every file below `folder`, under the same relative names."""
        with told(self._place):
            self.client.log_artifacts(self.run_id, str(folder))

    @property
    def _place(self) -> str:
        return f"run {self.run_id}"


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """What MLflow's client raises inside the block leaves as a TrackingError, in one line."""
    try:
        yield
    except _AWAY as error:
        raise TrackingError("a tracking server that takes what is logged", got=first_line(error), where=where) from None


def connect(tracking_uri: str | None) -> str:
    """The tracking store's address, reached and usable; TrackingError within 15 s where it is not."""
    quiet_libraries()
    if tracking_uri:
        mlflow.set_tracking_uri(tracking_uri)
    uri = str(mlflow.get_tracking_uri())
    with patient(PATIENCE):
        try:
            mlflow.MlflowClient().search_experiments(max_results=1)
        except Exception as error:  # noqa: BLE001  requests, SQLAlchemy and MLflow each have their own
            raise TrackingError("a tracking server that answers", got=first_line(error), where=uri) from None
    return uri


@contextlib.contextmanager
def patient(wishes: Mapping[str, str], orders: Mapping[str, str] | None = None) -> Iterator[None]:
    """How long one request may take inside the block; what the user set goes before wishes, not before orders."""
    held = {name: os.environ.get(name) for name in (*wishes, *(orders or {}))}
    os.environ.update({name: value for name, value in wishes.items() if held[name] is None} | dict(orders or {}))
    try:
        yield
    finally:
        for name, value in held.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@contextlib.contextmanager
def open_run(*, experiment: str, tracking_uri: str | None, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
    """A run that ends FINISHED, KILLED where the user stopped it, else FAILED; its tags are there from the start.

    The run that `mlflow run` opened (MLFLOW_RUN_ID) is used as it is; no second one appears. TrackingError where the
    server goes away or refuses something meanwhile.
    """
    uri = connect(tracking_uri)
    info = _start(experiment, name, tags).info
    run = Run(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        tracking_uri=uri,
        artifact_uri=info.artifact_uri,
        client=mlflow.MlflowClient(),
    )
    status = "FAILED"
    try:
        with told(uri):
            run.set_tags(tags)
            yield run
        status = "FINISHED"
    except (Stopped, KeyboardInterrupt):
        status = "KILLED"
        raise
    except EmotionError as error:
        with contextlib.suppress(TrackingError), patient(PATIENCE):  # the first error is the one to tell
            run.set_tags({"error": str(error)[:5000]})
        raise
    finally:
        try:
            with patient(PATIENCE), told(uri):
                mlflow.end_run(status=status)
        except TrackingError:
            if status == "FINISHED":  # else the first error is told
                raise


def quiet_libraries() -> None:
    """Keeps MLflow's and its database's progress lines off the screen; warnings still show."""
    for name in ("mlflow", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # an outage is told by us, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _start(experiment: str, name: str, tags: Mapping[str, str]) -> Any:
    try:
        if given := os.environ.get("MLFLOW_RUN_ID"):
            client = mlflow.MlflowClient()
            require_place(client, client.get_run(given).info.experiment_id, experiment)
            return mlflow.start_run(log_system_metrics=True)
        mlflow.set_experiment(experiment)
        return mlflow.start_run(run_name=name, tags=dict(tags), log_system_metrics=True)
    except MlflowException as error:
        raise TrackingError(
            "an experiment and run that can be opened", got=first_line(error), where=experiment
        ) from None


def require_place(client: mlflow.MlflowClient, experiment_id: str, experiment: str) -> None:
    """ConfigError where another experiment is asked for than the one in which `mlflow run` opened the run."""
    if experiment == DEFAULT_EXPERIMENT:
        return
    own = client.get_experiment(experiment_id).name
    if experiment != own:
        how = f"mlflow run --experiment-name {experiment} opens it there"
        raise ConfigError(f"{own}, where mlflow run opened the run ({how})", got=experiment, where="--experiment")


def as_dataset(manifest: Manifest, *, split: str, digest: str) -> PandasDataset:
    """One split for MLflow: ids, contents and labels, with the split's content digest."""
    table = manifest.table[["id", "content_hash", "expression", "valence", "arousal", "identity", "source"]]
    table = table.astype({"expression": float})  # of whole numbers MLflow warns, whenever it looks at the schema
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a folder may be one of two kinds of source
        return mlflow.data.from_pandas(table, source=str(manifest.root), name=f"{manifest.name}-{split}", digest=digest)

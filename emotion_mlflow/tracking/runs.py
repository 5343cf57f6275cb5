"""The MLflow sink: opens and ends a run; settings, datasets, epochs, scores and artifacts go through here.

An epoch costs one request, sent by MLflow's own queue, so that training never waits for the server.
"""

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import EmotionError, Stopped, TrackingError

PARAM_PREFIX = "config/"
"""`mlflow run -P learning_rate=1e-3` logs the raw text under the bare name, which can't be changed afterwards."""

EVERY_EPOCH = "train/loss"
ONCE = ("final/", "cost/", "data/", "best_epoch", "epochs", "stopped_early")
"""Metrics logged once a run."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""How long the first request may take: a server that is away at the start is a mistake, told within 15 s."""

SENDING = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}
"""How long a request of the journal's sender may take."""
ONE_ATTEMPT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""The sender tries again by itself, and first asks what arrived; the client below it would send blindly."""


@dataclass(kw_only=True)
class Logged:
    """What the server has of a run: names of params and of scores, and the epochs."""

    params: set[str] = field(default_factory=set)
    scores: set[str] = field(default_factory=set)
    epochs: set[int] = field(default_factory=set)


@dataclass(kw_only=True)
class Run:
    """One open MLflow run."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    client: mlflow.MlflowClient
    pending: list[Any] = field(default_factory=list)
    logged: "Logged"
    """What a resumed run had before: it is not logged twice."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Settings, under `config/`."""
        entries = [Param(PARAM_PREFIX + name, str(value)) for name, value in params.items()]
        new = [entry for entry in entries if entry.key not in self.logged.params]
        self.client.log_batch(self.run_id, params=new, synchronous=True)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        self.client.log_batch(self.run_id, tags=[RunTag(name, str(value)) for name, value in tags.items()])

    def log_scores(self, scores: Mapping[str, float], *, step: int = 0) -> None:
        """Figures in one request; undefined ones (NaN) are left out, MLflow would store them as 0."""
        new = {name: value for name, value in scores.items() if name not in self.logged.scores}
        self.client.log_batch(self.run_id, metrics=_metrics(new, step))

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """One row of the history as metrics at step `epoch`, once, without waiting."""
        if int(row["epoch"]) in self.logged.epochs:
            return
        self.logged.epochs.add(int(row["epoch"]))
        figures = {name: value for name, value in row.items() if name != "epoch"}
        self.pending.append(
            self.client.log_batch(self.run_id, metrics=_metrics(figures, int(row["epoch"])), synchronous=False)
        )

    def wait(self) -> None:
        """Until everything that was sent has arrived."""
        for sent in self.pending:
            if sent is not None:
                sent.wait()
        self.pending.clear()

    def log_dataset(self, manifest: Manifest, *, split: str, digest: str) -> None:
        """One split as an MLflow dataset: ids, contents and labels, with the split's content digest."""
        table = manifest.table[["id", "content_hash", "expression", "valence", "arousal", "identity", "source"]]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # MLflow's hint that integer columns cannot hold missing values
            dataset = mlflow.data.from_pandas(
                table, source=str(manifest.root), name=f"{manifest.name}-{split}", digest=digest
            )
            mlflow.log_input(dataset, context=split)

    def log_folder(self, folder: Path) -> None:
        """Every file below `folder`, under the same relative names."""
        self.client.log_artifacts(self.run_id, str(folder))


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
            raise TrackingError("a tracking server that answers", got=_first_line(error), where=uri) from None
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
def open_run(
    *, experiment: str, tracking_uri: str | None, name: str, tags: Mapping[str, str], resume: str = ""
) -> Iterator[Run]:
    """A run that ends FINISHED, KILLED where the user stopped it, else FAILED; its tags are there from the start.

    The run that `mlflow run` opened (MLFLOW_RUN_ID) is used as it is; no second one appears. `resume`: the id of an
    unfinished run to go on in; what it has is not logged twice, and a run that `mlflow run` opened ends as it does,
    tagged `resumed`.
    """
    uri = connect(tracking_uri)
    status, run = "FAILED", None
    opened: list[Any] = []
    try:
        for each in _start(experiment, name, tags, resume):
            opened.append(each)  # one by one, so that a failure closes what is open
        client, info = mlflow.MlflowClient(), opened[-1].info
        run = Run(
            run_id=info.run_id,
            experiment_id=info.experiment_id,
            tracking_uri=uri,
            client=client,
            logged=logged_by(client, resume) if resume else Logged(),
        )
        run.set_tags(tags)
        yield run
        status = "FINISHED"
    except (Stopped, KeyboardInterrupt):
        status = "KILLED"
        raise
    except EmotionError as error:
        if run:
            run.set_tags({"error": str(error)[:5000]})
        raise
    finally:
        try:
            if run:
                run.wait()
        finally:
            for _ in opened:
                mlflow.end_run(status=status)


def quiet_libraries() -> None:
    """Keeps MLflow's and its database's progress lines off the screen; warnings still show."""
    for name in ("mlflow", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # an outage is told by us, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _start(experiment: str, name: str, tags: Mapping[str, str], resume: str) -> Iterator[Any]:
    """Opens the run to work in, and before a resumed one the run that `mlflow run` opened, if it did."""
    try:
        if resume:
            if os.environ.get("MLFLOW_RUN_ID", resume) != resume:
                yield mlflow.start_run()
                mlflow.set_tag("resumed", resume)
            yield mlflow.start_run(run_id=resume, nested=True, log_system_metrics=True)
        elif os.environ.get("MLFLOW_RUN_ID"):
            yield mlflow.start_run(log_system_metrics=True)
        else:
            mlflow.set_experiment(experiment)
            yield mlflow.start_run(run_name=name, tags=dict(tags), log_system_metrics=True)
    except MlflowException as error:
        raise TrackingError(
            "an experiment and run that can be opened", got=_first_line(error), where=resume or experiment
        ) from None


def logged_by(client: mlflow.MlflowClient, run_id: str) -> Logged:
    """What the server has of a run."""
    data = client.get_run(run_id).data
    epochs = client.get_metric_history(run_id, EVERY_EPOCH) if EVERY_EPOCH in data.metrics else []
    at_the_end = {name for name in data.metrics if name.startswith(ONCE)}
    return Logged(params=set(data.params), scores=at_the_end, epochs={metric.step for metric in epochs})


def _metrics(figures: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in figures.items() if not pd.isna(value)]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

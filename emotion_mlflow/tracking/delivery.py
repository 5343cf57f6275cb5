"""How one entry of a journal reaches the server, so that sending it twice is as sending it once.

`doubtful` says that the entry may have arrived already (a connection was cut, or an earlier process died). Used by the
sender.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models.model import MLMODEL_FILE_NAME, Model

from emotion_mlflow.tracking.journal import Entry, Journal, KeptFile, UnsendableError

MODEL = "model"
"""Name of a run's logged model."""
HEARTBEAT_TAG = "heartbeat"
"""Of a run: when its training was last seen alive, ISO time."""
_CONTEXT = "mlflow.data.context"
_VERSIONS = "mlflow.modelVersions"
_ENTITIES = 100
"""Params, or tags, that MLflow takes in one request."""


class Incomplete(Exception):  # noqa: N818  a fact about an upload; it is sent again
    """The server does not hold a file as it was sent."""


def first_model(client: mlflow.MlflowClient, run_id: str, experiment_id: str) -> Any:
    """A run's first logged model, whole or not; None where it has none."""
    found = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    ours = sorted((one for one in found if one.name == MODEL), key=lambda one: one.creation_timestamp)
    return next(iter(ours), None)


def add_version(client: mlflow.MlflowClient, name: str, *, model: Any, run_id: str, tags: Mapping[str, str]) -> str:
    """Makes a logged model a version of the registered model `name`, which may be new; the version's number.

    The logged model names its versions, as MLflow's own `register_model` does, so that the UI shows them beside it.
    """
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=run_id,
        tags=dict(tags),
        model_id=model.model_id,
        await_creation_for=0,
    )
    versions = [*json.loads(model.tags.get(_VERSIONS, "[]")), {"name": name, "version": str(version.version)}]
    client.set_logged_model_tags(model.model_id, {_VERSIONS: json.dumps(versions)})
    return str(version.version)


class Delivery:
    """Sends the entries of one run's journal."""

    def __init__(self, journal: Journal, *, client: mlflow.MlflowClient, run_id: str, experiment_id: str) -> None:
        self.journal, self.client, self.run_id, self._experiment_id = journal, client, run_id, experiment_id

    @property
    def experiment_id(self) -> str:
        """Asked for where the journal's first line was damaged."""
        self._experiment_id = self._experiment_id or str(self.client.get_run(self.run_id).info.experiment_id)
        return self._experiment_id

    def __call__(self, entry: Entry, *, doubtful: bool) -> Any:
        """What the server answered: a model's id, a version's number, else None."""
        send = {
            "run": lambda entry, doubtful: None,
            "batch": self._batch,
            "inputs": self._inputs,
            "files": self._files,
            MODEL: self._model,
            "register": self._register,
            "end": self._end,
        }.get(entry.kind)
        if send is None:
            raise UnsendableError(
                "a journal of this version", got=f"an entry {entry.kind!r}", where=self.journal.folder
            )
        return send(entry, doubtful)

    def beat(self, now: str) -> None:
        """Shows that the run is alive."""
        self.client.set_tag(self.run_id, HEARTBEAT_TAG, now)

    def _batch(self, entry: Entry, doubtful: bool) -> None:
        wanted = [Metric(str(key), value, time, step) for key, value, time, step in entry.payload.get("metrics", [])]
        params = [Param(key, text) for key, text in entry.payload.get("params", {}).items()]
        tags = [RunTag(key, text) for key, text in entry.payload.get("tags", {}).items()]
        metrics = self._missing(wanted) if doubtful and wanted else wanted
        while params or tags or metrics:
            self.client.log_batch(self.run_id, metrics[:800], params[:_ENTITIES], tags[:_ENTITIES])
            metrics, params, tags = metrics[800:], params[_ENTITIES:], tags[_ENTITIES:]

    def _missing(self, wanted: list[Metric]) -> list[Metric]:
        """Those the server has not: its last value of each tells, since they are sent in order."""
        latest = {metric.key: metric for metric in self.client.get_run(self.run_id).data._metric_objs}
        return [metric for metric in wanted if not self._has(metric, latest.get(metric.key))]

    def _has(self, metric: Metric, latest: Metric | None) -> bool:
        if latest is None or _place(latest) < _place(metric):
            return False
        if _place(latest) == _place(metric):
            return True
        history = self.client.get_metric_history(self.run_id, metric.key)
        return _place(metric) in {_place(each) for each in history}

    def _inputs(self, entry: Entry, doubtful: bool) -> None:
        told = entry.payload["dataset"]
        known = self.client.get_run(self.run_id).inputs.dataset_inputs if doubtful else []
        if (told["name"], told["digest"]) in {(one.dataset.name, one.dataset.digest) for one in known}:
            return
        tags = [InputTag(_CONTEXT, entry.payload["context"])]
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(Dataset(**told), tags)])

    def _files(self, entry: Entry, doubtful: bool) -> None:
        """Uploads again what is in doubt: the second one takes the place of the first."""
        for file in self.journal.files_of(entry):
            self._upload(file)
            if doubtful:
                self._compare(file)

    def _upload(self, file: KeptFile) -> None:
        _require_whole(file)
        parent = str(PurePosixPath(file.path).parent)
        self.client.log_artifact(self.run_id, str(file.local), None if parent == "." else parent)

    def _compare(self, file: KeptFile) -> None:
        with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as folder:
            fetched = Path(self.client.download_artifacts(self.run_id, file.path, folder))
            if not KeptFile(path=file.path, local=fetched, size=file.size, sha256=file.sha256).whole():
                raise Incomplete(file.path)

    def _model(self, entry: Entry, doubtful: bool) -> str:
        """The id of the run's logged model; made unless an earlier attempt, or the run before it was resumed, did."""
        model = first_model(self.client, self.run_id, self.experiment_id)
        run = self.client.get_run(self.run_id)
        if model is None:
            model = self.client.create_logged_model(
                self.experiment_id,
                name=MODEL,
                source_run_id=self.run_id,
                tags=dict(entry.payload["tags"]),
                params=dict(run.data.params),
            )
        if model.status == LoggedModelStatus.READY:
            return str(model.model_id)
        if model.model_id not in {one.model_id for one in (run.outputs.model_outputs if run.outputs else [])}:
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step=0)])
        self._link_scores(run.data._metric_objs, model.model_id)
        with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
            folder = Path(scratch, MODEL)
            self._lay_out(entry, model, folder)
            self.client.log_model_artifacts(model.model_id, str(folder))
            sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in _below(folder)}
        _require_sizes(sizes, self._sizes_of_model(model.model_id, sizes))
        self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        return str(model.model_id)

    def _link_scores(self, metrics: Iterable[Metric], model_id: str) -> None:
        """The run's scores become the model's too, as MLflow's own log_model does."""
        scores = [
            Metric(one.key, one.value, one.timestamp, one.step, model_id=model_id, run_id=self.run_id)
            for one in metrics
            if one.step == 0 and not one.key.startswith("system/")
        ]
        if scores:
            self.client.log_batch(self.run_id, metrics=scores)

    def _lay_out(self, entry: Entry, model: Any, folder: Path) -> None:
        """The model's files with its own id in them."""
        for file in self.journal.files_of(entry):
            _require_whole(file)
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.local, target)
        described = Model.load(str(folder))
        described.run_id, described.model_id, described.model_uuid = self.run_id, model.model_id, model.model_id
        described.artifact_path = model.artifact_location
        described.save(str(folder / MLMODEL_FILE_NAME))

    def _sizes_of_model(self, model_id: str, wanted: Iterable[str]) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for parent in _parents(wanted):
            for item in self.client.list_logged_model_artifacts(model_id, parent):
                found[item.path] = item.file_size
        return found

    def _register(self, entry: Entry, doubtful: bool) -> str:
        """The version's number; the run's own one where it has one of that name."""
        name, tags = entry.payload["name"], dict(entry.payload["tags"])
        known = self.client.search_model_versions(f"run_id = '{self.run_id}'")
        for version in known:
            if version.name == name:
                return str(version.version)
        model = first_model(self.client, self.run_id, self.experiment_id)
        if model is None:
            raise UnsendableError("the run's logged model", got="none (its entry is damaged)", where=self.run_id)
        return add_version(self.client, name, model=model, run_id=self.run_id, tags=tags)

    def _end(self, entry: Entry, doubtful: bool) -> str:
        """The status given; a run that lacks something, refused or damaged, is not FINISHED.

        First looks whether every file is there whole: a cut upload may have come to rest after the second one.
        """
        short: list[str] = []
        if entry.payload["run_id"] == self.run_id:
            files = {file.path: file for one in self.journal.entries if one.kind == "files" for file in self._kept(one)}
            found: dict[str, int | None] = {}
            for parent in _parents(files):
                found |= {item.path: item.file_size for item in self.client.list_artifacts(self.run_id, parent)}
            short = [path for path in files if found.get(path, -1) not in (None, files[path].size)]
            again = [path for path in short if files[path].whole()]
            for path in again:
                self._upload(files[path])
            if again:
                raise Incomplete(again[0])  # looked at once more
        lacking = self.journal.refused or self.journal.damaged or short
        status = "FAILED" if lacking and entry.payload["status"] == "FINISHED" else str(entry.payload["status"])
        self.client.set_terminated(entry.payload["run_id"], status, entry.payload["time"])
        return status

    def _kept(self, entry: Entry) -> list[KeptFile]:
        return [] if entry.number in self.journal.refused else self.journal.files_of(entry)


def _place(metric: Metric) -> tuple[int, int, float]:
    return metric.step, metric.timestamp, metric.value


def _below(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _parents(paths: Iterable[str]) -> list[str | None]:
    """The folders that hold them; None: the topmost."""
    parents = sorted({str(PurePosixPath(path).parent) for path in paths})
    return [None if parent == "." else parent for parent in parents]


def _require_whole(file: KeptFile) -> None:
    if not file.whole():
        raise UnsendableError("the file that the training wrote", got="a damaged copy", where=file.local)


def _require_sizes(wanted: Mapping[str, int], found: Mapping[str, int | None]) -> None:
    """A store that tells no size (None) is believed."""
    for path, size in wanted.items():
        if found.get(path, -1) not in (None, size):
            raise Incomplete(path)

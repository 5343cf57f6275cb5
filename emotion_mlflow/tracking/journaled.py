"""A training's run: every write goes to a local journal, and a sender brings it from there to the server.

The training only appends; it never waits for the server and never dies of it. Used by the training job.
"""

import contextlib
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import RunInfo
from mlflow.exceptions import MlflowException
from mlflow.tracking.context import registry as context

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import EmotionError, Stopped, TrackingError, first_line, without_password
from emotion_mlflow.tracking.delivery import HEARTBEAT_TAG, MODEL, Delivery
from emotion_mlflow.tracking.journal import Journal, JournalBusyError
from emotion_mlflow.tracking.runs import (
    ONE_ATTEMPT,
    PARAM_PREFIX,
    PATIENCE,
    SENDING,
    as_dataset,
    connect,
    patient,
    quiet_libraries,
    require_place,
    told,
)
from emotion_mlflow.tracking.sender import Sender, now
from emotion_mlflow.tracking.stored import Logged, logged_by
from emotion_mlflow.tracking.system import Monitor

FOLDER = "journal"
"""Of the journals, in the cache folder."""
STOPPED_WAIT = 5.0
"""Seconds that a stopped training waits for the server: a scheduler kills it after ten."""
FAILED_WAIT = 15.0
_LAST_WAIT = 2.0
"""Seconds for the end itself where the user stopped the waiting."""
_LOOK = 3.0
"""Seconds between two looks at what is left."""

Tell = Callable[[str], None]


@dataclass(kw_only=True)
class JournaledRun:
    """One open run; every method returns once the write is on this machine's disk."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    artifact_uri: str
    journal: Journal
    logged: Logged
    """What a resumed run had before: it is not logged twice."""
    version: str | None = None
    """Number of the registered version; known once the run is closed and everything was sent."""
    unsent: int = 0
    """Entries the server had not confirmed when the run was closed."""
    _registration: int = field(default=0, repr=False)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Settings, under `config/`."""
        named = {PARAM_PREFIX + name: str(value) for name, value in params.items()}
        self._append(params={name: text for name, text in named.items() if name not in self.logged.params})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Replaces those of the same name."""
        self._append(tags={name: str(value) for name, value in tags.items()})

    def log_scores(self, scores: Mapping[str, float], *, step: int = 0) -> None:
        """Figures; undefined ones (NaN) are left out, MLflow would store them as 0."""
        self.log_metrics({name: value for name, value in scores.items() if name not in self.logged.scores}, step)

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """One row of the history as metrics at step `epoch`, once."""
        epoch = int(row["epoch"])
        if epoch not in self.logged.epochs:
            self.logged.epochs.add(epoch)
            self.log_metrics({name: value for name, value in row.items() if name != "epoch"}, epoch)

    def log_metrics(self, figures: Mapping[str, float], step: int) -> None:
        """Figures at a step, with this moment's time."""
        time_now = int(time.time() * 1000)
        self._append(
            metrics=[[name, float(value), time_now, step] for name, value in figures.items() if not pd.isna(value)]
        )

    def log_dataset(self, manifest: Manifest, *, split: str, digest: str) -> None:
        """One split as an MLflow dataset: ids, contents and labels, with the split's content digest."""
        dataset = as_dataset(manifest, split=split, digest=digest)
        self.journal.append("inputs", {"dataset": dataset.to_dict(), "context": split})

    def log_text(self, name: str, text: str) -> None:
        """A text artifact."""
        self.journal.append("files", {}, {name: text.encode()})

    def log_folder(self, folder: Path) -> None:
        """Every file below `folder`, under the same relative names."""
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            self.journal.append("files", {}, {file.relative_to(folder).as_posix(): file})

    def log_model(self, folder: Path) -> None:
        """A model that MLflow saved to `folder`, as the run's logged model."""
        files: dict[str, Path | bytes] = {
            file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()
        }
        self.journal.append(MODEL, {"tags": context.resolve_tags()}, files)

    def register(self, *, name: str, tags: Mapping[str, object]) -> None:
        """Makes the logged model a version of `name`, when its turn comes."""
        payload = {"name": name, "tags": {key: str(value) for key, value in tags.items()}}
        self._registration = self.journal.append("register", payload)

    def end(self, status: str, run_id: str = "") -> None:
        """How and when the run ended."""
        payload = {"run_id": run_id or self.run_id, "status": status, "time": int(time.time() * 1000)}
        self.journal.append("end", payload)

    def _append(self, **payload: Any) -> None:
        if any(payload.values()):
            self.journal.append("batch", payload)

    def _closed(self) -> None:
        self.unsent = self.journal.unsent
        if self._registration in self.journal.results and self._registration not in self.journal.refused:
            self.version = self.journal.results[self._registration]


@contextlib.contextmanager
def open_run(
    *,
    experiment: str,
    tracking_uri: str | None,
    name: str,
    tags: Mapping[str, str],
    cache_dir: Path,
    sync_wait: float,
    tell: Tell,
    resume: str = "",
) -> Iterator[JournaledRun]:
    """A run that ends FINISHED, KILLED where the user stopped it, else FAILED; its tags are there from the start.

    TrackingError where the server can't be reached at the start, or where it refused something (then FAILED). At the
    end it waits `sync_wait` seconds for the server; `tell` hears what is left and how it is sent. The run that
    `mlflow run` opened (MLFLOW_RUN_ID) is used as it is. `resume`: the id of an unfinished run to go on in.
    """
    uri = connect(tracking_uri)
    with patient(PATIENCE):
        client = mlflow.MlflowClient(uri)
        info, outer = _start(client, experiment, name, tags, resume)
    with patient(SENDING, ONE_ATTEMPT), contextlib.ExitStack() as opened:
        with _ended_unless_opened(client, outer, info.run_id):
            run = _journaled(client, info, uri, cache_dir=cache_dir, resumed=bool(resume))
            opened.callback(run.journal.close)
            delivery = Delivery(run.journal, client=client, run_id=run.run_id, experiment_id=run.experiment_id)
            sender = Sender(run.journal, delivery)
            sender.start()
            opened.callback(sender.stop)
            monitor = Monitor(run.run_id, run.log_metrics, tracking_uri=uri, resumed=bool(resume))
            monitor.start()
            opened.callback(monitor.finish)
        status, wait = "FAILED", FAILED_WAIT
        try:
            run.set_tags(tags)
            yield run
            status, wait = "FINISHED", sync_wait
        except (Stopped, KeyboardInterrupt):
            status, wait = "KILLED", STOPPED_WAIT
            raise
        except EmotionError as error:
            with contextlib.suppress(TrackingError):  # a full disk, which is told already
                run.set_tags({"error": str(error)[:5000]})
            raise
        finally:
            with _deaf() if status == "KILLED" else contextlib.nullcontext():
                monitor.finish()
                _close(run, sender, delivery, status=status, outer=outer, wait=min(wait, sync_wait), tell=tell)


def _journaled(client: mlflow.MlflowClient, info: RunInfo, uri: str, *, cache_dir: Path, resumed: bool) -> JournaledRun:
    """The run with its journal, which says where it belongs."""
    with told(uri):
        logged = logged_by(client, info.run_id) if resumed else Logged()
    journal = Journal(cache_dir / FOLDER / info.run_id)
    if not journal.entries:
        place = {"run_id": info.run_id, "experiment_id": info.experiment_id, "tracking_uri": lasting(uri)}
        journal.append("run", place)
    return JournaledRun(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        tracking_uri=uri,
        artifact_uri=info.artifact_uri,
        journal=journal,
        logged=logged,
    )


@contextlib.contextmanager
def _ended_unless_opened(client: mlflow.MlflowClient, *run_ids: str) -> Iterator[None]:
    """A run whose journal can't be opened, or that is stopped meanwhile, is not left RUNNING."""
    try:
        yield
    except JournalBusyError:  # another process is at work on it
        raise
    except BaseException as error:
        status = "KILLED" if isinstance(error, Stopped | KeyboardInterrupt) else "FAILED"
        with _deaf(), contextlib.suppress(Exception):  # the error is the one to tell
            for run_id in filter(None, run_ids):
                client.set_terminated(run_id, status)
        raise


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Further stop signals change nothing inside: what is left takes seconds, and without it the run looks alive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def _close(
    run: JournaledRun, sender: Sender, delivery: Delivery, *, status: str, outer: str, wait: float, tell: Tell
) -> None:
    """Writes the end, waits for the server, and tells what is left."""
    until = time.monotonic() + wait
    refused: list[str] = []
    try:
        _wait(run.journal, sender, until, tell)
        refused = list(run.journal.refused.values())
    except BaseException:  # Ctrl-C: enough waiting
        until = time.monotonic() + _LAST_WAIT
        raise
    finally:
        with _deaf():
            try:
                for run_id in filter(None, (outer, run.run_id)):
                    run.end(status, run_id)
            except TrackingError:  # a full disk: the server may still hear of the end
                with contextlib.suppress(Exception):
                    delivery.client.set_terminated(run.run_id, "FAILED" if refused else status)
            run.journal.wait_until_sent(max(until - time.monotonic(), 0))
            sender.stop()
            run._closed()
            if run.unsent:
                tell(_left(run, sender.last_error))
            else:
                run.journal.remove()
    if refused and status == "FINISHED":
        raise TrackingError("a server that takes what the training logs", got=refused[0], where=run.tracking_uri)


def _wait(journal: Journal, sender: Sender, until: float, tell: Tell) -> None:
    """Until everything is sent, at the latest at the moment `until`; a server that fails, not a slow one, is told."""
    told_of = False
    while (left := until - time.monotonic()) > 0 and journal.wait_until_sent(min(_LOOK, left)):
        if sender.last_error and not told_of:
            told_of = True
            tell(f"{journal.unsent} writes wait for the tracking server: trying for {left:.0f} s")


def _left(run: JournaledRun, error: str) -> str:
    cache_dir = run.journal.folder.parent.parent
    why = f" ({error})" if error else ""
    return (
        f"{run.unsent} writes have not reached the tracking server{why}; nothing is lost, send them later: "
        f"emotion-mlflow sync {run.run_id} --cache-dir {shlex.quote(str(cache_dir))}"
    )


def send_rest(run_id: str, *, cache_dir: Path, tracking_uri: str | None, seconds: float, tell: Tell) -> bool:
    """Sends what an earlier process of a run left in its journal, if it did; TrackingError where not all arrives."""
    folder = cache_dir / FOLDER / run_id
    if not (folder / "entries").is_file():
        return False
    uri = connect(tracking_uri)
    with patient(SENDING, ONE_ATTEMPT):
        journal = Journal(folder)
        left = drain(journal, uri, seconds=seconds, tell=tell)
    if left:
        raise TrackingError("a server that takes what the run logged before", got=left, where=uri)
    return True


def drain(journal: Journal, uri: str, *, seconds: float, tell: Tell) -> str:
    """Sends a journal and removes it; what was in the way, where so many seconds brought nothing but failures.

    One with damaged lines is set aside: the copies of their files are still in it.
    """
    place = journal.entries[0].payload if journal.entries else {}
    run_id = str(place.get("run_id", journal.folder.name))
    client = mlflow.MlflowClient(uri)
    sender = Sender(
        journal,
        Delivery(journal, client=client, run_id=run_id, experiment_id=str(place.get("experiment_id", ""))),
    )
    sender.start()
    left = sender.wait(seconds)
    sender.stop()
    if left:
        journal.close()
        return f"{left} writes unsent ({sender.last_error})"
    if journal.damaged:
        aside = journal.set_aside()
        tell(f"{journal.damaged} lines of the journal of {run_id} are damaged and were not sent; it is kept: {aside}")
    else:
        journal.remove()
    return ""


def _start(
    client: mlflow.MlflowClient, experiment: str, name: str, tags: Mapping[str, str], resume: str
) -> tuple[RunInfo, str]:
    """The run, and the id of the one that `mlflow run` opened beside a resumed one, or nothing."""
    given = os.environ.pop("MLFLOW_RUN_ID", "")
    quiet_libraries()
    try:
        if resume or given:
            run = client.get_run(resume or given)
            if run.info.lifecycle_stage != "active":
                raise TrackingError("a run that is not deleted", got="a deleted one", where=run.info.run_id)
            if not resume:
                require_place(client, run.info.experiment_id, experiment)
            client.update_run(run.info.run_id, status="RUNNING")
            client.set_tag(run.info.run_id, HEARTBEAT_TAG, now())
            outer = given if resume and given and given != resume else ""
            if outer:
                client.set_tag(outer, "resumed", resume)
            return run.info, outer
        experiment_id = mlflow.set_experiment(experiment).experiment_id
        run = client.create_run(
            experiment_id,
            run_name=name,
            tags=context.resolve_tags({**tags, "mlflow.runName": name, HEARTBEAT_TAG: now()}),
        )
    except MlflowException as error:
        raise TrackingError(
            "an experiment and run that can be opened", got=first_line(error), where=resume or experiment
        ) from None
    return run.info, ""


def lasting(uri: str) -> str:
    """The address as it holds from any folder, without a password."""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    return without_password(uri)

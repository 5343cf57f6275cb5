"""What trainings could not send at their end, sent later; and runs whose process is gone. Used by the command line."""

import datetime
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow

from emotion_mlflow.errors import ConfigError, TrackingError
from emotion_mlflow.tracking.delivery import HEARTBEAT_TAG
from emotion_mlflow.tracking.journal import ASIDE, Journal, JournalBusyError
from emotion_mlflow.tracking.journaled import FOLDER, drain, lasting
from emotion_mlflow.tracking.runs import ONE_ATTEMPT, SENDING, connect, patient, told
from emotion_mlflow.tracking.sender import now

SECONDS = 120.0
"""How long nothing but failures may happen to a journal."""
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What became of one journal."""

    run_id: str
    sent: int
    unsent: int
    status: str
    """How the run ended; empty where it goes on or something is unsent."""
    model_name: str | None
    model_version: str | None
    problem: str
    """Why something is unsent, or what the server refused; empty where all is well."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """A run whose heartbeat stopped."""

    run_id: str
    name: str
    heartbeat: str
    """ISO time of the last one."""


def sync(cache_dir: Path, *, run_id: str, tracking_uri: str | None, tell: Callable[[str], None]) -> list[Synced]:
    """Sends the journals below `cache_dir`, or one run's; ConfigError where that run has none.

    A journal whose training is still at work is left to it, and one whose server is away waits on; without `run_id`
    neither holds up the others. A training that died without a word ends KILLED; it can still be resumed.
    """
    here = str(mlflow.get_tracking_uri())
    folders = sorted(entries.parent for entries in (cache_dir / FOLDER).glob("*/entries"))
    folders = [folder for folder in folders if folder.suffix != ASIDE]
    if run_id:
        folders = [folder for folder in folders if folder.name == run_id]
        if not folders:
            raise ConfigError("a run with unsent writes", got=run_id, where=cache_dir / FOLDER)
    done = []
    for folder in folders:
        unsent = 0
        try:
            journal = Journal(folder)
            if not journal.exists:  # sent and removed by another process since it was listed
                journal.remove()
                continue
            unsent = journal.unsent
            done.append(_sync(journal, tracking_uri, here, tell))
        except JournalBusyError as error:
            if run_id:
                raise
            tell(f"left alone: {error}")
        except TrackingError as error:
            if run_id:
                raise
            done.append(_not_sent(folder.name, unsent, str(error)))
    return done


def _not_sent(run_id: str, unsent: int, problem: str) -> Synced:
    return Synced(
        run_id=run_id,
        sent=0,
        unsent=unsent,
        status="",
        model_name=None,
        model_version=None,
        problem=problem,
    )


def _sync(journal: Journal, tracking_uri: str | None, here: str, tell: Callable[[str], None]) -> Synced:
    run_id = journal.folder.name
    try:
        place = str(journal.entries[0].payload.get("tracking_uri", "")) if journal.entries else ""
        uri = connect(tracking_uri or _address(here, place))
        if journal.last("end") is None:
            payload = {"run_id": run_id, "status": "KILLED", "time": int(time.time() * 1000)}
            journal.append("end", payload)
            tell(f"{run_id} died without a word: KILLED; go on with emotion-mlflow train --resume {run_id}")
    except BaseException:
        journal.close()
        raise
    before, end, registration = journal.unsent, journal.last("end"), journal.last("register")
    with patient(SENDING, ONE_ATTEMPT):
        left = drain(journal, uri, seconds=SECONDS, tell=tell)
    number = registration.number if registration else 0
    version = journal.results.get(number) if number not in journal.refused else None
    lacking = [f"refused: {why}" for why in journal.refused.values()]
    lacking += [f"{journal.damaged} damaged lines were not sent"] if journal.damaged else []
    return Synced(
        run_id=run_id,
        sent=before - journal.unsent,
        unsent=journal.unsent,
        status=str(journal.results.get(end.number, "")) if end and not left else "",
        model_name=str(registration.payload["name"]) if registration and version else None,
        model_version=version,
        problem=left or "; ".join(lacking),
    )


def _address(here: str, kept: str) -> str:
    """The journal's, with the password that the environment's has, if it is the same place; else the environment's."""
    return here if lasting(here) == kept or not kept else kept


def reap(*, tracking_uri: str | None, older_than: float, dry_run: bool) -> list[Reaped]:
    """Marks KILLED what is RUNNING without a heartbeat for `older_than` seconds; only trainings of ours have one."""
    uri = connect(tracking_uri)
    client = mlflow.MlflowClient()
    limit = time.time() - older_than
    found = []
    with told(uri):
        for run in _running(client):
            beaten = _silent_since(run, limit)
            # Asked once more: since the runs were listed it may have ended, or shown that it is alive.
            if beaten is None or (not dry_run and _silent_since(client.get_run(run.info.run_id), limit) is None):
                continue
            found.append(Reaped(run_id=run.info.run_id, name=run.info.run_name or "", heartbeat=beaten.isoformat()))
            if not dry_run:
                client.set_tag(run.info.run_id, "reaped", now())
                client.set_terminated(run.info.run_id, "KILLED", end_time=int(beaten.timestamp() * 1000))
    return found


def _silent_since(run: Any, limit: float) -> datetime.datetime | None:
    """The last heartbeat of a RUNNING run, if it was before the moment `limit`."""
    beaten = _time(run.data.tags.get(HEARTBEAT_TAG, ""))
    return beaten if run.info.status == "RUNNING" and beaten and beaten.timestamp() <= limit else None


def _running(client: mlflow.MlflowClient) -> list[Any]:
    """The runs with a heartbeat that the server believes to be alive."""
    experiments, runs, token = _experiments(client), [], None
    asked = "attributes.status = 'RUNNING' and tags.heartbeat LIKE '%'"
    while experiments and token != "":
        page = client.search_runs(experiments, filter_string=asked, max_results=_PAGE, page_token=token)
        runs += page
        token = page.token or ""
    return runs


def _experiments(client: mlflow.MlflowClient) -> list[str]:
    found, token = [], None
    while token != "":
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        found += [one.experiment_id for one in page]
        token = page.token or ""
    return found


def _time(text: str) -> datetime.datetime | None:
    """None where it is none of ours."""
    try:
        read = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else None

"""Backup while a run is being logged, everything destroyed, restore, and every digest compared."""

import contextlib
import json
import threading

import mlflow
import pytest

pytestmark = pytest.mark.docker


@pytest.fixture
def tracking(up, monkeypatch):
    """A client of the stack."""
    for name, value in up.credentials.items():
        monkeypatch.setenv(name, value)
    return mlflow.MlflowClient(up.uri)


MEANWHILE = "logged meanwhile"


def logged_meanwhile(tracking):
    """The id of the run that was being logged."""
    experiment = tracking.get_experiment_by_name(MEANWHILE)
    return tracking.search_runs([experiment.experiment_id])[0].info.run_id


@contextlib.contextmanager
def logging_all_the_while(tracking):
    """A run into which a thread writes; none of that is under way any more at the end."""
    run = tracking.create_run(tracking.create_experiment(MEANWHILE))
    begun, stop = threading.Event(), threading.Event()

    def log():
        step = 0
        while not stop.is_set():
            tracking.log_metric(run.info.run_id, "loss", 1 / (step + 1), step=step)
            tracking.log_text(run.info.run_id, f"step {step}", f"notes/{step % 10}.txt")
            step += 1
            begun.set()

    thread = threading.Thread(target=log)
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("backup") / "saved"


def read(folder):
    return json.loads((folder / "backup.json").read_text())


@pytest.fixture
def saved(up, trained_there, tracking, folder):
    """A backup that was made while a run was being logged."""
    with logging_all_the_while(tracking):
        return up.stack("backup", folder)


def test_what_was_destroyed_is_restored_to_the_last_digest(up, trained_there, saved, tracking, folder, tmp_path):
    assert saved["artifacts"] > 20
    assert not folder.with_name("saved.partial").exists()
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}
    scores = tracking.get_run(trained_there["run_id"]).data.metrics

    up.stack("down", "--volumes", "--yes")
    up.stack("up")
    with pytest.raises(mlflow.MlflowException, match="not found"):
        tracking.get_run(trained_there["run_id"])
    assert up.stack("restore", folder)["verified"] is True

    assert tracking.get_run(trained_there["run_id"]).data.metrics == scores
    again = up.stack("backup", tmp_path / "again")
    assert again["artifacts"] == saved["artifacts"]
    first, second = read(folder), read(tmp_path / "again")
    assert second["artifacts"] == first["artifacts"]
    assert second["tables"]["mlflow"] == first["tables"]["mlflow"]
    steps = [each.step for each in tracking.get_metric_history(logged_meanwhile(tracking), "loss")]
    assert steps == list(range(len(steps)))
    assert steps


def test_a_restored_version_still_answers(up, trained_there, tracking, tmp_path):
    version = tracking.get_model_version(trained_there["model_name"], trained_there["model_version"])
    assert version.run_id == trained_there["run_id"]
    found = mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{version.name}/{version.version}", dst_path=str(tmp_path), tracking_uri=up.uri
    )
    assert found


def test_a_stack_that_holds_something_is_not_overwritten(up, trained_there, folder):
    refused = up.stack("restore", folder, code=2)
    assert "an empty stack" in refused["error"]


def test_a_backup_that_changed_is_refused(up, folder):
    with (folder / "artifacts.tar").open("ab") as file:
        file.write(b"!")
    assert "the file changed" in up.stack("restore", folder, code=2)["error"]


def test_a_backup_is_never_written_over_another(up, folder):
    assert "a folder that is not there yet" in up.stack("backup", folder, code=2)["error"]

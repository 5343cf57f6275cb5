"""Backup while a run is being logged, everything destroyed, restore, and every digest compared."""

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


@pytest.fixture
def going_on(tracking):
    """The id of a run that is being logged all the while."""
    run = tracking.create_run(tracking.create_experiment("going on"))
    stop = threading.Event()

    def log():
        step = 0
        while not stop.is_set():
            tracking.log_metric(run.info.run_id, "loss", 1 / (step + 1), step=step)
            tracking.log_text(run.info.run_id, f"step {step}", f"notes/{step % 10}.txt")
            step += 1

    thread = threading.Thread(target=log)
    thread.start()
    yield run.info.run_id
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("backup") / "saved"


def read(folder):
    return json.loads((folder / "backup.json").read_text())


@pytest.fixture
def saved(up, trained_there, going_on, folder):
    """A backup that was made while the run went on."""
    return up.stack("backup", folder)


def test_what_was_destroyed_is_restored_to_the_last_digest(
    up, trained_there, saved, going_on, tracking, folder, tmp_path
):
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
    differing = {
        name
        for name in first["tables"]["mlflow"]
        if second["tables"]["mlflow"][name] != first["tables"]["mlflow"][name]
    }
    assert differing <= {"metrics", "latest_metrics"}  # the run goes on into the restored stack


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

"""Jobs called in this process."""

import mlflow
import pytest

from emotion_mlflow.cli.progress import PlainReporter


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory of its own; MLflow's settings, which a job changes, are afterwards as they were."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, "")  # so that monkeypatch takes away what the job sets
        monkeypatch.delenv(name)
    before = mlflow.get_tracking_uri()
    yield tmp_path
    mlflow.set_tracking_uri(before)


@pytest.fixture
def reporter():
    return PlainReporter()

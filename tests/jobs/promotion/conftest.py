"""A real store with runs written by hand."""

import mlflow
import pandas as pd
import pytest

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.jobs.promotion import promote
from emotion_mlflow.jobs.promotion_request import PromoteRequest
from emotion_mlflow.tracking import aliases, runs
from tests.jobs.promotion.versions import METRICS, NAMES, PARAMS, TAGS, predictions


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all: a new one takes seconds to set up."""
    return f"sqlite:///{tmp_path_factory.mktemp('promotion') / 'mlflow.db'}"


@pytest.fixture
def client(here, uri):
    mlflow.set_tracking_uri(uri)
    runs.quiet_libraries()
    return mlflow.MlflowClient(uri)


@pytest.fixture
def name(client):
    """A registered model of this test's own."""
    made = next(NAMES)
    client.create_registered_model(made)
    return made


@pytest.fixture
def add(client, name, here):
    """Writes one version as `train` does; gives its number. `model`: (folder of a saved model, its check)."""

    def write(backbone="resnet50", *, right=0.5, seed=0, digest="aaaa", status="FINISHED", model=None, **changed):
        experiment = client.get_experiment_by_name("emotion")
        run = client.create_run(experiment.experiment_id if experiment else client.create_experiment("emotion")).info
        for key, value in (PARAMS | changed.get("params", {})).items():
            client.log_param(run.run_id, key, value)
        for key, value in (METRICS | changed.get("metrics", {})).items():
            if value is not None:
                client.log_metric(run.run_id, key, value)
        folder = here / run.run_id / "predictions"
        folder.mkdir(parents=True)
        if changed.get("predictions", True):
            predictions(right=right, seed=seed).to_parquet(folder / "test.parquet")
        if "learnt" in changed:
            pd.DataFrame({"content_hash": changed["learnt"]}).to_parquet(folder / "train.parquet")
        if model:
            model[1].to_parquet(folder / "check.parquet")
        client.log_artifacts(run.run_id, str(folder.parent))
        client.set_terminated(run.run_id, status)
        tags = TAGS | {"backbone": backbone, "test_digest": digest} | changed.get("tags", {})
        source = str(model[0]) if model else f"{run.artifact_uri}/model"
        return client.create_model_version(name, source, run.run_id, tags=tags).version

    return write


@pytest.fixture
def ask(uri, name):
    """`promote` with a request of these fields."""

    def call(**fields):
        request = PromoteRequest(model_name=name, tracking_uri=uri, resamples=200, **{"lease_seconds": 30.0} | fields)
        return promote(request, PlainReporter())

    return call


@pytest.fixture
def moved(monkeypatch):
    """What was moved, in order."""
    done, move = [], aliases.move
    monkeypatch.setattr(aliases, "move", lambda lease, *told: done.append(told) or move(lease, *told))
    return done

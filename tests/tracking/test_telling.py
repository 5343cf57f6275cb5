"""What is told of a store: its errors in one line, its address without a password."""

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import ModelError, TrackingError, first_line, without_password
from emotion_mlflow.tracking import aliases, registry, runs, stored
from emotion_mlflow.tracking.journaled import lasting

VERSION = registry.Version(uri="models:/emotion/3", name="emotion", number="3", run_id="r1", tags={})
RUN = runs.Run(
    run_id="r1",
    experiment_id="1",
    tracking_uri="http://host",
    artifact_uri="mlflow-artifacts:/1",
    client=mlflow.MlflowClient("http://host"),
)
CALLS = {
    "an alias": ("set_registered_model_alias", lambda: registry.point("emotion", "resnet50", "3")),
    "a version's tag": ("set_model_version_tag", lambda: registry.tag_version(VERSION, {"a": 1})),
    "a run's version": ("search_model_versions", lambda: registry.version_of("r1", "emotion")),
    "an experiment": ("get_experiment", lambda: stored.experiment_name("1")),
    "a card": ("update_model_version", lambda: aliases.describe("emotion", "3", "text")),
    "params": ("log_batch", lambda: RUN.log_params({"a": 1})),
    "tags": ("log_batch", lambda: RUN.set_tags({"a": 1})),
    "scores": ("log_batch", lambda: RUN.log_scores({"a": 1.0})),
    "a text": ("log_text", lambda: RUN.log_text("a.txt", "a")),
    "a folder": ("log_artifacts", lambda: RUN.log_folder(None)),
}


@pytest.mark.parametrize(("method", "call"), CALLS.values(), ids=CALLS)
def test_what_the_server_refuses_is_one_line_of_ours(monkeypatch, method, call):
    def refuse(self, *told, **fields):
        raise MlflowException("PERMISSION_DENIED\nand pages more")

    monkeypatch.setattr(mlflow.MlflowClient, method, refuse)
    with pytest.raises(TrackingError, match="got PERMISSION_DENIED in "):
        call()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://user:secret@host:5000/path", "http://user@host:5000/path"),
        ("https://user:s:cr@t@host", "https://user@host"),
        ("postgresql://user:secret@host/mlflow", "postgresql://user@host/mlflow"),
        ("postgresql+psycopg2://user:sec/ret@host/mlflow", "postgresql+psycopg2://user@host/mlflow"),
        (
            "postgresql://host/mlflow?user=a&password=s:e/c&sslmode=off",
            "postgresql://host/mlflow?user=a&password=&sslmode=off",
        ),
        ("http://host:5000", "http://host:5000"),
        ("http://host:5000/#/models/emotion@champion", "http://host:5000/#/models/emotion@champion"),
        ("http://user@host:5000", "http://user@host:5000"),
        ("sqlite:////folder/a:b@c.db", "sqlite:////folder/a:b@c.db"),
    ],
)
def test_an_address_is_shown_without_its_password(uri, shown):
    assert without_password(uri) == lasting(uri) == shown


def test_a_server_that_is_away_is_named_without_its_password(monkeypatch):
    before = mlflow.get_tracking_uri()

    def refuse(self, **fields):
        raise MlflowException("away")

    monkeypatch.setattr(mlflow.MlflowClient, "search_experiments", refuse)
    try:
        with pytest.raises(TrackingError, match="got away in http://user@nowhere"):
            runs.connect("http://user:secret@nowhere")
    finally:
        mlflow.set_tracking_uri(before)


def test_what_mlflow_says_of_a_server_that_is_away_is_told_without_the_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MlflowException, match="secret") as raised:
        mlflow.MlflowClient("http://user:secret@127.0.0.1:1").set_tag("r1", "a", "b")
    assert first_line(raised.value).startswith("API request to http://user@127.0.0.1:1/")


def test_a_run_whose_ids_are_damaged_is_told(monkeypatch, tmp_path):
    (tmp_path / "splits.json").write_text('{"test": [')
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda **named: str(tmp_path / "splits.json"))
    with pytest.raises(ModelError, match=r"expected JSON in splits.json; got Expecting value.* in run r1"):
        registry.split_ids("r1", "test")

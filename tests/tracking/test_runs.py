"""The tracking store: reached or not, and how runs end."""

import dataclasses
import socket
import time

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException

from emotion_mlflow.errors import ConfigError, DataError, Stopped, TrackingError
from emotion_mlflow.jobs.comparison import CompareRequest
from emotion_mlflow.jobs.promotion_request import Place
from emotion_mlflow.jobs.request import EvaluateRequest, TrainRequest
from emotion_mlflow.tracking import journaled, runs

# MLflow's import and a new database take seconds
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def ended(uri, error=None):
    """The run of a job that ended so."""
    with pytest.raises(type(error)) if error else pytest.MonkeyPatch.context():  # noqa: SIM117
        with runs.open_run(experiment="tests", tracking_uri=uri, name="a run", tags={"colour": "red"}) as run:
            run.log_scores({"final/test/expression/roc_auc": float("nan"), "final/test/expression/accuracy": 0.5})
            run.log_params({"training.learning_rate": 1e-3})
            if error:
                raise error
    return mlflow.MlflowClient(uri).get_run(run.run_id)


def test_a_run_that_ends_well_is_finished_and_has_all_that_was_sent(uri):
    run = ended(uri)
    assert run.info.status == "FINISHED"
    assert run.data.tags["colour"] == "red"
    assert run.data.params == {"config/training.learning_rate": "0.001"}
    assert run.data.metrics["final/test/expression/accuracy"] == 0.5


def test_an_undefined_score_is_left_out_and_not_stored_as_0(uri):
    metrics = {name for name in ended(uri).data.metrics if not name.startswith("system/")}
    assert metrics == {"final/test/expression/accuracy"}


def test_a_run_is_killed_by_a_stop_and_by_ctrl_c(uri):
    assert ended(uri, Stopped("SIGTERM")).info.status == "KILLED"
    assert ended(uri, KeyboardInterrupt()).info.status == "KILLED"


def test_a_run_that_fails_says_why(uri):
    run = ended(uri, DataError("68 points", got=67, where="a.npy"))
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "expected 68 points; got 67 in a.npy")


def test_a_run_that_breaks_is_failed_too(uri):
    assert ended(uri, ZeroDivisionError()).info.status == "FAILED"


@pytest.mark.parametrize(
    "error", [MlflowException("API request failed\nmore"), requests.ConnectionError("gone")], ids=["MLflow", "requests"]
)
def test_a_server_that_goes_away_meanwhile_is_told_in_one_line(uri, error):
    with pytest.raises(TrackingError, match="expected a tracking server that takes what is logged; got") as told:  # noqa: SIM117
        with runs.open_run(experiment="tests", tracking_uri=uri, name="a run", tags={}) as run:
            raise error
    assert "\n" not in str(told.value)
    assert mlflow.MlflowClient(uri).get_run(run.run_id).info.status == "FAILED"


def test_a_server_that_is_not_there_is_told_within_15_seconds(port):
    started = time.perf_counter()
    with pytest.raises(TrackingError, match="expected a tracking server that answers") as told:
        runs.connect(f"http://127.0.0.1:{port()}")
    assert time.perf_counter() - started < 15
    assert "\n" not in str(told.value)


def test_a_server_that_takes_connections_and_never_answers_is_told_within_15_seconds():
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        started = time.perf_counter()
        with pytest.raises(TrackingError, match="expected a tracking server that answers"):
            runs.connect(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.perf_counter() - started < 15


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "mlflow.db").write_text("notes " * 100)
    with pytest.raises(TrackingError) as told:
        runs.connect(f"sqlite:///{tmp_path}/mlflow.db")
    assert "\n" not in str(told.value)


def test_an_address_of_no_kind_is_told():
    with pytest.raises(TrackingError, match="in carrier-pigeon://here"):
        runs.connect("carrier-pigeon://here")


def test_a_run_given_by_mlflow_run_that_is_not_there_is_told(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(TrackingError), runs.open_run(experiment="tests", tracking_uri=uri, name="a run", tags={}):
        pytest.fail("a run was opened")


@pytest.fixture
def given(uri, monkeypatch):
    """The run that `mlflow run` opened, in MLflow's Default."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("Default")  # else MLflow holds the one of an earlier test against it
    run_id = mlflow.MlflowClient(uri).create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


@pytest.fixture(params=["requests", "journal"])
def opening(request, uri, tmp_path):
    """Opens a run of either kind in an experiment."""

    def open_one(experiment):
        asked = {"experiment": experiment, "tracking_uri": uri, "name": "a run", "tags": {}}
        if request.param == "requests":
            return runs.open_run(**asked)
        return journaled.open_run(**asked, cache_dir=tmp_path / "cache", sync_wait=60.0, tell=[].append)

    return open_one


@pytest.mark.parametrize("experiment", ["emotion", "Default"])
def test_the_run_that_mlflow_run_opened_is_used(uri, given, opening, experiment):
    with opening(experiment) as run:
        assert run.run_id == given
    assert mlflow.MlflowClient(uri).get_run(given).info.status == "FINISHED"


def test_another_experiment_than_that_of_mlflow_run_is_refused_with_what_to_type(given, opening):
    words = r"expected Default, where mlflow run opened the run \(mlflow run --experiment-name mine .* got mine in"
    with pytest.raises(ConfigError, match=words), opening("mine"):
        pytest.fail("a run was opened")


@pytest.mark.parametrize("request_of", [TrainRequest, EvaluateRequest, CompareRequest, Place])
def test_the_default_experiment_has_one_name(request_of):
    (default,) = [each.default for each in dataclasses.fields(request_of) if each.name == "experiment"]
    assert default == runs.DEFAULT_EXPERIMENT

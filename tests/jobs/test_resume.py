"""Trainings that go on. Kills at random moments of a real process are the campaign's (tests/benchmarks)."""

import json
import re
import sqlite3
from dataclasses import replace

import mlflow
import pandas as pd
import pytest

from emotion_mlflow.checkpoints import Checkpoints
from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.config import DataConfig
from emotion_mlflow.data.read import read
from emotion_mlflow.errors import ConfigError, DataError, ModelError, Stopped, WeightsError
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.jobs.resume import TAG, request_tag, require_same_data, take_up
from emotion_mlflow.labels import TASKS
from emotion_mlflow.tracking.stored import StoredRun, read_run

pytestmark = pytest.mark.slow

BEGAN_WITH = "0123456789abcdef"
TAKES_TIME = ("seconds", "images_per_second", "memory", "latency", "system/")


@pytest.fixture
def began(tmp_path):
    """What the run was asked for."""
    return TrainRequest(
        backbone="mobilenetv3small",
        recipe="improved",
        weights="none",
        data=DataConfig(data=str(tmp_path / "faces"), limit=50),
        overrides={"training.learning_rate": "1e-3", "training.epochs": 4, "training.rng_seed": 3},
        model_name="affect",
        register=False,
    )


def stored(request, *, status="KILLED", tags=None, weights_digest="mobilenetv3small none"):
    config = request.config(drawn=False, labelled=TASKS, name="faces")
    tag = request_tag(request, config, data_digest=BEGAN_WITH, weights_digest=weights_digest)
    tags = {TAG: tag} if tags is None else tags
    return StoredRun(run_id="abc", status=status, experiment_id="7", params={}, metrics={}, tags=tags)


def typed(*flags):
    """The request of `train --resume abc` and these flags, with every default, as `mlflow run` says them all."""
    from emotion_mlflow.cli.train import command, request_of

    given = command.make_context("train", ["--resume", "abc", *flags]).params
    given.pop("as_json")
    return request_of(given)


def test_every_setting_comes_from_the_run_and_place_and_caches_from_the_command(began, tmp_path):
    said = typed("--tracking-uri", "sqlite:///here.db", "--cache-dir", str(tmp_path / "cache"))
    taken = take_up(said, stored(began), experiment="faces of May")
    assert taken.config == began.config(drawn=False, labelled=TASKS, name="faces")
    assert (taken.config.training.epochs, taken.config.training.learning_rate) == (4, 0.001)
    assert (taken.request.experiment, taken.request.model_name, taken.request.register) == (
        "faces of May", "affect", False,
    )  # fmt: skip
    assert taken.request.data == began.data
    assert (taken.request.tracking_uri, taken.request.cache_dir) == ("sqlite:///here.db", tmp_path / "cache")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            "--backbone efficientnetb0",
            "expected mobilenetv3small, as in the run that goes on; got efficientnetb0 in",
        ),
        ("--recipe probe", "expected improved, as in the run that goes on; got probe in --recipe"),
        ("--weights imagenet", "expected none, as in the run that goes on; got imagenet in --weights"),
        ("--tasks valence", "got valence in --tasks"),
        ("--experiment other", "expected faces, as in the run that goes on; got other in --experiment"),
        ("--model-name other", "expected affect, as in the run that goes on; got other in --model-name"),
        ("--no-register", "expected False, as in the run that goes on; got True in --no-register"),
        ("--show-faces none", "expected auto, as in the run that goes on; got none in --show-faces"),
        ("--limit 60", "expected 50, as in the run that goes on; got 60 in --limit"),
        ("--split-seed 1", "expected 0, as in the run that goes on; got 1 in --split-seed"),
        ("--data elsewhere", "got elsewhere in --data"),
        ("--epochs 5", "expected 4, as in the run that goes on; got 5 in training.epochs"),
        ("--learning-rate 1e-4", "expected 0.001, as in the run that goes on; got 0.0001 in training.learning_rate"),
        ("--rng-seed 4", "expected 3, as in the run that goes on; got 4 in training.rng_seed"),
        ("--set model.dropout=0.9", "got 0.9 in model.dropout"),
        ("--set model.dropout=much", "got much in model.dropout"),
        ("--set model.drop=0.9", r"expected a setting of data\.data.*; got model\.drop in --set"),
    ],
)
def test_what_was_said_otherwise_is_refused_with_both(began, flags, words):
    began = replace(began, register=True)
    with pytest.raises(ConfigError, match=words):
        take_up(typed(*flags.split()), stored(began), experiment="faces")


@pytest.mark.parametrize(
    "flags",
    [
        "--backbone mobilenetv3small --recipe improved --weights none --model-name affect --no-register --limit 50",
        "--learning-rate 1e-3 --epochs 4 --rng-seed 3 --set training.learning_rate=.00100",
        "--data faces",  # as seen from its folder
    ],
)
def test_what_was_said_alike_is_no_mistake_however_it_is_written(began, flags, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    take_up(typed(*flags.split()), stored(began), experiment="emotion")


def test_a_finished_run_says_so(began):
    with pytest.raises(ConfigError, match="expected a run that is not finished; got FINISHED in --resume abc"):
        take_up(typed(), stored(began, status="FINISHED"), experiment="emotion")


@pytest.mark.parametrize("tags", [{}, {TAG: "no JSON"}, {TAG: "[]"}, {TAG: "{}"}, {TAG: '{"config": {"recipe": 3}}'}])
def test_a_run_that_is_no_training_of_ours_is_told(began, tags):
    with pytest.raises(ModelError, match="expected a training run of this version; got another in run abc"):
        take_up(typed(), stored(began, tags=tags), experiment="emotion")


def test_faces_that_changed_since_are_told_with_both_digests(began):
    taken = take_up(typed(), stored(began), experiment="emotion")
    require_same_data(taken, BEGAN_WITH)
    words = r"the faces, parts and identities the run began with \(0123456789ab\); got others \(fedcba987654\)"
    with pytest.raises(DataError, match=words):
        require_same_data(taken, "fedcba9876543210")


@pytest.mark.parametrize("weights", ["start.weights.h5", "gone.weights.h5"])
def test_starting_weights_that_changed_or_went_since_are_told(began, tmp_path, weights):
    (tmp_path / "start.weights.h5").write_bytes(b"other bytes than then")
    run = stored(replace(began, weights=str(tmp_path / weights)), weights_digest="fedcba9876543210")
    with pytest.raises(WeightsError, match=weights):
        take_up(typed(), run, experiment="emotion")


def test_a_weights_file_stands_in_the_run_in_full_so_that_it_is_found_from_another_folder(began, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(began, weights="start.weights.h5").config(drawn=False, labelled=TASKS, name="faces")
    assert config.model.weights == str(tmp_path / "start.weights.h5")


# Real trainings, with the settings of `trained`, stopped after their second epoch of four


class Stopper(PlainReporter):
    """Keeps what it hears, and stops the training when it is told of an epoch: what a kill then leaves is there."""

    def __init__(self, after=0):
        self.after, self.heard, self.warned, self.told = after, [], [], []

    def epoch(self, row):
        self.heard.append(int(row["epoch"]))
        if self.after == row["epoch"]:
            raise Stopped("a test")

    def warn(self, text):
        self.warned.append(text)

    def note(self, text):
        self.told.append(text)


@pytest.fixture
def stopped(here, cache, faces):
    """(run id, request to go on) of a training that was stopped after two epochs, in a store of its own."""
    from emotion_mlflow.jobs.training import train

    request = TrainRequest(
        backbone="mobilenetv3small",
        recipe="improved",
        weights="none",
        data=DataConfig(data=str(faces)),
        overrides={"training.epochs": 4, "model.image_size": 32},
        tracking_uri=f"sqlite:///{here}/mlflow.db",
        cache_dir=cache,
    )
    with pytest.raises(Stopped):
        train(request, Stopper(after=2))
    (run,) = runs_of(request)
    return run.info.run_id, replace(request, resume=run.info.run_id, recipe="auto", overrides={})


def runs_of(request):
    client = mlflow.MlflowClient(request.tracking_uri)
    return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def go_on(request):
    from emotion_mlflow.jobs.training import train

    reporter = Stopper()
    return train(request, reporter), reporter


@pytest.mark.slow
def test_the_seconds_of_all_processes_are_told(stopped, monkeypatch):
    from emotion_mlflow.checkpoints import Checkpoints

    load = Checkpoints.load

    def as_if_slow(self):
        kept, damaged = load(self)
        for row in kept.notes["history"]:
            row["seconds"] += 1000
        return kept, damaged

    monkeypatch.setattr(Checkpoints, "load", as_if_slow)
    run_id, request = stopped
    go_on(request)
    assert mlflow.MlflowClient(request.tracking_uri).get_run(run_id).data.metrics["cost/seconds"] > 2000


def histories(client, run_id):
    """{metric: [(step, value), ...]} of all figures that no clock is in; twice logged stands there twice."""
    names = [name for name in client.get_run(run_id).data.metrics if not any(part in name for part in TAKES_TIME)]
    return {name: sorted((m.step, m.value) for m in client.get_metric_history(run_id, name)) for name in names}


def assert_as_undisturbed(run_id, request, trained, tmp_path):
    client = mlflow.MlflowClient(request.tracking_uri)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert histories(client, run_id) == histories(trained.client, trained.run_id)
    (tmp_path / "once").mkdir()
    for name in ("train", "val", "test", "check"):
        file = f"predictions/{name}.parquet"
        once = pd.read_parquet(trained.file(file, tmp_path / "once"))
        again = pd.read_parquet(client.download_artifacts(run_id, file, str(tmp_path)))
        pd.testing.assert_frame_equal(again, once, check_exact=True)
    (version,) = client.search_model_versions("name = 'emotion'")
    assert version.run_id == run_id


def test_a_stopped_training_goes_on_in_its_run_below_the_one_that_mlflow_run_opened(
    stopped, trained, command, tmp_path
):
    """Its second epoch was still in the sending queue when it was killed, so the server lacks it."""
    run_id, request = stopped
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where run_uuid = ? and step = 2", [run_id])  # noqa: S608
    client = mlflow.MlflowClient(request.tracking_uri)
    experiment = client.create_experiment("of mlflow run")
    outer = client.create_run(experiment).info.run_id
    opened = {"MLFLOW_RUN_ID": outer, "MLFLOW_EXPERIMENT_ID": experiment, "MLFLOW_TRACKING_URI": request.tracking_uri}
    flags = ["--resume", run_id, "--cache-dir", request.cache_dir, "--json"]

    done = command("train", *flags, cwd=tmp_path, PYTHONWARNINGS="", **opened)

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["run_id"], answer["model_version"]) == (run_id, "1")
    assert re.findall(r"epoch (\d)/4", done.stderr) == ["3", "4"]
    assert "going on after 2 of 4 epochs" in done.stderr
    assert "warning" not in done.stderr
    assert_as_undisturbed(run_id, request, trained, tmp_path)
    left = client.get_run(outer)
    assert (left.info.status, left.data.tags["resumed"], left.data.metrics) == ("FINISHED", run_id, {})
    assert len(runs_of(request)) == 2


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_gone_on_from(stopped, trained, cache, tmp_path):
    run_id, request = stopped
    newest = cache / "checkpoints" / run_id / "epoch-0002.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    _, reporter = go_on(request)
    assert reporter.warned == ["the checkpoint epoch-0002.npz is damaged: going on from the one before"]
    assert reporter.heard == [2, 3, 4]
    assert_as_undisturbed(run_id, request, trained, tmp_path)


def test_a_training_whose_checkpoints_are_gone_says_so_and_starts_again_in_its_run(stopped, trained, cache, tmp_path):
    run_id, request = stopped
    Checkpoints(cache / "checkpoints" / run_id).remove()
    _, reporter = go_on(request)
    (warning,) = reporter.warned
    assert warning.startswith("no checkpoint under ")
    assert reporter.heard == [1, 2, 3, 4]
    assert_as_undisturbed(run_id, request, trained, tmp_path)


def test_a_run_killed_after_it_registered_gets_no_second_version(stopped, trained, tmp_path):
    """As if the kill had fallen between the registration and the run's end, with the last checkpoint still there."""
    run_id, request = stopped
    first, _ = go_on(request)
    client = mlflow.MlflowClient(request.tracking_uri)
    client.update_run(run_id, status="RUNNING")
    second, _ = go_on(request)
    assert (first.model_version, second.model_version) == ("1", "1")
    assert_as_undisturbed(run_id, request, trained, tmp_path)


def test_a_run_carries_its_request_from_its_first_moment(stopped, faces):
    run_id, request = stopped
    mlflow.set_tracking_uri(request.tracking_uri)
    run = read_run(run_id)
    asked = json.loads(run.tags[TAG])
    assert asked["config"]["data.data"] == str(faces)
    assert asked["config"]["training.epochs"] == "4"
    assert set(asked) == {"config", "data_digest", "weights_digest", "model_name", "register", "show_faces"}
    assert asked["data_digest"] == read(faces, data_format="auto", cache_dir=request.cache_dir).cut_digest()
    assert run.tags["cell_digest"]


@pytest.mark.parametrize("kind", ["finished", "unknown"])
def test_a_run_that_cannot_go_on_is_one_line_and_exit_code_2(trained, command, kind, cache, tmp_path):
    run_id = trained.run_id if kind == "finished" else "0" * 32
    flags = ["--resume", run_id, "--tracking-uri", trained.uri, "--cache-dir", cache]
    done = command("train", *flags, cwd=tmp_path, PYTHONWARNINGS="")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert ("FINISHED" if kind == "finished" else run_id) in done.stderr

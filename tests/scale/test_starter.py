"""Trainings that end at once, since what they are asked for is a mistake; tests/cli/test_grid.py has whole ones."""

import fcntl
from dataclasses import replace

import click
import pytest

from emotion_mlflow.cli.train import command as train_command
from emotion_mlflow.cli.train import request_of
from emotion_mlflow.config import DataConfig
from emotion_mlflow.jobs.request import TrainRequest
from emotion_mlflow.scale.cells import Axes, plan
from emotion_mlflow.scale.starter import LocalStarter, has_checkpoints, train_arguments
from emotion_mlflow.tracking.cells import child_environment


def understood(arguments):
    """The request that `emotion-mlflow train` makes of them."""
    context = click.Context(train_command)
    assert arguments[0] == "train"
    train_command.parse_args(context, arguments[1:])
    flags = dict(context.params)
    assert flags.pop("as_json") is True
    return request_of(flags)


@pytest.mark.parametrize("weights", ["none", "imagenet", "auto", "a=b.weights.h5"])
def test_a_training_is_asked_for_exactly_what_the_cell_says(tmp_path, weights):
    base = TrainRequest(
        backbone="resnet50",
        tasks=("expression", "valence"),
        data=DataConfig(
            data="some faces", data_format="table", split_seed=3, limit=64, max_rejected=0.5, drop_leaks=True
        ),
        overrides={
            "training.epochs": 2,
            "training.learning_rate": 1e-3,
            "augment.contrast": (0.8, 1.2),
            "model.dropout": 0.1,
        },
        experiment="two words",
        model_name="small",
        register=False,
        show_faces="none",
        cache_dir=tmp_path / "a cache",
        cache_limit=2.5,
    )
    cell = replace(base, backbone="efficientnetb0", recipe="improved", weights=weights)
    asked = replace(cell, overrides={**base.overrides, "training.rng_seed": 4})
    got = understood(train_arguments(asked, parent_run="f00d"))
    assert got.parent_run == "f00d"
    assert got.weights == weights
    config = {"drawn": False, "labelled": ("expression", "valence", "arousal"), "name": "faces"}
    got, asked = (replace(one, weights="none", command="", parent_run="") for one in (got, asked))
    assert got.config(**config) == asked.config(**config)
    assert replace(got, overrides={}) == replace(asked, overrides={})


def test_a_resumed_training_is_told_its_run_its_seed_and_where_the_caches_are(tmp_path):
    settings = {"training.epochs": 2, "training.rng_seed": 4}
    place = {"cache_dir": tmp_path, "cache_limit": 2.5}
    request = TrainRequest(backbone="efficientnetb0", recipe="probe", overrides=settings, **place)
    got = understood(train_arguments(request, parent_run="f00d", resume="beef"))
    assert (got.resume, got.parent_run, got.cache_dir, got.cache_limit) == ("beef", "f00d", tmp_path, 2.5)
    assert (got.backbone, got.recipe) == ("resnet50", "auto")  # as if unsaid: the run knows
    assert got.overrides == {"training.rng_seed": 4}  # for this flag its default counts as said


@pytest.fixture
def failing(tmp_path):
    """A cell whose set is not there."""
    axes = Axes(backbones=("resnet50",), recipes=("improved",))
    (cell,) = plan(axes, TrainRequest(backbone="resnet50", cache_dir=tmp_path / "cache"), weights={"resnet50": "none"})
    request = replace(cell.request, data=DataConfig(data=str(tmp_path / "absent")))
    return replace(cell, request=request, digest="d1")


@pytest.fixture
def starter(store):
    return LocalStarter(environment=child_environment(store))


def test_a_failed_training_says_what_it_said(failing, starter):
    lines = []
    outcome = starter.start(failing, parent_run="", resume="", tell=lines.append)
    assert (outcome.status, outcome.run_id, outcome.model_version) == ("failed", None, None)
    assert outcome.error.endswith("absent")
    assert lines == [f"error: {outcome.error}"]
    assert outcome.seconds > 0


def test_a_training_that_was_killed_says_by_what(failing, starter, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    killing = LocalStarter(environment={**starter.environment, "PYTHONPATH": str(tmp_path)})
    outcome = killing.start(failing, parent_run="", resume="beef", tell=print)
    assert (outcome.status, outcome.run_id, outcome.error) == ("failed", "beef", "ended with SIGKILL")


def test_a_cell_that_another_process_trains_is_left_to_it(failing, starter):
    folder = failing.request.cache_dir / "checkpoints"
    folder.mkdir(parents=True)
    with (folder / "d1.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = starter.start(failing, parent_run="", resume="", tell=print)
    assert (outcome.status, outcome.error) == ("failed", "another process is training this cell")


def test_a_lock_is_free_again_once_the_training_has_ended(failing, starter):
    errors = [starter.start(failing, parent_run="", resume="", tell=lambda text: None).error for _ in range(2)]
    assert "another process is training this cell" not in errors


def test_the_child_opens_a_run_of_its_own_in_the_same_store(monkeypatch):
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "kept")
    environment = child_environment("sqlite:///a.db")
    told = {name: value for name, value in environment.items() if name.startswith("MLFLOW_")}
    assert told["MLFLOW_TRACKING_URI"] == "sqlite:///a.db"
    assert told["MLFLOW_TRACKING_USERNAME"] == "kept"
    assert not {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"} & set(told)


def test_only_a_whole_epoch_is_a_checkpoint_to_go_on_from(tmp_path):
    folder = tmp_path / "checkpoints" / "beef"
    folder.mkdir(parents=True)
    (folder / "epoch-0001.part").touch()
    assert not has_checkpoints(tmp_path, "beef")
    (folder / "epoch-0001.npz").touch()
    assert has_checkpoints(tmp_path, "beef")
    assert not has_checkpoints(tmp_path, "f00d")

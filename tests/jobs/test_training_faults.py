"""Trainings on sets and weights with something amiss: what is told, and what the run says of it."""

import json
import shutil
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def five_points(tmp_path_factory, draw_set):
    """A set with five landmark points, one of whose test faces shows a training face."""
    root = draw_set(tmp_path_factory.mktemp("five") / "faces")
    for file in root.rglob("*_lnd.npy"):
        np.save(file, np.load(file)[:10])
    shutil.copy(root / "train_set" / "images" / "3.jpg", root / "val_set" / "images" / "35.jpg")
    return root


@pytest.fixture(scope="module")
def probed(command, five_points, weights_file, cache, tmp_path_factory):
    """`train --recipe probe --weights FILE`, with and without --drop-leaks: (stderr, run) of each."""
    folder = tmp_path_factory.mktemp("probed")
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    flags = f"--backbone mobilenetv3small --recipe probe --weights {weights_file} --epochs 1 --image-size 32".split()
    flags += ["--data", five_points, "--cache-dir", cache, "--no-register", "--json"]
    told = []
    for more in ([], ["--drop-leaks"]):
        done = command("train", *flags, *more, cwd=folder)
        assert done.returncode == 0, done.stderr
        told.append((done.stderr, client.get_run(json.loads(done.stdout)["run_id"]).data))
    return told


def test_leaks_are_told_and_counted_and_drop_leaks_takes_them_away(probed):
    (told, kept), (quiet, dropped) = probed
    assert "warning: 1 held-out faces have a twin picture in another split (leaks): see --drop-leaks" in told
    assert (kept.metrics["data/leaks"], kept.metrics["data/leak_pairs"]) == (1, 1)
    assert "twin picture" not in quiet
    assert (dropped.metrics["data/leaks"], dropped.metrics["data/leak_pairs"]) == (0, 0)
    faces = [int(run.params["config/labelled/train/expression"]) for run in (kept, dropped)]
    assert faces[0] - faces[1] in (0, 1)  # the twin was in train, or in val


def test_what_was_loaded_of_a_weights_file_is_logged(probed):
    params = probed[0][1].params
    assert params["config/weights"] == "small.weights.h5"
    assert params["config/batch_norm_untrained"] == "1"
    assert int(params["config/batch_norm_frozen"]) == int(params["config/batch_norm_layers"]) - 1
    assert params["config/feature_stage"] == "expanded_conv_10_add"
    assert "BatchNormalization layers were never trained" in probed[0][0]


def test_faces_that_cannot_be_mirrored_are_told(probed):
    told, run = probed[0]
    assert "warning: faces are not mirrored: of 5 landmark points no mirror order is known" in told
    assert run.params["config/mirrored"] == "false"
    assert "train/landmarks/nme_box" in run.metrics
    assert "train/landmarks/nme" not in run.metrics


def test_imagenet_weights_that_cannot_be_had_fail_the_run_and_nothing_starts_from_scratch(here, command, faces):
    nobody = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    flags = ["--backbone", "mobilenetv3small", "--data", faces, "--image-size", "32", "--epochs", "1"]
    done = command(
        "train", *flags, "--cache-dir", here / "cache", cwd=here, KERAS_HOME=str(here / "keras"), no_proxy="", **nobody
    )
    assert done.returncode == 2
    assert "error: expected ImageNet weights that can be downloaded, or --weights none" in done.stderr
    assert "Traceback" not in done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlflow.db")
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.info.status == "FAILED"
    assert "train/loss" not in run.data.metrics
    assert run.data.tags["error"].startswith("expected ImageNet weights that can be downloaded")


def test_a_task_that_only_the_held_out_faces_are_labelled_for_is_left_out_and_said(here, command, draw_set, cache):
    root = draw_set(here / "faces")
    for file in (root / "train_set").rglob("*_lnd.npy"):
        file.unlink()
    flags = ["--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "32", "--epochs", "1"]
    flags += ["--data", root, "--cache-dir", cache, "--recipe", "improved"]
    asked = command("train", *flags, "--tasks", "landmarks", cwd=here)
    assert (asked.returncode, "expected labels to learn landmarks from; got none in faces" in asked.stderr) == (2, True)
    done = command("train", *flags, "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "warning: landmarks: labels on one side only" in done.stderr
    assert {name.split("/")[2] for name in json.loads(done.stdout)["scores"]} == {"expression", "valence", "arousal"}


@pytest.mark.parametrize(("epochs", "warned"), [(1, True), (2, False)])
def test_a_training_that_is_all_warm_up_says_that_its_backbone_is_not_trained(reporter, capsys, faces, epochs, warned):
    from emotion_mlflow.data.read import read
    from emotion_mlflow.jobs.request import TrainRequest
    from emotion_mlflow.jobs.work import Work
    from emotion_mlflow.recipes import improved

    config = improved("mobilenetv3small").override({"training.epochs": epochs})
    run = SimpleNamespace(log_params=lambda params: None, log_text=lambda name, text: None)
    work = Work(request=TrainRequest(backbone="mobilenetv3small"), config=config, run=run, reporter=reporter)
    work._log_start(read(faces, data_format="auto", cache_dir=None))
    assert ("warning: all epochs (1) are warm-up: the backbone is never trained" in capsys.readouterr().err) == warned

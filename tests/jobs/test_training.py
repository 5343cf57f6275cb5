"""One training as its user sees it, and what it leaves in MLflow. Most tests look at the same one (`trained`)."""

import base64
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from emotion_mlflow.tracking import registry

pytestmark = pytest.mark.slow

EPOCHS = 4  # of the fixture `trained`
AFFECT = ("mae", "rmse", "corr", "sagr", "ccc")
EXPRESSION = ("accuracy", "macro_f1", "kappa", "alpha", "roc_auc", "pr_auc", "ece")
OF_TRAIN = {"expression/accuracy", "expression/macro_f1", "valence/ccc", "arousal/ccc", "landmarks/nme"}
WITH_INTERVAL = OF_TRAIN | {"expression/ece", "valence/rmse", "arousal/rmse"}
WHOLE_SUITE = (
    {f"expression/{metric}" for metric in EXPRESSION}
    | {f"{task}/{metric}" for task in ("valence", "arousal") for metric in AFFECT}
    | {f"landmarks/{metric}" for metric in ("nme", "failure_rate_08", "auc_08")}
)
FIGURES = {
    "learning_curves",
    "learning_rate",
    "confusion_matrix",
    "roc_curves",
    "precision_recall_curves",
    "affect_scatter",
    "valence_density",
    "arousal_density",
    "landmark_errors",
    "reliability_diagram",
    "worst_faces_expression",
    "best_faces_expression",
}


def histories(trained, name, run_id=""):
    """{step: value} of a metric."""
    return {entry.step: entry.value for entry in trained.client.get_metric_history(run_id or trained.run_id, name)}


def final(metrics):
    return {name: value for name, value in metrics.items() if name.startswith("final/")}


# What is printed


def test_train_prints_one_json_line_with_the_keys_of_the_issue(trained):
    assert trained.done.stdout.count("\n") == 1
    assert list(trained.answer) == [
        "run_id",
        "model_name",
        "model_version",
        "backbone",
        "recipe",
        "seconds",
        "scores",
        "unsent",
    ]
    assert trained.answer["unsent"] == 0
    told = {name: trained.answer[name] for name in ("model_name", "model_version", "backbone", "recipe")}
    assert told == {
        "model_name": "emotion",
        "model_version": "1",
        "backbone": "mobilenetv3small",
        "recipe": "improved",
    }


def test_plain_progress_is_one_line_an_epoch_and_no_library_speaks(trained):
    lines = trained.done.stderr.splitlines()
    epochs = [line for line in lines if re.search(r"\bepoch \d", line)]
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert lines == [lines[0], *epochs], trained.done.stderr
    assert "mobilenetv3small, recipe improved, weights none" in lines[0]


# Scores


def test_the_final_scores_have_the_names_of_the_issue(trained):
    expected = {f"train/{name}" for name in OF_TRAIN}
    expected |= {f"{split}/{name}" for split in ("val", "test") for name in WHOLE_SUITE}
    expected |= {f"test/{name}_{bound}" for name in WITH_INTERVAL for bound in ("low", "high")}
    assert set(trained.answer["scores"]) == {f"final/{name}" for name in expected}
    assert len(expected) == 61


def test_the_scores_on_stdout_are_the_metrics_of_the_run(trained):
    defined = {name: value for name, value in trained.answer["scores"].items() if value is not None}
    assert final(trained.run().data.metrics) == defined


def test_the_run_keeps_to_about_a_hundred_metric_keys(trained):
    assert 90 <= len(trained.run().data.metrics) <= 112


def test_an_interval_holds_its_score(trained):
    scores = trained.answer["scores"]
    for name in WITH_INTERVAL - {"expression/ece"}:  # a bootstrap sample's calibration error is larger on average
        low, value, high = (scores[f"final/test/{name}{end}"] for end in ("_low", "", "_high"))
        assert low - 1e-6 <= value <= high + 1e-6, name


def test_each_epoch_logs_losses_metrics_rate_and_speed_of_every_task(trained):
    names = ["learning_rate", "seconds", "validation_seconds", "images_per_second", "train/loss", "val/loss"]
    for split in ("train", "val"):
        names += [f"{split}/{task}/loss" for task in ("expression", "valence", "arousal", "landmarks")]
        names += [f"{split}/expression/accuracy", f"{split}/landmarks/nme"]
        names += [f"{split}/valence/mae", f"{split}/arousal/mae"]
    names += ["val/expression/macro_f1", "val/selection_score"]
    for name in names:
        assert list(histories(trained, name)) == list(range(1, EPOCHS + 1)), name


def test_the_rate_warms_up_and_then_falls(trained):
    rates = list(histories(trained, "learning_rate").values())
    # one step an epoch: warm-up at 1e-3, then the cosine from 3e-4 over three epochs: 1, .7525, .2575 of it
    assert rates == pytest.approx([1e-3, 3e-4, 3e-4 * 0.7525, 3e-4 * 0.2575])


def test_the_run_says_what_it_cost(trained):
    metrics = trained.run().data.metrics
    assert metrics["cost/parameters"] > 900_000
    assert metrics["cost/model_file_bytes"] > 3e6
    assert metrics["cost/peak_memory_bytes"] > 1e8
    assert metrics["cost/seconds_per_epoch_training"] > 0
    assert metrics["cost/seconds_per_epoch_validation"] > 0
    assert 1 <= metrics["best_epoch"] <= EPOCHS
    assert (metrics["epochs"], metrics["stopped_early"], metrics["data/rejected"]) == (EPOCHS, 0, 0)


def test_system_metrics_are_logged(trained):
    assert any(name.startswith("system/") for name in trained.run().data.metrics)


# What is kept


def test_every_setting_is_a_param_under_config_and_so_is_the_place(trained):
    from emotion_mlflow.config import field_names

    params = trained.run().data.params
    assert {name for name in params if not name.startswith("config/")} == set()
    assert {f"config/{name}" for name in field_names()} <= set(params)
    assert params["config/training.epochs"] == "4"
    assert params["config/model.image_size"] == "32"
    assert params["config/model.tasks"] == "expression,valence,arousal,landmarks"
    assert params["config/command"].startswith("emotion-mlflow train --backbone mobilenetv3small")
    for name in ("git/commit", "git/dirty", "machine/device", "package/tensorflow", "package/keras", "weights_digest"):
        assert params[f"config/{name}"], name
    assert {params[f"config/labelled/{split}/landmarks"] for split in ("train", "val", "test")} == {"29", "3", "8"}
    assert params["config/mirrored"] == "true"
    assert params["config/package/numpy"] == np.__version__


def test_config_yaml_holds_the_same_settings(trained, tmp_path):
    from emotion_mlflow.config import SECTIONS

    kept = yaml.safe_load(trained.file("config.yaml", tmp_path).read_text())
    assert set(kept) == {"recipe", *SECTIONS}
    assert kept["training"]["learning_rate"] == 3e-4
    assert kept["model"]["image_size"] == 32


def test_every_split_is_a_dataset_with_a_digest(trained):
    inputs = trained.run().inputs.dataset_inputs
    contexts = [tag.value for entry in inputs for tag in entry.tags]
    assert sorted(contexts) == ["test", "train", "val"]
    assert len({entry.dataset.digest for entry in inputs}) == 3
    test = next(entry.dataset for entry in inputs if entry.tags[0].value == "test")
    assert test.digest == trained.run().data.tags["test_digest"]


def test_all_artifacts_are_there(trained):
    files = set(trained.files())
    assert {"history.csv", "config.yaml", "rejected.csv", "leaks.csv", "splits.json", "intervals_test.csv"} | {
        "per_class_test.csv",
        "confusion_test.csv",
        "per_source_test.csv",
    } <= files
    assert {f"predictions/{split}.parquet" for split in ("train", "val", "test")} <= files
    assert {f"figures/{name}.png" for name in FIGURES} <= files


def test_the_history_has_a_row_an_epoch_as_logged(trained, tmp_path):
    history = pd.read_csv(trained.file("history.csv", tmp_path))
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["val/loss"].tolist() == pytest.approx(list(histories(trained, "val/loss").values()), rel=1e-12)


def test_the_predictions_give_the_scores_again(trained, tmp_path):
    table = pd.read_parquet(trained.file("predictions/test.parquet", tmp_path))
    assert {"id", "content_hash", "identity", "expression_true", "expression_predicted"} <= set(table)
    assert len(table) == 8
    hits = (table["expression_true"] == table["expression_predicted"]).mean()
    assert hits == trained.answer["scores"]["final/test/expression/accuracy"]
    probabilities = table.filter(like="probability_").to_numpy()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    error = (table["valence_true"] - table["valence_predicted"]).abs().mean()
    assert error == pytest.approx(trained.answer["scores"]["final/test/valence/mae"], rel=1e-5)


def test_the_splits_part_the_set(trained, tmp_path):
    splits = json.loads(trained.file("splits.json", tmp_path).read_text())
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 29, "val": 3, "test": 8}
    assert len({face for ids in splits.values() for face in ids}) == 40
    assert all(face.startswith("val/") for face in splits["test"])  # the set's own validation part


def test_the_version_tells_all_from_the_registry_alone(trained):
    tags = trained.client.get_model_version("emotion", "1").tags
    run = trained.run().data
    assert set(tags) == {
        "backbone",
        "recipe",
        "rng_seed",
        "split_seed",
        "config_digest",
        "selected_on_test",
        "data_name",
        "weights",
        "weights_digest",
        "test_digest",
        "tasks",
        "selection_score",
    }
    assert set(tags) == set(registry.TAGS)  # what `grid` copies from a run that it registers later
    assert (tags["backbone"], tags["recipe"]) == ("mobilenetv3small", "improved")
    assert (tags["rng_seed"], tags["split_seed"], tags["selected_on_test"]) == ("0", "0", "false")
    assert tags["tasks"] == "expression,valence,arousal,landmarks"
    assert re.fullmatch("[0-9a-f]{32}", tags["config_digest"])
    assert float(tags["selection_score"]) == run.metrics["final/val/expression/macro_f1"]


def test_the_version_leads_to_its_run(trained):
    assert trained.client.get_model_version("emotion", "1").run_id == trained.run_id


def test_the_input_example_is_a_drawn_face(trained, tmp_path):
    from emotion_mlflow.jobs.work import example_picture

    kept = "".join(file.read_text() for file in trained.model(tmp_path).glob("*input_example*.json"))
    assert base64.b64encode(example_picture()).decode() in kept.replace("\\n", "").replace("\\/", "/")


def test_thumbnails_are_shown_with_a_store_on_this_machine(trained, tmp_path):
    figure = trained.file("figures/worst_faces_expression.png", tmp_path)
    pixels = np.asarray(Image.open(figure).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 2000  # letters and lines alone have hundreds


def test_a_finished_run_leaves_no_checkpoint_and_no_journal(trained, cache):
    assert trained.run().info.status == "FINISHED"
    assert not (cache / "journal" / trained.run_id).exists()
    assert not (cache / "checkpoints" / trained.run_id).exists()


# Once more, otherwise


@pytest.fixture(scope="module")
def other(trained, command, small, draw_set, cache, tmp_path_factory):
    """A second run in the same store: given by MLFLOW_RUN_ID, other seed and tasks, a broken picture, no version."""
    folder = tmp_path_factory.mktemp("other")
    client = mlflow.MlflowClient(trained.uri)
    given = client.create_run(client.get_experiment_by_name("emotion").experiment_id)
    client.log_param(given.info.run_id, "learning_rate", "1e-3")  # as `mlflow run -P` does
    broken = draw_set(folder / "faces")
    (broken / "train_set" / "images" / "5.jpg").write_bytes(b"no picture")
    flags = f"--data {broken} --cache-dir {cache} --max-rejected 0.03 --rng-seed 1 --tasks valence,arousal".split()
    flags += ["--learning-rate", "1e-3", "--no-register", "--json"]
    environment = {"MLFLOW_TRACKING_URI": trained.uri, "MLFLOW_RUN_ID": given.info.run_id}
    before = {run.info.run_id for run in trained.runs()}
    done = command("train", *small, *flags, "--epochs", "2", cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    return {"given": given.info.run_id, "answer": json.loads(done.stdout), "stderr": done.stderr, "before": before}


def test_the_run_of_mlflow_run_is_the_one_that_is_used(trained, other):
    assert other["answer"]["run_id"] == other["given"]
    assert {run.info.run_id for run in trained.runs()} - other["before"] == set()
    assert trained.run(other["given"]).info.status == "FINISHED"


def test_a_setting_given_to_mlflow_run_stays_and_the_resolved_one_stands_beside_it(trained, other):
    params = trained.run(other["given"]).data.params
    assert (params["learning_rate"], params["config/training.learning_rate"]) == ("1e-3", "0.001")


def test_no_register_makes_no_version(trained, other):
    assert (other["answer"]["model_name"], other["answer"]["model_version"]) == (None, None)
    assert trained.client.search_model_versions(f"run_id='{other['given']}'") == []


def test_another_rng_seed_keeps_the_test_faces(trained, other):
    mine, its = trained.run().data.tags, trained.run(other["given"]).data.tags
    assert (mine["rng_seed"], its["rng_seed"]) == ("0", "1")
    assert mine["test_digest"] == its["test_digest"]


def test_only_the_tasks_asked_for_are_learnt_and_scored(trained, other):
    assert {name.split("/")[2] for name in other["answer"]["scores"]} == {"valence", "arousal"}
    tags = trained.run(other["given"]).data.tags
    assert tags["tasks"] == "valence,arousal"
    scores = other["answer"]["scores"]
    agreement = [scores["final/val/valence/ccc"], scores["final/val/arousal/ccc"]]
    assert float(tags["selection_score"]) == pytest.approx(sum(agreement) / 2)


def test_a_few_broken_pictures_are_counted_listed_and_left_out(trained, other, tmp_path):
    assert "warning: 1 of 40 faces rejected" in other["stderr"]
    listed = pd.read_csv(trained.file("rejected.csv", tmp_path, other["given"]))
    assert listed["file"].tolist() == ["train_set/images/5.jpg"]
    assert listed["reason"].str.len().min() > 5
    assert trained.run(other["given"]).data.metrics["data/rejected"] == 1
    assert len(pd.read_parquet(trained.file("predictions/train.parquet", tmp_path, other["given"]))) <= 31


def test_too_many_broken_pictures_stop_a_training_before_a_run_opens(here, draw_set, command):
    broken = draw_set(here / "faces", train=8, val=8)
    (broken / "train_set" / "images" / "5.jpg").write_bytes(b"no picture")
    done = command("train", "--data", broken, "--weights", "none", "--cache-dir", here / "cache", "--json", cwd=here)
    assert done.returncode == 2
    told = json.loads(done.stdout)["error"]
    assert "at most 0.01 of the faces rejected" in told
    assert "train_set/images/5.jpg" in told
    assert "Traceback" not in done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert client.search_runs(experiments) == []


@pytest.fixture
def request_for(here, cache, faces):
    """A request for a training in this process, into a store of its own."""
    from emotion_mlflow.config import DataConfig
    from emotion_mlflow.jobs.request import TrainRequest

    def make(*, epochs, **asked):
        return TrainRequest(
            backbone="mobilenetv3small",
            recipe="improved",
            weights="none",
            data=DataConfig(data=str(faces)),
            overrides={"training.epochs": epochs, "model.image_size": 32},
            tracking_uri=f"sqlite:///{here}/mlflow.db",
            cache_dir=cache,
            **asked,
        )

    return make


def test_the_same_seed_gives_the_same_scores_to_the_last_bit(request_for, trained, reporter):
    from emotion_mlflow.jobs.training import train

    again = train(request_for(epochs=EPOCHS), reporter)
    plain = {name: None if np.isnan(value) else value for name, value in again.scores.items()}
    assert plain == trained.answer["scores"]


def test_landmarks_alone_are_selected_by_their_error(request_for, reporter):
    from emotion_mlflow.jobs.training import train

    outcome = train(request_for(epochs=1, tasks=("landmarks",)), reporter)
    assert {name.split("/")[2] for name in outcome.scores} == {"landmarks"}
    tags = mlflow.MlflowClient(outcome.tracking_uri).get_model_version("emotion", "1").tags
    assert tags["tasks"] == "landmarks"
    assert float(tags["selection_score"]) == -outcome.scores["final/val/landmarks/nme"]


# Stopping


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_is_killed_and_keeps_its_history(here, faces, cache, small, number, code):
    flags = [*small, "--epochs", "500", "--data", str(faces), "--cache-dir", str(cache)]
    held = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would
    try:  # its children
        process = subprocess.Popen(
            [sys.executable, "-m", "emotion_mlflow", "train", *flags], cwd=here, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, held)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("epoch 2/500"):
                sent = time.time()
                process.send_signal(number)
        assert process.wait(60) == code, lines
    finally:
        process.kill()
        process.stderr.close()
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith("stopped")
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert run.info.status == "KILLED"
    assert run.info.end_time / 1000 - sent < 10
    history = pd.read_csv(client.download_artifacts(run.info.run_id, "history.csv", str(here)))
    assert history["epoch"].tolist()[:2] == [1, 2]
    assert [entry.step for entry in client.get_metric_history(run.info.run_id, "val/loss")][:2] == [1, 2]
    assert sorted(file.suffix for file in (Path(cache) / "checkpoints" / run.info.run_id).iterdir())[:1] == [".npz"]

"""`evaluate`: training's own scores again, and any other faces."""

import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.labels import EXPRESSIONS

pytestmark = pytest.mark.slow


def scores_of(answer, split):
    return {name: value for name, value in answer["scores"].items() if name.startswith(f"final/{split}/")}


def same(one, other):
    """Equal to the last bit, undefined (NaN, null) where the other is."""
    plain = {name: None if value != value else value for name, value in one.items()}
    return plain == other


@pytest.fixture
def evaluated(here, trained, cache, reporter):
    """Evaluates a model of the store in this process."""
    from emotion_mlflow.jobs.evaluation import evaluate
    from emotion_mlflow.jobs.request import EvaluateRequest

    def run(**asked):
        request = {"model": "models:/emotion/1", "tracking_uri": trained.uri, "cache_dir": cache} | asked
        return evaluate(EvaluateRequest(**request), reporter)

    return run


@pytest.fixture(scope="module")
def told(trained, command, cache, tmp_path_factory):
    """`evaluate --json` as typed, from another folder, with nothing said of the faces."""
    flags = ["--model", "models:/emotion/1", "--cache-dir", cache, "--json"]
    done = command(
        "evaluate", *flags, cwd=tmp_path_factory.mktemp("elsewhere"), MLFLOW_TRACKING_URI=trained.uri, PYTHONWARNINGS=""
    )
    assert done.returncode == 0, done.stderr
    return done


def test_evaluate_gives_trainings_test_scores_to_the_last_bit(trained, told):
    answer = json.loads(told.stdout)
    assert list(answer) == list(trained.answer)
    assert answer["scores"] == scores_of(trained.answer, "test")
    assert len(answer["scores"]) == 20 + 16


def test_evaluate_says_nothing_else(told):
    assert (told.stdout.count("\n"), told.stderr) == (1, "")


def test_an_evaluation_is_a_run_of_its_own_that_names_its_model_and_faces(trained, told):
    run = trained.run(json.loads(told.stdout)["run_id"])
    assert run.info.run_id != trained.run_id
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert (tags["evaluated_model"], tags["evaluated_run"]) == ("models:/emotion/1", trained.run_id)
    assert (tags["split"], tags["test_digest"]) == ("test", trained.run().data.tags["test_digest"])
    (faces,) = run.inputs.dataset_inputs
    assert (faces.tags[0].value, faces.dataset.digest) == ("test", tags["test_digest"])
    (model,) = run.inputs.model_inputs
    assert trained.client.get_model_version("emotion", "1").source == f"models:/{model.model_id}"


def test_an_evaluation_has_predictions_and_figures_but_no_learning_curve(trained, told):
    files = trained.files(json.loads(told.stdout)["run_id"])
    assert {"predictions/test.parquet", "figures/confusion_matrix.png"} <= set(files)
    assert [name for name in files if "learning" in name or "history" in name] == []


def test_an_evaluation_says_which_set_it_read_and_how(trained, told, faces):
    params = trained.run(json.loads(told.stdout)["run_id"]).data.params
    read = [params[f"config/{name}"] for name in ("data", "data_format", "max_rejected", "split")]
    assert read == [str(faces), "auto", "0.01", "test"]


def test_a_set_named_by_a_relative_path_is_logged_in_full(here, trained, evaluated, draw_set):
    draw_set(here / "foreign", train=8, val=8, seed=1)
    run = trained.run(evaluated(data="foreign").run_id)
    assert run.data.params["config/data"] == str(here / "foreign")


@pytest.mark.parametrize("split", ["val", "train"])
def test_the_other_splits_come_out_the_same_too(trained, evaluated, faces, split):
    outcome = evaluated(split=split, data=str(faces), model=f"runs:/{trained.run_id}")
    expected = scores_of(trained.answer, split)
    assert len(expected) == (20 if split == "val" else 5)
    assert same({name: outcome.scores[name] for name in expected}, expected)


def test_of_foreign_faces_all_are_scored(here, evaluated, draw_set, trained):
    foreign = draw_set(here / "foreign", train=8, val=8, seed=1)
    outcome = evaluated(data=str(foreign))
    assert {name.split("/")[1] for name in outcome.scores} == {"all"}
    (inputs,) = trained.run(outcome.run_id).inputs.dataset_inputs
    assert json.loads(inputs.dataset.profile)["num_rows"] == 16


@pytest.fixture
def changed(here, trained, draw_set, cache, faces):
    """The set that the version was trained on, with one face more, elsewhere."""
    folder = here / "changed"
    shutil.copytree(faces, folder)
    more = draw_set(here / "more", train=1, val=0, seed=3)
    for kind in ("images", "annotations"):
        for file in (more / "train_set" / kind).iterdir():
            shutil.copy(file, folder / "train_set" / kind / file.name.replace("0", "900", 1))
    return folder


def test_a_set_that_has_changed_is_scored_with_a_warning_of_the_faces_that_trained_the_version(
    changed, evaluated, capsys, trained
):
    outcome = evaluated(data=str(changed))
    assert {name.split("/")[1] for name in outcome.scores} == {"all"}
    assert "warning: 32 of 41 faces trained or chose this version" in capsys.readouterr().err


def test_all_faces_of_the_version_s_own_set_are_scored_with_the_same_warning(trained, evaluated, capsys):
    outcome = evaluated(split="all")
    assert {name.split("/")[1] for name in outcome.scores} == {"all"}
    assert "warning: 32 of 40 faces trained or chose this version" in capsys.readouterr().err


@pytest.fixture
def lost(trained):
    """The version's own list of its training faces is gone from the store while the test runs."""
    folder = Path(url2pathname(urlsplit(trained.run().info.artifact_uri).path)) / "predictions"
    (folder / "train.parquet").rename(folder / "elsewhere")
    yield
    (folder / "elsewhere").rename(folder / "train.parquet")


def test_where_the_training_faces_are_not_known_any_more_all_are_scored_and_that_is_said(lost, evaluated, capsys):
    outcome = evaluated(split="all")
    assert {name.split("/")[1] for name in outcome.scores} == {"all"}
    said = capsys.readouterr().err
    assert "warning: how many of the faces trained this version is not known: expected a run that logged" in said


def test_auto_refuses_a_set_that_has_changed_since_the_training(changed, trained, evaluated, monkeypatch):
    from emotion_mlflow.errors import DataError
    from emotion_mlflow.jobs import evaluation

    real = evaluation.load_saved

    def moved(network, card):
        model = real(network, card)
        model.card["data"] = str(changed)
        return model

    monkeypatch.setattr(evaluation, "load_saved", moved)
    with pytest.raises(DataError, match="expected the set that the version was trained on, or --data, digest"):
        evaluated()


def test_the_version_s_own_set_is_read_as_its_training_read_it():
    from emotion_mlflow.jobs.evaluation import _as_trained
    from emotion_mlflow.jobs.request import EvaluateRequest

    card = {"data": "faces.csv", "data_format": "table", "max_rejected": 0.03}
    asked = _as_trained(EvaluateRequest(model="models:/emotion/1"), card)
    assert (asked.data, asked.data_format, asked.max_rejected) == ("faces.csv", "table", 0.03)


def test_a_foreign_set_of_another_layout_is_scored_without_its_landmarks_and_rejected_faces_are_listed(
    here, evaluated, draw_set, trained, capsys
):
    foreign = draw_set(here / "foreign", train=8, val=8, seed=1)
    for file in foreign.rglob("*_lnd.npy"):
        np.save(file, np.load(file)[:10])  # five points
    (foreign / "train_set" / "images" / "5.jpg").write_bytes(b"no picture")
    outcome = evaluated(data=str(foreign), max_rejected=0.1)
    assert "warning: landmarks are not scored: foreign has 5 points, the model 68" in capsys.readouterr().err
    answers = pd.read_parquet(trained.file("predictions/all.parquet", here, outcome.run_id))
    probabilities = answers[[f"probability_{name}" for name in EXPRESSIONS]].to_numpy()
    right = (probabilities.argmax(axis=1) == answers["expression_true"]).mean()
    assert outcome.scores["final/all/expression/accuracy"] == pytest.approx(right)
    assert not [name for name, value in outcome.scores.items() if "landmarks" in name and value == value]
    assert trained.run(outcome.run_id).data.metrics["data/rejected"] == 1
    assert "train_set/images/5.jpg" in trained.file("rejected.csv", here, outcome.run_id).read_text()


def test_a_split_of_foreign_faces_is_refused(here, evaluated, draw_set):
    from emotion_mlflow.errors import DataError

    foreign = draw_set(here / "foreign", train=8, val=8, seed=1)
    with pytest.raises(DataError, match="--split all, since foreign is not the set this version was trained on"):
        evaluated(data=str(foreign), split="test")


def test_a_model_that_is_not_there_is_told_in_one_line(here, trained, evaluated):
    from emotion_mlflow.errors import ModelError

    with pytest.raises(ModelError, match=r"models:/emotion@nobody") as told:
        evaluated(model="models:/emotion@nobody")
    assert "\n" not in str(told.value)

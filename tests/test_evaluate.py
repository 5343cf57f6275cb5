import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.errors import DataError
from emotion_mlflow.evaluate import answer, predictions_table, read_predictions, score
from emotion_mlflow.labels import IBUG_68, landmark_layout
from emotion_mlflow.metrics.suite import Answers, suite

FACES = 24


def answers_of(tasks=("expression", "valence", "arousal", "landmarks"), *, width=136, seed=0):
    """Random answers in which every third face lacks one label or another."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((FACES, 8)).astype(np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    places = rng.uniform(0, 48, (FACES, width)).astype(np.float32)
    arrays = {
        "expression_true": rng.integers(0, 8, FACES),
        "valence_true": rng.uniform(-1, 1, FACES).astype(np.float32),
        "arousal_true": rng.uniform(-1, 1, FACES).astype(np.float32),
        "landmarks_true": places + rng.normal(size=places.shape).astype(np.float32),
        "probabilities": probabilities,
        "valence": rng.uniform(-1, 1, FACES).astype(np.float32),
        "arousal": rng.uniform(-1, 1, FACES).astype(np.float32),
        "landmarks": places,
    }
    arrays["expression_true"][::3] = -1
    arrays["valence_true"][1::3] = np.nan
    arrays["landmarks_true"][2::3] = np.nan
    names = {"expression": "probabilities"}
    absent = {names.get(task, task) for task in ("expression", "valence", "arousal", "landmarks") if task not in tasks}
    return Answers(**{name: array for name, array in arrays.items() if name not in absent})


@pytest.fixture
def manifest(make_faces):
    return make_faces(FACES)


@pytest.fixture
def make_faces(tmp_path):
    from emotion_mlflow.data.manifest import COLUMNS, Manifest

    def make(count, *, width=136):
        table = pd.DataFrame(
            {
                "id": [f"{i:03d}" for i in range(count)], "path": "x.png", "width": 48, "height": 48,
                "expression": np.arange(count) % 8, "valence": 0.5, "arousal": -0.5, "identity": "somebody",
                "source": "", "part": "", "split": "test", "content_hash": "0" * 32, "picture_hash": 0,
                **dict.fromkeys(("crop_x", "crop_y", "crop_width", "crop_height"), np.nan),
            }
        )  # fmt: skip
        return Manifest(
            name="tiny", root=tmp_path, table=table.astype(COLUMNS)[list(COLUMNS)],
            landmarks=np.full((count, width), 5, np.float32), rejected=pd.DataFrame(),
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("tasks", "width"),
    [
        pytest.param(("expression", "valence", "arousal", "landmarks"), 136, id="all tasks"),
        pytest.param(("expression",), 136, id="expression only"),
        pytest.param(("valence", "landmarks"), 10, id="five points"),
        pytest.param(("expression", "valence"), 0, id="no landmarks at all"),
    ],
)
def test_a_predictions_table_in_parquet_gives_the_same_figures_to_the_last_bit(manifest, tmp_path, tasks, width):
    answers = answers_of(tasks, width=width)
    file = tmp_path / "test.parquet"
    predictions_table(manifest, answers).to_parquet(file)
    read = read_predictions(pd.read_parquet(file))
    layout = landmark_layout(width)
    before, after = suite(answers, layout=layout), suite(read, layout=layout)
    assert list(before) == list(after)
    np.testing.assert_array_equal(list(after.values()), list(before.values()))
    assert read.tasks() == tasks


def test_a_predictions_table_has_a_row_a_face_with_truth_prediction_and_probabilities(manifest):
    answers = answers_of()
    table = predictions_table(manifest, answers)
    assert table["id"].tolist() == manifest.table["id"].tolist()
    assert set(table["identity"]) == {"somebody"}
    assert table["expression_predicted"].tolist() == answers.probabilities.argmax(axis=1).tolist()
    assert table["probability_happy"].tolist() == answers.probabilities[:, 1].tolist()
    assert table["expression_true"][0] == -1
    assert len(table["landmarks_predicted"][0]) == 136


def test_a_table_without_our_columns_is_refused(manifest):
    table = predictions_table(manifest, answers_of()).drop(columns=["expression_true", "id"])
    with pytest.raises(DataError) as caught:
        read_predictions(table)
    assert str(caught.value) == "expected a predictions table of ours; got no column id, expression_true in predictions"


def scored(split, answers=None):
    return score(
        answers or answers_of(), split=split, layout=IBUG_68, digest="ab" * 16, identities=np.array([""] * FACES)
    )


def test_only_test_faces_get_intervals_and_only_the_eight_primary_scores_have_them():
    names = scored("test").named()
    bounds = {name for name in names if name.endswith(("_low", "_high"))}
    primary = ["expression/accuracy", "expression/macro_f1", "expression/ece", "valence/ccc", "valence/rmse",
               "arousal/ccc", "arousal/rmse", "landmarks/nme"]  # fmt: skip
    assert bounds == {f"final/test/{name}_{bound}" for name in primary for bound in ("low", "high")}
    assert not any(name.endswith(("_low", "_high")) for name in scored("val").named())


def test_training_faces_get_five_scores():
    assert set(scored("train").named()) == {
        "final/train/expression/accuracy", "final/train/expression/macro_f1", "final/train/valence/ccc",
        "final/train/arousal/ccc", "final/train/landmarks/nme",
    }  # fmt: skip


def test_faces_of_each_task_are_counted():
    assert scored("val").faces == {"expression": 16, "valence": 16, "arousal": 24, "landmarks": 16}


def test_intervals_come_from_the_faces_digest_alone():
    answers, nobody = answers_of(), np.array([""] * FACES)
    lows = [
        score(answers, split="test", layout=IBUG_68, digest=digest, identities=nobody).intervals["valence/ccc"].low
        for digest in ("ab" * 16, "ab" * 16, "cd" * 16)
    ]
    assert lows[0] == lows[1] != lows[2]


class Constant:
    """A model that answers the same for every face: what `answer` makes of it can be worked out by hand."""

    tasks = ("expression", "valence", "landmarks")
    card = {"landmark_points": 68}  # noqa: RUF012

    def answer(self, pixels):
        faces = len(pixels)
        return {
            "expression": np.full((faces, 8), 1 / 8, np.float32),
            "valence": np.full(faces, 0.25, np.float32),
            "landmarks": np.full((faces, 136), 0.5, np.float32),
        }


def test_landmarks_are_in_pixels_of_each_face_s_own_picture(make_faces):
    faces = make_faces(2)
    faces.table["width"], faces.table["height"] = np.array([40, 100], np.int32), np.array([20, 50], np.int32)
    found = answer(Constant(), faces, np.zeros((2, 8, 8, 3), np.uint8))
    assert found.landmarks[0, :2].tolist() == [19.5, 9.5]
    assert found.landmarks[1, :2].tolist() == [49.5, 24.5]
    assert found.arousal is None


def test_faces_without_landmarks_are_answered_and_not_scored_on_them(make_faces):
    found = answer(Constant(), make_faces(2, width=0), np.zeros((2, 8, 8, 3), np.uint8))
    assert np.isnan(suite(found)["landmarks/nme"])
    assert suite(found)["expression/accuracy"] == 0.5  # of 0 and 1, class 0 for both


def test_faces_with_other_landmarks_than_the_model_s_are_refused(make_faces):
    with pytest.raises(DataError) as caught:
        answer(Constant(), make_faces(2, width=10), np.zeros((2, 8, 8, 3), np.uint8))
    assert str(caught.value) == "expected 68 landmark points; got 5 in tiny"


def test_no_faces_are_refused(make_faces):
    with pytest.raises(DataError, match="expected at least one face; got 0 in tiny"):
        answer(Constant(), make_faces(0), np.zeros((0, 8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("probability_fear", None, "no column probability_fear"),
        ("valence_true", None, "no column valence_true"),
        ("valence_predicted", "=1+1", "no numbers in valence_predicted"),
        ("arousal_true", 7.0, "a number that cannot be in arousal_true"),
        ("expression_true", 8, "a number that cannot be in expression_true"),
        ("probability_happy", np.nan, "a number that cannot be in probability_happy"),
        ("landmarks_predicted", 3.0, "no x, y numbers in landmarks_predicted"),
    ],
)
def test_a_predictions_table_that_cannot_be_is_refused(manifest, column, cells, words):
    table = predictions_table(manifest, answers_of())
    table = table.drop(columns=column) if cells is None else table.assign(**{column: cells})
    with pytest.raises(DataError, match=words):
        read_predictions(table)


def test_predictions_without_a_row_are_refused(manifest):
    with pytest.raises(DataError, match="got no row"):
        read_predictions(predictions_table(manifest, answers_of()).iloc[:0])


def test_landmarks_of_several_lengths_are_refused(manifest):
    table = predictions_table(manifest, answers_of())
    table["landmarks_true"] = [np.zeros(4 if row else 6) for row in range(FACES)]
    with pytest.raises(DataError, match="several lengths in landmarks_true"):
        read_predictions(table)

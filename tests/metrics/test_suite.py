import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.errors import ConfigError, DataError
from emotion_mlflow.labels import IBUG_68
from emotion_mlflow.metrics import affect, expression, landmarks
from emotion_mlflow.metrics.resampling import ResampledSuite
from emotion_mlflow.metrics.suite import (
    PRIMARY,
    TRAIN_SCORES,
    Answers,
    epoch_name,
    labelled,
    pick,
    score_name,
    selection_score,
    suite,
)

FULL = [
    *(f"expression/{name}" for name in ("accuracy", "macro_f1", "kappa", "alpha", "roc_auc", "pr_auc", "ece")),
    *(f"valence/{name}" for name in ("mae", "rmse", "corr", "sagr", "ccc")),
    *(f"arousal/{name}" for name in ("mae", "rmse", "corr", "sagr", "ccc")),
    *(f"landmarks/{name}" for name in ("nme", "failure_rate_08", "auc_08")),
]


def answers(faces=40, *, width=136, seed=0):
    """Answers of a middling model on all tasks."""
    random = np.random.default_rng(seed)
    true = np.arange(faces) % 8
    affect_true = random.uniform(-1, 1, (2, faces))
    points = random.uniform(0, 224, (faces, width))
    probabilities = random.dirichlet(np.ones(8), faces) + np.eye(8)[true]
    return Answers(
        expression_true=true,
        probabilities=probabilities / probabilities.sum(1, keepdims=True),
        valence_true=affect_true[0],
        arousal_true=affect_true[1],
        valence=affect_true[0] / 2,
        arousal=affect_true[1] ** 2,
        landmarks_true=points,
        landmarks=points + random.normal(scale=3, size=points.shape),
    )


def test_all_tasks_give_every_name_in_the_fixed_order():
    assert list(suite(answers(), layout=IBUG_68)) == FULL


def test_figures_are_those_of_the_families():
    given = answers()
    scores = suite(given)
    assert scores["expression/roc_auc"] == expression.roc_auc(given.expression_true, given.probabilities)
    assert scores["valence/ccc"] == affect.ccc(given.valence_true, given.valence)
    assert scores["arousal/mae"] == affect.mae(given.arousal_true, given.arousal)
    errors = landmarks.face_errors(given.landmarks_true, given.landmarks, IBUG_68)
    assert scores["landmarks/auc_08"] == landmarks.curve_area(errors)
    assert all(type(value) is float for value in scores.values())


def test_a_task_that_was_not_learnt_has_no_name():
    without = replace(answers(), probabilities=None, arousal=None, landmarks=None)
    assert list(suite(without)) == [name for name in FULL if name.startswith("valence")]
    assert labelled(without) == {"valence": 40}


def test_points_without_known_eyes_have_an_error_of_another_name():
    scores = suite(answers(width=10))
    assert "landmarks/nme" not in scores
    assert list(scores)[-3:] == ["landmarks/nme_box", "landmarks/failure_rate_08", "landmarks/auc_08"]
    assert list(pick(scores, TRAIN_SCORES)) == [*TRAIN_SCORES[:-1], "landmarks/nme_box"]


def test_a_layout_that_is_given_outweighs_the_one_that_the_width_suggests():
    given, eyeless = answers(), replace(IBUG_68, name="others68", outer_eyes=None)
    errors = landmarks.face_errors(given.landmarks_true, given.landmarks, eyeless)
    assert suite(given, layout=eyeless)["landmarks/nme_box"] == landmarks.nme(errors)
    resampled = ResampledSuite(given, layout=eyeless).scores(np.ones((40, 1), np.int32))
    assert resampled["landmarks/nme_box"][0] == pytest.approx(landmarks.nme(errors))


def test_each_task_rests_on_its_own_labelled_faces():
    given = answers()
    expression_true, valence_true = given.expression_true.copy(), given.valence_true.copy()
    points = given.landmarks_true.copy()
    expression_true[:8], valence_true[:5], points[3] = -1, np.nan, np.nan
    given = replace(given, expression_true=expression_true, valence_true=valence_true, landmarks_true=points)
    assert labelled(given) == {"expression": 32, "valence": 35, "arousal": 40, "landmarks": 39}
    scores, kept = suite(given), suite(given.rows(np.arange(8, 40)))
    for name in FULL[:7]:
        assert scores[name] == kept[name]


def test_a_set_without_landmark_labels_leaves_their_figures_undefined():
    given = replace(answers(), landmarks_true=np.zeros((40, 0)))
    scores = suite(given)
    assert np.isnan([scores[name] for name in FULL[-3:]]).all()
    assert labelled(given)["landmarks"] == 0


def test_no_faces_at_all_give_every_name_and_no_number():
    scores = suite(answers().rows(np.zeros(0, int)))
    assert list(scores) == FULL
    assert np.isnan(list(scores.values())).all()


def test_rows_may_be_chosen_by_mask_or_by_repeated_place():
    given = answers(8)
    assert given.rows(np.arange(8) < 3).expression_true.tolist() == [0, 1, 2]
    assert given.rows(np.array([7, 7, 0])).expression_true.tolist() == [7, 7, 0]
    assert replace(given, valence=None).rows(np.array([1])).valence is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valence": np.zeros(3)}, "expected 8 rows, as in expression_true; got 3 in valence"),
        ({"arousal": np.full(8, np.nan)}, "expected finite predictions; got 8 that are not in arousal"),
        ({"expression_true": np.arange(8) + 1}, "expected expression labels -1 to 7; got 1 to 8"),
        ({"probabilities": np.full((8, 7), 1 / 7)}, r"expected 8 probabilities a face; got .*\(8, 7\)"),
        ({"probabilities": np.eye(8) * 9}, "expected probabilities that sum to 1; got a sum of 9"),
        ({"probabilities": np.eye(8) * 2 - 1 / 8}, "expected probabilities that sum to 1"),
    ],
    ids=["rows", "nan", "label", "width", "sum", "negative"],
)
def test_impossible_answers_are_refused_in_one_line(change, message):
    with pytest.raises(DataError, match=message):
        replace(answers(8), **change)


def test_predictions_of_a_task_not_learnt_are_told_as_missing():
    with pytest.raises(DataError, match="expected predictions for landmarks; got none"):
        replace(answers(8), landmarks=None).face_errors()


def test_names_are_paths_of_split_task_and_metric():
    assert score_name("test", "valence/ccc") == "final/test/valence/ccc"
    assert score_name("test", "valence/ccc", bound="low") == "final/test/valence/ccc_low"
    assert epoch_name("val", "expression/macro_f1") == "val/expression/macro_f1"
    with pytest.raises(ConfigError, match="expected a split of train, val, test, all; got valid"):
        score_name("valid", "valence/ccc")


def test_every_primary_and_training_score_is_a_figure_of_the_suite():
    assert set(PRIMARY) | set(TRAIN_SCORES) <= set(FULL)
    assert list(pick(suite(answers()), PRIMARY)) == list(PRIMARY)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"expression/macro_f1": 0.4, "valence/ccc": 0.9, "landmarks/nme": 0.1}, 0.4),
        ({"valence/ccc": 0.6, "arousal/ccc": 0.2, "landmarks/nme": 0.1}, 0.4),
        ({"arousal/ccc": 0.2}, 0.2),
        ({"landmarks/nme": 0.1}, -0.1),
        ({"landmarks/nme_box": 0.3, "landmarks/auc_08": 0.5}, -0.3),
    ],
    ids=["expression", "both affects", "arousal", "landmarks", "landmarks by box"],
)
def test_configurations_are_chosen_by_the_first_task_learnt(scores, expected):
    assert selection_score(scores) == pytest.approx(expected)


def test_nothing_to_choose_by_is_an_error():
    with pytest.raises(ConfigError, match="expected scores of at least one task; got none"):
        selection_score({})


def test_importing_the_metrics_loads_nothing_heavy():
    program = (
        "import sys, emotion_mlflow.metrics.suite, emotion_mlflow.metrics.uncertainty;"
        "heavy = {'scipy', 'sklearn', 'pandas', 'tensorflow', 'keras', 'mlflow', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

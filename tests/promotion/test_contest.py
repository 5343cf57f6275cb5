from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.metrics.suite import Answers
from emotion_mlflow.promotion.contest import Answered, calibration, contest, deciding, recalls
from emotion_mlflow.promotion.gates import Missing

FACES = 160


def answered(*, right, seed=0, noise=0.3, **gone):
    """Answers that are right on a share of the faces; a task given as None was not learnt."""
    truth, model = np.random.default_rng(1), np.random.default_rng(seed)
    true = np.arange(FACES) % 8
    told = np.where(model.random(FACES) < right, true, (true + 1) % 8)
    probabilities = np.full((FACES, 8), 0.05)
    probabilities[np.arange(FACES), told] = 0.65
    affect = truth.uniform(-1, 1, (2, FACES))
    points = truth.uniform(20, 80, (FACES, 136))
    points[:, 72], points[:, 90] = 20, 70
    answers = Answers(
        expression_true=true,
        probabilities=probabilities,
        valence_true=affect[0],
        arousal_true=affect[1],
        valence=affect[0] + model.normal(0, noise, FACES),
        arousal=affect[1] + model.normal(0, noise, FACES),
        landmarks_true=points,
        landmarks=points + model.normal(0, 10 * noise, points.shape),
    )
    ids = np.array([f"{row:03d}" for row in range(FACES)])
    return Answered(answers=replace(answers, **gone), ids=ids, identities=np.array([""] * FACES))


AFFECT = {"probabilities": None}
POINTS = {"probabilities": None, "valence": None, "arousal": None}


def compared(candidate, champion):
    return contest(candidate, champion, seed=1, resamples=400)


def test_macro_f1_decides_where_expression_was_learnt():
    assert deciding(answered(right=0.5).answers) == ("expression/macro_f1",)


def test_the_ccc_of_each_affect_task_decides_without_expression():
    assert deciding(answered(right=0.5, **AFFECT).answers) == ("valence/ccc", "arousal/ccc")


def test_the_landmark_error_decides_where_nothing_else_was_learnt():
    assert deciding(answered(right=0.5, **POINTS).answers) == ("landmarks/nme",)


def test_a_better_candidate_has_a_positive_difference_above_0_and_a_small_p():
    (one,) = compared(answered(right=0.9), answered(right=0.3, seed=5))
    assert one.candidate > one.champion
    assert one.difference == pytest.approx(one.candidate - one.champion)
    assert 0 < one.bound < one.difference
    assert one.p == pytest.approx(1 / 401)


def test_whole_people_are_swapped_where_they_are_known():
    # four people: 16 swaps, two of them as far apart as what was seen
    people = np.array([f"person{row // 40}" for row in range(FACES)])
    first, second = (replace(answered(right=right), identities=people) for right in (0.9, 0.3))
    (one,) = compared(first, second)
    assert one.p == pytest.approx(2 / 16, abs=0.06)


def test_only_some_faces_of_the_answers_are_kept_with_their_own():
    one = answered(right=0.5)
    part = one.only(np.array(["003", "001", "999"]))
    assert part.ids.tolist() == ["001", "003"]
    assert part.answers.expression_true.tolist() == [1, 3]
    assert np.array_equal(part.answers.landmarks, one.answers.landmarks[[1, 3]])


def test_a_smaller_landmark_error_is_a_positive_difference_too():
    (one,) = compared(answered(right=0.5, noise=0.1, **POINTS), answered(right=0.5, noise=0.4, seed=5, **POINTS))
    assert one.candidate < one.champion
    assert one.difference == pytest.approx(one.champion - one.candidate)
    assert 0 < one.bound < one.difference


def test_a_candidate_against_itself_differs_by_nothing():
    (one,) = compared(answered(right=0.5), answered(right=0.5))
    assert (one.difference, one.p) == (0, 1)


def test_a_champion_with_other_tasks_is_compared_where_the_deciding_one_is_common():
    (one,) = compared(answered(right=0.9), answered(right=0.3, landmarks=None))
    assert one.difference > 0


def test_a_champion_that_did_not_learn_what_decides_cannot_be_compared():
    found = compared(answered(right=0.9), answered(right=0.3, **AFFECT))
    assert found == Missing("the champion did not learn expression, which decides here")


def test_answers_for_other_faces_cannot_be_compared():
    other = answered(right=0.3)
    found = compared(answered(right=0.9), replace(other, ids=other.ids[::-1]))
    assert "for other faces" in found.why


def test_recalls_are_of_the_expressions_that_have_faces():
    one = answered(right=1.0).answers
    first = recalls(one.rows(np.arange(3)))
    assert [(each.expression, each.faces, each.recall) for each in first] == [
        ("neutral", 1, 1.0),
        ("happy", 1, 1.0),
        ("sad", 1, 1.0),
    ]


def test_the_calibration_error_is_confidence_minus_accuracy():
    # always .65 sure and always right
    assert calibration(answered(right=1.0).answers) == pytest.approx(0.35)


def test_without_expression_there_is_no_recall_and_no_calibration():
    one = answered(right=0.5, **AFFECT).answers
    assert (recalls(one), calibration(one)) == (None, None)


def test_without_expression_labels_the_calibration_is_missing():
    one = answered(right=0.5).answers
    unlabelled = replace(one, expression_true=np.full(FACES, -1))
    assert calibration(unlabelled) == Missing("no test face has an expression label")

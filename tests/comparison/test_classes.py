"""F1 of single expressions, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.comparison.classes import class_rows


@pytest.fixture
def four(material):
    """Truth neutral, neutral, happy, and one without a label; the answers as given."""

    def make(*answered):
        one = material(1, "resnet50", faces=4)
        probabilities = np.where(np.arange(8) == np.array(answered)[:, None], 0.65, 0.05)
        answers = replace(one.answers, expression_true=np.array([0, 0, 1, -1]), probabilities=probabilities)
        return replace(one, answers=answers)

    return make


def rows(sides):
    return {row.metric: row for row in class_rows("x", sides, seed=0, resamples=200)}


def test_f1_and_its_difference_are_those_of_the_faces_with_a_label(four):
    found = rows({"a": [four(0, 1, 1, 5)], "b": [four(0, 0, 1, 5)]})
    # a, neutral: 1 hit of 2 true and 1 answered: 2 / (2 + 1); happy: 1 hit of 1 true and 2 answered: 2 / (1 + 2)
    assert found["f1_neutral"].values["a"].value == pytest.approx(2 / 3)
    assert found["f1_happy"].values["a"].value == pytest.approx(2 / 3)
    assert found["f1_neutral"].difference == pytest.approx(2 / 3 - 1)
    assert found["f1_neutral"].label == "F1 of neutral (2 faces)"
    assert found["f1_neutral"].winner is None


def test_a_side_s_figure_is_the_mean_of_its_versions(four):
    found = rows({"a": [four(0, 1, 1, 5), four(0, 0, 1, 5)], "b": [four(0, 0, 1, 5)] * 2})
    assert found["f1_neutral"].values["a"].value == pytest.approx((2 / 3 + 1) / 2)


def test_a_class_that_is_neither_true_nor_answered_has_no_figure(four):
    found = rows({"a": [four(0, 0, 1, 5)], "b": [four(0, 0, 1, 5)]})
    assert found["f1_sad"].values["a"].value is None
    assert found["f1_sad"].values["a"].bounds is None


def test_a_class_without_a_face_has_no_figure_though_it_was_answered(four):
    found = rows({"a": [four(0, 2, 1, 5)], "b": [four(0, 0, 1, 5)]})
    assert found["f1_sad"].label == "F1 of sad (0 faces)"
    assert (found["f1_sad"].values["a"].value, found["f1_sad"].difference) == (None, None)


def test_of_three_sides_no_difference_is_told(four):
    one = four(0, 0, 1, 5)
    assert rows({"a": [one], "b": [one], "c": [one]})["f1_happy"].between is None


def test_without_expression_there_are_no_rows(four):
    one = four(0, 0, 1, 5)
    gone = replace(one, answers=replace(one.answers, probabilities=None))
    assert class_rows("x", {"a": [gone], "b": [gone]}, seed=0, resamples=10) == []

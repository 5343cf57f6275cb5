from itertools import pairwise

import numpy as np
import pytest

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.expression import class_areas, pr_auc, roc_auc
from emotion_mlflow.plots.expression import (
    confusion_matrix,
    precision_recall_curves,
    reliability_diagram,
    roc_curves,
)


def test_the_confusion_matrix_states_scores_counts_and_shares(words):
    # 2 of 3 right; F1 of neutral 2*1/(2+1), of happy 2*1/(1+2)
    text = words(confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1])))
    assert "Confusion matrix, accuracy 0.667, macro F1 0.667, n = 3 faces" in text
    assert "1\n50%" in text
    assert "1\n100%" in text
    assert "neutral\n(n = 2)" in text
    assert "happy\n(2)" in text


def test_a_class_without_faces_has_a_row_that_says_so(words):
    text = words(confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 7])))
    assert "contempt\n(no faces)" in text
    assert "no face is contempt: not defined" in text
    assert "contempt\n(1)" in text  # answered once


@pytest.mark.parametrize(
    ("draw", "name", "macro", "which"),
    [(roc_curves, "ROC", roc_auc, 0), (precision_recall_curves, "Precision-recall", pr_auc, 1)],
    ids=["roc", "precision-recall"],
)
class TestClassCurves:
    def test_the_legend_gives_the_metrics_areas(self, answers, words, draw, name, macro, which):
        true, probabilities = answers.expression_true, answers.probabilities
        text = words(draw(true, probabilities))
        assert f"{name} curves, macro AUC {macro(true, probabilities):.3f}, n = 80 faces" in text
        for label, area in enumerate(class_areas(true, probabilities)[which]):
            assert f"{EXPRESSIONS[label]} {area:.3f}" in text

    def test_a_perfect_model_has_areas_of_one(self, words, draw, name, macro, which):
        text = words(draw(np.arange(8), np.eye(8)))
        assert f"{name} curves, macro AUC 1.000, n = 8 faces" in text
        assert "contempt 1.000" in text

    def test_an_absent_class_is_named_and_the_macro_is_not_defined(self, words, draw, name, macro, which):
        text = words(draw(np.arange(7), np.eye(8)[:7]))
        assert f"{name} curves, macro AUC not defined, n = 7 faces" in text
        assert "contempt not defined (no faces)" in text
        assert "mean of 7 classes" in text


def test_the_precision_recall_macro_curve_is_the_mean_of_steps():
    # neutral's ranking: right, wrong, right: precision 1 up to recall .5, then 2/3; happy's is 1/2 throughout
    probabilities = np.zeros((3, 8))
    probabilities[:, 0], probabilities[:, 1] = [0.9, 0.6, 0.5], [0.1, 0.4, 0.5]
    figure = precision_recall_curves(np.array([0, 1, 0]), probabilities)
    x, y = figure.axes[0].lines[-1].get_data()
    assert y[np.searchsorted(x, 0.25)] == pytest.approx((1 + 1 / 2) / 2)
    assert y[np.searchsorted(x, 0.75)] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_crowded_corner_is_enlarged_for_a_good_model_only(answers):
    good = roc_curves(answers.expression_true, answers.probabilities)
    chance = roc_curves(answers.expression_true, np.full((80, 8), 1 / 8))
    assert [len(figure.axes[0].child_axes) for figure in (good, chance)] == [1, 0]


def test_the_reliability_diagram_states_ece_and_faces(words):
    # confidence .9 and right, .6 and wrong: ECE (|1 - .9| + |0 - .6|) / 2
    probabilities = np.zeros((2, 8))
    probabilities[:, 0], probabilities[:, 1] = [0.9, 0.6], [0.1, 0.4]
    text = words(reliability_diagram(np.array([0, 1]), probabilities))
    assert "Reliability diagram, ECE 0.350, n = 2 faces" in text
    assert "mean confidence 0.750, accuracy 0.500" in text


def test_names_and_large_counts_stay_inside_the_confusion_matrix_and_do_not_touch(overhang):
    true = np.repeat(np.arange(8), 15_000)
    figure = confusion_matrix(true, true)
    assert overhang(figure) < 0  # draws it, which places the names
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))

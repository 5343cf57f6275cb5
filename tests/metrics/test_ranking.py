import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from emotion_mlflow.metrics.ranking import Ranking

POSITIVE = np.array([True, True, False, False])
SCORE = np.array([0.9, 0.5, 0.5, 0.1])


def counts(*columns):
    return np.array(columns, dtype=np.int32).T


def test_a_tie_counts_half_in_roc_auc_and_is_one_threshold_in_average_precision():
    roc, average_precision = Ranking(POSITIVE, SCORE).areas(counts([1, 1, 1, 1]))
    # pairs: .9 beats .5 and .1; .5 ties with .5 and beats .1
    assert roc[0] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    # at .9 precision 1, recall 1/2; at .5 precision 2/3, recall 1
    assert average_precision[0] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


def test_counting_a_face_twice_is_having_it_twice():
    roc, average_precision = Ranking(POSITIVE, SCORE).areas(counts([1, 1, 1, 1], [2, 0, 3, 1]))
    picked = [0, 0, 2, 2, 2, 3]
    assert roc[1] == pytest.approx(sklearn_metrics.roc_auc_score(POSITIVE[picked], SCORE[picked]))
    wanted = sklearn_metrics.average_precision_score(POSITIVE[picked], SCORE[picked])
    assert average_precision[1] == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_areas_are_those_of_scikit_learn_with_sample_weights(seed):
    random = np.random.default_rng(seed)
    positive, score = random.random(60) < 0.2, random.integers(0, 12, 60) / 12
    weights = random.integers(0, 4, (60, 3)).astype(np.int32)
    roc, average_precision = Ranking(positive, score).areas(weights)
    for column in range(3):
        weight = weights[:, column]
        wanted = sklearn_metrics.roc_auc_score(positive, score, sample_weight=weight)
        assert roc[column] == pytest.approx(wanted, abs=1e-13)
        wanted = sklearn_metrics.average_precision_score(positive, score, sample_weight=weight)
        assert average_precision[column] == pytest.approx(wanted, abs=1e-13)


def test_resamples_without_the_class_have_no_area():
    roc, average_precision = Ranking(POSITIVE, SCORE).areas(counts([0, 0, 1, 1], [1, 1, 0, 0]))
    assert np.isnan(roc).tolist() == [True, True]
    assert np.isnan(average_precision).tolist() == [True, False]


@pytest.mark.parametrize("faces", [0, 3])
def test_without_a_face_of_the_class_no_resample_has_an_area(faces):
    ranking = Ranking(np.zeros(faces, bool), np.linspace(0, 1, faces))
    roc, average_precision = ranking.areas(np.ones((faces, 2), np.int32))
    assert np.isnan([roc, average_precision]).all()
    assert roc.shape == average_precision.shape == (2,)

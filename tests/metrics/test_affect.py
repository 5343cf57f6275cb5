import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from emotion_mlflow.errors import DataError
from emotion_mlflow.metrics import affect

FIGURES = (affect.mae, affect.rmse, affect.corr, affect.sagr, affect.ccc)
# steps of 1/64: no differences so small that squaring loses them
VALUE = st.integers(-64, 64).map(lambda step: step / 64)
PAIRS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=30)
quick = settings(max_examples=30, deadline=None)


def made_up(faces, seed):
    random = np.random.default_rng(seed)
    true = random.uniform(-1, 1, faces)
    return true, 0.3 * true + 0.2 + random.normal(scale=0.3, size=faces)


def test_concordance_of_half_the_spread_is_four_fifths():
    # variances 2/3 and 1/6, covariance 1/3, equal means: 2/3 / (5/6)
    assert affect.ccc(np.array([-1, 0, 1]), np.array([-0.5, 0, 0.5])) == pytest.approx(0.8)


def test_concordance_falls_with_a_shift_that_correlation_does_not_see():
    true, shifted = np.array([-1, 0, 1]), np.array([0, 0.5, 1])
    # 2/3 / (5/6 + 1/4)
    assert affect.ccc(true, shifted) == pytest.approx(8 / 13)
    assert affect.corr(true, shifted) == pytest.approx(1)


def test_errors_of_three_faces_are_the_numbers_worked_by_hand():
    true, predicted = np.array([0.0, 0.5, -0.5]), np.array([0.3, 0.5, -0.1])
    assert affect.mae(true, predicted) == pytest.approx(0.7 / 3)
    assert affect.rmse(true, predicted) == pytest.approx(np.sqrt((0.09 + 0.16) / 3))


def test_zero_is_a_sign_of_its_own():
    true, predicted = np.array([0, 0.5, -0.5, 0.2]), np.array([0, 0.1, 0.3, 0])
    assert affect.sagr(true, predicted) == 2 / 4


def test_a_prediction_out_of_range_keeps_its_sign():
    assert affect.sagr(np.array([0.5, -0.5]), np.array([3.0, 3.0])) == 1 / 2


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn_and_scipy(seed):
    true, predicted = made_up(200, seed)
    correlation = stats.pearsonr(true, predicted).statistic
    accuracy = 2 / (true.std() / predicted.std() + predicted.std() / true.std()
        + (true.mean() - predicted.mean()) ** 2 / (true.std() * predicted.std()))  # fmt: skip
    wanted = {
        affect.mae: sklearn_metrics.mean_absolute_error(true, predicted),
        affect.rmse: sklearn_metrics.root_mean_squared_error(true, predicted),
        affect.corr: correlation,
        affect.ccc: correlation * accuracy,  # Lin 1989: precision times accuracy
    }
    for figure, expected in wanted.items():
        assert figure(true, predicted) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("constant", [0.3, 0.1, -1 / 3])
def test_a_constant_prediction_has_concordance_0_and_no_correlation(constant):
    true, predicted = np.random.default_rng(0).uniform(-1, 1, 101), np.full(101, constant)
    assert str(affect.ccc(true, predicted)) == "0.0"
    assert str(affect.ccc(-true, predicted)) == "0.0"
    assert np.isnan(affect.corr(true, predicted))
    assert affect.ccc(predicted, true) == 0.0


def test_two_equal_constants_have_no_concordance_and_two_different_ones_none_at_all():
    assert np.isnan(affect.ccc(np.full(7, 0.1), np.full(7, 0.1)))
    assert affect.ccc(np.full(7, 0.1), np.full(7, 0.2)) == 0.0


@pytest.mark.parametrize("true", [np.zeros(0), np.full(3, np.nan)], ids=["no faces", "no labels"])
def test_every_figure_without_a_labelled_face_is_undefined(true):
    assert np.isnan([figure(true, np.zeros(len(true))) for figure in FIGURES]).all()


def test_single_precision_is_read_as_it_is():
    true, predicted = (values.astype(np.float32) for values in made_up(500, 1))
    for figure in FIGURES:
        assert figure(true, predicted) == figure(true.astype(float), predicted.astype(float))


def test_other_numbers_of_truths_and_predictions_are_told():
    with pytest.raises(DataError, match="as many predictions as truths; got 2 rows and 1 rows"):
        affect.ccc(np.zeros(2), np.zeros(1))


@quick
@given(PAIRS)
def test_figures_stay_in_their_range_and_concordance_never_exceeds_correlation(pairs):
    true, predicted = np.array(pairs).T
    assert 0 <= affect.mae(true, predicted) <= affect.rmse(true, predicted) + 1e-12 <= 2 + 1e-12
    assert 0 <= affect.sagr(true, predicted) <= 1
    correlation, concordance = affect.corr(true, predicted), affect.ccc(true, predicted)
    assert np.isnan(correlation) or abs(correlation) <= 1
    assert np.isnan(concordance) or abs(concordance) <= 1
    if np.isfinite(correlation):
        assert abs(concordance) <= abs(correlation) + 1e-12


@quick
@given(PAIRS, st.lists(VALUE, max_size=8), st.randoms())
def test_order_and_faces_without_label_do_not_matter(pairs, unlabelled, random):
    true, predicted = np.array(pairs).T
    other_true, other_predicted = np.array(random.sample(pairs, len(pairs))).T
    other_true = np.r_[other_true, np.full(len(unlabelled), np.nan)]
    other_predicted = np.r_[other_predicted, unlabelled]
    for figure in FIGURES:
        value = figure(other_true, other_predicted)
        assert value == pytest.approx(figure(true, predicted), abs=1e-12, nan_ok=True)


@quick
@given(PAIRS)
def test_truth_and_prediction_may_change_places(pairs):
    true, predicted = np.array(pairs).T
    for figure in FIGURES:
        value = figure(predicted, true)
        assert value == pytest.approx(figure(true, predicted), abs=1e-12, nan_ok=True)


@quick
@given(st.lists(VALUE, min_size=2, max_size=30, unique=True))
def test_a_perfect_model_has_the_best_of_every_figure(values):
    true = np.array(values)
    assert [affect.mae(true, true), affect.rmse(true, true), affect.sagr(true, true)] == [0, 0, 1]
    assert affect.corr(true, true) == pytest.approx(1)
    assert affect.ccc(true, true) == 1

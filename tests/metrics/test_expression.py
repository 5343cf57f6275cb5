import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics import expression

TRUE = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])
FIGURES = (expression.accuracy, expression.macro_f1, expression.kappa, expression.alpha)
LABELS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=40)
quick = settings(max_examples=30, deadline=None)


def made_up(faces, *, seed=0, decimals=None):
    """Labels with every class and probabilities that know a little; rounding makes ties."""
    random = np.random.default_rng(seed)
    true = np.r_[np.arange(8), random.integers(0, 8, faces - 8)]
    probabilities = random.dirichlet(np.ones(8), faces) + 0.5 * np.eye(8)[true] * random.random((faces, 1))
    probabilities /= probabilities.sum(1, keepdims=True)
    return true, probabilities if decimals is None else np.round(probabilities, decimals)


def one_hot(labels):
    return np.eye(8)[labels]


def test_rows_of_the_confusion_matrix_are_truths_and_columns_predictions():
    table = expression.confusion(TRUE, PREDICTED)
    assert table.shape == (8, 8)
    assert table[:3, :3].tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert table.sum() == 6


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (expression.accuracy, 4 / 6),
        (expression.macro_f1, (4 / 5 + 2 / 4 + 2 / 3) / 3),
        (expression.kappa, (4 / 6 - 12 / 36) / (1 - 12 / 36)),
        (expression.alpha, 1 - 11 * 4 / (12**2 - 5**2 - 4**2 - 3**2)),
    ],
    ids=["accuracy", "macro_f1", "kappa", "alpha"],
)
def test_six_faces_give_the_numbers_worked_by_hand(figure, expected):
    assert figure(TRUE, PREDICTED) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("decimals", [None, 1], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_scikit_learn_and_krippendorff(seed, decimals):
    true, probabilities = made_up(300, seed=seed, decimals=decimals)
    predicted = expression.predicted_labels(probabilities)
    truths = one_hot(true)
    ours = [figure(true, predicted) for figure in FIGURES]
    ours += [expression.roc_auc(true, probabilities), expression.pr_auc(true, probabilities)]
    theirs = [
        sklearn_metrics.accuracy_score(true, predicted),
        sklearn_metrics.f1_score(true, predicted, average="macro"),
        sklearn_metrics.cohen_kappa_score(true, predicted),
        krippendorff.alpha(reliability_data=[true, predicted], level_of_measurement="nominal"),
        sklearn_metrics.roc_auc_score(truths, probabilities, average="macro"),
        sklearn_metrics.average_precision_score(truths, probabilities, average="macro"),
    ]
    assert ours == pytest.approx(theirs, abs=1e-13)


@pytest.mark.parametrize("decimals", [None, 1], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("label", [0, 7])
def test_curves_are_those_of_scikit_learn(label, decimals):
    true, probabilities = made_up(200, decimals=decimals)
    wanted = sklearn_metrics.roc_curve(true == label, probabilities[:, label], drop_intermediate=False)[:2]
    for ours, theirs in zip(expression.roc_curve(true, probabilities, label), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-15)
    wanted = sklearn_metrics.precision_recall_curve(true == label, probabilities[:, label])[:2]
    for ours, theirs in zip(expression.precision_recall_curve(true, probabilities, label), wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-15)


def test_per_class_figures_are_those_of_scikit_learn():
    true, probabilities = made_up(300)
    predicted = expression.predicted_labels(probabilities)
    rows = expression.per_class(true, predicted)
    wanted = sklearn_metrics.precision_recall_fscore_support(true, predicted)
    assert [row.name for row in rows] == list(EXPRESSIONS)
    figures = [[row.precision, row.recall, row.f1, row.support] for row in rows]
    assert np.transpose(figures) == pytest.approx(np.array(wanted))
    assert [row.predicted for row in rows] == np.bincount(predicted, minlength=8).tolist()


def test_precision_of_a_class_never_predicted_and_recall_of_one_never_true_are_undefined():
    true_only, predicted_only, neither = expression.per_class(np.array([0, 0]), np.array([1, 1]))[:3]
    assert np.isnan(true_only.precision)
    assert (true_only.recall, true_only.f1, true_only.support) == (0, 0, 2)
    assert np.isnan(predicted_only.recall)
    assert (predicted_only.precision, predicted_only.f1, predicted_only.predicted) == (0, 0, 2)
    assert np.isnan([neither.precision, neither.recall, neither.f1]).all()


def test_macro_f1_averages_over_classes_that_are_true_or_predicted():
    true, predicted = np.array([0, 0, 1]), np.array([0, 0, 5])
    assert expression.macro_f1(true, predicted) == pytest.approx((1 + 0 + 0) / 3)
    theirs = sklearn_metrics.f1_score(true, predicted, average="macro", zero_division=0)
    assert expression.macro_f1(true, predicted) == pytest.approx(theirs)


def test_a_model_collapsed_to_one_class_has_kappa_0_alpha_below_0_and_areas_of_chance():
    true = np.repeat(np.arange(8), 10)
    probabilities = np.tile([0.3, *[0.1] * 7], (80, 1))
    predicted = expression.predicted_labels(probabilities)
    assert expression.accuracy(true, predicted) == 1 / 8
    assert expression.kappa(true, predicted) == 0.0
    # by hand: values 90, 10 x 7; 1 - 159 * 140 / (160^2 - 90^2 - 7 * 10^2)
    assert expression.alpha(true, predicted) == pytest.approx(1 - 159 * 140 / 16800)
    assert expression.alpha(true, predicted) < 0
    # neutral: 2 * 10 / (10 + 80); the others 0
    assert expression.macro_f1(true, predicted) == pytest.approx(2 / 9 / 8)
    assert expression.roc_auc(true, probabilities) == 0.5
    assert expression.pr_auc(true, probabilities) == pytest.approx(1 / 8)


def test_areas_are_undefined_if_a_class_has_no_faces():
    true, probabilities = made_up(100)
    present = true != 3
    roc, average_precision = expression.class_areas(true[present], probabilities[present])
    assert np.flatnonzero(np.isnan(roc)).tolist() == [3]
    assert np.flatnonzero(np.isnan(average_precision)).tolist() == [3]
    assert np.isnan(expression.roc_auc(true[present], probabilities[present]))
    assert np.isnan(expression.pr_auc(true[present], probabilities[present]))
    assert len(expression.roc_curve(true[present], probabilities[present], 3)[0]) == 0


def test_agreement_beyond_chance_is_undefined_where_truth_and_model_know_one_class():
    same = np.full(5, 2)
    assert np.isnan(expression.kappa(same, same))
    assert np.isnan(expression.alpha(same, same))
    assert expression.accuracy(same, same) == 1
    assert expression.macro_f1(same, same) == 1


@pytest.mark.parametrize("true", [np.zeros(0, int), np.full(4, -1)], ids=["no faces", "no labels"])
def test_every_figure_without_a_labelled_face_is_undefined(true):
    predicted, probabilities = np.zeros(len(true), int), np.full((len(true), 8), 1 / 8)
    assert np.isnan([figure(true, predicted) for figure in FIGURES]).all()
    assert np.isnan(
        [figure(true, probabilities) for figure in (expression.roc_auc, expression.pr_auc, expression.ece)]
    ).all()
    assert expression.reliability(true, probabilities).faces.sum() == 0


def confident(*confidences):
    """Probabilities whose likeliest class is 0."""
    return np.array([[top, *[(1 - top) / 7] * 7] for top in confidences])


def test_calibration_error_of_five_faces_is_the_number_worked_by_hand():
    # bin (14/15, 1]: confidence .95 x 4, 3 right; bin (8/15, 9/15]: confidence .55, wrong
    true, probabilities = np.array([0, 0, 0, 1, 1]), confident(0.95, 0.95, 0.95, 0.95, 0.55)
    assert expression.ece(true, probabilities) == pytest.approx((abs(3 - 3.8) + abs(0 - 0.55)) / 5)
    bins = expression.reliability(true, probabilities)
    assert bins.faces.tolist() == [0] * 8 + [1] + [0] * 5 + [4]
    assert bins.confidence[[8, 14]] == pytest.approx([0.55, 0.95])
    assert bins.accuracy[[8, 14]] == pytest.approx([0, 0.75], abs=1e-12)
    assert np.isnan(bins.accuracy[0])


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower():
    assert expression.reliability(np.array([0, 0]), confident(0.5, 1.0), bins=2).faces.tolist() == [1, 1]


def test_calibration_error_is_that_of_the_plain_loop_in_guo_2017():
    true, probabilities = made_up(500)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == true
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expression.ece(true, probabilities) == pytest.approx(expected, abs=1e-14)


def test_a_label_that_is_no_expression_is_told_by_its_number():
    with pytest.raises(DataError, match="expected expression labels -1 to 7; got 0 to 8"):
        expression.confusion(np.array([0, 8]), np.array([0, 0]))
    with pytest.raises(DataError, match="expected expression labels 0 to 7; got -1 to 0"):
        expression.confusion(np.array([0, 1]), np.array([0, -1]))
    with pytest.raises(DataError, match="got 2 rows and 3 rows"):
        expression.accuracy(np.array([0, 1]), np.array([0, 1, 2]))


@quick
@given(LABELS)
def test_figures_stay_in_their_range(pairs):
    true, predicted = np.array(pairs).T
    assert 0 <= expression.accuracy(true, predicted) <= 1
    assert 0 <= expression.macro_f1(true, predicted) <= 1
    for figure in (expression.kappa, expression.alpha):
        value = figure(true, predicted)
        assert np.isnan(value) or -1 <= value <= 1


@quick
@given(LABELS, st.permutations(range(8)), st.randoms())
def test_names_of_classes_and_order_of_faces_do_not_matter(pairs, names, random):
    shuffled = random.sample(pairs, len(pairs))
    true, predicted = np.array(pairs).T
    other_true, other_predicted = np.array(names)[np.array(shuffled)].T
    for figure in FIGURES:
        value = figure(other_true, other_predicted)
        assert value == pytest.approx(figure(true, predicted), abs=1e-12, nan_ok=True)


@quick
@given(LABELS, st.lists(st.integers(0, 7), max_size=10))
def test_faces_without_label_do_not_matter(pairs, unlabelled):
    true, predicted = np.array(pairs).T
    with_more = np.r_[true, np.full(len(unlabelled), -1)], np.r_[predicted, np.array(unlabelled, int)]
    for figure in FIGURES:
        assert figure(*with_more) == pytest.approx(figure(true, predicted), abs=0, nan_ok=True)


@quick
@given(st.integers(0, 10**6), st.sampled_from([None, 1, 2]))
def test_areas_and_calibration_are_bounded_and_blind_to_order_and_to_faces_without_label(seed, decimals):
    true, probabilities = made_up(30, seed=seed, decimals=decimals)
    order = np.random.default_rng(seed).permutation(30)
    extra = np.r_[true[order], [-1, -1]], np.vstack([probabilities[order], probabilities[:2]])
    for figure in (expression.roc_auc, expression.pr_auc, expression.ece):
        value = figure(true, probabilities)
        assert 0 <= value <= 1
        assert figure(*extra) == pytest.approx(value, abs=1e-12)


@quick
@given(st.integers(0, 10**6))
def test_a_rising_change_of_scores_leaves_areas_as_they_are(seed):
    true, probabilities = made_up(30, seed=seed, decimals=1)
    for area in (expression.roc_auc, expression.pr_auc):
        assert area(true, probabilities**3 + 1) == area(true, probabilities)


def test_a_perfect_and_certain_model_has_the_best_of_every_figure():
    true = np.tile(np.arange(8), 3)
    assert [figure(true, true) for figure in FIGURES] == [1, 1, 1, 1]
    areas = expression.roc_auc(true, one_hot(true)), expression.pr_auc(true, one_hot(true))
    assert areas == (1, 1)
    assert expression.ece(true, one_hot(true)) == 0

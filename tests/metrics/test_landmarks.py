import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import IBUG_68, landmark_layout
from emotion_mlflow.metrics import landmarks

SQUARE = landmark_layout(8)
ERRORS = st.lists(st.floats(0, 0.3), min_size=1, max_size=30).map(np.array)
quick = settings(max_examples=30, deadline=None)


def faces(count, *, eyes=100.0):
    """(count, 136) random points whose outer eye corners lie `eyes` pixels apart."""
    points = np.random.default_rng(0).uniform(0, 224, (count, 68, 2))
    points[:, 36], points[:, 45] = (60, 90), (60 + eyes, 90)
    return points.reshape(count, 136)


def moved(true, *steps):
    """Each face's points moved by its own (right, down) pixels."""
    return true + np.tile(np.array(steps, float), 68)


def test_a_face_error_is_the_mean_distance_over_that_of_the_outer_eyes():
    true = faces(2)
    # 3-4-5 and 6-8-10 triangles over 100 pixels
    assert landmarks.face_errors(true, moved(true, (3, 4), (6, 8)), IBUG_68) == pytest.approx([0.05, 0.10])


def test_points_far_and_near_are_averaged_before_the_division():
    true = faces(1, eyes=50.0)
    predicted = true.copy()
    predicted[0, 0] += 34  # one point of 68 off by 34 pixels
    assert landmarks.face_errors(true, predicted, IBUG_68) == pytest.approx([34 / 68 / 50])


def test_other_layouts_are_measured_by_the_box_of_the_true_points():
    true = np.array([[0.0, 0, 40, 0, 40, 10, 0, 10]])  # sqrt(40 * 10) = 20
    assert landmarks.face_errors(true, true + np.tile([0, 5], 4), SQUARE) == pytest.approx([5 / 20])


def test_figures_of_two_faces_are_the_numbers_worked_by_hand():
    errors = np.array([0.05, 0.10])
    assert landmarks.nme(errors) == pytest.approx(0.075)
    assert landmarks.failure_rate(errors) == 0.5
    # the curve is 0 up to .05, then 1/2 up to .08: .03 / 2 / .08
    assert landmarks.curve_area(errors) == pytest.approx(0.1875)


def test_an_error_of_exactly_the_limit_is_no_failure():
    assert landmarks.failure_rate(np.array([0.08, 0.0800001])) == 0.5


def test_faces_without_label_have_no_error_and_do_not_count():
    true = np.vstack([faces(1), np.full((1, 136), np.nan), faces(1)])
    true[2, 7] = np.nan
    errors = landmarks.face_errors(true, moved(np.nan_to_num(true), (3, 4), (9, 9), (9, 9)), IBUG_68)
    assert np.isnan(errors).tolist() == [False, True, True]
    assert landmarks.nme(errors) == pytest.approx(0.05)


def test_a_face_whose_true_eyes_coincide_cannot_be_measured():
    assert np.isnan(landmarks.face_errors(faces(1, eyes=0.0), faces(1), IBUG_68)).all()


def test_without_a_labelled_face_figures_are_undefined_and_the_curve_is_empty():
    for errors in (np.zeros(0), np.full(3, np.nan)):
        assert np.isnan([landmarks.nme(errors), landmarks.failure_rate(errors), landmarks.curve_area(errors)]).all()
        assert [len(part) for part in landmarks.error_curve(errors)] == [0, 0]


def test_the_error_curve_climbs_at_each_error_and_ends_at_the_limit():
    places, shares = landmarks.error_curve(np.array([0.02, 0.5, 0.02, 0.06]), 0.08)
    assert places.tolist() == [0, 0.02, 0.06, 0.08]
    assert shares.tolist() == [0, 0.5, 0.75, 0.75]


def test_another_number_of_points_than_the_layout_has_is_told():
    with pytest.raises(DataError, match=r"expected 136 landmark numbers a face; got an array of shape \(1, 8\)"):
        landmarks.face_errors(faces(1), np.zeros((1, 8)), IBUG_68)
    with pytest.raises(DataError, match="expected 2 faces with predicted landmarks; got 1"):
        landmarks.face_errors(faces(2), faces(1), IBUG_68)


@quick
@given(ERRORS)
def test_the_area_is_that_under_the_steps_of_the_curve(errors):
    places, shares = landmarks.error_curve(errors)
    under_steps = (np.diff(places) * shares[:-1]).sum() / landmarks.LIMIT
    assert landmarks.curve_area(errors) == pytest.approx(under_steps, abs=1e-12)
    assert 0 <= landmarks.curve_area(errors) <= shares[-1] + 1e-12
    assert shares[-1] == pytest.approx(1 - landmarks.failure_rate(errors))


@quick
@given(ERRORS, st.integers(0, 5), st.randoms())
def test_order_and_faces_without_label_do_not_matter(errors, unlabelled, random):
    others = np.r_[random.sample(errors.tolist(), len(errors)), np.full(unlabelled, np.nan)]
    for figure in (landmarks.nme, landmarks.failure_rate, landmarks.curve_area):
        assert figure(others) == pytest.approx(figure(errors), abs=1e-12)


@quick
@given(st.floats(0.1, 10), st.floats(-50, 50), st.sampled_from([IBUG_68, landmark_layout(20)]))
def test_a_larger_or_moved_picture_leaves_the_error_as_it_is(scale, shift, layout):
    random = np.random.default_rng(3)
    true = random.uniform(0, 224, (4, layout.width))
    predicted = true + random.normal(size=true.shape)
    errors = landmarks.face_errors(true, predicted, layout)
    other = landmarks.face_errors(true * scale + shift, predicted * scale + shift, layout)
    assert other == pytest.approx(errors, rel=1e-9)


def test_a_perfect_model_has_the_best_of_every_figure():
    errors = landmarks.face_errors(faces(3), faces(3), IBUG_68)
    assert [landmarks.nme(errors), landmarks.failure_rate(errors), landmarks.curve_area(errors)] == [0, 0, 1]

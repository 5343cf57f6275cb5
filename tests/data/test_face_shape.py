import numpy as np
import pytest

from emotion_mlflow.data.face_actions import Actions
from emotion_mlflow.data.face_shape import Build, Pose, curve, face_points
from emotion_mlflow.labels import IBUG_68

REST = face_points(Build(), Actions())
FRONT = Pose()


def test_a_face_at_rest_from_the_front_is_its_own_mirror_image_in_ibug_order():
    flat = FRONT.project(REST)
    mirrored = flat[list(IBUG_68.mirror)] * (-1, 1) + (2 * FRONT.x, 0)
    assert mirrored == pytest.approx(flat)


def test_the_parts_of_a_face_are_where_ibug_numbers_them():
    flat = FRONT.project(REST)
    jaw, left_brow, right_brow, nose = flat[:17], flat[17:22], flat[22:27], flat[27:36]
    left_eye, right_eye, mouth = flat[36:42], flat[42:48], flat[48:68]
    assert (np.diff(jaw[:, 0]) > 0).all()
    assert jaw[8, 1] == jaw[:, 1].max() > mouth[:, 1].max() > nose[:, 1].max() > left_eye[:, 1].max()
    assert left_eye[:, 0].max() < flat[27, 0] < right_eye[:, 0].min()
    assert left_brow[:, 1].max() < left_eye[:, 1].min()
    assert (np.diff(np.concatenate([left_brow, right_brow])[:, 0]) > 0).all()


@pytest.mark.parametrize(("corner", "upper", "lower"), [(36, (37, 38), (41, 40)), (42, (43, 44), (47, 46))])
def test_an_eye_goes_from_its_left_corner_over_the_upper_lid_to_the_right_and_back(corner, upper, lower):
    flat = FRONT.project(REST)
    assert flat[corner, 0] < flat[upper[0], 0] < flat[upper[1], 0] < flat[corner + 3, 0]
    assert flat[corner, 0] < flat[lower[0], 0] < flat[lower[1], 0] < flat[corner + 3, 0]
    assert flat[list(upper), 1].max() < flat[list(lower), 1].min()


def test_the_inner_lip_line_lies_within_the_outer_one():
    open_mouth = face_points(Build(), Actions(jaw_drop=0.8))[:, :2]
    assert open_mouth[51, 1] < open_mouth[62, 1] < open_mouth[66, 1] < open_mouth[57, 1]
    assert open_mouth[48, 0] < open_mouth[60, 0] < open_mouth[64, 0] < open_mouth[54, 0]


@pytest.mark.parametrize(
    ("actions", "point", "direction"),
    [
        (Actions(corner_up=1), 48, -1),
        (Actions(corner_up=-1), 54, 1),
        (Actions(brow_inner_up=1), 21, -1),
        (Actions(brow_outer_up=1), 18, -1),
        (Actions(brow_lower=1), 22, 1),
        (Actions(lid_raise=1), 37, -1),
        (Actions(lid_tighten=1), 41, -1),
        (Actions(jaw_drop=1), 57, 1),
        (Actions(jaw_drop=1), 8, 1),
        (Actions(lip_raise=1), 51, -1),
        (Actions(nose_wrinkle=1), 33, -1),
        (Actions(smirk=1), 54, -1),
        (Actions(smirk=-1), 48, -1),
    ],
    ids=lambda value: value if isinstance(value, int) else next(k for k, v in vars(value).items() if v),
)
def test_an_action_moves_its_point_up_or_down(actions, point, direction):
    moved = face_points(Build(), actions)[point, 1] - REST[point, 1]
    assert np.sign(moved) == direction
    assert abs(moved) > 0.05  # of half a head's width


def test_turning_to_the_right_of_the_picture_moves_the_nose_there_and_not_the_jaw_s_ends_as_far():
    turned, front = Pose(yaw=0.3).project(REST), FRONT.project(REST)
    assert turned[30, 0] - front[30, 0] > 5
    assert abs((turned[0] + turned[16] - front[0] - front[16])[0]) / 2 < 2


def test_rolling_turns_the_eyes_line_by_the_angle():
    left, right = Pose(roll=0.2).project(REST)[[36, 45]]
    assert np.arctan2(right[1] - left[1], right[0] - left[0]) == pytest.approx(0.2, abs=1e-6)


def test_a_curve_passes_through_its_points():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    line = curve(points)
    assert len(line) == 13  # 2 pieces of 6 steps and the end
    assert line[[0, 6, 12]] == pytest.approx(points)
    assert curve(points, closed=True)[[0, 6, 12]] == pytest.approx(points)

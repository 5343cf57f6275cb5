import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_mlflow.config import AugmentConfig
from emotion_mlflow.data.augment import Changes, draw_changes, is_off, move_landmarks, moves_pictures
from emotion_mlflow.labels import IBUG_68, LandmarkLayout, landmark_layout

PAIR = LandmarkLayout(name="pair", points=2, mirror=(1, 0), outer_eyes=None)
"""A left and a right point."""
UNKNOWN = landmark_layout(10)


def draw(faces=1, *, layout=PAIR, with_landmarks=True, seed=0, **config):
    return draw_changes(
        np.random.default_rng(seed), faces, config=AugmentConfig(**config), layout=layout, with_landmarks=with_landmarks
    )


def only(**parts):
    """Changes of one face that does nothing but `parts`."""
    nothing = {
        "forward": np.array([[[1, 0, 0], [0, 1, 0]]], np.float32),
        "mirrored": np.array([False]),
        "contrast": np.ones(1, np.float32),
        "brightness": np.zeros(1, np.float32),
        "erased": np.zeros((1, 4), np.float32),
    }
    return Changes(**(nothing | parts))


def test_a_mirror_moves_points_to_the_other_side_and_swaps_left_and_right():
    # left point at .2, right point at .7 -> at .8 and .3, and the one at .3 is now the left one
    moved = move_landmarks(np.array([[0.2, 0.4, 0.7, 0.5]]), draw(flip=1.0), layout=PAIR)
    np.testing.assert_allclose(moved, [[0.3, 0.5, 0.8, 0.4]], atol=1e-6)


def test_a_mirrored_face_s_outer_eyes_keep_their_sides():
    face = np.full((1, 68, 2), 0.5)
    face[0, 36], face[0, 45] = (0.25, 0.4), (0.65, 0.42)  # outer eye corners, picture left and right
    moved = move_landmarks(face.reshape(1, -1), draw(layout=IBUG_68, flip=1.0), layout=IBUG_68).reshape(68, 2)
    np.testing.assert_allclose(moved[[36, 45]], [[0.35, 0.42], [0.75, 0.4]], atol=1e-6)


def test_turning_goes_around_the_middle():
    # forward by hand for 90 degrees: (x, y) around the middle goes to (-y, x)
    quarter = np.array([[[0, -1, 1], [1, 0, 0]]], np.float32)
    moved = move_landmarks(np.array([[0.5, 0.5, 0.9, 0.5]]), only(forward=quarter), layout=PAIR)
    np.testing.assert_allclose(moved, [[0.5, 0.5, 0.5, 0.9]], atol=1e-6)


def test_a_turn_keeps_distances_and_stays_within_its_degrees():
    change = draw(500, rotation=15.0)
    angle = np.degrees(np.arctan2(change.forward[:, 1, 0], change.forward[:, 0, 0]))
    assert np.abs(angle).max() <= 15
    assert (angle.min(), angle.max()) == (pytest.approx(-15, abs=0.5), pytest.approx(15, abs=0.5))
    np.testing.assert_allclose(np.linalg.det(change.forward[:, :, :2]), 1, atol=1e-5)
    middle = np.full((500, 4), 0.5)
    np.testing.assert_allclose(move_landmarks(middle, change, layout=PAIR), middle, atol=1e-6)


def test_zoom_scales_around_the_middle_within_its_share():
    change = draw(500, zoom=0.2)
    scale = change.forward[:, 0, 0]
    assert 0.8 <= scale.min() < 0.81
    assert 1.19 < scale.max() <= 1.2
    moved = move_landmarks(np.tile([0.5, 0.5, 0.75, 0.5], (500, 1)), change, layout=PAIR)
    np.testing.assert_allclose(moved[:, 2], 0.5 + 0.25 * scale, atol=1e-6)
    np.testing.assert_allclose(moved[:, :2], 0.5, atol=1e-6)


def test_shift_moves_every_point_alike_within_its_share():
    change = draw(500, shift=0.05)
    points = np.tile([0.2, 0.4, 0.7, 0.5], (500, 1))
    step = move_landmarks(points, change, layout=PAIR) - points
    np.testing.assert_allclose(step[:, :2], step[:, 2:], atol=1e-6)
    assert 0.049 < np.abs(step).max() <= 0.05 + 1e-6


def test_colour_changes_stay_within_their_limits():
    change = draw(500, contrast=(0.8, 1.2), brightness=30.0)
    assert 0.8 <= change.contrast.min() < 0.81 < 1.19 < change.contrast.max() <= 1.2
    assert 29 < np.abs(change.brightness).max() <= 30


def test_the_share_of_mirrored_and_erased_faces_is_the_config_s():
    change = draw(4000, flip=0.5, erase=0.2)
    # 4 standard deviations of a share of 4,000 faces: .032 and .025
    assert change.mirrored.mean() == pytest.approx(0.5, abs=0.032)
    assert (change.erased[:, 2] > change.erased[:, 0]).mean() == pytest.approx(0.2, abs=0.025)


def test_erased_rectangles_lie_inside_with_sides_of_a_tenth_to_four_tenths():
    boxes = draw(1000, erase=1.0).erased
    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-6
    assert sides.min() + 1e-6 >= 0.1
    assert sides.max() <= 0.4 + 1e-6


def test_no_face_is_mirrored_where_landmarks_are_learnt_and_their_mirror_is_not_known():
    assert not draw(100, layout=UNKNOWN, flip=1.0).mirrored.any()


def test_faces_are_mirrored_where_the_unknown_landmarks_are_not_learnt():
    change = draw(100, layout=UNKNOWN, with_landmarks=False, flip=1.0)
    assert change.mirrored.all()


def test_mirrored_landmarks_without_a_known_mirror_are_refused_rather_than_wrong():
    change = draw(1, layout=UNKNOWN, with_landmarks=False, flip=1.0)
    with pytest.raises(ValueError, match="expected a known mirror permutation"):
        move_landmarks(np.full((1, 10), 0.5), change, layout=UNKNOWN)


def test_nothing_switched_on_changes_nothing():
    change = draw(50)
    points = np.random.default_rng(1).random((50, 4))
    np.testing.assert_allclose(move_landmarks(points, change, layout=PAIR), points, atol=1e-6)
    assert not change.mirrored.any()
    assert not change.erased.any()
    assert set(change.contrast) == {1}
    assert set(change.brightness) == {0}


def test_the_same_generator_draws_the_same_changes_and_another_seed_others():
    config = {"flip": 0.5, "rotation": 10.0, "zoom": 0.1, "shift": 0.1, "brightness": 10.0, "erase": 0.5}
    first, again, other = (draw(20, seed=seed, **config) for seed in (3, 3, 4))
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.forward, other.forward)


def test_rows_picks_the_changes_of_some_faces():
    change = draw(9, rotation=10.0, flip=0.5)
    picked = change.rows(np.array([7, 2]))
    np.testing.assert_array_equal(picked.forward, change.forward[[7, 2]])
    np.testing.assert_array_equal(picked.mirrored, change.mirrored[[7, 2]])


def test_faces_without_landmarks_have_none_to_move():
    assert move_landmarks(np.empty((3, 0), np.float32), draw(3, flip=1.0), layout=landmark_layout(0)).shape == (3, 0)


@pytest.mark.parametrize("field", ["flip", "rotation", "zoom", "shift"])
def test_each_geometric_change_counts_as_moving_pictures(field):
    assert moves_pictures(AugmentConfig(**{field: 0.5}))
    assert not is_off(AugmentConfig(**{field: 0.5}))


def test_colour_alone_moves_nothing_and_no_change_is_off():
    colour = AugmentConfig(contrast=(0.8, 1.2), brightness=30.0, noise=5.0, erase=0.5)
    assert not moves_pictures(colour)
    assert not is_off(colour)
    assert is_off(AugmentConfig())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mirroring_twice_gives_the_face_back(seed):
    face = np.random.default_rng(seed).uniform(-0.2, 1.2, (1, 136))
    change = draw(1, layout=IBUG_68, flip=1.0)
    twice = move_landmarks(move_landmarks(face, change, layout=IBUG_68), change, layout=IBUG_68)
    np.testing.assert_allclose(twice, face, atol=1e-5)

import numpy as np
import pytest

from emotion_mlflow.config import AugmentConfig
from emotion_mlflow.data.augment import Changes, draw_changes, move_landmarks
from emotion_mlflow.labels import LandmarkLayout, landmark_layout

pytestmark = pytest.mark.slow  # imports TensorFlow

SIDE = 96
DOTS = LandmarkLayout(name="dots", points=4, mirror=(1, 0, 3, 2), outer_eyes=None)
"""Two left and two right points."""
ALL_TASKS = ("expression", "valence", "arousal", "landmarks")


def examples(faces=10, *, layout=DOTS, side=8, inputs=None):
    from emotion_mlflow.data.batches import Examples

    rng = np.random.default_rng(0)
    truth = {
        "expression": np.arange(faces, dtype=np.int32) % 8,
        "valence": np.arange(faces, dtype=np.float32),  # tells which face it is
        "arousal": np.zeros(faces, np.float32),
        "landmarks": rng.uniform(0.3, 0.7, (faces, layout.width)).astype(np.float32),
        "size": np.full((faces, 2), side, np.float32),
    }
    truth |= {f"{task}_labelled": np.ones(faces, np.float32) for task in ALL_TASKS}
    if inputs is None:
        inputs = rng.integers(0, 256, (faces, side, side, 3), dtype=np.uint8)
    return Examples(inputs=inputs, truth=truth, layout=layout)


def epoch(faces, *, seed=0, batch_size=4, tasks=ALL_TASKS, **config):
    from emotion_mlflow.data.batches import epoch_batches

    batches = epoch_batches(
        faces,
        config=AugmentConfig(**config),
        batch_size=batch_size,
        rng=np.random.default_rng(seed),
        tasks=tasks,
    )
    return [(inputs.numpy(), {name: values.numpy() for name, values in truth.items()}) for inputs, truth in batches]


def feature_epoch(faces, **config):
    from emotion_mlflow.data.batches import feature_rows, feature_views

    rng = np.random.default_rng(0)
    inputs, truth = feature_views(faces, tasks=ALL_TASKS)
    drawn = feature_rows(faces, config=AugmentConfig(**config), batch_size=4, rng=rng, tasks=ALL_TASKS)
    return [(inputs[rows], {name: values[rows] for name, values in truth.items()}) for rows in drawn]


def whole(batches):
    """All faces of an epoch in the order of the manifest: inputs and truth."""
    inputs = np.concatenate([inputs for inputs, _ in batches])
    truth = {name: np.concatenate([truth[name] for _, truth in batches]) for name in batches[0][1]}
    order = np.argsort(truth["valence"])
    return inputs[order], {name: values[order] for name, values in truth.items()}


def changed(pictures, changes, *, seed=(0, 0), **config):
    from emotion_mlflow.data.batches import change_pictures

    return change_pictures(pictures, vars(changes), np.array(seed), AugmentConfig(**config)).numpy()


def only(faces=1, **parts):
    nothing = {
        "forward": np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (faces, 1, 1)),
        "mirrored": np.zeros(faces, bool),
        "contrast": np.ones(faces, np.float32),
        "brightness": np.zeros(faces, np.float32),
        "erased": np.zeros((faces, 4), np.float32),
    }
    return Changes(**(nothing | parts))


def dotted(points):
    """(N, S, S, 3): four bright dots with soft edges on black, each a colour channel of its own or grey."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    pictures = np.zeros((len(points), 4, SIDE, SIDE), np.float32)
    for face, row in enumerate(points.reshape(len(points), 4, 2) * SIDE):
        for dot, (at_x, at_y) in enumerate(row):
            pictures[face, dot] = 255 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 1.5**2))
    return pictures


def find_dot(picture):
    """Where a bright dot is, in shares: its brightest pixel's neighbourhood's centre of mass."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    top, left = np.unravel_index(picture.argmax(), picture.shape)
    near = picture * (np.hypot(x - left - 0.5, y - top - 0.5) < 5)
    return np.array([(near * x).sum(), (near * y).sum()]) / near.sum() / SIDE


GEOMETRY = [
    pytest.param({"flip": 1.0}, id="flip"),
    pytest.param({"rotation": 15.0}, id="rotation"),
    pytest.param({"zoom": 0.2}, id="zoom"),
    pytest.param({"shift": 0.1}, id="shift"),
    pytest.param({"flip": 0.5, "rotation": 15.0, "zoom": 0.2, "shift": 0.1}, id="all together"),
]


@pytest.mark.parametrize("config", GEOMETRY)
def test_landmarks_go_where_the_pictures_go(config):
    """Bright dots painted at the landmarks are found again, by their names, where the moved landmarks are."""
    points = np.random.default_rng(3).uniform(0.3, 0.7, (12, 8))
    drawn = draw_changes(np.random.default_rng(4), 12, config=AugmentConfig(**config), layout=DOTS, with_landmarks=True)
    moved = move_landmarks(points, drawn, layout=DOTS).reshape(12, 4, 2)
    layers = dotted(points)  # a dot a layer, so that no two can be mistaken for each other
    worst = 0.0
    for dot in range(4):
        pictures = changed(np.repeat(layers[:, dot, :, :, None], 3, axis=-1), drawn, **config)[..., 0]
        for face in range(12):
            name = DOTS.mirror[dot] if drawn.mirrored[face] else dot
            worst = max(worst, SIDE * np.hypot(*(find_dot(pictures[face]) - moved[face, name])))
    assert worst < 0.6  # pixels of 96
    assert np.abs(moved - points.reshape(12, 4, 2)).max() * SIDE > 3  # something did move


def test_a_mirrored_picture_is_the_picture_read_from_right_to_left():
    picture = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3)).astype(np.float32)
    drawn = draw_changes(np.random.default_rng(0), 1, config=AugmentConfig(flip=1.0), layout=DOTS, with_landmarks=True)
    np.testing.assert_allclose(changed(picture, drawn, flip=1.0), picture[:, :, ::-1], atol=0.1)


def test_brightness_adds_grey_levels_within_0_and_255():
    picture = np.array([10.0, 128.0, 250.0], np.float32).reshape(1, 1, 1, 3) * np.ones((1, 2, 2, 1), np.float32)
    result = changed(picture, only(brightness=np.array([20], np.float32)), brightness=30.0)
    assert result[0, 0, 0].tolist() == [30, 148, 255]


def test_contrast_stretches_around_the_picture_s_mean():
    picture = np.full((1, 2, 2, 3), 80, np.float32)
    picture[0, 0] = 120  # mean 100
    result = changed(picture, only(contrast=np.array([0.5], np.float32)), contrast=(0.5, 0.5))
    assert result[0, 0, 0].tolist() == [110] * 3
    assert result[0, 1, 0].tolist() == [90] * 3


def test_noise_has_the_standard_deviation_asked_for_and_another_in_each_batch():
    grey = np.full((4, 64, 64, 3), 128, np.uint8)
    first, again, other = (changed(grey, only(4), seed=seed, noise=5.0) for seed in ((1, 2), (1, 2), (1, 3)))
    # of 49,152 numbers: the mean's standard error is .023, the deviation's .016
    assert (first - 128).std() == pytest.approx(5, abs=0.1)
    assert first.mean() == pytest.approx(128, abs=0.1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_erasing_paints_the_rectangle_grey_and_nothing_else():
    picture = np.zeros((2, 10, 10, 3), np.float32)
    boxes = np.array([[0.2, 0.5, 0.6, 0.8], [0, 0, 0, 0]], np.float32)  # x 2 to 5, y 5 to 7; nothing
    result = changed(picture, only(2, erased=boxes), erase=0.5)
    wanted = np.zeros((10, 10))
    wanted[5:8, 2:6] = 127.5
    np.testing.assert_array_equal(result[0, :, :, 1], wanted)
    assert not result[1].any()


@pytest.mark.parametrize("faces", [1, 4, 5, 9, 33])
@pytest.mark.parametrize("batch_size", [3, 4, 32])
def test_no_batch_has_one_face_where_there_are_more_than_a_batch_holds(faces, batch_size):
    from emotion_mlflow.data.batches import batch_count

    sizes = [len(inputs) for inputs, _ in epoch(examples(faces), batch_size=batch_size)]
    assert sum(sizes) == faces
    assert len(sizes) == batch_count(faces, batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or faces <= batch_size


def test_every_face_comes_once_an_epoch_with_its_own_labels():
    faces = examples(10)
    inputs, truth = whole(epoch(faces))
    np.testing.assert_array_equal(inputs, faces.inputs.astype(np.float32))
    for name, values in faces.truth.items():
        np.testing.assert_array_equal(truth[name], values)


CHANGES = {
    "flip": 0.5, "rotation": 10.0, "zoom": 0.1, "shift": 0.05, "contrast": (0.8, 1.2), "brightness": 20.0,
    "noise": 5.0, "erase": 0.5,
}  # fmt: skip


def test_the_same_generator_gives_the_same_epoch_and_another_one_another():
    first, again, other = (epoch(examples(), seed=seed, **CHANGES) for seed in ([0, 1], [0, 1], [0, 2]))
    for (inputs, truth), (inputs_again, truth_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(inputs, inputs_again)
        for name in truth:
            np.testing.assert_array_equal(truth[name], truth_again[name])
    order, other_order = (np.concatenate([truth["valence"] for _, truth in each]) for each in (first, other))
    assert not np.array_equal(order, other_order)
    assert not np.array_equal(whole(first)[0], whole(other)[0])


def test_an_epoch_s_landmarks_are_those_of_its_changed_pictures():
    layers = dotted(np.random.default_rng(3).uniform(0.35, 0.65, (6, 8)))
    faces = examples(6, side=SIDE)
    faces.truth["landmarks"][:] = np.random.default_rng(3).uniform(0.35, 0.65, (6, 8))
    faces.inputs[:] = layers[:, 0, :, :, None]
    inputs, truth = whole(epoch(faces, rotation=15.0, shift=0.1))
    for face in range(6):
        assert SIDE * np.hypot(*(find_dot(inputs[face, :, :, 0]) - truth["landmarks"][face, :2])) < 0.6


def test_faces_without_change_are_given_as_they_are():
    from emotion_mlflow.data.batches import plain_batches

    inputs = examples(10).inputs
    batches = [batch.numpy() for batch in plain_batches(inputs, batch_size=4)]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert batches[0].dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(batches), inputs)


def test_faces_whose_landmarks_have_no_known_mirror_are_not_mirrored_where_those_are_learnt():
    faces = examples(6, layout=landmark_layout(10))
    inputs, truth = whole(epoch(faces, flip=1.0))
    np.testing.assert_allclose(inputs, faces.inputs, atol=0.1)
    np.testing.assert_allclose(truth["landmarks"], faces.truth["landmarks"], atol=1e-6)


def test_faces_whose_landmarks_have_no_known_mirror_are_mirrored_where_those_are_not_learnt():
    faces = examples(6, layout=landmark_layout(10))
    inputs, _ = whole(epoch(faces, flip=1.0, tasks=("expression",)))
    np.testing.assert_allclose(inputs, faces.inputs[:, :, ::-1], atol=0.1)


def views(faces=6):
    """Features of which the second view's are the negative of the first's."""
    face = np.random.default_rng(0).normal(size=(faces, 1, 5)).astype(np.float32)
    return np.concatenate([face, -face], axis=1)


def test_a_mirrored_face_s_features_are_its_second_view():
    faces = examples(6, inputs=views())
    inputs, truth = whole(feature_epoch(faces, flip=1.0))
    np.testing.assert_array_equal(inputs, views()[:, 1])
    mirrored = faces.truth["landmarks"].reshape(6, 4, 2)[:, [1, 0, 3, 2]] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(truth["landmarks"], mirrored.reshape(6, 8), atol=1e-6)


def test_features_move_no_landmarks_but_in_the_mirror():
    """Turned features do not exist, so landmarks must stay where the features were seen."""
    faces = examples(6, inputs=views())
    inputs, truth = whole(feature_epoch(faces, rotation=15.0, shift=0.1, zoom=0.1))
    np.testing.assert_array_equal(inputs, views()[:, 0])
    np.testing.assert_allclose(truth["landmarks"], faces.truth["landmarks"], atol=1e-6)


def test_truth_is_masked_and_in_shares_of_each_face_s_own_picture(make_manifest):
    from emotion_mlflow.data.batches import truth_arrays

    manifest = make_manifest([3, -1], landmark_width=4, width=[40, 20], height=[20, 40], valence=[0.5, np.nan])
    manifest.landmarks[0] = [0, 0, 39.5, 9.5]  # the first pixel's centre; the right edge, the middle
    manifest.landmarks[1] = np.nan
    truth = truth_arrays(manifest)
    assert truth["expression"].tolist() == [3, 0]
    assert truth["valence"].tolist() == [0.5, 0]
    np.testing.assert_allclose(truth["landmarks"], [[0.0125, 0.025, 1.0, 0.5], [0, 0, 0, 0]], atol=1e-6)
    assert truth["size"].tolist() == [[40, 20], [20, 40]]
    masks = {task: truth[f"{task}_labelled"].tolist() for task in ALL_TASKS}
    assert masks == {"expression": [1, 0], "valence": [1, 0], "arousal": [1, 1], "landmarks": [1, 0]}
    assert manifest.table["valence"].isna().tolist() == [False, True]  # the manifest itself is as it was

import math

import numpy as np
import pytest

from emotion_mlflow.config import TrainingConfig

pytestmark = pytest.mark.slow  # imports TensorFlow

NO_WEIGHTS = np.ones(8, np.float32)
LOGITS = [math.log(9), 0, 0, 0, 0, 0, 0, 0]
"""Probabilities 9/16 for the first class and 1/16 for each other."""


def losses(truth, outputs, *, class_weights=NO_WEIGHTS, **settings):
    import tensorflow as tf

    from emotion_mlflow.models.losses import task_losses

    found = task_losses(
        {name: tf.constant(values) for name, values in truth.items()},
        {name: tf.convert_to_tensor(np.asarray(values, np.float32)) for name, values in outputs.items()},
        config=TrainingConfig(**settings),
        class_weights=tf.constant(class_weights, tf.float32),
    )
    return {task: (float(loss), float(faces)) for task, (loss, faces) in found.items()}


def expression(labels, labelled=None):
    mask = np.ones(len(labels)) if labelled is None else np.asarray(labelled)
    return {"expression": np.asarray(labels, np.int32), "expression_labelled": mask.astype(np.float32)}


def affect(values, labelled=None, *, task="valence"):
    mask = np.ones(len(values)) if labelled is None else np.asarray(labelled)
    return {task: np.asarray(values, np.float32), f"{task}_labelled": mask.astype(np.float32)}


def landmarks(rows, labelled=None):
    mask = np.ones(len(rows)) if labelled is None else np.asarray(labelled)
    return {"landmarks": np.asarray(rows, np.float32), "landmarks_labelled": mask.astype(np.float32)}


def test_cross_entropy_is_minus_the_log_of_the_true_class_s_probability():
    loss, faces = losses(expression([0]), {"expression": [LOGITS]})["expression"]
    assert loss == pytest.approx(-math.log(9 / 16), rel=1e-5)
    assert faces == 1


def test_label_smoothing_shares_a_tenth_among_all_eight_classes():
    # target .9 + .1 / 8 = .9125 for the true class and .0125 for each of the other seven
    wanted = -0.9125 * math.log(9 / 16) - 7 * 0.0125 * math.log(1 / 16)
    loss, _ = losses(expression([0]), {"expression": [LOGITS]}, label_smoothing=0.1)["expression"]
    assert loss == pytest.approx(wanted, rel=1e-5)


def test_class_weights_count_a_face_by_its_true_class():
    weights = np.array([2, 0.5, 1, 1, 1, 1, 1, 1])
    # (2 * -ln 9/16 + .5 * -ln 1/16) / 2 faces
    wanted = (2 * 0.5753641 + 0.5 * 2.7725887) / 2
    loss, _ = losses(expression([0, 1]), {"expression": [LOGITS] * 2}, class_weights=weights)["expression"]
    assert loss == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        pytest.param("mse", (0.3**2 + 0.6**2) / 2, id="mse"),
        pytest.param("huber", (0.3**2 + (0.6 - 0.25)) / 2, id="huber: bends at .5"),
    ],
)
def test_affect_losses_of_errors_of_3_and_6_tenths(kind, wanted):
    loss, faces = losses(affect([0.5, -0.5]), {"valence": [[0.2], [0.1]]}, affect_loss=kind)["valence"]
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert faces == 2


def test_ccc_loss_is_one_minus_lin_s_coefficient():
    # means .5 and .25, covariance .125, variances .25 and .0625: CCC = .25 / (.3125 + .0625) = 2/3
    loss, _ = losses(affect([0, 1]), {"valence": [[0.0], [0.5]]}, affect_loss="ccc")["valence"]
    assert loss == pytest.approx(1 / 3, abs=1e-5)


def test_ccc_loss_of_a_constant_answer_is_one():
    loss, _ = losses(affect([0, 1]), {"valence": [[0.5], [0.5]]}, affect_loss="ccc")["valence"]
    assert loss == pytest.approx(1.0, abs=1e-5)


def test_wing_loss_of_4_and_20_hundredths():
    # below w = 10: 10 ln(1 + 4 / 2); above: 20 - (10 - 10 ln(1 + 10 / 2)); mean of both, in tenths
    wanted = (10 * math.log(3) + 20 - (10 - 10 * math.log(6))) / 2 / 10
    loss, _ = losses(landmarks([[0.5, 0.5]]), {"landmarks": [[0.54, 0.3]]}, landmark_loss="wing")["landmarks"]
    assert loss == pytest.approx(wanted, rel=1e-4)


def test_wing_loss_has_no_step_where_it_bends():
    below, above = (
        losses(landmarks([[0.0, 0.0]]), {"landmarks": [[error] * 2]}, landmark_loss="wing")["landmarks"][0]
        for error in (0.09999, 0.10001)
    )
    assert below == pytest.approx(above, abs=1e-3)


def test_l1_loss_of_4_and_20_hundredths():
    loss, _ = losses(landmarks([[0.5, 0.5]]), {"landmarks": [[0.54, 0.3]]}, landmark_loss="l1")["landmarks"]
    assert loss == pytest.approx((4 + 20) / 2 / 10, rel=1e-4)


CASES = [
    pytest.param("expression", {}, id="cross-entropy"),
    pytest.param("valence", {"affect_loss": "mse"}, id="mse"),
    pytest.param("valence", {"affect_loss": "huber"}, id="huber"),
    pytest.param("valence", {"affect_loss": "ccc"}, id="ccc"),
    pytest.param("landmarks", {"landmark_loss": "wing"}, id="wing"),
    pytest.param("landmarks", {"landmark_loss": "l1"}, id="l1"),
]


def faces(task, labelled):
    """Truth and answers of three faces."""
    rng = np.random.default_rng(5)
    if task == "expression":
        return expression([2, 0, 5], labelled), rng.normal(size=(3, 8))
    if task == "valence":
        return affect([0.5, -0.5, 0.9], labelled), rng.normal(size=(3, 1))
    return landmarks(rng.random((3, 6)), labelled), rng.random((3, 6))


@pytest.mark.parametrize(("task", "settings"), CASES)
def test_a_face_without_a_label_does_not_matter(task, settings):
    truth, answers = faces(task, [1, 0, 1])
    rest = {name: values[[0, 2]] for name, values in truth.items()}
    wanted, _ = losses(rest, {task: answers[[0, 2]]}, **settings)[task]
    answers[1] += 40
    loss, counted = losses(truth, {task: answers}, **settings)[task]
    assert loss == pytest.approx(wanted, rel=1e-6)
    assert counted == 2


@pytest.mark.parametrize(("task", "settings"), CASES)
@pytest.mark.parametrize("labelled", [[0, 0, 0], [0, 1, 0], [1, 1, 1]], ids=["no label", "one", "all"])
def test_gradients_are_finite_and_those_of_unlabelled_faces_are_0(task, settings, labelled):
    import tensorflow as tf

    from emotion_mlflow.models.losses import task_losses

    truth, answers = faces(task, labelled)
    answer = tf.constant(answers, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(answer)
        found = task_losses(
            {name: tf.constant(values) for name, values in truth.items()},
            {task: answer},
            config=TrainingConfig(**settings),
            class_weights=tf.constant(NO_WEIGHTS),
        )
        loss, counted = found[task]
    slope = tape.gradient(loss, answer).numpy()
    assert np.isfinite(slope).all()
    assert not slope[np.array(labelled) == 0].any()
    assert float(counted) == sum(labelled)
    if not any(labelled):
        assert float(loss) == 0


def test_landmark_error_is_the_mean_point_error_by_the_distance_of_the_outer_eyes():
    from emotion_mlflow.models.losses import landmark_error

    true = np.array([[0.25, 0.5, 0.75, 0.5]], np.float32)  # eyes 100 pixels apart in a picture of 200 x 100
    found = np.array([[0.25, 0.6, 0.80, 0.5]], np.float32)  # 10 pixels down, 10 pixels right
    error = landmark_error(true, found, np.array([[200, 100]], np.float32), (0, 1))
    assert error.numpy() == pytest.approx([10 / 100], rel=1e-5)


def test_landmark_error_without_known_eyes_is_by_the_root_of_the_points_box():
    from emotion_mlflow.models.losses import landmark_error

    true = np.array([[0.25, 0.2, 0.75, 0.6]], np.float32)  # box 100 x 40 pixels in a picture of 200 x 100
    found = true + np.array([[0.05, 0.0, 0.05, 0.0]], np.float32)  # both 10 pixels right
    error = landmark_error(true, found, np.array([[200, 100]], np.float32), None)
    assert error.numpy() == pytest.approx([10 / math.sqrt(4000)], rel=1e-5)


@pytest.mark.parametrize("outer_eyes", [(0, 1), None])
def test_landmark_error_of_points_without_size_is_undefined_as_in_the_metrics(outer_eyes):
    from emotion_mlflow.metrics.landmarks import face_errors
    from emotion_mlflow.models.losses import landmark_error

    true = np.array([[0.5, 0.5, 0.5, 0.5]], np.float32)
    error = landmark_error(true, true, np.array([[200, 100]], np.float32), outer_eyes)
    assert np.isnan(error.numpy()).all()
    assert np.isnan(face_errors(true, true)).all()

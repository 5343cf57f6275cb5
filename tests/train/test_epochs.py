"""Epochs, rates, the best epoch, and when a training stops."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.errors import ConfigError, TrainingError
from emotion_mlflow.labels import landmark_layout
from tests.train.trainings import FACES, Log, features, fit, make_config, same, start

pytestmark = pytest.mark.slow  # imports TensorFlow


def test_the_history_has_a_row_an_epoch_with_every_task_s_loss_and_figure():
    config = make_config(epochs=2)
    fitted, log = fit(config, start(config), features(), features(seed=1))
    assert set(fitted.history.columns) == {
        "epoch", "learning_rate", "train/loss", "train/expression/loss", "train/valence/loss", "train/arousal/loss",
        "train/landmarks/loss", "train/expression/accuracy", "train/valence/mae", "train/arousal/mae",
        "train/landmarks/nme", "val/loss", "val/expression/loss", "val/valence/loss", "val/arousal/loss",
        "val/landmarks/loss", "val/expression/accuracy", "val/expression/macro_f1", "val/valence/mae",
        "val/valence/ccc", "val/arousal/mae", "val/arousal/ccc", "val/landmarks/nme", "val/selection_score",
        "seconds", "validation_seconds", "images_per_second",
    }  # fmt: skip
    assert fitted.history["epoch"].tolist() == [1, 2]
    assert fitted.history.notna().all(axis=None)
    assert fitted.history.to_dict("records") == log.rows


def test_the_sink_is_told_epochs_and_steps_beforehand_and_each_step_as_it_is_done():
    config = make_config(epochs=2, batch_size=8)
    _, log = fit(config, start(config), features(20), features(seed=1))
    assert log.begun == (2, 3)
    assert [(epoch, step) for epoch, step, _ in log.steps] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    # the last step's figures are the epoch's
    assert log.steps[2][2]["loss"] == log.rows[0]["train/loss"]


def test_the_validation_s_selection_score_is_its_macro_f1():
    config = make_config(epochs=1)
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    assert fitted.history["val/selection_score"].tolist() == fitted.history["val/expression/macro_f1"].tolist()


@pytest.mark.parametrize(
    ("column", "best"),
    [
        ("val/loss", np.argmin),
        ("val/valence/mae", np.argmin),
        ("val/landmarks/nme", np.argmin),
        ("val/valence/ccc", np.argmax),
        ("val/expression/accuracy", np.argmax),
    ],
)
def test_the_best_epoch_s_weights_are_the_ones_left(column, best):
    config = make_config(epochs=5, early_stopping=column, learning_rate=0.05, schedule="none")
    parts = start(config)
    log = Log(parts.heads.get_weights)
    fitted, _ = fit(config, parts, features(), features(seed=1), sink=log)
    assert fitted.best_epoch == best(fitted.history[column]) + 1
    assert same(parts.heads.get_weights(), log.seen[fitted.best_epoch - 1])
    assert not fitted.stopped_early


def test_landmarks_without_known_eyes_are_best_where_their_error_is_least():
    layout = landmark_layout(10)
    config = make_config(
        epochs=5, early_stopping="val/landmarks/nme_box", learning_rate=0.05, schedule="none",
        model={"tasks": ("landmarks",)},
    )  # fmt: skip
    fitted, _ = fit(config, start(config, layout=layout), features(layout=layout), features(seed=1, layout=layout))
    assert fitted.best_epoch == fitted.history["val/landmarks/nme_box"].argmin() + 1
    assert "train/landmarks/nme_box" in fitted.history  # one name for one normalisation, in both splits
    assert "train/landmarks/nme" not in fitted.history
    assert fitted.history["val/selection_score"].tolist() == (-fitted.history["val/landmarks/nme_box"]).tolist()


def test_a_column_that_no_val_face_defines_stops_training_at_once_and_says_what_to_set():
    config = make_config(model={"tasks": ("landmarks",)})  # by the selection score: minus NME
    val = features(seed=1)
    val.truth["landmarks"][:] = 0.5  # all points in one place: no distance between the eyes
    log = Log()
    with pytest.raises(TrainingError, match=r"a finite val/selection_score .* got nan in epoch 1"):
        fit(config, start(config), features(), val, sink=log)
    assert log.rows == []
    other = replace(config, training=replace(config.training, early_stopping="val/loss"))
    assert fit(other, start(other), features(), val)[0].best_epoch > 0


def test_training_stops_after_as_many_epochs_without_a_better_one_as_patience_says():
    # a rate at which nothing changes: epoch 1 stays the best, 2 and 3 are waited for
    config = make_config(
        epochs=9, patience=2, learning_rate=1e-12, schedule="none", early_stopping="val/expression/accuracy"
    )
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    assert (len(fitted.history), fitted.best_epoch, fitted.stopped_early) == (3, 1, True)


def test_a_column_that_is_not_there_lists_those_that_are():
    with pytest.raises(
        ConfigError, match=r"val/expression/accuracy.*got val/expression/acc in training.early_stopping"
    ):
        make_config(early_stopping="val/expression/acc")


def test_the_cosine_s_rates_worked_out_by_hand():
    # 2 steps an epoch, 1 epoch of warm-up, then 4 of cosine from .1 down to a hundredth of it. An epoch's column is
    # its second step's rate, an eighth, 3, 5 and 7 eighths of the way: .1 * (.01 + .99 (1 + cos(pi / 8)) / 2)
    config = make_config(
        epochs=5, warmup_epochs=1, warmup_learning_rate=0.03, learning_rate=0.1, schedule="cosine", optimizer="sgd"
    )
    fitted, log = fit(config, start(config), features(20), features(seed=1))
    wanted = [0.03, 0.0962320, 0.0694428, 0.0315572, 0.0047680]
    assert fitted.history["learning_rate"].tolist() == pytest.approx(wanted, abs=1e-7)
    assert log.begun == (5, 2)


def test_the_rate_told_is_the_one_used():
    # plain numbers for one weight: SGD without momentum's first step is rate * slope; the log variances' slope at 0 is
    # .5 - loss, and Nesterov's first step is 1.9 of that
    config = make_config(
        epochs=1, batch_size=FACES, optimizer="sgd", learning_rate=0.01, schedule="none", task_weighting="learned",
        affect_loss="mse", model={"tasks": ("valence",), "dropout": 0.0},
    )  # fmt: skip
    from emotion_mlflow import train

    training = train._Training(config, start(config), features(), features(seed=1), Log())
    training.run_epoch(1)
    loss = training.progress.history[0]["train/valence/loss"]
    wanted = -0.01 * 1.9 * (0.5 - loss)
    assert float(training.network.log_variances.numpy()[0]) == pytest.approx(wanted, rel=1e-4)


def test_the_plateau_halves_the_rate_after_five_epochs_without_a_lower_validation_loss():
    # nothing is learnt at this rate: epoch 1 is the best; 2 to 6 bring nothing, so 7 has half; 7 to 11, so 12 a quarter
    config = make_config(epochs=12, learning_rate=1e-12, schedule="plateau", batch_size=FACES)
    fitted, _ = fit(config, start(config), features(), features(seed=1))
    rates = [1e-12] * 6 + [0.5e-12] * 5 + [0.25e-12]
    assert fitted.history["learning_rate"].tolist() == pytest.approx(rates, rel=1e-6)


def test_a_lower_validation_loss_makes_the_plateau_wait_anew():
    from emotion_mlflow import train

    config = make_config(learning_rate=0.1, schedule="plateau")
    training = train._Training(config, start(config), features(), features(seed=1), Log())
    rates = []
    for loss in (3.0, 3.0, 3.0, 3.0, 3.0, 2.9, 2.9, 2.9, 2.89995, 2.9, 2.9):  # .00005 less is not less
        training._plateau(loss)
        rates.append(training.progress.learning_rate)
    assert rates == [0.1] * 10 + [0.05]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_training_and_names_epoch_and_step(bad):
    config = make_config(epochs=3, affect_loss="mse", batch_size=5)
    train = features(20)
    train.truth["valence"][13] = bad
    # epoch 1's order comes from seed and epoch alone, in 4 steps of 5
    place = np.random.default_rng([0, 1]).permutation(20).tolist().index(13)
    log = Log()
    with pytest.raises(TrainingError) as caught:
        fit(config, start(config), train, features(seed=1), sink=log)
    assert str(caught.value).startswith("expected a finite loss; got ")
    assert str(caught.value).endswith(f"in epoch 1, step {place // 5 + 1}")
    assert len(log.steps) == place // 5
    assert log.rows == []


def test_a_rate_that_blows_up_stops_training():
    config = make_config(epochs=30, optimizer="sgd", learning_rate=9.0, schedule="none", affect_loss="mse")
    with pytest.raises(TrainingError, match=r"expected a finite loss; got \S+ for \S+ in epoch \d+, step \d"):
        fit(config, start(config), features(), features(seed=1))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        # 4 faces of class 0, 1 of class 1. inverse: 1/4 and 1, a mean of (4 * 1/4 + 1) / 5 = 2/5
        pytest.param("inverse", [0.625, 2.5, 1, 1, 1, 1, 1, 1], id="inverse"),
        # 1/2 and 1, a mean of (4 * 1/2 + 1) / 5 = 3/5
        pytest.param("sqrt_inverse", [5 / 6, 5 / 3, 1, 1, 1, 1, 1, 1], id="square root"),
        pytest.param("none", [1] * 8, id="none"),
    ],
)
def test_class_weights_by_hand(kind, wanted):
    from emotion_mlflow.train import class_weights

    assert class_weights(np.array([0, 0, 1, 0, 0, -1, -1, -1]), kind) == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["inverse", "sqrt_inverse", "none"])
def test_class_weights_without_a_labelled_face_are_all_one(kind):
    from emotion_mlflow.train import class_weights

    assert class_weights(np.array([-1, -1]), kind).tolist() == [1] * 8


def test_answers_are_masked_clipped_and_in_pixels():
    from emotion_mlflow.train import make_answers

    truth = {
        "expression": np.array([3, 0], np.int32), "expression_labelled": np.array([1, 0]),
        "valence": np.array([0.5, 0], np.float32), "valence_labelled": np.array([1, 0]),
        "arousal": np.array([0.0, 0.25], np.float32), "arousal_labelled": np.array([0, 1]),
        "landmarks": np.array([[0.5, 0.5], [0, 0]], np.float32), "landmarks_labelled": np.array([1, 0]),
        "size": np.array([[40, 20], [40, 20]], np.float32),
    }  # fmt: skip
    outputs = {
        "expression": np.log(np.array([[1, 1, 1, 9, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]])),
        "valence": np.array([[1.5], [-0.5]]),
        "landmarks": np.array([[0.25, 0.75], [0.5, 0.5]]),
    }
    answers = make_answers(outputs, truth)
    assert answers.expression_true.tolist() == [3, -1]
    assert answers.probabilities[0] == pytest.approx(np.array([1, 1, 1, 9, 1, 1, 1, 1]) / 16)
    assert answers.valence.tolist() == [1.0, -0.5]
    assert answers.arousal is None
    np.testing.assert_array_equal(answers.valence_true, [0.5, np.nan])
    np.testing.assert_array_equal(answers.arousal_true, [np.nan, 0.25])
    np.testing.assert_array_equal(answers.landmarks_true, [[19.5, 9.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(answers.landmarks, [[9.5, 14.5], [19.5, 9.5]])

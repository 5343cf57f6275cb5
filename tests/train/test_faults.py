"""What a training is given or meets that is not as it should be."""

import math
from dataclasses import replace

import numpy as np
import pytest

from emotion_mlflow.errors import TrainingError
from tests.train.trainings import Log, features, fit, make_config, start

pytestmark = pytest.mark.slow  # imports TensorFlow


def test_a_task_without_a_label_neither_stops_training_nor_is_scored():
    config = make_config(epochs=1)
    train, val = features(), features(seed=1)
    for each in (train, val):
        each.truth["valence"][:] = 0
        each.truth["valence_labelled"][:] = 0
    fitted, _ = fit(config, start(config), train, val)
    row = fitted.history.iloc[0]
    figures = ("train/valence/loss", "train/valence/mae", "val/valence/loss", "val/valence/mae", "val/valence/ccc")
    assert [name for name in figures if not math.isnan(row[name])] == []
    assert math.isfinite(row["train/loss"])
    assert math.isfinite(row["val/loss"])


def test_landmarks_of_no_size_have_no_error_and_not_a_perfect_one():
    config = make_config(epochs=1, model={"tasks": ("expression", "landmarks")})
    train, val = features(), features(seed=1)
    for each in (train, val):
        each.truth["landmarks"][:] = 0.5
    row = fit(config, start(config), train, val)[0].history.iloc[0]
    assert [name for name in row.index if "landmarks/nme" in name and not math.isnan(row[name])] == []
    assert math.isfinite(row["train/landmarks/loss"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_validation_that_is_not_finite_stops_training_and_names_epoch_and_step(bad):
    config = make_config(epochs=1, batch_size=10, affect_loss="mse")
    val = features(seed=1)
    val.truth["valence"][3] = bad
    words = r"expected finite answers and a finite loss; got \w+ in epoch 1, after step 2, on the val faces"
    with pytest.raises(TrainingError, match=words):
        fit(config, start(config), features(), val)


def test_answers_that_turn_nan_in_the_last_step_stop_training_as_a_loss_does():
    config = make_config(epochs=1)

    class Poison(Log):
        def step(self, *, epoch, step, figures):
            if step == self.begun[1]:
                parts.heads.set_weights([np.full_like(array, np.nan) for array in parts.heads.get_weights()])

    parts = start(config)
    with pytest.raises(TrainingError, match="got nan in epoch 1, after step 2"):
        fit(config, parts, features(), features(seed=1), sink=Poison())


def test_validation_faces_are_never_changed():
    """The same validation loss whatever the training faces go through, at a rate at which nothing is learnt."""
    losses = []
    for augment in ({}, {"flip": 1.0}):
        config = make_config(epochs=1, learning_rate=1e-12, schedule="none", augment=augment)
        fitted, _ = fit(config, start(make_config()), features(), features(seed=1))
        losses.append(fitted.history["val/loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_only_trained_weights_decay():
    from emotion_mlflow.train import _optimizer

    optimizer = _optimizer(replace(make_config().training, optimizer="adamw", weight_decay=0.01))
    parts = start(make_config())
    optimizer.build(parts.heads.trainable_variables)
    decaying = {variable.path.split("/")[-1] for variable in parts.heads.trainable_variables
                if optimizer._use_weight_decay(variable)}  # fmt: skip
    assert decaying == {"kernel"}


def test_a_stop_in_the_middle_of_a_layer_stays_a_stop():
    import keras

    from emotion_mlflow.errors import Stopped

    class Interrupted(keras.layers.Layer):
        def call(self, inputs):
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        Interrupted()(np.ones((1, 1), np.float32))

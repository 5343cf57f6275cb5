"""Every setting of a training changes what is learnt: one that changes nothing would be logged and believed."""

import functools
from dataclasses import fields

import pytest

from emotion_mlflow.config import TrainingConfig
from tests.train.trainings import features, fit, make_config, pixels, start

pytestmark = pytest.mark.slow  # imports TensorFlow

PLATEAU = (("epochs", 4), ("schedule", "plateau"), ("plateau_patience", 1), ("learning_rate", 0.5))
CHANGES = {
    "epochs": 3,
    "warmup_epochs": 1,
    "batch_size": 7,
    "optimizer": "sgd",
    "learning_rate": 2e-3,
    "warmup_learning_rate": (2e-2, ("warmup_epochs", 1)),
    "weight_decay": (0.5, ("optimizer", "adamw")),
    "clip_norm": (0.01, ("optimizer", "sgd")),
    "schedule": "none",
    "ramp": 0.5,
    "plateau_factor": (0.9, *PLATEAU),
    "plateau_patience": (2, *PLATEAU),
    "early_stopping": ("val/valence/loss", ("learning_rate", 0.5), ("epochs", 4)),
    "patience": (1, ("learning_rate", 0.5), ("epochs", 4)),
    "label_smoothing": 0.3,
    "class_weights": "inverse",
    "affect_loss": "mse",
    "landmark_loss": "l1",
    "task_weighting": "learned",
    "expression_weight": 3.0,
    "valence_weight": 3.0,
    "arousal_weight": 3.0,
    "landmarks_weight": 3.0,
    "rng_seed": 1,
    "mixed_precision": (True, ("whole", True)),
}
"""Another value than the default of the tests, and what it takes to matter."""
TIMES = ["seconds", "validation_seconds", "images_per_second"]


@functools.cache
def learnt(settings):
    """(the history but for its times, the weights that are left) of a training."""
    chosen = dict(settings)
    whole = chosen.pop("whole", False)
    config = make_config(**chosen, model={"train_backbone": whole})
    faces = (pixels(), pixels(seed=1)) if whole else (features(), features(seed=1))
    parts = start(config)
    fitted, _ = fit(config, parts, *faces)
    weights = (parts.whole if whole else parts.heads).get_weights()
    return fitted.history.drop(columns=TIMES).to_csv(), b"".join(array.tobytes() for array in weights)


def test_no_setting_is_left_out():
    assert set(CHANGES) == {field.name for field in fields(TrainingConfig)}


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_is_another_training(name):
    value, *needed = CHANGES[name] if isinstance(CHANGES[name], tuple) else (CHANGES[name],)
    base = dict(needed)
    assert learnt(tuple(base.items())) != learnt(tuple((base | {name: value}).items()))

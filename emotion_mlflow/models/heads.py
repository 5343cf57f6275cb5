"""One output for each task on top of pooled features. Used by `build`."""

import keras
import numpy as np

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.models.losses import LANDMARK_UNIT


def build_heads(
    features: int, *, config: ModelConfig, mean_shape: np.ndarray, mean_affect: tuple[float, float]
) -> keras.Model:
    """(N, features) -> dict of expression logits (N, 8), valence and arousal (N, 1), landmarks (N, 2K).

    Valence and arousal are linear, started at the training mean and clipped only in the answer: a tanh saturates
    under Adam 1e-3 and never comes back. Landmarks are shares of the picture's size around `mean_shape` (2K,), so
    the layer's own numbers are near 1. LayerNormalization gives every backbone's features the same scale; of a
    backbone that is not trained `build` does it once, with the features, which halves an epoch of heads.
    """
    inputs = keras.Input((features,), name="features")
    x = keras.layers.LayerNormalization(epsilon=1e-5, name="head_norm")(inputs) if norms_in_heads(config) else inputs
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(x) if config.dropout else x
    outputs = {}
    if "expression" in config.tasks:
        outputs["expression"] = _dense(len(EXPRESSIONS), "expression")(x)
    for task, mean in zip(("valence", "arousal"), mean_affect, strict=True):
        if task in config.tasks:
            outputs[task] = _dense(1, task, start=mean)(x)
    if "landmarks" in config.tasks:
        offsets = _dense(len(mean_shape), "landmark_offsets")(x)
        scale = keras.layers.Rescaling(LANDMARK_UNIT, offset=mean_shape.tolist(), dtype="float32", name="landmarks")
        outputs["landmarks"] = scale(offsets)
    return keras.Model(inputs, outputs, name="heads")


def norms_in_heads(config: ModelConfig) -> bool:
    """Whether the heads themselves bring their inputs to one scale."""
    return config.head_norm and config.train_backbone


def _dense(units: int, name: str, *, start: float = 0.0) -> keras.layers.Dense:
    """A small start: the first answer is nearly `start` for every face, so that no task shakes the backbone at once."""
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    return keras.layers.Dense(
        units,
        kernel_initializer=kernel,
        bias_initializer=keras.initializers.Constant(start),
        dtype="float32",
        name=name,
    )

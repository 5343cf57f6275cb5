"""Losses of the four tasks, masked by what is labelled. Used by `network`; works on any number of faces.

Truths are dicts of tensors: expression (N,) int, valence and arousal (N,), landmarks (N, 2K) in face-relative
units, and for each task `<task>_labelled` (N,) float, 1 where the face has a label, else 0.
"""

import math
from collections.abc import Mapping

import tensorflow as tf

from emotion_mlflow.config import TrainingConfig

LANDMARK_UNIT = 0.1
"""Landmark heads answer in tenths of the picture's size around the mean shape, so that their numbers are near 1."""

WING_WIDTH, WING_CURVATURE = 10.0, 2.0
"""w and epsilon of the wing loss (Feng et al. 2018), in hundredths of the picture's size."""

Tensors = Mapping[str, tf.Tensor]


def task_losses(
    truth: Tensors, outputs: Tensors, *, config: TrainingConfig, class_weights: tf.Tensor
) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """For each task learnt: (mean loss over the labelled faces, their number); 0 where no face is labelled."""
    losses = {}
    for task, answer in outputs.items():
        answer = tf.cast(answer, tf.float32)
        mask = truth[f"{task}_labelled"]
        if task == "expression":
            face = _cross_entropy(truth[task], answer, config.label_smoothing, class_weights)
        elif task == "landmarks":
            face = _landmark_loss(truth[task], answer, config.landmark_loss)
        elif config.affect_loss == "ccc":
            losses[task] = (_ccc_loss(truth[task], answer[:, 0], mask), tf.reduce_sum(mask))
            continue
        else:
            face = _affect_loss(truth[task], answer[:, 0], config.affect_loss)
        losses[task] = (
            tf.math.divide_no_nan(tf.reduce_sum(face * mask), tf.reduce_sum(mask)),
            tf.reduce_sum(mask),
        )
    return losses


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor, smoothing: float, class_weights: tf.Tensor) -> tf.Tensor:
    labels = tf.maximum(tf.cast(labels, tf.int32), 0)
    classes = logits.shape[-1]
    target = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
    return tf.nn.softmax_cross_entropy_with_logits(target, logits) * tf.gather(class_weights, labels)


def _affect_loss(truth: tf.Tensor, answer: tf.Tensor, kind: str) -> tf.Tensor:
    error = tf.abs(answer - truth)
    if kind == "mse":
        return tf.square(error)
    return tf.where(error < 0.5, tf.square(error), error - 0.25)  # Huber (1964) with delta .5, times two


def _ccc_loss(truth: tf.Tensor, answer: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """1 - CCC over the labelled faces of the batch (Lin 1989); 0 where there is none."""

    def mean(values: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(tf.reduce_sum(values * mask), tf.reduce_sum(mask))

    true_mean, answer_mean = mean(truth), mean(answer)
    covariance = mean((truth - true_mean) * (answer - answer_mean))
    spread = mean(tf.square(truth - true_mean)) + mean(tf.square(answer - answer_mean))
    loss = 1.0 - 2.0 * covariance / (spread + tf.square(true_mean - answer_mean) + 1e-6)
    return tf.where(tf.reduce_sum(mask) > 0, loss, 0.0)


def _landmark_loss(truth: tf.Tensor, answer: tf.Tensor, kind: str) -> tf.Tensor:
    error = tf.abs(answer - truth) * 100.0
    if kind == "l1":
        return tf.reduce_mean(error, axis=-1) / WING_WIDTH
    bend = WING_WIDTH * tf.math.log1p(error / WING_CURVATURE)
    offset = WING_WIDTH - WING_WIDTH * tf.math.log1p(WING_WIDTH / WING_CURVATURE)
    return tf.reduce_mean(tf.where(error < WING_WIDTH, bend, error - offset), axis=-1) / WING_WIDTH


def landmark_error(
    truth: tf.Tensor, answer: tf.Tensor, size: tf.Tensor, outer_eyes: tuple[int, int] | None
) -> tf.Tensor:
    """(N,) NME of each face: mean point error / outer-eye distance, or / the root of the points' box.

    NaN where the true points have no size, as in `metrics.landmarks`.
    """
    pixels = tf.cast(size[:, None, :], tf.float32)
    true = tf.reshape(truth, (tf.shape(truth)[0], -1, 2)) * pixels
    found = tf.reshape(tf.cast(answer, tf.float32), tf.shape(true)) * pixels
    if outer_eyes:
        scale = tf.norm(true[:, outer_eyes[0]] - true[:, outer_eyes[1]], axis=-1)
    else:
        scale = tf.sqrt(tf.reduce_prod(tf.reduce_max(true, 1) - tf.reduce_min(true, 1), -1))
    return tf.where(scale > 0, tf.reduce_mean(tf.norm(found - true, axis=-1), axis=-1) / scale, math.nan)

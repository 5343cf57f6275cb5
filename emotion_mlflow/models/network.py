"""The Keras model that is trained: any functional part of ours plus masked multi-task losses. Used by `train`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emotion_mlflow.config import TrainingConfig
from emotion_mlflow.labels import LandmarkLayout
from emotion_mlflow.metrics.suite import nme_name
from emotion_mlflow.models.losses import landmark_error, task_losses

FIGURES = {"expression": "accuracy", "valence": "mae", "arousal": "mae"}
"""What is watched of each task while training, beside its loss; of landmarks `nme` or `nme_box`, by the layout."""


class Network(keras.Model):
    """`part`'s layers with the losses and running figures of a training.

    Batches are (inputs, truth) with the truth dict of `losses`. Task weights are fixed, or learned as log variances
    (Kendall et al. 2018, eq. 10).
    """

    def __init__(
        self, part: keras.Model, *, config: TrainingConfig, class_weights: np.ndarray, layout: LandmarkLayout
    ) -> None:
        super().__init__(inputs=part.inputs[0], outputs=part.output, name="network")
        self.settings = config
        self.class_weights = tf.constant(class_weights, tf.float32)
        self.layout = layout
        self.tasks = tuple(part.output)
        self.running = {name: keras.metrics.Mean(name=name) for name in self._figures()}
        if config.task_weighting == "learned":
            start = keras.initializers.Zeros()
            self.log_variances = self.add_weight(shape=(len(self.tasks),), initializer=start, name="log_variances")

    def _figures(self) -> list[str]:
        figures = FIGURES | {"landmarks": nme_name(self.layout)}
        return [f"{task}/loss" for task in self.tasks] + [f"{task}/{figures[task]}" for task in self.tasks]

    def total_loss(self, losses: dict[str, tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
        """One number from the tasks' (loss, labelled faces).

        A learned weight takes part only where its task has a label and counts: from no loss it would grow for ever.
        """
        weighted = []
        for number, task in enumerate(self.tasks):
            weight, (loss, faces) = getattr(self.settings, f"{task}_weight"), losses[task]
            loss = weight * loss
            if weight and self.settings.task_weighting == "learned":
                log_variance = tf.convert_to_tensor(self.log_variances)[number]
                loss = tf.where(faces > 0, tf.exp(-log_variance) * loss + 0.5 * log_variance, 0.0)
            weighted.append(loss)
        return tf.add_n(weighted)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The total loss of a batch; keeps the tasks' own losses for the epoch's figures."""
        losses = task_losses(y, y_pred, config=self.settings, class_weights=self.class_weights)
        for task, (loss, faces) in losses.items():
            self.running[f"{task}/loss"].update_state(loss, sample_weight=faces)
        return self.total_loss(losses)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Running means of the epoch so far, over labelled faces."""
        for task in self.tasks:
            mask = y[f"{task}_labelled"]
            if task == "expression":
                hit = tf.cast(tf.argmax(y_pred[task], -1) == tf.cast(y[task], tf.int64), tf.float32)
                self.running["expression/accuracy"].update_state(hit, sample_weight=mask)
            elif task in ("valence", "arousal"):
                error = tf.abs(tf.cast(y_pred[task][:, 0], tf.float32) - y[task])
                self.running[f"{task}/mae"].update_state(error, sample_weight=mask)
            else:
                error = landmark_error(y[task], y_pred[task], y["size"], self.layout.outer_eyes)
                known = ~tf.math.is_nan(error)
                self.running[f"landmarks/{nme_name(self.layout)}"].update_state(
                    tf.where(known, error, 0.0), sample_weight=mask * tf.cast(known, tf.float32)
                )
        return self.get_metrics_result()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Reset by Keras at the start of each epoch."""
        return [self._loss_tracker, *self.running.values()]

    def get_metrics_result(self) -> dict[str, Any]:
        """`loss` and the tasks' figures under their paths."""
        return {metric.name: metric.result() for metric in self.metrics}

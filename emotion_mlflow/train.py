"""One training: `fit(config, parts, ...)` knows Keras, not MLflow. What happens is told to a `Sink`.

Used by the job and the benchmarks. All that is random comes from `rng_seed` and the epoch's number, so that an epoch
can be repeated or a training continued bit for bit.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from emotion_mlflow.checkpoints import Checkpoints, State
from emotion_mlflow.config import WATCHED, RunConfig, TrainingConfig
from emotion_mlflow.data.batches import Examples, batch_count, epoch_batches, feature_rows, feature_views, plain_batches
from emotion_mlflow.errors import ConfigError, TrainingError
from emotion_mlflow.labels import EXPRESSIONS, PIXEL_CENTRE
from emotion_mlflow.metrics.suite import Answers, lower_is_better, selection_score, suite
from emotion_mlflow.models.build import Parts
from emotion_mlflow.models.losses import task_losses
from emotion_mlflow.models.network import Network
from emotion_mlflow.reporter import Sink

PREDICT_BATCH = 128


@dataclass(kw_only=True)
class Progress:
    """What a training remembers from epoch to epoch beside its weights; plain JSON values."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -math.inf
    learning_rate: float = 0.0
    plateau_best: float = math.inf
    plateau_wait: int = 0


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A finished training; the parts hold the weights of its best epoch."""

    history: pd.DataFrame
    best_epoch: int
    stopped_early: bool


def fit(
    config: RunConfig,
    parts: Parts,
    train: Examples,
    val: Examples,
    *,
    sink: Sink,
    checkpoints: Checkpoints | None = None,
    start: State | None = None,
) -> Fitted:
    """Trains `parts` in place and leaves the weights of the best validated epoch in them.

    train, val: pixels, or features where the backbone is not trained. With `checkpoints` each epoch is kept before it
    is told; with `start`, a kept state, the training goes on after it. Raises TrainingError on a loss that is not
    finite, and where the column that picks the best epoch is undefined.
    """
    training = _Training(config, parts, train, val, sink)
    done = training.restore(start) if start else 0
    sink.begin(epochs=config.training.epochs, steps=batch_count(len(train), config.training.batch_size))
    while done < config.training.epochs and not training.is_over(done):
        done += 1
        row = training.run_epoch(done)
        if checkpoints:
            checkpoints.save(training.state(done))
        sink.epoch(row)
    training.network.set_weights(training.best_weights)
    return Fitted(
        history=pd.DataFrame(training.progress.history),
        best_epoch=training.progress.best_epoch,
        stopped_early=done < config.training.epochs,
    )


def class_weights(labels: np.ndarray, kind: str) -> np.ndarray:
    """(8,) float weights of the expressions with mean 1 over the labelled faces; 1 for a class without faces.

    inverse: n / count, as HSEmotion; sqrt_inverse: its square root, milder for classes of a few faces.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(EXPRESSIONS)).astype(float)
    if kind == "none" or not counts.sum():
        return np.ones(len(EXPRESSIONS))
    weights = np.where(counts > 0, 1 / np.maximum(counts, 1), 0) ** (1.0 if kind == "inverse" else 0.5)
    weights *= counts.sum() / (weights * counts).sum()
    return np.where(counts > 0, weights, 1.0)


def make_answers(outputs: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> Answers:
    """The heads' outputs and the truth as the metrics want them: probabilities, clipped affect, landmarks in pixels."""

    def masked(task: str, values: np.ndarray) -> np.ndarray:
        labelled = truth[f"{task}_labelled"].astype(bool)
        return np.where(labelled.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)

    pixels = np.tile(truth["size"], truth["landmarks"].shape[1] // 2)
    logits = outputs.get("expression")
    return Answers(
        expression_true=np.where(truth["expression_labelled"] > 0, truth["expression"], -1),
        probabilities=None if logits is None else _softmax(logits),
        valence_true=masked("valence", truth["valence"]),
        arousal_true=masked("arousal", truth["arousal"]),
        valence=_clipped(outputs.get("valence")),
        arousal=_clipped(outputs.get("arousal")),
        landmarks_true=masked("landmarks", truth["landmarks"] * pixels - PIXEL_CENTRE),
        landmarks=outputs["landmarks"] * pixels - PIXEL_CENTRE if "landmarks" in outputs else None,
    )


class _Training:
    def __init__(self, config: RunConfig, parts: Parts, train: Examples, val: Examples, sink: Sink) -> None:
        self.config, self.parts, self.train, self.val, self.sink = config, parts, train, val, sink
        self.settings: TrainingConfig = config.training
        self.steps = batch_count(len(train), self.settings.batch_size)
        weights = class_weights(
            np.where(train.truth["expression_labelled"] > 0, train.truth["expression"], -1),
            self.settings.class_weights,
        )
        part = parts.heads if train.are_features else parts.whole
        self.network = Network(part, config=self.settings, class_weights=weights, layout=train.layout)
        self.weights = tf.constant(weights, tf.float32)
        self.losses = tf.function(self._losses, autograph=False)
        self.step: Callable[..., dict[str, tf.Tensor]] | None = None
        self.val_truth = {name: tf.constant(values) for name, values in val.truth.items()}
        self.progress = Progress(learning_rate=self.settings.learning_rate)
        self.best_weights: list[np.ndarray] = []
        self.compiled = False

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """One row of the history."""
        if not self.compiled or epoch == self.settings.warmup_epochs + 1:
            self._compile(warming_up=epoch <= self.settings.warmup_epochs)
        watch = _Watch(self, epoch)
        started = time.perf_counter()
        self._learn(epoch, watch)
        trained = time.perf_counter()
        row = {"epoch": epoch, "learning_rate": watch.last_rate}
        row |= {f"train/{name}": float(value) for name, value in watch.figures.items()}
        row |= self._validate(epoch)
        row |= {name: math.nan for name in row if self._rests_on_nothing(name)}
        row["seconds"] = trained - started
        row["validation_seconds"] = time.perf_counter() - trained
        row["images_per_second"] = len(self.train) / (trained - started)
        self._remember(epoch, row)
        return row

    def _rests_on_nothing(self, name: str) -> bool:
        """Whether a task's figure has no face; a mean of nothing is 0 to Keras, which looks perfect."""
        split, *task = name.split("/")[:-1] or [""]
        if not task:
            return False
        if split == "train":
            return not float(self.network.running[name.removeprefix("train/")].count)
        return not self.val.truth[f"{task[0]}_labelled"].any()

    def _learn(self, epoch: int, watch: "_Watch") -> None:
        drawn: dict[str, Any] = {
            "config": self.config.augment,
            "batch_size": self.settings.batch_size,
            "rng": np.random.default_rng([self.settings.rng_seed, epoch]),
            "tasks": self.config.model.tasks,
        }
        if not self.train.are_features:
            batches = epoch_batches(self.train, **drawn)
            self.network.fit(batches, epochs=1, verbose=0, shuffle=False, callbacks=[watch])
            return
        # What `fit` does in its inner loop; around it `fit` spends as long as the heads need for an epoch.
        self.step = self.step or _feature_step(self.network, self.train, tasks=self.config.model.tasks)
        self.network.reset_metrics()
        for number, rows in enumerate(feature_rows(self.train, **drawn)):
            watch.last_rate = self.rate(epoch, number)
            watch.on_train_batch_end(number, self.step(rows, np.float32(watch.last_rate)))

    def is_over(self, epoch: int) -> bool:
        """True where `patience` epochs brought nothing better."""
        waited = epoch - self.progress.best_epoch
        return bool(self.settings.patience) and epoch > 0 and waited >= self.settings.patience

    def state(self, epoch: int) -> State:
        """All that the next epoch depends on, and the best weights so far where they are not these."""
        kinds = {
            "weights": [np.asarray(variable) for variable in self.network.variables],
            "optimizer": [np.asarray(variable) for variable in self.network.optimizer.variables],
            "best": self.best_weights if self.progress.best_epoch != epoch else [],
        }
        arrays = {f"{kind}/{number:05d}": a for kind, values in kinds.items() for number, a in enumerate(values)}
        return State(epoch=epoch, arrays=arrays, notes=vars(self.progress))

    def restore(self, state: State) -> int:
        """The number of epochs that the state has done."""
        kept = {
            kind: [state.arrays[name] for name in sorted(state.arrays) if name.startswith(f"{kind}/")]
            for kind in ("weights", "optimizer", "best")
        }
        self.progress = Progress(**state.notes)
        if state.epoch != self.settings.warmup_epochs:
            self._compile(warming_up=state.epoch < self.settings.warmup_epochs)
            _assign(self.network.optimizer.variables, kept["optimizer"])
        _assign(self.network.variables, kept["weights"])
        self.best_weights = kept["best"] or self.network.get_weights()
        return state.epoch

    def rate(self, epoch: int, step: int) -> float:
        """The learning rate of a step (0-based) of an epoch (1-based)."""
        settings = self.settings
        if epoch <= settings.warmup_epochs:
            return settings.warmup_learning_rate
        if settings.schedule == "cosine":
            done = (epoch - 1 - settings.warmup_epochs + step / self.steps) / (settings.epochs - settings.warmup_epochs)
            if done < settings.ramp:
                return settings.learning_rate * (0.05 + 0.95 * done / settings.ramp)
            falling = (done - settings.ramp) / (1 - settings.ramp)
            return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * falling)) / 2)
        return self.progress.learning_rate

    def _compile(self, *, warming_up: bool) -> None:
        if not self.train.are_features:
            self.parts.hold_backbone(still=warming_up)
        self.network.compile(optimizer=_optimizer(self.settings))
        self.network.optimizer.build(self.network.trainable_variables)  # else the first step is traced twice
        self.compiled, self.step = True, None

    def _validate(self, epoch: int) -> dict[str, float]:
        if self.val.are_features:
            outputs = self.network.predict_on_batch(self.val.inputs[:, 0])
        else:
            outputs = self.network.predict(plain_batches(self.val.inputs, batch_size=PREDICT_BATCH), verbose=0)
        tensors = {task: tf.constant(values) for task, values in outputs.items()}
        losses, total = self.losses(self.val_truth, tensors)
        row = {"val/loss": float(total)}
        finite = all(np.isfinite(values).all() for values in outputs.values())
        if not (finite and math.isfinite(row["val/loss"])):
            where = f"epoch {epoch}, after step {self.steps}, on the val faces"
            raise TrainingError("finite answers and a finite loss", got=row["val/loss"], where=where)
        row |= {f"val/{task}/loss": float(loss) for task, (loss, _) in losses.items()}
        scores = suite(make_answers(outputs, self.val.truth), layout=self.val.layout)
        row |= {
            f"val/{name}": value for name, value in scores.items() if name.split("/")[1] in WATCHED[name.split("/")[0]]
        }
        row["val/selection_score"] = selection_score(scores)
        return row

    def _losses(self, truth: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]) -> tuple[dict[str, Any], tf.Tensor]:
        losses = task_losses(truth, outputs, config=self.settings, class_weights=self.weights)
        return losses, self.network.total_loss(losses)

    def _remember(self, epoch: int, row: dict[str, float]) -> None:
        progress, name = self.progress, self.settings.early_stopping
        progress.history.append(row)
        if name not in row:
            raise ConfigError(f"a column of {', '.join(row)}", got=name, where="training.early_stopping")
        value = -row[name] if lower_is_better(name) else row[name]
        if not (math.isfinite(value) or self.best_weights):  # no val face defines it, now or later
            wanted = f"a finite {name} to choose the best epoch by, or --set training.early_stopping=val/loss"
            raise TrainingError(wanted, got=value, where=f"epoch {epoch}")
        if value > progress.best_value:
            progress.best_value, progress.best_epoch = value, epoch
            self.best_weights = self.network.get_weights()
        if self.settings.schedule == "plateau":
            self._plateau(row["val/loss"])

    def _plateau(self, loss: float) -> None:
        """Keras' ReduceLROnPlateau in mode min on `val/loss`, its default min_delta and no cooldown."""
        progress = self.progress
        if loss < progress.plateau_best - 1e-4:
            progress.plateau_best, progress.plateau_wait = loss, 0
            return
        progress.plateau_wait += 1
        if progress.plateau_wait >= self.settings.plateau_patience:
            progress.learning_rate *= self.settings.plateau_factor
            progress.plateau_wait = 0


class _Watch(keras.callbacks.Callback):
    """Sets each step's learning rate, tells the sink, and stops at the first loss that is not finite."""

    def __init__(self, training: _Training, epoch: int) -> None:
        super().__init__()
        self.training, self.epoch = training, epoch
        self.last_rate = 0.0
        self.figures: dict[str, float] = {}

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self.training.rate(self.epoch, batch)
        if rate != self.last_rate:
            self.model.optimizer.learning_rate.assign(rate)
            self.last_rate = rate

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.figures = {name: float(value) for name, value in (logs or {}).items()}
        wrong = [name for name, value in self.figures.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                "a finite loss",
                got=f"{self.figures[wrong[0]]} for {wrong[0]}",
                where=f"epoch {self.epoch}, step {batch + 1}",
            )
        told = {**self.figures, "learning_rate": self.last_rate}
        self.training.sink.step(epoch=self.epoch, step=batch + 1, figures=told)


def _feature_step(network: Network, train: Examples, *, tasks: tuple[str, ...]) -> Callable[..., dict[str, tf.Tensor]]:
    """`train_step` of (rows of `feature_views`, learning rate), traced once for any number of rows.

    Features and truth lie ready as tensors: to make those of each batch anew takes as long as the step.
    """
    inputs, truth = tf.nest.map_structure(tf.constant, feature_views(train, tasks=tasks))

    def step(rows: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        network.optimizer.learning_rate.assign(rate)
        batch = tf.gather(inputs, rows), {name: tf.gather(values, rows) for name, values in truth.items()}
        logs: dict[str, tf.Tensor] = network.train_step(batch)
        return logs

    signature = [tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.float32)]
    return tf.function(step, input_signature=signature, autograph=False)


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _optimizer(settings: TrainingConfig) -> keras.optimizers.Optimizer:
    clip = settings.clip_norm or None
    rate = settings.learning_rate
    if settings.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, global_clipnorm=clip)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_variances"])
    elif settings.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, global_clipnorm=clip)
    return optimizer


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _clipped(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else np.clip(values[:, 0], -1.0, 1.0)

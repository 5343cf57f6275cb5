"""From pixels and labels to `tf.data` batches; the first room that knows TensorFlow. Used by `train` and `features`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from emotion_mlflow.config import AugmentConfig
from emotion_mlflow.data import augment
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.labels import PIXEL_CENTRE, LandmarkLayout


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Faces and their labels as arrays, ready for batches."""

    inputs: np.ndarray
    """(N, S, S, 3) uint8 pixels, or (N, V, F) float32 features of V views: the face, then its mirror image."""
    truth: dict[str, np.ndarray]
    """expression (N,) int32, valence, arousal (N,), landmarks (N, 2K) float32 shares; `<task>_labelled` (N,) float32;
    size (N, 2) float32, width and height of the face pictures in pixels."""
    layout: LandmarkLayout

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def are_features(self) -> bool:
        return self.inputs.ndim == 3


def truth_arrays(manifest: Manifest) -> dict[str, np.ndarray]:
    """Labels with unlabelled places at 0 and masks beside them; landmarks in shares of the face picture's size."""
    table = manifest.table
    size = table[["width", "height"]].to_numpy(np.float32)
    points = (manifest.landmarks.reshape(len(table), -1, 2) + PIXEL_CENTRE) / size[:, None, :]
    values = {
        "expression": table["expression"].to_numpy(np.int32),
        "valence": table["valence"].to_numpy(np.float32, copy=True),
        "arousal": table["arousal"].to_numpy(np.float32, copy=True),
        "landmarks": points.reshape(len(table), -1).astype(np.float32),
    }
    values["size"] = size
    for task, mask in manifest.labelled().items():
        values[task][~mask] = 0
        values[f"{task}_labelled"] = mask.astype(np.float32)
    return values


def epoch_batches(
    examples: Examples,
    *,
    config: AugmentConfig,
    batch_size: int,
    rng: np.random.Generator,
    tasks: tuple[str, ...],
) -> tf.data.Dataset:
    """One epoch of pixels in random order, changed by `config`: batches of (float32 inputs, truth dict).

    Batches differ by at most one face, so that no short one is left over at the end; all that is random comes
    from `rng`.
    """
    plan = _Plan.draw(examples, config=config, batch_size=batch_size, rng=rng, tasks=tasks)
    dataset = _dataset(plan.batch, len(plan), signature=_signature(examples, plan.changes))
    if augment.is_off(plan.config):
        dataset = dataset.map(lambda inputs, labels, change, seed: (tf.cast(inputs, tf.float32), labels))
    else:
        dataset = dataset.map(
            lambda inputs, labels, change, seed: (change_pictures(inputs, change, seed, plan.config), labels),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    return _ready(dataset)


def feature_views(examples: Examples, *, tasks: tuple[str, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(2N, F) features and the truth of each: of every face its own, then its mirror image's."""
    truth = {name: np.repeat(values, 2, axis=0) for name, values in examples.truth.items()}
    if "landmarks" in tasks:
        mirrored = augment.draw_changes(
            np.random.default_rng(0),  # nothing is left to chance
            len(examples),
            config=AugmentConfig(flip=1.0),
            layout=examples.layout,
            with_landmarks=True,
        )
        truth["landmarks"][1::2] = augment.move_landmarks(examples.truth["landmarks"], mirrored, layout=examples.layout)
    return examples.inputs.reshape(2 * len(examples), -1), truth


def feature_rows(
    examples: Examples,
    *,
    config: AugmentConfig,
    batch_size: int,
    rng: np.random.Generator,
    tasks: tuple[str, ...],
) -> Iterator[np.ndarray]:
    """One epoch of features in random order, each batch as int32 rows of `feature_views`.

    `tf.data` would take as long to set up as their epoch takes. They are mirrored only: there are none of a face that
    is turned or shifted.
    """
    order = rng.permutation(len(examples))
    learnt = "landmarks" in tasks
    mirrored = augment.draw_mirrored(rng, len(examples), config=config, layout=examples.layout, with_landmarks=learnt)
    rows = (2 * order + mirrored).astype(np.int32)
    yield from np.array_split(rows, batch_count(len(examples), batch_size))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """All that is random of one epoch."""

    examples: Examples
    config: AugmentConfig
    truth: dict[str, np.ndarray]
    rows: list[np.ndarray]
    """Of each batch."""
    changes: augment.Changes
    noise_seeds: np.ndarray

    @classmethod
    def draw(
        cls,
        examples: Examples,
        *,
        config: AugmentConfig,
        batch_size: int,
        rng: np.random.Generator,
        tasks: tuple[str, ...],
    ) -> "_Plan":
        learnt = "landmarks" in tasks
        order = rng.permutation(len(examples))
        changes = augment.draw_changes(rng, len(examples), config=config, layout=examples.layout, with_landmarks=learnt)
        truth = dict(examples.truth)
        if learnt and augment.moves_pictures(config):
            truth["landmarks"] = augment.move_landmarks(truth["landmarks"], changes, layout=examples.layout)
        count = batch_count(len(examples), batch_size)
        seeds = rng.integers(0, 2**31 - 1, size=(count, 2), dtype=np.int64)
        rows = np.array_split(order, count)
        return cls(examples=examples, config=config, truth=truth, rows=rows, changes=changes, noise_seeds=seeds)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, number: int) -> tuple[Any, ...]:
        """(inputs, truth, changes, noise seed)."""
        rows = self.rows[number]
        inputs = self.examples.inputs[rows]
        labels = {name: values[rows] for name, values in self.truth.items()}
        return inputs, labels, vars(self.changes.rows(rows)), self.noise_seeds[number]


def plain_batches(inputs: np.ndarray, *, batch_size: int) -> tf.data.Dataset:
    """(N, ...) inputs in their order, unchanged, as float32 batches."""

    def batch(number: int) -> np.ndarray:
        return np.asarray(inputs[number * batch_size : (number + 1) * batch_size], np.float32)

    signature = tf.TensorSpec((None, *inputs.shape[1:]), tf.float32)
    return _ready(_dataset(batch, batch_count(len(inputs), batch_size), signature=signature))


def batch_count(faces: int, batch_size: int) -> int:
    """Steps of an epoch."""
    return -(-faces // batch_size)


def change_pictures(
    pictures: tf.Tensor, change: dict[str, tf.Tensor], seed: tf.Tensor, config: AugmentConfig
) -> tf.Tensor:
    """(B, S, S, 3) 0-255 -> float32 of the same shape, 0-255, changed as `change` (a batch of `Changes`) says."""
    pixels = tf.cast(pictures, tf.float32)
    size = tf.shape(pixels)[1]
    if augment.moves_pictures(config):
        pixels = _warp(pixels, change["forward"], size)
    mean = tf.reduce_mean(pixels, axis=(1, 2, 3), keepdims=True)
    pixels = (pixels - mean) * change["contrast"][:, None, None, None] + mean
    pixels += change["brightness"][:, None, None, None]
    if config.erase:
        pixels = _erase(pixels, change["erased"], size)
    if config.noise:
        pixels += tf.random.stateless_normal(tf.shape(pixels), seed, stddev=config.noise)
    return tf.clip_by_value(pixels, 0.0, 255.0)


def _warp(pixels: tf.Tensor, forward: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Moves pictures by the matrices in shares; TensorFlow wants the way back, in pixels whose middle is at .5."""
    side = tf.cast(size, tf.float32)
    linear = tf.linalg.inv(forward[:, :, :2])
    offset = -tf.linalg.matvec(linear, forward[:, :, 2])  # shares
    half = tf.constant([0.5, 0.5])
    offset = offset * side + tf.linalg.matvec(linear, half) - half
    rows = tf.concat([linear, offset[:, :, None]], axis=2)
    flat = tf.concat([tf.reshape(rows, (-1, 6)), tf.zeros((tf.shape(rows)[0], 2))], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=flat,
        output_shape=tf.stack([size, size]),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )


def _erase(pixels: tf.Tensor, boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    middle = (tf.range(tf.cast(size, tf.float32)) + 0.5) / tf.cast(size, tf.float32)
    inside_x = (middle >= boxes[:, 0:1]) & (middle < boxes[:, 2:3])
    inside_y = (middle >= boxes[:, 1:2]) & (middle < boxes[:, 3:4])
    inside = inside_y[:, :, None, None] & inside_x[:, None, :, None]
    return tf.where(inside, 127.5, pixels)


def _dataset(batch: Callable[[int], Any], count: int, *, signature: Any) -> tf.data.Dataset:
    """The batches 0 to `count` - 1 that `batch` makes, arrays as `signature` says.

    Not by `from_generator`: in TensorFlow 2.21 it tells glibc to give memory above 128 kB back to the kernel at once,
    for good, and every layer of every later step pays for it with page faults, a fifth of a training's time.
    """
    specs = tf.nest.flatten(signature)

    def read(number: tf.Tensor) -> Any:
        tensors = tf.numpy_function(
            lambda chosen: tf.nest.flatten(batch(int(chosen))), [number], [spec.dtype for spec in specs]
        )
        for tensor, spec in zip(tensors, specs, strict=True):
            tensor.set_shape(spec.shape)
        return tf.nest.pack_sequence_as(signature, tensors)

    return tf.data.Dataset.range(count).map(read)


def _ready(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """With two batches made ahead.

    Without autotuning: its thread sleeps 10, 20, 40, ... ms up to a minute, and in TensorFlow 2.21 the end of an
    iterator often waits until it wakes - at 5.1 s, 10.2 s, 20.5 s, ... of every epoch and validation.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def _signature(examples: Examples, changes: augment.Changes) -> tuple[Any, ...]:
    def spec(values: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec((None, *values.shape[1:]), tf.as_dtype(values.dtype))

    labels = {name: spec(values) for name, values in examples.truth.items()}
    moves = {name: spec(values) for name, values in vars(changes).items()}
    return spec(examples.inputs), labels, moves, tf.TensorSpec((2,), tf.int64)

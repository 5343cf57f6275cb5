"""Frozen-backbone features, computed once a face and its mirror image, and cached by content. Used by the job."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.data.npy import kept_array
from emotion_mlflow.models.build import Parts

Progress = Callable[[int, int], None]

BATCH = 64

_log = logging.getLogger(__name__)


def compute_features(
    parts: Parts,
    pixels: np.ndarray,
    *,
    contents: np.ndarray,
    cache_dir: Path,
    progress: Progress | None = None,
) -> np.ndarray:
    """(N, 2, F) float32: pooled features of each face and of its mirror image.

    pixels: (N, S, S, 3) uint8; contents: (N,) content hashes. The cache's key is those, the trunk's weights, its cut
    and its preprocessing, so heads with other settings find the same file.
    """
    file = cache_dir / "features" / f"{_key(parts, contents)}.npy"
    kept = _kept(file, (len(pixels), 2, parts.heads.input.shape[-1]))
    if kept is None:
        kept = _forward(parts, pixels, progress)
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, kept)
    os.utime(file)
    return kept


def _kept(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The features of an earlier call; None where there are none or the file is damaged, which is said."""
    if not file.exists():
        return None
    array = kept_array(file, shape=shape, dtype=np.float32)
    if array is None:
        _log.warning("the kept features %s are damaged: they are computed again", file)
        return None
    return np.array(array)


def _forward(parts: Parts, pixels: np.ndarray, progress: Progress | None) -> np.ndarray:
    run = tf.function(lambda batch: parts.features(batch, training=False), reduce_retracing=True)
    features = np.empty((len(pixels), 2, parts.features.output.shape[-1]), np.float32)
    for start in range(0, len(pixels), BATCH):
        batch = np.asarray(pixels[start : start + BATCH], np.float32)
        for view, pictures in enumerate((batch, batch[:, :, ::-1])):
            features[start : start + BATCH, view] = run(tf.constant(np.ascontiguousarray(pictures)))
        if progress:
            progress(min(start + BATCH, len(pixels)), len(pixels))
    return features


def _key(parts: Parts, contents: np.ndarray) -> str:
    config: ModelConfig = parts.config
    trunk = [
        config.backbone,
        parts.trunk.weights_digest,
        parts.trunk.deepest_stage,
        config.pixels,
        config.image_size,
        config.head_norm,
    ]
    if parts.trunk.weights == "none":
        trunk.append(_arrays_digest(parts))
    return hashlib.sha256("\n".join(map(str, [*trunk, *contents])).encode()).hexdigest()[:32]


def _arrays_digest(parts: Parts) -> str:
    """Random starting weights depend on the seed, so their values are part of the key."""
    digest = hashlib.sha256()
    for array in parts.features.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _write(file: Path, features: np.ndarray) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        np.save(part, features, allow_pickle=False)
    os.replace(part.name, file)

"""Frozen-backbone features, computed once a face and its mirror image, and cached by content. Used by the job.

Heads may see their principal components instead, which are the training faces' own and are not cached.
"""

import contextlib
import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import keras
import numpy as np
import tensorflow as tf

from emotion_mlflow.config import ModelConfig
from emotion_mlflow.data.npy import kept_array
from emotion_mlflow.data.pixels import decoder
from emotion_mlflow.models.build import Parts

Progress = Callable[[int, int], None]

BATCH = 64
SCATTER_ROWS = 4096
"""Features whose products are added up at once: half a million of them need no second copy."""
SMALLEST_VARIANCE = 1e-5
VERSION = 1
"""Raised whenever other features would be computed from the same pixels and trunk."""

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

    pixels: (N, S, S, 3) uint8; contents: (N,) content hashes. A face is found again in whatever set it comes, by its
    hash and the trunk's weights, cut and preprocessing, by the same libraries; heads have no part in it.
    """
    sees = parts.components or parts.heads
    kept = _Kept(folder=cache_dir / "features" / _trunk_key(parts), width=sees.input.shape[-1])
    features, missing = np.empty((len(contents), 2, kept.width), np.float32), np.ones(len(contents), bool)
    for listed, array in kept.files():
        _copy(features, missing, contents, listed, array)
    if missing.any():
        rows = np.flatnonzero(missing)
        rows = rows[np.sort(np.unique(contents[rows], return_index=True)[1])]
        computed = _forward(parts, pixels, rows, progress)
        kept.add(contents[rows], computed)
        _copy(features, missing, contents, contents[rows], computed)
    return features


def reduce_features(parts: Parts, train: np.ndarray, val: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the heads see of (N, 2, F) features: (N, 2, K), or the features themselves where K is not set.

    The K principal components of the training faces and their mirror images; `parts.whole` computes the same from now.
    """
    if parts.components is None:
        return train, val
    kernel, bias = principal_components(train.reshape(-1, train.shape[-1]), parts.components.units)
    parts.components.set_weights([kernel, bias])
    rows = [(features.reshape(-1, len(kernel)) @ kernel + bias) for features in (train, val)]
    return rows[0].reshape(*train.shape[:2], -1), rows[1].reshape(*val.shape[:2], -1)


def principal_components(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(F, K) kernel and (K,) bias float32: features @ kernel + bias are their K principal components.

    features: (N, F). The components lie around 0, uncorrelated, largest first (Jolliffe 2002, section 1.1), all divided
    by one number that makes their mean variance 1; they are not whitened.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), SCATTER_ROWS):
        rows = features[start : start + SCATTER_ROWS] - mean.astype(np.float32)
        scatter += rows.T @ rows
    variances, directions = np.linalg.eigh(scatter / len(features))
    scale = np.sqrt(variances[-count:].mean() + SMALLEST_VARIANCE)
    kernel = directions[:, ::-1][:, :count] / scale
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def _copy(
    features: np.ndarray, missing: np.ndarray, contents: np.ndarray, listed: Iterable[str], array: np.ndarray
) -> None:
    """Into the rows of `features` whose faces are among those listed; they are no longer missing."""
    place = {content: row for row, content in enumerate(listed)}
    rows = np.array([place.get(content, -1) for content in contents], int)
    features[rows >= 0] = array[rows[rows >= 0]]
    missing[rows >= 0] = False


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """The features of one trunk: files of faces, each with their content hashes beside it."""

    folder: Path
    width: int

    def add(self, contents: Iterable[str], features: np.ndarray) -> None:
        """Keeps the features of more faces."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("\n".join(contents).encode()).hexdigest()[:32]
        with _whole(self.folder / f"{name}.txt") as file:
            file.write("\n".join(contents).encode())
        with _whole(self.folder / f"{name}.npy") as file:
            np.save(file, features, allow_pickle=False)

    def files(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Content hashes and their (n, 2, F) features; a damaged file is passed over, which is said."""
        for file in sorted(self.folder.glob("*.npy")):
            try:
                os.utime(file)  # the age by which a full cache is trimmed
                contents = file.with_suffix(".txt").read_text().split("\n")
            except (FileNotFoundError, UnicodeDecodeError):  # the first as where another run trims the cache
                contents = []
            array = kept_array(file, shape=(len(contents), 2, self.width), dtype=np.float32) if contents else None
            if array is None:
                _log.warning("the kept features %s are damaged: they are computed again", file)
                continue
            yield contents, array


def _forward(parts: Parts, pixels: np.ndarray, rows: np.ndarray, progress: Progress | None) -> np.ndarray:
    """Of the faces `rows`, in batches of one size, the last one filled up: no face depends on its neighbours."""
    run = _compiled(parts.features)
    features = np.empty((len(rows), 2, parts.features.output.shape[-1]), np.float32)
    for start in range(0, len(rows), BATCH):
        faces = len(rows[start : start + BATCH])
        batch = np.zeros((BATCH, *pixels.shape[1:]), np.uint8)
        batch[:faces] = pixels[rows[start : start + BATCH]]
        for view, pictures in enumerate((batch, batch[:, :, ::-1])):
            features[start : start + faces, view] = run(tf.constant(np.ascontiguousarray(pictures)))[:faces]
        if progress:
            progress(start + faces, len(rows))
    return features


@functools.lru_cache(maxsize=1)
def _compiled(features: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Kept from one split to the next: a deep network is traced for ten seconds."""
    return tf.function(lambda batch: features(tf.cast(batch, tf.float32), training=False), autograph=False)


def _trunk_key(parts: Parts) -> str:
    config: ModelConfig = parts.config
    trunk = [
        f"{VERSION} Keras {keras.__version__} TensorFlow {tf.__version__}",
        decoder(),
        config.backbone,
        parts.trunk.weights_digest,
        parts.trunk.deepest_stage,
        config.pixels,
        config.image_size,
        config.head_norm,
        keras.mixed_precision.global_policy().name,
    ]
    if parts.trunk.weights == "none":
        trunk.append(_arrays_digest(parts))
    return hashlib.sha256("\n".join(map(str, trunk)).encode()).hexdigest()[:32]


def _arrays_digest(parts: Parts) -> str:
    """Random starting weights depend on the seed, so their values are part of the key."""
    digest = hashlib.sha256()
    for array in parts.features.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its name once it is whole; else nothing is left of it."""
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        try:
            yield part
            part.close()
            os.replace(part.name, file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise

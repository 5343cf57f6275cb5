"""What makes two trainings the same one: settings, seed, faces, starting weights. Used by `train` and `grid`."""

import hashlib
import json
from pathlib import Path

from emotion_mlflow.config import RunConfig
from emotion_mlflow.errors import WeightsError

UNLIKE = {"data.data", "data.data_format", "data.max_rejected", "model.weights"}
"""Names and places, which decide no result."""


def cell_digest(config: RunConfig, *, data_digest: str, weights_digest: str) -> str:
    """32 hex digits, equal for the same recipe, settings, `rng_seed`, faces (`cut_digest`) and starting weights."""
    settings = {name: value for name, value in config.to_params().items() if name not in UNLIKE}
    text = json.dumps([settings, data_digest, weights_digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def weights_digest_of(backbone: str, weights: str) -> str:
    """What tells starting weights apart without loading them: the file's SHA-256, or `resnet50 imagenet`.

    WeightsError where the file cannot be read.
    """
    if weights in ("none", "imagenet"):
        return f"{backbone} {weights}"
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise WeightsError("a .weights.h5 file that can be read", got=error, where=weights) from None

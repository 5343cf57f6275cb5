"""Changes to training pictures that move the landmarks with them. Used by `batches`.

What happens to a face is drawn and applied to its landmarks in NumPy, a whole epoch at once; the pictures follow,
batch by batch, in TensorFlow (`change_pictures`), so that both come from the same matrix.
"""

from dataclasses import dataclass

import numpy as np

from emotion_mlflow.config import AugmentConfig
from emotion_mlflow.labels import LandmarkLayout


@dataclass(frozen=True, kw_only=True)
class Changes:
    """One row a face."""

    forward: np.ndarray
    """(N, 2, 3) float32: where a point (x, y, 1) of the old picture goes, in shares of its size."""
    mirrored: np.ndarray
    """(N,) bool."""
    contrast: np.ndarray
    """(N,) float32 factor around the picture's mean."""
    brightness: np.ndarray
    """(N,) float32 grey levels of 255."""
    erased: np.ndarray
    """(N, 4) float32 shares: x0, y0, x1, y1 of a rectangle painted over; empty where x1 <= x0."""

    def rows(self, picked: np.ndarray) -> "Changes":
        return Changes(**{name: values[picked] for name, values in vars(self).items()})


def may_mirror(layout: LandmarkLayout, *, with_landmarks: bool) -> bool:
    """Whether faces can be mirrored: not where landmarks are learnt whose mirror permutation is not known."""
    return not with_landmarks or layout.mirror is not None


def draw_mirrored(
    rng: np.random.Generator, faces: int, *, config: AugmentConfig, layout: LandmarkLayout, with_landmarks: bool
) -> np.ndarray:
    """(N,) bool: none where landmarks are learnt and their mirror permutation is not known."""
    return (rng.random(faces) < config.flip) & may_mirror(layout, with_landmarks=with_landmarks)


def draw_changes(
    rng: np.random.Generator,
    faces: int,
    *,
    config: AugmentConfig,
    layout: LandmarkLayout,
    with_landmarks: bool,
) -> Changes:
    """What an epoch does to each of `faces` pictures."""
    mirrored = draw_mirrored(rng, faces, config=config, layout=layout, with_landmarks=with_landmarks)
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation, faces))
    scale = 1 + rng.uniform(-config.zoom, config.zoom, faces)
    shift = rng.uniform(-config.shift, config.shift, (faces, 2))
    contrast = rng.uniform(*config.contrast, faces)
    brightness = rng.uniform(-config.brightness, config.brightness, faces)
    return Changes(
        forward=_matrices(mirrored, angle, scale, shift),
        mirrored=mirrored,
        contrast=contrast.astype(np.float32),
        brightness=brightness.astype(np.float32),
        erased=_rectangles(rng, faces, config.erase),
    )


def move_landmarks(landmarks: np.ndarray, changes: Changes, *, layout: LandmarkLayout) -> np.ndarray:
    """(N, 2K) shares of the old pictures -> (N, 2K) of the changed ones, left and right swapped in mirrors."""
    if not landmarks.shape[1]:
        return landmarks
    points = landmarks.reshape(len(landmarks), -1, 2)
    x, y = points[:, :, 0], points[:, :, 1]
    rows = changes.forward[:, :, :, None].transpose(1, 2, 0, 3)  # NumPy is slow at many small matrix products
    moved = np.stack([along * x + across * y + shift for along, across, shift in rows], axis=-1)
    if changes.mirrored.any():
        if layout.mirror is None:
            raise ValueError("expected a known mirror permutation for mirrored faces")
        moved[changes.mirrored] = moved[changes.mirrored][:, list(layout.mirror)]
    return moved.reshape(landmarks.shape).astype(np.float32)


def is_off(config: AugmentConfig) -> bool:
    """True where nothing at all is changed."""
    return config == AugmentConfig()


def moves_pictures(config: AugmentConfig) -> bool:
    """True where pictures are mirrored, turned, scaled or shifted."""
    return any((config.flip, config.rotation, config.zoom, config.shift))


def _matrices(mirrored: np.ndarray, angle: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Mirror, then turn and scale around the middle, then shift."""
    side = np.where(mirrored, -1.0, 1.0)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos * side, -sin], -1), np.stack([sin * side, cos], -1)], 1)
    middle = np.full(2, 0.5)
    offset = middle + shift - linear @ middle
    return np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32)


def _rectangles(rng: np.random.Generator, faces: int, share: float) -> np.ndarray:
    """Random erasing (Zhong et al. 2020) with sides of .1 to .4 of the picture."""
    side = rng.uniform(0.1, 0.4, (faces, 2))
    corner = rng.uniform(0.0, 1.0, (faces, 2)) * (1 - side)
    boxes = np.concatenate([corner, corner + side], axis=1)
    boxes[rng.random(faces) >= share] = 0.0
    return boxes.astype(np.float32)

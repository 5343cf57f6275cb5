"""Landmark metrics: points (N, 2K) x0, y0, x1, y1, ... in pixels (a row with NaN: no label, left out).

Floats out, all NaN without a labelled face. No TensorFlow.
"""

import numpy as np

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import LandmarkLayout, landmark_layout
from emotion_mlflow.metrics.arrays import mean, ratio

LIMIT = 0.08
"""Normalised error above which a face counts as failed, and end of the error curve whose area is taken."""


def face_errors(true: np.ndarray, predicted: np.ndarray, layout: LandmarkLayout | None = None) -> np.ndarray:
    """(N,) normalised mean error of each face; NaN where it has no label, or its true points have no size.

    Mean distance of a face's points / distance of its true outer eye corners (Sagonas et al. 2013); layouts
    without known eyes: / sqrt(width * height) of the true points' box (Bulat & Tzimiropoulos 2017).
    """
    layout = layout or landmark_layout(np.shape(true)[1])
    truth, answer = _points(true, layout), _points(predicted, layout)
    if len(truth) != len(answer):
        raise DataError(f"{len(truth)} faces with predicted landmarks", got=len(answer))
    distances = np.linalg.norm(truth - answer, axis=2)
    return ratio(distances.mean(axis=1), _face_sizes(truth, layout))


def nme(errors: np.ndarray) -> float:
    """Mean over labelled faces of `face_errors`, 0 and up."""
    return mean(_labelled(errors))


def failure_rate(errors: np.ndarray, limit: float = LIMIT) -> float:
    """Share of labelled faces whose error is above `limit`, 0-1."""
    return mean(_labelled(errors) > limit)


def curve_area(errors: np.ndarray, limit: float = LIMIT) -> float:
    """Area under the cumulative error curve from 0 to `limit`, divided by `limit`; 1: no error at all."""
    return mean(area_shares(_labelled(errors), limit))


def area_shares(errors: np.ndarray, limit: float = LIMIT) -> np.ndarray:
    """(N,) each face's own area: the curve is the mean of the faces' steps, so its area is theirs."""
    return np.maximum(0.0, 1.0 - errors / limit)


def error_curve(errors: np.ndarray, limit: float = LIMIT) -> tuple[np.ndarray, np.ndarray]:
    """(error, share of labelled faces with at most that error) from 0 to `limit`; draw it as `steps-post`.

    Both are empty without a labelled face.
    """
    ordered = np.sort(_labelled(errors))
    if not len(ordered):
        return np.zeros(0), np.zeros(0)
    places = np.unique(np.r_[0.0, ordered[ordered <= limit], limit])
    return places, np.searchsorted(ordered, places, side="right") / len(ordered)


def _points(landmarks: np.ndarray, layout: LandmarkLayout) -> np.ndarray:
    """(N, K, 2) float64; DataError for another width than the layout's."""
    rows = np.asarray(landmarks, float)
    if rows.ndim != 2 or rows.shape[1] != layout.width:
        raise DataError(f"{layout.width} landmark numbers a face", got=f"an array of shape {rows.shape}")
    return rows.reshape(len(rows), layout.points, 2)


def _face_sizes(points: np.ndarray, layout: LandmarkLayout) -> np.ndarray:
    """(N,) pixels; NaN in, NaN out."""
    if layout.outer_eyes is not None:
        left, right = layout.outer_eyes
        return np.linalg.norm(points[:, left] - points[:, right], axis=1)
    box = points.max(axis=1) - points.min(axis=1)
    return np.sqrt(box[:, 0] * box[:, 1])


def _labelled(errors: np.ndarray) -> np.ndarray:
    errors = np.asarray(errors, float)
    return errors[np.isfinite(errors)]

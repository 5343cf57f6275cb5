"""Valence and arousal metrics: truths (N,) -1..1 (NaN: no label, left out) and predictions (N,) in.

Floats out, all NaN without a labelled face. No TensorFlow, no SciPy.
"""

from dataclasses import dataclass

import numpy as np

from emotion_mlflow.labels import AFFECT_HIGH, AFFECT_LOW
from emotion_mlflow.metrics.arrays import mean, ratio, require_equal_rows


def mae(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, 0-2 for predictions in range."""
    truth, answer = _labelled(true, predicted)
    return mean(np.abs(truth - answer))


def rmse(true: np.ndarray, predicted: np.ndarray) -> float:
    """Root of the mean squared error, 0-2 for predictions in range."""
    truth, answer = _labelled(true, predicted)
    return float(np.sqrt(mean((truth - answer) ** 2)))


def corr(true: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson's correlation, -1..1; NaN where truth or prediction is constant."""
    return float(corr_of(moments(*_labelled(true, predicted))))


def ccc(true: np.ndarray, predicted: np.ndarray) -> float:
    """Lin's concordance correlation (1989, eq. 1) with population moments, -1..1.

    0 where truth or prediction is constant; NaN where both are the same constant (0 / 0).
    """
    return float(ccc_of(moments(*_labelled(true, predicted))))


def sagr(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share of faces whose sign is right, zero being a sign of its own (Toisoul et al. 2021)."""
    return mean(same_sign(*_labelled(true, predicted)))


def same_sign(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N,) bool: sign of the prediction, clipped to -1..1, is the truth's."""
    return np.sign(true) == np.sign(np.clip(predicted, AFFECT_LOW, AFFECT_HIGH))


@dataclass(frozen=True)
class Moments:
    """Population moments: 0-d for one sample, (R,) for R resamples; NaN without a face."""

    mean_true: np.ndarray
    mean_predicted: np.ndarray
    variance_true: np.ndarray
    variance_predicted: np.ndarray
    covariance: np.ndarray


def moments(true: np.ndarray, predicted: np.ndarray) -> Moments:
    """Moments of (N,) labelled truths and predictions; the variance of a constant is exactly 0."""
    (mean_true, off_true), (mean_predicted, off_predicted) = _deviations(true), _deviations(predicted)
    spread = (mean(off_true**2), mean(off_predicted**2), mean(off_true * off_predicted))
    return Moments(mean_true, mean_predicted, *(np.asarray(value) for value in spread))


def corr_of(sample: Moments) -> np.ndarray:
    """Pearson's correlation from moments."""
    scale = np.sqrt(sample.variance_true) * np.sqrt(sample.variance_predicted)
    return np.clip(ratio(sample.covariance, scale), -1.0, 1.0)


def ccc_of(sample: Moments) -> np.ndarray:
    """Lin's concordance correlation from moments."""
    distance = (sample.mean_true - sample.mean_predicted) ** 2
    return ratio(2 * sample.covariance, sample.variance_true + sample.variance_predicted + distance)


def _deviations(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, values - mean); a constant's mean is the constant itself, not its rounded sum."""
    if len(values) and values.min() == values.max():
        return np.asarray(values[0]), np.zeros(len(values))
    centre = mean(values)
    return np.asarray(centre), values - centre


def _labelled(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, answer = np.asarray(true, float), np.asarray(predicted, float)
    require_equal_rows("as many predictions as truths", truth, answer)
    keep = np.isfinite(truth)
    return truth[keep], answer[keep]

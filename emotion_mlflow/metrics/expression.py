"""Expression metrics: truths (N,) int (-1: no label, left out) and predictions in, floats out.

Figures that follow from counts are functions of a confusion matrix (`..._of`, any leading axes), so that one
formula serves the sample and its resamples. No TensorFlow, no scikit-learn.
"""

from dataclasses import dataclass

import numpy as np

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.arrays import ratio, require_equal_rows
from emotion_mlflow.metrics.ranking import Ranking, threshold_counts

CLASSES = len(EXPRESSIONS)

CALIBRATION_BINS = 15
"""Guo et al. 2017, section 2."""


def predicted_labels(probabilities: np.ndarray) -> np.ndarray:
    """(N,) the likeliest class of each face; the first of equals. `probabilities`: (N, 8)."""
    return np.argmax(probabilities, axis=1)


def confusion(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(8, 8) int64 faces of each true class (row) by predicted class (column)."""
    truth, answer = _labelled(true, predicted)
    cells = np.bincount(truth * CLASSES + answer.astype(np.int64), minlength=CLASSES**2)
    return cells.reshape(CLASSES, CLASSES)


def accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share of labelled faces whose class is right; NaN without a labelled face."""
    return float(accuracy_of(confusion(true, predicted)))


def macro_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur in truth or prediction (scikit-learn's f1_score, average="macro").

    A class that is neither true nor predicted has no F1 and is left out; one that is true but never
    predicted, or predicted but never true, counts as 0. NaN without a labelled face.
    """
    return float(macro_f1_of(confusion(true, predicted)))


def kappa(true: np.ndarray, predicted: np.ndarray) -> float:
    """Cohen's kappa (1960, eq. 1); NaN where truth and prediction hold one and the same class only."""
    return float(kappa_of(confusion(true, predicted)))


def alpha(true: np.ndarray, predicted: np.ndarray) -> float:
    """Krippendorff's nominal alpha (2011, section C), the raters being truth and model; NaN as `kappa`."""
    return float(alpha_of(confusion(true, predicted)))


def accuracy_of(table: np.ndarray) -> np.ndarray:
    """(...) share on the diagonal of (..., 8, 8) confusion matrices."""
    return ratio(_diagonal(table).sum(-1), table.sum((-2, -1)))


def macro_f1_of(table: np.ndarray) -> np.ndarray:
    """(...) mean F1 over occurring classes of (..., 8, 8) confusion matrices."""
    mentions = table.sum(-1) + table.sum(-2)
    present = mentions > 0
    f1 = np.where(present, ratio(2 * _diagonal(table), mentions), 0.0)
    return ratio(f1.sum(-1), present.sum(-1))


def kappa_of(table: np.ndarray) -> np.ndarray:
    """(...) Cohen's kappa of (..., 8, 8) confusion matrices; whole numbers make a collapse exactly 0."""
    table = np.asarray(table, float)
    faces = table.sum((-2, -1))
    by_chance = (table.sum(-1) * table.sum(-2)).sum(-1)
    return ratio(faces * _diagonal(table).sum(-1) - by_chance, faces**2 - by_chance)


def alpha_of(table: np.ndarray) -> np.ndarray:
    """(...) Krippendorff's nominal alpha of (..., 8, 8) confusion matrices of two raters without gaps."""
    table = np.asarray(table, float)
    faces, values = table.sum((-2, -1)), table.sum(-1) + table.sum(-2)
    observed = 2 * (faces - _diagonal(table).sum(-1))
    by_chance = (2 * faces) ** 2 - (values**2).sum(-1)
    return 1.0 - (2 * faces - 1) * ratio(observed, by_chance)


def roc_auc(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean one-vs-rest ROC AUC of the eight classes (scikit-learn's); NaN if a class has no faces."""
    return float(class_areas(true, probabilities)[0].mean())


def pr_auc(true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean one-vs-rest average precision of the eight classes, as `roc_auc`; NaN if a class has no faces."""
    return float(class_areas(true, probabilities)[1].mean())


def class_areas(true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ROC AUC, average precision) of each class against the rest, (8,) each; NaN for an absent class."""
    truth, scores = _labelled(true, probabilities)
    once = np.ones((len(truth), 1), dtype=np.int32)
    areas = [Ranking(truth == label, scores[:, label]).areas(once) for label in range(CLASSES)]
    roc, average_precision = np.array(areas)[:, :, 0].T
    return roc, average_precision


def ece(true: np.ndarray, probabilities: np.ndarray, *, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error of the likeliest class (Guo et al. 2017, eq. 3), 0-1; NaN without a face."""
    gaps, places = calibration_gaps(*_labelled(true, probabilities), bins=bins)
    return float(ratio(np.abs(np.bincount(places, weights=gaps, minlength=bins)).sum(), len(gaps)))


def calibration_gaps(true: np.ndarray, probabilities: np.ndarray, *, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """(right - confidence, bin) of each labelled face, (N,) each; bin m of M is confidence (m/M, (m+1)/M]."""
    confidence = probabilities.max(axis=1, initial=0.0).astype(float)
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return (predicted_labels(probabilities) == true) - confidence, places


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: (bins,) each but `edges`; NaN in empty bins."""

    edges: np.ndarray
    """(bins + 1,) confidence."""
    confidence: np.ndarray
    """Mean confidence of the bin's faces."""
    accuracy: np.ndarray
    """Share of the bin's faces whose class is right."""
    faces: np.ndarray
    """How many faces the bin holds, int."""


def reliability(true: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> Reliability:
    """Confidence against accuracy in equal-width bins of the top probability (Guo et al. 2017)."""
    truth, scores = _labelled(true, probabilities)
    gaps, places = calibration_gaps(truth, scores, bins=bins)
    confidence = scores.max(axis=1, initial=0.0).astype(float)
    faces = np.bincount(places, minlength=bins)
    sums = (np.bincount(places, weights=values, minlength=bins) for values in (confidence, gaps + confidence))
    trusted, right = (ratio(total, faces) for total in sums)
    return Reliability(edges=np.linspace(0.0, 1.0, bins + 1), confidence=trusted, accuracy=right, faces=faces)


def roc_curve(true: np.ndarray, probabilities: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate) of one class against the rest, rising from (0, 0) to (1, 1).

    Both are empty where the class, or every other, has no labelled face.
    """
    hits, false_alarms = _curve_counts(true, probabilities, label)
    if not len(hits):
        return np.zeros(0), np.zeros(0)
    return np.r_[0, false_alarms] / false_alarms[-1], np.r_[0, hits] / hits[-1]


def precision_recall_curve(true: np.ndarray, probabilities: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) of one class against the rest, recall falling from 1 to 0, ending in (1, 0).

    Both are empty where the class, or every other, has no labelled face. Draw it in steps: straight lines
    between the points flatter the model (Davis & Goadrich 2006).
    """
    hits, false_alarms = _curve_counts(true, probabilities, label)
    if not len(hits):
        return np.zeros(0), np.zeros(0)
    return np.r_[(hits / (hits + false_alarms))[::-1], 1.0], np.r_[(hits / hits[-1])[::-1], 0.0]


@dataclass(frozen=True)
class ClassScores:
    """One class's figures; NaN for the precision of a class never predicted, the recall of one never true."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Labelled faces of the class."""
    predicted: int
    """Labelled faces that the model takes for the class."""


def per_class(true: np.ndarray, predicted: np.ndarray) -> tuple[ClassScores, ...]:
    """Precision, recall, F1 and support of each expression, in label order."""
    table = confusion(true, predicted)
    right, support, answers = _diagonal(table), table.sum(1), table.sum(0)
    precision, recall, f1 = ratio(right, answers), ratio(right, support), ratio(2 * right, support + answers)
    return tuple(
        ClassScores(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]), int(answers[i]))
        for i, name in enumerate(EXPRESSIONS)
    )


def _diagonal(table: np.ndarray) -> np.ndarray:
    return np.diagonal(table, axis1=-2, axis2=-1)


def _labelled(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truths and predictions, (N,) or (N, 8), of the labelled faces; DataError for labels that are none."""
    truth, answers = np.asarray(true), np.asarray(predicted)
    require_equal_rows("as many predictions as truths", truth, answers)
    require_labels(truth, lowest=-1)
    if answers.ndim == 1:
        require_labels(answers, lowest=0)
    keep = truth >= 0
    return truth[keep].astype(np.int64), answers[keep]


def require_labels(labels: np.ndarray, *, lowest: int) -> None:
    """Raise DataError unless all of (N,) `labels` lie in `lowest` to 7."""
    if len(labels) and not lowest <= labels.min() <= labels.max() < CLASSES:
        span = f"{labels.min()} to {labels.max()}"
        raise DataError(f"expression labels {lowest} to {CLASSES - 1}", got=span)


def _curve_counts(true: np.ndarray, probabilities: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    truth, scores = _labelled(true, probabilities)
    positive = truth == label
    if not positive.any() or positive.all():
        return np.zeros(0, int), np.zeros(0, int)
    return threshold_counts(positive, scores[:, label])

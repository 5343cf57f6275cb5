"""Areas under the ROC and precision-recall curves of one class, for samples and their resamples.

Faces are sorted once; a resample is a column of counts, so no resample sorts again. For the metrics only.
"""

import numpy as np

from emotion_mlflow.metrics.arrays import ratio


class Ranking:
    """N faces in falling order of one class's score; faces of equal score share one threshold."""

    def __init__(self, positive: np.ndarray, score: np.ndarray) -> None:
        """`positive`: (N,) bool, the face is of the class; `score`: (N,) its probability for that class."""
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        new_threshold = np.r_[True, ordered[1:] != ordered[:-1]] if len(ordered) else np.zeros(0, bool)
        starts = np.flatnonzero(new_threshold)
        ends = np.r_[starts[1:], len(ordered)] if len(starts) else starts
        places = np.flatnonzero(positive[self._order])
        self._positives = self._order[places]
        threshold, self._first_positive = np.unique(np.cumsum(new_threshold)[places] - 1, return_index=True)
        self._starts, self._ends = starts[threshold], ends[threshold]

    def areas(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ROC AUC, average precision), each (R,); NaN where a resample lacks the class (ROC: or all others).

        `counts`: (N, R) int32, how often each face is in each resample. Only thresholds that hold a face of
        the class add area. ROC AUC is the Mann-Whitney statistic, ties counting half (Hanley & McNeil 1982);
        average precision is the sum over thresholds of recall step * precision, without interpolation.
        """
        if not len(self._positives):
            return np.full(counts.shape[1], np.nan), np.full(counts.shape[1], np.nan)
        # int32 holds any count of faces and adds twice as fast as int64
        taken = np.zeros((len(self._order) + 1, counts.shape[1]), dtype=np.int32)
        np.cumsum(counts[self._order], axis=0, out=taken[1:])
        step = np.add.reduceat(counts[self._positives], self._first_positive, axis=0, dtype=np.int32)
        step = step.astype(float)
        hits = np.cumsum(step, axis=0)
        positives, until = hits[-1], taken[self._ends].astype(float)
        negatives = taken[-1] - positives
        tied = until - taken[self._starts] - step
        outranked = negatives - (until - hits) + 0.5 * tied
        roc = ratio(np.einsum("gr,gr->r", step, outranked), positives * negatives)
        precision = hits / np.maximum(until, 1)  # where nothing is taken yet the step is 0 too
        return roc, ratio(np.einsum("gr,gr->r", step, precision), positives)


def threshold_counts(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(true positives, false positives) at each distinct score, falling: (T,) each, for drawing curves."""
    order = np.argsort(-score, kind="stable")
    last_of_threshold = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]
    hits = np.cumsum(positive[order])[last_of_threshold]
    return hits, last_of_threshold + 1 - hits

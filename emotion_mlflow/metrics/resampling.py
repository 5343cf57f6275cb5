"""The whole suite on many resamples at once: a resample is a column of counts, how often each face is in it.

Figures that are sums over faces become one product with the counts; rankings are sorted once. It serves the
bootstrap, the paired bootstrap (the same counts for two models) and permutations (0/1 counts over the stacked
answers of two models).
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import LandmarkLayout
from emotion_mlflow.metrics import affect, expression, landmarks
from emotion_mlflow.metrics.arrays import ratio
from emotion_mlflow.metrics.ranking import Ranking
from emotion_mlflow.metrics.suite import Answers, labelled_rows, nme_name

CHUNK_COUNTS = 2**18
"""Counts worked on at once: 1 MB as int32, which a processor's cache holds."""

CANCELLATION = 1e-6
"""Below this share of the largest square a variance got as a difference of sums has lost too many digits."""


class _Task(Protocol):
    def scores(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Metric -> (R,) for (n, R) counts of the task's n labelled faces."""


class ResampledSuite:
    """All figures of one model's answers, ready to be read on any resample of its faces."""

    def __init__(self, answers: Answers, *, layout: LandmarkLayout | None = None) -> None:
        self._rows = {task: np.flatnonzero(labelled_rows(answers, task, layout=layout)) for task in answers.tasks()}
        self._tasks = {task: _task(answers.rows(rows), task, layout) for task, rows in self._rows.items()}
        self.faces = len(answers)

    def scores(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Score name -> (R,), in the suite's order; `counts`: (N, R) int32.

        Column r gives what `suite` gives on the faces repeated as counted, to rounding.
        """
        figures: dict[str, np.ndarray] = {}
        for task, rows in self._rows.items():
            taken = counts if len(rows) == self.faces else counts[rows]
            named = self._tasks[task].scores(taken).items()
            figures |= {f"{task}/{metric}": values for metric, values in named}
        return figures


def count_chunks(
    faces: int, *, resamples: int, seed: int, groups: Sequence[str] | np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """(faces, r) int32 counts of bootstrap resamples, chunk by chunk, `resamples` columns in all.

    As many groups as there are, drawn with replacement (Davison & Hinkley 1997, section 3.8); a face without
    group ("" or `groups` None) is its own. The same arguments give the same counts.
    """
    member = group_index(faces, groups)
    size = int(member.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    width = max(1, CHUNK_COUNTS // max(faces, 1))
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn = random.integers(0, max(size, 1), size=(columns, size))
        drawn += np.arange(columns)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=columns * size).reshape(columns, size)
        yield np.ascontiguousarray(counts.T.astype(np.int32)[member])


def group_index(faces: int, groups: Sequence[str] | np.ndarray | None) -> np.ndarray:
    """(faces,) number of each face's group, from 0; a face without group is its own. DataError for another length."""
    if groups is None:
        return np.arange(faces)
    names = np.asarray(groups, dtype=object).astype(str)
    if len(names) != faces:
        raise DataError(f"{faces} group names", got=len(names))
    known, index = np.unique(names, return_inverse=True)
    alone = names == ""
    index[alone] = len(known) + np.arange(alone.sum())
    return np.unique(index, return_inverse=True)[1]


def _task(answers: Answers, task: str, layout: LandmarkLayout | None) -> _Task:
    """The task's figures on answers whose every face is labelled."""
    if task == "expression":
        return _Expression(*answers.pair(task))
    if task == "landmarks":
        return _Landmarks(answers.face_errors(layout), nme_name(layout or answers.layout))
    return _Affect(*answers.pair(task))


class _Expression:
    def __init__(self, true: np.ndarray, probabilities: np.ndarray) -> None:
        classes, bins = expression.CLASSES, expression.CALIBRATION_BINS
        cells = true.astype(np.int64) * classes + expression.predicted_labels(probabilities)
        gaps, places = expression.calibration_gaps(true, probabilities, bins=bins)
        self._order = np.argsort(cells, kind="stable")
        self._cells, self._starts = np.unique(cells[self._order], return_index=True)
        self._gaps = np.where(places == np.arange(bins)[:, None], gaps, 0.0)
        self._rankings = [Ranking(true == label, probabilities[:, label]) for label in range(classes)]

    def scores(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        table = self._confusions(counts)
        areas = np.mean([ranking.areas(counts) for ranking in self._rankings], axis=0)
        return {
            "accuracy": expression.accuracy_of(table),
            "macro_f1": expression.macro_f1_of(table),
            "kappa": expression.kappa_of(table),
            "alpha": expression.alpha_of(table),
            "roc_auc": areas[0],
            "pr_auc": areas[1],
            "ece": ratio(np.abs(_products(self._gaps, counts)).sum(0), table.sum((1, 2))),
        }

    def _confusions(self, counts: np.ndarray) -> np.ndarray:
        """(R, 8, 8) confusion matrices."""
        tables = np.zeros((expression.CLASSES**2, counts.shape[1]))
        if len(self._cells):
            tables[self._cells] = np.add.reduceat(counts[self._order], self._starts, axis=0, dtype=np.int32)
        return tables.T.reshape(-1, expression.CLASSES, expression.CLASSES)


class _Affect:
    def __init__(self, true: np.ndarray, predicted: np.ndarray) -> None:
        true, predicted = np.asarray(true, float), np.asarray(predicted, float)
        self._true, self._predicted = true, predicted
        self._centres = (np.median(true), np.median(predicted)) if len(true) else (0.0, 0.0)
        x, y, off = true - self._centres[0], predicted - self._centres[1], true - predicted
        self._least = CANCELLATION * np.array([(x**2).max(initial=0), (y**2).max(initial=0)])
        same = affect.same_sign(true, predicted)
        self._sums = np.stack([np.ones(len(x)), np.abs(off), off**2, same, x, y, x**2, y**2, x * y])

    def scores(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        faces, *sums = _products(self._sums, counts)
        mae, square, same, *moments = (ratio(total, faces) for total in sums)
        sample = self._exact(counts, *moments)
        return {
            "mae": mae,
            "rmse": np.sqrt(square),
            "corr": affect.corr_of(sample),
            "sagr": same,
            "ccc": affect.ccc_of(sample),
        }

    def _exact(self, counts: np.ndarray, *means: np.ndarray) -> affect.Moments:
        """Moments from means of x, y, x^2, y^2, xy; from the faces themselves where that loses digits."""
        x, y, xx, yy, xy = means
        found = np.stack([x + self._centres[0], y + self._centres[1], xx - x**2, yy - y**2, xy - x * y])
        doubtful = (found[2:4] <= self._least[:, None]).any(axis=0)
        for column in np.flatnonzero(doubtful):
            picked = np.repeat(np.arange(len(counts)), counts[:, column])
            plain = affect.moments(self._true[picked], self._predicted[picked])
            found[:, column] = list(vars(plain).values())
        return affect.Moments(*found)


class _Landmarks:
    def __init__(self, errors: np.ndarray, name: str) -> None:
        failed, shares = errors > landmarks.LIMIT, landmarks.area_shares(errors)
        self._sums, self._name = np.stack([np.ones(len(errors)), errors, failed, shares]), name

    def scores(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        faces, *sums = _products(self._sums, counts)
        names = (self._name, "failure_rate_08", "auc_08")
        return {name: ratio(total, faces) for name, total in zip(names, sums, strict=True)}


def _products(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(M, R) sums of (M, n) values over (n, R) counts.

    Not `@`: BLAS threads wait for each other on a busy machine (seen: 0.7 s for 6 ms of work), and
    its rounding may depend on their number.
    """
    return np.einsum("mn,nr->mr", sums, counts.astype(float))

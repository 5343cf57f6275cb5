"""Truths and predictions -> every figure by name, in fixed order; the one place where names are built."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from emotion_mlflow.errors import ConfigError, DataError
from emotion_mlflow.labels import EXPRESSIONS, SPLITS, TASKS, LandmarkLayout, landmark_layout
from emotion_mlflow.metrics import affect, expression, landmarks

AFFECT_TASKS = ("valence", "arousal")

PRIMARY = (
    "expression/accuracy",
    "expression/macro_f1",
    "expression/ece",
    "valence/ccc",
    "valence/rmse",
    "arousal/ccc",
    "arousal/rmse",
    "landmarks/nme",
)
"""Scores whose interval is logged as a metric too, and that a comparison may name a winner by; fixed in advance."""

TRAIN_SCORES = ("expression/accuracy", "expression/macro_f1", "valence/ccc", "arousal/ccc", "landmarks/nme")
"""Scores logged for the training faces."""

_LOWER_IS_BETTER = ("loss", "mae", "rmse", "ece", "nme", "nme_box", "failure_rate_08")

BOX_NAMES = {"landmarks/nme": "landmarks/nme_box"}
"""What a score is called where the face's size is its points' box: other numbers must not share a name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Truths and predictions of N faces; N rows. A task without predictions (None) was not learnt."""

    expression_true: np.ndarray
    """(N,) int 0-7; -1: no label."""
    probabilities: np.ndarray | None = None
    """(N, 8), rows sum to 1."""
    valence_true: np.ndarray
    """(N,) -1..1; NaN: no label. Arousal likewise."""
    arousal_true: np.ndarray
    valence: np.ndarray | None = None
    """(N,) predictions. Arousal likewise."""
    arousal: np.ndarray | None = None
    landmarks_true: np.ndarray
    """(N, 2K) x0, y0, x1, y1, ... pixels; a row with NaN: no label; K = 0: nobody has."""
    landmarks: np.ndarray | None = None
    """(N, 2K) predictions."""

    def __post_init__(self) -> None:
        expression.require_labels(self.expression_true, lowest=-1)
        for name, array in self._arrays().items():
            if len(array) != len(self):
                raise DataError(f"{len(self)} rows, as in expression_true", got=len(array), where=name)
        for name in ("probabilities", *AFFECT_TASKS, "landmarks"):
            _require_finite(name, getattr(self, name))
        _require_probabilities(self.probabilities)

    def __len__(self) -> int:
        return len(self.expression_true)

    def rows(self, picked: np.ndarray) -> "Answers":
        """The answers on the rows `picked`: (N,) bool, or positions, which may repeat."""
        return replace(self, **{name: array[picked] for name, array in self._arrays().items()})

    def tasks(self) -> tuple[str, ...]:
        """Tasks that have predictions, in the fixed order."""
        predictions = (self.probabilities, self.valence, self.arousal, self.landmarks)
        return tuple(task for task, array in zip(TASKS, predictions, strict=True) if array is not None)

    @property
    def layout(self) -> LandmarkLayout:
        """The landmarks' layout as their width tells it."""
        return landmark_layout((self.landmarks_true if self.landmarks is None else self.landmarks).shape[1])

    def pair(self, task: str) -> tuple[np.ndarray, np.ndarray]:
        """(truths, predictions) of a task; DataError if it was not learnt."""
        predicted = self.probabilities if task == "expression" else getattr(self, task)
        if predicted is None:
            raise DataError(f"predictions for {task}", got="none")
        return getattr(self, f"{task}_true"), predicted

    def face_errors(self, layout: LandmarkLayout | None = None) -> np.ndarray:
        """(N,) normalised landmark error of each face; NaN where it has no label. DataError if not learnt."""
        true, predicted = self.pair("landmarks")
        if not true.shape[1]:
            return np.full(len(self), np.nan)
        return landmarks.face_errors(true, predicted, layout or self.layout)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: array for name, array in vars(self).items() if array is not None}


def lower_is_better(metric: str) -> bool:
    """Of `ece`, `valence/rmse`, `val/loss` and the like, by its last part."""
    return metric.split("/")[-1] in _LOWER_IS_BETTER


def suite(answers: Answers, *, layout: LandmarkLayout | None = None) -> dict[str, float]:
    """Every figure of the learnt tasks by name, `expression/accuracy` and so on, always in the same order.

    `layout`: None reads it from the landmarks' width. NaN only where a figure is undefined.
    """
    scores: dict[str, float] = {}
    for task in answers.tasks():
        if task == "expression":
            figures = _expression_scores(*answers.pair(task))
        elif task == "landmarks":
            figures = _landmark_scores(answers, layout)
        else:
            figures = _affect_scores(*answers.pair(task))
        scores |= {f"{task}/{metric}": value for metric, value in figures.items()}
    return scores


def labelled(answers: Answers) -> dict[str, int]:
    """How many faces the figures of each learnt task rest on."""
    return {task: int(labelled_rows(answers, task).sum()) for task in answers.tasks()}


def labelled_rows(answers: Answers, task: str, *, layout: LandmarkLayout | None = None) -> np.ndarray:
    """(N,) bool: faces that the figures of a learnt task rest on."""
    if task == "expression":
        return answers.expression_true >= 0
    return np.isfinite(answers.face_errors(layout) if task == "landmarks" else answers.pair(task)[0])


def score_name(split: str, task_metric: str, *, bound: Literal["", "low", "high"] = "") -> str:
    """`final/<split>/<task>/<metric>`, with `_low` or `_high` for the ends of its interval."""
    return f"final/{epoch_name(split, task_metric)}" + (f"_{bound}" if bound else "")


def epoch_name(split: str, task_metric: str) -> str:
    """`<split>/<task>/<metric>`, as logged each epoch."""
    known = (*SPLITS, "all")
    if split not in known:
        raise ConfigError(f"a split of {', '.join(known)}", got=split)
    return f"{split}/{task_metric}"


def pick(scores: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """Those of `names` (PRIMARY, TRAIN_SCORES) that `scores` has; `landmarks/nme` also as `.../nme_box`."""
    wanted = [name if name in scores else BOX_NAMES.get(name, name) for name in names]
    return {name: scores[name] for name in wanted if name in scores}


def selection_score(scores: Mapping[str, float]) -> float:
    """What configurations are chosen by, higher is better; ConfigError if `scores` holds none.

    Macro F1; without expression the mean CCC of the learnt affect tasks; without those minus NME.
    """
    if "expression/macro_f1" in scores:
        return scores["expression/macro_f1"]
    agreement = [scores[f"{task}/ccc"] for task in AFFECT_TASKS if f"{task}/ccc" in scores]
    if agreement:
        return sum(agreement) / len(agreement)
    for error in pick(scores, ("landmarks/nme",)).values():
        return -error
    raise ConfigError("scores of at least one task", got=", ".join(scores) or "none")


def _expression_scores(true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    areas = expression.class_areas(true, probabilities)
    table = expression.confusion(true, expression.predicted_labels(probabilities))
    return {
        "accuracy": float(expression.accuracy_of(table)),
        "macro_f1": float(expression.macro_f1_of(table)),
        "kappa": float(expression.kappa_of(table)),
        "alpha": float(expression.alpha_of(table)),
        "roc_auc": float(areas[0].mean()),
        "pr_auc": float(areas[1].mean()),
        "ece": expression.ece(true, probabilities),
    }


def _affect_scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "mae": affect.mae(true, predicted),
        "rmse": affect.rmse(true, predicted),
        "corr": affect.corr(true, predicted),
        "sagr": affect.sagr(true, predicted),
        "ccc": affect.ccc(true, predicted),
    }


def _landmark_scores(answers: Answers, layout: LandmarkLayout | None) -> dict[str, float]:
    errors = answers.face_errors(layout)
    return {
        nme_name(layout or answers.layout): landmarks.nme(errors),
        "failure_rate_08": landmarks.failure_rate(errors),
        "auc_08": landmarks.curve_area(errors),
    }


def nme_name(layout: LandmarkLayout) -> str:
    """`nme`, or `nme_box` where the layout has no known eyes."""
    return "nme" if layout.outer_eyes else "nme_box"


def _require_finite(name: str, predictions: np.ndarray | None) -> None:
    if predictions is not None and not (finite := np.isfinite(predictions)).all():
        raise DataError("finite predictions", got=f"{int((~finite).sum())} that are not", where=name)


def _require_probabilities(probabilities: np.ndarray | None) -> None:
    """Logits would give an accuracy, and a calibration error that means nothing."""
    if probabilities is None:
        return
    if probabilities.ndim != 2 or probabilities.shape[1] != len(EXPRESSIONS):
        shape = f"an array of shape {probabilities.shape}"
        raise DataError(f"{len(EXPRESSIONS)} probabilities a face", got=shape)
    sums = probabilities.sum(axis=1, dtype=float)
    if len(sums) and (probabilities.min() < 0 or np.abs(sums - 1).max() > 0.01):
        raise DataError("probabilities that sum to 1", got=f"a sum of {sums[np.abs(sums - 1).argmax()]:.3g}")

"""Figures from predictions and histories: plain values in, matplotlib figures out; only `save_all` writes.

Importing this takes matplotlib with it (half a second), so whoever uses it imports it inside a function.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emotion_mlflow.labels import LandmarkLayout, landmark_layout
from emotion_mlflow.metrics.suite import Answers
from emotion_mlflow.plots.affect import affect_density, affect_scatter
from emotion_mlflow.plots.curves import detail_curves, learning_curves, learning_rate_curve
from emotion_mlflow.plots.expression import (
    confusion_matrix,
    precision_recall_curves,
    reliability_diagram,
    roc_curves,
)
from emotion_mlflow.plots.faces import FacesToShow, choose_faces, face_figures, faces_grid, rows_to_load
from emotion_mlflow.plots.landmarks import landmark_errors
from emotion_mlflow.plots.style import DPI

__all__ = [
    "FacesToShow",
    "affect_density",
    "affect_scatter",
    "choose_faces",
    "confusion_matrix",
    "detail_curves",
    "face_figures",
    "faces_grid",
    "figures",
    "landmark_errors",
    "learning_curves",
    "learning_rate_curve",
    "precision_recall_curves",
    "reliability_diagram",
    "roc_curves",
    "rows_to_load",
    "save_all",
]


def figures(
    answers: Answers,
    *,
    history: pd.DataFrame | None,
    layout: LandmarkLayout | None,
    best_epoch: int | None,
    faces: FacesToShow | None,
) -> dict[str, Figure]:
    """Every figure that the answers, their labels and the history allow, by file name without `.png`.

    `layout`: None reads it from the landmarks' width. A task without answers or without a labelled face gives
    none; so does a history that is None or empty.
    """
    made = {} if history is None or history.empty else _history_figures(history, best_epoch)
    made |= _expression_figures(answers) | _affect_figures(answers) | _landmark_figures(answers, layout)
    return made if faces is None else made | face_figures(answers, faces, layout=layout)


def save_all(folder: Path, figures: dict[str, Figure]) -> list[Path]:
    """Write each figure as `<folder>/<name>.png`, 1,000 pixels wide; the paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=DPI, format="png", facecolor="white")
    return paths


def _history_figures(history: pd.DataFrame, best_epoch: int | None) -> dict[str, Figure]:
    made = {"learning_curves": learning_curves(history, best_epoch=best_epoch)}
    details = detail_curves(history, best_epoch=best_epoch)
    made |= {} if details is None else {"learning_curves_details": details}
    return made | ({"learning_rate": learning_rate_curve(history)} if "learning_rate" in history else {})


def _expression_figures(answers: Answers) -> dict[str, Figure]:
    known = answers.expression_true >= 0
    if answers.probabilities is None or not known.any():
        return {}
    true, probabilities = answers.expression_true[known], answers.probabilities[known]
    return {
        "confusion_matrix": confusion_matrix(true, probabilities.argmax(axis=1)),
        "roc_curves": roc_curves(true, probabilities),
        "precision_recall_curves": precision_recall_curves(true, probabilities),
        "reliability_diagram": reliability_diagram(true, probabilities),
    }


def _affect_figures(answers: Answers) -> dict[str, Figure]:
    made = {}
    valence, arousal = answers.valence, answers.arousal
    both = np.isfinite(answers.valence_true) & np.isfinite(answers.arousal_true)
    if valence is not None and arousal is not None and both.any():
        made["affect_scatter"] = affect_scatter(
            answers.valence_true, answers.arousal_true, valence, arousal, answers.expression_true
        )
    for name, true, answer in (
        ("valence", answers.valence_true, valence),
        ("arousal", answers.arousal_true, arousal),
    ):
        if answer is not None and np.isfinite(true).any():
            made[f"{name}_density"] = affect_density(name, true, answer)
    return made


def _landmark_figures(answers: Answers, layout: LandmarkLayout | None) -> dict[str, Figure]:
    if answers.landmarks is None:
        return {}
    layout = layout or landmark_layout(answers.landmarks.shape[1])
    errors = answers.face_errors(layout)
    return {"landmark_errors": landmark_errors(errors, layout)} if np.isfinite(errors).any() else {}

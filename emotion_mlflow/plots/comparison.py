"""Figures of a comparison: every side on the same axes, each with a text alternative. Used by jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.labels import EXPRESSIONS, LandmarkLayout
from emotion_mlflow.metrics import expression as metrics
from emotion_mlflow.metrics.affect import ccc
from emotion_mlflow.metrics.landmarks import LIMIT, failure_rate, nme
from emotion_mlflow.metrics.suite import Answers, labelled_rows
from emotion_mlflow.plots.differences import difference_plot
from emotion_mlflow.plots.disagreement import disagreeing_faces
from emotion_mlflow.plots.faces import FacesToShow
from emotion_mlflow.plots.sides import (
    affect_planes,
    averaged,
    confusion_matrices,
    landmark_curves,
    macro_curves,
    reliability_curves,
    training_curves,
)
from emotion_mlflow.plots.style import count, number


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What one side's figures are drawn from."""

    name: str
    answers: Answers
    """On the test faces, of the side's first version; the same faces in the same order on every side."""
    histories: list[pd.DataFrame]
    """One a seed, columns as in `history.csv`."""
    best_epochs: list[int]
    """In the same order; 0: not known."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, the words that stand in for it, and the words below it."""

    figure: Figure
    alt: str
    """What it shows, with its main numbers, for who cannot see it."""
    caption: str


def comparison_figures(
    compared: Sequence[Compared],
    comparison: Comparison,
    *,
    layout: LandmarkLayout | None,
    faces: FacesToShow | None,
) -> dict[str, Picture]:
    """Every figure that the sides' answers and histories allow, by file name without `.png`.

    `faces`: ids and pictures of the test faces, rows as in the answers; None or no pictures: no figure of faces.
    """
    made: dict[str, Picture] = {}
    for name, picture in _all(compared, comparison, layout, faces):
        made[name] = picture
    return made


def _all(
    compared: Sequence[Compared], comparison: Comparison, layout: LandmarkLayout | None, faces: FacesToShow | None
) -> Iterator[tuple[str, Picture]]:
    yield from _differences(comparison)
    yield from _training(compared)
    yield from _expression([side for side in compared if side.answers.probabilities is not None])
    yield from _affect(compared)
    yield from _landmarks([side for side in compared if side.answers.landmarks is not None], layout)
    yield from _faces(comparison, faces)


def _differences(comparison: Comparison) -> Iterator[tuple[str, Picture]]:
    rows = [row for row in comparison.rows if row.primary and row.difference is not None and row.low is not None]
    if not rows:
        return
    told = "; ".join(
        f"{row.label}: {' minus '.join(row.between or ())} {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], "
        f"{row.winner}"
        for row in rows
    )
    yield (
        "differences",
        Picture(
            figure=difference_plot(rows, comparison.names),
            alt=f"Differences with 95 % intervals in the primary rows. {told}.",
            caption="Differences in the primary rows with their 95 % intervals, each in units of its own interval's "
            "half width, so that all fit one axis; right of the line the first-named side is better. Filled marks are "
            "winners that the corrected test names.",
        ),
    )


def _training(compared: Sequence[Compared]) -> Iterator[tuple[str, Picture]]:
    shown = [side for side in compared if any(not history.empty for history in side.histories)]
    if not shown:
        return
    sides = [(side.name, side.histories, side.best_epochs) for side in shown]
    told = "; ".join(f"{side.name}: {_losses(side)}" for side in shown)
    yield (
        "learning_curves",
        Picture(
            figure=training_curves(sides),
            alt=f"Losses and validation scores by epoch. {told}.",
            caption="Loss and validation scores by epoch, a line a seed; training is dashed. Rings mark the epoch "
            "whose weights were kept.",
        ),
    )


def _losses(side: Compared) -> str:
    """`validation loss 2.31 first, 1.20 last, over 12 epochs` of the first seed with a history."""
    history = next(history for history in side.histories if not history.empty)
    if "val/loss" not in history:
        return f"{len(history)} epochs"
    losses = history["val/loss"].to_numpy(float)
    return f"validation loss {number(losses[0])} first, {number(losses[-1])} last, over {count(len(losses), 'epoch')}"


def _expression(compared: Sequence[Compared]) -> Iterator[tuple[str, Picture]]:
    if not compared:
        return
    known = labelled_rows(compared[0].answers, "expression")
    if not known.any():
        return
    true = compared[0].answers.expression_true[known]
    sides = [(side.name, side.answers.pair("expression")[1][known]) for side in compared]
    yield "confusion_matrices", _confusion(true, sides)
    classes = f"the {len(averaged(true))} expressions that have faces"
    roc, pr = (
        "; ".join(f"{name} {number(area(true, probabilities))}" for name, probabilities in sides)
        for area in (metrics.roc_auc, metrics.pr_auc)
    )
    yield (
        "roc_and_precision_recall",
        Picture(
            figure=macro_curves(true, sides),
            alt=f"Mean one-against-rest curves of {classes}. Area under ROC: {roc}. Area under precision-recall: {pr}.",
            caption=f"ROC (left) and precision-recall (right), one against the rest: the mean over {classes}.",
        ),
    )
    errors = "; ".join(f"{name} {number(metrics.ece(true, probabilities))}" for name, probabilities in sides)
    yield (
        "reliability",
        Picture(
            figure=reliability_curves(true, sides),
            alt=f"Accuracy by confidence. Expected calibration error: {errors}.",
            caption="Accuracy by confidence: below the diagonal a side is more certain than right. Larger marks hold "
            "more faces.",
        ),
    )


def _confusion(true: np.ndarray, sides: Sequence[tuple[str, np.ndarray]]) -> Picture:
    told = "; ".join(f"{name}: {_recalls(true, probabilities.argmax(axis=1))}" for name, probabilities in sides)
    return Picture(
        figure=confusion_matrices(true, [(name, probabilities.argmax(axis=1)) for name, probabilities in sides]),
        alt=f"Confusion matrices of {count(len(true), 'face')}, in per cent of each true expression. {told}.",
        caption="Answers (columns) to each true expression (rows), in per cent of the row; framed cells are right.",
    )


def _recalls(true: np.ndarray, predicted: np.ndarray) -> str:
    right = [
        f"{name} {(predicted[true == label] == label).mean():.0%}"
        for label, name in enumerate(EXPRESSIONS)
        if (true == label).any()
    ]
    return "found " + ", ".join(right)


def _affect(compared: Sequence[Compared]) -> Iterator[tuple[str, Picture]]:
    shown = [side for side in compared if side.answers.valence is not None and side.answers.arousal is not None]
    if not shown:
        return
    first = shown[0].answers
    both = np.isfinite(first.valence_true) & np.isfinite(first.arousal_true)
    if not both.any():
        return
    answers = [side.answers.rows(both) for side in shown]
    told = "; ".join(
        f"{side.name} {number(ccc(*one.pair('valence')))} and {number(ccc(*one.pair('arousal')))}"
        for side, one in zip(shown, answers, strict=True)
    )
    yield (
        "affect_scatter",
        Picture(
            figure=affect_planes([side.name for side in shown], answers),
            alt=f"Valence and arousal of {count(int(both.sum()), 'face')}, truth beside each side's answers. CCC of "
            f"valence and arousal: {told}.",
            caption="The valence-arousal plane: truth, then each side's answers. Marks are class means, rings one "
            "standard deviation; answers that crowd in the middle are what CCC punishes.",
        ),
    )


def _landmarks(compared: Sequence[Compared], layout: LandmarkLayout | None) -> Iterator[tuple[str, Picture]]:
    sides = [(side.name, side.answers.face_errors(layout)) for side in compared]
    if not sides or not any(np.isfinite(errors).any() for _, errors in sides):
        return
    told = "; ".join(
        f"{name} mean {number(nme(errors), 4)}, above {LIMIT} {failure_rate(errors):.1%}" for name, errors in sides
    )
    by_eyes = (layout or compared[0].answers.layout).outer_eyes is not None
    yield (
        "landmark_errors",
        Picture(
            figure=landmark_curves(sides, by_eyes=by_eyes),
            alt=f"Share of faces up to each landmark error. {told}.",
            caption="Share of faces whose mean landmark error is at most the one below; higher and further left is "
            f"better. Errors above {LIMIT} count as failures.",
        ),
    )


def _faces(comparison: Comparison, faces: FacesToShow | None) -> Iterator[tuple[str, Picture]]:
    if faces is None or faces.pictures is None:
        return
    rows = {str(name): row for row, name in enumerate(faces.ids)}
    shown = [one for one in comparison.disagreements if rows.get(one.face) in faces.pictures]
    if not shown:
        return
    told = "; ".join(
        f"{one.face}, true {one.true}: " + ", ".join(f"{name} {answer}" for name, answer in one.answers.items())
        for one in shown
    )
    pictures = [faces.pictures[rows[one.face]] for one in shown]
    yield (
        "disagreements",
        Picture(
            figure=disagreeing_faces(shown, pictures, thumbnails=faces.thumbnails),
            alt=f"Faces on which the sides disagree most. {told}.",
            caption="The faces on which the sides disagree most, the widest gap first.",
        ),
    )

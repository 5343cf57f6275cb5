"""Figures of the expression task: confusion, ROC, precision-recall, reliability. Used by plots only.

Arrays: true (N,) int 0-7, every face labelled; probabilities (N, 8), rows sum to 1.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics import expression as metrics
from emotion_mlflow.plots.style import (
    CLASS_STYLES,
    INK,
    SMALL,
    SOFT,
    TRAIN,
    UNDEFINED,
    VAL,
    canvas,
    colour_bar,
    compact,
    count,
    dress,
    legend,
    number,
    too_light,
)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray) -> Figure:
    """Counts, and the share of each true class, by true class (rows) and answer (columns). Both (N,) int."""
    counts = metrics.confusion(true, predicted)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    accuracy, macro_f1 = metrics.accuracy(true, predicted), metrics.macro_f1(true, predicted)
    scores = f"accuracy {number(accuracy)}, macro F1 {number(macro_f1)}"
    figure = canvas(f"Confusion matrix, {scores}, n = {count(len(true), 'face')}", height=6.8)
    axes = figure.add_subplot()
    cells = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        if totals[row, 0]:
            _cell(axes, row, column, int(counts[row, column]), shares[row, column])
        elif column == 0:
            words = f"no face is {EXPRESSIONS[row]}: {UNDEFINED}"
            axes.text(len(EXPRESSIONS) / 2 - 0.5, row, words, ha="center", va="center", fontsize=SMALL, color=INK)
    dress(axes, title="each cell: faces, and share of the true class", x="answer", y="truth", grid=False)
    true_sizes = [f"n = {n:,}" if n else "no faces" for n in totals[:, 0].tolist()]
    answered = [f"{n:,}" for n in counts.sum(axis=0).tolist()]
    for axis, sizes in ((axes.yaxis, true_sizes), (axes.xaxis, answered)):
        labels = [f"{name}\n({size})" for name, size in zip(EXPRESSIONS, sizes, strict=True)]
        axis.set_ticks(range(len(EXPRESSIONS)), labels)
    colour_bar(figure, axes, cells, "share of the true class")
    return figure


def roc_curves(true: np.ndarray, probabilities: np.ndarray) -> Figure:
    """One-vs-rest ROC curve and area of each class, and their mean; chance is the diagonal."""
    areas = metrics.class_areas(true, probabilities)[0]
    faces = np.bincount(true, minlength=len(EXPRESSIONS))
    curves = [metrics.roc_curve(true, probabilities, label) for label in range(len(EXPRESSIONS))]
    macro = number(metrics.roc_auc(true, probabilities))
    figure = canvas(f"ROC curves, macro AUC {macro}, n = {count(len(true), 'face')}", height=5.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=":", label="chance 0.500")
    places = np.linspace(0, 1, 1001)
    rising = [np.r_[0, np.interp(places, false_alarms, hits)] for false_alarms, hits in curves if len(hits)]
    for part in (axes, *_corner(axes, areas)):
        for label, (false_alarms, hits) in enumerate(curves):
            _class_curve(part, label, false_alarms, hits, f"{EXPRESSIONS[label]} {_area(areas[label], faces[label])}")
        _macro_curve(part, np.r_[0, places], rising, macro)
    dress(axes, title="each class against the rest", x="false positive rate", y="true positive rate")
    _unit_frame(axes)
    return figure


def precision_recall_curves(true: np.ndarray, probabilities: np.ndarray) -> Figure:
    """One-vs-rest precision by recall and average precision of each class, and their mean, drawn in steps.

    A class's chance level is its share of the faces, written beside its area, which falls with it.
    """
    areas = metrics.class_areas(true, probabilities)[1]
    faces = np.bincount(true, minlength=len(EXPRESSIONS))
    curves = [metrics.precision_recall_curve(true, probabilities, label) for label in range(len(EXPRESSIONS))]
    macro = number(metrics.pr_auc(true, probabilities))
    figure = canvas(f"Precision-recall curves, macro AUC {macro}, n = {count(len(true), 'face')}", height=5.6)
    axes = figure.add_subplot()
    for label, (precision, recall) in enumerate(curves):
        share = f" (share {faces[label] / len(true):.2f})" if faces[label] else ""
        text = f"{EXPRESSIONS[label]} {_area(areas[label], faces[label])}{share}"
        _class_curve(axes, label, recall[::-1], precision[::-1], text, drawstyle="steps-pre")
    places = np.linspace(0, 1, 501)
    steps = [precision[::-1][np.searchsorted(recall[::-1], places)] for precision, recall in curves if len(recall)]
    _macro_curve(axes, places, steps, macro)
    dress(axes, title="each class against the rest", x="recall", y="precision")
    _unit_frame(axes)
    return figure


def reliability_diagram(true: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Accuracy by confidence of the likeliest class, the gap between them, ECE, and faces in each bin."""
    bins = metrics.reliability(true, probabilities)
    ece = number(metrics.ece(true, probabilities))
    figure = canvas(f"Reliability diagram, ECE {ece}, n = {count(len(true), 'face')}", height=6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = bins.faces > 0
    left, width = bins.edges[:-1][filled], np.diff(bins.edges)[filled]
    trusted, right = bins.confidence[filled], bins.accuracy[filled]
    upper.bar(left, right, width, align="edge", color="#9CC4E4", edgecolor="white", label="accuracy")
    upper.vlines(trusted, right, trusted, color=VAL, linewidth=2.5, label="gap to confidence")
    upper.plot(trusted, right, "o", color=TRAIN, markersize=6, markeredgecolor="white")
    upper.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle="--", label="perfect calibration")
    mean_confidence, accuracy = (
        probabilities.max(axis=1).mean(),
        metrics.accuracy(true, probabilities.argmax(axis=1)),
    )
    summary = f"mean confidence {number(mean_confidence)}, accuracy {number(accuracy)}"
    dress(upper, title=summary, y="accuracy")
    upper.set_ylim(0, 1.02)
    legend(upper, loc="upper left")
    lower.bar(left, bins.faces[filled], width, align="edge", color="#BBBBBB", edgecolor="white")
    for place, faces in zip(left + width / 2, bins.faces[filled].tolist(), strict=True):
        lower.text(place, faces, compact(faces), ha="center", va="bottom", fontsize=SMALL, color=INK)
    lower.set_ylim(0, bins.faces.max() * 1.35)
    dress(lower, x=f"confidence ({len(bins.faces)} bins)", y="faces")
    lower.set_xlim(0, 1)
    return figure


def _cell(axes: Axes, row: int, column: int, faces: int, share: float) -> None:
    """Count above, share below; the diagonal has a frame, so that it is found in grey as well."""
    colour = "white" if share > 0.68 else INK  # where both have the same contrast on this blue, about 4
    axes.text(column, row, f"{faces:,}\n{share:.0%}", ha="center", va="center", fontsize=SMALL, color=colour)
    if row == column:
        axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor=VAL, linewidth=1.5))


def _area(area: float, faces: int) -> str:
    return number(area) if faces else f"{UNDEFINED} (no faces)"


def _class_curve(axes: Axes, label: int, x: np.ndarray, y: np.ndarray, text: str, drawstyle: str = "default") -> None:
    style = CLASS_STYLES[label]
    if too_light(style.colour):
        axes.plot(x, y, color=SOFT, linestyle=style.line, linewidth=3.6, drawstyle=drawstyle)
    axes.plot(
        x,
        y,
        color=style.colour,
        linestyle=style.line,
        linewidth=2,
        drawstyle=drawstyle,
        label=text,
        marker=style.marker,
        markersize=6,
        markeredgecolor=INK,
        markeredgewidth=0.6,
        markevery=(0.04 + 0.012 * label, 0.13),
    )


def _macro_curve(axes: Axes, x: np.ndarray, curves: list[np.ndarray], macro: str) -> None:
    """Mean of the classes' curves; where a class has no faces, of the others, and the legend says so."""
    if not curves:
        return
    text = f"macro {macro}" if len(curves) == len(EXPRESSIONS) else f"mean of {len(curves)} classes"
    axes.plot(x, np.mean(curves, axis=0), color=SOFT, linewidth=5, alpha=0.45, label=text, zorder=1)


def _corner(axes: Axes, areas: np.ndarray) -> list[Axes]:
    """An enlarged upper left corner, where good curves lie on each other, in the empty half below chance."""
    if not np.nan_to_num(areas).max() > 0.85:
        return []
    inset = axes.inset_axes((0.54, 0.07, 0.44, 0.36), xlim=(-0.003, 0.25), ylim=(0.7, 1.01))
    dress(inset, title="boxed corner, enlarged")
    axes.add_patch(Rectangle((0, 0.7), 0.25, 0.305, fill=False, edgecolor=SOFT, linewidth=1))
    return [inset]


def _unit_frame(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    legend(axes, loc="center left", anchor=(1.02, 0.5), title="area under the curve")

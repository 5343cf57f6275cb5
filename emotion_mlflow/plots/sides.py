"""Two or more sides on the same axes: curves, matrices, planes. Used by plots.comparison.

`sides`: (name, arrays) of each, in order; the arrays of all sides are of the same faces.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics import expression as metrics
from emotion_mlflow.metrics.landmarks import LIMIT, error_curve, nme
from emotion_mlflow.metrics.suite import Answers, lower_is_better
from emotion_mlflow.plots.affect import EDGE, class_legend, plane
from emotion_mlflow.plots.curves import spelled
from emotion_mlflow.plots.faces import shortened
from emotion_mlflow.plots.landmarks import REACH
from emotion_mlflow.plots.style import INK, SMALL, SOFT, VAL, ClassStyle, canvas, count, dress, legend, number

# Okabe & Ito 2008: dark enough on white for a line; the first three pairwise apart for every kind of colour sight.
SIDE_STYLES = (
    ClassStyle("#0072B2", "-", "o"),
    ClassStyle("#D55E00", "-", "s"),
    ClassStyle("#009E73", "-", "D"),
    ClassStyle("#CC79A7", "-", "^"),
    ClassStyle("#000000", "-", "v"),
    ClassStyle("#E69F00", "-", "P"),
)
"""Colour and marker of each side, in order; dashes are kept for training."""

CURVES = (
    "loss",
    "selection_score",
    "expression/macro_f1",
    "valence/ccc",
    "arousal/ccc",
    "landmarks/nme",
    "landmarks/nme_box",
)

History = tuple[str, Sequence[pd.DataFrame], Sequence[int]]
"""(name, a history a seed, the kept epoch of each)."""


def side_style(place: int) -> ClassStyle:
    """Of the side at `place`; a seventh begins anew."""
    return SIDE_STYLES[place % len(SIDE_STYLES)]


def training_curves(sides: Sequence[History]) -> Figure:
    """Validation by epoch of every seed of every side, training loss dashed, the kept epoch ringed."""
    there = {name for _, histories, _ in sides for history in histories for name in history.columns}
    keys = [key for key in CURVES if f"val/{key}" in there]
    if "expression/macro_f1" in keys and "selection_score" in keys:
        keys.remove("selection_score")  # the same number
    rows = max(math.ceil(len(keys) / 2), 1)
    figure = canvas("Learning curves", height=1.3 + 2.6 * rows)
    for place, key in enumerate(keys or ["loss"]):
        axes = figure.add_subplot(rows, 2, place + 1)
        for side, (_, histories, kept) in enumerate(sides):
            for history, best in zip(histories, kept, strict=True):
                _side_curves(axes, history, key, best, side_style(side))
        direction = "lower" if lower_is_better(key) else "higher"
        dress(axes, title=f"{spelled(key)} ({direction} is better)", x="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    handles = _handles([shortened(name, 24) for name, _, _ in sides])
    handles += [Line2D([], [], color=SOFT, linestyle="--", label="training loss")]
    handles += [
        Line2D([], [], color=SOFT, linestyle="", marker="o", markerfacecolor="none", markersize=11, label="kept")
    ]
    legend(figure, handles=handles, loc="outside lower center", columns=3)
    return figure


def confusion_matrices(true: np.ndarray, sides: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Answers to each true class in per cent of its faces, a matrix a side. Arrays: (N,) int 0-7."""
    columns = min(len(sides), 2)
    rows = math.ceil(len(sides) / columns)
    figure = canvas(f"Confusion matrices, n = {count(len(true), 'face')}", height=0.6 + 4.5 * rows)
    for place, (name, predicted) in enumerate(sides):
        axes = figure.add_subplot(rows, columns, place + 1)
        counts = metrics.confusion(true, predicted)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in np.ndindex(*counts.shape):
            _share(axes, row, column, shares[row, column], there=bool(totals[row, 0]))
        scores = f"accuracy {number(metrics.accuracy(true, predicted))}"
        dress(axes, title=f"{shortened(name, 24)}, {scores}", x="answer", grid=False)
        axes.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=45, ha="right", rotation_mode="anchor")
        sizes = [f"{each} ({total:,})" for each, total in zip(EXPRESSIONS, totals[:, 0].tolist(), strict=True)]
        axes.set_yticks(range(len(EXPRESSIONS)), sizes if place % columns == 0 else [""] * len(EXPRESSIONS))
    return figure


def averaged(true: np.ndarray) -> list[int]:
    """The classes that `macro_curves` are a mean over: those with faces, where there are others too."""
    return [label for label in range(len(EXPRESSIONS)) if 0 < (true == label).sum() < len(true)]


def macro_curves(true: np.ndarray, sides: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """ROC and precision-recall, each the mean over the classes with faces. Arrays: probabilities (N, 8)."""
    figure = canvas(f"ROC and precision-recall, mean of the classes, n = {count(len(true), 'face')}", height=5.2)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=":")
    present = averaged(true)
    places = np.linspace(0, 1, 501)
    for place, (_, probabilities) in enumerate(sides):
        roc = [metrics.roc_curve(true, probabilities, label) for label in present]
        recalls = [metrics.precision_recall_curve(true, probabilities, label) for label in present]
        rising = [np.r_[0, np.interp(places, false_alarms, hits)] for false_alarms, hits in roc]
        steps = [precision[::-1][np.searchsorted(recall[::-1], places)] for precision, recall in recalls]
        _curve(left, np.r_[0, places], rising, place)
        _curve(right, places, steps, place)
    dress(left, title="ROC", x="false positive rate", y="true positive rate")
    dress(right, title="precision-recall", x="recall", y="precision")
    for axes in (left, right):
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)
        axes.set_aspect("equal")
    told = [f"{shortened(name)}, {_areas(true, probabilities)}" for name, probabilities in sides]
    chance = Line2D([], [], color=SOFT, linewidth=1, linestyle=":", label="chance")
    legend(figure, handles=[*_handles(told), chance], loc="outside lower center", columns=2)
    return figure


def reliability_curves(true: np.ndarray, sides: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Accuracy by confidence in bins that hold faces; a mark's area grows with them. Arrays: probabilities (N, 8)."""
    figure = canvas(f"Reliability, n = {count(len(true), 'face')}", height=5.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle="--")
    for place, (_, probabilities) in enumerate(sides):
        bins, style = metrics.reliability(true, probabilities), side_style(place)
        filled = bins.faces > 0
        x, y, faces = bins.confidence[filled], bins.accuracy[filled], bins.faces[filled]
        axes.plot(x, y, color=style.colour, linewidth=1.8, alpha=0.8)
        look: dict[str, Any] = {
            "marker": style.marker,
            "color": style.colour,
            "edgecolors": "white",
            "linewidths": 0.8,
            "zorder": 3,
        }
        axes.scatter(x, y, s=20 + 280 * faces / len(true), **look)
    dress(axes, title="accuracy of the likeliest answer, by its probability", x="confidence", y="accuracy")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    told = [f"{shortened(name)}, ECE {number(metrics.ece(true, probabilities))}" for name, probabilities in sides]
    perfect = Line2D([], [], color=INK, linewidth=1.2, linestyle="--", label="perfect calibration")
    legend(figure, handles=[*_handles(told), perfect], loc="outside lower center", columns=2)
    return figure


def affect_planes(names: Sequence[str], answers: Sequence[Answers]) -> Figure:
    """Truth, then each side's answers, on the valence-arousal plane. All faces have both labels and both answers."""
    first = answers[0]
    parts = [("truth", first.valence_true, first.arousal_true)]
    parts += [
        (f"{shortened(name, 24)}", one.pair("valence")[1], one.pair("arousal")[1])
        for name, one in zip(names, answers, strict=True)
    ]
    columns = 2 if len(parts) in (2, 4) else 3
    rows = math.ceil(len(parts) / columns)
    title = f"Valence and arousal, n = {count(len(first), 'face')}"
    figure = canvas(title, height=1.5 + (4.0 if columns == 2 else 2.6) * rows)
    for place, (name, x, y) in enumerate(parts):
        axes = figure.add_subplot(rows, columns, place + 1)
        plane(axes, np.clip(x, -EDGE, EDGE), np.clip(y, -EDGE, EDGE), first.expression_true)
        dress(axes, title=name, x="valence", y="" if place % columns else "arousal")
    class_legend(figure, first.expression_true)
    return figure


def landmark_curves(sides: Sequence[tuple[str, np.ndarray]], *, by_eyes: bool) -> Figure:
    """Share of faces up to each normalised error. Arrays: (N,), NaN: no label; `by_eyes`: what they are divided by."""
    known = max(int(np.isfinite(errors).sum()) for _, errors in sides)
    figure = canvas(f"Landmark errors, n = {count(known, 'face')}", height=4.9)
    axes = figure.add_subplot()
    for place, (name, errors) in enumerate(sides):
        x, y = error_curve(errors, REACH)
        style = side_style(place)
        label = f"{shortened(name)}, mean {number(nme(errors), 4)}"
        look: dict[str, Any] = {
            "color": style.colour,
            "marker": style.marker,
            "markersize": 7,
            "markeredgecolor": "white",
        }
        axes.plot(x, y, drawstyle="steps-post", linewidth=2, label=label, markevery=(0.05 + 0.03 * place, 0.12), **look)
    axes.axvline(LIMIT, color=INK, linestyle="--", linewidth=1.5, label=f"failure above {LIMIT}")
    ground = "outer eye corners' distance" if by_eyes else "size of the points' box"
    dress(axes, x=f"mean point error / {ground}", y="share of faces")
    axes.set_xlim(0, REACH)
    axes.set_ylim(0, 1.02)
    legend(figure, loc="outside lower center", columns=2)
    return figure


def _side_curves(axes: Axes, history: pd.DataFrame, key: str, best: int, style: ClassStyle) -> None:
    if f"val/{key}" not in history:
        return
    epochs, values = history["epoch"].to_numpy(float), history[f"val/{key}"].to_numpy(float)
    every = max(len(epochs) // 10, 1)
    axes.plot(epochs, values, color=style.colour, marker=style.marker, markersize=5, linewidth=1.8, markevery=every)
    if key == "loss" and "train/loss" in history:
        axes.plot(epochs, history["train/loss"].to_numpy(float), color=style.colour, linestyle="--", linewidth=1.4)
    chosen = epochs == best
    axes.plot(epochs[chosen], values[chosen], "o", color=style.colour, markerfacecolor="none", markersize=12)


def _share(axes: Axes, row: int, column: int, share: float, *, there: bool) -> None:
    if there:
        look: dict[str, Any] = {"color": "white" if share > 0.68 else INK, "fontsize": SMALL}
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", **look)
    elif column == 0:
        axes.text(len(EXPRESSIONS) / 2 - 0.5, row, "no faces", ha="center", va="center", fontsize=SMALL, color=INK)
    if row == column:
        frame = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor=VAL, linewidth=1.5)
        axes.add_patch(frame)


def _areas(true: np.ndarray, probabilities: np.ndarray) -> str:
    return f"ROC {number(metrics.roc_auc(true, probabilities))}, PR {number(metrics.pr_auc(true, probabilities))}"


def _curve(axes: Axes, x: np.ndarray, curves: Sequence[np.ndarray], place: int) -> None:
    if not curves:
        return
    style = side_style(place)
    look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "markersize": 7, "markeredgecolor": "white"}
    axes.plot(x, np.mean(curves, axis=0), linewidth=2, markevery=(0.05 + 0.04 * place, 0.15), **look)


def _handles(names: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=8, linewidth=2, label=name)
        for name, style in ((name, side_style(place)) for place, name in enumerate(names))
    ]

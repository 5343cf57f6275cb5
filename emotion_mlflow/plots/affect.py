"""Figures of valence and arousal: the plane, truth beside answer, and densities. Used by plots only."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.affect import ccc
from emotion_mlflow.plots.style import (
    CLASS_STYLES,
    INK,
    SOFT,
    VAL,
    ClassStyle,
    canvas,
    class_labels,
    colour_bar,
    count,
    dress,
    legend,
    number,
    too_light,
)

EDGE = 1.1
"""Both axes run from -EDGE to EDGE; answers beyond are drawn on the border and counted."""


def affect_scatter(
    valence_true: np.ndarray,
    arousal_true: np.ndarray,
    valence: np.ndarray,
    arousal: np.ndarray,
    expression: np.ndarray,
) -> Figure:
    """The valence-arousal plane, truth left, answers right: all faces' density, each class's mean and spread.

    All (N,); values in -1..1, NaN: no label; expression -1: no label. Faces with both labels are shown.
    """
    known = np.isfinite(valence_true) & np.isfinite(arousal_true)
    classes = expression[known]
    figure = canvas(f"Valence and arousal, n = {count(int(known.sum()), 'face')}", height=5.3)
    sides = (("truth", valence_true[known], arousal_true[known]), ("answers", valence[known], arousal[known]))
    for place, (name, x, y) in enumerate(sides):
        axes = figure.add_subplot(1, 2, place + 1)
        beyond = int(((np.abs(x) > EDGE) | (np.abs(y) > EDGE)).sum())
        plane(axes, np.clip(x, -EDGE, EDGE), np.clip(y, -EDGE, EDGE), classes)
        dress(
            axes,
            title=name + (f" ({beyond} beyond the frame)" if beyond else ""),
            x="valence",
            y="arousal" if not place else "",
        )
    class_legend(figure, classes)
    return figure


def affect_density(name: str, true: np.ndarray, predicted: np.ndarray) -> Figure:
    """Truth against answer of one dimension as hexagons, count by shade, CCC in the title.

    Both (N,); truth NaN: no label.
    """
    known = np.isfinite(true)
    x, y = true[known], predicted[known]
    figure = canvas(f"{name.capitalize()}, CCC {number(ccc(x, y))}, n = {count(int(known.sum()), 'face')}", height=6.2)
    axes = figure.add_subplot()
    cells = _hexagons(axes, x, np.clip(y, -EDGE, EDGE), "#D0E1F2", "#08306B")
    axes.plot([-1, 1], [-1, 1], color=INK, linewidth=1.2, linestyle="--", label="answer = truth")
    _running_mean(axes, x, y)
    beyond = int((np.abs(y) > EDGE).sum())
    dress(
        axes,
        title=f"{count(beyond, 'answer')} beyond the frame, drawn on it" if beyond else "",
        x=f"{name}: truth",
        y=f"{name}: answer",
    )
    _frame(axes)
    legend(axes, loc="upper left")
    colour_bar(figure, axes, cells, "faces in a cell (logarithmic)")
    return figure


def plane(axes: Axes, x: np.ndarray, y: np.ndarray, classes: np.ndarray) -> None:
    """Faces' density, and mean and spread of each class. All (N,); x and y within EDGE, class -1: no label."""
    _hexagons(axes, x, y, "#EAEAEA", "#8F8F8F")
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=SOFT, linewidth=1)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.axvline(0, color=SOFT, linewidth=0.8)
    for label, style in enumerate(CLASS_STYLES):
        own_x, own_y = x[classes == label], y[classes == label]
        if len(own_x) > 2:
            _spread(axes, own_x, own_y, style)
        if len(own_x):
            axes.plot(
                own_x.mean(),
                own_y.mean(),
                marker=style.marker,
                markersize=12,
                color=style.colour,
                markeredgecolor="white" if label == 0 else "black",
                markeredgewidth=1.2,
                zorder=5,
            )
    _frame(axes)


def _spread(axes: Axes, x: np.ndarray, y: np.ndarray, style: ClassStyle) -> None:
    """The ellipse of one standard deviation around a class's mean, in its colour and line."""
    size, turn = np.linalg.eigh(np.cov(x, y))
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    ring = turn @ (np.sqrt(np.maximum(size, 0))[:, None] * circle) + [[x.mean()], [y.mean()]]
    for colour, width in ((SOFT, 3.4), (style.colour, 2.0))[not too_light(style.colour) :]:
        axes.plot(*ring, color=colour, linestyle=style.line, linewidth=width, zorder=4)


def _hexagons(axes: Axes, x: np.ndarray, y: np.ndarray, light: str, dark: str) -> PolyCollection:
    """Faces a cell by shade, logarithmic; one face is `light`, which differs from white paper."""
    shades = LinearSegmentedColormap.from_list("faces", [light, dark])
    # One border for truth and answer, or cells of the same data would differ in size.
    cells = axes.hexbin(x, y, gridsize=36, extent=(-EDGE, EDGE, -EDGE, EDGE), mincnt=1, cmap=shades, linewidths=0.2)
    cells.set_norm(LogNorm(1, max(2.0, float(np.asarray(cells.get_array()).max()))))
    return cells


def _running_mean(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Mean answer for each tenth of the truth's range: shows the pull to the middle that CCC punishes."""
    edges = np.linspace(-1, 1, 11)
    cell = np.clip(np.digitize(x, edges) - 1, 0, 9)
    filled = [part for part in range(10) if (cell == part).sum() >= 5]
    if filled:
        middle = [x[cell == part].mean() for part in filled]
        mean = [y[cell == part].mean() for part in filled]
        axes.plot(
            middle,
            mean,
            color=VAL,
            linewidth=2,
            marker="o",
            markersize=5,
            markeredgecolor="white",
            label="mean answer",
        )


def _frame(axes: Axes) -> None:
    axes.set_xlim(-EDGE, EDGE)
    axes.set_ylim(-EDGE, EDGE)
    axes.set_aspect("equal")
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])


def class_legend(figure: Figure, classes: np.ndarray) -> None:
    """Class marks below both planes; large marks are class means."""
    if not (classes >= 0).any():
        return
    counts = np.bincount(classes[classes >= 0], minlength=len(EXPRESSIONS)).tolist()
    handles = [
        Line2D(
            [],
            [],
            linestyle=style.line,
            linewidth=2,
            marker=style.marker,
            markersize=9,
            color=style.colour,
            markeredgecolor="black",
            label=label,
        )
        for style, label in zip(CLASS_STYLES, class_labels(EXPRESSIONS, counts), strict=True)
    ]
    title = "marks: class means, rings: one standard deviation, grey: all faces (dark: many)"
    legend(figure, handles=handles, loc="outside lower center", columns=4, title=title)

"""The figure of landmark errors. Used by plots only."""

import math

import numpy as np
from matplotlib.figure import Figure

from emotion_mlflow.labels import LandmarkLayout
from emotion_mlflow.metrics.landmarks import LIMIT, curve_area, error_curve, failure_rate, nme
from emotion_mlflow.plots.style import INK, SOFT, TRAIN, canvas, count, dress, legend, number

REACH, FARTHEST = 0.16, 0.4
"""Where the error axis ends: at twice the failure threshold, or where one face in twenty is, but not farther."""
LOOSER = 0.10
"""The other threshold in use."""


def landmark_errors(errors: np.ndarray, layout: LandmarkLayout) -> Figure:
    """Share of faces up to each normalised error, with the failure threshold and the area up to it.

    `errors`: (N,) as `metrics.landmarks.face_errors` gives them; NaN: no label.
    """
    known = errors[np.isfinite(errors)]
    by_eyes = layout.outer_eyes is not None
    name = "NME" if by_eyes else "NME (box)"
    figure = canvas(f"Landmark errors, {name} {number(nme(errors), 4)}, n = {count(len(known), 'face')}", height=4.8)
    axes = figure.add_subplot()
    reach = min(max(REACH, math.ceil(np.quantile(known, 0.95) * 50) / 50), FARTHEST)
    places, shares = error_curve(errors, reach)
    axes.plot(
        places,
        shares,
        drawstyle="steps-post",
        color=TRAIN,
        linewidth=2,
        label="faces with at most this error",
    )
    inside = places <= LIMIT
    area = f"AUC up to {LIMIT}: {number(curve_area(errors))}"
    axes.fill_between(
        np.r_[places[inside], LIMIT],
        np.r_[shares[inside], shares[inside][-1]],
        step="post",
        color=TRAIN,
        alpha=0.18,
        label=area,
    )
    axes.axvline(
        LIMIT,
        color=INK,
        linestyle="--",
        linewidth=1.5,
        label=f"failure above {LIMIT}: {failure_rate(errors):.1%} of faces, above {LOOSER:.2f}: "
        f"{failure_rate(errors, LOOSER):.1%}",
    )
    median = float(np.median(known))
    axes.axvline(median, color=SOFT, linestyle=":", linewidth=1.5, label=f"median {number(median, 4)}")
    ground = "outer eye corners' distance" if by_eyes else "size of the points' box"
    beyond = int((known > reach).sum())
    dress(
        axes,
        title=f"{count(beyond, 'face')} beyond {reach:g}" if beyond else "",
        x=f"mean point error / {ground}",
        y="share of faces",
    )
    axes.set_xlim(0, reach)
    axes.set_ylim(0, 1.02)
    legend(axes, loc="lower right" if median < reach / 2 else "upper left")
    return figure

"""Figures of a training's history: scores, losses and learning rate by epoch. Used by plots only."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType

from emotion_mlflow.metrics.suite import lower_is_better
from emotion_mlflow.plots.style import SOFT, TRAIN, UNDEFINED, VAL, canvas, dress, legend, number

HEADLINE = (
    "loss",
    "expression/accuracy",
    "expression/macro_f1",
    "valence/ccc",
    "arousal/ccc",
    "landmarks/nme",
)
"""What `learning_curves` shows; everything else that both splits may have is in `detail_curves`."""

SPLIT_STYLES: dict[str, tuple[str, LineStyleType, str]] = {
    "train": (TRAIN, "--", "o"),
    "val": (VAL, "-", "s"),
}
SPELLED = {
    "ccc": "CCC",
    "mae": "MAE",
    "rmse": "RMSE",
    "nme": "NME",
    "nme_box": "NME (box)",
    "macro_f1": "macro F1",
    "ece": "ECE",
    "sagr": "SAGR",
    "corr": "correlation",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
}


def learning_curves(history: pd.DataFrame, *, best_epoch: int | None) -> Figure:
    """Loss and each task's main score by epoch, train and val; the kept epoch is marked.

    `history`: a row an epoch, `epoch` (1-based) and `<split>/<metric>` columns, any subset; NaN: not defined.
    """
    keys = [key for key in HEADLINE if key in _metrics(history)]
    keys += ["landmarks/nme_box"] if "landmarks/nme_box" in _metrics(history) else []
    return _grid("Learning curves", history, keys, best_epoch)


def detail_curves(history: pd.DataFrame, *, best_epoch: int | None) -> Figure | None:
    """Every metric that `learning_curves` leaves out (losses a task, MAE, ...); None: there is none."""
    keys = [key for key in _metrics(history) if key not in (*HEADLINE, "landmarks/nme_box")]
    return _grid("Learning curves: losses a task and further scores", history, keys, best_epoch) if keys else None


def learning_rate_curve(history: pd.DataFrame) -> Figure:
    """Learning rate by epoch, on a logarithmic axis where it spans more than a factor of 10."""
    epochs, rates = _points(history, "learning_rate")
    figure = canvas("Learning rate by epoch", height=3.6)
    axes = figure.add_subplot()
    _line(axes, epochs, rates, (TRAIN, "-", "o"))
    span = f"{rates.max():.3g} highest, {rates.min():.3g} lowest, {rates[-1]:.3g} last" if rates.size else ""
    dress(axes, title=span or UNDEFINED, x="epoch", y="learning rate")
    _whole_epochs(axes, history)
    if rates.size and rates.min() > 0 and rates.max() / rates.min() > 10:
        axes.set_yscale("log")
        axes.grid(visible=True, which="minor", axis="y", color="#EEEEEE", linewidth=0.5)
    return figure


def spelled(key: str) -> str:
    """`expression/macro_f1` as people write it: `Expression macro F1`."""
    words = [SPELLED.get(part, part.replace("_", " ")) for part in key.split("/")]
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _metrics(history: pd.DataFrame) -> list[str]:
    """Metric names without their split, in the history's order, each once."""
    found = (name.split("/", 1)[1] for name in history.columns if name.startswith(("train/", "val/")))
    return list(dict.fromkeys(found))


def _grid(title: str, history: pd.DataFrame, keys: Sequence[str], best_epoch: int | None) -> Figure:
    epochs = f"{len(history)} epoch" + ("" if len(history) == 1 else "s")
    rows = max(math.ceil(len(keys) / 2), 1)
    figure = canvas(f"{title}, {epochs}", height=1.1 + 2.6 * rows)
    for place, key in enumerate(keys):
        _panel(figure.add_subplot(rows, 2, place + 1), history, key, best_epoch)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, linewidth=2, label=split)
        for split, (colour, line, marker) in SPLIT_STYLES.items()
    ]
    if best_epoch is not None:
        handles.append(Line2D([], [], color=SOFT, linestyle=":", label=f"kept: epoch {best_epoch}"))
    legend(figure, handles=handles, loc="outside lower center", columns=3)
    return figure


def _panel(axes: Axes, history: pd.DataFrame, key: str, best_epoch: int | None) -> None:
    below = [_best_value(history, key, best_epoch)]
    for split, look in SPLIT_STYLES.items():
        if f"{split}/{key}" not in history:
            continue
        epochs, values = _points(history, f"{split}/{key}")
        _line(axes, epochs, values, look)
        if missing := len(history) - len(values):
            below.append(f"{split} {UNDEFINED} in {missing} of {len(history)} epochs")
    if best_epoch is not None:
        axes.axvline(best_epoch, color=SOFT, linewidth=1.2, linestyle=":")
    direction = "lower" if lower_is_better(key) else "higher"
    dress(axes, title=f"{spelled(key)} ({direction} is better)", x="\n".join(below))
    _whole_epochs(axes, history)


def _best_value(history: pd.DataFrame, key: str, best_epoch: int | None) -> str:
    """Name of the epoch axis, with val's value at the kept epoch."""
    row = history.loc[history["epoch"] == best_epoch]
    if row.empty or f"val/{key}" not in history:
        return "epoch"
    return f"epoch (val at epoch {best_epoch}: {number(float(row[f'val/{key}'].iloc[0]))})"


def _points(history: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of one column, rows that are not defined left out."""
    if column not in history:
        return np.empty(0), np.empty(0)
    values = history[column].to_numpy(dtype=float)
    known = np.isfinite(values)
    return history["epoch"].to_numpy()[known], values[known]


def _line(axes: Axes, epochs: np.ndarray, values: np.ndarray, look: tuple[str, LineStyleType, str]) -> None:
    """Markers tell lines apart without colour; over 30 epochs only every tenth of the way has one."""
    colour, line, marker = look
    spacing = max(len(epochs) // 10, 1) if len(epochs) > 30 else 1
    axes.plot(
        epochs,
        values,
        color=colour,
        linestyle=line,
        linewidth=2,
        marker=marker,
        markersize=5,
        markevery=spacing,
    )


def _whole_epochs(axes: Axes, history: pd.DataFrame) -> None:
    first, last = (1, 1) if history.empty else (history["epoch"].min(), history["epoch"].max())
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))

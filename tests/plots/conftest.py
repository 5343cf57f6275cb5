"""Plausible answers and histories, and what is written on a figure."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from emotion_mlflow.labels import CLASS_AFFECT
from emotion_mlflow.metrics.suite import Answers


@pytest.fixture(scope="session")
def answers() -> Answers:
    """80 faces, ten a class, every task learnt; landmarks of 4 points in 100 pixels."""
    random = np.random.default_rng(0)
    true = np.arange(80) % 8
    scores = random.random((80, 8)) + 2 * np.eye(8)[true]
    affect = np.clip(np.array(CLASS_AFFECT)[true] + random.normal(0, 0.1, (80, 2)), -1, 1)
    points = np.tile([10.0, 10, 90, 10, 10, 90, 90, 90], (80, 1))
    return Answers(
        expression_true=true,
        probabilities=scores / scores.sum(axis=1, keepdims=True),
        valence_true=affect[:, 0],
        arousal_true=affect[:, 1],
        valence=affect[:, 0] * 0.8,
        arousal=affect[:, 1] * 0.8,
        landmarks_true=points,
        landmarks=points + random.normal(0, 2, points.shape),
    )


@pytest.fixture(scope="session")
def history() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "learning_rate": [1e-3, 1e-4, 1e-5],
            "train/loss": [3.0, 2.0, 1.0],
            "val/loss": [3.1, 2.5, 2.6],
            "train/expression/loss": [1.5, 1.0, 0.5],
            "val/expression/accuracy": [0.25, 0.5, 0.4375],
            "val/valence/ccc": [np.nan, np.nan, np.nan],
        }
    )


@pytest.fixture
def words() -> Callable[[Figure], str]:
    """Everything written on a figure, its legends too, as one text."""
    return lambda figure: "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.fixture
def overhang() -> Callable[[Figure], float]:
    """How many pixels of what is drawn lie outside the figure's border (negative: all is inside)."""

    def measure(figure: Figure) -> float:
        figure.draw_without_rendering()  # lays it out
        drawn = figure.get_tightbbox()  # inches
        width, height = figure.get_size_inches()
        return float(figure.dpi * max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height))

    return measure

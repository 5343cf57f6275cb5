"""Per-class F1 of each side with bootstrap intervals: descriptive rows, which name no winner. Used by `rows`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import Cell, Row
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.metrics.arrays import ratio
from emotion_mlflow.metrics.expression import predicted_labels
from emotion_mlflow.metrics.resampling import count_chunks
from emotion_mlflow.metrics.uncertainty import interval

RESAMPLES = 2000
"""Of the bootstrap behind each expression's interval, at most: rows that only describe."""


def class_rows(section: str, used: Mapping[str, Sequence[Material]], *, seed: int, resamples: int) -> list[Row]:
    """A row an expression; with two sides also their difference with its interval."""
    if any(one.answers.probabilities is None for versions in used.values() for one in versions):
        return []
    material = next(iter(used.values()))[0]
    draws: dict[str, list[np.ndarray]] = {side: [] for side in used}
    chunks = count_chunks(len(material.answers), resamples=resamples, seed=seed, groups=material.identities)
    for counts in chunks:
        for side, versions in used.items():
            draws[side].append(np.mean([_class_f1(one, counts) for one in versions], axis=0))
    whole = np.ones((len(material.answers), 1), np.int32)
    figures = {side: np.mean([_class_f1(one, whole) for one in used[side]], axis=0)[:, 0] for side in used}
    drawn = {side: np.concatenate(parts, axis=1) for side, parts in draws.items()}
    counted = np.bincount(material.answers.expression_true[material.answers.expression_true >= 0], minlength=8)
    return [_row(section, label, int(counted[label]), figures, drawn) for label in range(len(EXPRESSIONS))]


def _row(
    section: str, label: int, faces: int, figures: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray]
) -> Row:
    cells = {side: _cell(figures[side][label], drawn[side][label]) for side in figures}
    name = EXPRESSIONS[label]
    row: dict[str, Any] = {
        "section": section,
        "split": "test",
        "task": "expression",
        "metric": f"f1_{name}",
        "label": f"F1 of {name} ({faces:,} faces)",
        "values": cells,
        "better": "higher",
    }
    if len(cells) == 2:
        first, second = cells
        gap = _cell(figures[first][label] - figures[second][label], drawn[first][label] - drawn[second][label])
        row |= {"between": (first, second), "difference": gap.value, "low": gap.low, "high": gap.high}
    return Row(**row)


def _cell(value: float, draws: np.ndarray) -> Cell:
    if not np.isfinite(value):
        return Cell(value=None)
    bounds = interval(draws, float(value))
    if not np.isfinite(bounds.low):
        return Cell(value=float(value))
    return Cell(value=float(value), low=bounds.low, high=bounds.high, bounds="interval95")


def _class_f1(material: Material, counts: np.ndarray) -> np.ndarray:
    """(8, R): 2 TP / (2 TP + FP + FN) on each resample; NaN of a class without a face, or neither true nor answered."""
    answers = material.answers
    known = answers.expression_true >= 0
    taken = counts[known].astype(float)
    true = answers.expression_true[known]
    predicted = predicted_labels(answers.pair("expression")[1][known])
    labels = np.arange(len(EXPRESSIONS))[:, None]
    is_true, is_predicted = (true == labels).astype(float), (predicted == labels).astype(float)
    hits = np.einsum("cn,nr->cr", is_true * is_predicted, taken)
    both = np.einsum("cn,nr->cr", is_true + is_predicted, taken)
    return ratio(2 * hits, np.where(is_true.any(axis=1, keepdims=True), both, 0.0))

"""Saved model + faces -> predictions table -> scores. Training's final scores come from here too.

The predictions table has one row a face: id, content_hash, identity, source, `<task>_true`, `<task>_predicted`,
`probability_<expression>`; landmarks are lists of pixels of the face picture. Missing truths are -1 or NaN / null.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import DataError, ModelError, first_line
from emotion_mlflow.labels import AFFECT_HIGH, AFFECT_LOW, EXPRESSIONS, PIXEL_CENTRE, LandmarkLayout
from emotion_mlflow.metrics.suite import PRIMARY, TRAIN_SCORES, Answers, labelled, pick, score_name, suite
from emotion_mlflow.metrics.uncertainty import Interval, bootstrap, seed_of
from emotion_mlflow.serving.model import AffectModel

KEPT = ("id", "content_hash", "identity", "source")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One split's answers and figures."""

    split: str
    answers: Answers
    scores: dict[str, float]
    """By `<task>/<metric>`."""
    intervals: dict[str, Interval]
    """95 % bootstrap; empty where not asked for."""
    faces: dict[str, int]
    """Labelled faces of each task."""

    def named(self) -> dict[str, float]:
        """`final/<split>/<task>/<metric>` -> value, with `_low` and `_high` of the primary test scores."""
        names = TRAIN_SCORES if self.split == "train" else tuple(self.scores)
        scores = {score_name(self.split, name): value for name, value in pick(self.scores, names).items()}
        if self.split in ("test", "all"):
            for name in pick(self.scores, PRIMARY):
                scores[score_name(self.split, name, bound="low")] = self.intervals[name].low
                scores[score_name(self.split, name, bound="high")] = self.intervals[name].high
        return scores


def load_saved(network: Path, card: Path) -> AffectModel:
    """The model of a saved network and its card, checked; ModelError where they are damaged."""
    try:
        return AffectModel().load(network, card)
    except Exception as error:  # noqa: BLE001  on damaged files Keras, h5py and zipfile raise nearly anything
        got = first_line(error)
        raise ModelError("a saved model of ours", got=got, where=network) from None


def answer(model: AffectModel, manifest: Manifest, pixels: np.ndarray) -> Answers:
    """The model's answers for the faces of a manifest, whose (N, S, S, 3) uint8 `pixels` have the model's size."""
    if not len(manifest):
        raise DataError("at least one face", got=0, where=manifest.name)
    points = manifest.landmarks.shape[1]
    if "landmarks" in model.tasks and points not in (0, 2 * model.card["landmark_points"]):
        raise DataError(f"{model.card['landmark_points']} landmark points", got=points // 2, where=manifest.name)
    raw = model.answer(pixels)
    size = manifest.table[["width", "height"]].to_numpy(np.float32)
    return Answers(
        expression_true=manifest.table["expression"].to_numpy(np.int64),
        probabilities=raw.get("expression"),
        valence_true=manifest.table["valence"].to_numpy(np.float32),
        arousal_true=manifest.table["arousal"].to_numpy(np.float32),
        valence=raw.get("valence"),
        arousal=raw.get("arousal"),
        landmarks_true=manifest.landmarks if points else _no_landmarks(raw, len(manifest)),
        landmarks=_in_pixels(raw["landmarks"], size) if "landmarks" in raw else None,
    )


def score(answers: Answers, *, split: str, layout: LandmarkLayout, digest: str, identities: np.ndarray) -> Scored:
    """All figures of one split, with intervals for the test faces, whose seed comes from the faces' digest alone."""
    intervals = {}
    if split in ("test", "all"):
        intervals = bootstrap(answers, layout=layout, seed=seed_of(digest), groups=identities)
    return Scored(
        split=split,
        answers=answers,
        scores=suite(answers, layout=layout),
        intervals=intervals,
        faces=labelled(answers),
    )


def predictions_table(manifest: Manifest, answers: Answers) -> pd.DataFrame:
    """One row a face, as the module says."""
    table = manifest.table[list(KEPT)].copy()
    table["expression_true"] = answers.expression_true.astype(np.int8)
    if answers.probabilities is not None:
        table["expression_predicted"] = answers.probabilities.argmax(axis=1).astype(np.int8)
        for label, name in enumerate(EXPRESSIONS):
            table[f"probability_{name}"] = answers.probabilities[:, label].astype(np.float32)
    for task in ("valence", "arousal"):
        table[f"{task}_true"] = getattr(answers, f"{task}_true").astype(np.float32)
        if getattr(answers, task) is not None:
            table[f"{task}_predicted"] = getattr(answers, task).astype(np.float32)
    table["landmarks_true"] = list(answers.landmarks_true.astype(np.float32))
    if answers.landmarks is not None:
        table["landmarks_predicted"] = list(answers.landmarks.astype(np.float32))
    return table


def read_predictions(table: pd.DataFrame) -> Answers:
    """The answers that `predictions_table` wrote; DataError names the column that is absent or impossible."""
    probabilities = [f"probability_{name}" for name in EXPRESSIONS]
    truths = ("expression_true", "valence_true", "arousal_true", "landmarks_true")
    needed = [*KEPT, *truths, *(probabilities if set(probabilities) & set(table.columns) else ())]
    missing = [name for name in needed if name not in table]
    if missing:
        raise _not_ours(f"no column {', '.join(missing)}")
    if not table.columns.is_unique or not len(table):
        raise _not_ours("a column twice" if len(table) else "no row")
    answers = Answers(
        expression_true=_column(table, "expression_true", low=-1, high=len(EXPRESSIONS) - 1).astype(np.int64),
        probabilities=_shares(table, probabilities) if probabilities[0] in table else None,
        valence_true=_column(table, "valence_true", low=AFFECT_LOW, high=AFFECT_HIGH, gaps=True),
        arousal_true=_column(table, "arousal_true", low=AFFECT_LOW, high=AFFECT_HIGH, gaps=True),
        valence=_column(table, "valence_predicted") if "valence_predicted" in table else None,
        arousal=_column(table, "arousal_predicted") if "arousal_predicted" in table else None,
        landmarks_true=_points(table, "landmarks_true"),
        landmarks=_points(table, "landmarks_predicted") if "landmarks_predicted" in table else None,
    )
    if answers.landmarks is not None and answers.landmarks.shape != answers.landmarks_true.shape:
        raise _not_ours("landmarks_predicted and landmarks_true of other lengths")
    return answers


def _column(
    table: pd.DataFrame, name: str, *, low: float = -np.inf, high: float = np.inf, gaps: bool = False
) -> np.ndarray:
    """(N,) numbers within low..high; `gaps`: NaN is a face without the label."""
    values = table[name].to_numpy()
    if values.dtype.kind not in "iuf":
        raise _not_ours(f"no numbers in {name}")
    if not ((values >= low) & (values <= high) & np.isfinite(values) | (np.isnan(values) & gaps)).all():
        raise _not_ours(f"a number that cannot be in {name}")
    return values


def _shares(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """(N, 8) probabilities."""
    return np.stack([_column(table, name, low=0, high=1) for name in names], axis=1)


def _points(table: pd.DataFrame, name: str) -> np.ndarray:
    """(N, 2K) numbers; NaN in the rows of faces without."""
    try:
        points = np.stack([np.asarray(row) for row in table[name]])
    except ValueError:  # rows of several lengths
        raise _not_ours(f"rows of several lengths in {name}") from None
    if points.ndim != 2 or points.shape[1] % 2 or (points.size and points.dtype.kind not in "iuf"):
        raise _not_ours(f"no x, y numbers in {name}")
    if np.isinf(points).any():
        raise _not_ours(f"a number that cannot be in {name}")
    return points


def _not_ours(what: str) -> DataError:
    return DataError("a predictions table of ours", got=what, where="predictions")


def _in_pixels(shares: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N, 2K) shares -> pixels of face pictures of (N, 2) width and height."""
    return shares * np.tile(size, shares.shape[1] // 2) - PIXEL_CENTRE


def _no_landmarks(raw: Mapping[str, np.ndarray], faces: int) -> np.ndarray:
    width = raw["landmarks"].shape[1] if "landmarks" in raw else 0
    return np.full((faces, width), np.nan, np.float32)

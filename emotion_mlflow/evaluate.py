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
from emotion_mlflow.errors import DataError, ModelError
from emotion_mlflow.labels import EXPRESSIONS, PIXEL_CENTRE, LandmarkLayout
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
    except (ValueError, KeyError, OSError) as error:
        raise ModelError("a saved model of ours", got=str(error).splitlines()[0][:200], where=network) from None


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
    """The answers that `predictions_table` wrote; DataError where columns are missing."""
    missing = [name for name in (*KEPT, "expression_true", "landmarks_true") if name not in table]
    if missing:
        raise DataError("a predictions table of ours", got=f"no column {', '.join(missing)}", where="predictions")
    probabilities = [f"probability_{name}" for name in EXPRESSIONS]

    def column(name: str) -> np.ndarray | None:
        return table[name].to_numpy() if name in table else None

    def stacked(name: str) -> np.ndarray | None:
        return np.stack(list(table[name])) if name in table else None

    truth = stacked("landmarks_true")
    return Answers(
        expression_true=table["expression_true"].to_numpy(np.int64),
        probabilities=table[probabilities].to_numpy() if probabilities[0] in table else None,
        valence_true=table["valence_true"].to_numpy(),
        arousal_true=table["arousal_true"].to_numpy(),
        valence=column("valence_predicted"),
        arousal=column("arousal_predicted"),
        landmarks_true=truth if truth is not None else np.empty((len(table), 0)),
        landmarks=stacked("landmarks_predicted"),
    )


def _in_pixels(shares: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(N, 2K) shares -> pixels of face pictures of (N, 2) width and height."""
    return shares * np.tile(size, shares.shape[1] // 2) - PIXEL_CENTRE


def _no_landmarks(raw: Mapping[str, np.ndarray], faces: int) -> np.ndarray:
    width = raw["landmarks"].shape[1] if "landmarks" in raw else 0
    return np.full((faces, width), np.nan, np.float32)

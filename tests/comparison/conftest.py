"""Hand-made versions for comparisons: no store, no training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.comparison.choice import Candidate
from emotion_mlflow.comparison.material import Material
from emotion_mlflow.metrics.suite import Answers, suite


@pytest.fixture(scope="session")
def version():
    """Makes a Candidate; by default seed 0 of a probe on the faces `aaaa`."""

    def make(number, backbone, **changes):
        base = Candidate(
            name=f"emotion/{number}",
            number=number,
            run_id=f"run{number}",
            backbone=backbone,
            recipe="probe",
            rng_seed=0,
            config_digest=f"{backbone}-c1",
            selected_on_test=False,
            test_digest="aaaa",
            tasks="expression,valence,arousal,landmarks",
            data_name="faces",
            selection_score=0.5,
        )
        return replace(base, **changes)

    return make


def draw_answers(*, faces, right, seed, noise=0.3):
    """Answers of a model that is right on a share of the faces; the truth depends on the number of faces alone."""
    truth = np.random.default_rng(99)
    expression = truth.permutation(np.arange(faces) % 8)
    valence, arousal = truth.uniform(-0.9, 0.9, (2, faces))
    shape = truth.uniform(20, 76, (faces, 136)).astype(np.float32)
    shape[:, 72], shape[:, 90] = 20, 70  # outer eye corners, 50 pixels and a bit apart
    model = np.random.default_rng(seed)
    answered = np.where(model.random(faces) < right, expression, model.integers(0, 8, faces))
    probabilities = np.full((faces, 8), 0.4 / 7)
    probabilities[np.arange(faces), answered] = 0.6
    return Answers(
        expression_true=expression,
        probabilities=probabilities,
        valence_true=valence,
        arousal_true=arousal,
        valence=np.clip(valence + model.normal(0, noise, faces), -1, 1),
        arousal=np.clip(arousal + model.normal(0, noise, faces), -1, 1),
        landmarks_true=shape,
        landmarks=shape + model.normal(0, 10 * noise, shape.shape),
    )


@pytest.fixture(scope="session")
def material(version):
    """Makes a Material of a version with drawn answers and a short history."""

    def make(number, backbone, *, faces=160, right=0.6, seed=0, history=None, params=None, metrics=None, **changes):
        answers = draw_answers(faces=faces, right=right, seed=seed)
        scores = suite(answers)
        logged = {f"final/{split}/{name}": value for split in ("val", "test") for name, value in scores.items()}
        logged |= {"final/train/expression/accuracy": scores["expression/accuracy"], "best_epoch": 2, "epochs": 3}
        logged |= {"cost/parameters": 1000.0 * number, "cost/latency_ms": 10.0 * number}
        return Material(
            candidate=version(number, backbone, rng_seed=seed, **changes),
            answers=answers,
            ids=np.array([f"face{row:04d}" for row in range(faces)]),
            identities=np.array([""] * faces),
            contents=np.array([f"{row:032x}" for row in range(faces)]),
            history=short_history() if history is None else history,
            params={"recipe": "probe", "training.schedule": "none", "weights": "none", **(params or {})},
            metrics=logged | (metrics or {}),
        )

    return make


def short_history(**columns):
    """Three epochs that get better and end."""
    base = {
        "epoch": [1, 2, 3],
        "learning_rate": [1e-3, 1e-3, 1e-3],
        "train/loss": [2.0, 1.5, 1.4],
        "val/loss": [2.1, 1.7, 1.75],
        "train/expression/accuracy": [0.3, 0.5, 0.55],
        "val/selection_score": [0.3, 0.5, 0.49],
        "seconds": [1.0, 1.0, 1.0],
        "validation_seconds": [0.1, 0.1, 0.1],
    }
    return pd.DataFrame(base | columns)


@pytest.fixture(scope="session")
def history():
    """Makes a history of three epochs with some columns changed."""
    return short_history

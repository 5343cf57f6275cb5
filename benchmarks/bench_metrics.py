"""What importing the metrics costs beside NumPy, and how long the bootstrap of the whole suite takes."""

import sys

import numpy as np

from benchmarks.figures import Figure, Settings, commands_in_turns, plain, ratio, seconds
from emotion_mlflow.labels import IBUG_68
from emotion_mlflow.metrics.suite import Answers, suite
from emotion_mlflow.metrics.uncertainty import bootstrap

FACES, RESAMPLES = 4000, 2000
MODULES = ("emotion_mlflow.metrics", "emotion_mlflow.metrics.suite")


def measure(settings: Settings) -> list[Figure]:
    """Two imports against NumPy's, and one time in seconds."""
    imports = [[sys.executable, "-c", f"import {module}"] for module in (*MODULES, "numpy")]
    *ours, numpy = commands_in_turns(*imports, repeats=settings.repeats or 15)
    found = [
        ratio(f"`import {module}`", times, numpy, target=1.5, sides=(f"`import {module}`", "`import numpy`"))
        for module, times in zip(MODULES, ours, strict=True)
    ]
    answers = drawn_answers(FACES)
    suite(answers, layout=IBUG_68)  # imports what it needs
    times = [
        seconds(lambda: bootstrap(answers, layout=IBUG_68, resamples=RESAMPLES, seed=1))
        for _ in range(min(settings.repeats or 5, 5))
    ]
    what = f"whole suite on {FACES:,} faces with all labels, {RESAMPLES:,} resamples"
    return [*found, plain("bootstrap of the whole suite", times, unit="s", target=5, what=what)]


def drawn_answers(faces: int, *, rng_seed: int = 0) -> Answers:
    """Answers of a middling model on `faces` made-up faces with all labels, rare classes included."""
    random = np.random.default_rng(rng_seed)
    shares = np.array([0.3, 0.3, 0.12, 0.1, 0.05, 0.03, 0.08, 0.02])
    true = random.choice(8, size=faces, p=shares)
    logits = random.normal(size=(faces, 8)) + 1.5 * np.eye(8)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    affect = random.uniform(-1, 1, size=(2, faces))
    answers = np.tanh(affect + random.normal(scale=0.4, size=affect.shape))
    points = random.uniform(0, 224, size=(faces, IBUG_68.width))
    return Answers(
        expression_true=true,
        probabilities=probabilities.astype(np.float32),
        valence_true=affect[0],
        arousal_true=affect[1],
        valence=answers[0],
        arousal=answers[1],
        landmarks_true=points,
        landmarks=points + random.normal(scale=5, size=points.shape),
    )

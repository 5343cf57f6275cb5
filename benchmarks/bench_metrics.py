"""How long the bootstrap of the whole suite takes, and what importing the metrics costs beside NumPy.

Run it as `python benchmarks/bench_metrics.py`. Ratios have both sides in one run, taken in turns.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from emotion_mlflow.labels import IBUG_68
from emotion_mlflow.metrics.suite import Answers, suite
from emotion_mlflow.metrics.uncertainty import bootstrap

FACES, RESAMPLES = 4000, 2000


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


def measure(*, repeats: int = 7) -> dict[str, float]:
    """Seconds of suite and bootstrap on 4,000 faces, and import seconds of the metrics over NumPy's."""
    answers = drawn_answers(FACES)
    modules = ("numpy", "emotion_mlflow.metrics.suite")
    numpy_seconds, metrics_seconds = _import_seconds(modules, repeats=repeats)
    return {
        "faces": FACES,
        "resamples": RESAMPLES,
        "suite_seconds": _seconds(lambda: suite(answers, layout=IBUG_68)),
        "bootstrap_seconds": _seconds(
            lambda: bootstrap(answers, layout=IBUG_68, resamples=RESAMPLES, seed=1)
        ),
        "numpy_import_seconds": numpy_seconds,
        "metrics_import_seconds": metrics_seconds,
        "import_ratio": metrics_seconds / numpy_seconds,
    }


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _import_seconds(modules: tuple[str, ...], *, repeats: int) -> list[float]:
    """Median seconds of a fresh interpreter importing each module, without the first, cold round."""
    taken: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(repeats + 1):
        for module in modules:
            command = [sys.executable, "-c", f"import {module}"]
            taken[module].append(_seconds(lambda command=command: subprocess.run(command, check=True)))
    return [statistics.median(seconds[1:]) for seconds in taken.values()]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))

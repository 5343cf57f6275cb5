"""Loads a saved model in a process of its own and holds its answers against the logged ones. Used by the job."""

import base64
import io
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.promotion.gates import Missing, Reload
from emotion_mlflow.reproduce import PICTURES
from emotion_mlflow.tracking.environment import without_mlflow

PROGRAM = Path(__file__).with_name("clean_load.py")
PATIENCE = 600
"""Seconds that loading and answering may take on a busy machine."""


def reload(folder: Path, check: pd.DataFrame) -> Reload | Missing:
    """`folder`: the downloaded model. `check`: a row a picture, as `reproduce.read_check` gives it."""
    pictures = len(check) if "picture" in check else 0
    if pictures < PICTURES:
        return Missing(f"the run logged answers to {pictures} pictures, not to {PICTURES}")
    told = _answers(folder, [bytes(picture) for picture in check["picture"]])
    if isinstance(told, Missing):
        return told
    return compare(check, told)


def compare(check: pd.DataFrame, told: Sequence[Mapping[str, Any]]) -> Reload | Missing:
    """The largest difference between the logged answers and those told now, over all pictures and tasks."""
    if len(told) != len(check):
        return Missing(f"the model gave {len(told)} answers for {len(check)} pictures")
    largest, where, figures = 0.0, "", 0
    for (_, row), answer in zip(check.iterrows(), told, strict=True):
        for task, difference in _differences(row, answer):
            figures += 1
            difference = difference if math.isfinite(difference) else math.inf
            if difference > largest or not where:
                largest, where = difference, task
    if not figures:
        return Missing("the run logged pictures without answers")
    return Reload(pictures=len(check), largest=largest, task=where)


def _differences(row: pd.Series, answer: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Task -> largest difference in one picture; infinite where one side has an answer and the other has none."""
    names = [f"probability_{name}" for name in EXPRESSIONS]
    if names[0] in row or answer.get("probabilities"):
        logged = [row.get(name) for name in names]
        probabilities = answer.get("probabilities") or {}
        yield "expression", _largest(logged, [probabilities.get(name) for name in EXPRESSIONS])
    for task in ("valence", "arousal"):
        if task in row or answer.get(task) is not None:
            yield task, _largest([row.get(task)], [answer.get(task)])
    if "landmarks" in row or answer.get("landmarks"):
        points = np.ravel(np.asarray(list(row.get("landmarks", [])), dtype=object))
        pixels = _largest(list(points), list(np.ravel(answer.get("landmarks") or [])))
        yield "landmarks", pixels / max(_size(bytes(row["picture"])))


def _largest(logged: Sequence[Any], told: Sequence[Any]) -> float:
    if len(logged) != len(told) or any(value is None for value in (*logged, *told)):
        return math.inf
    return float(np.abs(np.asarray(logged, float) - np.asarray(told, float)).max())


def _size(picture: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture)).size


def _answers(folder: Path, pictures: Sequence[bytes]) -> list[dict[str, Any]] | Missing:
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as scratch:
        given, answered = Path(scratch) / "pictures.json", Path(scratch) / "answers.json"
        given.write_text(json.dumps([base64.b64encode(picture).decode() for picture in pictures]))
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(PROGRAM), str(folder), str(given), str(answered)],
                cwd=scratch,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Missing(f"the model did not load and answer within {PATIENCE} s")
        if done.returncode or not answered.is_file():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return Missing(f"the model does not load in a clean process: {last[:300]}")
        told: list[dict[str, Any]] = json.loads(answered.read_text())
    return told


def _environment() -> dict[str, str]:
    """Of this process without anything of MLflow's, and no pickle."""
    return without_mlflow() | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "TF_CPP_MIN_LOG_LEVEL": "3"}

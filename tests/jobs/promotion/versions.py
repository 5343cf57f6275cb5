"""Versions written by hand, and what a promotion left; used by the tests beside it."""

import itertools

import numpy as np
import pandas as pd

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.jobs.promotion import rollback
from emotion_mlflow.jobs.promotion_request import RollbackRequest
from emotion_mlflow.labels import EXPRESSIONS

FACES = 256
NAMES = (f"emotion{number}" for number in itertools.count())
TAGS = {
    "recipe": "probe",
    "rng_seed": "1",
    "config_digest": "c1",
    "selected_on_test": "false",
    "data_name": "by <b>hand</b>",
    "tasks": "expression,valence,arousal",
    "selection_score": "0.5",
}
PARAMS = {"config/git/commit": "abc", "config/git/dirty": "false", "config/machine/platform": "here"}
METRICS = {"cost/latency_ms": 40.0, "cost/model_file_bytes": 20e6, "final/test/expression/macro_f1": 0.5}


def predictions(*, right, seed, ids="face"):
    """A table without landmarks: right on a share of the faces, and as sure as it is right."""
    rng = np.random.default_rng(seed)
    true = np.arange(FACES) % 8
    answered = np.where(rng.random(FACES) < right, true, (true + 1) % 8)
    table = pd.DataFrame({"id": [f"{ids}{row:03d}" for row in range(FACES)]})
    table = table.assign(content_hash="c", identity="", source="", expression_true=true.astype(np.int8))
    sure = max(right, 0.2)
    for label, name in enumerate(EXPRESSIONS):
        table[f"probability_{name}"] = np.where(answered == label, sure, (1 - sure) / 7).astype(np.float32)
    table["valence_true"] = np.linspace(-1, 1, FACES).astype(np.float32)
    table["valence_predicted"] = (table["valence_true"] * right).astype(np.float32)
    table["arousal_true"] = table["arousal_predicted"] = np.float32(0.5)
    table["landmarks_true"] = [np.zeros(0, np.float32)] * FACES
    return table


def gate(decision, name):
    return next(one for one in decision.gates if one.name == name)


def failed(decision):
    return [one.name for one in decision.gates if not one.passed]


def held(client, name):
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


def back(name, uri):
    return rollback(RollbackRequest(model_name=name, tracking_uri=uri), PlainReporter())

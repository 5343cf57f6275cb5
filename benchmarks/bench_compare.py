"""A comparison's statistics against a loop over scikit-learn, SciPy and krippendorff; `compare` on a crowded server.

The loop does fewer resamples and permutations, and its time is scaled. The crowded store holds 5,000 other runs.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_metrics import drawn_answers
from benchmarks.figures import Figure, Settings, ratio, seconds
from emotion_mlflow.labels import EXPRESSIONS, IBUG_68
from emotion_mlflow.metrics.paired import RESAMPLES, compare_sides
from emotion_mlflow.metrics.suite import Answers

FACES, LOOPS = 4000, 10
FEW, MANY = 10, 5000
"""Other runs on the two stores."""


def measure(settings: Settings) -> list[Figure]:
    """Two ratios: the tests' and the store's."""
    repeats = settings.repeats or 3
    return [_tests(settings.faces or FACES, repeats), _stores(repeats)]


def _tests(faces: int, repeats: int) -> Figure:
    first, second = (drawn_answers(faces, rng_seed=seed) for seed in (0, 0))
    random = np.random.default_rng(5)
    second = Answers(**{**vars(first), "probabilities": random.dirichlet(np.ones(8), faces).astype(np.float32)})
    sides = {"a": [first], "b": [second]}
    ours, loop = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: compare_sides(sides, seed=1, groups=None, layout=IBUG_68)))
        once = seconds(lambda: [_loop(first, second, np.random.default_rng(n)) for n in range(LOOPS)]) / LOOPS
        loop.append(once * RESAMPLES)
    return ratio(
        f"suite, {RESAMPLES:,} paired resamples and permutations, {faces:,} faces, two models",
        ours,
        loop,
        target=0.01,
        sides=("`compare_sides`", f"the same by library calls ({LOOPS} of {RESAMPLES:,}, scaled)"),
        note=f"{statistics.median(loop) / statistics.median(ours):,.0f} times as fast",
    )


def _loop(first: Answers, second: Answers, random: np.random.Generator) -> list[dict[str, float]]:
    """One resample and one permutation of two models, as one would write them with the libraries."""
    drawn = random.integers(0, len(first), len(first))
    swapped = random.random(len(first)) < 0.5
    found = [_suite(one.rows(drawn)) for one in (first, second)]
    for one, other in ((first, second), (second, first)):
        mixed = {
            name: np.where(swapped.reshape(-1, *[1] * (values.ndim - 1)), vars(other)[name], values)
            for name, values in vars(one).items()
        }
        found.append(_suite(Answers(**mixed)))
    return found


def _suite(answers: Answers) -> dict[str, float]:
    import krippendorff
    from scipy import stats
    from sklearn import metrics

    true, probabilities = answers.expression_true, np.asarray(answers.probabilities, float)
    label = probabilities.argmax(axis=1)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    found = {
        "accuracy": metrics.accuracy_score(true, label),
        "macro_f1": metrics.f1_score(true, label, average="macro"),
        "kappa": metrics.cohen_kappa_score(true, label),
        "alpha": krippendorff.alpha(np.stack([true, label]), level_of_measurement="nominal"),
        "roc_auc": metrics.roc_auc_score(true, probabilities, multi_class="ovr"),
        "pr_auc": np.mean([metrics.average_precision_score(true == n, probabilities[:, n]) for n in range(8)]),
    }
    for name in ("valence", "arousal"):
        truth, told = np.asarray(vars(answers)[f"{name}_true"]), np.asarray(vars(answers)[name])
        found[f"{name}/mae"] = metrics.mean_absolute_error(truth, told)
        found[f"{name}/rmse"] = metrics.root_mean_squared_error(truth, told)
        found[f"{name}/corr"] = stats.pearsonr(truth, told)[0]
        spread = truth.var() + told.var() + (truth.mean() - told.mean()) ** 2
        found[f"{name}/ccc"] = 2 * np.cov(truth, told, bias=True)[0, 1] / spread
        found[f"{name}/sagr"] = np.mean(np.sign(truth) == np.sign(told))
    errors = answers.face_errors(IBUG_68)
    return found | {"nme": errors.mean(), "failures": np.mean(errors > 0.08)}


def _stores(repeats: int) -> Figure:
    from emotion_mlflow.cli.progress import PlainReporter
    from emotion_mlflow.jobs.comparison import CompareRequest, compare

    with tempfile.TemporaryDirectory() as scratch:
        requests = []
        for others in (FEW, MANY):
            place = Path(scratch) / str(others)
            place.mkdir()
            uri = f"sqlite:///{place / 'mlflow.db'}"
            _fill(uri, place, others)
            asked: dict[str, Any] = {"tracking_uri": uri, "out": place / "out", "cache_dir": place, "resamples": 500}
            requests.append(CompareRequest(**asked))
            compare(requests[-1], PlainReporter())  # imports and caches
        few, many = [], []
        for _ in range(repeats):
            for taken, request in zip((few, many), requests, strict=True):
                taken.append(seconds(lambda request=request: compare(request, PlainReporter())))
    return ratio(
        f"`compare` beside {MANY:,} other runs",
        many,
        few,
        target=1.2,
        sides=(f"{MANY:,} other runs on the store", f"{FEW} other runs"),
        note="SQLite, 500 resamples, so that the store weighs more",
    )


def _fill(uri: str, place: Path, others: int) -> None:
    """A store with a version of each backbone and `others` runs."""
    import mlflow
    from mlflow.entities import Metric

    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment("emotion", artifact_location=str(place / "artifacts"))
    for number in range(others):
        run = client.create_run(experiment)
        client.log_batch(run.info.run_id, [Metric(f"final/test/{name}", 0.5, 0, 0) for name in EXPRESSIONS])
        client.set_terminated(run.info.run_id, "FINISHED" if number % 5 else "FAILED")
    client.create_registered_model("emotion")
    for seed, backbone in enumerate(("resnet50", "efficientnetb0")):
        run = client.create_run(experiment)
        folder = place / backbone / "predictions"
        folder.mkdir(parents=True)
        _predictions(seed).to_parquet(folder / "test.parquet")
        client.log_artifacts(run.info.run_id, str(folder.parent))
        tags = {
            "backbone": backbone,
            "recipe": "probe",
            "rng_seed": "0",
            "config_digest": backbone,
            "tasks": "expression",
        }
        tags |= {"selected_on_test": "false", "test_digest": "aa", "selection_score": "0.5", "data_name": "drawn"}
        client.create_model_version("emotion", f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)


def _predictions(seed: int) -> Any:
    import pandas as pd

    answers = drawn_answers(500, rng_seed=seed)
    truth = drawn_answers(500)
    table = pd.DataFrame({"id": [f"{n:04d}" for n in range(500)], "content_hash": "", "identity": "", "source": ""})
    table["expression_true"] = truth.expression_true
    for label, name in enumerate(EXPRESSIONS):
        table[f"probability_{name}"] = np.asarray(answers.probabilities)[:, label]
    table["valence_true"], table["arousal_true"] = truth.valence_true, truth.arousal_true
    table["landmarks_true"] = list(np.zeros((500, 0), np.float32))
    return table

"""`compare` on a real store with runs written by hand: choice, report, aliases. No training."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.errors import ConfigError, DataError, ModelError
from emotion_mlflow.jobs.comparison import CompareRequest, compare
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.tracking import registry, runs

FACES = 96


def predictions(*, right, seed):
    """A predictions table without landmarks: right on a share of the faces."""
    rng = np.random.default_rng(seed)
    true = np.arange(FACES) % 8
    answered = np.where(rng.random(FACES) < right, true, (true + 1) % 8)
    table = pd.DataFrame({"id": [f"{row:03d}" for row in range(FACES)]})
    table = table.assign(content_hash="c", identity="", source="", expression_true=true.astype(np.int8))
    for label, name in enumerate(EXPRESSIONS):
        table[f"probability_{name}"] = np.where(answered == label, 0.65, 0.05).astype(np.float32)
    table["valence_true"] = np.linspace(-1, 1, FACES).astype(np.float32)
    table["valence_predicted"] = (table["valence_true"] * right).astype(np.float32)
    table["arousal_true"] = table["arousal_predicted"] = np.float32(0.5)
    table["landmarks_true"] = [np.zeros(0, np.float32)] * FACES
    return table


@pytest.fixture
def add(store, tmp_path):
    """Writes one version as `train` does, without a model behind it; gives its number."""
    mlflow.set_tracking_uri(store)
    runs.quiet_libraries()
    client = mlflow.MlflowClient(store)
    client.create_registered_model("emotion")

    def write(
        backbone, *, right=0.5, seed=0, score=0.5, digest="aaaa1111", recipe="probe", selected="false", config="c1"
    ):
        experiment = client.get_experiment_by_name("emotion")
        place = experiment.experiment_id if experiment else client.create_experiment("emotion")
        run = client.create_run(place)
        tags = {
            "backbone": backbone,
            "recipe": recipe,
            "rng_seed": seed,
            "config_digest": f"{backbone}{config}",
            "selected_on_test": selected,
            "data_name": "hand",
            "test_digest": digest,
            "tasks": "expression,valence,arousal",
            "selection_score": score,
        }
        for name, value in {"config/recipe": recipe, "config/data.data": "nowhere", "config/weights": "none"}.items():
            client.log_param(run.info.run_id, name, value)
        for name, value in tags.items():
            client.set_tag(run.info.run_id, name, value)
        client.log_metric(run.info.run_id, "final/val/expression/accuracy", 1 - score)
        folder = tmp_path / run.info.run_id / "predictions"
        folder.mkdir(parents=True)
        predictions(right=right, seed=len(list(tmp_path.iterdir()))).to_parquet(folder / "test.parquet")
        client.log_artifacts(run.info.run_id, str(folder.parent))
        client.set_terminated(run.info.run_id)
        source = f"{run.info.artifact_uri}/model"
        return client.create_model_version(
            "emotion", source, run.info.run_id, tags={k: str(v) for k, v in tags.items()}
        ).version

    yield write
    mlflow.set_tracking_uri(None)


def asked(store, tmp_path, **changes):
    base = {"tracking_uri": store, "out": tmp_path / "out", "cache_dir": tmp_path / "cache", "resamples": 200}
    return CompareRequest(**{**base, **changes})


def aliases(store):
    held = mlflow.MlflowClient(store).get_registered_model("emotion").aliases
    return {alias: str(version) for alias, version in held.items()}


def test_two_backbones_are_compared_and_the_report_is_logged_to_a_run_of_its_own(add, store, tmp_path):
    add("resnet50", right=0.9)
    add("efficientnetb0", right=0.3)
    outcome = compare(asked(store, tmp_path), PlainReporter())
    assert outcome.comparison.row("test/expression/accuracy").winner == "resnet50"
    names = {"report.html", "report.md", "comparison.json", "table.csv"}
    assert names <= {file.name for file in (tmp_path / "out").iterdir()}
    client = mlflow.MlflowClient(store)
    assert names <= {item.path for item in client.list_artifacts(outcome.run_id)}
    run = client.get_run(outcome.run_id)
    assert (run.info.status, run.data.tags["kind"]) == ("FINISHED", "comparison")
    assert run.data.tags["compared_versions"] == "emotion/1,emotion/2"
    assert client.get_model_version("emotion", "1").tags["comparison_run"] == outcome.run_id


def test_the_written_json_is_what_json_prints_but_for_run_and_path(add, store, tmp_path):
    add("resnet50")
    add("efficientnetb0")
    outcome = compare(asked(store, tmp_path), PlainReporter())
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    printed = registry.jsonable(outcome.to_dict())
    assert {**written, "run_id": outcome.run_id, "report": str(outcome.report)} == printed


def test_the_default_query_points_the_aliases_at_the_best_validated_version(add, store, tmp_path):
    add("resnet50", seed=1, score=0.7)
    add("resnet50", seed=2, score=0.6)
    add("efficientnetb0")
    compare(asked(store, tmp_path), PlainReporter())
    assert aliases(store) == {"resnet50": "1", "efficientnetb0": "3"}


@pytest.mark.parametrize(
    "changes", [{"recipe": "probe"}, {"metric": "expression/accuracy"}, {"models": ("emotion/1", "emotion/2")}]
)
def test_any_other_query_moves_no_alias(add, store, tmp_path, changes):
    add("resnet50")
    add("efficientnetb0")
    compare(asked(store, tmp_path, **changes), PlainReporter())
    assert aliases(store) == {}


def test_a_named_metric_of_the_validation_faces_picks_another_configuration(add, store, tmp_path):
    add("resnet50", config="c1", score=0.7)  # accuracy .3
    add("resnet50", config="c2", score=0.6)  # accuracy .4
    add("efficientnetb0")
    by_score = compare(asked(store, tmp_path), PlainReporter())
    by_accuracy = compare(asked(store, tmp_path, metric="expression/accuracy"), PlainReporter())
    assert by_score.comparison.sides[0].versions == ("emotion/1",)
    assert by_accuracy.comparison.sides[0].versions == ("emotion/2",)


def test_single_versions_are_shown_under_the_names_they_were_asked_by(add, store, tmp_path):
    add("resnet50")
    add("resnet50", seed=1)
    run_id = mlflow.MlflowClient(store).get_model_version("emotion", "2").run_id
    outcome = compare(asked(store, tmp_path, models=("emotion/1", f"runs:/{run_id}")), PlainReporter())
    assert outcome.comparison.names == ("emotion/1", f"runs:/{run_id}")


def test_versions_scored_on_other_faces_are_refused_with_both_digests(add, store, tmp_path):
    add("resnet50")
    add("resnet50", digest="bbbb2222")
    with pytest.raises(DataError, match=r"aaaa1111.*bbbb2222"):
        compare(asked(store, tmp_path, models=("emotion/1", "emotion/2")), PlainReporter())


def test_a_refused_comparison_leaves_no_run_and_no_file(add, store, tmp_path):
    add("resnet50")
    with pytest.raises(ModelError, match="emotion-mlflow train --backbone efficientnetb0"):
        compare(asked(store, tmp_path), PlainReporter())
    assert not (tmp_path / "out").exists()
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("emotion").experiment_id
    assert len(client.search_runs([experiment])) == 1  # the version's own


def test_versions_without_our_tags_are_counted_not_passed_over(add, store, tmp_path):
    add("resnet50")
    add("efficientnetb0")
    client = mlflow.MlflowClient(store)
    client.create_model_version("emotion", f"{Path(tmp_path)}/model", client.get_model_version("emotion", "1").run_id)
    outcome = compare(asked(store, tmp_path), PlainReporter())
    assert "1 versions of emotion carry no tags of ours and were left out" in outcome.comparison.warnings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbones": ("resnet50",)}, "two or more"),
        ({"backbones": ("resnet50", "resnet50")}, "two or more different ones"),
        ({"models": ("emotion/1",)}, "two or more"),
        ({"backbones": ("resnet50", "vgg")}, "vgg"),
        ({"show_faces": "all"}, "--show-faces"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        asked("sqlite:///never.db", tmp_path, **changes).check()

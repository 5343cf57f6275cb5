"""`compare` on a real store with runs written by hand: choice, report, aliases. No training."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from emotion_mlflow.cli.progress import PlainReporter
from emotion_mlflow.errors import ConfigError, DataError, ModelError
from emotion_mlflow.jobs.comparison import CompareRequest, compare
from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.plots.faces import THUMBNAIL_SIDE
from emotion_mlflow.report.files import SCHEMA
from emotion_mlflow.tracking import registry, runs

pytestmark = pytest.mark.slow  # whole comparisons of a stored registry take seconds each

FACES = 96


def predictions(*, right, seed):
    """A predictions table without landmarks: right on a share of the faces."""
    rng = np.random.default_rng(seed)
    true = np.arange(FACES) % 8
    answered = np.where(rng.random(FACES) < right, true, (true + 1) % 8)
    table = pd.DataFrame({"id": [f"{row:03d}" for row in range(FACES)]})
    table = table.assign(
        content_hash=[f"{row:032x}" for row in range(FACES)],
        identity="",
        source="",
        expression_true=true.astype(np.int8),
    )
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
        backbone,
        *,
        right=0.5,
        seed=0,
        score=0.5,
        digest="aaaa1111",
        recipe="probe",
        selected="false",
        config="c1",
        rmse=None,
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
        if rmse is not None:
            client.log_metric(run.info.run_id, "final/val/valence/rmse", rmse)
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


def test_the_run_opens_with_the_verdict_and_a_way_to_the_page(add, store, tmp_path):
    add("resnet50", right=0.9)
    add("efficientnetb0", right=0.3)
    outcome = compare(asked(store, tmp_path), PlainReporter())
    run = mlflow.MlflowClient(store).get_run(outcome.run_id)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("resnet50 is better in ")
    place = f"#/experiments/{run.info.experiment_id}/runs/{outcome.run_id}/artifacts/report.html"
    assert note.endswith(f"[The whole report]({place})")


def test_json_is_the_written_file_and_what_the_schema_says(add, store, tmp_path, typed):
    add("resnet50")
    add("efficientnetb0")
    code, out, err = typed("compare", "--json", "--tracking-uri", store, "--out", tmp_path / "out[/b]")
    printed = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert printed == json.loads((tmp_path / "out[/b]" / "comparison.json").read_text())
    assert list(Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(printed)) == []
    assert f"report: {tmp_path / 'out[/b]' / 'report.html'}" in err


def test_the_command_prints_tables_verdict_and_places(add, store, tmp_path, typed):
    add("resnet50", right=0.9)
    add("efficientnetb0", right=0.3)
    code, out, _ = typed("compare", "--tracking-uri", store, "--out", tmp_path / "out[old]")
    assert code == 0
    assert "resnet50 is better in " in out
    assert f"report: {tmp_path / 'out[old]' / 'report.html'}" in out


def test_the_command_tells_a_mistake_with_exit_code_2(add, store, tmp_path, typed):
    code, out, err = typed("compare", "--tracking-uri", store, "--out", tmp_path / "out", "--recipe", "prob")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "a recipe of auto, published, improved, probe, demo; got prob in --recipe" in err


def test_the_password_of_the_address_stands_in_no_file(add, store, tmp_path, monkeypatch):
    add("resnet50")
    add("efficientnetb0")
    connect = runs.connect
    monkeypatch.setattr(runs, "connect", lambda uri: connect(uri) and "http://user:secret@host:5000")
    outcome = compare(asked(store, tmp_path), PlainReporter())
    assert outcome.tracking_uri == "http://user@host:5000"
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'href="http://user@host:5000/#/models/emotion/versions/1"' in page
    assert not [file for file in (tmp_path / "out").iterdir() if file.is_file() and "secret" in file.read_text()]


def test_the_default_query_points_the_aliases_at_the_best_validated_version(add, store, tmp_path):
    add("resnet50", seed=1, score=0.7)
    add("resnet50", seed=2, score=0.6)
    add("efficientnetb0")
    compare(asked(store, tmp_path), PlainReporter())
    assert aliases(store) == {"resnet50": "1", "efficientnetb0": "3"}


def test_an_alias_never_goes_back_to_faces_of_an_older_comparison(add, store, tmp_path):
    add("resnet50")
    add("mobilenetv3small")
    add("resnet50", digest="bbbb2222")
    add("efficientnetb0", digest="bbbb2222")
    compare(asked(store, tmp_path), PlainReporter())
    compare(asked(store, tmp_path, backbones=("resnet50", "mobilenetv3small")), PlainReporter())
    assert aliases(store) == {"resnet50": "3", "efficientnetb0": "4", "mobilenetv3small": "2"}
    assert "@resnet50 stays where it is" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "probe"},
        {"metric": "expression/accuracy"},
        {"models": ("emotion/1", "emotion/2")},
        {"test_digest": "aaaa"},
    ],
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
    assert [one.comparison.sides[0].selection_score for one in (by_score, by_accuracy)] == [0.7, 0.6]


def test_a_metric_that_is_better_when_lower_picks_the_lower_one(add, store, tmp_path):
    add("resnet50", config="c1", score=0.7, rmse=0.4)
    add("resnet50", config="c2", score=0.6, rmse=0.3)
    add("efficientnetb0", rmse=0.3)
    outcome = compare(asked(store, tmp_path, metric="valence/rmse"), PlainReporter())
    assert outcome.comparison.sides[0].versions == ("emotion/2",)


def test_a_metric_that_a_version_on_other_faces_lacks_is_no_mistake(add, store, tmp_path):
    add("resnet50", digest="bbbb2222")
    add("resnet50", rmse=0.4)
    add("efficientnetb0", rmse=0.3)
    outcome = compare(asked(store, tmp_path, metric="valence/rmse"), PlainReporter())
    assert outcome.comparison.sides[0].versions == ("emotion/2",)


def test_the_lacking_training_is_told_with_the_flags_that_bring_it_to_the_same_faces(add, store, tmp_path):
    add("resnet50")
    words = "--backbone efficientnetb0 --recipe probe --data nowhere --tasks expression,valence,arousal --weights none"
    with pytest.raises(ModelError, match=words):
        compare(asked(store, tmp_path), PlainReporter())


def test_single_versions_are_shown_under_the_names_they_were_asked_by_and_stay_known_by_number(add, store, tmp_path):
    add("resnet50")
    add("resnet50", seed=1)
    add("resnet50", seed=2)
    client = mlflow.MlflowClient(store)
    client.set_registered_model_alias("emotion", "a", "1")
    run_id = client.get_model_version("emotion", "2").run_id
    specs = ("emotion@a", f"runs:/{run_id}", "models:/emotion/3")
    outcome = compare(asked(store, tmp_path, models=specs), PlainReporter())
    assert outcome.comparison.names == specs
    assert [side.versions for side in outcome.comparison.sides] == [
        ("emotion/1",),
        (f"runs:/{run_id}",),
        ("emotion/3",),
    ]
    tags = client.get_run(outcome.run_id).data.tags
    assert tags["compared_versions"] == f"emotion/1,runs:/{run_id},emotion/3"


def test_one_version_under_two_names_is_not_compared_with_itself(add, store, tmp_path):
    add("resnet50")
    mlflow.MlflowClient(store).set_registered_model_alias("emotion", "a", "1")
    with pytest.raises(ConfigError, match="got emotion@a and emotion/1, which are the same in --models"):
        compare(asked(store, tmp_path, models=("emotion@a", "emotion/1")), PlainReporter())


def test_a_version_selected_on_the_test_faces_is_compared_by_name_with_its_warning(add, store, tmp_path):
    add("resnet50", selected="true", recipe="published")
    add("resnet50", seed=1)
    outcome = compare(asked(store, tmp_path, models=("emotion/1", "emotion/2")), PlainReporter())
    assert any("emotion/1: epochs were chosen on the test faces" in one for one in outcome.comparison.warnings)


def test_a_model_whose_name_has_a_quote_is_found(store):
    mlflow.set_tracking_uri(store)
    client = mlflow.MlflowClient(store)
    client.create_registered_model("emo'tion")
    run = client.create_run("0").info
    client.create_model_version("emo'tion", f"{run.artifact_uri}/model", run.run_id)
    assert [one.number for one in registry.versions("emo'tion")] == ["1"]
    mlflow.set_tracking_uri(None)


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


@pytest.fixture
def pictures(monkeypatch):
    """The faces of the hand-made runs, of people, as a set that can be read; which sizes were asked for."""
    asked_for = []

    def load(part, *, image_size, cache_dir):
        asked_for.append(image_size)
        return np.zeros((len(part), image_size, image_size, 3), np.uint8)

    table = pd.DataFrame({"id": [f"{row:03d}" for row in range(FACES)]})
    table["content_hash"] = [f"{row:032x}" for row in range(FACES)]
    people = SimpleNamespace(table=table, drawn=False, rows=lambda keep: list(keep))
    monkeypatch.setattr("emotion_mlflow.data.sets.open_set", lambda data, **fields: people)
    monkeypatch.setattr("emotion_mlflow.data.pixels.load_pixels", load)
    return asked_for


@pytest.mark.parametrize(
    ("show_faces", "address", "shown"),
    [
        ("auto", "", True),
        ("auto", "http://host", False),
        ("none", "", False),
        ("thumbnails", "http://host", True),
    ],
)
def test_faces_of_people_are_shown_as_allowed_and_never_larger_than_thumbnails(
    add, store, tmp_path, monkeypatch, pictures, show_faces, address, shown
):
    add("resnet50", right=0.9)
    add("efficientnetb0", right=0.3)
    connect = runs.connect
    monkeypatch.setattr(runs, "connect", lambda uri: address or connect(uri))
    compare(asked(store, tmp_path, show_faces=show_faces), PlainReporter())
    assert (tmp_path / "out" / "figures" / "disagreements.png").exists() is shown
    assert pictures == ([THUMBNAIL_SIDE] if shown else [])


def test_another_picture_of_a_face_s_name_is_not_shown_under_its_answers(add, store, tmp_path, pictures, monkeypatch):
    from emotion_mlflow.data.sets import open_set

    add("resnet50", right=0.9)
    add("efficientnetb0", right=0.3)
    compare(asked(store, tmp_path), PlainReporter())
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())["disagreements"]
    changed = told[0]["face"]
    shown = []
    people = open_set("")
    people.table.loc[people.table["id"] == changed, "content_hash"] = "f" * 32
    monkeypatch.setattr("emotion_mlflow.data.sets.open_set", lambda data, **fields: people)
    monkeypatch.setattr(
        "emotion_mlflow.data.pixels.load_pixels",
        lambda part, image_size, cache_dir: shown.extend(part) or np.zeros((len(part), image_size, image_size, 3)),
    )
    compare(asked(store, tmp_path), PlainReporter())
    assert len(shown) == len(told) - 1
    assert int(changed) not in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbones": ("resnet50",)}, "two or more"),
        ({"backbones": ("resnet50", "resnet50")}, "two or more different ones"),
        ({"models": ("emotion/1",)}, "two or more"),
        ({"backbones": ("resnet50", "vgg")}, "vgg"),
        ({"show_faces": "all"}, "--show-faces"),
        ({"recipe": "prob"}, "a recipe of auto, published, improved, probe, demo; got prob in --recipe"),
        ({"models": ("a/1", "a/2"), "recipe": "probe"}, "nothing that chooses versions; got --recipe in --models"),
        ({"models": ("a/1", "a/2"), "backbones": ("resnet50", "vgg")}, "got --backbones in --models"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        asked("sqlite:///never.db", tmp_path, **changes).check()

"""A champion that was scored on other test faces, with real trainings; and `mlflow run . -e promote`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from emotion_mlflow.jobs.promotion import promote
from emotion_mlflow.jobs.promotion_request import PromoteRequest
from emotion_mlflow.tracking import registry, runs
from emotion_mlflow.tracking.environment import without_mlflow

pytestmark = pytest.mark.slow

HOUSE = Path(__file__).parents[2]


@pytest.fixture
def copied(trained, here):
    """The store of `trained`, to write into; artifacts are read where they are."""
    shutil.copy(trained.folder / "mlflow.db", here / "mlflow.db")
    uri = f"sqlite:///{here / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    runs.quiet_libraries()
    return uri


def test_scoring_a_version_on_its_own_test_faces_gives_the_stored_predictions(copied, trained, cache, reporter):
    from emotion_mlflow.jobs.evaluation import answers_on

    version = registry.find("models:/emotion/1")
    table = answers_on(version, version, data_format="auto", cache_dir=cache, reporter=reporter)
    file = trained.file("predictions/test.parquet", Path.cwd())
    pd.testing.assert_frame_equal(table, pd.read_parquet(file))


def test_a_champion_scored_on_other_faces_is_scored_on_the_candidates(
    copied, command, small, draw_set, cache, reporter, here
):
    other = draw_set(here / "other", seed=8)
    flags = ["--data", other, "--cache-dir", cache, "--experiment", "other", "--json"]
    done = command("train", *small, *flags, cwd=here, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(copied)
    client.set_registered_model_alias("emotion", "champion", "1")
    asked = PromoteRequest(
        version="2", tracking_uri=copied, experiment="other", cache_dir=cache, allow_dirty=True, resamples=200
    )
    decision = promote(asked, reporter)
    gate = next(one for one in decision.gates if one.name == "better_than_champion")
    assert isinstance(gate.value, float)
    run_id = client.get_model_version("emotion", "2").run_id
    own = pd.read_parquet(client.download_artifacts(run_id, "predictions/test.parquet", str(here)))
    theirs = pd.read_parquet(client.download_artifacts(decision.run_id, "predictions/champion.parquet", str(here)))
    truths = ["id", "content_hash", "expression_true", "valence_true", "landmarks_true"]
    pd.testing.assert_frame_equal(theirs[truths], own[truths])
    assert not theirs["valence_predicted"].equals(own["valence_predicted"])


def test_faces_that_changed_since_fail_the_gate_with_both_digests(copied, cache, reporter, faces, here):
    """The candidate's set is where it was, but not what it was."""
    from emotion_mlflow.errors import DataError
    from emotion_mlflow.jobs.evaluation import answers_on

    version = registry.find("models:/emotion/1")
    changed = registry.Version(**{**vars(version), "tags": version.tags | {"test_digest": "0" * 64}})
    with pytest.raises(DataError, match="the test faces that the version was scored on, digest 000000000000; got "):
        answers_on(version, changed, data_format="auto", cache_dir=cache, reporter=reporter)


@pytest.mark.parametrize("card", ["{", "[]", '{"data": "demo"}'])
def test_a_damaged_card_is_told_in_one_line(copied, cache, reporter, monkeypatch, tmp_path, card):
    from emotion_mlflow.errors import ModelError
    from emotion_mlflow.jobs.evaluation import answers_on

    file = tmp_path / "card.json"
    file.write_text(card)
    monkeypatch.setattr(registry, "download", lambda version, folder: (tmp_path / "network.keras", file))
    version = registry.find("models:/emotion/1")
    with pytest.raises(ModelError, match=r"expected a saved model of ours; got .* in card\.json"):
        answers_on(version, version, data_format="auto", cache_dir=cache, reporter=reporter)


def test_the_trained_version_passes_from_the_command_line_and_again(command, copied, here, cache):
    flags = ["--version", 1, "--allow-dirty", "--cache-dir", cache, "--experiment", "other", "--json"]
    flags += ["--gates", here / "gates.yaml"]
    (here / "gates.yaml").write_text(loose_limits())
    done = command("promote", *flags, cwd=here, PYTHONWARNINGS="")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert (answer["promoted"], answer["version"], answer["alias"], answer["previous"]) == (True, "1", "champion", None)
    again = command("promote", *flags, cwd=here, PYTHONWARNINGS="")
    assert again.returncode == 0
    assert json.loads(again.stdout)["already"] is True


def loose_limits():
    """Four epochs on 32 drawings calibrate nothing."""
    from emotion_mlflow.promotion.limits import SHIPPED

    return SHIPPED.read_text().replace("ece: 0.15", "ece: 1").replace("latency_ms: 500", "latency_ms: 60000")


@pytest.mark.parametrize(("allow", "status", "code"), [("true", "FINISHED", 0), ("false", "FAILED", 1)])
def test_mlflow_run_ends_failed_exactly_when_refused(copied, here, cache, allow, status, code):
    (here / "gates.yaml").write_text(loose_limits())
    client = mlflow.MlflowClient(copied)
    run_id = client.get_model_version("emotion", "1").run_id
    stored = dict(client.get_run(run_id).data.params)
    if allow == "false" and stored["config/git/dirty"] == "false":
        (here / "gates.yaml").write_text(loose_limits().replace("ece: 1", "ece: 0"))
    given = {"version": 1, "gates": here / "gates.yaml", "allow_dirty": allow, "cache_dir": cache}
    flags = [word for name, value in given.items() for word in ("-P", f"{name}={value}")]
    inherited = without_mlflow()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["mlflow", "run", HOUSE, "-e", "promote", "--env-manager", "local", "--experiment-name", "gates", *flags],
        cwd=here,
        capture_output=True,
        text=True,
        env=inherited | {"PATH": path, "MLFLOW_TRACKING_URI": copied},
        check=False,
    )
    assert (done.returncode != 0) == (code != 0), done.stdout + done.stderr
    experiment = client.get_experiment_by_name("gates")
    (only,) = client.search_runs([experiment.experiment_id])
    assert only.info.status == status
    assert only.data.tags["decision"] == ("moved" if code == 0 else "refused")
    moved = client.get_registered_model("emotion").aliases.get("champion")
    assert (moved is not None) == (code == 0)

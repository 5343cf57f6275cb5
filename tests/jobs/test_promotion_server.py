"""Whole promotions at once, as typed, against a real server."""

import contextlib
import json
import subprocess
import sys
import threading

import mlflow
import pytest

from emotion_mlflow.promotion.limits import SHIPPED
from emotion_mlflow.tracking.environment import without_mlflow

pytestmark = pytest.mark.server

AT_ONCE = 8


@pytest.fixture
def contested(trained_on_server, server, tmp_path):
    """A champion that answers as the trained network and is twice as large, and two rivals for its place: that one."""
    client = mlflow.MlflowClient(server)
    known = client.get_model_version("emotion", "1")
    client.create_registered_model("contested")
    table = client.download_artifacts(known.run_id, "predictions/test.parquet", str(tmp_path))
    large = client.create_run(client.create_experiment("large")).info
    client.log_artifact(large.run_id, table, "predictions")
    size = client.get_run(known.run_id).data.metrics["cost/model_file_bytes"]
    client.log_metric(large.run_id, "cost/model_file_bytes", 2 * size)
    client.set_terminated(large.run_id)
    client.create_model_version("contested", f"{large.artifact_uri}/model", large.run_id, tags=known.tags)
    model_id = known.source.removeprefix("models:/")
    for _ in range(2):
        client.create_model_version("contested", known.source, known.run_id, tags=known.tags, model_id=model_id)
    for alias in ("previous", "champion"):
        client.set_registered_model_alias("contested", alias, "1")
    return client


@contextlib.contextmanager
def watching(client):
    """What aliases there were while the block ran."""
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            seen.append(set(client.get_registered_model("contested").aliases))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def test_of_eight_promotions_at_once_one_moves_and_every_other_is_told(contested, server, tmp_path):
    limits = SHIPPED.read_text().replace("ece: 0.15", "ece: 1").replace("latency_ms: 500", "latency_ms: 60000")
    (tmp_path / "gates.yaml").write_text(limits)
    flags = ["--model-name", "contested", "--tracking-uri", server, "--allow-dirty", "--json"]
    flags += ["--gates", str(tmp_path / "gates.yaml"), "--experiment", "contested"]
    inherited = without_mlflow()
    with watching(contested) as seen:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "emotion_mlflow", "promote", "--version", str(2 + number % 2), *flags],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=inherited,
            )
            for number in range(AT_ONCE)
        ]
        told = [(process.communicate(timeout=600), process.returncode) for process in started]
    answers = [(json.loads(out), code) for (out, _), code in told]
    moved = [answer for answer, _ in answers if answer["promoted"] and not answer["already"]]
    assert len(moved) == 1, told
    for answer, code in answers:
        assert code == (0 if answer["promoted"] else 1)
        if not answer["promoted"]:  # the lease was taken, or the rival was champion by then and no better
            failed = [gate["name"] for gate in answer["gates"] if not gate["passed"]]
            assert failed in (["lease"], ["better_than_champion"])
    assert len(seen) > 10
    assert all(each == {"champion", "previous"} for each in seen)
    model = contested.get_registered_model("contested")
    winner = moved[0]["version"]
    assert {alias: str(version) for alias, version in model.aliases.items()} == {"champion": winner, "previous": "1"}
    assert [json.loads(text)["run_id"] for key, text in model.tags.items() if key.startswith("promotion/")] == [
        moved[0]["run_id"]
    ]
    for answer, code in answers:
        status = contested.get_run(answer["run_id"]).info.status
        assert status == ("FINISHED" if code == 0 else "FAILED")
    assert "Article 5(1)(f)" in contested.get_model_version("contested", winner).description
